"""Chromosomes from one parent alone: the kernel against the plain rule, planted truth, and what must never be called."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.rare.disomy import (
    DELETION, HETERODISOMY, ISODISOMY, MIXED, UNRESOLVED, DisomyLimits, disomy_scan, likely_origins, origin_block,
    origin_reference, plot_disomy,
)
from genomics_nb.store.pedigree import read_ped

TRIO = read_ped("F kid dad mum 1 2\nF dad 0 0 1 1\nF mum 0 0 2 1\n")
SITES, CHROMOSOMES = 500, 6  # on each chromosome, 100 Mb long


def transmitted(parent, rng):
    """A haplotype of each chromosome, with one crossing-over."""
    out = np.empty(len(parent), np.int8)
    for c in range(CHROMOSOMES):
        at, first, cut = slice(c * SITES, (c + 1) * SITES), rng.integers(2), rng.integers(SITES)
        out[at] = np.where(np.arange(SITES) < cut, parent[at, first], parent[at, 1 - first])
    return out


def family(seed=1, plant=None, father=None, errors=0.0, depth=True):
    """A trio; `plant(child, dad, mum, depths, rng)` changes the child, `father` draws another declared father."""
    rng, n = np.random.default_rng(seed), SITES * CHROMOSOMES
    share = rng.beta(1, 1, n)[:, None]
    dad, mum, other = ((rng.random((n, 2)) < share).astype(np.int8) for _ in range(3))
    child = np.stack([transmitted(mum, rng), transmitted(dad, rng)], 1)
    depths = rng.poisson(32, (n, 3)).astype(np.int32)
    if plant:
        plant(child, dad, mum, depths, rng)
    if father == "stranger":
        dad = other
    elif father == "brother":  # of the father: shares half
        dad = np.stack([transmitted(dad, rng), transmitted(other, rng)], 1)
    genotype = np.stack([child, dad, mum], 1)
    wrong = rng.random((n, 3)) < errors
    genotype[wrong] = rng.integers(0, 2, (int(wrong.sum()), 2))
    fields = {"call_DP": (("variants", "samples"), depths)} if depth else {}
    return xr.Dataset({
        "call_genotype": (("variants", "samples", "ploidy"), genotype),
        "variant_position": ("variants", np.tile(np.arange(SITES) * 200_000 + 50_000, CHROMOSOMES).astype(np.int32)),
        "variant_contig": ("variants", np.repeat(np.arange(CHROMOSOMES), SITES).astype(np.int8)),
        "contig_id": ("contigs", ["chr1", "chr6", "chr7", "chr11", "chr14", "chr15"]),
        "variant_filter": (("variants", "filters"), np.ones((n, 1), bool)), "filter_id": ("filters", ["PASS"]),
        "sample_id": ("samples", ["kid", "dad", "mum"]), **fields}, attrs={"genome_build": "GRCh38"})


def stretch(chromosome, kind, parent="mother", first=0, last=SITES):
    """A plant: this part of a chromosome from one parent, or over a deletion of the other parent's copy."""

    def change(child, dad, mum, depths, rng):
        at = slice(chromosome * SITES + first, chromosome * SITES + last)
        giver = mum if parent == "mother" else dad
        half = (last - first) // 2
        kept = giver[at, 0].copy()
        child[at] = np.stack([kept, giver[at, 1] if kind == HETERODISOMY else kept], 1)
        if kind == MIXED:
            child[at][half:, 1] = giver[at, 1][half:]
        if kind == DELETION:
            depths[at, 0] = rng.poisson(16, last - first)

    return change


@given(st.lists(st.tuples(*[st.tuples(st.integers(-2, 3), st.integers(-2, 3))] * 3), min_size=1, max_size=20),
       st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)))
@settings(max_examples=60, deadline=None)
def test_the_kernel_is_the_plain_rule(rows, columns):
    genotype = np.array(rows, np.int8)
    none, every = np.full((len(rows), 3), -1, np.float32), np.ones(len(rows), bool)
    found = origin_block(genotype, none, none, every, np.array(columns), 10.0, 20.0)
    assert found.tolist() == [origin_reference(*(row[c] for c in columns)) for row in rows]


def test_a_site_counts_only_where_all_three_are_measured_well_enough():
    genotype = np.array([[[1, 1], [0, 0], [1, 1]]] * 6, np.int8)
    dp, gq = np.full((6, 3), 30, np.float32), np.full((6, 3), 99, np.float32)
    dp[0, 1], gq[1, 2], dp[2, 0] = 9, 19, -1  # the last is missing, which counts
    use = np.array([True, True, True, False, True, True])
    assert origin_block(genotype, dp, gq, use, np.arange(3), 10.0, 20.0).tolist() == [0, 0, 2, 0, 2, 2]


@pytest.mark.parametrize("parent", ["mother", "father"])
@pytest.mark.parametrize("kind", [ISODISOMY, HETERODISOMY, MIXED])
def test_a_planted_chromosome_is_found_with_its_parent_and_kind(kind, parent):
    found = disomy_scan(family(seed=3, plant=stretch(4, kind, parent), errors=0.003), TRIO)
    assert found.segments[["contig", "parent", "kind", "whole"]].values.tolist() == [["chr14", parent, kind, True]]
    assert not found.doubtful and found.segments["depth_ratio"].iloc[0] == pytest.approx(1, abs=0.05)
    disease = "Temple" if parent == "mother" else "Kagami"
    assert disease in found.sentences("en")[0] and disease in found.sentences("fr")[0]


def test_a_part_of_a_chromosome_is_found_where_it_lies():
    found = disomy_scan(family(seed=4, plant=stretch(3, ISODISOMY, "father", 0, 150)), TRIO).segments.iloc[0]
    assert (found["contig"], found["parent"], found["kind"], found["whole"]) == ("chr11", "father", ISODISOMY, False)
    assert found["start"] < 3_000_000 and abs(found["end"] - 30_000_000) < 3_000_000


@pytest.mark.parametrize("parent", ["mother", "father"])
def test_a_deletion_is_told_by_its_depth_and_without_depth_is_left_open(parent):
    plant = stretch(2, DELETION, parent, 100, 250)
    found = disomy_scan(family(seed=5, plant=plant), TRIO)
    assert found.segments[["contig", "parent", "kind"]].values.tolist() == [["chr7", parent, DELETION]]
    assert found.segments["depth_ratio"].iloc[0] == pytest.approx(0.5, abs=0.05)
    assert "deletion" in found.sentences("en")[0] and "Silver" not in found.sentences("en")[0]
    blind = disomy_scan(family(seed=5, plant=plant, depth=False), TRIO)
    assert blind.segments["kind"].tolist() == [UNRESOLVED] and "cannot be told apart" in blind.sentences("en")[0]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("father", ["stranger", "brother"])
def test_another_father_is_never_called_disomy(father, seed):
    found = disomy_scan(family(seed=seed, father=father), TRIO)
    assert found.doubtful == ("kid",) and found.segments.empty
    said = found.sentences("en") + found.sentences("fr")
    assert len(said) == 2 and not any("dad" in text or "father" in text or "père" in text for text in said)


@pytest.mark.parametrize("seed", range(4))
def test_a_plain_trio_with_errors_has_none(seed):
    found = disomy_scan(family(seed=seed, errors=0.005), TRIO)
    assert found.segments.empty and not found.doubtful and found.background["kid"] < 0.1


def test_one_file_of_a_single_disomic_chromosome_is_not_a_wrong_parent():
    ds = family(seed=6, plant=stretch(5, HETERODISOMY)).isel(variants=slice(5 * SITES, 6 * SITES))
    found = disomy_scan(ds, TRIO)
    assert found.segments["kind"].tolist() == [HETERODISOMY] and "Prader-Willi" in found.sentences()[0]


def test_disomy_on_three_chromosomes_is_another_parent_or_another_child():
    def three(*given):
        for c in (1, 2, 3):
            stretch(c, ISODISOMY)(*given)

    assert disomy_scan(family(seed=7, plant=three), TRIO).doubtful == ("kid",)


def test_a_few_sites_in_a_row_are_no_stretch():
    rng = np.random.default_rng(1)
    for _ in range(20):
        seen = np.where(rng.random(400) < 0.02, 2, 1)
        seen[100:104] = 2
        assert set(likely_origins(seen, 0.01, 1e-6).tolist()) == {1}


def test_who_has_one_parent_is_not_scanned_and_no_site_is_no_answer():
    duo = read_ped("F kid 0 mum 1 2\nF mum 0 0 2 1\n")
    alone = disomy_scan(family(), duo)
    assert alone.children == () and alone.sentences() == []
    empty = disomy_scan(family().isel(variants=slice(0, 0)), TRIO)
    assert "not assessed" in empty.sentences("en")[0] and "pas été évaluée" in empty.sentences("fr")[0]
    assert len(plot_disomy(empty, "kid").axes) == 1


def test_x_is_left_out_and_filters_count():
    ds = family(seed=8, plant=stretch(4, ISODISOMY))
    on_x = ds.assign(contig_id=("contigs", ["chr1", "chr6", "chr7", "chr11", "chrX", "chr15"]))
    assert disomy_scan(on_x, TRIO).segments.empty
    refused = ds.assign(variant_filter=(("variants", "filters"), np.tile([False, True], (ds.sizes["variants"], 1))),
                        filter_id=("filters", ["PASS", "LowQual"]))
    assert disomy_scan(refused, TRIO).chromosomes.empty


def test_every_limit_says_where_it_comes_from():
    assert (DisomyLimits().table()["source"].str.len() > 5).all()


def test_the_healthy_trio_of_giab_has_none(stored, shared_data):
    trio = shared_data / "trio"
    found = disomy_scan(stored(trio / "ashk-trio.vcf.gz", "GRCh37"), read_ped(trio / "ashk-trio.ped"))
    assert found.children == ("HG002",) and not found.doubtful and found.segments.empty
    assert found.background["HG002"] < 0.01 and found.chromosomes["both"].sum() > 300
