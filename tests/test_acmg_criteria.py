"""The firing of each criterion, on constructed evidence at both sides of every threshold; missing is never *not met*."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from genomics_nb.core.types import ParameterError
from genomics_nb.variant.classify import automatic_criteria, classify
from genomics_nb.variant.criteria import (
    AUTOMATED,
    CONDITIONAL,
    LIMITS,
    MEANING,
    MET,
    NO_FACTS,
    NOT_EVALUATED,
    NOT_MET,
    PERSON,
    Evidence,
    Facts,
    Limits,
    said,
)
from genomics_nb.variant.expert import EXPERT_RULES, expert_rules
from genomics_nb.variant.frequency_criteria import BA1_EXCEPTIONS, ba1, bs1, bs2, outbred, pm2
from genomics_nb.variant.observed import DE_NOVO_POINTS, bp3, de_novo_points, pm3, pm4, pm5, pm6, ps1, ps2
from genomics_nb.variant.points import CODES
from genomics_nb.variant.predictors import bp4, bp7, intron_depth, pp3
from genomics_nb.variant.pvs1 import LEAVES, pvs1, walk

COUNTED = {"pop_state": "counted", "pop_af": 0.00002, "pop_max": 0.00005, "pop_ac": 3, "pop_an": 150_000, "pop_hom": 0,
           "pop_hemi": 0, "pop_faf95": 0.00001, "pop_group": "NFE", "pop_group_an": 60_000, "pop_release": "demo 1"}
STOP = {"gene": "MECP2", "consequence": "stop_gained", "nmd": "triggers", "lof_mechanism": "yes", "validity": "definitive",
        "validity_release": "ClinGen 1"}
MISSENSE = {"consequence": "missense_variant", "revel": 0.5, "cadd": 24.0, "spliceai": 0.0, "predictor_release": "scores 1"}


def answer(function, row, facts=NO_FACTS, limits=LIMITS, **more):
    """Label where met, else the state."""
    made = function(Evidence(row), facts, limits, **more)
    assert made.text[0] and made.text[1] and made.text[0] != made.text[1] or made.state == MET
    for lang in ("en", "fr"):
        assert "{" not in made.sentence(lang) and "nan" not in made.sentence(lang).split()
    return made.label if made.met else made.state


def test_each_code_has_one_owner_and_two_languages():
    assert sorted((*AUTOMATED, *CONDITIONAL, *PERSON)) == sorted(CODES) == sorted(MEANING)
    assert len({en for en, _ in MEANING.values()}) == 26 == len({fr for _, fr in MEANING.values()})


def test_of_an_empty_row_nothing_is_met_and_nothing_is_not_met():
    for row in ({}, dict.fromkeys([*COUNTED, *STOP, *MISSENSE, "contig", "position"], None), dict.fromkeys(COUNTED, math.nan),
                dict.fromkeys([*COUNTED, *STOP, *MISSENSE], pd.NA), dict.fromkeys([*COUNTED, *STOP, *MISSENSE], "")):
        made = automatic_criteria(Evidence(row))
        assert len(made) == 15 and {c.state for c in made} == {NOT_EVALUATED}, [c.sentence() for c in made if c.state != NOT_EVALUATED]
        assert classify(row).acmg_class == "uncertain" and classify(row).points == 0


# What a row says, and what is known beside it


@pytest.mark.parametrize("value", [0.644, 0.773, 0.932, 0.29, 0.183, 0.016, 0.003, 28.1, 25.3, 22.7, 17.3, 0.15, 0.05, 0.0001])
def test_a_score_kept_in_single_precision_stays_on_its_threshold(value: float):
    assert Evidence({"x": np.float32(value)}).number("x") == value
    kept = pd.DataFrame({"x": np.array([value], np.float32)}).to_dict("records")[0]
    assert Evidence(kept).number("x") == value
    assert Evidence(pd.Series({"x": np.float32(value)})).number("x") == value


def test_what_is_no_number_is_missing():
    for value in (None, math.nan, math.inf, -math.inf, "many", pd.NA, [], np.float32("nan")):
        assert math.isnan(Evidence({"x": value}).number("x")) and Evidence({"x": value}).count("x") is None
    assert Evidence({"x": -1}).count("x") is None and Evidence({"x": 248_956_422}).count("x") == 248_956_422
    assert Evidence({"x": "0.5"}).number("x") == 0.5


@pytest.mark.parametrize("wrong", [{"de_novo": "yes"}, {"phenotype_fit": "good"}, {"lof_mechanism": "maybe"}, {"validity": "great"},
                                   {"predictor": "sift"}, {"build": "hg19"}, {"trans_with": "vus"}, {"nmd": "perhaps"},
                                   {"protein_lost": 1.01}, {"protein_lost": -0.01}, {"max_credible_af": 2}, {"max_credible_af": math.nan},
                                   {"probands": (("sure", "specific"),)}, {"probands": (("confirmed", "fine"),)}])
def test_a_fact_outside_its_words_is_refused_by_name(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        Facts(**wrong)


def test_a_number_in_a_sentence_is_written_as_the_language_writes_it():
    assert said(0.00003) == "0.00003" and said(0.00003, "fr") == "0,00003" and said(1_500_000) == "1,500,000"
    assert said(1_500_000, "fr") == "1\u202f500\u202f000" and said(math.nan) == "unknown" and said(None, "fr") == "inconnu"
    assert said("a\x1b[31mb") == "a\\x1b[31mb" and said("x" * 2000) == "x" * 2000 and len(said("x" * 99_999)) == 2000


# PVS1: every leaf, and the word for gene and disease


LEAF_CASES = [
    ({}, {}, "truncation, NMD", "PVS1"),
    ({"consequence": "frameshift_variant"}, {}, "truncation, NMD", "PVS1"),
    ({}, {"exon_absent": True}, "truncation, exon not relevant", NOT_MET),
    ({"nmd": "escapes"}, {"exon_absent": True}, "truncation, exon not relevant", NOT_MET),
    ({"nmd": "escapes"}, {"critical_region": True}, "truncation, critical region", "PVS1_Strong"),
    ({"nmd": "escapes"}, {"protein_lost": 0.1001}, "truncation, much lost", "PVS1_Strong"),
    ({"nmd": "escapes"}, {"protein_lost": 0.10}, "truncation, little lost", "PVS1_Moderate"),
    ({"nmd": "escapes"}, {"protein_lost": 0.05, "critical_region": True}, "truncation, critical region", "PVS1_Strong"),
    ({"nmd": "escapes"}, {}, "truncation, loss unknown", "PVS1_Moderate"),
    ({"nmd": "unknown"}, {}, "truncation, NMD unknown", "PVS1_Moderate"),
    ({"nmd": ""}, {"protein_lost": 0.05}, "truncation, NMD unknown", "PVS1_Moderate"),
    ({"nmd": ""}, {"protein_lost": 0.5}, "truncation, much lost", "PVS1_Strong"),
    ({"consequence": "splice_donor_variant"}, {}, "splice, frame broken, NMD", "PVS1"),
    ({"consequence": "splice_acceptor_variant", "nmd": ""}, {"nmd": "triggers", "in_frame_skip": False},
     "splice, frame broken, NMD", "PVS1"),
    ({"consequence": "splice_donor_variant"}, {"exon_absent": True}, "truncation, exon not relevant", NOT_MET),
    ({"consequence": "splice_donor_variant"}, {"in_frame_skip": True, "critical_region": True},
     "splice, in frame, critical region", "PVS1_Strong"),
    ({"consequence": "splice_donor_variant"}, {"in_frame_skip": True, "protein_lost": 0.1001},
     "splice, in frame, much lost", "PVS1_Strong"),
    ({"consequence": "splice_donor_variant"}, {"in_frame_skip": True, "protein_lost": 0.10},
     "splice, in frame, little lost", "PVS1_Moderate"),
    ({"consequence": "splice_donor_variant"}, {"in_frame_skip": True}, "splice, in frame, loss unknown", "PVS1_Moderate"),
    ({"consequence": "splice_donor_variant", "nmd": ""}, {}, "splice, frame unknown", "PVS1_Moderate"),
    ({"consequence": "splice_donor_variant", "nmd": ""}, {"critical_region": True}, "truncation, critical region", "PVS1_Strong"),
    ({"consequence": "splice_donor_variant", "nmd": ""}, {"in_frame_skip": False}, "truncation, NMD unknown", "PVS1_Moderate"),
    ({"consequence": "splice_donor_variant", "nmd": "escapes"}, {"in_frame_skip": False, "protein_lost": 0.2},
     "truncation, much lost", "PVS1_Strong"),
    ({"consequence": "start_lost"}, {"other_start": True}, "start, another transcript", NOT_MET),
    ({"consequence": "start_lost"}, {"pathogenic_before_next_start": True}, "start, known before the next", "PVS1_Moderate"),
    ({"consequence": "start_lost"}, {"pathogenic_before_next_start": False}, "start, none known before the next", "PVS1_Supporting"),
    ({"consequence": "start_lost"}, {}, "start, none known before the next", "PVS1_Supporting"),
    ({"consequence": "transcript_ablation", "nmd": ""}, {}, "whole gene", "PVS1"),
    ({"consequence": "missense_variant"}, {}, "not null", NOT_MET),
    ({"consequence": "stop_lost"}, {}, "not null", NOT_MET),
    ({"consequence": ""}, {}, "consequence missing", NOT_EVALUATED),
    ({"lof_mechanism": "no"}, {}, "mechanism, no", NOT_MET),
    ({"lof_mechanism": ""}, {}, "mechanism unknown", NOT_EVALUATED),
    ({"lof_mechanism": "unknown"}, {}, "mechanism unknown", NOT_EVALUATED),
    ({"lof_mechanism": "no"}, {"lof_mechanism": "yes"}, "truncation, NMD", "PVS1"),
    ({"validity": "limited"}, {}, "validity, limited", NOT_MET),
    ({"validity": ""}, {}, "validity unknown", NOT_EVALUATED),
]


@pytest.mark.parametrize(("row", "facts", "leaf", "expected"), LEAF_CASES)
def test_each_leaf_of_the_pvs1_tree(row, facts, leaf, expected):
    made = pvs1(Evidence({**STOP, **row}), Facts(**facts))
    assert (made.leaf, answer(pvs1, {**STOP, **row}, Facts(**facts))) == (leaf, expected)


def test_no_leaf_is_left_untested():
    assert {leaf for _, _, leaf, _ in LEAF_CASES} == set(LEAVES)


@pytest.mark.parametrize(("validity", "expected"), [
    ("Definitive", "PVS1"), ("strong", "PVS1"), ("Moderate", "PVS1_Strong"), ("Limited", NOT_MET), ("disputed", NOT_MET),
    ("Refuted", NOT_MET), ("No Known Disease Relationship", NOT_MET), ("", NOT_EVALUATED)])
def test_validity_lowers_pvs1(validity: str, expected: str):
    assert answer(pvs1, {**STOP, "validity": validity}) == expected


def test_a_moderate_validity_lowers_every_strength_by_one_and_says_so():
    moderate = {**STOP, "validity": "moderate", "nmd": "escapes"}
    assert answer(pvs1, moderate, Facts(protein_lost=0.5)) == "PVS1_Moderate"
    assert answer(pvs1, moderate, Facts(protein_lost=0.1)) == "PVS1_Supporting"
    assert answer(pvs1, {**moderate, "consequence": "start_lost"}) == NOT_MET  # nothing is below supporting
    made = pvs1(Evidence(moderate))
    assert "one level lower" in made.sentence() and "un niveau de moins" in made.sentence("fr") and made.release == "ClinGen 1"


@pytest.mark.parametrize(("g2p", "expected"), [("definitive", "PVS1"), ("confirmed", "PVS1"), ("strong", "PVS1"),
                                               ("probable", "PVS1_Strong"), ("moderate", "PVS1_Strong"), ("possible", NOT_MET),
                                               ("limited", NOT_MET), ("somewhat", NOT_EVALUATED)])
def test_gene2phenotype_speaks_where_clingen_is_silent(g2p: str, expected: str):
    assert answer(pvs1, {**STOP, "validity": "", "g2p": g2p}) == expected
    assert answer(pvs1, {**STOP, "g2p": "limited"}) == "PVS1"  # ClinGen goes first
    assert pvs1(Evidence({**STOP, "validity": "", "g2p": "strong", "g2p_release": "G2P 2021"})).release == "G2P 2021"


def test_pvs1_names_transcript_exon_and_both_releases():
    made = pvs1(Evidence({**STOP, "transcript": "NM_004992.4", "exon": "3/4", "g2p_release": "G2P 2021"}))
    assert "(NM_004992.4, exon 3/4)" in made.sentence() and made.release == "ClinGen 1; G2P 2021"
    assert pvs1(Evidence({**STOP, "consequence": "missense_variant"})).release == ""


def test_the_share_of_the_protein_is_a_limit_that_can_be_set():
    row = Evidence({**STOP, "nmd": "escapes"})
    assert walk(row, Facts(protein_lost=0.2), replace(LIMITS, protein_lost=0.25)) == "truncation, little lost"


# Frequency


@pytest.mark.parametrize(("row", "moi", "expected"), [
    ({"pop_state": "absent", "pop_an": None}, "", "PM2_Supporting"), ({"pop_state": "absent"}, "AD", "PM2_Supporting"),
    ({"pop_state": "absent", "pop_an": 0}, "AD", NOT_EVALUATED),
    ({"pop_ac": 0, "pop_af": 0.0, "pop_max": 0.0}, "AD", "PM2_Supporting"), ({"pop_ac": 0, "pop_an": 0}, "AR", NOT_EVALUATED),
    ({"pop_ac": 0, "pop_an": None, "pop_af": 0.0, "pop_max": None}, "AR", NOT_EVALUATED),
    ({"pop_ac": None, "pop_an": None, "pop_af": 0.0, "pop_max": None}, "AR", NOT_EVALUATED),
    ({"pop_max": 0.0000999}, "AR", "PM2_Supporting"), ({"pop_max": 0.0001}, "AR", NOT_MET), ({"pop_max": 0.000101}, "AR", NOT_MET),
    ({"pop_max": np.float32(0.0001)}, "AR", NOT_MET), ({"pop_max": 0.00001, "pop_af": 0.0001}, "AR", NOT_MET),
    ({"pop_max": 0.0000999}, "AD", NOT_MET), ({"pop_max": 0.0000999}, "AD;AR", NOT_MET), ({"pop_max": 0.0000999}, "XL", NOT_MET),
    ({"pop_max": 0.0000999, "g2p_moi": "AR"}, "", "PM2_Supporting"),
    ({"pop_max": 0.0000999, "g2p_moi": "AR", "validity_moi": "AD"}, "", NOT_MET), ({"pop_max": 0.0000999}, "", NOT_MET), ({"pop_max": 0.0000999, "validity_moi": "AR"}, "", "PM2_Supporting"),
    ({"pop_af": None, "pop_max": None}, "AR", NOT_EVALUATED), ({"pop_max": None}, "AR", "PM2_Supporting"),
    ({"pop_state": "suppressed"}, "AR", NOT_EVALUATED), ({"pop_state": "not covered"}, "AR", NOT_EVALUATED),
    ({"pop_state": "unknown"}, "AR", NOT_EVALUATED), ({"pop_state": ""}, "AR", NOT_EVALUATED), ({"pop_state": "odd"}, "AR", NOT_EVALUATED)])
def test_pm2(row, moi, expected):
    assert answer(pm2, {**COUNTED, **row}, Facts(moi=moi)) == expected


def test_a_suppressed_count_is_never_read_as_zero():
    hidden = {**COUNTED, "pop_state": "suppressed", "pop_ac": 0, "pop_af": 0.0, "pop_max": 0.0, "pop_faf95": 0.0}
    facts = Facts(moi="AR", max_credible_af=0.1, full_penetrance=True)
    for function in (pm2, ba1, bs1, bs2):
        assert answer(function, hidden, facts) == NOT_EVALUATED
        assert "suppressed" in function(Evidence(hidden), facts).sentence() and "masqué" in function(Evidence(hidden), facts).sentence("fr")


COMMON = {**COUNTED, "pop_ac": 9000, "pop_af": 0.06, "pop_max": 0.0501, "pop_group_an": 2000}


@pytest.mark.parametrize(("row", "expected"), [
    ({}, "BA1"), ({"pop_max": 0.05}, NOT_MET), ({"pop_max": np.float32(0.05)}, NOT_MET), ({"pop_max": 0.0500001}, "BA1"),
    ({"pop_group_an": 1999}, NOT_EVALUATED), ({"pop_group_an": None}, NOT_EVALUATED), ({"pop_group": ""}, NOT_EVALUATED),
    ({"pop_max": None}, NOT_EVALUATED), ({"pop_max": None, "pop_af": 0.04}, NOT_EVALUATED), ({"pop_max": None, "pop_ac": 100}, NOT_MET),
    ({"pop_max": None, "pop_ac": 101}, NOT_EVALUATED), ({"pop_max": None, "pop_ac": None}, NOT_EVALUATED),
    ({"pop_state": "absent", "pop_max": None, "pop_ac": None}, NOT_MET), ({"pop_ac": 0, "pop_max": None}, NOT_MET),
    ({"pop_state": "not covered"}, NOT_EVALUATED), ({"pop_state": ""}, NOT_EVALUATED)])
def test_ba1(row, expected):
    assert answer(ba1, {**COMMON, **row}) == expected


@pytest.mark.parametrize(("group", "release", "counts"), [
    ("NFE", "gnomAD 4.1", True), ("afr", "", True), ("AFR_XX", "", True), ("SAS", "1000G", True), ("ASJ", "gnomAD 4.1", False),
    ("fin", "gnomAD 4.1", False), ("AMI", "gnomAD 3.1.2", False), ("remaining", "gnomAD 4.1", False), ("OTH", "gnomAD 2.1.1", False),
    ("MID", "gnomAD 3.1.2", False), ("mid", "gnomad_genomes v3.1", False), ("MID", "gnomAD-3", False), ("MID", "gnomAD 4.1", True),
    ("MID", "gnomAD v4.1 2024-03-30", True), ("MID", "gnomad_joint 4.1, 2023-11-01", True), ("", "gnomAD 4.1", False)])
def test_groups_that_may_carry_a_founder_allele_do_not_count_for_ba1(group: str, release: str, counts: bool):
    assert outbred(group, release) == counts
    assert answer(ba1, {**COMMON, "pop_group": group, "pop_release": release}) == ("BA1" if counts else NOT_EVALUATED)


@pytest.mark.parametrize("build", ["GRCh38", "GRCh37"])
def test_the_nine_exceptions_never_get_ba1(build: str):
    assert len(BA1_EXCEPTIONS[build]) == 9
    for name in BA1_EXCEPTIONS[build]:
        contig, position, ref, alt = name.split("-")
        row = {**COMMON, "contig": f"chr{contig}", "position": int(position), "ref": ref, "alt": alt}
        assert answer(ba1, row, Facts(build=build)) == NOT_MET
        assert "exceptions" in ba1(Evidence(row), Facts(build=build)).sentence()
        assert answer(ba1, {**row, "ref": ref + "TTG", "alt": alt + "TTG"}, Facts(build=build)) == NOT_MET
        assert answer(ba1, {**row, "ref": "G" + ref, "alt": "G" + alt, "position": int(position) - 1}, Facts(build=build)) == NOT_MET
        assert answer(ba1, {**row, "position": int(position) + 1}, Facts(build=build)) == "BA1"
        assert answer(ba1, row, Facts(build="GRCh37" if build == "GRCh38" else "GRCh38")) == "BA1"


def test_the_exceptions_are_those_of_the_published_list():
    assert BA1_EXCEPTIONS["GRCh38"] == {
        "3-128879647-C-CTAAG", "13-20189473-C-T", "6-26090951-C-G", "6-26092913-G-A", "16-3249586-G-A", "16-3249468-C-T",
        "13-72835359-G-A", "12-120737875-C-T", "3-15645186-G-C"}


def test_a_panels_own_threshold_takes_the_place_of_the_general_one():
    rare = {**COUNTED, "gene": "HNF1A", "consequence": "missense_variant", "contig": "12", "position": 1, "ref": "A", "alt": "G"}
    for faf, expected in ((0.0001, NOT_MET), (np.float32(0.0001), NOT_MET), (0.000101, "BA1"), (None, NOT_EVALUATED)):
        made = classify({**rare, "pop_faf95": faf})
        assert (made.of("BA1").label if made.of("BA1").met else made.of("BA1").state) == expected
        assert made.rules_release == EXPERT_RULES.release and "VCEP" in made.of("BA1").sentence()
    above = {**rare, "pop_faf95": 0.01}
    assert classify(above).acmg_class == "benign" and classify(above).points is None
    assert not classify(above, rules=None).of("BA1").met and not classify({**above, "gene": "PAH"}).of("BA1").met
    common = {**COMMON, "gene": "HNF1A", "consequence": "missense_variant", "pop_faf95": 0.00001}
    assert not classify(common).of("BA1").met and classify(common, rules=None).of("BA1").met
    assert classify({**rare, "pop_state": "absent", "pop_faf95": None}).of("BA1").state == NOT_MET


def test_panels_may_give_bs1_and_leave_codes_out():
    rules = expert_rules("""{"format": 1, "release": "r", "rules": [{"gene": "G", "panel": "P", "version": "1", "source": "s",
        "BS1": {"measure": "max", "above": 0.001}, "not_used": ["PM2", "PP3"]}]}""")
    row = {**COUNTED, **MISSENSE, "gene": "G", "revel": 0.95, "pop_max": 0.0010001}
    assert classify(row, rules=rules).codes == "BS1" and classify({**row, "pop_max": 0.001}, rules=rules).codes == ""
    assert "not used for G by P" in classify(row, rules=rules).of("PP3").sentence()
    assert classify(row, rules=None).codes == "PP3_Strong"


@pytest.mark.parametrize(("faf", "most", "expected"), [
    (0.001, 0.001, NOT_MET), (0.0010001, 0.001, "BS1"), (0.0009999, 0.001, NOT_MET), (0.5, None, NOT_EVALUATED), (None, 0.001, NOT_EVALUATED),
    (np.float32(0.001), 0.001, NOT_MET)])
def test_bs1(faf, most, expected):
    assert answer(bs1, {**COUNTED, "pop_faf95": faf}, Facts(max_credible_af=most)) == expected
    assert answer(bs1, {**COUNTED, "pop_state": "absent", "pop_faf95": None}, Facts(max_credible_af=0.001)) == NOT_MET


@pytest.mark.parametrize(("moi", "column"), [("AR", "pop_hom"), ("XL", "pop_hemi"), ("XLR", "pop_hemi"), ("AD", "pop_ac")])
def test_bs2_is_off_until_full_penetrance_is_declared(moi: str, column: str):
    declared, off = Facts(moi=moi, full_penetrance=True), Facts(moi=moi)
    assert answer(bs2, {**COUNTED, column: 2}, declared) == "BS2" and answer(bs2, {**COUNTED, column: 2}, off) == NOT_EVALUATED
    assert answer(bs2, {**COUNTED, column: 1}, declared) == NOT_MET and answer(bs2, {**COUNTED, column: None}, declared) == NOT_EVALUATED
    assert answer(bs2, {**COUNTED, column: -1}, declared) == NOT_EVALUATED
    assert answer(bs2, {"pop_state": "absent"}, declared) == NOT_MET
    assert answer(bs2, {**COUNTED, column: 9}, replace(declared, moi="")) == NOT_EVALUATED
    assert answer(bs2, {**COUNTED, column: 9}, replace(declared, moi="AD;AR")) == NOT_EVALUATED


# Prediction


@pytest.mark.parametrize(("name", "score", "for_", "against"), [
    ("revel", 1.0, "PP3_Strong", NOT_MET), ("revel", 0.932, "PP3_Strong", NOT_MET), ("revel", 0.9319, "PP3_Moderate", NOT_MET),
    ("revel", 0.773, "PP3_Moderate", NOT_MET), ("revel", 0.7729, "PP3", NOT_MET), ("revel", 0.644, "PP3", NOT_MET),
    ("revel", 0.6439, NOT_MET, NOT_MET), ("revel", 0.2901, NOT_MET, NOT_MET), ("revel", 0.29, NOT_MET, "BP4"),
    ("revel", 0.1831, NOT_MET, "BP4"), ("revel", 0.183, NOT_MET, "BP4_Moderate"), ("revel", 0.0161, NOT_MET, "BP4_Moderate"),
    ("revel", 0.016, NOT_MET, "BP4_Strong"), ("revel", 0.0031, NOT_MET, "BP4_Strong"), ("revel", 0.003, NOT_MET, "BP4_VeryStrong"),
    ("revel", 0.0, NOT_MET, "BP4_VeryStrong"), ("revel", 1.0001, NOT_EVALUATED, NOT_EVALUATED),
    ("revel", -0.1, NOT_EVALUATED, NOT_EVALUATED), ("revel", None, NOT_EVALUATED, NOT_EVALUATED),
    ("cadd", 28.1, "PP3_Moderate", NOT_MET), ("cadd", 28.09, "PP3", NOT_MET), ("cadd", 25.3, "PP3", NOT_MET),
    ("cadd", 25.29, NOT_MET, NOT_MET), ("cadd", 22.71, NOT_MET, NOT_MET), ("cadd", 22.7, NOT_MET, "BP4"), ("cadd", 17.31, NOT_MET, "BP4"),
    ("cadd", 17.3, NOT_MET, "BP4_Moderate"), ("cadd", 0.151, NOT_MET, "BP4_Moderate"), ("cadd", 0.15, NOT_MET, "BP4_Strong"),
    ("cadd", 60, "PP3_Moderate", NOT_MET), ("cadd", math.nan, NOT_EVALUATED, NOT_EVALUATED)])
def test_each_calibrated_interval_at_both_ends(name, score, for_, against):
    for value in (score, None if score is None else np.float32(score)):
        row = {**MISSENSE, name: value}
        assert (answer(pp3, row, Facts(predictor=name)), answer(bp4, row, Facts(predictor=name))) == (for_, against)


def test_the_predictor_that_was_not_chosen_is_not_looked_at():
    row = {**MISSENSE, "revel": 0.99, "cadd": 0.1}
    assert answer(pp3, row) == "PP3_Strong" and answer(pp3, row, Facts(predictor="cadd")) == NOT_MET
    assert answer(bp4, row, Facts(predictor="cadd")) == "BP4_Strong"
    assert answer(pp3, {**row, "revel": None}) == NOT_EVALUATED


@pytest.mark.parametrize(("splice", "for_", "against"), [
    (0.2, "PP3", NOT_MET), (0.199, NOT_MET, NOT_MET), (0.101, NOT_MET, NOT_MET), (0.1, NOT_MET, "BP4"), (0.0, NOT_MET, "BP4"),
    (None, NOT_EVALUATED, NOT_EVALUATED), (1.2, NOT_EVALUATED, NOT_EVALUATED), (np.float32(0.2), "PP3", NOT_MET),
    (np.float32(0.1), NOT_MET, "BP4")])
@pytest.mark.parametrize("what", ["synonymous_variant", "intron_variant", "splice_region_variant&intron_variant", "3_prime_UTR_variant"])
def test_splicing_outside_the_canonical_sites(what, splice, for_, against):
    row = {"consequence": what, "spliceai": splice, "revel": 0.99, "cadd": 40}
    assert (answer(pp3, row), answer(bp4, row)) == (for_, against)


@pytest.mark.parametrize("what", ["splice_donor_variant", "splice_acceptor_variant&intron_variant", "stop_gained", "frameshift_variant",
                                  "start_lost", "stop_lost", "transcript_ablation", "missense_variant&splice_donor_variant"])
def test_predictors_do_not_speak_of_null_variants(what: str):
    row = {"consequence": what, "spliceai": 0.99, "revel": 0.99, "cadd": 45}
    assert answer(pp3, row) == NOT_MET == answer(bp4, {**row, "spliceai": 0, "revel": 0.001, "cadd": 0.1})
    assert answer(pp3, row, Facts(predictor="cadd")) == NOT_MET


def test_missense_and_splicing_together():
    assert answer(pp3, {**MISSENSE, "revel": 0.1, "spliceai": 0.2}) == "PP3"
    assert answer(pp3, {**MISSENSE, "revel": None, "spliceai": 0.2}) == "PP3"
    assert answer(pp3, {**MISSENSE, "revel": 0.95, "spliceai": 0.9}) == "PP3_Strong"
    assert answer(bp4, {**MISSENSE, "revel": 0.1, "spliceai": 0.101}) == NOT_MET
    blind = {**MISSENSE, "revel": 0.1, "spliceai": None}
    assert answer(bp4, blind) == "BP4_Moderate" and "no SpliceAI score" in bp4(Evidence(blind)).sentence()
    assert "pas de score SpliceAI" in pp3(Evidence(blind)).sentence("fr")


@pytest.mark.parametrize("what", ["inframe_deletion", "inframe_insertion", "protein_altering_variant"])
def test_a_quiet_splice_predictor_does_not_clear_a_change_of_the_protein(what: str):
    assert answer(bp4, {"consequence": what, "spliceai": 0.0}) == NOT_EVALUATED
    assert answer(bp4, {"consequence": what, "spliceai": 0.5}) == NOT_MET and answer(pp3, {"consequence": what, "spliceai": 0.5}) == "PP3"


SILENT = {"consequence": "synonymous_variant", "spliceai": 0.1, "conservation": 1.99, "predictor_release": "s"}


@pytest.mark.parametrize(("row", "expected"), [
    ({}, "BP7"), ({"spliceai": 0.101}, NOT_MET), ({"conservation": 2.0}, NOT_MET), ({"conservation": -5}, "BP7"),
    ({"spliceai": None}, NOT_EVALUATED), ({"conservation": None}, NOT_EVALUATED), ({"spliceai": 0.5, "conservation": None}, NOT_MET),
    ({"spliceai": None, "conservation": 7}, NOT_MET), ({"consequence": "missense_variant"}, NOT_MET),
    ({"consequence": "splice_region_variant&synonymous_variant"}, "BP7"), ({"consequence": "stop_gained&synonymous_variant"}, NOT_MET),
    ({"consequence": "intron_variant", "hgvs_c": "NM_1.1:c.100+7A>G"}, "BP7"),
    ({"consequence": "intron_variant", "hgvs_c": "NM_1.1:c.100+6A>G"}, NOT_MET),
    ({"consequence": "intron_variant", "hgvs_c": "NM_1.1:c.100-21A>G"}, "BP7"),
    ({"consequence": "intron_variant", "hgvs_c": "NM_1.1:c.100-20A>G"}, NOT_MET),
    ({"consequence": "intron_variant", "hgvs_c": "NM_1.1:c.100-90_100-20del"}, NOT_MET),
    ({"consequence": "intron_variant", "hgvs_c": ""}, NOT_EVALUATED),
    ({"consequence": "splice_region_variant&intron_variant", "hgvs_c": "c.1+7A>G"}, NOT_MET)])
def test_bp7(row, expected):
    assert answer(bp7, {**SILENT, **row}) == expected


@pytest.mark.parametrize(("name", "depth"), [
    ("NM_1.1:c.100-21A>G", -21), ("c.*12+7del", 7), ("c.-15-30C>T", -30), ("n.77+1200G>A", 1200), ("c.12A>G", None), ("", None),
    ("c.100+3_100+90del", 3), ("c.100-90_100-4dup", -4), ("c.100-34_102del", 0), ("c.98_100+30del", 0), ("p.Arg12Ter", None),
    ("NM_1.1:c.4_7del", None)])
def test_the_distance_to_the_exon_is_that_of_the_nearer_end(name: str, depth: int | None):
    assert intron_depth(name) == depth


# What was observed


KNOWN = {**MISSENSE, "clinvar_same_change": "", "clinvar_same_residue": "", "clinvar_release": "ClinVar 1"}


@pytest.mark.parametrize(("row", "one", "five"), [
    ({"clinvar_same_change": "12", "clinvar_same_residue": ""}, "PS1", NOT_MET),
    ({"clinvar_same_change": "12", "clinvar_same_residue": "13"}, "PS1", NOT_MET),
    ({"clinvar_same_residue": "13"}, NOT_MET, "PM5"), ({}, NOT_MET, NOT_MET),
    ({"clinvar_same_change": "not assessed", "clinvar_same_residue": "not assessed"}, NOT_EVALUATED, NOT_EVALUATED),
    ({"clinvar_same_change": "12", "clinvar_same_residue": "13", "clinvar_release": ""}, NOT_EVALUATED, NOT_EVALUATED),
    ({"clinvar_same_change": "12", "consequence": "synonymous_variant"}, NOT_MET, NOT_MET),
    ({"clinvar_same_change": "12", "consequence": ""}, NOT_EVALUATED, NOT_EVALUATED),
    ({"clinvar_same_change": "12", "spliceai": 0.2}, NOT_MET, NOT_MET), ({"clinvar_same_change": "12", "spliceai": 0.199}, "PS1", NOT_MET),
    ({"clinvar_same_residue": "13", "spliceai": None}, NOT_MET, "PM5")])
def test_ps1_and_pm5(row, one, five):
    assert (answer(ps1, {**KNOWN, **row}), answer(pm5, {**KNOWN, **row})) == (one, five)


def test_pm5_may_count_the_residue_where_ps1_does_not():
    assert answer(pm5, {**KNOWN, "clinvar_same_change": "12", "clinvar_same_residue": "13"}, ps1_counts=False) == "PM5"


@pytest.mark.parametrize(("what", "facts", "four", "three"), [
    ("inframe_deletion", {"repeat": False}, "PM4", NOT_MET), ("inframe_insertion", {"repeat": False}, "PM4", NOT_MET),
    ("protein_altering_variant", {"repeat": False}, "PM4", NOT_MET), ("inframe_deletion", {}, NOT_EVALUATED, NOT_EVALUATED),
    ("inframe_deletion", {"repeat": True}, NOT_MET, NOT_EVALUATED),
    ("inframe_deletion", {"repeat": True, "repeat_without_function": True}, NOT_MET, "BP3"),
    ("inframe_deletion", {"repeat": True, "repeat_without_function": False}, NOT_MET, NOT_MET),
    ("stop_lost", {}, "PM4", NOT_MET), ("missense_variant", {"repeat": False}, NOT_MET, NOT_MET),
    ("frameshift_variant", {"repeat": False}, NOT_MET, NOT_MET), ("inframe_deletion&stop_gained", {"repeat": False}, NOT_MET, NOT_MET),
    ("splice_donor_variant&inframe_deletion", {"repeat": False}, NOT_MET, NOT_MET), ("", {"repeat": False}, NOT_EVALUATED, NOT_EVALUATED)])
def test_pm4_and_bp3(what, facts, four, three):
    row = {"consequence": what}
    assert (answer(pm4, row, Facts(**facts)), answer(bp3, row, Facts(**facts))) == (four, three)


def test_the_table_of_de_novo_points():
    assert DE_NOVO_POINTS == {"specific": (2.0, 1.0), "consistent": (1.0, 0.5), "heterogeneous": (0.5, 0.25), "inconsistent": (0.0, 0.0)}
    assert de_novo_points([("assumed", "heterogeneous")] * 4) == 1.0 == de_novo_points([("assumed", "heterogeneous")] * 40)
    assert de_novo_points([("confirmed", "heterogeneous")] * 3 + [("confirmed", "specific")]) == 3.0


def sure(*fits: str) -> tuple[tuple[str, str], ...]:
    return tuple(("confirmed", f) for f in fits)


@pytest.mark.parametrize(("facts", "two", "six"), [
    (Facts(de_novo="confirmed", phenotype_fit="specific"), "PS2", NOT_MET),
    (Facts(de_novo="confirmed", phenotype_fit="consistent"), "PS2_Moderate", NOT_MET),
    (Facts(de_novo="confirmed", phenotype_fit="heterogeneous"), "PS2_Supporting", NOT_MET),
    (Facts(de_novo="confirmed", phenotype_fit="inconsistent"), NOT_MET, NOT_MET),
    (Facts(de_novo="assumed", phenotype_fit="specific"), NOT_MET, "PM6"),
    (Facts(de_novo="assumed", phenotype_fit="consistent"), NOT_MET, "PM6_Supporting"),
    (Facts(de_novo="assumed", phenotype_fit="heterogeneous"), NOT_MET, NOT_MET),
    (Facts(de_novo="assumed", phenotype_fit="heterogeneous", probands=(("assumed", "heterogeneous"),)), NOT_MET, "PM6_Supporting"),
    (Facts(probands=sure("specific", "specific")), "PS2_VeryStrong", NOT_MET),
    (Facts(probands=sure("specific", "consistent")), "PS2", NOT_MET),
    (Facts(probands=sure("specific", "consistent", "consistent")), "PS2_VeryStrong", NOT_MET),
    (Facts(probands=sure("specific", "consistent", "heterogeneous")), "PS2", NOT_MET),
    (Facts(probands=sure(*["heterogeneous"] * 30)), "PS2_Moderate", NOT_MET),
    (Facts(probands=tuple(("assumed", "specific") for _ in range(4))), NOT_MET, "PM6_VeryStrong"),
    (Facts(de_novo="confirmed", phenotype_fit="consistent", probands=(("assumed", "specific"),)), "PS2", NOT_MET),
    (Facts(de_novo="confirmed"), NOT_EVALUATED, NOT_EVALUATED), (Facts(), NOT_EVALUATED, NOT_EVALUATED),
    (Facts(phenotype_fit="specific"), NOT_EVALUATED, NOT_EVALUATED), (Facts(de_novo="inherited"), NOT_MET, NOT_MET),
    (Facts(de_novo="inherited", phenotype_fit="specific", probands=sure("specific")), "PS2", NOT_MET)])
def test_ps2_and_pm6(facts, two, six):
    assert (answer(ps2, {}, facts), answer(pm6, {}, facts)) == (two, six)


@pytest.mark.parametrize(("facts", "expected"), [
    ({"moi": "AR", "trans_with": "pathogenic"}, "PM3"), ({"moi": "AR", "trans_with": "likely pathogenic"}, "PM3"),
    ({"moi": "AD;AR", "trans_with": "pathogenic"}, "PM3"), ({"moi": "AR", "trans_with": "uncertain"}, NOT_MET),
    ({"moi": "AR", "trans_with": "benign"}, NOT_MET), ({"moi": "AR", "trans_with": "not computed"}, NOT_EVALUATED),
    ({"moi": "AD", "trans_with": "pathogenic"}, NOT_MET), ({"moi": "AR"}, NOT_EVALUATED), ({"trans_with": "pathogenic"}, NOT_EVALUATED)])
def test_pm3(facts, expected):
    assert answer(pm3, {}, Facts(**facts)) == expected
    assert "pathogène" in pm3(Evidence({}), Facts(moi="AR", trans_with="likely pathogenic")).sentence("fr")


# Evidence stands in the answer


def test_each_answer_that_is_met_names_its_evidence_and_its_release():
    rows = [{**COUNTED, **STOP, "pop_state": "absent"}, {**COMMON, **KNOWN, "revel": 0.95, "clinvar_same_change": "77", "pop_max": 0.2},
            {**COUNTED, **SILENT, "pop_hom": 5, "pop_faf95": 0.01}, {**KNOWN, "clinvar_same_residue": "78", "revel": 0.01}]
    facts = Facts(moi="AR", full_penetrance=True, max_credible_af=0.001, trans_with="pathogenic")
    met = {c.code: c for row in rows for c in automatic_criteria(Evidence(row), facts) if c.met}
    assert set(met) >= {"PVS1", "PM2", "BA1", "PS1", "PM5", "PP3", "BP4", "BP7", "BS1", "BS2", "PM3"}
    released = {"PVS1": "ClinGen 1", "PM2": "demo 1", "BA1": "demo 1", "BS1": "demo 1", "BS2": "demo 1", "PS1": "ClinVar 1",
                "PM5": "ClinVar 1", "PP3": "scores 1"}
    assert {k: met[k].release for k in released} == released
    assert "77" in met["PS1"].sentence() and "0.95" in met["PP3"].sentence() and "0,932" in met["PP3"].sentence("fr")
    assert "demo 1" in met["BS2"].sentence("fr")


def test_limits_state_their_sources():
    table = Limits().table()
    assert len(table) == 10 and table["source"].str.len().min() > 10
