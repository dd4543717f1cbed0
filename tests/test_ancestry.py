"""An assignment is right as often as it says, says when it does not know, and does not name a group for somebody from elsewhere."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from genomics_nb.core.kernels import kernel
from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.population.ancestry import (
    NOT_ASSIGNED,
    OUTSIDE,
    assign,
    calibration_error,
    confusion,
    distances,
    fit_groups,
    group_clouds,
    log_density,
    plot_confusion,
    plot_reliability,
    posterior_of,
    reliability,
)
from genomics_nb.population.pca import pca
from genomics_nb.population.planes import as_packed
from genomics_nb.population.projection import pca_loadings, project
from genomics_nb.population.pruning import ld_prune


def clouds(sizes: tuple[int, ...] = (80, 60, 40), gap: float = 6.0, seed: int = 1, heavy: bool = False) -> tuple[xr.Dataset, np.ndarray]:
    """Coordinates of people around the corners of a triangle, and their groups; `heavy`: with long tails."""
    rng = np.random.default_rng(seed)
    corners = gap * np.array([[0, 0, 0], [1, 0, 0], [0.5, 0.9, 0]])
    noise = [rng.standard_t(3, (n, 3)) if heavy else rng.standard_normal((n, 3)) for n in sizes]
    places = np.concatenate([corner + some for corner, some in zip(corners, noise, strict=True)])
    return (xr.Dataset({"sample_pca_projection": (("samples", "components"), places)}),
            np.repeat(["a", "b", "c"][:len(sizes)], sizes))


def at(*places: tuple[float, ...]) -> xr.Dataset:
    return xr.Dataset({"sample_pca_projection": (("samples", "components"), np.array(places, float))})


def test_density_is_that_of_the_normal_and_of_student() -> None:
    from scipy.stats import multivariate_normal, multivariate_t

    people, labels = clouds()
    places = people["sample_pca_projection"].values
    means, covariances = group_clouds(places, labels, ["a", "b", "c"])
    squared, spread = distances(places, means, covariances), np.linalg.slogdet(covariances)[1]
    for freedom, law in ((1e6, [multivariate_normal(m, c) for m, c in zip(means, covariances, strict=True)]),
                         (5.0, [multivariate_t(m, c * 3 / 5, df=5) for m, c in zip(means, covariances, strict=True)])):
        found, expected = log_density(squared, spread, 3, freedom), np.stack([one.logpdf(places) for one in law], axis=1)
        assert np.allclose(found - found[:, :1], expected - expected[:, :1], rtol=1e-3, atol=1e-3)
    assert np.allclose(posterior_of(found).sum(1), 1) and (squared >= 0).all()
    assert np.allclose(posterior_of(found, 1e9), 1 / 3, atol=1e-3)


def test_a_small_group_borrows_its_spread_from_the_others() -> None:
    people, labels = clouds((200, 200, 10))
    places = people["sample_pca_projection"].values
    _, covariances = group_clouds(places, labels, ["a", "b", "c"])
    alone = np.cov(places[labels == "c"].T)
    pooled = np.eye(3)
    assert np.linalg.norm(covariances[2] - pooled) < np.linalg.norm(alone - pooled)


def test_the_answer_is_a_group_none_or_elsewhere() -> None:
    model = fit_groups(*clouds())
    found = assign(at((0, 0, 0), (6, 0, 0), (3, 0, 0), (3, 2, 40), (np.nan, 0, 0)), model)
    assert found["sample_group"].values.tolist() == ["a", "b", NOT_ASSIGNED, OUTSIDE, NOT_ASSIGNED]
    assert found["sample_group_tail"][3] < 0.001 < found["sample_group_tail"][0]
    strict = assign(at((0.5, 0, 0)), model, least=1.0)
    assert strict["sample_group"].item() == NOT_ASSIGNED


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("gap", [2.0, 4.0])
def test_what_is_said_comes_true_for_people_never_seen(heavy: bool, gap: float) -> None:
    model = fit_groups(*clouds((150, 150, 150), gap, seed=2, heavy=heavy))
    people, labels = clouds((2000, 2000, 2000), gap, seed=3, heavy=heavy)
    found = assign(people, model, limit=0)
    posterior = found["sample_group_posterior"].values
    right = found["group"].values[posterior.argmax(1)] == labels
    best = posterior.max(1)
    for low, high in ((0.5, 0.7), (0.7, 0.9), (0.9, 1.01)):
        some = (best >= low) & (best < high)
        gap_here = right[some].mean() - best[some].mean()
        assert abs(gap_here) < (0.09 if heavy else 0.05), (low, some.sum())
    assert calibration_error(reliability(model)) < 0.06
    assert (model["group_stretch"].values > 1.3).all() == heavy and (model.attrs["freedom"] <= 10 or not heavy)
    outside = assign(people, model)["sample_group"].values == OUTSIDE
    assert outside.mean() < (0.02 if heavy else 0.004)


def test_the_check_uses_people_set_aside() -> None:
    rng = np.random.default_rng(4)
    noise = xr.Dataset({"sample_pca_projection": (("samples", "components"), rng.standard_normal((60, 15)))})
    labels = np.repeat(["a", "b", "c"], 20)
    model = fit_groups(noise, rng.permutation(labels))
    right = (model["group"].values[model["reference_posterior"].values.argmax(1)] == model["reference_group"].values).mean()
    assert right < 0.55 and confusion(model)[NOT_ASSIGNED].sum() > 40


def simulated(msprime: ModuleType) -> tuple[xr.Dataset, np.ndarray]:
    """Three groups that parted 400 to 1,000 generations ago, a fourth from far away, and people with parents of two groups."""
    demography = msprime.Demography()
    for name in ("north", "south", "east", "far", "mixed", "old", "root"):
        demography.add_population(name=name, initial_size=5000)
    demography.add_admixture(time=1, derived="mixed", ancestral=["north", "east"], proportions=[0.5, 0.5])
    demography.add_population_split(time=400, derived=["north", "south"], ancestral="old")
    demography.add_population_split(time=1000, derived=["old", "east", "far"], ancestral="root")
    people = {"north": 90, "south": 90, "east": 90, "far": 10, "mixed": 15}
    copies, contigs = [], []
    for contig in range(4):
        trees = msprime.sim_ancestry(people, demography=demography, sequence_length=3e5, recombination_rate=1e-7,
                                     random_seed=10 + contig)
        trees = msprime.sim_mutations(trees, rate=8e-8, random_seed=50 + contig)
        alleles = (trees.genotype_matrix() > 0).astype(np.int8)
        copies.append(alleles.reshape(len(alleles), -1, 2))
        contigs.append(np.array([int(site.position) + 1 for site in trees.sites()]))
    gt = np.concatenate(copies)
    ds = xr.Dataset({
        "call_genotype": (("variants", "samples", "ploidy"), da.from_array(gt, chunks=(4000, -1, -1))),
        "variant_contig": ("variants", np.repeat(range(4), [len(p) for p in contigs])),
        "variant_position": ("variants", np.concatenate(contigs)),
        "variant_allele": (("variants", "alleles"), np.tile(np.array(["C", "A"], object), (len(gt), 1))),
        "contig_id": ("contigs", np.array(["1", "2", "3", "4"], object)),
        "sample_id": ("samples", np.array([f"s{i}" for i in range(gt.shape[1])], object))}, attrs={"genome_build": "GRCh38"})
    return ds, np.repeat(list(people), list(people.values()))


def test_people_of_known_origin_who_were_never_in_the_reference(peer_module: Callable[[str], ModuleType]) -> None:
    ds, origin = simulated(peer_module("msprime"))
    known = np.isin(origin, ["north", "south", "east"])
    kept = known & (np.cumsum(known) % 3 != 0)  # a third of the groups is held out
    reference, others = ds.isel(samples=np.flatnonzero(kept)), ds.isel(samples=np.flatnonzero(~kept))
    packed = as_packed(reference)
    counts = kernel("count_codes")(packed["call_genotype_planes"].data.compute(), int(kept.sum()))
    frequency = (counts[:, 1] + 2 * counts[:, 2]) / (2 * counts[:, :3].sum(1))
    common = np.minimum(frequency, 1 - frequency) > 0.05
    use = ld_prune(packed, select=common, kilobases=50)["variant_unlinked"].values
    result = pca(packed, components=3, select=use)
    model = fit_groups(result, origin[kept])
    answer = assign(project(others, pca_loadings(packed, result)), model)["sample_group"].values
    truth = origin[~kept]
    for name in ("north", "south", "east"):
        theirs = answer[truth == name]
        assert (theirs == name).mean() > 0.8, (name, theirs)
        assert np.isin(theirs, [name, NOT_ASSIGNED, OUTSIDE]).mean() > 0.96
    table = confusion(model)
    assert np.trace(table.to_numpy()[:, :3]) / table.to_numpy()[:, :3].sum() > 0.97
    assert (~np.isin(answer[truth == "mixed"], ["north", "east", "south"])).mean() > 0.6, answer[truth == "mixed"]


def test_one_stretch_of_a_chromosome_says_how_little_it_knows(stored: Callable[..., xr.Dataset], shared_data: Path) -> None:
    ds = as_packed(stored(shared_data / "population" / "1kg_phase3_chr22_16.0-16.5Mb.vcf.gz", "GRCh37"))
    lines = (shared_data / "population" / "1kg_samples.psam").read_text().splitlines()[1:]
    group = {line.split("\t")[0]: line.split("\t")[4] for line in lines}
    labels = [group[str(name)] for name in ds["sample_id"].values]
    counts = kernel("count_codes")(ds["call_genotype_planes"].values, 2504)
    frequency = (counts[:, 1] + 2 * counts[:, 2]) / (2 * counts[:, :3].sum(1))
    common = np.minimum(frequency, 1 - frequency) >= 0.01
    result = pca(ds, components=10, select=ld_prune(ds, select=common, kilobases=500)["variant_unlinked"])
    model = fit_groups(result, labels)
    table = confusion(model)
    cells = table.to_numpy()[:, :5]
    assert table.to_numpy().sum() == 2504 and 0.15 < cells.sum() / 2504 < 0.4  # most people get no answer
    assert np.trace(cells) / cells.sum() > 0.93  # and the answers given are as good as they say
    assert calibration_error(reliability(model)) < 0.07


def test_what_is_no_reference_is_refused() -> None:
    people, labels = clouds()
    with pytest.raises(InputError, match="two groups"):
        fit_groups(people, np.where(labels == "a", "a", ""))
    with pytest.raises(InputError, match="9 people"):
        fit_groups(people, np.where((labels == "c") & (np.arange(180) < 171), "", labels))
    with pytest.raises(InputError, match="labels"):
        fit_groups(people, labels[:5])
    model = fit_groups(people, labels)
    with pytest.raises(InputError, match="components"):
        assign(at((0, 0)), model)
    with pytest.raises(ParameterError):
        assign(at((0, 0, 0)), model, least=2)


def test_a_reference_survives_the_disk(tmp_path: Path) -> None:
    model = fit_groups(*clouds())
    model.to_zarr(tmp_path / "model.zarr", zarr_format=3, consolidated=False)
    again = xr.open_zarr(tmp_path / "model.zarr", consolidated=False).load()
    people = at((0, 0, 0), (3, 0, 0))
    assert assign(people, again)["sample_group"].values.tolist() == assign(people, model)["sample_group"].values.tolist()


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_plots_say_what_they_show(lang: str) -> None:
    model = fit_groups(*clouds(gap=3))
    words = [text.get_text() for text in plot_confusion(confusion(model), lang=lang).axes[0].get_xticklabels()]
    assert words[-2:] == (["non assigné", "hors de la référence"] if lang == "fr" else [NOT_ASSIGNED, OUTSIDE])
    assert ("," if lang == "fr" else ".") in plot_reliability(reliability(model), lang=lang).axes[0].get_title()
