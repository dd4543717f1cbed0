"""What a report says to machines: every finding of the list, with the right calls, copies, class and criteria, and nobody's name."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from genomics_nb.delivery.rare_disease import FamilyQuality
from genomics_nb.delivery.ranked_report import wants_incidental
from genomics_nb.delivery.reported import results_of
from genomics_nb.delivery.results import ReportedVariant, Results
from genomics_nb.delivery.scope import Scope
from genomics_nb.delivery.shortlist_phrases import RANKED
from genomics_nb.delivery.texts import Say
from genomics_nb.population.qc import qc_table, qc_verdicts, sample_qc
from genomics_nb.population.relatedness import check_family, king
from genomics_nb.population.sex import check_sex, infer_sex
from genomics_nb.rare.diagnose import diagnose
from genomics_nb.rare.mendelian import mendelian_summary
from genomics_nb.rare.prioritise import Shortlist
from genomics_nb.store.cad import CAD, synthetic_store
from genomics_nb.variant.formats import add_release
from genomics_nb.variant.knowledge import Bases, add_demo, demo_bases


def reported(cad: CAD, bases: Bases, lang: str = "en") -> tuple[Results, Shortlist]:
    """What the template does, without the page."""
    case, pedigree, ds = cad.case("SYN-001"), cad.pedigree("SYN-001"), cad.genotypes("SYN-001", purpose="training")
    signs = ([t.id for t in terms] for terms in (case.hpo_present, case.hpo_excluded))
    listed = diagnose(ds, pedigree, *signs, bases, lang=lang, incidental=wants_incidental(ds.attrs, pedigree.affected))
    qc = sample_qc(ds).load()
    quality = FamilyQuality(
        qc_verdicts(qc), qc_table(qc), check_sex(infer_sex(qc), {p: m.sex for p, m in pedigree.members.items()}),
        check_family(king(ds), pedigree), mendelian_summary(ds, pedigree))
    scope = Scope.of(ds, pedigree, "SYN-001", listed)
    return results_of(listed, ds, case, pedigree, quality, scope, bases, Say(lang, RANKED), told=listed.not_assessed), listed


@pytest.fixture(scope="module")
def cad(tmp_path_factory: pytest.TempPathFactory) -> CAD:
    return synthetic_store(tmp_path_factory.mktemp("reported") / "store")


@pytest.fixture(scope="module")
def both(cad: CAD) -> tuple[Results, Shortlist]:
    return reported(cad, demo_bases())


@pytest.fixture(scope="module")
def variants(both: tuple[Results, Shortlist]) -> dict[str, ReportedVariant]:
    return {v.key: v for f in both[0].findings for v in f.variants}


def truths(synthetic: Path) -> list[dict[str, str]]:
    with (synthetic / "truth.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


ZYGOSITY = {"de_novo": "heterozygous", "compound": "heterozygous", "parental_mosaic": "heterozygous", "recessive": "homozygous",
            "x_recessive": "hemizygous", "mitochondrial": "heteroplasmic"}


def test_every_planted_answer_comes_out_with_its_copies_and_the_calls_of_all(
    variants: dict[str, ReportedVariant], synthetic: Path
) -> None:
    for truth in truths(synthetic):
        key = "-".join((truth["contig"], truth["position"], truth["ref"], truth["alt"].split(",")[int(truth["allele"]) - 1]))
        if truth["answer"] == "no":
            assert key not in variants, truth
        elif truth["answer"] == "yes" or key in variants:  # of two undecided ones of a gene the better is ranked
            found = variants[key]
            assert found.gene == truth["gene"] and found.zygosity == ZYGOSITY[truth["mode"]], truth
            assert [c.person for c in found.calls] == ["SYN-001", "SYN-002", "SYN-003"]


def test_calls_are_those_of_the_file(variants: dict[str, ReportedVariant], synthetic: Path) -> None:
    lines = [x.rstrip("\n").split("\t") for x in gzip.open(synthetic / "family.vcf.gz", "rt") if not x.startswith("##")]
    people = lines[0][9:]
    at = {(x[0], x[1]): x for x in lines[1:]}
    for found in variants.values():
        line = at[found.contig, str(found.position)]
        own = 1 + line[4].split(",").index(found.alt)
        for call in found.calls:
            cells = dict(zip(line[8].split(":"), line[9 + people.index(call.person)].split(":"), strict=False))
            words = {"0": "0", str(own): "1"}
            alleles = [words.get(a, ".") for a in cells["GT"].replace("|", "/").split("/")]
            assert call.genotype == ("|" if "|" in cells["GT"] else "/").join(alleles), (found.key, call)
            if cells.get("AD", ".") != ".":
                reads = cells["AD"].split(",")
                assert call.reads == (int(reads[0]), int(reads[own]))
            if cells.get("GQ", ".") != ".":
                assert call.quality == int(cells["GQ"])


def test_a_third_allele_is_neither_reference_nor_this_one(variants: dict[str, ReportedVariant]) -> None:
    chd7 = next(v for v in variants.values() if v.gene == "CHD7")
    child, father, _ = chd7.calls
    assert "1" in child.genotype and "." in father.genotype and "1" not in father.genotype


def test_half_a_call_is_no_call(variants: dict[str, ReportedVariant]) -> None:
    found = [v for v in variants.values() if v.gene == "SCN2A"]
    assert found and all("." in "".join(c.genotype for c in v.calls) for v in found)


def test_the_whole_list_is_there_with_class_criteria_sentences_and_releases(both: tuple[Results, Shortlist]) -> None:
    results, listed = both
    assert [f.gene for f in results.findings] == listed.ranked["gene"].tolist()
    assert [f.rank for f in results.findings] == list(range(1, len(listed.findings) + 1))
    for finding, row in zip(results.findings, listed.findings, strict=True):
        for variant, key in zip(finding.variants, row.variants, strict=True):
            made = listed.classifications[(*key, finding.gene)]
            assert (variant.acmg_class, variant.acmg_points) == (made.acmg_class, made.points)
            assert [c.label for c in variant.criteria] == ([] if made.why_not else [c.label for c in made.criteria if c.met])
            assert all(c.evidence and "{" not in c.evidence for c in variant.criteria)
    by_gene = {f.gene: f for f in results.findings}
    arid1b = by_gene["ARID1B"].variants[0]
    assert arid1b.acmg_class == "likely pathogenic" and {c.label for c in arid1b.criteria} >= {"PVS1", "PM2_Supporting"}
    assert next(c for c in arid1b.criteria if c.label == "PM2_Supporting").release == "demo-frequency synthetic"
    assert by_gene["MT-TL1"].variants[0].acmg_class == "not computed" and not by_gene["MT-TL1"].variants[0].criteria
    assert by_gene["ARID1B"].disease == "Coffin-Siris syndrome 1" and by_gene["ARID1B"].curated
    assert {r.base for r in results.releases} >= {"demo-clinvar", "demo-frequency", "HPO"} and results.sites == 2418
    assert any("CNV" in said or "Copy number" in said for said in results.not_assessed) and not results.incidental


def test_what_is_written_can_be_read_and_names_nobody(both: tuple[Results, Shortlist]) -> None:
    text = both[0].model_dump_json()
    assert Results.model_validate_json(text) == both[0]
    assert "NaN" not in text and json.loads(text)["format"] == "genomics_nb results 1"
    shown = both[0]._repr_mimebundle_()
    assert Results.model_validate(json.loads(json.dumps(shown))["application/vnd.genomics-nb.results+json"]) == both[0]


def test_a_curated_disease_has_the_number_that_its_base_gives_and_incidental_findings_need_the_choice(
    cad: CAD, repo: Path, tmp_path: Path
) -> None:
    text = (repo / "data" / "knowledge" / "gene_validity.csv").read_text()
    numbered = tmp_path / "validity.csv"
    numbered.write_text(text.replace('"Coffin-Siris syndrome 1",""', '"Coffin-Siris syndrome 1","MONDO:0007617"'))
    add_demo(tmp_path)
    add_release(tmp_path, "demo-validity", "2026-02", numbered, kind="gene_validity", date="2026-02-01", licence="synthetic")
    cad.grant("SYN-001", "incidental_findings")
    try:
        results, listed = reported(cad, Bases.open(tmp_path, {}, "GRCh38"), lang="fr")
    finally:
        cad.withdraw("SYN-001", "incidental_findings")
    assert {f.gene: f for f in results.findings}["ARID1B"].disease_id == "MONDO:0007617"
    assert [f.gene for f in results.incidental] == listed.incidental["gene"].tolist() and listed.options.incidental
    assert all(f.mode == "" and f.variants[0].clinvar for f in results.incidental)
    assert any("Variations du nombre de copies" in said for said in results.not_assessed)


def test_a_family_whose_parents_are_not_the_parents_gives_no_finding(tmp_path: Path, synthetic: Path) -> None:
    ped = tmp_path / "swapped.ped"
    ped.write_text("FAM-SYN\tSYN-001\tSYN-003\tSYN-002\t1\t2\nFAM-SYN\tSYN-003\t0\t0\t1\t1\nFAM-SYN\tSYN-002\t0\t0\t2\t1\n")
    cad = CAD.init(tmp_path / "store")
    cad.ingest(synthetic / "family.vcf.gz", ped=ped)
    cad.add_case({"case": "SYN-001", "family": "FAM-SYN", "proband": "SYN-001", "indication": "Essai"})
    for person in ("SYN-001", "SYN-002"):
        cad.grant(person, "training")
    results, _ = reported(cad, demo_bases())
    assert results.suspended and results.findings == () and results.incidental == ()
    left = next(p for p in results.people if p.person == "SYN-003")
    assert not left.read and left.why_not and results.releases
