"""Releases of knowledge bases: real small ones, hostile files, and the commands."""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genomics_nb.core.types import GenomicsError, InputError, NotFoundError, ParameterError, StoreError
from genomics_nb.delivery.cli import run_command
from genomics_nb.store.bases import read_release, releases
from genomics_nb.store.cad import CAD
from genomics_nb.variant.clinvar_format import CLASSES
from genomics_nb.variant.formats import HPO_FILES, add_release, guess_kind
from genomics_nb.variant.knowledge import Bases, add_to_store, demo_bases

FREQUENCY = ("##fileformat=VCFv4.2\n##reference=GRCh38\n##INFO=<ID=AC,Number=A,Type=Integer,Description=\"\">\n"
             "##INFO=<ID=AN,Number=1,Type=Integer,Description=\"\">\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
ROW = "1\t100\t.\tA\tG\t.\tPASS\tAC=1;AN=10\n"
VALIDITY = ('"GENE SYMBOL","GENE ID (HGNC)","DISEASE LABEL","DISEASE ID (MONDO)","MOI","SOP","CLASSIFICATION","ONLINE REPORT",'
            '"CLASSIFICATION DATE","GCEP"\n')


def added(folder: Path, name: str, text: str | bytes, **how: str):
    """A release made of this text."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return add_release(folder / "k", "b", "1", path, **{"date": "2026-01-01", **how})


def refused(folder: Path, name: str, text: str | bytes, words: str, error: type[GenomicsError] = InputError, **how: str) -> str:
    """That a file is refused in one line with these words, and leaves nothing behind."""
    with pytest.raises(error) as caught:
        added(folder, name, text, **how)
    said = str(caught.value)
    assert words in said and "\n" not in said and not [p for p in (folder / "k").rglob("*") if p.is_file()], said
    return said


# --- real ones -------------------------------------------------------------------------------------------------------


def test_clingen_is_read_with_its_refuted_genes(shared_data: Path, tmp_path: Path) -> None:
    made = add_release(tmp_path, "clingen", "2026-06-21", shared_data / "knowledge" / "clingen_gene_validity_2026-06-21.csv")
    table = Bases.open(tmp_path).table("gene_validity")
    assert made.kind == "gene_validity" and made.date == "2026-06-21" and made.rows == len(table) == 3631
    said = table.set_index("gene")["validity"]
    assert {said["BLK"], said["KLF11"]} == {"refuted"} and said["HNF1A"] == "definitive"
    assert set(table["release"]) == {"clingen 2026-06-21"} and not table["gene"].str.startswith("+").any()


def test_gene2phenotype_and_constraint_are_read(shared_data: Path, tmp_path: Path) -> None:
    known = shared_data / "knowledge"
    panels = [known / n for n in ("DDG2P.csv", "CancerG2P.csv", "CardiacG2P_curated_20210723.csv")]
    g2p = add_release(tmp_path, "g2p", "2021", panels, date="2021-07-23")
    exac = add_release(tmp_path, "exac", "0.3", known / "exac_r0.3_constraint_pli.tsv.gz", date="2016-03-16")
    bases = Bases.open(tmp_path)
    diseases, genes = bases.table("gene_disease"), bases.table("constraint").set_index("gene")
    assert (g2p.kind, exac.kind) == ("gene_disease", "constraint") and g2p.rows == len(diseases) > 2500 and exac.rows > 18000
    row = diseases[diseases["gene"] == "CEP290"].iloc[0]
    assert (row["confidence"], row["moi"], row["mechanism"], row["hgnc"]) == ("definitive", "AR", "loss of function", "29021")
    assert genes.loc["UBR4", "pli"] == 1 and np.isnan(genes.loc["UBR4", "loeuf"])


def test_clinvar_keeps_class_stars_and_disease_of_each_entry(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "knowledge" / "clinvar-test.vcf.gz"
    made = add_release(tmp_path, "clinvar", "2023-07-10", source)
    assert (made.kind, made.build, made.date) == ("clinvar", "GRCh37", "2023-07-10")
    base = Bases.open(tmp_path).clinvar
    assert base is not None
    rows = np.arange(len(base.table))
    ids, classes = base.table.column("id", rows).tolist(), base.table.column("class", rows).tolist()
    with gzip.open(source, "rt") as file:
        entries = {int(c[2]): c[7] for c in (line.split("\t") for line in file if not line.startswith("#"))}
    assert len(ids) == len(set(ids)) == made.rows > 1900 and set(ids) <= set(entries)
    words = {"Pathogenic": "pathogenic", "Likely_pathogenic": "likely pathogenic", "Uncertain_significance": "uncertain",
             "Likely_benign": "likely benign", "Benign": "benign", "Benign/Likely_benign": "likely benign"}
    seen = set()
    for number, group in zip(ids, classes, strict=True):
        said = next((i[7:] for i in entries[number].split(";") if i.startswith("CLNSIG=")), "")
        seen.add(said)
        assert CLASSES[group] == words.get(said, CLASSES[group]) and ("onflicting" in said) == (CLASSES[group] == "conflicting")
    assert len(seen) > 4


def test_the_synthetic_bases_say_so_and_are_of_every_kind() -> None:
    bases = demo_bases()
    assert {r["kind"] for r in bases.releases()} == {"frequency", "clinvar", "predictor", "gene_validity", "gene_disease",
                                                     "constraint", "panel"}
    assert all(r["licence"] == "synthetic" for r in bases.releases())


def test_the_newest_release_is_used_and_an_older_one_stays(tmp_path: Path) -> None:
    for release, date in (("4.9", "2025-01-01"), ("4.10", "2025-01-01"), ("3", "2024-01-01")):
        (tmp_path / f"{release}.vcf").write_text(FREQUENCY + ROW)
        add_release(tmp_path, "gnomad", release, tmp_path / f"{release}.vcf", date=date)
    assert [r.release for r in releases(tmp_path)] == ["3", "4.9", "4.10"]
    assert [r["release"] for r in Bases.open(tmp_path).releases()] == ["4.10"]
    assert [r["release"] for r in Bases.open(tmp_path, {"gnomad": "3"}).releases()] == ["3"]
    assert Bases.open(tmp_path, {"gnomad": None}).releases() == []
    with pytest.raises(NotFoundError, match="5"):
        Bases.open(tmp_path, {"gnomad": "5"})


def test_a_release_is_never_changed(tmp_path: Path) -> None:
    made = added(tmp_path, "a.vcf", FREQUENCY + ROW)
    before = {p: p.read_bytes() for p in made.folder.rglob("*") if p.is_file()}
    assert added(tmp_path, "a.vcf", FREQUENCY + ROW).folder == made.folder
    with pytest.raises(StoreError, match="other content"):
        added(tmp_path, "a.vcf", FREQUENCY + ROW.replace("AC=1", "AC=2"))
    (tmp_path / "c.bed").write_text("1\t0\t1000\n")
    with pytest.raises(StoreError, match="other"):
        added(tmp_path, "a.vcf", FREQUENCY + ROW, covered=str(tmp_path / "c.bed"))
    assert {p: p.read_bytes() for p in made.folder.rglob("*") if p.is_file()} == before


def test_bases_of_two_builds_are_not_used_together(tmp_path: Path) -> None:
    for name, build in (("x", "GRCh37"), ("y", "GRCh38")):
        (tmp_path / f"{name}.vcf").write_text(FREQUENCY.replace("GRCh38", build) + ROW)
        add_release(tmp_path, name, "1", tmp_path / f"{name}.vcf", date="2026-01-01")
    with pytest.raises(ParameterError, match="GRCh37 and GRCh38"):
        Bases.open(tmp_path)
    assert Bases.open(tmp_path, build="GRCh37").build == "GRCh37"


def test_an_edited_or_moved_release_is_not_trusted(tmp_path: Path) -> None:
    made = added(tmp_path, "a.vcf", FREQUENCY + ROW)
    shutil.copytree(made.folder, made.folder.with_name("2"))
    with pytest.raises(StoreError, match="moved or edited"):
        read_release(made.folder.with_name("2"))
    (made.folder / "base.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        read_release(made.folder)


# --- hostile files ---------------------------------------------------------------------------------------------------


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    refused(tmp_path, "a.vcf.gz", gzip.compress(FREQUENCY.encode() + b"1\t1\t.\tA\t" + b"A" * (9 << 20)), "longer than")
    many = gzip.compress((FREQUENCY + ROW).encode() + b"\n" * (80 << 20), 9)
    refused(tmp_path, "b.vcf.gz", many, "times its size")


def test_a_page_that_came_instead_of_a_file_is_refused(tmp_path: Path) -> None:
    page = "<!DOCTYPE html>\n<html><body>404 not found</body></html>\n"
    for name, kind in (("a.vcf", "clinvar"), ("a.csv", "gene_validity"), ("a.tsv", "constraint"), ("a.json", "panel"), ("a.txt", "predictor")):
        refused(tmp_path, name, page, "a.", kind=kind, build="GRCh38")
    with pytest.raises(ParameterError, match="no format that is known"):
        guess_kind(tmp_path / "a.csv")


def test_a_file_that_ends_in_the_middle_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = "".join(f"1\t{p}\t.\tA\tG\t.\tPASS\tAC={n};AN=1000\n" for p, n in enumerate(rng.integers(0, 1000, 9000).tolist(), 1))
    whole = gzip.compress((FREQUENCY + lines).encode())
    refused(tmp_path, "a.vcf.gz", whole[:len(whole) // 2], "ends in the middle", kind="frequency")
    refused(tmp_path, "b.vcf.gz", whole[:4000] + b"\0" * 50 + whole[4050:], "b.vcf.gz", kind="frequency")


@pytest.mark.parametrize(("line", "words"), [
    ("1\t999999999\t.\tA\tG\t.\t.\tAC=1;AN=10", "lies outside"), ("1\tx\t.\tA\tG\t.\t.\tAC=1;AN=10", "no number"),
    ("1\t100\t.\tA\tG\t.\t.\tAC=11;AN=10", "above AN"), ("1\t100\t.\tA\tG\t.\t.\tAC=-1;AN=10", "no count"),
    ("1\t100\t.\tA\tG\t.\t.\tAC=nan;AN=10", "no count"), ("1\t100\t.\tA\tG\t.\t.\tAC=1,2;AN=10", "2 values for 1"),
    ("1\t100\t.\tA\tÉ\t.\t.\tAC=1;AN=10", "no plain letters"), ("1\t100\t.\tA", "columns"),
])
def test_a_bad_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    said = refused(tmp_path, "a.vcf", FREQUENCY + ROW.replace("100", "50") + line + "\n", words)
    assert "line 7" in said or "7" in said


def test_an_allele_that_is_listed_twice_is_refused_even_where_it_is_padded(tmp_path: Path) -> None:
    refused(tmp_path, "a.vcf", FREQUENCY + ROW + "1\t99\t.\tCA\tCG\t.\tPASS\tAC=2;AN=10\n", "1:100 is listed twice")


def test_the_build_is_checked_and_never_guessed(tmp_path: Path) -> None:
    refused(tmp_path, "a.vcf", FREQUENCY + ROW, "GRCh37", build="GRCh37")
    refused(tmp_path, "b.vcf", FREQUENCY.replace("##reference=GRCh38\n", "") + ROW, "does not say which build")
    refused(tmp_path, "c.tsv", "chr\thg19_pos\tref\talt\tREVEL\n1\t100\tA\tG\t0.5\n", "another build", build="GRCh38")
    refused(tmp_path, "d.tsv", "## CADD GRCh37-v1.6\n#Chrom\tPos\tRef\tAlt\tRawScore\tPHRED\n1\t100\tA\tG\t0.5\t12\n", "GRCh37", build="GRCh38")
    refused(tmp_path, "e.vcf", FREQUENCY.replace("##reference=GRCh38", "##contig=<ID=1,length=249250621>") + ROW, "GRCh3", build="GRCh38")


def test_cells_that_a_spreadsheet_would_run_are_no_genes(tmp_path: Path) -> None:
    refused(tmp_path, "a.csv", VALIDITY + '"=HYPERLINK(1)","","","","AD","","Definitive","","",""\n', "no gene symbol")
    refused(tmp_path, "b.csv", VALIDITY + '"PAH","","","","AD","","Certain","","",""\n', "no class of ClinGen")
    made = added(tmp_path, "c.csv", VALIDITY + '"PAH","","=1+1 <b>\x07x","","AD","","Definitive","","",""\n')
    disease = Bases.open(tmp_path / "k").table("gene_validity")["disease"][0]
    assert disease == "=1+1 <b> x" and made.rows == 1
    (tmp_path / "l.vcf").write_text(FREQUENCY + ROW)
    shown = add_release(tmp_path / "k", "x", "1", tmp_path / "l.vcf", date="2026-01-01", licence="<script>")
    assert "<script>" not in shown._repr_html_() + Bases.open(tmp_path / "k")._repr_html_()


def test_names_that_leave_the_folder_and_odd_dates_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.vcf").write_text(FREQUENCY + ROW)
    for base, release, date in (("../x", "1", "2026-01-01"), ("x", "..", "2026-01-01"), ("x", "1/2", "2026-01-01"), ("x", "1", "June"),
                                (".x", "1", "2026-01-01"), ("x" * 99, "1", "2026-01-01")):
        with pytest.raises(ParameterError):
            add_release(tmp_path / "k", base, release, tmp_path / "a.vcf", date=date)
    with pytest.raises(ParameterError, match="when it was released"):
        add_release(tmp_path / "k", "x", "1", tmp_path / "a.vcf")
    assert not [p for p in (tmp_path / "k").rglob("*") if p.is_file()]


# --- HPO -------------------------------------------------------------------------------------------------------------


def hpo(folder: Path) -> Path:
    """A release of HPO, as small as one can be."""
    folder.mkdir()
    (folder / "hp.obo").write_text("format-version: 1.2\ndata-version: hp/releases/2026-01-16\n\n[Term]\nid: HP:0000118\nname: Phenotypic abnormality\n")
    (folder / "phenotype.hpoa").write_text("database_id\tdisease_name\nOMIM:1\tx\n")
    (folder / "genes_to_phenotype.txt").write_text("ncbi_gene_id\tgene_symbol\thpo_id\n")
    return folder


def test_an_hpo_release_is_kept_whole_and_dated_by_itself(tmp_path: Path) -> None:
    made = add_release(tmp_path / "k", "hpo", "2026-01-16", hpo(tmp_path / "r"), date="2026-01-16")
    found = Bases.open(tmp_path / "k").hpo
    assert found is not None and made.kind == "hpo" and {p.name for p in found.folder.iterdir()} == {*HPO_FILES, "base.json"}
    again = add_release(tmp_path / "k2", "hpo", "1", [tmp_path / "r" / n for n in HPO_FILES], kind="hpo", date="2026-01-16")
    assert [f["sha256"] for f in again.inputs] == [f["sha256"] for f in made.inputs]


def test_an_hpo_release_with_a_wrong_or_missing_file_is_refused(tmp_path: Path) -> None:
    folder = hpo(tmp_path / "r")
    (folder / "phenotype.hpoa").write_text("<html>\n")
    with pytest.raises(InputError, match="no phenotype.hpoa"):
        add_release(tmp_path / "k", "hpo", "1", folder, date="2026-01-16")
    (folder / "phenotype.hpoa").unlink()
    with pytest.raises(NotFoundError, match="phenotype.hpoa"):
        add_release(tmp_path / "k", "hpo", "1", folder, date="2026-01-16")


# --- the commands ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return CAD.init(tmp_path_factory.mktemp("s") / "store").path


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What a command prints, or its error."""
    assert run_command(words) == code
    out = capsys.readouterr()
    return out.err if code else out.out


def test_a_release_is_added_listed_and_shown_with_a_line_in_the_log(store: Path, shared_data: Path, capsys) -> None:
    file, at = shared_data / "knowledge" / "clingen_gene_validity_2026-06-21.csv", ("--store", str(store))
    made = json.loads(said(capsys, "knowledge", "add", "clingen", "2026-06", str(file), "--licence", "CC0", *at, "--json"))
    assert made["new"] and made["rows"] == 3631 and made["date"] == "2026-06-21" and str(store) not in json.dumps(made)
    assert "there already" in said(capsys, "knowledge", "add", "clingen", "2026-06", str(file), "--licence", "CC0", *at)
    listed = json.loads(said(capsys, "knowledge", "list", *at, "--json"))
    assert [(r["base"], r["release"], r["licence"]) for r in listed] == [("clingen", "2026-06", "CC0")]
    assert "clingen\t2026-06\tgene_validity" in said(capsys, "knowledge", "list", *at)
    assert made["files"][0]["sha256"] in said(capsys, "knowledge", "show", "clingen", *at)
    cad = CAD.open(store)
    assert cad.verify_audit() == []


def test_mistakes_of_the_commands_are_one_line(store: Path, tmp_path: Path, shared_data: Path, capsys) -> None:
    clinvar, at = str(shared_data / "knowledge" / "clinvar-test.vcf.gz"), ("--store", str(store))
    for words, found in ((("add", "clinvar", "1", clinvar, "--build", "GRCh38"), "GRCh37"), (("add", "clinvar", "1", "none.vcf"), "none.vcf"),
                         (("add", "clinvar", "1", clinvar, "--kind", "stars"), "stars"), (("add", "../c", "1", clinvar), "cannot name"),
                         (("add", "clinvar", "1", clinvar, "--build", "hg99"), "hg99"), (("show", "clinvar"), "no base clinvar")):
        line = said(capsys, "knowledge", *words, *at, code=2)
        assert found in line and line.count("\n") == 1 and line.startswith("genomics-nb: ")
    assert not (store / "knowledge" / "clinvar" / "1").exists()


def test_a_user_without_the_role_adds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genomics_nb.store import roles

    cad = CAD.init(tmp_path / "store")
    (tmp_path / "a.vcf").write_text(FREQUENCY + ROW)
    monkeypatch.setitem(roles.MAY, "knowledge add", ())
    with pytest.raises(roles.RoleError):
        add_to_store(cad, "x", "1", tmp_path / "a.vcf", date="2026-01-01")
    assert releases(cad.path) == []


def test_help_of_the_commands_imports_no_arrays() -> None:
    code = ("import sys; from genomics_nb.delivery.cli import run_command; run_command(['knowledge', 'add', '--help']); "
            "print(sorted({'numpy', 'pandas', 'zarr', 'numba'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Example: genomics-nb knowledge add" in done.stdout and done.stdout.splitlines()[-1] == "[]"
