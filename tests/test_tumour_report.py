"""The tumour report: what it must say, in both languages, on the invented patient, on PCGR's colon example, and without inputs."""

import datetime as dt
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.delivery.document import plain_text
from genomics_nb.delivery.params import Tumour, validate
from genomics_nb.delivery.run import RunResult, run_notebook
from genomics_nb.delivery.texts import Say
from genomics_nb.delivery.tumour_detail import limits_section, mutated_copies, rest_section
from genomics_nb.delivery.tumour_opened import TABLES, open_tumour, synthetic_tumour
from genomics_nb.delivery.tumour_page import biomarker_section, delay_notice, germline_section, masthead, result_section
from genomics_nb.delivery.tumour_phrases import TUMOUR
from genomics_nb.store.cad import CAD
from genomics_nb.store.consent import PURPOSES

EN, DAY = Say("en", TUMOUR), dt.date(2026, 2, 20)


def text_of(result: RunResult) -> str:
    assert result.report is not None, str(result)
    return plain_text(result.report.read_text(encoding="utf-8").split("</head>")[1]).replace("\u202f", " ")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunResult]:
    """The template as it is, in French and in English."""
    out = tmp_path_factory.mktemp("runs")
    return {lang: run_notebook("tumour", {"lang": lang}, out) for lang in ("fr", "en")}


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> tuple[CAD, dict[str, str]]:
    """A store with the invented patient, and the parameters that lead to it."""
    cad, paths = synthetic_tumour(tmp_path_factory.mktemp("patient"))
    return cad, {"store": str(cad.path)} | {name: str(path) for name, path in paths.items()}


def changed_side(given: dict[str, str], path: Path, **changes: Any) -> dict[str, str]:
    path.write_text(json.dumps(json.loads(Path(given["side"]).read_text()) | changes))
    return given | {"side": str(path)}


def all_of(settings: Tumour, say: Say = EN) -> str:
    opened = open_tumour(settings, DAY)
    parts = [masthead(opened, say, DAY), result_section(opened, settings, say, DAY), biomarker_section(opened, say),
             germline_section(opened, say), rest_section(opened, say), limits_section(opened, say)]
    return plain_text("".join(part.html() for part in parts if part is not None))


def test_the_page_says_what_the_patient_has(pages: dict[str, RunResult]) -> None:
    english, french = text_of(pages["en"]), text_of(pages["fr"])
    for said in ("4 alteration(s) of tier I and 2 of tier II", "ERBB2 amplification", "12 copies", "TPM3::NTRK1", "38 split reads", "36% (55/151)",
                 "Syntuximab · level A, this tumour", "4.1 mut/Mb (95% CI 3.4 to 4.8)", "139 non-silent coding mutations over 34.0 callable Mb",
                 "no sign of instability", "32 days since receipt, of 49", "the wild-type allele seems to be lost", "not a medical device", "cannot be signed"):
        assert said in english, said
    for said in ("Ce qui compte", "Sensibilité", "Résistance", "Biomarqueurs", "4,1 mut/Mb", "RCP moléculaire", "faux-sens", "n'est pas un dispositif médical",
                 "Syntuximab · niveau A, cette tumeur", "perte", "méthylation", "Patient synthétique"):
        assert said in french, said
    for foreign in ("Biomarkers", "this tumour", "missense", "hot spot", "not assessed"):
        assert foreign not in french, foreign
    assert "Synzumab + Syncatinib" not in english  # needs a KRAS that is not mutated


def test_a_germline_finding_is_nowhere_without_the_wish_to_be_told(pages: dict[str, RunResult]) -> None:
    for result in pages.values():
        for file in result.folder.iterdir():
            if file.is_file():
                assert "S1982" not in file.read_text(encoding="utf-8", errors="replace"), file.name
        assert "germline sample" not in text_of(result) and "constitutionnel" not in text_of(result)


def test_a_germline_finding_is_shown_to_who_wishes(tmp_path: Path) -> None:
    cad, paths = synthetic_tumour(tmp_path)
    cad.grant("SYN-T01", "incidental_findings", version="synthetic")
    settings = Tumour(store=str(cad.path), **{name: str(path) for name, path in paths.items()})
    opened = open_tumour(settings, DAY)
    if not opened.wishes:  # the catalogue holds no adult: a choice alone is not enough
        pytest.skip("the wish is not held as given by an adult")
    assert opened.germline is not None and opened.germline["gene"].tolist() == ["BRCA2"]
    assert "BRCA2" in germline_section(opened, EN).html()  # type: ignore[union-attr]


def test_tumour_only_claims_less_and_says_so(patient: tuple[CAD, dict[str, str]], tmp_path: Path) -> None:
    text = all_of(Tumour(**changed_side(patient[1], tmp_path / "side.json", normal_sample=None)))
    for said in ("Tumour only: this report claims less", "not assessable", "tumour only, without a normal", "SYN-T01-T alone"):
        assert said in text, said
    assert "S1982" not in text


def test_without_inputs_nothing_is_negative(patient: tuple[CAD, dict[str, str]], tmp_path: Path) -> None:
    bare = {name: value for name, value in patient[1].items() if name not in TABLES}
    settings = Tumour(**changed_side(bare, tmp_path / "side.json", callable_mb=None, purity=None, ploidy=None))
    text = all_of(settings)
    for said in ("No base of evidence was given", "This is no negative result", "the callable coding size is not stated", "no table of signatures given",
                 "copy number", "fusions", "hot spots", "not stated"):
        assert said in text, said
    assert "mut/Mb" not in text


def test_pcgrs_colon_example_without_annotation_is_no_negative_result(shared_data: Path, tmp_path: Path) -> None:
    name, vcf = "TCGA-A6-2686-01A-01D-1408-10_TCGA-A6-2686-10A-01D-2188-10", tmp_path / "p.vcf.gz"
    with gzip.open(shared_data / "tumour/pcgr_T001-COAD.grch38.vcf.gz", "rt") as source, gzip.open(vcf, "wt") as target:
        target.writelines(line.replace(name, "T001") for line in source)
    (tmp_path / "m.tsv").write_text("label\tperson\tsample\tfamily\nT001\tP1\tT001\tF1\n")
    member = {"person": "P1", "sex": "female", "affected": True, "sample": "T001"}
    (tmp_path / "case.json").write_text(json.dumps({"case": "C1", "family": "F1", "proband": "P1", "indication": "colon", "members": [member]}))
    (tmp_path / "side.json").write_text(json.dumps({"site": "COAD", "tumour_sample": "T001", "received": "2026-01-12", "assay": "exome", "callable_mb": 34}))
    cad = CAD.init(tmp_path / "store")
    cad.ingest(vcf, manifest=tmp_path / "m.tsv", platform="public")
    cad.add_case(tmp_path / "case.json")
    for purpose in PURPOSES:
        cad.grant("P1", purpose, version="public")
    tables = {"segments": "tumour/pcgr_T001-COAD.grch38.cna.tsv", "fusions": "tumour/pcgr_T001-COAD.grch38.fusions.tsv",
              "evidence": "knowledge/civic_evidence.tsv"}
    settings = Tumour(case="C1", store=str(cad.path), side=str(tmp_path / "side.json"), **{k: str(shared_data / v) for k, v in tables.items()})
    opened, text = open_tumour(settings, DAY), all_of(settings)
    assert "the file names no consequences" in text and "mut/Mb" not in text and not opened.annotated
    assert "NTRK1::TPM3" in set(opened.table["alteration"]) | {a.name for a in opened.profile.alterations}
    assert "EML4::ALK" in text and opened.table.set_index("alteration").loc["EML4::ALK", "tier"] in ("I", "II")


def test_hostile_names_do_not_reach_the_page(patient: tuple[CAD, dict[str, str]], tmp_path: Path) -> None:
    evidence = tmp_path / "evidence.tsv"
    evidence.write_text(Path(patient[1]["evidence"]).read_text().replace("Syntuximab", "<script>alert(1)</script>"))
    settings = Tumour(**(patient[1] | {"evidence": str(evidence)}))
    markup = result_section(open_tumour(settings, DAY), settings, EN, DAY).html()
    assert "<script>" not in markup and "&lt;script&gt;" in markup
    broken = shutil.copy(patient[1]["segments"], tmp_path / "segments.tsv")
    Path(broken).write_text("Chromosome\tStart\tEnd\tnMajor\tnMinor\n1\t10\t5\t1\t1\n")
    with pytest.raises(InputError, match="line 2"):
        open_tumour(Tumour(**(patient[1] | {"segments": str(broken)})), DAY)


def test_the_delay_is_held_against_seven_weeks(patient: tuple[CAD, dict[str, str]]) -> None:
    opened = open_tumour(Tumour(**patient[1]), DAY)
    levels = {board: delay_notice(opened, Tumour(board=board), EN, dt.date(2026, 6, 1)).level for board in ("", "2026-03-02", "2026-03-03")}
    assert levels == {"": "watch", "2026-03-02": "good", "2026-03-03": "watch"}


def test_mutated_copies_by_hand() -> None:
    assert mutated_copies(0.5, 1.0, 2) == 1.0 and abs(mutated_copies(0.52, 0.7, 1) - 0.966) < 0.001
    assert mutated_copies(0.5, None, 2) != mutated_copies(0.5, None, 2)


@pytest.mark.parametrize("wrong", [{"store": "x"}, {"side": "nowhere.json"}, {"min_vaf": 2}, {"board": "2026-13-01"}, {"board": "soon"}, {"lang": "de"}, {"tumor": 1}])
def test_parameters_are_checked_before_anything_runs(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        validate(Tumour, wrong)


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_the_page_is_whole_accessible_and_fits_a_phone(chromium: Any, pages: dict[str, RunResult], lang: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    assert pages[lang].report is not None
    for width in (360, 1280):
        page = chromium.new_page(viewport={"width": width, "height": 800})
        page.goto(pages[lang].report.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.images.length") == 4
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0 && i.alt.length > 10)")
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
        assert found.violations_count == 0, found.generate_report()
        page.close()
