"""What `python -m build` makes is whole: installed alone in an empty environment it runs the demo."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


def run(command: list[str], cwd: Path, **environment: str) -> str:
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "GENOMICS_NB"))}
    done = subprocess.run(command, cwd=cwd, env=keep | environment, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(repo: Path, tracked: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sdist and wheel, as a release makes them: from what git knows, the wheel from the sdist."""
    root = tmp_path_factory.mktemp("source")
    for path in tracked:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repo / path, root / path, follow_symlinks=False)
    out = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--outdir", str(out), "."], root)
    assert len(list(out.glob("*.tar.gz"))) == 1
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def empty(wheel: Path, repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel and nothing of the checkout."""
    root = tmp_path_factory.mktemp("empty")
    venv = root / "venv"
    lock = str(repo / "requirements.lock")
    uv = shutil.which("uv")
    if uv:
        run([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], root)
        run([uv, "pip", "install", "--quiet", "--python", str(venv / "bin" / "python"), "-c", lock, str(wheel)], root)
    else:
        run([sys.executable, "-m", "venv", str(venv)], root)
        run([str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "-c", lock, str(wheel)], root)
    return venv / "bin"


def test_the_wheel_holds_templates_family_and_lock(wheel: Path, repo: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for shelf in ("pilots", "reports", "sops"):
        for template in (repo / "nbs" / shelf).glob("*.ipynb"):
            assert f"genomics_nb/notebooks/{shelf}/{template.name}" in names
    for file in (repo / "data" / "synthetic").iterdir():
        if file.is_file():
            assert f"genomics_nb/synthetic/{file.name}" in names
    for file in (repo / "data" / "popgen").iterdir():
        if file.is_file():
            assert f"genomics_nb/popgen/{file.name}" in names
    assert {"genomics_nb/py.typed", "genomics_nb/requirements.lock"} <= names
    assert any(n.endswith("licenses/LICENSE") for n in names)


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    tops = {n.split("/")[0] for n in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"genomics_nb", f"genomics_nb-{wheel.name.split('-')[1]}.dist-info"}


def test_every_module_imports_where_only_the_wheel_is(empty: Path, tmp_path: Path) -> None:
    program = ("import importlib, pkgutil, genomics_nb\n"
               "names = [m.name for m in pkgutil.walk_packages(genomics_nb.__path__, 'genomics_nb.')]\n"
               "[importlib.import_module(n) for n in names]\n"
               "print(len(names), genomics_nb.__file__)")
    count, place = run([str(empty / "python"), "-c", program], tmp_path).split()
    assert int(count) > 20 and str(empty.parent) in place


def test_the_demo_runs_where_only_the_wheel_is(empty: Path, tmp_path: Path) -> None:
    out = run([str(empty / "genomics-nb"), "demo", "--out", str(tmp_path / "demo")], tmp_path,
              HOME=str(tmp_path), PATH=f"{empty}:/usr/bin:/bin")
    (report,) = (tmp_path / "demo").rglob("report.html")
    assert report.name in out, "the demo says where its report is"
    page = report.read_text(encoding="utf-8")
    assert len(page) > 10_000 and "</html>" in page
    assert list((tmp_path / "demo").rglob("run.json"))
