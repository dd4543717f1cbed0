"""F against plink2, runs against their definition, and against PLINK 1.9 and bcftools where the definitions meet."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import array_api_strict
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from genomics_nb.core.kernels import implementation, kernel
from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.population.homozygosity import (
    RunLimits,
    find_runs,
    inbreeding,
    plot_inbreeding,
    plot_karyogram,
    plot_run_lengths,
    runs_of_homozygosity,
    runs_reference,
    runs_table,
)
from genomics_nb.population.planes import as_packed, pack_block, transpose

SLICE = Path("population") / "1kg_phase3_chr22_16.0-16.5Mb.vcf.gz"
TRIO = Path("trio") / "ashk-trio.vcf.gz"


def dataset(gt: NDArray[np.int8], position: NDArray[np.int64], contig: NDArray[np.int64], chunk: int = 10_000) -> xr.Dataset:
    alleles = np.tile(np.array(["A", "G"], object), (len(gt), 1))
    return xr.Dataset(
        {"call_genotype": (("variants", "samples", "ploidy"), gt), "variant_position": ("variants", position),
         "variant_contig": ("variants", contig), "variant_allele": (("variants", "alleles"), alleles),
         "contig_id": ("contigs", np.array(["1", "2", "X"], object)),
         "sample_id": ("samples", np.array([f"P{i}" for i in range(gt.shape[1])], object))},
        attrs={"genome_build": "GRCh37"}).chunk(variants=chunk)


def write_vcf(ds: xr.Dataset, path: Path) -> Path:
    names = ds["contig_id"].values
    lines = ["##fileformat=VCFv4.2", *(f"##contig=<ID={c},length=200000000>" for c in names),
             '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
             "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *ds["sample_id"].values])]
    gt = ds["call_genotype"].values
    for v, (c, p) in enumerate(zip(ds["variant_contig"].values, ds["variant_position"].values, strict=True)):
        calls = ["./." if min(a, b) < 0 else f"{a}/{b}" for a, b in gt[v]]
        lines.append("\t".join([names[c], str(p), f"v{v}", "A", "G", ".", "PASS", ".", "GT", *calls]))
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# F


@pytest.mark.parametrize(("file", "unbiased"), [(SLICE, True), (SLICE, False), (TRIO, True), (TRIO, False)])
def test_f_is_that_of_plink2(file: Path, unbiased: bool, stored: Callable[..., xr.Dataset], shared_data: Path,
                             peer: Callable[[str], str], tmp_path: Path) -> None:
    plink2 = peer("plink2")
    biallelic = ["--max-alleles", "2", "--bad-freqs", "--autosome"]
    run(plink2, "--vcf", shared_data / file, "--vcf-half-call", "m", *biallelic, "--het", *["small-sample"] * unbiased,
        "cols=+hom,+het,+nobs,+f", "--out", tmp_path / "x")
    theirs = pd.read_csv(tmp_path / "x.het", sep="\t").set_index("#IID")
    packed = as_packed(stored(shared_data / file, "GRCh37"))
    times = np.bincount(packed["variant_source"].values, minlength=packed.sizes["variants"])
    ours = inbreeding(packed, select=times[packed["variant_source"].values] == 1, unbiased=unbiased)
    assert ours["sample_id"].values.tolist() == theirs.index.astype(str).tolist()
    assert ours["sample_n_sites"].values.tolist() == theirs["OBS_CT"].tolist()
    assert ours["sample_n_hom"].values.tolist() == theirs["O(HOM)"].tolist()
    np.testing.assert_allclose(ours["sample_expected_hom"], theirs["E(HOM)"], rtol=2e-6)
    np.testing.assert_allclose(ours["sample_f"], theirs["F"], rtol=2e-5, atol=2e-5)


def some_planes(seed: int, rows: int = 90, samples: int = 67) -> NDArray[np.uint64]:
    rng = np.random.default_rng(seed)
    gt = (rng.random((rows, samples, 2)) < rng.choice([0, 0.01, 0.4, 1], rows)[:, None, None]).astype(np.int8)
    gt[rng.random((rows, samples)) < 0.1] = -1
    gt[3] = -1  # nobody is called
    return pack_block(gt)


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_the_three_kernels_of_f_agree(unbiased: bool, known: bool) -> None:
    planes = some_planes(1)
    given_frequency = np.random.default_rng(2).choice([0.0, 0.2, 0.7, 1.0], len(planes)) if known else None
    expected = implementation("homozygosity_sums", "reference")(planes, 67, given_frequency, unbiased)
    np.testing.assert_allclose(kernel("homozygosity_sums")(planes, 67, given_frequency, unbiased), expected, rtol=1e-12)
    strict = None if given_frequency is None else array_api_strict.asarray(given_frequency)
    twin = kernel("homozygosity_sums")(array_api_strict.asarray(planes), 67, strict, unbiased)
    np.testing.assert_allclose(np.from_dlpack(twin), expected, rtol=1e-12)


def test_sex_chromosomes_and_unselected_rows_do_not_count() -> None:
    rng = np.random.default_rng(3)
    gt = rng.integers(0, 2, (300, 20, 2)).astype(np.int8)
    contig = np.repeat([0, 1, 2], 100)
    ds = dataset(gt, np.tile(np.arange(1, 101) * 3_000_000 % 150_000_000 + 5_000_000, 3), contig, chunk=37)
    whole = inbreeding(ds)
    assert set(whole["sample_n_sites"].values.tolist()) == {200}
    first = inbreeding(ds, select=contig == 0)
    xr.testing.assert_allclose(first, inbreeding(dataset(gt[:100], ds["variant_position"].values[:100], contig[:100])))
    with pytest.raises(ParameterError, match="rows"):
        inbreeding(ds, select=np.ones(7, bool))


def test_without_informative_sites_f_is_unknown() -> None:
    found = inbreeding(dataset(np.zeros((5, 3, 2), np.int8), np.arange(1, 6), np.zeros(5, np.int64)))
    assert np.isnan(found["sample_f"].values).all() and found["sample_n_sites"].values.tolist() == [0, 0, 0]


# Runs


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), block=st.sampled_from([1, 5, 63, 64, 65, 300]), hets=st.integers(0, 3),
       missing=st.integers(0, 3), sites=st.integers(1, 12), length=st.integers(1, 60), spacing=st.integers(2, 12))
def test_runs_follow_the_definition_whatever_the_blocks(seed: int, block: int, hets: int, missing: int, sites: int, length: int,
                                                        spacing: int) -> None:
    rng = np.random.default_rng(seed)
    limits = RunLimits(length, sites, int(rng.integers(3, 20)), spacing, hets, missing)
    codes = np.array([[0, 0], [1, 1], [0, 1], [-1, -1]], np.int8)
    gt = rng.choice(codes, (170, 66), p=[0.45, 0.35, 0.1, 0.1])
    position = np.cumsum(rng.integers(0, 12, 170)).astype(np.int64)
    contig = np.sort(rng.integers(0, 2, 170))
    starts = np.r_[True, (np.diff(contig) != 0) | (np.diff(position) > limits.gap)]
    parts = [gt[at:at + block] for at in range(0, 170, block)]
    bits = (transpose(pack_block(part), 66) for part in parts)
    found = find_runs(bits, [len(part) for part in parts], position, starts, 66, limits)
    copies = np.where((gt < 0).any(-1), -1, gt.sum(-1))
    expected = [(p, *one) for p in range(66) for one in runs_reference(copies[:, p], position, contig, limits)]
    assert [tuple(row) for row in found.tolist()] == expected


def planted(error: float, seed: int = 5) -> tuple[xr.Dataset, list[tuple[int, int, float, float]]]:
    """People with random pairs of copies, and stretches where both are one; with genotyping errors if told."""
    rng = np.random.default_rng(seed)
    sites = 6000
    position = np.concatenate([np.sort(rng.choice(60_000_000, sites // 2, replace=False) + 1) for _ in range(2)])
    contig = np.repeat([0, 1], sites // 2)
    gt = (rng.random((sites, 60, 2)) < rng.uniform(0.2, 0.8, sites)[:, None, None]).astype(np.int8)
    where = [(0, 0, 5e6, 30e6), (1, 1, 40e6, 52e6), (2, 0, 1.0, 9e6), (2, 1, 20e6, 26e6), (3, 1, 50e6, 61e6)]
    for person, chromosome, begin, end in where:
        inside = (contig == chromosome) & (position >= begin) & (position < end)
        gt[inside, person, 1] = gt[inside, person, 0]
    wrong = rng.random(gt.shape[:2]) < error
    gt[wrong] = -1
    return dataset(gt, position, contig, chunk=1000), where


def test_runs_are_those_of_plink_19_where_the_definitions_meet(peer: Callable[[str], str], tmp_path: Path) -> None:
    """No heterozygote and no missing call in a window of as many sites as the shortest run, and any window counts."""
    plink = peer("plink1.9")
    ds, _ = planted(0.0)
    run(plink, "--vcf", write_vcf(ds, tmp_path / "x.vcf"), "--double-id", "--homozyg", "--homozyg-window-snp", 12,
        "--homozyg-window-het", 0, "--homozyg-window-missing", 0, "--homozyg-window-threshold", 0.001, "--homozyg-snp", 12,
        "--homozyg-kb", 100, "--homozyg-gap", 200, "--homozyg-density", 25, "--homozyg-het", 0, "--out", tmp_path / "x")
    theirs = pd.read_csv(tmp_path / "x.hom", sep=r"\s+")
    limits = RunLimits(length=100_000, sites=12, gap=200_000, spacing=25_000, hets=0, missing=0)
    ours = runs_table(runs_of_homozygosity(ds, limits=limits))
    assert len(ours) > 10
    mine = set(zip(ours["sample"], ours["contig"].astype(int), ours["start"], ours["end"], ours["sites"], strict=True))
    assert mine == set(zip(theirs["IID"], theirs["CHR"], theirs["POS1"], theirs["POS2"], theirs["NSNP"], strict=True))


def test_bcftools_roh_finds_the_same_long_runs_with_other_ends(peer: Callable[[str], str], tmp_path: Path) -> None:
    bcftools = peer("bcftools")
    ds, where = planted(0.002)
    vcf = write_vcf(ds, tmp_path / "x.vcf")
    # a genetic map of 1 cM/Mb and errors of phred 30
    done = subprocess.run([bcftools, "roh", "-G30", "-M1e-8", "--estimate-AF", "-", "-Or", str(vcf)], capture_output=True,
                          text=True, check=True)
    theirs = [line.split("\t") for line in done.stdout.splitlines() if line.startswith("RG")]
    long = {(name, chromosome, int(begin) // 1_000_000, int(end) // 1_000_000)
            for _, name, chromosome, begin, end, length, *_ in theirs if int(length) > 5_000_000}
    ours = runs_table(runs_of_homozygosity(ds, limits=RunLimits(length=5_000_000)))
    assert len(long) == len(ours) == len(where)
    for name, chromosome, begin, end in long:
        mine = ours[(ours["sample"] == name) & (ours["contig"] == chromosome)]
        assert (abs(mine["start"] / 1e6 - begin) < 1.5).any() and (abs(mine["end"] / 1e6 - end) < 1.5).any()


def test_froh_is_the_planted_share_of_what_was_covered_and_chunks_do_not_matter() -> None:
    ds, where = planted(0.0)
    roh = runs_of_homozygosity(ds)
    assert 115e6 < roh.attrs["covered"] < 120e6
    total = np.bincount([w[0] for w in where], [min(w[3], 60e6) - w[2] for w in where], 60)
    np.testing.assert_allclose(roh["sample_froh"], total / roh.attrs["covered"], atol=0.01)
    xr.testing.assert_identical(roh, runs_of_homozygosity(ds.chunk(variants=333)))
    xr.testing.assert_identical(roh, runs_of_homozygosity(as_packed(ds)))


def test_an_error_does_not_cut_a_long_run_and_limits_are_kept() -> None:
    ds, _ = planted(0.0)
    gt = ds["call_genotype"].values.copy()
    inside = np.flatnonzero((ds["variant_contig"].values == 0) & (ds["variant_position"].values > 17e6))[0]
    gt[inside, 0] = [0, 1]
    with_error = ds.assign(call_genotype=(("variants", "samples", "ploidy"), gt)).chunk(variants=1000)
    one = runs_table(runs_of_homozygosity(with_error, limits=RunLimits(hets=1))).query("sample == 'P0'")
    none = runs_table(runs_of_homozygosity(with_error, limits=RunLimits(hets=0))).query("sample == 'P0'")
    assert len(one) == 1 and one["het"].item() == 1 and one["length"].item() > 24e6 and len(none) == 2
    assert runs_of_homozygosity(with_error, limits=RunLimits(spacing=1)).sizes["runs"] == 0


def test_positions_out_of_order_are_refused_and_sex_chromosomes_hold_no_runs() -> None:
    gt, contig = np.zeros((200, 2, 2), np.int8), np.zeros(200, np.int64)
    position = np.arange(1, 201) * 10_000
    limits = RunLimits(sites=50)
    assert runs_of_homozygosity(dataset(gt, position, contig), limits=limits).sizes["runs"] == 2
    assert runs_of_homozygosity(dataset(gt, position, contig + 2), limits=limits).sizes["runs"] == 0
    assert np.isnan(runs_of_homozygosity(dataset(gt, position, contig + 2))["sample_froh"].values).all()
    with pytest.raises(InputError, match="stands behind"):
        runs_of_homozygosity(dataset(gt, position[::-1].copy(), contig))
    with pytest.raises(ParameterError, match="too small"):
        RunLimits(sites=0)


def test_plots_say_their_units_in_two_languages() -> None:
    ds, _ = planted(0.0)
    roh, f = runs_of_homozygosity(ds), inbreeding(ds)
    groups = ["a", "b", "c"] * 20
    for lang, unit in (("en", "Sum of runs (Mb)"), ("fr", "Somme des segments (Mb)")):
        assert unit in plot_run_lengths(roh, groups, lang=lang).axes[0].get_ylabel()  # type: ignore[arg-type]
    assert [t.get_text() for t in plot_inbreeding(f, groups).axes[0].get_xticklabels()] == ["a", "b", "c"]
    assert len(plot_karyogram(roh, "P2").axes[0].patches) == 2 + 2  # two chromosomes, two runs
    with pytest.raises(InputError, match="not among"):
        plot_karyogram(roh, "nobody")
    with pytest.raises(ParameterError, match="labels"):
        plot_inbreeding(f, ["a"])
