"""Tumour mutational burden and microsatellite instability: exact limits, honest refusals, and TCGA's colon cancers against their clinic."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from genomics_nb.core.types import ParameterError
from genomics_nb.tumour.landscape import POLE
from genomics_nb.tumour.maf import load_maf
from genomics_nb.tumour.msi import CALLS, LEAST, LEAST_MB, msi, plot_msi
from genomics_nb.tumour.somatic import maf_variants
from genomics_nb.tumour.tmb import LEAST_MB as LEAST_SIZE
from genomics_nb.tumour.tmb import TERMS, counted, plot_burdens, poisson_interval, tmb

EXOME = 34.0


def drawn(substitutions: int, indels: int, **more: object) -> pd.DataFrame:
    table = pd.DataFrame({"kind": ["SNV"] * substitutions + ["insertion", "deletion"] * (indels // 2), "gene": "TTN",
                          "consequence": ["missense_variant"] * substitutions + ["frameshift_variant"] * (indels // 2 * 2)})
    return table.astype({"kind": object, "gene": object, "consequence": object}).assign(**more)


@pytest.fixture(scope="module")
def colon(shared_data: Path) -> pd.DataFrame:
    """Every colon cancer: burden, sign of MSI, what the clinic found, and a hot spot of POLE."""
    folder = shared_data / "tumour"
    clinic = pd.read_csv(folder / "tcga_Firehose_COAD.clinical.tsv.gz", sep="\t", dtype=str)
    found = clinic.drop_duplicates("Tumor_Sample_Barcode").set_index("Tumor_Sample_Barcode")["microsatellite_instability"]
    variants = maf_variants(load_maf(folder / "tcga_Firehose_COAD.maf.tsv.gz"))
    rows = {}
    for name, table in variants.groupby("tumour"):
        answer, burden = msi(table, "paired", EXOME), tmb(table, EXOME)
        hot = bool(((table["gene"] == "POLE") & table["hgvs_p"].str.removeprefix("p.").isin(POLE)).any())
        rows[name] = (burden.value, answer.state, answer.share, answer.per_mb, found.get(name), hot)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["burden", "state", "share", "per_mb", "clinic", "pole"])


def test_unstable_colon_cancers_stand_out(colon: pd.DataFrame) -> None:
    """Nine of the eleven that the clinic calls unstable; the other two have nine and two indels. Three of 55 stable ones."""
    sign = colon["state"] == "sign of MSI"
    assert len(colon) == 367 and sign[colon["clinic"] == "YES"].sum() == 9 and (colon["clinic"] == "YES").sum() == 11
    assert sign[colon["clinic"] == "NO"].sum() == 3 and (colon["clinic"] == "NO").sum() == 55
    assert colon.loc[sign, "burden"].median() > 20 and colon.loc[~sign & ~colon["pole"], "burden"].median() < 5


def test_polymerase_tumours_have_the_most_mutations_and_no_sign_of_msi(colon: pd.DataFrame) -> None:
    pole = colon[colon["pole"]]
    assert len(pole) >= 5 and (pole["burden"] > 20).all() and (pole["share"] < 0.01).all() and (pole["state"] == "no sign of MSI").all()
    assert pole["burden"].median() > colon.loc[colon["state"] == "sign of MSI", "burden"].median()


@given(st.integers(0, 3000), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_interval_is_where_the_tails_are(count: int, level: float) -> None:
    low, high = poisson_interval(count, level)
    tail = (1 - level) / 2
    assert low <= count <= high
    assert poisson.cdf(count, high) == pytest.approx(tail, rel=1e-6)
    if count:
        assert poisson.sf(count - 1, low) == pytest.approx(tail, rel=1e-6)
    else:
        assert low == 0


def test_three_definitions_count_what_they_say() -> None:
    table = pd.DataFrame({"consequence": [
        "missense_variant", "synonymous_variant", "splice_donor_variant&intron_variant", "frameshift_variant", "intron_variant", "",
        "stop_gained&splice_region_variant", "5_prime_UTR_variant", "missense_variant&splice_region_variant", "splice_region_variant&intron_variant"]})
    assert {name: int(counted(table, name).sum()) for name in TERMS} == {"coding": 6, "non-silent": 5, "missense": 2}
    assert len(counted(table[:0])) == 0
    assert TERMS["missense"] < TERMS["non-silent"] < TERMS["coding"]
    with pytest.raises(ParameterError, match="coding, non-silent or missense"):
        counted(table, "all")  # type: ignore[arg-type]


def test_weak_calls_are_left_out_when_asked() -> None:
    table = drawn(4, 0, tumour_depth=[100.0, 9.0, 100.0, np.nan], tumour_vaf=[0.3, 0.5, 0.01, np.nan])
    assert tmb(table, EXOME).mutations == 4
    assert tmb(table, EXOME, least_depth=10).mutations == 2 and tmb(table, EXOME, least_depth=10, least_vaf=0.05).mutations == 1


def test_no_burden_where_it_would_be_a_guess() -> None:
    table = drawn(300, 0)
    assert tmb(table, None).why == "size" and tmb(table, None).mutations == 300 and tmb(table, None).is_high() is None
    assert tmb(table, LEAST_SIZE * 0.99).why == "small" and tmb(table, LEAST_SIZE).assessable
    assert tmb(table.assign(consequence=""), EXOME).why == "annotation"
    nothing = tmb(table[:0], EXOME)
    assert nothing.value == 0 and nothing.high == pytest.approx(3.6889 / EXOME, abs=1e-4) and nothing.is_high() is False
    for size in (0.0, -1.0, 5000.0, float("nan")):
        with pytest.raises(ParameterError, match="callable size"):
            tmb(table, size)


@given(st.integers(0, 400), st.integers(0, 60), st.sampled_from(["paired", "tumour only", "unknown"]),
       st.one_of(st.none(), st.floats(0.5, 60)), st.sampled_from(["", *CALLS]))
def test_msi_never_says_stable_without_an_assay(substitutions: int, indels: int, mode: str, size: float | None, call: str) -> None:
    answer = msi(drawn(substitutions, indels), mode, size, call)
    if call:
        assert answer.state == call and answer.is_high is (call == "MSI-high")
        return
    assert answer.state in ("sign of MSI", "no sign of MSI", "not assessable")
    open_ = mode != "paired" or size is None or size < LEAST_MB or answer.mutations < LEAST
    assert (answer.state == "not assessable") is open_ is (answer.is_high is None) is bool(answer.why)


def test_repair_genes_are_remarked_and_silent_ones_are_not() -> None:
    table = drawn(100, 0)
    table.loc[0, "gene"], table.loc[1, ["gene", "consequence"]] = "MSH6", ["MLH1", "synonymous_variant"]
    assert msi(table, "paired", EXOME).repair == ("MSH6",)
    with pytest.raises(ParameterError, match="MSI-high, MSI-low, MSS"):
        msi(table, "paired", EXOME, "unstable")


def test_the_plots_draw_every_tumour_above_zero(colon: pd.DataFrame) -> None:
    import matplotlib.pyplot as plt

    groups = pd.Series(np.where(colon["pole"], "POLE", "other"), colon.index)
    figure = plot_burdens(colon["burden"], groups, mark=12.0)
    (ax,) = figure.axes
    dots = sum(len(line.get_xdata()) for line in ax.lines if line.get_linestyle() == "None")
    assert dots == (colon["burden"] > 0).sum() and [t.get_text() for t in ax.get_xticklabels()] == ["other", "POLE"]
    other = plot_msi(colon.assign(label=colon["clinic"].fillna("")), "fr")
    assert "indels" in other.axes[0].get_xlabel().lower()  # type: ignore[attr-defined]
    plt.close("all")
