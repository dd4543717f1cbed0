"""Families of a cohort: nobody gets a place by guess, and the unrelated set is a largest one where that can be proven."""

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import InputError
from genomics_nb.population.families import (
    RELATED,
    duplicates,
    groups,
    largest_unrelated,
    plot_kinship_histogram,
    plot_network,
    reconstruct_families,
    relations,
)
from genomics_nb.population.planes import open_packed, write_packed
from genomics_nb.population.relatedness import king

SITES, CONTIGS = 11_000, 22


class Cohort:
    """Simulated people; alleles of all founders are drawn from the same frequencies."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.frequency = self.rng.beta(0.8, 1.6, SITES)
        self.people: dict[str, np.ndarray] = {}

    def founders(self, *names: str) -> None:
        for name in names:
            self.people[name] = (self.rng.random((2, SITES)) < self.frequency).astype(np.int8)

    def child(self, name: str, father: str, mother: str) -> None:
        length = SITES // CONTIGS
        halves = []
        for parent in (father, mother):
            cut, first = self.rng.integers(0, length, CONTIGS).repeat(length), self.rng.integers(0, 2, CONTIGS).repeat(length)
            halves.append(self.people[parent][(np.arange(SITES) % length > cut) ^ first, np.arange(SITES)])
        self.people[name] = np.stack(halves)

    def dataset(self, *absent: str, contigs: int = CONTIGS) -> xr.Dataset:
        names = [name for name in self.people if name not in absent]
        gt = np.stack([self.people[name] for name in names]).transpose(2, 0, 1).copy()
        gt = np.where(self.rng.random(gt.shape) < 0.0005, 1 - gt, gt)
        gt[self.rng.random(gt.shape[:2]) < 0.01] = -1
        return xr.Dataset(
            {"call_genotype": (("variants", "samples", "ploidy"), gt.astype(np.int8)),
             "variant_contig": ("variants", np.arange(SITES) * contigs // SITES),
             "variant_position": ("variants", np.arange(SITES) + 1),
             "variant_allele": (("variants", "alleles"), np.tile(np.array(["A", "C"], object), (SITES, 1))),
             "contig_id": ("contigs", np.array([str(i) for i in range(1, 23)])), "sample_id": ("samples", np.array(names))},
            attrs={"genome_build": "GRCh38"})


def three_generations(seed: int = 0) -> Cohort:
    """GF and GM have F; F and M have C and S; F and N have H; X is a stranger."""
    cohort = Cohort(seed)
    cohort.founders("GF", "GM", "M", "N", "X")
    cohort.child("F", "GF", "GM")
    cohort.child("C", "F", "M")
    cohort.child("S", "F", "M")
    cohort.child("H", "F", "N")
    return cohort


SEX = {"GF": "male", "GM": "female", "F": "male", "M": "female", "N": "female"}


@pytest.mark.parametrize("seed", range(3))
def test_three_generations_are_put_in_order_without_ages(seed: int) -> None:
    (family,) = reconstruct_families(king(three_generations(seed).dataset()), sex=SEX)
    assert family.status == "resolved" and family.notes == []
    parents = {m.id: (m.father, m.mother) for m in family.pedigree.members.values() if m.father}
    assert parents == {"F": ("GF", "GM"), "C": ("F", "M"), "S": ("F", "M"), "H": ("F", "N")}
    assert "X" not in family.people and "<svg" in family._repr_html_()


def test_the_sex_of_a_partner_follows_and_none_is_guessed() -> None:
    kinship = king(three_generations().dataset("GF", "GM", "N", "H"))
    (family,) = reconstruct_families(kinship, sex={"M": "female"})
    assert family.status == "resolved" and family.pedigree.members["C"].father == "F"
    (unknown,) = reconstruct_families(kinship)
    assert unknown.status == "partly" and any("which is the father is not known" in note for note in unknown.notes)
    assert not {"F", "M"} & set(unknown.pedigree.members)
    (wrong,) = reconstruct_families(kinship, sex={"M": "male", "F": "male"}, lang="fr")
    assert wrong.status == "partly" and any("portent le même sexe" in note for note in wrong.notes)


def test_parent_and_child_need_a_direction() -> None:
    kinship = king(three_generations().dataset("GF", "GM", "N", "H", "M", "S"))
    (family,) = reconstruct_families(kinship, sex=SEX)
    assert family.status == "open" and "which is the parent is not known" in family.notes[0]
    (aged,) = reconstruct_families(kinship, sex=SEX, age={"F": 50, "C": 20})
    assert aged.status == "resolved" and aged.pedigree.members["C"].father == "F"
    (close,) = reconstruct_families(kinship, sex=SEX, age={"F": 24, "C": 20})
    assert close.status == "open" and "less than 12 years" in close.notes[0]
    (nameless,) = reconstruct_families(kinship, age={"F": 50, "C": 20})
    assert nameless.status == "open" and nameless.notes == ["F is a parent of C; father or mother is not known"]


def test_a_sibling_shows_who_is_the_parent() -> None:
    (family,) = reconstruct_families(king(three_generations().dataset("GF", "GM", "N", "H", "M")), sex=SEX)
    members = family.pedigree.members
    assert family.status == "resolved" and members["C"].father == members["S"].father == "F"
    assert members["C"].mother == members["S"].mother not in SEX


def test_ages_that_contradict_are_not_drawn() -> None:
    kinship = king(three_generations().dataset("GF", "GM", "N", "H", "S"))
    (family,) = reconstruct_families(kinship, sex=SEX, age={"C": 60, "F": 30, "M": 28})
    assert family.pedigree is None or family.pedigree.members["C"].father is None
    assert family.status != "resolved"


def test_a_slice_of_the_genome_gives_degrees_and_no_family() -> None:
    kinship = king(three_generations().dataset(contigs=2))
    assert not {"parent-child", "full siblings"} & set(relations(kinship).relation)
    assert all(family.status == "open" and family.notes for family in reconstruct_families(kinship, sex=SEX))


def test_a_person_who_is_there_twice_stands_once_in_the_family() -> None:
    cohort = three_generations()
    cohort.people["AGAIN"] = cohort.people["C"]
    kinship = king(cohort.dataset())
    assert duplicates(kinship) == [["C", "AGAIN"]]
    (family,) = reconstruct_families(kinship, sex=SEX)
    assert family.status == "resolved" and "AGAIN" not in family.people and "C and AGAIN" in family.notes[-1]


def test_a_cohort_of_strangers_has_no_family() -> None:
    cohort = Cohort()
    cohort.founders("A", "B", "C")
    kinship = king(cohort.dataset())
    assert reconstruct_families(kinship) == [] and duplicates(kinship) == [] and len(relations(kinship)) == 0
    assert largest_unrelated(kinship).kept == ["A", "B", "C"]
    assert plot_network(relations(kinship)).axes and plot_kinship_histogram(kinship, lang="fr").axes[0].get_ylabel() == "Paires"


def graph(size: int, edges: set[tuple[int, int]], unknown: tuple[int, int] | None = None) -> xr.Dataset:
    phi = np.full((size, size), 0.0)
    for a, b in edges:
        phi[a, b] = phi[b, a] = 0.2
    if unknown:
        phi[unknown] = phi[unknown[::-1]] = np.nan
    names = np.array([f"S{i}" for i in range(size)], object)
    return xr.Dataset({"stat_kinship": (("samples_0", "samples_1"), phi)}, coords={"samples_0": names, "samples_1": names})


def largest(size: int, edges: set[tuple[int, int]]) -> int:
    """By trying all sets."""
    return max(len(some) for k in range(size + 1) for some in itertools.combinations(range(size), k)
               if not any((a in some) and (b in some) for a, b in edges))


EDGES = st.integers(1, 9).flatmap(lambda size: st.tuples(st.just(size), st.sets(
    st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda edge: edge[0] < edge[1]))))


@settings(deadline=None)
@given(drawn=EDGES, keep=st.lists(st.integers(0, 8), unique=True, max_size=3))
def test_the_unrelated_set_has_no_relatives_and_nobody_could_join(drawn: tuple[int, set[tuple[int, int]]], keep: list[int]) -> None:
    size, edges = drawn
    keep = [i for i in keep if i < size]
    found = largest_unrelated(graph(size, edges), keep=[f"S{i}" for i in keep])
    kept = {int(name[1:]) for name in found.kept}
    assert not any(a in kept and b in kept for a, b in edges)
    for i in set(range(size)) - kept:
        blame = int(found.dropped[f"S{i}"][1:])
        assert blame in kept and (min(i, blame), max(i, blame)) in edges
    for place, i in enumerate(keep):
        assert i in kept or any((min(i, k), max(i, k)) in edges for k in keep[:place] if k in kept)


@settings(deadline=None)
@given(parents=st.lists(st.integers(0, 8), min_size=1, max_size=9))
def test_on_a_forest_it_is_the_largest_set(parents: list[int]) -> None:
    edges = {(min(p, i + 1), max(p, i + 1)) for i, p in enumerate(parents) if p <= i}
    size = len(parents) + 1
    assert len(largest_unrelated(graph(size, edges)).kept) == largest(size, edges)


def test_it_is_near_the_largest_on_tangles() -> None:
    rng, short = np.random.default_rng(3), 0
    for _ in range(100):
        edges = {(i, j) for i in range(9) for j in range(i + 1, 9) if rng.random() < 0.3}
        short += largest(9, edges) - len(largest_unrelated(graph(9, edges)).kept)
    assert short <= 2


def test_preference_and_order_decide_among_equals() -> None:
    pair = graph(2, {(0, 1)})
    assert largest_unrelated(pair).kept == ["S0"]
    assert largest_unrelated(pair, preference={"S1": 0.99, "S0": 0.95}).kept == ["S1"]
    assert largest_unrelated(pair, keep=["S1"]).dropped == {"S0": "S1"} and "S1" in largest_unrelated(pair, keep=["S1"])
    assert largest_unrelated(graph(3, set(), unknown=(0, 2))).unknown == 1
    with pytest.raises(InputError, match="sample NOBODY"):
        largest_unrelated(pair, keep=["NOBODY"])


@given(pairs=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=15))
def test_groups_are_the_connected_components(pairs: list[tuple[int, int]]) -> None:
    people = [f"S{i:02}" for i in range(12)]
    found = groups(people, [(people[a], people[b]) for a, b in pairs])
    reach = np.eye(12, dtype=int)
    for a, b in pairs:
        reach[a, b] = reach[b, a] = 1
    reach = np.linalg.matrix_power(reach, 12) > 0
    assert [[people.index(p) for p in group] for group in found] == [
        np.flatnonzero(reach[i]).tolist() for i in range(12) if reach[i].sum() > 1 and reach[i].argmax() == i]


def test_the_unrelated_set_is_as_large_as_that_of_plink2(
        shared_data: Path, peer: Callable[[str], str], stored: Callable[..., xr.Dataset], tmp_path: Path) -> None:
    vcf = shared_data / "population/1kg_phase3_chr22_16.0-16.5Mb.vcf.gz"
    ds = stored(vcf, "GRCh37")
    kinship = king(open_packed(write_packed(ds, tmp_path / "packed.zarr")))
    # half a megabase makes relatives of strangers: at the lower limits the graph is a tangle, 40 and 130 lines a person
    for limit, share in ((0.354, 1.0), (0.177, 0.99), (RELATED, 0.99)):
        subprocess.run([peer("plink2"), "--vcf", vcf, "--vcf-half-call", "m", "--king-cutoff", str(limit), "--silent", "--out",
                        tmp_path / "k"], check=True, capture_output=True)
        theirs = len((tmp_path / "k.king.cutoff.in.id").read_text().split("\n")) - 2
        ours = largest_unrelated(kinship, limit=limit)
        found = len(ours.kept)
        assert found >= share * theirs, (limit, found, theirs)
        inside = np.isin(kinship.samples_0.values, ours.kept)
        phi = kinship.stat_kinship.values[np.ix_(inside, inside)]
        assert np.nanmax(phi[np.triu_indices(len(phi), 1)]) <= limit
