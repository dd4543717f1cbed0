"""The proof on real data: people come one by one, and the cohort says what the joint file says.

The joint calls of 2,504 people of the 1000 Genomes Project are cut into 2,504 deliveries as a laboratory would send them:
one person each, only what differs from the reference, and a BED file of where the assay could see. Each goes through the
real reader. The cohort that grows from them, in random order, alone and in batches, must give back the joint file, genotype by
genotype and count by count, for all and for every sex and population; and when a hundred have left, the joint file without them;
and of one who is erased nothing is left.
"""

import gzip
import multiprocessing
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from cohort_truth import trimmed
from numcodecs import blosc, zstd
from numpy.typing import NDArray

from genomics_nb.core.genome import Genome
from genomics_nb.store.alleles import FEMALE, MALE
from genomics_nb.store.cohort import Cohort, add, recount, remove, tag
from genomics_nb.store.counts import View
from genomics_nb.store.ingest import ingest
from genomics_nb.store.matrix import carried_keys, frequencies, genotypes, keys_of_person
from genomics_nb.store.row import Row, read_rows
from genomics_nb.store.scrub import scrub

Site = tuple[str, int, str, str]  # contig, position, REF, ALT
REGION = "22:16000000-16500000"
HEADER = """##fileformat=VCFv4.2
##FILTER=<ID=PASS,Description="All filters passed">
##contig=<ID=22,length=51304566>
##INFO=<ID=END,Number=1,Type=Integer,Description="Last position">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
"""


@dataclass(frozen=True)
class Joint:
    """A joint file as this test reads it, with no code of the project."""

    names: list[str]
    leads: list[list[str]]  # for each record CHROM, POS, ID, REF, ALT, QUAL, FILTER, and END or "."
    texts: NDArray[np.str_]  # (records, samples) GT as written
    calls: NDArray[np.int8]  # (records, samples, 2), -1 missing

    def alleles(self, passing: bool = False) -> dict[Site, tuple[int, int]]:
        """Contig, position, REF and ALT, trimmed, to record and allele number, of all that has a place in a cohort."""
        found: dict[Site, tuple[int, int]] = {}
        for number, lead in enumerate(self.leads):
            if passing and lead[6] not in ("PASS", "."):
                continue
            for allele, alt in enumerate(lead[4].split(","), 1):
                if alt not in (".", "*"):
                    key = (lead[0], *trimmed(int(lead[1]), lead[3], alt))
                    assert key not in found, f"{key} is in the file twice"
                    found[key] = number, allele
        return found

    def genotypes(self, allele: tuple[int, int]) -> NDArray[np.int8]:
        """What everybody has of one allele, (samples, 2): 0, 1 or -1."""
        call = self.calls[allele[0]]
        return np.where(call < 0, call, call == allele[1]).astype(np.int8)


def read_joint(vcf: Path) -> Joint:
    names, leads, rows = [], [], []
    with gzip.open(vcf, "rt") as file:
        for line in file:
            if line.startswith("#CHROM"):
                names = line.rstrip("\n").split("\t")[9:]
            elif not line.startswith("#"):
                parts = line.rstrip("\n").split("\t")
                end = [f for f in parts[7].split(";") if f.startswith("END=")]
                leads.append(parts[:7] + [end[0] if end else "."])
                rows.append([call.split(":", 1)[0] for call in parts[9:]])
    texts = np.array(rows)
    distinct, at = np.unique(texts, return_inverse=True)
    values = [[-1 if c == "." else int(c) for c in str(text).replace("|", "/").split("/")] for text in distinct]
    assert all(len(v) == 2 for v in values)
    return Joint(names, leads, texts, np.array(values, np.int8)[at.reshape(texts.shape)])


def deliver(task: tuple[Path, str, str, int]) -> tuple[Row, int]:
    """One delivery through the reader: its row, and how many records the file had. Runs in a process of its own."""
    folder, name, body, sex = task
    vcf = folder / f"{name}.vcf"
    vcf.write_text(f"{HEADER}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{name}\n{body}")
    analysis = ingest(vcf, folder / f"analyses-{name}", build="GRCh37", workers=1, callable_bed=folder / "callable.bed")
    group = zarr.open_group(analysis.path, mode="r")
    assert group["sample_id"][:].tolist() == [name]
    [(row, _)] = read_rows(group, Genome.of("GRCh37"), [0], [sex])
    return row, analysis.records


@dataclass(frozen=True)
class Thousand:
    joint: Joint
    rows: list[Row]
    records: list[int]
    sexes: NDArray[np.int64]
    populations: NDArray[np.str_]


@pytest.fixture(scope="module")
def thousand(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Thousand:
    """2,504 deliveries, read."""
    folder = tmp_path_factory.mktemp("deliveries")
    joint = read_joint(shared_data / "population" / "1kg_phase3_chr22_16.0-16.5Mb.vcf.gz")
    table = [line.split("\t") for line in (shared_data / "population" / "1kg_samples.psam").read_text().splitlines()]
    columns = {name.lstrip("#"): i for i, name in enumerate(table[0])}
    about = {line[columns["IID"]]: line for line in table[1:]}
    sexes = np.array([{"1": MALE, "2": FEMALE}[about[n][columns["SEX"]]] for n in joint.names])
    populations = np.array([about[n][columns["SuperPop"]] for n in joint.names])
    (folder / "callable.bed").write_text("22\t15999999\t16500000\n")
    leads = ["\t".join([*lead, "GT", ""]) for lead in joint.leads]
    carried = (joint.calls > 0).any(2).T
    tasks = []
    for s, name in enumerate(joint.names):
        here = np.flatnonzero(carried[s]).tolist()
        body = "".join(f"{leads[i]}{text}\n" for i, text in zip(here, joint.texts[here, s].tolist(), strict=True))
        tasks.append((folder, name, body, int(sexes[s])))
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(deliver, tasks, chunksize=16))
    return Thousand(joint, [row for row, _ in found], [n for _, n in found], sexes, populations)


@pytest.fixture(scope="module")
def grown(thousand: Thousand, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """The cohort of all of them: slots by chance, people by chance, alone and in batches."""
    draw = np.random.default_rng(2504)
    cohort = Cohort.create(tmp_path_factory.mktemp("cohorts") / "thousand", "GRCh37", "research")
    coming = draw.permutation(len(thousand.rows)).tolist()
    alone = 0
    while coming:
        size = 1 if alone < 150 and draw.random() < 0.9 else int(draw.integers(2, 150))
        alone += size == 1
        some, coming = coming[:size], coming[size:]
        with cohort.repository.locked():
            add(cohort, [(s, str(thousand.populations[s]), thousand.rows[s]) for s in some])
    assert alone >= 100
    with cohort.repository.locked():
        tag(cohort, "all")
        remove(cohort, sorted(leavers(thousand)))
    return cohort


def leavers(thousand: Thousand) -> list[int]:
    """A hundred people who are to leave: drawn by chance, but the only carrier of some allele is among them."""
    single = [key for key in thousand.joint.alleles().values() if (thousand.joint.genotypes(key) == 1).sum() == 1][:10]
    first = {int(np.flatnonzero((thousand.joint.genotypes(key) == 1).any(1))[0]) for key in single}
    others = [int(s) for s in np.random.default_rng(100).permutation(len(thousand.rows)) if int(s) not in first]
    return [*first, *others[:100 - len(first)]]


def sites_of(ds: xr.Dataset) -> list[Site]:
    names = ds.contig_id.values
    return [(str(names[c]), p, ref, alt) for c, p, (ref, alt) in zip(
        ds.variant_contig.values, ds.variant_position.values.tolist(), ds.variant_allele.values.tolist(), strict=True)]


def compare(view: View, cohort: Cohort, joint: Joint, people: NDArray[np.int64], strata: NDArray[np.str_], passing: bool = False) -> int:
    """Hold a view against the joint file; the number of alleles. `strata`: the label of each sample of the file."""
    first, last = 0, int(cohort.genome.offsets[-1])
    truth = {key: found for key, at in joint.alleles(passing).items() if ((found := joint.genotypes(at))[people] == 1).any()}
    ds = genotypes(view, {int(s): joint.names[s] for s in people}, carried_keys(view, first, last))
    assert ds.sample_id.values.tolist() == [joint.names[s] for s in people]
    sites = sites_of(ds)
    assert len(set(sites)) == len(sites) and set(sites) == set(truth)
    expected = np.stack([truth[site][people] for site in sites])
    assert np.array_equal(ds.call_genotype.values, expected)
    found = frequencies(view, view.group.attrs["groups"], first, last)
    labels = [f"{group} {sex}" for group, sex in zip(found.stratum_group.values, found.stratum_sex.values, strict=True)]
    assert sites_of(found) == sites
    for i, label in enumerate(labels):
        here = expected[:, strata[people] == label]
        assert np.array_equal(found.variant_AC.values[:, i], (here == 1).sum((1, 2))), label
        assert np.array_equal(found.variant_AN.values[:, i], (here >= 0).sum((1, 2))), label
        assert np.array_equal(found.variant_homozygotes.values[:, i], (here == 1).all(2).sum(1)), label
        assert not found.variant_hemizygotes.values[:, i].any(), label
    assert set(strata[people].tolist()) <= set(labels)
    assert found.attrs["people"] == len(people)
    return len(sites)


def strata_of(thousand: Thousand) -> NDArray[np.str_]:
    sex = np.array(["unknown", "male", "female"])[thousand.sexes]
    return np.array([f"{p} {s}" for p, s in zip(thousand.populations, sex, strict=True)])


def test_each_delivery_is_what_one_person_differs_in(thousand: Thousand) -> None:
    carried = (thousand.joint.calls > 0).any(2).sum(0)
    assert len(thousand.rows) == 2504 and thousand.records == carried.tolist()
    assert len({row.base.identity for row in thousand.rows}) == 1 and all(len(row.events) == 0 for row in thousand.rows)


def test_the_grown_cohort_is_the_joint_file(thousand: Thousand, grown: Cohort) -> None:
    view, _ = grown.view("all")
    assert recount(view) == []
    assert compare(view, grown, thousand.joint, np.arange(2504), strata_of(thousand)) > 6000


def test_phase_is_kept_where_somebody_carries(thousand: Thousand, grown: Cohort) -> None:
    view, _ = grown.view("all")
    keys = carried_keys(view, *grown.genome.span(REGION))[::40]
    ds = genotypes(view, dict(enumerate(thousand.joint.names)), keys)
    carried = (ds.call_genotype.values == 1).any(2)
    assert ds.call_genotype_phased.values[carried].all() and carried.any()


def test_the_authors_own_counts(thousand: Thousand, grown: Cohort, shared_data: Path) -> None:
    """INFO/AC, AN and the frequencies of the five populations, as the project published them."""
    view, _ = grown.view("all")
    found = frequencies(view, view.group.attrs["groups"], 0, int(grown.genome.offsets[-1]))
    sites = {site: i for i, site in enumerate(sites_of(found))}
    groups, ac, an = found.stratum_group.values, found.variant_AC.values, found.variant_AN.values
    compared = 0
    with gzip.open(shared_data / "population" / "1kg_phase3_chr22_16.0-16.5Mb.vcf.gz", "rt") as file:
        for line in file:
            if line.startswith("#"):
                continue
            _, position, _, ref, alts, _, _, info, _ = line.split("\t", 8)
            fields = dict(f.split("=", 1) for f in info.split(";") if "=" in f)
            for number, alt in enumerate(alts.split(",")):
                i = sites.get(("22", *trimmed(int(position), ref, alt)))
                if i is None:
                    assert fields["AC"].split(",")[number] == "0"
                    continue
                assert (ac[i].sum(), an[i].sum()) == (int(fields["AC"].split(",")[number]), int(fields["AN"]))
                for population in ("EAS", "AMR", "AFR", "EUR", "SAS"):
                    these = groups == population
                    published = float(fields[f"{population}_AF"].split(",")[number])
                    assert ac[i, these].sum() / an[i, these].sum() == pytest.approx(published, abs=6e-5)
                compared += 1
    assert compared == len(sites)


def test_one_person_alone_has_their_own_alleles(thousand: Thousand, grown: Cohort) -> None:
    view, _ = grown.view()
    alleles = thousand.joint.alleles()
    gone = set(leavers(thousand))
    for slot in [int(s) for s in np.random.default_rng(1).permutation(2504) if int(s) not in gone][:20]:
        keys = keys_of_person(view, slot, 0, int(grown.genome.offsets[-1]))
        ds = genotypes(view, {slot: "X"}, keys)
        sites = dict(zip(sites_of(ds), ds.call_genotype.values[:, 0].tolist(), strict=True))
        assert sites == {key: call.tolist() for key, at in alleles.items() if 1 in (call := thousand.joint.genotypes(at)[slot])}


def test_without_a_hundred_people_it_is_the_joint_file_without_them(thousand: Thousand, grown: Cohort) -> None:
    view, _ = grown.view()
    gone = leavers(thousand)
    left = np.setdiff1d(np.arange(2504), gone)
    assert len(gone) == 100 and len(left) == 2404 and recount(view) == []
    here = compare(view, grown, thousand.joint, left, strata_of(thousand))
    before, _ = grown.view("all")
    assert here < len(carried_keys(before, 0, int(grown.genome.offsets[-1])))  # what only they carried went with them


def test_withdrawn_people_leave_the_counts_of_an_old_release_too(thousand: Thousand, grown: Cohort) -> None:
    gone = set(leavers(thousand)[:30])
    left = np.array([s for s in range(2504) if s not in gone])
    view, _ = grown.view("all", allowed=left.tolist())
    compare(view, grown, thousand.joint, left, strata_of(thousand))


def test_one_erased_person_leaves_no_trace(thousand: Thousand, grown: Cohort, tmp_path: Path) -> None:
    """In the head and in the release: with a search of our own through every decompressed file."""
    cohort = Cohort.open(shutil.copytree(grown.repository.path, tmp_path / "erased"))
    gone = leavers(thousand)
    carried = (thousand.joint.calls > 0).any(2)
    alone = carried[carried.sum(1) == 1].sum(0)  # records that nobody else differs in
    alone[gone] = 0
    slot, everybody = int(alone.argmax()), np.arange(len(thousand.rows))
    words = [row.words & ~np.uint64(63) for row in thousand.rows]
    private = np.setdiff1d(words[slot], np.concatenate(words[:slot] + words[slot + 1:]))
    texts = [t.encode() for k, t in thousand.rows[slot].texts.items() if k in private]
    assert len(private) >= 2
    assert len(traces_of(cohort.repository.path, private, texts)) >= 3  # the search finds what is there
    with cohort.repository.locked():
        done = scrub(cohort, [slot])
    assert done.renamed == {"all": "all.r1"} and done.traces == ()
    assert traces_of(cohort.repository.path, private, texts) == []
    view, _ = cohort.view("all.r1")
    assert recount(view) == []
    compare(view, cohort, thousand.joint, everybody[everybody != slot], strata_of(thousand))
    compare(cohort.view()[0], cohort, thousand.joint, np.setdiff1d(everybody, [*gone, slot]), strata_of(thousand))


def traces_of(folder: Path, keys: NDArray[np.uint64], texts: list[bytes]) -> list[str]:
    """Files in which a key stands as a 64-bit number, or a text, once they are decompressed."""
    found = []
    for file in folder.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            if file.parent.name == "chunks":
                data = bytes(blosc.decompress(data[:-4]))
            elif (start := data.find(b"\x28\xb5\x2f\xfd")) >= 0:
                data = bytes(zstd.decompress(data[start:]))
            if np.isin(np.frombuffer(data[:len(data) // 8 * 8], "<u8") & ~np.uint64(63), keys).any() or any(t in data for t in texts):
                found.append(file.name)
    return found


# The trio of Genome in a Bottle: no-calls, filtered records, indels that trim, other alleles at the same place.


@pytest.fixture(scope="module")
def trio(shared_data: Path, peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Joint, list[Row], list[Row]]:
    """The joint file, the rows of three deliveries of one person each, and the rows of the joint delivery."""
    folder = tmp_path_factory.mktemp("trio")
    vcf, bcftools = shared_data / "trio" / "ashk-trio.vcf.gz", peer("bcftools")
    joint, sexes = read_joint(vcf), [MALE, MALE, FEMALE]
    assert joint.names == ["HG002", "HG003", "HG004"]
    alone: list[Row] = []
    for name, sex in zip(joint.names, sexes, strict=True):
        one = folder / f"{name}.vcf"
        subprocess.run([bcftools, "view", "--no-version", "--no-update", "-s", name, "-o", str(one), str(vcf)], check=True)
        alone += rows_of(one, folder, [sex])
    return joint, alone, rows_of(vcf, folder, sexes)


def rows_of(vcf: Path, folder: Path, sexes: list[int]) -> list[Row]:
    analysis = ingest(vcf, folder / "analyses", build="GRCh37", workers=2)
    group = zarr.open_group(analysis.path, mode="r")
    return [row for row, _ in read_rows(group, Genome.of("GRCh37"), range(len(sexes)), sexes)]


@pytest.mark.parametrize("source", ["alone", "together"])
def test_the_trio_comes_back_with_its_no_calls(trio: tuple[Joint, list[Row], list[Row]], source: str, tmp_path: Path) -> None:
    joint, alone, together = trio
    rows = alone if source == "alone" else together
    cohort = Cohort.create(tmp_path / "trio", "GRCh37", "care")
    strata = np.array(["all male", "all male", "all female"])
    with cohort.repository.locked():
        for slot in (2, 0, 1):
            add(cohort, [(slot, "all", rows[slot])])
            assert recount(cohort.view()[0]) == []
    view, _ = cohort.view()
    assert compare(view, cohort, joint, np.arange(3), strata, passing=True) > 8000
    missing = [at for at in joint.alleles(passing=True).values() if (joint.genotypes(at) == -1).any()]
    assert missing  # the comparison has seen no-calls
    with cohort.repository.locked():
        remove(cohort, [0])
    view, _ = cohort.view()
    assert recount(view) == []
    compare(view, cohort, joint, np.array([1, 2]), strata, passing=True)
