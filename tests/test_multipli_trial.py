"""MULTIPLI's table: what is refused, who is counted, and whether the truth of a drawn trial comes out."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from genomics_nb.core.types import GenomicsError, InputError, ParameterError
from genomics_nb.programme.multipli import (
    Patient, analysed, feasibility, funnel, read_multipli, table_of, times, treated_rows, trial_flow, write_multipli)
from genomics_nb.programme.synthetic_multipli import TrialDesign, synthetic_multipli, truth

DAY = dt.date(2024, 3, 1)
GOOD = {"patient": "M-1", "disease": "sarcoma", "sex": "female", "age": 50, "ecog": 1, "arm": "ngs", "randomised": DAY,
        "received": dt.date(2024, 3, 5), "result": "interpretable", "board_date": dt.date(2024, 4, 10), "target": "yes", "tier": "II",
        "gene": "MDM2", "recommended": "yes", "treated": "yes", "treated_from": dt.date(2024, 4, 20), "last_seen": dt.date(2025, 1, 1)}


@pytest.fixture(scope="module")
def trial() -> pd.DataFrame:
    return synthetic_multipli()


@pytest.mark.parametrize(("change", "said"), [
    ({"died": dt.date(2024, 12, 1)}, "last_seen"), ({"progressed": dt.date(2023, 12, 1)}, "progressed"),
    ({"board_date": dt.date(2024, 3, 2)}, "board_date"), ({"treated_from": None}, "treated_from"), ({"gene": ""}, "gene"),
    ({"recommended": "no"}, "treated"), ({"result": "failed"}, "failure"), ({"arm": "standard"}, "result"),
    ({"progressed": dt.date(2025, 6, 1)}, "progressed"), ({"last_seen": dt.date(1900, 1, 1)}, "last_seen"),
    ({"histology": "<b>x</b>"}, "histology"), ({"gene": "=cmd()"}, "gene"), ({"patient": "../x"}, "patient"), ({"age": float("nan")}, "age")])
def test_an_impossible_row_names_its_column(change: dict[str, object], said: str) -> None:
    Patient(**GOOD)
    with pytest.raises(ValidationError, match=said):
        Patient(**GOOD | change)


def test_a_wrong_cell_is_named_by_line_and_column(tmp_path: Path, trial: pd.DataFrame) -> None:
    file = write_multipli(trial.head(5), tmp_path / "trial.csv")
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:3], lines[3].replace(",sarcoma,", ",melanoma,").replace(",colorectal,", ",melanoma,"), *lines[4:]]))
    with pytest.raises(InputError) as error:
        read_multipli(file)
    assert error.value.line == 4 and error.value.field == "disease"
    file.write_text("\n".join([*lines, lines[-1]]))
    with pytest.raises(InputError, match="two rows"):
        read_multipli(file)
    for text in ("", "patient,arm\n", lines[0] + "\n"):
        file.write_text(text)
        with pytest.raises(GenomicsError):
            read_multipli(file)


def test_a_table_comes_back_as_it_was(tmp_path: Path, trial: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(read_multipli(write_multipli(trial, tmp_path / "trial.csv")), trial)


def test_withdrawn_patients_are_in_no_count(trial: pd.DataFrame) -> None:
    some = trial[trial["withdrawn"].isna()]
    assert 0 < len(some) < len(trial) == trial_flow(trial).included and trial_flow(trial).withdrawn == len(trial) - len(some)
    gone = set(trial.index) - set(some.index)
    for table in (feasibility(trial), times(trial, "OS"), times(trial, "PFS"), treated_rows(trial).set_index("patient")):
        assert not gone & set(table.index)
    pd.testing.assert_frame_equal(funnel(trial), funnel(some))
    assert sum(trial_flow(trial).arms.values()) == len(some)
    with pytest.raises(ParameterError):
        analysed(trial.assign(withdrawn=pd.Timestamp("2024-01-01")))


def test_seven_weeks_are_forty_nine_days_from_the_receipt() -> None:
    for days, outcome in ((49, "success"), (50, "failed")):
        row = Patient(**GOOD | {"board_date": GOOD["received"] + dt.timedelta(days=days), "treated_from": dt.date(2024, 6, 1)})
        assert feasibility(table_of([row]))["outcome"].tolist() == [outcome]
    recent = Patient(**{k: v for k, v in GOOD.items() if k in ("patient", "disease", "sex", "age", "ecog", "arm", "randomised", "received")},
                     last_seen=dt.date(2024, 4, 1))
    assert feasibility(table_of([recent]))["outcome"].tolist() == ["open"]  # its seven weeks are not over
    assert feasibility(table_of([recent]), end=pd.Timestamp("2024-06-01"))["reason"].tolist() == ["late report"]


def test_times_by_hand() -> None:
    one = Patient(**GOOD | {"progressed": dt.date(2024, 9, 1), "died": dt.date(2025, 1, 1)})
    other = Patient(patient="M-2", disease="sarcoma", sex="male", age=60, ecog=0, arm="standard", randomised=DAY, progressed=dt.date(2024, 6, 1),
                    crossover=dt.date(2024, 7, 1), died=dt.date(2025, 3, 1), last_seen=dt.date(2025, 3, 1))
    table = table_of([one, other])
    assert (times(table, "PFS")["months"] * 30.4375).round().tolist() == [184, 92] and times(table, "PFS")["event"].all()
    censored = times(table, "OS", censor_crossover=True)
    assert (censored["months"] * 30.4375).round().tolist() == [306, 122] and censored["event"].tolist() == [True, False]
    assert (times(table, "PFS", censor_crossover=True)["months"] * 30.4375).round().tolist() == [184, 92]  # it progressed before


def test_the_funnel_goes_down_and_its_limits_are_exact(trial: pd.DataFrame) -> None:
    from scipy.stats import binomtest

    for disease in ("", "sarcoma", "colorectal"):
        table = funnel(trial, disease)
        assert (table["patients"].diff().dropna() <= 0).all()
        for before, row in zip(table["patients"], table.iloc[1:].itertuples(), strict=False):
            ci = binomtest(row.patients, before).proportion_ci(method="exact")
            assert (row.before_low, row.before_high) == pytest.approx((ci.low, ci.high), abs=1e-9)


def test_the_truth_of_drawn_trials_comes_out() -> None:
    told, seeds = truth().set_index("name")["value"], range(6)
    tables = [synthetic_multipli(seed=seed) for seed in seeds]
    steps = [funnel(t).set_index("step") for t in tables]
    feasible = np.mean([(o[o["outcome"] != "open"]["outcome"] == "success").mean() for o in map(feasibility, tables)])
    assert feasible == pytest.approx(told["feasible"], abs=0.025)
    assert np.mean([s.loc["target", "of_before"] for s in steps]) == pytest.approx(told["target"], abs=0.03)
    begun = np.mean([s.loc["treated", "patients"] / s.loc["target", "patients"] for s in steps])
    assert begun == pytest.approx(told["treated"], abs=0.04)


def test_a_design_that_cannot_be_is_refused_and_a_seed_repeats() -> None:
    with pytest.raises(ParameterError):
        TrialDesign(feasible=1.4)
    small = TrialDesign(patients=40)
    pd.testing.assert_frame_equal(synthetic_multipli(small, 3), synthetic_multipli(small, 3))
    assert not synthetic_multipli(small, 3).equals(synthetic_multipli(small, 4))


def test_an_interim_look_counts_those_whose_weeks_are_over_and_no_report_of_later() -> None:
    waiting = Patient(**{k: v for k, v in GOOD.items() if k in ("patient", "disease", "sex", "age", "ecog", "arm", "randomised", "received")},
                      result="interpretable", last_seen=dt.date(2024, 9, 1))
    found = feasibility(table_of([waiting])).iloc[0]
    assert (found["outcome"], found["closed"], found["event"]) == ("failed", True, False) and found["days"] > 49
    early = feasibility(table_of([Patient(**GOOD)]), end=pd.Timestamp(GOOD["received"]) + pd.Timedelta(days=1)).iloc[0]
    assert (early["outcome"], early["closed"], early["event"]) == ("open", False, False)
