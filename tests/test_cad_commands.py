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


HEAD = "person,purpose,granted,date,version,given_by,guardian,minor_agreed,uses\n"


def table(tmp_path: Path, *lines: str, head: str = HEAD) -> str:
    (tmp_path / "forms.csv").write_text(head + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(tmp_path / "forms.csv")


def test_a_table_of_forms_is_what_the_same_statements_one_by_one_would_be(store: tuple[str, str], tmp_path: Path) -> None:
    adult_on = str(TODAY + dt.timedelta(days=900))
    good("consent", "minor", "KID", "--adult-on", adult_on, *store)
    good("consent", "guardian", "KID", "MUM", "--relation", "mother", "--since", "2020-01-01", *store)
    file = table(tmp_path, "KID,care,yes,2026-01-05,2,guardian,MUM,no,", "MUM,research,oui,2026-01-06,2,,,,HMB|DUO:0000045",
                 "MUM,sharing,no,,,,,,", "", "DAD,care,TRUE,2026-01-06,,self,,,")
    before = good("audit", "head", *store)
    assert "4 statements of 3 persons would be" in good("consent", "import", file, "--check", *store)
    assert good("audit", "head", *store) == before and rows(store, "MUM") == []
    assert json.loads(good("consent", "import", file, *store, "--json"))["recorded"] == 4
    (kid,), (research, sharing) = rows(store, "KID"), rows(store, "MUM")
    assert (kid["given_by"], kid["guardian"], kid["minor_agreed"], kid["version"]) == ("guardian", "MUM", False, "2")
    assert research["uses"] == ["DUO:0000006", "DUO:0000045"] and research["date"] == "2026-01-06"
    assert sharing["granted"] is False and sharing["date"] == str(TODAY) and sharing["given_by"] == "self"
    assert json.loads(good("consent", "import", file, *store, "--json")) == {"recorded": 0, "new": 0, "known": 4, "persons": 0}
    good("audit", "verify", *store)


def test_every_wrong_row_is_named_without_its_values_and_nothing_is_recorded(store: tuple[str, str], tmp_path: Path) -> None:
    file = table(tmp_path, "MUM,care,yes,,,,,,", "Jeanne Martin,care,yes,,,,,,", "MUM,Jeanne,yes,,,,,,", "MUM,research,Jeanne,,,,,,",
                 "MUM,quality,yes,Jeanne,,,,,", "MUM,training,yes,2999-01-01,,,,,", "DAD,care,yes,,,guardian,MUM,,",
                 "DAD,research,yes,,,guardian,Jeanne,,", "DAD,quality,yes,,,,,,HMB", "DAD,sharing,yes,,,both,,,", "MUM,care,no,,,,,,",
                 "DAD,training,,,,,,,", "DAD,research_reuse,yes,,,,,,Jeanne")
    before = good("audit", "head", *store)
    done = typed("consent", "import", file, *store)
    named = [line.split("forms.csv, ")[1].split(":")[0] for line in done.stderr.splitlines()[:-1]]
    assert named == ["line 3, field person", "line 4, field purpose", "line 5, field granted", "line 6, field date",
                     "line 7, field date", "line 8, field guardian", "line 9, field guardian", "line 10, field uses",
                     "line 11, field guardian", "line 12, field purpose", "line 13, field granted", "line 14, field uses"]
    assert done.returncode == 2 and "12 wrong rows" in done.stderr and "Jeanne" not in done.stderr + done.stdout
    assert good("audit", "head", *store) == before and rows(store, "MUM") == []


@pytest.mark.parametrize(("head", "words"), [
    ("person,purpose\n", "header"), ("person,purpose,granted,name\n", "header"), ("person,purpose,granted,date,date\n", "header"),
    (HEAD, "no statement"), (HEAD + "MUM,care\n", "line 2: not one value"), (HEAD + 'MUM,"care\n', "CSV in UTF-8")])
def test_what_is_no_table_of_statements_is_refused_whole(store: tuple[str, str], tmp_path: Path, head: str, words: str) -> None:
    done = typed("consent", "import", table(tmp_path, head=head), *store)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1


def test_a_table_needs_the_role_of_a_single_statement_and_the_refusal_is_logged(store: tuple[str, str], tmp_path: Path) -> None:
    (row,) = json.loads(good("roles", "list", *store, "--json"))
    for role in ("clinician", "operator"):
        good("roles", "revoke", row["user"], role, *store)
    length = int(good("audit", "head", *store).split(":")[0])
    done = typed("consent", "import", table(tmp_path, "MUM,care,yes,,,,,,"), *store)
    assert done.returncode == 2 and "holds no role that may record consent" in done.stderr
    assert int(good("audit", "head", *store).split(":")[0]) == length + 1 and rows(store, "MUM") == []


def test_of_several_case_files_a_bad_one_is_named_and_the_others_go_in(store: tuple[str, str], tmp_path: Path) -> None:
    for name in ("A", "B", "C"):
        (tmp_path / f"{name}.json").write_text(json.dumps({
            "case": name, "family": f"F{name}", "proband": f"P{name}", "indication": "deafness", "members": [{"person": f"P{name}"}]}))
    (tmp_path / "B.json").write_text('{"case": "B", "family": "FB"}')
    files = [str(tmp_path / f"{name}.json") for name in "ABC"]
    done = typed("case", "add", *files, *store)
    assert done.returncode == 1 and "B.json" in done.stderr and done.stderr.count("\n") == 1
    assert "Added A" in done.stdout and "Added C" in done.stdout
    assert [r["case"] for r in json.loads(good("case", "list", *store, "--json"))] == ["K1", "A", "C"]
    done = typed("case", "add", files[0], files[2], "--indication", "x", *store)
    assert done.returncode == 2 and "for one file" in done.stderr
