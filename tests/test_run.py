"""A run ends with a report or with a failure that says where; never with half a report, never with a name in a log."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from genomics_nb.core.record import RunRecord, read_record, sha256
from genomics_nb.core.types import InputError, NotFoundError, ParameterError
from genomics_nb.delivery import run as runner
from genomics_nb.delivery.run import cells_sha256, eject, find_template, run_notebook, templates

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
    assert result.report is not None and "AUR-1 in AUR-1" in result.report.read_text()
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


def test_a_kernel_that_dies_is_a_failure_with_a_record(template: Path, tmp_path: Path) -> None:
    result = run_notebook(template, {"how": "dead"}, tmp_path / "runs")
    assert result.exit_code == 1 and result.failure is not None and result.failure.exception == "DeadKernelError"
    assert read_record(result.folder).status == "failed"


@pytest.mark.parametrize(
    "parameters, said",
    [({"kase": "AUR-1"}, "Did you mean case"), ({"case": "../AUR"}, "a case has"), ({"purpose": "care"}, "packaged template")],
)
def test_a_refused_run_starts_no_kernel_and_writes_nothing(
    template: Path, tmp_path: Path, parameters: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a kernel was started")

    monkeypatch.setattr(runner.papermill, "execute_notebook", started)
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


def test_a_killed_runner_leaves_a_record_that_says_running_and_no_page(template: Path, tmp_path: Path) -> None:
    nb = nbformat.read(template, as_version=4)
    nb.cells[1].source = "import time; time.sleep(60)"
    nbformat.write(nb, template)
    script = "import sys, genomics_nb.delivery.run as r; r.run_notebook(sys.argv[1], {}, sys.argv[2], run_id='r')"
    command = [sys.executable, "-c", script, str(template), str(tmp_path / "runs")]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    folder = tmp_path / "runs/r/SYN-001"
    deadline = time.monotonic() + 60
    while not (folder / "run.json").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert read_record(folder).status == "running" and {p.name for p in folder.iterdir()} == {"run.json"}


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
    assert run_notebook(template, {}, tmp_path / "runs").exit_code == 0
