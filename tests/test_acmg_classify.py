"""From a row to a class, and a family's table with PM3 in two passes."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import ParameterError
from genomics_nb.variant.classification import classification_html, classification_json, classification_of
from genomics_nb.variant.classify import classify, classify_table, partner_classes
from genomics_nb.variant.criteria import AUTOMATED, CONDITIONAL, MET, NOT_EVALUATED, NOT_MET, REFUSED, Facts, pairs_among
from genomics_nb.variant.person import Entered
from genomics_nb.variant.points import combine

STOP = {"variant": 1, "allele": 1, "contig": "12", "position": 100, "ref": "A", "alt": "T", "gene": "PAH", "consequence": "stop_gained",
        "nmd": "triggers", "lof_mechanism": "yes", "validity": "definitive", "validity_moi": "AR", "pop_state": "absent"}
MISSENSE = {**STOP, "variant": 2, "position": 200, "consequence": "missense_variant", "revel": 0.8, "spliceai": 0.0}
WHO = {"role": "biologist", "author": "b", "date": "2026-11-24", "comment": "c"}


@pytest.mark.parametrize("contig", ["MT", "M", "chrM", "chrMT"])
def test_a_mitochondrial_class_is_not_computed_and_says_so(contig: str):
    made = classify({**STOP, "contig": contig, "gene": "MT-ND1"})
    assert (made.acmg_class, made.by_2015, made.points, made.codes) == ("not computed", "not computed", None, "")
    assert made.without("PM3") == "not computed"
    assert "rules of their own" in made.sentences()[1] and "leurs propres règles" in made.sentences("fr")[1]
    assert "not computed" in classification_html(made) and "non calculée" in classification_html(made, "fr")
    with pytest.raises(ParameterError, match="PS3 is entered for a mitochondrial variant"):
        classify({**STOP, "contig": contig}, entered=[Entered("PS3", "", **WHO)])


def test_a_row_may_be_a_dictionary_or_a_series():
    assert classify(STOP) == classify(pd.Series(STOP)) and classify(STOP).variant == "12-100-A-T"
    assert classify({**STOP, "position": 100.0}).variant == "12-100-A-T" and classify({}).variant == "-?--"


def test_the_class_is_that_of_its_codes():
    for row in (STOP, MISSENSE, {**STOP, "pop_state": "suppressed"}, {}):
        made = classify(row)
        assert made.acmg_class == combine(made.codes).by_points and made.points == combine(made.codes).points


def test_prediction_alone_never_makes_a_class_of_its_own():
    row = {**MISSENSE, "pop_state": "", "revel": 0.001}
    assert classify(row).codes == "BP4_VeryStrong" and classify(row).acmg_class == "likely benign"
    assert classify({**row, "revel": 0.99}).acmg_class == "uncertain"


def table(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def codes(made: pd.DataFrame) -> list[str]:
    return list(made["acmg_codes"])


def test_pm3_goes_from_the_pathogenic_partner_to_the_other_and_not_back():
    made, classes = classify_table(table(STOP, MISSENSE), trans=[((1, 1), (2, 1))])
    assert codes(made) == ["PVS1;PM2_Supporting", "PM2_Supporting;PM3;PP3_Moderate"]
    assert "12-100-A-T" in classes[1].of("PM3").sentence() and "12-200-A-T" in classes[0].of("PM3").sentence("fr")
    assert [c.codes for c in classes] == codes(made) and list(made["acmg_points"]) == [9.0, 5.0]
    assert codes(classify_table(table(STOP, MISSENSE), trans=[((2, 1), (1, 1))])[0]) == codes(made)
    assert codes(classify_table(table(STOP, MISSENSE))[0]) == ["PVS1;PM2_Supporting", "PM2_Supporting;PP3_Moderate"]


def test_two_uncertain_variants_do_not_lift_each_other():
    """Each would be likely pathogenic with PM3: 6 points, and 4 without."""
    one, other = {**MISSENSE, "clinvar_release": "c", "clinvar_same_residue": "9", "clinvar_same_change": ""}, {}
    one = {**one, "revel": 0.7}
    other = {**one, "variant": 3, "position": 300}
    made, _ = classify_table(table(one, other), trans=[((2, 1), (3, 1))])
    assert list(made["acmg_points"]) == [4.0, 4.0] and set(made["acmg_class"]) == {"uncertain"}
    assert combine("PM2_Supporting;PM3;PM5;PP3").by_points == "likely pathogenic"


def test_two_likely_pathogenic_variants_lift_each_other_once():
    made, _ = classify_table(table(STOP, {**STOP, "variant": 2, "position": 200}), trans=[((1, 1), (2, 1)), ((2, 1), (1, 1))])
    assert codes(made) == ["PVS1;PM2_Supporting;PM3"] * 2 and set(made["acmg_class"]) == {"pathogenic"}


def test_only_rows_of_the_same_gene_are_partners_and_alleles_are_kept_apart():
    overlapping = {**MISSENSE, "gene": "OTHER"}
    other_allele = {**MISSENSE, "allele": 2}
    made, _ = classify_table(table(STOP, MISSENSE, overlapping, other_allele), trans=[((1, 1), (2, 1))])
    assert ["PM3" in c for c in codes(made)] == [False, True, False, False]


def test_the_best_partner_counts():
    third = {**MISSENSE, "variant": 3, "position": 300, "revel": 0.5}
    rows = table(STOP, MISSENSE, third)
    for pairs in ([((2, 1), (3, 1)), ((2, 1), (1, 1))], [((2, 1), (1, 1)), ((2, 1), (3, 1))]):
        assert "PM3" in codes(classify_table(rows, trans=pairs)[0])[1]


def test_the_class_lent_to_a_partner_never_holds_pm3_even_an_entered_one():
    lender = {**MISSENSE, "revel": 0.95}  # 5 points, 7 with PM3
    third = {**MISSENSE, "variant": 3, "position": 300}
    entry = Entered("PM3", "strong", **WHO)
    made, _ = classify_table(table(STOP, lender, third), trans=[((1, 1), (2, 1)), ((2, 1), (3, 1))],
                             entered_of=lambda r: [entry] if r["variant"] == 2 else [])
    assert "PM3_Strong" in codes(made)[1] and made["acmg_class"][1] == "likely pathogenic"
    assert "PM3" not in codes(made)[2]


def test_a_pair_with_a_deletion_that_has_no_row_changes_nothing():
    assert codes(classify_table(table(MISSENSE), trans=[((-1, 1), (2, 1))])[0]) == codes(classify_table(table(MISSENSE))[0])
    assert partner_classes({}, [((1, 1), (2, 1))]) == {}


def test_mitochondrial_and_benign_rows_have_no_points():
    common = {**MISSENSE, "pop_state": "counted", "pop_max": 0.2, "pop_group": "AFR", "pop_group_an": 5000, "pop_ac": 1000}
    made, _ = classify_table(table({**STOP, "contig": "MT"}, common))
    assert list(made["acmg_class"]) == ["not computed", "benign"] and np.isnan(made["acmg_points"]).all()
    assert codes(made) == ["", "PP3_Moderate;BA1"]


def test_the_table_that_was_given_is_left_as_it_was_and_an_empty_one_is_fine():
    given = table(STOP, MISSENSE)
    before = given.copy()
    classify_table(given, trans=[((1, 1), (2, 1))])
    pd.testing.assert_frame_equal(given, before)
    made, classes = classify_table(given.iloc[:0])
    assert len(made) == 0 == len(classes) and {"acmg_class", "acmg_points", "acmg_codes"} <= set(made)


def test_a_familys_candidates_take_seconds():
    rows = pd.DataFrame([{**MISSENSE, "variant": i, "position": i + 1} for i in range(2000)])
    begun = time.process_time()
    classify_table(rows, trans=[((i, 1), (i + 1, 1)) for i in range(0, 200, 2)])
    assert time.process_time() - begun < 6  # about 0.4 ms a row; a quadratic pass would take minutes


WORDS = ["", "missense_variant", "stop_gained", "splice_donor_variant&intron_variant", "intron_variant", "synonymous_variant", "inframe_deletion",
         "start_lost", "counted", "absent", "suppressed", "AR", "AD;AR", "XL", "yes", "no", "definitive", "Moderate", "triggers", "escapes",
         "NFE", "FIN", "c.100-21A>G", "<b>{x}</b>", "not assessed", "12", "HNF1A"]
VALUES = st.one_of(st.none(), st.just(float("nan")), st.just(pd.NA), st.floats(), st.floats(0, 1), st.integers(-2, 200_000), st.sampled_from(WORDS),
                   st.text(max_size=12), st.sampled_from([np.float32(0.644), np.int32(-1), True, "chrX", "chrM", [], np.nan]))
FIELDS = ["contig", "position", "ref", "alt", "gene", "transcript", "exon", "consequence", "hgvs_c", "nmd", "lof_mechanism", "validity", "validity_moi",
          "g2p", "g2p_moi", "pop_state", "pop_af", "pop_max", "pop_ac", "pop_an", "pop_hom", "pop_hemi", "pop_faf95", "pop_group", "pop_group_an",
          "pop_release", "revel", "cadd", "spliceai", "conservation", "clinvar_same_change", "clinvar_same_residue", "clinvar_release"]


@settings(max_examples=250, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=len(FIELDS)), st.sampled_from(WORDS[1:8]), st.sampled_from(WORDS[8:11]),
       st.builds(Facts, de_novo=st.sampled_from(["", "confirmed", "assumed", "inherited"]), phenotype_fit=st.sampled_from(["", "specific"]),
                 trans_with=st.sampled_from(["", "pathogenic", "not computed"]), full_penetrance=st.booleans(),
                 max_credible_af=st.sampled_from([None, 0.0, 0.001]), predictor=st.sampled_from(["revel", "cadd"])))
def test_any_row_gets_an_answer_that_can_be_said_shown_and_kept(row, consequence, state, facts):
    made = classify({"consequence": consequence, "pop_state": state, **row}, facts)
    assert made.why_not or {c.code for c in made.criteria} == {*AUTOMATED, *CONDITIONAL}
    assert not pairs_among([c.code for c in made.criteria if c.met], REFUSED)  # automated answers never collide
    for lang in ("en", "fr"):
        told = made.sentences(lang, states=(MET, NOT_MET, NOT_EVALUATED))
        assert all(s.replace("\u202f", " ").isprintable() for s in told)  # thousands are set apart by it in French
        assert "<b>" not in classification_html(made, lang)
    again = classification_of(classification_json(made))
    assert (again.acmg_class, again.codes) == (made.acmg_class, made.codes)
