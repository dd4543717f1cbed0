"""Cox models, stratified log-rank, restricted means and exact shares against R's published numbers, lifelines and slow references."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, binomtest

from genomics_nb.core.types import ParameterError
from genomics_nb.programme.cox import cox, plot_forest, stratified_logrank, subgroup_ratios
from genomics_nb.programme.feasibility import critical, exact_share, patients_needed, plot_share, power
from genomics_nb.programme.rmst import compare_rmst, restricted_mean
from genomics_nb.programme.survival import logrank


@pytest.fixture(scope="module")
def lung(shared_data: Path) -> pd.DataFrame:
    table = pd.read_csv(shared_data / "tumour" / "survival_lung.csv")
    return table.assign(event=table["status"] == table["status"].max())


def test_lung_by_sex_as_r_has_it(lung: pd.DataFrame) -> None:
    model = cox(lung, ["sex"], time="time")
    row = model.table.loc["sex"]
    assert row["coef"] == pytest.approx(-0.53102, abs=1e-5) and row["hr"] == pytest.approx(0.588, abs=5e-4)
    assert row["p"] == pytest.approx(0.00149, abs=1e-5) and model.log_likelihood == pytest.approx(-744.593, abs=1e-3)
    assert stratified_logrank(lung, "sex", time="time").statistic == pytest.approx(10.33, abs=0.01)


def test_rossi_as_fox_has_it(shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "tumour" / "survival_rossi.csv")
    names = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]
    model = cox(table, names, time="week", event="arrest")
    published = [-0.379422, -0.057438, 0.313900, -0.149796, -0.433704, -0.084871, 0.091497]
    assert model.table.loc[names, "coef"].to_numpy() == pytest.approx(published, abs=1e-6)
    assert model.log_likelihood == pytest.approx(-658.7477, abs=1e-4) and model.concordance == pytest.approx(0.6403, abs=1e-4)
    assert (model.patients, model.events) == (432, 114) and model.lr_p < 1e-4
    assert model.table.loc["age", "ph_p"] < 0.05  # age is known to break proportional hazards here


def test_leukaemia_by_dnmt3a(shared_data: Path) -> None:
    from genomics_nb.tumour.maf import load_maf

    maf = load_maf(shared_data / "tumour" / "tcga_laml.maf.gz")
    hit = set(maf.loc[(maf["Hugo_Symbol"] == "DNMT3A") & (maf["Variant_Classification"] != "Silent"), "Tumor_Sample_Barcode"])
    clinic = pd.read_csv(shared_data / "tumour" / "tcga_laml_annot.tsv", sep="\t", na_values=["-Inf", "NA"])
    clinic = clinic.assign(days=pd.to_numeric(clinic["days_to_last_followup"], errors="coerce"), mutated=clinic["Tumor_Sample_Barcode"].isin(hit))
    known = clinic.dropna(subset=["days", "Overall_Survival_Status"])
    known = known.assign(event=known["Overall_Survival_Status"] == 1)
    assert known["mutated"].sum() == 45 and len(known) == 188
    assert stratified_logrank(known, "mutated", time="days").p == pytest.approx(0.00112, abs=2e-5)
    assert cox(known.astype({"mutated": int}), ["mutated"], time="days").table.loc["mutated", "hr"] == pytest.approx(1.915, abs=2e-3)


def slow_logrank(data: pd.DataFrame, group: str, strata: str) -> float:
    """Observed less expected and its variance, event by event, stratum by stratum, with plain loops."""
    first, gap, variance = data[group].iloc[0], 0.0, 0.0
    for _, part in data.groupby(strata):
        rows = list(part[["months", "event", group]].itertuples(index=False))
        for moment in sorted({r.months for r in rows if r.event}):
            at_risk = [r for r in rows if r.months >= moment]
            dead = [r for r in at_risk if r.months == moment and r.event]
            n, n1, d = len(at_risk), sum(getattr(r, group) == first for r in at_risk), len(dead)
            gap += sum(getattr(r, group) == first for r in dead) - d * n1 / n
            if n > 1:
                variance += d * n1 * (n - n1) * (n - d) / (n * n * (n - 1))
    return gap**2 / variance


@pytest.fixture(scope="module")
def drawn() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 240
    arm, site = rng.integers(0, 2, n), rng.choice(["a", "b", "c"], n)
    months = np.ceil(rng.exponential(8 * np.where(arm, 1.5, 1.0)) * 4) / 4  # with ties
    return pd.DataFrame({"arm": arm, "site": site, "months": np.minimum(months, 20), "event": months < 20})


def test_the_stratified_test_is_the_slow_one_and_without_strata_the_plain_one(drawn: pd.DataFrame) -> None:
    assert stratified_logrank(drawn, "arm", ["site"]).statistic == pytest.approx(slow_logrank(drawn, "arm", "site"), rel=1e-10)
    assert stratified_logrank(drawn, "arm").statistic == pytest.approx(
        logrank(drawn["months"], drawn["event"].to_numpy(bool), drawn["arm"]).statistic, rel=1e-8)


@pytest.mark.parametrize(("change", "said"), [
    ({"event": False}, "no event"), ({"arm": 1}, "same in everybody"), ({"arm": np.nan}, "missing"), ({"months": -1.0}, "below 0")])
def test_what_cannot_be_fitted_says_why(drawn: pd.DataFrame, change: dict[str, object], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        cox(drawn.assign(**change), ["arm"])


def test_a_covariate_that_decides_everything_does_not_pass_for_a_result() -> None:
    data = pd.DataFrame({"arm": [0] * 30 + [1] * 30, "months": list(range(1, 31)) + [40] * 30, "event": [True] * 30 + [False] * 30})
    with pytest.raises(ParameterError, match="converge"):
        cox(data, ["arm"])
    with pytest.raises(ParameterError, match="no column"):
        cox(data, ["other"])


def test_a_forest_has_the_whole_first_and_says_what_it_cannot(drawn: pd.DataFrame) -> None:
    table = subgroup_ratios(drawn, "arm", [("a", "site", "a"), ("nobody", "site", "z")])
    assert table["hr"].iloc[0] == pytest.approx(cox(drawn, ["arm"]).table["hr"].iloc[0]) and np.isnan(table["hr"].iloc[2])
    assert plot_forest(table, "all", ("x", "y")).axes


def slow_area(time: np.ndarray, event: np.ndarray, horizon: float) -> float:
    """The area under the curve, step by step."""
    steps, survival = [(0.0, 1.0)], 1.0
    for moment in sorted(set(time[event & (time <= horizon)])):
        survival *= 1 - (event & (time == moment)).sum() / (time >= moment).sum()
        steps.append((moment, survival))
    steps.append((horizon, survival))
    return sum(s * (b - a) for (a, s), (b, _) in pairwise(steps))


def test_restricted_means_by_area_and_by_bootstrap(drawn: pd.DataFrame) -> None:
    t, d, arm = drawn["months"].to_numpy(), drawn["event"].to_numpy(bool), drawn["arm"].to_numpy() == 1
    found = compare_rmst(t, d, arm, 12)
    assert (found.first, found.second) == pytest.approx((slow_area(t[~arm], d[~arm], 12), slow_area(t[arm], d[arm], 12)))
    rng, values = np.random.default_rng(0), []
    for _ in range(400):
        pick = rng.integers(0, arm.sum(), arm.sum())
        values.append(slow_area(t[arm][pick], d[arm][pick], 12))
    assert np.sqrt(restricted_mean(t[arm], d[arm], 12)[1]) == pytest.approx(np.std(values), rel=0.15)
    for bad in ({"horizon": 99.0}, {"second": np.ones(len(t), bool)}):
        with pytest.raises(ParameterError):
            compare_rmst(**{"time": t, "event": d, "second": arm, "horizon": 12} | bad)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (7, 10), (300, 400)])
def test_exact_shares_are_scipys(k: int, n: int) -> None:
    found, peer = exact_share(k, n), binomtest(k, n, 0.7, "greater")
    ci = binomtest(k, n).proportion_ci(method="exact")
    assert found.p == pytest.approx(peer.pvalue) and (found.low, found.high) == pytest.approx((ci.low, ci.high), abs=1e-9)


def test_power_by_enumeration() -> None:
    for n in (20, 57, 160):
        chance = sum(binom.pmf(k, n, 0.8) for k in range(n + 1) if binomtest(k, n, 0.7, "greater").pvalue <= 0.05)
        assert power(n) == pytest.approx(chance) and binomtest(critical(n), n, 0.7, "greater").pvalue <= 0.05
    size = patients_needed(0.8, most=300)
    assert all(power(n) >= 0.8 for n in range(size, 301)) and power(size - 1) < 0.8
    for bad in ((5, 3), (-1, 3), (0, 0)):
        with pytest.raises(ParameterError):
            exact_share(*bad)
    assert plot_share(exact_share(78, 100), 0.8, "fr").axes[0].get_xlabel().startswith("Faisable")
