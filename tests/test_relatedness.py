"""Degrees of kinship, and families that are judged only on enough evidence."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from genomics_nb.population.calls import pass_filter
from genomics_nb.population.relatedness import (
    check_family,
    degree,
    degrees,
    king,
    king_between,
    kinship_pairs,
    plot_kinship,
)
from genomics_nb.store.pedigree import read_ped


def dataset(gt: np.ndarray, contigs: int = 22, names: list[str] | None = None) -> xr.Dataset:
    sites, samples = gt.shape[:2]
    return xr.Dataset(
        {"call_genotype": (("variants", "samples", "ploidy"), gt.astype(np.int8)),
         "variant_contig": ("variants", np.arange(sites) * contigs // max(sites, 1)),
         "variant_position": ("variants", np.arange(sites) + 1),
         "contig_id": ("contigs", np.array([*map(str, range(1, 23)), "X"])),
         "sample_id": ("samples", np.array(names or [f"S{i}" for i in range(samples)]))},
        attrs={"genome_build": "GRCh37"})


@pytest.mark.parametrize(("kinship", "name"), [
    (0.5, "duplicate"), (0.354, "first"), (0.25, "first"), (0.177, "second"), (0.0884, "third"), (0.0442, "unrelated"),
    (-0.2, "unrelated"), (float("nan"), "unknown")])
def test_degrees_begin_above_their_limit(kinship: float, name: str) -> None:
    assert degree(kinship) == name == degrees(np.array([kinship, 0.4]))[0]


def test_the_giab_trio_is_a_trio(shared_data: Path, stored: Callable[..., xr.Dataset]) -> None:
    ds = stored(shared_data / "trio/ashk-trio.vcf.gz", "GRCh37")
    ped = read_ped(shared_data / "trio/ashk-trio.ped")
    checked = check_family(king(ds, select=pass_filter(ds)), ped)
    assert checked.verdict.tolist() == ["consistent"] * 3
    assert sorted(checked.declared) == ["parent-child", "parent-child", "partners"]
    swapped = read_ped("f\tHG003\tHG002\tHG004\t1\t2\nf\tHG002\t0\t0\t1\t1\nf\tHG004\t0\t0\t2\t1\n")
    wrong = check_family(king(ds), swapped).set_index(["sample_1", "sample_2"])
    assert wrong.verdict["HG003", "HG004"] == "inconsistent" and wrong.verdict["HG002", "HG004"] == "inconsistent"


def test_a_hospital_file_of_a_few_hundred_sites_is_too_small(shared_data: Path, stored: Callable[..., xr.Dataset]) -> None:
    ds = stored(shared_data / "trio/scout_643594.clinical.vcf.gz", "GRCh37")
    checked = check_family(king(ds), read_ped(shared_data / "trio/scout_643594.ped"), lang="fr")
    assert set(checked.verdict) == {"too few sites"} and checked.reason.str.contains("il en faut 500").all()


def family(sites: int, seed: int = 0) -> np.ndarray:
    """Father, mother, two children and a half sister of theirs by the father; independent sites."""
    rng = np.random.default_rng(seed)
    frequency = rng.beta(0.8, 1.6, sites)
    father, mother, second = (rng.random((2, sites)) < frequency for _ in range(3))
    pick = np.arange(sites)

    def child(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.stack([p[rng.integers(0, 2, sites), pick] for p in (a, b)])

    return np.stack([father, mother, child(father, mother), child(father, mother), child(father, second)]).transpose(2, 0, 1)


PED = """F F 0 0 1 1
F M 0 0 2 1
F C F M 1 2
F S F M 2 1
F H F 0 2 1
""".replace(" ", "\t")
NAMES = ["F", "M", "C", "S", "H"]


@pytest.mark.parametrize("seed", range(3))
def test_a_true_family_is_consistent_in_every_pair(seed: int) -> None:
    checked = check_family(king(dataset(family(6000, seed), names=NAMES)), read_ped(PED))
    assert set(checked.verdict) == {"consistent"}, checked
    assert len(checked) == 10


def test_siblings_are_not_judged_on_a_slice_of_the_genome() -> None:
    checked = check_family(king(dataset(family(6000), contigs=2, names=NAMES)), read_ped(PED))
    by = checked.set_index("declared").verdict
    assert by["full siblings"] == "too few sites" and set(by["parent-child"]) == {"consistent"}
    assert set(by["half siblings"]) == {"too few sites"}


def test_the_same_person_twice_is_found() -> None:
    gt = family(3000)[:, [0, 0, 2]]
    ped = read_ped("F\tA\t0\t0\t1\t1\nF\tB\t0\t0\t1\t1\nF\tC\tA\t0\t1\t2\n")
    checked = check_family(king(dataset(gt, names=["A", "B", "C"])), ped).set_index(["sample_1", "sample_2"])
    assert checked.inferred["A", "B"] == "duplicate" and checked.verdict["A", "B"] == "inconsistent"
    assert checked.verdict["A", "C"] == "consistent"


def test_members_without_a_sample_and_samples_without_a_member_are_passed_over() -> None:
    checked = check_family(king(dataset(family(3000), names=["F", "M", "C", "X1", "X2"])), read_ped(PED))
    assert sorted(zip(checked.sample_1, checked.sample_2, strict=True)) == [("F", "C"), ("F", "M"), ("M", "C")]


def test_plots_of_pairs_families_and_cohorts_are_drawn() -> None:
    kinship = king(dataset(family(1500), names=NAMES))
    assert plot_kinship(check_family(kinship, read_ped(PED)), lang="fr").axes[0].get_ylabel().startswith("Apparentement")
    many = pd.concat([kinship_pairs(kinship)] * 2500, ignore_index=True)
    assert plot_kinship(many).axes[0].collections


def test_pairs_of_a_new_person_are_all_listed_and_a_limit_drops_what_is_not_known() -> None:
    gt = family(3000)
    ds = dataset(gt, names=NAMES).assign(variant_allele=(("variants", "alleles"), np.tile(np.array(["A", "C"], object), (3000, 1))))
    pairs = kinship_pairs(king_between(ds.isel(samples=[2]), ds.isel(samples=[0, 1, 3])))
    assert pairs.sample_2.tolist() == ["F", "M", "S"] and set(pairs.degree) == {"first"}
    none = king(dataset(np.zeros((10, 3, 2))))
    assert set(kinship_pairs(none).degree) == {"unknown"} and len(kinship_pairs(none)) == 3
    assert len(kinship_pairs(none, least=0.04)) == 0
