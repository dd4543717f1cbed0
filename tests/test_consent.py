"""Consent decides as a person would, for adults and for minors."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import ConsentError, NotFoundError, ParameterError
from genomics_nb.store import audit as aud
from genomics_nb.store import catalogue as cat
from genomics_nb.store import consent as con
from genomics_nb.store import registry as reg

DAY = dt.date(2026, 3, 1)
MATTERS = con.PURPOSES + con.CHOICES


@pytest.fixture
def log(database: str | Path, tmp_path: Path) -> aud.AuditLog:
    """A log on SQLite, then on PostgreSQL, with a minor and her mother."""
    log = aud.AuditLog.create(cat.create_catalogue(database), tmp_path)
    with log.transaction() as work:
        reg.ensure_persons(work.connection, ["KID", "MUM", "A"])
    con.record_majority(log, "KID", DAY + dt.timedelta(days=900))
    return log


def numbered(many: list[con.Consent]) -> list[con.Consent]:
    return [replace(s, sequence=i) for i, s in enumerate(many)]


def statements(people: list[str], matters: tuple[str, ...] = MATTERS, minors: bool = True) -> st.SearchStrategy:
    who = {"given_by": st.sampled_from(["self", "guardian", "both"]), "minor_agreed": st.sampled_from([None, True, False])}
    return st.lists(st.builds(
        con.Consent, person=st.sampled_from(people), purpose=st.sampled_from(matters), granted=st.booleans(),
        date=st.dates(DAY - dt.timedelta(days=4), DAY + dt.timedelta(days=4)), **(who if minors else {})),
        max_size=12).map(numbered)


majorities = st.one_of(st.none(), st.dates(DAY - dt.timedelta(days=6), DAY + dt.timedelta(days=6)),
                       st.dates(DAY - con.GRACE - dt.timedelta(days=3), DAY - con.GRACE + dt.timedelta(days=3)))
anyone = statements(["A", "B"])


# --- adults ----------------------------------------------------------------------------------------------------------


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
@given(many=statements(["A", "B"], con.PURPOSES, minors=False), shift=st.integers(-5, 5))
def test_a_decision_is_what_living_through_the_days_gives(many: list[con.Consent], shift: int) -> None:
    on = DAY + dt.timedelta(days=shift)
    for person in ("A", "B"):
        for purpose in con.PURPOSES:
            assert con.decide(many, person, purpose, on).allowed is replay(many, person, purpose, on)


@given(many=statements(["A", "B"], con.PURPOSES, minors=False))
def test_nobody_is_served_without_the_probands_yes(many: list[con.Consent]) -> None:
    answer = con.decide_family(many, "A", ["A", "B"], "care", DAY)
    yes = {p for p in ("A", "B") if replay(many, p, "care", DAY) is True}
    assert set(answer.served) == (yes if "A" in yes else set())
    assert set(answer.left_out) == {"A", "B"} - yes
    assert answer.allowed is ("A" in yes)


# --- what holds for everybody ----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(many=anyone, shuffled=st.randoms(use_true_random=False), adult_on=majorities, matter=st.sampled_from(MATTERS))
def test_the_order_of_the_rows_does_not_matter(many: list[con.Consent], shuffled, adult_on, matter: str) -> None:
    mixed = list(many)
    shuffled.shuffle(mixed)
    assert con.decide(mixed, "A", matter, DAY, adult_on) == con.decide(many, "A", matter, DAY, adult_on)


@settings(deadline=None, max_examples=400)
@given(many=anyone, adult_on=majorities, asked=st.sampled_from(MATTERS), about=st.sampled_from(MATTERS), shift=st.integers(-5, 5),
       given_by=st.sampled_from(["self", "guardian", "both"]), agreed=st.sampled_from([None, True, False]),
       place=st.integers(-1, 12), on=st.integers(-5, 5))
def test_one_more_withdrawal_never_opens_anything(
        many: list[con.Consent], adult_on, asked: str, about: str, shift: int, given_by: str, agreed, place: int, on: int) -> None:
    day = DAY + dt.timedelta(days=on)
    no = con.Consent("A", about, False, DAY + dt.timedelta(days=shift), sequence=place, given_by=given_by, minor_agreed=agreed)
    if con.decide([*many, no], "A", asked, day, adult_on).allowed:
        assert con.decide(many, "A", asked, day, adult_on).allowed


@settings(deadline=None)
@given(many=anyone, adult_on=majorities, asked=st.sampled_from(MATTERS))
def test_what_is_dated_later_changes_nothing_today(many: list[con.Consent], adult_on, asked: str) -> None:
    past = [s for s in many if s.date <= DAY]
    assert con.decide(many, "A", asked, DAY, adult_on).allowed == con.decide(past, "A", asked, DAY, adult_on).allowed


@settings(deadline=None)
@given(many=anyone, asked=st.sampled_from(con.PURPOSES + con.CHOICES))
def test_nobody_elses_statements_count(many: list[con.Consent], asked: str) -> None:
    own = [s for s in many if s.person == "A"]
    assert con.decide(many, "A", asked, DAY) == con.decide(own, "A", asked, DAY)


@settings(deadline=None)
@given(many=statements(["A"]), asked=st.sampled_from(MATTERS))
def test_a_minors_yes_alone_opens_nothing(many: list[con.Consent], asked: str) -> None:
    alone = [replace(s, given_by="self") for s in many]
    assert not con.decide(alone, "A", asked, DAY, DAY + dt.timedelta(days=10)).allowed


@settings(deadline=None)
@given(many=statements(["A"]), asked=st.sampled_from([m for m in MATTERS if m != "care"]))
def test_no_word_of_a_guardian_outlives_majority_but_for_care(many: list[con.Consent], asked: str) -> None:
    guardians = [replace(s, given_by="guardian") for s in many]
    assert not con.decide(guardians, "A", asked, DAY, DAY - dt.timedelta(days=1)).allowed
    assert not con.decide(guardians, "A", "care", DAY, DAY - con.GRACE - dt.timedelta(days=5)).allowed


@settings(deadline=None)
@given(many=statements(["A"], ("care",)), later=st.lists(st.integers(0, 400), min_size=2, max_size=2))
def test_time_alone_opens_nothing(many: list[con.Consent], later: list[int]) -> None:
    """Once every statement is in force, waiting can only let a guardian's yes lapse."""
    first, second = sorted(later)
    on = [DAY + dt.timedelta(days=4 + n) for n in (first, second)]
    adult_on = DAY + dt.timedelta(days=10)
    if con.decide(many, "A", "care", on[1], adult_on).allowed:
        assert con.decide(many, "A", "care", on[0], adult_on).allowed


def test_where_even_the_order_of_entry_is_equal_the_withdrawal_counts() -> None:
    both = [con.Consent("A", "care", False, DAY), con.Consent("A", "care", True, DAY)]
    assert con.decide(both, "A", "care", DAY).allowed is False
    assert con.decide(both[::-1], "A", "care", DAY).allowed is False


def test_an_unknown_purpose_is_an_error_and_not_a_no() -> None:
    with pytest.raises(ParameterError, match="curiosity"):
        con.decide([], "A", "curiosity", DAY)


def test_reasons_tell_refused_withdrawn_and_unasked_apart() -> None:
    yes, no = con.Consent("A", "care", True, DAY), con.Consent("A", "care", False, DAY, sequence=1)
    assert "no care consent is recorded" in con.decide([], "A", "care", DAY).reason
    assert "refused" in con.decide([no], "A", "care", DAY).reason
    assert "withdrawn" in con.decide([yes, no], "A", "care", DAY).reason


# --- reuse for research ----------------------------------------------------------------------------------------------


def said(matter: str, granted: bool, day: int) -> con.Consent:
    return con.Consent("A", matter, granted, DAY + dt.timedelta(days=day), sequence=day)


@pytest.mark.parametrize(("many", "allowed"), [
    ([said("care", True, 0)], None),  # nobody told them
    ([said("care", True, 0), said("research_reuse", True, 0)], True),
    ([said("care", True, 0), said("research_reuse", True, 0), said("research_reuse", False, 1)], False),
    ([said("care", True, 0), said("research_reuse", True, 0), said("care", False, 1)], None),  # no care data, nothing to reuse
    ([said("care", True, 0), said("research_reuse", True, 0), said("research", False, 1)], False),
    ([said("research", True, 0), said("research_reuse", False, 1)], False),
    ([said("research_reuse", False, 0), said("research", True, 1)], True),  # a newer consent to research
    ([said("research", True, 0)], True),
])
def test_reuse_for_research_needs_information_care_and_no_opposition(many: list[con.Consent], allowed: bool | None) -> None:
    assert con.decide(many, "A", "research", DAY + dt.timedelta(days=9)).allowed is allowed


@given(many=statements(["A"], ("research_reuse",), minors=False))
def test_reuse_opens_nothing_but_research(many: list[con.Consent]) -> None:
    for matter in ("care", "quality", "training", "sharing", "incidental_findings"):
        assert not con.decide(many, "A", matter, DAY).allowed


# --- recording -------------------------------------------------------------------------------------------------------


def test_a_guardian_speaks_once_recorded_and_only_while_it_lasts(log: aud.AuditLog) -> None:
    say = {"given_by": "guardian", "guardian": "MUM"}
    with pytest.raises(ConsentError, match="not recorded as a holder"):
        con.record_statement(log, "KID", "care", True, DAY, "1", **say)
    con.record_guardian(log, "KID", "MUM", "mother", dt.date(2020, 1, 1))
    stated = con.record_statement(log, "KID", "care", True, DAY, "1", **say)
    assert (stated.given_by, stated.guardian) == ("guardian", "MUM")
    con.record_guardian(log, "KID", "MUM", "mother", dt.date(2020, 1, 1), until=DAY + dt.timedelta(days=10))
    con.record_statement(log, "KID", "quality", True, DAY, "1", **say)
    with pytest.raises(ConsentError, match="not recorded as a holder"):
        con.record_statement(log, "KID", "care", True, DAY + dt.timedelta(days=10), "1", **say)
    assert aud.verify_audit(log) == []


@pytest.mark.parametrize(("person", "more", "words"), [
    ("KID", {}, "agreement, not a consent"), ("KID", {"given_by": "guardian"}, "nobody is not recorded"),
    ("KID", {"given_by": "both", "guardian": "A"}, "not recorded"), ("A", {"given_by": "guardian", "guardian": "MUM"}, "of age"),
    ("A", {"minor_agreed": True}, "of age"), ("A", {"given_by": "neighbour"}, "given by self")])
def test_a_yes_that_may_not_be_given_is_refused_and_leaves_no_row(
        log: aud.AuditLog, person: str, more: dict[str, object], words: str) -> None:
    with log.catalogue.read() as connection:
        before = aud.last_head(connection)
    with pytest.raises((ConsentError, ParameterError), match=words):
        con.record_statement(log, person, "care", True, DAY, "1", **more)
    with log.catalogue.read() as connection:
        assert con.statements_of(connection) == [] and aud.last_head(connection) == before


def test_a_minor_may_refuse_alone(log: aud.AuditLog) -> None:
    con.record_guardian(log, "KID", "MUM", "mother", dt.date(2020, 1, 1))
    con.record_statement(log, "KID", "research", False, DAY, "1")
    con.record_statement(log, "KID", "research", True, DAY, "1", given_by="guardian", guardian="MUM")
    with log.catalogue.read() as connection:
        many, adults = con.statements_of(connection), con.adults_of(connection, ["KID", "A"])
    answer = con.decide(many, "KID", "research", DAY, adults["KID"])
    assert answer.allowed is False and "minor" in answer.reason and adults["A"] is None


def test_a_statement_comes_back_whole(log: aud.AuditLog) -> None:
    con.record_guardian(log, "KID", "MUM", "mother", dt.date(2020, 1, 1))
    stated = con.record_statement(log, "KID", "research", True, DAY, "2026-1", given_by="both", guardian="MUM", minor_agreed=True,
                                  uses=("DUO:0000007=MONDO:0005148", "DUO:0000018"))
    with log.catalogue.read() as connection:
        assert con.statements_of(connection, ["KID"]) == [stated]
    assert stated.uses == ("DUO:0000007=MONDO:0005148", "DUO:0000018") and aud.verify_audit(log) == []


@pytest.mark.parametrize(("purpose", "granted", "uses"), [
    ("care", True, ("DUO:0000006",)), ("research", False, ("DUO:0000006",)), ("research", True, ("anything",))])
def test_uses_limit_a_yes_to_research_and_nothing_else(log: aud.AuditLog, purpose: str, granted: bool, uses: tuple[str, ...]) -> None:
    with pytest.raises(ParameterError, match="use"):
        con.record_statement(log, "A", purpose, granted, DAY, "1", uses=uses)


def test_a_form_dated_tomorrow_is_refused(log: aud.AuditLog) -> None:
    for granted in (True, False):
        with pytest.raises(ConsentError, match="future"):
            con.record_statement(log, "A", "care", granted, dt.date.today() + dt.timedelta(days=1), "1")


def test_misspelt_names_act_on_nobody(log: aud.AuditLog) -> None:
    for person, guardian in (("KIDD", "MUM"), ("KID", "MUMM")):
        with pytest.raises(NotFoundError, match="no person"):
            con.record_guardian(log, person, guardian, "mother", dt.date(2020, 1, 1))
    with pytest.raises(NotFoundError, match="no person"):
        con.record_majority(log, "KIDD", DAY)
    with pytest.raises(ConsentError, match="adult"):
        con.record_guardian(log, "A", "MUM", "mother", dt.date(2020, 1, 1))
    with pytest.raises(ParameterError, match="neighbour"):
        con.record_guardian(log, "KID", "MUM", "neighbour", dt.date(2020, 1, 1))
