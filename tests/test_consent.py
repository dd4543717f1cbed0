"""Consent decides as a person would, and the audit log cannot be changed unnoticed."""

import datetime as dt
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import ParameterError, StoreError
from genomics_nb.store import catalogue as cat
from genomics_nb.store import tables as tab
from genomics_nb.store import consent as con
from genomics_nb.store import registry as reg
from genomics_nb.store.case import Case

DAY = dt.date(2026, 3, 1)


@pytest.fixture
def log(tmp_path: Path) -> con.AuditLog:
    return con.AuditLog.create(cat.create_catalogue(tmp_path / "catalogue.sqlite"), tmp_path)


# --- deciding --------------------------------------------------------------------------------------------------------

statements = st.lists(st.builds(
    con.Consent, person=st.sampled_from(["A", "B"]), purpose=st.sampled_from(con.PURPOSES), granted=st.booleans(),
    date=st.dates(DAY - dt.timedelta(days=4), DAY + dt.timedelta(days=4))), max_size=12).map(
        lambda many: [con.Consent(s.person, s.purpose, s.granted, s.date, s.version, i) for i, s in enumerate(many)])


def replay(many: list[con.Consent], person: str, purpose: str, on: dt.date) -> bool | None:
    """The obvious way: live through the days, and let each form change the state on its day."""
    state, day = None, DAY - dt.timedelta(days=10)
    while day <= on:
        for s in sorted(many, key=lambda s: s.sequence):
            if (s.person, s.purpose, s.date) == (person, purpose, day):
                state = s.granted
        day += dt.timedelta(days=1)
    return state


@settings(deadline=None)
@given(many=statements, shuffled=st.randoms(use_true_random=False), shift=st.integers(-5, 5))
def test_a_decision_is_what_living_through_the_days_gives(many: list[con.Consent], shuffled, shift: int) -> None:
    on = DAY + dt.timedelta(days=shift)
    mixed = list(many)
    shuffled.shuffle(mixed)
    for person in ("A", "B"):
        for purpose in con.PURPOSES:
            assert con.decide(mixed, person, purpose, on).allowed is replay(many, person, purpose, on)


@given(many=statements)
def test_nobody_is_served_without_the_probands_yes(many: list[con.Consent]) -> None:
    answer = con.decide_family(many, "A", ["A", "B"], "care", DAY)
    yes = {p for p in ("A", "B") if replay(many, p, "care", DAY) is True}
    assert set(answer.served) == (yes if "A" in yes else set())
    assert set(answer.left_out) == {"A", "B"} - yes
    assert answer.allowed is ("A" in yes)


def test_where_even_the_order_of_entry_is_equal_the_withdrawal_counts() -> None:
    both = [con.Consent("A", "care", False, DAY), con.Consent("A", "care", True, DAY)]
    assert con.decide(both, "A", "care", DAY).allowed is False


def test_an_unknown_purpose_is_an_error_and_not_a_no() -> None:
    with pytest.raises(ParameterError, match="curiosity"):
        con.decide([], "A", "curiosity", DAY)


def test_reasons_tell_refused_withdrawn_and_unasked_apart() -> None:
    yes, no = con.Consent("A", "care", True, DAY), con.Consent("A", "care", False, DAY, sequence=1)
    assert "no care consent is recorded" in con.decide([], "A", "care", DAY).reason
    assert "refused" in con.decide([no], "A", "care", DAY).reason
    assert "withdrawn" in con.decide([yes, no], "A", "care", DAY).reason


def test_who_asks_is_the_owner_of_the_process_whatever_the_environment_says() -> None:
    env = {**os.environ, "USER": "somebody", "LOGNAME": "somebody", "LNAME": "somebody", "USERNAME": "somebody"}
    code = "from genomics_nb.store.consent import asking_user; print(asking_user())"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == con.asking_user() != "somebody"


# --- the audit log ---------------------------------------------------------------------------------------------------


def fill(log: con.AuditLog) -> None:
    con.record_statement(log, "A", "care", True, DAY, "1")
    with log.transaction() as work:
        reg.put_case(work.connection, Case(case="K", family="F", proband="A", indication="i", members=({"person": "A"},)))
        answer = con.decide_family(con.statements_of(work.connection), "A", ["A"], "care", DAY)
        con.record_decision(work, "K", "care", None, answer)
        con.record_decision(work, "K", "research", None, con.decide_family([], "A", ["A"], "research", DAY))
    con.record_statement(log, "A", "care", False, DAY, "1")


def unlocked(log: con.AuditLog, *sql: str) -> None:
    """What somebody with the database, and without the key, can do."""
    with log.catalogue.engine.begin() as connection:
        for table in ("audit", "consents", "decisions"):
            for verb in ("update", "delete"):
                connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {table}_no_{verb}")
        for statement in sql:
            connection.exec_driver_sql(statement)


def test_an_honest_log_is_whole(log: con.AuditLog) -> None:
    assert con.verify_audit(log) == []
    fill(log)
    assert con.verify_audit(log) == []


def test_a_yes_and_a_no_are_both_logged_with_who_when_and_why(log: con.AuditLog) -> None:
    fill(log)
    with log.catalogue.read() as connection:
        rows = connection.execute(sa.select(tab.audit).where(tab.audit.c.kind == "decision")).all()
    assert ['"allowed":true' in r.content for r in rows] == [True, False]
    assert all(r.actor == con.asking_user() and r.at.endswith("+00:00") and '"reason":' in r.content for r in rows)


@pytest.mark.parametrize("column", ["at", "actor", "kind", "content", "previous", "hash"])
@pytest.mark.parametrize("row", [1, 2, 4])
def test_a_change_in_any_column_of_any_row_is_found(log: con.AuditLog, column: str, row: int) -> None:
    fill(log)
    unlocked(log, f"UPDATE audit SET {column} = {column} || ' ' WHERE sequence = {row}")
    assert any(f"row {row}" in fault for fault in con.verify_audit(log))


@pytest.mark.parametrize("row", [1, 2, 3])
@pytest.mark.parametrize("closed_up", [False, True], ids=["gap", "renumbered"])
def test_a_removed_row_is_found(log: con.AuditLog, row: int, closed_up: bool) -> None:
    fill(log)
    unlocked(log, f"DELETE FROM audit WHERE sequence = {row}",
             *([f"UPDATE audit SET sequence = sequence - 1 WHERE sequence > {row}"] if closed_up else []))
    assert con.verify_audit(log) != []


@pytest.mark.parametrize(("a", "b"), [(1, 2), (2, 3), (1, 4)])
def test_exchanged_rows_are_found(log: con.AuditLog, a: int, b: int) -> None:
    fill(log)
    unlocked(log, f"UPDATE audit SET sequence = 99 WHERE sequence = {a}", f"UPDATE audit SET sequence = {a} WHERE sequence = {b}",
             f"UPDATE audit SET sequence = {b} WHERE sequence = 99")
    assert con.verify_audit(log) != []


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_cut_tail_is_found(log: con.AuditLog, kept: int) -> None:
    fill(log)
    unlocked(log, f"DELETE FROM audit WHERE sequence > {kept}")
    assert f"the tail was cut: the log had 4 rows and has {kept}" in con.verify_audit(log)


def test_a_tail_cut_together_with_its_head_file_is_found_by_a_head_kept_elsewhere(log: con.AuditLog, tmp_path: Path) -> None:
    con.record_statement(log, "A", "care", True, DAY, "1")
    old = (tmp_path / "audit.head").read_bytes()
    con.record_statement(log, "A", "care", False, DAY, "1")
    kept = log.recorded_head(con.read_key(tmp_path / "audit.key"))
    unlocked(log, "DELETE FROM audit WHERE sequence = 2", "DELETE FROM consents WHERE consent = 2")
    (tmp_path / "audit.head").write_bytes(old)
    assert con.verify_audit(log, kept) == ["the tail was cut: the log had 2 rows and has 1"]


def test_a_head_from_another_log_is_found(log: con.AuditLog) -> None:
    fill(log)
    assert con.verify_audit(log, con.AuditHead(2, "ab" * 32)) == ["row 2 is not the row that a recorded head names"]


def test_a_head_file_written_without_the_key_is_found(log: con.AuditLog, tmp_path: Path) -> None:
    fill(log)
    head = con.AuditHead(1, "00" * 32)
    (tmp_path / "audit.head").write_text(f"{head} {con.keyed_hash(b'guess', 'head', head.length, head.hash)}\n")
    assert "the recorded head is missing or was changed" in con.verify_audit(log)
    (tmp_path / "audit.head").unlink()
    assert "the recorded head is missing or was changed" in con.verify_audit(log)


@pytest.mark.parametrize(("sql", "fault"), [
    ("UPDATE consents SET granted = 1 WHERE consent = 2", "consent 2 was changed after it was logged"),
    ("UPDATE consents SET date = '2020-01-01' WHERE consent = 1", "consent 1 was changed after it was logged"),
    ("DELETE FROM consents WHERE consent = 2", "consent 2 was removed"),
    ("INSERT INTO consents SELECT 9, person, 'research', 1, date, version, recorded, recorded_by, kind, given_by, guardian, minor_agreed, uses FROM consents WHERE consent = 1",
     "consent 9 is not in the audit log"),
    ("UPDATE decisions SET allowed = 1 WHERE decision = 2", "decision 2 was changed after it was logged"),
    ("DELETE FROM decisions WHERE decision = 1", "decision 1 was removed"),
])
def test_a_fact_changed_behind_the_log_is_found(log: con.AuditLog, sql: str, fault: str) -> None:
    fill(log)
    unlocked(log, sql)
    assert con.verify_audit(log) == [fault]


def test_a_row_forged_without_the_key_is_found(log: con.AuditLog) -> None:
    fill(log)
    with log.catalogue.read() as connection:
        last = con.last_head(connection)
    values = (5, "2026-01-01", "u", "note", "{}", last.hash)
    with log.catalogue.write() as connection:
        connection.execute(tab.audit.insert().values((*values, con.keyed_hash(b"guess", *values))))
    assert con.verify_audit(log) == ["row 5 was changed, or not written by this log"]


def test_a_fact_and_its_row_are_written_together_or_not_at_all(log: con.AuditLog) -> None:
    with pytest.raises(ZeroDivisionError), log.transaction() as work:
        reg.ensure_persons(work.connection, ["A"])
        work.append("note", {})
        raise ZeroDivisionError
    assert con.verify_audit(log) == []
    with log.catalogue.read() as connection:
        assert con.last_head(connection).length == 0


def test_a_crash_between_commit_and_head_accuses_nobody_and_heals(log: con.AuditLog, tmp_path: Path) -> None:
    con.record_statement(log, "A", "care", True, DAY, "1")
    behind = (tmp_path / "audit.head").read_bytes()
    con.record_statement(log, "A", "care", False, DAY, "1")
    (tmp_path / "audit.head").write_bytes(behind)  # as the crash would have left it
    assert con.verify_audit(log) == []
    con.record_statement(log, "A", "care", True, DAY, "1")
    assert con.verify_audit(log) == []
    assert str(log.recorded_head(con.read_key(tmp_path / "audit.key"))).startswith("3:")


@pytest.mark.parametrize(("damage", "words"), [
    (lambda key: key.chmod(0o640), "other users"), (lambda key: key.unlink(), "cannot be read"),
    (lambda key: key.write_bytes(b"short"), "damaged")], ids=["open", "absent", "short"])
def test_the_log_refuses_a_key_that_proves_nothing(
        log: con.AuditLog, tmp_path: Path, damage: Callable[[Path], None], words: str) -> None:
    damage(tmp_path / "audit.key")
    with pytest.raises(StoreError, match=words):
        con.record_statement(log, "A", "care", True, DAY, "1")
    with log.catalogue.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tab.consents)) == 0


def test_key_and_head_are_private(log: con.AuditLog, tmp_path: Path) -> None:
    fill(log)
    assert {n: (tmp_path / n).stat().st_mode & 0o777 for n in ("audit.key", "audit.head", "audit.lock")} == {
        "audit.key": 0o600, "audit.head": 0o600, "audit.lock": 0o600}


@pytest.mark.parametrize("text", ["", "3", "3:abc", "x:" + "0" * 64, "-1:" + "0" * 64, "3:" + "G" * 64, "²:" + "0" * 64])
def test_a_head_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ParameterError):
        con.AuditHead.parse(text)


def append_some(folder: str, worker: int, times: int = 8) -> None:
    place = Path(folder)
    log = con.AuditLog(cat.open_catalogue(place / "catalogue.sqlite"), place)
    for i in range(times):
        con.record_statement(log, f"P{worker}", "care", bool(i % 2), DAY, str(i))


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.BaseContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["genomics_nb.store.consent", "hypothesis", "pytest"])  # pay the imports once
    return context


def test_processes_that_write_at_once_keep_one_chain(log: con.AuditLog, tmp_path: Path, processes) -> None:
    with ProcessPoolExecutor(4, mp_context=processes) as pool:
        list(pool.map(append_some, [str(tmp_path)] * 4, range(4)))
    assert con.verify_audit(log) == []
    with log.catalogue.read() as connection:
        assert con.last_head(connection).length == 32
    assert (log.recorded_head(con.read_key(tmp_path / "audit.key")) or con.AuditHead(0, "")).length == 32


def test_a_writer_killed_at_any_moment_leaves_a_whole_log(log: con.AuditLog, tmp_path: Path, processes) -> None:
    def length() -> int:
        with log.catalogue.read() as connection:
            return con.last_head(connection).length

    for delay in (0.0, 0.003, 0.011, 0.037):
        before = length()
        writer = processes.Process(target=append_some, args=(str(tmp_path), 1, 1_000_000))
        writer.start()
        deadline = time.monotonic() + 60
        while length() == before and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(delay)
        writer.kill()
        writer.join()
        assert length() > before
        assert con.verify_audit(log) == []
    before = length()
    append_some(str(tmp_path), 2, 1)
    assert length() == before + 1 and con.verify_audit(log) == []
