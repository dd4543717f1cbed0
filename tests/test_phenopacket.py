"""Phenopackets come in without identity and go out as they came, and what is wrong is said in one line with its place."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import GenomicsError, InputError, NotFoundError, ParameterError
from genomics_nb.delivery import cli
from genomics_nb.store.case import Case, HpoTerm
from genomics_nb.store.catalogue import Catalogue, create_catalogue
from genomics_nb.core.packet import parse_packet
from genomics_nb.store.phenopacket import (
    CaseFile, case_from_phenopacket, get_document, phenopacket_of, put_case_file, read_case_file)
from genomics_nb.store.registry import get_case
from genomics_nb.store.tables import case_documents, case_hpo


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return create_catalogue(tmp_path / "catalogue.sqlite")


def term(number: int, **more: Any) -> dict[str, Any]:
    return {"type": {"id": f"HP:{number:07d}", "label": f"sign {number}"}, **more}


def packet(**more: Any) -> dict[str, Any]:
    return {"id": "DI-1", "subject": {"id": "P1", "sex": "FEMALE"}, "phenotypicFeatures": [term(1250)],
            "metaData": {"phenopacketSchemaVersion": "2.0"}, **more}


def full_packet() -> dict[str, Any]:
    """One of nearly everything that Phenopackets v2 has room for, without identity."""
    variant = {"id": "v1", "geneContext": {"valueId": "HGNC:4195", "symbol": "GCK", "description": "glucokinase"},
               "expressions": [{"syntax": "hgvs.c", "value": "NM_000162.5:c.562G>A"}],
               "vcfRecord": {"genomeAssembly": "GRCh38", "chrom": "7", "pos": "44147732", "ref": "C", "alt": "T"},
               "allelicState": {"id": "GENO:0000135", "label": "heterozygous"}}
    return {
        "id": "DI-0042",
        "subject": {"id": "P-7F3A", "sex": "OTHER_SEX", "karyotypicSex": "XXY", "timeAtLastEncounter": {"age": {"iso8601duration": "P7Y"}},
                    "vitalStatus": {"status": "ALIVE"}, "taxonomy": {"id": "NCBITaxon:9606", "label": "Homo sapiens"}},
        "phenotypicFeatures": [
            term(252, excluded=True),
            term(1250, onset={"ageRange": {"start": {"iso8601duration": "P1Y"}, "end": {"iso8601duration": "P2Y"}}},
                 severity={"id": "HP:0012828", "label": "Severe"}, modifiers=[{"id": "HP:0032500", "label": "Exacerbated by heat"}],
                 evidence=[{"evidenceCode": {"id": "ECO:0006017"}, "reference": {"id": "PMID:1", "description": "A title"}}]),
            {"type": {"id": "MONDO:0005027", "label": "epilepsy"}, "excluded": True}, term(1249)],
        "measurements": [{"assay": {"id": "LOINC:2345-7", "label": "Glucose"},
                          "value": {"quantity": {"unit": {"id": "UCUM:mmol/L"}, "value": 7.5}}}],
        "biosamples": [{"id": "B1", "individualId": "P-7F3A", "sampledTissue": {"id": "UBERON:0000178", "label": "blood"}}],
        "interpretations": [{"id": "i1", "progressStatus": "SOLVED", "diagnosis": {
            "disease": {"id": "OMIM:125851", "label": "MODY 2"},
            "genomicInterpretations": [{"subjectOrBiosampleId": "P-7F3A", "interpretationStatus": "CAUSATIVE", "variantInterpretation": {
                "acmgPathogenicityClassification": "PATHOGENIC", "variationDescriptor": variant}}]}}],
        "diseases": [{"term": {"id": "OMIM:125851", "label": "MODY 2"}}],
        "medicalActions": [{"treatment": {"agent": {"id": "DrugCentral:2", "label": "insulin"}}}],
        "files": [{"uri": "file:///nowhere/genome.vcf.gz", "individualToFileIdentifiers": {"P-7F3A": "S1"},
                   "fileAttributes": {"genomeAssembly": "GRCh38"}}],
        "metaData": {"created": "2026-01-05T10:00:00Z", "createdBy": "https://orcid.org/0000-0002-1825-0097",
                     "resources": [{"id": "hp", "name": "HPO", "version": "2025-11-24", "namespacePrefix": "HP"}],
                     "updates": [{"timestamp": "2026-02-05T10:00:00Z"}],
                     "externalReferences": [{"id": "PMID:1", "description": "A title"}], "phenopacketSchemaVersion": "2.0.2"}}


def family_packet() -> dict[str, Any]:
    def person(name: str, father: str, mother: str, sex: str, status: str) -> dict[str, str]:
        return {"familyId": "FAM-7", "individualId": name, "paternalId": father, "maternalId": mother, "sex": sex,
                "affectedStatus": status}

    return {"id": "DI-7", "proband": packet(id="inner", subject={"id": "kid", "sex": "MALE"}),
            "relatives": [packet(id="r1", subject={"id": "mum", "sex": "FEMALE"}, phenotypicFeatures=[term(717, excluded=True)])],
            "consanguinousParents": True,
            "pedigree": {"persons": [person("dad", "0", "0", "MALE", "UNAFFECTED"), person("kid", "dad", "mum", "MALE", "AFFECTED"),
                                     person("mum", "0", "", "FEMALE", "MISSING")]},
            "files": [{"uri": "file:///nowhere/family.vcf.gz"}], "metaData": {"phenopacketSchemaVersion": "2.0"}}


def through(catalogue: Catalogue, found: CaseFile) -> dict[str, Any]:
    """Into the catalogue and out again."""
    with catalogue.write() as connection:
        put_case_file(connection, found)
    with catalogue.read() as connection:
        return phenopacket_of(get_case(connection, found.case.case), get_document(connection, found.case.case))


def test_every_published_case_comes_back_as_the_same_message(shared_data: Path, catalogue: Catalogue) -> None:
    files = sorted((shared_data / "phenopackets").glob("*.json"))
    assert len(files) == 492
    with (shared_data / "phenopackets" / "truth.tsv").open(encoding="utf-8") as text:
        truth = {row["case"]: row for row in csv.DictReader(text, delimiter="\t")}
    different = []
    with catalogue.write() as connection:
        for file in files:
            found = read_case_file(file)
            put_case_file(connection, found)
            stored = get_case(connection, found.case.case)
            row = truth[found.case.case]
            counted = (len(stored.hpo_present), len(stored.hpo_excluded), stored.members[0].sex.upper())
            assert counted == (int(row["n_hpo_observed"]), int(row["n_hpo_excluded"]), row["sex"].removesuffix("_SEX")), file.name
            out = phenopacket_of(stored, get_document(connection, found.case.case))
            original = parse_packet(json.loads(file.read_text(encoding="utf-8")))
            same = original.SerializeToString(deterministic=True) == parse_packet(out).SerializeToString(deterministic=True)
            different += [] if same and found.notes == () else [file.name]
    assert different == []


def test_everything_a_packet_can_say_comes_back(catalogue: Catalogue) -> None:
    found = case_from_phenopacket(full_packet())
    assert found.notes == ()
    assert parse_packet(through(catalogue, found)) == parse_packet(full_packet())


def test_a_family_with_its_pedigree_comes_back(catalogue: Catalogue) -> None:
    found = case_from_phenopacket(family_packet())
    assert found.case.family == "FAM-7" and found.case.proband == "kid"
    assert {m.person: (m.father, m.mother, m.affected) for m in found.case.members} == {
        "kid": ("dad", "mum", True), "dad": (None, None, False), "mum": (None, None, None)}
    assert [t.id for t in found.case.hpo_present] == ["HP:0001250"], "the signs of a relative are not the proband's"
    assert parse_packet(through(catalogue, found)) == parse_packet(family_packet())


def test_the_document_repeats_nothing_that_the_tables_hold(catalogue: Catalogue) -> None:
    found = case_from_phenopacket(full_packet())
    rest = json.dumps(found.document["rest"])
    for held in ("HP:0001250", "HP:0000252", "sign 252", '"DI-0042"'):
        assert held not in rest
    assert [e for e in found.document["features"] if e.get("term") == "HP:0001249"] == [{"term": "HP:0001249"}]


def test_a_change_of_the_case_shows_in_the_export(catalogue: Catalogue) -> None:
    through(catalogue, case_from_phenopacket(full_packet()))
    with catalogue.write() as connection:
        connection.execute(case_hpo.delete().where(case_hpo.c.term == "HP:0001249"))
        connection.execute(case_hpo.update().where(case_hpo.c.term == "HP:0001250").values(present=False))
        connection.execute(case_hpo.insert().values(case_name="DI-0042", term="HP:0000717", label="Autism", present=True, position=9))
    with catalogue.read() as connection:
        out = phenopacket_of(get_case(connection, "DI-0042"), get_document(connection, "DI-0042"))
    features = {f["type"]["id"]: f for f in out["phenotypicFeatures"]}
    assert list(features) == ["HP:0000252", "HP:0001250", "MONDO:0005027", "HP:0000717"]
    assert features["HP:0001250"] == {"type": {"id": "HP:0001250", "label": "sign 1250"}, "excluded": True}, "its onset is gone"
    assert features["HP:0000717"]["type"]["label"] == "Autism"
    assert out["interpretations"] == full_packet()["interpretations"]


def test_a_case_of_our_own_form_becomes_a_family_and_returns(catalogue: Catalogue) -> None:
    case = Case.model_validate({
        "case": "C1", "family": "F1", "proband": "kid", "indication": "Epilepsy", "hpo_present": ["HP:0001250"],
        "hpo_excluded": [{"id": "HP:0000252", "label": "Microcephaly"}],
        "members": [{"person": "kid", "father": "dad", "sex": "male", "affected": True}, {"person": "dad", "sex": "male"}]})
    out = through(catalogue, CaseFile(case))
    assert case_from_phenopacket(out, indication="Epilepsy").case == case
    alone = case.model_copy(update={"members": (case.members[1].model_copy(update={"person": "kid", "affected": False}),)})
    assert case_from_phenopacket(phenopacket_of(alone), indication="Epilepsy").case == alone, "unaffected, with a sign"


def test_the_same_file_again_changes_nothing_and_another_is_refused(catalogue: Catalogue) -> None:
    through(catalogue, case_from_phenopacket(full_packet()))
    through(catalogue, case_from_phenopacket(full_packet()))
    with catalogue.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(case_documents)) == 1
    other = full_packet()
    del other["measurements"]
    with pytest.raises(InputError, match="Phenopacket differs"):
        through(catalogue, case_from_phenopacket(other))
    with catalogue.read() as connection:
        assert "measurements" in get_document(connection, "DI-0042")["rest"]


NAME = "Jeanne Martin"


@pytest.mark.parametrize(("change", "field"), [
    ({"subject": {"id": "P1", "alternateIds": [NAME]}}, "subject.alternateIds"),
    ({"subject": {"id": "P1", "dateOfBirth": "2015-03-01T00:00:00Z"}}, "subject.dateOfBirth"),
    ({"phenotypicFeatures": [term(1, description=NAME)]}, "phenotypicFeatures[0].description"),
    ({"interpretations": [{"id": "i", "summary": NAME}]}, "interpretations[0].summary"),
    ({"biosamples": [{"id": "b", "description": NAME}]}, "biosamples[0].description"),
    ({"biosamples": [{"id": "b", "phenotypicFeatures": [{"description": NAME}]}]}, "biosamples[0].phenotypicFeatures[0].description"),
    ({"files": [{"uri": "file:///x", "fileAttributes": {"description": NAME}}]}, "files[0].fileAttributes.description"),
    ({"metaData": {"createdBy": NAME}}, "metaData.createdBy"),
    ({"metaData": {"submittedBy": NAME}}, "metaData.submittedBy"),
    ({"metaData": {"updates": [{"updatedBy": NAME, "timestamp": "2026-01-01T00:00:00Z"}]}}, "metaData.updates[0].updatedBy"),
    ({"metaData": {"updates": [{"comment": NAME}]}}, "metaData.updates[0].comment"),
])
def test_identity_is_left_out_and_said_so(change: dict[str, Any], field: str) -> None:
    found = case_from_phenopacket(packet(**change))
    assert any(note.startswith(f"{field} was left out") for note in found.notes), found.notes
    kept = json.dumps([found.document, found.case.model_dump(mode="json"), found.notes])
    assert "Jeanne" not in kept and "2015" not in kept


@pytest.mark.parametrize(("change", "field", "what"), [
    ({"subject": {"id": "2 69 05 49 588 157 80"}}, "subject.id", "social security"),
    ({"id": "269054958815780"}, "id", "social security"),
    ({"biosamples": [{"id": "b", "individualId": "269054958815780"}]}, "biosamples[0].individualId", "social security"),
    ({"files": [{"uri": "file:///269054958815780.vcf"}]}, "files[0].uri", "social security"),
    ({"files": [{"uri": "file:///x", "individualToFileIdentifiers": {"P1": "x@example.org"}}]}, "files[0].individualToFileIdentifiers", "e-mail"),
    ({"metaData": {"resources": [{"name": "ring 01 23 45 67 89"}]}}, "metaData.resources[0].name", "telephone"),
    ({"diseases": [{"term": {"id": "OMIM:1", "label": "as +33 6 12 34 56 78 said"}}]}, "diseases[0].term.label", "telephone"),
])
def test_numbers_and_addresses_of_people_are_refused(change: dict[str, Any], field: str, what: str) -> None:
    with pytest.raises(InputError, match=what) as refused:
        case_from_phenopacket(packet(**change))
    assert f"field {field}" in str(refused.value)
    assert "269054958815780" not in str(refused.value) and "@" not in str(refused.value)


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"text": {"definition": "x"}}
    for _ in range(depth):
        inner = {"variationSet": {"members": [inner]}}
    return {"interpretations": [{"diagnosis": {"genomicInterpretations": [
        {"variantInterpretation": {"variationDescriptor": {"variation": inner}}}]}}]}


@pytest.mark.parametrize(("change", "said"), [
    ({"surname": NAME}, "field surname: no such field"),
    ({NAME: 1}, "no such field"),
    ({"subject": {"id": "P1", "surname": NAME}}, "field subject.surname: no such field"),
    ({"subject": {"id": "P1", "sex": NAME}}, "field subject.sex: none of the values"),
    ({"subject": {"id": "P1", "sex": 9}}, "field subject.sex: none of the values"),
    ({"subject": {}}, "field subject.id: no pseudonym"),
    ({"subject": {"id": "a\nb"}}, "field subject.id: no pseudonym"),
    ({"subject": {"id": "P1", "dateOfBirth": NAME}}, "field subject.dateOfBirth: no moment"),
    ({"id": "a/b"}, "field id: cannot name a case"),
    ({"phenotypicFeatures": {}}, "field phenotypicFeatures: a list is expected"),
    ({"phenotypicFeatures": [None]}, "an element of the list is empty"),
    ({"phenotypicFeatures": [{}]}, "field phenotypicFeatures[0].type.id: a feature has no term"),
    ({"phenotypicFeatures": [term(1), term(1)]}, "field phenotypicFeatures[1].type.id: HP:0000001 stands here again"),
    ({"phenotypicFeatures": [term(1), term(1, excluded=True)]}, "field phenotypicFeatures[1].type.id: HP:0000001 is both present and excluded"),
    ({"phenotypicFeatures": [term(1, excluded="yes")]}, "field phenotypicFeatures[0].excluded"),
    ({"phenotypicFeatures": [term(1, negated=True)]}, "version 1"),
    ({"phenotypicFeatures": [{"type": {"id": "HP_0001250"}}]}, "field phenotypicFeatures[0].type.id: no HPO term"),
    ({"phenotypicFeatures": [{"type": {"id": "HP:1250"}}]}, "no HPO term"),
    ({"phenotypicFeatures": [{"type": {"id": "HPO:0001250"}}]}, "no HPO term"),
    ({"phenotypicFeatures": [{"type": {"id": "hp:0001250"}}]}, "no HPO term"),
    ({"phenotypicFeatures": [{"type": {"id": "HP:0001250", "label": "x" * 201}}]}, "field phenotypicFeatures[0].type.label: a label is too long"),
    ({"phenotypicFeatures": [term(1, onset={"age": {}, "timestamp": "2020-01-01T00:00:00Z"})]}, "only one of these alternatives"),
    ({"genes": [{"id": "HGNC:1"}]}, "version 1"),
    ({"metaData": {"phenopacketSchemaVersion": "1.0.0"}}, "version 1"),
    ({"metaData": {"phenopacketSchemaVersion": "3.0"}}, "not known"),
    (nested(200), "nested too deeply"),
    ({"pedigree": {"persons": []}}, "no such field"),
])
def test_a_broken_packet_is_one_line_with_the_place(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as refused:
        case_from_phenopacket(packet(**change))
    line = str(refused.value)
    assert said in line and "\n" not in line and "Jeanne" not in line


def changed_family(**people: dict[str, str]) -> dict[str, Any]:
    family = family_packet()
    for row in family["pedigree"]["persons"]:
        row |= people.get(row["individualId"], {})
    return family


@pytest.mark.parametrize(("family", "said"), [
    (changed_family(kid={"sex": "FEMALE"}), "field proband.subject.sex: male here and female in the pedigree"),
    (changed_family(mum={"familyId": "FAM-8"}), "field pedigree.persons[2]: a second family"),
    (changed_family(mum={"individualId": "dad"}), "field pedigree.persons[2]: this person stands here again"),
    (changed_family(mum={"individualId": ""}), "field pedigree.persons[2].individualId"),
    (changed_family(mum={"individualId": "aunt"}), "field relatives[0].subject.id: the pedigree does not list"),
    (changed_family(dad={"sex": "FEMALE"}), "the father cannot be female"),
    (changed_family(dad={"paternalId": "kid"}), "their own ancestor"),
    ({k: v for k, v in family_packet().items() if k != "proband"}, "field proband: a Family without its proband"),
    ({**family_packet(), "relatives": family_packet()["relatives"] * 2}, "field relatives[1].subject.id: this person has a packet already"),
])
def test_a_family_that_cannot_be_is_refused(family: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as refused:
        case_from_phenopacket(family)
    assert said in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"a": 1}', b"\xff\xfe", b"[" * 200_000, b'{"id": NaN}', b'{"id":"a","id":"b"}',
                                     b'{"id": "\\ud800"}', b'{"subject": {"id": "\\ud800"}}', b"null", b"F1 kid 0 0"])
def test_a_file_that_is_no_case_is_refused_and_leaves_nothing(content: bytes, tmp_path: Path, catalogue: Catalogue) -> None:
    file = tmp_path / "case.json"
    file.write_bytes(content)
    with pytest.raises(GenomicsError) as refused:
        through(catalogue, read_case_file(file, case=None))
    assert "\n" not in str(refused.value)
    with catalogue.read() as connection:
        with pytest.raises(NotFoundError):
            get_case(connection, "a")


@settings(max_examples=60, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["id", "subject", "sex", "phenotypicFeatures", "type", "label", "excluded", "onset", "age",
                                         "proband", "relatives", "pedigree", "persons", "metaData", "files", "uri"]), inner, max_size=4),
                    max_leaves=12))
def test_whatever_comes_a_case_or_one_clear_line_comes_out(content: Any) -> None:
    try:
        found = case_from_phenopacket({"id": "X1", "subject": {"id": "P1"}, **(content if isinstance(content, dict) else {})})
    except GenomicsError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(found.case, Case)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9_999_999), st.booleans(), st.sampled_from(["", "P1Y", "P10Y3M"])), unique_by=lambda t: t[0], max_size=12))
def test_signs_keep_their_order_and_details(signs: list[tuple[int, bool, str]]) -> None:
    features = [{"type": {"id": f"HP:{n:07d}"}, **({"excluded": True} if out else {}),
                 **({"onset": {"age": {"iso8601duration": age}}} if age else {})} for n, out, age in signs]
    original = packet(phenotypicFeatures=features)
    found = case_from_phenopacket(original)
    assert parse_packet(phenopacket_of(found.case, found.document)) == parse_packet(original)


def test_a_ped_file_is_a_case_with_its_question_beside_it(tmp_path: Path) -> None:
    ped = tmp_path / "family.txt"
    ped.write_text("F1\tkid\tdad\tmum\t1\t2\nF1\tdad\t0\t0\t1\t1\nF1\tmum\t0\t0\t2\t1\nF2\tother\t0\t0\t2\t0\n")
    found = read_case_file(ped, case="C1", indication="Epilepsy", present=("HP:0001250",)).case
    assert found.proband == "kid" and [m.person for m in found.members] == ["kid", "dad", "mum"]
    assert found.hpo_present == (HpoTerm(id="HP:0001250"),)
    assert read_case_file(ped, case="C2", indication="x", proband="other").case.family == "F2"
    with pytest.raises(ParameterError, match="--case NAME"):
        read_case_file(ped)
    with pytest.raises(NotFoundError, match="no person kidd"):
        read_case_file(ped, case="C1", indication="Epilepsy", proband="kidd")
    with pytest.raises(InputError, match="hpo_present"):
        read_case_file(ped, case="C1", indication="Epilepsy", present=("HP:12",))


def test_protobuf_is_not_loaded_before_a_packet_is_read() -> None:
    code = "import genomics_nb.store.phenopacket, sys; print([m for m in sys.modules if m.startswith(('google.protobuf', 'phenopackets'))])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.run_command(words)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_command_line_takes_every_form_and_exports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, file, ped, out = (str(tmp_path / name) for name in ("store", "packet", "ped", "out.json"))
    Path(file).write_text(json.dumps({**full_packet(), "subject": {**full_packet()["subject"], "alternateIds": [NAME]}}))
    Path(ped).write_text("F1 kid 0 0 1 2\n")
    assert typed(capsys, "init", store)[0] == 0
    code, said, error = typed(capsys, "case", "add", file, "--family", "FAM-42", "--indication", "Diabetes", "--store", store)
    assert (code, error) == (0, "") and "subject.alternateIds was left out" in said and "Jeanne" not in said
    code, said, _ = typed(capsys, "case", "add", ped, "--case", "C2", "--indication", "x", "--hpo", "HP:0001250", "--no-hpo", "HP:0000252",
                          "--store", store, "--json")
    assert code == 0 and json.loads(said)["hpo_excluded"][0]["id"] == "HP:0000252"
    assert typed(capsys, "export", "phenopacket", "DI-0042", "--out", out, "--store", store)[0] == 0
    assert parse_packet(json.loads(Path(out).read_text())) == parse_packet(full_packet())
    assert Path(out).stat().st_mode & 0o077 == 0
    code, _, error = typed(capsys, "export", "phenopacket", "DI-0042", "--out", out, "--store", store)
    assert code == 2 and "already there" in error
    code, _, error = typed(capsys, "export", "phenopacket", "DI-004", "--store", store)
    assert code == 2 and "no case DI-004" in error and error.count("\n") == 1
    code, said, _ = typed(capsys, "export", "phenopacket", "C2", "--store", store, "--json")
    assert code == 0 and case_from_phenopacket(json.loads(said), indication="x").case.hpo_present[0].id == "HP:0001250"
