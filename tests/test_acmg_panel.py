"""The codes that ClinGen's expert panels published for 74 variants give the panels' classes; each exception is named here."""

import csv
from pathlib import Path

import pytest

from genomics_nb.variant.points import codes_of, combine

# variant -> (words of the panel's own summary, the codes as the summary writes them, why the collected ones differ)
AS_WRITTEN = {
    "NM_000277.1(PAH):c.782G>C": ("PM3_S", "PM2;PM3_Strong;PM5;PP3;PP4", "the strength of PM3 was not collected"),
    "NM_000314.6(PTEN):c.209T>C": ("PS4_P", "PS3;PS4_Supporting;PM2;PP2", "the strength of PS4 was not collected"),
    "NM_004086.2(COCH):c.151C>T": ("PP1_S", "PS4;PM2;PP1_Strong;PP3", "the strength of PP1 was not collected"),
    "NM_000038.6(APC):c.235A>G": ("specified by the HCCP VCEP: BS2_supporting, BP1", "BS2_Supporting;BP1",
                                  "PM2_Supporting is mentioned, and not among the criteria that the panel applied"),
    "NM_000540.2(RYR1):c.1021G>C": ("PP1_Moderate", "PS1;PS3_Moderate;PS4_Moderate;PM1_Supporting;PP1_Moderate;PP3_Moderate",
                                    "the strength of PP1 was not collected"),
    "NM_004958.3:c.5930C>G": ("PM2_P, PP2, PM5, PM1_P, PS3_P, PS4_M, PS2_M; 10 points",
                              "PM2_Supporting;PP2;PM5;PM1_Supporting;PS3_Supporting;PS4_Moderate;PS2_Moderate",
                              "no strength was collected"),
}
# class by the rules of 2015 where it is not the panel's, which decided by points
OTHER_BY_2015 = {
    "NM_000540.3(RYR1):c.1840C>T": ("uncertain", "Based on using Bayes to combine criteria"),  # BS2_Moderate: two supporting
    "NM_004958.3:c.5930C>G": ("likely pathogenic", "10 points"),  # three moderate, none strong
}
WRONG_AS_COLLECTED = {"NM_000277.1(PAH):c.782G>C", "NM_000314.6(PTEN):c.209T>C", "NM_004086.2(COCH):c.151C>T",
                      "NM_000038.6(APC):c.235A>G"}


@pytest.fixture(scope="module")
def panel(shared_data: Path) -> list[dict[str, str]]:
    with (shared_data / "acmg" / "clingen_vcep.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_every_variant_gets_the_panels_class_by_points(panel):
    assert len(panel) == 74 and len({r["variant"] for r in panel}) == 72  # two are there twice
    for row in panel:
        codes = AS_WRITTEN.get(row["variant"], ("", row["criteria_with_strength_from_summary"]))[1]
        assert combine(codes).by_points == row["final_class"].lower(), row["variant"]


def test_every_variant_gets_the_panels_class_by_the_rules_of_2015_but_two(panel):
    other = {}
    for row in panel:
        codes = AS_WRITTEN.get(row["variant"], ("", row["criteria_with_strength_from_summary"]))[1]
        made = combine(codes)
        if made.by_2015 != row["final_class"].lower():
            other[row["variant"]] = made.by_2015
            assert OTHER_BY_2015[row["variant"]][1] in row["summary"]
            assert any("disagree" in note for note in made.notes())
    assert other == {name: expected for name, (expected, _) in OTHER_BY_2015.items()}


def test_the_exceptions_are_in_the_summaries_and_only_there_the_collected_codes_fail(panel):
    by_name = {r["variant"]: r for r in panel}
    for name, (words, codes, why) in AS_WRITTEN.items():
        collected = by_name[name]["criteria_with_strength_from_summary"]
        assert words in by_name[name]["summary"] and why
        assert set(codes_of(codes)) != set(codes_of(collected)), f"{name} is no exception any more"
    wrong = {r["variant"] for r in panel if combine(r["criteria_with_strength_from_summary"]).by_points != r["final_class"].lower()}
    assert wrong == WRONG_AS_COLLECTED == {r["variant"] for r in panel if r["tavtigian_points_agree"] != "yes"}
    assert combine(AS_WRITTEN["NM_004958.3:c.5930C>G"][1]).points == 10  # the panel prints its sum


def test_a_wrong_code_or_strength_would_be_seen(panel):
    """The comparison can fail: dropping any strongest code changes most classes."""
    changed = 0
    for row in panel:
        codes = list(codes_of(AS_WRITTEN.get(row["variant"], ("", row["criteria_with_strength_from_summary"]))[1]))
        strongest = max(codes, key=lambda c: 100 if c.code == "BA1" else abs(c.points))
        codes.remove(strongest)
        changed += combine(codes).by_points != row["final_class"].lower()
    assert changed > 50
