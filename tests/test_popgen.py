"""The pilot of a population: its data, its steps, and the whole document on three kinds of source."""

import gzip
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from genomics_nb.core.types import GenomicsError, InputError, NotFoundError, ParameterError
from genomics_nb.delivery.params import Popgen, validate
from genomics_nb.delivery.run import RunResult, run_notebook
from genomics_nb.delivery.study import open_study, popgen_dir, read_people, read_weights
from genomics_nb.population.batch import label_evidence, mantel_haenszel
from genomics_nb.population.exclusion import excluded_by_size, least_count
from genomics_nb.population.filtering_frequency import filtering_allele_frequency
from genomics_nb.store.cad import CAD

SLICE = "1kg_phase3_chr22_16.0-16.5Mb.vcf.gz"


def truth(kind: str) -> pd.DataFrame:
    table = pd.read_csv(popgen_dir() / "truth.tsv", sep="\t", keep_default_na=False)
    return table[table["kind"] == kind]


def page(result: RunResult) -> str:
    assert result.status == "done", str(result)
    assert result.report is not None
    return result.report.read_text(encoding="utf-8")


def shown(markup: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", markup).split())


# --- the document on the synthetic population ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run_notebook("popgen", {"lang": "en", "draws": 2}, out=tmp_path_factory.mktemp("popgen"))


def part(markup: str, heading: str) -> str:
    """The text of one part of the page."""
    found = re.search(rf'<h2 id="[^"]*">{re.escape(heading)}</h2>(.*?)(?=<h2 )', markup, re.S)
    assert found, heading
    return shown(found[1])


def test_every_planted_person_is_found_and_nobody_else(default: RunResult) -> None:
    people = part(page(default), "Quality of the people")
    table, _, platforms = people.partition("Platforms")
    planted = {kind: set(truth(kind)["what"]) for kind in ("contaminated", "sex_swap", "low_call_rate", "platform_swap")}
    assert set(re.findall(r"PG\d{4}", table)) == planted["contaminated"] | planted["sex_swap"] | planted["low_call_rate"]
    assert set(re.findall(r"PG\d{4}", platforms)) == planted["platform_swap"]


def test_the_relatives_are_the_trio_and_the_two_who_came_twice(default: RunResult) -> None:
    named = set(re.findall(r"PG\d{4}", part(page(default), "Relatedness")))
    trio, twice = truth("trio").iloc[0], truth("duplicate")
    assert named == {trio["what"], *trio["other"].split(","), *twice["what"], *twice["other"]}


def test_exchanged_regions_come_back_to_each_other(default: RunResult) -> None:
    text = part(page(default), "Structure")
    for row in truth("region_swap").itertuples():
        assert f"{row.what}: {row.note.rpartition('is from ')[2]}" in text


def test_the_causal_variant_is_left_by_every_filter(default: RunResult) -> None:
    where = truth("causal")["what"].iloc[0]
    nb = nbformat.read(default.notebook, as_version=4)
    annex = next(c for c in nb.cells if "internal" in c.metadata.get("tags", []))
    text = "".join(o["data"].get("text/html", "") for o in annex.outputs if "data" in o)
    assert f"<td>{where.partition(':')[0]}</td>" in text and f"<td>{where.partition(':')[2]}</td>" in text


def test_the_page_says_its_result_first_and_numbers_its_figures(default: RunResult) -> None:
    text = page(default)
    heads = re.findall(r'<h2 id="[^"]*">([^<]+)</h2>', text)
    assert heads[0] == "Result" and "Limits and method" in heads
    numbers = [int(n) for n in re.findall(r"<figcaption>Figure (\d+)\.", text)]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 12
    assert "declared public or synthetic" in shown(text) and "http" not in re.sub(r"doi:\S+", "", text.split("<body>")[1])


def test_more_filters_leave_fewer_alleles(default: RunResult) -> None:
    text = part(page(default), "What the panel excludes from a patient&#x27;s genome" if "patient&#x27;s" in page(default)
                else "What the panel excludes from a patient's genome")
    names = ("no panel", "external panel alone", "external panel and this panel")
    counts = [int(re.search(rf"{name} ([\d,]+)", text)[1].replace(",", "")) for name in names]  # type: ignore[index]
    assert counts[0] > counts[1] > counts[2] > 0


# --- on real data ----------------------------------------------------------------------------------------------------


def test_it_runs_on_the_1000_genomes(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "population"
    done = run_notebook("popgen", {"source": str(folder / SLICE), "people": str(folder / "1kg_samples.psam"), "group": "SuperPop",
                                   "patient": "HG00096", "lang": "fr", "draws": 1, "components": 2}, out=tmp_path)
    text = page(done)
    assert done.record.consent is None and "GRCh37" in text
    assert "Personnes lues" in text and "2\u202f503" in text  # one person is the patient
    assert "Aucun panel externe" in shown(text) and "sans estimation nationale" in shown(text)


def few_of_the_slice(source: Path, people: pd.DataFrame, target: Path) -> None:
    """Some columns of the slice, and the sites that somebody among them carries."""
    with gzip.open(source, "rt") as lines, target.open("w", encoding="utf-8") as out:
        columns: list[int] = []
        for line in lines:
            if line.startswith("##"):
                out.write(line)
                continue
            cells = line.rstrip("\n").split("\t")
            if line.startswith("#CHROM"):
                columns = [i for i, name in enumerate(cells) if i > 8 and name in people.index]
            calls = [cells[i] for i in columns]
            if line.startswith("#CHROM") or any("1" in call for call in calls):
                out.write("\t".join([*cells[:7], "." if not line.startswith("#") else cells[7], cells[8], *calls]) + "\n")


def test_it_runs_through_the_gate_on_a_cohort(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "population"
    psam = pd.read_csv(folder / "1kg_samples.psam", sep="\t").set_index("#IID")
    some = psam.groupby("SuperPop").head(18)
    some = some[some["SuperPop"].isin(["EUR", "EAS", "AFR"])]
    few_of_the_slice(folder / SLICE, some, tmp_path / "few.vcf")
    cad = CAD.init(tmp_path / "store")
    cad.ingest(tmp_path / "few.vcf", build="GRCh37")
    silent = str(some.index[3])
    for person in some.index:
        if person != silent:
            cad.grant(str(person), "research")
    cad.build_cohort("kg", "GRCh37", "research")
    cad.add_to_cohort("kg")
    cad.tag_cohort("kg", "first")
    given = {"store": str(tmp_path / "store"), "cohort": "kg", "tag": "first", "purpose": "research", "group": "SuperPop",
             "people": str(folder / "1kg_samples.psam"), "patient": str(some.index[0]), "draws": 1, "components": 2, "k": 5,
             "lang": "en"}
    done = run_notebook("popgen", given, out=tmp_path / "runs")
    text = page(done)
    assert done.record.consent is not None and done.record.consent.purpose == "research"
    assert done.record.inputs is not None and done.record.inputs.cohort == "kg first" and done.record.inputs.snapshot
    assert silent not in text and silent not in done.notebook.read_text(encoding="utf-8")
    assert "through the consent gate" in text
    refused = run_notebook("popgen", given | {"purpose": "care"}, out=tmp_path / "runs")
    assert refused.status == "failed" and refused.report is None


# --- what does not fit together --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "says"), [
    ({"source": __file__, "store": "s", "cohort": "c"}, "not both"), ({"store": "s"}, "belong together"),
    ({"tag": "t"}, "belong together"), ({"rare": "0"}, "rare"), ({"k": "1"}, "k:"), ({"suorce": "x"}, "unknown parameter")])
def test_parameters_that_contradict_each_other_are_refused(given: dict[str, str], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        validate(Popgen, given)


def test_tables_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "people.tsv"
    table.write_text("sample\tregion\tSEX\nA\tnord\t1\nB\tsud\tfemale\nC\t\tx\n")
    found = read_people(table, "region", ["C", "B"])
    assert found["sex"].tolist() == ["unknown", "female"] and found["group"].tolist() == ["", "sud"]
    with pytest.raises(InputError, match="1 of 2 samples"):
        read_people(table, "region", ["A", "Z"])
    with pytest.raises(ParameterError, match="no column"):
        read_people(table, "country", ["A"])
    table.write_text("sample\tregion\nA\tnord\nA\tsud\n")
    with pytest.raises(InputError, match="two rows"):
        read_people(table, "region", ["A"])
    table.write_text("region\tpopulation\nnord\t10\nsud\t-3\n")
    assert read_weights(table, ["nord"])["population"].tolist() == [10]
    for groups, says in ((["est"], "est"), (["sud"], "above 0")):
        with pytest.raises(InputError, match=says):
            read_weights(table, groups)
    with pytest.raises(NotFoundError):
        read_people(tmp_path / "none.tsv", "region", ["A"])


def test_a_patient_who_is_in_the_panel_is_refused(tmp_path: Path) -> None:
    with gzip.open(popgen_dir() / "patient.vcf.gz", "rt") as lines:
        text = lines.read().replace("PG-PATIENT", "PG0001")
    (tmp_path / "one.vcf").write_text(text)
    with pytest.raises(InputError, match="in the panel"):
        open_study(Popgen(patient=str(tmp_path / "one.vcf")))
    with pytest.raises(GenomicsError, match="one person"):
        open_study(Popgen(patient=str(popgen_dir() / "population.vcf.gz")))


# --- the statistics of the pilot -------------------------------------------------------------------------------------


def test_the_least_count_is_where_the_filtering_frequency_reaches_the_limit() -> None:
    for copies in (60, 500, 2486, 20_000):
        for limit in (0.0001, 0.001, 0.01):
            k = int(least_count(copies, limit))
            if k > copies:
                continue
            assert filtering_allele_frequency(k, copies) >= limit
            assert k == 2 or filtering_allele_frequency(k - 1, copies) < limit


def test_missing_calls_are_not_reference_for_exclusion() -> None:
    calls = np.full((1, 400), -1, np.int8)
    calls[0, :10] = 1
    assert excluded_by_size(calls, [400], 0.01, draws=1)["all"][0, 0] == 1  # ten of twenty copies
    calls[0, 10:] = 0
    assert excluded_by_size(calls, [400], 0.01, draws=1)["all"][0, 0] == 0  # ten of eight hundred
    with pytest.raises(ParameterError):
        excluded_by_size(calls, [401], 0.01)


def test_three_platforms_are_compared_one_against_the_rest() -> None:
    an = np.full((2, 3, 3), 200)
    ac = np.full((2, 3, 3), 20)
    ac[1, :, 2] = 60
    p = mantel_haenszel(ac, an)
    assert p[0] == 1 and p[1] < 1e-12
    with pytest.raises(ParameterError):
        mantel_haenszel(ac[..., :1], an[..., :1])


def test_a_person_alone_under_a_label_is_no_evidence_for_it() -> None:
    missing = np.random.default_rng(0).random((60, 21)) < 0.2
    likely = label_evidence(missing, ["a"] * 20 + ["b"], ["a", "b"])
    assert np.isfinite(likely).all() and likely[20, 1] == pytest.approx(60 * np.log(0.5))
