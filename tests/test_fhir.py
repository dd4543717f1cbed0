"""A report as FHIR: what the guide wants, what R4 wants, and the same facts when it is read back."""

import copy
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import InputError
from genomics_nb.delivery.fhir import clean, fhir_of, presence
from genomics_nb.delivery.fhir_codes import CLASSES, CONCLUSIONS, ZYGOSITY
from genomics_nb.delivery.fhir_reader import guide_faults, read_fhir
from genomics_nb.delivery.outgoing import Outgoing, signed_only
from genomics_nb.delivery.results import (
    Call, Criterion, Decision, Release, ReportedFinding, ReportedPerson, ReportedVariant, Results, Sign, SignatureRecord)

RUN = "20260105T080000Z-00000000"
MADE = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)


def variant(**more: Any) -> ReportedVariant:
    facts: dict[str, Any] = {
        "contig": "chr6", "position": 157150210, "ref": "C", "alt": "T", "gene": "ARID1B", "gene_id": "HGNC:18040",
        "transcript": "NM_001374828.1", "mane": "MANE Select", "hgvs_c": "NM_001374828.1:c.100C>T", "hgvs_p": "NP_001361757.1:p.(Arg34*)",
        "consequence": "stop_gained&splice_region_variant", "impact": "HIGH", "zygosity": "heterozygous", "frequency": 1e-05,
        "frequency_state": "counted", "frequency_release": "gnomad 4.1", "clinvar": "Pathogenic", "clinvar_id": "12345", "clinvar_stars": 2,
        "clinvar_release": "clinvar 2026-01", "scores": {"cadd": 38.0, "spliceai": 0.02}, "predictor_release": "scores 1",
        "acmg_class": "likely pathogenic", "acmg_points": 8, "acmg_2015": "likely pathogenic (V)",
        "criteria": (Criterion(label="PVS1", points=8, evidence="A stop early.", release="gnomad 4.1"),
                     Criterion(label="BP4", points=-1, evidence="Mild scores.", by="bio")),
        "calls": (Call(person="C", genotype="0|1", reads=(17, 16), depth=33, quality=99),
                  Call(person="F", genotype="0/0", reads=(30, 0), depth=30, quality=90), Call(person="M", genotype="./."))}
    return ReportedVariant(**facts | more)


def told(**more: Any) -> Results:
    symbolic = variant(contig="chrX", position=5000, ref="N", alt="<DEL>", end=9000, gene="GENE2", gene_id="ENSG00000000002", hgvs_c="",
                       hgvs_p="", consequence="transcript_ablation", zygosity="hemizygous", clinvar_id="", clinvar_stars=None, scores={},
                       calls=(Call(person="C", genotype="1"), Call(person="M", genotype="0/1")), frequency=None, criteria=(),
                       acmg_class="not computed", acmg_points=None, transcript="ENST00000000002.3")
    facts: dict[str, Any] = {
        "kind": "rare_disease", "case": "DI-001", "family": "FAM", "proband": "C", "indication": "développement retardé",
        "present": (Sign(id="HP:0001249", label="Intellectual disability"),), "excluded": (Sign(id="HP:0001250"),),
        "people": (ReportedPerson(person="C", role="proband", sex="male", affected=True, father="F", mother="M", read=True),
                   ReportedPerson(person="F", role="father", sex="male", affected=False, read=True),
                   ReportedPerson(person="M", role="mother", sex="female", affected=None, read=True),
                   ReportedPerson(person="S", role="sibling", sex="female", affected=False, father="F", mother="M", read=False,
                                  why_not="no consent")),
        "build": "GRCh38", "assay": "exome", "lang": "fr", "purpose": "care", "analyses": ("a1", "a2"), "sites": 1000,
        "genes_studied": ("ARID1B", "GENE2"), "rule": "gq >= 20", "not_assessed": ("Mosaics were not looked for.", "Repeats"),
        "releases": (Release(base="clinvar", release="2026-01", kind="clinvar", date="2026-01-05", licence="public domain"),
                     Release(base="hpo", release="1")),
        "findings": (ReportedFinding(rank=1, gene="ARID1B", score=0.93, mode="compound", grade="high", disease="Coffin-Siris syndrome 1",
                                     disease_id="OMIM:135900", curated=True, validity="definitive", matched="1 of 1",
                                     reasons=("no parent carries it", "rare"), variants=(variant(), variant(position=157150300))),
                     ReportedFinding(rank=2, gene="GENE2", score=0.2, mode="x_recessive", answer="indeterminate", disease="A disease",
                                     disease_id="MONDO:0000001", variants=(symbolic,))),
        "incidental": (ReportedFinding(rank=1, gene="BRCA2", score=0.0, mode="", variants=(
            variant(contig="chr13", position=32316461, gene="BRCA2", gene_id="HGNC:1101"),)),)}
    return Results(**facts | more)


def signature(**more: Any) -> SignatureRecord:
    facts: dict[str, Any] = {
        "run_id": RUN, "case": "DI-001", "user": "bio", "name": "Dr Anne Biologiste", "signed_at": MADE, "conclusion": "causal",
        "comment": "Concordant.", "files": {}, "event": 3, "decisions": (
            Decision(variant="chr6-157150210-C-T", gene="ARID1B", decision="reported", proposed="likely pathogenic", acmg_class="pathogenic",
                     comment="seen before"),
            Decision(variant="chrX-5000-N-<DEL>", gene="GENE2", decision="dismissed", proposed="not computed", acmg_class="uncertain",
                     comment="no fit"))}
    return SignatureRecord(**facts | more)


def out(results: Results, signed: SignatureRecord | None = None) -> Outgoing:
    return Outgoing(results if signed is None else signed_only(results, signed), RUN, MADE, "0.1.0", signed)


def resources(bundle: dict[str, Any], kind: str, profile: str = "") -> list[dict[str, Any]]:
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind
            and (not profile or any(p.endswith(f"/{profile}") for p in e["resource"].get("meta", {}).get("profile", [])))]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name != "xmlns"]


def checked(bundle: dict[str, Any]) -> dict[str, Any]:
    """The bundle, after R4's models and the guide's rules, its narratives inert."""
    Bundle.model_validate(bundle)
    assert guide_faults(bundle) == []
    for entry in bundle["entry"]:
        reader = _Tags()
        reader.feed(entry["resource"]["text"]["div"])
        assert reader.tags <= {"div", "p"}
    return bundle


def test_a_draft_is_preliminary_and_says_everything_again() -> None:
    bundle = checked(fhir_of(out(told())))
    back = read_fhir(json.loads(json.dumps(bundle)))
    assert back.results == told().model_copy(update={"sites": 0, "purpose": ""})
    assert (back.run_id, back.status, back.made, back.conclusion, back.signer) == (RUN, "preliminary", MADE, "", "")
    assert "conclusionCode" not in resources(bundle, "DiagnosticReport")[0]


def test_a_signed_report_is_final_and_holds_only_what_was_reported_under_the_signed_class() -> None:
    bundle = checked(fhir_of(out(told(), signature())))
    back = read_fhir(bundle)
    assert (back.status, back.conclusion, back.signer) == ("final", "causal", "Dr Anne Biologiste")
    assert [(v.key, v.acmg_class) for f in back.results.findings for v in f.variants] == [("chr6-157150210-C-T", "pathogenic")]
    text = json.dumps(bundle)
    assert "GENE2" not in text.replace('"valueCodeableConcept": {"text": "GENE2"}', "") and "no fit" not in text and "BRCA2" not in text


def test_an_amended_report_names_the_one_that_it_replaces() -> None:
    bundle = checked(fhir_of(out(told(), signature(amends="20251201T080000Z-11111111", reason="a new base"))))
    assert (read_fhir(bundle).status, read_fhir(bundle).amends) == ("amended", "20251201T080000Z-11111111")


@pytest.mark.parametrize("conclusion", CONCLUSIONS)
def test_each_conclusion_has_its_code(conclusion: str) -> None:
    nothing = signature(conclusion=conclusion, decisions=())
    bundle = checked(fhir_of(out(told(), nothing)))
    assert resources(bundle, "DiagnosticReport")[0]["conclusionCode"][0]["coding"][0]["code"] == CONCLUSIONS[conclusion].code
    assert read_fhir(bundle).results.findings == ()


def test_identity_in_doubt_is_said_and_no_finding_is_given() -> None:
    back = read_fhir(checked(fhir_of(out(told(suspended=True, findings=(), incidental=())))))
    assert back.results.suspended and back.results.findings == ()


def test_a_person_is_a_pseudonym_and_nothing_else() -> None:
    for one in resources(fhir_of(out(told(), signature())), "Patient"):
        assert set(one) == {"resourceType", "id", "meta", "text", "identifier", "gender"}
        assert one["meta"]["security"][0]["code"] == "PSEUDED"


def test_a_relative_is_a_patient_of_their_own_and_no_result_of_the_report() -> None:
    bundle = fhir_of(out(told()))
    report, proband = resources(bundle, "DiagnosticReport")[0], read_fhir(bundle).results.proband
    child = next(p for p in resources(bundle, "Patient") if p["identifier"][0]["value"] == proband)
    listed = {r["reference"] for r in report["result"]}
    others = [o for o in resources(bundle, "Observation") if o["subject"]["reference"] != f"urn:uuid:{child['id']}"]
    assert others and not listed & {f"urn:uuid:{o['id']}" for o in others}
    states = {o["valueCodeableConcept"]["coding"][0]["display"] for o in others}
    assert {"Absent", "No call"} <= states


@pytest.mark.parametrize(("genotype", "state"), [
    ("0/1", "present"), ("1|0", "present"), ("1", "present"), ("./1", "present"), ("0/0", "absent"), ("0", "absent"), ("./.", "no call"),
    ("0/.", "no call"), ("", "no call"), (".", "no call"), ("2/2", "indeterminate")])
def test_a_no_call_is_never_reference(genotype: str, state: str) -> None:
    assert presence(genotype) == state


@pytest.mark.parametrize(("father", "mother", "code"), [
    ("0/1", "0/0", "LA26321-2"), ("0/0", "1/1", "LA26320-4"), ("0/1", "./.", None), ("0/1", "0/1", None), ("0/0", "0/0", None)])
def test_the_origin_is_told_only_where_the_other_parent_was_read(father: str, mother: str, code: str | None) -> None:
    calls = (Call(person="C", genotype="0/1"), Call(person="F", genotype=father), Call(person="M", genotype=mother))
    results = told(findings=(ReportedFinding(rank=1, gene="ARID1B", score=1, mode="dominant", variants=(variant(calls=calls),)),))
    own = next(o for o in resources(fhir_of(out(results)), "Observation", "variant"))
    found = [c["valueCodeableConcept"]["coding"][0]["code"] for c in own["component"] if c["code"].get("coding", [{}])[0].get("code") == "94186-4"]
    assert found == ([code] if code else [])


BREAKS = [
    ("lacks its code", lambda o: o["code"]["coding"][0].update(code="69547-8")),
    ("lacks the category GE", lambda o: o["category"].pop()),
    ("its value is none", lambda o: o["valueCodeableConcept"]["coding"][0].update(code="LA9633-9")),
    ("stands 2 times", lambda o: o["component"].extend(c for c in list(o["component"]) if "valueRange" in c)),
    ("not string", lambda o: next(c for c in o["component"] if c.get("valueString") == "T").update(
        valueCodeableConcept={"text": "T"}) or next(c for c in o["component"] if c.get("valueString") == "T").pop("valueString")),
    ("has no place", lambda o: o["component"].append({"code": {"coding": [{"system": "http://loinc.org", "code": "1-1"}]}, "valueString": "x"})),
    ("an answer that its list does not hold", lambda o: next(
        c for c in o["component"] if c["code"]["coding"][0]["code"] == "53034-5")["valueCodeableConcept"]["coding"][0].update(code="LA1-1")),
    ("not in the bundle", lambda o: o["subject"].update(reference="urn:uuid:nobody")),
    ("no profile", lambda o: o["meta"].update(profile=["http://hl7.org/fhir/uv/genomics-reporting/StructureDefinition/variants"]))]


@pytest.mark.parametrize(("fault", "change"), BREAKS, ids=[name for name, _ in BREAKS])
def test_each_rule_of_the_guide_can_be_broken_and_is_named(fault: str, change: Any) -> None:
    bundle = copy.deepcopy(fhir_of(out(told())))
    change(resources(bundle, "Observation", "variant")[0])
    assert any(fault in said for said in guide_faults(bundle)), guide_faults(bundle)
    with pytest.raises(InputError):
        read_fhir(bundle)


def test_rules_of_the_other_profiles_are_checked_too() -> None:
    def faults(change: Any) -> str:
        bundle = copy.deepcopy(fhir_of(out(told())))
        change(bundle)
        return "; ".join(guide_faults(bundle))

    assert "lacks derivedFrom" in faults(lambda b: resources(b, "Observation", "diagnostic-implication")[0].pop("derivedFrom"))
    assert "comes from no variant" in faults(lambda b: resources(b, "Observation", "molecular-consequence")[0].update(
        derivedFrom=[{"reference": b["entry"][0]["fullUrl"]}]))
    assert "must not have valueString" in faults(lambda b: resources(b, "Observation", "diagnostic-implication")[0].update(valueString="x"))
    assert "must not have code" in faults(lambda b: resources(b, "Procedure", "genomic-study-analysis")[0].update(code={"text": "x"}))
    assert "is not completed" in faults(lambda b: resources(b, "Procedure", "genomic-study-analysis")[0].update(status="in-progress"))
    assert "lacks the category GE" in faults(lambda b: resources(b, "DiagnosticReport")[0].pop("category"))
    assert "0 reports" in faults(lambda b: b["entry"].pop(0))


HOSTILE = ["<script>alert(1)</script>", "=cmd|'/C calc'!A0", "a\nb\tc\r\x00d", "x;y,z", '"quoted" & \'more\'', "]]>&amp;", "\u202eRTL\ufeff",
           "é" * 300, " ", "\ud7ff\x1b[31m"]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_in_every_field_is_inert_and_comes_back_in_one_line(text: str) -> None:
    criterion = Criterion(label="PVS1", points=8, evidence=text, release=text, by=text)
    bad = variant(contig=text, ref="A" * 5000, alt=text, gene=text, gene_id=text, transcript=text, mane=text, hgvs_c=text, hgvs_p=text,
                  consequence=text, impact=text, frequency_state=text, clinvar=text, clinvar_id=text, acmg_class=text, acmg_2015=text,
                  criteria=(criterion,), calls=(Call(person="C", genotype="0/1"),))
    results = told(indication=text, assay=text, rule=text, genes_studied=(text,), not_assessed=(text,), incidental=(),
                   present=(Sign(id="HP:0001249", label=text),), releases=(Release(base=text, release=text, kind=text, licence=text),),
                   findings=(ReportedFinding(rank=1, gene=text, score=0.5, mode="de_novo", disease=text, disease_id=text, validity=text,
                                             matched=text, reasons=(text,), variants=(bad,)),))
    signed = signature(name=text + "x", comment=text, decisions=(
        Decision(variant=bad.key, gene=text, decision="reported", proposed=text, acmg_class="pathogenic", comment=text),))
    for leaving in (out(results), out(results, signed)):
        bundle = checked(fhir_of(leaving))
        raw = json.dumps(bundle, ensure_ascii=False)
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\u202e]", raw)
        one = read_fhir(bundle).results.findings[0].variants[0]
        assert (one.gene, one.alt, one.ref, one.hgvs_c) == (clean(text), clean(text), "A" * 5000, clean(text))
        assert one.criteria[0].evidence == clean(text)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.builds(
    variant, position=st.integers(1, 2 * 10**8), contig=st.sampled_from(["chr1", "22", "chrM", "NC_000023.11", "HLA*A"]),
    zygosity=st.sampled_from([*ZYGOSITY, ""]), acmg_class=st.sampled_from([*CLASSES, "not computed"]),
    frequency=st.none() | st.floats(0, 1), ref=st.text("ACGT", min_size=1, max_size=4), alt=st.text("ACGT", min_size=1, max_size=4)),
    max_size=3, unique_by=lambda v: v.key), st.sampled_from(["GRCh37", "GRCh38", "unknown"]))
def test_any_variant_comes_back(variants: list[ReportedVariant], build: str) -> None:
    found = (ReportedFinding(rank=1, gene="ARID1B", score=0.5, mode="dominant", variants=tuple(variants)),) if variants else ()
    results = told(findings=found, incidental=(), build=build)
    bundle = fhir_of(out(results))
    assert guide_faults(bundle) == []
    assert read_fhir(bundle).results == results.model_copy(update={"sites": 0, "purpose": ""})
