"""The notebooks are the source: the package agrees with them, and they keep to the style of the house."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LONGEST_CELL = 40  # exported lines in one cell, docstrings and comments apart
LONGEST_CLASS = 80  # a class cannot be cut over cells; its methods are short
LONGEST_MODULE = 350  # exported lines in one notebook
ABOUT = 1.1  # a tenth more is let through
SHELVES = ("library", "pilots", "reports", "sops", "lessons")


def every_notebook(repo: Path, *shelves: str) -> list[Path]:
    found = [p for shelf in shelves for p in sorted((repo / "nbs" / shelf).rglob("*.ipynb"))]
    return [p for p in found if ".ipynb_checkpoints" not in p.parts]


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def text(cell: dict) -> str:
    return "".join(cell["source"])


def directives(cell: dict) -> set[str]:
    return {m[1] for m in re.finditer(r"^#\|\s*(\S+)", text(cell), re.M)}


def exported(cell: dict) -> bool:
    return cell["cell_type"] == "code" and bool(directives(cell) & {"export", "exporti", "exports"})


def code_lines(cell: dict) -> int:
    """Lines of a cell that hold code: not blank, not a comment alone, not of a docstring."""
    source = text(cell)
    tree = ast.parse(source)
    said = {n for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node)
            for n in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)}
    return sum(1 for number, line in enumerate(source.splitlines(), 1)
               if line.strip() and not line.lstrip().startswith("#") and number not in said)


@pytest.fixture(scope="module")
def copy(repo: Path, tracked: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout as git knows it, to run nbdev on without touching the real one."""
    root = tmp_path_factory.mktemp("checkout")
    for path in tracked:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repo / path, target, follow_symlinks=False)
    return root


def run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_the_package_is_what_the_notebooks_export(copy: Path) -> None:
    before = {p.relative_to(copy): p.read_bytes() for p in (copy / "genomics_nb").rglob("*.py")}
    run([str(Path(sys.executable).with_name("nbdev_export"))], copy)
    after = {p.relative_to(copy): p.read_bytes() for p in (copy / "genomics_nb").rglob("*.py")}
    changed = sorted(str(p) for p in before.keys() | after.keys() if before.get(p) != after.get(p))
    assert changed == [], "run nbdev_export and commit what it writes"


def test_the_readme_is_the_front_door(repo: Path, copy: Path) -> None:
    venv = Path(sys.prefix)
    run(["make", "readme", f"VENV={venv}", "-o", str(venv / ".bench-installed")], copy)
    assert (copy / "README.md").read_text(encoding="utf-8") == (repo / "README.md").read_text(encoding="utf-8"), (
        "README.md is made from nbs/index.ipynb: run make readme")


def test_notebooks_hold_no_metadata_of_a_session(repo: Path) -> None:
    faults = []
    for path in [repo / "nbs" / "index.ipynb", *every_notebook(repo, *SHELVES)]:
        nb = read(path)
        if nb["metadata"].get("kernelspec", {}).get("name") != "python3":
            faults.append(f"{path.name}: kernelspec must be python3")
        if set(nb["metadata"]) - {"kernelspec"}:
            faults.append(f"{path.name}: metadata {sorted(set(nb['metadata']) - {'kernelspec'})}")
        for number, cell in enumerate(nb["cells"]):
            if set(cell["metadata"]) - {"tags"}:
                faults.append(f"{path.name} cell {number}: metadata {sorted(cell['metadata'])}")
            if cell.get("execution_count") is not None:
                faults.append(f"{path.name} cell {number}: execution count")
            for output in cell.get("outputs", []):
                if output["output_type"] == "error":
                    faults.append(f"{path.name} cell {number}: a stored error")
                if re.search(r"/(home|Users|root|work)/", json.dumps(output)):
                    faults.append(f"{path.name} cell {number}: a path of somebody's machine")
    assert faults == [], "run nbdev_clean"


def longest(cell: dict) -> int:
    return LONGEST_CLASS if [type(node) for node in ast.parse(text(cell)).body] == [ast.ClassDef] else LONGEST_CELL


def test_exported_cells_are_short(repo: Path) -> None:
    long = [f"{p.name} cell {n}: {code_lines(c)} lines" for p in every_notebook(repo, "library")
            for n, c in enumerate(read(p)["cells"]) if exported(c) and code_lines(c) > ABOUT * longest(c)]
    assert long == []


def test_modules_are_short(repo: Path) -> None:
    sizes = {p.name: sum(code_lines(c) for c in read(p)["cells"] if exported(c)) for p in every_notebook(repo, "library")}
    assert {name: size for name, size in sizes.items() if size > ABOUT * LONGEST_MODULE} == {}


def test_library_notebooks_open_with_what_they_are(repo: Path) -> None:
    faults = []
    for path in every_notebook(repo, "library"):
        cells = read(path)["cells"]
        if not text(cells[0]).startswith("#| default_exp"):
            faults.append(f"{path.name}: the first cell is #| default_exp")
        title = text(cells[1]) if cells[1]["cell_type"] == "markdown" else ""
        if not re.match(r"# \S.*\n\n?> \S", title):
            faults.append(f"{path.name}: a title and one sentence ('> ...') come next")
        intro = "\n".join(text(c) for c in cells[1:4] if c["cell_type"] == "markdown")
        if not re.search(r"^\||```|<svg|!\[", intro, re.M):
            faults.append(f"{path.name}: show in a table or a picture what goes in and what comes out")
    assert faults == []


def test_every_exported_cell_stands_after_prose(repo: Path) -> None:
    """Imports and a cell that continues the one before it excepted."""
    faults = []
    for path in every_notebook(repo, "library"):
        cells = read(path)["cells"]
        codes = [c for c in cells if exported(c)]
        introduced = sum(1 for before, cell in zip(cells, cells[1:], strict=False)
                         if exported(cell) and before["cell_type"] == "markdown")
        if introduced < 0.6 * (len(codes) - 1):
            faults.append(f"{path.name}: {introduced} of {len(codes)} exported cells stand right after a paragraph")
        if len([c for c in cells if c["cell_type"] == "markdown"]) < 0.25 * len(cells):
            faults.append(f"{path.name}: fewer than a quarter of its cells are prose")
        if sum("hide" in directives(c) for c in cells) > 0.1 * len(cells):
            faults.append(f"{path.name}: more than a tenth of its cells are hidden")
        if not any("assert" in text(c) or "test_" in text(c) for c in cells if c["cell_type"] == "code" and not exported(c)):
            faults.append(f"{path.name}: no example asserts its value")
    assert faults == []


def test_exported_functions_say_what_they_take_and_return(repo: Path) -> None:
    faults = []
    for path in sorted((repo / "genomics_nb").rglob("*.py")):
        if path.name in {"__init__.py", "_modidx.py"}:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                if ast.get_docstring(node) is None:
                    faults.append(f"{path.name}:{node.lineno} {node.name} has no docstring")
                if isinstance(node, ast.FunctionDef) and node.returns is None:
                    faults.append(f"{path.name}:{node.lineno} {node.name} does not say what it returns")
    assert faults == []


def test_the_solutions_of_the_exercises_are_right(repo: Path) -> None:
    """Run each lesson from top to bottom, its folded solutions among its cells."""
    solutions = 0
    for path in every_notebook(repo, "lessons"):
        names: dict = {"__name__": "__main__"}
        for cell in read(path)["cells"]:
            if cell["cell_type"] == "code":
                exec(compile(text(cell), path.name, "exec"), names)
            for folded in re.findall(r"<details>.*?</details>", text(cell), re.S):
                for code in re.findall(r"```python\n(.*?)```", folded, re.S):
                    assert "assert" in code, f"{path.name}: a solution shows that it is right"
                    exec(compile(code, path.name, "exec"), names)
                    solutions += 1
    assert solutions


@pytest.mark.parametrize("command", [["ruff", "check", "genomics_nb", "tests", "benchmarks"], ["mypy"]], ids=["ruff", "mypy"])
def test_the_code_is_clean(repo: Path, command: list[str], tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name(command[0]))
    extra = ["--no-cache"] if command[0] == "ruff" else ["--cache-dir", str(tmp_path)]
    run([program, *command[1:], *extra], repo)
