"""The list: pieces that add up, a fixed order, ties, what is dropped with its reason, single hits, consent, hostile text, both languages."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from genomics_nb.core.types import NotFoundError, ParameterError
from genomics_nb.rare.findings import Options
from genomics_nb.rare.prioritise import RANKED_COLUMNS, Shortlist, shortlist
from genomics_nb.rare.score import held_benign, in_doubt, known_piece, mode_fit, rarity_piece
from genomics_nb.rare.similarity import Comparison, Phenotypes

DRAVET = ["HP:0002373", "HP:0006813", "HP:0001251", "HP:0002376"]


@pytest.fixture(scope="module")
def patient() -> Comparison:
    return Phenotypes().compare(DRAVET)


def row(variant: int, gene: str, **columns: Any) -> dict[str, Any]:
    return {"variant": variant, "allele": 1, "contig": "chr2", "position": 100 + variant, "ref": "A", "alt": "G", "gene": gene,
            "consequence": "missense_variant", "impact": "MODERATE", "pop_state": "absent", "pop_max": np.nan, "clinvar": "",
            "clinvar_stars": np.nan} | columns


def answer(variant: int, mode: str = "de_novo", pair: str = "", **columns: Any) -> dict[str, Any]:
    return {"mode": mode, "answer": "yes", "grade": "high", "pair": pair, "variant": variant, "allele": 1, "child": "kid", "reasons": ["seen"]} | columns


def made(rows: list[dict[str, Any]], answers: list[dict[str, Any]], comparison: Comparison | None = None, **given: Any) -> Shortlist:
    options = given.pop("options", None)
    table = pd.DataFrame(answers, columns=list(answer(0)))
    return shortlist(table, pd.DataFrame(rows), comparison, options=options, **given)


def test_the_parts_of_a_score_add_up(patient: Comparison) -> None:
    listed = made([row(1, "SCN1A"), row(2, "CFTR", consequence="stop_gained", clinvar="pathogenic", clinvar_stars=2)], [answer(1), answer(2, "recessive")], patient)
    for gene in listed.ranked["gene"]:
        table = listed.explain(gene).set_index("piece")
        parts = table.drop(index="score")
        assert math.isclose(parts["part"].sum(), table.loc["score", "value"], abs_tol=0.003)
        assert math.isclose(parts["weight"].sum(), 1, abs_tol=0.003)
        assert (parts.loc[parts["weight"] > 0, "why"] != "").all() and 0 <= table.loc["score", "value"] <= 1


def test_without_features_the_other_pieces_carry_the_score() -> None:
    listed = made([row(1, "SCN1A")], [answer(1)])
    table = listed.explain("SCN1A").set_index("piece")
    assert np.isnan(table.loc["phenotype", "value"]) and table.loc["phenotype", "part"] == 0
    assert math.isclose(table.drop(index="score")["weight"].sum(), 1, abs_tol=0.003) and listed.ranked["score"][0] > 0
    assert any("Phenotype" in gap for gap in listed.not_assessed)
    with pytest.raises(ParameterError):
        listed.matches("SCN1A")


def test_the_order_is_by_score_then_variant_then_name() -> None:
    same = [row(i, gene) for i, gene in enumerate(("NOSUCH3", "NOSUCH1", "NOSUCH2"))]
    listed = made(same, [answer(i) for i in range(3)])
    assert listed.ranked["gene"].tolist() == ["NOSUCH1", "NOSUCH2", "NOSUCH3"] and listed.ranked["rank"].tolist() == [1, 2, 3]
    again = made(same[::-1], [answer(i) for i in (2, 0, 1)])
    pd.testing.assert_frame_equal(listed.ranked, again.ranked)
    heavier = made([*same, row(9, "NOSUCH9", consequence="stop_gained", impact="HIGH")], [answer(i) for i in (0, 1, 2, 9)])
    assert heavier.ranked["gene"][0] == "NOSUCH9"


def test_the_phenotype_lifts_the_gene_that_fits(patient: Comparison) -> None:
    rows, answers = [row(1, "SCN1A"), row(2, "GJB2"), row(3, "NOSUCH")], [answer(i) for i in (1, 2, 3)]
    listed = made(rows, answers, patient)
    assert listed.ranked["gene"][0] == "SCN1A" and "Dravet" in listed.ranked["disease"][0] + listed.explain("SCN1A")["why"].str.cat()
    assert "Ataxia" in listed.ranked["matched"][0] and set(listed.matches("SCN1A")["has"]) == {"yes"}
    by_name = listed.ranked.set_index("gene")["score"]
    assert by_name["SCN1A"] > by_name["GJB2"]


def test_one_row_for_each_gene_and_the_rest_is_dropped_with_the_reason() -> None:
    rows = [row(1, "A"), row(2, "A", consequence="stop_gained", impact="HIGH"), row(3, "B")]
    listed = made(rows, [answer(i) for i in (1, 2, 3)], options=Options(most=1))
    assert listed.ranked["gene"].tolist() == ["A"] and listed.ranked["variants"][0] == ((2, 1),) and listed.ranked["others"][0] == 1
    assert sorted(zip(listed.dropped["gene"], listed.dropped["why"], strict=True)) == [("A", "same gene"), ("B", "length")]
    assert "1 shown" in listed.dropped.set_index("gene").loc["B", "reason"]
    with pytest.raises(NotFoundError, match="place 2"):
        listed.explain("B")


@pytest.mark.parametrize(("columns", "holder"), [
    ({"clinvar": "benign", "clinvar_stars": 1}, "ClinVar"), ({"clinvar": "likely benign", "clinvar_stars": 2}, "ClinVar"),
    ({"clinvar": "benign", "clinvar_stars": 0}, ""), ({"acmg_class": "benign"}, "ACMG"), ({"acmg_class": "likely benign"}, "ACMG"),
    ({"clinvar": "pathogenic", "clinvar_stars": 1, "acmg_class": "benign"}, ""), ({"clinvar": "conflicting", "clinvar_stars": 1}, "")])
def test_benign_is_dropped_only_where_somebody_says_so_and_nobody_says_pathogenic(columns: dict[str, Any], holder: str) -> None:
    listed = made([row(1, "A", **columns)], [answer(1)])
    assert held_benign(row(1, "A", **columns)) == holder
    assert listed.dropped["why"].tolist() == (["benign"] if holder else []) and len(listed.ranked) == (0 if holder else 1)
    assert not holder or holder in listed.dropped["reason"][0]


def test_unknown_is_never_absent() -> None:
    for state in ("suppressed", "not covered", "unknown", ""):
        assert np.isnan(rarity_piece(row(1, "A", pop_state=state), "de_novo").value)
    counted = rarity_piece(row(1, "A", pop_state="counted", pop_max=0.004), "recessive").value
    assert rarity_piece(row(1, "A"), "recessive").value > counted > 0


def test_single_hits_stand_apart(patient: Comparison) -> None:
    recessive = "ALDH7A1"  # its diseases need two copies
    gene = row(1, recessive, consequence="stop_gained", impact="HIGH")
    seizures = Phenotypes().compare(["HP:0001250", "HP:0002133"])
    listed = made([gene, row(2, "SCN1A")], [answer(1, "dominant"), answer(2)], seizures, options=Options(fits=1.0))
    assert recessive not in set(listed.ranked["gene"]) and listed.single_hits["gene"].tolist() == [recessive]
    assert listed.dropped.set_index("gene").loc[recessive, "why"] == "single"
    pair = made([gene, row(3, recessive)], [answer(1, "compound", f"{recessive}-1"), answer(3, "compound", f"{recessive}-1")], seizures, options=Options(fits=1.0))
    assert pair.ranked["gene"].tolist() == [recessive] and pair.ranked["variants"][0] == ((1, 1), (3, 1))
    assert recessive not in set(pair.single_hits["gene"])
    assert mode_fit("dominant", "chr5", {"AR"}) == "single hit" and mode_fit("dominant", "chrX", {"AR"}) == "contradicts"


def test_a_single_hit_must_be_credible() -> None:
    seizures = Phenotypes().compare(["HP:0001250", "HP:0002133"])
    for columns, listed in (({}, True), ({"consequence": "synonymous_variant"}, False), ({"pop_state": "counted", "pop_max": 0.02}, False),
                            ({"pop_state": "counted", "pop_max": 0.02, "clinvar": "pathogenic", "clinvar_stars": 2}, True),
                            ({"clinvar": "benign", "clinvar_stars": 2}, False)):
        hits = made([row(1, "ALDH7A1", **columns)], [], seizures, options=Options(fits=1.0)).single_hits
        assert len(hits) == int(listed), columns


def test_outside_the_question_only_with_consent(patient: Comparison) -> None:
    rows = [row(1, "SCN1A"), row(2, "BRCA1", consequence="stop_gained", impact="HIGH", clinvar="pathogenic", clinvar_stars=3, clinvar_disease="cancer",
                                    acmg_class="pathogenic", acmg_codes="PVS1;PS4", acmg_points=12.0)]
    silent = made(rows, [answer(1), answer(2, "dominant")], patient)
    everything = silent.ranked.to_string() + silent.dropped.to_string() + silent.single_hits.to_string() + silent._repr_html_()
    assert silent.incidental.empty and "pathogenic" not in everything and "cancer" not in everything
    assert "PVS1" not in everything  # nor does the class tell it
    told = made(rows, [answer(1), answer(2, "dominant")], patient, options=Options(incidental=True))
    assert told.incidental["gene"].tolist() == ["BRCA1"] and told.incidental["disease"].tolist() == ["cancer"]
    assert "BRCA1" in told._repr_html_().split("Incidental")[1]


def test_a_disputed_gene_supports_nothing(patient: Comparison) -> None:
    for validity, g2p, doubt in (("disputed", "", True), ("refuted", "", True), ("no known", "limited", True), ("disputed", "definitive", False), ("limited", "", False)):
        assert in_doubt(row(1, "SCN1A", validity=validity, g2p=g2p)) == doubt
    sure, unsure = (made([row(1, "SCN1A", validity=v)], [answer(1)], patient).ranked for v in ("definitive", "refuted"))
    assert sure["score"][0] > unsure["score"][0] and bool(unsure["doubt"][0]) and unsure["score_validity"][0] == 0
    assert "does not support" in made([row(1, "SCN1A", validity="refuted")], [answer(1)], patient)._repr_html_()


def test_heavy_variants_that_fit_no_mode_say_why(patient: Comparison) -> None:
    listed = made([row(1, "SCN1A", consequence="stop_gained", impact="HIGH")], [], patient, why_not=lambda key: f"dominant: mum carries {key}")
    assert listed.ranked.empty and listed.dropped["why"].tolist() == ["mode"]
    assert "mum carries (1, 1)" in listed.dropped["reason"][0]


def test_of_a_pair_the_weaker_half_decides_what_is_known() -> None:
    sure, nothing = row(1, "A", clinvar="pathogenic", clinvar_stars=2), row(2, "A")
    assert known_piece([sure]).value == 1 and known_piece([sure, nothing]).value == 0
    assert known_piece([sure, row(3, "A", acmg_class="likely pathogenic")]).value == known_piece([row(3, "A", acmg_class="likely pathogenic")]).value


def test_a_deletion_may_be_half_of_a_pair() -> None:
    deletion = answer(-1, "compound", "GENE-1", allele=0, contig="chr2", position=90, ref="N", alt="<DEL>")
    table = pd.DataFrame([answer(1, "compound", "GENE-1"), deletion])
    listed = shortlist(table, pd.DataFrame([row(1, "GENE")]), None)
    assert listed.ranked["gene"].tolist() == ["GENE"] and "transcript_ablation" in listed.ranked["consequence"][0]
    kept = shortlist(table, pd.DataFrame([row(1, "GENE")]), None, kept_by_filter=[(1, 1, "GENE")], rule="x")
    assert len(kept.ranked) == 1  # the filter is asked of the small variant


def test_a_filter_is_asked_of_each_gene_apart() -> None:
    rows = [row(1, "A"), row(1, "B"), row(2, "C")]
    listed = made(rows, [answer(1), answer(2)], kept_by_filter=[(1, 1, "A")], undecided={(2, 1, "C"): "popmax < 0.01"}, rule="gene == 'A'")
    assert listed.ranked["gene"].tolist() == ["A"]
    assert dict(zip(listed.dropped["gene"], listed.dropped["why"], strict=True)) == {"B": "filter", "C": "open filter"}
    assert "popmax < 0.01" in listed.dropped.set_index("gene").loc["C", "reason"] and "own filter" in listed.ranked["filters"][0]


HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>"


@pytest.mark.parametrize("column", ["gene", "contig", "ref", "alt", "consequence", "hgvs_c", "hgvs_p", "acmg_class", "validity", "validity_disease"])
def test_text_of_files_is_escaped(column: str, patient: Comparison) -> None:
    rows = [row(1, "SCN1A", clinvar="pathogenic", clinvar_stars=2) | {column: HOSTILE}, row(2, "A", clinvar="benign", clinvar_stars=2) | {column: HOSTILE}]
    page = made(rows, [answer(1), answer(2)], patient, options=Options(incidental=True),
                releases=[{"base": HOSTILE, "release": HOSTILE}])._repr_html_()
    assert "<script" not in page and "<img" not in page and "&lt;script&gt;" in page


def test_french(patient: Comparison) -> None:
    rows = [row(1, "SCN1A", pop_state="suppressed"), row(2, "SCN1A", clinvar="benign", clinvar_stars=2), row(3, "B", consequence="")]
    listed = made(rows, [answer(i) for i in (1, 2, 3)], patient, options=Options(lang="fr"))
    page = listed._repr_html_()
    for word in ("gène", "rareté", "Écartés", "tient pour bénigne", "fréquence inconnue (supprimé)"):
        assert word in page + listed.ranked.to_string() + listed.dropped.to_string(), word
    english = made(rows, [answer(i) for i in (1, 2, 3)], patient)
    assert listed.ranked["gene"].tolist() == english.ranked["gene"].tolist() and "fréquence" not in english._repr_html_()
    with pytest.raises(ParameterError):
        Options(lang="de")


def test_an_empty_list_is_a_list() -> None:
    listed = made([row(1, "A")], [])
    assert listed.ranked.empty and list(listed.ranked.columns) == list(RANKED_COLUMNS) and "<table>" in listed._repr_html_()
    assert len(repr(made([row(1, "A")], [answer(1)]))) < 200
    with pytest.raises(ParameterError, match="no column gene"):
        shortlist(pd.DataFrame([answer(1)]), pd.DataFrame([{"variant": 1, "allele": 1}]), None)
