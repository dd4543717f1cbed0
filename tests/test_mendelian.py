"""The Mendelian check against bcftools, and the compiled kernel against the plain rule."""

import itertools
import subprocess

import dask
import dask.array as da
import numpy as np
import pysam
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.reference import Region, region_class
from genomics_nb.rare.mendelian import (
    CONSISTENT, INCONSISTENT, NOT_ASSESSED, check_block, check_trio, mendelian_errors, mendelian_summary,
)
from genomics_nb.store.pedigree import read_ped

pysam.set_verbosity(0)
SEX = {"male": 1, "female": 2, "unknown": 0}
genotypes = st.sampled_from([(a, b) for a in (-1, 0, 1, 2) for b in (-2, -1, 0, 1, 2)] + [(-2, -2)])


@given(st.lists(st.tuples(genotypes, genotypes, genotypes), min_size=1, max_size=8), st.sampled_from(list(Region)),
       st.sampled_from(list(SEX)))
@settings(max_examples=300, deadline=None)
def test_the_kernel_is_the_plain_rule(sites, region, sex):
    block = np.array(sites, np.int8)
    fast = check_block(block, np.full(len(sites), region, np.uint8), np.array([[0, 1, 2, SEX[sex]]]))
    assert fast[:, 0].tolist() == [check_trio(*site, region, sex) for site in sites]


@given(genotypes, genotypes, st.sampled_from(list(Region)), st.sampled_from(list(SEX)))
@settings(max_examples=200, deadline=None)
def test_a_parent_without_data_is_a_parent_without_call(child, mother, region, sex):
    block = np.array([[child, mother]], np.int8)
    fast = check_block(block, np.array([region], np.uint8), np.array([[0, -1, 1, SEX[sex]]]))
    assert fast[0, 0] == check_trio(child, (-1, -1), mother, region, sex)


# ---- parity with bcftools -----------------------------------------------------------------------------------------------

def dataset_of(vcf, build):
    """Genotypes of a VCF by pysam, in the form of the store."""
    with pysam.VariantFile(str(vcf)) as file:
        records = list(file)
        samples, contigs = list(file.header.samples), list(file.header.contigs)
    block = np.full((len(records), len(samples), 2), -2, np.int8)
    for i, record in enumerate(records):
        for j, sample in enumerate(record.samples.values()):
            alleles = [-1 if a is None else a for a in sample["GT"]]
            block[i, j, :len(alleles)] = alleles
    return xr.Dataset({
        "call_genotype": (("variants", "samples", "ploidy"), block),
        "variant_contig": ("variants", [contigs.index(r.chrom) for r in records]),
        "variant_position": ("variants", np.array([r.pos for r in records], np.int32)),
        "contig_id": ("contigs", contigs), "sample_id": ("samples", samples)}, attrs={"genome_build": build})


def prepared(ds, sexes):
    """What bcftools must see: half calls missing, a male's X outside the PARs haploid (a heterozygote missing), no Y in women.

    It takes every diploid call of a child in the mitochondrion for an error, so those are written haploid too.
    """
    block = ds["call_genotype"].values.copy()
    region = region_class(ds["contig_id"].values.tolist(), ds["variant_contig"].values, ds["variant_position"].values,
                          ds.attrs["genome_build"])
    for i, j in itertools.product(range(block.shape[0]), range(block.shape[1])):
        a, b = block[i, j]
        sex = sexes[str(ds["sample_id"].values[j])]
        if -1 in (a, b):
            block[i, j] = -1
        elif region[i] == Region.MT or (region[i] in (Region.X_NONPAR, Region.Y_NONPAR) and sex == "male"):
            block[i, j] = (a, -2) if b in (a, -2) else (-1, -1)
        elif region[i] == Region.X_NONPAR and b == -2 or region[i] == Region.Y_NONPAR:
            block[i, j] = -1
    return block


def inconsistent_by_bcftools(program, ds, block, trio, folder):
    """Rows that bcftools +mendelian -m x lists."""
    contigs = ds["contig_id"].values.tolist()
    path = folder / "prepared.vcf"
    lines = ["##fileformat=VCFv4.2", '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">']
    lines += [f"##contig=<ID={c}>" for c in contigs]
    lines.append("\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *ds["sample_id"].values]))
    for i, calls in enumerate(block):
        texts = ["/".join("." if a == -1 else str(a) for a in call if a != -2) for call in calls]
        lines.append("\t".join([contigs[int(ds["variant_contig"][i])], str(int(ds["variant_position"][i])), f"row{i}",
                                "A", "C,G,T,CC,CCC,CCCC", ".", ".", ".", "GT", *texts]))
    path.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [program, "+mendelian", str(path), "-t", f"{trio.mother},{trio.father},{trio.child}", "-r", ds.attrs["genome_build"],
         "-m", "x"], capture_output=True, text=True, check=True)
    return {int(line.split("\t")[2][3:]) for line in done.stdout.splitlines() if not line.startswith("#")}


@pytest.mark.parametrize("vcf,ped,build", [
    ("trio/ashk-trio.vcf.gz", "trio/ashk-trio.ped", "GRCh37"),
    ("trio/scout_643594.clinical.vcf.gz", "trio/scout_643594.ped", "GRCh37"),
    ("bcftools/mendelian.vcf", "1 child1 dad1 mom1 1 2\n1 dad1 0 0 1 1\n1 mom1 0 0 2 1\n", "GRCh38"),
    ("bcftools/mendelian.vcf", "1 child1 dad1 mom1 2 2\n1 dad1 0 0 1 1\n1 mom1 0 0 2 1\n", "GRCh38"),
    ("inheritance/test.mendel.vcf", "inheritance/test.mendel.ped", "GRCh37"),
])
def test_inconsistent_sites_are_those_of_bcftools(shared_data, peer, tmp_path, vcf, ped, build):
    pedigree = read_ped(ped if "\n" in ped else shared_data / ped)
    ds = dataset_of(shared_data / vcf, build)
    [trio] = pedigree.trios(ds["sample_id"].values)
    block = prepared(ds, {m.id: m.sex for m in pedigree.members.values()} | dict.fromkeys(
        set(ds["sample_id"].values.tolist()) - set(pedigree.members), "unknown"))
    theirs = inconsistent_by_bcftools(peer("bcftools"), ds, block, trio, tmp_path)
    answers = mendelian_errors(ds, pedigree)["variant_mendelian"].values[:, 0]
    assert set(np.flatnonzero(answers == INCONSISTENT).tolist()) == theirs
    assert (answers != NOT_ASSESSED).sum() > 10


def test_as_many_errors_as_gemini_lists(shared_data):
    """Its command `mendel_errors ... | wc -l` answers 20: a header and 19 rows."""
    ds = dataset_of(shared_data / "inheritance/test.mendel.vcf", "GRCh37")
    summary = mendelian_summary(ds, read_ped(shared_data / "inheritance/test.mendel.ped"))
    assert summary["inconsistent"].tolist() == [19]


def test_every_combination_of_calls_agrees_with_bcftools(peer, tmp_path):
    calls = [(-1, -1), (0, 0), (0, 1), (1, 1), (1, 2), (0, -2), (1, -2), (-1, -2)]
    sites = list(itertools.product(calls, calls, calls))
    for contig, position, sex in (("1", 1, "male"), ("chrX", 3_000_000, "male"), ("chrX", 3_000_000, "female"),
                                  ("chrY", 3_000_000, "male"), ("chrX", 20_000, "male")):
        ds = xr.Dataset({
            "call_genotype": (("variants", "samples", "ploidy"), np.array(sites, np.int8)),
            "variant_contig": ("variants", np.zeros(len(sites), int)),
            "variant_position": ("variants", np.arange(position, position + len(sites), dtype=np.int32)),
            "contig_id": ("contigs", [contig]), "sample_id": ("samples", ["c", "d", "m"])}, attrs={"genome_build": "GRCh38"})
        pedigree = read_ped(f"F c d m {SEX[sex]} 2\nF d 0 0 1 1\nF m 0 0 2 1\n")
        block = prepared(ds, {"c": sex, "d": "male", "m": "female"})
        theirs = inconsistent_by_bcftools(peer("bcftools"), ds, block, pedigree.trios()[0], tmp_path)
        answers = mendelian_errors(ds.assign(call_genotype=(("variants", "samples", "ploidy"), block)), pedigree)
        ours = set(np.flatnonzero(answers["variant_mendelian"].values[:, 0] == INCONSISTENT).tolist())
        assert ours == theirs, (contig, sex, [sites[i] for i in ours ^ theirs][:5])


# ---- the dataset ---------------------------------------------------------------------------------------------------------

def small(chunks):
    rng = np.random.default_rng(2)
    block = rng.integers(-1, 2, (500, 4, 2)).astype(np.int8)
    return xr.Dataset({
        "call_genotype": (("variants", "samples", "ploidy"), da.from_array(block, chunks=(chunks, 2, 1))),
        "variant_contig": ("variants", da.from_array(np.sort(rng.integers(0, 2, 500)), chunks=chunks * 2)),
        "variant_position": ("variants", da.from_array(np.arange(1, 501, dtype=np.int32), chunks=77)),
        "contig_id": ("contigs", ["1", "X"]), "sample_id": ("samples", ["x", "c", "d", "m"])}, attrs={"genome_build": "GRCh38"})


def test_chunks_make_no_difference_and_nothing_is_computed_early():
    pedigree = read_ped("F c d m 1 2\nF x d m 2 1\nF d 0 0 1 1\nF m 0 0 2 1\n")
    lazy = mendelian_errors(small(64), pedigree)
    assert dask.is_dask_collection(lazy["variant_mendelian"].data)
    assert (lazy["variant_mendelian"].values == mendelian_errors(small(500), pedigree)["variant_mendelian"].values).all()
    assert lazy["trio_child"].values.tolist() == ["c", "x"]


def test_the_summary_counts_and_can_be_restricted():
    pedigree = read_ped("F c d m 1 2\nF d 0 0 1 1\nF m 0 0 2 1\n")
    ds = small(100)
    whole = mendelian_summary(ds, pedigree)
    answers = mendelian_errors(ds, pedigree)["variant_mendelian"].values[:, 0]
    assert whole.loc[0, ["consistent", "inconsistent", "not_assessed"]].tolist() == [
        int((answers == v).sum()) for v in (CONSISTENT, INCONSISTENT, NOT_ASSESSED)]
    half = xr.DataArray(np.arange(500) % 2 == 0, dims="variants")
    part = mendelian_summary(ds, pedigree, select=half)
    assert part.loc[0, ["consistent", "inconsistent", "not_assessed"]].sum() == 250


def test_one_parent_is_checked_and_nobody_gives_an_empty_table():
    ds = small(100)
    one = mendelian_summary(ds, read_ped("F c d gone 1 2\nF d 0 0 1 1\n"))
    assert one.loc[0, "mother"] == "" and one.loc[0, "inconsistent"] > 0
    assert len(mendelian_summary(ds, read_ped("F c 0 0 1 2\n"))) == 0


def test_a_trio_without_a_usable_call_has_no_rate():
    ds = small(100)
    ds["call_genotype"] = ds["call_genotype"] * 0 - 1
    summary = mendelian_summary(ds, read_ped("F c d m 1 2\n"))
    assert summary["rate"].isna().all() and summary["inconsistent"].sum() == 0
