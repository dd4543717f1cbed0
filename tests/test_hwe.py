"""Hardy-Weinberg: the fast walk against exact fractions and plink2, and who is asked on which chromosome."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.reference import Region
from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.population.genotype_counts import GENOTYPES, count_genotypes
from genomics_nb.population.hwe import hardy_weinberg, hwe_exact, hwe_reference, plot_hwe

SLICE = "population/1kg_phase3_chr22_16.0-16.5Mb.vcf.gz"


def counts(rows: list, region: Region = Region.AUTOSOME, strata: list | None = None, sex: list | None = None) -> xr.Dataset:
    made = {"variant_genotype_count": (("variants", "genotypes"), np.array(rows).reshape(-1, 4)),
            "variant_region": ("variants", np.full(len(rows), int(region), np.uint8))}
    if strata is not None:
        made |= {"variant_stratum_genotype_count": (("variants", "strata", "genotypes"), np.array(strata)), "stratum_sex": ("strata", sex)}
    return xr.Dataset(made, coords={"genotypes": list(GENOTYPES)})


@settings(deadline=None, max_examples=200)
@given(het=st.integers(0, 120), one=st.integers(0, 120), two=st.integers(0, 120), midp=st.booleans())
def test_the_walk_equals_the_fraction(het: int, one: int, two: int, midp: bool) -> None:
    assert hwe_exact(het, one, two, midp) == pytest.approx(float(hwe_reference(het, one, two, midp)), rel=1e-11)
    assert hwe_exact(het, one, two, midp) == hwe_exact(het, two, one, midp)


def test_answers_that_share_a_slot_of_the_table_do_not_mix() -> None:
    rng = np.random.default_rng(0)
    triples = rng.integers(0, 300, (40_000, 3))
    many = hwe_exact(*triples.T)
    assert np.array_equal(many, hwe_exact(*triples.T, workers=3))
    some = rng.integers(0, len(triples), 300)
    assert np.array_equal(many[some], [hwe_exact(*triples[i]) for i in some])


def test_a_p_value_too_small_for_floating_point_is_zero() -> None:
    assert hwe_exact(0, 100_000, 100_000) == 0 and hwe_exact(200_000, 0, 0) == 0
    assert 0 < hwe_exact(0, 500, 500) < 1e-290


def test_shapes_are_kept_and_negative_counts_refused() -> None:
    assert hwe_exact(np.zeros((0, 3), int), 1, 1).shape == (0, 3) and hwe_exact([[1, 2]], [[3], [4]], 1).shape == (2, 2)
    with pytest.raises(ParameterError, match="negative"):
        hwe_exact(-1, 2, 3)


def test_nobody_called_is_unknown() -> None:
    assert np.isnan(hardy_weinberg(counts([[0, 0, 0, 9]]))["variant_hwe_p"]).all()


@pytest.mark.parametrize("region", [Region.Y_NONPAR, Region.MT])
def test_one_copy_is_no_question(region: Region) -> None:
    assert np.isnan(hardy_weinberg(counts([[10, 10, 10, 0]], region))["variant_hwe_p"]).all()


@pytest.mark.parametrize(("region", "asked"), [(Region.X_NONPAR, (30, 15, 15)), (Region.X_PAR, (30, 35, 35)), (Region.AUTOSOME, (30, 35, 35))])
def test_on_x_outside_par_women_are_asked(region: Region, asked: tuple[int, int, int]) -> None:
    strata, sex = [[[10, 20, 10, 0], [5, 10, 5, 0], [20, 0, 20, 0]]], ["female", "female", "male"]
    tested = hardy_weinberg(counts([[35, 30, 35, 0]], region, strata, sex))
    assert float(tested["variant_hwe_p"][0]) == hwe_exact(*asked)
    assert float(tested["variant_het_observed"][0]) == asked[0] / sum(asked)


def test_x_of_people_of_unknown_sex_is_unknown() -> None:
    assert np.isnan(hardy_weinberg(counts([[35, 30, 35, 0]], Region.X_NONPAR))["variant_hwe_p"]).all()
    assert np.isnan(hardy_weinberg(counts([[35, 30, 35, 0]], Region.X_NONPAR, [[[35, 30, 35, 0]]], ["unknown"]))["variant_hwe_p"]).all()


def test_without_counts_it_says_what_to_do() -> None:
    with pytest.raises(InputError, match="count_genotypes"):
        hardy_weinberg(xr.Dataset())


def test_the_plot_speaks_both_languages() -> None:
    figure = plot_hwe(hardy_weinberg(counts([[10, 10, 10, 0], [0, 90, 0, 0]])), limit=0.01, lang="fr")
    assert figure.axes[0].get_legend().get_texts()[0].get_text() == "p < 0,01 (1)"


@pytest.mark.parametrize("midp", [False, True])
def test_the_1000_genomes_slice_is_tested_as_plink2_does(midp: bool, shared_data: Path, tmp_path: Path, peer: Callable[[str], str],
                                                         stored: Callable[..., xr.Dataset]) -> None:
    """plink2 prints six digits."""
    subprocess.run([peer("bcftools"), "norm", "-m-any", "-Ob", "-o", tmp_path / "split.bcf", shared_data / SLICE], check=True, capture_output=True)
    subprocess.run([peer("plink2"), "--bcf", tmp_path / "split.bcf", "--hardy", *["midp"] * midp, "--threads", "1", "--out", tmp_path / "p"],
                   check=True, capture_output=True)
    theirs = pd.read_table(tmp_path / "p.hardy").iloc[:, -1].to_numpy()
    tested = hardy_weinberg(count_genotypes(stored(shared_data / SLICE, "GRCh37")), midp=midp).compute()
    assert len(theirs) == tested.sizes["variants"] > 6000 and (theirs < 1e-6).any()
    np.testing.assert_allclose(tested["variant_hwe_p"].values, theirs, rtol=6e-6, atol=1e-307)
