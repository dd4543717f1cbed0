"""What the tests stand on: the repository, the real data beside it, and the peer programs.

A laptop without them skips, and says what is missing. CI has them all, so there a missing one is a failure:
a test that silently did not run proves nothing.
"""

import importlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import xarray as xr

REPO = Path(__file__).resolve().parent.parent


def absent(reason: str) -> None:
    """Skip on a laptop, fail in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the checkout."""
    return REPO


@pytest.fixture(scope="session")
def synthetic() -> Path:
    """The synthetic family with its known answer, as committed."""
    return REPO / "data" / "synthetic"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real public data, in ../shared/data; never part of the repository."""
    folder = REPO.parent / "shared" / "data"
    if not folder.is_dir():
        absent(f"real test data is not there: {folder}")
    return folder


@pytest.fixture(scope="session")
def peer() -> Callable[[str], str]:
    """`peer("bcftools")`: the path of a peer program."""

    def find(program: str) -> str:
        path = shutil.which(program)
        if path is None:
            absent(f"peer program {program} is not installed")
        assert path is not None
        return path

    return find


@pytest.fixture(scope="session")
def peer_module() -> Callable[[str], ModuleType]:
    """`peer_module("bio2zarr")`: an imported peer library."""

    def load(name: str) -> ModuleType:
        try:
            return importlib.import_module(name)
        except ImportError:
            absent(f"peer library {name} is not installed: make test installs it")
            raise

    return load


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file that git knows and that is there, relative to the root; all files where there is no git."""
    if not (REPO / ".git").exists():
        return [p.relative_to(REPO) for p in REPO.rglob("*") if p.is_file() and ".venv" not in p.parts]
    listing = subprocess.run(["git", "-C", str(REPO), "ls-files", "-z"], check=True, capture_output=True, text=True)
    return [Path(name) for name in listing.stdout.split("\0") if name and (REPO / name).is_file()]


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., xr.Dataset]:
    """`stored(vcf, build="unknown")`: a VCF ingested once a session, opened lazily."""
    from genomics_nb.store.ingest import ingest
    from genomics_nb.store.schema import open_vcz

    folder = tmp_path_factory.mktemp("analyses")
    done: dict[tuple[Path, str], Path] = {}

    def open_stored(vcf: Path, build: str = "unknown") -> xr.Dataset:
        key = (Path(vcf), build)
        if key not in done:
            done[key] = ingest(vcf, folder, build=build).path
        return open_vcz(done[key])

    return open_stored


@pytest.fixture(scope="module")
def chromium(peer: Callable[[str], str]):  # noqa: ANN201 - playwright is imported only where a page is looked at
    """A headless Chromium, by playwright; pages are opened on files of this machine only."""
    program = peer("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync"],
        )
        yield browser
        browser.close()
