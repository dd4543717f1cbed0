"""The report of a family: what it must say, in both languages, on good data and on bad."""

import csv
import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from genomics_nb.core.types import NotFoundError, ParameterError
from genomics_nb.delivery.document import plain_text
from genomics_nb.delivery.run import RunResult, run_notebook
from genomics_nb.store.cad import CAD
from genomics_nb.variant.knowledge import add_demo

MEMBERS = ("SYN-001", "SYN-002", "SYN-003")
SHOWN = {"de_novo": "De novo", "compound": "Hétérozygote composite", "recessive": "Récessif, homozygote",
         "x_recessive": "Récessif lié à l'X", "parental_mosaic": "Mosaïque parentale possible", "mitochondrial": "Mitochondrial"}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunResult]:
    """The template as it is, in French and in English."""
    out = tmp_path_factory.mktemp("runs")
    return {lang: run_notebook("rare_disease", {"lang": lang}, out) for lang in ("fr", "en")}


def page_of(result: RunResult) -> str:
    assert result.report is not None, str(result)
    return result.report.read_text(encoding="utf-8")


def text_of(result: RunResult) -> str:
    return plain_text(page_of(result).split("</head>")[1]).replace("\u202f", " ")


def cards(result: RunResult) -> dict[str, list[str]]:
    """Heading of each section of candidates -> the text of its cards."""
    part = re.search(r'<section aria-labelledby="variants-candidats-par-mode">(.*?)</section>\s*<section aria-labelledby="qual',
                     page_of(result), re.S)
    assert part is not None
    sections = re.findall(r"<section[^>]*><h3[^>]*>(.*?)</h3>(.*?)</section>", part[1], re.S)
    one = re.compile(r"<article.*?(?=<article class=.card.><header><h4|$)", re.S)
    return {plain_text(head): [plain_text(card) for card in one.findall(body)] for head, body in sections}


def truths(synthetic: Path) -> list[dict[str, str]]:
    with (synthetic / "truth.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_every_planted_variant_stands_under_its_mode_and_none_that_was_planted_as_a_trap(
    reports: dict[str, RunResult], synthetic: Path
) -> None:
    found = cards(reports["fr"])
    for truth in truths(synthetic):
        low = truth["grade"] == "low"
        heading = SHOWN[truth["mode"]] + (", confiance faible" if low else "")
        place = f"{truth['contig']}:{truth['position']}"
        here = [card for card in found.get(heading, []) if place in card]
        if truth["answer"] == "yes":
            assert len(here) == 1 and truth["gene"] in here[0], truth
        else:
            everywhere = [card for head, group in found.items() if head.startswith(SHOWN[truth["mode"]]) for card in group]
            assert not any(place in card for card in everywhere), truth


def test_the_report_says_who_what_quality_and_what_was_not_looked_at(reports: dict[str, RunResult]) -> None:
    text = text_of(reports["fr"])
    for said in ("FAM-SYN", "Déficience intellectuelle", "HP:0001249", "HP:0001627", "cas index", "père", "mère", "Taux d'appel",
                 "Ti/Tv", "Hétérozygotes / homozygotes", "Erreurs mendéliennes", "Sexe génétique", "Coefficient de parenté",
                 "CNV", "Variants de structure", "FMR1", "SMN1", "ADN mitochondrial", "Régions mal couvertes",
                 "Classe ACMG", "non évalué", "Projet non signé", "n'est pas un dispositif médical",
                 "genomics-nb run rare_disease"):
        assert said in text, said
    assert page_of(reports["fr"]).count("<img ") >= 5  # pedigree, chromosomes, balance, two of quality


def test_the_english_report_is_english_and_says_the_same_numbers(reports: dict[str, RunResult]) -> None:
    french, english = text_of(reports["fr"]), text_of(reports["en"])
    for said in ("In brief", "De novo, low grade", "Compound heterozygous", "What was not assessed", "Draft, not signed"):
        assert said in english, said
    for foreign in ("Porté par", "confiance", "non évalué", "père", "Dossier", "Pourquoi", "lectures", "Effet"):
        assert foreign not in english, foreign
    places = re.compile(r"chr[\dXYM]+:\d+ [ACGT]+>[ACGT]+")
    assert sorted(places.findall(french)) == sorted(places.findall(english)) and len(places.findall(french)) > 8


def test_the_run_record_names_data_decision_and_code(reports: dict[str, RunResult]) -> None:
    record = reports["fr"].record
    assert record.status == "done" and not record.template.modified
    assert record.inputs is not None and record.inputs.build == "GRCh38" and len(record.inputs.analyses[0]) >= 32
    assert record.consent is not None and record.consent.purpose == "training" and record.consent.audit_length > 0
    assert re.fullmatch(r"[0-9a-f]{64}", record.consent.audit_head)
    text = text_of(reports["fr"])
    for said in (record.run_id, record.template.sha256, record.inputs.analyses[0], record.consent.audit_head):
        assert said in text


def test_the_notebook_beside_the_page_keeps_code_and_annex(reports: dict[str, RunResult]) -> None:
    nb = nbformat.read(reports["fr"].notebook, as_version=4)
    annex = next(cell for cell in nb.cells if "internal" in cell.metadata.get("tags", []))
    assert annex.outputs and "papermill" not in nb.metadata
    assert "<table" in annex.outputs[0].data["text/html"]


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_the_page_is_whole_accessible_and_fits_a_phone(chromium: Any, reports: dict[str, RunResult], lang: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    assert reports[lang].report is not None
    for width in (360, 1280):
        page = chromium.new_page(viewport={"width": width, "height": 800})
        asked: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto(reports[lang].report.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0 && i.alt.length > 10)")
        assert page.evaluate("[...document.querySelectorAll('table')].every(t => t.caption && t.querySelector('th[scope]'))")
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
        assert found.violations_count == 0, found.generate_report()
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => Number(h.tagName[1]))")
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
        anchors = page.evaluate("[...document.querySelectorAll('main a[href^=\"#\"]')].map(a => a.getAttribute('href'))")
        assert anchors and page.evaluate("hrefs => hrefs.every(h => document.getElementById(h.slice(1)))", anchors)
        page.close()


PLANTED_FIRST = {"OPHN1", "ARID1B", "ALDH7A1", "CHD7", "PAH", "KIF1A", "CREBBP", "SCN2A", "MT-TL1"}


def verdicts(result: RunResult) -> list[str]:
    """The text of the lines of the ranked list, in order, those without a card too."""
    page = page_of(result)
    listed = re.search(r'<ol class="verdicts"[^>]*>(.*?)</ol>', page, re.S)
    lines = re.findall(r"<li>(.*?)</li>", listed[1], re.S) if listed else []
    rest = re.search(r"<caption>(?:Suite de la liste classée|The rest of the ranked list)</caption>(.*?)</table>", page, re.S)
    return [plain_text(line) for line in lines + (re.findall(r"<tr><th scope=.row.>(.*?)</tr>", rest[1], re.S) if rest else [])]


def evidence_cards(result: RunResult) -> dict[str, str]:
    """Number of a card -> its HTML."""
    parts = re.split(r'(?=<article class="card" id="card-\d+">)', page_of(result).split("<h2", 3)[2])
    return {found[1]: part for part in parts if (found := re.match(r'<article class="card" id="card-(\d+)">', part))}


def test_the_ranked_list_holds_every_planted_gene_that_a_mode_answers_with_its_class_and_its_why(
    reports: dict[str, RunResult], synthetic: Path
) -> None:
    lines = verdicts(reports["fr"])
    wanted = {t["gene"] for t in truths(synthetic) if t["answer"] == "yes"}
    ranked = {gene for gene in PLANTED_FIRST for line in lines if gene in line}
    assert wanted <= ranked
    for line in lines:
        assert re.search(r"points?, proposition|classe non calculée", line), line
    assert not any(trap in line for trap in ("CFTR", "GRIN2B", "MECP2") for line in lines)
    first = lines[0]
    assert "signes concordants" in first and re.search(r"chr\w+:\d+ [ACGT]+>[ACGT]+", first)


def test_an_evidence_card_lets_a_biologist_check_names_reads_bases_criteria_score_and_signs(reports: dict[str, RunResult]) -> None:
    french, english = evidence_cards(reports["fr"]), evidence_cards(reports["en"])
    assert list(french) == list(english) == [str(n) for n in range(1, 9)]
    for number, card in french.items():
        text = plain_text(card)
        for said in ("Position (GRCh38)", "Transcrit", "cas index", "père", "mère", "Population", "demo-frequency synthetic",
                     "Prédictions", "ClinVar", "demo-clinvar synthetic", "Gène et maladie", "Pourquoi ce rang", "Signe du patient",
                     "HP:0001250"):
            assert said in text, (number, said)
        if "MT-TL1" in text:  # the rules of the nucleus do not hold there
            assert "propres règles" in text and "Règles de 2015" not in text
        else:
            assert "Critère" in text and "Règles de 2015" in text, number
        assert card.count("<img ") >= 2 and "Arbre avec génotypes et lectures" in card
    (pair,) = [card for card in french.values() if "ALDH7A1" in card.split("</h3>")[0]]
    assert "En trans : un variant sur chaque copie" in plain_text(pair).replace("\u202f", " ") and pair.count("<img ") == 3
    assert "Variant A" in plain_text(pair) and "Variant B" in plain_text(pair)
    for card in english.values():
        text = plain_text(card)
        assert "Why this rank" in text and any(said in text for said in ("never seen", "frequency", "unknown"))
        assert not any(word in text for word in ("Prédictions", "Règles", "lectures", "signes", "jamais"))


def test_the_fields_that_nobody_looked_at_are_all_printed_as_not_assessed(reports: dict[str, RunResult]) -> None:
    def states(lang: str) -> dict[str, str]:
        caption = {"fr": "Domaines évalués et non évalués", "en": "Fields assessed and not assessed"}[lang]
        part = re.search(rf"<caption>{caption}</caption>(.*?)</table>", page_of(reports[lang]), re.S)
        assert part is not None
        return dict(tuple(map(plain_text, re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)[:2]))
                    for row in re.findall(r"<tr>(<th scope=.row.>.*?)</tr>", part[1], re.S))

    french, english = states("fr"), states("en")
    assert len(french) == len(english) >= 14
    for field in ("Copy number", "Structural", "FMR1", "SMN1", "could not be called", "Incidental"):
        (state,) = [s for name, s in english.items() if field in name]
        assert state.lstrip("– ").startswith("not assessed"), (field, state)
    for field in ("Rareté", "ClinVar", "Prédictions", "Validité", "parents"):
        (state,) = [s for name, s in french.items() if field in name]
        assert state.lstrip("✓ ").startswith("évalué"), (field, state)


def test_the_record_and_the_page_name_the_releases_that_were_read(reports: dict[str, RunResult]) -> None:
    inputs = reports["fr"].record.inputs
    assert inputs is not None and inputs.knowledge["demo-clinvar"] == "synthetic" and "HPO" in inputs.knowledge
    assert "Versions des bases" in text_of(reports["fr"]) and "demo-frequency synthetic" in text_of(reports["fr"])


def test_what_was_dropped_is_in_the_annex_and_not_on_the_page(reports: dict[str, RunResult]) -> None:
    assert "GRIN2B" not in text_of(reports["fr"]) and "aucun mode de transmission ne convient" not in text_of(reports["fr"])
    assert "GRIN2B" in reports["fr"].notebook.read_text(encoding="utf-8")


@pytest.fixture
def store(tmp_path: Path, synthetic: Path) -> Iterator[CAD]:
    cad = CAD.init(tmp_path / "store")
    cad.ingest(synthetic / "family.vcf.gz", ped=synthetic / "family.ped")
    cad.add_case(synthetic / "case.json")
    for person in MEMBERS:
        cad.grant(person, "care")
    yield cad


def care(cad: CAD, tmp_path: Path, **parameters: Any) -> RunResult:
    given = {"store": str(cad.path), "case": "SYN-001", "purpose": "care", "frequency_field": "SYN_AF"}
    return run_notebook("rare_disease", given | parameters, tmp_path / "runs")


def test_without_consent_there_is_no_report_and_the_reason_is_kept(store: CAD, tmp_path: Path) -> None:
    result = care(store, tmp_path, purpose="research")
    assert result.exit_code == 2 and result.report is None
    assert result.failure is not None and result.failure.exception == "ConsentError" and result.failure.message


def test_a_mother_who_withdrew_is_named_as_not_read_and_makes_no_de_novo(store: CAD, tmp_path: Path) -> None:
    store.withdraw("SYN-003", "care")
    result = care(store, tmp_path)
    assert result.exit_code == 0, str(result)
    text = text_of(result)
    assert "accès refusé par le consentement" in text and result.record.consent is not None
    assert list(result.record.consent.left_out) == ["SYN-003"]
    assert not any(head.startswith("De novo") for head in cards(result))


def test_without_a_population_base_rarity_is_said_to_be_not_assessed(store: CAD, tmp_path: Path) -> None:
    text = text_of(care(store, tmp_path, frequency_field=""))
    assert "Aucune base de fréquences n'a été donnée" in text


def test_incidental_findings_are_looked_for_only_where_the_catalogue_holds_the_choice(store: CAD, tmp_path: Path) -> None:
    add_demo(store.path)
    without = text_of(care(store, tmp_path, knowledge="demo-g2p="))
    assert "Découvertes incidentes, selon le choix" not in without and "Non cherchées : aucun choix" in without
    with pytest.raises(ParameterError):
        care(store, tmp_path, incidental=True)
    store.grant("SYN-001", "incidental_findings")
    result = care(store, tmp_path)
    text = text_of(result)
    assert "Découvertes incidentes, selon le choix" in text and "Cherchées : choix enregistré" in text
    assert result.record.inputs is not None and result.record.inputs.knowledge["demo-g2p"] == "synthetic"


def test_releases_that_are_not_there_stop_the_run_and_malformed_ones_are_refused(store: CAD, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="knowledge"):
        care(store, tmp_path, knowledge="clinvar")
    assert not (tmp_path / "runs").exists()
    add_demo(store.path)
    with pytest.raises(NotFoundError, match="no release 1999-01 of demo-clinvar"):
        care(store, tmp_path, knowledge="demo-clinvar=1999-01")
    assert not (tmp_path / "runs").exists()


def test_parents_who_are_not_who_they_are_said_to_be_suspend_the_interpretation(tmp_path: Path, synthetic: Path) -> None:
    ped = tmp_path / "swapped.ped"
    ped.write_text("FAM-SYN\tSYN-001\tSYN-003\tSYN-002\t1\t2\nFAM-SYN\tSYN-003\t0\t0\t1\t1\nFAM-SYN\tSYN-002\t0\t0\t2\t1\n")
    cad = CAD.init(tmp_path / "store")
    cad.ingest(synthetic / "family.vcf.gz", ped=ped)
    cad.add_case({"case": "SYN-001", "family": "FAM-SYN", "proband": "SYN-001", "indication": "Essai"})
    for person in MEMBERS:
        cad.grant(person, "care")
    result = care(cad, tmp_path)
    text = text_of(result)
    assert "Interprétation suspendue" in text and "ARID1B" not in text and "Coefficient de parenté" not in text
    assert "ARID1B" in result.notebook.read_text(encoding="utf-8")  # for those who may know, in the annex


def test_an_unknown_case_and_a_misspelt_parameter_are_refused_before_the_start(store: CAD, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        care(store, tmp_path, case="SYN-999")
    with pytest.raises(ParameterError, match="Did you mean case"):
        run_notebook("rare_disease", {"Case": "SYN-001"}, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_hostile_text_in_a_file_reaches_the_page_as_text(chromium: Any, tmp_path: Path, synthetic: Path) -> None:
    text = gzip.decompress((synthetic / "family.vcf.gz").read_bytes()).decode()
    changed = text.replace("|ARID1B|", "|<script>document.title='owned'</script>|")
    assert changed != text
    vcf = tmp_path / "hostile.vcf"
    vcf.write_text(changed)
    cad = CAD.init(tmp_path / "store")
    cad.ingest(vcf, ped=synthetic / "family.ped")
    cad.add_case({"case": "SYN-001", "family": "FAM-SYN", "proband": "SYN-001", "indication": "<img src=x onerror=alert(1)>"})
    for person in MEMBERS:
        cad.grant(person, "care")
    result = care(cad, tmp_path)
    assert result.report is not None, str(result)
    page = chromium.new_page()
    page.goto(result.report.as_uri())
    assert "owned" not in page.title() and page.locator("main script, main img[src='x']").count() == 0
    assert any("<script>document.title" in head for head in page.locator("article.card h3, article.card h4").all_inner_texts())
    assert any("<script>document.title" in line for line in page.locator(".verdicts li, main table").all_inner_texts())
    page.close()


def test_a_real_family_gets_its_report(shared_data: Path, tmp_path: Path) -> None:
    cad = CAD.init(tmp_path / "giab")
    cad.ingest(shared_data / "trio" / "ashk-trio.vcf.gz", ped=shared_data / "trio" / "ashk-trio.ped", build="GRCh37")
    cad.add_case({"case": "GIAB", "family": "ash", "proband": "HG002", "indication": "Trio de référence"})
    for person in ("HG002", "HG003", "HG004"):
        cad.grant(person, "care")
    given = {"store": str(cad.path), "case": "GIAB", "purpose": "care", "assay": "exome"}
    result = run_notebook("rare_disease", given, tmp_path / "runs")
    assert result.exit_code == 0, str(result)
    text = text_of(result)
    assert "Interprétation suspendue" not in text and "GRCh37" in text and "9 940" in text
    assert cards(result)["De novo"]
