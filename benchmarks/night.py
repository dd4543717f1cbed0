"""A night's batch in small: the rare-disease report of 50 small families, by our engine and by stock papermill. Run by `make bench`.

    python benchmarks/night.py                # 50 cases of ours, 10 of papermill's
    python benchmarks/night.py --write        # the table goes to README.md

The same notebook with the same parameters, case by case, one at a time. *Cells* is the sum of what papermill notes for each cell in our
child, where the libraries are loaded; *beyond* is the wall time less that, for both: what an engine adds to the same work. Papermill's own
cells take longer, for they import; *beyond its own cells* is given too. Nothing is printed before the outputs of each case were found equal.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import papermill
import psutil
from genomics_nb.core.families import write_families
from genomics_nb.core.forkserver import resident
from genomics_nb.delivery.engine import joined, server, stop
from genomics_nb.delivery.run import find_template
from genomics_nb.store.cad import CAD
from genomics_nb.variant.knowledge import add_demo
from run import HERE, WORK

MARK, PART = "<!-- night measured -->", "<!-- end -->"
CHANGES = re.compile(r"0x[0-9a-f]{8,}|ipykernel_\d+/\d+|genomics-nb-\w{8}|[0-9a-f]{32,64}|\d{4}-\d\d-\d\dT[\d:.+]+Z?|decision \d+|\"(decision|audit_length)\": \d+")


def make_store(folder: Path, cases: int) -> list[str]:
    """A store with the synthetic families; the names of the cases."""
    shutil.rmtree(folder, ignore_errors=True)
    families = write_families(folder / "families", cases)
    cad = CAD.init(folder / "store")
    add_demo(cad.path)
    for family in families:
        cad.ingest(family.vcf, ped=family.ped)
        cad.add_case(family.packet)
        for person in family.people.values():
            cad.grant(person, "training")
    return [family.case for family in families]


def said(nb: Any) -> str:
    """What the cells show, without times, numbers of decisions and addresses."""
    shown = [joined([o for o in cell.outputs if o.get("name") != "stderr"]) for cell in nb.cells if cell.cell_type == "code"]
    return CHANGES.sub("-", json.dumps(shown, sort_keys=True))


def one(case: str, store: Path, engine: str | None) -> tuple[float, float, str]:
    """Wall seconds, seconds of the cells, and what they showed."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        how = {"folder": folder, "request_save_on_cell_execute": False} if engine else {"cwd": folder}
        nb = papermill.execute_notebook(find_template("rare_disease").nb, f"{folder}/out.ipynb",
                                        {"case": case, "store": str(store), "lang": "en"}, engine_name=engine, kernel_name="python3",
                                        language="python", progress_bar=False, **how)
    wall = time.perf_counter() - start
    return wall, sum(c.metadata.papermill.duration or 0 for c in nb.cells if c.cell_type == "code"), said(nb)


class Memory(threading.Thread):
    """The most that the server and all children held together, each shared page counted once for each process and as its share."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.rss, self.share, self.over = pid, 0, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            self.rss = max(self.rss, resident(self.pid))
            share = 0
            for process in (psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)):
                try:
                    share += getattr(process.memory_full_info(), "pss", 0)
                except psutil.Error:
                    continue
            self.share = max(self.share, share)


def report(cases: int = 50, peers: int = 10) -> list[str]:
    names = make_store(WORK / "night", cases)
    store = WORK / "night" / "store"
    stop()
    start = time.perf_counter()
    pid = server().pid
    started = time.perf_counter() - start
    one(names[0], store, "genomics_nb")  # compiles, or reads what was compiled; the server reads the ontology
    time.sleep(20)
    loaded = psutil.Process(pid).memory_info().rss
    memory = Memory(pid)
    memory.start()
    ours = {name: one(name, store, "genomics_nb") for name in names}
    memory.over.set()
    memory.join()
    some = names[:: max(1, cases // peers)][:peers]
    stock = {name: one(name, store, None) for name in some}
    for name in some:
        if ours[name][2] != stock[name][2]:
            raise SystemExit(f"the outputs of {name} differ: no time is printed")

    def mean(values: Any) -> float:
        found = list(values)
        return sum(found) / len(found)

    wall, cells = mean(w for w, *_ in ours.values()), mean(c for _, c, _ in ours.values())
    same = mean(ours[n][1] for n in some)
    theirs, own = mean(w for w, *_ in stock.values()), mean(c for _, c, _ in stock.values())
    beyond, at_papermill = wall - cells, theirs - same
    lines = [
        f"Measured {time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}: "
        f"{cases} cases of ours, {len(some)} of them by stock papermill too, whose outputs were found equal first.", "",
        "| seconds for each case | wall | cells | beyond the same cells | beyond its own cells |", "|---|---|---|---|---|",
        f"| ours | {wall:.2f} | {cells:.2f} | {beyond:.2f} | {beyond:.2f} |",
        f"| stock papermill, a kernel for each | {theirs:.2f} | {own:.2f} | {at_papermill:.2f} | {theirs - own:.2f} |", "",
        f"Time beyond the cells: **{beyond / at_papermill:.2f}** of papermill's ({beyond / (theirs - own):.2f} of what it takes beyond its own "
        f"cells). The server starts once, in {started:.1f} s, and holds {loaded / 2**20:.0f} MiB with the ontology read; server and child together "
        f"at most {memory.rss / 2**20:.0f} MiB resident, {memory.share / 2**20:.0f} MiB where a shared page is counted once.", ""]
    print("\n".join(lines), flush=True)
    stop()
    return lines


def publish(lines: list[str]) -> None:
    """Put the table into README.md, in the place of the one that stands there."""
    page = HERE / "README.md"
    text = page.read_text(encoding="utf-8")
    if MARK not in text:
        text = text.rstrip() + f"\n\n{MARK}\n{PART}\n"
    before, _, rest = text.partition(MARK)
    page.write_text(before + MARK + "\n\n## A notebook for each patient\n\n" + "\n".join(lines).rstrip() + f"\n\n{PART}" + rest.partition(PART)[2],
                    encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=50)
    parser.add_argument("--peers", type=int, default=10, help="cases that stock papermill runs too")
    parser.add_argument("--write", action="store_true", help="write the table into README.md")
    given = parser.parse_args()
    lines = report(given.cases, given.peers)
    if given.write:
        publish(lines)


if __name__ == "__main__":
    sys.exit(main())
