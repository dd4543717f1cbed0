"""Every template under pilots, reports and sops keeps the contract of a papermill notebook."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

from genomics_nb.delivery.params import model_for

SHELVES = ("pilots", "reports", "sops")
ROOT = Path(__file__).resolve().parent.parent / "nbs"
TEMPLATES = [p for shelf in SHELVES for p in sorted((ROOT / shelf).glob("*.ipynb"))]

every_template = pytest.mark.parametrize("path", TEMPLATES, ids=[f"{p.parent.name}/{p.stem}" for p in TEMPLATES])


def tagged(nb: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [c for c in nb.cells if "parameters" in c.metadata.get("tags", [])]


def parameters(path: Path) -> dict[str, Any]:
    """Names and defaults, by running the one cell that holds nothing but literals."""
    (cell,) = tagged(nbformat.read(path, as_version=4))
    values: dict[str, Any] = {}
    exec(compile(cell.source, path.name, "exec"), {}, values)
    return {name: value for name, value in values.items() if not name.startswith("__")}


def test_there_is_a_report() -> None:
    assert [p for p in TEMPLATES if p.parent.name == "reports"]


@every_template
def test_it_has_one_cell_of_parameters(path: Path) -> None:
    nb = nbformat.read(path, as_version=4)
    assert len(tagged(nb)) == 1
    assert "injected-parameters" not in json.dumps(nb.metadata) + "".join(str(c.metadata) for c in nb.cells)


@every_template
def test_every_parameter_has_a_comment_and_a_simple_annotation(path: Path) -> None:
    (cell,) = tagged(nbformat.read(path, as_version=4))
    for line in cell.source.splitlines():
        if line.strip() and not line.startswith(("#", " ", ")", "]", "}")):
            assert ":" in line.split("=")[0] and "#" in line, line
            assert "|" not in line.split("=")[0] and "Literal" not in line.split("=")[0], f"papermill cannot read: {line}"


@every_template
def test_its_model_has_the_same_parameters_and_accepts_the_defaults(path: Path) -> None:
    values = parameters(path)
    model = model_for(path.stem)
    assert set(model.model_fields) == set(values)
    assert set(papermill.inspect_notebook(str(path))) == set(values)
    assert model.model_config.get("extra") == "forbid"
    model.model_validate(values)


@every_template
def test_the_next_code_cell_validates(path: Path) -> None:
    nb = nbformat.read(path, as_version=4)
    codes = [c for c in nb.cells if c.cell_type == "code"]
    after = codes[codes.index(tagged(nb)[0]) + 1]
    assert model_for(path.stem).__name__ in after.source or "validate" in after.source


@every_template
def test_it_stores_no_outputs(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None


@every_template
def test_it_exports_nothing(path: Path) -> None:
    assert "#| export" not in path.read_text(encoding="utf-8") and "#|export" not in path.read_text(encoding="utf-8")


def defaults_run(path: Path, out: Path, engine: str | None) -> None:
    done = papermill.execute_notebook(str(path), str(out / "out.ipynb"), cwd=str(out), kernel_name="python3",
                                      engine_name=engine, progress_bar=False)
    assert any(c.get("outputs") for c in done.cells)
    assert [c for c in done.cells if c.metadata.get("papermill", {}).get("status") not in {"completed", None}] == []


@every_template
def test_its_defaults_run(path: Path, tmp_path: Path) -> None:
    defaults_run(path, tmp_path, "genomics_nb")


def test_papermill_runs_a_template_on_a_kernel_of_its_own(tmp_path: Path) -> None:
    defaults_run(ROOT / "sops" / "delivery_acceptance.ipynb", tmp_path, None)


@every_template
def test_the_package_serves_the_live_file(path: Path) -> None:
    assert (files(f"genomics_nb.notebooks.{path.parent.name}") / path.name).read_bytes() == path.read_bytes()
