"""The facade: deliveries come in once or not at all, and genotypes leave only through the gate."""

import datetime as dt
import grp
import multiprocessing
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
import xarray as xr

from genomics_nb.core.types import ConsentError, InputError, NotFoundError, ParameterError, StoreError
from genomics_nb.store import tables as tab
from genomics_nb.store.audit import actor_of
from genomics_nb.store.cad import CAD, cad_html, synthetic_store
from genomics_nb.store.registry import family_members
from genomics_nb.store.roles import ROLES, RoleError

HEADER = ("##fileformat=VCFv4.3\n##contig=<ID=chr1,length=248956422>\n##INFO=<ID=AC,Number=A,Type=Integer,Description=\"c\">\n"
          "##INFO=<ID=CSQ,Number=.,Type=String,Description=\"c\">\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"g\">\n"
          "##FORMAT=<ID=DP,Number=1,Type=Integer,Description=\"d\">\n")
ROWS = [("0/1", "0/1", "0/0"), ("0/0", "0/0", "0/1"), ("1/1", "./.", "0/1"), ("0/0", "0/1", "0/0")]
PED = "F1\tC\tD\tM\t2\t2\nF1\tD\t0\t0\t1\t1\nF1\tM\t0\t0\t2\t1\n"
CASE = {"case": "K1", "family": "F1", "proband": "C", "indication": "Surdité"}


def vcf_text(samples: list[str], rows: list[tuple[str, ...]] = ROWS, shift: int = 0, extra: str = "") -> str:
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples]
    head = HEADER + extra + "\t".join(columns) + "\n"
    lines = [["chr1", str(1000 + shift + 10 * i), ".", "A", "G", "50", "PASS", "AC=1;CSQ=x", "GT:DP", *(f"{g}:20" for g in gts)]
             for i, gts in enumerate(rows)]
    return head + "".join("\t".join(line) + "\n" for line in lines)


@pytest.fixture
def delivery(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "trio.vcf").write_text(vcf_text(["C", "D", "M"]))
    (tmp_path / "trio.ped").write_text(PED)
    return tmp_path / "trio.vcf", tmp_path / "trio.ped"


@pytest.fixture
def cad(tmp_path: Path, delivery: tuple[Path, Path]) -> CAD:
    """A research store with one trio and its case, nothing consented."""
    cad = CAD.init(tmp_path / "store")
    cad.ingest(delivery[0], ped=delivery[1])
    cad.add_case(CASE)
    return cad


def content(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def consent(cad: CAD, *people: str, purpose: str = "care") -> None:
    for person in people:
        cad.grant(person, purpose)


# --- the store -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [
    "plain", "with space", "q?x=1", "#hash", "%41", "été ☃", "quo'te\"", "-dash", "semi;colon", "a:b", "new\nline"])
def test_a_store_may_have_any_name(tmp_path: Path, name: str, delivery: tuple[Path, Path]) -> None:
    CAD.init(tmp_path / name / "CAD" / name)
    cad = CAD.open(tmp_path / name / "CAD" / name)
    cad.ingest(delivery[0], ped=delivery[1])
    cad.add_case(CASE)
    consent(cad, "C", "D", "M")
    assert cad.genotypes("K1")["call_genotype"].values.shape == (4, 3, 2)
    assert cad.health() == [] and content(tmp_path / name) == ["CAD"]


def test_a_vcf_may_have_any_name(cad: CAD, tmp_path: Path) -> None:
    for i, name in enumerate(["a b.vcf", "#?%.vcf", "-x.vcf", "été.vcf"]):
        (tmp_path / name).write_text(vcf_text(["C", "D", "M"], shift=i + 1))
        cad.ingest(tmp_path / name)
    assert len(cad.analyses()) == 5


def test_a_care_store_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        cad = CAD.init(tmp_path / "care", care=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE(cad.path.stat().st_mode) == 0o700
    modes = {p.name: oct(stat.S_IMODE(p.stat().st_mode)) for p in cad.path.iterdir() if p.is_file()}
    assert modes == dict.fromkeys(("audit.head", "audit.key", "audit.lock", "catalogue.sqlite", "store.json"), "0o600")
    assert cad.health() == []


@pytest.mark.parametrize(("damage", "words"), [
    (lambda p: p.chmod(0o750), "store folder"), (lambda p: (p / "audit.key").chmod(0o640), "audit.key"),
    (lambda p: (p / "catalogue.sqlite").chmod(0o644), "catalogue.sqlite")], ids=["folder", "key", "catalogue"])
def test_a_care_store_that_others_may_enter_is_a_finding(tmp_path: Path, damage: Callable[[Path], None], words: str) -> None:
    cad = CAD.init(tmp_path / "care", care=True)
    damage(cad.path)
    assert any(f.level == "error" and words in f.what and "chmod" in f.fix for f in cad.health())


def test_init_refuses_a_place_that_is_taken_and_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("full", "file"):
        with pytest.raises(StoreError, match="not empty"):
            CAD.init(tmp_path / name)
    (tmp_path / "empty").mkdir()
    CAD.init(tmp_path / "empty")
    assert content(tmp_path) == ["empty", "file", "full"] and content(tmp_path / "full") == ["mine"]


def test_init_with_a_password_in_the_url_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="password"):
        CAD.init(tmp_path / "s", catalogue_url="postgresql+psycopg://me:secret@host/db")
    assert content(tmp_path) == []


@pytest.mark.parametrize("damage", ["absent", "broken", "newer"])
def test_what_is_no_store_is_refused(tmp_path: Path, damage: str) -> None:
    cad = CAD.init(tmp_path / "s")
    text = {"broken": "{", "newer": (cad.path / "store.json").read_text().replace('"format": 1', '"format": 2')}
    if damage == "absent":
        (cad.path / "store.json").unlink()
    else:
        (cad.path / "store.json").write_text(text[damage])
    with pytest.raises(StoreError):
        CAD.open(cad.path)


def test_a_store_that_was_moved_still_serves(cad: CAD, tmp_path: Path) -> None:
    consent(cad, "C", "D", "M")
    shutil.move(cad.path, tmp_path / "elsewhere")
    moved = CAD.open(tmp_path / "elsewhere")
    assert moved.genotypes("K1").sizes["samples"] == 3 and moved.health() == []


# --- deliveries ------------------------------------------------------------------------------------------------------


def test_the_same_delivery_twice_is_one_analysis(cad: CAD, delivery: tuple[Path, Path]) -> None:
    again = cad.ingest(delivery[0])
    assert list(cad.analyses()["analysis"]) == [again.id]
    assert content(cad.analyses_folder) == [f"{again.id}.vcz"]


def refusals(tmp_path: Path) -> dict[str, dict[str, Path]]:
    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    good, ped = write("good.vcf", vcf_text(["C", "D", "M"], shift=1)), tmp_path / "trio.ped"
    return {
        "a label that the PED does not know": {"vcf": write("swap.vcf", vcf_text(["C", "D", "X"])), "ped": ped},
        "a PED that contradicts the catalogue": {"vcf": good, "ped": write("sex.ped", PED.replace("2\t1\n", "2\t2\n"))},
        "a PED that is none": {"vcf": good, "ped": write("bad.ped", "F1 C D\n")},
        "a PED that is not there": {"vcf": good, "ped": tmp_path / "none.ped"},
        "a file that is no VCF": {"vcf": write("no.vcf", "hello\n")},
        "an empty file": {"vcf": write("empty.vcf", "")},
        "a record with too few columns": {"vcf": write("short.vcf", vcf_text(["C", "D", "M"]) + "chr1\t9999\t.\tA\n")},
        "a genotype past the alleles": {"vcf": write("past.vcf", vcf_text(["C", "D", "M"], [("0/7", "0/0", "0/0")]))},
        "a manifest without a line": {"vcf": good, "manifest": write("m.tsv", "label\tperson\nC\tC\n")},
        "a build that the header contradicts": {"vcf": good, "build": "GRCh37"},
        "a build that does not exist": {"vcf": good, "build": "hg99"},
    }


@pytest.mark.parametrize("kind", [
    "a label that the PED does not know", "a PED that contradicts the catalogue", "a PED that is none", "a PED that is not there",
    "a file that is no VCF", "an empty file", "a record with too few columns", "a genotype past the alleles",
    "a manifest without a line", "a build that the header contradicts", "a build that does not exist"])
def test_a_refused_delivery_leaves_nothing_in_the_store(cad: CAD, tmp_path: Path, kind: str) -> None:
    before, rows = content(cad.analyses_folder), cad.analyses()
    with pytest.raises((InputError, NotFoundError)) as caught:
        cad.ingest(**refusals(tmp_path)[kind])
    assert "\n" not in str(caught.value)
    assert content(cad.analyses_folder) == before and len(cad.analyses()) == len(rows)
    with cad.catalogue.read() as connection:
        assert [m.id for m in family_members(connection, "F1")] == ["C", "D", "M"]
    assert cad.health() == []


def test_a_refusal_after_storing_takes_the_arrays_away(cad: CAD, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process changed the catalogue between the rehearsal and the registration."""
    from genomics_nb.store import ingest as module

    (tmp_path / "next.vcf").write_text(vcf_text(["C", "D", "M"], shift=1))
    before = content(cad.analyses_folder)
    store_first = module.ingest

    def slow(*args, **kwargs):
        done = store_first(*args, **kwargs)
        with cad.catalogue.write() as connection:  # what the other process did meanwhile
            connection.exec_driver_sql("UPDATE samples SET person = 'D' WHERE sample = 'C'")
        return done

    monkeypatch.setattr(module, "ingest", slow)
    with pytest.raises(InputError, match="another person"):
        cad.ingest(tmp_path / "next.vcf")
    assert content(cad.analyses_folder) == before


def test_a_crash_between_storing_and_registering_heals_at_the_next_call(cad: CAD, tmp_path: Path) -> None:
    from genomics_nb.store.deliveries import read_delivery
    from genomics_nb.store.ingest import ingest

    (tmp_path / "next.vcf").write_text(vcf_text(["C", "D", "M"], shift=1))
    delivery = read_delivery(tmp_path / "next.vcf", None, None, None, None, False)
    stored = ingest(tmp_path / "next.vcf", cad.analyses_folder, build=delivery.build)  # and then the power went
    assert [f.level for f in cad.health()] == ["warning"] and "not registered" in cad.health()[0].what
    assert stored.id not in set(cad.analyses()["analysis"])
    healed = cad.ingest(tmp_path / "next.vcf")
    assert healed.id == stored.id and not healed.created
    assert stored.id in set(cad.analyses()["analysis"]) and cad.health() == []


def ingest_some(store: str, folder: str, worker: int) -> None:
    cad = CAD.open(store)
    for i in range(2):
        cad.ingest(Path(folder) / f"{worker}-{i}.vcf", ped=Path(folder) / f"{worker}-{i}.ped")
        cad.ingest(Path(folder) / "shared.vcf")


def test_processes_that_ingest_at_once_lose_nothing(cad: CAD, tmp_path: Path) -> None:
    (tmp_path / "shared.vcf").write_text(vcf_text(["C", "D", "M"], shift=5))
    for worker in range(8):
        for i in range(2):
            family = f"W{worker}I{i}"
            people = [f"{family}-{x}" for x in "CDM"]
            (tmp_path / f"{worker}-{i}.vcf").write_text(vcf_text(people, shift=100 * worker + i))
            (tmp_path / f"{worker}-{i}.ped").write_text(
                f"{family}\t{people[0]}\t{people[1]}\t{people[2]}\t2\t2\n"
                f"{family}\t{people[1]}\t0\t0\t1\t0\n{family}\t{people[2]}\t0\t0\t2\t0\n")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["genomics_nb.store.cad", "hypothesis", "pytest"])
    with ProcessPoolExecutor(8, mp_context=context) as pool:
        list(pool.map(ingest_some, [str(cad.path)] * 8, [str(tmp_path)] * 8, range(8)))
    assert len(cad.analyses()) == 1 + 1 + 16
    assert sorted(f"{a}.vcz" for a in cad.analyses()["analysis"]) == content(cad.analyses_folder)
    with cad.catalogue.read() as connection:
        assert all(len(family_members(connection, f"W{w}I{i}")) == 3 for w in range(8) for i in range(2))
    assert cad.health() == []


def test_an_ingest_killed_at_any_moment_leaves_the_store_well(cad: CAD, tmp_path: Path) -> None:
    rows = [("0/1", "0/0", "0/1")] * 3000
    code = ("import sys; from genomics_nb.store.cad import CAD; cad = CAD.open(sys.argv[1]); print('ready', flush=True)\n"
            "for path in sys.argv[2:]: cad.ingest(path)")
    for turn, delay in enumerate((0.01, 0.1, 0.4)):
        files = [tmp_path / f"k{turn}-{i}.vcf" for i in range(20)]
        for i, file in enumerate(files):
            file.write_text(vcf_text(["C", "D", "M"], rows, shift=20 * turn + i))
        command = [sys.executable, "-c", code, str(cad.path), *map(str, files)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        assert all(f.level == "warning" for f in cad.health())
        for file in files:
            cad.ingest(file)
        assert cad.health() == []
        assert len(cad.analyses()) == 1 + 20 * (turn + 1)


# --- care: labels are not pseudonyms ---------------------------------------------------------------------------------

NAMES = ["DUPONT_JEAN", "DUPONT_PAUL", "DUPONT_MARIE"]
MANIFEST = "label\tperson\tfamily\nDUPONT_JEAN\tC\tF1\nDUPONT_PAUL\tD\tF1\nDUPONT_MARIE\tM\tF1\n"


@pytest.fixture
def care(tmp_path: Path) -> CAD:
    extra = "##SAMPLE=<ID=DUPONT_JEAN>\n##callCommand=call -s DUPONT_JEAN,DUPONT_PAUL\n"
    (tmp_path / "named.vcf").write_text(vcf_text(NAMES, extra=extra))
    (tmp_path / "named.ped").write_text("DUPONT\tDUPONT_JEAN\tDUPONT_PAUL\tDUPONT_MARIE\t2\t2\nDUPONT\tDUPONT_PAUL\t0\t0\t1\t1\n"
                                        "DUPONT\tDUPONT_MARIE\t0\t0\t2\t1\n")
    (tmp_path / "manifest.tsv").write_text(MANIFEST)
    return CAD.init(tmp_path / "care", care=True)


def test_a_care_store_keeps_no_label_anywhere(care: CAD, tmp_path: Path) -> None:
    care.ingest(tmp_path / "named.vcf", ped=tmp_path / "named.ped", manifest=tmp_path / "manifest.tsv")
    care.add_case(CASE)
    consent(care, "C", "D", "M")
    ds = care.genotypes("K1")
    assert list(ds.sample_id.values) == ["C", "D", "M"]
    assert ds["call_genotype"].values[0].tolist() == [[0, 1], [0, 1], [0, 0]]
    assert "DUPONT" not in str(ds.attrs) + cad_html(care) + str(care.case("K1"))
    for path in care.path.rglob("*"):
        assert b"DUPONT" not in path.name.encode() and (path.is_dir() or b"DUPONT" not in path.read_bytes()), path.name
    for name in ("sample_id", "contig_id", "filter_id"):
        assert "DUPONT" not in str(ds[name].values)


@pytest.mark.parametrize(("manifest", "words"), [
    (None, "--manifest"), ("label\tperson\nDUPONT_JEAN\tC\nDUPONT_PAUL\tD\n", "column 12"),
    ("label\tperson\nDUPONT_JEAN\tC\nDUPONT_PAUL\tC\nDUPONT_MARIE\tM\n", "columns 10 and 11"),
    ("label\tperson\nDUPONT_JEAN\t\n", "line 2"), ("name\tperson\nDUPONT_JEAN\tC\n", "line 1"),
    ("label\tperson\nDUPONT_JEAN\t2 69 05 49 588 157 80\n", "line 2"),
    ("label\tperson\nDUPONT_JEAN\tC\textra\n", "line 2")])
def test_a_care_store_refuses_labels_without_pseudonyms_and_repeats_no_name(
        care: CAD, tmp_path: Path, manifest: str | None, words: str) -> None:
    if manifest is not None:
        (tmp_path / "manifest.tsv").write_text(manifest)
    with pytest.raises(InputError, match=words) as caught:
        care.ingest(tmp_path / "named.vcf", manifest=tmp_path / "manifest.tsv" if manifest is not None else None)
    assert "DUPONT" not in str(caught.value) and content(care.analyses_folder) == []


def test_a_care_store_learns_no_family_name_from_a_ped(care: CAD, tmp_path: Path) -> None:
    (tmp_path / "manifest.tsv").write_text(MANIFEST.replace("\tfamily", "").replace("\tF1", ""))
    with pytest.raises(InputError, match="family") as caught:
        care.ingest(tmp_path / "named.vcf", ped=tmp_path / "named.ped", manifest=tmp_path / "manifest.tsv")
    assert "DUPONT" not in str(caught.value) and content(care.analyses_folder) == []


@pytest.mark.parametrize("broken", [
    vcf_text(NAMES, [("0/1", "0/9", "0/0")]), vcf_text(["DUPONT_JEAN", "DUPONT_JEAN", "DUPONT_MARIE"])], ids=["record", "header"])
def test_an_error_of_the_reader_names_columns_in_a_care_store(care: CAD, tmp_path: Path, broken: str) -> None:
    (tmp_path / "named.vcf").write_text(broken)
    with pytest.raises(InputError) as caught:
        care.ingest(tmp_path / "named.vcf", manifest=tmp_path / "manifest.tsv")
    assert "DUPONT" not in str(caught.value)


# --- the gate --------------------------------------------------------------------------------------------------------


def test_without_the_probands_consent_nothing_is_served_and_the_no_is_logged(cad: CAD) -> None:
    consent(cad, "D", "M")
    before = cad.audit_head().length
    with pytest.raises(ConsentError, match="no care consent is recorded"):
        cad.genotypes("K1")
    assert cad.audit_head().length == before + 1 and cad.verify_audit() == []


def test_consent_to_one_purpose_opens_no_other(cad: CAD) -> None:
    consent(cad, "C", "D", "M")
    assert cad.genotypes("K1", purpose="care").sizes["samples"] == 3
    for purpose in ("research", "quality", "training"):
        with pytest.raises(ConsentError):
            cad.genotypes("K1", purpose=purpose)


def test_served_genotypes_are_the_stored_ones_proband_first(cad: CAD, tmp_path: Path) -> None:
    (tmp_path / "turned.vcf").write_text(vcf_text(["M", "C", "D"], [(m, c, d) for c, d, m in ROWS], shift=1))
    consent(cad, "C", "D", "M")
    first = cad.genotypes("K1")
    cad.ingest(tmp_path / "turned.vcf")
    turned = cad.genotypes("K1")
    assert first.attrs["analysis"] != turned.attrs["analysis"]
    for ds in (first, turned):
        assert list(ds.sample_id.values) == ["C", "D", "M"]
        assert ds["call_genotype"].values[2].tolist() == [[1, 1], [-1, -1], [0, 1]]
        assert ds["call_DP"].values.shape == (4, 3) and "variant_AC" in ds


def test_served_genotypes_are_lazy_and_carry_their_papers(cad: CAD) -> None:
    consent(cad, "C", "D", "M")
    ds = cad.genotypes("K1")
    assert ds["call_genotype"].chunks is not None
    assert ds.attrs["audit_head"] == str(cad.audit_head()) and ds.attrs["purpose"] == "care"
    assert set(ds.attrs["consent_reasons"]) == {"C", "D", "M"} and ds.attrs["left_out"] == {} and ds.attrs["not_sequenced"] == []
    assert ds.attrs["analysis"] == cad.analyses()["analysis"][0] and isinstance(ds.attrs["decision"], int)


def test_a_relative_without_consent_is_left_out_said_and_not_betrayed(cad: CAD) -> None:
    consent(cad, "C", "M")
    ds = cad.genotypes("K1")
    assert list(ds.sample_id.values) == ["C", "M"] and set(ds.attrs["left_out"]) == {"D"}
    assert ds.variant_position.values.tolist() == [1000, 1010, 1020]  # at 1030 nobody but the father carries it
    assert ds.attrs["withheld_rows"] == 1 and ds.attrs["withheld_fields"] == ["variant_AC"] and "variant_CSQ" in ds
    assert "D" not in [str(s) for s in ds.sample_id.values]


def test_a_withdrawal_works_at_once_and_a_new_consent_too(cad: CAD) -> None:
    consent(cad, "C", "D", "M")
    cad.withdraw("D", "care")
    assert list(cad.genotypes("K1").sample_id.values) == ["C", "M"]
    cad.grant("D", "care")
    assert cad.genotypes("K1").sizes["samples"] == 3
    cad.withdraw("C", "care")
    with pytest.raises(ConsentError, match="withdrawn"):
        cad.genotypes("K1")


def test_a_stranger_in_the_same_file_is_never_served(tmp_path: Path) -> None:
    cad = CAD.init(tmp_path / "s")
    rows = [("1/1", "0/1", "0/0", "0/0"), ("0/1", "0/0", "0/0", "0/1")]
    (tmp_path / "joint.vcf").write_text(vcf_text(["N1", "C", "N2", "M"], rows, extra="##jointCommand=-s N1,C,N2,M\n"))
    cad.ingest(tmp_path / "joint.vcf")
    cad.add_case({**CASE, "members": [{"person": "C", "mother": "M", "father": "D"}, {"person": "M", "sex": "female"}]})
    consent(cad, "C", "M", "N1", "N2")
    ds = cad.genotypes("K1")
    assert list(ds.sample_id.values) == ["C", "M"] and ds["call_genotype"].values[:, :, 1].tolist() == [[1, 0], [0, 1]]
    assert ds.attrs["not_sequenced"] == ["D"] and "variant_AC" not in ds and "N1" not in str(ds.attrs)


def test_cases_and_purposes_that_do_not_exist_are_errors(cad: CAD) -> None:
    with pytest.raises(NotFoundError, match="no case"):
        cad.genotypes("K9")
    with pytest.raises(Exception, match="unknown purpose"):
        cad.genotypes("K1", purpose="curiosity")
    with pytest.raises(NotFoundError, match="no person"):
        cad.grant("X", "care")


def test_a_form_dated_tomorrow_is_refused(cad: CAD) -> None:
    with pytest.raises(ConsentError, match="future"):
        cad.withdraw("C", "care", date=dt.date.today() + dt.timedelta(days=1))


def test_the_gate_takes_no_user_as_a_parameter() -> None:
    import inspect

    assert list(inspect.signature(CAD.genotypes).parameters) == ["self", "case", "purpose", "intent", "of_a_cohort"]


def test_arrays_that_are_gone_are_an_error_and_a_finding(cad: CAD) -> None:
    consent(cad, "C", "D", "M")
    shutil.rmtree(cad.analyses_folder / content(cad.analyses_folder)[0])
    with pytest.raises(StoreError):
        cad.genotypes("K1")
    assert any("are gone" in f.what for f in cad.health())


# --- roles, uses, minors, quarantine ----------------------------------------------------------------------------------


def last_decision(cad: CAD) -> sa.Row:
    with cad.catalogue.read() as connection:
        return connection.execute(sa.select(tab.decisions).order_by(tab.decisions.c.decision.desc()).limit(1)).one()


def me(cad: CAD) -> str:
    with cad.catalogue.read() as connection:
        return actor_of(connection)


def test_who_makes_a_store_holds_every_role_and_the_log_says_so(cad: CAD) -> None:
    assert cad.role_rows() == [{"user": me(cad), "roles": sorted(ROLES)}] and cad.verify_audit() == []


@pytest.mark.parametrize(("purpose", "needed"), [
    ("care", ("clinician", "biologist")), ("research", ("researcher",)), ("quality", ("biologist", "operator")),
    ("training", ("clinician", "biologist", "researcher"))])
def test_consent_without_a_role_opens_nothing_and_the_no_names_the_role(cad: CAD, purpose: str, needed: tuple[str, ...]) -> None:
    consent(cad, "C", "D", "M", purpose=purpose)
    for role in needed:
        assert cad.genotypes("K1", purpose=purpose).sizes["samples"] == 3
        cad.revoke_role(me(cad), role)
    before = cad.audit_head().length
    with pytest.raises(RoleError, match=" or ".join(needed)):
        cad.genotypes("K1", purpose=purpose)
    row = last_decision(cad)
    assert cad.audit_head().length == before + 1 and (row.subject, row.purpose, row.allowed) == ("K1", purpose, False)


@pytest.mark.parametrize(("act", "role"), [
    (lambda cad, vcf: cad.ingest(vcf), "operator"), (lambda cad, vcf: cad.grant("C", "care"), "record consent"),
    (lambda cad, vcf: cad.withdraw("C", "care"), "record consent"), (lambda cad, vcf: cad.verify_audit(), "auditor"),
    (lambda cad, vcf: cad.add_case({**CASE, "case": "K7"}), "add case"), (lambda cad, vcf: cad.phenopacket("K1"), "export"),
    (lambda cad, vcf: cad.grant_role("root", "clinician"), "grant roles"), (lambda cad, vcf: cad.minor("C", None), "record consent"),
    (lambda cad, vcf: cad.guardian("C", "M", "mother"), "record consent")])
def test_every_act_asks_for_a_role_and_a_refused_one_changes_nothing(
        cad: CAD, delivery: tuple[Path, Path], act: Callable[[CAD, Path], object], role: str) -> None:
    user = me(cad)
    cad.grant_role("root" if user != "root" else "daemon", "operator")  # somebody else goes on
    for held in ROLES:
        if held != "operator":
            cad.revoke_role(user, held)
    cad.revoke_role(user, "operator")
    with cad.catalogue.read() as connection:
        rows = {t: connection.scalar(sa.select(sa.func.count()).select_from(t)) for t in (tab.consents, tab.cases, tab.roles, tab.events)}
    with pytest.raises(RoleError, match=role):
        act(cad, delivery[0])
    with cad.catalogue.read() as connection:
        assert rows == {t: connection.scalar(sa.select(sa.func.count()).select_from(t)) for t in rows}
    assert not last_decision(cad).allowed and last_decision(cad).actor == user


def test_a_store_without_roles_is_a_finding_that_its_owner_can_mend(cad: CAD) -> None:
    user = me(cad)
    for role in ROLES[::-1]:
        if role != "operator":
            cad.revoke_role(user, role)
    cad.revoke_role(user, "operator")
    assert ["nobody holds a role"] == [f.what for f in cad.health()]
    cad.grant_role(user, "operator")
    assert [f.what for f in cad.health()] == ["nobody may verify the audit log"] or cad.health() == []


def test_a_limited_consent_serves_the_research_that_it_covers(cad: CAD) -> None:
    cad.grant("C", "research", uses=["DS=MONDO:0005148", "NPU"])
    cad.grant("M", "research")
    cad.grant("D", "research", uses=["POA"])
    with pytest.raises(ConsentError, match="intended use was not said"):
        cad.genotypes("K1", purpose="research")
    with pytest.raises(ConsentError, match="NPU"):
        cad.genotypes("K1", purpose="research", intent="DS=MONDO:0005148")
    ds = cad.genotypes("K1", purpose="research", intent=["DS=MONDO:0005148", "NPU"])
    assert list(ds.sample_id.values) == ["C", "M"] and "does not cover" in ds.attrs["left_out"]["D"]
    with pytest.raises(ParameterError, match="belongs to research"):
        cad.genotypes("K1", purpose="care", intent="HMB")
    with pytest.raises(ParameterError, match="unknown use"):
        cad.genotypes("K1", purpose="research", intent="diabetes")


def test_a_minor_is_served_by_the_word_of_a_guardian_and_their_own_no_stops_research(cad: CAD) -> None:
    cad.minor("C", dt.date.today() + dt.timedelta(days=400))
    with pytest.raises(ConsentError, match="agreement, not a consent"):
        cad.grant("C", "care")
    cad.guardian("C", "M", "mother", since=dt.date(2020, 1, 1))
    for purpose in ("care", "research"):
        cad.grant("C", purpose, guardian="M", minor_agreed=False)
    assert list(cad.genotypes("K1", purpose="care").sample_id.values) == ["C"]
    with pytest.raises(ConsentError, match="minor did not agree"):
        cad.genotypes("K1", purpose="research")
    with cad.catalogue.write() as connection:  # a year of life later: the forms are older than the majority
        connection.exec_driver_sql("DROP TRIGGER consents_no_update")
        connection.execute(tab.consents.update().values(date=dt.date(2024, 1, 1)))
    cad.minor("C", dt.date.today() - dt.timedelta(days=30))
    assert "to be confirmed" in cad.genotypes("K1", purpose="care").attrs["consent_reasons"]["C"]
    cad.minor("C", dt.date.today() - dt.timedelta(days=400))
    with pytest.raises(ConsentError, match="lapsed at majority"):
        cad.genotypes("K1", purpose="care")


def test_who_wants_incidental_findings_travels_with_the_genotypes(cad: CAD) -> None:
    consent(cad, "C", "D", "M")
    cad.grant("M", "incidental_findings")
    cad.grant("D", "incidental_findings")
    cad.withdraw("D", "incidental_findings")
    assert cad.genotypes("K1").attrs["incidental_findings"] == ["M"]


def test_an_analysis_in_quarantine_is_refused_and_the_refusal_logged(cad: CAD) -> None:
    consent(cad, "C", "D", "M")
    with cad.catalogue.write() as connection:
        connection.execute(tab.analyses.update().values(state="quarantined"))
    with pytest.raises(StoreError, match="in quarantine"):
        cad.genotypes("K1")
    assert not last_decision(cad).allowed and "quarantine" in last_decision(cad).reason and cad.verify_audit() == []


def test_a_backdated_withdrawal_names_what_was_read_meanwhile(cad: CAD) -> None:
    today = dt.date.today()
    cad.grant("C", "care", date=today - dt.timedelta(days=30))
    read = cad.genotypes("K1").attrs["decision"]
    said = cad.withdraw("C", "care", date=today - dt.timedelta(days=10))
    with pytest.raises(ConsentError, match="withdrawn"):
        cad.genotypes("K1")
    assert cad.reads_since("C", "care", said.date) == [read]
    assert cad.reads_since("D", "care", said.date) == [] and cad.reads_since("C", "research", said.date) == []


def test_the_whole_way_on_postgresql(postgresql, tmp_path: Path, delivery: tuple[Path, Path]) -> None:
    cad = CAD.init(tmp_path / "pg", catalogue_url=postgresql.new_database())
    cad.ingest(delivery[0], ped=delivery[1])
    cad.add_case(CASE)
    consent(cad, "C", "M")
    cad.grant("C", "research", uses=["HMB"])
    assert list(cad.genotypes("K1").sample_id.values) == ["C", "M"]
    assert list(cad.genotypes("K1", purpose="research", intent="HMB").sample_id.values) == ["C"]
    cad.withdraw("C", "care")
    with pytest.raises(ConsentError):
        cad.genotypes("K1")
    assert me(cad) == "genomics" and cad.role_rows()[0]["user"] == "genomics" and last_decision(cad).actor == "genomics"
    assert cad.verify_audit() == [] and cad.health() == [] and "K1" in cad_html(cad)


# --- a store that a group shares --------------------------------------------------------------------------------------


@pytest.fixture
def team() -> str:
    return grp.getgrgid(os.getgid()).gr_name


def test_a_shared_store_is_open_to_the_group_and_to_nobody_else(tmp_path: Path, delivery: tuple[Path, Path], team: str) -> None:
    before = os.umask(0o077)
    try:
        cad = CAD.init(tmp_path / "team", care=False, group=team)
        cad.ingest(delivery[0], ped=delivery[1])
        cad.add_case(CASE)
        consent(cad, "C", "D", "M")
        cad.genotypes("K1")
        cad.build_cohort("learn", "GRCh38", "care")
    finally:
        os.umask(before)
    modes = {p.relative_to(cad.path).as_posix(): stat.S_IMODE(p.stat().st_mode) for p in cad.path.rglob("*") if "runs" not in p.parts}
    assert modes["audit.key"] == 0o640 and stat.S_IMODE(cad.path.stat().st_mode) == 0o2770
    for name, mode in modes.items():
        assert mode & 0o007 == 0, name
        if name != "audit.key":
            assert mode & 0o060 == 0o060, name
    assert cad.health() == [] and CAD.open(cad.path).group == team


@pytest.mark.parametrize(("name", "mode", "level", "words"), [
    ("", 0o2775, "error", "store folder"), ("audit.key", 0o644, "error", "audit.key"), ("catalogue.sqlite", 0o600, "warning", "not open"),
    ("analyses", 0o2750, "warning", "not open"), ("cohorts", 0o770, "warning", "not open"), ("store.json", 0o666, "error", "store.json")])
def test_the_doctor_sees_what_a_shared_store_should_not_be(tmp_path: Path, team: str, name: str, mode: int, level: str, words: str) -> None:
    cad = CAD.init(tmp_path / "team", care=True, group=team)
    assert cad.health() == []
    (cad.path / name).chmod(mode)
    assert any(f.level == level and words in f.what and "chmod" in f.fix for f in cad.health())


def test_a_group_that_does_not_exist_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no Unix group"):
        CAD.init(tmp_path / "s", group="no-group-of-that-name")
    assert content(tmp_path) == []


AS_ANOTHER = """
import os, sys
from genomics_nb.store.audit import asking_user
from genomics_nb.store.cad import CAD
CAD.open(sys.argv[1]).genotypes("K1")  # everything is imported now: the other user may not be able to read this Python
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[3]))
try:
    CAD.open(sys.argv[1]).genotypes("K1")
except Exception as error:
    print(type(error).__name__, asking_user())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_member_of_the_group_comes_in_under_their_own_name(tmp_path: Path, delivery: tuple[Path, Path]) -> None:
    member = pwd.getpwnam("daemon")
    team = grp.getgrgid(member.pw_gid).gr_name
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.name.startswith(("pytest-", "popen-")):  # the folders of this session
            parent.chmod(0o755)
    cad = CAD.init(tmp_path / "team", group=team)
    cad.ingest(delivery[0], ped=delivery[1])
    cad.add_case(CASE)
    consent(cad, "C", "D", "M")
    command = [sys.executable, "-c", AS_ANOTHER, str(cad.path), str(member.pw_gid), str(member.pw_uid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["RoleError", "daemon"], done.stderr[-2000:]
    assert last_decision(cad).actor == "daemon" and not last_decision(cad).allowed
    cad.grant_role("daemon", "clinician")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "", done.stderr[-2000:]
    assert last_decision(cad).actor == "daemon" and last_decision(cad).allowed
    assert cad.verify_audit() == [] and cad.health() == []
    cad.genotypes("K1")


# --- what it looks like ----------------------------------------------------------------------------------------------


def test_displays_escape_what_they_show(cad: CAD) -> None:
    cad.add_case({**CASE, "case": "K2", "indication": "<script>alert(1)</script>"})
    assert "<script>" not in cad_html(cad) + cad.case("K2")._repr_html_()
    assert "K1" in cad_html(cad) and "<svg" in cad.case("K1")._repr_html_()


def test_the_display_shows_cases_consents_cohorts_quarantine_and_health(cad: CAD) -> None:
    consent(cad, "C", "D", "M")
    cad.build_cohort("learn", "GRCh38", "care")
    with cad.catalogue.write() as connection:
        connection.execute(tab.deliveries.insert().values(
            delivery="D-1", received=tab.utc_now(), received_by="u", platform="<b>lab</b>", file_hash="0", state="quarantined", findings="[]"))
    (cad.path / "audit.key").chmod(0o644)
    page = cad_html(cad)
    for words in ("Cases", "K1", "Consents today", "incidental_findings", "Cohorts", "learn", "in quarantine", "D-1", "Analyses", "chmod"):
        assert words in page, words
    (analysis,) = cad.analyses()["analysis"]
    assert f"href='#analysis-{analysis}'" in page and f"id='analysis-{analysis}'" in page and "<b>lab</b>" not in page


def test_the_table_of_cases_links_persons_and_analyses(cad: CAD) -> None:
    row = cad.cases().iloc[0]
    assert row["persons"] == ["C", "D", "M"] and row["analyses"] == list(cad.analyses()["analysis"])


def test_a_served_dataset_explains_itself(cad: CAD) -> None:
    consent(cad, "C", "M")
    ds = cad.genotypes("K1")
    said = ds.attrs["comment"]
    for words in ("case K1", "for care", "2 people", "Left out: D: no care consent is recorded", "Withheld variants: 1",
                  "variant_AC", f"Decision {ds.attrs['decision']}"):
        assert words in said, words
    assert "comment" in repr(ds) and "\n" not in said


def test_the_synthetic_store_can_be_made_twice(tmp_path: Path) -> None:
    first = synthetic_store(tmp_path / "s")
    length = first.audit_head().length
    again = synthetic_store(tmp_path / "s")
    assert len(again.analyses()) == 1 and len(again.cases()) == 1 and again.audit_head().length == length
    ds = again.genotypes(again.cases()["case"][0], purpose="training")
    assert isinstance(ds, xr.Dataset) and np.unique(ds.sample_id.values).size == ds.sizes["samples"]
