"""Consents, guardians, uses and roles as a clinic types them."""

import datetime as dt
import json
from pathlib import Path

import pytest
from test_cli import good, typed

from genomics_nb.store.cad import CAD

TODAY = dt.date.today()


@pytest.fixture
def store(tmp_path: Path) -> tuple[str, str]:
    """The options that name a store with a child and her parents."""
    cad = CAD.init(tmp_path / "s")
    cad.add_case({"case": "K1", "family": "F1", "proband": "KID", "indication": "deafness",
                  "members": [{"person": "KID", "mother": "MUM", "father": "DAD"}, {"person": "MUM", "sex": "female"},
                              {"person": "DAD", "sex": "male"}]})
    return "--store", str(cad.path)


def rows(store: tuple[str, str], person: str) -> list[dict]:
    return json.loads(good("consent", "show", person, *store, "--json"))


def test_a_guardian_consents_for_a_minor_and_the_form_says_who_and_what_the_minor_said(store: tuple[str, str]) -> None:
    adult_on = str(TODAY + dt.timedelta(days=900))
    assert adult_on in good("consent", "minor", "KID", "--adult-on", adult_on, *store)
    good("consent", "guardian", "KID", "MUM", "--relation", "mother", "--since", "2020-01-01", *store)
    good("consent", "grant", "KID", "--purpose", "care", "--purpose", "sharing", "--guardian", "MUM", "--minor-disagreed", *store)
    said = rows(store, "KID")
    assert [(r["purpose"], r["given_by"], r["guardian"], r["minor_agreed"]) for r in said] == [
        ("care", "guardian", "MUM", False), ("sharing", "guardian", "MUM", False)]
    assert "by MUM, the minor did not agree" in good("consent", "show", "KID", *store)
    good("consent", "guardian", "KID", "MUM", "--relation", "mother", "--since", "2020-01-01", "--until", str(TODAY), *store)
    assert typed("consent", "grant", "KID", "--purpose", "care", "--guardian", "MUM", *store).returncode == 2


def test_a_consent_to_research_holds_its_uses_and_the_choices_are_their_own_statements(store: tuple[str, str]) -> None:
    good("consent", "grant", "MUM", "--purpose", "care", "--purpose", "research", "--purpose", "research_reuse", "--use", "HMB",
         "--use", "DUO:0000045", *store)
    good("consent", "withdraw", "MUM", "--purpose", "research_reuse", *store)
    assert [(r["purpose"], r["granted"], r["uses"]) for r in rows(store, "MUM")] == [
        ("care", True, []), ("research", True, ["DUO:0000006", "DUO:0000045"]),
        ("research_reuse", True, ["DUO:0000006", "DUO:0000045"]), ("research_reuse", False, [])]
    assert "HMB" in good("consent", "uses") and {"id", "short", "label"} <= set(json.loads(good("consent", "uses", "--json"))[0])


@pytest.mark.parametrize(("command", "words"), [
    ("consent grant MUM --purpose care --use HMB", "uses limit"),
    ("consent grant MUM --purpose research --purpose care --use XYZ", "unknown use XYZ"),
    ("consent grant MUM --purpose care --purpose gossip", "gossip"),
    ("consent grant MUMM --purpose care", "no person MUMM"),
    ("consent grant MUM --purpose care --guardian DAD", "of age"),
    ("consent grant MUM --purpose care --date 2999-01-01", "future"),
    ("consent minor MUM", "--adult-on"),
    ("consent minor MUM --adult --adult-on 2030-01-01", "--adult-on"),
    ("consent guardian MUM DAD --relation father", "adult"),
    ("consent guardian KID DAD --relation neighbour", "neighbour"),
    ("roles grant nobody-of-that-name clinician", "no user"),
    ("roles grant root physician", "physician"),
])
def test_a_mistake_is_one_line_and_leaves_no_statement(store: tuple[str, str], command: str, words: str) -> None:
    before = good("audit", "head", *store)
    done = typed(*command.split(), *store)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
    assert good("audit", "head", *store) == before and rows(store, "MUM") == []


def test_roles_are_given_taken_and_listed_and_a_refusal_is_one_line(store: tuple[str, str]) -> None:
    (row,) = json.loads(good("roles", "list", *store, "--json"))
    assert "auditor" in row["roles"]
    good("roles", "revoke", row["user"], "auditor", *store)
    good("roles", "revoke", row["user"], "auditor", *store)  # again is no harm
    good("roles", "grant", "nobody", "auditor", *store)
    assert "nobody\tauditor" in good("roles", "list", *store)
    good("roles", "revoke", row["user"], "clinician", *store)
    good("audit", "verify", *store)  # an operator may verify too
    good("roles", "revoke", row["user"], "operator", *store)
    done = typed("audit", "verify", *store)
    assert done.returncode == 2 and "holds no role" in done.stderr and done.stderr.count("\n") == 1
    assert "read for care" in good("roles", "table")


def test_a_shared_store_is_made_by_a_command(tmp_path: Path) -> None:
    import grp
    import os

    team = grp.getgrgid(os.getgid()).gr_name
    made = json.loads(good("init", str(tmp_path / "t"), "--care", "--group", team, "--json"))
    assert made["group"] == team and f"shared by the group {team}" in good("doctor", "--store", str(tmp_path / "t"))
    done = typed("init", str(tmp_path / "u"), "--group", "no-such-group")
    assert done.returncode == 2 and "no Unix group" in done.stderr and not (tmp_path / "u").exists()
