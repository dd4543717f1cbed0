"""The document of the cancer pilot: its numbers against independent ones, both languages, real tumours, bad input, a phone."""

import re
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.utils import restricted_mean_survival_time
from scipy.stats import binomtest

from genomics_nb.core.types import ParameterError
from genomics_nb.delivery.document import plain_text
from genomics_nb.delivery.multipli import open_multipli
from genomics_nb.delivery.multipli_landscape import open_tumours
from genomics_nb.delivery.params import Multipli, validate
from genomics_nb.delivery.run import RunResult, run_notebook
from genomics_nb.programme.multipli import write_multipli
from genomics_nb.programme.synthetic_multipli import TrialDesign, synthetic_multipli

DATES = ["received", "board_date", "randomised", "progressed", "died", "last_seen", "crossover"]


def text_of(result: RunResult) -> str:
    assert result.report is not None, str(result)
    text = plain_text(result.report.read_text(encoding="utf-8").split("</head>")[1])
    return text.replace("\u202f", " ").replace("\xa0", " ")


@pytest.fixture(scope="module")
def french(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """The template as it is."""
    return run_notebook("multipli", {}, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A smaller trial, without tumours."""
    return run_notebook("multipli", {"part": "trial", "patients": "200", "lang": "en"}, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def real(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """The landscape of TCGA's rectal cancers and sarcomas."""
    mafs = ",".join(str(shared_data / "tumour" / f"tcga_MC3_{name}.maf.tsv.gz") for name in ("READ", "SARC"))
    given = {"part": "landscape", "maf": mafs, "callable_mb": "34", "lang": "en"}
    return run_notebook("multipli", given, tmp_path_factory.mktemp("runs"))


def patients_of(result: RunResult) -> pd.DataFrame:
    """The table of a run, read by pandas alone, without those who withdrew."""
    table = pd.read_csv(result.folder / "trial.csv", parse_dates=DATES, keep_default_na=True)
    return table[table["withdrawn"].isna()]


def survival_of(table: pd.DataFrame, what: str) -> pd.DataFrame:
    stop, event = table["last_seen"], table["died"].notna()
    if what == "PFS":
        stop, event = table["progressed"].fillna(stop), event | table["progressed"].notna()
    months = (stop - table["randomised"]).dt.days / 30.4375
    return pd.DataFrame({"months": months, "event": event, "ngs": (table["arm"] == "ngs").astype(int), "disease": table["disease"]})


# --- numbers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "mark", "lead"), [
    ("english", ".", "{k} of the {n} patients"), ("french", ",", "{k} des {n} patients")])
def test_feasibility_is_what_the_table_says(request: pytest.FixtureRequest, name: str, mark: str, lead: str) -> None:
    result: RunResult = request.getfixturevalue(name)
    table = patients_of(result)
    arm, text = table[table["arm"] == "ngs"], text_of(result)
    days = (arm["board_date"] - arm["received"]).dt.days
    over = (table["last_seen"].max() - arm["received"].fillna(arm["randomised"])).dt.days > 49
    good = (arm["result"] == "interpretable") & (days <= 49)
    assert over.all()  # the drawn trial is followed to its end: nobody is left out
    k, n = int(good.sum()), len(arm)
    limits = binomtest(k, n).proportion_ci(method="exact")
    p = binomtest(k, n, 0.7, "greater").pvalue
    assert lead.format(k=k, n=n) in text
    reasons = text.split({"english": "Reasons for failure", "french": "Raisons d’échec"}[name])[1].split("Figure 2")[0]
    assert sum(int(m) for m in re.findall(r" (\d+)(?= )", reasons)) == n - k
    for value in (k / n, limits.low, limits.high):
        assert f"{100 * value:.1f}".replace(".", mark) in text
    assert (f"{p:.3f}".replace(".", mark) if p >= 0.001 else "0.001".replace(".", mark)) in text


@pytest.mark.parametrize("what", ["PFS", "OS"])
def test_hazard_ratios_and_months_gained_are_lifelines_own(english: RunResult, what: str) -> None:
    data, text = survival_of(patients_of(english), what), text_of(english)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        row = CoxPHFitter().fit(data, "months", "event", strata=["disease"]).summary.loc["ngs"]
    low, high = row["exp(coef) lower 95%"], row["exp(coef) upper 95%"]
    assert f"{row['exp(coef)']:.2f} hazard ratio, {what} 95% CI {low:.2f} to {high:.2f}" in text
    horizon = min(24.0, *data.groupby("ngs")["months"].max())
    one, two = (restricted_mean_survival_time(KaplanMeierFitter().fit(d["months"], d["event"]), t=horizon)
                for _, d in data.groupby("ngs"))
    gained = f"{two - one:.2f}".replace("-", "−")
    assert re.search(rf"months gained within \d+ months \(restricted mean\) {re.escape(gained)} ", text)


def test_the_steps_from_randomisation_to_response(english: RunResult) -> None:
    table = patients_of(english)
    arm, text = table[table["arm"] == "ngs"], text_of(english)
    counts = [int((arm[c] == v).sum()) for c, v in (("result", "interpretable"), ("target", "yes"), ("recommended", "yes"),
                                                    ("treated", "yes"))]
    assert f"{counts[1]} of {counts[0]}" in text and f"{counts[3]} of {counts[1]}" in text
    assert f"treated {counts[3]} " in text and f"therapy recommended {counts[2]} " in text
    withdrawn = 200 - len(table)
    assert f"200 patients were included; {withdrawn} withdrew consent" in text


def test_the_page_says_what_it_is_in_its_language(french: RunResult, english: RunResult) -> None:
    one, two = text_of(french), text_of(english)
    for said in ("Faisabilité", "Survie globale", "essai synthétique", "Raisons d’échec", "Méthode et limites"):
        assert said in one and said not in two, said
    for said in ("Feasibility", "Overall survival", "synthetic trial", "censored at crossover", "landscape not assessed"):
        assert said in two and said not in one, said
    assert "says nothing about MULTIPLI" in two and "not a medical device" in two


# --- real tumours --------------------------------------------------------------------------------------------------------


def test_known_facts_of_rectal_cancer_and_sarcoma_come_out(real: RunResult) -> None:
    text = text_of(real)
    leads = re.findall(r"Most mutated genes, long genes apart: ([^.]+)\.", text)
    assert len(leads) == 2
    assert set(leads[0].split(", ")[:3]) == {"APC", "TP53", "KRAS"}
    assert set(leads[1].split(", ")[:3]) == {"TP53", "ATRX", "RB1"}
    assert "POLE" in text and "Hypermutated tumours" in text
    assert text.count("not assessed (") == 2  # signatures: no context, no table
    assert "synthetic trial" not in text and "Synthetic data" not in text


# --- bad input -----------------------------------------------------------------------------------------------------------


def test_a_wrong_cell_is_named_by_its_line(tmp_path: Path) -> None:
    path = write_multipli(synthetic_multipli(TrialDesign(40), 1), tmp_path / "t.csv")
    lines = path.read_text().split("\n")
    lines[3] = lines[3].replace(",sarcoma,", ",leukaemia,").replace(",colorectal,", ",leukaemia,")
    path.write_text("\n".join(lines))
    done = run_notebook("multipli", {"trial": str(path), "part": "trial"}, tmp_path / "runs")
    assert done.status == "failed" and done.report is None and done.failure is not None
    assert "line 4" in done.failure.message and "disease" in done.failure.message


@pytest.mark.parametrize("given", [
    {"part": "landscape", "trial": "t.csv"}, {"part": "trial", "maf": "a.maf"}, {"planned": 0.6}, {"weeks": 0}, {"part": "both"}])
def test_parameters_that_contradict_are_refused(given: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "t.csv").touch()
    if "trial" in given:
        given = given | {"trial": str(tmp_path / "t.csv")}
    with pytest.raises(ParameterError):
        validate(Multipli, given)


# --- the page ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["french", "real"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_whole_accessible_and_fits(chromium: Any, request: pytest.FixtureRequest, name: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    result: RunResult = request.getfixturevalue(name)
    assert result.report is not None
    page = chromium.new_page(viewport={"width": width, "height": 800})
    page.goto(result.report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.images.length") > 2
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0 && i.alt.length > 10)")
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()
    page.close()


def test_real_and_drawn_never_stand_on_one_page(real: RunResult, shared_data: Path, tmp_path: Path) -> None:
    path = write_multipli(synthetic_multipli(TrialDesign(40), 1), tmp_path / "t.csv")
    given = validate(Multipli, {"trial": str(path)})
    assert open_tumours(given, tmp_path) is None and open_multipli(given, tmp_path) is not None
    maf = validate(Multipli, {"maf": str(shared_data / "tumour" / "tcga_MC3_READ.maf.tsv.gz")})
    assert open_multipli(maf, tmp_path) is None and "Synthetic data" not in text_of(real)


def test_drawn_tumours_alone_are_called_drawn(tmp_path: Path) -> None:
    done = run_notebook("multipli", {"part": "landscape", "lang": "en", "draws": "20"}, tmp_path)
    assert "Synthetic data Everything shown here is drawn by the software" in text_of(done)
