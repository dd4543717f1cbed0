"""Fst and diversity are those of scikit-allel and of the definition, and each says how sure it is."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from types import ModuleType

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.population.differentiation import (
    allele_counts_by_group,
    fst_hudson,
    hudson_parts,
    hudson_reference,
    jackknife_ratio,
    plot_diversity,
    plot_fst,
    windowed_diversity,
)


def cohort_of(rows: int = 1200, sizes: tuple[int, ...] = (30, 25, 20), missing: float = 0.03, seed: int = 1,
              ) -> tuple[xr.Dataset, np.ndarray, np.ndarray]:
    """A dataset on two chromosomes, its calls, and the group of each person."""
    rng = np.random.default_rng(seed)
    ancestral = rng.uniform(0.02, 0.6, rows)
    groups = [rng.beta(ancestral * 20, (1 - ancestral) * 20) for _ in sizes]
    gt = np.concatenate([rng.random((rows, n, 2)) < p[:, None, None] for p, n in zip(groups, sizes, strict=True)], axis=1)
    gt = gt.astype(np.int8)
    gt[rng.random(gt.shape[:2]) < missing] = -1
    position = np.concatenate([np.sort(rng.choice(200_000, rows // 2, replace=False)) + 1 for _ in range(2)])
    ds = xr.Dataset({
        "call_genotype": (("variants", "samples", "ploidy"), da.from_array(gt, chunks=(500, -1, -1))),
        "variant_contig": ("variants", np.repeat([0, 1], rows // 2)), "variant_position": ("variants", position),
        "variant_allele": (("variants", "alleles"), np.tile(np.array(["C", "A"], object), (rows, 1))),
        "contig_id": ("contigs", np.array(["1", "2"], object)),
        "sample_id": ("samples", np.array([f"s{i}" for i in range(gt.shape[1])], object))}, attrs={"genome_build": "GRCh37"})
    return ds, gt, np.repeat(["x", "y", "z"][:len(sizes)], sizes)


@given(st.lists(st.integers(0, 1), min_size=2, max_size=12), st.lists(st.integers(0, 1), min_size=2, max_size=12))
def test_counts_give_what_pairs_of_alleles_give(one: list[int], two: list[int]) -> None:
    counts = [np.array([[alleles.count(0), alleles.count(1)]]) for alleles in (one, two)]
    assert np.allclose([part[0] for part in hudson_parts(*counts)], hudson_reference(one, two))


def test_fst_and_its_error_are_those_of_scikit_allel(peer_module: Callable[[str], ModuleType]) -> None:
    allel = peer_module("allel")
    ds, gt, labels = cohort_of()
    found = fst_hudson(ds, labels, block=100)
    counts = {name: allel.GenotypeArray(gt[:, labels == name]).count_alleles(max_allele=1) for name in "xyz"}
    for a, b in combinations("xyz", 2):
        expected, error, _, _ = allel.average_hudson_fst(counts[a], counts[b], blen=100)
        pair = found.sel(group_0=b, group_1=a)
        assert np.isclose(pair["fst"], expected, rtol=1e-12) and np.isclose(pair["fst_se"], error, rtol=1e-9)
        parts = hudson_parts(np.asarray(counts[a]), np.asarray(counts[b]))
        assert np.allclose(parts, allel.hudson_fst(counts[a], counts[b]), equal_nan=True)
    assert (np.diag(found["fst"]) == 0).all() and found.attrs == {"fst_sites": 1200, "fst_blocks": 12}


def test_windows_are_those_of_scikit_allel(peer_module: Callable[[str], ModuleType]) -> None:
    allel = peer_module("allel")
    ds, gt, labels = cohort_of()
    found = windowed_diversity(ds, labels, width=50_000)
    position = ds["variant_position"].values
    for number, name in enumerate(("1", "2")):
        rows, here = ds["variant_contig"].values == number, found["window_contig"].values == name
        windows = np.stack([found["window_start"].values[here], found["window_end"].values[here]], axis=1)
        counts = [allel.GenotypeArray(gt[rows][:, labels == g]).count_alleles(max_allele=1) for g in "xyz"]
        for k, one in enumerate(counts):
            assert np.allclose(found["pi"].values[here, k], allel.windowed_diversity(position[rows], one, windows=windows)[0])
            assert np.allclose(found["tajima_d"].values[here, k], allel.windowed_tajima_d(position[rows], one, windows=windows)[0])
        for k, (a, b) in enumerate(combinations(range(3), 2)):
            assert np.allclose(found["fst"].values[here, k],
                               allel.windowed_hudson_fst(position[rows], counts[a], counts[b], windows=windows)[0])
            assert np.allclose(found["dxy"].values[here, k],
                               allel.windowed_divergence(position[rows], counts[a], counts[b], windows=windows)[0])
    assert found["window_sites"].sum() == 1200


def test_diversity_is_the_mean_difference_of_two_copies() -> None:
    ds, gt, labels = cohort_of(rows=60, sizes=(4,), missing=0)
    found = windowed_diversity(ds, labels, width=200_000)
    for window, rows in enumerate((slice(0, 30), slice(30, 60))):
        copies = gt[rows].reshape(30, -1)
        expected = np.mean([(copies[:, a] != copies[:, b]).sum() for a, b in combinations(range(8), 2)]) / 200_000
        assert np.isclose(found["pi"].values[window, 0], expected)
    half = windowed_diversity(ds, labels, width=200_000, accessible=np.array([100_000, 0]))
    assert np.isclose(half["pi"].values[0, 0], 2 * found["pi"].values[0, 0]) and np.isnan(half["pi"].values[1, 0])


def test_the_error_tells_how_far_estimates_scatter() -> None:
    rng = np.random.default_rng(3)
    found = [jackknife_ratio(rng.normal(0.1, 0.3, 2000), rng.uniform(0.2, 0.4, 2000), block=50) for _ in range(300)]
    spread = np.std([one.estimate for one in found])
    assert np.isclose(np.mean([one.error for one in found]), spread, rtol=0.15)
    assert np.isnan(jackknife_ratio(np.ones(60), np.ones(60), block=50).error)


def test_a_site_with_several_alleles_and_a_missing_call_do_not_count() -> None:
    ds, gt, labels = cohort_of(rows=100, missing=0.2)
    position = ds["variant_position"].values.copy()
    position[11] = position[10]
    ds["variant_position"] = ("variants", position)
    counted = allele_counts_by_group(ds, labels)
    assert len(counted.counts) == 98
    called = (gt[12][labels == "y"] >= 0).all(-1).sum()
    assert counted.counts[10, 1].sum() == 2 * called


def test_real_groups_differ_as_published(stored: Callable[..., xr.Dataset], shared_data: Path) -> None:
    ds = stored(shared_data / "population" / "1kg_phase3_chr22_16.0-16.5Mb.vcf.gz", "GRCh37")
    lines = (shared_data / "population" / "1kg_samples.psam").read_text().splitlines()[1:]
    group = {line.split("\t")[0]: line.split("\t")[4] for line in lines}
    labels = [group[str(name)] for name in ds["sample_id"].values]
    found = fst_hudson(ds, labels, block=200)
    fst = found["fst"].to_pandas()
    # genome-wide 0.07 to 0.19 with Africa and lower between the others; one stretch of 500 kb scatters widely around that
    assert fst.loc["AFR", "EUR"] > 0.02 and fst.loc["AFR", "EAS"] > 0.02 and (found["fst_se"].values[~np.eye(5, dtype=bool)] > 0).all()
    along = windowed_diversity(ds, labels, width=500_000)
    pi = dict(zip(along["group"].values, along["pi"].values[-1], strict=True))
    assert max(pi, key=pi.__getitem__) == "AFR"


def test_what_cannot_be_compared_is_refused() -> None:
    ds, _, labels = cohort_of(rows=100)
    with pytest.raises(InputError, match="two groups"):
        fst_hudson(ds, np.where(labels == "x", "x", ""))
    with pytest.raises(InputError):
        fst_hudson(ds, labels, select=np.zeros(100, bool))
    with pytest.raises(ParameterError):
        windowed_diversity(ds, labels, width=0)
    with pytest.raises(ParameterError):
        jackknife_ratio(np.ones(3), np.ones(3), 0)
    with pytest.raises(ParameterError, match="pi"):
        plot_diversity(windowed_diversity(ds, labels), "heterozygosity")


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_plots_show_every_group(lang: str) -> None:
    ds, _, labels = cohort_of(rows=200)
    heat = plot_fst(fst_hudson(ds, labels, block=50), lang=lang)
    assert [text.get_text() for text in heat.axes[0].get_xticklabels()] == ["x", "y", "z"]
    assert any(("," if lang == "fr" else ".") in text.get_text() for text in heat.axes[0].texts)
    along = windowed_diversity(ds, labels, width=100_000)
    for statistic in ("pi", "theta_w", "tajima_d", "dxy", "fst"):
        assert len(plot_diversity(along, statistic, lang=lang).axes[0].get_legend().get_texts()) == 3
