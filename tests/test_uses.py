"""A consent to research covers a project, or it does not: the codes of the Data Use Ontology decide."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import ParameterError
from genomics_nb.store import uses
from genomics_nb.store.consent import Answer, Consent, decide_family

DAY = dt.date(2026, 3, 1)
PERMISSIONS = ["NRES", "GRU", "HMB", "DS=MONDO:0005148", "DS=MONDO:0005015", "POA"]
LIMITS = ["RS=paediatric", "NMDS", "GSO", "NPUNCU", "NPU", "NCU", "NPOA", "PUB", "COL", "IRB", "RTN", "GS=FR", "GS=EU",
          "MOR=2026-12-31", "TS=2026-06-30", "TS=2026-01-31", "US=ana", "PS=P42", "IS=CHU", "CC"]
INTENTIONS = ["GRU", "HMB", "DS=MONDO:0005148<MONDO:0005015", "DS=MONDO:0005015", "POA", "MDS"]
limits = st.lists(st.sampled_from(LIMITS), max_size=5)
intents = st.builds(lambda a, b: uses.read_intent([*a, *b]),
                    st.lists(st.sampled_from(INTENTIONS), min_size=1, max_size=2), st.lists(st.sampled_from(LIMITS), max_size=8))


@settings(deadline=None)
@given(permission=st.sampled_from(PERMISSIONS), some=limits, more=st.sampled_from(LIMITS), intent=st.one_of(st.none(), intents))
def test_one_more_limit_never_opens_anything(permission: str, some: list[str], more: str, intent) -> None:
    if uses.allows([permission, *some, more], intent, DAY, "ana")[0]:
        assert uses.allows([permission, *some], intent, DAY, "ana")[0]


@settings(deadline=None)
@given(permission=st.sampled_from(PERMISSIONS), some=limits, intent=intents, shuffled=st.randoms(use_true_random=False))
def test_the_order_of_codes_does_not_matter(permission: str, some: list[str], intent, shuffled) -> None:
    codes, meant = [permission, *some], list(intent)
    shuffled.shuffle(codes)
    shuffled.shuffle(meant)
    assert uses.allows(codes, meant, DAY, "ana")[0] == uses.allows([permission, *some], intent, DAY, "ana")[0]


@settings(deadline=None)
@given(some=limits, intent=intents)
def test_a_wider_permission_covers_what_a_narrower_one_covers(some: list[str], intent) -> None:
    wide = {p: uses.allows([p, *some], intent, DAY, "ana")[0] for p in PERMISSIONS}
    assert wide["NRES"] >= wide["GRU"] >= wide["HMB"] >= wide["DS=MONDO:0005015"] and wide["GRU"] >= wide["POA"]


@settings(deadline=None)
@given(permission=st.sampled_from(PERMISSIONS), some=limits)
def test_codes_come_back_as_they_were_written(permission: str, some: list[str]) -> None:
    stored = uses.read_uses([permission, *some])
    assert {str(uses.read_use(code)) for code in stored} == {permission, *some}
    assert all(code.startswith("DUO:") for code in stored) and uses.read_uses(stored) == stored


@pytest.mark.parametrize("codes", [
    ["HMB", "POA"], ["NPU"], ["MDS"], ["GRU", "MDS"], ["hmb"], ["DUO:0009999"], ["DS"], ["DS="], ["DS=diabetes"], ["GRU=all"],
    ["HMB", "TS=soon"], ["HMB", "TS=2026-02-30"], ["HMB", "GS= "], ["HMB", "PS=a=b"], ["HMB", "PS=a\nb"], [""]])
def test_codes_that_mean_nothing_are_refused(codes: list[str]) -> None:
    with pytest.raises(ParameterError):
        uses.read_uses(codes)


@pytest.mark.parametrize("codes", [[], ["NPU", "IRB"], ["DS=diabetes"]])
def test_an_intent_that_names_no_research_is_refused(codes: list[str]) -> None:
    with pytest.raises(ParameterError):
        uses.read_intent(codes)


def test_a_limited_consent_is_closed_to_a_project_that_says_nothing() -> None:
    for codes, yes in (([], True), (["GRU"], True), (["NRES", "CC"], True), (["HMB"], False), (["GRU", "NPU"], False)):
        assert uses.allows(codes, None, DAY)[0] is yes


@pytest.mark.parametrize(("limit", "kept", "broken"), [
    ("GS=FR", "GS=fr", "GS=EU"), ("PS=P42", "PS=P42", "PS=P43"), ("IS=CHU", "IS=CHU", "IRB"), ("RS=paediatric", "RS=Paediatric", "RS=x"),
    ("IRB", "IRB", "PUB"), ("GSO", "GSO", "IRB"), ("NCU", "NPUNCU", "NPU"), ("NPU", "NPU", "NCU"), ("MOR=2026-12-31", "MOR=2027-01-01", "MOR=2026-06-01")])
def test_each_limit_asks_for_its_own_promise(limit: str, kept: str, broken: str) -> None:
    assert uses.allows(["HMB", limit], uses.read_intent(["HMB", kept]), DAY)[0]
    for said in ([broken], []):
        yes, why = uses.allows(["HMB", limit], uses.read_intent(["HMB", *said]), DAY)
        assert not yes and limit in why


def test_a_limit_to_a_user_is_held_against_who_asks_and_not_against_what_they_say() -> None:
    intent = uses.read_intent(["HMB", "US=ana"])
    assert uses.allows(["HMB", "US=ana"], intent, DAY, "ana")[0]
    assert not uses.allows(["HMB", "US=ana"], intent, DAY, "bob")[0]


def test_in_a_family_each_person_is_matched_with_their_own_codes() -> None:
    many = [Consent(p, "research", True, DAY, uses=codes) for p, codes in (
        ("C", ()), ("M", ("DUO:0000006",)), ("D", ("DUO:0000007=MONDO:0005148",)))]
    narrow = uses.narrowing(uses.read_intent(["HMB"]), DAY, "ana")
    answer = decide_family(many, "C", ["C", "M", "D"], "research", DAY, narrow=narrow)
    assert list(answer.served) == ["C", "M"] and "does not cover HMB" in answer.left_out["D"]
    assert uses.narrowing(None, DAY, "ana")(Answer(None, "nothing")).allowed is None
