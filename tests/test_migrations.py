"""An old catalogue becomes a present one with every row kept, or stays as it was, on SQLite and on PostgreSQL."""

import datetime as dt
import json
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from genomics_nb.core.types import StoreError
from genomics_nb.store import catalogue as cat
from genomics_nb.store import migrations as mig
from genomics_nb.store import tables as tab
from genomics_nb.store.consent import statements_of

OLD = Path(__file__).with_name("catalogue_v1.sql")  # written by the package of that time
OLD_TABLES = ("persons", "families", "members", "samples", "cases", "case_hpo", "case_samples", "analyses", "analysis_samples",
              "consents", "events", "decisions", "audit")


def old_sqlite(place: Path) -> cat.Catalogue:
    with sqlite3.connect(place) as connection:
        connection.executescript(OLD.read_text(encoding="utf-8"))
    connection.close()
    catalogue = cat.connect(place)
    cat.write_ahead(catalogue)
    return catalogue


def rows_of(catalogue: cat.Catalogue, table: str) -> list[dict]:
    """The rows of a table as the database has it, whatever this package declares."""
    with catalogue.read() as connection:
        found = sa.Table(table, sa.MetaData(), autoload_with=connection)
        order = list(found.primary_key.columns)
        rows = [dict(row._mapping) for row in connection.execute(sa.select(found).order_by(*order))]
    # PostgreSQL gives moments with their zone, SQLite without; both are UTC.
    return [{k: v.astimezone(dt.UTC).replace(tzinfo=None) if isinstance(v, dt.datetime) and v.tzinfo else v
             for k, v in row.items()} for row in rows]


@pytest.fixture
def old(database: str | Path, tmp_path: Path) -> cat.Catalogue:
    """A catalogue of version 1 with rows in it."""
    if isinstance(database, Path):
        return old_sqlite(database)
    source, catalogue = old_sqlite(tmp_path / "source.sqlite"), cat.connect(database)
    with catalogue.write() as connection:
        mig.take_steps(connection, mig.MIGRATIONS[:1])
        connection.execute(sa.text("DROP TABLE alembic_version"))  # the stores of that time had none
        for name in OLD_TABLES:
            table = sa.Table(name, sa.MetaData(), autoload_with=connection)
            rows = [{k: dt.datetime.fromisoformat(f"{v}+00:00") if isinstance(v, dt.datetime) else v for k, v in row.items()}
                    for row in rows_of(source, name)]
            connection.execute(table.insert(), rows)
        for name, key in (("consents", "consent"), ("events", "event"), ("decisions", "decision")):  # a copy does not count up
            connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{name}', '{key}'), max({key})) FROM {name}")
    return catalogue


def reopened(catalogue: cat.Catalogue) -> cat.Catalogue:
    url = catalogue.engine.url
    return cat.open_catalogue(Path(str(url.database)) if url.get_backend_name() == "sqlite" else url.render_as_string())


def differences(catalogue: cat.Catalogue) -> list:
    with catalogue.read() as connection:
        context = MigrationContext.configure(
            connection, opts={"target_metadata": tab.metadata, "compare_type": True, "compare_server_default": True})
        return compare_metadata(context, tab.metadata)


def triggers(catalogue: cat.Catalogue) -> set[tuple[str, str]]:
    lite = "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'"
    served = "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal"
    with catalogue.read() as connection:
        found = connection.exec_driver_sql(lite if catalogue.engine.dialect.name == "sqlite" else served)
        return {(row[0], row[1]) for row in found}


# --- the same tables by both ways ------------------------------------------------------------------------------------


def test_a_new_catalogue_and_a_migrated_one_have_the_same_tables(database: str | Path, old: cat.Catalogue, tmp_path: Path,
                                                                 request: pytest.FixtureRequest) -> None:
    mig.migrate(old)
    place = tmp_path / "new.sqlite" if isinstance(database, Path) else request.getfixturevalue("postgresql").new_database()
    new = cat.create_catalogue(place)
    assert differences(old) == [] and differences(new) == []
    assert triggers(old) == triggers(new) and {table for table, _ in triggers(new)} == set(tab.GROWING)


def test_a_difference_would_be_seen(database: str | Path) -> None:
    catalogue = cat.create_catalogue(database)
    with catalogue.write() as connection:
        connection.exec_driver_sql("ALTER TABLE persons DROP COLUMN adult_on")
        connection.exec_driver_sql("DROP INDEX ix_deliveries_analysis")
    assert sorted(d[0] for d in differences(catalogue)) == ["add_column", "add_index"]


def test_the_first_migration_makes_what_the_first_package_made(tmp_path: Path) -> None:
    first, found = cat.connect(tmp_path / "first.sqlite"), old_sqlite(tmp_path / "old.sqlite")
    with first.write() as connection:
        mig.take_steps(connection, mig.MIGRATIONS[:1])
        connection.exec_driver_sql("DROP TABLE alembic_version")
    made = sa.MetaData()
    with found.read() as connection:
        made.reflect(connection)
    with first.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), made) == []
    assert triggers(first) == triggers(found)


# --- the upgrade -----------------------------------------------------------------------------------------------------


def test_an_old_catalogue_is_refused_with_the_command_that_helps(old: cat.Catalogue) -> None:
    with pytest.raises(StoreError, match="genomics-nb catalogue upgrade --store STORE"):
        reopened(old)
    assert cat.schema_version(old) == 1  # asking changed nothing


def test_every_row_is_kept_and_gets_the_meaning_it_had(old: cat.Catalogue) -> None:
    before = {name: rows_of(old, name) for name in OLD_TABLES}
    assert all(before.values())
    done = mig.migrate(old)
    assert (done.found, [step.revision for step in done.steps]) == (1, ["0002"])
    given = {"kind": "purpose", "given_by": "self", "minor_agreed": None, "uses": "[]", "guardian": None}
    new_columns = {"consents": given, "persons": {"adult_on": None},
                   "analyses": {"state": "in use", "erased_event": None, "replaced_by": None}}
    for name in OLD_TABLES:
        expected = [{**row, **new_columns.get(name, {})} for row in before[name]]
        if name == "decisions":
            for row in expected:
                row |= {"subject_kind": "case", "subject": row.pop("case_name")}
        assert rows_of(old, name) == expected, name
    catalogue = reopened(old)
    with catalogue.read() as connection:
        assert [s.granted for s in statements_of(connection)] == [True, True, False, True, False]


def test_the_audit_log_of_an_old_store_still_verifies(old: cat.Catalogue, tmp_path: Path) -> None:
    from genomics_nb.store.audit import AuditHead, AuditLog, verify_audit

    (tmp_path / "audit.key").write_bytes(b"k" * 32)
    (tmp_path / "audit.key").chmod(0o600)
    head = OLD.read_text(encoding="utf-8").splitlines()[1].split("audit.head: ")[1]
    (tmp_path / "audit.head").write_text(head + "\n")
    mig.migrate(old)
    log = AuditLog(reopened(old), tmp_path)
    assert verify_audit(log) == [] and AuditHead.parse(head.split()[0]).length == 7
    with log.transaction() as work:
        work.append("note", {"note": 1})
    assert verify_audit(log) == []
    with pytest.raises(sa.exc.IntegrityError), log.catalogue.write() as connection:
        connection.execute(tab.decisions.update().values(allowed=True))


def test_an_upgraded_catalogue_takes_new_rows(old: cat.Catalogue) -> None:
    mig.migrate(old)
    with reopened(old).write() as connection:
        values = {"at": tab.utc_now(), "actor": "u", "subject_kind": "cohort", "subject": "not a case", "purpose": "research",
                  "allowed": False, "reason": "", "served": "{}", "left_out": "{}"}
        key = connection.execute(tab.decisions.insert().values(values)).inserted_primary_key
        assert key is not None and key[0] == 3
        with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
            connection.execute(tab.decisions.insert().values({k: v for k, v in values.items() if k != "subject_kind"}))


def test_a_second_upgrade_does_nothing(old: cat.Catalogue) -> None:
    mig.migrate(old)
    again = mig.migrate(old)
    assert (again.found, again.steps, again.copy) == (tab.SCHEMA_VERSION, (), None)


def test_two_who_upgrade_at_once_do_it_once(old: cat.Catalogue) -> None:
    done: list[mig.Upgrade] = []
    threads = [threading.Thread(target=lambda: done.append(mig.migrate(old))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(d.steps) for d in done) == [0, 0, 0, 1]


def fails(op: Operations) -> None:
    """Change much, then fail."""
    op.drop_table("roles")
    op.execute("UPDATE persons SET adult_on = '2000-01-01'")
    op.execute("SELECT nothing FROM nowhere")


def leaves_orphans(op: Operations) -> None:
    """Break a foreign key while nobody checks."""
    op.execute("DELETE FROM families")


@pytest.mark.parametrize("broken", [fails, leaves_orphans], ids=lambda f: f.__name__)
def test_a_step_that_fails_undoes_the_steps_before_it(old: cat.Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                      broken: Callable) -> None:
    before = {name: rows_of(old, name) for name in OLD_TABLES}
    monkeypatch.setattr(mig, "MIGRATIONS", (*mig.MIGRATIONS, mig.Migration(3, broken)))
    with pytest.raises((StoreError, sa.exc.IntegrityError)) as caught:
        mig.migrate(old)
    assert "\n" not in str(caught.value) or isinstance(caught.value, sa.exc.IntegrityError)
    assert {name: rows_of(old, name) for name in OLD_TABLES} == before
    assert cat.schema_version(old) == 1
    with old.read() as connection:
        assert not sa.inspect(connection).has_table("roles") and not sa.inspect(connection).has_table("alembic_version")
    monkeypatch.undo()
    assert len(mig.migrate(old).steps) == 1  # and the next try goes through


KILLED = """
import os, sys
from pathlib import Path
from genomics_nb.store import catalogue as cat, migrations as mig

def dies(op):
    op.drop_table("roles")
    os.kill(os.getpid(), 9)

place = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])
mig.MIGRATIONS = (*mig.MIGRATIONS, mig.Migration(3, dies))
mig.migrate(cat.connect(place))
"""


def test_an_upgrade_that_is_killed_leaves_the_old_catalogue_and_the_next_one_goes_through(
        old: cat.Catalogue, database: str | Path) -> None:
    before = {name: rows_of(old, name) for name in OLD_TABLES}
    done = subprocess.run([sys.executable, "-c", KILLED, str(database)], capture_output=True, check=False, timeout=120)
    assert done.returncode == -9, done.stderr
    assert cat.schema_version(old) == 1 and {name: rows_of(old, name) for name in OLD_TABLES} == before
    assert len(mig.migrate(old).steps) == 1 and cat.schema_version(reopened(old)) == tab.SCHEMA_VERSION


# --- what stands beside ----------------------------------------------------------------------------------------------


def test_a_private_copy_of_the_old_catalogue_stands_beside(tmp_path: Path) -> None:
    old = old_sqlite(tmp_path / "catalogue.sqlite")
    with old.write() as connection:  # still in the write-ahead log
        connection.exec_driver_sql("INSERT INTO persons VALUES ('LATE', '2026-01-01 00:00:00')")
    before = rows_of(old, "persons")
    copy = mig.migrate(old).copy
    assert copy is not None and copy.parent == tmp_path and stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert cat.schema_version(cat.connect(copy)) == 1 and rows_of(cat.connect(copy), "persons") == before
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_server_makes_its_own_backups(postgresql: object, old: cat.Catalogue) -> None:
    done = mig.migrate(old)
    assert (done.copy is None) == (old.engine.dialect.name == "postgresql")


def test_a_newer_catalogue_is_left_alone(database: str | Path) -> None:
    catalogue = cat.create_catalogue(database)
    with catalogue.write() as connection:
        connection.execute(tab.store.update().values(schema_version=99))
        connection.execute(tab.versions.update().values(version_num="0099"))
    with pytest.raises(StoreError, match="newer"):
        mig.migrate(catalogue)


def test_two_notes_of_the_version_that_differ_are_a_fault(database: str | Path) -> None:
    catalogue = cat.create_catalogue(database)
    with catalogue.write() as connection:
        connection.execute(tab.versions.update().values(version_num="0001"))
    with pytest.raises(StoreError, match="says version 2 and revision 0001"):
        mig.migrate(catalogue)


def test_nothing_is_made_where_no_catalogue_is(database: str | Path) -> None:
    if isinstance(database, Path):
        database.touch()
    with pytest.raises(StoreError, match="no catalogue"):
        mig.migrate(cat.connect(database))
    with cat.connect(database).read() as connection:
        assert sa.inspect(connection).get_table_names() == []


def test_the_old_dump_holds_no_machine_and_no_person() -> None:
    text = OLD.read_text(encoding="utf-8")
    assert "/" not in json.dumps(text.split("INSERT INTO \"analyses\"")[1].splitlines()[0]) and "root" not in text
