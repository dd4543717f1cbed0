"""Parameters are refused before anything runs, and never repeated in a message."""

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat import NotebookNode

from genomics_nb.core.types import NotFoundError, ParameterError
from genomics_nb.delivery.params import Defidiag, Popgen, RareDisease, differences, model_for, models, notebook_parameters, validate


def notebook(source: str, tags: tuple[str, ...] = ("parameters",)) -> NotebookNode:
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)})
    return nbformat.v4.new_notebook(cells=[cell])


@pytest.mark.parametrize("typed, meant", [("Case", "case"), ("langue", "lang"), ("max-cards", "max_cards"), ("stroe", "store")])
def test_a_misspelt_parameter_names_the_nearest_valid_one(typed: str, meant: str) -> None:
    with pytest.raises(ParameterError, match=f"Did you mean {meant}\\?"):
        validate(RareDisease, {typed: "x"})


@pytest.mark.parametrize(
    "case",
    ["", ".hidden", "-p", "../x", "a/b", "a\\b", "a b", "<b>", "a;rm", "a\n", "a\u202e", "é", "x" * 65, "184127645108946",
     "1841276451089"],
)
def test_what_is_no_pseudonym_is_refused_and_not_repeated(case: str) -> None:
    with pytest.raises(ParameterError) as caught:
        validate(RareDisease, {"case": case})
    assert len(case) < 6 or case not in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=80))
def test_an_accepted_case_is_always_a_safe_folder_name(case: str) -> None:
    try:
        settings = validate(RareDisease, {"case": case})
    except ParameterError:
        return
    assert settings.case == case and case.isascii() and not set(case) & set("/\\<>&\"' \n") and case[0].isalnum()


def test_text_from_a_command_line_becomes_a_number() -> None:
    assert validate(RareDisease, {"max_cards": "25"}).max_cards == 25
    with pytest.raises(ParameterError, match="max_cards"):
        validate(RareDisease, {"max_cards": "many"})


def test_a_frequency_of_the_family_itself_is_refused() -> None:
    with pytest.raises(ParameterError, match="counts the family itself"):
        validate(RareDisease, {"frequency_field": "AF"})


@pytest.mark.parametrize(("rule", "words"), [("popmaxx < 1", "Did you mean popmax"), ("popmax <", "cannot be read"),
                                             ("impact == 'HIGHEST'", "Did you mean 'HIGH'"), ("open('x')", "a call is not allowed")])
def test_a_filter_that_cannot_be_read_is_refused_before_the_start(rule: str, words: str) -> None:
    with pytest.raises(ParameterError, match="parameter rule: the filter, column") as caught:
        validate(RareDisease, {"rule": rule})
    assert words in str(caught.value)


def test_a_filter_is_kept_as_it_was_understood_and_blanks_are_none() -> None:
    assert validate(RareDisease, {"rule": " impact ==  'HIGH'\n and popmax < 1e-4 "}).rule == "impact == 'HIGH' and popmax < 1e-4"
    assert validate(RareDisease, {"rule": " \n"}).rule == ""


def test_a_base_is_named_once_and_a_file_is_there() -> None:
    with pytest.raises(ParameterError, match="parameter knowledge: each base once"):
        validate(RareDisease, {"knowledge": "clinvar=1,clinvar=2"})
    for model, name in ((Popgen, "people"), (Popgen, "patient"), (Popgen, "source"), (Defidiag, "trial"), (Defidiag, "reports")):
        with pytest.raises(ParameterError, match=f"parameter {name}: there is no such file") as caught:
            validate(model, {name: "/nowhere/private.vcf"})
        assert "private" not in str(caught.value)
    assert validate(Popgen, {"patient": "PG0007"}).patient == "PG0007"


def test_parameters_cannot_change_once_checked() -> None:
    settings = validate(RareDisease, {})
    with pytest.raises(ValueError, match="frozen"):
        settings.case = "other"


def test_a_relative_store_becomes_absolute_and_a_url_stays() -> None:
    assert validate(RareDisease, {"store": "a/b"}).store.startswith("/")
    assert validate(RareDisease, {"store": "s3://bucket/store"}).store == "s3://bucket/store"


@pytest.mark.parametrize(
    "source", ["case = input()", "import os", "case: str = 'a' + 'b'", "a, b = 1, 2", "case: str", "for i in []: pass"]
)
def test_a_parameters_cell_holds_nothing_but_literals(source: str) -> None:
    with pytest.raises(ParameterError, match="literal"):
        notebook_parameters(notebook(source))


@pytest.mark.parametrize("tags", [(), ("parameters",)])
def test_there_is_exactly_one_parameters_cell(tags: tuple[str, ...]) -> None:
    nb = notebook("a = 1  # one", tags)
    if tags:
        nb.cells.append(nb.cells[0])
    with pytest.raises(ParameterError, match="cells tagged"):
        notebook_parameters(nb)


def test_names_annotations_defaults_and_comments_are_read_without_running_anything() -> None:
    found = notebook_parameters(notebook('"""Doc."""\nlimits: list = [1, -2]  # both ends\nname = "a # b"  # with a hash'))
    assert found["limits"].default == [1, -2] and found["limits"].type is list
    assert found["name"].default == "a # b" and found["name"].help == "with a hash"


def test_a_difference_between_model_and_notebook_is_named() -> None:
    nb = notebook('case: str = "OTHER"  # case\nmine: int = 1')
    found = differences(RareDisease, nb)
    assert any("store is in the model only" in line for line in found)
    assert any("mine is in the notebook only" in line for line in found)
    assert any("case: default 'OTHER'" in line for line in found)
    assert "mine has no comment" in found


def test_a_copy_with_a_parameter_of_its_own_is_checked_with_it() -> None:
    lines = [f"{n}: {type(f.default).__name__} = {f.default!r}  # {n}" for n, f in RareDisease.model_fields.items()]
    model = model_for("rare_disease", notebook("\n".join([*lines, "window: int = 5  # bases"])))
    assert issubclass(model, RareDisease) and validate(model, {"window": "7"}).model_dump()["window"] == 7
    with pytest.raises(ParameterError, match="Did you mean window"):
        validate(model, {"windwo": 7})
    with pytest.raises(ParameterError, match="lost the parameter store"):
        model_for("rare_disease", notebook("\n".join(line for line in lines if not line.startswith("store"))))


def test_a_notebook_without_a_model_is_checked_against_its_own_cell() -> None:
    model = model_for("my_study", notebook("depth: int = 10  # reads"))
    assert validate(model, {"depth": "12"}).model_dump() == {"depth": 12}
    with pytest.raises(ParameterError):
        validate(model, {"dpeth": 12})
    assert "my_study" not in models() and "my_study_copy" not in models()


def test_an_unknown_template_lists_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match="rare_disease"):
        model_for("rare_diseases")
