"""Oncogenicity: the points of Horak 2022 by hand, criteria that exclude each other, what was not looked up, and the two tables."""

import gzip
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomics_nb.core.types import InputError, NotFoundError, ParameterError
from genomics_nb.tumour.hotspots import read_cancer_genes, read_hotspots, spot_of
from genomics_nb.tumour.oncogenicity import BY_PERSON, CLASSES, PCGR_CUTS, POINTS, Oncogenicity, class_of, oncogenicity

SPOTS = pd.DataFrame([("KRAS", "G12", "G12D", 2175.0, 722.0), ("KRAS", "G12", "G12Y", 2175.0, 2.0), ("PIK3CA", "E81", "E81K", 40.0, 33.0),
                      ("TP53", "R175", "R175H", float("nan"), float("nan"))], columns=["gene", "residue", "change", "samples", "same"])
KNOWN = ("KRAS G12D", "BRAF V600E")


def codes(found: Oncogenicity) -> list[str]:
    return sorted(m.code for m in found.met)


def write(folder: Path, text: str) -> Path:
    path = folder / "table.tsv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("arguments", "met", "points", "label"), [
    # a null variant of a suppressor, absent from the population
    ({"gene": "APC", "consequence": "stop_gained", "hgvs_p": "p.Q1303*", "role": "suppressor", "frequency": 0.0}, ["OP4", "OVS1"], 9, "likely oncogenic"),
    ({"gene": "APC", "consequence": "stop_gained", "role": "suppressor", "frequency": 0.0, "computed": "damaging"}, ["OP1", "OP4", "OVS1"], 10, "oncogenic"),
    ({"gene": "APC", "consequence": "frameshift_variant&splice_region_variant", "role": "both"}, ["OVS1"], 8, "likely oncogenic"),
    # the same in an oncogene or in no cancer gene says nothing
    ({"gene": "KRAS", "consequence": "stop_gained", "role": "oncogene"}, [], 0, "uncertain"),
    ({"gene": "TTN", "consequence": "stop_gained"}, [], 0, "uncertain"),
    # hot spots by their numbers of tumours
    ({"gene": "KRAS", "consequence": "missense_variant", "hgvs_p": "p.G12D", "hotspots": SPOTS, "frequency": 0.0}, ["OP4", "OS3"], 5, "uncertain"),
    ({"gene": "PIK3CA", "consequence": "missense_variant", "hgvs_p": "p.E81K", "hotspots": SPOTS}, ["OM4"], 2, "uncertain"),
    ({"gene": "KRAS", "consequence": "missense_variant", "hgvs_p": "p.G12Y", "hotspots": SPOTS}, ["OP3"], 1, "uncertain"),
    ({"gene": "KRAS", "consequence": "missense_variant", "hgvs_p": "p.G12W", "hotspots": SPOTS}, ["OP3"], 1, "uncertain"),
    ({"gene": "TP53", "consequence": "missense_variant", "hgvs_p": "p.R175H", "hotspots": SPOTS}, ["OM4"], 2, "uncertain"),
    ({"gene": "KRAS", "consequence": "missense_variant", "hgvs_p": "p.G13D", "hotspots": SPOTS}, [], 0, "uncertain"),
    # known changes; the same residue; a hot spot besides counts no second time
    ({"gene": "KRAS", "consequence": "missense_variant", "hgvs_p": "p.G12D", "known": KNOWN, "hotspots": SPOTS, "frequency": 0.0}, ["OP4", "OS1"], 5,
     "uncertain"),
    ({"gene": "KRAS", "consequence": "missense_variant", "hgvs_p": "p.G12V", "known": KNOWN}, ["OM3"], 2, "uncertain"),
    ({"gene": "KRAS", "consequence": "missense_variant", "hgvs_p": "p.G1D", "known": KNOWN}, [], 0, "uncertain"),
    ({"gene": "NRAS", "consequence": "missense_variant", "hgvs_p": "p.G12D", "known": KNOWN}, [], 0, "uncertain"),
    # length of the protein
    ({"gene": "EGFR", "consequence": "inframe_deletion", "role": "oncogene"}, ["OM2"], 2, "uncertain"),
    ({"gene": "APC", "consequence": "stop_lost", "role": "suppressor"}, ["OM2"], 2, "uncertain"),
    ({"gene": "KRAS", "consequence": "stop_lost", "role": "oncogene"}, [], 0, "uncertain"),
    # against
    ({"gene": "APC", "consequence": "missense_variant", "frequency": 0.06}, ["SBVS1"], -8, "benign"),
    ({"gene": "APC", "consequence": "missense_variant", "frequency": 0.05}, ["SBS1"], -4, "likely benign"),
    ({"gene": "APC", "consequence": "missense_variant", "frequency": 0.01}, [], 0, "uncertain"),
    ({"gene": "APC", "consequence": "synonymous_variant", "computed": "tolerated"}, ["SBP1", "SBP2"], -2, "likely benign"),
    ({"gene": "APC", "consequence": "splice_region_variant&intron_variant"}, [], 0, "uncertain")])
def test_points_by_hand(arguments: dict[str, object], met: list[str], points: int, label: str) -> None:
    found = oncogenicity(**arguments)  # type: ignore[arg-type]
    assert (codes(found), found.points, found.label) == (met, points, label)
    assert all(m.points == POINTS[m.code] and m.why for m in found.met)


def test_what_was_not_looked_up_is_said() -> None:
    bare = oncogenicity("KRAS", "missense_variant", "p.G12D")
    assert set(bare.not_evaluated) == {"role", "hot spots", "population", "predictor"} and "OP4" not in codes(bare)
    full = oncogenicity("KRAS", "missense_variant", "p.G12D", "oncogene", SPOTS, KNOWN, 0.0, "damaging")
    assert full.not_evaluated == () and full.label == "likely oncogenic" and codes(full) == ["OP1", "OP4", "OS1"]


@given(st.integers(-30, 40))
def test_classes_are_in_order_and_pcgr_cuts_one_lower(points: int) -> None:
    order = CLASSES.index
    assert order(class_of(points)) >= order(class_of(points + 1))
    assert order(class_of(points, PCGR_CUTS)) <= order(class_of(points))
    assert class_of(points) == ("oncogenic" if points >= 10 else "likely oncogenic" if points >= 6 else "uncertain" if points >= 0
                                else "likely benign" if points >= -6 else "benign")


def test_a_person_enters_four_criteria_with_a_reason() -> None:
    found = oncogenicity("KRAS", "missense_variant", "p.G12D", hotspots=SPOTS, entered=[("OS2", "functional study", "biologist"), ("OM1", "domain", "biologist")])
    assert codes(found) == ["OM1", "OS2", "OS3"] and found.points == 10 and {m.by for m in found.met} == {"automatic", "biologist"}
    for entry in (("OVS1", "x", "b"), ("OS2", " ", "b"), ("OS2", "x", ""), ("<b>", "x", "b")):
        with pytest.raises(ParameterError, match="a person enters") as caught:
            oncogenicity("KRAS", "missense_variant", entered=[entry])
        assert "<b>" not in str(caught.value)
    assert set(BY_PERSON) < set(POINTS)


def test_criteria_of_a_person_take_the_place_of_weaker_ones() -> None:
    """A domain (OM1) and a small hot spot (OM4) speak of the same fact."""
    with_domain = oncogenicity("PIK3CA", "missense_variant", "p.E81K", hotspots=SPOTS, entered=[("OM1", "domain", "biologist")])
    assert codes(with_domain) == ["OM1"]


def test_a_comment_in_a_page_is_no_markup() -> None:
    found = oncogenicity("KRAS", "missense_variant", entered=[("OS2", "<img src=x>", "biologist")])
    assert "<img" not in found._repr_html_() and "&lt;img" in found._repr_html_()


# ---- the tables


@pytest.mark.parametrize("build", ["GRCh37", "GRCh38"])
def test_the_hot_spots_of_memorial_sloan_kettering(build: str, shared_data: Path) -> None:
    path = shared_data / f"tumour/cancerhotspots_v2_{build}.tsv"
    table = read_hotspots(path)
    genes = {line.split("\t")[4] for line in path.read_text().splitlines() if line}
    assert len(table) > 2000 and set(table["gene"]) <= genes and not table.duplicated(["gene", "change"]).any()
    for gene, change in (("KRAS", "G12D"), ("BRAF", "V600E"), ("PIK3CA", "E545K"), ("TP53", "R175H"), ("IDH1", "R132H")):
        assert spot_of(table, gene, f"p.{change}").change, gene
        assert codes(oncogenicity(gene, "missense_variant", f"p.{change}", hotspots=table)) == ["OM4"]  # the file gives no numbers
    assert not spot_of(table, "TTN", "p.V1E").residue and not spot_of(table, "KRAS", "p.G12fs").residue and not spot_of(table, "KRAS", "").residue


def test_a_table_with_numbers(tmp_path: Path) -> None:
    table = read_hotspots(write(tmp_path, "gene\tchange\tsamples\tsame\nKRAS\tp.G12D\t2175\t722\nKRAS\tG12Y\t2175\t\n"))
    found = spot_of(table, "KRAS", "p.G12D")
    assert (found.residue, found.change, found.samples, found.same) == (True, True, 2175, 722)
    assert spot_of(table, "KRAS", "p.G12W").residue and not spot_of(table, "KRAS", "p.G12W").change


@pytest.mark.parametrize("row", ["KRAS", "KRAS\tG12D\tmany\t1", "KRAS\tG12D\t-1\t1", "KRAS\tG12D\t²\t1", "<b>\tG12D\t1\t1", "=CMD()\tG12D\t1\t1", "\tG12D\t1\t1"])
def test_a_hot_spot_that_cannot_be_read(tmp_path: Path, row: str) -> None:
    with pytest.raises(InputError) as caught:
        read_hotspots(write(tmp_path, f"gene\tchange\tsamples\tsame\n{row}\n"))
    assert "line 2" in str(caught.value) and "<b>" not in str(caught.value)


def test_cancer_genes(tmp_path: Path) -> None:
    table = read_cancer_genes(write(tmp_path, "# ours\ngene\trole\tpredisposition\nAPC\tsuppressor\tyes\nKRAS\toncogene\tno\nMSH6\t\tTrue\n"))
    assert table["predisposition"].tolist() == [True, False, True] and table["role"].tolist() == ["suppressor", "oncogene", ""]
    for text, words in (("gene\tkind\nA\tb\n", "line 1"), ("gene\trole\nA\tdriver\n", "line 2"), ("gene\trole\nA\t\nA\t\n", "line 3"), ("gene\trole\nA\n", "line 2")):
        with pytest.raises(InputError, match=words):
            read_cancer_genes(write(tmp_path, text))


@pytest.mark.parametrize("read", [read_hotspots, read_cancer_genes])
def test_files_that_are_no_table(read, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "bad.tsv"
    for content in (b"", b"\n\n", b"\x1f\x8b\x08", gzip.compress(b"gene\trole\n" * 100)[:30], b"\xff\xfe\x00", b"a\n" * 300_000):
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read(path)
        assert "bad.tsv" in str(caught.value) and len(str(caught.value)) < 300
    with pytest.raises(NotFoundError):
        read(tmp_path / "none.tsv")
