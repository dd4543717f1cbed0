"""Filtering allele frequency: the closed form against brute force, and which group may decide."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.population.filtering_frequency import (
    BOTTLENECKED, MIN_AN, faf_reference, filtering_allele_frequency, filtering_frequencies, outbred_groups, plot_filtering)


def counts(ac: list, an: list, names: list[str]) -> xr.Dataset:
    ds = xr.Dataset({"variant_AC": (("variants", "populations"), np.array(ac).reshape(-1, len(names))),
                     "variant_AN": (("variants", "populations"), np.array(an).reshape(-1, len(names)))}, coords={"populations": names})
    ds["variant_homozygotes"] = ds["variant_AC"] // 2
    return ds.assign(variant_AF=ds["variant_AC"] / ds["variant_AN"].where(ds["variant_AN"] > 0))


@settings(deadline=None, max_examples=200)
@given(an=st.integers(0, 200_000), share=st.floats(0, 1), ci=st.sampled_from([0.9, 0.95, 0.99]))
def test_the_closed_form_is_the_search(an: int, share: float, ci: float) -> None:
    ac = min(round(an * share**3), 600)  # the search in floating point starts at exp(-mean)
    assert filtering_allele_frequency(ac, an, ci) == pytest.approx(faf_reference(ac, an, ci), abs=1e-6)


@settings(deadline=None, max_examples=100)
@given(ac=st.integers(2, 100_000), ci=st.sampled_from([0.95, 0.99]))
def test_the_observed_copies_would_be_just_surprising(ac: int, ci: float) -> None:
    """Brute force by another library: P(X >= AC) is 1 - ci at the answer."""
    mean = float(filtering_allele_frequency(ac, 200_000, ci)) * 200_000
    assert poisson.sf(ac - 1, mean) == pytest.approx(1 - ci, rel=1e-6)


def test_one_copy_or_nothing_read_is_zero() -> None:
    assert filtering_allele_frequency([0, 1, 1, 0], [100, 100, 1, 0]).tolist() == [0, 0, 0, 0]
    assert filtering_allele_frequency(np.zeros((0, 2), int), np.zeros((0, 2), int)).shape == (0, 2)


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(ParameterError, match="confidence 95"):
        filtering_allele_frequency(2, 10, 95)
    with pytest.raises(ParameterError, match="above its allele number"):
        filtering_allele_frequency(11, 10)
    with pytest.raises(InputError, match="variant_AF"):
        filtering_frequencies(counts([1], [2], ["all"]).drop_vars("variant_AF"))


def test_bottlenecked_groups_everybody_and_one_sex_do_not_decide() -> None:
    names = ["all", "all_male", "nfe", "nfe_male", "FIN", "Ami", "asj", "MID", "remaining", "east_male"]
    assert outbred_groups(names) == ["nfe", "east_male"]  # of the last there is no group without the sex: it is a name
    assert outbred_groups(["all", "nfe", "FIN"], excluded=()) == ["nfe", "FIN"]
    assert {"asj", "fin", "ami", "remaining"} <= BOTTLENECKED and MIN_AN == 2000


def test_the_maximum_is_that_of_groups_with_enough_copies() -> None:
    found = filtering_frequencies(counts([[60, 10, 50]], [[6000, 4000, 1999]], ["all", "north", "south"]))
    assert found["variant_FAF95_max_population"].values.tolist() == ["north"]
    assert float(found["variant_FAF95_max"][0]) == float(filtering_allele_frequency(10, 4000))
    assert [int(found[f"variant_popmax_{k}"][0]) for k in ("AC", "AN", "homozygotes")] == [10, 4000, 5]
    assert filtering_frequencies(counts([[60, 10, 50]], [[6000, 4000, 1999]], ["all", "north", "south"]), min_an=1000)["variant_popmax_population"].values.tolist() == ["south"]


@pytest.mark.parametrize("names", [["all", "FIN", "asj"], ["all", "north", "south"]])
def test_where_no_group_may_decide_the_maximum_is_unknown(names: list[str]) -> None:
    found = filtering_frequencies(counts([[50, 20, 30]], [[200, 100, 100]], names))
    assert np.isnan(found["variant_FAF95_max"].values).all() and found["variant_FAF95_max_population"].values.tolist() == [""]
    assert np.isnan(found["variant_popmax_AF"].values).all() and int(found["variant_popmax_AC"][0]) == -1


def test_lazy_is_the_same() -> None:
    rng = np.random.default_rng(0)
    an = rng.integers(0, 8000, (50, 4))
    ds = counts(rng.integers(0, an + 1), an, ["all", "north", "south", "FIN"])
    lazy = filtering_frequencies(ds.chunk(variants=7))
    assert lazy["variant_FAF99_max_population"].chunks is not None
    xr.testing.assert_identical(lazy.compute(), filtering_frequencies(ds))


def test_the_plot_speaks_both_languages() -> None:
    ds = counts([[60], [0], [7]], [[6000]] * 3, ["all"])
    axes = plot_filtering(ds, filtering_frequencies(ds), limit=0.001, lang="fr").axes[0]
    assert axes.get_ylabel() == "Fréquence filtrante" and axes.get_legend().get_texts()[-1].get_text() == "seuil 0,001"
