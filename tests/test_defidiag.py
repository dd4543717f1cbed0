"""The document of the paired trial: what it must say, in both languages, on a drawn trial and on a table."""

import csv
import json
import re
from itertools import count
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.delivery.defidiag import flow_section, flow_svg, masthead, open_trial, pairs_section, reasons_section, result_section, solo_section
from genomics_nb.delivery.defidiag_answers import DEFIDIAG
from genomics_nb.delivery.defidiag_results import cases_section, cost_section, find_reports, kind_of_pair, limits_section, power_section, subgroups_section, time_section
from genomics_nb.delivery.document import plain_text
from genomics_nb.delivery.params import Defidiag, validate
from genomics_nb.delivery.render import sanitise
from genomics_nb.delivery.run import RunResult, run_notebook
from genomics_nb.delivery.texts import Say
from genomics_nb.programme.paired import mcnemar, newcombe
from genomics_nb.programme.synthetic_trial import Design, synthetic_trial
from genomics_nb.programme.trial import COLUMNS, flow, pairs, read_trial, write_trial

EN = Say("en", DEFIDIAG)


def text_of(result: RunResult) -> str:
    assert result.report is not None, str(result)
    return plain_text(result.report.read_text(encoding="utf-8").split("</head>")[1]).replace("\u202f", " ").replace("\xa0", " ")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunResult]:
    """The template as it is, in French and in English."""
    out = tmp_path_factory.mktemp("runs")
    return {lang: run_notebook("defidiag", {"lang": lang, "draws": "100"}, out) for lang in ("fr", "en")}


# --- the whole document --------------------------------------------------------------------------------------------------


def test_the_page_says_the_result_of_its_own_table_first(pages: dict[str, RunResult]) -> None:
    trial = read_trial(pages["en"].folder / "trial.csv")
    table, gap = pairs(trial), newcombe(pairs(trial))
    text = text_of(pages["en"])
    heads = re.findall(r'<h2 id="[^"]*">([^<]+)</h2>', pages["en"].report.read_text(encoding="utf-8"))  # type: ignore[union-attr]
    assert heads[:2] == ["Result", "Flow of cases"] and "What the trial cannot say, and method" in heads
    said = f"{100 * gap.value:.1f} points more (95% CI {100 * gap.low:.1f} to {100 * gap.high:.1f})"
    assert said in text and f"Of {table.n:,} index cases" in text and mcnemar(table) < 0.001
    assert abs(gap.value - 0.30) < 0.05  # the truth it was drawn from
    assert "says nothing about the DEFIDIAG trial" in text and "not a medical device" in text
    numbers = [int(n) for n in re.findall(r"<figcaption>Figure (\d+)\.", pages["en"].report.read_text(encoding="utf-8"))]  # type: ignore[union-attr]
    assert numbers == list(range(1, 10))


def test_no_cost_is_supposed(pages: dict[str, RunResult]) -> None:
    assert "this document assumes none" in text_of(pages["en"]) and "€" not in text_of(pages["en"])
    assert "n'en suppose pas" in text_of(pages["fr"])


def test_both_languages_say_the_same_numbers(pages: dict[str, RunResult]) -> None:
    french, english = (text_of(pages[lang]) for lang in ("fr", "en"))
    for said in ("Résultat", "Devenir des cas", "Sous-groupes prévus", "Ce que l'essai ne dit pas", "McNemar", "essai synthétique"):
        assert said in french, said
    for foreign in ("Résultat", "cas index", "référence", "Délais", "appariées"):
        assert foreign not in english, foreign
    assert (pages["fr"].folder / "trial.csv").read_bytes() == (pages["en"].folder / "trial.csv").read_bytes()
    gap = newcombe(pairs(read_trial(pages["fr"].folder / "trial.csv")))
    assert f"{100 * gap.value:.1f}".replace(".", ",") + " points de plus" in french


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_the_page_is_whole_accessible_and_fits_a_phone(chromium: Any, pages: dict[str, RunResult], lang: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    assert pages[lang].report is not None
    for width in (360, 1200):
        page = chromium.new_page(viewport={"width": width, "height": 800})
        page.goto(pages[lang].report.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.images.length") == 9
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0 && i.alt.length > 10)")
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
        assert found.violations_count == 0, found.generate_report()
        page.close()


def test_each_case_is_linked_to_the_report_of_its_family(tmp_path: Path) -> None:
    write_trial(synthetic_trial(Design(cases=60, solo=20), 1), tmp_path / "t.csv")
    for run, name in (("a", "DD-0001"), ("b", "DD-0001"), ("a", "DD-0007"), ("a", "DD-9999"), ("a", "x y<b>")):
        (tmp_path / "runs" / run / name).mkdir(parents=True)
        (tmp_path / "runs" / run / name / "report.html").write_text(run)
    done = run_notebook("defidiag", {"trial": str(tmp_path / "t.csv"), "reports": str(tmp_path / "runs"), "lang": "en", "draws": "50",
                                     "cases": "60", "solo": "20", "cost_trio": "3000", "cost_reference": "1000",
                                     "cost_source": "an <example>"}, tmp_path / "runs")
    assert done.report is not None, str(done)
    links = re.findall(r'<a href="([^"#]+)">', done.report.read_text(encoding="utf-8"))
    assert {(done.folder / link).resolve().parent.name for link in links} == {"DD-0001", "DD-0007"}
    assert all((done.folder / link).is_file() for link in links)
    text = text_of(done)
    assert "2 of the 60 cases have a family report" in text and "€3,000" in text and "an <example>" in text
    assert "synthetic trial" not in text and not (done.folder / "trial.csv").exists()
    with (done.folder / "cases.csv").open(encoding="utf-8") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert len(rows) == 60 and rows["DD-0007"]["report"].endswith("/a/DD-0007/report.html") and rows["DD-0002"]["report"] == ""


def test_a_wrong_table_stops_the_run_and_says_where(tmp_path: Path) -> None:
    path = write_trial(synthetic_trial(Design(cases=30, solo=5), 1), tmp_path / "t.csv")
    path.write_text(path.read_text().replace("DD-0003,male", "DD-0003,M").replace("DD-0003,female", "DD-0003,F"))
    done = run_notebook("defidiag", {"trial": str(path)}, tmp_path / "runs")
    assert done.status == "failed" and done.report is None and done.failure is not None
    assert "line 4" in str(done.failure.message) and "field sex" in str(done.failure.message)
    assert json.loads((done.folder / "run.json").read_text())["status"] == "failed"


# --- its parts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_the_flow_diagram_and_its_words_hold_every_number(lang: str) -> None:
    found = flow(synthetic_trial(seed=4))
    say = Say(lang, DEFIDIAG)  # type: ignore[arg-type]
    svg, words = flow_svg(found, say)
    drawn = [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]
    for counts in found.answers.values():
        for answer, n in counts.items():
            line = f"{say.number(n)} {say(f'flow.{answer}')}"
            assert line in drawn and line in words
    assert say.number(found.complete) in drawn and say.number(found.solo_complete) in drawn


def empty_of_results() -> pd.DataFrame:
    trial = synthetic_trial(Design(cases=12, solo=3), 1)
    for name in ("trio", "reference"):
        trial[name], trial[f"{name}_date"] = "pending", pd.NaT
    trial["solo"] = trial["solo_drawn"].map({"yes": "pending", "no": ""})
    return trial.assign(solo_date=pd.NaT, trio_finding="", reference_part="")[list(COLUMNS[1:])].astype(
        dict.fromkeys(("trio_date", "reference_date", "solo_date"), "datetime64[s]"))


def test_a_trial_without_results_says_so_and_draws_what_it_can(tmp_path: Path) -> None:
    path = write_trial(empty_of_results(), tmp_path / "t.csv")
    opened = open_trial(Defidiag(trial=str(path)))
    trial, settings = opened.table, Defidiag(draws=20)
    assert "nothing to compare" in result_section(trial, EN).html() and "No case has both" in solo_section(trial, EN, count(1)).html()
    assert "No pair is discordant" in reasons_section(trial, EN, count(1)).html()
    text = plain_text(time_section(trial, settings, EN, count(1)).html())
    assert "not reached" in text
    for section in (flow_section(trial, EN, count(1)), pairs_section(trial, EN, count(1)), subgroups_section(trial, EN, count(1)),
                    power_section(trial, settings, EN, count(1)), limits_section(opened, settings, EN)):
        assert section.html()


def test_cost_is_open_where_the_interval_holds_zero_and_bounded_elsewhere() -> None:
    costs = {"cost_trio": 3000, "cost_reference": 1000, "cost_source": "example"}
    trial = synthetic_trial(seed=2)
    gap = newcombe(pairs(trial))
    text = plain_text(cost_section(trial, Defidiag(**costs), EN, count(1)).html())
    assert f"€{2000 / gap.value:,.0f} (€{2000 / gap.high:,.0f} to €{2000 / gap.low:,.0f})" in text
    equal = synthetic_trial(Design(cases=200, solo=0, trio=0.35, reference=0.34), 5)
    assert newcombe(pairs(equal)).low <= 0
    assert "has no bound" in cost_section(equal, Defidiag(**costs), EN, count(1)).html()
    assert "costs no more" in cost_section(trial, Defidiag(**(costs | {"cost_trio": 900})), EN, count(1)).html()


def test_power_is_that_of_the_plan_and_says_where_a_plan_is_impossible() -> None:
    trial = synthetic_trial(Design(cases=200, solo=40), 1)
    text = plain_text(power_section(trial, Defidiag(cases=200, solo=40), EN, count(1)).html())
    assert "39 pairs would give a power of 90%" in text and "200 pairs (planned)" in text
    assert "do not go together" in power_section(trial, Defidiag(correlation=0.9), EN, count(1)).html()


def test_links_lead_to_reports_beside_the_page_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "r" / "DD-0001").mkdir(parents=True)
    (tmp_path / "r" / "DD-0001" / "report.html").symlink_to("/etc/passwd")
    assert find_reports(str(tmp_path), {"DD-0001"}) == {} == find_reports("", {"DD-0001"})
    with pytest.raises(ParameterError, match="no folder"):
        find_reports(str(tmp_path / "none"), set())
    trial = synthetic_trial(Design(cases=40, solo=4), 1)
    for bad in ("javascript:alert(1)/report.html", "http://example.org/report.html", "//example.org/a/report.html", "/srv/a/report.html"):
        assert "href" not in sanitise(cases_section(trial, dict.fromkeys(trial.index, bad), False, EN).html())
    good = sanitise(cases_section(trial, dict.fromkeys(trial.index, "../../r/DD-0001/report.html"), False, EN).html())
    assert good.count('href="../../r/DD-0001/report.html"') >= 40


def test_every_case_is_of_one_kind() -> None:
    trial = synthetic_trial(seed=3)
    kinds, table = kind_of_pair(trial).value_counts(), pairs(trial)
    assert kinds.sum() == len(trial) and [kinds[k] for k in ("both", "first", "second", "neither")] == [
        table.both, table.first, table.second, table.neither]


def test_a_hostile_cell_cannot_reach_the_page(tmp_path: Path) -> None:
    path = write_trial(synthetic_trial(Design(cases=20, solo=2), 1), tmp_path / "t.csv")
    path.write_text(path.read_text().replace("DD-0001", "<script>alert(1)</script>"))
    with pytest.raises(InputError, match="line 2, field case") as caught:
        open_trial(Defidiag(trial=str(path)))
    assert "script" not in str(caught.value)


@pytest.mark.parametrize(("given", "says"), [
    ({"cost_trio": "100"}, "belong together"), ({"cost_source": "x"}, "belong together"), ({"cost_trio": "1", "cost_reference": "1"}, "belong together"),
    ({"trio_yield": "1"}, "trio_yield"), ({"solo": "2000"}, "at most cases"), ({"draws": "1"}, "draws"), ({"tiral": "x"}, "Did you mean trial")])
def test_parameters_that_cannot_be_are_refused(given: dict[str, str], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        validate(Defidiag, given)


def test_the_masthead_names_the_cut_off(tmp_path: Path) -> None:
    import datetime as dt

    opened = open_trial(Defidiag(cases=50, solo=5), tmp_path)
    assert opened.synthetic and "1 March 2026" in masthead(opened, EN, dt.date(2026, 3, 1)).html()
