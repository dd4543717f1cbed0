"""Modes of inheritance: the kernel against the plain rules, the planted truth, pairs, edges, and other programs' answers."""

import itertools
import math
from dataclasses import replace

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pysam
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genomics_nb.core.family import findings as planted_findings
from genomics_nb.core.family import traps as planted_traps
from genomics_nb.core.reference import Region
from genomics_nb.core.types import INDETERMINATE, NO, YES, ParameterError
from genomics_nb.rare.compound import MOST_HALVES, read_phase
from genomics_nb.rare.evidence import (
    LANGUAGES, TEXTS, Finding, Reason, State, Thresholds, answer_of, mask, state_of,
)
from genomics_nb.rare.inheritance import candidates, rows_to_annotate
from genomics_nb.rare.kernels import MODE_NAMES, read_state
from genomics_nb.rare.modes import Evidence, Site, de_novo, findings, recessive
from genomics_nb.rare.screen import Block, assess_block, evidence_at, family_data, screen
from genomics_nb.store.ped import Member
from genomics_nb.store.pedigree import pedigree_from_members, read_ped
from genomics_nb.variant.consequence import genes

pysam.set_verbosity(0)
LIMITS = Thresholds()
TRIO = read_ped("F kid dad mum 1 2\nF dad 0 0 1 1\nF mum 0 0 2 1\n")


def dataset(sites, samples, *, contig="chr1", build="GRCh38", **fields):
    """A dataset from rows of genotypes ((a, b), …); fields may hold AD, DP, GQ, PS, phased, filter, position, allele."""
    genotype = np.array(sites, np.int8)
    n, m = genotype.shape[:2]
    position = np.asarray(fields.pop("position", np.arange(5_000_000, 5_000_000 + n)), np.int32)
    passed = fields.pop("filter", [True] * n)
    alleles = fields.pop("allele", [["A", "C", "G", "T"]] * n)
    phased = np.asarray(fields.pop("phased", np.zeros((n, m), bool)))
    data = {
        "call_genotype": (("variants", "samples", "ploidy"), genotype),
        "call_genotype_phased": (("variants", "samples"), phased),
        "variant_contig": ("variants", np.zeros(n, np.int8)), "variant_position": ("variants", position),
        "variant_filter": (("variants", "filters"), np.array([[p is True, p is False] for p in passed])),
        "variant_allele": (("variants", "alleles"), np.array(alleles, object)),
        "filter_id": ("filters", ["PASS", "LowQual"]), "contig_id": ("contigs", [contig]), "sample_id": ("samples", samples)}
    for name, values in fields.items():
        values = np.asarray(values)
        data[f"call_{name}"] = (("variants", "samples", *(("alleles",) if values.ndim == 3 else ())), values)
    return xr.Dataset(data, attrs={"genome_build": build})


def good(sites, samples, **more):
    """The same with reads that fit the calls, depth 30 and GQ 99."""
    genotype = np.array(sites, np.int8)
    called = np.maximum((genotype >= 0).sum(axis=2, keepdims=True), 1)
    ad = np.stack([30 * (genotype == k).sum(axis=2) // called[..., 0] for k in range(4)], axis=2).astype(np.int32)
    depth = np.full(genotype.shape[:2], 30, np.int32)
    return dataset(sites, samples, AD=ad, DP=depth, GQ=depth + 69, **more)


def answers(ds, pedigree, mode, **more):
    """Answer of each (variant, allele) that is not no."""
    hits = screen(ds, pedigree, **more).hits
    return {(int(v), int(a)): (int(x), g) for v, a, x, g in
            hits.loc[hits["mode"] == mode, ["variant", "allele", "answer", "grade"]].itertuples(index=False)}


# ---- the kernel and the plain rules say the same -----------------------------------------------------------------------

@st.composite
def families(draw):
    """Families of up to six with half-siblings, loops, unknown sex and status; some members without data."""
    members: list[Member] = []
    for i in range(draw(st.integers(1, 6))):
        fathers = [m.id for m in members if m.sex == "male"]
        mothers = [m.id for m in members if m.sex == "female"]
        members.append(Member(
            f"p{i}", "F", draw(st.sampled_from([None, *fathers])), draw(st.sampled_from([None, *mothers])),
            draw(st.sampled_from(["male", "female", "unknown"])), draw(st.sampled_from([True, True, False, False, None]))))
    if len(members) > 1 and draw(st.booleans()):  # the youngest two are identical twins
        birth = {"twin": "1", "identical": True, "father": members[-2].father, "mother": members[-2].mother,
                 "sex": members[-2].sex}
        members[-2:] = [replace(m, **birth) for m in members[-2:]]
    members[-1] = replace(members[-1], affected=True)
    pedigree = pedigree_from_members(members)
    others = [m.id for m in members[:-1]]
    present = [m for m in others if draw(st.integers(0, 4))] + [members[-1].id]
    return pedigree, draw(st.permutations([*present, "stranger"]))


@st.composite
def blocks(draw):
    """A block of sites of any region with any call, reads and quality, and a family."""
    pedigree, samples = draw(families())
    family = family_data(xr.Dataset({"sample_id": ("samples", samples)}), pedigree)
    n, m = draw(st.integers(1, 6)), len(family.members)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    genotype = rng.choice([0, 0, 0, 1, 1, 2, -1], (n, m, 2)).astype(np.int8)
    genotype[rng.random((n, m)) < 0.3, 1] = -2
    same = rng.random((n, m)) < 0.3
    genotype[same, 1] = genotype[same, 0]
    ad = rng.choice([0, 0, 1, 2, 3, 5, 12, 30, -1], (n, m, rng.choice([0, 2, 3]))).astype(np.int32)
    dp, gq = (rng.choice([-1, 5, 10, 30, 99], (n, m)).astype(np.float32) for _ in range(2))
    population = rng.choice([0, 0.00001, 0.00005, 0.0001, 0.001, 0.01, 0.05, 0.5, np.nan], (n, 3, 7))
    population[:, :, 1:4] = rng.choice([-1, 0, 5, 6, 10, 11], (n, 3, 3))
    population[:, :, 4:6] = rng.choice([-1, 0, 1], (n, 3, 2))
    population[:, :, 6] = rng.choice([-1, 0, 1, 2], (n, 3))
    region = rng.choice([0, 1, 1, 1, 2, 3, 3, 3, 4, 5, 6, 6], n).astype(np.uint8)
    return family, Block(0, genotype, ad, dp, gq, region, rng.choice([-1, 0, 1], n).astype(np.int8), population)


def plain(block, family, row, allele, given, limits):
    """Site and evidence by plain Python."""
    people = []
    for m, name in enumerate(family.members):
        reads = [int(r) for r in block.ad[row, m]]
        known = len(reads) > allele and reads[allele] >= 0
        total = sum(max(r, 0) for r in reads)
        share = reads[allele] / total if known and total else math.nan
        depth = float(block.dp[row, m])
        depth = depth if depth >= 0 else float(total) if known else math.nan
        quality = float(block.gq[row, m])
        sex, affected, father, mother, _, twin = (int(v) for v in family.table[m])
        state = state_of([int(a) for a in block.genotype[row, m]], allele, int(block.region[row]), sex, share, limits)
        people.append(Evidence(name, sex, affected, father, mother, state, float(reads[allele]) if known else math.nan, share,
                               depth, quality if quality >= 0 else math.nan, twin))
    af, *counts = (float(v) for v in block.population[row, allele - 1])
    return Site(int(block.region[row]), int(block.passed[row]), af if given else None, *counts), people


@given(blocks(), st.booleans(), st.booleans())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_kernel_gives_the_masks_of_the_plain_rules(drawn, given_frequency, penetrance):
    family, block = drawn
    limits = Thresholds(incomplete_penetrance=penetrance)
    rows, alleles, masks = assess_block(block, family, limits.record(), given_frequency)
    for n, (row, allele) in enumerate(zip(rows, alleles, strict=True)):
        site, people = plain(block, family, row, int(allele), given_frequency, limits)
        for slot, (mode, child) in enumerate(family.slots):
            slow = mask(findings(MODE_NAMES[mode], site, people, child, limits))
            fast = int(masks[n, slot])
            assert answer_of(fast) == answer_of(slow), (MODE_NAMES[mode], people)
            if answer_of(slow) != NO:
                assert fast == slow, (MODE_NAMES[mode], site, people)
            elif not fast >> Reason.OTHER_REGION & 1:
                assert fast == slow, (MODE_NAMES[mode], site, people)


@given(st.lists(st.integers(-2, 3), min_size=1, max_size=4), st.integers(1, 3), st.sampled_from(list(Region)),
       st.integers(0, 2), st.sampled_from([math.nan, 0.0, 0.04, 0.05, 0.5, 0.95, 1.0]))
@settings(max_examples=300, deadline=None)
def test_states_are_the_same_for_any_ploidy(genotype, allele, region, sex, share):
    assert read_state(np.array(genotype, np.int8), allele, region, sex, share, LIMITS.record()) == state_of(
        genotype, allele, region, sex, share, LIMITS)


@given(blocks())
@settings(max_examples=60, deadline=None)
def test_an_uncalled_or_absent_parent_never_gives_de_novo(drawn):
    family, block = drawn
    rows, alleles, masks = assess_block(block, family, LIMITS.record(), False)
    for n, (row, allele) in enumerate(zip(rows, alleles, strict=True)):
        for slot, (mode, child) in enumerate(family.slots):
            if MODE_NAMES[mode] != "de_novo" or block.region[row] not in (Region.AUTOSOME, Region.X_PAR):
                continue
            parents = family.table[child, 2:4]
            called = all(p >= 0 and (block.genotype[row, p] != -1).all() and block.genotype[row, p, 0] != -2 for p in parents)
            carried = any(p >= 0 and (block.genotype[row, p] == allele).any() for p in parents)
            if not called or carried:
                assert answer_of(int(masks[n, slot])) != YES


def test_every_reason_has_a_sentence_that_needs_only_its_own_values():
    for reason, lang in itertools.product(Reason, LANGUAGES):
        text = Finding(reason, "SYN-001", State.HET, 0.5, "father").sentence(lang)
        assert "{" not in text and len(text) > 10
    assert set(TEXTS) == set(Reason)
    with pytest.raises(ParameterError):
        Finding(Reason.COMMON).sentence("de")


# ---- the planted truth ---------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def synthetic_ds(stored, synthetic):
    return stored(synthetic / "family.vcf.gz", "GRCh38")


@pytest.fixture(scope="module")
def synthetic_pedigree(synthetic):
    return read_ped(synthetic / "family.ped")


def test_every_planted_variant_is_answered_as_its_truth_says(synthetic_ds, synthetic_pedigree):
    table = candidates(synthetic_ds, synthetic_pedigree, genes=genes(synthetic_ds), frequency="SYN_AF",
                       answers=("yes", "indeterminate"))
    for truth in planted_findings() + planted_traps():
        rows = table.query("contig == @truth.contig_name and position == @truth.position and mode == @truth.mode"
                           .replace("@truth.contig_name", f"'chr{truth.contig}'").replace("@truth.position", str(truth.position))
                           .replace("@truth.mode", f"'{truth.mode}'"))
        rows = rows[rows["allele"] == truth.allele]
        if truth.answer == "no":
            assert rows.empty, truth
        else:
            assert set(rows["answer"]) == {truth.answer}, truth
            assert not truth.grade or set(rows["grade"]) == {truth.grade}, truth


def test_nothing_but_the_planted_variants_is_answered_yes(synthetic_ds, synthetic_pedigree):
    table = candidates(synthetic_ds, synthetic_pedigree, genes=genes(synthetic_ds), frequency="SYN_AF")
    planted = {(f"chr{p.contig}", p.position, p.allele) for p in planted_findings() + planted_traps()}
    assert set(zip(table["contig"], table["position"], table["allele"], strict=True)) <= planted


def test_the_table_tells_the_reads_and_speaks_both_languages(synthetic_ds, synthetic_pedigree):
    english = candidates(synthetic_ds, synthetic_pedigree, frequency="SYN_AF")
    french = candidates(synthetic_ds, synthetic_pedigree, frequency="SYN_AF", lang="fr")
    mosaic = english[english["mode"] == "parental_mosaic"].iloc[0]
    assert (mosaic["SYN-002 GT"], mosaic["SYN-002 AD"], mosaic["SYN-002 DP"]) == ("0/0", "41,3", 44)
    chd7 = english[english["position"] == 60_780_333].iloc[0]
    assert (chd7["alt"], chd7["allele"], chd7["SYN-001 AD"]) == ("G", 2, "18,15")
    assert english["variant"].tolist() == french["variant"].tolist()
    assert all(english["reasons"]) and all(f != e for f, e in zip(french["reasons"], english["reasons"], strict=True))
    assert any("SYN-002: 3 reads, 6.8%" in text for text in mosaic["reasons"])


def test_hits_of_the_pass_are_explained_by_exactly_their_bits(synthetic_ds, synthetic_pedigree):
    result = screen(synthetic_ds, synthetic_pedigree, frequency="SYN_AF", shown=(YES, INDETERMINATE))
    assert len(result.hits) > 8
    for hit in result.hits.itertuples():
        site, people = evidence_at(result, hit.variant, hit.allele)
        child = result.family.members.index(hit.child) if hit.child else -1
        assert mask(findings(hit.mode, site, people, child, LIMITS)) == hit.reasons


# ---- de novo ---------------------------------------------------------------------------------------------------------------

KID, DAD, MUM = "kid", "dad", "mum"


@pytest.mark.parametrize("calls,expected", [
    (((0, 1), (0, 0), (0, 0)), (YES, "high")),
    (((0, 1), (-1, -1), (0, 0)), (INDETERMINATE, "high")),
    (((0, 1), (-1, 1), (0, 0)), (INDETERMINATE, "high")),
    (((0, 1), (0, 0), (-1, -2)), (INDETERMINATE, "high")),
    (((0, 1), (0, 1), (0, 0)), None),
    (((0, 1), (-1, -1), (0, 1)), None),  # the mother has it: known, whatever the father is
    (((1, 1), (0, 0), (0, 0)), None),
    (((-1, 1), (0, 0), (0, 0)), (INDETERMINATE, "high")),
])
def test_de_novo_asks_both_parents(calls, expected):
    assert answers(good([calls], [KID, DAD, MUM]), TRIO, "de_novo").get((0, 1)) == expected


def test_a_parent_who_is_not_in_the_data_leaves_it_open():
    ds = good([((0, 1), (0, 0))], [KID, MUM])
    assert answers(ds, TRIO, "de_novo") == {(0, 1): (INDETERMINATE, "high")}
    assert answers(good([((0, 1), (0, 1))], [KID, MUM]), TRIO, "de_novo") == {}


@pytest.mark.parametrize("field,value", [
    ("GQ", 12), ("GQ", -1), ("DP", 6), ("AD", -1), ("filter", False), ("filter", None)])
@pytest.mark.parametrize("member", [0, 1, 2])
def test_a_low_or_missing_metric_lowers_the_grade_and_drops_nothing(field, value, member):
    ds = good([((0, 1), (0, 0), (0, 0))], [KID, DAD, MUM], filter=[value if field == "filter" else True])
    if field != "filter":
        ds[f"call_{field}"].values[0, member] = value
    assert answers(ds, TRIO, "de_novo") == {(0, 1): (YES, "low")}


def test_a_file_without_reads_depth_or_quality_gives_low_grades():
    ds = dataset([((0, 1), (0, 0), (0, 0))], [KID, DAD, MUM])
    assert answers(ds, TRIO, "de_novo") == {(0, 1): (YES, "low")}
    assert answers(ds, TRIO, "parental_mosaic") == {(0, 1): (INDETERMINATE, "high")}


def test_reads_of_the_allele_in_a_parent_make_it_low_and_a_possible_mosaic():
    ds = good([((0, 1), (0, 0), (0, 0))], [KID, DAD, MUM])
    ds["call_AD"].values[0, 1] = (38, 3, 0, 0)
    assert answers(ds, TRIO, "de_novo") == {(0, 1): (YES, "low")}
    assert answers(ds, TRIO, "parental_mosaic") == {(0, 1): (YES, "high")}


def test_a_mosaic_is_seen_whatever_genotype_was_called():
    ds = good([((0, 1), (0, 1), (0, 0))], [KID, DAD, MUM])
    ds["call_AD"].values[0, 1] = (40, 6, 0, 0)  # called heterozygous, 13 % of the reads
    assert answers(ds, TRIO, "de_novo") == {}
    assert answers(ds, TRIO, "parental_mosaic") == {(0, 1): (YES, "low")}
    ds["call_AD"].values[0, 1] = (25, 20, 0, 0)
    assert answers(ds, TRIO, "parental_mosaic") == {}


def test_each_alternative_allele_is_asked_by_itself():
    ds = good([((0, 2), (0, 1), (0, 0)), ((1, 2), (0, 1), (0, 0)), ((1, 2), (0, 1), (0, 2))], [KID, DAD, MUM])
    assert answers(ds, TRIO, "de_novo") == {(0, 2): (YES, "high"), (1, 2): (YES, "high")}


def test_a_spanning_deletion_is_no_candidate():
    ds = good([((0, 2), (0, 1), (0, 0))], [KID, DAD, MUM], allele=[["A", "C", "*", ""]])
    table = candidates(ds, TRIO)
    assert table.empty and table.attrs["no_allele"] == 1


# ---- X, Y, mitochondrion ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("child,share,expected", [
    ((1, -2), 1.0, (YES, "high")), ((1, 1), 1.0, (YES, "high")), ((0, 1), 0.8, (YES, "low")), ((0, 1), 0.5, None)])
def test_a_son_has_one_x_however_it_is_printed(child, share, expected):
    ds = good([(child, (0, -2), (0, 0))], [KID, DAD, MUM], contig="chrX")
    ds["call_AD"].values[0, 0] = (round(30 * (1 - share)), round(30 * share), 0, 0)
    assert answers(ds, TRIO, "de_novo").get((0, 1)) == expected


def test_a_son_in_the_par_is_asked_like_an_autosome():
    ds = good([((0, 1), (0, 0), (0, 0)), ((1, 1), (0, 0), (0, 0))], [KID, DAD, MUM], contig="X", position=[20_000, 30_000])
    assert answers(ds, TRIO, "de_novo") == {(0, 1): (YES, "high")}
    assert answers(ds, TRIO, "x_recessive") == {}


def test_the_father_of_a_son_is_not_asked_on_x_but_his_reads_are_an_alarm():
    ds = good([((1, -2), (-1, -2), (0, 0))], [KID, DAD, MUM], contig="chrX")
    ds["call_AD"].values[0, 1] = (10, 5, 0, 0)
    result = screen(ds, TRIO)
    hit = result.hits.query("mode == 'de_novo'").iloc[0]
    assert hit.answer == YES and int(hit.reasons) >> Reason.PATERNAL_READS & 1


def test_x_recessive_needs_the_mother_or_a_new_mutation_and_healthy_men_without_it():
    brother = read_ped("F kid dad mum 1 2\nF bro dad mum 1 1\n")
    sites = [((1, -2), (0, -2), (0, 0), (0, 1)), ((1, -2), (1, -2), (0, 0), (0, 1)), ((1, -2), (0, -2), (0, 0), (0, 0)),
             ((1, -2), (0, -2), (0, 0), (-1, -1)), ((0, 1), (0, -2), (0, 0), (0, 1))]
    ds = good(sites, ["kid", "bro", "dad", "mum"], contig="chrX")
    assert answers(ds, brother, "x_recessive") == {(0, 1): (YES, "high"), (2, 1): (YES, "high"), (3, 1): (INDETERMINATE, "high")}


def test_an_affected_daughter_is_homozygous_by_both_parents():
    family = read_ped("F girl dad mum 2 2\nF dad 0 0 1 0\n")
    sites = [((1, 1), (1, -2), (0, 1)), ((1, 1), (0, -2), (0, 1)), ((0, 1), (0, -2), (0, 1))]
    ds = good(sites, ["girl", "dad", "mum"], contig="chrX")
    assert answers(ds, family, "x_recessive") == {(0, 1): (YES, "high")}
    sick_father = read_ped("F girl dad mum 2 2\nF dad 0 0 1 2\n")  # his own mother has no data
    assert answers(ds, sick_father, "x_recessive") == {(0, 1): (INDETERMINATE, "high")}


def test_no_x_goes_from_father_to_son_and_every_daughter_of_a_carrier_has_it():
    family = read_ped("F son dad mum 1 2\nF dad 0 0 1 2\nF girl dad mum 2 2\nF well dad mum 2 1\n")
    names = ["son", "dad", "mum", "girl", "well"]
    ds = good([((1, -2), (1, -2), (0, 0), (0, 1), (0, 0))], names, contig="chrX")
    result = screen(ds, family)
    assert result.hits.query("mode == 'x_dominant'").empty
    girls = read_ped("F girl dad mum 2 2\nF dad 0 0 1 2\nF son dad mum 1 1\n")
    sites = [((0, 1), (1, -2), (0, 0), (0, -2)), ((0, 1), (1, -2), (0, 0), (1, -2))]
    ds = good(sites, ["girl", "dad", "mum", "son"], contig="chrX")
    assert answers(ds, girls, "x_dominant") == {(0, 1): (YES, "high")}


def test_an_unknown_sex_leaves_x_open():
    family = read_ped("F kid dad mum 0 2\n")
    ds = good([((1, -2), (0, -2), (0, 1))], [KID, DAD, MUM], contig="chrX")
    assert answers(ds, family, "x_recessive") == {} or answers(ds, family, "x_recessive")[(0, 1)][0] != YES


def test_an_unknown_build_leaves_the_par_borders_open():
    ds = good([((0, 1), (0, 0), (0, 0)), ((1, -2), (0, -2), (0, 0))], [KID, DAD, MUM], contig="X",
              position=[2_700_000, 50_000_000], build="unknown")
    assert answers(ds, TRIO, "de_novo") == {(0, 1): (INDETERMINATE, "high"), (1, 1): (YES, "high")}


def test_y_is_asked_of_the_father_of_a_son():
    ds = good([((1, -2), (0, -2), (-1, -1)), ((1, -2), (1, -2), (-1, -1))], [KID, DAD, MUM], contig="chrY")
    assert answers(ds, TRIO, "de_novo") == {(0, 1): (YES, "high")}


def mitochondrial(shares, build="GRCh38", **more):
    """One mitochondrial site with these shares of 1,000 reads in child, father and mother."""
    calls = [(1, 1) if s >= 0.95 else (0, 1) if s >= 0.05 else (0, 0) for s in shares]
    ad = np.array([[[round(1000 * (1 - s)), round(1000 * s), 0, 0] for s in shares]], np.int32)
    return dataset([calls], ["kid", "dad", "mum"], contig="chrM", build=build, position=[3243], AD=ad,
                   DP=np.full((1, 3), 1000, np.int32), GQ=np.full((1, 3), 99, np.int32), **more)


def test_two_copies_from_one_parent_are_a_recessive_candidate_inside_a_disomic_stretch_only():
    """A site is flagged and never new; where the whole stretch comes from the mother, her allele is homozygous by disomy."""
    ds = good([[(1, 1), (0, 0), (0, 1)], [(1, 1), (0, 1), (0, 0)]], ["kid", "dad", "mum"])
    stretch = pd.DataFrame({"child": ["kid"], "contig": ["chr1"], "start": [4_000_000], "end": [6_000_000], "parent": ["mother"]})
    assert candidates(ds, TRIO).empty
    found = candidates(ds, TRIO, disomic=stretch)
    assert found[["mode", "variant", "grade"]].values.tolist() == [["recessive", 0, "low"]]
    assert any("dad does not carry it" in r and "disomy" in r for r in found["reasons"].iloc[0])
    assert candidates(ds, TRIO, disomic=stretch.assign(end=4_500_000)).empty
    other = read_ped("F other dad mum 1 1\nF kid dad mum 1 2\nF dad 0 0 1 1\nF mum 0 0 2 1\n")
    assert candidates(ds, other, disomic=stretch.assign(child="other")).empty  # a healthy child's stretch says nothing


@pytest.mark.parametrize("lang,said", [
    ("en", "homoplasmic in kid (98.0%); heteroplasmic in mum (40.0%); not seen in dad (0.2%)"),
    ("fr", "homoplasmique chez kid (98,0 %); hétéroplasmique chez mum (40,0 %); absent chez dad (0,2 %)")])
def test_homoplasmic_and_heteroplasmic_members_are_named_apart(lang, said):
    row = candidates(mitochondrial([0.98, 0.002, 0.40]), TRIO, lang=lang).iloc[0]
    assert row["mode"] == "mitochondrial" and said in row["reasons"][0]
    assert [row[f"{m} VAF"] for m in ("kid", "dad", "mum")] == [0.98, 0.002, 0.4]


@pytest.mark.parametrize("share", [0.03, 0.12, 0.19])
def test_a_mosaic_parent_is_shown_with_reads_and_share_beside_the_child(share):
    reads = round(100 * share)
    ad = np.array([[[50, 50, 0, 0], [100 - reads, reads, 0, 0], [100, 0, 0, 0]]], np.int32)
    ds = dataset([[(0, 1), (0, 0), (0, 0)]], ["kid", "dad", "mum"], AD=ad, DP=np.full((1, 3), 100, np.int32),
                 GQ=np.full((1, 3), 99, np.int32))
    table = candidates(ds, TRIO).set_index("mode")
    row = table.loc["parental_mosaic"]
    assert f"dad: {reads} reads" in row["reasons"][0] and row["dad AD"] == f"{100 - reads},{reads}"
    assert row["grade"] == ("high" if share < 0.10 else "low")
    assert table.loc["de_novo", "grade"] == "low"  # the same site, shown apart


@pytest.mark.parametrize("child,mother,expected", [
    (0.40, 0.07, (YES, "high")), (0.97, 0.30, (YES, "high")), (0.40, 0.0, None), (0.03, 0.5, None), (0.9, 0.99, None)])
def test_heteroplasmy_decides_in_the_mitochondrion(child, mother, expected):
    ds = good([((0, 1), (0, 0), (0, 1))], [KID, DAD, MUM], contig="chrM", position=[3243])
    for member, share in ((0, child), (1, 0.0), (2, mother)):
        ds["call_AD"].values[0, member] = (round(1000 * (1 - share)), round(1000 * share), 0, 0)
    assert answers(ds, TRIO, "mitochondrial").get((0, 1)) == expected


# ---- recessive and dominant ----------------------------------------------------------------------------------------------

SIBS = read_ped("F a dad mum 1 2\nF b dad mum 2 2\nF well dad mum 2 1\n")
NAMES = ["a", "b", "well", "dad", "mum"]


@pytest.mark.parametrize("calls,expected", [
    (((1, 1), (1, 1), (0, 1), (0, 1), (0, 1)), (YES, "high")),
    (((1, 1), (0, 1), (0, 1), (0, 1), (0, 1)), None),  # not in every affected member
    (((1, 1), (1, 1), (1, 1), (0, 1), (0, 1)), None),  # a healthy one has it too
    (((1, 1), (1, 1), (-1, -1), (0, 1), (0, 1)), (YES, "low")),
    (((1, 1), (1, 1), (0, 1), (-1, -1), (0, 1)), (INDETERMINATE, "high")),
    (((1, 1), (1, 1), (0, 1), (0, 0), (0, 1)), None),
    (((1, 1), (-1, -1), (0, 1), (0, 1), (0, 1)), (INDETERMINATE, "high")),
])
def test_recessive_needs_two_copies_in_every_affected_member(calls, expected):
    assert answers(good([calls], NAMES), SIBS, "recessive").get((0, 1)) == expected


def test_one_reference_parent_is_said_to_be_disomy_or_deletion_and_not_de_novo():
    site, people = evidence_at(screen(good([((1, 1), (0, 0), (0, 1))], [KID, DAD, MUM]), TRIO, pairs=np.array([True])), 0, 1)
    said = {f.reason for f in recessive(site, people, LIMITS)}
    assert Reason.ONE_PARENT in said and answer_of(mask(de_novo(site, people, 0, LIMITS))) == NO


THREE = read_ped("F gran 0 0 2 2\nF mum x gran 2 2\nF kid dad mum 1 2\nF aunt x gran 2 1\n")


@pytest.mark.parametrize("calls,penetrance,expected", [
    (((0, 1), (0, 1), (0, 1), (0, 0), (0, 0)), False, (YES, "high")),
    (((0, 1), (0, 1), (0, 1), (0, 1), (0, 0)), False, None),
    (((0, 1), (0, 1), (0, 1), (0, 1), (0, 0)), True, (YES, "low")),
    (((0, 1), (0, 0), (0, 1), (0, 0), (0, 0)), True, None),
    (((0, 1), (-1, -1), (0, 1), (0, 0), (0, 0)), False, (INDETERMINATE, "high")),
    (((0, 1), (0, 1), (0, 1), (-1, -1), (0, 0)), False, (YES, "low")),
])
def test_dominant_runs_through_the_generations(calls, penetrance, expected):
    ds = good([calls], ["gran", "mum", "kid", "aunt", "dad"])
    found = answers(ds, THREE, "dominant", thresholds=Thresholds(incomplete_penetrance=penetrance))
    assert found.get((0, 1)) == expected


def test_healthy_parents_give_no_dominant_candidate():
    ds = good([((0, 1), (0, 0), (0, 0)), ((0, 1), (0, 1), (0, 0))], [KID, DAD, MUM])
    assert answers(ds, TRIO, "dominant") == {}


def test_a_person_without_parents_is_asked_what_can_be_asked():
    ds = good([((0, 1),), ((1, 1),)], [KID])
    alone = read_ped("F kid 0 0 1 2\n")
    assert answers(ds, alone, "dominant") == {(0, 1): (YES, "high")}
    assert answers(ds, alone, "recessive") == {(1, 1): (INDETERMINATE, "high")}
    assert any("De novo" in gap for gap in candidates(ds, alone).attrs["not_assessed"])


def test_each_affected_child_is_asked_for_its_own_de_novo():
    ds = good([((0, 1), (0, 0), (0, 0), (0, 0), (0, 0)), ((0, 1), (0, 1), (0, 0), (0, 0), (0, 0))], NAMES)
    hits = screen(ds, SIBS).hits.query("mode == 'de_novo' and answer == 1")
    assert list(zip(hits["variant"], hits["child"], strict=True)) == [(0, "a"), (1, "a"), (1, "b")]


# ---- rarity ----------------------------------------------------------------------------------------------------------------

def test_a_common_allele_is_dropped_and_an_unknown_one_is_not():
    ds = good([((0, 1), (0, 0), (0, 0))] * 3, [KID, DAD, MUM])
    table = pd.DataFrame({"variant": [1, 0], "allele": [1, 1], "af": [0.0009, 0.001]})
    assert answers(ds, TRIO, "de_novo", frequency=table) == {(1, 1): (YES, "high"), (2, 1): (YES, "high")}
    assert len(answers(ds, TRIO, "de_novo")) == 3
    ds["variant_AF_POP"] = (("variants", "alt_alleles"), np.array([[0.2, 0], [np.nan, 0], [0.0, 0]], np.float32))
    assert set(answers(ds, TRIO, "de_novo", frequency="AF_POP")) == {(1, 1), (2, 1)}


def test_carriers_in_the_population_count_in_the_recessive_modes():
    ds = good([((1, 1), (0, 1), (0, 1))] * 3, [KID, DAD, MUM])
    table = pd.DataFrame({"variant": [0, 1, 2], "allele": 1, "af": 0.004, "hom": [5, 6, -1], "hemi": [0, 0, 6]})
    assert set(answers(ds, TRIO, "recessive", frequency=table)) == {(0, 1)}


def test_a_known_pathogenic_allele_may_be_commoner():
    """CFTR F508del: about 0.012 of European alleles, with homozygotes in every population base."""
    ds = good([((1, 1), (0, 1), (0, 1))] * 3, [KID, DAD, MUM])
    table = pd.DataFrame({"variant": [0, 1, 2], "allele": 1, "af": [0.012, 0.012, 0.051], "hom": 20, "known": [1, 0, 1]})
    assert set(answers(ds, TRIO, "recessive", frequency=table)) == {(0, 1)}
    generations = good([((0, 1), (0, 1), (0, 0))] * 2, [KID, DAD, MUM])
    family = read_ped("F kid dad mum 1 2\nF dad 0 0 1 2\nF mum 0 0 2 1\n")
    table = pd.DataFrame({"variant": [0, 1], "allele": 1, "af": 0.00004, "known": [1, 0]})
    assert set(answers(generations, family, "dominant", frequency=table)) == {(0, 1)}


@pytest.mark.parametrize("frequency,words", [
    ("NOT_THERE", "no INFO field"), (pd.DataFrame({"variant": [0]}), "columns")])
def test_a_wrong_frequency_is_one_clear_line(frequency, words):
    with pytest.raises(ParameterError, match=words):
        screen(good([((0, 1), (0, 0), (0, 0))], [KID, DAD, MUM]), TRIO, frequency=frequency)


def test_a_dataset_of_frequencies_gives_the_answers_of_the_table(monkeypatch):
    """Lazy arrays in odd chunks beside the variants, against the same values row by row; what is missing stays unknown."""
    rng = np.random.default_rng(12)
    n = 500
    ds = good(rng.choice([0, 0, 1, 1, 2, -1], (n, 3, 2)), [KID, DAD, MUM])
    kinds = {"af": rng.choice([np.nan, 0, 0.00001, 0.0004, 0.002, 0.02], (n, 3)), "hom": rng.choice([-1, 0, 6], (n, 3)),
             "hemi": rng.choice([-1, 0, 6], (n, 3)), "ac": rng.choice([-1, 3, 40], (n, 3)), "known": rng.choice([-1, 0, 1], (n, 3))}
    lazy = xr.Dataset({f"population_{name}": (("variants", "alt_alleles"), da.from_array(
        values.astype({"af": np.float32, "known": np.int8}.get(name, np.int32)), chunks=(77, 2))) for name, values in kinds.items()})
    table = pd.DataFrame({"variant": np.repeat(np.arange(n), 3), "allele": np.tile([1, 2, 3], n),
                          **{name: values.astype(np.float32).ravel() for name, values in kinds.items()}})
    monkeypatch.setattr("genomics_nb.rare.screen.ROWS", 128)
    genes_of = pd.DataFrame({"variant": range(n), "allele": 1, "gene": [f"G{i // 10}" for i in range(n)]})
    one, other = (candidates(ds, TRIO, genes=genes_of, frequency=f, answers=("yes", "indeterminate")) for f in (lazy, table))
    pd.testing.assert_frame_equal(one, other)
    assert one.attrs["counts"] == other.attrs["counts"] and len(one) > 20
    assert any("never seen" in text for reasons in one["reasons"] for text in reasons)


@pytest.mark.parametrize("frequency,words", [
    (xr.Dataset({"population_af": (("variants", "alt_alleles"), np.zeros((2, 1), np.float32))}), "2 variants have"),
    (xr.Dataset({"af": (("variants", "alt_alleles"), np.zeros((1, 1), np.float32))}), "population_af")])
def test_frequencies_of_another_dataset_are_refused(frequency, words):
    with pytest.raises(ParameterError, match=words):
        candidates(good([((0, 1), (0, 0), (0, 0))], [KID, DAD, MUM]), TRIO, frequency=frequency)


# ---- pairs -----------------------------------------------------------------------------------------------------------------

def pairs_of(sites, names=(KID, DAD, MUM), pedigree=TRIO, **more):
    table = pd.DataFrame({"variant": range(len(sites)), "allele": 1, "gene": "GENE"})
    found = candidates(good(sites, list(names), **more), pedigree, genes=table, answers=("yes", "indeterminate"))
    found = found[found["mode"] == "compound"]
    return {tuple(part["variant"]): (part["answer"].iloc[0], part["grade"].iloc[0]) for _, part in found.groupby("pair")}


FROM_DAD, FROM_MUM = ((0, 1), (0, 1), (0, 0)), ((0, 1), (0, 0), (0, 1))


@pytest.mark.parametrize("one,other,expected", [
    (FROM_DAD, FROM_MUM, ("yes", "high")),
    (((0, 1), (0, 1), (-1, -1)), FROM_MUM, ("yes", "low")),
    (((0, 1), (-1, -1), (0, 0)), FROM_MUM, ("indeterminate", "low")),
    (FROM_DAD, FROM_DAD, None),
    (((0, 1), (0, 1), (0, 1)), FROM_MUM, None),  # the mother has both
    (((0, 1), (1, 1), (0, 0)), FROM_MUM, None),  # a healthy parent has two of one
    (((0, 1), (0, 0), (0, 0)), FROM_MUM, ("indeterminate", "high")),
    (((1, 1), (0, 1), (0, 1)), FROM_MUM, None),
])
def test_the_parents_tell_the_phase(one, other, expected):
    assert pairs_of([one, other]).get((0, 1)) == expected


def test_a_phase_set_decides_where_parents_cannot():
    new = ((0, 1), (0, 0), (0, 0))
    for haplotypes, expected in (((0, 1), (1, 0)), ("yes", "high")), (((0, 1), (0, 1)), None):
        sites = [(haplotypes[0], *new[1:]), (haplotypes[1], *FROM_MUM[1:])]
        phased = np.array([[True, False, False]] * 2)
        assert pairs_of(sites, phased=phased, PS=np.full((2, 3), 17)).get((0, 1)) == expected
        assert pairs_of(sites, phased=phased, PS=np.array([[17] * 3, [18] * 3])) == {(0, 1): ("indeterminate", "high")}


def test_without_parents_the_phase_is_open_and_reads_may_tell_it():
    alone = read_ped("F kid 0 0 1 2\n")
    assert pairs_of([((0, 1),), ((0, 1),)], [KID], alone) == {(0, 1): ("indeterminate", "high")}
    assert pairs_of([((0, 1),), ((1, 0),)], [KID], alone, phased=np.ones((2, 1), bool)) == {(0, 1): ("yes", "high")}
    assert pairs_of([((0, 1),), ((0, 1),)], [KID], alone, phased=np.ones((2, 1), bool)) == {}


def test_pid_and_pgt_of_gatk_are_a_phase_set():
    ds = good([((0, 1),), ((0, 1),)], [KID])
    ds["call_PID"] = (("variants", "samples"), np.array([["500_A_C"], ["500_A_C"]], object))
    ds["call_PGT"] = (("variants", "samples"), np.array([["0|1"], ["1|0"]], object))
    phase = read_phase(ds, np.array([0, 1]), (KID,))
    assert phase(KID, 0, 1) == ("call_PID 500_A_C", 1) and phase(KID, 1, 1) == ("call_PID 500_A_C", 0)


def test_a_healthy_sibling_with_both_ends_the_hypothesis_and_a_sick_one_needs_both():
    names = ["a", "b", "well", "dad", "mum"]
    def sites(b, well):
        return [((0, 1), b[0], well[0], (0, 1), (0, 0)), ((0, 1), b[1], well[1], (0, 0), (0, 1))]
    both, one = ((0, 1), (0, 1)), ((0, 1), (0, 0))
    assert pairs_of(sites(both, one), names, SIBS) == {(0, 1): ("yes", "high")}
    assert pairs_of(sites(both, both), names, SIBS) == {}
    assert pairs_of(sites(one, one), names, SIBS) == {}


def test_two_alleles_of_one_site_are_in_trans():
    ds = good([((1, 2), (0, 1), (0, 2))], [KID, DAD, MUM])
    table = pd.DataFrame({"variant": [0, 0], "allele": [1, 2], "gene": "GENE"})
    found = candidates(ds, TRIO, genes=table)
    found = found[found["mode"] == "compound"]
    assert found["allele"].tolist() == [1, 2] and set(found["answer"]) == {"yes"}


def test_a_record_that_stands_twice_is_no_pair_with_itself():
    alone = read_ped("F kid 0 0 1 2\n")
    sites = [((0, 1),), ((1, 0),)]
    assert pairs_of(sites, [KID], alone, phased=np.ones((2, 1), bool), position=[7, 7]) == {}
    assert pairs_of(sites, [KID], alone, phased=np.ones((2, 1), bool), position=[7, 9]) == {(0, 1): ("yes", "high")}


def test_a_son_has_no_pair_on_x():
    assert pairs_of([((0, 1), (0, -2), (0, 1)), ((0, 1), (0, -2), (0, 1))], contig="chrX") == {}


def test_a_crowded_gene_is_named_and_not_assessed():
    n = MOST_HALVES + 1
    table = pd.DataFrame({"variant": range(n), "allele": 1, "gene": "MUC-LIKE"})
    found = candidates(good([FROM_DAD] * n, [KID, DAD, MUM]), TRIO, genes=table)
    assert any("MUC-LIKE" in gap for gap in found.attrs["not_assessed"])


def test_without_genes_pairs_are_not_assessed_and_said_so():
    found = candidates(good([FROM_DAD, FROM_MUM], [KID, DAD, MUM]), TRIO)
    assert "compound" not in found.attrs["counts"]
    assert any("genes" in gap for gap in found.attrs["not_assessed"])


# ---- any family ------------------------------------------------------------------------------------------------------------

def one(calls, names, text, mode, **more):
    """Answer and grade of one autosomal site: genotypes of the named members of a pedigree."""
    return answers(good([calls], names), read_ped(text), mode, **more).get((0, 1))


REF, HET, HOM = (0, 0), (0, 1), (1, 1)
FOUR = """F gran 0 0 2 2
F grandad 0 0 1 1
F aunt grandad gran 2 2
F mum grandad gran 2 2
F dad 0 0 1 1
F kid dad mum 1 2
F sib dad mum 2 1
"""


@pytest.mark.parametrize("calls,expected", [
    ((HET, REF, HET, HET, REF, HET, REF), (YES, "high")),
    ((HET, REF, REF, HET, REF, HET, REF), None),  # the affected aunt does not have it
    ((HET, REF, HET, HET, REF, HET, HET), None),  # the healthy sister does
    ((REF, REF, HET, HET, REF, HET, REF), None),  # the affected grandmother does not
    ((HET, REF, HET, (-1, -1), REF, HET, REF), (INDETERMINATE, "high")),
    ((HET, REF, HET, HET, REF, HET, (-1, -1)), (YES, "low")),
])
def test_dominant_through_three_generations(calls, expected):
    names = ["gran", "grandad", "aunt", "mum", "dad", "kid", "sib"]
    assert one(calls, names, FOUR, "dominant") == expected


def test_a_generation_without_data_is_passed_over():
    """The mother was not sequenced: the affected child and the affected grandmother still tell something."""
    names = ["gran", "grandad", "aunt", "dad", "kid", "sib"]
    assert one((HET, REF, HET, REF, HET, REF), names, FOUR, "dominant") == (YES, "high")
    assert one((HET, REF, REF, REF, HET, REF), names, FOUR, "dominant") is None


def test_several_affected_children_must_all_have_both_copies():
    text = "F dad 0 0 1 1\nF mum 0 0 2 1\nF a dad mum 1 2\nF b dad mum 2 2\nF c dad mum 2 1\n"
    names = ["dad", "mum", "a", "b", "c"]
    assert one((HET, HET, HOM, HOM, HET), names, text, "recessive") == (YES, "high")
    assert one((HET, HET, HOM, HET, HET), names, text, "recessive") is None
    assert one((HET, HET, HOM, HOM, HOM), names, text, "recessive") is None
    assert one((HET, HET, HOM, (-1, -1), HET), names, text, "recessive") == (INDETERMINATE, "high")


def test_cousins_who_marry_are_one_family_with_a_loop():
    text = """F g1 0 0 1 1
F g2 0 0 2 1
F p1 g1 g2 1 1
F p2 g1 g2 2 1
F x 0 0 2 1
F y 0 0 1 1
F c1 p1 x 1 1
F c2 y p2 2 1
F kid c1 c2 2 2
"""
    names = ["g1", "g2", "p1", "p2", "x", "y", "c1", "c2", "kid"]
    assert one((HET, REF, HET, HET, REF, REF, HET, HET, HOM), names, text, "recessive") == (YES, "high")
    assert one((HET, HET, HOM, HET, REF, REF, HET, HET, HOM), names, text, "recessive") is None  # a healthy uncle has two


HALF = "F dad 0 0 1 1\nF mum 0 0 2 1\nF other 0 0 1 1\nF kid dad mum 1 2\nF half other mum 2 1\n"


def said(ds, pedigree, mode):
    table = candidates(ds, pedigree, answers=("yes", "indeterminate"))
    return [text for reasons in table.loc[table["mode"] == mode, "reasons"] for text in reasons]


def test_a_half_sibling_with_the_new_variant_points_at_the_parent_they_share():
    names = ["dad", "mum", "other", "kid", "half"]
    with_it, without = (good([(REF, REF, REF, HET, half)], names) for half in (HET, REF))
    assert any("half, child of a same parent, carries it too" in text for text in said(with_it, read_ped(HALF), "de_novo"))
    assert not any("same parent" in text for text in said(without, read_ped(HALF), "de_novo"))
    stranger = good([(REF, REF, HET, HET, REF)], names)  # the mother's other partner is nobody's sibling
    assert not any("same parent" in text for text in said(stranger, read_ped(HALF), "de_novo"))


def test_a_healthy_half_sibling_with_both_variants_ends_a_pair():
    names = ["dad", "mum", "other", "kid", "half"]
    sites = [(HET, REF, HET, HET, HET), (REF, HET, REF, HET, HET)]
    table = pd.DataFrame({"variant": [0, 1], "allele": 1, "gene": "G"})
    found = candidates(good(sites, names), read_ped(HALF), genes=table)
    assert not (found["mode"] == "compound").any()
    found = candidates(good([sites[0], (REF, HET, REF, HET, REF)], names), read_ped(HALF), genes=table)
    assert (found["mode"] == "compound").sum() == 2


TWINS = "#family\tperson\tfather\tmother\tsex\tphenotype\ttwin\nF\tdad\t0\t0\t1\t1\t0\nF\tmum\t0\t0\t2\t1\t0\n" \
        "F\ta\tdad\tmum\t1\t2\t{kind}-1\nF\tb\tdad\tmum\t1\t{other}\t{kind}-1\n"


@pytest.mark.parametrize("kind,other,call,expected,words", [
    ("MZ", 2, HET, [(YES, "high")] * 2, None),  # both have it: one event, asked of each
    ("MZ", 1, REF, [(YES, "low")], "identical twin"),  # one twin only: after the split, or wrong
    ("DZ", 1, REF, [(YES, "high")], None),
    ("DZ", 1, HET, [(YES, "high")], "child of a same parent"),
])
def test_twins_are_asked_for_what_they_share(kind, other, call, expected, words):
    pedigree = read_ped(TWINS.format(kind=kind, other=other))
    ds = good([(REF, REF, HET, call)], ["dad", "mum", "a", "b"])
    hits = screen(ds, pedigree).hits.query("mode == 'de_novo'")
    assert list(zip(hits["answer"], hits["grade"], strict=True)) == expected
    texts = said(ds, pedigree, "de_novo")
    assert any(words in text for text in texts) if words else not any("twin" in t or "same parent" in t for t in texts)


def test_penetrance_is_stated_by_case_or_by_gene():
    """A healthy carrier mother: rejected, unless the case or the gene allows it; then low, and only in that gene."""
    ds = good([((0, 1), (0, 0), (0, 1)), ((0, 1), (0, 0), (0, 1)), ((0, 1), (0, 1), (0, 0))], [KID, DAD, MUM])
    table = pd.DataFrame({"variant": [0, 1, 2], "allele": 1, "gene": ["LOOSE", "STRICT", "LOOSE"]})

    def dominant(**more):
        found = candidates(ds, TRIO, genes=table, **more)
        return found.loc[found["mode"] == "dominant", ["variant", "grade"]].values.tolist()

    assert dominant() == []
    assert dominant(penetrance={"LOOSE"}) == [[0, "low"], [2, "low"]]
    assert dominant(thresholds=Thresholds(incomplete_penetrance=True)) == [[0, "low"], [1, "low"], [2, "low"]]
    found = candidates(ds, TRIO, genes=table, penetrance={"LOOSE"})
    assert any("incomplete penetrance is accepted" in t for t in found.loc[found["mode"] == "dominant", "reasons"].iloc[0])
    with pytest.raises(ParameterError, match="no genes"):
        candidates(ds, TRIO, penetrance={"LOOSE"})


def test_penetrance_of_a_gene_holds_for_its_allele_only():
    ds = good([((1, 2), (0, 0), (1, 2))], [KID, DAD, MUM])
    table = pd.DataFrame({"variant": [0, 0], "allele": [1, 2], "gene": ["LOOSE", "STRICT"]})
    found = candidates(ds, TRIO, genes=table, penetrance={"LOOSE"})
    assert found.loc[found["mode"] == "dominant", "allele"].tolist() == [1]


def test_several_affected_with_different_parents_missing():
    """Two affected cousins, one without a father: recessive stays open, never yes."""
    text = "F d1 0 0 1 1\nF m1 0 0 2 1\nF m2 0 0 2 1\nF d2 0 0 1 1\nF a d1 m1 1 2\nF b d2 m2 2 2\n"
    assert one((HET, HET, HET, HET, HOM, HOM), ["d1", "m1", "m2", "d2", "a", "b"], text, "recessive") == (YES, "high")
    assert one((HET, HET, HET, HOM, HOM), ["d1", "m1", "m2", "a", "b"], text, "recessive") == (INDETERMINATE, "high")


# ---- the pass ----------------------------------------------------------------------------------------------------------------

def test_chunks_blocks_and_the_order_of_samples_make_no_difference(monkeypatch):
    rng = np.random.default_rng(4)
    sites = rng.choice([0, 0, 0, 1, 2, -1], (700, 3, 2))
    names = [KID, DAD, MUM]
    whole = screen(good(sites, names), TRIO, shown=(YES,))
    ds = good(sites[:, [2, 0, 1]], [MUM, KID, DAD])
    for name in ("call_genotype", "call_AD"):
        ds[name] = (ds[name].dims, da.from_array(ds[name].values, chunks=(97, 2, 1)))
    ds["call_DP"] = (ds["call_DP"].dims, da.from_array(ds["call_DP"].values, chunks=(311, 1)))
    monkeypatch.setattr("genomics_nb.rare.screen.ROWS", 128)
    parts = screen(ds, TRIO, shown=(YES,))
    pd.testing.assert_frame_equal(whole.hits, parts.hits)
    pd.testing.assert_frame_equal(whole.counts, parts.counts)
    assert (whole.variants == parts.variants).all() and (whole.evidence.ad == parts.evidence.ad).all()
    assert whole.counts[["yes_high", "yes_low", "indeterminate", "no"]].sum(axis=1).nunique() == 1


def test_the_scheduler_makes_no_difference():
    ds = good(np.random.default_rng(5).choice([0, 1, -1], (300, 3, 2)), [KID, DAD, MUM])
    with dask.config.set(scheduler="synchronous"):
        one = screen(ds, TRIO).hits
    with dask.config.set(scheduler="threads", num_workers=4):
        pd.testing.assert_frame_equal(one, screen(ds, TRIO).hits)


def test_an_empty_dataset_gives_an_empty_table():
    ds = good([((0, 1), (0, 0), (0, 0))], [KID, DAD, MUM]).isel(variants=slice(0, 0))
    table = candidates(ds, TRIO, genes=pd.DataFrame({"variant": [], "allele": [], "gene": []}))
    assert table.empty and table.attrs["counts"]["de_novo"]["yes"] == 0


def test_a_family_without_affected_data_or_two_families_are_refused():
    ds = good([((0, 1), (0, 0), (0, 0))], [KID, DAD, MUM])
    with pytest.raises(ParameterError, match="no affected member"):
        screen(ds, read_ped("F kid dad mum 1 1\n"))
    with pytest.raises(ParameterError, match="one family"):
        screen(ds, read_ped("F kid 0 0 1 2\nG dad 0 0 1 2\n"))
    with pytest.raises(ParameterError):
        candidates(ds, TRIO, lang="de")
    with pytest.raises(ParameterError):
        candidates(ds, TRIO, within=[True, False, True])


def test_within_restricts_inherited_modes_and_never_de_novo():
    ds = good([((0, 1), (0, 0), (0, 0)), ((1, 1), (0, 1), (0, 1)), ((1, 1), (0, 1), (0, 1))], [KID, DAD, MUM])
    found = candidates(ds, TRIO, within=[2])
    assert found[["mode", "variant"]].values.tolist() == [["de_novo", 0], ["recessive", 2]]
    limited = candidates(ds, TRIO, limit=1)
    assert limited.attrs["left_out"] == {"recessive": 1} and limited.attrs["counts"]["recessive"]["yes"] == 2


def test_rows_to_annotate_hold_every_candidate():
    rng = np.random.default_rng(6)
    ds = good(rng.choice([0, 0, 1, -1], (400, 3, 2)), [KID, DAD, MUM])
    rows = set(rows_to_annotate(ds, TRIO).tolist())
    assert set(screen(ds, TRIO).hits.query("answer == 1")["variant"]) <= rows and len(rows) < 400


# ---- other programs' answers -----------------------------------------------------------------------------------------------

def test_the_real_trio_gives_few_high_grade_candidates(stored, shared_data):
    """An exome of a healthy trio, its child declared affected: a handful of de novo candidates, none without its reason."""
    ds = stored(shared_data / "trio/ashk-trio.vcf.gz", "GRCh37")
    table = candidates(ds, read_ped(shared_data / "trio/ashk-trio.ped"))
    high = table[(table["mode"] == "de_novo") & (table["grade"] == "high")]
    assert len(high) <= 5 and (table["HG002 GT"] != "").all()
    assert all(reasons for reasons in table["reasons"])
