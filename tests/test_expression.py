"""Filter expressions: the same answers as a plain evaluator, unknown as a third one, and nothing hostile gets in."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from genomics_nb.core.types import INDETERMINATE, NO, YES, ParameterError
from genomics_nb.rare.expression import DEEPEST, LONGEST, NAMES, names_table, read_rule, rule_table
from hypothesis import given, settings
from hypothesis import strategies as st

Row = dict[str, Any]
Plain = Callable[[Row], bool | None]  # None: unknown

# a plain evaluator, one row at a time, each expression built beside its text


def _compare(name: str, sign: str, value: Any) -> tuple[str, Plain]:
    test = {"==": lambda a: a == value, "!=": lambda a: a != value, "<": lambda a: a < value, "<=": lambda a: a <= value,
            ">": lambda a: a > value, ">=": lambda a: a >= value}[sign]
    return f"{name} {sign} {value!r}", lambda row: None if row[name] is None else bool(test(row[name]))


def _listed(name: str, values: list[Any], no: bool) -> tuple[str, Plain]:
    return (f"{name} {'not ' if no else ''}in {values!r}",
            lambda row: None if row[name] is None else (row[name] in values) != no)


def _term(term: str, no: bool) -> tuple[str, Plain]:
    return (f"{term!r} {'not ' if no else ''}in consequence",
            lambda row: None if row["consequence"] is None else (term in row["consequence"].split("&")) != no)


def _gone(name: str, no: bool) -> tuple[str, Plain]:
    return f"{name} is {'not ' if no else ''}None", lambda row: (row[name] is None) != no


def _truth(name: str) -> tuple[str, Plain]:
    return name, lambda row: row[name]


def _both(word: str, parts: list[tuple[str, Plain]]) -> tuple[str, Plain]:
    strong = word == "or"  # the answer that decides alone

    def answer(row: Row) -> bool | None:
        said = [of(row) for _, of in parts]
        return strong if strong in said else None if None in said else not strong

    return "(" + f" {word} ".join(text for text, _ in parts) + ")", answer


def _not(part: tuple[str, Plain]) -> tuple[str, Plain]:
    return f"not ({part[0]})", lambda row: None if (said := part[1](row)) is None else not said


NUMBERS, TRUTHS = ("popmax", "revel", "cadd", "position"), ("de_novo", "recessive", "compound")
TERMS = ("missense_variant", "stop_gained", "intron_variant", "splice_region_variant")
number = st.sampled_from([0.0, 1e-5, 0.01, 0.5, 1.0, 25.3, -1.0, 3])
leaf = st.one_of(
    st.builds(_compare, st.sampled_from(NUMBERS), st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), number),
    st.builds(_compare, st.just("impact"), st.sampled_from(["==", "!="]), st.sampled_from(["HIGH", "MODERATE", "LOW"])),
    st.builds(_compare, st.just("gene"), st.sampled_from(["==", "!="]), st.sampled_from(["A", "it's", 'B"', "C\\d", "é"])),
    st.builds(_listed, st.just("gene"), st.lists(st.sampled_from(["A", "it's", "é"]), max_size=3), st.booleans()),
    st.builds(_listed, st.just("cadd"), st.lists(number, max_size=3), st.booleans()),
    st.builds(_term, st.sampled_from(TERMS), st.booleans()),
    st.builds(_gone, st.sampled_from([*NUMBERS, *TRUTHS, "impact", "consequence"]), st.booleans()),
    st.builds(_truth, st.sampled_from(TRUTHS)))
tree = st.recursive(leaf, lambda inner: st.one_of(
    st.builds(_both, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)), st.builds(_not, inner)), max_leaves=12)
row = st.fixed_dictionaries({
    **{name: st.none() | number.map(float) for name in NUMBERS}, **{name: st.none() | st.booleans() for name in TRUTHS},
    "impact": st.none() | st.sampled_from(["HIGH", "MODERATE", "LOW", "MODIFIER"]),
    "gene": st.none() | st.sampled_from(["A", "it's", 'B"', "C\\d", "é"]),
    "consequence": st.none() | st.lists(st.sampled_from(TERMS), min_size=1, max_size=2, unique=True).map("&".join)})


def frame(rows: list[Row]) -> pd.DataFrame:
    """Rows as `rule_table` gives them: NaN and "" where nothing is known."""
    def value(name: str, v: Any) -> Any:
        if NAMES[name].kind in ("number", "truth"):
            return np.nan if v is None else float(v)
        return "" if v is None else v
    return pd.DataFrame([{n: value(n, r.get(n)) for n in NAMES} for r in rows])


SAID = {True: YES, False: NO, None: INDETERMINATE}


@settings(max_examples=300, deadline=None)
@given(tree, st.lists(row, min_size=1, max_size=4))
def test_it_answers_as_a_plain_evaluator_does(expression: tuple[str, Plain], rows: list[Row]) -> None:
    text, plain = expression
    rule, table = read_rule(text), frame(rows)
    expected = [SAID[plain(r)] for r in rows]
    assert rule.answers(table).tolist() == expected
    for i, said in enumerate(expected):
        open_ = rule.undecided(table.iloc[i:i + 1])
        assert bool(open_) == (said == INDETERMINATE)
        # what is named is what is missing: each comparison is unknown by itself
        assert all(read_rule(test).answers(table.iloc[i:i + 1]).tolist() == [INDETERMINATE] for test in open_)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80) | st.lists(st.sampled_from(
    ["popmax", "gene", "de_novo", "<", "==", "in", "not", "and", "or", "(", ")", "[", "]", "is", "None", "1e-4", "'A'", ",", ".", "lambda", ":", "\n", "-"]),
    max_size=12).map(" ".join))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        rule = read_rule(text)
    except ParameterError as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 400
    else:
        assert rule.answers(frame([{}])).tolist()[0] in (YES, NO, INDETERMINATE)


HOSTILE = {
    "dunder": "gene.__class__.__mro__[1].__subclasses__()", "call": "__import__('os').system('true')", "bare call": "print(1)",
    "a call in a list": "gene in [open('/etc/passwd')]", "lambda": "(lambda: de_novo)()", "comprehension": "[x for x in gene]",
    "huge power": "popmax < 9**9**9", "huge number": "popmax < " + "9" * 1000, "infinite": "popmax < 1e999", "complex": "popmax < 1j",
    "formatted": "gene == f'{gene}'", "bytes": "gene == b'A'", "walrus": "(gene := 'A') == 'A'", "index": "gene[0] == 'A'",
    "star": "gene in [*gene]", "yield": "(yield)", "await": "await gene", "dict": "gene in {'A': 1}", "repeat": "gene == 'A' * 10**9",
    "deep not": "not " * 300 + "de_novo", "deep minus": "popmax < " + "-" * 900 + "1", "deep brackets": "(" * 900 + "de_novo" + ")" * 900,
    "deep lists": "gene in " + "[" * 500 + "]" * 500, "long": "gene == '" + "A" * LONGEST + "'", "null": "de_novo\0", "surrogate": "gene == '\ud800' \ud800",
    "statement": "import os", "two": "de_novo; recessive", "ellipsis": "popmax < ...", "true": "popmax < True", "name": "__builtins__",
    "ternary": "de_novo if recessive else compound", "matrix": "popmax @ cadd < 1", "comment": "# nothing", "none": "popmax == None", "other": "gene is 'A'"}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_texts_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ParameterError) as refused:
        read_rule(text)
    assert len(str(refused.value).splitlines()) == 1 and len(str(refused.value)) < 400
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_filter_is_a_mistake(text: str) -> None:
    with pytest.raises(ParameterError, match="empty"):
        read_rule(text)


@pytest.mark.parametrize(("text", "where", "fix"), [
    ("impact == 'HIGH' and popmaxx < 1", "column 22", "Did you mean popmax"),
    ("impact == 'high'", "column 11", "'HIGH'"),
    ("'missense' in consequence", "column 1", "missense_variant"),
    ("de_novo and\n (impact == 3)", "column 25", "impact"),
    ("gene == 'é' and gen == 'A'", "column 17", "gene"),
    ("'PVS1' in gene", "column 11", "gene =="),
    ("gene < 'A'", "column 1", "gene =="),
    ("de_novo == 1", "column 1", "not de_novo"),
    ("popmax", "column 1", "popmax > 0"),
    ("clinvar == 'Pathogenic'", "column 12", "'pathogenic'"),
    ("popmax < 1e-4 and and de_novo", "column 19", "")])
def test_mistakes_name_the_place_and_the_way_out(text: str, where: str, fix: str) -> None:
    with pytest.raises(ParameterError) as refused:
        read_rule(text)
    assert where in str(refused.value) and fix in str(refused.value)


def test_the_deepest_and_the_longest_that_are_allowed() -> None:
    assert read_rule("not " * (DEEPEST - 2) + "de_novo")
    with pytest.raises(ParameterError, match="nested"):
        read_rule("not " * (DEEPEST + 1) + "de_novo")
    assert read_rule(" or ".join(["de_novo"] * 150))
    assert read_rule("0 < popmax <= 0.01").answers(frame([{"popmax": 0.01}, {"popmax": 0.0}, {}])).tolist() == [YES, NO, INDETERMINATE]
    assert read_rule("0.01 > popmax").answers(frame([{"popmax": 0.001}])).tolist() == [YES]


def test_every_name_is_documented_in_both_languages() -> None:
    english, french = names_table("en"), names_table("fr")
    assert english["name"].tolist() == french["name"].tolist() == list(NAMES)
    assert (english["meaning"] != "").all() and (french["meaning"] != "").all()


def evidence(**columns: Any) -> pd.DataFrame:
    base = {"variant": 1, "allele": 1, "gene": "A", "consequence": "missense_variant", "impact": "MODERATE", "pop_state": "", "pop_max": np.nan,
            "clinvar": "", "clinvar_release": "", "validity": "", "validity_moi": "", "lof_mechanism": "", "nmd": ""}
    return pd.DataFrame(base | columns, index=range(max(len(v) if isinstance(v, list) else 1 for v in [0, *columns.values()])))


NOBODY = pd.DataFrame(columns=["mode", "answer", "pair", "variant", "allele", "filter"])


@pytest.mark.parametrize(("columns", "text", "said"), [
    ({"pop_state": "absent"}, "popmax < 1e-4", YES),  # a base looked and never saw it
    ({"pop_state": "suppressed"}, "popmax < 1e-4", INDETERMINATE),  # hidden is not zero
    ({"pop_state": "not covered"}, "popmax < 1e-4", INDETERMINATE),
    ({"pop_state": ""}, "popmax < 1e-4", INDETERMINATE),
    ({"pop_state": "counted", "pop_max": 0.2}, "popmax < 1e-4", NO),
    ({"pop_state": ""}, "pop_state == 'none'", YES),
    ({"clinvar_release": "clinvar 1"}, "clinvar == 'pathogenic'", NO),  # not in the release
    ({}, "clinvar == 'pathogenic'", INDETERMINATE),  # no release
    ({"lof_mechanism": "unknown"}, "lof_mechanism == 'yes'", INDETERMINATE),
    ({"revel": float(np.float32(0.644))}, "revel >= 0.644", YES),  # a base in single precision, on the threshold
    ({"revel": np.nan}, "revel >= 0.644", INDETERMINATE),
    ({}, "phenotype > 0.5", INDETERMINATE),
    ({}, "not de_novo", YES)])
def test_missing_is_unknown_and_absent_is_an_answer(columns: dict[str, Any], text: str, said: int) -> None:
    assert read_rule(text).answers(rule_table(evidence(**columns), NOBODY)).tolist() == [said]


def test_modes_are_yes_no_or_open() -> None:
    rows = evidence(variant=[1, 2, 3, 3], allele=[1, 1, 1, 1], gene=["A", "A", "A", "B"])
    answers = pd.DataFrame({"mode": ["de_novo", "de_novo", "compound", "compound", "recessive"], "answer": ["yes", "indeterminate", "yes", "yes", "yes"],
                            "pair": ["", "", "A-1", "A-1", ""], "variant": [1, 2, 1, 3, 3], "allele": 1, "filter": ["PASS", "q10;q20", "PASS", "PASS", "PASS"],
                            "kid GQ": [99, 20, 99, 40, 40], "sib GQ": [30, np.nan, 30, 60, 60]})
    table = rule_table(rows, answers, affected=["kid", "sib"], undecided=["dominant"])
    assert read_rule("de_novo").answers(table).tolist() == [YES, INDETERMINATE, NO, NO]
    assert read_rule("compound").answers(table).tolist() == [YES, NO, YES, NO]  # the pair is A's, not B's
    assert read_rule("recessive").answers(table).tolist() == [NO, NO, YES, YES]
    assert read_rule("dominant").answers(table).tolist() == [INDETERMINATE] * 4  # a family check stopped the mode
    assert table["gq"].tolist() == [30, 20, 40, 40]
    assert read_rule("'q20' in filter").answers(table).tolist() == [NO, YES, NO, NO]
