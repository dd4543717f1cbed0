"""What the tests stand on: the repository, the real data beside it, and the peer programs.

A laptop without them skips, and says what is missing. CI has them all, so there a missing one is a failure:
a test that silently did not run proves nothing.
"""

import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
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


class PostgreSQL:
    """A private server of Debian's PostgreSQL: a socket in a folder that only its owner enters, no port, no password."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder, self.names = programs, folder, itertools.count(1)
        # The server refuses to run as root; Debian's package brings the user postgres.
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            shutil.chown(folder, self.user)
        self.run("initdb", "--pgdata", str(folder / "data"), "--username", "genomics", "--auth", "trust", "--encoding", "UTF8",
                 "--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "fr-FR",  # sorts as a French hospital's does
                 "--no-sync")
        with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"listen_addresses = ''\nunix_socket_directories = '{folder}'\nfsync = off\nmax_connections = 60\n")

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        if self.user:
            command = ["runuser", "-u", self.user, "--", *command]
        # The server inherits what it is started with: a pipe would never end.
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False, timeout=60)
            said.seek(0)
            assert done.returncode == 0, said.read()[-2000:]

    def start(self) -> None:
        self.run("pg_ctl", "start", "--wait", "--pgdata", str(self.folder / "data"), "--log", str(self.folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        """`fast` ends every connection and closes well; `immediate` is a crash."""
        self.run("pg_ctl", "stop", "--wait", "--mode", mode, "--pgdata", str(self.folder / "data"))

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://genomics@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        name = f"test_{next(self.names)}"
        with psycopg.connect(host=str(self.folder), user="genomics", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running server; `postgresql.new_database()` gives the URL of an empty database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3])) or [
        Path(p) for p in [shutil.which("initdb")] if p]
    if not found or importlib.util.find_spec("psycopg") is None:
        absent("PostgreSQL is not installed: apt-get install postgresql, pip install 'psycopg[binary]'")
    folder = Path(tempfile.mkdtemp(prefix="genomics-pg-", dir="/tmp"))  # a socket's path must be short
    try:
        server = PostgreSQL(found[-1].parent, folder)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """Where a new catalogue may be made: each test that asks for it runs on both databases."""
    if request.param == "sqlite":
        return tmp_path / "catalogue.sqlite"
    url: str = request.getfixturevalue("postgresql").new_database()
    return url


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
