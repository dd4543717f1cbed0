"""pyproject.toml, the lock, environment.yml and settings.ini say the same."""

import configparser
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from rattler import MatchSpec

PYTHONS = ("3.11", "3.12", "3.13")
GPU = {"cupy-cuda12x", "cuda-pathfinder"}  # hundreds of megabytes, of no use without a GPU: make test leaves them out


@pytest.fixture(scope="module")
def project(repo: Path) -> dict:
    return tomllib.loads((repo / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def lock(repo: Path) -> list[Requirement]:
    lines = (repo / "requirements.lock").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.lstrip().startswith("#")]


@pytest.fixture(scope="module")
def conda(repo: Path) -> dict:
    return yaml.safe_load((repo / "environment.yml").read_text())


def declared(project: dict) -> list[Requirement]:
    extras = [r for group in project["optional-dependencies"].values() for r in group]
    return [Requirement(r) for r in [*project["dependencies"], *extras]]


def on(python: str) -> dict[str, str]:
    return {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux",
            "platform_machine": "x86_64", "platform_system": "Linux", "os_name": "posix", "extra": "",
            "implementation_name": "cpython", "platform_python_implementation": "CPython"}


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_holds_one_allowed_version_of_every_dependency(project: dict, lock: list[Requirement], python: str) -> None:
    pinned: dict[str, str] = {}
    for pin in lock:
        if pin.marker is None or pin.marker.evaluate(on(python)):
            name = canonicalize_name(pin.name)
            assert name not in pinned, f"{name} is pinned twice on Python {python}"
            (only,) = pin.specifier
            assert only.operator == "==", str(pin)
            pinned[name] = only.version
    wanted = [r for r in declared(project) if r.marker is None or r.marker.evaluate(on(python))]
    faults = [f"{r} but the lock has {pinned.get(canonicalize_name(r.name))}" for r in wanted
              if not (found := pinned.get(canonicalize_name(r.name))) or not r.specifier.contains(found)]
    assert faults == [], "make the lock again: see CONTRIBUTING.md"


def test_every_dependency_has_a_lower_and_an_upper_bound(project: dict) -> None:
    for r in declared(project):
        operators = {s.operator for s in r.specifier}
        assert "==" in operators or (">=" in operators and "<" in operators), str(r)


def test_the_lock_names_no_index_and_no_folder(repo: Path) -> None:
    text = (repo / "requirements.lock").read_text()
    assert not re.search(r"^\s*(-i|--index|--extra-index|--find-links|-f)\b|://|@ file|\[", text, re.M)


def test_the_lock_works_as_constraints_of_plain_pip(lock: list[Requirement]) -> None:
    assert [str(r) for r in lock if r.extras or r.url] == [], "pip refuses extras and addresses in constraints"


def test_the_wheel_carries_the_lock_of_the_checkout(repo: Path) -> None:
    assert (repo / "genomics_nb" / "requirements.lock").read_bytes() == (repo / "requirements.lock").read_bytes()


def test_this_environment_is_the_locked_one(lock: list[Requirement]) -> None:
    faults = []
    for pin in lock:
        if pin.name in GPU or (pin.marker is not None and not pin.marker.evaluate()):
            continue
        try:
            here = importlib.metadata.version(pin.name)
        except importlib.metadata.PackageNotFoundError:
            faults.append(f"{pin.name} is not installed")
            continue
        if not pin.specifier.contains(here, prereleases=True):
            faults.append(f"{pin.name} {here} is not {pin.specifier}")
    if faults and not os.environ.get("CI"):
        pytest.skip("not the environment that make test installs: " + "; ".join(faults))
    assert faults == []


def test_every_conda_spec_parses(conda: dict) -> None:
    specs = [MatchSpec(s) for s in conda["dependencies"] if isinstance(s, str)]
    names = [s.name.normalized for s in specs]
    assert len(set(names)) == len(names)
    assert {"python", "pip", "quarto", "bcftools", "plink2", "htslib", "pango"} <= set(names)
    assert all(s.version for s in specs), "each has a bound"


def test_conda_brings_programs_and_pip_the_locked_packages(conda: dict, project: dict) -> None:
    (pip,) = [d["pip"] for d in conda["dependencies"] if isinstance(d, dict)]
    assert pip == ["-r requirements.lock", "-e ."]
    names = {MatchSpec(s).name.normalized for s in conda["dependencies"] if isinstance(s, str)}
    assert names.isdisjoint(canonicalize_name(r.name) for r in declared(project)), "one package, one installer"


def test_pythons_agree(repo: Path, conda: dict, project: dict) -> None:
    allowed = SpecifierSet(project["requires-python"])
    assert [p for p in ("3.10", "3.11", "3.12", "3.13", "3.14") if allowed.contains(p)] == list(PYTHONS)
    (spec,) = [MatchSpec(s) for s in conda["dependencies"] if isinstance(s, str) and s.startswith("python ")]
    series = re.fullmatch(r"(\d+\.\d+)\.\*", str(spec.version))
    assert series and allowed.contains(series[1])
    settings = configparser.ConfigParser()
    settings.read(repo / "settings.ini")
    assert settings["DEFAULT"]["min_python"] == PYTHONS[0]
    assert f"--python-version {PYTHONS[0]} " in (repo / "requirements.lock").read_text().splitlines()[1]


def test_settings_are_those_of_the_package(repo: Path, project: dict) -> None:
    parser = configparser.ConfigParser()
    parser.read(repo / "settings.ini")
    settings = parser["DEFAULT"]
    assert settings["lib_name"] == project["name"]
    assert settings["description"] == project["description"]
    assert Version(settings["version"]) == Version(importlib.metadata.version("genomics-nb"))
    assert f'__version__ = "{settings["version"]}"' in (repo / "genomics_nb" / "__init__.py").read_text()
    assert (settings["update_pyproject"], settings["custom_sidebar"]) == ("False", "True")
    assert settings["allowed_cell_metadata_keys"] == "tags", "without it nbdev_clean takes papermill's tag away"


def test_nbdev_knows_every_setting(repo: Path) -> None:
    from nbdev.config import _apply_defaults  # nbdev lists its settings nowhere else

    known = set(_apply_defaults.__code__.co_varnames) | {
        "repo", "user", "branch", "author", "author_email", "description", "doc_host", "lib_name"}
    parser = configparser.ConfigParser()
    parser.read(repo / "settings.ini")
    assert set(parser["DEFAULT"]) - known == set()


def test_the_lists_of_packages_are_complete(repo: Path) -> None:
    setuptools = tomllib.loads((repo / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {".".join(p.parent.relative_to(repo).parts) for p in (repo / "genomics_nb").rglob("__init__.py")}
    mapped = {name for name, folder in setuptools["package-dir"].items() if (repo / folder / "__init__.py").is_file()}
    assert mapped == set(setuptools["package-dir"]), "an editable install finds no folder without __init__.py"
    assert sorted(folders | mapped) == setuptools["packages"]


@pytest.mark.parametrize("target", ["demo", "test", "lab", "docs", "bench", "lint", "clean", "readme", "dev", "help"])
def test_make_knows_its_targets(repo: Path, target: str) -> None:
    done = subprocess.run(["make", "--dry-run", f"VENV={sys.prefix}", target], cwd=repo, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


def test_ci_calls_the_command_of_the_readme(repo: Path) -> None:
    assert re.search(r"^make test\b", (repo / ".ci" / "run").read_text(), re.M)
    assert "make test" in (repo / "README.md").read_text()
    assert os.access(repo / ".ci" / "run", os.X_OK)
