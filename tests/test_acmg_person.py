"""What a person enters: who, when, why; what is refused; what a page and a record make of hostile text."""

import json
import re

import pytest

from genomics_nb.core.types import ParameterError
from genomics_nb.variant.classification import classification_html, classification_json, classification_of
from genomics_nb.variant.classify import classify
from genomics_nb.variant.criteria import CONDITIONAL, MEANING, MET, NOT_EVALUATED, NOT_MET, PERSON, REFUSED, WARNED, Criterion, Facts
from genomics_nb.variant.expert import expert_rules, read_expert_rules
from genomics_nb.variant.person import ASIDE, LONGEST_COMMENT, Entered, entries_json, entries_of, put_together, warnings_of
from genomics_nb.variant.points import CODES, NEVER, USUAL

WHO = {"role": "biologist", "author": "bio-07", "date": "2026-11-24", "comment": "Seen in three families."}
HOSTILE = ["<script>alert(1)</script>", "{comment.__class__} {0} {nobody}", "'\"><img src=x onerror=alert(1)>", "a\u202eb\x1b[2J\nc", "%s %d \\",
           "</section></td>", "=cmd|'/c calc'!A1"]


def entered(code: str, strength: str = "", **more: str) -> Entered:
    return Entered(code, strength, **{**WHO, **more})


def answers(*codes: str) -> list[Criterion]:
    return [Criterion(c, MET, ("evidence", "éléments"), USUAL[c[:-1]]) for c in codes]


def unmet(*codes: str) -> list[Criterion]:
    return [Criterion(c, NOT_EVALUATED, ("nothing known", "rien de connu")) for c in codes]


# An entry


@pytest.mark.parametrize("code", CODES)
def test_every_code_in_use_can_be_entered_with_role_date_and_comment(code: str):
    made = entered(code)
    criterion = made.criterion()
    assert (criterion.code, criterion.strength, criterion.state, criterion.by) == (code, USUAL[code[:-1]], MET, "biologist")
    for lang in ("en", "fr"):
        sentence = criterion.sentence(lang)
        assert all(x in sentence for x in (code, "Seen in three families.", "bio-07", "2026-11-24"))


@pytest.mark.parametrize("code", NEVER)
def test_pp5_and_bp6_cannot_be_entered(code: str):
    with pytest.raises(ParameterError, match="another's verdict"):
        entered(code)


@pytest.mark.parametrize(("field", "value"), [
    ("code", ""), ("code", "PM9"), ("code", "PM2;PM3"), ("strength", "enormous"), ("strength", "stand-alone"), ("role", ""),
    ("role", "Biologist"), ("role", "<script>"), ("role", "x" * 60), ("author", ""), ("author", "Jeanne Martin"),
    ("author", "j.martin@chu.fr"), ("author", "x" * 70), ("author", "Müller"), ("date", ""), ("date", "24/11/2026"), ("date", "20261124"),
    ("date", "2026-W48-2"), ("date", "2026-02-30"), ("date", "2026-11-24T10:00"), ("date", "２０２６-11-24"), ("comment", ""),
    ("comment", " \n"), ("comment", "x" * (LONGEST_COMMENT + 1))])
def test_a_field_that_is_missing_or_wrong_is_refused_by_name(field: str, value: str):
    with pytest.raises(ParameterError) as caught:
        Entered(**{"code": "PP1", "strength": "", **WHO, field: value})
    assert field in str(caught.value) or field in ("code", "strength")


def test_the_longest_comment_is_shown_in_full():
    comment = "mot " * (LONGEST_COMMENT // 4)
    assert comment.strip() in entered("PP1", comment=comment).criterion().sentence("fr")


def test_only_an_automated_answer_can_be_set_aside():
    for code in PERSON:
        with pytest.raises(ParameterError, match="no automated answer"):
            entered(code, ASIDE)
    assert entered("PM2", ASIDE).criterion().state == NOT_MET
    made = put_together(answers("PVS1", "PM2"), [entered("PVS1", ASIDE, comment="Last exon, rescued.")])
    assert [c.code for c in made if c.met] == ["PM2"] and "Last exon, rescued." in made[0].sentence()


# Together


def test_an_entry_takes_the_place_of_the_automated_answer_at_its_own_strength():
    made = put_together(answers("PM2", "PP3"), [entered("PP3", "moderate"), entered("PS3")])
    assert [c.label for c in made] == ["PS3", "PM2", "PP3_Moderate"] and [c.by for c in made] == ["biologist", "automatic", "biologist"]
    with pytest.raises(ParameterError, match="PS3 is entered twice"):
        put_together([], [entered("PS3"), entered("PS3", "supporting")])


@pytest.mark.parametrize("code", CONDITIONAL)
def test_a_conditional_criterion_needs_its_proof(code: str):
    with pytest.raises(ParameterError, match=f"{code} cannot be claimed"):
        put_together(unmet(code), [entered(code)])
    with pytest.raises(ParameterError, match=f"{code} cannot be claimed"):
        put_together([], [entered(code)])
    assert put_together(answers(code), [entered(code, "strong")])[0].strength == "strong"
    assert not put_together(answers(code), [entered(code, ASIDE)])[0].met


def test_the_refused_pairs_are_those_of_the_rules():
    assert set(REFUSED) == {("PVS1", "PM4"), ("PVS1", "PP3"), ("PS1", "PM5"), ("PS2", "PM6")}
    assert set(WARNED) == {("PVS1", "PM1"), ("PVS1", "PP2"), ("PM1", "PP2"), ("PS2", "PP4"), ("PM6", "PP4"), ("PP1", "PP4"), ("BS4", "PP4")}


@pytest.mark.parametrize("pair", REFUSED)
def test_each_refused_pair_is_refused_by_name_and_one_alone_is_not(pair: tuple[str, str]):
    one, other = pair
    for first, second in ((one, other), (other, one)):
        if first not in CONDITIONAL:
            with pytest.raises(ParameterError, match=f"{one} and {other} together are refused"):
                put_together(answers(second), [entered(first)])
            aside = [entered(second, ASIDE), entered(first)]
            assert [c.code for c in put_together(answers(second), aside) if c.met] == [first]
    with pytest.raises(ParameterError, match=f"{one} and {other} together are refused"):
        put_together(answers(one, other))
    assert len(put_together(answers(one), unmet(other) and [])) == 1


@pytest.mark.parametrize("pair", WARNED)
def test_each_warned_pair_counts_and_is_warned_of_in_both_languages(pair: tuple[str, str]):
    made = put_together(answers(*(c for c in pair if c not in PERSON)), [entered(c) for c in pair if c in PERSON])
    assert {c.code for c in made if c.met} == set(pair)
    for lang in ("en", "fr"):
        assert warnings_of(made, lang) == [f"{pair[0]} + {pair[1]}{' : ' if lang == 'fr' else ': '}{WARNED[pair][lang == 'fr']}"]
    assert warnings_of(answers(pair[0])) == [] == warnings_of([*answers(pair[0]), *unmet(pair[1])])


def test_no_other_pair_is_refused_or_warned_of():
    codes = [c for c in CODES if c not in CONDITIONAL]
    for number, one in enumerate(codes):
        for other in codes[number + 1:]:
            pair = next((p for p in (*REFUSED, *WARNED) if set(p) == {one, other}), None)
            if pair not in REFUSED:
                assert bool(warnings_of(put_together(answers(one, other)))) == (pair in WARNED)


# A variant with entries

ROW = {"contig": "chr12", "position": 102_840_512, "ref": "G", "alt": "A", "gene": "PAH", "consequence": "missense_variant", "revel": 0.8,
       "spliceai": 0.02, "validity": "definitive", "validity_moi": "AR", "pop_state": "counted", "pop_max": 0.00006, "pop_af": 0.00003,
       "pop_ac": 9, "pop_an": 1_500_000, "pop_release": "gnomAD v4.1", "clinvar_same_change": "12", "clinvar_same_residue": "13",
       "clinvar_release": "ClinVar 1", "predictor_release": "REVEL 1.3", "validity_release": "ClinGen 1"}


def test_a_person_lifts_an_uncertain_variant_and_the_record_says_who():
    before, made = classify(ROW), classify(ROW, entered=[entered("PS3"), entered("PP4")])
    assert (before.codes, before.points) == ("PS1;PM2_Supporting;PP3_Moderate", 7)
    assert (made.acmg_class, made.points) == ("pathogenic", 12) and made.of("PS3").by == "biologist"
    assert made.releases == {"population": "gnomAD v4.1", "clinvar": "ClinVar 1", "predictors": "REVEL 1.3", "validity": "ClinGen 1"}


def test_where_ps1_is_set_aside_pm5_counts_the_residue():
    assert classify(ROW, entered=[entered("PS1", ASIDE)]).codes == "PM2_Supporting;PM5;PP3_Moderate"
    with pytest.raises(ParameterError, match="PS1 and PM5 together are refused"):
        classify(ROW, entered=[entered("PM5")])


def test_a_conflict_with_an_automated_answer_is_refused():
    stop = {**ROW, "consequence": "stop_gained", "nmd": "triggers", "lof_mechanism": "yes"}
    assert classify(stop).codes == "PVS1;PM2_Supporting"
    for code in ("PM4", "PP3"):
        with pytest.raises(ParameterError, match=f"PVS1 and {code}"):
            classify(stop, entered=[entered(code)])
    with pytest.raises(ParameterError, match="PS2 cannot be claimed"):
        classify(stop, Facts(de_novo="assumed", phenotype_fit="specific"), [entered("PS2")])


# Kept and shown


def full(comment: str = "Seen.") -> tuple:
    facts = Facts(trans_with="likely pathogenic", de_novo="confirmed", phenotype_fit="consistent")
    codes = [c for c in PERSON if c not in ("PM1", "PP2")]
    return classify({**ROW, "gene": comment[:40]}, facts, [entered(c, comment=comment) for c in codes]), codes


@pytest.mark.parametrize("comment", HOSTILE)
def test_hostile_text_is_shown_and_does_nothing(comment: str):
    made, _ = full(comment)
    for lang in ("en", "fr"):
        page = classification_html(made, lang)
        assert set(re.findall(r"<(\w+)", page)) <= {"section", "p", "strong", "br", "em", "small", "table", "caption", "thead", "tbody", "tr",
                                                    "th", "td", "ul", "li", "details", "summary"}
        assert "comment" not in made.sentences(lang)[1] or comment.startswith("{comment.")
        assert page.count("<section") == 1 == page.count("</section>") and page.count("<table") == page.count("</table>")
        assert "\x1b" not in page and "\u202e" not in page and not any("\n" in s or "\x1b" in s for s in made.sentences(lang))
        assert "__class__'" not in page and "<class" not in page
    assert classification_of(classification_json(made)) == made


@pytest.mark.parametrize("comment", HOSTILE)
def test_entries_go_to_json_and_back(comment: str):
    made = [entered("PP1", "moderate", comment=comment), entered("PM2", ASIDE, comment=comment)]
    assert entries_of(entries_json(made)) == made


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"format": 2, "entered": []}', '{"format": 1, "entered": {}}',
                                  '{"format": 1, "entered": [1]}', '{"format": 1, "entered": [{"code": "PP1"}]}', "[" * 100_000])
def test_what_is_no_record_of_entries_is_refused(text: str):
    with pytest.raises(ParameterError):
        entries_of(text)


def test_a_record_with_a_wrong_entry_names_it():
    good = json.loads(entries_json([entered("PP1"), entered("PS3")]))
    for field, value in (("role", "Chief"), ("code", "PP5"), ("date", "yesterday"), ("comment", ""), ("comment", 7), ("more", "x")):
        broken = json.loads(json.dumps(good))
        broken["entered"][1][field] = value
        with pytest.raises(ParameterError, match="entered criterion 2"):
            entries_of(json.dumps(broken))


def test_a_classification_goes_to_json_and_back_and_a_changed_one_is_refused():
    made, _ = full()
    text = classification_json(made)
    assert json.loads(text)["class"] == made.acmg_class and "NaN" not in text
    assert classification_of(text) == made
    assert classification_of(classification_json(classify({}))).codes == ""  # values that are missing survive
    for old, new in ((f'"class": "{made.acmg_class}"', '"class": "benign"'), ('"strength": "strong"', '"strength": "supporting"'),
                     ('"state": "met"', '"state": "not met"')):
        assert old in text
        with pytest.raises(ParameterError):
            classification_of(text.replace(old, new, 1))


@pytest.mark.parametrize(("key", "value"), [
    ("format", 2), ("variant", 5), ("gene", None), ("why_not", "boredom"), ("criteria", 3), ("criteria", [{}]), ("criteria", [[1]]),
    ("criteria", [{"code": "PM2", "state": "met", "text": ["a", "b"], "strength": "huge"}]),
    ("criteria", [{"code": "PM2", "state": "perhaps", "text": ["a", "b"]}]), ("criteria", [{"code": "PP5", "state": "met", "text": ["a", "b"]}]),
    ("criteria", [{"code": "PM2", "state": "not met", "text": ["a"]}]), ("criteria", [{"code": "PM2", "state": "not met", "text": [1, 2]}]),
    ("criteria", [{"code": "PM2", "state": "not met", "text": ["a", "b"], "values": [1]}]),
    ("criteria", [{"code": "PM2", "state": "met", "strength": "supporting", "text": ["a", "b"]}] * 2), ("releases", []), ("releases", {"a": 1})])
def test_a_record_that_cannot_be_read_is_refused_in_one_line(key: str, value: object):
    kept = json.loads(classification_json(classify(ROW)))
    kept[key] = value
    with pytest.raises(ParameterError) as caught:
        classification_of(json.dumps(kept))
    assert "\n" not in str(caught.value)


def test_a_template_in_a_record_reaches_no_attribute():
    kept = json.loads(classification_json(classify(ROW)))
    kept["criteria"][0]["text"] = ["{gene.__class__.__mro__} {0} {gene!r:>9999999}", "{gene[0]}"]
    made = classification_of(json.dumps(kept))
    assert "__mro__" in made.criteria[0].sentence() and "class '" not in made.criteria[0].sentence()


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_card_says_all_in_words(lang: str):
    made, codes = full()
    page, fr = classification_html(made, lang), lang == "fr"
    assert f"lang='{lang}'" in page and ("Proposition" if fr else "A proposal until") in page
    for code in codes:
        assert MEANING[code][fr].split("'")[0] in page
    assert ("saisi par biologiste" if fr else "entered by biologist") in page and "gnomAD v4.1" in page
    assert ("Non évalués" if fr else "Not evaluated") in page and ("Examinés, non remplis" if fr else "Looked at and not met") in page
    assert ("rien de saisi : PM1, PP2" if fr else "nothing entered: PM1, PP2") in page
    assert "BS4 + PP4" in page and " style='" in page and "color:" not in page and "<script" not in page
    assert ("Les points et les règles de 2015 diffèrent" if fr else "Points and the rules of 2015 disagree") in page


def test_every_code_has_its_row_on_the_page_in_both_languages():
    for code in CODES:
        made = classify({}) if code in CONDITIONAL else classify({}, entered=[entered(code)])
        for lang in ("en", "fr"):
            assert f">{code}<" in classification_html(made, lang)
            assert code in CONDITIONAL or any(s.startswith(code) for s in made.sentences(lang))


# Rules of expert panels


@pytest.mark.parametrize("text", [
    "", "[]", '{"format": 2, "release": "r", "rules": []}', '{"format": 1, "release": "", "rules": []}', '{"format": 1, "release": "r"}',
    '{"format": 1, "release": "r", "rules": [3]}', '{"format": 1, "release": "r", "rules": [{"gene": "G"}]}',
    '{"format": 1, "release": "r", "rules": [{"gene": "G", "panel": "P", "version": "1", "source": "s", "BA1": {"measure": "x", "above": 0.1}}]}',
    '{"format": 1, "release": "r", "rules": [{"gene": "G", "panel": "P", "version": "1", "source": "s", "BA1": {"measure": "af", "above": 0}}]}',
    '{"format": 1, "release": "r", "rules": [{"gene": "G", "panel": "P", "version": "1", "source": "s", "BA1": {"measure": "af", "above": true}}]}',
    '{"format": 1, "release": "r", "rules": [{"gene": "G", "panel": "P", "version": "1", "source": "s", "not_used": ["PP5"]}]}',
    '{"format": 1, "release": "r", "rules": [{"gene": "G", "panel": "P", "version": "1", "source": "s", "PM2": 1}]}'])
def test_rules_of_panels_with_a_fault_are_refused_in_one_line(text: str, tmp_path):
    from genomics_nb.core.types import InputError, NotFoundError

    file = tmp_path / "rules.json"
    file.write_text(text)
    with pytest.raises(InputError, match="rules.json") as caught:
        read_expert_rules(file)
    assert "\n" not in str(caught.value)
    with pytest.raises(NotFoundError):
        read_expert_rules(tmp_path / "none.json")


def test_two_rules_for_one_gene_are_refused():
    from genomics_nb.core.types import InputError

    rule = '{"gene": "G", "panel": "P", "version": "1", "source": "s"}'
    with pytest.raises(InputError, match="twice"):
        expert_rules(f'{{"format": 1, "release": "r", "rules": [{rule}, {rule}]}}')
