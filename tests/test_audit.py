"""The audit log cannot be changed unnoticed, on SQLite and on PostgreSQL."""

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

from genomics_nb.core.types import ParameterError, StoreError
from genomics_nb.store import audit as aud
from genomics_nb.store import catalogue as cat
from genomics_nb.store import consent as con
from genomics_nb.store import registry as reg
from genomics_nb.store import roles as rol
from genomics_nb.store import tables as tab
from genomics_nb.store.case import Case

DAY = dt.date(2026, 3, 1)


@pytest.fixture
def log(tmp_path: Path) -> aud.AuditLog:
    return aud.AuditLog.create(cat.create_catalogue(tmp_path / "catalogue.sqlite"), tmp_path)


@pytest.fixture
def either(database: str | Path, tmp_path: Path) -> aud.AuditLog:
    """A log on SQLite, then on PostgreSQL."""
    return aud.AuditLog.create(cat.create_catalogue(database), tmp_path)


def test_who_asks_is_the_owner_of_the_process_whatever_the_environment_says() -> None:
    env = {**os.environ, "USER": "somebody", "LOGNAME": "somebody", "LNAME": "somebody", "USERNAME": "somebody"}
    code = "from genomics_nb.store.audit import asking_user; print(asking_user())"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == aud.asking_user() != "somebody"


# --- the audit log ---------------------------------------------------------------------------------------------------


def fill(log: aud.AuditLog) -> None:
    con.record_statement(log, "A", "care", True, DAY, "1")
    with log.transaction() as work:
        reg.put_case(work.connection, Case(case="K", family="F", proband="A", indication="i", members=({"person": "A"},)))
        answer = con.decide_family(con.statements_of(work.connection), "A", ["A"], "care", DAY)
        con.record_decision(work, "K", "care", None, answer)
        con.record_decision(work, "K", "research", None, con.decide_family([], "A", ["A"], "research", DAY))
    con.record_statement(log, "A", "care", False, DAY, "1")
    with log.transaction() as work:
        rol.put_role(work, "ana", "auditor", True)


def unlocked(log: aud.AuditLog, *sql: str) -> None:
    """What somebody with the database, and without the key, can do."""
    with log.catalogue.engine.begin() as connection:
        for table in ("audit", "consents", "decisions", "roles"):
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {table}_no_change ON {table}")
            else:
                for verb in ("update", "delete"):
                    connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {table}_no_{verb}")
        for statement in sql:
            connection.exec_driver_sql(statement)


def test_an_honest_log_is_whole(either: aud.AuditLog) -> None:
    assert aud.verify_audit(either) == []
    fill(either)
    assert aud.verify_audit(either) == []


def test_a_yes_and_a_no_are_both_logged_with_who_when_and_why(either: aud.AuditLog) -> None:
    fill(either)
    with either.catalogue.read() as connection:
        rows = connection.execute(sa.select(tab.audit).where(tab.audit.c.kind == "decision")).all()
    assert ['"allowed":true' in r.content for r in rows] == [True, False]
    with either.catalogue.read() as connection:
        asks = aud.actor_of(connection)
    assert all(r.actor == asks and r.at.endswith("+00:00") and '"reason":' in r.content for r in rows)


@pytest.mark.parametrize("column", ["at", "actor", "kind", "content", "previous", "hash"])
@pytest.mark.parametrize("row", [1, 2, 5])
def test_a_change_in_any_column_of_any_row_is_found(log: aud.AuditLog, column: str, row: int) -> None:
    fill(log)
    unlocked(log, f"UPDATE audit SET {column} = '~' || substr({column}, 2) WHERE sequence = {row}")
    assert any(f"row {row}" in fault for fault in aud.verify_audit(log))


@pytest.mark.parametrize("row", [1, 2, 3])
@pytest.mark.parametrize("closed_up", [False, True], ids=["gap", "renumbered"])
def test_a_removed_row_is_found(either: aud.AuditLog, row: int, closed_up: bool) -> None:
    fill(either)
    unlocked(either, f"DELETE FROM audit WHERE sequence = {row}",
             *([f"UPDATE audit SET sequence = sequence - 1 WHERE sequence > {row}"] if closed_up else []))
    assert aud.verify_audit(either) != []


@pytest.mark.parametrize(("a", "b"), [(1, 2), (2, 3), (1, 4)])
def test_exchanged_rows_are_found(either: aud.AuditLog, a: int, b: int) -> None:
    fill(either)
    unlocked(either, f"UPDATE audit SET sequence = 99 WHERE sequence = {a}", f"UPDATE audit SET sequence = {a} WHERE sequence = {b}",
             f"UPDATE audit SET sequence = {b} WHERE sequence = 99")
    assert aud.verify_audit(either) != []


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_cut_tail_is_found(either: aud.AuditLog, kept: int) -> None:
    fill(either)
    unlocked(either, f"DELETE FROM audit WHERE sequence > {kept}")
    assert f"the tail was cut: the log had 5 rows and has {kept}" in aud.verify_audit(either)


def test_a_tail_cut_together_with_its_head_file_is_found_by_a_head_kept_elsewhere(either: aud.AuditLog, tmp_path: Path) -> None:
    con.record_statement(either, "A", "care", True, DAY, "1")
    old = (tmp_path / "audit.head").read_bytes()
    con.record_statement(either, "A", "care", False, DAY, "1")
    kept = either.recorded_head(aud.read_key(tmp_path / "audit.key"))
    unlocked(either, "DELETE FROM audit WHERE sequence = 2", "DELETE FROM consents WHERE consent = 2")
    (tmp_path / "audit.head").write_bytes(old)
    assert aud.verify_audit(either, kept) == ["the tail was cut: the log had 2 rows and has 1"]


def test_a_head_from_another_log_is_found(either: aud.AuditLog) -> None:
    fill(either)
    assert aud.verify_audit(either, aud.AuditHead(2, "ab" * 32)) == ["row 2 is not the row that a recorded head names"]


def test_a_head_file_written_without_the_key_is_found(log: aud.AuditLog, tmp_path: Path) -> None:
    fill(log)
    head = aud.AuditHead(1, "00" * 32)
    (tmp_path / "audit.head").write_text(f"{head} {aud.keyed_hash(b'guess', 'head', head.length, head.hash)}\n")
    assert "the recorded head is missing or was changed" in aud.verify_audit(log)
    (tmp_path / "audit.head").unlink()
    assert "the recorded head is missing or was changed" in aud.verify_audit(log)


@pytest.mark.parametrize(("sql", "fault"), [
    ("UPDATE consents SET granted = NOT granted WHERE consent = 2", "consent 2 was changed after it was logged"),
    ("UPDATE consents SET date = '2020-01-01' WHERE consent = 1", "consent 1 was changed after it was logged"),
    ("DELETE FROM consents WHERE consent = 2", "consent 2 was removed"),
    ("INSERT INTO consents (consent, person, purpose, granted, date, version, recorded, recorded_by) "
     "SELECT 9, person, 'research', granted, date, version, recorded, recorded_by FROM consents WHERE consent = 1",
     "consent 9 is not in the audit log"),
    ("UPDATE consents SET recorded_by = 'somebody' WHERE consent = 1", "consent 1 was changed after it was logged"),
    ("UPDATE consents SET given_by = 'guardian' WHERE consent = 1", "consent 1 was changed after it was logged"),
    ("UPDATE decisions SET actor = 'somebody' WHERE decision = 1", "decision 1 was changed after it was logged"),
    ("UPDATE roles SET role = 'clinician' WHERE entry = 1", "role 1 was changed after it was logged"),
    ("DELETE FROM roles WHERE entry = 1", "role 1 was removed"),
    ("UPDATE decisions SET allowed = NOT allowed WHERE decision = 2", "decision 2 was changed after it was logged"),
    ("DELETE FROM decisions WHERE decision = 1", "decision 1 was removed"),
])
def test_a_fact_changed_behind_the_log_is_found(either: aud.AuditLog, sql: str, fault: str) -> None:
    fill(either)
    unlocked(either, sql)
    assert aud.verify_audit(either) == [fault]


def test_a_row_forged_without_the_key_is_found(either: aud.AuditLog) -> None:
    fill(either)
    with either.catalogue.read() as connection:
        last = aud.last_head(connection)
    values = (6, "2026-01-01", "u", "note", "{}", last.hash)
    with either.catalogue.write() as connection:
        connection.execute(tab.audit.insert().values((*values, aud.keyed_hash(b"guess", *values))))
    assert aud.verify_audit(either) == ["row 6 was changed, or not written by this log"]


def test_a_fact_and_its_row_are_written_together_or_not_at_all(either: aud.AuditLog) -> None:
    with pytest.raises(ZeroDivisionError), either.transaction() as work:
        reg.ensure_persons(work.connection, ["A"])
        work.append("note", {})
        raise ZeroDivisionError
    assert aud.verify_audit(either) == []
    with either.catalogue.read() as connection:
        assert aud.last_head(connection).length == 0


def test_a_crash_between_commit_and_head_accuses_nobody_and_heals(log: aud.AuditLog, tmp_path: Path) -> None:
    con.record_statement(log, "A", "care", True, DAY, "1")
    behind = (tmp_path / "audit.head").read_bytes()
    con.record_statement(log, "A", "care", False, DAY, "1")
    (tmp_path / "audit.head").write_bytes(behind)  # as the crash would have left it
    assert aud.verify_audit(log) == []
    con.record_statement(log, "A", "care", True, DAY, "1")
    assert aud.verify_audit(log) == []
    assert str(log.recorded_head(aud.read_key(tmp_path / "audit.key"))).startswith("3:")


@pytest.mark.parametrize(("damage", "words"), [
    (lambda key: key.chmod(0o640), "other users"), (lambda key: key.unlink(), "cannot be read"),
    (lambda key: key.write_bytes(b"short"), "damaged")], ids=["open", "absent", "short"])
def test_the_log_refuses_a_key_that_proves_nothing(
        log: aud.AuditLog, tmp_path: Path, damage: Callable[[Path], None], words: str) -> None:
    damage(tmp_path / "audit.key")
    with pytest.raises(StoreError, match=words):
        con.record_statement(log, "A", "care", True, DAY, "1")
    with log.catalogue.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tab.consents)) == 0


def test_key_and_head_are_private(log: aud.AuditLog, tmp_path: Path) -> None:
    fill(log)
    assert {n: (tmp_path / n).stat().st_mode & 0o777 for n in ("audit.key", "audit.head", "audit.lock")} == {
        "audit.key": 0o600, "audit.head": 0o600, "audit.lock": 0o600}


@pytest.mark.parametrize("text", ["", "3", "3:abc", "x:" + "0" * 64, "-1:" + "0" * 64, "3:" + "G" * 64, "²:" + "0" * 64])
def test_a_head_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ParameterError):
        aud.AuditHead.parse(text)


def append_some(folder: str, worker: int, times: int = 8, url: str | None = None) -> None:
    place = Path(folder)
    log = aud.AuditLog(cat.open_catalogue(place / "catalogue.sqlite" if url is None else url), place)
    for i in range(times):
        con.record_statement(log, f"P{worker}", "care", bool(i % 2), DAY, str(i))


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.BaseContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["genomics_nb.store.consent", "pytest"])  # pay the imports once
    return context


def test_processes_that_write_at_once_keep_one_chain(log: aud.AuditLog, tmp_path: Path, processes) -> None:
    with ProcessPoolExecutor(4, mp_context=processes) as pool:
        list(pool.map(append_some, [str(tmp_path)] * 4, range(4)))
    assert aud.verify_audit(log) == []
    with log.catalogue.read() as connection:
        assert aud.last_head(connection).length == 32
    assert (log.recorded_head(aud.read_key(tmp_path / "audit.key")) or aud.AuditHead(0, "")).length == 32


def test_a_writer_killed_at_any_moment_leaves_a_whole_log(log: aud.AuditLog, tmp_path: Path, processes) -> None:
    def length() -> int:
        with log.catalogue.read() as connection:
            return aud.last_head(connection).length

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
        assert aud.verify_audit(log) == []
    before = length()
    append_some(str(tmp_path), 2, 1)
    assert length() == before + 1 and aud.verify_audit(log) == []


def test_processes_that_write_at_once_keep_one_chain_on_postgresql(postgresql, tmp_path: Path, processes) -> None:
    url = postgresql.new_database()
    log = aud.AuditLog.create(cat.create_catalogue(url), tmp_path)
    with ProcessPoolExecutor(4, mp_context=processes) as pool:
        list(pool.map(append_some, [str(tmp_path)] * 4, range(4), [5] * 4, [url] * 4))
    assert aud.verify_audit(log) == []
    with log.catalogue.read() as connection:
        assert aud.last_head(connection).length == 20


def test_on_postgresql_the_session_user_is_who_asks(postgresql, tmp_path: Path) -> None:
    log = aud.AuditLog.create(cat.create_catalogue(postgresql.new_database()), tmp_path)
    fill(log)
    with log.catalogue.read() as connection:
        assert aud.actor_of(connection) == "genomics"
        assert set(connection.scalars(sa.select(tab.audit.c.actor))) == {"genomics"}
        assert set(connection.scalars(sa.select(tab.consents.c.recorded_by))) == {"genomics"}


def test_verification_needs_no_more_memory_for_a_longer_log(either: aud.AuditLog) -> None:
    import tracemalloc

    def peak(rows: int) -> int:
        with either.transaction() as work:
            for i in range(rows):
                work.append("note", {"i": i, "text": "x" * 200})
        tracemalloc.start()
        assert aud.verify_audit(either) == []
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)  # what is made once
    small = peak(2_000)
    assert peak(10_000) < 1.5 * small


def test_a_log_that_was_replaced_as_a_whole_names_a_bounded_number_of_faults(log: aud.AuditLog) -> None:
    with log.transaction() as work:
        for i in range(300):
            work.append("note", {"i": i})
    unlocked(log, "UPDATE audit SET hash = '~' || substr(hash, 2)")
    faults = aud.verify_audit(log)
    assert len(faults) == aud.MOST_FAULTS + 1 and faults[-1] == "and more"


def test_a_key_shared_by_a_group_is_read_by_the_group_and_nobody_else(log: aud.AuditLog, tmp_path: Path) -> None:
    shared = aud.AuditLog(log.catalogue, tmp_path, shared=True)
    (tmp_path / "audit.key").chmod(0o640)
    before = os.umask(0o077)
    try:
        con.record_statement(shared, "A", "care", True, DAY, "1")
    finally:
        os.umask(before)
    assert {n: (tmp_path / n).stat().st_mode & 0o777 for n in ("audit.head", "audit.lock")} == {
        "audit.head": 0o660, "audit.lock": 0o660}
    assert aud.verify_audit(shared) == []
    with pytest.raises(StoreError, match="other users"):
        aud.verify_audit(log)
    (tmp_path / "audit.key").chmod(0o644)
    with pytest.raises(StoreError, match="other users"):
        aud.verify_audit(shared)


@pytest.mark.parametrize("sql", [
    "UPDATE persons SET adult_on = '2001-01-01' WHERE person = 'KID'", "UPDATE persons SET adult_on = NULL WHERE person = 'KID'",
    "UPDATE persons SET adult_on = '2040-01-01' WHERE person = 'A'"])
def test_a_day_of_majority_changed_behind_the_log_is_found(either: aud.AuditLog, sql: str) -> None:
    with either.transaction() as work:
        reg.ensure_persons(work.connection, ["KID", "A"])
    for day in (dt.date(2029, 1, 1), dt.date(2030, 1, 1)):
        con.record_majority(either, "KID", day)
    con.record_majority(either, "A", None)
    assert aud.verify_audit(either) == []
    unlocked(either, sql)
    assert any("day of majority" in fault for fault in aud.verify_audit(either))
