"""The clinic's side of atypical diabetes: Shields' models, antibodies, C-peptide, the French inclusion criteria."""

import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomics_nb.core.types import ParameterError
from genomics_nb.diabetes.inclusion import Relative, autoimmune, early_and_lean, included, insulin_kept, signs
from genomics_nb.diabetes.mody import INTERCEPT, POST_TEST, WEIGHTS, Clinic, from_percent, mody_probability, plot_contributions

COMPLETE = Clinic(age=30, age_at_diagnosis=20, female=True, bmi=22.0, hba1c=52, parent=True, early_insulin=False, treated=True)
NEGATIVE = {"GAD": False, "IA-2": False, "ZnT8": False}


def by_hand(clinic: Clinic, published: dict, model: str) -> float:
    """The formula as it is printed, term by term."""
    terms = {"parent_with_diabetes": clinic.parent, "age_years": clinic.age, "hba1c_percent": 0.09148 * clinic.hba1c + 2.152,
             "age_at_diagnosis": clinic.age_at_diagnosis, "female": clinic.female, "bmi": clinic.bmi,
             "on_insulin_or_oha": clinic.treated}
    odds = published[model]["intercept"] + sum(weight * terms[name] for name, weight in published[model].items() if name != "intercept")
    return math.exp(odds) / (1 + math.exp(odds))


def test_the_coefficients_are_those_of_the_published_transcription(shared_data: Path) -> None:
    published = json.loads((shared_data / "diabetes" / "shields2012_coefficients.json").read_text())
    names = {"parent": "parent_with_diabetes", "age": "age_years", "hba1c": "hba1c_percent", "treated": "on_insulin_or_oha"}
    for model, key, table in (("insulin", "insulin_within_6_months", "insulin"),
                              ("no insulin", "not_insulin_within_6_months", "non_insulin")):
        ours = {names.get(name, name): weight for name, weight in WEIGHTS[model].items()}
        assert ours | {"intercept": INTERCEPT[model]} == published[key]
        assert list(POST_TEST[model]) == published["post_test_ppv_percent_by_decile_lt"][table]
        for early, clinic in ((model == "insulin", COMPLETE), (model == "insulin", replace(COMPLETE, female=False, parent=False))):
            found = mody_probability(replace(clinic, early_insulin=early))
            assert found.model == model and found.score == pytest.approx(by_hand(clinic, published, key), rel=1e-12)


@pytest.mark.parametrize(("hba1c", "percent"), [(48, 6.5), (53, 7.0), (75, 9.0)])
def test_units_convert_as_the_master_equation_says(hba1c: float, percent: float) -> None:
    assert round(from_percent(percent)) == hba1c


@pytest.mark.parametrize("fault", [{"hba1c": 7.2}, {"bmi": 2}, {"age": 130}, {"age": 10, "age_at_diagnosis": 20}, {"hba1c": math.nan},
                                   {"bmi": math.inf}])
def test_what_nobody_can_have_is_refused(fault: dict[str, float]) -> None:
    with pytest.raises(ParameterError):
        Clinic(**fault)


@pytest.mark.parametrize("onset", [0, 0.9, 36, 60])
def test_outside_its_range_the_model_says_nothing(onset: float) -> None:
    found = mody_probability(replace(COMPLETE, age=70, age_at_diagnosis=onset))
    assert not found.applies and found.post_test is None and "35" in found.why[0] and "35" in found.why[1]


@pytest.mark.parametrize("name", ["age", "age_at_diagnosis", "female", "bmi", "hba1c", "parent", "treated"])
def test_a_missing_fact_is_named_and_never_taken_for_no(name: str) -> None:
    found = mody_probability(replace(COMPLETE, **{name: None}))
    assert not found.applies and found.why[0].startswith("missing")
    ignored = {"bmi", "treated"}  # the model of early insulin does not ask for them
    early = mody_probability(replace(COMPLETE, early_insulin=True, **{name: None}))
    assert early.applies is (name in ignored)


@given(bmi=st.floats(15, 45), more=st.floats(0.1, 20), age=st.integers(36, 70), onset=st.integers(1, 34))
def test_fatter_or_later_is_never_more_probable(bmi: float, more: float, age: int, onset: int) -> None:
    lean = replace(COMPLETE, bmi=bmi, age=age, age_at_diagnosis=onset)
    first = mody_probability(lean)
    for other in (replace(lean, bmi=bmi + more), replace(lean, age_at_diagnosis=onset + 1)):
        second = mody_probability(other)
        assert second.score < first.score and second.post_test <= first.post_test


def test_the_plot_needs_two_answers_of_one_model() -> None:
    found = mody_probability(COMPLETE)
    assert plot_contributions(found, found, "fr").axes[0].get_xlabel().startswith("log-cote")
    for other in (mody_probability(Clinic()), mody_probability(replace(COMPLETE, early_insulin=True))):
        with pytest.raises(ParameterError):
            plot_contributions(found, other)


def test_antibodies_answer_only_what_was_measured() -> None:
    assert autoimmune({"GAD": True, "IA-2": None}).answer == "yes"
    assert autoimmune({"GAD": False, "ZnT8": False}).answer == "unknown"
    assert autoimmune({"GAD": False, "IA-2": False}).answer == "no"
    with pytest.raises(ParameterError, match="no rule"):
        autoimmune({"<b>GAD</b>": True})


@pytest.mark.parametrize(("blood", "urine", "years", "answer"), [
    (None, None, 10, "unknown"), (199, None, 1, "no"), (200, None, 10, "unknown"), (600, None, 10, "unknown"), (601, None, 10, "yes"),
    (601, None, 2.9, "unknown"), (601, None, None, "unknown"), (None, 0.19, 10, "no"), (None, 0.2, 10, "yes"), (100, 0.9, 10, "no")])
def test_c_peptide_by_its_limits(blood: float | None, urine: float | None, years: float | None, answer: str) -> None:
    assert insulin_kept(blood, urine, years).answer == answer


def obvious(own: bool | None, others: int, generations: int, immune: bool | None) -> str:
    """All completions of what is unknown: the answer where they agree."""
    answers = set()
    for a, i in product((own,) if own is not None else (True, False), (immune,) if immune is not None else (True, False)):
        answers.add(not i and a + (others >= 2) + (generations >= 2) >= 2)
    return "unknown" if len(answers) == 2 else "yes" if answers.pop() else "no"


@given(own=st.sampled_from([True, False, None]), others=st.integers(0, 3), parents=st.booleans(), immune=st.sampled_from([True, False, None]))
def test_inclusion_is_what_every_completion_agrees_on(own: bool | None, others: int, parents: bool, immune: bool | None) -> None:
    clinic = Clinic(age_at_diagnosis=None if own is None else 25 if own else 55)
    family = [Relative(-1 if parents else 0, True, 30, 24.0) for _ in range(others)]
    antibodies = {"GAD": immune, "IA-2": immune}
    found = included(clinic, antibodies, family, bmi_at_diagnosis=23.0)
    assert found.answer == obvious(own, others, 1 + (parents and others > 0), immune)
    assert all(r.why[0] and r.why[1] for r in found.rulings)


def test_an_unasked_family_is_unknown_and_a_relative_of_unknown_state_may_count() -> None:
    young = Clinic(age_at_diagnosis=21, bmi=22)
    assert [r.answer for r in signs(young, None)] == ["yes", "unknown", "unknown"]
    assert [r.answer for r in signs(young, [Relative(-1)])] == ["yes", "no", "unknown"]  # one relative is never two
    assert [r.answer for r in signs(young, [Relative(-1, False), Relative(-2, False)])] == ["yes", "no", "no"]
    assert "present BMI" in signs(young, [])[0].why[0] and "present BMI" not in signs(young, [], 22.0)[0].why[0]


@pytest.mark.parametrize(("age", "bmi", "answer"), [(40, 29.9, True), (41, None, False), (40, 30.0, False), (None, 31.0, False), (None, 20.0, None)])
def test_early_and_lean_at_the_limits(age: float | None, bmi: float | None, answer: bool | None) -> None:
    assert early_and_lean(age, bmi) is answer
