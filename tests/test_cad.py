"""The facade: deliveries come in once or not at all, and genotypes leave only through the gate."""

import multiprocessing
import os
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
import xarray as xr

from genomics_nb.core.types import ConsentError, InputError, NotFoundError, StoreError
from genomics_nb.store.cad import CAD, cad_html, synthetic_store
from genomics_nb.store.registry import family_members

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
    import datetime as dt

    with pytest.raises(ConsentError, match="future"):
        cad.withdraw("C", "care", date=dt.date.today() + dt.timedelta(days=1))


def test_the_gate_takes_no_user_as_a_parameter() -> None:
    import inspect

    assert list(inspect.signature(CAD.genotypes).parameters) == ["self", "case", "purpose", "intent"]


def test_arrays_that_are_gone_are_an_error_and_a_finding(cad: CAD) -> None:
    consent(cad, "C", "D", "M")
    shutil.rmtree(cad.analyses_folder / content(cad.analyses_folder)[0])
    with pytest.raises(StoreError):
        cad.genotypes("K1")
    assert any("are gone" in f.what for f in cad.health())


# --- what it looks like ----------------------------------------------------------------------------------------------


def test_displays_escape_what_they_show(cad: CAD) -> None:
    cad.add_case({**CASE, "case": "K2", "indication": "<script>alert(1)</script>"})
    assert "<script>" not in cad_html(cad) + cad.case("K2")._repr_html_()
    assert "K1" in cad_html(cad) and "<svg" in cad.case("K1")._repr_html_()


def test_the_synthetic_store_can_be_made_twice(tmp_path: Path) -> None:
    first = synthetic_store(tmp_path / "s")
    length = first.audit_head().length
    again = synthetic_store(tmp_path / "s")
    assert len(again.analyses()) == 1 and len(again.cases()) == 1 and again.audit_head().length == length
    ds = again.genotypes(again.cases()["case"][0], purpose="training")
    assert isinstance(ds, xr.Dataset) and np.unique(ds.sample_id.values).size == ds.sizes["samples"]
