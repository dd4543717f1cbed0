"""Imports run downward."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "genomics_nb"

Position = tuple[int, int]


def notebooks(repo: Path) -> Iterator[Path]:
    return (p for p in sorted((repo / "nbs" / "library").rglob("*.ipynb")) if ".ipynb_checkpoints" not in p.parts)


def code_of(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]


@pytest.fixture(scope="module")
def order(repo: Path) -> dict[str, Position]:
    """Module -> (number of its layer, number of its notebook)."""
    positions: dict[str, Position] = {}
    for notebook in notebooks(repo):
        first = code_of(notebook)[0]
        found = re.search(r"^#\|\s*default_exp\s+(\S+)", first, re.M)
        assert found, f"{notebook.name}: the first cell must hold #| default_exp"
        layer = int(notebook.parent.name.split("_")[0])
        number = int(notebook.name.split("_")[0])
        module = f"{PACKAGE}.{found[1]}"
        assert module not in positions, f"{module} is written by two notebooks"
        assert found[1].split(".")[0] == notebook.parent.name.split("_", 1)[1], f"{notebook}: {module} is of another layer"
        positions[module] = (layer, number)
    return positions


def imported(module: str, source: str, modules: set[str]) -> Iterator[tuple[int, str]]:
    """Line and name of every module of the package that this one imports, wherever the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            # nbdev writes absolute imports of the package as relative ones.
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names = [f"{base}.{a.name}" if f"{base}.{a.name}" in modules else base for a in node.names]
        elif (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
              and isinstance(node.args[0].value, str) and ast.unparse(node.func).split(".")[-1] in
              {"import_module", "__import__"}):
            names = [node.args[0].value]
        else:
            continue
        for name in names:
            if name.split(".")[0] == PACKAGE:
                yield node.lineno, name


def upward(module: str, source: str, order: dict[str, Position]) -> list[str]:
    """What this module imports that does not stand below it."""
    faults = []
    for line, name in imported(module, source, set(order)):
        if name not in order:
            if name not in {PACKAGE, f"{PACKAGE}.notebooks", f"{PACKAGE}.synthetic"}:
                faults.append(f"{module}:{line} imports {name}, which no notebook writes")
        elif order[name] >= order[module]:
            faults.append(f"{module}:{line} imports {name}, which does not stand below it")
    return faults


def modules(repo: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((repo / PACKAGE).rglob("*.py")):
        if path.name not in {"__init__.py", "_modidx.py"}:
            yield ".".join(path.relative_to(repo).with_suffix("").parts), path.read_text(encoding="utf-8")


def test_every_module_is_written_by_one_notebook(repo: Path, order: dict[str, Position]) -> None:
    assert {name for name, _ in modules(repo)} == set(order)


def test_every_module_imports_only_what_stands_below_it(repo: Path, order: dict[str, Position]) -> None:
    assert [fault for name, source in modules(repo) for fault in upward(name, source, order)] == []


def test_numbers_inside_a_layer_are_unique(order: dict[str, Position]) -> None:
    assert len(set(order.values())) == len(order), sorted(order.items(), key=lambda item: item[1])


def test_an_upward_import_is_found() -> None:
    order = {f"{PACKAGE}.core.a": (0, 0), f"{PACKAGE}.core.b": (0, 1), f"{PACKAGE}.store.c": (1, 0)}
    assert upward(f"{PACKAGE}.store.c", f"from {PACKAGE}.core.b import x", order) == []
    assert upward(f"{PACKAGE}.core.b", f"import {PACKAGE}.core.a", order) == []
    for hidden in (f"import {PACKAGE}.store.c", f"from {PACKAGE}.store import c", f"def f():\n from {PACKAGE}.store.c import x",
                   "from ..store.c import x", "from ..store import c",
                   f"import importlib\nimportlib.import_module('{PACKAGE}.store.c')"):
        assert len(upward(f"{PACKAGE}.core.a", hidden, order)) == 1, hidden
    assert len(upward(f"{PACKAGE}.core.a", f"from {PACKAGE}.core.b import x", order)) == 1
