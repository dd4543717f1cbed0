"""The quality report of a cohort: what it must say, in both languages, on a file and through the gate."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.delivery.cohort_qc import TEXTS, brief, failures_section, measure, norms_of, open_cohort
from genomics_nb.delivery.document import plain_text
from genomics_nb.delivery.params import CohortQc, validate
from genomics_nb.delivery.run import RunResult, run_notebook
from genomics_nb.delivery.texts import Say
from genomics_nb.store.cad import synthetic_store


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunResult]:
    """The template as it is, in French and in English."""
    out = tmp_path_factory.mktemp("runs")
    return {lang: run_notebook("cohort_qc", {"lang": lang}, out) for lang in ("fr", "en")}


def text_of(result: RunResult) -> str:
    assert result.report is not None, str(result)
    return plain_text(result.report.read_text(encoding="utf-8").split("</head>")[1]).replace("\u202f", " ")


def test_the_planted_people_are_left_out_with_norm_and_value(reports: dict[str, RunResult], repo: Path) -> None:
    truth = pd.read_csv(repo / "data" / "popgen" / "truth.tsv", sep="\t")
    planted = set(truth.loc[truth["kind"].isin(["contaminated", "sex_swap", "low_call_rate"]), "what"])
    text, kept = text_of(reports["fr"]), (reports["fr"].folder / "kept_samples.txt").read_text().split()
    everybody = pd.read_csv(repo / "data" / "popgen" / "people.tsv", sep="\t")["sample"]
    assert set(everybody) - set(kept) == planted and len(planted) == 6
    assert all(person in text for person in planted)
    for said in ("Hors norme : 6 personnes et", "sexe déclaré et sexe déduit", "90,8 %", "au moins 97,0 %", "Anderson 2010", "10⁻⁶", "Marees 2018",
                 "Non évalué, faute de données", "profondeur moyenne", "population synthétique", "Projet non signé"):
        assert said in text, said
    variants = pd.read_csv(reports["fr"].folder / "kept_variants.tsv", sep="\t")
    assert list(variants.columns) == ["contig", "position", "ref", "alt"] and 27_500 < len(variants) < 28_300


def test_the_english_report_says_the_same_numbers(reports: dict[str, RunResult]) -> None:
    english = text_of(reports["en"])
    for said in ("In brief", "People who are left out", "at least 97.0%", "Not assessed, for want of data", "Limits and method"):
        assert said in english, said
    for foreign in ("Taux", "Normes", "écartées", "évalué", "Plateforme"):
        assert foreign not in english, foreign
    for name in ("kept_samples.txt", "kept_variants.tsv"):
        assert (reports["en"].folder / name).read_text() == (reports["fr"].folder / name).read_text()


def test_the_run_record_says_that_no_gate_was_asked(reports: dict[str, RunResult]) -> None:
    record = json.loads((reports["fr"].folder / "run.json").read_text())
    assert record["status"] == "done" and record["consent"] is None and record["inputs"]["build"] == "GRCh38"
    assert "données déclarées publiques ou synthétiques" in text_of(reports["fr"])


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_the_page_is_whole_accessible_and_fits_a_phone(chromium: Any, reports: dict[str, RunResult], lang: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    assert reports[lang].report is not None
    for width in (360, 1200):
        page = chromium.new_page(viewport={"width": width, "height": 800})
        page.goto(reports[lang].report.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.images.length") >= 9
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0 && i.alt.length > 10)")
        assert page.evaluate("[...document.querySelectorAll('figure')].every(f => f.innerText.length > 20)")
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
        assert found.violations_count == 0, found.generate_report()
        page.close()


def test_a_cohort_of_a_store_comes_through_the_gate(tmp_path: Path) -> None:
    cad = synthetic_store(tmp_path / "store")
    cad.build_cohort("C1", "GRCh38", "research")
    cad.add_to_cohort("C1")
    settings = CohortQc(store=str(cad.path), cohort="C1", purpose="research")
    ds, people = open_cohort(settings)
    assert people.columns.tolist() == ["group", "sex", "platform"] and set(people["sex"]) <= {"male", "female", "unknown"}
    assert ds.attrs["purpose"] == "research" and len(people) == 3
    qc, judged = measure(ds, people, norms_of(settings))
    assert np.isfinite(qc["sample_call_rate"].values).all()
    section = plain_text(brief(judged, norms_of(settings), Say("fr", TEXTS)).html())
    assert "hétérozygotie" in section.split("Non évalué")[1]  # three people give no limits of their own


def test_parameters_are_checked_before_anything_runs(tmp_path: Path, repo: Path) -> None:
    for wrong in ({"call_rate": 1.2}, {"store": "x"}, {"store": "x", "cohort": "c", "source": "y"}, {"thresold": 1}, {"lang": "de"}):
        with pytest.raises(ParameterError):
            validate(CohortQc, wrong)
    table = tmp_path / "people.tsv"
    table.write_text("sample\tregion\nPG0001\tBretagne\n")
    with pytest.raises(InputError, match="have no row"):
        open_cohort(CohortQc(people=str(table)))


def test_a_limit_that_a_parameter_moves_says_so_and_moves_the_verdict() -> None:
    settings = CohortQc(call_rate=0.9)
    norms = norms_of(settings)
    moved = {norm.variable: norm for norm in norms}["sample_call_rate"]
    assert moved.low == 0.9 and "parameter" in moved.source[0]
    ds, people = open_cohort(settings)
    some = ds.isel(variants=slice(None, None, 20))
    qc, judged = measure(some, people, norms)
    table = plain_text(failures_section(qc, judged, people, norms, Say("en", TEXTS)).html())
    assert "PG0178" not in table
