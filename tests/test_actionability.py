"""Actionability: what boards know comes out of CIViC's own items, what was not looked at is open, and tiers follow from items by hand."""

import gzip
import re
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomics_nb.core.types import InputError, NotFoundError
from genomics_nb.tumour.civic import COLUMNS, NEEDED, OPTIONAL, Evidence, evidence_for, read_evidence
from genomics_nb.tumour.molecular import answer, ask, feature, parse
from genomics_nb.tumour.profile import Alteration, TumourProfile, mutation_name, profile_of
from genomics_nb.tumour.sites import SITES, site
from genomics_nb.tumour.tiers import TIERS, counts, tier_of_item, tiers

DAY = date(2026, 1, 1)


def mutation(gene: str, change: str, consequence: str = "missense_variant", exon: str = "") -> Alteration:
    return Alteration("mutation", gene, mutation_name(gene, f"p.{change}"), "", f"p.{change}", "", consequence, exon)


def amplified(gene: str) -> Alteration:
    return Alteration("copies", gene, f"{gene} amplification", copies=12, state="amplification")


KRAS, BRAF = mutation("KRAS", "G12D", exon="2/6"), mutation("BRAF", "V600E", exon="15/18")
DELETED = mutation("EGFR", "E746_A750del", "inframe_deletion", "19/28")


@pytest.fixture(scope="module")
def civic(shared_data: Path) -> Evidence:
    return Evidence.of(read_evidence(shared_data / "knowledge/civic_evidence.tsv"), "CIViC")


# ---- what boards know


@pytest.mark.parametrize(("alteration", "code", "effect", "therapy", "level"), [
    (BRAF, "MEL", "sensitivity", "Vemurafenib", "A"), (BRAF, "COAD", "sensitivity", "Encorafenib + Cetuximab", "A"),
    (KRAS, "COAD", "resistance", "Cetuximab or Panitumumab", "A"), (mutation("EGFR", "L858R", exon="21/28"), "LUAD", "sensitivity", "Osimertinib", "A"),
    (mutation("EGFR", "T790M", exon="20/28"), "LUAD", "resistance", "Erlotinib", "A"), (DELETED, "LUAD", "sensitivity", "Osimertinib", "A"),
    (amplified("ERBB2"), "BRCA", "sensitivity", "Trastuzumab", "A"), (mutation("KIT", "V559D", exon="11/21"), "GIST", "sensitivity", "Imatinib", "A"),
    (mutation("IDH1", "R132H"), "AML", "sensitivity", "Ivosidenib", "A"),
    (Alteration("fusion", "ALK", "EML4::ALK", "EML4"), "LUAD", "sensitivity", "Alectinib", "A")])
def test_what_boards_know_is_tier_one(civic: Evidence, alteration: Alteration, code: str, effect: str, therapy: str, level: str) -> None:
    profile = TumourProfile((alteration,), None, True, True, False, False)
    items = evidence_for(profile, civic, site(code), DAY)
    row = tiers(profile, items).iloc[0]
    assert row["tier"] == "I" and f"{therapy} ({level}, site)" in row[effect]
    other = "resistance" if effect == "sensitivity" else "sensitivity"
    assert f"{therapy} ({level}, site)" not in row[other]


def test_the_same_change_elsewhere_is_weaker(civic: Evidence) -> None:
    """BRAF's items on melanoma count as elsewhere in a prostate tumour; any-cancer items stay."""
    profile = TumourProfile((BRAF,))
    here, there = (evidence_for(profile, civic, site(code), DAY).set_index("evidence_id") for code in ("MEL", "PRAD"))
    melanoma = here.index[here["disease"].eq("Melanoma")]
    assert set(here.loc[melanoma, "where"]) == {"site"} and set(there.loc[melanoma, "where"]) == {"elsewhere"}
    assert set(here.index) == set(there.index)
    order = there["where"].map({"site": 0, "any cancer": 0, "elsewhere": 1, "not stated": 2})
    assert order.is_monotonic_increasing


def test_an_item_for_two_alterations_needs_both(civic: Evidence) -> None:
    both = [words for words in civic.items["molecular_profile"].unique() if re.fullmatch(r"EGFR L858R AND EGFR T790M", words)]
    assert both
    one, two = mutation("EGFR", "L858R"), mutation("EGFR", "T790M")
    asked = [answer(parse(both[0]), TumourProfile(a)).value for a in ((one,), (two,), (one, two), ())]
    assert asked == [False, False, True, False]


def test_nearly_every_item_is_taken_apart_and_the_rest_is_open(civic: Evidence) -> None:
    assert civic.understood() > 0.99 and len(civic.items) == 4854
    empty = TumourProfile((), frozenset())
    for words, expression in civic.expressions.items():
        if expression is not None:
            assert answer(expression, empty).value is not True, words  # nothing was read: no item may apply


def test_a_profile_without_alterations_has_no_evidence_but_of_wild_types(civic: Evidence) -> None:
    assert evidence_for(TumourProfile(()), civic, site("COAD"), DAY).empty
    wild = evidence_for(TumourProfile((), frozenset(["KRAS", "BRAF"])), civic, site("COAD"), DAY)
    assert len(wild) and wild["molecular_profile"].str.contains("Wildtype").all()
    with_kras = evidence_for(TumourProfile((KRAS,), frozenset(["KRAS", "BRAF"])), civic, site("COAD"), DAY)
    assert "KRAS Wildtype" in set(wild["molecular_profile"]) and "KRAS Wildtype" not in set(with_kras["molecular_profile"])


def test_open_items_are_asked_for(civic: Evidence) -> None:
    profile = TumourProfile((mutation("PTEN", "R130G"),), None, False, False, None, None)
    sure, every = (evidence_for(profile, civic, site("PRAD"), DAY, unsure=unsure) for unsure in (False, True))
    assert set(sure["answer"]) == {"yes"} and len(every) > len(sure) and every.loc[every["answer"] == "open", "why"].ne("").all()
    assert not counts(every)[(every["answer"] == "open").to_numpy()].any()
    assert list(every.columns) == list(COLUMNS)


# ---- words against a profile


READ = TumourProfile((KRAS, mutation("APC", "T1556fs", "frameshift_variant", "16/16"), amplified("ERBB2"),
                      Alteration("fusion", "ALK", "EML4::ALK", "EML4"), Alteration("biomarker", "MSI", "MSI high")),
                     frozenset(["KRAS", "NRAS", "BRAF", "APC"]), True, True, True, None)
DARK = TumourProfile((), frozenset(), False, False, None, None)  # nothing was looked at


@pytest.mark.parametrize(("words", "value", "dark"), [
    ("KRAS G12D", True, None), ("KRAS G12", True, None), ("KRAS G12C", False, None), ("KRAS G12C/D", True, None), ("KRAS G1", False, None),
    ("KRAS Non-G12", False, None), ("KRAS Mutation", True, None), ("KRAS Exon 2 Mutation", True, None), ("KRAS Exon 3 Mutation", False, None),
    ("KRAS Exon 2-4 Mutation", True, None), ("KRAS Exon 2 Deletion", False, None), ("KRAS Wildtype", False, None), ("NRAS Wildtype", True, None),
    ("TP53 Wildtype", None, None), ("TP53 Mutation", None, None), ("APC Truncating Mutation", True, None), ("APC Loss-of-function", True, None),
    ("APC T1556fs", True, None), ("APC Biallelic Inactivation", None, None), ("KRAS Loss-of-function", None, None),
    ("KRAS Gain-of-function", None, None), ("ERBB2 Amplification", True, None), ("MET Amplification", False, None), ("PTEN Loss", False, None),
    ("EML4::ALK Fusion", True, None), ("v::ALK Fusion", True, None), ("ALK Fusion", True, None), ("EML4::v Fusion", True, None),
    ("ALK::EML4 Fusion", False, None), ("KIF5B::ALK Fusion", False, None), ("EML4::ALK e6::e20", None, None), ("MSI High", True, None),
    ("TMB High", None, None), ("TMB Low", None, None), ("PTEN Expression", None, None), ("UGT1A1 UGT1A1*28", None, None),
    ("KRAS <script>", None, None)])
def test_words_are_answered_or_left_open(words: str, value: bool | None, dark: bool | None) -> None:
    """In a tumour where nothing was looked at no word is answered with no."""
    assert ask(feature(words), READ).value is value
    assert ask(feature(words), DARK).value is dark


def test_a_frameshift_is_found_whatever_residue_and_stop_follow() -> None:
    for written in ("T1556fs", "T1556Nfs*3", "T1556NfsTer3"):
        tumour = TumourProfile((mutation("APC", written, "frameshift_variant"),))
        assert ask(feature("APC T1556fs"), tumour).value and ask(feature("APC T1557fs"), tumour).value is False
        assert ask(feature("APC T1556Nfs*3 (c.4666dup)"), tumour).value and ask(feature("APC T1557RfsTer11"), tumour).value is False


def test_a_deletion_is_no_insertion_and_a_codon_no_prefix() -> None:
    tumour = TumourProfile((DELETED,))
    assert ask(feature("EGFR Exon 19 Deletion"), tumour).value and ask(feature("EGFR E746_A750delELREA"), tumour).value
    assert ask(feature("EGFR Exon 19 Insertion"), tumour).value is False and ask(feature("EGFR Exon 20 Deletion"), tumour).value is False
    without_exon = TumourProfile((mutation("EGFR", "E746_A750del", "inframe_deletion"),))
    assert ask(feature("EGFR Exon 19 Deletion"), without_exon).value is None


TRUTH = {True: "KRAS G12D", False: "KRAS G12C", None: "TP53 R175H"}


def trees(leaf: st.SearchStrategy[bool | None]) -> st.SearchStrategy[object]:
    return st.recursive(leaf, lambda inner: st.one_of(st.tuples(st.just("NOT"), inner), st.tuples(st.sampled_from(["AND", "OR"]), inner, inner)), max_leaves=6)


def kleene(tree: object) -> tuple[bool | None, str]:
    """Value and words of a tree of three-valued logic, the slow and obvious way."""
    if not isinstance(tree, tuple):
        return tree, TRUTH[tree]  # type: ignore[index,return-value]
    parts = [kleene(part) for part in tree[1:]]
    values = [value for value, _ in parts]
    if tree[0] == "NOT":
        return None if values[0] is None else not values[0], f"NOT ({parts[0][1]})"
    decides = tree[0] == "OR"
    value = decides if decides in values else None if None in values else not decides
    return value, f" {tree[0]} ".join(f"({words})" for _, words in parts)


@given(trees(st.sampled_from([True, False, None])))
def test_and_or_not_follow_three_valued_logic(tree: object) -> None:
    value, words = kleene(tree)
    expression = parse(words)
    assert expression is not None and answer(expression, READ).value is value


@pytest.mark.parametrize("words", ["", "(", ")", "KRAS G12D AND", "OR", "NOT", "(KRAS G12D", "KRAS G12D)", "(((((", "AND AND AND",
                                   "(" * 3000 + "KRAS G12D" + ")" * 3000, "NOT " * 3000 + "KRAS G12D"])
def test_words_that_cannot_be_taken_apart(words: str) -> None:
    assert parse(words) is None


def test_and_binds_more_than_or() -> None:
    assert parse("KRAS A OR KRAS B AND KRAS C") == ("or", ("is", "KRAS", "A"), ("and", ("is", "KRAS", "B"), ("is", "KRAS", "C")))


# ---- tiers by hand


def items(*rows: dict[str, object]) -> pd.DataFrame:
    plain = {"evidence_id": "1", "alterations": KRAS.name, "keys": (KRAS.name,), "molecular_profile": KRAS.name, "disease": "Colorectal Cancer",
             "where": "site", "evidence_type": "Predictive", "direction": "Supports", "effect": "sensitivity", "level": "A", "rating": "3",
             "therapies": "X", "interaction": "", "reviewed": "", "years": np.nan, "flagged": False, "germline": False, "citation": "", "answer": "yes", "why": ""}
    return pd.DataFrame([plain | row for row in rows], columns=list(COLUMNS))


@pytest.mark.parametrize("level", "ABCDE")
def test_the_tier_of_an_item(level: str) -> None:
    strong = level in "AB"
    assert [tier_of_item(level, where) for where in ("site", "any cancer", "elsewhere", "not stated")] == (
        ["I", "I", "II", "III"] if strong else ["II", "II", "III", "III"])


@pytest.mark.parametrize("weak", [{"direction": "Does Not Support"}, {"evidence_type": "Functional"}, {"evidence_type": "Predisposing"},
                                  {"germline": True}, {"answer": "open"}, {"keys": ("KRAS G12C",)}])
def test_what_does_not_support_gives_no_tier(weak: dict[str, object]) -> None:
    profile = TumourProfile((KRAS,))
    row = tiers(profile, items(weak)).iloc[0]
    assert row["tier"] == "" and row["sensitivity"] == "" and row["items"] == 0
    assert tiers(profile, items(weak, {"evidence_id": "2", "level": "C"})).iloc[0]["tier"] == "II"


def test_the_best_item_decides_and_the_two_directions_stay_apart() -> None:
    table = items({"level": "D", "where": "elsewhere"}, {"evidence_id": "2", "level": "B", "effect": "resistance", "therapies": "Y"},
                  {"evidence_id": "3", "evidence_type": "Prognostic", "effect": "worse", "therapies": "", "level": "C"})
    row = tiers(TumourProfile((KRAS,)), table).iloc[0]
    assert (row["tier"], row["sensitivity"], row["resistance"], row["items"]) == ("I", "X (D, elsewhere)", "Y (B, site)", 3)
    assert row["reasons"] == "EID2 (B, site)" and "worse" in row["prognosis"]


def test_a_combination_in_two_orders_is_one() -> None:
    table = items({"therapies": "X + Y"}, {"evidence_id": "2", "therapies": "Y + X", "level": "B"}, {"evidence_id": "3", "therapies": "Y, then X"})
    assert tiers(TumourProfile((KRAS,)), table).iloc[0]["sensitivity"] == "X + Y (A, site); Y, then X (A, site)"


def test_without_evidence_a_rare_change_of_a_cancer_gene_is_tier_three() -> None:
    profile = TumourProfile(tuple(Alteration("mutation", "APC", f"APC {n}", key=str(n)) for n in range(4)) + (mutation("TTN", "V1E"),))
    table = tiers(profile, items().iloc[:0], {"APC": "suppressor"}, {"0": 0.0, "1": 0.0009, "2": 0.001},
                  {"APC 0": "likely benign"}).set_index("alteration")
    assert table["tier"].to_dict() == {"APC 1": "III", "APC 3": "III", "APC 0": "IV", "APC 2": "", "TTN V1E": ""}
    assert "not assessed" in table.loc["APC 3", "reasons"] and list(table["tier"]) == sorted(table["tier"], key=TIERS.index)


# ---- the profile


def variants(**columns: list[object]) -> pd.DataFrame:
    n = len(columns["gene"])
    plain = {"contig": "1", "position": range(n), "ref": "C", "alt": "T", "hgvs_c": "", "hgvs_p": "", "exon": "", "tumour_vaf": 0.3}
    return pd.DataFrame({name: [value] * n if isinstance(value, (str, float)) else list(value) for name, value in (plain | columns).items()})


def test_silent_changes_and_calls_without_a_gene_are_left_out() -> None:
    table = variants(gene=["KRAS", "APC", "", "MET", "TP53"], hgvs_p=["p.G12D", "p.L5=", "", "", ""], hgvs_c=["", "", "", "", "c.375+1G>A"],
                     consequence=["missense_variant", "synonymous_variant", "stop_gained", "splice_donor_variant", "splice_donor_variant&intron_variant"])
    copies = pd.DataFrame({"gene": ["ERBB2", "KRAS", "CDKN2A"], "total": [12.0, 3.0, 0.0], "state": ["amplification", "gain", "homozygous deletion"]})
    found = profile_of(table, copies, None, True, False)
    assert [a.name for a in found.alterations] == ["KRAS G12D", "MET splice_donor", "TP53 c.375+1G>A", "ERBB2 amplification",
                                                   "CDKN2A homozygous deletion", "MSI high"]
    assert found.alterations[0].copies == 3 and found.alterations[0].state == "gain"
    assert found.copies_read and not found.fusions_read and profile_of(table.iloc[:0]).alterations == ()


def test_a_name_in_a_page_is_no_markup() -> None:
    shown = profile_of(variants(gene=["<script>x</script>"], consequence=["stop_gained"]))._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown


# ---- sites


def test_sites_name_their_diseases() -> None:
    assert site(" coad ").code == "COAD" and site("COAD").where("DOID:9256") == site("COAD").where("9256") == "site"
    assert site("COAD").where("162") == "any cancer" and site("COAD").where("1909") == "elsewhere" and site("COAD").where("", "") == "not stated"
    assert site("COAD").where("", "Solid Tumor") == "any cancer" and site("AML").where("", "Solid Tumor") == "elsewhere"
    assert all(s.english and s.french and (s.diseases or s.code == "CUP") for s in SITES.values())


@pytest.mark.parametrize(("code", "near"), [("COADD", "COAD"), ("LUADX", "LUAD"), ("colon", ""), ("", ""), ("<b>", ""), ("A" * 500, "")])
def test_a_site_that_is_not_known(code: str, near: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        site(code)
    assert near in str(caught.value) and "\n" not in str(caught.value) and "A" * 50 not in str(caught.value)


# ---- the file


def table(folder: Path, **cells: str) -> Path:
    names = [*NEEDED, *OPTIONAL]
    row = dict.fromkeys(names, "") | {"molecular_profile": "KRAS G12D", "disease": "Cancer", "doid": "162", "evidence_type": "Predictive",
                                      "evidence_direction": "Supports", "evidence_level": "A", "significance": "Resistance", "evidence_status": "accepted",
                                      "evidence_id": "7", "variant_origin": "Somatic", "last_review_date": "2016-01-01 00:00:00 UTC"}
    path = folder / "evidence.tsv"
    rows = [row | {"evidence_id": "6"}, row | cells]
    path.write_text("\n".join("\t".join(r[n] for n in names) for r in [dict(zip(names, names, strict=True)), *rows]) + "\n")
    return path


def test_old_flagged_and_germline_items_are_shown_as_such(tmp_path: Path) -> None:
    read = read_evidence(table(tmp_path, is_flagged="true", variant_origin="Rare Germline"))
    found = evidence_for(TumourProfile((KRAS,)), Evidence.of(read), site("COAD"), DAY).set_index("evidence_id")
    assert found.loc["7", "flagged"] and found.loc["7", "germline"] and not found.loc["6", "flagged"]
    assert found.loc["7", "years"] == pytest.approx(10, abs=0.01) and found.loc["6", "effect"] == "resistance"


def test_a_review_date_that_is_none_has_no_age(tmp_path: Path) -> None:
    read = read_evidence(table(tmp_path, last_review_date="2020-13-45 00:00"))
    found = evidence_for(TumourProfile((KRAS,)), Evidence.of(read), site("COAD"), DAY).set_index("evidence_id")
    assert np.isnan(found.loc["7", "years"]) and found.loc["6", "years"] > 0


def test_a_line_without_an_end_is_not_read_whole(tmp_path: Path) -> None:
    import tracemalloc

    path = table(tmp_path)
    packed = gzip.compress(path.read_bytes() + b"x" * (100 << 20), 1)
    path.write_bytes(packed)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="evidence.tsv, line 4: .*without an end"):
            read_evidence(path)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_items_that_were_not_accepted_are_left_out(tmp_path: Path) -> None:
    assert read_evidence(table(tmp_path, evidence_status="submitted", evidence_level="?"))["evidence_id"].tolist() == ["6"]


@pytest.mark.parametrize(("cells", "words"), [
    ({"evidence_level": "F"}, "line 3, field evidence_level"), ({"evidence_type": "<b>"}, "line 3, field evidence_type"),
    ({"evidence_id": "6"}, "line 3, field evidence_id"), ({"evidence_id": "x"}, "line 3, field evidence_id"), ({"disease": "a\tb"}, "line 3: not"),
    ({"disease": "x" * 200_000}, "without an end")])
def test_an_item_that_cannot_be_read(tmp_path: Path, cells: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_evidence(table(tmp_path, **cells))
    assert words in str(caught.value) and "<b>" not in str(caught.value)


def test_files_that_hold_no_evidence(tmp_path: Path, shared_data: Path) -> None:
    head = table(tmp_path).read_text().splitlines()[0] + "\n"
    for content in (b"", b"\n", head.encode(), b"\xff\xfe", b"\x1f\x8b\x08", head.replace("doid", "id").encode(),
                    (shared_data / "tumour/tcga_laml_annot.tsv").read_bytes()):
        path = tmp_path / "bad.tsv"
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_evidence(path)
        assert "bad.tsv" in str(caught.value)
