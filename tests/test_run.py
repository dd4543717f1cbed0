"""A run ends with a report or with a failure that says where; never with half a report, never with a name in a log."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from genomics_nb.core.forkserver import Limits
from genomics_nb.core.record import RunRecord, read_record, sha256
from genomics_nb.core.types import InputError, NotFoundError, ParameterError
from genomics_nb.delivery import run as runner
from genomics_nb.delivery.pdf import pdf_available
from genomics_nb.delivery.results import read_results
from genomics_nb.delivery.run import cells_sha256, eject, find_template, request_of, run_notebook, templates
from genomics_nb.store.cad import CAD
from genomics_nb.variant.knowledge import add_demo

PARAMETERS = 'case: str = "SYN-001"  # pseudonym\npurpose: str = "research"  # purpose\nhow: str = "well"  # well or badly'
BODY = """\
import os, sys
from genomics_nb.core.types import InputError
from genomics_nb.delivery.document import Section, Text
label = "DUPONT" + "Marie"
print("a printed line")
print(label, file=sys.stderr)
if how == "badly":
    {"a": 1}[label]
if how == "ours":
    raise InputError("GT points past the alleles", line=7)
if how == "dead":
    os._exit(3)
Section("Result", [Text(f"{case} in {os.path.basename(os.getcwd())}")])"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    cells = [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(BODY)]
    path = tmp_path / "greeting.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def everything(folder: Path) -> str:
    return "\n".join(p.read_text(encoding="utf-8") for p in sorted(folder.rglob("*")) if p.is_file())


def test_a_good_run_leaves_a_page_its_notebook_and_a_complete_record(template: Path, tmp_path: Path) -> None:
    result = run_notebook(template, {"case": "AUR-1"}, tmp_path / "runs", run_id="r1")
    assert (result.exit_code, result.status) == (0, "done") and result.report == tmp_path / "runs/r1/AUR-1/report.html"
    assert {p.name for p in result.folder.iterdir()} == {"report.html", "report.ipynb", "run.json"}
    assert result.report is not None and "AUR-1 in .AUR-1-" in result.report.read_text()
    record = read_record(result.folder)
    assert record == result.record and record.status == "done" and record.failure is None and record.signed is False
    assert record.parameters == {"case": "AUR-1", "purpose": "research", "how": "well"}
    assert record.outputs == {name: sha256(result.folder / name) for name in ("report.html", "report.ipynb")}
    assert record.finished is not None and record.finished >= record.started and record.timings["total"] > 0
    assert record.template.modified and record.template.packaged_sha256 is None
    assert record.software.libraries["numpy"] and record.software.lock_sha256
    given = set(json.loads((result.folder / "run.json").read_text()))
    assert given == set(RunRecord.model_fields)


def test_what_a_run_writes_is_for_its_owner_only(template: Path, tmp_path: Path) -> None:
    result = run_notebook(template, {}, tmp_path / "runs")
    assert stat.S_IMODE(result.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in result.folder.iterdir()} == {0o600}


def test_a_failure_keeps_the_notebook_publishes_nothing_and_holds_no_data(template: Path, tmp_path: Path) -> None:
    result = run_notebook(template, {"how": "badly"}, tmp_path / "runs")
    assert (result.exit_code, result.report) == (1, None) and "KeyError" in str(result) and "cell 2" in str(result)
    assert {p.name for p in result.folder.iterdir()} == {"failed.ipynb", "run.json"}
    failure = read_record(result.folder).failure
    assert failure is not None and (failure.cell, failure.exception, failure.message) == (2, "KeyError", None)
    assert failure.frames == ("the cell, line 8",)
    assert "DUPONTMarie" not in everything(result.folder) + str(result)
    kept = nbformat.read(result.folder / "failed.ipynb", as_version=4)
    assert any("a printed line" in output.get("text", "") for cell in kept.cells for output in cell.get("outputs", []))


def test_a_message_of_our_own_is_kept(template: Path, tmp_path: Path) -> None:
    result = run_notebook(template, {"how": "ours"}, tmp_path / "runs")
    assert result.failure is not None and result.failure.message == "line 7: GT points past the alleles"


@pytest.mark.parametrize("engine, said", [("process", "ProcessDied"), ("kernel", "DeadKernelError")])
def test_a_process_that_dies_is_a_failure_with_a_record(template: Path, tmp_path: Path, engine: Any, said: str) -> None:
    result = run_notebook(template, {"how": "dead"}, tmp_path / "runs", engine=engine)
    assert result.exit_code == 1 and result.failure is not None and result.failure.exception == said
    assert read_record(result.folder).status == "failed"
    if engine == "process":
        assert result.failure.cell == 2 and "exit code 3" in str(result.failure.message)


@pytest.mark.parametrize(
    "parameters, said",
    [({"kase": "AUR-1"}, "Did you mean case"), ({"case": "../AUR"}, "a case has"), ({"purpose": "care"}, "packaged template")],
)
def test_a_refused_run_starts_nothing_and_writes_nothing(
    template: Path, tmp_path: Path, parameters: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("it was started")

    monkeypatch.setattr(runner, "execute", started)
    with pytest.raises(ParameterError, match=said) as caught:
        run_notebook(template, parameters, tmp_path / "runs")
    assert caught.value.exit_code == 2 and not (tmp_path / "runs").exists()


def test_a_packaged_template_refuses_a_missing_store_and_a_misspelt_name_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no store") as caught:
        run_notebook("rare_disease", {"store": str(tmp_path / "nowhere")}, tmp_path / "runs")
    assert caught.value.exit_code == 2 and not (tmp_path / "runs").exists()
    with pytest.raises(NotFoundError, match="rare_disease"):
        find_template("rare_diseases")


def test_the_same_case_twice_in_one_run_is_refused(template: Path, tmp_path: Path) -> None:
    run_notebook(template, {}, tmp_path / "runs", run_id="night-1")
    before = everything(tmp_path / "runs")
    with pytest.raises(ParameterError, match="already holds"):
        run_notebook(template, {}, tmp_path / "runs", run_id="night-1")
    assert everything(tmp_path / "runs") == before


@pytest.mark.parametrize("run_id", ["../up", "a/b", "", ".x", "a b"])
def test_a_run_id_cannot_leave_its_folder(template: Path, tmp_path: Path, run_id: str) -> None:
    if run_id == "":
        assert run_notebook(template, {}, tmp_path / "runs", run_id=None).run_id
        return
    with pytest.raises(ParameterError, match="run id"):
        run_notebook(template, {}, tmp_path / "runs", run_id=run_id)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "not json", '{"cells": 3}'])
def test_a_file_that_is_no_notebook_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.ipynb").write_text(text)
    with pytest.raises(InputError, match=r"x\.ipynb: this is not a notebook"):
        find_template(tmp_path / "x.ipynb")


def test_an_ejected_copy_is_the_template_until_a_cell_changes(tmp_path: Path) -> None:
    copy = eject("rare_disease", tmp_path / "mine.ipynb")
    same = find_template(copy)
    assert (same.name, same.modified) == ("rare_disease", False)
    nb = nbformat.read(copy, as_version=4)
    nb.cells[1].outputs, nb.cells[1].execution_count = [], 7
    assert cells_sha256(nb) == same.sha256
    nb.cells[-1].source += "\n# edited"
    nbformat.write(nb, copy)
    edited = find_template(copy)
    assert edited.modified and edited.packaged_sha256 == templates()["rare_disease"].sha256
    with pytest.raises(ParameterError, match="packaged template"):
        run_notebook(edited, {"purpose": "care"}, tmp_path / "runs")
    with pytest.raises(ParameterError, match="already there"):
        eject("rare_disease", copy)


def test_a_killed_runner_leaves_nothing_under_the_name_and_the_next_run_cleans_up(template: Path, tmp_path: Path) -> None:
    nb = nbformat.read(template, as_version=4)
    good = nb.cells[1].source
    nb.cells[1].source = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
    nbformat.write(nb, template)
    script = ("import sys, genomics_nb.delivery.run as r, genomics_nb.delivery.engine as e\n"
              "e.preloaded = lambda: [e.__name__ + ':make_shell']\n"  # the libraries are not what is tested
              "r.run_notebook(sys.argv[1], {}, sys.argv[2], run_id='r')")
    command = [sys.executable, "-c", script, str(template), str(tmp_path / "runs")]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    folder = tmp_path / "runs/r"
    wait_for(lambda: any(p.read_text() for p in folder.glob(".SYN-001-*/pid")))
    (staged,) = folder.iterdir()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert read_record(staged).status == "running"
    wait_for(lambda: not psutil.pid_exists(int((staged / "pid").read_text())))  # nothing works on for nobody
    nb.cells[1].source = good
    nbformat.write(nb, template)
    assert run_notebook(template, {}, tmp_path / "runs", run_id="r").exit_code == 0
    assert [p.name for p in folder.iterdir()] == ["SYN-001"]


def wait_for(done: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_that_takes_the_place_of_another_puts_that_one_aside(template: Path, tmp_path: Path) -> None:
    first = run_notebook(template, {"how": "badly"}, tmp_path / "runs", run_id="r")
    before = everything(first.folder)
    second = run_notebook(template, {}, tmp_path / "runs", run_id="r", replace=True)
    assert second.exit_code == 0 and (first.folder / "report.html").exists()
    assert everything(tmp_path / "runs/r/.earlier/SYN-001-1") == before
    (second.folder / "signature.json").write_text("{}")
    with pytest.raises(ParameterError, match="signed"):
        run_notebook(template, {}, tmp_path / "runs", run_id="r", replace=True)
    assert {p.name for p in (tmp_path / "runs/r").iterdir()} == {"SYN-001", ".earlier"}


def test_a_name_that_was_taken_meanwhile_is_not_written_over(template: Path, tmp_path: Path) -> None:
    final = tmp_path / "runs/r/SYN-001"
    nb = nbformat.read(template, as_version=4)
    nb.cells[1].source = f"import os; os.makedirs({str(final)!r}); open({str(final / 'kept')!r}, 'w').close()"
    nbformat.write(nb, template)
    with pytest.raises(ParameterError, match="already holds"):
        run_notebook(template, {}, tmp_path / "runs", run_id="r")
    assert [p.name for p in final.parent.iterdir()] == ["SYN-001"] and [p.name for p in final.iterdir()] == ["kept"]


def test_results_that_a_notebook_shows_are_beside_its_report(template: Path, tmp_path: Path) -> None:
    nb = nbformat.read(template, as_version=4)
    nb.cells[1].source += """
from genomics_nb.delivery.results import Results
Results(kind="greeting", case=case, family="F", proband="P", build="GRCh38", lang="en", purpose=purpose)"""
    nbformat.write(nb, template)
    result = run_notebook(template, {}, tmp_path / "runs", pdf=True)
    assert result.exit_code == 0 and read_results(result.folder).kind == "greeting"
    assert result.record.outputs["results.json"] == sha256(result.folder / "results.json")
    assert (result.pdf is not None) == pdf_available() == (result.folder / "report.pdf").exists()


def test_a_limit_and_a_cancellation_are_failures_that_say_so(template: Path, tmp_path: Path) -> None:
    nb = nbformat.read(template, as_version=4)
    nb.cells[1].source = "print('before')\nimport time; time.sleep(600)"
    nbformat.write(nb, template)
    late = run_notebook(template, {}, tmp_path / "runs", limits=Limits(seconds=0.5))
    assert late.failure is not None and (late.failure.cell, late.failure.exception) == (2, "TimeLimit")
    assert late.exit_code == 1 and "more than 0.5 s" in str(late) and "before" in late.notebook.read_text()
    stop = threading.Event()
    stop.set()
    cancelled = run_notebook(template, {}, tmp_path / "runs", cancel=stop)
    assert cancelled.failure is not None and cancelled.failure.exception == "Cancelled"
    with pytest.raises(ParameterError, match="process"):
        run_notebook(template, {}, tmp_path / "runs", engine="kernel", cancel=stop)


def test_a_request_changes_where_something_did_and_nowhere_else(tmp_path: Path, synthetic: Path) -> None:
    cad = CAD.init(tmp_path / "store")
    cad.ingest(synthetic / "family.vcf.gz", ped=synthetic / "family.ped")
    cad.add_case(synthetic / "case.json")
    add_demo(cad.path)
    given = {"store": str(cad.path), "case": "SYN-001", "purpose": "care"}
    before = request_of("rare_disease", given)
    assert set(before) == {"template", "parameters", "data", "case", "consents", "knowledge"}

    def changed(**parameters: Any) -> set[str]:
        after = request_of("rare_disease", given | parameters)
        return {name for name in before if before[name] != after[name]}

    assert changed() == set() and changed(lang="en") == {"parameters"} and changed(knowledge="demo-g2p=") == {"knowledge"}
    assert changed(knowledge="demo-g2p=synthetic") == set()  # the release that is the newest, said in words
    cad.grant("SYN-002", "care")
    assert changed() == {"consents"}
    assert "SYN" not in json.dumps(before)
    with pytest.raises(NotFoundError, match="no release"):
        run_notebook("rare_disease", given | {"knowledge": "demo-clinvar=1999-01"}, tmp_path / "runs")
    shutil.copytree(cad.path / "knowledge/demo-clinvar", cad.path / "knowledge/other-clinvar")
    said = cad.path / "knowledge/other-clinvar/synthetic/base.json"
    said.write_text(said.read_text().replace('"demo-clinvar"', '"other-clinvar"'))
    with pytest.raises(ParameterError, match="two bases are of kind clinvar"):
        run_notebook("rare_disease", given, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_no_kernel_listens_on_the_network(template: Path, tmp_path: Path) -> None:
    nb = nbformat.read(template, as_version=4)
    nb.cells[1].source = (
        "from ipykernel.kernelapp import IPKernelApp\n"
        "from IPython import get_ipython\n"
        "app = IPKernelApp.instance()\n"
        "assert app.transport == 'ipc', app.transport\n"
        "assert not get_ipython().history_manager.enabled"
    )
    nbformat.write(nb, template)
    assert run_notebook(template, {}, tmp_path / "runs", engine="kernel").exit_code == 0
