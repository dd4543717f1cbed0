"""Weights, design effects and intervals, against formulas written another way, simulation and scipy."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from genomics_nb.core.types import ParameterError
from genomics_nb.population.national import coverage, effective_copies, interval, national_frequency, pooled, weighted_frequency


def panel(ac: np.ndarray, an: np.ndarray, names: list[str]) -> xr.Dataset:
    """A panel whose first node is the sum."""
    def whole(x: np.ndarray) -> np.ndarray:
        return np.c_[x.sum(1), x].astype(float)

    return xr.Dataset({"variant_AC": (("variants", "nodes"), whole(ac)), "variant_AN": (("variants", "nodes"), whole(an)),
                       "node_name": ("nodes", ["all", *names])})


def test_the_three_estimators_are_sums_over_people() -> None:
    rng = np.random.default_rng(1)
    region, population = np.repeat([0, 1, 2], [30, 10, 60]), np.array([500.0, 300.0, 200.0])
    copies = np.where(rng.random(100) < 0.2, 0, 2)  # nobody's half call
    carried = rng.binomial(copies, 0.3)
    people = np.bincount(region)
    weight = (population / people)[region]
    ac, an = (np.bincount(region, x, 3) for x in (carried, copies))
    assert np.isclose(weighted_frequency(ac, an, people, population, "horvitz-thompson"), (weight * carried).sum() / (2 * population.sum()))
    assert np.isclose(weighted_frequency(ac, an, people, population, "hajek"), (weight * carried).sum() / (weight * copies).sum())
    by_region = [carried[region == r].sum() / copies[region == r].sum() for r in range(3)]
    assert np.isclose(weighted_frequency(ac, an, people, population), population / 1000 @ by_region)


@settings(max_examples=100, deadline=None)
@given(p=st.floats(0.05, 0.9), n=st.integers(20, 2000), regions=st.integers(1, 6))
def test_proportional_sampling_costs_nothing(p: float, n: int, regions: int) -> None:
    an = np.full(regions, 2.0 * n)
    ac = np.round(p * an)
    effective = effective_copies(ac, an, np.full(regions, 1 / regions))
    assert effective == pytest.approx(an.sum(), rel=2 / n) and effective <= an.sum()


def test_the_effective_number_gives_the_variance_of_simulated_estimates() -> None:
    rng, share, an, p = np.random.default_rng(2), np.array([0.7, 0.3]), np.array([100, 900]), np.array([0.2, 0.3])
    ac = rng.binomial(an, p, (20_000, 2))
    estimate = ac / an @ share
    effective = effective_copies(ac, np.tile(an, (20_000, 1)), np.tile(share, (20_000, 1)))
    told = np.mean(estimate * (1 - estimate) / effective)
    assert told == pytest.approx(estimate.var(), rel=0.05) and effective.mean() < 300


@pytest.mark.parametrize(("x", "n"), [(0, 10), (1, 10), (5, 50), (50, 50), (999, 1000)])
def test_with_whole_numbers_the_intervals_are_those_of_the_textbook(x: int, n: int) -> None:
    for method, name in (("korn-graubard", "exact"), ("wilson", "wilson")):
        low, high = interval(np.array([x / n]), np.array([n]), method=method)  # type: ignore[arg-type]
        wanted = binomtest(x, n).proportion_ci(method=name)
        assert low[0] == pytest.approx(wanted.low, abs=1e-9) and high[0] == pytest.approx(wanted.high, abs=1e-9)


def test_the_interval_covers_what_it_says_and_the_raw_one_does_not() -> None:
    people, population, pattern = np.array([400, 60, 200, 20]), np.array([3.0, 4.0, 2.0, 1.0]), np.array([0.5, 1.5, 1.0, 3.0])
    found = coverage(np.array([0.002, 0.02, 0.15])[:, None] * pattern, people, population, rounds=3000)
    assert found[:, 0].min() >= 0.93 and found[2, 1] < 0.2


def test_suppressed_regions_enter_together_and_never_as_zero() -> None:
    ac, an = np.array([[10, 20, 30]]), np.array([[200, 200, 200]])
    whole, hidden = panel(ac, an, ["A", "B", "C"]), panel(ac, an, ["A", "B", "C"])
    hidden["variant_AC"][0, 1:3] = np.nan
    sizes = {"A": 1.0, "B": 1.0, "C": 2.0}
    exact, less = (national_frequency(p, sizes, source="a test") for p in (whole, hidden))
    assert float(exact.variant_national_AF[0]) == pytest.approx(0.25 * 0.05 + 0.25 * 0.1 + 0.5 * 0.15)
    assert float(less.variant_national_AF[0]) == pytest.approx(0.5 * 30 / 400 + 0.5 * 0.15)
    assert float(less.variant_national_pooled_share[0]) == 0.5
    hidden["variant_AC"][0] = np.nan
    gone = national_frequency(hidden, sizes, source="a test")
    assert all(np.isnan(gone[f"variant_national_{n}"][0]) for n in ("AF", "low", "high", "effective_AN", "raw_AF"))


def test_a_region_without_a_call_gives_no_estimate() -> None:
    found = national_frequency(panel(np.array([[0, 5]]), np.array([[0, 50]]), ["A", "B"]), {"A": 1.0, "B": 1.0}, source="a test")
    assert np.isnan(found.variant_national_AF[0]) and np.isnan(found.variant_national_high[0])


def test_an_unseen_allele_has_an_upper_bound_above_the_raw_one() -> None:
    found = national_frequency(panel(np.array([[0, 0]]), np.array([[20, 2000]]), ["A", "B"]), {"A": 9.0, "B": 1.0}, source="a test")
    assert found.variant_national_low[0] == 0 and float(found.variant_national_high[0]) > interval(np.array([0.0]), np.array([2020]))[1][0]


def test_wrong_population_sizes_are_refused() -> None:
    ds = panel(np.array([[1, 5]]), np.array([[20, 50]]), ["A", "B"])
    for sizes, source in (({"A": 1.0, "Mars": 2.0}, "x"), ({"A": 1.0, "B": 0.0}, "x"), ({}, "x"), ({"A": 1.0, "B": 1.0}, " ")):
        with pytest.raises(ParameterError):
            national_frequency(ds, sizes, source=source)
    assert "INSEE 2024" in national_frequency(ds, {"A": 1.0, "B": 1.0}, source="INSEE 2024").variant_national_AF.attrs["population"]


def test_the_pool_is_what_the_whole_leaves() -> None:
    a, n, s = pooled(np.array([[np.nan, 3.0]]), np.array([[40.0, 60.0]]), np.array([10.0]), np.array([100.0]), np.array([0.2, 0.8]))
    assert a.tolist() == [[0, 3, 7]] and n.tolist() == [[0, 60, 40]] and s.tolist() == [[0, 0.8, 0.2]]
