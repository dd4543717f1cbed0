"""What other systems read: the files come back with the same facts, and nothing in them runs."""

import io

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.spreadsheet import csv_text, guarded, plain, read_guarded

TRICKY = st.text(alphabet=list("a=+-@'\";,\t\r\n|1. \u200b\ufeff\uff1dx"), max_size=8)


@settings(max_examples=300, deadline=None)
@given(TRICKY, TRICKY)
def test_a_guarded_table_comes_back_exactly(a: str, b: str) -> None:
    assert plain(guarded(a)) == a
    table = pd.DataFrame({"x": [a, b], "y": [b, a]})
    for sep in ",;":
        back = read_guarded(csv_text(table, sep=sep), sep=sep)
        assert list(back["x"]) == [a, b] and list(back["y"]) == [b, a]


def test_no_cell_begins_a_formula_whatever_separator_the_program_thinks_of() -> None:
    evil = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " \u200b=1", "\u00a0=1", "\uff1d1", "x;=1", "x\t=1", "x\n=1", "x|=1", 'x",=1', "'=1"]
    text = csv_text(pd.DataFrame({"=name": evil, "n": [-0.5] * len(evil)}))
    for sep in (",", ";", "\t", "|"):
        for row in io.StringIO(text):
            for cell in row.replace('"', "").split(sep):
                bare = cell.strip(" \u200b\u00a0\r\n\t")
                assert not bare or bare[0] not in "=+@\uff1d-" or bare == "-0.5", (sep, row)
    assert list(read_guarded(text)["=name"]) == evil
    assert list(pd.read_csv(io.StringIO(text))["n"]) == [-0.5] * len(evil)  # numbers stay numbers
