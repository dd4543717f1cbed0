"""A fork says what a kernel says, ends at its limits, and leaves nothing behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
import pytest

from genomics_nb.core.forkserver import Limits
from genomics_nb.core.types import GenomicsError
from genomics_nb.delivery import engine
from genomics_nb.delivery.engine import EngineName, Forkserver, execute, server
from genomics_nb.delivery.run import find_template

MIB = 2**20


def notebook(*cells: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(textwrap.dedent(cell)) for cell in cells])


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., list[nbformat.NotebookNode]]:
    """Runs cells and gives those that were run, without papermill's remarks."""

    def started(*cells: str, **how: Any) -> list[nbformat.NotebookNode]:
        nb = execute(notebook(*cells), how.pop("parameters", {}), tmp_path, **how)
        return [c for c in nb.cells if c.cell_type == "code"]

    return started


def error(cell: nbformat.NotebookNode) -> tuple[str, str]:
    return next((o.ename, o.evalue) for o in cell.outputs if o.output_type == "error")


def children() -> list[psutil.Process]:
    return psutil.Process(server().pid).children(recursive=True)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 20
    while children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert children() == []


EVERYTHING = (
    "import sys\nprint('one')\nprint('two', flush=True)\nprint('three', file=sys.stderr)\n6 * 7",
    "from IPython.display import HTML, display, clear_output, update_display\n"
    "display(HTML('<b>a</b>'), display_id='d')\ndisplay({'x': 1}, metadata={'text/plain': {'y': 2}})",
    "update_display(HTML('<i>b</i>'), display_id='d')\nprint('gone')\nclear_output()\nprint('é\\ud800'.encode('utf-8', 'replace'))",
    "print('waits')\nclear_output(wait=True)\nprint('stays')",
    "import matplotlib.pyplot as plt\nplt.plot([1, 2], [3, 4])\nplt.title('t');",
    "import pandas as pd\npd.DataFrame({'a': [1.5, None]})",
    "import asyncio\nawait asyncio.sleep(0.01)\nasyncio.get_running_loop().is_running(), __name__",
    "import os, subprocess\nsubprocess.run(['echo', 'from a program'])\nos.system('echo again >&2');",
    "%%html\n<p>magic</p>",
    "import warnings\nwarnings.warn('careful')",
    "def f(x):\n    return 1 / x\nf(0)",
    "'never reached'",
)


def said(nb: nbformat.NotebookNode) -> list[Any]:
    """What cells show, without times, numbers of processes and memory addresses; pieces of a stream joined, as their cut is chance."""
    found = []
    for cell in nb.cells:
        if cell.cell_type == "code":
            text = json.dumps(engine.joined(cell.outputs), sort_keys=True)
            for pattern in (r"0x[0-9a-f]{8,}", r"(genomics-nb-\w{8}/)?ipykernel_\d+/\d+", r"\d{4}-\d\d-\d\dT[\d:.+]+Z?",
                            r"(genomics-nb-\w{8}/)?genomics-nb-([a-z]+-)?\w{8}"):
                text = re.sub(pattern, "-", text)
            found.append((cell.source, cell.execution_count, json.loads(text)))
    return found


def both(nb: nbformat.NotebookNode, parameters: dict[str, Any], folder: Path) -> list[nbformat.NotebookNode]:
    engines: tuple[EngineName, ...] = ("process", "kernel")
    return [execute(nb, parameters, folder, engine=name) for name in engines]


def test_streams_displays_plots_errors_and_await_come_out_as_from_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # where a kernel sees it, it does not read what other programs print
    ours, kernel = both(notebook(*EVERYTHING), {}, tmp_path)
    for mine, theirs in zip(said(ours), said(kernel), strict=True):
        assert mine == theirs
    assert len(said(ours)) == len(EVERYTHING) and ours.metadata.language_info.name == "python"


def test_the_report_is_the_same_as_from_a_kernel(tmp_path: Path) -> None:
    ours, kernel = both(find_template("rare_disease").nb, {"lang": "en"}, tmp_path)
    dates = re.compile(r"20\d\d-\d\d-\d\d|[0-9a-f]{32,64}|\d+ [A-Z][a-z]+ 20\d\d")
    for mine, theirs in zip(said(ours), said(kernel), strict=True):
        assert dates.sub("", json.dumps(mine)) == dates.sub("", json.dumps(theirs))


def test_the_libraries_are_loaded_and_no_thread_is_started_before_the_fork(run: Callable[..., Any]) -> None:
    assert server().threads == 1
    if sys.platform == "linux":
        assert len(os.listdir(f"/proc/{server().pid}/task")) == 1
    (cell,) = run("import sys, os\nprint(json if False else sorted({'xarray', 'zarr', 'dask.array', 'numba'} - set(sys.modules)))\n"
                  "print(os.getppid())".replace("json if False else ", ""))
    assert cell.outputs[0].text.split() == ["[]", str(server().pid)]


def test_a_library_that_cannot_be_loaded_or_starts_a_thread_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "busy.py").write_text("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name, text in (("no_such_library", "ModuleNotFoundError"), ("busy", "started a thread")):
        with pytest.raises(GenomicsError, match=text):
            Forkserver("genomics_nb.delivery.engine:live", [name])


def test_notebooks_share_nothing_but_what_was_loaded(run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAID_LATE", "yes")
    code = ("import os, tempfile, numpy as np, builtins\nprint(hasattr(builtins, 'mark'), np.random.random(), os.getpid(), os.getcwd(),"
            " os.environ['SAID_LATE'])\nbuiltins.mark = 1\nopen(tempfile.mkstemp()[1], 'w').write('x')\nprint(tempfile.gettempdir())")
    texts = [run(code)[0].outputs[0].text.split() for _ in range(2)]
    assert [t[0] for t in texts] == ["False", "False"] and texts[0][1:3] != texts[1][1:3]
    assert {t[3] for t in texts} == {str(tmp_path)} and {t[4] for t in texts} == {"yes"}
    assert not any(Path(t[5]).exists() for t in texts)  # temporary files go with the notebook


def test_what_a_forked_process_of_a_notebook_prints_is_kept_whole(run: Callable[..., Any]) -> None:
    (cell,) = run("import multiprocessing as m\ndef say(n):\n    print('x' * 2000)\n    return n\n"
                  "print('first', end='', flush=True)\nwith m.get_context('fork').Pool(2) as pool:\n    print(pool.map(say, range(8)))")
    text = "".join(o.text for o in cell.outputs if o.get("name") == "stdout")
    assert text.count("x") == 16000 and text.count("first") == 1 and "[0, 1, 2, 3, 4, 5, 6, 7]" in text


@pytest.mark.parametrize("code, name, text", [
    ("import os; os._exit(3)", "ProcessDied", "exit code 3"),
    ("import os, signal; print('last word', flush=True); os.kill(os.getpid(), signal.SIGSEGV)", "ProcessDied", "SIGSEGV"),
    ("import sys; sys.exit(2)", "SystemExit", "2"),
    ("while True: pass", "TimeLimit", "more than 1.5 s"),
    ("import time, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(99)",
     "TimeLimit", "more than 1.5 s"),
    ("while True: print('y' * 1000)", "OutputLimit", "more than 1 MiB"),
    ("import os\nos.system('yes')", "OutputLimit", "more than 1 MiB"),
])
def test_an_end_in_the_middle_is_told(run: Callable[..., Any], code: str, name: str, text: str) -> None:
    before, cell, after = run("print('before')", code, "print('after')", limits=Limits(seconds=1.5, output=MIB))
    assert before.outputs[0].text == "before\n" and after.outputs == []
    assert error(cell)[0] == name and text in error(cell)[1]
    if "last word" in code:
        assert cell.outputs[0].text == "last word\n"


def test_exit_ends_the_notebook(run: Callable[..., Any]) -> None:
    first, second = run("exit()", "print('after')")
    assert error(second)[0] == "ProcessDied" and not first.get("outputs")


def test_memory_is_bounded_also_that_of_started_processes(run: Callable[..., Any]) -> None:
    limits = Limits(memory=1400 * MIB, seconds=60)
    (cell,) = run("kept = []\nimport time\nwhile True:\n    kept.append(bytearray(20_000_000))\n    time.sleep(0.01)", limits=limits)
    assert error(cell)[0] == "MemoryLimit" and "1,400 MiB" in error(cell)[1]
    (cell,) = run("import subprocess, sys\nhog = 'import time; k = bytearray(900_000_000); time.sleep(90)'\n"
                  "subprocess.run(['/bin/sh', '-c', f'{sys.executable} -c \"{hog}\" & {sys.executable} -c \"{hog}\"'])", limits=limits)
    assert error(cell)[0] == "MemoryLimit"


def test_processes_that_multiply_or_detach_themselves_are_ended(run: Callable[..., Any]) -> None:
    bomb = ("import os, time\nfor _ in range(5):\n    os.fork()\nif os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n"
            "time.sleep(300)")
    (cell,) = run(bomb, limits=Limits(seconds=3))
    assert error(cell)[0] == "TimeLimit"  # that none is left, the fixture looks
    (cell,) = run("import subprocess\nsubprocess.Popen(['setsid', 'sleep', '300'])\nprint('left one')")
    assert cell.outputs[0].text == "left one\n"


def test_a_cancellation_ends_it_at_once(run: Callable[..., Any]) -> None:
    stop = threading.Event()
    threading.Timer(0.7, stop.set).start()
    began = time.monotonic()
    (cell,) = run("import time; time.sleep(300)", cancel=stop)
    assert error(cell)[0] == "Cancelled" and time.monotonic() - began < 20


def test_several_threads_run_notebooks_at_once(run: Callable[..., Any]) -> None:
    found: dict[int, str] = {}

    def one(n: int) -> None:
        found[n] = run(f"import time; time.sleep(0.3); print({n})")[0].outputs[0].text

    threads = [threading.Thread(target=one, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: f"{n}\n" for n in range(4)}


SMALL = """
import signal, sys, genomics_nb.delivery.engine as e
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background has it ignored
from pathlib import Path
import nbformat
e.preloaded = lambda: [e.__name__ + ':make_shell']
code = "import os, subprocess, time; p = subprocess.Popen(['sleep', '300']); open('pids', 'w').write(f'{os.getppid()} {os.getpid()} {p.pid}'); time.sleep(300)"
e.execute(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), {}, Path(sys.argv[1]))
"""


@pytest.mark.parametrize("who, what", [("runner", signal.SIGKILL), ("runner", signal.SIGINT), ("server", signal.SIGKILL)])
def test_nothing_works_on_for_a_runner_or_a_server_that_is_gone(tmp_path: Path, who: str, what: signal.Signals) -> None:
    runner = subprocess.Popen([sys.executable, "-c", SMALL, str(tmp_path)], stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "pids").exists() or len((tmp_path / "pids").read_text().split()) < 3:
        assert time.monotonic() < deadline and runner.poll() is None
        time.sleep(0.05)
    pids = [int(text) for text in (tmp_path / "pids").read_text().split()]
    os.kill(runner.pid if who == "runner" else pids[0], what)
    try:
        runner.wait(60)
        while any(psutil.pid_exists(pid) for pid in pids):
            assert time.monotonic() < deadline + 60, [psutil.pid_exists(pid) for pid in pids]
            time.sleep(0.05)
    finally:
        runner.kill()
        runner.wait()


def test_it_listens_on_no_port_and_a_child_has_no_foreign_file(run: Callable[..., Any], tmp_path: Path) -> None:
    with open(tmp_path / "held", "w") as held, socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        (cell,) = run("import os, psutil\nme = psutil.Process()\nprint([c for p in (me, me.parent()) for c in p.net_connections('inet')])\n"
                      "print([os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')])")
        assert held.name not in cell.outputs[0].text
    assert cell.outputs[0].text.startswith("[]\n")


def test_papermill_knows_the_engine_and_refuses_another_language(tmp_path: Path) -> None:
    nbformat.write(notebook("print(x)"), tmp_path / "a.ipynb")
    done = papermill.execute_notebook(str(tmp_path / "a.ipynb"), None, {"x": 7}, engine_name="genomics_nb", kernel_name="python3",
                                      language="python", progress_bar=False, cwd=str(tmp_path))
    assert done.cells[-1].outputs[0].text == "7\n" and done.cells[-1].metadata.papermill.status == "completed"
    nb = notebook("1")
    nb.metadata["kernelspec"] = {"name": "ir", "language": "R", "display_name": "R"}
    with pytest.raises(GenomicsError, match="needs a kernel"):
        papermill.execute_notebook(nb, None, engine_name="genomics_nb", progress_bar=False)


def test_papermill_finds_the_engine_by_itself() -> None:
    """By its entry point, and not before it is used: papermill asks for it while it is imported, also when the engine does that."""
    asked = ("import sys; from papermill.engines import papermill_engines as known; found = known.get_engine('genomics_nb'); "
             "assert 'genomics_nb.delivery' not in sys.modules; found.execute_managed_notebook; import genomics_nb.delivery.engine")
    for code in (asked, "import genomics_nb.delivery.engine"):
        subprocess.run([sys.executable, "-c", code], check=True)
