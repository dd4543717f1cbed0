"""What a user may do follows from the roles in the catalogue, and from nobody's word."""

import inspect
import os
import random
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from genomics_nb.core.types import ConsentError, NotFoundError, ParameterError
from genomics_nb.store import audit as aud
from genomics_nb.store import catalogue as cat
from genomics_nb.store import roles as rol
from genomics_nb.store import tables as tab


@pytest.fixture
def log(database: str | Path, tmp_path: Path) -> aud.AuditLog:
    return aud.AuditLog.create(cat.create_catalogue(database), tmp_path)


def me(log: aud.AuditLog) -> str:
    with log.catalogue.read() as connection:
        return aud.actor_of(connection)


entries = st.lists(st.builds(rol.RoleEntry, user=st.sampled_from(["ana", "bob"]), role=st.sampled_from(rol.ROLES),
                             granted=st.booleans()), max_size=12).map(
    lambda many: [rol.RoleEntry(e.user, e.role, e.granted, i) for i, e in enumerate(many)])


@given(many=entries, seed=st.integers(0, 99))
def test_the_last_row_counts_whatever_the_order(many: list[rol.RoleEntry], seed: int) -> None:
    mixed = list(many)
    random.Random(seed).shuffle(mixed)
    state: dict[str, set[str]] = {"ana": set(), "bob": set()}
    for e in many:
        (state[e.user].add if e.granted else state[e.user].discard)(e.role)
    assert rol.held(mixed) == {user: holds for user, holds in state.items() if holds}


@given(many=entries, role=st.sampled_from(rol.ROLES), action=st.sampled_from(list(rol.MAY)))
def test_taking_a_role_never_opens_anything(many: list[rol.RoleEntry], role: str, action: str) -> None:
    after = rol.held([*many, rol.RoleEntry("ana", role, False, 99)]).get("ana", frozenset())
    if rol.may(after, action):
        assert rol.may(rol.held(many).get("ana", frozenset()), action)


def test_nobody_takes_in_and_releases_with_one_role() -> None:
    for role in rol.ROLES:
        assert not (rol.may([role], "ingest") and rol.may([role], "release delivery"))
    assert not any(rol.may(["auditor"], a) for a in rol.MAY if a != "verify audit")
    assert all(set(roles) <= set(rol.ROLES) for roles in rol.MAY.values())


def test_who_asks_is_no_parameter() -> None:
    assert not {"user", "actor"} & set(inspect.signature(rol.authorise).parameters)


def test_without_a_role_the_no_is_said_and_logged_with_who_and_what(log: aud.AuditLog) -> None:
    with pytest.raises(rol.RoleError, match="holds no role that may release delivery") as caught:
        rol.authorise(log, "release delivery", "delivery", "D-1")
    assert isinstance(caught.value, ConsentError) and caught.value.exit_code == 2 and "\n" not in str(caught.value)
    with log.catalogue.read() as connection:
        row = connection.execute(sa.select(tab.decisions)).one()
    assert (row.subject_kind, row.subject, row.purpose, row.allowed, row.actor) == (
        "delivery", "D-1", "release delivery", False, me(log))
    assert aud.verify_audit(log) == []


def test_a_role_works_with_the_next_question_and_so_does_its_end(log: aud.AuditLog) -> None:
    rol.change_role(log, me(log), "operator", True)  # nobody grants roles yet, and the folder is ours
    assert rol.authorise(log, "ingest") == me(log)
    with pytest.raises(rol.RoleError):
        rol.authorise(log, "read for care", "case", "K")
    rol.change_role(log, me(log), "clinician", True)
    rol.authorise(log, "read for care", "case", "K")
    rol.change_role(log, me(log), "clinician", False)
    with pytest.raises(rol.RoleError):
        rol.authorise(log, "read for care", "case", "K")
    assert aud.verify_audit(log) == []


def test_only_an_operator_grants_roles_once_there_is_one(log: aud.AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    with log.transaction() as work:
        rol.put_role(work, "another", "operator", True)
    with pytest.raises(rol.RoleError, match="grant roles"):
        rol.change_role(log, me(log), "clinician", True)
    with log.transaction() as work:
        rol.put_role(work, "another", "operator", False)
    rol.change_role(log, me(log), "operator", True)  # the owner of the folder may name one where none is left
    with log.transaction() as work:
        rol.put_role(work, me(log), "operator", False)
    somebody = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: somebody)  # a user who does not own the folder
    with pytest.raises(rol.RoleError):
        rol.change_role(log, "root", "operator", True)


def test_the_same_again_changes_nothing(log: aud.AuditLog) -> None:
    for _ in range(2):
        rol.change_role(log, me(log), "operator", True)
    with log.catalogue.read() as connection:
        assert len(rol.role_entries(connection)) == 1 and aud.last_head(connection).length == 1


def test_misspelt_users_roles_and_actions_act_on_nobody(log: aud.AuditLog) -> None:
    rol.change_role(log, me(log), "operator", True)
    with pytest.raises(NotFoundError, match="no user"):
        rol.change_role(log, "nobody-of-that-name", "clinician", True)
    with pytest.raises(NotFoundError, match="no user"):
        rol.change_role(log, "nobody-of-that-name", "clinician", False)
    with pytest.raises(ParameterError, match="physician"):
        rol.change_role(log, me(log), "physician", True)
    with pytest.raises(ParameterError, match="unknown action"):
        rol.authorise(log, "read for fun")
    with log.catalogue.read() as connection:
        assert len(rol.role_entries(connection)) == 1


def test_a_user_who_left_can_still_lose_a_role(log: aud.AuditLog) -> None:
    rol.change_role(log, me(log), "operator", True)
    with log.transaction() as work:
        rol.put_role(work, "left-in-june", "clinician", True)
    rol.change_role(log, "left-in-june", "clinician", False)
    with log.catalogue.read() as connection:
        assert rol.roles_of(connection, "left-in-june") == frozenset()
