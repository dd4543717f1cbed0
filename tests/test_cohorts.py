"""A cohort follows the catalogue: consent, roles, interruptions, both databases, and erasing from everything."""

import datetime as dt
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from genomics_nb.core.types import ConsentError, NotFoundError, ParameterError, StoreError
from genomics_nb.store.cad import CAD
from genomics_nb.store.cohorts import open_cohort, reserve, set_state, choose, cohort_row
from genomics_nb.store.roles import RoleError
from genomics_nb.store.segments import PRESENT, STATE
from genomics_nb.store.tables import cohort_members, decisions, events

CONTIGS = "".join(f"##contig=<ID=chr{c},length={n}>\n" for c, n in (("1", 248956422), ("22", 50818468), ("X", 156040895)))


def vcf(path: Path, person: str, places: list[int], contig: str = "chr1") -> Path:
    """One person's heterozygous sites."""
    lines = "".join(f"{contig}\t{p}\t.\tA\tG\t50\tPASS\t.\tGT\t0/1\n" for p in places)
    path.write_text(f"##fileformat=VCFv4.3\n{CONTIGS}##FORMAT=<ID=GT,Number=1,Type=String,Description=\"g\">\n"
                    f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{person}\n{lines}")
    return path


def bed(path: Path) -> Path:
    path.write_text("chr1\t1000\t2000\n")
    return path


def fill(cad: CAD, folder: Path, people: int = 4, first: int = 0) -> list[str]:
    """People patient-0, patient-1, ... who share chr1:1500 and have chr1:(1600 + n) alone; all consent to research."""
    folder.mkdir(exist_ok=True)
    names = [f"patient-{n}" for n in range(first, first + people)]
    for n, name in enumerate(names, first):
        cad.ingest(vcf(folder / f"{name}.vcf", name, [1500, 1600 + n]), callable_bed=bed(folder / "kit.bed"))
        cad.grant(name, "research")
    return names


def prepared(path: Path, folder: Path, url: str | None = None) -> CAD:
    """A store with a cohort of four people and one tag."""
    store = CAD.init(path, catalogue_url=url)
    fill(store, folder)
    store.build_cohort("c", "GRCh38", "research")
    store.add_to_cohort("c")
    store.tag_cohort("c", "v1")
    return store


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pattern")
    prepared(folder / "store", folder / "vcf")
    return folder


@pytest.fixture
def cad(tmp_path: Path, pattern: Path) -> CAD:
    """A store of one's own: a copy of a store that nobody writes is a store."""
    for name in ("store", "vcf"):
        shutil.copytree(pattern / name, tmp_path / name)
    return CAD.open(tmp_path / "store")


@pytest.fixture
def either(tmp_path: Path, database: str | Path) -> CAD:
    """The same on SQLite and on PostgreSQL."""
    return prepared(tmp_path / "store", tmp_path / "vcf", database if isinstance(database, str) else None)


def ac(ds) -> dict[int, tuple[int, int]]:
    """AC and AN by position."""
    return {int(p): (int(a), int(n)) for p, a, n in zip(ds.variant_position.values, ds.variant_AC.values.sum(1), ds.variant_AN.values.sum(1), strict=True)}


def test_everybody_who_may_is_in_and_counts(cad: CAD) -> None:
    assert ac(cad.frequencies("c", purpose="research")) == {1500: (4, 8)} | {1600 + n: (1, 8) for n in range(4)}
    ds = cad.genotypes("c", purpose="research", region="chr1:1500-1500")
    assert ds.call_genotype.values.tolist() == [[[0, 1]] * 4] and sorted(ds.sample_id.values) == ["patient-0", "patient-1", "patient-2", "patient-3"]
    assert cad.check_cohort("c") == []


def test_who_withdraws_is_in_no_count_of_the_head_or_of_an_old_tag(either: CAD) -> None:
    either.withdraw("patient-2", "research")
    for at in (None, "v1"):
        ds = either.frequencies("c", purpose="research", at=at)
        assert ac(ds) == {1500: (3, 6), 1600: (1, 6), 1601: (1, 6), 1603: (1, 6)}
        assert "patient-2" not in either.genotypes("c", purpose="research", at=at).sample_id.values
    assert either.cohort_rows()[0]["people"] == 3 and either.check_cohort("c") == []


def test_a_withdrawal_holds_even_where_the_cohort_was_not_yet_changed(cad: CAD) -> None:
    from genomics_nb.store.consent import record_statement

    record_statement(cad.log, "patient-1", "research", False, dt.date.today(), "1")  # the statement alone
    ds = cad.frequencies("c", purpose="research")
    assert ac(ds)[1500] == (3, 6) and 1601 not in ac(ds) and ds.attrs["people"] == 3
    told = cad.genotypes("c", purpose="research").attrs
    assert told["hidden_people"] == 1 and "1 people are left out" in told["comment"] and "patient-1" not in str(told)


def test_who_was_removed_by_hand_is_still_in_the_tag(cad: CAD) -> None:
    cad.remove_from_cohort("c", ["patient-0"])
    assert ac(cad.frequencies("c", purpose="research"))[1500] == (3, 6)
    assert ac(cad.frequencies("c", purpose="research", at="v1"))[1500] == (4, 8)


def test_nobody_comes_in_without_consent_and_the_reason_is_said(cad: CAD, tmp_path: Path) -> None:
    cad.ingest(vcf(tmp_path / "N.vcf", "N", [1500]))
    done = cad.add_to_cohort("c", ["N"])
    assert not done.people and "no research consent" in done.left_out["N"]
    cad.grant("N", "care")
    assert not cad.add_to_cohort("c", ["N"]).people
    cad.grant("N", "research")
    assert list(cad.add_to_cohort("c").people) == ["N"]


def test_a_cohort_answers_its_own_purpose_alone(cad: CAD) -> None:
    for person in ("patient-0", "patient-1", "patient-2", "patient-3"):
        cad.grant(person, "care")
    with pytest.raises(ConsentError, match="built for research"):
        cad.genotypes("c", purpose="care")


def test_decisions_yes_and_no_are_in_the_log(cad: CAD) -> None:
    cad.genotypes("c", purpose="research")
    with pytest.raises(ConsentError):
        cad.frequencies("c", purpose="care")
    with cad.catalogue.read() as connection:
        rows = connection.execute(sa.select(decisions).where(decisions.c.subject_kind == "cohort").order_by(decisions.c.decision)).all()
    assert [bool(r.allowed) for r in rows][-2:] == [True, False] and json.loads(rows[-2].served)["persons"] == "4"
    assert cad.verify_audit() == []


def test_without_a_role_nothing_is_read_or_changed(either: CAD) -> None:
    from genomics_nb.store.audit import actor_of

    with either.catalogue.read() as connection:
        user = actor_of(connection)
    for role in ("researcher", "biologist", "clinician", "auditor"):
        either.revoke_role(user, role)
    with pytest.raises(RoleError):
        either.genotypes("c", purpose="research")
    either.grant_role(user, "researcher")
    either.revoke_role(user, "operator")
    assert either.genotypes("c", purpose="research").sizes["samples"] == 4
    for act in (lambda: either.add_to_cohort("c"), lambda: either.remove_from_cohort("c", ["patient-0"]), lambda: either.tag_cohort("c", "v2"),
                lambda: either.erase_from_cohort("c", "patient-0"), lambda: either.build_cohort("d", "GRCh38", "care"), lambda: either.compact_cohort("c")):
        with pytest.raises(RoleError):
            act()
    assert either.genotypes("c", purpose="research", at="v1").sizes["samples"] == 4 and [r["cohort"] for r in either.cohort_rows()] == ["c"]


def states(cad: CAD) -> dict[int, str]:
    with cad.catalogue.read() as connection:
        return {r.slot: r.state for r in connection.execute(sa.select(cohort_members).where(cohort_members.c.cohort == "c"))}


def inside(cad: CAD, name: str = "c") -> set[int]:
    return set(np.flatnonzero(open_cohort(cad, name).view()[0].info[:, STATE] == PRESENT).tolist())


def test_each_interruption_is_ended_by_the_next_command(either: CAD, tmp_path: Path) -> None:
    fill(either, tmp_path / "vcf", 2, 10)
    with either.catalogue.read() as connection:
        chosen, _ = choose(connection, cohort_row(connection, "c"), ["patient-10", "patient-11"])
    reserve(either, "c", chosen[:1], "all")  # killed before the arrays were written
    with either.catalogue.write() as connection:
        set_state(connection, "c", [1], "removed")  # killed before the arrays were changed
        person = connection.scalar(sa.select(cohort_members.c.person).where(cohort_members.c.cohort == "c", cohort_members.c.slot == 1))
    seen = ac(either.frequencies("c", purpose="research"))
    assert any("interrupted" in f.what for f in either.health()) and seen[1500] == (3, 6) and 1600 + int(person[-1]) not in seen
    done = either.add_to_cohort("c", ["patient-11"])
    assert len(done.told) == 2 and states(either) == {0: "in", 1: "removed", 2: "in", 3: "in", 4: "abandoned", 5: "in"}
    assert inside(either) == {0, 2, 3, 5} and not any("cohort" in f.what for f in either.health())
    with either.catalogue.write() as connection:
        set_state(connection, "c", [5], "adding")  # killed after the arrays, before the catalogue
    assert "patient-11" not in either.genotypes("c", purpose="research").sample_id.values
    assert either.add_to_cohort("c", ["patient-10"]).told and states(either)[5] == "in" and states(either)[6] == "in"


def test_an_older_copy_of_the_arrays_is_noticed_and_filled_up_again(cad: CAD, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(cad.path / "cohorts" / "c", copy)
    fill(cad, tmp_path / "vcf", 1, 20)
    cad.add_to_cohort("c")
    shutil.rmtree(cad.path / "cohorts" / "c")
    shutil.copytree(copy, cad.path / "cohorts" / "c")
    assert any("in the catalogue and not in the arrays" in f.what for f in cad.health())
    assert ac(cad.frequencies("c", purpose="research"))[1500] == (4, 8)
    done = cad.add_to_cohort("c")
    assert list(done.people) == ["patient-20"] and any("add them again" in t for t in done.told)
    assert ac(cad.frequencies("c", purpose="research"))[1500] == (5, 10)


def test_rows_that_the_catalogue_does_not_know_are_never_served(cad: CAD) -> None:
    with cad.catalogue.write() as connection:
        connection.execute(cohort_members.delete().where(cohort_members.c.cohort == "c", cohort_members.c.slot == 3))
    assert ac(cad.frequencies("c", purpose="research"))[1500] == (3, 6)
    assert any("belong to nobody" in f.what for f in cad.health())


def test_a_mistyped_name_acts_on_nobody(cad: CAD) -> None:
    for act, error in ((lambda: cad.add_to_cohort("c", ["patient-0", "nobody"]), NotFoundError), (lambda: cad.remove_from_cohort("c", ["patient-0", "nobody"]), NotFoundError),
                       (lambda: cad.tag_cohort("c", "v1"), ParameterError), (lambda: cad.tag_cohort("c", "../v"), ParameterError),
                       (lambda: cad.add_to_cohort("d"), NotFoundError), (lambda: cad.genotypes("c", purpose="research", at="v9"), NotFoundError),
                       (lambda: cad.genotypes("c", purpose="research", people=["patient-0", "nobody"]), NotFoundError),
                       (lambda: cad.erase_from_cohort("c", "nobody"), NotFoundError), (lambda: cad.build_cohort("c", "GRCh38", "care"), StoreError)):
        with pytest.raises(error):
            act()
    assert states(cad) == dict.fromkeys(range(4), "in")


def test_erasing_leaves_nothing_and_the_others_untouched(either: CAD, tmp_path: Path) -> None:
    signed, draft, panel = (either.path / p for p in ("runs/r1/K", "runs/r2/K", "panels/p/v1"))
    panel.mkdir(parents=True)
    (panel / "table.tsv").write_text("aggregate")
    before = {p: np.asarray(either.genotypes("c", purpose="research", people=[p]).call_genotype) for p in ("patient-0", "patient-3")}
    done = either.erase("patient-1")
    assert done["cohorts"]["c"]["tags"] == {"v1": "v1.r1"} and done["traces"] == () and len(done["removed"]) == 1
    for at in (None, "v1.r1"):
        assert ac(either.frequencies("c", purpose="research", at=at)) == {1500: (3, 6), 1600: (1, 6), 1602: (1, 6), 1603: (1, 6)}
    with pytest.raises(NotFoundError):
        either.genotypes("c", purpose="research", at="v1")
    for p, values in before.items():
        assert np.array_equal(np.asarray(either.genotypes("c", purpose="research", people=[p]).call_genotype), values)
    assert either.check_cohort("c") == [] and either.verify_audit() == [] and (panel / "table.tsv").read_text() == "aggregate"
    assert not signed.exists() and not draft.exists()
    with pytest.raises((NotFoundError, StoreError), match="erased"):
        either.ingest(tmp_path / "vcf" / "patient-1.vcf", callable_bed=tmp_path / "vcf" / "kit.bed")
    again = either.erase("patient-1")
    assert again["cohorts"] == {} and again["traces"] == ()
    assert "no analysis in use" in either.add_to_cohort("c", ["patient-1"]).left_out["patient-1"]
    with either.catalogue.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(events).where(events.c.kind == "cohort erase")) == 1


def test_names_of_people_stand_in_no_file_of_a_cohort(cad: CAD) -> None:
    from genomics_nb.store.scrub import decompressed

    for file in (cad.path / "cohorts" / "c").rglob("*"):
        if file.is_file():
            assert not any(name in decompressed(file) for name in (b"patient-0", b"patient-1", b"patient-2", b"patient-3") if file.parent.name in ("snapshots", "transactions"))


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


ADD = "import sys; from genomics_nb.store.cad import CAD; CAD.open(sys.argv[1]).add_to_cohort('c', sys.argv[2:])"


def test_eight_processes_adding_at_once_lose_nobody(either: CAD, tmp_path: Path) -> None:
    names = fill(either, tmp_path / "vcf", 8, 30)
    running = [child(ADD, str(either.path), name) for name in names]
    for process in running:
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error
    assert list(states(either).values()).count("in") == 12 and len(inside(either)) == 12
    assert ac(either.frequencies("c", purpose="research"))[1500] == (12, 24) and either.check_cohort("c") == [] and either.verify_audit() == []


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[CAD]:
    store = CAD.init(tmp_path / "store")
    fill(store, tmp_path / "vcf", 40)
    store.build_cohort("c", "GRCh38", "research")
    yield store


def test_killed_additions_are_whole_or_absent(embedded: CAD) -> None:
    draw = random.Random(11)
    for _ in range(10):
        process = child("import sys; from genomics_nb.store.cad import CAD; cad = CAD.open(sys.argv[1]); print('go', flush=True)\n"
                        "for n in range(40): cad.add_to_cohort('c', [f'patient-{n}'])", str(embedded.path))
        assert process.stdout is not None and process.stdout.readline() == "go\n"
        time.sleep(draw.uniform(0.05, 1.2))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        counted = ac(embedded.frequencies("c", purpose="research")).get(1500, (0, 0)) if "in" in states(embedded).values() else (0, 0)
        assert counted == (list(states(embedded).values()).count("in"), 2 * counted[0])
    embedded.add_to_cohort("c")
    assert sorted(r for r in states(embedded).values() if r == "in") == ["in"] * 40 and len(inside(embedded)) == 40
    assert ac(embedded.frequencies("c", purpose="research"))[1500] == (40, 80)
    assert embedded.check_cohort("c") == [] and embedded.verify_audit() == [] and not any("cohort" in f.what for f in embedded.health())


def test_a_killed_erasure_is_ended_by_the_next(embedded: CAD) -> None:
    embedded.add_to_cohort("c")
    for tag in ("v1", "v2"):
        embedded.tag_cohort("c", tag)
    draw = random.Random(5)
    for _ in range(6):
        process = child("import sys; from genomics_nb.store.cad import CAD; cad = CAD.open(sys.argv[1]); print('go', flush=True); cad.erase('patient-7')", str(embedded.path))
        assert process.stdout is not None and process.stdout.readline() == "go\n"
        time.sleep(draw.uniform(0.02, 1.0))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        with embedded.catalogue.read() as connection:
            state = connection.scalar(sa.select(cohort_members.c.state).where(cohort_members.c.person == "patient-7"))
        assert (1607 in ac(embedded.frequencies("c", purpose="research"))) == (state == "in")
    done = embedded.erase("patient-7")
    assert done["traces"] == () and embedded.check_cohort("c") == [] and embedded.verify_audit() == []
    tags = embedded.cohort_rows()[0]["tags"]
    assert len(tags) == 2 and not {"v1", "v2"} & set(tags)
    for at in (None, *tags):
        assert ac(embedded.frequencies("c", purpose="research", at=at))[1500] == (39, 78)


def test_a_database_that_goes_away_after_the_arrays_were_written_loses_nobody(postgresql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import genomics_nb.store.cohort as arrays

    cad = prepared(tmp_path / "store", tmp_path / "vcf", postgresql.new_database())
    fill(cad, tmp_path / "vcf", 1, 50)
    add = arrays.add

    def add_and_lose(*arguments):
        done = add(*arguments)
        postgresql.stop("immediate")
        return done

    monkeypatch.setattr(arrays, "add", add_and_lose)
    try:
        with pytest.raises(StoreError, match="does not answer"):
            cad.add_to_cohort("c", ["patient-50"])
    finally:
        postgresql.start()
    monkeypatch.undo()
    assert ac(cad.frequencies("c", purpose="research"))[1500] == (4, 8)  # in the arrays, and not yet served
    assert cad.add_to_cohort("c", ["patient-50"]).told and ac(cad.frequencies("c", purpose="research"))[1500] == (5, 10)
    assert cad.check_cohort("c") == [] and cad.verify_audit() == []
