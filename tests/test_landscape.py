"""The landscape of cohorts: what is known of TCGA's colon, rectal and soft-tissue cancers comes out, and of drawn tumours their truth."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, false_discovery_control, hypergeom

from genomics_nb.core.types import NotFoundError, ParameterError
from genomics_nb.tumour.landscape import adjusted, burdens, is_long, mutated_genes, pairs, pole_tumours, share_interval
from genomics_nb.tumour.maf import check_maf, write_maf
from genomics_nb.tumour.matrices import summarise
from genomics_nb.tumour.mutations import open_mutations, write_mutations
from genomics_nb.tumour.oncoprint import MOST_TUMOURS, memo_order, oncoprint, oncoprint_words
from genomics_nb.tumour.refit import refit_many, synthetic_signatures
from genomics_nb.tumour.synthetic_tumours import MEGABASES, Drawn, synthetic_tumours, truth

Studied = tuple[xr.Dataset, pd.DataFrame]  # matrices and burdens


def study(files: list[Path], folder: Path, megabases: float = 34.0) -> Studied:
    mutations = open_mutations(write_mutations(files, folder / "c.zarr"))
    cohort = summarise(mutations)
    return cohort, burdens(cohort, megabases, pole_tumours(mutations))


@pytest.fixture(scope="module")
def tcga(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Studied]:
    return {name: study([shared_data / f"tumour/tcga_{name}.maf.tsv.gz"], tmp_path_factory.mktemp(name))
            for name in ("Firehose_COAD", "MC3_READ", "MC3_SARC")}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Drawn, Studied]:
    tumours, folder = synthetic_tumours(), tmp_path_factory.mktemp("drawn")
    return tumours, study([write_maf(tumours.maf, folder / "a.maf")], folder, MEGABASES)


def without(cohort: xr.Dataset, leave_out: np.ndarray) -> xr.Dataset:
    return cohort.isel(tumours=np.flatnonzero(~leave_out))


def leading(cohort: xr.Dataset, n: int = 3) -> list[str]:
    table = mutated_genes(cohort)
    return table.loc[~table["long"], "gene"].head(n).tolist()


def test_leading_genes_of_bowel_cancer(tcga: dict[str, Studied]) -> None:
    """APC, TP53 and KRAS, once the hypermutated tumours, which carry everything, are left out of colon."""
    colon, found = tcga["Firehose_COAD"]
    assert leading(without(colon, found["high"].to_numpy())) == ["APC", "TP53", "KRAS"] and leading(colon, 2) == ["APC", "TP53"]
    assert leading(tcga["MC3_READ"][0]) == ["APC", "TP53", "KRAS"]
    table = mutated_genes(colon).set_index("gene")
    assert table.loc["APC", "tumours"] == 295 and table.loc["APC", "truncating"] > 200 and table.loc["KRAS", "truncating"] < 5
    assert table.loc["TTN", "long"] and table.loc["TTN", "tumours"] > table.loc["TP53", "tumours"]  # flagged, and still counted


def test_leading_genes_of_sarcoma(tcga: dict[str, Studied]) -> None:
    cohort, found = tcga["MC3_SARC"]
    assert leading(cohort) == ["TP53", "ATRX", "RB1"] and found["per_mb"].median() < 2 and (~found["high"]).mean() > 0.95


def test_hypermutated_tumours_and_why(tcga: dict[str, Studied]) -> None:
    for name, unstable, pole in (("Firehose_COAD", 42, 6), ("MC3_READ", 5, 4)):
        found = tcga[name][1]
        reasons = found["reason"].value_counts()
        assert reasons["unstable repeats"] == unstable and reasons["POLE"] == pole
        proof = found[found["reason"] == "POLE"]
        assert (proof["per_mb"] > 25).all() and (proof["indel_share"] < 0.01).all()
        assert proof["per_mb"].median() > 3 * found.loc[found["reason"] == "unstable repeats", "per_mb"].median() / 2
        assert (found["reason"] == "").sum() == (~found["high"]).sum() > len(found) / 2


def test_drawn_tumours_give_back_their_truth(drawn: tuple[Drawn, Studied]) -> None:
    tumours, (cohort, found) = drawn
    assert check_maf(tumours.maf.assign(line=range(len(tumours.maf)))).empty
    assert found["reason"].to_dict() == {t: tumours.kinds[t] for t in found.index} and set(tumours.kinds.values()) == {"", "POLE", "unstable repeats"}
    for row in truth().itertuples():
        here = np.array([tumours.groups[t] != row.kind for t in cohort["tumour_id"].values])
        table = mutated_genes(without(cohort, here), [row.gene])
        low, high = share_interval(int(table["tumours"].iloc[0]), int((~here).sum()), 0.999)
        assert low <= row.share <= high


def test_signatures_of_drawn_groups_come_back(drawn: tuple[Drawn, Studied]) -> None:
    """Of each kind together: the shares that were drawn from, within four percent."""
    tumours, (cohort, _) = drawn
    signatures = synthetic_signatures()
    for kind, mix in (("colorectal", {"SYN1": 0.55, "SYN6": 0.30, "SYN3": 0.15}), ("sarcoma", {"SYN1": 0.35, "SYN6": 0.50, "SYN5": 0.15})):
        here = np.array([tumours.groups[t] == kind for t in cohort["tumour_id"].values])
        counts = cohort["spectrum"].values[here].sum(axis=0)
        share = pd.Series(refit_many(counts[None], signatures)[0] / counts.sum(), signatures.columns)
        assert all(abs(share[name] - mix.get(name, 0)) < 0.04 for name in signatures)


def test_the_same_seed_draws_the_same_tumours() -> None:
    one, two, other = (synthetic_tumours({"sarcoma": 20}, seed=s) for s in (3, 3, 4))
    pd.testing.assert_frame_equal(one.maf, two.maf)
    assert not one.maf.equals(other.maf)
    for number in ({"glioma": 3}, {"sarcoma": 0}):
        with pytest.raises(ParameterError, match="colorectal or sarcoma"):
            synthetic_tumours(number)


@given(st.integers(1, 400), st.data())
def test_intervals_of_shares_are_exact(of: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, of))
    low, high = share_interval(count, of)
    assert 0 <= low <= count / of <= high <= 1
    assert low == 0 if count == 0 else binom.sf(count - 1, of, low) == pytest.approx(0.025, rel=1e-5)
    assert high == 1 if count == of else binom.cdf(count, of, high) == pytest.approx(0.025, rel=1e-5)


@given(arrays(float, st.integers(1, 40), elements=st.floats(0, 1)))
def test_false_discovery_rates_are_scipys(p: np.ndarray) -> None:
    assert np.allclose(adjusted(p), false_discovery_control(p))


def test_pairs_are_fishers_by_hand(tcga: dict[str, Studied]) -> None:
    cohort, found = tcga["Firehose_COAD"]
    leave = found["high"].to_numpy()
    table = pairs(cohort, ["KRAS", "BRAF", "NRAS", "APC"], leave)
    names, keep = cohort["gene_id"].values, cohort["worst_effect"].values[~leave] > 0
    assert (table[["both", "only_first", "only_second", "neither"]].sum(axis=1) == (~leave).sum()).all() and len(table) == 6
    for row in table.itertuples():
        a, b = (keep[:, list(names).index(g)] for g in (row.first, row.second))
        assert (row.both, row.only_first, row.only_second) == ((a & b).sum(), (a & ~b).sum(), (~a & b).sum())
        chance = hypergeom.pmf(np.arange(len(a) + 1), len(a), a.sum(), b.sum())
        assert row.p == pytest.approx(chance[chance <= chance[row.both] * (1 + 1e-9)].sum(), rel=1e-6)
    ras = table.iloc[0]
    assert (ras["first"], ras["second"], ras["way"]) == ("KRAS", "NRAS", "apart") and ras["p"] < 0.02  # the likeliest pair, one pathway
    assert pairs(cohort, ["KRAS"]).empty
    with pytest.raises(NotFoundError, match="NOGENE"):
        pairs(cohort, ["KRAS", "NOGENE"])


def test_long_genes_by_a_stated_rule() -> None:
    assert all(map(is_long, ["TTN", "MUC16", "OBSCN", "OR5H1", "PCDHA4"]))
    assert not any(map(is_long, ["TP53", "APC", "KRAS", "ATRX", "RB1", "ATM", "ORC1", "ORAI1", "NF1", "BRCA2", ""]))


def test_no_size_no_burden_and_no_tumour_no_gene(tcga: dict[str, Studied]) -> None:
    cohort = tcga["MC3_SARC"][0]
    for size in (0.0, -3.0, float("nan")):
        with pytest.raises(ParameterError, match="callable size"):
            burdens(cohort, size)
    with pytest.raises(ParameterError, match="no tumour"):
        mutated_genes(cohort.isel(tumours=[]))


@given(arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 5)), elements=st.sampled_from([0, 2, 3, 4, 5])))
def test_the_order_of_a_print_is_the_order_of_patterns(worst: np.ndarray) -> None:
    order = memo_order(worst)
    assert sorted(order) == list(range(len(worst)))
    rows = [tuple(r) for r in worst[order].tolist()]
    keys = [([-(v > 0) for v in row], [-v for v in row]) for row in rows]
    assert keys == sorted(keys)


def test_an_oncoprint_shows_every_change(tcga: dict[str, Studied]) -> None:
    import matplotlib.pyplot as plt

    cohort, found = tcga["MC3_SARC"]
    genes = ["TP53", "ATRX", "RB1"]
    track = {t: ("one" if n < 100 else "two") for n, t in enumerate(found.index)}
    figure = oncoprint(cohort, genes, found["per_mb"], track, "fr")
    prints = figure.axes[0]
    marks = sum(len(c) for c in prints.containers if all(p.get_width() == 1 for p in c))
    changed = int((cohort["worst_effect"].values[:, [list(cohort["gene_id"].values).index(g) for g in genes]] > 0).sum())
    assert marks == changed and prints.get_xlabel() == "239 tumeurs" and len(figure.axes) == 2
    assert [t.get_text() for t in prints.get_yticklabels()] == genes
    assert {"one", "two", " 36 %"} <= {t.get_text() for t in prints.texts}
    assert oncoprint_words(cohort, genes) == "TP53 87 of 239 (36 %); ATRX 37 of 239 (15 %); RB1 25 of 239 (10 %)"
    plt.close("all")
    with pytest.raises(ParameterError, match="at most"):
        oncoprint(cohort, [])
    with pytest.raises(ParameterError, match=f"{MOST_TUMOURS:,}"):
        oncoprint(cohort.isel(tumours=np.zeros(MOST_TUMOURS + 1, int)), genes)
