"""Sex from X and Y: every corner of the decision, and what it says when it cannot say."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from genomics_nb.core.types import ParameterError
from genomics_nb.population.qc import sample_qc
from genomics_nb.population.sex import LIMITS, check_sex, decide_sex, infer_sex, plot_sex

SHARE = st.floats(0, 1) | st.just(float("nan"))


@given(x=SHARE, y=SHARE, x_sites=st.integers(0, 1000), y_sites=st.integers(0, 1000))
def test_an_answer_is_given_only_where_the_evidence_is(x: float, y: float, x_sites: int, y_sites: int) -> None:
    answer, _ = decide_sex(x, y, x_sites, y_sites)
    if x_sites < LIMITS.sites or np.isnan(x):
        assert answer == "not assessed"
    elif answer == "XX":
        assert x >= LIMITS.two_x and (y_sites < LIMITS.sites or np.isnan(y) or y <= LIMITS.no_y)
    elif answer == "XY":
        assert x <= LIMITS.one_x and (y_sites < LIMITS.sites or np.isnan(y) or y >= LIMITS.with_y)
    elif answer == "aneuploidy suspected":
        assert (x >= LIMITS.two_x) == (y >= LIMITS.with_y)
    else:
        assert answer == "undetermined"


def person(x_calls: list, y_calls: list, *, position: int = 50_000_000, y_quality: int = 99) -> xr.Dataset:
    """One sample with these calls on X and Y, on GRCh38."""
    gt = np.array([*x_calls, *y_calls], dtype=np.int8)[:, None, :]
    quality = np.array([99] * len(x_calls) + [y_quality] * len(y_calls))[:, None]
    sites = len(gt)
    return xr.Dataset(
        {"call_genotype": (("variants", "samples", "ploidy"), gt), "call_GQ": (("variants", "samples"), quality),
         "variant_allele": (("variants", "alleles"), np.tile(["C", "T"], (sites, 1))),
         "variant_contig": ("variants", np.repeat([0, 1], [len(x_calls), len(y_calls)])),
         "variant_position": ("variants", np.where(np.arange(sites) < len(x_calls), position, 10_000_000)),
         "contig_id": ("contigs", np.array(["chrX", "chrY"])), "sample_id": ("samples", np.array(["P"]))},
        attrs={"genome_build": "GRCh38"})


def answer(ds: xr.Dataset) -> str:
    return str(infer_sex(sample_qc(ds)).sample_sex.values[0])


@pytest.mark.parametrize("call", [[1, -2], [1, 1]])
def test_a_man_is_found_whether_his_x_is_written_haploid_or_homozygous(call: list[int]) -> None:
    assert answer(person([call] * 40, [[1, -2]] * 30)) == "XY"


def test_pseudoautosomal_heterozygotes_do_not_make_a_woman_of_a_man() -> None:
    par, outside = person([[0, 1]] * 40, [], position=1_000_000), person([[1, -2]] * 40, [[1, -2]] * 30)
    assert answer(par) == "not assessed"
    assert answer(xr.concat([par, outside], "variants", data_vars="minimal")) == "XY"


def test_y_calls_of_low_quality_do_not_make_a_y() -> None:
    assert answer(person([[0, 1]] * 40, [[0, 0]] * 30, y_quality=5)) == "XX"
    assert answer(person([[0, 1]] * 40, [[0, 0]] * 30)) == "aneuploidy suspected"


def test_a_file_of_women_has_no_y_and_is_still_answered() -> None:
    sex = infer_sex(sample_qc(person([[0, 1]] * 30 + [[1, 1]] * 20, [])), lang="fr")
    assert sex.sample_sex.values.tolist() == ["XX"] and "Y non évalué" in sex.sample_sex_reason.values[0]
    assert len(plot_sex(sex, {"P": "female"}, lang="fr").axes[0].lines) == 1


def test_half_and_missing_calls_on_x_count_for_nothing() -> None:
    assert answer(person([[-1, 1]] * 50 + [[-1, -1]] * 50, [])) == "not assessed"


@pytest.mark.parametrize(("declared", "verdict"), [
    ("female", "agrees"), (2, "agrees"), ("male", "disagrees"), ("1", "disagrees"),
    ("unknown", "not assessed"), (0, "not assessed")])
def test_declared_is_held_against_inferred(declared: object, verdict: str) -> None:
    sex = infer_sex(sample_qc(person([[0, 1]] * 40, [[-1, -1]] * 30)))
    assert check_sex(sex, {"P": declared}).verdict.tolist() == [verdict]


def test_an_unknown_word_for_sex_is_refused() -> None:
    sex = infer_sex(sample_qc(person([[0, 1]] * 40, [])))
    with pytest.raises(ParameterError, match="sample P"):
        check_sex(sex, {"P": "feminine"})


def test_an_exome_slice_of_two_autosomes_is_not_assessed(shared_data: Path, stored) -> None:
    sex = infer_sex(sample_qc(stored(shared_data / "trio/ashk-trio.vcf.gz", "GRCh37")))
    assert set(sex.sample_sex.values) == {"not assessed"}
    assert set(check_sex(sex, {"HG002": "male", "HG004": "female"}).verdict) == {"not assessed"}
