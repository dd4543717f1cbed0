"""Changes of a protein: one change, whoever writes it; the rule on decay at both sides of its thresholds; text that lies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomics_nb.variant.protein import (
    EXON_BASES,
    ONE_LETTER,
    TAIL,
    exon_of,
    hgvs_p_of,
    nmd_at,
    nmd_hint,
    parse_csq_change,
    parse_hgvs_p,
)

NAMES = st.sampled_from(sorted(set(ONE_LETTER) - {"Ter", "Xaa"}))
LETTERS = st.sampled_from("ACDEFGHIKLMNPQRSTVWY")


# ---- HGVS in

@given(before=NAMES, after=NAMES, residue=st.integers(2, 35000))
def test_an_exchange_is_the_same_in_every_spelling(before: str, after: str, residue: int) -> None:
    if before == after:
        return
    one, other = ONE_LETTER[before], ONE_LETTER[after]
    want = parse_hgvs_p(f"p.({before}{residue}{after})")
    assert want == ("exchange", residue, residue, one, other, -1)
    for text in (f"ENSP1.2:p.{before}{residue}{after}", f"p.{one}{residue}{other}", f"NP_1:p.%28{before}{residue}{after}%29"):
        assert parse_hgvs_p(text) == want
    assert parse_csq_change(f"{residue}{one}>{residue}{other}") == want and hgvs_p_of(want) == f"p.({before}{residue}{after})"


@pytest.mark.parametrize(("text", "want"), [
    ("p.Arg97ProfsTer23", ("frameshift", 97, 97, "R", "P", 119)),  # the stop counts the first changed residue as 1
    ("p.(Arg97Profs*23)", ("frameshift", 97, 97, "R", "P", 119)),
    ("p.R97PfsX23", ("frameshift", 97, 97, "R", "P", 119)),
    ("p.Glu5ValfsTer1", ("frameshift", 5, 5, "E", "V", 5)),
    ("p.Arg97fs", ("frameshift", 97, 97, "R", "", -1)),
    ("p.Ile327ArgfsTer?", ("frameshift", 327, 327, "I", "R", -1)),
    ("p.Trp26Ter", ("nonsense", 26, 26, "W", "*", 26)),
    ("p.(Trp26*)", ("nonsense", 26, 26, "W", "*", 26)),
    ("p.Ter110GlnextTer17", ("extension", 110, 110, "*", "Q", 127)),
    ("p.*110Glnext*17", ("extension", 110, 110, "*", "Q", 127)),
    ("p.Ter327ArgextTer?", ("extension", 327, 327, "*", "R", -1)),
    ("p.Ter110Gln", ("stop lost", 110, 110, "*", "Q", -1)),
    ("p.Ter110=", ("silent", 110, 110, "*", "*", -1)),
    ("p.Met1?", ("start lost", 1, 1, "M", "", -1)),
    ("p.(M1?)", ("start lost", 1, 1, "M", "", -1)),
    ("p.Met1Val", ("start lost", 1, 1, "M", "V", -1)),
    ("p.Met2Val", ("exchange", 2, 2, "M", "V", -1)),
    ("p.Leu54=", ("silent", 54, 54, "L", "L", -1)),
    ("p.(Leu54%3D)", ("silent", 54, 54, "L", "L", -1)),
    ("p.Leu54Leu", ("silent", 54, 54, "L", "L", -1)),
    ("p.Phe508del", ("in-frame", 508, 508, "F", "", -1)),
    ("p.Lys23_Val25del", ("in-frame", 23, 25, "K", "", -1)),
    ("p.Ala3_Ser5dup", ("in-frame", 3, 5, "A", "", -1)),
    ("p.Ala3dup", ("in-frame", 3, 3, "A", "", -1)),
    ("p.His4_Gln5insAlaGly", ("in-frame", 4, 5, "H", "AG", -1)),
    ("p.H4_Q5insA*", ("in-frame", 4, 5, "H", "A*", 6)),
    ("p.Cys28delinsTrpVal", ("in-frame", 28, 28, "C", "WV", -1)),
    ("p.Cys28_Lys29delinsTrpTer", ("in-frame", 28, 29, "C", "W*", 29)),
    ("p.Sec49Pyl", ("exchange", 49, 49, "U", "O", -1)),
])
def test_each_form_of_hgvs_is_read(text: str, want: tuple[object, ...]) -> None:
    assert parse_hgvs_p(text) == want == parse_hgvs_p(f"NP_000001.2:{text}")


@pytest.mark.parametrize("text", [
    "p.?", "p.0", "p.(=)", "p.=", "", "p.", ":", "p.Foo12Bar", "p.Arg12Foo", "p.Arg12Foofs", "p.Cys28delinsTrpFoo", "p.MetLys1006ArgGlu",
    "p.Arg0Trp", "p.Val25_Lys23del", "p.Arg4?", "p.Arg4", "p.Arg4Trp;", "c.35del", "<b>p.R4W</b>", "p.R4W<script>", "p.[Arg4Trp;Gly5Ala]",
    "p.Arg1234567Trp", "p.Arg٤Trp", "p.R4W\x00", "p.R4W\np.R5W", "p.R4W" * 900, "p.R4delins" + "W" * 5000])
def test_what_is_no_single_change_gives_none(text: str) -> None:
    assert parse_hgvs_p(text) is None


@given(text=st.text(max_size=60), flag=st.booleans())
def test_no_text_breaks_the_readers(text: str, flag: bool) -> None:
    for change in (parse_hgvs_p(text), parse_hgvs_p(f"p.{text}"), parse_csq_change(text, flag)):
        assert hgvs_p_of(change) == "" or change is not None
    assert nmd_hint("stop_gained", text) in {"triggers", "escapes", "unknown"}


def test_long_text_is_read_and_not_remembered() -> None:
    from genomics_nb.variant import protein

    before = protein._parse_csq.cache_info().currsize
    tail = "A" * 30000
    assert parse_csq_change(f"12G{tail}>12V{tail}*", True) == ("frameshift", 12, 12, "G", "V", 12 + 1 + len(tail))
    assert protein._parse_csq.cache_info().currsize == before


# ---- bcftools csq in

@pytest.mark.parametrize(("text", "shift", "want", "told"), [
    ("2V>2I", False, ("exchange", 2, 2, "V", "I", -1), "p.(Val2Ile)"),
    ("1Y", False, ("silent", 1, 1, "Y", "Y", -1), "p.(Tyr1=)"),
    ("4LR", False, ("silent", 4, 5, "LR", "LR", -1), ""),
    ("10T>10*", False, ("nonsense", 10, 10, "T", "*", 10), "p.(Thr10Ter)"),
    ("10GT>10G*", False, ("nonsense", 11, 11, "T", "*", 11), "p.(Thr11Ter)"),
    ("1M>1I", False, ("start lost", 1, 1, "M", "I", -1), "p.(Met1?)"),
    ("5TY>5I", False, ("in-frame", 5, 6, "TY", "I", -1), ""),
    ("5TYK>5TK", False, ("in-frame", 6, 7, "YK", "K", -1), ""),
    ("8L>8LR", False, ("in-frame", 8, 9, "L", "R", -1), ""),
    ("9*>9QK*", False, ("extension", 9, 9, "*", "Q", 11), "p.(Ter9GlnextTer2)"),
    ("9*>9QK*", True, ("extension", 9, 9, "*", "Q", 11), "p.(Ter9GlnextTer2)"),
    ("9*>9QK", False, ("extension", 9, 9, "*", "Q", -1), "p.(Ter9GlnextTer?)"),
    ("12GVAP*>12VKQ*", True, ("frameshift", 12, 12, "G", "V", 15), "p.(Gly12ValfsTer4)"),
    ("12GVAP*>12GVK*", True, ("frameshift", 14, 14, "A", "K", 15), "p.(Ala14LysfsTer2)"),
    ("12GVAP*>12GV*", True, ("nonsense", 14, 14, "A", "*", 14), "p.(Ala14Ter)"),
    ("11VVRTY>11*", True, ("nonsense", 11, 11, "V", "*", 11), "p.(Val11Ter)"),
    ("12GVAP*>12VKQ", True, ("frameshift", 12, 12, "G", "V", -1), "p.(Gly12ValfsTer?)"),
    ("12G..89>12V..90", True, ("frameshift", 12, 12, "G", "V", -1), "p.(Gly12ValfsTer?)"),  # cut short by --trim-protein-seq
    ("12GX>12GR", False, ("exchange", 13, 13, "X", "R", -1), "p.(Xaa13Arg)"),
])
def test_each_form_of_bcftools_is_read(text: str, shift: bool, want: tuple[object, ...], told: str) -> None:
    change = parse_csq_change(text, shift)
    assert change == want and hgvs_p_of(change) == told


@pytest.mark.parametrize("text", ["", "@107", ".", "12", "V2I", "0V>0I", "2V>3I", "2V>2I\n", "2V>2I ", "2v>2i", "1234567V", "٢V>٢I", "2V>2I>2L",
                                  "12GV..89>12GV..90", "12GV..89>12GVA..90"])
def test_what_bcftools_does_not_write_or_cut_too_early_gives_none(text: str) -> None:
    assert parse_csq_change(text) is None and hgvs_p_of(None) == ""


@given(residue=st.integers(2, 5000), same=st.text("ACDEFGHIKLMNPQRSTVWY", max_size=4), old=LETTERS, new=LETTERS,
       tail=st.text("ACDEFGHIKLMNPQRSTVWY", max_size=6))
def test_a_frameshift_survives_the_way_to_hgvs_and_back(residue: int, same: str, old: str, new: str, tail: str) -> None:
    if old == new:
        return
    change = parse_csq_change(f"{residue}{same}{old}GG*>{residue}{same}{new}{tail}*", True)
    assert change is not None and change.first == residue + len(same) and change.stop == change.first + len(tail) + 1
    assert parse_hgvs_p(hgvs_p_of(change)) == change


# ---- decay of the messenger

def test_the_exon_decides_what_it_can() -> None:
    assert [nmd_hint("stop_gained", f"{i}/4") for i in range(1, 5)] == ["triggers", "triggers", "unknown", "escapes"]
    assert nmd_hint("stop_gained", "1/1") == "escapes"
    for exon in ("", "5/4", "0/4", "x", "3", "1/0", "-1/4", "1/4/5", "99999/99999"):
        assert exon_of(exon) is None and nmd_hint("frameshift_variant", exon) == "unknown"
    assert exon_of("3-4/5") == (4, 5) == exon_of(" 4/5 ")
    for terms in ("missense_variant", "inframe_deletion", "splice_donor_variant", ""):
        assert nmd_hint(terms, "2/9") == ""


def test_a_frameshift_triggers_until_its_stop_may_lie_in_the_last_two_exons() -> None:
    reach = EXON_BASES - TAIL  # bases from the exon before the last but one
    last = reach // 3
    for more, hint in ((last, "triggers"), (last + 1, "unknown")):
        assert nmd_hint("frameshift_variant", "2/4", parse_hgvs_p(f"p.Gly12ValfsTer{more + 1}")) == hint
    assert nmd_hint("frameshift_variant", "2/4", parse_hgvs_p("p.Gly12Valfs")) == "triggers"  # as for a stop of unknown place
    assert nmd_hint("frameshift_variant", "2/5", parse_hgvs_p(f"p.Gly12ValfsTer{last + 2}")) == "triggers"


@pytest.mark.parametrize(("stop", "junctions", "hint"), [
    (83, [150, 300], "triggers"), (84, [150, 300], "escapes"),  # last base 249 or 252, and the last fifty begin at 251
    (100, [150, 350], "triggers"), (101, [150, 350], "escapes"),  # 300 is the base before the last fifty
    (1, [], "escapes"), (-1, [150, 300], "unknown"), (0, [150], "unknown"),
    (40, [-20, 0], "escapes"),  # all junctions in the 5' UTR
    (100, [90, 300 + 51], "triggers"), (100, [90, 300 + 49], "escapes"),  # a junction in the 3' UTR counts
])
def test_nmd_by_the_exons_at_each_side_of_fifty_bases(stop: int, junctions: list[int], hint: str) -> None:
    assert nmd_at(stop, junctions) == hint
