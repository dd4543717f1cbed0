"""Ends of chromosomes, of files, of tags and of people: where a cohort could be wrong by one."""

import copy
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from genomics_nb.core.types import GenomicsError, InputError, ParameterError, StoreError
from genomics_nb.store.alignment import Fasta, alignment, fasta_identity
from genomics_nb.core.genome import Genome
from genomics_nb.store.alleles import HASHED, encode
from genomics_nb.store.cad import synthetic_store
from genomics_nb.store.cohort import Cohort, add, recount, remove, tag
from genomics_nb.store.cohorts import add_people, build_cohort, changing, cohort_path, reserve, slot_states
from genomics_nb.store.ingest import ingest
from genomics_nb.store.matrix import carried_keys, frequencies, genotypes
from genomics_nb.store.repository import Repository
from genomics_nb.core.stretches import CALLABLE, HOLE, NOWHERE, Intervals, callable_at
from genomics_nb.store.row import Row, genotype_code, joined, read_rows
from genomics_nb.store.scrub import evidence_of, scrub, wipe
from genomics_nb.store.segments import ERASED
from genomics_nb.store.shelf import cohort_findings, erase_from_cohorts, serve_cohort

GENOME = Genome.of("GRCh37")
HET = genotype_code(0, 1, callable_here=True)
KIT = Intervals.merged(np.array([1000]), np.array([90000]))
HEADER = """##fileformat=VCFv4.2
##FILTER=<ID=PASS,Description="All filters passed">
##contig=<ID=1,length=249250621>
##contig=<ID=2,length=243199373>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS
"""


def someone(secret: int, places: tuple[int, ...] = (2000, 3000)) -> Row:
    """One person with some alleles of everybody, one that only they have, and a long one."""
    words = np.array([place << 32 | 77 << 6 | HET for place in (*places, 10_000 + secret)], np.uint64)
    long = (20_000 + secret) << 32 | (HASHED | secret) << 6
    return Row(np.r_[np.sort(words), np.uint64(long | HET)], np.empty(0, np.uint64), KIT, 1, {long: f"A {'ACGT' * 9}{'G' * secret}T"})


def few(path: Path, people: int) -> Cohort:
    cohort = Cohort.create(path, "GRCh37", "research")
    with cohort.repository.locked():
        add(cohort, ((slot, "all", someone(slot)) for slot in range(people)))
    return cohort


def row_of(folder: Path, lines: list[str], bed: str | None = None) -> Row:
    vcf = folder / "one.vcf"
    vcf.write_text(HEADER + "".join(line + "\n" for line in lines))
    if bed is not None:
        (folder / "kit.bed").write_text(bed)
    found = ingest(vcf, folder / "analyses", build="GRCh37", workers=1, callable_bed=folder / "kit.bed" if bed is not None else None)
    return next(read_rows(zarr.open_group(found.path, mode="r"), GENOME, [0], [1]))[0]


# --- the ends of chromosomes ------------------------------------------------------------------------------------------


def test_a_bed_file_that_runs_past_a_chromosome_says_nothing_about_the_next(tmp_path: Path) -> None:
    row = row_of(tmp_path, ["1\t1000\t.\tA\tG\t.\tPASS\t.\tGT\t0/1"], "1\t249250600\t249260000\n1\t249260001\t249260010\n")
    end = int(GENOME.offsets[1])
    assert row.base.contains(np.array([end - 21, end - 20, end, end + 1, end + 9385])).tolist() == [False, True, True, False, False]


def test_what_lies_beyond_a_chromosome_has_no_place() -> None:
    starts = GENOME.starts(["1", "22", "MT"])
    ends = np.array([249250621, 51304566, 16569])
    assert (GENOME.place(starts, ends) == starts + ends).all() and (GENOME.place(starts, np.ones(3, int)) == starts + 1).all()
    assert (GENOME.place(starts, ends + 1) == -1).all() and (GENOME.place(starts, np.zeros(3, int)) == -1).all()
    assert GENOME.place(np.array([-1]), np.array([5])).tolist() == [-1]


def test_exceptions_that_touch_across_two_chromosomes_both_hold() -> None:
    """The last base of one and the first of the next are neighbours on the line."""
    end = int(GENOME.offsets[1])
    parts = [Row(np.empty(0, np.uint64), np.array([low << 32 | state, (high + 1) << 32 | 2], np.uint64), NOWHERE, 1, {})
             for low, high, state in ((end - 5, end, CALLABLE), (end + 1, end + 5, CALLABLE))]
    for order in (parts, parts[::-1]):
        row = joined(NOWHERE, order, 1)
        seen = callable_at(NOWHERE, row.events, np.arange(end - 6, end + 7))
        assert seen.tolist() == [False] + [True] * 11 + [False]
    kit = Intervals.merged(np.array([end - 100]), np.array([end + 100]))
    holes = [Row(np.empty(0, np.uint64), np.array([low << 32 | HOLE, (high + 1) << 32 | 2], np.uint64), kit, 1, {})
             for low, high in ((end, end), (end + 1, end + 1))]
    assert callable_at(kit, joined(kit, holes, 1).events, np.arange(end - 1, end + 3)).tolist() == [True, False, False, True]


def test_left_alignment_stays_on_its_chromosome(tmp_path: Path) -> None:
    import pysam

    fasta = tmp_path / "reference.fa"
    fasta.write_text(">Y\n" + "N" * 59 + "G\n>MT\nGGGATCACAG\n")
    pysam.faidx(str(fasta))
    cohort = Cohort.create(tmp_path / "c", "GRCh37", "research", reference=fasta_identity(fasta))
    start = int(GENOME.starts(["MT"])[0])
    with alignment(cohort, fasta) as align:
        assert align is not None
        assert align(start + 2, "GG", "G") == (start + 1, "GG", "G")
        assert align(start + 1, "G", "GG") == (start + 1, "G", "GG")
        assert align(start + 8, "C", "CAC") == align(start + 6, "C", "CAC") == (start + 5, "T", "TCA")
        with pytest.raises(InputError, match="no contig 22"):
            align(int(GENOME.starts(["22"])[0]) + 100, "AA", "A")
    assert Fasta(fasta, GENOME).base("MT", 11) == Fasta(fasta, GENOME).base("MT", 0) == ""
    (tmp_path / "other.fa").write_text(">MT\nGGGATCACAG\n")
    pysam.faidx(str(tmp_path / "other.fa"))
    with pytest.raises(ParameterError, match="not the reference"), alignment(cohort, tmp_path / "other.fa"):
        pass


@pytest.mark.parametrize("region", ["22:²", "22:0-5", "22:9-5", "22:5-", "23", "", "22:-5", "22:a-b"])
def test_a_region_that_is_none_is_refused_in_one_line(region: str) -> None:
    with pytest.raises(InputError):
        GENOME.span(region)


def test_a_region_behind_the_end_is_empty(tmp_path: Path) -> None:
    cohort = few(tmp_path / "c", 2)
    view, _ = cohort.view()
    assert len(carried_keys(view, *GENOME.span("1:300000000-400000000"))) == 0
    assert len(carried_keys(view, *GENOME.span("1:2000"))) == 1 and len(carried_keys(view, *GENOME.span("1:2001-2999"))) == 0


def test_the_contig_of_a_breakend_is_left_as_it_is_written() -> None:
    text = np.dtypes.StringDType()
    found = encode(np.array([9, 9, 9]), np.array(["g", "G", "g"], text), np.array(["g]chr3:12]", "<dup>", "gttttttttttt"], text), np.array([9, 20, 9]))
    assert list(found.texts.values()) == ["G g]chr3:12]", "G <dup>11", "G GTTTTTTTTTTT"]


# --- few people, or none ----------------------------------------------------------------------------------------------


def test_a_cohort_of_one_from_its_first_commit_to_its_last(tmp_path: Path) -> None:
    cohort = few(tmp_path / "c", 1)
    view, _ = cohort.view()
    ds = genotypes(view, {0: "A"}, carried_keys(view, 0, 1 << 31)).compute()
    assert ds.call_genotype.values.tolist() == [[[0, 1]]] * 4 and recount(view) == []
    sums = frequencies(view, ["all"], 0, 1 << 31)
    assert sums.variant_AC.values.tolist() == [[1]] * 4 and sums.variant_AN.values.tolist() == [[2]] * 4
    with cohort.repository.locked():
        tag(cohort, "one")
        done = scrub(cohort, [0])
    assert done.alleles == 4 and done.renamed == {"one": "one.r1"}
    for at in (None, "one.r1"):
        view, _ = cohort.view(at)
        assert recount(view) == [] and not view.active.any()
        assert frequencies(view, ["all"], 0, 1 << 31).sizes["variants"] == 0
        assert genotypes(view, {}, carried_keys(view, 0, 1 << 31)).compute().call_genotype.shape == (0, 0, 2)
    with cohort.repository.locked():
        add(cohort, [(1, "all", someone(1))])
    assert cohort.view()[0].active.tolist() == [False, True]


def test_a_dataset_can_be_sent_to_another_process(tmp_path: Path) -> None:
    """As dask.distributed does with what a chunk needs."""
    cohort = few(tmp_path / "c", 2)
    view, _ = cohort.view()
    ds = genotypes(view, {0: "A", 1: "B"}, carried_keys(view, 0, 1 << 31))
    for other in (pickle.loads(pickle.dumps(ds)), copy.deepcopy(ds)):
        assert other.compute().identical(ds.compute())
    assert not hasattr(copy.copy(view.group["meta"]), "no_such_thing")


def test_a_taken_slot_leaves_nothing_of_the_others_behind(tmp_path: Path) -> None:
    cohort = few(tmp_path / "c", 2)
    before = cohort.repository.head()
    for rows in ([(2, "all", someone(2)), (1, "new", someone(1))], [(2, "all", someone(2)), (2, "all", someone(3))]):
        with pytest.raises(StoreError, match="is taken"), cohort.repository.locked():
            add(cohort, rows)
    with pytest.raises(GenomicsError), cohort.repository.locked():
        remove(cohort, [0, 5])
    view, _ = cohort.view()
    assert cohort.repository.head() == before and len(view.info) == 2 and recount(view) == []
    assert Cohort.open(cohort.repository.path).groups == ("all",)


def test_the_lock_is_free_after_an_exception_and_a_lost_folder_is_one_line(tmp_path: Path) -> None:
    cohort = few(tmp_path / "c", 1)
    with pytest.raises(ZeroDivisionError), cohort.repository.locked():
        add(cohort, ((1 // 0, "all", someone(n)) for n in range(2)))
    with cohort.repository.locked():
        add(cohort, [(1, "all", someone(1))])
    shutil.rmtree(tmp_path / "c")
    lost = Repository(tmp_path / "gone" / "c", cohort.repository.handle)
    with pytest.raises(StoreError, match="could not be read or written"), lost.locked():
        pass


# --- erasing, again and again -----------------------------------------------------------------------------------------


def test_a_tag_is_issued_again_under_a_name_that_was_never_given(tmp_path: Path) -> None:
    cohort = few(tmp_path / "c", 6)
    with cohort.repository.locked():
        tag(cohort, "v1")
        add(cohort, [(6, "all", someone(6))])
        tag(cohort, "v1.r1")  # by a person, who does not know
        renamed = [scrub(cohort, [slot]).renamed for slot in (0, 6, 1, 2)]
    assert renamed[0] == {"v1": "v1.r2", "v1.r1": "v1.r3"} and renamed[1] == {"v1.r3": "v1.r4"}
    assert renamed[2] == {"v1.r2": "v1.r5", "v1.r4": "v1.r6"} and renamed[3] == {"v1.r5": "v1.r7", "v1.r6": "v1.r8"}
    for name, people in (("v1.r7", 3), ("v1.r8", 3)):
        view, _ = cohort.view(name)
        assert view.active.sum() == people and recount(view) == []
    for used in ("v1", "v1.r3", "v1.r7"):
        with pytest.raises(ParameterError, match="is taken"), cohort.repository.locked():
            tag(cohort, used)


def test_an_erasure_that_was_interrupted_is_proved_by_what_older_snapshots_know(tmp_path: Path) -> None:
    cohort = few(tmp_path / "c", 4)
    with cohort.repository.locked():
        tag(cohort, "v1")
        remove(cohort, [2])
        head, _ = cohort.view()
        with cohort.change("write without the erased") as change:  # and is killed here
            wipe(head, change.group, [1])
    assert len(evidence_of(cohort, [1]).keys) == 2
    with cohort.repository.locked():
        done = scrub(cohort, [1])
        assert done.alleles == 2 and done.renamed == {"v1": "v1.r1"} and scrub(cohort, [1]).alleles == 0
    assert cohort.view()[0].info[1, 0] == ERASED and cohort.view("v1.r1")[0].active.tolist() == [True, False, True, True]


def test_what_somebody_else_has_at_another_place_is_no_trace(tmp_path: Path) -> None:
    """The same long insertion, and one that begins like it, in two people."""
    cohort = Cohort.create(tmp_path / "c", "GRCh37", "research")
    texts = ["A " + "A" * 14, "A " + "A" * 14, "CA " + "A" * 20, "A " + "C" * 12]
    with cohort.repository.locked():
        for slot, text in enumerate(texts):
            key = (5000 + slot) << 32 | (HASHED | 7 + slot) << 6
            add(cohort, [(slot, "all", Row(np.array([key | HET], np.uint64), np.empty(0, np.uint64), KIT, 1, {key: text}))])
        assert evidence_of(cohort, [0]).texts == () and evidence_of(cohort, [3]).texts == (texts[3],)
        assert scrub(cohort, [0]).alleles == 1 and scrub(cohort, [3]).alleles == 1
    assert recount(cohort.view()[0]) == []


# --- the catalogue and the arrays are of different days ---------------------------------------------------------------


def test_an_older_copy_of_the_arrays_brings_nobody_back(tmp_path: Path) -> None:
    cad = synthetic_store()
    build_cohort(cad, "c", "GRCh38", "research")
    add_people(cad, "c")
    path = cohort_path(cad, "c")
    shutil.copytree(path, tmp_path / "backup")
    erase_from_cohorts(cad, "SYN-003")
    shutil.rmtree(path)
    shutil.copytree(tmp_path / "backup", path)
    assert [f.what for f in cohort_findings(cad)] == [
        "cohort c: 1 erased people are in the arrays, which seem to be an older copy; they are not served"]
    assert list(serve_cohort(cad, "c", "research").sample_id.values) == ["SYN-001", "SYN-002"]
    assert erase_from_cohorts(cad, "SYN-003")["c"]["alleles_searched"] > 0
    assert cohort_findings(cad) == [] and erase_from_cohorts(cad, "SYN-003") == {}


def test_an_older_catalogue_gives_nobody_the_slot_of_another(tmp_path: Path) -> None:
    cad = synthetic_store()
    build_cohort(cad, "c", "GRCh38", "research")
    with changing(cad, "c") as (cohort, _):
        add(cohort, [(0, "all", someone(0))])  # of whom this catalogue knows nothing
    done = add_people(cad, "c")
    assert sorted(done.people.values()) == [1, 2, 3] and serve_cohort(cad, "c", "research").sizes["samples"] == 3
    with changing(cad, "c") as (cohort, _):
        assert len(slot_states(cohort)) == 4 and reserve(cad, "c", [], "all", 4) == {}
    shutil.copytree(cohort_path(cad, "c"), cohort_path(cad, "d"))
    with pytest.raises(StoreError, match="the catalogue does not know"):
        build_cohort(cad, "d", "GRCh38", "research")
    assert cohort_path(cad, "d").exists()
    with pytest.raises(ParameterError, match="name of a case"):
        build_cohort(cad, next(iter(row["case"] for row in cad.case_rows())), "GRCh38", "research")
