"""Identity is in one table, sealed; it opens for the right person, the right key and the right role, and leaves no trace."""

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from genomics_nb.core.types import ConsentError, InputError, NotFoundError, ParameterError, StoreError
from genomics_nb.store import identity as idn
from genomics_nb.store import people as ppl
from genomics_nb.store import tables as tab
from genomics_nb.store.audit import asking_user, verify_audit
from genomics_nb.store.folder import StoreFolder
from genomics_nb.store.registry import ensure_persons
from genomics_nb.store.roles import change_role

WHO = {"ins": "269054958815780", "family_name": "Xhemajli-Durand", "given_names": "Nathalie Zoé", "birth_date": "1969-05-25",
       "sex": "female"}
TRACES = [b"Xhemajli", "Zoé".encode(), b"Nathalie", b"269054958815780", b"1969-05-25"]
SOMEBODY = idn.Identity.model_validate(WHO)


def keyed(path: Path, monkeypatch: pytest.MonkeyPatch) -> idn.IdentityKey:
    key = idn.new_identity_key(path)
    monkeypatch.setenv(idn.KEY_FILE, str(path))
    monkeypatch.delenv(idn.KEY, raising=False)
    return key


def store_at(place: Path, url: str | None = None) -> StoreFolder:
    store = StoreFolder.init(place, catalogue_url=url)
    actor = "genomics" if url else asking_user()
    for role in ("operator", "clinician"):
        change_role(store.log, actor, role, True)
    with store.catalogue.write() as connection:
        ensure_persons(connection, ["P-1", "P-2"])
    return store


@pytest.fixture
def store(database: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreFolder:
    """A store with two persons, on either database, and a key beside it."""
    keyed(tmp_path / "identity.key", monkeypatch)
    return store_at(tmp_path / "store", None if isinstance(database, Path) else database)


def every_byte(*places: Path) -> Iterator[tuple[str, bytes]]:
    for place in places:
        for path in sorted(p for p in place.rglob("*") if p.is_file()):
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # a server at work makes files and removes them
                continue
            yield str(path), content


def everything_said(error: BaseException) -> str:
    """The error with all that hangs on it."""
    parts, seen = [], set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            parts += [str(one), repr(one), repr(one.args)]
            todo += [one.__cause__, None if one.__suppress_context__ else one.__context__]
    return "\n".join(parts)


# --- nothing leaks ---------------------------------------------------------------------------------------------------


def test_no_identity_stands_anywhere_in_the_store(store: StoreFolder, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ppl.record_identity(store, "P-1", SOMEBODY)
    assert ppl.identity_of(store, "P-1", "for the report") == SOMEBODY
    found = [(path, trace) for path, content in every_byte(tmp_path / "store") for trace in TRACES if trace in content]
    assert found == []
    with store.catalogue.read() as connection:  # on a server the rows are elsewhere: read them all
        for table in tab.metadata.sorted_tables:
            for row in connection.execute(sa.select(table)):
                text = b"|".join(v if isinstance(v, bytes) else str(v).encode() for v in row)
                assert not any(trace in text for trace in TRACES), table.name
    out = capfd.readouterr()
    assert not any(trace.decode() in out.out + out.err for trace in TRACES)


def test_the_write_ahead_log_is_looked_at_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a reader holds its moment, SQLite keeps the write-ahead log: nothing may stand in it either."""
    keyed(tmp_path / "identity.key", monkeypatch)
    store = store_at(tmp_path / "store")
    with store.catalogue.read() as connection:
        connection.execute(sa.select(tab.persons)).all()
        ppl.record_identity(store, "P-1", SOMEBODY)
        wal = (tmp_path / "store" / "catalogue.sqlite-wal").read_bytes()
        assert b"P-1" in wal and not any(trace in wal for trace in TRACES)


def test_the_server_s_files_hold_no_identity(postgresql: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed(tmp_path / "identity.key", monkeypatch)
    store = store_at(tmp_path / "store", postgresql.new_database())
    ppl.record_identity(store, "P-1", SOMEBODY)
    ppl.identity_of(store, "P-1")
    with pytest.raises(sa.exc.IntegrityError) as caught, store.log.transaction() as work:  # the server logs failed statements
        work.connection.execute(tab.identities.insert().values(
            person="P-9", sealed=idn.seal(SOMEBODY, "P-9", idn.identity_key()), key_id="0", recorded=tab.utc_now(), recorded_by="u"))
    assert not any(trace.decode() in everything_said(caught.value) for trace in TRACES)
    found = [(path, trace) for path, content in every_byte(postgresql.folder) for trace in TRACES if trace in content]
    assert found == []


@pytest.mark.parametrize("change", [
    {"ins": "269054958815781"}, {"ins": "Xhemajli"}, {"family_name": ""}, {"family_name": "Xhemajli\x00"},
    {"given_names": "Nathalie" * 50}, {"birth_date": "Zoé"}, {"birth_date": "2969-05-25"}, {"sex": "Nathalie"},
    {"Nathalie": "Zoé"}, {"family_name": ["Xhemajli"]}, {"family_name": None}, {"ins": 269054958815780}])
def test_a_wrong_identity_is_refused_without_repeating_it(change: dict) -> None:
    with pytest.raises(InputError) as caught:
        idn.read_identity_json(json.dumps({**WHO, **change}))
    said = everything_said(caught.value)
    assert "\n" not in str(caught.value)
    assert not any(trace.decode() in said for trace in [*TRACES, b"2969"]), said


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"Nathalie", b"\xff", json.dumps(WHO).encode()[:-1]])
def test_what_is_no_json_is_refused_without_repeating_it(text: bytes) -> None:
    with pytest.raises(InputError, match="JSON object") as caught:
        idn.read_identity_json(text)
    assert not any(trace.decode() in everything_said(caught.value) for trace in TRACES)


def test_an_identity_has_no_face() -> None:
    for text in (repr(SOMEBODY), str(SOMEBODY), f"{SOMEBODY}", f"{[SOMEBODY]!r}", repr(idn.IdentityKey(b"k" * 32))):
        assert not any(trace.decode() in text for trace in TRACES) and "kkk" not in text


def test_the_length_of_a_name_does_not_show() -> None:
    key = idn.IdentityKey(b"k" * 32)
    short = SOMEBODY.model_copy(update={"family_name": "Li"})
    assert len(idn.seal(SOMEBODY, "P", key)) == len(idn.seal(short, "P", key))
    assert idn.seal(SOMEBODY, "P", key) != idn.seal(SOMEBODY, "P", key)  # nor does a repetition


# --- the number ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["2 69 05 49 588 157 80", "269054958815780", "1 84 12 76 451 089 46", "2 55 08 14 168 025 38",
                                    "1 55 08 2A 004 023" + idn.control_key("155082A004023"), "155082b004023" + idn.control_key("155082B004023")])
def test_a_right_number_is_kept_without_spaces(number: str) -> None:
    assert idn.checked_ins(number) == "".join(number.split()).upper()


@given(st.integers(0, 14), st.integers(0, 9))
def test_a_wrong_digit_is_found(place: int, digit: int) -> None:
    right = "269054958815780"
    wrong = right[:place] + str(digit) + right[place + 1:]
    if wrong == right:
        assert idn.checked_ins(wrong) == right
        return
    with pytest.raises(ValueError, match="INS number|control key"):
        idn.checked_ins(wrong)


@given(st.integers(0, 13))
def test_two_digits_exchanged_are_found(place: int) -> None:
    right = "269054958815780"
    wrong = right[:place] + right[place + 1] + right[place] + right[place + 2:]
    if wrong != right:
        with pytest.raises(ValueError, match="INS number|control key"):
            idn.checked_ins(wrong)


@pytest.mark.parametrize("number", ["", "26905495881578", "2690549588157800", "969054958815780", "2691349588157 80", "26905２958815780",
                                    "269052C588157 80"])
def test_what_is_no_number_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="13 characters"):
        idn.checked_ins(number)


# --- it opens for one person and one key -----------------------------------------------------------------------------


def test_rows_exchanged_between_persons_do_not_open(store: StoreFolder) -> None:
    ppl.record_identity(store, "P-1", SOMEBODY)
    ppl.record_identity(store, "P-2", SOMEBODY.model_copy(update={"given_names": "Other"}))
    with store.catalogue.write() as connection:
        sealed = {r.person: r.sealed for r in connection.execute(sa.select(tab.identities))}
        for person, other in (("P-1", "P-2"), ("P-2", "P-1")):
            connection.execute(tab.identities.update().where(tab.identities.c.person == person).values(sealed=sealed[other]))
    for person in ("P-1", "P-2"):
        with pytest.raises(StoreError, match="belongs to another person") as caught:
            ppl.identity_of(store, person)
        assert "\n" not in str(caught.value)


@given(st.data())
def test_a_changed_bit_does_not_open(data: st.DataObject) -> None:
    key = idn.IdentityKey(b"k" * 32)
    sealed = bytearray(idn.seal(SOMEBODY, "P-1", key))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(StoreError, match="does not open"):
        idn.unseal(bytes(sealed), "P-1", key)


@given(st.binary(max_size=60))
def test_no_bytes_but_a_sealed_row_open(junk: bytes) -> None:
    with pytest.raises(StoreError, match="does not open"):
        idn.unseal(junk, "P-1", idn.IdentityKey(b"k" * 32))


def test_a_wrong_key_is_one_line_and_reads_nothing(store: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ppl.record_identity(store, "P-1", SOMEBODY)
    keyed(tmp_path / "wrong.key", monkeypatch)
    before = store.log.catalogue
    with pytest.raises(StoreError, match="was sealed with key") as caught:
        ppl.identity_of(store, "P-1")
    assert "\n" not in str(caught.value)
    with before.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tab.decisions)) == 0


def test_a_key_under_the_name_of_another_does_not_open(store: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody writes the name of their own key into the row."""
    ppl.record_identity(store, "P-1", SOMEBODY)
    wrong = keyed(tmp_path / "wrong.key", monkeypatch)
    with store.catalogue.write() as connection:
        connection.execute(tab.identities.update().values(key_id=wrong.id))
    with pytest.raises(StoreError, match="does not open"):
        ppl.identity_of(store, "P-1")


# --- the key ---------------------------------------------------------------------------------------------------------


def test_a_key_file_is_private_and_never_overwritten(tmp_path: Path) -> None:
    key = idn.new_identity_key(tmp_path / "k")
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600 and idn.key_from_file(tmp_path / "k") == key
    with pytest.raises(StoreError, match="cannot be made"):
        idn.new_identity_key(tmp_path / "k")
    assert idn.key_from_file(tmp_path / "k") == key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    idn.new_identity_key(tmp_path / "k")
    (tmp_path / "k").chmod(mode)
    with pytest.raises(StoreError, match="read by other users"):
        idn.key_from_file(tmp_path / "k")


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 44, b"A" * 44, b"A" * 4000, b"k" * 32])
def test_a_damaged_key_is_refused_without_repeating_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k").write_bytes(content)
    (tmp_path / "k").chmod(0o600)
    with pytest.raises(StoreError, match="damaged") as caught:
        idn.key_from_file(tmp_path / "k")
    assert "AAAA" not in everything_said(caught.value)


def test_a_key_inside_the_store_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_at(tmp_path / "store")
    keyed(tmp_path / "store" / "identity.key", monkeypatch)
    with pytest.raises(StoreError, match="inside the store"):
        ppl.record_identity(store, "P-1", SOMEBODY)
    (tmp_path / "link").symlink_to(tmp_path / "store" / "identity.key")
    monkeypatch.setenv(idn.KEY_FILE, str(tmp_path / "link"))
    with pytest.raises(StoreError, match="inside the store"):
        ppl.record_identity(store, "P-1", SOMEBODY)


def test_the_environment_gives_one_key(tmp_path: Path) -> None:
    key = idn.new_identity_key(tmp_path / "k")
    text = (tmp_path / "k").read_text()
    assert idn.identity_key(environ={idn.KEY: text}) == key == idn.identity_key(environ={idn.KEY_FILE: str(tmp_path / "k")})
    for environ in ({}, {idn.KEY: text, idn.KEY_FILE: str(tmp_path / "k")}, {idn.KEY: ""}):
        with pytest.raises(ParameterError) as caught:
            idn.identity_key(environ=environ)
        assert text.strip() not in str(caught.value)
    with pytest.raises(StoreError, match="cannot be read"):
        idn.identity_key(environ={idn.KEY_FILE: str(tmp_path / "none")})


# --- rotation and forgetting -----------------------------------------------------------------------------------------


def test_after_a_rotation_the_old_key_opens_nothing(store: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = idn.identity_key()
    for person in ("P-1", "P-2"):
        ppl.record_identity(store, person, SOMEBODY)
    new = idn.new_identity_key(tmp_path / "new.key")
    assert ppl.change_identity_key(store, tmp_path / "new.key") == 2
    with store.catalogue.read() as connection:
        rows = connection.execute(sa.select(tab.identities)).all()
    for row in rows:
        assert row.key_id == new.id and idn.unseal(bytes(row.sealed), row.person, new) == SOMEBODY
        with pytest.raises(StoreError):
            idn.unseal(bytes(row.sealed), row.person, old)
    with pytest.raises(StoreError, match="was sealed with key"):
        ppl.identity_of(store, "P-1")
    monkeypatch.setenv(idn.KEY_FILE, str(tmp_path / "new.key"))
    assert ppl.identity_of(store, "P-1") == SOMEBODY and verify_audit(store.log) == []


def test_a_rotation_that_meets_a_row_it_cannot_open_changes_nothing(store: StoreFolder, tmp_path: Path) -> None:
    for person in ("P-1", "P-2"):
        ppl.record_identity(store, person, SOMEBODY)
    with store.catalogue.write() as connection:
        connection.execute(tab.identities.update().where(tab.identities.c.person == "P-2").values(sealed=b"\x01" + b"0" * 300))
        before = connection.execute(sa.select(tab.identities).order_by(tab.identities.c.person)).all()
    idn.new_identity_key(tmp_path / "new.key")
    with pytest.raises(StoreError, match="P-2 does not open"):
        ppl.change_identity_key(store, tmp_path / "new.key")
    with store.catalogue.read() as connection:
        assert connection.execute(sa.select(tab.identities).order_by(tab.identities.c.person)).all() == before
    assert ppl.identity_of(store, "P-1") == SOMEBODY


KILLED = """
import os, sys
from pathlib import Path
from genomics_nb.store import identity as idn, people as ppl
from genomics_nb.store.folder import StoreFolder

real = idn.seal

def second_dies(identity, person, key):
    if person == "P-2":
        os.kill(os.getpid(), 9)
    return real(identity, person, key)

idn.seal = second_dies
ppl.change_identity_key(StoreFolder.open(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_rotation_that_is_killed_leaves_every_row_under_the_old_key(store: StoreFolder, tmp_path: Path) -> None:
    for person in ("P-1", "P-2"):
        ppl.record_identity(store, person, SOMEBODY)
    idn.new_identity_key(tmp_path / "new.key")
    done = subprocess.run([sys.executable, "-c", KILLED, str(store.path), str(tmp_path / "new.key")], capture_output=True, check=False,
                          timeout=120)
    assert done.returncode == -9, done.stderr
    assert [ppl.identity_of(store, person) for person in ("P-1", "P-2")] == [SOMEBODY] * 2
    assert verify_audit(store.log) == [] and ppl.change_identity_key(store, tmp_path / "new.key") == 2


def test_a_rotation_to_the_same_key_is_refused(store: StoreFolder, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="is the old one"):
        ppl.change_identity_key(store, tmp_path / "identity.key")


def test_a_forgotten_identity_is_gone_and_the_pseudonym_stays(store: StoreFolder, tmp_path: Path) -> None:
    ppl.record_identity(store, "P-1", SOMEBODY)
    with store.catalogue.read() as connection:
        sealed = bytes(connection.scalar(sa.select(tab.identities.c.sealed)))
    held = {path for path, content in every_byte(tmp_path / "store") if sealed[20:60] in content}
    assert held or store.catalogue.engine.dialect.name == "postgresql"
    assert ppl.forget_person(store, "P-1") and not ppl.forget_person(store, "P-1")
    with pytest.raises(NotFoundError, match="no identity is recorded for P-1"):
        ppl.identity_of(store, "P-1")
    with store.catalogue.read() as connection:
        assert connection.scalar(sa.select(tab.persons.c.person).where(tab.persons.c.person == "P-1")) == "P-1"
    assert [path for path, content in every_byte(tmp_path / "store") if sealed[20:60] in content] == []  # nor the sealed row
    assert verify_audit(store.log) == []


def test_a_server_lets_go_of_a_forgotten_row(postgresql: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed(tmp_path / "identity.key", monkeypatch)
    store = store_at(tmp_path / "store", postgresql.new_database())
    ppl.record_identity(store, "P-1", SOMEBODY)
    ppl.forget_person(store, "P-1")
    with store.catalogue.read() as connection:
        assert connection.exec_driver_sql("SELECT pg_relation_size('identities')").scalar() == 0


# --- who may ---------------------------------------------------------------------------------------------------------


def test_every_reading_is_in_the_log_with_its_reason(store: StoreFolder) -> None:
    ppl.record_identity(store, "P-1", SOMEBODY)
    for reason in ("report of DI-1", "call back"):
        ppl.identity_of(store, "P-1", reason)
    with store.catalogue.read() as connection:
        rows = connection.execute(sa.select(tab.decisions).order_by(tab.decisions.c.decision)).all()
        kinds = list(connection.scalars(sa.select(tab.audit.c.kind).order_by(tab.audit.c.sequence)))
    assert [(r.subject_kind, r.subject, r.purpose, r.allowed, r.reason) for r in rows] == [
        ("person", "P-1", "care", True, "identity read: report of DI-1"), ("person", "P-1", "care", True, "identity read: call back")]
    assert kinds[-3:] == ["identity", "decision", "decision"] and verify_audit(store.log) == []


def test_who_has_no_role_is_refused_and_logged(store: StoreFolder) -> None:
    ppl.record_identity(store, "P-1", SOMEBODY)
    actor = "genomics" if store.catalogue.engine.dialect.name == "postgresql" else asking_user()
    for role in ("clinician", "biologist"):
        change_role(store.log, actor, role, False)
    with pytest.raises(ConsentError, match="no role that may read identity"):
        ppl.identity_of(store, "P-1")
    with store.catalogue.read() as connection:
        last = connection.execute(sa.select(tab.decisions).order_by(tab.decisions.c.decision.desc()).limit(1)).one()
    assert (last.subject, last.purpose, last.allowed) == ("P-1", "read identity", False) and verify_audit(store.log) == []


def test_an_identity_of_nobody_is_refused(store: StoreFolder) -> None:
    with pytest.raises(NotFoundError, match="no person P-3"):
        ppl.record_identity(store, "P-3", SOMEBODY)
    with pytest.raises(NotFoundError, match="no identity is recorded"):
        ppl.identity_of(store, "P-2")


def test_a_newer_identity_takes_the_place_of_the_older(store: StoreFolder) -> None:
    ppl.record_identity(store, "P-1", SOMEBODY)
    married = SOMEBODY.model_copy(update={"birth_date": dt.date(1969, 5, 26)})
    ppl.record_identity(store, "P-1", married)
    assert ppl.identity_of(store, "P-1") == married


# --- the commands ----------------------------------------------------------------------------------------------------


def command(*arguments: str, store: Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    environ = {**os.environ, "GENOMICS_NB_STORE": str(store), **options.pop("env", {})}
    return subprocess.run([str(Path(sys.executable).with_name("genomics-nb")), *arguments], env=environ, check=False, timeout=120,
                          **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options))


def test_the_commands_take_identity_in_and_show_it_at_a_terminal_only(tmp_path: Path) -> None:
    place = store_at(tmp_path / "store").path
    made = command("identity", "new-key", str(tmp_path / "k"), store=place)
    assert made.returncode == 0, made.stderr
    env = {idn.KEY_FILE: str(tmp_path / "k")}
    done = command("identity", "set", "P-1", "--file", "-", store=place, env=env, input=json.dumps(WHO).encode())
    assert (done.returncode, done.stderr) == (0, b"") and b"P-1" in done.stdout
    piped = command("identity", "show", "P-1", store=place, env=env)
    assert piped.returncode != 0 and piped.stdout == b"" and piped.stderr.count(b"\n") == 1 and b"terminal only" in piped.stderr
    ours, theirs = os.openpty()
    shown = command("identity", "show", "P-1", "--reason", "report", store=place, env=env, stdout=theirs)
    os.close(theirs)
    text = os.read(ours, 10_000).decode()
    os.close(ours)
    assert shown.returncode == 0, shown.stderr
    assert "family name: Xhemajli-Durand" in text and "birth date: 1969-05-25" in text
    wrong = command("identity", "set", "P-1", "--file", "-", store=place, env=env, input=json.dumps({**WHO, "sex": "Nathalie"}).encode())
    assert wrong.returncode != 0 and wrong.stderr.count(b"\n") == 1 and not any(t in wrong.stderr for t in TRACES)
    unkeyed = command("identity", "set", "P-1", "--file", "-", store=place, input=json.dumps(WHO).encode())
    assert unkeyed.returncode != 0 and b"GENOMICS_NB_IDENTITY_KEY_FILE" in unkeyed.stderr and unkeyed.stderr.count(b"\n") == 1


def test_an_old_store_is_upgraded_by_the_command_that_its_refusal_names(tmp_path: Path) -> None:
    import sqlite3

    place = StoreFolder.init(tmp_path / "store").path
    for name in ("catalogue.sqlite", "catalogue.sqlite-wal", "catalogue.sqlite-shm"):
        (place / name).unlink(missing_ok=True)
    with sqlite3.connect(place / "catalogue.sqlite") as connection:
        connection.executescript(Path(__file__).with_name("catalogue_v1.sql").read_text(encoding="utf-8"))
    connection.close()
    (place / "audit.key").write_bytes(b"k" * 32)
    head = Path(__file__).with_name("catalogue_v1.sql").read_text(encoding="utf-8").splitlines()[1].split("audit.head: ")[1]
    (place / "audit.head").write_text(head + "\n")
    refused = command("case", "list", store=place)
    assert refused.returncode != 0 and b"genomics-nb catalogue upgrade --store STORE" in refused.stderr
    done = command("catalogue", "upgrade", "--json", store=place)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["found"] == 1 and [s["version"] for s in answer["steps"]] == [2] and Path(answer["copy"]).is_file()
    assert b"DI-1" in command("case", "list", store=place).stdout
    assert command("consent", "withdraw", "C", "--purpose", "care", store=place).returncode == 0  # its owner may act
    assert command("audit", "verify", store=place).returncode == 0


@pytest.mark.parametrize("path", ["nowhere", "empty"])
def test_an_upgrade_of_nothing_is_one_line(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    done = command("catalogue", "upgrade", store=tmp_path / path)
    assert done.returncode != 0 and done.stderr.count(b"\n") == 1 and b"no store" in done.stderr


