"""What a person at the terminal, or one who means harm, must not be able to do without being told."""

import datetime as dt
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from genomics_nb.core.types import ConsentError, ParameterError
from genomics_nb.delivery.cli import app
from genomics_nb.store import cad as facade
from genomics_nb.store.cad import CAD
from genomics_nb.store.cohorts import open_cohort
from genomics_nb.store.segments import PRESENT, STATE
from genomics_nb.store.tables import cohort_members, members

VCF = ("##fileformat=VCFv4.3\n##contig=<ID=chr1,length=248956422>\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"g\">\n"
       "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{person}\nchr1\t1500\t.\tA\tG\t50\tPASS\t.\tGT\t0/1\n"
       "chr1\t{own}\t.\tC\tT\t50\tPASS\t.\tGT\t0/1\n")


@pytest.fixture
def cad(tmp_path: Path) -> CAD:
    """Two people who consent to research, one cohort."""
    store = CAD.init(tmp_path / "store")
    for n, person in enumerate(("P1", "P2")):
        file = tmp_path / f"{person}.vcf"
        file.write_text(VCF.format(person=person, own=1600 + n))
        (tmp_path / f"{person}.ped").write_text(f"F{n}\t{person}\t0\t0\t0\t1\n")
        store.ingest(file, ped=tmp_path / f"{person}.ped")
        store.grant(person, "research", date=dt.date(2026, 1, 5))
    store.build_cohort("c", "GRCh38", "research")
    return store


def said(*words: object) -> str:
    """What a command answers; it must end well."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_withdrawal_that_has_no_effect_says_so(cad: CAD) -> None:
    late = said("consent", "withdraw", "P1", "--purpose", "research", "--date", "2020-01-01", "--store", cad.path)
    assert "research is still allowed today: research consent of 2026-01-05" in late
    assert "still" not in said("consent", "withdraw", "P1", "--purpose", "research", "--store", cad.path)


def test_a_consent_that_has_no_effect_says_so(cad: CAD) -> None:
    said("consent", "withdraw", "P1", "--purpose", "research", "--store", cad.path)
    old = said("consent", "grant", "P1", "--purpose", "research", "--date", "2026-01-06", "--store", cad.path)
    assert "research is not allowed today: research consent withdrawn" in old
    assert "but" not in said("consent", "grant", "P2", "--purpose", "care", "--store", cad.path)


def test_a_case_and_a_cohort_never_share_a_name(cad: CAD) -> None:
    case = {"case": "c", "family": "F0", "proband": "P1", "indication": "x"}
    with pytest.raises(ParameterError, match="c is the name of a cohort"):
        cad.add_case(case)
    assert cad.case_rows() == []
    cad.add_case(case | {"case": "K"})
    with pytest.raises(ParameterError, match="K is the name of a case"):
        cad.build_cohort("K", "GRCh38", "research")


def test_a_guardian_before_their_time_is_named_with_the_day(cad: CAD) -> None:
    cad.minor("P1", dt.date(2036, 1, 1))
    cad.guardian("P1", "P2", "mother", since=dt.date(2026, 6, 1))
    with pytest.raises(ConsentError, match=r"P2 is not recorded .* over P1 on 2026-05-31.*--since"):
        cad.grant("P1", "care", date=dt.date(2026, 5, 31), guardian="P2")


def test_a_misspelt_state_of_deliveries_is_refused(cad: CAD) -> None:
    done = CliRunner().invoke(app, ["delivery", "list", "--state", "quarantine", "--store", str(cad.path)])
    assert done.exit_code != 0 and "No delivery" not in done.output


def test_a_plan_names_the_cohorts(cad: CAD) -> None:
    cad.add_to_cohort("c")
    assert json.loads(said("erase", "P2", "--plan", "--json", "--store", cad.path))["cohorts"] == ["c"]


def test_the_doctor_finds_people_under_another_sex(cad: CAD, tmp_path: Path) -> None:
    cad.add_to_cohort("c")
    assert not [f for f in cad.health() if "sex" in f.what]
    cad.add_case({"case": "K", "family": "F0", "proband": "P1", "indication": "x", "members": [{"person": "P1", "sex": "male"}]})
    assert [f.what for f in cad.health() if "sex" in f.what] == ["cohort c: 1 people are counted under another sex than is declared now"]
    cad.remove_from_cohort("c", ["P1"])
    cad.add_to_cohort("c", ["P1"])
    assert not [f for f in cad.health() if "sex" in f.what]


def test_who_is_added_while_they_are_erased_is_erased_too(cad: CAD, monkeypatch: pytest.MonkeyPatch) -> None:
    """An addition that was admitted before the erasure ends between its two halves."""
    erase_analyses = facade.erase_person

    def late(store: CAD, person: str):  # noqa: ANN202 - as the function that it calls
        CAD.open(cad.path).add_to_cohort("c", [person])
        return erase_analyses(store, person)

    monkeypatch.setattr(facade, "erase_person", late)
    done = cad.erase("P2")
    assert list(done["cohorts"]) == ["c"]
    with cad.catalogue.read() as connection:
        rows = connection.execute(sa.select(cohort_members).where(cohort_members.c.person == "P2")).all()
        assert connection.scalar(sa.select(sa.func.count()).select_from(members)) == 2
    assert [row.state for row in rows] == ["erased"]
    assert not (open_cohort(cad, "c").view()[0].info[[r.slot for r in rows], STATE] == PRESENT).any()
