"""The real trio of Genome in a Bottle, from VCF to report, by the commands that a user types.

HG002 is the son of HG003 and HG004: what must come out is known.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from genomics_nb.store.cad import CAD

PROGRAM = str(Path(sys.executable).with_name("genomics-nb"))
CASE = {"case": "GIAB-1", "family": "ash", "proband": "HG002", "indication": "Cas de démonstration",
        "hpo_present": [{"id": "HP:0001249", "label": "Intellectual disability"}], "hpo_excluded": ["HP:0001250"]}


def genomics(*words: str | Path, code: int = 0) -> str:
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def trio(shared_data: Path) -> Path:
    return shared_data / "trio"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("giab") / "store"


@pytest.fixture(scope="module")
def ingested(store: Path, trio: Path) -> dict:
    genomics("init", store)
    return json.loads(genomics("ingest", trio / "ashk-trio.vcf.gz", "--ped", trio / "ashk-trio.ped", "--platform", "GIAB",
                               "--store", store, "--json"))


@pytest.fixture(scope="module")
def cad(store: Path, ingested: dict) -> CAD:
    """The store with the case, asked once before and once after the family consented."""
    (store.parent / "case.json").write_text(json.dumps(CASE), encoding="utf-8")
    genomics("case", "add", store.parent / "case.json", "--store", store)
    for person in ("HG002", "HG003", "HG004"):
        genomics("consent", "grant", person, "--purpose", "care", "--store", store)
    return CAD.open(store)


@pytest.fixture(scope="module")
def report(cad: CAD) -> Path:
    done = json.loads(genomics("report", "GIAB-1", "--store", cad.path, "--out", cad.path.parent / "runs", "--json"))
    assert done["status"] == "done"
    return Path(done["report"])


def test_the_records_are_those_that_bcftools_counts(ingested: dict, trio: Path, peer: Callable[[str], str]) -> None:
    counted = subprocess.run([peer("bcftools"), "query", "-f", "%POS\n", str(trio / "ashk-trio.vcf.gz")],
                             capture_output=True, text=True, check=True)
    assert ingested["records"] == counted.stdout.count("\n") == 9940
    assert ingested["samples"] == 3


def test_the_same_delivery_again_is_the_same_analysis(ingested: dict, store: Path, trio: Path) -> None:
    again = json.loads(genomics("ingest", trio / "ashk-trio.vcf.gz", "--store", store, "--json"))
    assert again["analysis"] == ingested["analysis"] and again["created"] is False


def test_the_genotypes_are_those_that_bcftools_reads(cad: CAD, trio: Path, peer: Callable[[str], str]) -> None:
    text = subprocess.run([peer("bcftools"), "query", "-f", "[%GT ]\n", str(trio / "ashk-trio.vcf.gz")],
                          capture_output=True, text=True, check=True).stdout
    ds = cad.genotypes("GIAB-1")
    assert list(ds.sample_id.values) == ["HG002", "HG003", "HG004"]
    order = [list(cad.analyses()["samples"][0]).index(person) for person in ds.sample_id.values]
    stored = ds["call_genotype"].values
    for row, line in zip(stored, text.splitlines(), strict=True):
        calls = line.split()
        for person, column in enumerate(order):
            alleles = [-1 if a == "." else int(a) for a in re.split(r"[/|]", calls[column])]
            assert [a for a in row[person] if a != -2] == alleles


def test_the_child_is_the_parents_child_and_the_parents_are_unrelated(cad: CAD) -> None:
    from genomics_nb.population.relatedness import king

    found = king(cad.genotypes("GIAB-1")).load()
    names = [str(s) for s in cad.genotypes("GIAB-1").sample_id.values]
    kinship = found["stat_kinship"].values

    def phi(a: str, b: str) -> float:
        return float(kinship[names.index(a), names.index(b)])

    # Manichaikul 2010: first degree (0.177, 0.354), unrelated below 0.0442
    assert 0.177 < phi("HG002", "HG003") < 0.354 and 0.177 < phi("HG002", "HG004") < 0.354
    assert phi("HG003", "HG004") < 0.0442


def test_mendelian_errors_are_as_rare_as_in_a_good_exome(cad: CAD) -> None:
    from genomics_nb.rare.mendelian import mendelian_summary

    summary = mendelian_summary(cad.genotypes("GIAB-1"), cad.pedigree("GIAB-1"))
    assert len(summary) == 1
    assert summary["consistent"].iloc[0] > 9000 and 0 < summary["rate"].iloc[0] < 0.02


def test_the_report_is_for_this_patient_whole_and_in_french(report: Path) -> None:
    html = report.read_text(encoding="utf-8")
    assert "HG002" in html and "HG003" in html and "Déficience" not in html and "Cas de démonstration" in html
    assert re.search(r'<html[^>]*lang="fr"', html)
    assert not re.search(r"""(src|href)=["']https?://""", html)  # needs no network
    assert html.count("<svg") + html.count("data:image") >= 2  # a pedigree and a plot
    assert "dispositif médical" in html


def test_the_run_can_be_traced_to_the_decision_and_the_analysis(report: Path, cad: CAD, ingested: dict) -> None:
    record = json.loads((report.parent / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "done" and record["inputs"]["analyses"] == [ingested["analysis"]]
    consent = record["consent"]
    assert consent["purpose"] == "care" and consent["decision"] >= 1
    head = f"{consent['audit_length']}:{consent['audit_head'].split(':')[-1]}"
    assert "is whole" in genomics("audit", "verify", "--store", cad.path, "--head", head)


def test_without_consent_there_is_no_report(cad: CAD, trio: Path, tmp_path: Path) -> None:
    genomics("init", tmp_path / "s")
    genomics("ingest", trio / "ashk-trio.vcf.gz", "--ped", trio / "ashk-trio.ped", "--store", tmp_path / "s")
    genomics("case", "add", cad.path.parent / "case.json", "--store", tmp_path / "s")
    done = subprocess.run([PROGRAM, "report", "GIAB-1", "--store", str(tmp_path / "s"), "--out", str(tmp_path / "runs")],
                          capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2) and done.stderr.count("\n") == 1 and "consent" in done.stderr.lower()
    assert list((tmp_path / "runs").rglob("*.html")) == []
    assert CAD.open(tmp_path / "s").audit_head().length >= 1  # the no was logged


def test_a_healthy_family_gets_a_short_list_without_a_disease_variant(cad: CAD) -> None:
    from genomics_nb.rare.diagnose import diagnose
    from genomics_nb.rare.findings import Options

    listed = diagnose(cad.genotypes("GIAB-1"), cad.pedigree("GIAB-1"))
    assert 0 < len(listed.ranked) <= Options().most and len(listed.dropped) > len(listed.ranked)
    assert listed.checks is not None and listed.checks.confirmed("HG002") and not listed.checks.blocked
    assert not set(listed.evidence["acmg_class"]) & {"pathogenic", "likely pathogenic"}
    assert set(listed.evidence["pop_state"]) == {""} and (listed.ranked["clinvar"] == "").all()  # no base was given
    assert any("no ClinVar release" in gap for gap in listed.not_assessed)
