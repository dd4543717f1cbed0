"""The catalogue: what it refuses, what it merges, and what survives many writers at once."""

import datetime as dt
import itertools
import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import InputError, NotFoundError, StoreError
from genomics_nb.store import catalogue as cat
from genomics_nb.store import tables as tab
from genomics_nb.store import registry as reg
from genomics_nb.store.case import Case, read_case
from genomics_nb.store.pedigree import Member

TRIO = {
    "case": "DI-1", "family": "F1", "proband": "C", "indication": "Surdité",
    "hpo_present": [{"id": "HP:0000365", "label": "Hearing impairment"}, "HP:0001249"], "hpo_excluded": ["HP:0001250"],
    "members": [{"person": "C", "father": "D", "mother": "M", "sex": "female", "affected": True},
                {"person": "D", "sex": "male", "affected": False}, {"person": "M", "sex": "female"}],
}


@pytest.fixture
def catalogue(database: str | Path) -> cat.Catalogue:
    """A new catalogue, once on SQLite and once on PostgreSQL."""
    return cat.create_catalogue(database)


@pytest.fixture
def file_catalogue(tmp_path: Path) -> cat.Catalogue:
    return cat.create_catalogue(tmp_path / "catalogue.sqlite")


def member(name: str, family: str = "F1", **more: object) -> Member:
    return Member(id=name, family=family, **more)


# --- the case form ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "field"), [
    ({"hpo_presnt": []}, "hpo_presnt"),
    ({"hpo_present": ["HP:123"]}, "hpo_present.0.id"),
    ({"hpo_present": ["HP:0001250"]}, None),  # also excluded
    ({"proband": "X"}, None),
    ({"case": "../up"}, "case"),
    ({"case": "a\n"}, "case"),
    ({"case": ""}, "case"),
    ({"proband": "line\nbreak"}, "proband"),
    ({"proband": "2690549588157 80"}, "proband"),
    ({"members": [{"person": "C"}, {"person": "C"}]}, None),
    ({"members": [{"person": "C", "sex": "2"}]}, "members.0.sex"),
    ({"members": [{"person": "C", "affected": "perhaps"}]}, "members.0.affected"),
    ({"indication": ""}, "indication"),
])
def test_a_case_that_cannot_be_is_refused_with_its_field(change: dict, field: str | None) -> None:
    with pytest.raises(InputError) as caught:
        read_case({**TRIO, **change})
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "words"), [
    (b"{\n  'case': 1}", "line 2"), (b"\xff\xfe", "cannot be read"), (b"[]", "dictionary"), (b"", "not JSON")])
def test_a_file_that_is_no_case_is_refused_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "case.json").write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_case(tmp_path / "case.json")
    assert "\n" not in str(caught.value)


def test_a_case_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_case(tmp_path / "none.json")


def test_a_case_comes_back_as_it_was_added(catalogue: cat.Catalogue, tmp_path: Path) -> None:
    (tmp_path / "case.json").write_text(json.dumps(TRIO), encoding="utf-8")
    case = read_case(tmp_path / "case.json")
    with catalogue.write() as connection:
        reg.put_case(connection, case)
        reg.put_case(connection, case)
    with catalogue.read() as connection:
        assert reg.get_case(connection, "DI-1") == case
        assert connection.scalar(sa.select(sa.func.count()).select_from(tab.cases)) == 1


def test_a_case_that_differs_from_the_one_of_its_name_is_refused_and_changes_nothing(catalogue: cat.Catalogue) -> None:
    with catalogue.write() as connection:
        reg.put_case(connection, read_case(TRIO))
    other = {**TRIO, "indication": "Cécité", "members": [*TRIO["members"], {"person": "S", "mother": "M"}]}
    with pytest.raises(InputError, match="differs"), catalogue.write() as connection:
        reg.put_case(connection, read_case(other))
    with catalogue.read() as connection:
        assert reg.get_case(connection, "DI-1") == read_case(TRIO)


def test_a_case_of_an_unknown_family_says_what_to_do(catalogue: cat.Catalogue) -> None:
    with pytest.raises(InputError, match="--ped"), catalogue.write() as connection:
        reg.put_case(connection, Case(case="X", family="F9", proband="C", indication="i"))


# --- the database ----------------------------------------------------------------------------------------------------


def test_sqlite_is_in_wal_with_foreign_keys_and_patience(file_catalogue: cat.Catalogue) -> None:
    with file_catalogue.read() as connection:
        names = ("journal_mode", "foreign_keys", "busy_timeout")
        pragma = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}
    assert pragma == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": cat.BUSY_SECONDS * 1000}


def test_rows_that_point_nowhere_are_refused(catalogue: cat.Catalogue) -> None:
    with pytest.raises(sa.exc.IntegrityError), catalogue.write() as connection:
        connection.execute(tab.cases.insert().values(
            case_name="X", family="F", proband="P", indication="i", created=tab.utc_now()))


@pytest.mark.parametrize("table", [tab.metadata.tables[name] for name in tab.GROWING], ids=lambda t: t.name)
def test_tables_that_only_grow_refuse_update_and_delete(catalogue: cat.Catalogue, table: sa.Table) -> None:
    now = tab.utc_now()
    rows = {
        "consents": {"person": "P", "purpose": "care", "granted": True, "date": dt.date(2026, 1, 1), "version": "1",
                     "recorded": now, "recorded_by": "u"},
        "decisions": {"at": now, "actor": "u", "subject_kind": "case", "subject": "K", "purpose": "care", "allowed": True, "reason": "",
                      "served": "{}", "left_out": "{}"},
        "guardians": {"person": "P", "guardian": "G", "relation": "mother", "since": dt.date(2026, 1, 1), "recorded": now,
                      "recorded_by": "u"},
        "roles": {"user_name": "u", "role": "operator", "granted": True, "recorded": now, "recorded_by": "u"},
        "audit": {"sequence": 1, "at": "", "actor": "u", "kind": "note", "content": "{}", "previous": "", "hash": ""},
    }
    with catalogue.write() as connection:
        reg.put_case(connection, Case(case="K", family="F", proband="P", indication="i", members=({"person": "P"},)))
        reg.ensure_persons(connection, ["G"])
        connection.execute(table.insert().values(rows[table.name]))
    column = next(name for name in ("granted", "allowed", "relation", "kind") if name in table.c)
    value = "other" if table.c[column].type.python_type is str else False
    for change in (table.update().values({column: value}), table.delete()):
        with pytest.raises(sa.exc.IntegrityError, match="only grows"), catalogue.write() as connection:
            connection.execute(change)


def test_a_newer_schema_is_refused(catalogue: cat.Catalogue, database: str | Path) -> None:
    with catalogue.write() as connection:
        connection.execute(tab.store.update().values(schema_version=tab.SCHEMA_VERSION + 1))
    with pytest.raises(StoreError, match="newer"):
        cat.open_catalogue(database)


def test_a_place_without_a_catalogue_is_refused_and_stays_empty(tmp_path: Path) -> None:
    place = tmp_path / "catalogue.sqlite"
    for spelling in (place, str(place), f"sqlite:///{place}"):
        with pytest.raises(StoreError, match="no catalogue"):
            cat.open_catalogue(spelling)
    (tmp_path / "other.sqlite").touch()
    with pytest.raises(StoreError, match="version 0"):
        cat.open_catalogue(tmp_path / "other.sqlite")
    assert [p.name for p in tmp_path.iterdir()] == ["other.sqlite"]


def test_a_damaged_catalogue_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "catalogue.sqlite").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match="does not answer"):
        cat.open_catalogue(tmp_path / "catalogue.sqlite")


def test_a_catalogue_is_not_made_twice(catalogue: cat.Catalogue, database: str | Path) -> None:
    with pytest.raises(StoreError, match="already"):
        cat.create_catalogue(database)


def test_of_many_who_make_a_catalogue_at_once_one_makes_it(database: str | Path) -> None:
    done: list[object] = []

    def make() -> None:
        try:
            done.append(cat.create_catalogue(database))
        except StoreError as error:
            done.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(d, cat.Catalogue) for d in done) == 1
    assert all("already" in str(d) for d in done if isinstance(d, StoreError)), done
    assert cat.schema_version(cat.open_catalogue(database)) == tab.SCHEMA_VERSION


def test_a_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(StoreError, match="password") as caught:
        cat.catalogue_url("postgresql+psycopg://me:secret@host/db")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["a b", "q?mode=ro", "#1", "%20", "été", "'\"", "-x", ":memory:"])
def test_any_file_name_is_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    cat.create_catalogue(tmp_path / name / name)
    assert cat.schema_version(cat.open_catalogue(tmp_path / name / name)) == tab.SCHEMA_VERSION
    assert (tmp_path / name / name).is_file()


def test_times_come_back_in_utc(catalogue: cat.Catalogue) -> None:
    paris = dt.datetime(2026, 7, 1, 9, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    with catalogue.write() as connection:
        connection.execute(tab.persons.insert().values(person="P", created=paris))
        read = connection.scalar(sa.select(tab.persons.c.created))
    assert read == paris and read.utcoffset() == dt.timedelta(0)


@pytest.mark.parametrize("url", ["postgresql+psycopg://me@/db?host=/tmp&password=secret", "mysql://host/db", "https://host/db",
                                 "no such://x"])
def test_a_url_that_is_no_catalogue_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        cat.connect(url)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_reader_sees_one_moment_while_others_write(catalogue: cat.Catalogue) -> None:
    count = sa.select(sa.func.count()).select_from(tab.persons)
    with catalogue.read() as reader:
        assert reader.scalar(count) == 0
        with catalogue.write() as connection:
            reg.ensure_persons(connection, ["P"])
        assert reader.scalar(count) == 0
    with catalogue.read() as reader:
        assert reader.scalar(count) == 1


def test_a_reader_cannot_write(catalogue: cat.Catalogue) -> None:
    with pytest.raises(StoreError, match="read-?only"), catalogue.read() as connection:
        reg.ensure_persons(connection, ["P"])


def test_a_writer_sees_what_the_writer_before_it_did(catalogue: cat.Catalogue) -> None:
    """The second begins while the first is at work: it must read after the first has committed."""
    order: list[str] = []

    def second() -> None:
        with catalogue.write() as connection:
            order.append("second")
            assert connection.scalar(sa.select(sa.func.count()).select_from(tab.persons)) == 1
            order.append("saw it")

    with catalogue.write() as connection:
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.5)
        reg.ensure_persons(connection, ["P"])
        order.append("first")
    thread.join()
    assert order == ["first", "second", "saw it"]


def test_a_writer_does_not_wait_for_ever(catalogue: cat.Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cat, "BUSY_SECONDS", 1)
    impatient = cat.connect(catalogue.engine.url.render_as_string() if catalogue.engine.dialect.name == "postgresql"
                            else Path(str(catalogue.engine.url.database)))
    began = time.monotonic()
    with catalogue.write(), pytest.raises(StoreError, match="does not answer.*lock") as caught, impatient.write():
        raise AssertionError("two writers at once")
    assert time.monotonic() - began < 20 and "\n" not in str(caught.value)


def test_a_value_that_does_not_fit_is_refused_without_repeating_it(postgresql: Any) -> None:
    catalogue = cat.create_catalogue(postgresql.new_database())
    for value in ("Dupont" * 100, "Dupont\0"):
        with pytest.raises(StoreError, match="does not fit") as caught, catalogue.write() as connection:
            connection.execute(tab.persons.insert().values(person=value, created=tab.utc_now()))
        assert "Dupont" not in str(caught.value)


# --- a server that goes away ------------------------------------------------------------------------------------------


def people(catalogue: cat.Catalogue) -> set[str]:
    with catalogue.read() as connection:
        return set(connection.scalars(sa.select(tab.persons.c.person)))


@pytest.mark.parametrize("mode", ["fast", "immediate"])
@pytest.mark.parametrize("goes_on", [True, False], ids=["with more to write", "before the commit"])
def test_a_server_that_goes_away_in_the_middle_leaves_nothing_half_done(postgresql: Any, mode: str, goes_on: bool) -> None:
    catalogue = cat.create_catalogue(postgresql.new_database())
    with catalogue.write() as connection:
        reg.ensure_persons(connection, ["BEFORE"])
    try:
        with pytest.raises(StoreError, match="does not answer") as caught, catalogue.write() as connection:
            reg.ensure_persons(connection, ["HALF"])
            postgresql.stop(mode)
            if goes_on:
                reg.ensure_persons(connection, ["OTHER HALF"])
        assert "\n" not in str(caught.value) and caught.value.fix
        for attempt in (catalogue.read, catalogue.write):
            with pytest.raises(StoreError, match="does not answer") as caught, attempt():
                raise AssertionError("the server is away")
            assert "\n" not in str(caught.value)
    finally:
        postgresql.start()
    assert people(catalogue) == {"BEFORE"}
    with catalogue.write() as connection:
        reg.ensure_persons(connection, ["AFTER"])
    assert people(catalogue) == {"BEFORE", "AFTER"}


def test_a_role_without_the_right_gets_one_line(postgresql: Any) -> None:
    url = postgresql.new_database()
    catalogue = cat.create_catalogue(url)
    with catalogue.write() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS guest")
        connection.exec_driver_sql("CREATE ROLE guest LOGIN")
    with pytest.raises(StoreError, match="does not let this user") as caught:
        cat.open_catalogue(url.replace("genomics@", "guest@"))
    assert "\n" not in str(caught.value)


def test_a_user_who_is_let_in_adds_rows_and_takes_no_rule_away(postgresql: Any) -> None:
    url = postgresql.new_database()
    catalogue = cat.create_catalogue(url)
    with catalogue.write() as connection:
        connection.exec_driver_sql('DROP ROLE IF EXISTS "odd ""name"')
        connection.exec_driver_sql('CREATE ROLE "odd ""name" LOGIN')
    with pytest.raises(NotFoundError, match="no user nobody-of-that-name"):
        cat.let_use(catalogue, "nobody-of-that-name")
    cat.let_use(catalogue, 'odd "name')
    theirs = cat.open_catalogue(url.replace("genomics@", "odd%20%22name@"))
    with theirs.write() as connection:
        reg.put_case(connection, Case(case="K", family="F", proband="P", indication="i", members=({"person": "P"},)))
        reg.log_event(connection, "u", "case", "K")
        for _ in range(2):
            connection.execute(tab.consents.insert().values(
                person="P", purpose="care", granted=True, date=dt.date(2026, 1, 1), version="1", recorded=tab.utc_now(), recorded_by="u"))
    for forbidden in ("UPDATE consents SET granted = false", "DELETE FROM audit", "TRUNCATE consents", "DROP TABLE audit",
                      "ALTER TABLE consents DISABLE TRIGGER ALL", "DROP FUNCTION audit_only_grows() CASCADE",
                      "UPDATE store SET schema_version = 1", "DELETE FROM alembic_version"):
        with pytest.raises(StoreError, match="does not let this user"), theirs.write() as connection:
            connection.exec_driver_sql(forbidden)


def test_a_catalogue_of_an_unfinished_store_is_removed_and_one_with_people_is_not(catalogue: cat.Catalogue, database: str | Path) -> None:
    cat.remove_catalogue(catalogue)
    with catalogue.read() as connection:
        assert sa.inspect(connection).get_table_names() == []
    again = cat.connect(database)
    cat.create_catalogue(database)
    with again.write() as connection:
        reg.ensure_persons(connection, ["P"])
    with pytest.raises(StoreError, match="people"):
        cat.remove_catalogue(again)
    assert people(again) == {"P"}


FULL = """
import resource, signal, sys
from pathlib import Path
from genomics_nb.core.types import StoreError
from genomics_nb.store import catalogue as cat, registry as reg

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
catalogue = cat.open_catalogue(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))  # the disk is full from here
try:
    with catalogue.write() as connection:
        reg.ensure_persons(connection, [f"P{i}-{'x' * 100}" for i in range(20_000)])
except StoreError as error:
    print(error)
"""


def test_a_full_disk_is_one_line_and_leaves_what_was_there(file_catalogue: cat.Catalogue, tmp_path: Path) -> None:
    with file_catalogue.write() as connection:
        reg.ensure_persons(connection, ["BEFORE"])
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "catalogue.sqlite")], capture_output=True, text=True, check=True)
    assert "the catalogue does not answer" in done.stdout and done.stdout.count("\n") == 1, done.stdout + done.stderr
    assert people(file_catalogue) == {"BEFORE"}
    with file_catalogue.write() as connection:
        reg.ensure_persons(connection, ["AFTER"])
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


OTHER_USER = """
import os, sys
from pathlib import Path
from genomics_nb.core.types import StoreError
from genomics_nb.store import catalogue as cat, registry as reg

place = Path(sys.argv[1])
mine = cat.open_catalogue(place)
with mine.write() as connection:
    reg.ensure_persons(connection, ["P"])
os.chmod(place, 0o444)
os.chmod(place.parent, int(sys.argv[2]))
if os.getuid() == 0:
    os.setuid(65534)
try:
    with cat.open_catalogue(place).write() as connection:
        reg.ensure_persons(connection, ["Q"])
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize("mode", [0o555, 0o000], ids=["a folder to read", "a closed folder"])
def test_a_catalogue_of_another_user_is_one_line(tmp_path: Path, mode: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="catalogue-"))  # pytest's own folder is closed to others
    try:
        cat.create_catalogue(folder / "catalogue.sqlite")
        done = subprocess.run([sys.executable, "-c", OTHER_USER, str(folder / "catalogue.sqlite"), str(mode)], capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("\n") == 1 and ("closed to this user" if mode == 0 else "does not answer") in done.stdout
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_a_writer_that_died_holds_no_lock(catalogue: cat.Catalogue, database: str | Path) -> None:
    code = ("import os, sys; from pathlib import Path; from genomics_nb.store import catalogue as cat, registry as reg\n"
            "place = sys.argv[1] if '://' in sys.argv[1] else Path(sys.argv[1])\n"
            "with cat.open_catalogue(place).write() as connection:\n"
            "    reg.ensure_persons(connection, ['HALF']); os.kill(os.getpid(), 9)\n")
    done = subprocess.run([sys.executable, "-c", code, str(database)], check=False)
    assert done.returncode == -9
    with catalogue.write() as connection:
        reg.ensure_persons(connection, ["AFTER"])
    assert people(catalogue) == {"AFTER"}


def test_a_failed_transaction_leaves_nothing(catalogue: cat.Catalogue) -> None:
    with pytest.raises(ZeroDivisionError), catalogue.write() as connection:
        reg.ensure_persons(connection, ["P"])
        raise ZeroDivisionError
    with catalogue.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tab.persons)) == 0


def test_forty_thousand_people_fit_in_one_delivery(catalogue: cat.Catalogue) -> None:
    owners = {f"S{i}": f"P{i}" for i in range(40_000)}  # more than one SQL statement may name
    for _ in range(2):
        with catalogue.write() as connection:
            reg.put_samples(connection, owners)
    with catalogue.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tab.samples)) == 40_000


# --- families --------------------------------------------------------------------------------------------------------

FAMILY = [member("C", father="D", mother="M", sex="female", affected=True), member("D", sex="male", affected=False),
          member("M", sex="female", affected=None), member("G", father="D", mother="M", sex="male", affected=False)]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_family_delivered_in_pieces_is_the_same_family(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Unknown fields are filled in whatever the order of the deliveries."""
    pieces = []
    for whole in FAMILY:
        known = data.draw(st.sets(st.sampled_from(["parents", "sex", "affected"])))
        first = {"father": whole.father, "mother": whole.mother} if "parents" in known else {}
        first |= {"sex": whole.sex} if "sex" in known else {}
        first |= {"affected": whole.affected} if "affected" in known else {}
        pieces += [member(whole.id, **first), whole]
    pieces = data.draw(st.permutations(pieces))
    catalogue = cat.create_catalogue(tmp_path_factory.mktemp("c") / "c.sqlite")
    for piece in pieces:
        with catalogue.write() as connection:
            reg.put_family(connection, "F1", [piece])
    with catalogue.read() as connection:
        found = reg.family_members(connection, "F1")
    facts = {(m.id, m.father, m.mother, m.sex, m.affected) for m in found}
    assert facts == {(m.id, m.father, m.mother, m.sex, m.affected) for m in FAMILY}


@pytest.mark.parametrize("change", [{"sex": "male"}, {"father": "X"}, {"affected": False}])
def test_a_delivery_that_contradicts_the_family_is_refused(catalogue: cat.Catalogue, change: dict) -> None:
    with catalogue.write() as connection:
        before = reg.put_family(connection, "F1", FAMILY)
    with pytest.raises(InputError, match="in the catalogue"), catalogue.write() as connection:
        reg.put_family(connection, "F1", [member("C", **change)])
    with catalogue.read() as connection:
        assert reg.family_members(connection, "F1") == before


def test_a_parent_without_a_line_is_a_member(catalogue: cat.Catalogue) -> None:
    with catalogue.write() as connection:
        found = reg.put_family(connection, "F1", [member("C", father="D", mother="M")])
    assert [(m.id, m.sex) for m in found] == [("C", "unknown"), ("D", "male"), ("M", "female")]


def test_a_family_has_one_order_on_every_database(catalogue: cat.Catalogue) -> None:
    names = ["a", "B", "b-2", "b1", "É", "_", "Z9", "z10"]
    with catalogue.write() as connection:
        found = reg.put_family(connection, "F1", [member(name) for name in names])
    assert [m.id for m in found] == sorted(names)


def test_twins_are_kept(catalogue: cat.Catalogue) -> None:
    twins = [member(n, father="D", mother="M", twin="T1", identical=True) for n in ("A", "B")]
    with catalogue.write() as connection:
        found = {m.id: m for m in reg.put_family(connection, "F1", twins)}
    assert (found["A"].twin, found["B"].identical) == ("T1", True)


def test_a_sample_belongs_to_one_person(catalogue: cat.Catalogue) -> None:
    with catalogue.write() as connection:
        reg.put_samples(connection, {"S1": "A"})
    with pytest.raises(InputError, match="another person"), catalogue.write() as connection:
        reg.put_samples(connection, {"S1": "B"})


# --- which analysis answers a case -----------------------------------------------------------------------------------


def analysis(name: str, minute: int, *samples: str) -> reg.AnalysisRow:
    created = dt.datetime(2026, 1, 1, 0, minute, tzinfo=dt.UTC)
    return reg.AnalysisRow(name, f"{name}.vcz", name, "GRCh38", 1, None, created, samples)


@pytest.mark.parametrize(("rows", "expected"), [
    ([analysis("old", 1, "C", "D", "M"), analysis("new", 2, "C", "D", "M")], "new"),
    ([analysis("trio", 1, "C", "D", "M"), analysis("solo", 2, "C")], "trio"),
    ([analysis("parents", 1, "D", "M"), analysis("solo", 2, "C")], "solo"),
])
def test_the_analysis_with_most_of_the_family_answers_then_the_newest(tmp_path: Path, rows: list, expected: str) -> None:
    for order in itertools.permutations(rows):
        each = cat.create_catalogue(tmp_path / f"{order[0].analysis}.sqlite")
        with each.write() as connection:
            reg.put_case(connection, read_case(TRIO))
            reg.put_samples(connection, {"C": "C", "D": "D", "M": "M"})
            for row in order:
                reg.put_analysis(connection, row)
            found, _ = reg.case_analysis(connection, reg.get_case(connection, "DI-1"))
        assert found.analysis == expected


def test_of_two_samples_of_a_person_the_case_names_one(catalogue: cat.Catalogue) -> None:
    with catalogue.write() as connection:
        reg.put_case(connection, read_case(TRIO))
        reg.put_samples(connection, {"C-blood": "C", "C-saliva": "C"})
        reg.put_analysis(connection, analysis("a", 1, "C-blood", "C-saliva"))
        with pytest.raises(InputError, match="2 samples"):
            reg.case_analysis(connection, reg.get_case(connection, "DI-1"))
        named = {**TRIO, "case": "DI-2", "members": [{**TRIO["members"][0], "sample": "C-saliva"}, *TRIO["members"][1:]]}
        reg.put_case(connection, read_case(named))
        _, read = reg.case_analysis(connection, reg.get_case(connection, "DI-2"))
    assert read == {"C": "C-saliva"}


def test_a_case_without_genotypes_says_so(catalogue: cat.Catalogue) -> None:
    with catalogue.write() as connection:
        reg.put_case(connection, read_case(TRIO))
        with pytest.raises(NotFoundError, match="no genotypes yet"):
            reg.case_analysis(connection, reg.get_case(connection, "DI-1"))


# --- many writers ----------------------------------------------------------------------------------------------------


def write_some(place: str | Path, worker: int) -> None:
    catalogue = cat.open_catalogue(place)
    for i in range(10):
        with catalogue.write() as connection:  # every process enters the same family and adds a person of its own
            reg.put_family(connection, "SHARED", [member("C", "SHARED"), member(f"P{worker}-{i}", "SHARED")])
            reg.put_samples(connection, {f"S{worker}-{i}": f"P{worker}-{i}"})
            reg.log_event(connection, "test", "ingest", f"{worker}-{i}")


def test_eight_processes_lose_nothing(catalogue: cat.Catalogue, database: str | Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["genomics_nb.store.consent", "hypothesis", "pytest"])  # pay the imports once
    with ProcessPoolExecutor(8, mp_context=context) as pool:
        list(pool.map(write_some, [database] * 8, range(8)))
    with catalogue.read() as connection:
        tables = (tab.members, tab.samples, tab.events)
        count = {t.name: connection.scalar(sa.select(sa.func.count()).select_from(t)) for t in tables}
        if catalogue.engine.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    assert count == {"members": 81, "samples": 80, "events": 80}
