"""Counts of people and variants against plink2 and bcftools, and missingness by platform against the exact test."""

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

from genomics_nb.core.reference import Region
from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.population.cohort_qc import (
    CLASSES,
    _count_block,
    cohort_qc,
    plot_by_group,
    plot_platform_missingness,
    plot_variant_call_rate,
    platform_test,
    platform_test_reference,
    variant_reads,
    with_sex_and_reads,
)
from genomics_nb.population.norms import (
    Norm,
    failures,
    judge,
    kept_samples,
    norms_table,
    plot_samples,
    with_declared_sex,
)
from genomics_nb.population.planes import as_packed, group_masks, pack_block, unpack_reference
from genomics_nb.population.qc import sample_qc

SLICE = Path("population") / "1kg_phase3_chr22_16.0-16.5Mb.vcf.gz"
TRIO = Path("trio") / "ashk-trio.vcf.gz"


def run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def biallelic(ds: xr.Dataset) -> xr.Dataset:
    """The packed rows of sites with one ALT."""
    packed = as_packed(ds)
    source = packed["variant_source"].values
    return packed.isel(variants=np.flatnonzero(np.bincount(source)[source] == 1))


@pytest.mark.parametrize("file", [SLICE, TRIO])
def test_missingness_is_that_of_plink2(file: Path, stored: Callable[..., xr.Dataset], shared_data: Path,
                                       peer: Callable[[str], str], tmp_path: Path) -> None:
    run(peer("plink2"), "--vcf", shared_data / file, "--vcf-half-call", "m", "--max-alleles", 2, "--missing", "--out", tmp_path / "x")
    people = pd.read_csv(tmp_path / "x.smiss", sep="\t")
    variants = pd.read_csv(tmp_path / "x.vmiss", sep="\t")
    ours = cohort_qc(biallelic(stored(shared_data / file, "GRCh37")))
    assert ours["sample_id"].values.tolist() == people["#IID"].tolist()
    assert ours["sample_n_missing"].values.tolist() == people["MISSING_CT"].tolist()
    np.testing.assert_allclose(1 - ours["sample_call_rate"], people["F_MISS"], atol=1e-6)
    assert ours["variant_genotype_count"].values[:, 3].tolist() == variants["MISSING_CT"].tolist()
    np.testing.assert_allclose(1 - ours["variant_call_rate"], variants["F_MISS"], atol=1e-6)


@pytest.mark.parametrize("file", [SLICE, TRIO])
def test_heterozygotes_singletons_and_ti_tv_are_those_of_bcftools(file: Path, stored: Callable[..., xr.Dataset], shared_data: Path,
                                                                  peer: Callable[[str], str], tmp_path: Path) -> None:
    bcftools = peer("bcftools")
    some = tmp_path / "x.bcf"
    run(bcftools, "view", "-m2", "-M2", "-v", "snps", "-Ou", "-o", some, shared_data / file)
    rows = [line.split("\t") for line in run(bcftools, "stats", "-s", "-", some).splitlines() if line.startswith("PSC\t")]
    theirs = pd.DataFrame([r[2:] for r in rows], columns=["sample", "hom_ref", "hom_alt", "het", "ti", "tv", "indels", "depth",
                                                          "singletons", "hap_ref", "hap_alt", "missing"])
    packed = biallelic(stored(shared_data / file, "GRCh37"))
    texts = packed["variant_allele"].values.astype(str)
    ours = cohort_qc(packed.isel(variants=np.flatnonzero((np.char.str_len(texts) == 1).all(1) & (texts[:, 1] != "*"))))
    assert ours["sample_id"].values.tolist() == theirs["sample"].tolist()
    for name, column in (("n_het", "het"), ("n_hom_alt", "hom_alt"), ("n_transition", "ti"), ("n_transversion", "tv"),
                         ("n_singleton", "singletons"), ("n_missing", "missing")):
        assert ours[f"sample_{name}"].values.tolist() == theirs[column].astype(int).tolist(), name


def test_genotypes_give_the_call_rates_that_reads_give(stored: Callable[..., xr.Dataset], synthetic: Path) -> None:
    """On the synthetic family: what 01_qc counts from calls and 08 from planes, with X, Y and no multi-allelic site."""
    ds = stored(synthetic / "family.vcf.gz", "GRCh38")
    single = np.flatnonzero((ds["variant_allele"].values != "").sum(1) == 2)
    reads = sample_qc(ds.isel(variants=single)).load()
    ours = with_sex_and_reads(cohort_qc(ds.isel(variants=single)), reads)
    by_reads = with_sex_and_reads(cohort_qc(ds.isel(variants=single)))
    assert ours["sample_sex"].values.tolist() == by_reads["sample_sex"].values.tolist() == ["XY", "XY", "XX"]
    np.testing.assert_allclose(ours["sample_mean_depth"], reads["sample_mean_depth"])
    np.testing.assert_allclose(ours["sample_call_rate"], reads["sample_call_rate"], atol=0.002)  # half calls on PAR
    assert np.isnan(ours["sample_y_x_het_share"].values[2]) and (ours["sample_y_x_het_share"].values[:2] < 0.1).all()
    with pytest.raises(ParameterError, match="other people"):
        with_sex_and_reads(ours, reads.isel(samples=[1, 0, 2]))
    means = variant_reads(ds)
    depth = ds["call_DP"].values.astype(float)
    expected = np.where(depth >= 0, depth, np.nan)
    source = as_packed(ds)["variant_source"].values
    np.testing.assert_allclose(means["variant_mean_depth"], np.nanmean(expected, axis=1)[source])


def example(seed: int = 1, rows: int = 300, samples: int = 90, chunk: int = 77) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    gt = (rng.random((rows, samples, 2)) < rng.choice([0, 0.006, 0.3, 1], rows)[:, None, None]).astype(np.int8)
    gt[rng.random((rows, samples)) < 0.1] = -1
    contig = np.sort(rng.integers(0, 4, rows))
    position = 5_000_000 + 1000 * np.arange(rows)
    alleles = rng.choice(np.array([["A", "G"], ["C", "T"], ["A", "C"], ["A", "AT"]], object), rows)
    return xr.Dataset(
        {"call_genotype": (("variants", "samples", "ploidy"), gt), "variant_position": ("variants", position),
         "variant_contig": ("variants", contig), "variant_allele": (("variants", "alleles"), alleles),
         "contig_id": ("contigs", np.array(["1", "X", "Y", "MT"], object)),
         "sample_id": ("samples", np.array([f"P{i}" for i in range(samples)], object))},
        attrs={"genome_build": "GRCh38"}).chunk(variants=chunk)


def test_neither_chunks_nor_packing_nor_an_order_of_people_change_the_measures() -> None:
    ds, platform = example(), np.array(["a", "b", "b"] * 30)
    whole = cohort_qc(ds, platform=platform)
    xr.testing.assert_identical(whole, cohort_qc(as_packed(ds.chunk(variants=300)), platform=platform))
    order = np.random.default_rng(2).permutation(90)
    turned = cohort_qc(ds.isel(samples=order), platform=platform[order])
    for name in whole.data_vars:
        if str(name).startswith("sample_"):
            assert turned[name].values.tolist() == pytest.approx(whole[name].values[order].tolist(), nan_ok=True) \
                if whole[name].dtype.kind == "f" else (turned[name].values == whole[name].values[order]).all()
    np.testing.assert_array_equal(turned["variant_platform_p"], whole["variant_platform_p"])


def test_the_array_twin_counts_the_same() -> None:
    rng = np.random.default_rng(4)
    planes = pack_block(np.moveaxis(np.stack([unpack_reference(as_packed(example())["call_genotype_planes"].values, 90)] * 2), 0, -1)
                        .clip(-1, 1))
    classes, (_, masks) = rng.integers(0, CLASSES, len(planes)).astype(np.uint8), group_masks(["a", "b", "c"] * 30)
    expected = _count_block(planes, classes, masks, 90)
    strict = [array_api_strict.asarray(x) for x in (planes, classes, masks)]
    for ours, theirs in zip(expected, _count_block(*strict, 90), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_y_counts_for_no_call_rate_and_is_not_compared_between_platforms() -> None:
    ds = example()
    qc = cohort_qc(ds, platform=["a"] * 45 + ["b"] * 45)
    on_y = qc["variant_region"].values == Region.Y_NONPAR
    assert np.isnan(qc["variant_call_rate"].values[on_y]).all() and np.isnan(qc["variant_platform_p"].values[on_y]).all()
    assert np.isfinite(qc["variant_call_rate"].values[~on_y]).all()
    assert (qc["sample_n_called"] + qc["sample_n_missing"] == (~on_y).sum()).all()
    assert (qc["sample_y_sites"] <= on_y.sum()).all()


# Platforms

tables = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=2, max_size=4)


@settings(max_examples=300, deadline=None)
@given(tables)
def test_the_exact_test_is_its_definition(table: list[tuple[int, int]]) -> None:
    people = np.array([size for _, size in table])
    missing = np.array([[min(seen, size) for seen, size in table]])
    np.testing.assert_allclose(platform_test(missing, people), platform_test_reference(missing, people), rtol=1e-7)


def test_two_platforms_are_fishers_exact_test() -> None:
    from scipy.stats import fisher_exact

    rng = np.random.default_rng(6)
    missing = rng.binomial([1500, 1004], [[0.02, 0.03]] * 50)
    missing[-1] = [700, 20]
    expected = [fisher_exact([[a, 1500 - a], [b, 1004 - b]]).pvalue for a, b in missing]
    np.testing.assert_allclose(platform_test(missing, np.array([1500, 1004])), expected, rtol=1e-7)


def test_platforms_are_those_of_plink_19(peer: Callable[[str], str], tmp_path: Path) -> None:
    plink = peer("plink1.9")
    ds = example(rows=400)
    ds = ds.isel(variants=np.flatnonzero(ds["variant_contig"].values == 0))
    names, gt = ds["sample_id"].values, ds["call_genotype"].values
    lines = ["##fileformat=VCFv4.2", "##contig=<ID=1>", "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO",
                                                                  "FORMAT", *names])]
    for v in range(len(gt)):
        calls = ["./." if min(a, b) < 0 else f"{a}/{b}" for a, b in gt[v]]
        lines.append("\t".join(["1", str(ds["variant_position"].values[v]), f"v{v}", "A", "G", ".", ".", ".", "GT", *calls]))
    (tmp_path / "x.vcf").write_text("\n".join(lines) + "\n")
    platform = np.array(["a", "b", "b"] * 30)
    (tmp_path / "x.pheno").write_text("".join(f"{n}\t{n}\t{1 + (p == 'b')}\n" for n, p in zip(names, platform, strict=True)))
    run(plink, "--vcf", tmp_path / "x.vcf", "--double-id", "--pheno", tmp_path / "x.pheno", "--test-missing", "--allow-no-sex",
        "--out", tmp_path / "x")
    theirs = pd.read_csv(tmp_path / "x.missing", sep=r"\s+").set_index("SNP")["P"]
    ours = pd.Series(cohort_qc(ds, platform=platform)["variant_platform_p"].values, [f"v{v}" for v in range(len(gt))])
    assert len(theirs) > 50
    np.testing.assert_allclose(ours[theirs.index], theirs, rtol=1e-3)


def test_a_very_small_p_is_small_and_one_platform_is_no_comparison() -> None:
    p = platform_test(np.array([[0, 1000], [500, 500], [0, 0], [1000, 1000]]), np.array([1000, 1000]))
    assert p[0] < 1e-250 and p[1] == pytest.approx(1) and p[2:].tolist() == [1, 1]
    assert platform_test(np.array([[3]]), np.array([7])).tolist() == [1]
    assert "variant_platform_p" not in cohort_qc(example(), platform=["a"] * 90)
    with pytest.raises(ParameterError, match="platforms"):
        plot_platform_missingness(cohort_qc(example()))


def test_wrong_labels_are_refused() -> None:
    with pytest.raises(ParameterError, match="3 platforms for 90 samples"):
        cohort_qc(example(), platform=["a", "b", "c"])
    with pytest.raises(InputError, match="sample_platform"):
        cohort_qc(example(), platform="sample_platform")


def test_nobody_and_nothing_give_no_numbers() -> None:
    none = cohort_qc(example().isel(variants=slice(0)))
    assert none.sizes["variants"] == 0 and np.isnan(none["sample_call_rate"].values).all()


def test_plots_speak_two_languages() -> None:
    ds = example()
    platform: NDArray[np.str_] = np.array(["a", "b", "b"] * 30)
    qc = cohort_qc(ds, platform=platform)
    assert "Taux d’appel" in plot_by_group(qc, "sample_call_rate", platform, lang="fr").axes[0].get_ylabel()
    assert len(plot_variant_call_rate(qc, 0.95).axes[0].lines) == 4  # everybody, two platforms, the limit
    assert "seuil 1e-05" in plot_platform_missingness(qc, 1e-5, lang="fr").axes[0].texts[0].get_text()


# Norms


def measures(seed: int = 1) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    return xr.Dataset({
        "sample_id": ("samples", np.array([f"P{i}" for i in range(60)], object)),
        "sample_call_rate": ("samples", np.r_[0.9, np.nan, rng.uniform(0.98, 1, 58)]),
        "sample_het_rate": ("samples", np.r_[0.3, 0.5, rng.normal(0.3, 0.01, 58)]),
        "sample_n_singleton": ("samples", np.r_[30, rng.integers(0, 4, 59)]),
        "variant_call_rate": ("variants", np.r_[0.94, 0.95, np.nan, np.ones(7)])})


def test_each_verdict_names_its_norm_and_unknown_is_neither_pass_nor_failure() -> None:
    qc = measures()
    judged = judge(qc)
    assert judged["sample_keep"].values.tolist() == [False, False] + [True] * 58
    assert judged["variant_keep"].values.tolist() == [False] + [True] * 9  # 0.95 itself passes
    found = failures(qc, judged)
    assert list(zip(found["name"], found["norm"], found["verdict"], strict=True)) == [
        ("P0", "sample_call_rate", "low"), ("P0", "sample_n_singleton", "high"), ("P1", "sample_het_rate", "high")]
    assert found["value"].tolist()[0] == 0.9 and found["low"].tolist()[0] == 0.97
    assert failures(qc, judged, of="variant")["name"].tolist() == ["0"]
    assert kept_samples(judged) == [f"P{i}" for i in range(2, 60)]
    table = norms_table(judged).set_index("norm")
    assert table.loc["sample_call_rate", ["assessed", "failed"]].tolist() == [59, 1]
    assert table.loc["sample_mean_depth", ["assessed", "failed"]].tolist() == [0, 0]  # there are no reads
    assert table["source"].str.len().gt(3).all() and norms_table(judged, lang="fr")["text"].str.contains("taux").any()


def test_limits_from_the_cohort_need_a_cohort() -> None:
    norm = Norm("sample_ti_tv", mads_below=4, mads_above=4, low=0)
    assert np.isnan(norm.limits(np.arange(10.0))).all() and np.isnan(norm.limits(np.ones(100))).all()
    low, high = norm.limits(np.r_[np.linspace(1, 3, 99), 1e6])  # one outlier makes no room for itself
    assert 0 <= low < 1 and 3 < high < 6
    few = judge(measures().isel(samples=slice(10)))
    assert norms_table(few).set_index("norm").loc["sample_het_rate", "assessed"] == 0
    with pytest.raises(ParameterError, match="a norm of run_length"):
        judge(measures(), [Norm("run_length")])


def test_a_sex_that_disagrees_is_a_failed_norm() -> None:
    qc = measures().assign(sample_sex=("samples", np.array(["XX", "XY", "undetermined"] * 20, object)),
                           sample_sex_reason=("samples", np.array([""] * 60, object)))
    found = with_declared_sex(qc, {"P0": "female", "P1": "2", "P2": "male", "P3": "unknown"})["sample_sex_conflict"].values
    assert found[:6].tolist() == pytest.approx([0, 1, 1, np.nan, np.nan, 1], nan_ok=True)


def test_what_was_planted_in_the_synthetic_population_is_found(repo: Path) -> None:
    """Contaminated, swapped and badly called samples, and most artefacts of a platform; and nobody else."""
    from genomics_nb.population.hwe import hardy_weinberg
    from genomics_nb.store.public import open_public

    folder = repo / "data" / "popgen"
    ds = open_public(folder / "population.vcf.gz")
    people = pd.read_csv(folder / "people.tsv", sep="\t").set_index("sample").loc[ds["sample_id"].values]
    truth = pd.read_csv(folder / "truth.tsv", sep="\t")
    packed = as_packed(ds)
    qc = with_declared_sex(with_sex_and_reads(cohort_qc(packed, platform=people["platform"].values)), people["sex"].to_dict())
    qc = qc.assign(variant_hwe_p=hardy_weinberg(qc)["variant_hwe_p"])
    judged = judge(qc)
    found = failures(qc, judged)
    for kind, norm in (("contaminated", "sample_het_rate"), ("sex_swap", "sample_sex_conflict"), ("low_call_rate", "sample_call_rate")):
        assert set(found.loc[found["norm"] == norm, "name"]) == set(truth.loc[truth["kind"] == kind, "what"]), kind
    contig = packed["contig_id"].values[packed["variant_contig"].values]
    where = np.array([f"{c}:{p}" for c, p in zip(contig, packed["variant_position"].values, strict=True)])
    artefact = np.isin(where, truth.loc[truth["kind"] == "platform_artefact", "what"])
    column = judged["variant_norm"].values.tolist().index("variant_platform_het_p")
    failed = judged["variant_verdict"].values[:, column] > 0
    assert artefact.sum() == 40 and (failed & artefact).sum() >= 28 and not (failed & ~artefact).any()


def test_the_picture_of_samples_marks_who_fails() -> None:
    qc = measures()
    ax = plot_samples(qc, judge(qc), lang="fr").axes[0]
    assert "Taux d’appel (%)" in ax.get_xlabel() and {t.get_text() for t in ax.texts} >= {"P0"}
