"""Plots of association: no hit is lost, wrong names are refused, hits are clumped by distance, r2 is that of the copies."""

import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import InputError, NotFoundError, ParameterError
from genomics_nb.population.association import linear_gwas
from genomics_nb.population.association_plots import (
    decimate,
    lambda_gc,
    plot_manhattan,
    plot_qq,
    plot_region,
    r2_with,
    tests_of,
    top_hits,
)
from genomics_nb.population.planes import pack_block, unpack_block

tests_of.__test__ = False


def result(y: np.ndarray, contig: np.ndarray | None = None, position: np.ndarray | None = None) -> xr.Dataset:
    n = len(y)
    contig = np.zeros(n, np.int8) if contig is None else contig
    return xr.Dataset(
        {f"stat_{name}": (("variants", "phenotypes"), np.asarray(v, np.float32)[:, None])
         for name, v in (("minus_log10_p", y), ("beta", y / 10), ("se", np.ones(n)))},
        coords={"variant_contig": ("variants", contig),
                "variant_position": ("variants", np.arange(n) * 1000 + 1 if position is None else position),
                "contig_id": ("contigs", np.array([f"chr{i}" for i in (*range(1, 23), "X")], object)),
                "phenotype": ("phenotypes", ["height"])})


@settings(deadline=None, max_examples=50)
@given(n=st.integers(0, 3000), seed=st.integers(0, 999))
def test_every_hit_is_drawn_and_every_other_has_a_neighbour(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.random(n) * 3e9, rng.exponential(1, n)
    drawn = decimate(x, y, y > 2)
    assert np.isin(np.flatnonzero(y > 2), drawn).all() and (np.diff(drawn) > 0).all()
    if n:
        for i in range(0, n, 97):  # a point that is left out lies in the cell of one that is drawn
            near = (abs(x[drawn] - x[i]) <= np.ptp(x) / 1200 * 1.01) & (abs(y[drawn] - y[i]) <= np.ptp(y) / 400 * 1.01)
            assert near.any()


def test_a_million_points_become_few_and_keep_their_hits() -> None:
    rng = np.random.default_rng(3)
    y = rng.exponential(1 / math.log(10), 1_000_000)
    y[[5, 999_999]] = 40, np.inf
    y[7] = np.nan
    contig = np.repeat(np.arange(20, dtype=np.int8), 50_000)
    figure = plot_manhattan(result(y, contig, np.tile(np.arange(50_000) * 2000, 20)), line=1e-5)
    ax = figure.axes[0]
    points = sum(len(line.get_xdata()) for line in ax.lines[:3])
    assert points < 150_000
    hits = next(line for line in ax.lines if line.get_marker() == "D")
    assert len(hits.get_xdata()) == int((y >= 5).sum())
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names[0] == "1" and names[-1] == "20"


def test_chromosomes_alternate_in_shades_that_differ_in_grey() -> None:
    from matplotlib.colors import to_rgb

    ax = plot_manhattan(result(np.ones(100), np.repeat([0, 1], 50)), "height", lang="fr").axes[0]
    grey = [np.dot(to_rgb(line.get_color()), [0.299, 0.587, 0.114]) for line in ax.lines[:2]]
    assert abs(grey[0] - grey[1]) > 0.3 and ax.get_xlabel() == "Chromosome"
    assert max(ax.lines[0].get_xdata()) < min(ax.lines[1].get_xdata())


def test_lambda_is_one_for_uniform_p_and_grows_with_inflation() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=100_000)
    from genomics_nb.population.regression import minus_log10_p

    plain, inflated = (lambda_gc(minus_log10_p(v[:, None], np.inf)) for v in (z, 1.2 * z))
    assert abs(plain - 1) < 0.03 and abs(inflated / plain - 1.44) < 1e-6
    assert math.isnan(lambda_gc(np.array([np.nan])))


def test_qq_draws_the_smallest_p_and_a_band_around_the_diagonal() -> None:
    y = -np.log10(np.random.default_rng(2).random(20_000))
    y[:3] = np.nan
    ax = plot_qq(result(y), lang="fr").axes[0]
    observed = ax.lines[1]
    assert math.isclose(max(observed.get_ydata()), np.nanmax(y), rel_tol=1e-6)
    band = ax.collections[0].get_paths()[0]
    inside = band.contains_points(np.column_stack([observed.get_xdata(), observed.get_ydata()])[::20], radius=0.02)
    assert inside.mean() > 0.8
    assert ax.texts[0].get_text().startswith("λ = 1,0") or ax.texts[0].get_text().startswith("λ = 0,9")
    with pytest.raises(InputError, match="no variant could be fitted for height"):
        plot_qq(result(np.full(5, np.nan)))


def test_hits_are_clumped_by_distance_on_their_chromosome() -> None:
    position = np.array([1000, 100_000, 260_000, 600_000, 1000])
    gwas = result(np.array([9.0, 12.0, 8.0, 3.0, 10.0]), np.array([0, 0, 0, 0, 1], np.int8), position)
    hits = top_hits(gwas)
    assert hits["row"].tolist() == [1, 4] and hits.hits.tolist() == [3, 1] and hits.contig.tolist() == ["chr1", "chr2"]
    assert top_hits(gwas, distance=120_000)["row"].tolist() == [1, 4, 2]
    assert top_hits(gwas, keep=1e-20).empty


def test_wrong_names_are_refused() -> None:
    gwas = result(np.ones(4))
    for draw in (plot_manhattan, plot_qq, top_hits, tests_of):
        with pytest.raises(ParameterError, match="no phenotype 'heigth'. Is it 'height'"):
            draw(gwas, "heigth")
    with pytest.raises(InputError, match="no variant_position"):
        plot_manhattan(gwas.drop_vars("variant_position"))


@settings(deadline=None, max_examples=40)
@given(samples=st.integers(2, 150), seed=st.integers(0, 999))
def test_r2_is_that_of_the_copies_called_at_both(samples: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gt = rng.integers(-1, 2, (12, samples, 2)).astype(np.int8)
    planes = pack_block(gt)
    copies = unpack_block(planes, samples)
    found = r2_with(planes, 4, samples)
    for row, value in zip(copies, found, strict=True):
        use = (row >= 0) & (copies[4] >= 0)
        if use.sum() < 2 or np.ptp(row[use]) == 0 or np.ptp(copies[4][use]) == 0:
            assert np.isnan(value)
        else:
            assert math.isclose(value, np.corrcoef(row[use], copies[4][use])[0, 1] ** 2, rel_tol=1e-9, abs_tol=1e-12)


def test_region_shades_by_r2_and_refuses_another_dataset() -> None:
    rng = np.random.default_rng(1)
    shared = rng.integers(0, 2, (1, 200, 2))
    gt = np.where(rng.random((40, 200, 2)) < 0.9, shared, rng.integers(0, 2, (40, 200, 2))).astype(np.int8)
    gt[20:] = rng.integers(0, 2, (20, 200, 2))
    ds = xr.Dataset(
        {"call_genotype": (("variants", "samples", "ploidy"), gt), "variant_contig": ("variants", np.zeros(40, np.int8)),
         "variant_position": ("variants", np.arange(40) * 5000 + 1),
         "variant_allele": (("variants", "alleles"), np.tile(np.array(["A", "G"], object), (40, 1))),
         "contig_id": ("contigs", np.array(["chr7"], object)),
         "sample_id": ("samples", np.array([f"S{i}" for i in range(200)], object))}, attrs={"genome_build": "GRCh38"})
    table = pd.DataFrame({"sample_id": ds.sample_id.values, "height": rng.normal(size=200) + gt[3].sum(1)})
    gwas = linear_gwas(ds, table, ["height"])
    ax = plot_region(gwas, ds, lang="fr").axes[0]
    assert ax.get_xlabel() == "Position sur le chromosome 7 (Mb)"
    counts = {line.get_label(): len(line.get_xdata()) for line in ax.lines}
    assert counts["variant principal"] == 1 and counts["0,0–0,2"] >= 20 and sum(counts.values()) - counts.get("_child6", 0) >= 40
    assert sum(n for name, n in counts.items() if name in ("0,4–0,6", "0,6–0,8", "0,8–1,0")) > 10
    with pytest.raises(InputError, match="40 variants and the dataset 10"):
        plot_region(gwas, ds.isel(variants=slice(10)))
    with pytest.raises(NotFoundError, match="no variant could be fitted"):
        plot_region(gwas.compute().assign(stat_minus_log10_p=gwas.stat_minus_log10_p * np.nan), ds)
