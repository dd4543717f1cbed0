"""Questions and answers of GA4GH Beacon v2, from published panels alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import ParameterError, StoreError
from genomics_nb.population.beacon import Beacon, answer, read_question
from genomics_nb.population.panel_table import table_of, write_files
from genomics_nb.population.release import Design, Policy
from genomics_nb.store.alleles import encode, keys_of

SITES = [(1, 101, "A", "G"), (1, 201, "C", "T"), (1, 301, "ATT", "A"), (1, 301, "A", "C"), (1, 401, "G", "A"), (2, 101, "A", "G")]
SUMS = np.array([[40, 35], [30, 3], [25, 28], [22, 23], [4, 0], [30, 30]])


def made(folder: Path, rare: str) -> Path:
    """A panel of two groups of 60 and 50 women."""
    from genomics_nb.core.genome import Genome

    offsets = Genome.of("GRCh38").offsets
    place = np.array([offsets[c - 1] + p for c, p, *_ in SITES])
    alleles = np.array([[r, a] for *_, r, a in SITES], object)
    text = alleles.astype(np.dtypes.StringDType())
    key = keys_of(encode(place, text[:, 0], text[:, 1], place))
    order = np.argsort(key)
    sums = SUMS[order]
    exact = xr.Dataset(
        {"variant_AC": (("variants", "strata"), sums), "variant_AN": (("variants", "strata"), np.tile([120, 100], (len(sums), 1))),
         "variant_homozygotes": (("variants", "strata"), np.zeros_like(sums)), "variant_carriers": (("variants", "strata"), sums),
         "variant_key": ("variants", key[order]), "variant_contig": ("variants", np.array([c - 1 for c, *_ in SITES], np.int8)[order]),
         "variant_position": ("variants", np.array([p for _, p, *_ in SITES])[order]), "variant_allele": (("variants", "alleles"), alleles[order]),
         "stratum_group": ("strata", ["North", "South"]), "stratum_sex": ("strata", ["female"] * 2)}, attrs={"genome_build": "GRCh38"})
    policy = Policy(rare=rare)  # type: ignore[arg-type]
    folder.mkdir(parents=True)
    about = {"panel": "demo", "version": "v1", "cohort": "none", "tag": "v1", "snapshot": "none", "build": "GRCh38", "created": "2026-11-24",
             "licence": "none", "policy": policy.as_dict(), "package": "0", "notice": "a test"}
    write_files(folder, [table_of(exact, Design.of(["North", "South"], ["female"] * 2), policy)], about)
    (folder / "manifest.json").write_text(json.dumps(about))
    return folder


@pytest.fixture(scope="module")
def beacon(tmp_path_factory: pytest.TempPathFactory) -> Beacon:
    return Beacon(made(tmp_path_factory.mktemp("a") / "demo" / "v1", "omitted"))


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Beacon:
    return Beacon(made(tmp_path_factory.mktemp("b") / "demo" / "v1", "listed"))


def count(beacon: Beacon, **parameters: object) -> object:
    said = beacon.query({"referenceName": "1", "requestedGranularity": "count", **parameters})
    return said["responseSummary"].get("numTotalResults")


def test_positions_count_from_zero_and_ends_are_excluded(beacon: Beacon) -> None:
    assert count(beacon, start=100, alternateBases="G") == 1 and count(beacon, start=101, alternateBases="G") == 0
    assert count(beacon, start=100, end=101) == 1 and count(beacon, start=99, end=100) == 0 and count(beacon, start=101, end=200) == 0
    assert count(beacon, start=302, end=303) == 1  # the deletion of 301-303 reaches in


def test_both_alleles_decide_and_are_trimmed(beacon: Beacon) -> None:
    assert count(beacon, start=100, referenceBases="A", alternateBases="T") == 0
    assert count(beacon, start=100, referenceBases="AC", alternateBases="GC") == 1
    assert count(beacon, start=100, referenceBases="C", alternateBases="G") == 0
    assert count(beacon, start=300, end=301) == 2 and count(beacon, start=300, end=301, alternateBases="C") == 1


def test_a_bracket_takes_begin_and_end(beacon: Beacon) -> None:
    assert count(beacon, start=[300, 301], end=[303, 304]) == 1
    assert count(beacon, start=[300, 301], end=[301, 302]) == 1
    assert count(beacon, start="100,401", end="101,304") == 4


@pytest.mark.parametrize("name", ["1", "chr1", "CHR1", "NC_000001.11"])
def test_chromosomes_are_named_in_many_ways(beacon: Beacon, name: str) -> None:
    assert beacon.query({"referenceName": name, "start": 100, "alternateBases": "G"})["responseSummary"] == {"exists": True}


def test_the_envelope_is_that_of_the_specification(beacon: Beacon) -> None:
    said = beacon.query({"query": {"requestParameters": {"referenceName": "1", "start": [100], "alternateBases": "G", "assemblyId": "hg38"},
                                   "requestedGranularity": "record", "pagination": {"skip": 0, "limit": 10}}})
    assert set(said) == {"meta", "responseSummary", "info"}
    assert {"beaconId", "apiVersion", "returnedSchemas", "returnedGranularity", "receivedRequestSummary"} <= set(said["meta"])
    assert {"apiVersion", "requestedSchemas", "pagination", "requestedGranularity"} <= set(said["meta"]["receivedRequestSummary"])
    assert said["meta"]["returnedGranularity"] == "count" and said["responseSummary"] == {"exists": True, "numTotalResults": 1}
    assert any("not record" in w for w in said["info"]["warnings"])
    json.dumps(said, allow_nan=False)


def test_suppressed_numbers_are_answered_with_no_number(beacon: Beacon, telling: Beacon) -> None:
    said = beacon.query({"referenceName": "1", "start": 200, "alternateBases": "T", "requestedGranularity": "count"})
    by = {f["population"]: f for f in said["info"]["frequencies"]}
    assert by["all"]["alleleCount"] == 33 and "alleleCount" not in by["North"] and "alleleFrequency" not in by["South"]
    assert "alleleCount" in by["South"]["suppressed"]
    rare = {"referenceName": "1", "start": 400, "alternateBases": "A", "requestedGranularity": "count"}
    hidden = beacon.query(rare)
    assert hidden["responseSummary"] == {"exists": False, "numTotalResults": 0}
    assert any("false does not mean nobody" in w for w in hidden["info"]["warnings"])
    listed = telling.query(rare)
    assert listed["responseSummary"] == {"exists": True} and listed["meta"]["returnedGranularity"] == "boolean"
    assert "frequencies" not in listed["info"] and any("no count" in w for w in listed["info"]["warnings"])
    assert telling.query({"referenceName": "1", "start": 100, "end": 500, "requestedGranularity": "count"})["responseSummary"] == {"exists": True}


@pytest.mark.parametrize(("wrong", "why"), [
    ({}, "referenceName"), ({"referenceName": "1"}, "start"), ({"referenceName": "99", "start": 1, "end": 2}, "no chromosome"),
    ({"referenceName": "1", "start": 5}, "alternateBases"), ({"referenceName": "1", "start": 9, "end": 9}, "behind"),
    ({"referenceName": "1", "start": -4, "end": 9}, "whole numbers"), ({"referenceName": "1", "start": True, "end": 9}, "whole numbers"),
    ({"referenceName": "1", "start": "1;2", "end": 9}, "whole numbers"), ({"referenceName": "1", "start": [1, 2, 3], "end": 9}, "whole numbers"),
    ({"referenceName": "1", "start": [1, 2], "alternateBases": "A"}, "bracket"), ({"referenceName": "1", "start": 1, "alternateBases": "<DEL>"}, "written with"),
    ({"referenceName": "1", "start": 248_956_422, "alternateBases": "A"}, "248956422 bases"),
    ({"referenceName": "1", "start": 1, "alternateBases": "A", "assemblyId": "GRCh37"}, "GRCh38"),
    ({"referenceName": "1", "start": 1, "alternateBases": "A", "datasetIds": "x"}, "datasetIds"),
    ({"query": {"requestParameters": {"referenceName": "1", "start": 1, "end": 9}, "filters": [{"id": "HP:1"}]}}, "filters"),
    ({"referenceName": "1", "start": 1, "end": 9, "requestedGranularity": "everything"}, "granularity"),
])
def test_a_wrong_question_is_refused_with_the_reason(beacon: Beacon, wrong: dict, why: str) -> None:
    with pytest.raises(ParameterError, match=why):
        read_question(wrong, "GRCh38")
    said = answer(beacon, wrong)
    assert said["error"]["errorCode"] == 400 and why in said["error"]["errorMessage"] and "beaconId" in said["meta"]


@settings(max_examples=150, deadline=None)
@given(start=st.integers(80, 420), length=st.integers(1, 120), alternate=st.sampled_from(["", "G", "A", "T", "C"]))
def test_a_range_finds_what_a_look_at_every_row_finds(beacon: Beacon, start: int, length: int, alternate: str) -> None:
    end = start + length
    wanted = sum(c == 1 and p - 1 < end and p - 1 + len(r) > start and alternate in ("", a)
                 for (c, p, r, a), n in zip(SITES, SUMS, strict=True) if n.sum() >= 21)
    assert count(beacon, start=start, end=end, **({"alternateBases": alternate} if alternate else {})) == wanted


def test_a_withdrawn_panel_answers_nothing(tmp_path: Path) -> None:
    folder = made(tmp_path / "demo" / "v1", "omitted")
    (folder / "withdrawn.json").write_text(json.dumps({"date": "2026-11-24", "reason": "a test"}))
    with pytest.raises(StoreError, match="withdrawn"):
        Beacon(folder)
