"""Statistics of a paired trial: against published examples, against other programs, and at their edges."""

from itertools import product
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest
from statsmodels.duration.survfunc import SurvfuncRight, survdiff
from statsmodels.stats.contingency_tables import mcnemar as peer_mcnemar
from statsmodels.stats.proportion import proportion_confint

from genomics_nb.core.types import InputError, NotFoundError, ParameterError
from genomics_nb.programme.paired import Paired, mcnemar, newcombe, odds_ratio, plot_pairs, plot_yields, tango, wilson
from genomics_nb.programme.power import critical, detectable, pair_shares, plot_power, power, sample_size
from genomics_nb.programme.subgroups import ORDER, heterogeneity, interactions, plot_forest, subgroup_labels, subgroup_table
from genomics_nb.programme.survival import at_risk, days_saved, kaplan_meier, logrank, medians, plot_curves
from genomics_nb.programme.synthetic_trial import Design, synthetic_trial, truth
from genomics_nb.programme.trial import COLUMNS, bounds, complete, cut_off, discordance, flow, pairs, read_trial, waiting, write_trial

tables = st.builds(Paired, *[st.integers(0, 60)] * 4)

# Bentur 2009, the example of Fagerland, Lydersen and Laake 2013 (doi:10.1186/1471-2288-13-91) and 2014 (doi:10.1002/sim.6148).
BENTUR = Paired(1, 1, 7, 12)
# Cavo 2012, the other example of Fagerland, Lydersen and Laake's book (Statistical analysis of contingency tables, 2017, chapter 8).
CAVO = Paired(59, 6, 16, 80)


# --- paired yields -------------------------------------------------------------------------------------------------------


def test_fagerland_2013_p_values_of_the_transplanted_children() -> None:
    assert round(mcnemar(BENTUR), 3) == 0.070 and round(mcnemar(BENTUR, "midp"), 3) == 0.039


@pytest.mark.parametrize(("table", "expected"), [
    (BENTUR, (-0.286, -0.507, -0.026)),  # Fagerland 2014
    (CAVO, (-0.0621, -0.1186, -0.0046)),  # as contingencytables, the package of the book, prints it
    (Paired(36, 12, 2, 0), (0.2, 0.0569, 0.3404)),  # Newcombe 1998, method 10
])
def test_published_intervals_of_newcombe(table: Paired, expected: tuple[float, float, float]) -> None:
    found, digits = newcombe(table), max(len(str(v).partition(".")[2]) for v in expected)
    assert tuple(round(v, digits) for v in (found.value, found.low, found.high)) == expected


def test_published_interval_of_tango() -> None:
    found = tango(BENTUR)  # Fagerland 2014
    assert (round(found.low, 3), round(found.high, 3)) == (-0.517, -0.026)


def test_published_odds_ratio() -> None:
    found = odds_ratio(BENTUR)  # Fagerland 2014: 0.143, exact conditional 0.003 to 1.11
    assert (round(found.value, 3), round(found.low, 3), round(found.high, 2)) == (0.143, 0.003, 1.11)


@given(tables)
@settings(max_examples=80, deadline=None)
def test_exact_p_is_that_of_statsmodels_and_scipy(table: Paired) -> None:
    ours = mcnemar(table)
    if table.discordant:
        assert ours == pytest.approx(binomtest(table.first, table.discordant, 0.5).pvalue, rel=1e-9)
        peer = peer_mcnemar([[table.both, table.first], [table.second, table.neither]], exact=True).pvalue
        assert ours == pytest.approx(min(peer, 1.0), rel=1e-9)
    assert 0 < mcnemar(table, "midp") <= ours <= 1
    assert mcnemar(table.swapped) == ours


@given(st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=60, deadline=None)
def test_wilson_and_the_odds_ratio_agree_with_statsmodels(one: int, other: int) -> None:
    n = one + other
    if n == 0:
        return
    low, high = proportion_confint(one, n, method="wilson")
    ours = wilson(one, n)
    assert (ours.low, ours.high) == pytest.approx((max(low, 0), min(high, 1)), abs=1e-9)
    exact = binomtest(one, n).proportion_ci(method="exact")
    ratio = odds_ratio(Paired(0, one, other, 5))
    assert ratio.low == pytest.approx(exact.low / (1 - exact.low), rel=1e-6)
    assert ratio.high == (pytest.approx(exact.high / (1 - exact.high), rel=1e-6) if other else np.inf)


def score_by_likelihood(delta: float, table: Paired) -> float:
    """Tango's statistic the slow way: the share of `second only` that maximises the likelihood under delta, found by search."""
    b, c, n = table.first, table.second, table.n
    rest = n - b - c

    def against(q: float) -> float:
        shares = np.array([q + delta, q, 1 - 2 * q - delta])
        counts = np.array([b, c, rest])
        return float(-np.where(counts > 0, counts * np.log(np.maximum(shares, 1e-300)), 0).sum())

    low, high = max(0.0, -delta), (1 - delta) / 2
    best = minimize_scalar(against, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    variance = n * (2 * best + delta - delta**2)
    return (b - c - n * delta) / np.sqrt(variance)


@pytest.mark.parametrize("table", [BENTUR, CAVO, Paired(36, 12, 2, 0), Paired(43, 0, 1, 0), Paired(10, 40, 20, 90)])
def test_tango_ends_where_the_score_test_does(table: Paired) -> None:
    found = tango(table)
    assert score_by_likelihood(found.low, table) == pytest.approx(1.959964, abs=1e-3)
    assert score_by_likelihood(found.high, table) == pytest.approx(-1.959964, abs=1e-3)


@given(tables)
@settings(max_examples=120, deadline=None)
def test_intervals_hold_their_estimate_and_turn_with_the_table(table: Paired) -> None:
    if table.n == 0:
        assert np.isnan(newcombe(table).low) and np.isnan(tango(table).low)
        return
    for method in (newcombe, tango):
        one, other = method(table), method(table.swapped)
        assert -1 - 1e-9 <= one.low <= one.value + 1e-9 and one.value - 1e-9 <= one.high <= 1 + 1e-9
        assert one.low == pytest.approx(-other.high, abs=1e-6) and one.high == pytest.approx(-other.low, abs=1e-6)
        assert method(table, 0.99).high >= one.high - 1e-9


def test_intervals_cover_the_truth() -> None:
    rng, (both, one, two, none) = np.random.default_rng(1), pair_shares(0.6, 0.5, 0.3)
    inside = {newcombe: 0, tango: 0}
    for counts in rng.multinomial(80, [both, one, two, none], 600):
        for method in inside:
            found = method(Paired(*map(int, counts)))
            inside[method] += found.low <= 0.1 <= found.high
    assert all(0.925 <= hits / 600 <= 0.975 for hits in inside.values()), inside


def test_what_is_no_pair_is_refused() -> None:
    for bad in (([True], [True, False]), ([1, 0], [0, 1]), ([True, None], [True, False]), ([[True]], [[True]])):
        with pytest.raises(ParameterError):
            Paired.of(*map(np.array, bad))
    with pytest.raises(ParameterError):
        Paired(1, -1, 0, 0)
    with pytest.raises(ParameterError):
        mcnemar(BENTUR, "chi2")  # type: ignore[arg-type]
    for level in (0, 1, 95):
        with pytest.raises(ParameterError):
            newcombe(BENTUR, level)
    with pytest.raises(ParameterError):
        wilson(5, 4)


# --- power ---------------------------------------------------------------------------------------------------------------


def test_obrien_2002_power_and_true_level() -> None:
    assert power(50, 0.08, 0.32, sides=1) == pytest.approx(0.8393, abs=2e-4)
    assert power(50, 0.20, 0.20, sides=1) == pytest.approx(0.0326, abs=1e-4)


@pytest.mark.parametrize("test", ["exact", "midp"])
@pytest.mark.parametrize(("n", "one", "two"), [(14, 0.4, 0.1), (25, 0.3, 0.3), (30, 0.05, 0.5), (9, 0.9, 0.1)])
def test_power_is_the_sum_over_every_table(n: int, one: float, two: float, test: str) -> None:
    slow = sum(comb(n, b) * comb(n - b, c) * one**b * two**c * max(1 - one - two, 0.0) ** (n - b - c)
               for b, c in product(range(n + 1), repeat=2)
               if b + c <= n and mcnemar(Paired(0, b, c, n - b - c), test) <= 0.05)  # type: ignore[arg-type]
    assert power(n, one, two, test=test) == pytest.approx(slow, abs=1e-10)  # type: ignore[arg-type]


def test_the_critical_count_is_the_last_that_is_significant() -> None:
    numbers = np.arange(400)
    for test in ("exact", "midp"):
        for m, k in zip(numbers, critical(numbers, test=test), strict=True):  # type: ignore[arg-type]
            if k >= 0:
                assert mcnemar(Paired(0, int(k), int(m - k), 0), test) <= 0.05  # type: ignore[arg-type]
            if 2 * (k + 1) < m:
                assert mcnemar(Paired(0, int(k) + 1, int(m - k) - 1, 0), test) > 0.05  # type: ignore[arg-type]


def test_the_exact_test_keeps_its_level_and_simulation_agrees() -> None:
    assert max(power(n, p, p) for n in (20, 80, 200) for p in (0.05, 0.2, 0.45)) <= 0.05
    rng = np.random.default_rng(4)
    shares = pair_shares(0.45, 0.30, 0.4)
    hits = np.mean([mcnemar(Paired(*map(int, c))) <= 0.05 for c in rng.multinomial(120, shares, 2000)])
    assert hits == pytest.approx(power(120, shares[1], shares[2]), abs=4 * np.sqrt(0.25 / 2000))


def test_sample_size_holds_from_there_on() -> None:
    n = sample_size(0.25, 0.10, 0.8)
    assert all(power(k, 0.25, 0.10) >= 0.8 for k in range(n, n + 60)) and power(n - 1, 0.25, 0.10) < 0.8
    assert sample_size(0.25, 0.10, 0.8, test="midp") <= n
    gain = detectable(300, 0.3, 0.4)
    shares = pair_shares(0.3 + gain, 0.3, 0.4)
    assert power(300, shares[1], shares[2]) == pytest.approx(0.8, abs=0.01)
    assert np.isnan(detectable(4, 0.3, 0.4))


def test_impossible_shares_are_refused() -> None:
    with pytest.raises(ParameterError, match="between -0.80 and 0.53"):
        pair_shares(0.6, 0.3, 0.7)
    for bad in ((1.0, 0.3, 0.1), (0.3, 0.0, 0.1)):
        with pytest.raises(ParameterError):
            pair_shares(*bad)
    with pytest.raises(ParameterError):
        power(10, 0.7, 0.7)
    with pytest.raises(ParameterError):
        sample_size(0.2, 0.2)
    with pytest.raises(ParameterError):
        sample_size(0.2, 0.1999)
    assert power(0, 0.2, 0.1) == power(10, 0, 0) == 0


# --- survival ------------------------------------------------------------------------------------------------------------

# Freireich 1963 (doi:10.1182/blood.V21.6.699.699), as in every textbook.
DRUG = "6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+".split()
WEEKS = np.array([float(w.rstrip("+")) for w in DRUG] + [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23])
RELAPSE = np.array(["+" not in w for w in DRUG] + [True] * 21)
ARM = np.array(["6-MP"] * 21 + ["placebo"] * 21)


def test_freireich_1963() -> None:
    curve = kaplan_meier(WEEKS, RELAPSE, ARM)
    drug = curve[(curve["group"] == "6-MP") & (curve["events"] > 0)]
    # Collett, Modelling survival data in medical research; Kleinbaum and Klein, Survival analysis.
    assert drug["survival"].round(4).tolist() == [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482]
    assert drug["error"].round(4).tolist() == [0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346]
    half = medians(curve)
    assert half["median"].tolist() == [23, 8] and half["low"].tolist() == [13, 4] and half["high"].tolist() == [np.inf, 11]
    assert round(logrank(WEEKS, RELAPSE, ARM).statistic, 2) == 16.79


@pytest.mark.parametrize("seed", range(3))
def test_curves_and_log_rank_agree_with_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    days, event, arm = rng.integers(1, 60, 200).astype(float), rng.random(200) < 0.6, rng.integers(0, 3, 200)
    curve = kaplan_meier(days, event)
    peer = SurvfuncRight(days, event.astype(int))
    ours = curve[curve["events"] > 0]
    np.testing.assert_allclose(ours["survival"], peer.surv_prob, rtol=1e-9)
    np.testing.assert_allclose(ours["error"][:-1], peer.surv_prob_se[:-1], rtol=1e-9)
    statistic, p = survdiff(days, event.astype(int), arm)
    found = logrank(days, event, arm)
    assert found.statistic == pytest.approx(statistic, rel=1e-6) and found.p == pytest.approx(p, rel=1e-6) and found.freedom == 2


def test_curves_at_the_edges() -> None:
    nobody = kaplan_meier([5.0, 9.0], np.array([False, False]))
    assert nobody["survival"].eq(1).all() and medians(nobody)["median"].tolist() == [np.inf]
    assert nobody[["low", "high"]].notna().all(axis=None)
    everybody = kaplan_meier([3.0, 3.0], np.array([True, True]))
    assert everybody["survival"].iloc[-1] == 0
    assert logrank([1.0, 2.0], np.array([False, False]), ["a", "b"]).p == 1
    for days, event in (([np.nan], [True]), ([-1.0], [True]), ([], []), ([1.0], [1]), ([1.0, 2.0], [True])):
        with pytest.raises(ParameterError):
            kaplan_meier(days, np.array(event))
    with pytest.raises(ParameterError):
        logrank([1.0, 2.0], np.array([True, True]), ["a", "a"])


def test_days_saved_respects_the_pairs() -> None:
    rng = np.random.default_rng(5)
    frailty = rng.exponential(200, 300)
    slow, event = np.minimum(frailty + 20, 600), frailty + 20 < 600
    quick = np.minimum(frailty, 600)
    found = days_saved((quick, frailty < 600), (slow, event), 500, draws=200)
    assert 10 < found.low < found.value < found.high < 20.1
    shuffled = rng.permutation(300)
    loose = days_saved((quick, frailty < 600), (slow[shuffled], event[shuffled]), 500, draws=200)
    assert loose.high - loose.low > 3 * (found.high - found.low)
    assert days_saved((quick, frailty < 600), (quick, frailty < 600), 500, draws=20).value == 0
    with pytest.raises(ParameterError):
        days_saved((quick, frailty < 600), (slow[:5], event[:5]), 500)


# --- the table of a trial ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trial() -> pd.DataFrame:
    return synthetic_trial(seed=2025)


def test_a_table_comes_back_as_it_was_written(trial: pd.DataFrame, tmp_path: Path) -> None:
    pd.testing.assert_frame_equal(read_trial(write_trial(trial, tmp_path / "t.csv")), trial)
    text = (tmp_path / "t.csv").read_text()
    (tmp_path / "french.csv").write_bytes(b"\xef\xbb\xbf" + text.replace(",", ";").replace("\n", "\r\n").encode())
    pd.testing.assert_frame_equal(read_trial(tmp_path / "french.csv"), trial)
    columns = text.splitlines()[0].split(",")
    turned = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)[columns[::-1]]
    turned.to_csv(tmp_path / "turned.csv", index=False, sep="\t")
    pd.testing.assert_frame_equal(read_trial(tmp_path / "turned.csv"), trial)


GOOD = dict(zip(COLUMNS, ("DD-1", "male", "4", "mild", "no", "2026-01-05", "", "none", "2026-03-01", "", "causal", "2026-05-01",
                          "other gene", "no", "", ""), strict=True))


@pytest.mark.parametrize(("change", "field", "says"), [
    ({"sex": "M"}, "sex", "female"), ({"age": "-2"}, "age", "greater"), ({"age": "nan"}, "age", "finite"), ({"age": "old"}, "age", "number"),
    ({"included": "05/01/2026"}, "included", "date"), ({"included": ""}, "included", "date"), ({"included": "1826-01-05"}, "included", "2000"),
    ({"trio": "positive"}, "trio", "causal"), ({"trio_date": "2025-05-01"}, "trio_date", "before the inclusion"),
    ({"trio_date": ""}, "trio_date", "has a day"), ({"trio": "pending", "trio_finding": ""}, "trio_date", "no result has none"),
    ({"trio_finding": ""}, "trio_finding", "says what"), ({"reference_part": "panel"}, "reference_part", "no other result"),
    ({"solo": "none", "solo_date": "2026-05-01"}, "solo", "drawn"), ({"solo_drawn": "yes"}, "solo", "drawn"),
    ({"left": "2025-12-31"}, "left", "before"), ({"case": "<b>x"}, "case", "pattern"), ({"case": ""}, "case", "pattern"),
    ({"earlier": ""}, "earlier", "yes"), ({"severity": "profound"}, "severity", "severe")])
def test_a_wrong_cell_is_named_by_line_and_column(change: dict[str, str], field: str, says: str, tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"case": "DD-2"} | change]
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=says) as caught:
        read_trial(tmp_path / "t.csv")
    assert caught.value.line == 3 and caught.value.field == field
    assert "DD-2" not in str(caught.value) and "1826" not in str(caught.value)


def test_a_wrong_table_is_refused(tmp_path: Path) -> None:
    path, head = tmp_path / "t.csv", ",".join(COLUMNS)
    line = ",".join(GOOD.values())
    for text, says in ((f"{head},name\n{line},X\n", "not of the trial"), (f"{head},case\n{line},X\n", "there twice"),
                       (f"{head.replace('severity,', '')}\n", "no column severity"), (f"{head}\n", "without cases"), ("", "no column"),
                       (f"{head}\n{line}\n{line}\n", "two rows"), (f"{head}\n{line},extra\n", "number of cells"),
                       (f"{head}\nDD-1,male\n", "number of cells"), (f"{head}\n\"{'x' * 200_000}\"\n", "field"),
                       (f'{head}\n"DD-1,male\n', "not a table|number of cells")):
        path.write_text(text)
        with pytest.raises(InputError, match=says):
            read_trial(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_trial(path)
    with pytest.raises(NotFoundError):
        read_trial(tmp_path / "none.csv")


def test_what_is_not_there_is_neither_yes_nor_no(trial: pd.DataFrame) -> None:
    some = complete(trial)
    absent = trial[~(trial["trio"].isin(["causal", "none", "uninterpretable"])) | ~trial["reference"].isin(["causal", "none", "uninterpretable"])]
    assert len(absent) > 10 and not set(absent.index) & set(some.index) and len(some) + len(absent) == len(trial)
    strict = complete(trial, interpretable=True)
    assert len(strict) < len(some) and not trial.loc[strict.index, ["trio", "reference"]].eq("uninterpretable").any(axis=None)
    low, high = bounds(trial)
    assert low < pairs(trial).difference < high
    assert pairs(trial, "trio", "solo").n == flow(trial).solo_complete


def test_the_flow_adds_up(trial: pd.DataFrame) -> None:
    found = flow(trial)
    for name, total in (("trio", found.included), ("reference", found.included), ("solo", found.drawn)):
        assert sum(found.answers[name].values()) == total
    assert found.included == 1275 and found.drawn == 196 and found.complete == pairs(trial).n
    reasons = discordance(trial)
    by = reasons.groupby("found_by")["cases"].sum()
    assert by["trio"] == pairs(trial).first and by["reference"] == pairs(trial).second


def test_a_negative_result_is_followed_and_an_open_case_is_censored(trial: pd.DataFrame) -> None:
    waits, end = waiting(trial, "trio"), cut_off(trial)
    negative = trial[(trial["trio"] == "none") & trial["left"].isna()]
    assert (waits.loc[negative.index, "days"] == (end - negative["included"]).dt.days).all()
    assert waits["event"].sum() == (trial["trio"] == "causal").sum()
    curve = kaplan_meier(waits["days"], waits["event"].to_numpy())
    assert 1 - curve["survival"].iloc[-1] == pytest.approx(0.60, abs=0.05)  # the yield, not 100 %
    results = waiting(trial, "trio", "result")
    done = trial["trio"].isin(["causal", "none", "uninterpretable"])
    naive = (trial.loc[done, "trio_date"] - trial.loc[done, "included"]).dt.days.median()
    assert medians(kaplan_meier(results["days"], results["event"].to_numpy()))["median"].iloc[0] >= naive
    with pytest.raises(ParameterError, match="cut-off"):
        waiting(trial, "trio", end=end - pd.Timedelta(days=200))


# --- the synthetic trial and its truth -----------------------------------------------------------------------------------


def test_trials_scatter_around_their_truth() -> None:
    told = truth(Design()).iloc[-1]
    assert (told["reference"], told["trio"]) == (pytest.approx(0.30), pytest.approx(0.60))
    calm = Design(cases=400, solo=100, uninterpretable=0, not_done=0, leaving=0)
    found = [pairs(synthetic_trial(calm, seed)) for seed in range(12)]
    n = sum(t.n for t in found)
    for name, key in (("both", "both"), ("first", "trio_only"), ("second", "reference_only"), ("neither", "neither")):
        share = sum(getattr(t, name) for t in found) / n
        assert share == pytest.approx(told[key], abs=4 * np.sqrt(told[key] * (1 - told[key]) / n)), name


def test_every_input_of_the_design_moves_what_it_says() -> None:
    still = Design(cases=600, solo=300, uninterpretable=0, not_done=0, leaving=0)
    plain = synthetic_trial(still, 3)
    assert plain["left"].isna().all() and not plain[["trio", "reference"]].isin(["uninterpretable", "not done"]).any(axis=None)
    gone = synthetic_trial(Design(cases=600, leaving=0.3, uninterpretable=0.2), 3)
    assert gone["left"].notna().mean() == pytest.approx(0.3, abs=0.06) and (gone["trio"] == "uninterpretable").mean() > 0.1
    blind = synthetic_trial(Design(cases=600, solo=600, solo_keeps=0.0, solo_adds=0.0), 3)
    assert not (blind["solo"] == "causal").any()
    assert not set(synthetic_trial(Design(cases=600, findings=(0, 1.0, 0, 0, 0, 0)), 3).query("trio == 'causal' and reference == 'none'")["trio_finding"]) - {"other gene"}
    with pytest.raises(ParameterError, match="correlation"):
        synthetic_trial(Design(correlation=0.9))
    for bad in ({"cases": 10}, {"severity": (0.2, 0.2, 0.6)}, {"earlier": 0.3}):
        with pytest.raises(ParameterError):
            Design(**bad)  # type: ignore[arg-type]


def test_the_lot_is_independent_of_the_answers() -> None:
    trials = [synthetic_trial(Design(cases=300, solo=150), seed) for seed in range(8)]
    rate = [(t.loc[t["solo_drawn"] == s, "trio"] == "causal").mean() for s in ("yes", "no") for t in trials]
    assert np.mean(rate[:8]) == pytest.approx(np.mean(rate[8:]), abs=0.06)


# --- subgroups -----------------------------------------------------------------------------------------------------------


def test_levels_add_up_to_everybody(trial: pd.DataFrame) -> None:
    table = subgroup_table(trial)
    for by in ORDER:
        some = table[table["subgroup"] == by]
        assert some["pairs"].sum() == table["pairs"].iloc[0]
        assert np.average(some["difference"], weights=some["pairs"]) == pytest.approx(table["difference"].iloc[0])
    assert set(interactions(trial)) == set(ORDER)
    with pytest.raises(ParameterError, match="Named beforehand"):
        subgroup_labels(trial, "eye colour")


def test_ages_fall_on_the_right_side_of_their_limits(trial: pd.DataFrame) -> None:
    some = trial.iloc[:6].assign(age=[2.99, 3.0, 5.9, 6.0, 18.0, 0.0])
    assert subgroup_labels(some, "age").tolist() == ["0-2", "3-5", "3-5", "6-11", "18+", "0-2"]


def test_heterogeneity_keeps_its_level_and_sees_a_difference() -> None:
    rng, shares = np.random.default_rng(8), pair_shares(0.6, 0.3, 0.4)
    p = [heterogeneity([Paired(*map(int, c)) for c in rng.multinomial(150, shares, 3)]).p for _ in range(600)]
    assert 0.03 <= np.mean(np.array(p) <= 0.05) <= 0.075
    other = pair_shares(0.4, 0.3, 0.4)
    assert heterogeneity([Paired(*map(int, rng.multinomial(300, s))) for s in (shares, other)]).p < 0.01
    assert heterogeneity([Paired(0, 0, 0, 0), Paired(1, 2, 3, 4)]).p == 1


# --- figures -------------------------------------------------------------------------------------------------------------


def test_figures_speak_both_languages(trial: pd.DataFrame) -> None:
    assert plot_yields([("x", BENTUR)], ("a", "b"), lang="fr").axes[1].get_xlabel() == "Différence (points)"
    assert plot_pairs(BENTUR, ("a", "b"), lang="fr").legends[0].get_texts()[3].get_text() == "aucun des deux (12)"
    assert plot_power(0.3, (0.4, 0.6), 0.4, marks=(100,), lang="fr").axes[0].get_ylabel() == "Puissance (%)"
    assert plot_forest(subgroup_table(trial), lang="fr").axes[0].get_yticklabels()[0].get_text() == "Tous les cas"
    curve = kaplan_meier(WEEKS, RELAPSE, ARM)
    figure = plot_curves(curve, at_risk(WEEKS, ARM, (0, 20)), lang="fr")
    assert figure.axes[0].get_xlabel() == "Jours depuis l’inclusion" and [t.get_text() for t in figure.axes[1].texts] == ["21", "8", "21", "2"]
