"""The door: what a platform delivers is what it says, or it stops with the reason."""

import gzip
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from genomics_nb.core.types import ConsentError, GenomicsError, InputError, NotFoundError, ParameterError, StoreError
from genomics_nb.delivery import cli
from genomics_nb.delivery.door import check_files, open_parcel, read_checksums, read_folder
from genomics_nb.delivery.intake import Outcome, deliver
from genomics_nb.store.cad import CAD
from genomics_nb.store.deliveries import decide_delivery, get_receipt, receipts
from genomics_nb.store.fingerprint import Area
from genomics_nb.store.registry import ErasedError, get_analyses

PED = "ash\tHG002\tHG003\tHG004\t1\t2\nash\tHG003\t0\t0\t1\t0\nash\tHG004\t0\t0\t2\t0\n"
SMALL = ("##fileformat=VCFv4.3\n##contig=<ID=chr1,length=248956422>\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"g\">\n"
         "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}\nchr1\t100\t.\tA\tG\t.\tPASS\t.\tGT\t{calls}\n")


@pytest.fixture(scope="session")
def trio(shared_data: Path) -> str:
    """Text of the GIAB trio: HG002 the son, HG003 the father, HG004 the mother; exomes of chromosomes 1 and 2."""
    with gzip.open(shared_data / "trio" / "ashk-trio.vcf.gz", "rt") as file:
        return file.read()


def renamed(text: str, *names: str) -> str:
    return text.replace("FORMAT\tHG002\tHG003\tHG004\n", "FORMAT\t" + "\t".join(names) + "\n")


def columns(text: str, chosen: dict[str, int]) -> str:
    """A file with some samples, by name: which of the three genomes each is."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("##"):
            fields = line.split("\t")
            kept = list(chosen) if line.startswith("#") else [fields[9 + i] for i in chosen.values()]
            line = "\t".join([*fields[:9], *kept])
        lines.append(line)
    return "\n".join(lines) + "\n"


@pytest.fixture
def cad(tmp_path: Path) -> CAD:
    return CAD.init(tmp_path / "store")


def given(folder: Path, text: str, ped: str | None = PED, **files: str) -> Path:
    """A folder of a delivery."""
    folder.mkdir(parents=True)
    (folder / "family.vcf").write_text(text)
    if ped is not None:
        (folder / "family.ped").write_text(ped)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def taken(cad: CAD, folder: Path, **options) -> Outcome:
    (outcome,) = deliver(cad, open_parcel([folder]), **options)
    return outcome


def said(outcome: Outcome, verdict: str = "failed") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for check in outcome.receipt.checks:
        if check.verdict == verdict:
            found.setdefault(check.check, []).append(check.reason)
    return found


def state_of(cad: CAD, outcome: Outcome) -> tuple[str, str]:
    with cad.catalogue.read() as connection:
        (row,) = get_analyses(connection, outcome.analysis.id)
    return get_receipt(cad, outcome.receipt.delivery).state, row.state


# --- the real trio -------------------------------------------------------------------------------------------------------


def test_the_true_trio_is_accepted_with_numbers(cad: CAD, trio: str, tmp_path: Path) -> None:
    done = taken(cad, given(tmp_path / "d", trio), build="GRCh37", platform="GIAB")
    assert done.receipt.state == "accepted" and state_of(cad, done) == ("accepted", "in use")
    assert said(done) == {}
    kin = said(done, "passed")["relatives"]
    assert len(kin) == 3 and "HG002 and HG003" in kin[0] and "parent-child" in kin[0] and "kinship 0.2" in kin[0]
    assert "no duplicate" in said(done, "passed")["duplicates"][0]
    assert "no list of checksums" in said(done, "not assessed")["files"][0]
    assert cad.verify_audit() == []


@pytest.mark.parametrize(("names", "pairs"), [
    (("HG003", "HG002", "HG004"), {"less related": "HG002 and HG004", "more related": "HG003 and HG004"}),  # father and child
    (("HG004", "HG003", "HG002"), {"less related": "HG002 and HG003", "more related": "HG003 and HG004"}),  # mother and child
])
def test_two_swapped_labels_stop_with_the_pairs_that_do_not_fit(
        cad: CAD, trio: str, tmp_path: Path, names: tuple[str, ...], pairs: dict[str, str]) -> None:
    done = taken(cad, given(tmp_path / "d", renamed(trio, *names)), build="GRCh37")
    assert done.receipt.state == "quarantined" and state_of(cad, done) == ("quarantined", "quarantined")
    for how, who in pairs.items():
        assert any(who in reason and how in reason and "kinship" in reason for reason in said(done)["relatives"])


def test_a_swap_is_found_too_when_each_member_comes_in_a_file_of_their_own(cad: CAD, trio: str, tmp_path: Path) -> None:
    bed = "1\t0\t249250621\n2\t0\t243199373\n"  # what the joint file says of every site holds for each
    father = taken(cad, given(tmp_path / "f", columns(trio, {"HG003": 1}), **{"k.bed": bed}), build="GRCh37")
    assert father.receipt.state == "accepted"
    right = taken(cad, given(tmp_path / "c", columns(trio, {"HG002": 0}), **{"k.bed": bed}), build="GRCh37")
    assert right.receipt.state == "accepted" and "declared first degree" in said(right, "passed")["relatives"][0]
    wrong = taken(cad, given(tmp_path / "m", columns(trio, {"HG004": 0}), **{"k.bed": bed}), build="GRCh37")  # the child again
    failed = said(wrong)["duplicates"]
    assert wrong.receipt.state == "quarantined" and any("is the genome of HG002" in reason for reason in failed)


def test_a_mother_whose_child_is_a_stranger_stops(cad: CAD, trio: str, tmp_path: Path) -> None:
    bed = "1\t0\t249250621\n2\t0\t243199373\n"
    taken(cad, given(tmp_path / "f", columns(trio, {"HG003": 1}), **{"k.bed": bed}), build="GRCh37")
    stranger = taken(cad, given(tmp_path / "c", columns(trio, {"HG002": 2}), **{"k.bed": bed}), build="GRCh37")
    (reason,) = said(stranger)["relatives"]
    assert "less related than declared" in reason and "±" in reason


def test_a_sample_under_another_name_is_a_duplicate(cad: CAD, trio: str, tmp_path: Path) -> None:
    taken(cad, given(tmp_path / "a", trio), build="GRCh37")
    again = taken(cad, given(tmp_path / "b", columns(trio, {"X-1": 0}), ped=None), build="GRCh37")
    (duplicate,) = [r for r in said(again)["duplicates"] if "is the genome of HG002" in r]
    assert again.receipt.state == "quarantined" and "shared genotypes equal" in duplicate


def test_a_duplicate_inside_one_file_stops_too(cad: CAD, trio: str, tmp_path: Path) -> None:
    done = taken(cad, given(tmp_path / "a", columns(trio, {"A": 0, "B": 1, "C": 0}), ped=None), build="GRCh37")
    assert any("sample A of A is the genome of C" in reason for reason in said(done)["duplicates"])
    assert any("first-degree relative of B" in reason and "not declared" in reason for reason in said(done)["duplicates"])


def test_a_child_of_another_family_is_a_question(cad: CAD, trio: str, tmp_path: Path) -> None:
    taken(cad, given(tmp_path / "a", columns(trio, {"DAD": 1, "MUM": 2}), ped=None), build="GRCh37")
    kid = taken(cad, given(tmp_path / "b", columns(trio, {"KID": 0, "SPOUSE": 2}), ped=None), build="GRCh37")
    failed = said(kid)["duplicates"]
    assert any("KID of KID is a first-degree relative of DAD" in r and "kinship 0.2" in r for r in failed)


def test_an_earlier_sample_that_is_another_genome_is_a_swap(cad: CAD, trio: str, tmp_path: Path) -> None:
    people, ped = "label\tperson\tsample\n", "F\tP\tQ\tR\t1\t2\nF\tQ\t0\t0\t1\t0\nF\tR\t0\t0\t2\t0\n"
    taken(cad, given(tmp_path / "a", columns(trio, {"L1": 0, "L2": 1}), ped,
                     **{"manifest.tsv": people + "L1\tP\tP.blood\nL2\tQ\tQ.blood\n"}), build="GRCh37")
    same = taken(cad, given(tmp_path / "b", columns(trio, {"L3": 0, "L4": 2}), ped,
                            **{"manifest.tsv": people + "L3\tP\tP.again\nL4\tR\tR.blood\n"}), build="GRCh37")
    assert same.receipt.state == "accepted"
    assert "is the same genome as sample P.blood" in said(same, "passed")["same person"][0]
    swap = taken(cad, given(tmp_path / "c", columns(trio, {"L5": 2, "L6": 1}), ped,
                            **{"manifest.tsv": people + "L5\tP\tP.third\nL6\tQ\tQ.again\n"}), build="GRCh37")
    assert any("P.third is not the same genome as sample P.blood" in reason for reason in said(swap)["same person"])
    assert swap.receipt.state == "quarantined"


def test_variants_alone_are_recognised_without_a_callable_region(cad: CAD, trio: str, tmp_path: Path) -> None:
    alone = [line for line in columns(trio, {"S": 0}).splitlines() if line.startswith("#") or "0/0" not in line.split("\t")[9]]
    taken(cad, given(tmp_path / "a", "\n".join(alone) + "\n", ped=None), build="GRCh37")
    again = taken(cad, given(tmp_path / "b", columns(trio, {"T": 0, "U": 2}), ped=None), build="GRCh37")
    (reason,) = [r for r in said(again)["duplicates"] if "is the genome of S" in r]
    assert "kinship" not in reason


def test_a_wrong_sex_stops(cad: CAD, synthetic: Path, tmp_path: Path) -> None:
    with gzip.open(synthetic / "family.vcf.gz", "rt") as file:
        text = file.read()
    ped = "F\tSYN-001\t0\t0\t2\t2\nF\tSYN-002\t0\t0\t1\t1\nF\tSYN-003\t0\t0\t2\t1\n"
    done = taken(cad, given(tmp_path / "d", text, ped))
    (reason,) = said(done)["sex"]
    assert done.receipt.state == "quarantined" and "SYN-001 is declared female, by genotype XY" in reason and "0." in reason


def test_nothing_of_a_quarantined_delivery_is_served_until_a_person_releases_it(cad: CAD, trio: str, tmp_path: Path) -> None:
    done = taken(cad, given(tmp_path / "d", renamed(trio, "HG003", "HG002", "HG004")), build="GRCh37")
    cad.add_case({"case": "K", "family": "ash", "proband": "HG002", "indication": "x"})
    for person in ("HG002", "HG003", "HG004"):
        cad.grant(person, "care")
    with pytest.raises(StoreError, match="quarantine"):
        cad.genotypes("K")
    released = decide_delivery(cad, done.receipt.delivery, True, "The pedigree is right: seen with the family.")
    assert released.state == "released" and state_of(cad, done) == ("released", "in use")
    assert cad.genotypes("K").sizes["samples"] == 3
    assert cad.verify_audit() == []


# --- refused before anything is stored ---------------------------------------------------------------------------------


def nothing_stored(cad: CAD) -> bool:
    with cad.catalogue.read() as connection:
        return not get_analyses(connection) and not any(cad.analyses_folder.iterdir())


def test_a_wrong_build_is_refused(cad: CAD, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="GRCh38"):
        taken(cad, given(tmp_path / "d", SMALL.format(names="P", calls="0/1"), ped=None), build="GRCh37")
    with cad.catalogue.read() as connection:
        (receipt,) = receipts(connection)
    assert receipt.state == "refused" and receipt.checks[-1].check == "build" and nothing_stored(cad)
    assert str(tmp_path) not in json.dumps(receipt.as_dict(), default=str)


def test_a_truncated_file_is_refused(cad: CAD, shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.vcf.gz").write_bytes((shared_data / "trio" / "ashk-trio.vcf.gz").read_bytes()[:400_000])
    with pytest.raises(InputError):
        list(deliver(cad, open_parcel([tmp_path / "cut.vcf.gz"]), build="GRCh37"))
    assert nothing_stored(cad)


def test_a_checksum_that_does_not_fit_is_refused(cad: CAD, tmp_path: Path) -> None:
    text = SMALL.format(names="P", calls="0/1")
    folder = given(tmp_path / "d", text, ped=None, SHA256SUMS=f"{'0' * 64}  family.vcf\n")
    with pytest.raises(InputError, match="checksum"):
        taken(cad, folder)
    with cad.catalogue.read() as connection:
        (receipt,) = receipts(connection)
    assert receipt.file_hash == hashlib.sha256(text.encode()).hexdigest()
    assert {c.check for c in receipt.checks if c.verdict == "failed"} == {"files"} and nothing_stored(cad)


@pytest.mark.parametrize("name", ["../../etc/passwd", "<script>alert(1)</script>", "a\x1b[31m", "~root", "x\x07", "C:\\x", "'; drop"])
def test_a_label_that_can_never_be_a_pseudonym_is_refused_and_not_repeated(cad: CAD, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="column 11") as raised:
        taken(cad, given(tmp_path / "d", SMALL.format(names=f"P\t{name}", calls="0/1\t0/1"), ped=None))
    assert name not in str(raised.value) and nothing_stored(cad)
    with cad.catalogue.read() as connection:
        assert name not in json.dumps(receipts(connection)[0].as_dict(), default=str, ensure_ascii=False)


def test_a_label_of_another_person_is_refused(cad: CAD, tmp_path: Path) -> None:
    taken(cad, given(tmp_path / "a", SMALL.format(names="L", calls="0/1"), ped=None, **{"manifest.tsv": "label\tperson\tsample\nL\tP\tS1\n"}))
    with pytest.raises(InputError, match="another person"):
        taken(cad, given(tmp_path / "b", SMALL.format(names="M", calls="1/1"), ped=None,
                         **{"manifest.tsv": "label\tperson\tsample\nM\tQ\tS1\n"}))


# --- the folder and its checksums --------------------------------------------------------------------------------------


def test_both_kinds_of_lists_and_all_forms_are_read(tmp_path: Path) -> None:
    (tmp_path / "a b.vcf").write_text("x")
    sha, md5 = hashlib.sha256(b"x").hexdigest(), hashlib.md5(b"x").hexdigest()
    (tmp_path / "sums").write_text(f"# made by us\n{sha}  a b.vcf\n{sha.upper()} *a b.vcf\n{md5}  a b.vcf\nSHA256 (a b.vcf) = {sha}\n\n")
    assert [entry.digest for entry in read_checksums(tmp_path / "sums")] == [sha, sha, md5, sha]
    (check,), wrong = check_files(open_parcel([tmp_path / "a b.vcf"], checksums=tmp_path / "sums"))
    assert check.verdict == "passed" and not wrong


@pytest.mark.parametrize("line", ["0" * 64 + "  ../secret", "0" * 64 + "  /etc/passwd", "abc  a.vcf", "0" * 63 + "  a.vcf", "hello"])
def test_a_line_that_is_no_checksum_or_points_elsewhere_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "sums").write_text(f"{'0' * 64}  ok.vcf\n{line}\n")
    with pytest.raises(InputError, match="line 2"):
        read_checksums(tmp_path / "sums")


def test_an_absent_file_and_a_file_that_is_not_listed_wait_for_a_person(cad: CAD, tmp_path: Path) -> None:
    folder = given(tmp_path / "d", SMALL.format(names="P", calls="0/1"), ped=None, **{"x.md5": f"{'0' * 32}  other.vcf.gz\n"})
    done = taken(cad, folder)
    assert done.receipt.state == "quarantined"
    assert said(done)["files"] == ["the file of line 1 of the checksums is not there", "VCF 1 of 1 is not in the list of checksums"]


def test_a_folder_that_can_be_read_in_two_ways_is_asked_about(tmp_path: Path) -> None:
    folder = given(tmp_path / "d", "x", **{"b.ped": "x"})
    with pytest.raises(InputError, match="--ped"):
        read_folder(folder)
    (folder / "b.ped").unlink()
    (folder / "z.bed").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="link"):
        read_folder(folder)
    with pytest.raises(InputError, match="no VCF"):
        (tmp_path / "empty").mkdir()
        read_folder(tmp_path / "empty")
    with pytest.raises(NotFoundError):
        open_parcel([tmp_path / "none"])


def test_each_vcf_of_a_folder_has_its_own_callable_region(tmp_path: Path) -> None:
    for name in ("a.vcf.gz", "b.g.vcf.gz", "a.callable.bed", "b.bed"):
        (tmp_path / name).write_text("")
    parcel = open_parcel([tmp_path])
    assert [parcel.callable_bed(vcf).name for vcf in parcel.vcfs] == ["a.callable.bed", "b.bed"]


# --- again, refused, interrupted -----------------------------------------------------------------------------------------


def test_the_same_delivery_again_is_answered_and_not_checked_again(cad: CAD, tmp_path: Path) -> None:
    folder = given(tmp_path / "d", SMALL.format(names="P", calls="0/1"), ped=None)
    first, second = taken(cad, folder), taken(cad, folder)
    assert first.receipt.delivery == second.receipt.delivery and (first.analysis.created, second.analysis.created) == (True, False)
    with cad.catalogue.read() as connection:
        assert len(receipts(connection)) == 1


def test_the_same_file_for_other_people_stops_even_where_nothing_can_be_compared(cad: CAD, tmp_path: Path) -> None:
    text = SMALL.format(names="L", calls="0/1")
    taken(cad, given(tmp_path / "a", text, ped=None, **{"manifest.tsv": "label\tperson\nL\tP\n"}))
    other = taken(cad, given(tmp_path / "b", text, ped=None, **{"manifest.tsv": "label\tperson\nL\tQ\n"}))
    assert "for other people" in said(other)["again"][0]
    better = taken(cad, given(tmp_path / "c", text, ped=None, **{"manifest.tsv": "label\tperson\nL\tP\n", "k.bed": "chr1\t0\t500\n"}))
    assert better.receipt.state in ("accepted", "quarantined") and "the same file" in said(better, "warning")["again"][0]


def test_a_refused_delivery_leaves_no_array_and_no_fingerprint_and_may_come_with_another_manifest(
        cad: CAD, trio: str, tmp_path: Path) -> None:
    lines = "label\tperson\n"
    wrong = {"manifest.tsv": lines + "HG002\tQ\nHG003\tP\nHG004\tR\n"}
    ped = "F\tP\tQ\tR\t1\t2\nF\tQ\t0\t0\t1\t0\nF\tR\t0\t0\t2\t0\n"
    done = taken(cad, given(tmp_path / "a", trio, ped, **wrong), build="GRCh37")
    assert done.receipt.state == "quarantined" and Path(done.analysis.path).is_dir()
    area = Area(cad.path / "fingerprints")
    assert area.analyses() == [done.analysis.id]
    decide_delivery(cad, done.receipt.delivery, False, "Two lines of the manifest were exchanged.")
    assert state_of(cad, done) == ("refused", "erased") and not Path(done.analysis.path).exists() and area.analyses() == []
    with pytest.raises(ErasedError):
        taken(cad, given(tmp_path / "b", trio, ped, **wrong), build="GRCh37")
    right = taken(cad, given(tmp_path / "c", trio, ped, **{"manifest.tsv": lines + "HG002\tP\nHG003\tQ\nHG004\tR\n"}),
                  build="GRCh37")
    assert right.receipt.state == "accepted" and "(refused), for other people" in said(right, "warning")["again"][0]
    assert not any("error" in finding.level for finding in cad.health())


def test_a_crash_before_the_checks_leaves_it_in_quarantine_and_the_next_time_goes_on(
        cad: CAD, trio: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genomics_nb.delivery import intake

    folder = given(tmp_path / "d", trio)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(intake, "check_relatives", killed)
        taken(cad, folder, build="GRCh37")
    with cad.catalogue.read() as connection:
        assert (receipts(connection)[0].state, get_analyses(connection)[0].state) == ("received", "quarantined")
    with pytest.raises(StoreError, match="not checked"):
        decide_delivery(cad, get_receipt(cad, receipts_of(cad)[0]).delivery, True, "It will do.")
    done = taken(cad, folder, build="GRCh37")
    assert done.receipt.state == "accepted" and len(receipts_of(cad)) == 1


def receipts_of(cad: CAD) -> list[str]:
    with cad.catalogue.read() as connection:
        return [r.delivery for r in receipts(connection)]


def test_who_may_not_release_is_refused_and_the_reason_is_asked(cad: CAD, tmp_path: Path) -> None:
    from genomics_nb.store.audit import asking_user

    folder = given(tmp_path / "d", SMALL.format(names="P", calls="0/1"), ped=None, **{"x.md5": f"{'0' * 32}  other.vcf.gz\n"})
    delivery = taken(cad, folder).receipt.delivery
    for reason in ("", "  ", "two\nlines", "x" * 1001):
        with pytest.raises(ParameterError):
            decide_delivery(cad, delivery, True, reason)
    cad.revoke_role(asking_user(), "biologist")
    with pytest.raises(ConsentError):
        decide_delivery(cad, delivery, True, "It is fine.")
    assert get_receipt(cad, delivery).state == "quarantined"


# --- at the terminal -----------------------------------------------------------------------------------------------------


def typed(*words: str) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.run_command(words)
    return code, out.getvalue(), err.getvalue()


def test_an_operator_sees_the_reason_and_decides(trio: str, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    assert typed("init", store)[0] == 0
    folder = given(tmp_path / "d", renamed(trio, "HG003", "HG002", "HG004"))
    code, out, err = typed("ingest", str(folder), "--build", "GRCh37", "--store", store)
    assert code == 1 and err == "" and "quarantined" in out and "failed: relatives: HG002 and HG004" in out
    assert "delivery release D" in out
    code, out, _ = typed("delivery", "list", "--state", "quarantined", "--store", store, "--json")
    (delivery,) = json.loads(out)
    assert code == 0 and delivery["state"] == "quarantined"
    code, out, _ = typed("delivery", "show", delivery["delivery"], "--store", store)
    assert code == 0 and "failed: relatives" in out and "not assessed: files" in out
    code, out, err = typed("delivery", "refuse", delivery["delivery"], "--store", store)
    assert code == 2 and "--reason" in err
    code, out, _ = typed("delivery", "refuse", delivery["delivery"], "--reason", "Exchanged.", "--store", store)
    assert code == 0 and "removed" in out
    code, out, err = typed("delivery", "release", delivery["delivery"], "--reason", "No.", "--store", store)
    assert code == 2 and "refused already" in err
    assert typed("delivery", "show", "D1", "--store", store)[0] == 2


def test_fingerprints_of_a_care_store_are_private(trio: str, tmp_path: Path) -> None:
    cad = CAD.init(tmp_path / "care", care=True)
    manifest = "label\tperson\tfamily\nHG002\tP1\tF\nHG003\tP2\tF\nHG004\tP3\tF\n"
    done = taken(cad, given(tmp_path / "d", trio, **{"manifest.tsv": manifest}), build="GRCh37")
    assert done.receipt.state == "accepted"
    for place, _, names in os.walk(cad.path / "fingerprints"):
        assert stat.S_IMODE(os.stat(place).st_mode) == 0o700
        for name in names:
            assert stat.S_IMODE(os.stat(os.path.join(place, name)).st_mode) == 0o600
            assert b"HG00" not in Path(place, name).read_bytes()
    assert "HG00" not in json.dumps(done.receipt.as_dict(), default=str)
    assert isinstance(done, Outcome) and issubclass(InputError, GenomicsError)


def test_a_process_killed_before_the_checks_leaves_it_in_quarantine(cad: CAD, trio: str, tmp_path: Path) -> None:
    folder = given(tmp_path / "d", trio)
    script = ("import os, signal, sys\nfrom pathlib import Path\nfrom genomics_nb.delivery import intake\n"
              "from genomics_nb.delivery.door import open_parcel\nfrom genomics_nb.store.cad import CAD\n"
              "intake.check_everything = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
              "list(intake.deliver(CAD.open(sys.argv[1]), open_parcel([Path(sys.argv[2])]), build='GRCh37'))\n")
    killed = subprocess.run([sys.executable, "-c", script, str(cad.path), str(folder)], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    with cad.catalogue.read() as connection:
        assert (receipts(connection)[0].state, get_analyses(connection)[0].state) == ("received", "quarantined")
    assert taken(cad, folder, build="GRCh37").receipt.state == "accepted" and cad.verify_audit() == []


def test_the_procedure_looks_at_a_delivery_in_quarantine(cad: CAD, trio: str, tmp_path: Path) -> None:
    from genomics_nb.delivery.run import run_notebook

    done = taken(cad, given(tmp_path / "d", renamed(trio, "HG003", "HG002", "HG004")), build="GRCh37")
    cad.add_case({"case": "K", "family": "ash", "proband": "HG002", "indication": "x"})
    parameters = {"case": "K", "store": str(cad.path), "delivery": done.receipt.delivery, "lang": "en"}
    result = run_notebook("delivery_acceptance", parameters, out=tmp_path / "runs")
    page = Path(result.report).read_text(encoding="utf-8")
    assert result.exit_code == 0 and "less related than declared" in page and "in quarantine" in page and "Refused" in page
    assert state_of(cad, done) == ("quarantined", "quarantined")


# --- many families at once -------------------------------------------------------------------------------------------


def family(folder: Path, name: str, calls: str = "0/1", **more: str) -> None:
    """The files of a family of one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.vcf").write_text(SMALL.format(names=f"P{name}", calls=calls))
    (folder / f"{name}.ped").write_text(f"F{name}\tP{name}\t0\t0\t1\t2\n")
    (folder / f"{name}.json").write_text(json.dumps({"case": f"DI-{name}", "family": f"F{name}", "proband": f"P{name}",
                                                     "indication": "deafness"} | more))


@pytest.mark.parametrize("nested", [True, False])
def test_of_many_families_the_bad_ones_are_named_and_the_others_go_in(cad: CAD, tmp_path: Path, nested: bool) -> None:
    night = tmp_path / "night"
    for name in ("A", "B", "C", "D"):
        family(night / name if nested else night, name, calls="0/7" if name == "B" else "0/1",
               **({"proband": "NOBODY"} if name == "C" else {}))
    (night / "truth.tsv").write_text("no part of a family\n")
    done = typed("intake", str(night), "--store", str(cad.path), "--json")
    told = {record["family"]: record for record in map(json.loads, done[1].splitlines())}
    assert done[0] == 1 and list(told) == ["A", "B", "C", "D"] and [r["well"] for r in told.values()] == [True, False, False, True]
    assert "line 5" in told["B"]["refused"] and "B" in done[2] and "2 of 4 families" in done[2]
    assert [row["case"] for row in cad.case_rows()] == ["DI-A", "DI-D"] and told["D"]["deliveries"][0]["state"] == "accepted"
    assert typed("intake", str(night), "--store", str(cad.path))[0] == 1 and len(cad.case_rows()) == 2  # again is no harm


def test_a_folder_without_families_a_link_out_of_it_and_a_user_without_a_role_stop_at_once(cad: CAD, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, words in ((tmp_path / "empty", "no family"), (tmp_path / "none", "no folder")):
        code, _, err = typed("intake", str(folder), "--store", str(cad.path))
        assert code == 2 and words in err and err.count("\n") == 1
    family(tmp_path / "one", "A")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "A").symlink_to(tmp_path / "one")
    assert typed("intake", str(tmp_path / "linked"), "--store", str(cad.path))[0] == 2
    cad.revoke_role(cad.role_rows()[0]["user"], "operator")
    code, _, err = typed("intake", str(tmp_path / "one"), "--store", str(cad.path))
    assert code == 2 and "holds no role that may ingest" in err and cad.case_rows() == []
