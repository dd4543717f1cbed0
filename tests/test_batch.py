"""A night: many cases, some broken, some processes killed; every report once, every failure with its reason."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import sqlalchemy as sa

from genomics_nb.core.families import NightFamily, write_families
from genomics_nb.core.record import read_record
from genomics_nb.core.types import InputError, NotFoundError, ParameterError
from genomics_nb.delivery.batch import Batch, SchedulerLost, plan_again, plan_batch, run_batch, run_plan
from genomics_nb.delivery.batch_page import reasons
from genomics_nb.delivery.batch_plan import choose_cases, make_plan, read_cases, read_plan, read_rows
from genomics_nb.store.cad import CAD
from genomics_nb.store.tables import decisions

PARAMETERS = """\
case: str = "SYN-001"  # pseudonym
store: str = ""  # store
purpose: str = "training"  # why
knowledge: str = ""  # releases
wait: float = 0.0  # seconds before the end
"""
BODY = """\
import time
from genomics_nb.core.record import Provenance
from genomics_nb.delivery.document import Section, Text
from genomics_nb.store.cad import CAD
ds = CAD.open(store).genotypes(case, purpose=purpose)
carried = int((ds.call_genotype.values > 0).sum())
time.sleep(wait)
display(Provenance.of(ds.attrs), Section("Result", [Text(f"{case}: {carried} alleles")]))
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cells = [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(BODY)]
    path = tmp_path_factory.mktemp("template") / "counted.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[NightFamily]]:
    """A training store with six families; the tests copy it."""
    root = tmp_path_factory.mktemp("hospital")
    families = write_families(root / "in", 6, records=60)
    cad = CAD.init(root / "store")
    for family in families:
        cad.ingest(family.vcf, ped=family.ped, build="GRCh38")
        cad.add_case(family.packet)
        for person in family.people.values():
            cad.grant(person, "training")
    return root / "store", families


@pytest.fixture
def store(built: tuple[Path, list[NightFamily]], tmp_path: Path) -> CAD:
    return CAD.open(shutil.copytree(built[0], tmp_path / "store"))


def decided(cad: CAD) -> Counter[str]:
    """Case -> how often the gate was asked for it."""
    with cad.catalogue.read() as connection:
        return Counter(connection.scalars(sa.select(decisions.c.subject)).all())


def more_cases(cad: CAD, family: NightFamily, names: list[str]) -> None:
    """Further questions about one family: a night of many cases on few data."""
    document = cad.case(family.case).model_dump(mode="json")
    for name in names:
        cad.add_case(document | {"case": name})


def states(batch: Batch) -> dict[str, str]:
    return {row.case: row.status for row in batch.rows}


def test_a_list_is_read_as_people_write_it_and_a_name_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "tonight.txt"
    file.write_bytes("\ufeff# ce soir\r\nDI-1\r\n  DI-2 # urgent\r\n\r\nDI-1\r\n".encode())
    names, remarks = read_cases(file)
    assert names == ["DI-1", "DI-2"] and len(remarks) == 1 and "DI-1" in remarks[0] and "5" in remarks[0]
    for line in ("Marie Dupont", "../DI-1", "1 85 05 78 006 084 36", "<b>"):
        file.write_text(f"DI-1\n{line}\n", encoding="utf-8")
        with pytest.raises(InputError, match="line 2") as caught:
            read_cases(file)
        assert line not in str(caught.value)
    for content in (b"", b"# nothing\n", b"\xff\xfe\x00"):
        file.write_bytes(content)
        with pytest.raises(InputError):
            read_cases(file)


def test_a_filter_narrows_all_and_never_a_list() -> None:
    with pytest.raises(ParameterError, match="filter"):
        choose_cases("DI-1,DI-2", [], match="DI-*")
    with pytest.raises(NotFoundError, match="list of cases"):
        choose_cases("tonight.txt", [])
    with pytest.raises(NotFoundError, match="no case"):
        choose_cases("all", [])


@pytest.mark.parametrize("parameters, said", [({"wiat": "1"}, "Did you mean wait"), ({"wait": "long"}, "wait"),
                                              ({"case": "DI-001"}, "--cases"), ({"purpose": "care"}, "packaged template")])
def test_what_is_wrong_for_all_cases_is_refused_before_anything_is_written(
        template: Path, store: CAD, tmp_path: Path, parameters: dict[str, str], said: str) -> None:
    with pytest.raises(ParameterError, match=said) as caught:
        run_batch(template, store.path, tmp_path / "runs", parameters=parameters)
    assert caught.value.exit_code == 2 and not (tmp_path / "runs").exists() and not decided(store)


def test_a_template_without_a_case_and_a_release_that_is_not_there_are_refused(store: CAD) -> None:
    with pytest.raises(ParameterError, match="no report of a case"):
        make_plan("popgen", ["DI-001"], {"store": str(store.path)})
    with pytest.raises(NotFoundError, match="no folder knowledge"):
        plan_batch("rare_disease", store.path, "runs", parameters={"knowledge": "clinvar=2099"})


def test_a_hundred_cases_with_five_broken_ones_give_ninety_five_reports_and_five_reasons(
        template: Path, store: CAD, built: tuple[Path, list[NightFamily]], tmp_path: Path) -> None:
    sound, (withdrawn, damaged, erased) = built[1][:3], built[1][3:]
    for family, start in zip(sound, (100, 200, 300), strict=True):
        more_cases(store, family, [f"N-{start + n}" for n in range(31 if start < 300 else 30)])
    good = [family.case for family in sound] + [row["case"] for row in store.case_rows() if row["case"].startswith("N-")]
    store.withdraw(withdrawn.people["child"], "training")
    store.erase(erased.people["child"])
    row = next(r for r in store.cases().to_dict("records") if r["case"] == damaged.case)
    chunks = [p for p in (store.path / "analyses" / f"{row['analyses'][0]}.vcz" / "call_genotype").rglob("*")
              if p.is_file() and p.name != "zarr.json"]
    for chunk in chunks:
        os.chmod(chunk, 0o600)
        data = bytearray(chunk.read_bytes())
        data[len(data) // 4:len(data) // 2] = bytes(len(data) // 2 - len(data) // 4)
        chunk.write_bytes(data)
    store.add_case({"case": "NO-DATA", "family": "FAM-NEW", "proband": "NEW-1", "indication": "to be read",
                    "members": [{"person": "NEW-1", "sex": "female", "affected": True}]})
    names = [*good, withdrawn.case, damaged.case, erased.case, "NO-DATA", "DI-OO1"]
    assert len(good) == 95 and len(names) == 100
    before = decided(store)
    batch = run_batch(template, store.path, tmp_path / "runs", ",".join(names), name="night")
    assert batch.exit_code == 1 and batch.counts == {"failed": 4, "refused": 1, "done": 95}
    groups = reasons(batch.rows)
    assert len(groups) == 5 and all(len(group) == 1 for group in groups)
    said = {group[0].case: group[0] for group in groups}
    assert said[withdrawn.case].exception == "ConsentError" and "may not be read for training" in said[withdrawn.case].message
    assert said[erased.case].exception == "ErasedError" and "NO-DATA has no genotypes" in said["NO-DATA"].message
    assert "no case DI-OO1" in said["DI-OO1"].message and said[damaged.case].cell == 2 and "numcodecs" in said[damaged.case].message
    assert {case for case, status in states(batch).items() if status == "done"} == set(good)
    reports = sorted(path.parent.name for path in batch.folder.glob("*/report.html"))
    assert reports == sorted(good) and f"{good[0]}: " in (batch.folder / good[0] / "report.html").read_text()
    assert all(n - before[case] == 1 for case, n in decided(store).items() if case in good)
    table = read_rows(batch.folder)
    assert {row.case: row.status for row in table.values()} == states(batch) and len(table) == 100
    assert all(row.attempts == 1 and row.seconds and row.report and row.template for row in table.values() if row.status == "done")
    page = batch.page.read_text()
    assert page.count("Consentements ou droits") == 1 and page.count('/report.html"') == 95
    assert page.index("no case DI-OO1") < page.index('/report.html"')
    assert "<b>night: 100 cases" in batch._repr_html_() and len(batch.status) == 100


def test_the_same_again_runs_nothing_and_what_changed_runs_with_its_name(
        template: Path, store: CAD, built: tuple[Path, list[NightFamily]], tmp_path: Path) -> None:
    def again(**more: Any) -> dict[str, str]:
        batch = run_batch(template, store.path, tmp_path / "runs", "DI-001,DI-002", name="night", parameters=more or None)
        assert batch.exit_code == 0 and len(batch.rows) == 2
        return {row.case: row.why for row in batch.rows}

    from genomics_nb.variant.knowledge import add_to_store

    assert set(again().values()) == {"first"}
    once = decided(store)
    assert set(again().values()) == {"unchanged"} and decided(store) == once
    alone = built[1][0]
    store.withdraw(alone.people["father"], "training")
    store.grant(alone.people["father"], "training")
    why = again()
    assert why.pop(alone.case) == "again: consents" and set(why.values()) == {"unchanged"}
    source = Path(__file__).parent.parent / "data" / "knowledge"
    files = list(source.glob("constraint.tsv")) or list(Path(__file__).parent.parent.rglob("constraint.tsv"))
    for release, date in (("one", "2026-01-01"), ("two", "2026-02-01")):
        add_to_store(store, "demo-constraint", release, files[0], kind="constraint", date=date, licence="synthetic", source="test")
        assert set(again().values()) == {"again: knowledge"}
        plan = read_plan(tmp_path / "runs" / "night")
        assert plan.knowledge == {"GRCh38": f"demo-constraint={release}"}
    assert read_record(tmp_path / "runs" / "night" / alone.case).parameters["knowledge"] == "demo-constraint=two"
    assert set(again(wait="0.01").values()) == {"again: parameters"}
    assert len(list((tmp_path / "runs" / "night" / ".earlier").iterdir())) == 1 + 2 * 3
    assert {row.why for row in run_plan(plan_again(tmp_path / "runs", "night"), tmp_path / "runs").rows} == {"unchanged"}


def test_a_signed_report_is_left_and_a_failed_one_is_run_again(template: Path, store: CAD, tmp_path: Path) -> None:
    how: dict[str, Any] = {"cases": "DI-001,DI-002", "name": "night"}
    first = run_batch(template, store.path, tmp_path / "runs", parameters={"knowledge": "none"}, **how)
    (first.folder / "DI-001" / "signature.json").write_text("{}")
    page = (first.folder / "DI-001" / "report.html").read_bytes()
    again = run_batch(template, store.path, tmp_path / "runs", parameters={"knowledge": "none", "wait": "0.01"}, **how)
    assert [(row.status, row.why) for row in again.rows] == [("left", "signed, changed since: parameters"),
                                                            ("done", "again: parameters")]
    assert again.exit_code == 0 and (first.folder / "DI-001" / "report.html").read_bytes() == page
    child = store.case("DI-002").proband
    store.withdraw(child, "training")
    refused = run_batch(template, store.path, tmp_path / "runs", parameters={"knowledge": "none", "wait": "0.01"}, **how)
    assert [row.status for row in refused.rows] == ["left", "refused"] and not (first.folder / "DI-002" / "report.html").exists()
    store.grant(child, "training")
    well = run_batch(template, store.path, tmp_path / "runs", parameters={"knowledge": "none", "wait": "0.01"}, **how)
    assert well.rows[1].status == "done" and well.rows[1].why == "failed before" and well.rows[1].attempts == 4


# A night as a program, and somebody who kills it.

def night(template: Path, cad: CAD, out: Path, *words: str) -> list[str]:
    return [sys.executable, "-c", "from genomics_nb.delivery.cli import main; main()", "batch", str(template), "--store",
            str(cad.path), "--out", str(out), "--name", "night", "--purpose", "training", "--no-pdf", "--json", *words]


@pytest.fixture
def started() -> Iterator[Callable[[list[str]], "subprocess.Popen[str]"]]:
    """Starts a program, which is gone when the test ends."""
    running: list[subprocess.Popen[str]] = []

    def start(command: list[str]) -> "subprocess.Popen[str]":
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def until(true: Callable[[], bool], process: Any, seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, "the program ended"
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def finished(out: Path) -> int:
    return len(list((out / "night").glob("*/report.html")))


@pytest.fixture
def twenty(store: CAD, built: tuple[Path, list[NightFamily]]) -> CAD:
    more_cases(store, built[1][0], [f"N-{n}" for n in range(14)])
    return store


def once_each(cad: CAD, out: Path, killed: int) -> None:
    """Twenty reports, each whole, each published once, and the gate asked again only for those that were under way."""
    names = {row["case"] for row in cad.case_rows()}
    assert {path.parent.name for path in (out / "night").glob("*/report.html")} == names and len(names) == 20
    assert all(read_record(out / "night" / name).status == "done" for name in names)
    asked = decided(cad)
    assert set(asked) == names and sum(asked.values()) <= 20 + killed
    assert not (out / "night" / ".earlier").exists()


def test_a_killed_night_goes_on_with_nothing_twice_and_nothing_lost(
        template: Path, twenty: CAD, tmp_path: Path, started: Any) -> None:
    import psutil

    out, how = tmp_path / "runs", {"name": "night", "parameters": {"wait": "0.3"}}
    first = started(night(template, twenty, out, "--workers", "2", "-p", "wait=0.3"))
    until(lambda: finished(out) >= 3, first)
    with pytest.raises(ParameterError, match=f"is being run by process {first.pid}"):
        run_batch(template, twenty.path, out, **how)
    children = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert children and not psutil.wait_procs(children, timeout=10)[1]
    there = finished(out)
    assert 3 <= there < 20
    batch = run_batch(template, twenty.path, out, **how)
    assert batch.exit_code == 0 and batch.counts == {"done": 20 - there, "skipped": there}
    once_each(twenty, out, killed=2)


def test_ctrl_c_stops_the_children_writes_the_table_and_ends_with_130(
        template: Path, twenty: CAD, tmp_path: Path, started: Any) -> None:
    import psutil

    out = tmp_path / "runs"
    first = started(night(template, twenty, out, "--workers", "2", "-p", "wait=1.5"))
    until(lambda: finished(out) >= 3, first)
    children = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGINT)
    said = first.communicate(timeout=60)[1]
    assert first.returncode == 130 and said.strip() == "genomics-nb: interrupted"
    assert children and not psutil.wait_procs(children, timeout=10)[1]
    status = Counter(row.status for row in read_rows(out / "night").values())
    assert status["done"] >= 1 and status["waiting"] >= 10 and sum(status.values()) == 20


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A scheduler and two workers, started as programs."""
    file = tmp_path / "scheduler.json"
    program = str(Path(sys.executable).parent / "dask")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    scheduler = subprocess.Popen([program, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                                  "--scheduler-file", str(file)], **quiet)
    worker = subprocess.Popen([program, "worker", "--scheduler-file", str(file), "--nworkers", "2", "--nthreads", "1",
                               "--no-dashboard", "--death-timeout", "30"], **quiet)
    until(lambda: file.exists() and file.stat().st_size > 2, scheduler)
    try:
        yield scheduler, json.loads(file.read_text())["address"]
    finally:
        for process in (worker, scheduler):
            process.terminate()
            process.wait(20)


def test_a_night_on_a_scheduler_that_is_killed_counts_what_its_workers_finish(
        template: Path, twenty: CAD, tmp_path: Path, dask: tuple[subprocess.Popen[bytes], str]) -> None:
    out, how = tmp_path / "runs", {"name": "night", "parameters": {"wait": "0.3"}}
    scheduler, address = dask

    def kill() -> None:
        while finished(out) < 4:
            time.sleep(0.05)
        scheduler.kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(SchedulerLost, match="the same command again") as caught:
        run_batch(template, twenty.path, out, scheduler=address, **how)
    assert caught.value.exit_code == 1 and len(read_rows(out / "night")) == 20
    batch = run_batch(template, twenty.path, out, **how)
    assert batch.exit_code == 0 and batch.counts["skipped"] >= 4
    once_each(twenty, out, killed=2)


def test_a_killed_worker_of_a_local_cluster_is_replaced(template: Path, twenty: CAD, tmp_path: Path) -> None:
    import psutil

    out, killed = tmp_path / "runs", []

    def kill() -> None:
        end = time.monotonic() + 240
        while finished(out) < 3 and time.monotonic() < end:
            time.sleep(0.05)
        workers = [p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())]
        workers[0].kill()
        killed.append(workers[0].pid)

    killer = threading.Thread(target=kill)
    killer.start()
    batch = run_batch(template, twenty.path, out, name="night", scheduler="local", workers=2, parameters={"wait": "0.3"})
    killer.join()
    assert killed and batch.exit_code == 0 and batch.counts == {"done": 20}
    once_each(twenty, out, killed=2)


@pytest.mark.parametrize("lang, width", [("fr", 1280), ("en", 360)])
def test_the_page_of_a_night_passes_axe_and_fits_a_phone(
        chromium: Any, store: CAD, template: Path, tmp_path: Path, lang: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    batch = run_batch(template, store.path, tmp_path / "runs", "DI-001,NO-1,NO-2,NO-3", name="night", lang=lang)
    assert batch.counts == {"failed": 3, "done": 1} and len(reasons(batch.rows)) == 1
    page = chromium.new_page(viewport={"width": width, "height": 900})
    page.goto(batch.page.as_uri())
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h3").count() == 1 and "NO-2" in page.locator("article").inner_text()
    page.get_by_role("link", name="DI-001").click()
    assert "DI-001: " in page.inner_text("main")
    page.close()
