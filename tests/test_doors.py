"""Genotypes leave the store through one gate: nothing else in the package, its templates, lessons and notebooks opens them.

The tests read the code. They find a door by its name, by an import under another name, and by a name in a string; they do not
find somebody who reads the bytes of a file. Against that stands the permission of the files, which the doctor looks at."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import xarray as xr

from genomics_nb.core.types import ConsentError
from genomics_nb.store.cad import CAD, synthetic_store
from genomics_nb.store.public import open_public
from genomics_nb.store.tables import decisions
from genomics_nb.store.working import arrays_of_copy, open_copy, write_copy

PACKAGE = "genomics_nb"
STORE = f"{PACKAGE}.store"

# Names that open a Zarr group, an icechunk repository or a VCF, wherever they come from.
DOORS = {
    "open_vcz", "open_zarr", "open_group", "open_array", "open_consolidated", "open_datatree", "open_mfdataset", "open_dataset",
    "VariantFile", "TabixFile", "AlignmentFile", "local_filesystem_storage", "in_memory_storage", "s3_storage",
    "readonly_session", "writable_session", "LocalStore", "ZipStore", "FsspecStore", "ObjectStore", "LocalStorage",
}
LIBRARIES = {"icechunk", "zarr", "cyvcf2", "vcztools", "bio2zarr", "h5py"}  # to import one is to open what it opens
READERS = {"xarray", "dask.array"}  # doors only by their open_... and from_zarr
# Modules of 1_store that open arrays, and why. Outside 1_store nobody imports one of them.
OPENERS = {
    "schema": "opens an analysis, for the modules below",
    "bgzf": "reads a delivered BCF",
    "collect": "writes the arrays of an analysis",
    "shards": "writes the arrays of an analysis",
    "ingest": "writes analyses, and reads back what it wrote",
    "deliveries": "opens what waits for its checks, for the checks, with a role and a line in the log",
    "gate": "serves a case, after the decision",
    "tumour_side": "serves tumour and normal of a case, after the decision",
    "markers": "takes the fingerprint of an analysis, before anybody may read it",
    "repository": "opens a cohort's repository, for the modules below",
    "segments": "names the codecs of a cohort's arrays",
    "cohorts": "copies an analysis into a cohort, after the consents",
    "analysis_erasure": "rewrites an analysis without somebody",
    "erasure": "looks for what an erasure left",
    "public": "opens files that lie in no store: public and synthetic data",
    "working": "writes and opens copies that lie in no store",
    "preparation": "checks what ingest is writing with a reference, and writes it normalised, before it has its name",
}
# Modules through which arrays of a cohort pass that others opened: inside 1_store only, too.
PASSAGES = {"cohort", "counts", "matrix", "row", "scrub", "serving", "shelf"}
# Of these modules, names that take in or keep account, and give no genotypes out.
HARMLESS = {
    "ingest": {"ingest", "read_header", "leftovers", "Analysis", "UNFINISHED"},
    "deliveries": {"Check", "Delivery", "Receipt", "Verdict", "State", "conclude", "decide_delivery", "get_receipt", "read_delivery",
                   "receipts", "take_in", "turn_away"},
    "public": {"open_public", "DECLARED"},  # nothing of a store: see the tests at the end
    "working": {"store_around", "write_copy", "open_copy", "arrays_of_copy", "rows_of_copy", "place_for_copy"},  # likewise
    "preparation": {"last_step"},
    "gate": {"ask", "rests_on"},  # a decision, and what a case rests on: names and hashes
    "erasure": {"begin_erasure", "erase_person", "erasure_findings", "plan_erasure"},
}
# The checks of a delivery look at genotypes before anybody may read them: by the role that takes in, and with a line in the log.
CHECKS = {"deliveries.under_test", "markers.fingerprint_of"}
WHO_CHECKS = {f"{PACKAGE}.delivery.intake", "nbs/library/8_delivery/33_intake.ipynb"}
# The tumour report reads tumour and normal by this one function: it asks the gate first, logs, and refuses others' samples. With it go
# the model of its argument and the reader of that model, which give no genotypes out.
TUMOUR_SIDE = {"tumour_side.serve_tumour", "tumour_side.TumourSide", "tumour_side.read_tumour_side"}
WHO_SERVES_TUMOURS = {f"{PACKAGE}.delivery.tumour_opened", "nbs/library/8_delivery/72_tumour_opened.ipynb"}


def origins(tree: ast.AST) -> dict[str, str]:
    """Local name to what it stands for: `import zarr as z` makes z zarr, `from zarr import open as o` makes o zarr.open."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for a in node.names:
                names[a.asname or a.name.split(".")[0]] = a.name if a.asname else a.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            names.update({a.asname or a.name: f"{'.' * node.level}{node.module or ''}.{a.name}" for a in node.names})
    return names


def doors(source: str) -> list[str]:
    """What in this code opens arrays or a VCF."""
    tree = ast.parse(source)
    known, found = origins(tree), []
    for node in ast.walk(tree):
        what = ""
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            names = [] if isinstance(node, ast.Import) else [a.name for a in node.names]
            what = next((m for m in modules if m.split(".")[0] in LIBRARIES), "") or next((n for n in names if n in DOORS), "")
        elif isinstance(node, ast.Attribute | ast.Name):
            written = ast.unparse(node)
            head, _, rest = written.partition(".")
            full = known.get(head, head) + (f".{rest}" if rest else "")
            last = full.split(".")[-1]
            reader = any(full.startswith(f"{r}.") for r in READERS) and (last.startswith("open") or last == "from_zarr")
            what = written if last in DOORS or reader else ""
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            what = node.value if node.value in DOORS | {f"{STORE}.{m}" for m in OPENERS | dict.fromkeys(PASSAGES)} else ""
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}:
            named = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            what = next((n for n in named if n.split(".")[0] in LIBRARIES), "")
        if what:
            found.append(f"line {node.lineno}: {what}")
    return found


def inner_modules(source: str, package: str) -> list[str]:
    """Modules of 1_store with a door, or a passage, that this code outside 1_store imports. `package` resolves `from ..store`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [(a.name, "") for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names = [(base, a.name) for a in node.names]
        else:
            continue
        for base, name in names:
            for module in OPENERS | dict.fromkeys(PASSAGES):
                inside = base == f"{STORE}.{module}" or (base == STORE and name == module)
                if inside and name not in HARMLESS.get(module, ()):
                    found.append(f"{module}.{name}" if base != STORE and name else module)
    return found


def modules(repo: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((repo / PACKAGE).rglob("*.py")):
        if path.name not in {"__init__.py", "_modidx.py"}:
            yield ".".join(path.relative_to(repo).with_suffix("").parts), path.read_text(encoding="utf-8")


def notebook_code(notebook: Path) -> str:
    """Every code cell, without the lines and the cells that only Jupyter or a shell understands."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    lines = [line for source in code if not source.startswith("%%") for line in source.splitlines()]
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def outside(repo: Path) -> Iterator[tuple[str, str, str]]:
    """Name, code and package of everything that is not 1_store: modules, notebooks with their examples, templates, lessons.

    The examples of 0_core read the synthetic files that they have just written; the layer stands below the store."""
    for name, source in modules(repo):
        if not name.startswith(f"{STORE}."):
            yield name, source, name.rpartition(".")[0]
    for notebook in [repo / "nbs" / "index.ipynb", *sorted((repo / "nbs").rglob("*.ipynb"))]:
        shelf = notebook.relative_to(repo / "nbs").parts
        if ".ipynb_checkpoints" not in shelf and shelf[:2] not in (("library", "0_core"), ("library", "1_store")):
            yield str(notebook.relative_to(repo)), notebook_code(notebook), PACKAGE


# Published panels: sums that passed the release rule. The module opens only a folder with a manifest of a release.
PUBLISHED = {f"{PACKAGE}.population.panel_table", "nbs/library/2_population/28_panel_table.ipynb"}


# Cohorts of tumours made from MAFs that somebody holds already: they lie in no store, and the module refuses a folder in one.
TUMOURS = {f"{PACKAGE}.tumour.mutations", "nbs/library/5_tumour/35_mutations.ipynb"}


def test_nothing_outside_the_store_opens_arrays(repo: Path) -> None:
    found = [f"{name} {door}" for name, source, _ in outside(repo) for door in doors(source)
             if not (name in PUBLISHED and door.endswith("xr.open_zarr")) and name not in TUMOURS]
    assert found == [], "genotypes are served by store.gate and store.shelf alone, after the decision"


def test_nothing_outside_the_store_reaches_for_what_opens_arrays(repo: Path) -> None:
    found = [(name, what) for name, source, package in outside(repo) for what in inner_modules(source, package)
             if not (name in WHO_CHECKS and what in CHECKS) and not (name in WHO_SERVES_TUMOURS and what in TUMOUR_SIDE)]
    assert found == [], "use store.cad"


def test_inside_the_store_only_named_modules_open_arrays(repo: Path) -> None:
    with_doors = {name.removeprefix(f"{STORE}.") for name, source in modules(repo) if name.startswith(f"{STORE}.") and doors(source)}
    assert with_doors - set(OPENERS) == set(), "name it in OPENERS, and say why it may"
    assert set(OPENERS) - with_doors == set(), "it opens nothing any more: take it off the list"


@pytest.mark.parametrize("second_door", [
    "import xarray as xr\nxr.open_zarr('a.vcz')",
    "import xarray\nxarray.open_dataset('a.vcz', engine='zarr')",
    "from xarray import open_dataset as o\no('a')",
    "import dask.array as da\nda.from_zarr('a.vcz')",
    "import zarr\nzarr.open('a.vcz')",
    "import zarr as z\nz.load('a')",
    "from zarr.storage import LocalStore as S",
    "def f():\n    import icechunk\n    return icechunk",
    "import icechunk as ic\nic.Repository.open(ic.local_filesystem_storage('c'))",
    "repo.readonly_session(branch='main')",
    "from genomics_nb.store.schema import open_vcz as read",
    "import genomics_nb.store.schema as s\nf = s.open_vcz",
    "import importlib\nimportlib.import_module('icechunk')",
    "import importlib\nimportlib.import_module('genomics_nb.store.schema')",
    "getattr(module, 'open_vcz')('a')",
    "import pysam\npysam.VariantFile('a.vcf')",
    "import cyvcf2",
])
def test_a_second_door_is_found(second_door: str) -> None:
    assert doors(second_door)


@pytest.mark.parametrize("passage", [
    "from genomics_nb.store.repository import Repository", "from genomics_nb.store import cohort", "import genomics_nb.store.matrix",
    "from genomics_nb.store.gate import serve_case", "from ..store.shelf import see", "from ..store import scrub",
    "def f():\n    from genomics_nb.store.ingest import anything_else", "from genomics_nb.store.deliveries import under_test",
    "import genomics_nb.store.deliveries"])
def test_a_passage_is_found(passage: str) -> None:
    assert inner_modules(passage, f"{PACKAGE}.delivery")


@pytest.mark.parametrize("harmless", [
    "from genomics_nb.store.cad import CAD\nCAD.open('s').genotypes('K')", "from ..store.consent import Purpose", "open('report.html')",
    "import xarray as xr\nxr.Dataset()", "from genomics_nb.store.ingest import ingest, read_header"])
def test_an_honest_module_is_let_through(harmless: str) -> None:
    assert doors(harmless) == [] and inner_modules(harmless, f"{PACKAGE}.delivery") == []


# --- and at run time: what the facade serves, it asked for ------------------------------------------------------------


@pytest.fixture
def cad(tmp_path: Path) -> CAD:
    return synthetic_store(tmp_path / "s")


def asked(cad: CAD) -> int:
    with cad.catalogue.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(decisions)) or 0


def test_each_way_to_genotypes_asks_once_and_again_after_a_withdrawal(cad: CAD) -> None:
    case = cad.cases()["case"][0]
    people = [m.person for m in cad.case(case).members]
    cad.build_cohort("learn", "GRCh38", "training")
    cad.add_to_cohort("learn")
    ways = {
        "case": lambda: cad.genotypes(case, purpose="training"), "cohort": lambda: cad.genotypes("learn", purpose="training"),
        "one person of a cohort": lambda: cad.genotypes("learn", purpose="training", people=people[:1]),
        "frequencies": lambda: cad.frequencies("learn", purpose="training"),
    }
    for name, way in ways.items():
        before = asked(cad)
        way()
        assert asked(cad) == before + 1, name
    for person in people:
        cad.withdraw(person, "training")
    for name, way in ways.items():
        before = asked(cad)
        with pytest.raises(ConsentError):
            way()
        assert asked(cad) == before + 1, f"{name}: the no is logged"
    assert cad.verify_audit() == []


def test_the_door_for_public_data_opens_nothing_of_a_store(cad: CAD, tmp_path: Path, synthetic: Path) -> None:
    inside = [*(cad.path / "analyses").glob("*.vcz"), cad.path]
    (tmp_path / "link.vcz").symlink_to(inside[0])
    (tmp_path / "folder").symlink_to(cad.path / "analyses")
    for path in (*inside, tmp_path / "link.vcz", tmp_path / "folder" / inside[0].name, tmp_path / "folder" / ".." / "store.json"):
        with pytest.raises(ConsentError, match="belongs to the store"):
            open_public(path)
    (cad.path / "copy.vcf.gz").write_bytes((synthetic / "family.vcf.gz").read_bytes())
    with pytest.raises(ConsentError):
        open_public(cad.path / "copy.vcf.gz")
    assert "no consent gate" in open_public(synthetic / "family.vcf.gz").attrs["access"]


def test_the_door_for_working_copies_opens_nothing_of_a_store(cad: CAD, tmp_path: Path) -> None:
    inside = [*(cad.path / "analyses").glob("*.vcz"), cad.path]
    (tmp_path / "link.vcz").symlink_to(inside[0])
    (tmp_path / "folder").symlink_to(cad.path / "analyses")
    empty = xr.Dataset()
    for path in (*inside, tmp_path / "link.vcz", tmp_path / "folder" / inside[0].name):
        for way in (open_copy, arrays_of_copy, lambda p: write_copy(empty, p / "new")):
            with pytest.raises(ConsentError, match="lies in the store"):
                way(path)


def test_rows_of_a_copy_lead_into_no_store_by_a_name_or_a_link(tmp_path: Path) -> None:
    """A plain array is read without Zarr, so this door must refuse by itself, and not because the layout is another."""
    import os

    import numpy as np

    from genomics_nb.store.working import rows_of_copy

    write_copy(xr.Dataset({"x": ("variants", np.arange(6))}).chunk(variants=3), tmp_path / "outside")
    made = tmp_path / "made"
    write_copy(xr.Dataset({"x": ("variants", np.arange(6))}).chunk(variants=3), made)
    store = tmp_path / "store"
    store.mkdir()
    (store / "store.json").write_text("{}")
    os.rename(made, store / "inside")  # a plain array, in a store
    assert rows_of_copy(tmp_path / "outside", "x").chunk(0).tolist() == [0, 1, 2]
    (tmp_path / "outside" / "link").symlink_to(store / "inside" / "x")
    for name in ("../store/inside/x", str(store / "inside" / "x"), "link"):
        with pytest.raises(ConsentError):
            rows_of_copy(tmp_path / "outside", name)
    with pytest.raises(ConsentError):
        rows_of_copy(store / "inside", "x")
