"""Whatever happens to a process or a disk: the cohort opens, its sums hold, and each person is wholly in it or wholly out.

Each person's row follows from their slot (`cohort_worker.row_of`), so that what a killed process left can be compared with what
it should have written. Processes come from a fork server that has everything imported, and are killed with SIGKILL.
"""

import json
import multiprocessing
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest
from cohort_worker import add_some, row_of, shrink, try_add, work

from genomics_nb.core.types import GenomicsError, NotFoundError, ParameterError, StoreError
from genomics_nb.store.cohort import Cohort, add, recount, remove, tag
from genomics_nb.store.matrix import carried_keys, frequencies, genotypes
from genomics_nb.store.scrub import scrub
from genomics_nb.store.segments import Segment

LINE = (1 << 32) - 1


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch.setattr)


@pytest.fixture(scope="module")
def processes() -> Iterator[ForkServerContext]:
    """A server that forks processes which have everything imported."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), before]))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cohort_worker"])
    yield context
    if before is None:
        os.environ.pop("PYTHONPATH")
    else:
        os.environ["PYTHONPATH"] = before


def new_cohort(folder: Path, people: int = 0) -> Cohort:
    cohort = Cohort.create(folder / "c", "GRCh37", "research")
    with cohort.repository.locked():
        if people:
            add(cohort, [(s, "all", row_of(s)) for s in range(people)])
    return cohort


def check_rows(cohort: Cohort, at: str | None = None) -> set[int]:
    """The slots that are in. Fails where a sum or a row is not what it must be."""
    view, _ = cohort.view(at)
    assert recount(view) == []
    slots = np.flatnonzero(view.active)
    for slot in slots.tolist():
        words, _ = Segment.row(view.group, slot, view.info[slot]).words_of(0, LINE)
        assert words.tolist() == row_of(slot).words.tolist()
    return set(slots.tolist())


def read_all(cohort: Cohort, at: str | None = None) -> set[int]:
    """`check_rows`, and that genotypes and frequencies can be read and agree."""
    slots, (view, _) = check_rows(cohort, at), cohort.view(at)
    last = int(view.genome.offsets[-1])
    ds = genotypes(view, {s: str(s) for s in sorted(slots)}, carried_keys(view, 0, last)).compute()
    table = frequencies(view, view.group.attrs["groups"], 0, last)
    assert ((ds.call_genotype.values == 1).sum((1, 2)) == table.variant_AC.values.sum(1)).all()
    assert ((ds.call_genotype.values >= 0).sum((1, 2)) == table.variant_AN.values.sum(1)).all()
    return slots


# --- kill -9 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "kills", "within"), [("add", 6, 0.15), ("merge", 5, 0.3), ("tag", 5, 0.3), ("remove", 5, 0.1), ("erase", 5, 0.6)])
def test_a_killed_process_leaves_everybody_wholly_in_or_out(
        kind: str, kills: int, within: float, processes: ForkServerContext, tmp_path: Path) -> None:
    cohort, draw = new_cohort(tmp_path, 5), random.Random(kind)
    inside, gone, tags, interrupted = set(range(5)), set(), set(), 0
    for number in range(15):
        if number >= kills and interrupted:
            break
        ledger = tmp_path / f"ledger{number}"
        process = processes.Process(target=work, args=(cohort.repository.path, ledger, kind, 60 * (number + 1)))
        process.start()
        wait_for(ledger, f"begin {kind}")
        time.sleep(draw.random() * within)
        process.kill()
        process.join()
        lines = [line.split(" ", 2) for line in ledger.read_text().splitlines()]
        done = [(what, json.loads(whom)) for state, what, whom in lines if state == "done"]
        under_way = [(what, json.loads(whom)) for state, what, whom in lines if state == "begin"][len(done):]
        assert len(under_way) <= 1
        for what, whom in done:
            inside |= set(whom) if what == "add" else set()
            gone |= set(whom) if what in ("remove", "erase") else set()
            tags |= {f"v{slot}" for slot in whom} if what == "tag" else set()
        cohort = Cohort.open(cohort.repository.path)
        found = check_rows(cohort)
        expected = inside - gone
        for what, whom in under_way:
            interrupted += what == kind or kind == "merge"
            if what == "add":
                assert found in (expected, expected | set(whom))
                inside |= found & set(whom)
            elif what in ("remove", "erase"):
                assert found in (expected, expected - set(whom))
                gone |= set(whom) - found
                if what == "erase":  # doing it again ends it
                    with cohort.repository.locked():
                        assert scrub(cohort, whom).traces == ()
                    gone |= set(whom)
                    assert check_rows(cohort) == inside - gone
            else:
                assert found == expected
                tags |= {f"v{slot}" for slot in whom} & set(cohort.repository.tags()) if what == "tag" else set()
        if kind != "erase":
            assert set(cohort.repository.tags()) == tags
    assert interrupted >= 1  # or nothing was shown
    with cohort.repository.locked():
        add(cohort, [(9000, "all", row_of(9000))])
    assert read_all(cohort) == inside - gone | {9000}
    assert not list(cohort.repository.path.rglob("*#*"))  # what the killed ones left is swept
    for name in sorted(tags)[:2]:
        read_all(cohort, name)


def wait_for(ledger: Path, text: str, seconds: float = 60) -> None:
    """Wait until a process has written something into its ledger."""
    end = time.monotonic() + seconds
    while not (ledger.exists() and text in ledger.read_text()):
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


# --- many at once -----------------------------------------------------------------------------------------------------


def test_eight_processes_adding_at_once_end_with_everybody_in(processes: ForkServerContext, tmp_path: Path) -> None:
    cohort = new_cohort(tmp_path)
    workers = [processes.Process(target=add_some, args=(cohort.repository.path, list(range(n, 32, 8)))) for n in range(8)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        check_rows(cohort)  # who reads meanwhile sees one moment
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 8
    assert read_all(cohort) == set(range(32))


def test_a_second_writer_waits_for_the_first(processes: ForkServerContext, tmp_path: Path) -> None:
    cohort = new_cohort(tmp_path, 3)
    with cohort.repository.locked():
        other = processes.Process(target=add_some, args=(cohort.repository.path, [20]))
        other.start()
        add(cohort, [(10, "all", row_of(10))])
        other.join(0.7)
        assert other.is_alive() and read_all(cohort) == {0, 1, 2, 10}
    other.join(30)
    assert other.exitcode == 0 and read_all(cohort) == {0, 1, 2, 10, 20}


def test_two_changes_at_once_are_refused_in_one_line_and_not_lost_in_silence(tmp_path: Path) -> None:
    """What the lock prevents, done by force: of two sessions from one head the second does not commit."""
    cohort = new_cohort(tmp_path, 3)
    with pytest.raises(StoreError) as refused, cohort.change("late") as late:
        late.group["meta"][15] = 1
        with cohort.change("early") as early:
            early.group["meta"][15] = 2
    assert "\n" not in str(refused.value)
    assert int(cohort.view()[0].group["meta"][15]) == 2 and read_all(cohort) == {0, 1, 2}


def test_a_cohort_copied_while_it_is_written_opens_or_says_what_is_wrong(processes: ForkServerContext, tmp_path: Path) -> None:
    cohort, ledger = new_cohort(tmp_path, 4), tmp_path / "ledger"
    writer = processes.Process(target=work, args=(cohort.repository.path, ledger, "tag", 100))
    writer.start()
    wait_for(ledger, "done tag")
    outcomes = []
    for number in range(6):
        copy = tmp_path / f"copy{number}"
        subprocess.run(["cp", "-r", str(cohort.repository.path), str(copy)], check=False, stderr=subprocess.DEVNULL)
        try:
            found = read_all(Cohort.open(copy))
            assert {0, 1, 2, 3} <= found
            outcomes.append("good")
        except GenomicsError as error:
            assert isinstance(error, (StoreError, NotFoundError)) and "\n" not in str(error)
            outcomes.append(str(error))
        shutil.rmtree(copy)
    writer.kill()
    writer.join()
    assert outcomes
    assert read_all(Cohort.open(cohort.repository.path)) >= {0, 1, 2, 3}


# --- disks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 300, 1500])
def test_a_full_disk_leaves_the_head_as_it_was(limit: int, processes: ForkServerContext, tmp_path: Path) -> None:
    """No file may grow beyond the limit: the write fails where a full disk would make it fail, early or late."""
    cohort = new_cohort(tmp_path, 7)
    head, answers = cohort.repository.head(), processes.SimpleQueue()
    other = processes.Process(target=try_add, args=(cohort.repository.path, list(range(100, 120)), answers, limit))
    other.start()
    answer = answers.get()
    other.join()
    assert answer.startswith("StoreError: ") and "\n" not in answer, answer
    assert cohort.repository.head() == head and read_all(cohort) == set(range(7))
    add_some(cohort.repository.path, [100])
    assert read_all(cohort) == {*range(7), 100}


def test_a_folder_that_may_only_be_read_is_read_and_not_written(processes: ForkServerContext) -> None:
    folder = Path(tempfile.mkdtemp(prefix="cohort-"))  # one that another user can enter
    try:
        cohort = new_cohort(folder, 6)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        answers = processes.SimpleQueue()
        other = processes.Process(target=try_add, args=(cohort.repository.path, [100], answers, None, True))
        other.start()
        answer = answers.get()
        other.join()
        assert answer.startswith("StoreError: ") and "ermission" in answer and "\n" not in answer, answer
        assert read_all(Cohort.open(cohort.repository.path)) == set(range(6))
    finally:
        for path in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
            path.chmod(0o755)
        shutil.rmtree(folder)


def test_a_damaged_file_is_named_and_never_read_as_another_genotype(tmp_path: Path) -> None:
    cohort = new_cohort(tmp_path, 9)
    with cohort.repository.locked():
        remove(cohort, [2])
        tag(cohort, "v1")
    truth, draw, refused = read_all(cohort), random.Random(4), 0
    chunks = sorted((cohort.repository.path / "chunks").iterdir())
    others = sorted(p for kind in ("manifests", "snapshots") for p in (cohort.repository.path / kind).iterdir())
    for number, file in enumerate(draw.sample(chunks, 20) + draw.sample(others, 5)):
        content = file.read_bytes()
        damaged = bytearray(content)
        if number % 3 == 0:
            damaged = damaged[:len(damaged) // 2]
        else:
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        try:
            assert read_all(Cohort.open(cohort.repository.path)) == truth
        except GenomicsError as error:
            assert isinstance(error, StoreError) and "\n" not in str(error)
            refused += 1
        file.write_bytes(content)
    assert refused > 3 and read_all(cohort) == truth


def test_a_name_that_cannot_be_a_tag_changes_nothing(tmp_path: Path) -> None:
    cohort = new_cohort(tmp_path, 2)
    with cohort.repository.locked():
        tag(cohort, "v1")
        head = cohort.repository.head()
        for name in ("v1", "../v2", "", "main", "a b"):
            with pytest.raises(ParameterError):
                tag(cohort, name)
        with pytest.raises(NotFoundError):
            remove(cohort, [0, 77])
        with pytest.raises(StoreError):
            add(cohort, [(5, "all", row_of(5)), (0, "all", row_of(0))])
    assert cohort.repository.head() == head and read_all(cohort) == {0, 1}
