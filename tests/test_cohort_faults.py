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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest
from cohort_worker import add_some, row_of, shrink, try_add, work

from genomics_nb.core.types import GenomicsError, NotFoundError, ParameterError, StoreError
from genomics_nb.store.cohort import Cohort, add, recount, remove, tag
from genomics_nb.store.matrix import carried_keys, frequencies, genotypes
from genomics_nb.store.repository import Sums
from genomics_nb.store.scrub import forget_history, scrub
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
    for number in range(40):
        if number >= kills and interrupted:
            break
        ledger = tmp_path / f"ledger{number}"
        process = processes.Process(target=work, args=(cohort.repository.path, ledger, kind, 60 * (number + 1)))
        process.start()
        wait_for(ledger, f"begin {kind}")
        time.sleep(draw.random() * within / (1 + number // 5))  # sooner where the change was over before
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


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cohort, set[int]]]:
    """A cohort with a tag and a later head, and who is in it; whoever damages a file puts it back."""
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch.setattr)
        cohort = new_cohort(tmp_path_factory.mktemp("sound"), 9)
        with cohort.repository.locked():
            remove(cohort, [2])
            tag(cohort, "v1")
            add(cohort, [(20, "all", row_of(20))])
        yield cohort, read_all(cohort)
        assert read_all(cohort) == {*range(9), 20} - {2}


@contextmanager
def damaged(file: Path, content: bytes) -> Iterator[None]:
    """Another file under its name."""
    aside = next(p for p in file.parents if (p / "refs").is_dir()).with_name("aside")  # not in the repository
    file.rename(aside)
    try:
        file.write_bytes(content)
        yield
    finally:
        aside.replace(file)


def damages(content: bytes, flips: int) -> Iterator[bytes]:
    """Yields a file cut, emptied, and with one bit turned at even distances, another bit of the byte each time."""
    yield from (content[:len(content) // 2], content[:-1], b"")
    for number in range(flips):
        turned = bytearray(content)
        turned[number * len(content) // flips] ^= 1 << number * 3 % 8
        yield bytes(turned)


def refusal(act: Callable[[], object], name: str = "") -> None:
    """`act` ends in a `StoreError` of one line, which names the file."""
    with pytest.raises(StoreError) as refused:
        act()
    assert "\n" not in str(refused.value) and name in str(refused.value)


def needed(cohort: Cohort, at: str) -> set[Path]:
    """Every file of icechunk behind a snapshot, chunks apart, as the nodes of the snapshot tell."""
    nodes = json.loads(cohort.repository.handle.inspect_snapshot(at))["nodes"]
    manifests = {m["id"] for node in nodes for m in node.get("manifest_refs", ())}
    return {cohort.repository.path / "snapshots" / at, *(cohort.repository.path / "manifests" / m for m in manifests)}


def test_each_damaged_manifest_and_snapshot_is_named_however_it_is_damaged(sound: tuple[Cohort, set[int]]) -> None:
    """All files behind the head, forty bits of each; none is read, and nothing is written on top of it."""
    cohort, _ = sound
    root, head = cohort.repository.path, cohort.repository.head()
    files = sorted(needed(cohort, head))
    assert len(files) > 20
    for file in [*files, root / "sums" / head, root / "config.yaml"]:
        for content in damages(file.read_bytes(), 40):
            with damaged(file, content):
                refusal(lambda: Cohort.open(root), file.name if file in files else "")
        with damaged(file, content):  # who opened it before sees the damage too, and writes nothing on top of it
            refusal(cohort.view)
            refusal(lambda: try_to_write(cohort))
    assert cohort.repository.head() == head


def try_to_write(cohort: Cohort) -> None:
    """Add somebody, and forget all history: both need a sound head."""
    with cohort.repository.locked():
        try:
            forget_history(cohort.repository)
        except StoreError:
            add(cohort, [(30, "all", row_of(30))])


def test_a_tag_whose_files_are_damaged_is_refused_and_the_head_is_not(sound: tuple[Cohort, set[int]]) -> None:
    cohort, inside = sound
    tagged, head = cohort.repository.tags()["v1"], cohort.repository.head()
    alone = needed(cohort, tagged) - needed(cohort, head)
    assert len(alone) > 2
    for file in sorted(alone):
        for content in damages(file.read_bytes(), 10):
            with damaged(file, content):
                refusal(lambda: cohort.view("v1"), file.name)
        with damaged(file, content):
            assert check_rows(Cohort.open(cohort.repository.path)) == inside
            refusal(lambda: forget_history(cohort.repository), file.name)


def test_a_damaged_reference_leads_to_no_other_snapshot(sound: tuple[Cohort, set[int]]) -> None:
    """Every bit of the references of the head and of a tag: what opens is the snapshot that was meant."""
    cohort, _ = sound
    for name, at in (("branch.main", None), ("tag.v1", "v1")):
        file = cohort.repository.path / "refs" / name / "ref.json"
        meant, content = cohort.view(at)[1], file.read_bytes()
        for damage in damages(content, len(content) * 8):
            with damaged(file, damage):
                try:
                    assert Cohort.open(cohort.repository.path).view(at)[1] == meant
                except StoreError as error:
                    assert "\n" not in str(error)
                    if at:  # nothing is collected as if there were no such tag
                        refusal(lambda: forget_history(cohort.repository))
        assert cohort.view(at)[1] == meant


def test_a_damaged_chunk_is_never_read_as_another_genotype(sound: tuple[Cohort, set[int]]) -> None:
    cohort, inside = sound
    chunks, draw, refused = sorted((cohort.repository.path / "chunks").iterdir()), random.Random(4), 0
    for file in draw.sample(chunks, 20):
        content = file.read_bytes()
        turned = bytearray(content)
        turned[draw.randrange(len(turned))] ^= 1 << draw.randrange(8)
        for damage in (content[:len(content) // 2], bytes(turned)):
            with damaged(file, damage):
                try:
                    assert read_all(Cohort.open(cohort.repository.path)) == inside  # it may be of an older snapshot
                except StoreError as error:
                    assert "\n" not in str(error)
                    refused += 1
    assert refused > 5


def test_a_cohort_without_sums_is_read_and_gets_them_with_the_next_write(tmp_path: Path) -> None:
    """As one that a killed erasure left, between writing its snapshots anew and their sums."""
    cohort = new_cohort(tmp_path, 5)
    with cohort.repository.locked():
        tag(cohort, "v1")
        shutil.rmtree(cohort.repository.path / "sums")
        assert read_all(Cohort.open(cohort.repository.path)) == read_all(cohort, "v1") == set(range(5))
        add(cohort, [(9, "all", row_of(9))])
    for at in ("v1", None):
        snapshot = cohort.view(at)[1]
        assert {cohort.repository.path / name for name in cohort.repository.sums.check(snapshot)} >= needed(cohort, snapshot)


def test_no_sums_stay_of_what_was_forgotten(tmp_path: Path) -> None:
    cohort = new_cohort(tmp_path, 5)
    with cohort.repository.locked():
        tag(cohort, "v1")
        add(cohort, [(9, "all", row_of(9))])
        forget_history(cohort.repository)
    names = {p.name for p in (cohort.repository.path / "sums").iterdir()}
    assert names == cohort.repository.kept() == {cohort.repository.head(), cohort.repository.tags()["v1"]}
    assert read_all(cohort) == {*range(5), 9} and read_all(cohort, "v1") == set(range(5))


def test_who_reads_while_history_is_forgotten_sees_no_damage(tmp_path: Path) -> None:
    """Snapshots are written anew under their names: the sum that was read before is then of no file, and is read again."""
    cohort = new_cohort(tmp_path, 3)
    sums, of = cohort.repository.sums, Sums.of
    with cohort.repository.locked(), pytest.MonkeyPatch.context() as patch:
        def stale(self: Sums, snapshot: str) -> dict[str, str]:
            patch.setattr(Sums, "of", of)
            read = of(self, snapshot)
            forget_history(cohort.repository)
            return read

        before = of(sums, cohort.repository.head())
        patch.setattr(Sums, "of", stale)
        assert read_all(Cohort.open(cohort.repository.path)) == {0, 1, 2}
    assert of(sums, cohort.repository.head()) != before


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
