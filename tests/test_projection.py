"""A new person falls among the components of a reference, whatever the file calls things, and a missing site is not reference."""

import time

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from genomics_nb.core.types import InputError
from genomics_nb.population.pca import pca, shrinkage
from genomics_nb.population.planes import as_packed
from genomics_nb.population.projection import pca_loadings, project, rows_of_loadings


def groups_of(rows: int, sizes: list[int], fst: float = 0.03, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ancestral = rng.uniform(0.1, 0.9, rows)
    of_group = [rng.beta(ancestral * (1 - fst) / fst, (1 - ancestral) * (1 - fst) / fst) for _ in sizes]
    parts = [rng.binomial(2, p[:, None], (rows, n)) for p, n in zip(of_group, sizes, strict=True)]
    return np.concatenate(parts, axis=1).astype(np.int8)


def dataset(copies: np.ndarray, *, alleles: tuple[str, str] = ("C", "A"), contig: str = "{}", build: str = "GRCh38",
            position: np.ndarray | None = None) -> xr.Dataset:
    gt = np.stack([np.where(copies < 0, -1, copies > 1), np.where(copies < 0, -1, copies > 0)], axis=-1).astype(np.int8)
    rows, samples = copies.shape
    places = np.arange(rows) * 10 + 1 if position is None else position
    return xr.Dataset({
        "call_genotype": (("variants", "samples", "ploidy"), da.from_array(gt, chunks=(5000, -1, -1))),
        "variant_contig": ("variants", np.zeros(rows, int)), "variant_position": ("variants", places),
        "variant_allele": (("variants", "alleles"), np.tile(np.array(alleles, object), (rows, 1))),
        "contig_id": ("contigs", np.array([contig.format(3)], object)),
        "sample_id": ("samples", np.array([f"s{i}" for i in range(samples)], object))}, attrs={"genome_build": build})


@pytest.fixture(scope="module")
def reference() -> tuple[np.ndarray, xr.Dataset, xr.Dataset]:
    copies = groups_of(1500, [50, 40, 30])
    result = pca(dataset(copies), components=2, tolerance=0.001)
    return copies, result, pca_loadings(dataset(copies), result)


def test_the_people_of_the_reference_fall_on_themselves(reference: tuple) -> None:
    copies, result, loadings = reference
    for ds in (dataset(copies), as_packed(dataset(copies)), dataset(2 - copies, alleles=("A", "C"), contig="chr{}")):
        place = project(ds, loadings, correct=False)
        assert np.allclose(place["sample_pca_projection"], result["sample_pca_projection"], atol=1e-3)
        assert (place["sample_pca_called"] == 1).all()


def test_another_allele_or_place_is_another_variant(reference: tuple) -> None:
    copies, _, loadings = reference
    for ds in (dataset(copies, alleles=("C", "T")), dataset(copies, contig="4"), dataset(copies, position=np.arange(1500) * 10 + 2)):
        place = project(ds, loadings)
        assert np.isnan(place["sample_pca_projection"]).all() and (place["sample_pca_called"] == 0).all()


def test_one_site_with_two_rows_is_matched_by_allele(reference: tuple) -> None:
    _, _, loadings = reference
    ds = as_packed(dataset(np.ones((4, 1), np.int8), position=np.array([1, 1, 1, 11])))
    ds["variant_allele"] = (("variants", "alleles"), np.array([["C", "G"], ["C", "A"], ["A", "C"], ["A", "C"]], object))
    rows, others, swapped = rows_of_loadings(ds, loadings)
    assert (rows.tolist(), others.tolist(), swapped.tolist()) == ([1, 3], [0, 1], [False, True])


def test_missing_calls_do_not_pull_to_the_centre(reference: tuple) -> None:
    copies, result, loadings = reference
    some = copies.copy()
    some[np.random.default_rng(2).random(some.shape) < 0.4] = -1
    whole = result["sample_pca_projection"].values
    place = project(dataset(some), loadings, correct=False)["sample_pca_projection"].values
    slope = (place * whole).sum(0) / (whole**2).sum(0)
    assert np.abs(slope - 1).max() < 0.05
    empty = project(dataset(np.full((1500, 1), -1, np.int8)), loadings)
    assert np.isnan(empty["sample_pca_projection"]).all() and empty["sample_pca_called"].item() == 0


def test_the_correction_puts_newcomers_among_their_group() -> None:
    everybody = groups_of(4000, [60, 60], seed=4)
    new = np.r_[0:20, 60:80]
    old = np.setdiff1d(np.arange(120), new)
    ds = dataset(everybody[:, old])
    result = pca(ds, components=1)
    loadings = pca_loadings(ds, result)
    group = np.repeat([0, 1], 40)
    gap = np.diff([result["sample_pca_projection"].values[group == g].mean() for g in (0, 1)])[0]
    found = {correct: np.diff([project(dataset(everybody[:, new]), loadings, correct=correct)["sample_pca_projection"].values[
        np.repeat([0, 1], 20) == g].mean() for g in (0, 1)])[0] / gap for correct in (False, True)}
    assert found[False] < 0.92 and abs(found[True] - 1) < 0.06


def test_shrinkage_is_that_of_the_model() -> None:
    theta, ratio = np.array([0.5, 1, 10]), 0.1
    assert np.allclose(shrinkage((1 + theta) * (1 + ratio / theta), ratio), theta / (1 + theta))
    assert shrinkage(np.array([(1 + ratio**0.5) ** 2 - 0.01, 0.2]), ratio).tolist() == [0, 0]


def test_another_build_is_refused(reference: tuple) -> None:
    copies, _, loadings = reference
    with pytest.raises(InputError, match="GRCh37"):
        project(dataset(copies, build="GRCh37"), loadings)


def test_loadings_survive_the_disk(reference: tuple, tmp_path) -> None:  # noqa: ANN001
    copies, _, loadings = reference
    loadings.to_zarr(tmp_path / "loadings.zarr", zarr_format=3, consolidated=False)
    again = xr.open_zarr(tmp_path / "loadings.zarr", consolidated=False)
    assert np.allclose(project(dataset(copies[:, :3]), again)["sample_pca_projection"],
                       project(dataset(copies[:, :3]), loadings)["sample_pca_projection"])


def test_one_person_takes_less_than_a_second() -> None:
    rng = np.random.default_rng(0)
    rows = 100_000
    person = dataset(rng.binomial(2, 0.3, (2 * rows, 1)).astype(np.int8))
    about = as_packed(person).isel(variants=slice(None, None, 2))
    loadings = xr.Dataset({
        **{name: about[name] for name in ("variant_contig", "variant_position", "variant_allele", "contig_id")},
        "variant_pca_loading": (("variants", "components"), rng.standard_normal((rows, 10)).astype(np.float32) / rows**0.5),
        "variant_pca_frequency": ("variants", np.full(rows, 0.3)), "pca_shrinkage": ("components", np.full(10, 0.9))},
        attrs={"genome_build": "GRCh38"})
    project(person.isel(variants=slice(0, 5000)), loadings, least=0.0)  # compiled or read from the cache
    start = time.process_time()
    place = project(person, loadings)
    assert np.isfinite(place["sample_pca_projection"]).all() and place["sample_pca_called"].item() == 1
    assert time.process_time() - start < 3  # well under a second on a quiet machine
