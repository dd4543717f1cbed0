"""PED files of every shape, what cannot be true, relatives, and the drawing."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import GenomicsError, InputError, NotFoundError, ParameterError
from genomics_nb.store.drawing import draw, positions
from genomics_nb.store.ped import Member, parse_ped
from genomics_nb.store.pedigree import Pedigree, pedigree_from_members, read_ped

SVG = "{http://www.w3.org/2000/svg}"


# ---- reading ----------------------------------------------------------------------------------------------------------

def test_every_real_ped_file_is_read(shared_data):
    files = sorted(shared_data.glob("*/*.ped"))
    assert len(files) > 10
    for file in files:
        pedigree = read_ped(file)
        lines = [line for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")]
        assert sum(m.declared for m in pedigree.members.values()) == len(lines), file.name


def test_tabs_with_empty_cells_mean_unknown_parents():
    pedigree = read_ped("S\tmum\t\t\t2\t1\nS\tdad\t\t\t1\t1\nS\tkid\tdad\tmum\t1\t2\n")
    assert pedigree.trios() == [("kid", "dad", "mum")] and pedigree.founders() == ["mum", "dad"]


@pytest.mark.parametrize("text", [
    "F kid dad mum 1 2\nF mum 0 0 2 1\nF dad 0 0 1 1\n",
    "\ufeffF\tkid\tdad\tmum\t1\t2\r\nF\tmum\t0\t0\t2\t1\r\nF\tdad\t0\t0\t1\t1\r\n",
    "# made by hand\n\nF   kid dad\tmum 1 2\nF mum -9 . F unaffected\nF dad 0 0 male 1\n",
    ("family\tindividual\tfather\tmother\tsex\tphenotype\tcentre\n"
     "F\tkid\tdad\tmum\t1\t2\tA\nF\tmum\t0\t0\t2\t1\t\nF\tdad\t0\t0\t1\t1\tB\n"),
    ("#Family_ID Individual_ID Paternal_ID Maternal_ID Sex Phenotype ethnicity\n"
     "F kid dad mum 1 2 x\nF mum 0 0 2 1 x\nF dad 0 0 1 1 x\n"),
])
def test_one_family_in_many_spellings_is_the_same_family(text):
    pedigree = read_ped(text)
    assert {m.id: (m.father, m.mother, m.sex, m.affected) for m in pedigree.members.values()} == {
        "kid": ("dad", "mum", "male", True), "mum": (None, None, "female", False), "dad": (None, None, "male", False)}


def test_a_first_line_of_data_is_never_taken_for_a_header():
    pedigree = read_ped("family1 sample1 father1 mother1 1 2\n")
    assert pedigree.affected == ["sample1"] and len(pedigree.members) == 3


def test_parents_without_a_line_are_members_without_data_and_take_their_sex_from_their_role():
    pedigree = read_ped("F kid dad mum 0 2\nF dad 0 0 -1 1\n")
    assert (pedigree.member("dad").sex, pedigree.member("dad").declared) == ("male", True)
    assert (pedigree.member("mum").sex, pedigree.member("mum").declared) == ("female", False)


@pytest.mark.parametrize("value", ["37.2", "5", "-3", "1e4"])
def test_a_quantitative_phenotype_is_refused_with_its_line(value):
    with pytest.raises(InputError, match=r"line 2.*measurement"):
        read_ped(f"F a 0 0 1 2\nF b 0 0 1 {value}\n")


@pytest.mark.parametrize("code", ["0", "-9", ".", "", "NA", "unknown", "-1", "HP:0001250"])
def test_an_unknown_phenotype_is_neither_affected_nor_unaffected(code):
    assert parse_ped(f"F\ta\t0\t0\t1\t{code}\n")["a"].affected is None


@pytest.mark.parametrize("code", ["0", "-9", ".", "", "3", "other", "-1"])
def test_an_unknown_sex_code_is_unknown(code):
    assert parse_ped(f"F\ta\t0\t0\t{code}\t1\n")["a"].sex == "unknown"


@pytest.mark.parametrize("text,line,words", [
    ("F a b 0 1 2\nF b a 0 1 1\n", None, "own ancestor"),
    ("F a b 0 1 2\nF b c 0 1 1\nF c a 0 1 1\n", None, "own ancestor"),
    ("F a a 0 1 2\n", None, "own ancestor"),
    ("F kid mum dad 1 2\nF mum 0 0 2 1\nF dad 0 0 1 1\n", 1, "female"),
    ("F kid both both 1 2\n", 1, "same person"),
    ("F a 0 0 1 2\nF a 0 0 1 2\n", 2, "twice"),
    ("F a 0 0 1 2\nG a 0 0 1 2\n", 2, "two families"),
    ("F kid dad 0 1 2\nG dad 0 0 1 1\n", 1, "another family"),
    ("F a x 0 1 2\nF b 0 x 1 2\n", 2, "male"),
    ("F a 0 0 1\n", 1, "columns"),
    ("F ../a 0 0 1 2\n", 1, "character"),
    ("F <b>a</b> 0 0 1 2\n", 1, "character"),
    ("F\ta\0b\t0\t0\t1\t2\n", 1, "character"),
    ("F .. 0 0 1 2\n", 1, "character"),
    ("..\ta\t0\t0\t1\t2\n", 1, "character"),
    ("\ta\t0\t0\t1\t2\n", 1, "missing"),
    ("F 0 0 0 1 2\n", 1, "missing"),
    (f"F {'x' * 200} 0 0 1 2\n", 1, "longer"),
    ("# only a comment\n", None, "no person"),
])
def test_what_cannot_be_true_is_one_line_with_its_place(text, line, words):
    with pytest.raises(InputError) as caught:
        read_ped(text)
    message = str(caught.value)
    assert words in message and "\n" not in message and caught.value.exit_code == 2
    if line is not None:
        assert f"line {line}" in message


def test_messages_name_lines_and_never_a_person():
    for text in ("F Dupont_Marie 0 0 2 1\nF Dupont_Marie 0 0 2 1\n", "F Dupont_Marie Dupont_Marie 0 1 2\n",
                 "F kid Dupont_Marie 0 1 2\nF Dupont_Marie 0 0 2 1\n"):
        with pytest.raises(InputError) as caught:
            read_ped(text)
        assert "Dupont" not in str(caught.value)


def test_twins_come_from_a_named_column_and_must_share_parents_and_sex_if_identical():
    header = "#family person father mother sex phenotype mz_twin\n"
    twins = read_ped(header + "F a d m 1 2 T1\nF b d m 1 1 T1\nF c d m 1 1 T2\nF d 0 0 1 1 0\nF m 0 0 2 1 .\n")
    assert twins.member("a").identical and twins.relationship("a", "b") == "identical twins"
    assert twins.member("c").twin is None  # alone with the label
    assert twins.kinship("a", "b") == 0.5
    with pytest.raises(InputError, match="different parents"):
        read_ped(header + "F a d m 1 2 T\nF b d x 1 1 T\n")
    with pytest.raises(InputError, match="differ in sex"):
        read_ped(header + "F a d m 1 2 T\nF b d m 2 1 T\n")


def test_a_missing_file_and_a_binary_file_are_said_to_be_so(tmp_path):
    with pytest.raises(NotFoundError):
        read_ped(tmp_path / "no.ped")
    (tmp_path / "bin.ped").write_bytes(b"\xff\xfe\x00F")
    with pytest.raises(InputError, match="UTF-8"):
        read_ped(tmp_path / "bin.ped")


def test_rows_from_a_form_are_checked_like_a_file():
    pedigree = pedigree_from_members([Member("k", "F", "d", "m", "male", True)], proband="k")
    assert pedigree.proband == "k" and set(pedigree.members) == {"k", "d", "m"}
    with pytest.raises(InputError):
        pedigree_from_members([Member("k", "F", "k", None)])
    with pytest.raises(InputError):
        pedigree_from_members([Member("a/b", "F")])


# ---- relatives --------------------------------------------------------------------------------------------------------

@st.composite
def pedigrees(draw_from):
    """Random families: founders, then children of earlier men and women (half-siblings, loops and all)."""
    n = draw_from(st.integers(1, 14))
    members: list[Member] = []
    for i in range(n):
        sex = draw_from(st.sampled_from(["male", "female", "unknown"]))
        fathers = [m.id for m in members if m.sex == "male"]
        mothers = [m.id for m in members if m.sex == "female"]
        father = draw_from(st.sampled_from([None, *fathers]))
        mother = draw_from(st.sampled_from([None, *mothers]))
        members.append(Member(f"p{i}", "F", father, mother, sex, draw_from(st.sampled_from([True, False, None]))))
    return pedigree_from_members(members)


def slow_kinship(members, a, b):
    """Lange's recursion as it is written in the book."""
    def depth(p):
        return 1 + max((depth(q) for q in (members[p].father, members[p].mother) if q), default=0)
    if a == b:
        f, m = members[a].father, members[a].mother
        return 0.5 * (1 + (slow_kinship(members, f, m) if f and m else 0))
    if depth(a) < depth(b):
        a, b = b, a
    return sum(slow_kinship(members, p, b) for p in (members[a].father, members[a].mother) if p) / 2


@given(pedigrees())
@settings(max_examples=60, deadline=None)
def test_kinship_equals_the_recursion_of_the_book(pedigree):
    phi = pedigree.kinship_matrix()
    assert np.allclose(phi, phi.T)
    for a in pedigree.members:
        for b in pedigree.members:
            assert phi.loc[a, b] == pytest.approx(slow_kinship(pedigree.members, a, b))


@given(pedigrees())
@settings(max_examples=60, deadline=None)
def test_a_written_pedigree_reads_back(pedigree):
    again = read_ped(pedigree.to_ped())
    strip = {m.id: (m.father, m.mother, m.sex, m.affected) for m in pedigree.members.values()}
    assert {m.id: (m.father, m.mother, m.sex, m.affected) for m in again.members.values()} == strip


@pytest.mark.parametrize("pair,words,kinship", [
    (("a", "b"), "full siblings", 0.25), (("a", "h"), "half siblings", 0.125), (("a", "dad"), "parent-child", 0.25),
    (("a", "gdad"), "grandparent-grandchild", 0.125), (("a", "aunt"), "aunt or uncle-niece or nephew", 0.125),
    (("a", "cous"), "first cousins", 0.0625), (("dad", "mum"), "partners", 0.0), (("mum", "gdad"), "unrelated", 0.0),
])
def test_relationships_and_their_kinship(pair, words, kinship):
    pedigree = read_ped("""
F a dad mum 1 2
F b dad mum 2 1
F h dad mum2 2 1
F dad gdad gmum 1 1
F aunt gdad gmum 2 1
F cous hus aunt 1 1
""")
    assert pedigree.relationship(*pair) == pedigree.relationship(*pair[::-1]) == words
    assert pedigree.kinship(*pair) == kinship


def test_trios_of_the_sequenced_need_all_three():
    pedigree = read_ped("F a d m 1 2\nF b d m 1 1\n")
    assert pedigree.trios(["a", "d"]) == []
    assert pedigree.trios(["a", "d"], partial=True) == [("a", "d", None)]
    assert pedigree.trios(["a", "b", "d", "m"]) == [("a", "d", "m"), ("b", "d", "m")]


def test_the_proband_is_the_chosen_one_else_an_affected_child_else_an_affected_one():
    text = "F dad 0 0 1 2\nF kid dad mum 1 2\nF sib dad mum 2 1\n"
    assert read_ped(text).proband == "kid"
    assert read_ped(text).with_proband("sib").proband == "sib"
    assert read_ped("F a 0 0 1 1\n").proband is None
    with pytest.raises(NotFoundError):
        read_ped(text).with_proband("nobody")


# ---- the drawing ------------------------------------------------------------------------------------------------------

@given(pedigrees())
@settings(max_examples=80, deadline=None)
def test_every_member_is_drawn_once_below_their_parents_and_nobody_overlaps(pedigree):
    x, level, rows = positions(pedigree.members)
    assert sorted(p for row in rows for p in row) == sorted(pedigree.members)
    for row in rows:
        assert row, "an empty generation"
        assert all(x[b] - x[a] > 0.999 for a, b in zip(row, row[1:], strict=False))
    for m in pedigree.members.values():
        assert all(level[p] < level[m.id] for p in (m.father, m.mother) if p is not None)
    root = ElementTree.fromstring(pedigree.svg())
    shapes = [e for g in root.iter(f"{SVG}g") for e in g if e.tag in (f"{SVG}rect", f"{SVG}circle", f"{SVG}polygon")]
    assert len(list(root.iter(f"{SVG}g"))) == len(pedigree.members) <= len(shapes)
    width, height = map(float, root.get("viewBox").split()[2:])
    for circle in root.iter(f"{SVG}circle"):
        assert 0 < float(circle.get("cx")) < width and 0 < float(circle.get("cy")) < height


def test_the_symbols_follow_sex_and_status():
    pedigree = read_ped("F kid dad mum 0 2\nF dad 0 0 1 1\nF mum 0 0 2 0\n")
    root = ElementTree.fromstring(pedigree.svg(lang="en"))
    by_person = {g.find(f"{SVG}title").text.split(", ")[1]: g for g in root.iter(f"{SVG}g")}
    assert by_person["dad"].find(f"{SVG}rect").get("fill") == "#ffffff"
    assert by_person["kid"].find(f"{SVG}polygon").get("fill") != "#ffffff"
    assert by_person["mum"].find(f"{SVG}circle") is not None
    assert "?" in "".join(by_person["mum"].itertext())
    assert "proband" in by_person["kid"].find(f"{SVG}title").text


def test_the_drawing_speaks_and_its_ids_are_its_own():
    svg = read_ped("F kid dad mum 1 2\n").svg()
    root = ElementTree.fromstring(svg)
    ids = root.get("aria-labelledby").split()
    assert root.get("role") == "img" and [root.find(f"{SVG}title").get("id"), root.find(f"{SVG}desc").get("id")] == ids
    assert "famille F" in root.find(f"{SVG}title").text
    assert ids[0] not in read_ped("G kid dad mum 1 2\n").svg()


@given(st.text(max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_label_becomes_markup(label):
    printable = "".join(c for c in label if c.isprintable())
    pedigree = read_ped("F kid 0 0 1 2\n")
    root = ElementTree.fromstring(pedigree.svg(labels={"kid": printable}, title=printable))
    assert {e.tag for e in root.iter()} <= {SVG + t for t in
                                           ("svg", "title", "desc", "g", "rect", "line", "polygon", "text", "circle")}


def test_control_characters_in_a_label_do_not_break_the_drawing():
    pedigree = read_ped("F kid 0 0 1 2\n")
    ElementTree.fromstring(pedigree.svg(labels={"kid": "a\x00b\x1bc\ud800"}))


def test_a_double_line_joins_related_partners():
    cousins = read_ped("F a g h 1 1\nF b g h 2 1\nF c a x 1 1\nF d y b 2 1\nF kid c d 1 2\n")
    lone = read_ped("F kid c d 1 2\n")
    def marriage(pedigree):
        root = ElementTree.fromstring(pedigree.svg())
        ys = [(float(e.get("y1")), float(e.get("x1"))) for e in root.iter(f"{SVG}line") if e.get("y1") == e.get("y2")]
        return {x for _, x in ys if sum(other == x for _, other in ys) >= 2}
    assert marriage(cousins) and not marriage(lone)


def test_a_large_family_is_drawn_quickly(benchmark_seconds=5.0):
    import time
    lines = ["F p0 0 0 1 1", "F q0 0 0 2 1"]
    for i in range(1, 60):
        lines += [f"F p{i} p{(i - 1) // 2} q{(i - 1) // 2} 1 1", f"F q{i} 0 0 2 1"]
    start = time.perf_counter()
    root = ElementTree.fromstring(read_ped("\n".join(lines) + "\n").svg())
    assert len(list(root.iter(f"{SVG}g"))) == 120 and time.perf_counter() - start < benchmark_seconds


def test_another_language_or_an_empty_family_is_refused():
    with pytest.raises(ParameterError):
        read_ped("F kid 0 0 1 2\n").svg(lang="de")
    with pytest.raises(ParameterError):
        draw({})


@given(st.text(alphabet="FGab01 \t\n#2.-<x/", max_size=120))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_pedigree_or_a_clear_error(text):
    try:
        pedigree = Pedigree(parse_ped(text))
    except GenomicsError as error:
        assert not re.search(r"[\n\r]", str(error))
    else:
        assert pedigree.members and ElementTree.fromstring(pedigree.svg()) is not None
