"""What other systems read: the files come back with the same facts, and nothing in them runs."""

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pysam
import pytest
import sqlalchemy as sa
import xarray as xr
from google.protobuf.json_format import Parse
from hypothesis import given, settings
from hypothesis import strategies as st
from phenopackets.schema.v2 import Family
from test_cli import good, typed
from test_fhir import HOSTILE, out, signature, told, variant

from genomics_nb.core.spreadsheet import csv_text, guarded, plain, read_guarded
from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.delivery.exchange import decoded, tables_of, write_tables, write_vcf
from genomics_nb.delivery.fhir import clean
from genomics_nb.delivery.fhir_reader import read_fhir
from genomics_nb.delivery.interpretation import interpreted, read_interpretations
from genomics_nb.delivery.outgoing import outgoing
from genomics_nb.delivery.results import Call, Criterion, ReportedFinding, read_results
from genomics_nb.delivery.run import run_notebook
from genomics_nb.delivery.signing import sign
from genomics_nb.store.audit import asking_user
from genomics_nb.store.cad import CAD, synthetic_store
from genomics_nb.store.phenopacket import case_from_phenopacket
from genomics_nb.store.tables import events

TRICKY = st.text(alphabet=list("a=+-@'\";,\t\r\n|1. \u200b\ufeff\uff1dx"), max_size=8)


@settings(max_examples=300, deadline=None)
@given(TRICKY, TRICKY)
def test_a_guarded_table_comes_back_exactly(a: str, b: str) -> None:
    assert plain(guarded(a)) == a
    table = pd.DataFrame({"x": [a, b], "y": [b, a]})
    for sep in ",;":
        back = read_guarded(csv_text(table, sep=sep), sep=sep)
        assert list(back["x"]) == [a, b] and list(back["y"]) == [b, a]


def test_no_cell_begins_a_formula_whatever_separator_the_program_thinks_of() -> None:
    evil = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " \u200b=1", "\u00a0=1", "\uff1d1", "x;=1", "x\t=1", "x\n=1", "x|=1", 'x",=1', "'=1"]
    text = csv_text(pd.DataFrame({"=name": evil, "n": [-0.5] * len(evil)}))
    for sep in (",", ";", "\t", "|"):
        for row in io.StringIO(text):
            for cell in row.replace('"', "").split(sep):
                bare = cell.strip(" \u200b\u00a0\r\n\t")
                assert not bare or bare[0] not in "=+@\uff1d-" or bare == "-0.5", (sep, row)
    assert list(read_guarded(text)["=name"]) == evil
    assert list(pd.read_csv(io.StringIO(text))["n"]) == [-0.5] * len(evil)  # numbers stay numbers


def check(path: Path, *options: str) -> str:
    return subprocess.run(["bcftools", *options, str(path)], check=True, capture_output=True, text=True).stdout


def test_the_vcf_comes_back_from_bcftools_pysam_and_our_store(tmp_path: Path, peer: Callable[[str], str],
                                                              stored: Callable[..., xr.Dataset]) -> None:
    peer("bcftools")
    leaving = out(told())
    files = write_vcf(leaving, tmp_path / "a.vcf.gz")
    assert [f.name for f in files] == ["a.vcf.gz", "a.vcf.gz.tbi"] and {f.stat().st_mode & 0o777 for f in files} == {0o600}
    variants = {v.key: v for _, v, _ in leaving.variants()}
    with pysam.VariantFile(str(files[0])) as read:
        assert list(read.header.samples) == ["C", "F", "M"]
        records = list(read)
        found = list(read.fetch("chrX"))
    assert [f"{r.contig}-{r.pos}-{r.ref}-{r.alts[0]}" for r in records] == [
        "chr6-157150210-C-T", "chr6-157150300-C-T", "chr13-32316461-C-T", "chrX-5000-N-<DEL>"]  # sorted
    assert len(found) == 1 and found[0].stop == 9000
    for record in records:
        v = variants[f"{record.contig}-{record.pos}-{record.ref}-{record.alts[0]}"]
        assert decoded(record.info["GENE"]) == v.gene and decoded(record.info.get("HGVSP", "")) == v.hgvs_p
        assert decoded(record.info["ACMG"]) == v.acmg_class
        assert [decoded(c) for c in record.info.get("CRITERIA", ())] == [c.label for c in v.criteria]
        for call in v.calls:
            sample = record.samples[call.person]
            alleles = tuple(None if a == "." else int(a) for a in call.genotype.replace("|", "/").split("/"))
            assert sample["GT"] == alleles and (len(alleles) == 1 or sample.phased == ("|" in call.genotype))
            assert sample.get("DP") == call.depth and sample.get("GQ") == call.quality
            assert call.reads is None or sample["AD"] == call.reads
    table = check(files[0], "query", "-f", "%CHROM-%POS-%REF-%ALT\t%INFO/RANK\t%INFO/STATUS[\t%GT]\n").splitlines()
    assert table[0] == "chr6-157150210-C-T\t1\tpreliminary\t0|1\t0/0\t./."
    assert check(files[0], "view", "-H", "-r", "chr6:157150300").count("\n") == 1
    ds = stored(files[0], "GRCh38")
    assert list(ds["sample_id"].values) == ["C", "F", "M"] and ds["variant_position"].values.tolist() == [r.pos for r in records]
    assert ds["call_genotype"].values[0].tolist() == [[0, 1], [0, 0], [-1, -1]]


def test_a_signed_vcf_holds_what_was_reported(tmp_path: Path) -> None:
    file, = write_vcf(out(told(), signature()), tmp_path / "a.vcf")
    rows = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert len(rows) == 1 and "ACMG=pathogenic;" in rows[0] and "STATUS=final" in rows[0]
    empty, = write_vcf(out(told(), signature(conclusion="negative", decisions=())), tmp_path / "b.vcf")
    assert [line for line in empty.read_text().splitlines() if not line.startswith("##")][0].endswith("FORMAT\tC\tF\tM")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_stays_inside_its_field(text: str, tmp_path: Path) -> None:
    bad = variant(gene=text, gene_id=text, transcript=text, hgvs_c=text, hgvs_p=text, consequence=text, clinvar=text, acmg_class=text,
                  alt="<DEL:ME>", ref="A" * 3000, criteria=(Criterion(label=text, points=1),), calls=(Call(person="C", genotype=text),))
    results = told(findings=(ReportedFinding(rank=1, gene=text, score=1, mode=text, disease=text, disease_id=text, variants=(bad,)),),
                   incidental=(), indication=text)
    file, = write_vcf(out(results), tmp_path / "a.vcf")
    with pysam.VariantFile(str(file)) as read:
        record, = read
        assert decoded(record.info["GENE"]) == text and set(record.samples["C"]["GT"]) == {None}
        assert [decoded(d) for d in record.info["DISEASE"]] == [text]
    packet = interpreted(out(results))
    assert read_interpretations(packet)[0][1].variants[0].gene == clean(text)
    frames = tables_of(out(results))
    for name, frame in frames.items():
        back = read_guarded(csv_text(frame))
        for column in frame.columns:
            if frame[column].dtype == "string":
                assert list(back[column]) == list(frame[column].fillna("")), (name, column)


def test_tables_are_typed_and_never_overwrite(tmp_path: Path) -> None:
    leaving = out(told())
    files = write_tables(leaving, tmp_path / "t", parquet=True)
    frames = tables_of(leaving)
    for file in files:
        pd.testing.assert_frame_equal(pd.read_parquet(file), frames[file.stem])
    assert frames["variants"]["position"].dtype == "Int64" and frames["calls"]["depth"].isna().sum() == 5
    written = write_tables(leaving, tmp_path / "c", sep=";", bom=True)
    assert written[0].read_bytes().startswith(b"\xef\xbb\xbf") and {f.stat().st_mode & 0o777 for f in written} == {0o600}
    assert read_guarded(written[0].read_text(encoding="utf-8"), sep=";").shape == frames["variants"].shape
    for again in (lambda: write_tables(leaving, tmp_path / "t"), lambda: write_vcf(leaving, files[0])):
        with pytest.raises(ParameterError, match="already there"):
            again()


def test_alleles_that_vcf_cannot_hold_are_refused(tmp_path: Path) -> None:
    for wrong in ({"ref": "C\tT"}, {"alt": "T\n"}, {"contig": "chr 1"}, {"alt": "<DEL>\n"}):
        results = told(findings=(ReportedFinding(rank=1, gene="A", score=1, mode="", variants=(variant(**wrong),)),))
        with pytest.raises(InputError):
            write_vcf(out(results), tmp_path / "a.vcf")


@pytest.mark.parametrize(("conclusion", "progress", "status"), [
    (None, "IN_PROGRESS", "CANDIDATE"), ("causal", "SOLVED", "CAUSATIVE"), ("uncertain", "UNSOLVED", "CANDIDATE"),
    ("partial", "IN_PROGRESS", "CANDIDATE")])
def test_the_progress_follows_the_signed_conclusion(conclusion: str | None, progress: str, status: str) -> None:
    packet = interpreted(out(told(), signature(conclusion=conclusion) if conclusion else None))
    one = packet["proband"]["interpretations"][0]
    assert one["progressStatus"] == progress
    assert one["diagnosis"]["genomicInterpretations"][0]["interpretationStatus"] == status
    assert one["diagnosis"]["disease"] == {"id": "OMIM:135900", "label": "Coffin-Siris syndrome 1"}
    assert {"HP", "GENO", "HGNC", "OMIM"} <= {r["namespacePrefix"] for r in packet["proband"]["metaData"]["resources"]}


def test_nothing_found_is_unsolved_without_a_diagnosis() -> None:
    packet = interpreted(out(told(), signature(conclusion="negative", decisions=())))
    assert read_interpretations(packet) == [("UNSOLVED", None)]


def test_a_case_with_its_answer_goes_to_another_store_and_loses_nothing(tmp_path: Path) -> None:
    leaving = out(told())
    packet = interpreted(leaving)
    Parse(json.dumps(packet), Family())
    there = CAD.init(tmp_path / "there")
    there.add_case(case_from_phenopacket(packet))
    again = there.phenopacket("DI-001")
    assert again == packet
    findings = [f for _, f in read_interpretations(again)]
    for found, sent in zip(findings, [*leaving.results.findings, *leaving.results.incidental], strict=True):
        assert found is not None and found.rank == sent.rank and found.mode == sent.mode
        assert (found.disease_id, found.disease) == ((sent.disease_id, sent.disease) if sent.curated else ("", ""))
        for a, b in zip(found.variants, sent.variants, strict=True):
            assert a == b.model_copy(update={"calls": (), "acmg_class": "" if b.acmg_class == "not computed" else b.acmg_class})


def test_interpretations_of_others_stay_and_the_same_run_replaces_its_own() -> None:
    first = interpreted(out(told()))
    first["proband"]["interpretations"].insert(0, {"id": "other", "progressStatus": "UNSOLVED"})
    again = interpreted(out(told()), first)
    assert again == first


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[CAD, Path]:
    """The report of the synthetic family, made by the pipeline, and its store."""
    folder = tmp_path_factory.mktemp("real")
    cad = synthetic_store(folder / "store")
    result = run_notebook("rare_disease", {"store": str(cad.path), "lang": "en"}, folder / "runs")
    assert result.exit_code == 0, str(result)
    return cad, result.folder


def test_a_real_report_leaves_in_every_form_with_the_same_variants(real: tuple[CAD, Path], tmp_path: Path) -> None:
    cad, folder = real
    keys = {v.key for f in read_results(folder).findings for v in f.variants}
    assert keys
    good("export", "fhir", str(folder), "--out", str(tmp_path / "a.json"))
    back = read_fhir(json.loads((tmp_path / "a.json").read_text()))
    told = read_results(folder)
    assert back.status == "preliminary" and back.results.releases == told.releases and back.results.not_assessed == told.not_assessed
    for found, sent in zip(back.results.findings, told.findings, strict=True):
        assert found.model_copy(update={"variants": ()}) == sent.model_copy(update={"variants": ()})
        for a, b in zip(found.variants, sent.variants, strict=True):
            assert a.model_copy(update={"calls": ()}) == b.model_copy(update={"calls": ()})
            assert {c.person: c for c in a.calls} == {c.person: c for c in b.calls if c.genotype}
    packet = json.loads(good("export", "phenopacket", str(folder)))
    assert {v.key for _, f in read_interpretations(packet) if f for v in f.variants} == keys
    assert {k: v for k, v in packet["proband"].items() if k not in ("interpretations", "metaData")} == {
        k: v for k, v in cad.phenopacket("SYN-001")["proband"].items() if k != "metaData"}
    good("export", "vcf", str(folder), "--out", str(tmp_path / "a.vcf.gz"))
    with pysam.VariantFile(str(tmp_path / "a.vcf.gz")) as read:
        assert {f"{r.contig}-{r.pos}-{r.ref}-{r.alts[0]}" for r in read} == keys
    said = json.loads(good("export", "tables", str(folder), "--out", str(tmp_path / "t"), "--parquet", "--json"))
    assert said["written"][0]["store_asked"] and len(pd.read_parquet(said["written"][0]["files"][0])) >= len(keys)
    assert good("export", "vcf", str(folder)).startswith("##fileformat=VCFv4.3")
    assert typed("export", "fhir", str(folder), "--out", str(tmp_path / "a.json")).returncode == 2  # already there
    assert typed("export", "tables", str(folder)).returncode == 2
    assert "holds no report" in typed("export", "fhir", str(tmp_path)).stderr


def test_several_runs_go_into_a_folder_and_a_bad_one_is_named(real: tuple[CAD, Path], tmp_path: Path) -> None:
    _, folder = real
    bad = tmp_path / "bad"
    shutil.copytree(folder, bad)
    (bad / "results.json").write_text("{}")
    done = typed("export", "fhir", str(folder.parent), str(bad), "--out", str(tmp_path / "all"))
    written = list((tmp_path / "all").iterdir())
    assert done.returncode == 1 and "bad: " in done.stderr and len(written) == 1
    (tmp_path / "file").touch()
    again = typed("export", "fhir", str(folder), str(bad), "--out", str(tmp_path / "file"))
    assert again.returncode == 2 and "already there" in again.stderr
    assert written[0].name.startswith("SYN-001.") and written[0].stat().st_mode & 0o777 == 0o600


def test_without_the_store_the_files_decide_and_the_command_says_so(real: tuple[CAD, Path], tmp_path: Path) -> None:
    cad, folder = real
    alone = tmp_path / "alone"
    shutil.copytree(folder, alone)
    (alone / "run.json").write_text((alone / "run.json").read_text().replace(str(cad.path), str(tmp_path / "gone")))
    assert "permission of the files alone" in good("export", "fhir", str(alone), "--out", str(tmp_path / "a.json"))


def test_signed_withdrawn_changed_and_without_the_role(real: tuple[CAD, Path], tmp_path: Path) -> None:
    cad, folder = real
    results = read_results(folder)
    key = results.findings[0].variants[0].key
    sign(cad, folder, name="Dr A. Biologist", conclusion="causal", report={key: "pathogenic"}, dismiss={}, comment="Fits.", pdf=False)
    leaving = outgoing(folder)
    assert leaving.status == "final" and key in {v.key for _, v, _ in leaving.variants()}
    cad.withdraw(results.proband, "training")
    said = json.loads(good("export", "fhir", str(folder), "--out", str(tmp_path / "a.json"), "--json"))
    assert said["written"][0]["withdrew"] == [results.proband] and said["written"][0]["status"] == "final"
    assert read_fhir(json.loads((tmp_path / "a.json").read_text())).signer == "Dr A. Biologist"
    with cad.catalogue.read() as connection:
        kinds = [(row.kind, json.loads(row.details)) for row in connection.execute(sa.select(events)) if row.kind == "export"]
    assert kinds[-1][1]["withdrew"] == [results.proband] and kinds[-1][1]["form"] == "fhir"
    draft = tmp_path / "draft"
    shutil.copytree(folder, draft, ignore=shutil.ignore_patterns("signature.json"))
    refused = typed("export", "fhir", str(draft), "--out", str(tmp_path / "b.json"))
    assert refused.returncode == 2 and "do not consent" in refused.stderr and not (tmp_path / "b.json").exists()
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    (changed / "results.json").chmod(0o600)
    (changed / "results.json").write_text((folder / "results.json").read_text().replace("pathogenic", "benign"))
    assert "changed after the report was signed" in typed("export", "vcf", str(changed)).stderr
    for role in ("clinician", "biologist", "operator"):
        cad.revoke_role(asking_user(), role)
    assert "holds no role that may export" in typed("export", "vcf", str(folder)).stderr
