"""A tumour patient in the store: both samples of one person through the gate by their roles, and nobody else's."""

import json
from pathlib import Path

import pytest

from genomics_nb.core.types import ConsentError, InputError, NotFoundError
from genomics_nb.store.cad import CAD
from genomics_nb.store.cohorts import newest
from genomics_nb.store.consent import PURPOSES
from genomics_nb.store.tumour_side import TumourSide, read_tumour_side, serve_tumour
from genomics_nb.tumour.contexts import from_context, spectrum
from genomics_nb.tumour.refit import refit, synthetic_signatures
from genomics_nb.tumour.somatic import somatic_variants


@pytest.fixture
def patient(repo: Path) -> Path:
    return repo / "data" / "tumour"


@pytest.fixture
def cad(tmp_path: Path, patient: Path) -> CAD:
    cad = CAD.init(tmp_path / "store")
    cad.ingest(patient / "patient.vcf.gz", manifest=patient / "manifest.tsv", platform="synthetic")
    cad.add_case(patient / "case.json")
    for purpose in PURPOSES:
        cad.grant("SYN-T01", purpose, version="synthetic")
    return cad


@pytest.fixture
def side(patient: Path) -> TumourSide:
    return read_tumour_side(patient / "tumour.json")


def truth(patient: Path) -> dict[str, str]:
    return dict(line.split("\t") for line in (patient / "truth.tsv").read_text().splitlines()[1:])


def test_the_patient_has_what_was_put_in(cad: CAD, side: TumourSide, patient: Path) -> None:
    known = truth(patient)
    ds = serve_tumour(cad, "SYN-T01", side, "care")
    table = somatic_variants(ds, "tumour", "normal")
    assert table["kind"].eq("SNV").sum() == int(known["substitutions"]) and len(table) == 600
    assert {"KRAS", "APC", "TP53", "PIK3CA"} <= set(table["gene"]) and "BRCA2" not in set(table["gene"])
    found = refit(spectrum(from_context(table)), synthetic_signatures(), draws=200).exposures
    for name in ("SYN1", "SYN4", "SYN6"):
        assert found.loc[name, "low"] <= float(known[f"share_{name}"]) <= found.loc[name, "high"]


def test_a_pair_is_served_by_roles_with_the_papers(cad: CAD, side: TumourSide) -> None:
    ds = serve_tumour(cad, "SYN-T01", side, "care")
    assert [str(s) for s in ds["sample_id"].values] == ["tumour", "normal"]
    assert ds.attrs["case"] == "SYN-T01" and ds.attrs["decision"] and TumourSide.model_validate_json(ds.attrs["tumour"]) == side
    alone = serve_tumour(cad, "SYN-T01", side.model_copy(update={"normal_sample": None}), "care")
    assert [str(s) for s in alone["sample_id"].values] == ["tumour"]


def test_withdrawn_consent_refuses(cad: CAD, side: TumourSide) -> None:
    cad.withdraw("SYN-T01", "care", version="synthetic")
    with pytest.raises(ConsentError, match="withdrawn"):
        serve_tumour(cad, "SYN-T01", side, "care")


def test_the_germline_side_reads_the_normal(cad: CAD, side: TumourSide) -> None:
    ds, pair = cad.genotypes("SYN-T01"), serve_tumour(cad, "SYN-T01", side, "care")
    assert ds.sizes["samples"] == 1
    assert (ds["call_genotype"].values[:, 0] == pair["call_genotype"].values[:, 1]).all()


def test_samples_that_are_not_the_patients(cad: CAD, side: TumourSide) -> None:
    for role in ("tumour_sample", "normal_sample"):
        with pytest.raises(NotFoundError, match=role.split("_")[0]):
            serve_tumour(cad, "SYN-T01", side.model_copy(update={role: "other"}), "care")
    swapped = side.model_copy(update={"tumour_sample": side.normal_sample, "normal_sample": side.tumour_sample})
    with pytest.raises(InputError, match="swapped"):
        somatic_variants(serve_tumour(cad, "SYN-T01", swapped, "care"), "tumour", "normal")


@pytest.mark.parametrize("wrong", [{"purity": 70}, {"purity": 0}, {"ploidy": 100}, {"site": "<b>"}, {"callable_mb": -1}, {"received": "soon"},
                                   {"normal_sample": "SYN-T01-T"}, {"puriti": 0.7}, {"msi": {"state": "MSI"}}, {"assay": "wgs"}])
def test_a_side_that_cannot_be(side: TumourSide, wrong: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "tumour.json"
    path.write_text(json.dumps(side.model_dump(mode="json") | wrong))
    with pytest.raises(InputError) as caught:
        read_tumour_side(path)
    assert "tumour.json" in str(caught.value) and "\n" not in str(caught.value)


PAIR = """##fileformat=VCFv4.2
##contig=<ID=chr12,length=133275309>
##FORMAT=<ID=GT,Number=1,Type=String,Description="genotype">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{0}\t{1}
chr12\t25245350\t.\tC\tT\t.\tPASS\t.\tGT\t{2}\t{3}
"""


@pytest.mark.parametrize("order", ["TN", "NT"])
def test_a_cohort_never_takes_the_tumour_for_the_person(tmp_path: Path, order: str) -> None:
    """Whatever the order of the columns: without a word nobody comes in, with a case that names the normal it is the normal."""
    genotype = {"T": "0/1", "N": "0/0"}
    vcf, manifest = tmp_path / "pair.vcf", tmp_path / "manifest.tsv"
    vcf.write_text(PAIR.format(*order, *(genotype[o] for o in order)))
    manifest.write_text("label\tperson\tsample\n" + "".join(f"{o}\tP1\tP1-{o}\n" for o in order))
    cad = CAD.init(tmp_path / "store")
    cad.ingest(vcf, manifest=manifest)
    with cad.catalogue.read() as connection:
        assert newest(connection, "GRCh38")["P1"].sample == ""
    member = {"person": "P1", "sex": "female", "affected": True, "sample": "P1-N"}
    cad.add_case({"case": "K1", "family": "F1", "proband": "P1", "indication": "tumour", "members": [member]})
    with cad.catalogue.read() as connection:
        found = newest(connection, "GRCh38")["P1"]
    assert (found.sample, found.column) == ("P1-N", order.index("N"))
