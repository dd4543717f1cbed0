"""Erasing a person from the analyses: nothing of theirs is left, everything of the others is, whatever interrupts it."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import NotFoundError
from genomics_nb.delivery import cli
from genomics_nb.store.analysis_erasure import rewrite_group, scan, survey, take_evidence
from genomics_nb.store.cad import CAD
from genomics_nb.store.deliveries import Check, conclude, decide_delivery, read_delivery, receipts, take_in
from genomics_nb.store.erasure import (
    analyses_with, erase_person, erasure_findings, open_erasures, plan_erasure)
from genomics_nb.store.fingerprint import Area
from genomics_nb.store.folder import StoreFolder, array_findings
from genomics_nb.store.ingest import ingest
from genomics_nb.store.phenopacket import case_from_phenopacket, get_document, put_case_file
from genomics_nb.store.registry import ErasedError, case_analysis, erased_people, find_analysis, get_analyses, get_case, refuse_erased
from genomics_nb.store.schema import open_vcz
from genomics_nb.store.serving import serve
from genomics_nb.store.tables import identities

HEADER = """##fileformat=VCFv4.3
##contig=<ID=1,length=249250621>
##contig=<ID=X,length=155270560>
##FILTER=<ID=low,Description="low">
##INFO=<ID=AC,Number=A,Type=Integer,Description="count">
##INFO=<ID=DP,Number=1,Type=Integer,Description="depth of all">
##INFO=<ID=CSQ,Number=.,Type=String,Description="annotation">
##INFO=<ID=gnomAD_AF,Number=A,Type=Float,Description="base">
##INFO=<ID=NEVER,Number=1,Type=Float,Description="in no record">
##FORMAT=<ID=GT,Number=1,Type=String,Description="genotype">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="reads">
##FORMAT=<ID=PL,Number=G,Type=Integer,Description="likelihoods">
##FORMAT=<ID=VAF,Number=A,Type=Float,Description="share">
##FORMAT=<ID=NOTE,Number=1,Type=String,Description="text">
##FORMAT=<ID=NONE,Number=1,Type=Integer,Description="in no record">
##caller=call --sample FATHER --sample KID
"""
PEOPLE = ("KID", "FATHER", "MOTHER")
PED = "FAM\tKID\tFATHER\tMOTHER\t1\t2\nFAM\tFATHER\t0\t0\t1\t1\nFAM\tMOTHER\t0\t0\t2\t1\n"


def family_text(records: int, seed: int = 7, people: tuple[str, ...] = PEOPLE) -> str:
    """A family with sites of many alleles, private ones, missing calls, and every kind of field."""
    random_ = random.Random(seed)
    lines = [HEADER + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(people)]
    position = 1000
    for number in range(records):
        position += random_.choice([0, 1, 5, 90])
        alts = random_.sample(["A", "C", "G", "TA", "TCC", "TG", "*", "<DEL>"], random_.choice([1, 1, 1, 1, 2, 3, 6]))
        calls = []
        for person in people:
            call = random_.choice(["0/0", "0/0", "0/1", "0|1", "1/1", "./.", "0/.", "1"])
            if len(alts) > 1 and random_.random() < 0.5:
                call = f"0/{random_.randint(1, len(alts))}"
            depth = ",".join(str(random_.randint(0, 60)) for _ in range(len(alts) + 1))
            likely = ",".join(str(random_.randint(0, 999)) for _ in range((len(alts) + 1) * (len(alts) + 2) // 2))
            share = ",".join(f"{random_.random():.3f}" for _ in alts)
            calls.append(f"{call}:{depth}:{likely}:{share}:note-{number}-of-{person[0]}" if random_.random() < 0.95 else call)
        annotation = ",".join(f"{alt}|missense|GENE{number}" for alt in alts)
        frequency = ",".join(random_.choice(["0.01", "."]) for _ in alts)
        lines.append(f"1\t{position}\trs{number}\tT\t{','.join(alts)}\t50\t{random_.choice(['PASS', 'low', '.'])}\t"
                     f"AC={','.join('1' for _ in alts)};DP={random_.randint(1, 300)};CSQ={annotation};gnomAD_AF={frequency}\t"
                     f"GT:AD:PL:VAF:NOTE\t" + "\t".join(calls))
    return "\n".join(lines) + "\n"


@pytest.fixture
def store(tmp_path: Path) -> StoreFolder:
    return StoreFolder.init(tmp_path / "store")


def deliver(store: StoreFolder, text: str, name: str = "family", ped: str | None = PED) -> str:
    """Take a VCF in; the analysis."""
    vcf, pedigree = store.path.parent / f"{name}.vcf", store.path.parent / f"{name}.ped"
    vcf.write_text(text)
    pedigree.write_text(ped or "")
    return take_in(store, read_delivery(vcf, pedigree if ped else None, None, None, None, False)).id


def group(store: StoreFolder, analysis: str) -> Path:
    return store.analyses_folder / f"{analysis}.vcz"


def bits(array: xr.DataArray) -> np.ndarray:
    values = array.values
    return values.view(np.int32) if values.dtype.kind == "f" else values


def differing(left: xr.Dataset, right: xr.Dataset) -> dict[str, set[int]]:
    """Variables that differ, with the rows where they do (-1: in their shape)."""
    found: dict[str, set[int]] = {}
    for name in left.variables:
        a, b = bits(left[name]), bits(right[name])
        if a.shape != b.shape:
            found[str(name)] = {-1}
        elif not np.array_equal(a, b):
            found[str(name)] = set(np.flatnonzero((a != b).reshape(len(a), -1).any(axis=1)).tolist())
    return found


def all_bytes(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file, and of every array every chunk decoded: as zarr reads it, and as text."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()
            if path.name == "zarr.json" and json.loads(path.read_text())["node_type"] == "array":
                array: Any = zarr.open_array(path.parent, mode="r")
                values = array[...]
                yield path, "\n".join(map(str, values.ravel().tolist())).encode() if values.dtype.kind in "TO" else values.tobytes()


def fingerprint(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


# --- what is left ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", PEOPLE)
def test_the_others_read_as_they_were_served_without_the_person(tmp_path: Path, person: str) -> None:
    (tmp_path / "f.vcf").write_text(family_text(1500))
    old_path = ingest(tmp_path / "f.vcf", tmp_path / "a").path
    found = survey(zarr.open_group(old_path, mode="r"), {person})
    new_path = tmp_path / "new.vcz"
    rewrite_group(old_path, new_path, found)
    others = {name: name for name in PEOPLE if name != person}
    old, new = serve(open_vcz(old_path), others, hide_rows=True), open_vcz(new_path)
    assert set(old.variables) == set(new.variables) - {"region_index"}
    assert 100 < new.sizes["variants"] < 1500 and len(found.private) > 20
    rows = {int(np.flatnonzero(np.flatnonzero(found.keep) == row)[0]): alleles for row, alleles in found.private.items()}
    differences = differing(old, new)
    assert set(differences) <= {"variant_allele", "variant_CSQ", "variant_gnomAD_AF"}
    for name, where in differences.items():
        assert where <= set(rows), name
    for row, alleles in rows.items():
        texts = new.variant_allele.values[row].tolist()
        for number, (before, after) in enumerate(zip(old.variant_allele.values[row].tolist(), texts, strict=True)):
            assert after == ("<*>" if number in alleles else before)
        assert set(new.variant_CSQ.values[row].tolist()) <= {".", ""}
        assert not np.isin(new.call_genotype.values[row], alleles).any(), "nobody left carries it"


def test_a_private_allele_is_found_as_the_definition_says(tmp_path: Path) -> None:
    """The obvious loop over the records, against the survey."""
    (tmp_path / "f.vcf").write_text(family_text(800, seed=3))
    path = ingest(tmp_path / "f.vcf", tmp_path / "a").path
    ds = open_vcz(path)
    sites = [(str(ds.contig_id.values[c]), int(p), str(a[0])) for c, p, a in
             zip(ds.variant_contig.values, ds.variant_position.values, ds.variant_allele.values, strict=True)]
    calls, alleles = ds.call_genotype.values, ds.variant_allele.values
    theirs = {(*sites[i], alleles[i, n]) for i in range(len(sites)) for n in set(calls[i, 1]) if n > 0}
    others = {(*sites[i], alleles[i, n]) for i in range(len(sites)) for n in set(calls[i, [0, 2]].ravel()) if n > 0}
    found = survey(zarr.open_group(path, mode="r"), {"FATHER"})
    assert found.variants == theirs - others
    assert found.keep.tolist() == [bool((calls[i, [0, 2]] > 0).any()) for i in range(len(sites))]
    assert found.private == {i: hidden for i in range(len(sites)) if found.keep[i] and (
        hidden := [n for n in range(1, alleles.shape[1]) if (*sites[i], alleles[i, n]) in theirs - others])}


def test_the_encoding_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "f.vcf").write_text(family_text(1200))
    old = ingest(tmp_path / "f.vcf", tmp_path / "a").path
    new = tmp_path / "new.vcz"
    rewrite_group(old, new, survey(zarr.open_group(old, mode="r"), {"FATHER"}))
    for file in sorted(new.glob("*/zarr.json")):
        before, after = (json.loads((p / file.parent.name / "zarr.json").read_text()) for p in (old, new))
        for key in ("data_type", "codecs", "fill_value", "dimension_names", "attributes", "chunk_key_encoding"):
            a, b = before[key], after[key]
            if key == "codecs" and a[0]["name"] == "sharding_indexed":
                at = before["dimension_names"].index("samples") if "samples" in before["dimension_names"] else None
                shapes = [c[0]["configuration"]["chunk_shape"] for c in (a, b)]
                if at is not None:
                    assert (shapes[0][at], shapes[1][at]) == (3, 2)
                    shapes[0][at] = 2
                assert shapes[0] == shapes[1], file
                a[0]["configuration"].pop("chunk_shape")
                b[0]["configuration"].pop("chunk_shape")
            if file.parent.name not in ("sample_id", "region_index") or key != "codecs":
                assert a == b, (file, key)
    assert json.loads((new / "zarr.json").read_text())["consolidated_metadata"]["metadata"].keys() == {p.parent.name for p in new.glob("*/zarr.json")}


def test_region_queries_find_the_records_that_are_left(tmp_path: Path) -> None:
    (tmp_path / "f.vcf").write_text(family_text(900))
    old = ingest(tmp_path / "f.vcf", tmp_path / "a").path
    new = tmp_path / "new.vcz"
    rewrite_group(old, new, survey(zarr.open_group(old, mode="r"), {"FATHER"}))
    ds = open_vcz(new)
    index = ds.region_index.values
    assert index[:, 5].sum() == ds.sizes["variants"]
    assert index[0, 2] == ds.variant_position.values[0] and index[-1, 3] == ds.variant_position.values[-1]


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), records=st.integers(0, 40), person=st.sampled_from(PEOPLE))
def test_any_small_family_is_divided_without_a_trace(seed: int, records: int, person: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "f.vcf").write_text(family_text(records, seed))
        old_path = ingest(place / "f.vcf", place / "a").path
        found = survey(zarr.open_group(old_path, mode="r"), {person})
        evidence = take_evidence(old_path, found)
        others = {name: name for name in PEOPLE if name != person}
        old = serve(open_vcz(old_path), others, hide_rows=True).load()
        rewrite_group(old_path, place / "a" / "new.vcz", found)
        shutil.rmtree(old_path)
        assert scan([place / "a"], evidence, {"new.vcz"}) == []
        new = open_vcz(place / "a" / "new.vcz")
        assert set(differing(old, new)) <= {"variant_allele", "variant_CSQ", "variant_gnomAD_AF"}


# --- the real trio -----------------------------------------------------------------------------------------------------


@pytest.fixture
def trio(store: StoreFolder, shared_data: Path) -> tuple[StoreFolder, str]:
    folder = shared_data / "trio"
    analysis = take_in(store, read_delivery(folder / "ashk-trio.vcf.gz", folder / "ashk-trio.ped", None, None, None, False)).id
    return store, analysis


def test_no_byte_of_the_real_father_is_left_and_the_others_read_as_before(trio: tuple[StoreFolder, str]) -> None:
    store, old = trio
    ds = open_vcz(group(store, old))
    names = ds.sample_id.values.tolist()
    others = {name: name for name in names if name != "HG003"}
    before = serve(ds, others, hide_rows=True).load()
    father = names.index("HG003")
    carried = (ds.call_genotype.values[:, list(map(names.index, others))] > 0).any(axis=(1, 2))
    columns = {}
    for name, array in ds.data_vars.items():
        if "samples" in array.dims and array.ndim > 1:
            column = array.values[:, father]
            same = any(np.array_equal(bits(array[:, i]), bits(array[:, father])) for i in range(3) if i != father)
            if not same:
                columns[name] = [column, column[carried]]
    alone = [(int(p), str(a[0]), str(a[g])) for p, a, gs, left in
             zip(ds.variant_position.values, ds.variant_allele.values, ds.call_genotype.values[:, father], carried, strict=True)
             for g in set(gs.tolist()) if g > 0 and not left]
    assert len(alone) > 500 and len(columns) > 5

    result = erase_person(store, "HG003")
    new = group(store, result.rewritten[old])
    assert result.traces == () and list(store.analyses_folder.iterdir()) == [new]
    after = open_vcz(new)
    assert differing(before, after) == {} and set(before.variables) == set(after.variables) - {"region_index"}
    for path, data in all_bytes(store.path):
        if "catalogue" not in path.name and "audit" not in path.name:
            assert b"HG003" not in data, path
    for name, pair in columns.items():
        for other in range(2):
            left = after[name].values[:, other]
            for column in pair:
                assert not (left.shape == column.shape and np.array_equal(bits(xr.DataArray(left)), bits(xr.DataArray(column)))), name
    left = {(int(p), str(a[0]), str(x)) for p, a in zip(after.variant_position.values, after.variant_allele.values, strict=True) for x in a[1:]}
    carried_by_left = {(int(p), str(a[0]), str(a[g])) for p, a, gs in
                       zip(after.variant_position.values, after.variant_allele.values, after.call_genotype.values, strict=True)
                       for g in set(gs.ravel().tolist()) if g > 0}
    assert not (set(alone) - carried_by_left) & left


def test_the_search_would_have_found_the_father(trio: tuple[StoreFolder, str], tmp_path: Path) -> None:
    """The proof can fail: each thing that is put back is found."""
    store, old = trio
    source = group(store, old)
    found = survey(zarr.open_group(source, mode="r"), {"HG003"})
    evidence = take_evidence(source, found)
    new = tmp_path / "analyses" / "new.vcz"
    rewrite_group(source, new, found)
    assert scan([new.parent], evidence, {"new.vcz"}) == []
    calls = np.asarray(zarr.open_group(source, mode="r")["call_genotype"][...])[found.keep]  # type: ignore[index]

    def changed(name: str) -> Any:
        return zarr.open_group(new, mode="r+")[name]

    genotypes = changed("call_genotype")
    kept = genotypes[...].copy()
    genotypes[:, 0] = calls[:, found.gone[0]]
    assert any("column in call_genotype" in trace for trace in scan([new.parent], evidence, {"new.vcz"}))
    genotypes[...] = kept
    alleles = changed("variant_allele")
    position = changed("variant_position")[0]
    before = alleles[0].copy(), position
    variant = next(iter(evidence.variants))
    changed("variant_position")[0] = variant[1]
    alleles[0, 0], alleles[0, 1] = variant[2], variant[3]
    contig = changed("contig_id")[...].tolist().index(variant[0])
    changed("variant_contig")[0] = contig
    assert any("only the person carried" in trace for trace in scan([new.parent], evidence, {"new.vcz"}))
    alleles[0], changed("variant_position")[0] = before
    (new.parent / "note.txt").write_text("the father is HG003.")
    assert scan([new.parent], evidence, ()) == ["note.txt: a name"]


# --- the store ---------------------------------------------------------------------------------------------------------


def test_a_person_alone_in_a_file_is_removed_with_it(store: StoreFolder) -> None:
    family, solo = deliver(store, family_text(200)), deliver(store, family_text(150, 5, ("FATHER",)), "solo", None)
    assert plan_erasure(store, "FATHER") == {"person": "FATHER", "remove": [solo], "rewrite": [family], "cohorts": [], "cases": [], "runs": [], "keep": []}
    result = erase_person(store, "FATHER")
    assert result.removed == (solo,) and list(result.rewritten) == [family] and result.traces == ()
    assert {p.name for p in store.analyses_folder.iterdir()} == {group(store, result.rewritten[family]).name}
    with store.catalogue.read() as connection:
        assert analyses_with(connection, "FATHER") == {}
        assert {r.analysis: r.state for r in get_analyses(connection)} == {
            family: "erased", solo: "erased", result.rewritten[family]: "in use"}
        for analysis in (family, solo):
            with pytest.raises(ErasedError, match=rf"input erased: analysis {analysis} \(event {result.event} on \d{{4}}-\d\d-\d\d\)"):
                find_analysis(connection, analysis)
        assert find_analysis(connection, result.rewritten[family]).samples == ("KID", "MOTHER")
        with pytest.raises(NotFoundError, match="no analysis"):
            find_analysis(connection, "0" * 32)
    assert array_findings(store) == [] and erasure_findings(store) == []


def test_everybody_can_leave_one_after_the_other(store: StoreFolder) -> None:
    deliver(store, family_text(300))
    for person in PEOPLE:
        assert erase_person(store, person).traces == ()
    assert list(store.analyses_folder.iterdir()) == []
    assert array_findings(store) == [] and erasure_findings(store) == []


def test_again_is_no_harm_and_a_misspelt_name_does_nothing(store: StoreFolder) -> None:
    deliver(store, family_text(100))
    before = fingerprint(store.analyses_folder)
    with pytest.raises(NotFoundError, match="no person FATHERR"):
        erase_person(store, "FATHERR")
    assert fingerprint(store.analyses_folder) == before
    erase_person(store, "FATHER")
    after = fingerprint(store.analyses_folder)
    assert erase_person(store, "FATHER").rewritten == {}
    assert fingerprint(store.analyses_folder) == after


def test_the_same_file_is_refused_afterwards(store: StoreFolder) -> None:
    text = family_text(100)
    old = deliver(store, text)
    result = erase_person(store, "FATHER")
    before = fingerprint(store.analyses_folder)
    with pytest.raises(ErasedError, match=f"this content was erased .event {result.event} on"):
        deliver(store, text)
    assert fingerprint(store.analyses_folder) == before and not group(store, old).exists()


def test_the_family_goes_on_and_hears_what_happened(store: StoreFolder) -> None:
    deliver(store, family_text(100))
    packet = {"id": "C1", "subject": {"id": "KID", "sex": "MALE"}, "phenotypicFeatures": [{"type": {"id": "HP:0001250"}}],
              "files": [{"uri": "file:///kid.vcf"}],
              "interpretations": [{"id": "i", "diagnosis": {"genomicInterpretations": [{"subjectOrBiosampleId": "KID"}]}}]}
    with store.catalogue.write() as connection:
        put_case_file(connection, case_from_phenopacket(packet, family="FAM"))
    result = erase_person(store, "FATHER")
    with store.catalogue.read() as connection:
        row, present = case_analysis(connection, get_case(connection, "C1"))
        assert row.analysis in result.rewritten.values() and present == {"KID": "KID", "MOTHER": "MOTHER"}
        assert list(erased_people(connection, PEOPLE)) == ["FATHER"]
        assert "interpretations" in get_document(connection, "C1")["rest"], "the child's answers are the child's"
    assert erase_person(store, "KID").documents == ("C1",)
    with store.catalogue.read() as connection:
        rest = get_document(connection, "C1")["rest"]
        assert "interpretations" not in rest and "files" not in rest
        assert [t.id for t in get_case(connection, "C1").hpo_present] == ["HP:0001250"], "a pseudonymous fact stays"
        with pytest.raises(ErasedError, match="genotypes of case C1 were erased"):
            case_analysis(connection, get_case(connection, "C1"))


def test_identity_and_fingerprints_go_too(store: StoreFolder) -> None:
    from genomics_nb.store.tables import utc_now

    old = deliver(store, family_text(400))
    with store.catalogue.write() as connection:
        for person in ("FATHER", "KID"):
            connection.execute(identities.insert().values(person=person, sealed=b"x" * 40, key_id="k", recorded=utc_now(), recorded_by="t"))
    area = Area(store.path / "fingerprints")
    had = area.get(old) is not None
    result = erase_person(store, "FATHER")
    with store.catalogue.read() as connection:
        assert list(connection.scalars(sa.select(identities.c.person))) == ["KID"]
    assert area.get(old) is None
    if had:
        assert area.get(result.rewritten[old]).samples == ("KID", "MOTHER")


def run_folder(store: StoreFolder, run: str, analysis: str | None, case: str = "C9", signed: bool = False) -> Path:
    folder = store.path / "runs" / run / case
    folder.mkdir(parents=True)
    inputs = None if analysis is None else {"store": str(store.path), "analyses": [analysis]}
    (folder / "run.json").write_text(json.dumps({"run_id": run, "case": case, "inputs": inputs}))
    (folder / "report.html").write_text(f"a report of {case}")
    if signed:
        (folder / "signature.json").write_text("{}")
    return folder


def test_unsigned_runs_go_and_what_was_signed_or_published_stays_to_the_byte(store: StoreFolder) -> None:
    old, other = deliver(store, family_text(100)), deliver(store, family_text(50, 9, ("STRANGER",)), "other", None)
    gone, signed, foreign, broken = (run_folder(store, "r1", old), run_folder(store, "r2", old, signed=True),
                                     run_folder(store, "r3", other), store.path / "runs" / "r4")
    broken.mkdir()
    (broken / "run.json").write_text("{")
    panel = store.path / "panels" / "france.parquet"
    panel.parent.mkdir()
    panel.write_bytes(b"published")
    kept = {p: fingerprint(p) for p in (signed, foreign, broken, panel.parent)}
    plan = plan_erasure(store, "FATHER")
    result = erase_person(store, "FATHER")
    assert result.runs == ("runs/r1/C9",) and result.kept == ("runs/r2/C9", "panels/france.parquet")
    assert plan["runs"] == list(result.runs) and plan["keep"] == list(result.kept)
    assert not gone.exists() and {p: fingerprint(p) for p in kept} == kept


def test_a_delivery_in_quarantine_is_rewritten_and_then_released(store: StoreFolder) -> None:
    text = family_text(100)
    vcf, ped = store.path.parent / "family.vcf", store.path.parent / "family.ped"
    vcf.write_text(text)
    ped.write_text(PED)
    found = read_delivery(vcf, ped, None, None, None, False)
    old = take_in(store, found, file_hash="f" * 64).id
    with store.catalogue.read() as connection:
        (receipt,) = receipts(connection, analysis=old)
    conclude(store, receipt, [Check("sex", "failed", "KID: female by genotype")])
    result = erase_person(store, "FATHER")
    with store.catalogue.read() as connection:
        assert find_analysis(connection, result.rewritten[old]).state == "quarantined"
    decide_delivery(store, receipt.delivery, True, "the sex was corrected")
    with store.catalogue.read() as connection:
        assert find_analysis(connection, result.rewritten[old]).state == "in use"
        assert {r.analysis: r.state for r in get_analyses(connection)}[old] == "erased"
        with pytest.raises(ErasedError):
            refuse_erased(connection, "another mapping of the same file", "f" * 64)


def test_what_a_refused_delivery_left_on_the_disk_goes_too(store: StoreFolder) -> None:
    old = deliver(store, family_text(100))
    shutil.copytree(group(store, old), store.analyses_folder / f".refused-{old}.vcz")
    assert erase_person(store, "FATHER").traces == ()
    assert len(list(store.analyses_folder.iterdir())) == 1


# --- faults ------------------------------------------------------------------------------------------------------------

CHILD = """
import os, signal, sys
from genomics_nb.store.folder import StoreFolder
from genomics_nb.store import erasure, analysis_erasure

def fatal(module, name, after):
    real = getattr(module, name)
    def step(*args, **options):
        if not after:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(module, name, step)

place, name, when = sys.argv[2:5]
if name:
    fatal({"erasure": erasure, "analysis_erasure": analysis_erasure}[place], name, when == "after")
print("begin", flush=True)
erasure.erase_person(StoreFolder.open(sys.argv[1]), "FATHER")
print("end", flush=True)
"""


def killed(store: StoreFolder, place: str, name: str, when: str) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, str(store.path), place, name, when], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def consistent(store: StoreFolder) -> None:
    """Whatever happened, each analysis in use is whole, and the doctor knows the rest."""
    with store.catalogue.read() as connection:
        rows = [r for r in get_analyses(connection) if r.state != "erased"]
        begun = open_erasures(connection)
    for row in rows:
        ds = open_vcz(group(store, row.analysis))
        assert ds.sizes["samples"] == len(row.samples) and ds.sizes["variants"] == row.records
        assert ds.attrs["records"] == row.records and (ds.call_genotype.values > 0).sum() > 0
    if "FATHER" in {s for r in rows for s in r.samples} or len(list(store.analyses_folder.iterdir())) != len(rows):
        assert begun or erasure_findings(store) or array_findings(store)


STEPS = [("erasure", "begin_erasure", "after"), ("erasure", "divide", "before"), ("analysis_erasure", "rewrite_array", "after"),
         ("analysis_erasure", "flush_tree", "before"), ("analysis_erasure", "flush_tree", "after"), ("erasure", "divide", "after"),
         ("erasure", "swap", "before"), ("erasure", "swap", "after"), ("erasure", "flush", "after"),
         ("erasure", "delete_group", "after"), ("erasure", "settle", "before"), ("erasure", "finish_facts", "after"),
         ("erasure", "let_go", "before"), ("erasure", "settle", "after")]


@pytest.mark.parametrize(("place", "name", "when"), STEPS, ids=[f"{w} {n}" for _, n, w in STEPS])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_and_the_next_erase_ends_it(store: StoreFolder, place: str, name: str, when: str) -> None:
    old = deliver(store, family_text(150))
    run_folder(store, "r1", old)
    solo = deliver(store, family_text(60, 5, ("FATHER",)), "solo", None)
    want = serve(open_vcz(group(store, old)), {"KID": "KID", "MOTHER": "MOTHER"}, hide_rows=True).load()
    killed(store, place, name, when)
    consistent(store)
    result = erase_person(store, "FATHER")
    assert result.traces == () and erasure_findings(store) == [] and array_findings(store) == []
    with store.catalogue.read() as connection:
        rows = {r.analysis: r for r in get_analyses(connection)}
        assert rows[old].state == rows[solo].state == "erased" and open_erasures(connection) == {}
    new = rows[old].replaced_by
    assert {p.name for p in store.analyses_folder.iterdir()} == {f"{new}.vcz"} and not (store.path / "runs" / "r1" / "C9").exists()
    assert set(differing(want, open_vcz(group(store, new)))) <= {"variant_allele", "variant_CSQ", "variant_gnomAD_AF"}


def test_a_kill_at_any_time_does_no_harm(store: StoreFolder) -> None:
    """Five kills at random moments of one erasure, then the end."""
    old = deliver(store, family_text(2500))
    random_ = random.Random(os.getpid())
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(store.path), "", "", ""], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()  # it has begun
        time.sleep(random_.uniform(0.0, 1.5))
        child.kill()
        child.communicate()
        consistent(store)
    result = erase_person(store, "FATHER")
    assert result.traces == () and erasure_findings(store) == [] and array_findings(store) == []
    with store.catalogue.read() as connection:
        new = {r.analysis: r for r in get_analyses(connection)}[old].replaced_by
    assert {p.name for p in store.analyses_folder.iterdir()} == {f"{new}.vcz"}


def test_a_full_disk_leaves_the_old_analysis_in_use(store: StoreFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from genomics_nb.core.types import StoreError
    from genomics_nb.store import analysis_erasure

    old = deliver(store, family_text(100))
    before = fingerprint(group(store, old))

    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(analysis_erasure, "flush_tree", full)
        with pytest.raises(StoreError, match="still in use"):
            erase_person(store, "FATHER")
    assert fingerprint(group(store, old)) == before and [p.name for p in store.analyses_folder.iterdir()] == [f"{old}.vcz"]
    assert erase_person(store, "FATHER").traces == ()


def test_two_people_of_a_family_can_be_erased_at_once(store: StoreFolder) -> None:
    deliver(store, family_text(300))
    code = ("import sys; from genomics_nb.store.folder import StoreFolder; from genomics_nb.store.erasure import erase_person; "
            "assert erase_person(StoreFolder.open(sys.argv[1]), sys.argv[2]).traces == ()")
    both = [subprocess.Popen([sys.executable, "-c", code, str(store.path), person]) for person in ("FATHER", "MOTHER")]
    assert [child.wait() for child in both] == [0, 0]
    with store.catalogue.read() as connection:
        assert [r.samples for r in get_analyses(connection) if r.state != "erased"] == [("KID",)]
    assert len(list(store.analyses_folder.iterdir())) == 1 and erasure_findings(store) == []


# --- the facade --------------------------------------------------------------------------------------------------------


def test_the_facade_erases_on_both_databases_and_says_so_to_the_family(tmp_path: Path, database: str | Path) -> None:
    cad = CAD.init(tmp_path / "cad", catalogue_url=database if isinstance(database, str) else None)
    vcf, ped = tmp_path / "family.vcf", tmp_path / "family.ped"
    vcf.write_text(family_text(120))
    ped.write_text(PED)
    cad.ingest(vcf, ped=ped)
    cad.add_case({"case": "C1", "family": "FAM", "proband": "KID", "indication": "Epilepsy", "hpo_present": ["HP:0001250"]})
    for person in PEOPLE:
        cad.grant(person, "care")
    before = cad.genotypes("C1").load()
    done = cad.erase("FATHER")
    assert done["traces"] == () and cad.health() == [] and cad.verify_audit() == []
    after = cad.genotypes("C1").load()
    assert before.sample_id.values.tolist() == ["KID", "FATHER", "MOTHER"] and after.sample_id.values.tolist() == ["KID", "MOTHER"]
    assert list(after.attrs["erased"]) == ["FATHER"] and f"event {done['event']} on" in after.attrs["erased"]["FATHER"]
    assert after.attrs["not_sequenced"] == ["FATHER"]
    kept = np.flatnonzero((before.call_genotype.values[:, [0, 2]] > 0).any(axis=(1, 2)))
    assert np.array_equal(before.call_genotype.values[kept][:, [0, 2]], after.call_genotype.values)
    with pytest.raises(ErasedError, match="this content was erased"):
        cad.ingest(vcf, ped=ped)


def test_an_interruption_before_the_cohorts_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genomics_nb.store import cad as facade

    cad = CAD.init(tmp_path / "cad")
    (tmp_path / "family.vcf").write_text(family_text(40))
    (tmp_path / "family.ped").write_text(PED)
    cad.ingest(tmp_path / "family.vcf", ped=tmp_path / "family.ped")

    def away(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(facade, "erase_from_cohorts", away)
        with pytest.raises(KeyboardInterrupt):
            cad.erase("FATHER")
    assert ["erasure of FATHER" in f.what for f in cad.health()] == [True]
    assert cad.erase("FATHER")["traces"] == () and cad.health() == []


def test_the_command_line_looks_first_and_asks_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    def typed(*words: str, said: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(said))
        code = cli.run_command(words)
        out = capsys.readouterr()
        return code, out.out, out.err

    store = str(tmp_path / "store")
    (tmp_path / "family.vcf").write_text(family_text(60))
    (tmp_path / "family.ped").write_text(PED)
    assert typed("init", store)[0] == 0
    CAD.open(store).ingest(tmp_path / "family.vcf", ped=tmp_path / "family.ped")
    before = fingerprint(Path(store) / "analyses")
    code, said, error = typed("erase", "FATHER", "--plan", "--store", store, "--json")
    assert code == 0 and len(json.loads(said)["rewrite"]) == 1 and error == ""
    code, _, error = typed("erase", "FATHERR", "--yes", "--store", store)
    assert code == 2 and "no person FATHERR" in error
    code, _, error = typed("erase", "FATHER", "--store", store, said="FATHR\n")
    assert code == 2 and "the pseudonyms differ" in error
    assert fingerprint(Path(store) / "analyses") == before
    code, said, error = typed("erase", "FATHER", "--yes", "--store", store)
    assert code == 0 and "FATHER is erased, event " in said and "1 rewritten" in said and "trace" not in said
    assert typed("doctor", "--store", store)[0] == 0


def test_what_a_person_lets_in_again_can_be_erased_again(store: StoreFolder) -> None:
    old = deliver(store, family_text(100))
    first = erase_person(store, "FATHER")
    vcf, ped = store.path.parent / "family.vcf", store.path.parent / "family.ped"
    assert take_in(store, read_delivery(vcf, ped, None, None, None, False), again=True).id == old
    with store.catalogue.read() as connection:
        assert find_analysis(connection, old).state == "in use"
        assert find_analysis(connection, first.rewritten[old]).samples == ("KID", "MOTHER")
    second = erase_person(store, "FATHER")
    assert second.event > first.event and second.rewritten == first.rewritten and second.traces == ()
    assert {p.name for p in store.analyses_folder.iterdir()} == {group(store, first.rewritten[old]).name}
    mother = erase_person(store, "MOTHER")
    assert list(mother.rewritten) == [first.rewritten[old]]
    assert take_in(store, read_delivery(vcf, ped, None, None, None, False), again=True).id == old
    assert set(erase_person(store, "FATHER").rewritten) == {old}
    with store.catalogue.read() as connection:
        assert sorted(r.samples for r in get_analyses(connection) if r.state != "erased") == [("KID",), ("KID", "MOTHER")]
    assert erase_person(store, "MOTHER").traces == () and erasure_findings(store) == [] and array_findings(store) == []
