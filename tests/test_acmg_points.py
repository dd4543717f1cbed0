"""Combining ACMG/AMP codes: every code at every strength, each boundary, and two independent readings of the published tables."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import ParameterError
from genomics_nb.variant.points import (
    CLASSES,
    CODES,
    NEVER,
    POINTS,
    USUAL,
    Code,
    class_2015,
    class_by_points,
    class_of_points,
    code_of,
    codes_of,
    combine,
    points_of,
)

FOR = [c for c in CODES if c.startswith("P")]
AGAINST = [c for c in CODES if c.startswith("B") and c != "BA1"]


def test_the_26_codes_in_use_are_known_and_the_two_retired_ones_refused():
    assert len(CODES) == 26 == len(set(CODES))
    assert {"PVS1", "PS4", "PM6", "PP4", "BA1", "BS4", "BP7"} <= set(CODES)
    for name in NEVER:
        with pytest.raises(ParameterError, match="another's verdict"):
            code_of(name)
        with pytest.raises(ParameterError):
            combine(f"PVS1;{name}_Strong")


@pytest.mark.parametrize("name", CODES)
def test_each_code_keeps_its_usual_strength_and_takes_every_other(name: str):
    usual = {"PVS": "very strong", "PS": "strong", "PM": "moderate", "PP": "supporting",
             "BA": "stand-alone", "BS": "strong", "BP": "supporting"}[name[:-1]]
    assert code_of(name).strength == usual and code_of(name).label == name
    for strength, points in {"supporting": 1, "moderate": 2, "strong": 4, "very strong": 8}.items():
        written = f"{name}_{strength.title().replace(' ', '')}"
        if name == "BA1":
            with pytest.raises(ParameterError, match="no strength of BA1"):
                code_of(written)
            continue
        found = code_of(written)
        assert found == (name, strength) and found.points == (points if name[0] == "P" else -points)
        assert code_of(found.label) == found and code_of(written.lower()) == found


@pytest.mark.parametrize("text", ["", "PM", "PM7", "PVS2", "BP8", "PM2_", "PM2_Stand-alone", "PM2_Supporting_x", "BA1_Strong",
                                  "<script>", "PM2\u0000", "PM2_Suppörting", "P" * 5000])
def test_what_is_no_code_is_refused_by_name(text: str):
    if text == "PM2_":
        assert code_of(text) == ("PM2", "moderate")  # nothing behind the line: the usual strength
        return
    with pytest.raises(ParameterError) as caught:
        code_of(text)
    assert len(str(caught.value)) < 700 and "\u0000" not in str(caught.value)


def test_a_code_given_twice_is_refused_and_any_separator_is_read():
    with pytest.raises(ParameterError, match="PM2 given twice"):
        codes_of("PM2;PM2_Supporting")
    assert codes_of("PVS1, PM2;PP3\nBP4") == codes_of(["PVS1", "PM2", "PP3", "BP4"])
    assert codes_of("") == () and combine("").by_points == "uncertain" == combine("").by_2015


@pytest.mark.parametrize(("points", "expected"), [
    (40, "pathogenic"), (10, "pathogenic"), (9, "likely pathogenic"), (6, "likely pathogenic"), (5, "uncertain"), (0, "uncertain"),
    (-1, "likely benign"), (-6, "likely benign"), (-7, "benign"), (-40, "benign")])
def test_each_range_ends_where_it_should(points: int, expected: str):
    assert class_of_points(points) == expected


@pytest.mark.parametrize(("text", "points", "expected", "held"), [
    ("BP4", -1, "uncertain", "weak"), ("BP1", -1, "uncertain", "weak"), ("BP1;BP4", -2, "likely benign", ""),
    ("BP4;BP7;PP4", -1, "uncertain", "weak"), ("BS2_Supporting;BP1;PM2_Supporting", -1, "uncertain", "weak"),
    ("BS1;PM2;PP4", -1, "likely benign", ""), ("BS1", -4, "likely benign", ""), ("BS1;BS2", -8, "benign", ""),
    ("BS1;BP1;BP4;BP7", -7, "benign", ""), ("BS1;BP1;BP7", -6, "likely benign", ""),
    ("BP4_Moderate", -2, "likely benign", ""), ("BP4_Strong", -4, "likely benign", ""),
    ("BP4_VeryStrong", -8, "likely benign", "computed"), ("BP4_VeryStrong;PM2_Supporting", -7, "likely benign", "computed"),
    ("BP4_VeryStrong;BP1", -9, "benign", ""), ("PP3_VeryStrong", 8, "uncertain", "computed"),
    ("PP3_VeryStrong;BP1", 7, "uncertain", "computed"), ("PP3_Strong", 4, "uncertain", ""),
    ("PP3_Strong;PM2", 6, "likely pathogenic", ""), ("PP3_VeryStrong;PM2", 10, "pathogenic", ""),
    ("BA1", None, "benign", "alone"), ("BA1;PVS1;PS1;PS3", None, "benign", "alone")])
def test_the_rules_before_the_ranges(text: str, points: int | None, expected: str, held: str):
    made = combine(text)
    assert (made.points, made.by_points, made.held) == (points, expected, held)
    assert made.held == "" or made.notes("en")[0] != made.notes("fr")[0]


@pytest.mark.parametrize(("pair", "points"), [
    ("PM1_Supporting;PP3", 2), ("PM1;PP3", 3), ("PM1;PP3_Moderate", 4), ("PM1;PP3_Strong", 4), ("PM1_Strong;PP3", 4),
    ("PM1_Supporting;PP3_Strong", 4), ("PM1_Strong;PP3_Strong", 4), ("PP3_Strong", 4), ("PM1", 2)])
def test_hot_spot_and_predictor_give_four_points_at_most(pair: str, points: int):
    assert points_of(codes_of(pair)) == points
    assert points_of(codes_of(pair + ";PM2;BP5")) == points + 1
    assert any("PM1" in n for n in combine(pair).notes()) == (sum(c.points for c in codes_of(pair)) > 4)


def test_the_cap_holds_for_the_rules_of_2015_too():
    assert class_2015(codes_of("PM1;PP3_Strong")) == "uncertain"  # without the cap one strong and one moderate: likely pathogenic
    assert class_2015(codes_of("PM1;PP3_Strong;PM2")) == "likely pathogenic"


def reference_2015(vs: int, s: int, m: int, p: int, alone: int, bs: int, bp: int) -> str:
    """Table 5 of Richards 2015, sentence by sentence, with ClinGen's added row; very strong beyond the first counts as strong."""
    s, vs = s + max(vs - 1, 0), min(vs, 1)
    pathogenic = (vs == 1 and (s >= 1 or m >= 2 or (m >= 1 and p >= 1) or p >= 2)) or s >= 2 or (
        s == 1 and (m >= 3 or (m == 2 and p >= 2) or (m == 1 and p >= 4)))
    likely_pathogenic = (vs == 1 and m >= 1) or (s == 1 and m >= 1) or (s == 1 and p >= 2) or m >= 3 or (
        m == 2 and p >= 2) or (m == 1 and p >= 4) or (vs == 1 and p == 1)
    benign, likely_benign = bs >= 2, (bs == 1 and bp >= 1) or bp >= 2
    if alone:
        return "benign"
    if (pathogenic or likely_pathogenic) and (benign or likely_benign):
        return "uncertain"
    return ("pathogenic" if pathogenic else "likely pathogenic" if likely_pathogenic else
            "benign" if benign else "likely benign" if likely_benign else "uncertain")


def some(vs: int, s: int, m: int, p: int, alone: int, bs: int, bm: int, bp: int) -> list[Code]:
    """Codes with these strengths; PM1 and PP3 are not both among them."""
    names, others = iter([c for c in FOR if c != "PM1"]), iter(AGAINST)
    made = [Code(next(names), k) for k, n in (("very strong", vs), ("strong", s), ("moderate", m), ("supporting", p)) for _ in range(n)]
    made += [Code(next(others), k) for k, n in (("strong", bs), ("moderate", bm), ("supporting", bp)) for _ in range(n)]
    return made + [Code("BA1", "stand-alone")] * alone


def test_the_table_of_2015_over_all_small_counts():
    seen = set()
    for vs, s, m, p, alone, bs, bm, bp in itertools.product(
            range(3), range(4), range(4), range(5), range(2), range(3), range(2), range(3)):
        if vs + s + m + p <= 14:
            expected = reference_2015(vs, s, m, p, alone, bs, bp + 2 * bm)
            assert class_2015(some(vs, s, m, p, alone, bs, bm, bp)) == expected, (vs, s, m, p, alone, bs, bm, bp)
            seen.add(expected)
    assert seen == set(CLASSES)


def test_clingens_row_is_said_and_can_be_left_out():
    made = combine("PVS1;PM2_Supporting")
    assert made.svi and "SVI" in " ".join(made.notes()) and "SVI" in " ".join(made.notes("fr"))
    assert class_2015(made.codes, svi=False) == "uncertain" and class_2015(codes_of("PVS1")) == "uncertain"
    assert not combine("PVS1;PM2").svi and not combine("PVS1;PM2_Supporting;PP4").svi


def reference_points(codes: list[tuple[str, str]]) -> str:
    """The class by points, written out from the text of the rules and nothing else."""
    given_ = dict(codes)
    if "BA1" in given_:
        return "benign"
    weight = {"supporting": 1, "moderate": 2, "strong": 4, "very strong": 8}
    hot, computed = weight.get(given_.get("PM1", ""), 0), weight.get(given_.get("PP3", ""), 0)
    both = max(hot, computed, 4) if hot and computed and hot + computed > 4 else hot + computed
    up = both + sum(weight[s] for c, s in codes if c[0] == "P" and c not in ("PM1", "PP3"))
    down = sum(weight[s] for c, s in codes if c[0] == "B")
    total, others = up - down, [c for c, _ in codes if c not in ("PP3", "BP4")]
    if hot and computed > hot and hot + computed > 4:
        others.remove("PM1")  # not counted beside a predictor that is strong alone
    if total >= 6 and not any(c[0] == "P" for c in others):
        return "uncertain"
    if total >= 10:
        return "pathogenic"
    if total >= 6:
        return "likely pathogenic"
    if total >= 0:
        return "uncertain"
    if total == -1 and all(s == "supporting" for c, s in codes if c[0] == "B"):
        return "uncertain"
    return "likely benign" if total >= -6 or not any(c[0] == "B" for c in others) else "benign"


sets_of_codes = st.dictionaries(st.sampled_from([c for c in CODES if c != "BA1"]), st.sampled_from(list(POINTS)), max_size=9).map(
    lambda d: [Code(c, s) for c, s in d.items()])


@settings(max_examples=500, deadline=None)
@given(sets_of_codes, st.booleans(), st.randoms(use_true_random=False))
def test_points_agree_with_the_rules_written_out_and_the_order_does_not_matter(codes, alone, shuffle):
    codes = codes + [Code("BA1", USUAL["BA"])] * alone
    expected = reference_points([(c.code, c.strength) for c in codes])
    assert class_by_points(codes)[0] == expected
    shuffled = list(codes)
    shuffle.shuffle(shuffled)
    assert combine(shuffled).by_points == expected and combine(shuffled).by_2015 == combine(codes).by_2015


@settings(max_examples=500, deadline=None)
@given(sets_of_codes, st.sampled_from([c for c in CODES if c != "BA1"]), st.sampled_from(list(POINTS)))
def test_one_more_code_never_moves_the_class_the_other_way(codes, name, strength):
    before = [c for c in codes if c.code != name]
    place = CLASSES.index(class_by_points(before)[0])
    after = CLASSES.index(class_by_points([*before, Code(name, strength)])[0])
    assert after <= place if name.startswith("P") else after >= place


def test_where_the_two_disagree_both_languages_say_so():
    made = combine("BS1")
    assert (made.by_points, made.by_2015) == ("likely benign", "uncertain")
    assert "likely benign by points" in made.notes()[0] and "probablement bénin par les points" in made.notes("fr")[0]
    moderate = combine("BP4_Moderate")
    assert any("two supporting" in n for n in moderate.notes()) and any("deux « supporting »" in n for n in moderate.notes("fr"))
