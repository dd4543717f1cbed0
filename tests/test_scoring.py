"""Scores of the PGS Catalog: files read and refused, alleles matched as plink2 needs them, and sums equal to a plain loop and to plink2."""

import gzip
import subprocess
from pathlib import Path

import array_api_strict as strict
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import GenomicsError, InputError, NotFoundError
from genomics_nb.diabetes.matching import agreement, complement, is_ambiguous, match
from genomics_nb.diabetes.scoring import read_scoring
from genomics_nb.diabetes.weighted_sums import count_missing, sum_weights_array, sum_weights_block, sum_weights_reference
from genomics_nb.population.planes import pack_block

HEAD = "#pgs_id=PGS1\n#genome_build=GRCh37\n#HmPOS_build=GRCh38\n"
NAMES = "rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\thm_chr\thm_pos\n"
ROWS = "rs1\t1\t10\tA\tG\t0.5\t1\t110\nrs2\t1\t20\tC\tT\t-1e-3\tchr2\t120\n"


def write(folder: Path, text: str, packed: bool = False) -> Path:
    file = folder / ("s.txt.gz" if packed else "s.txt")
    file.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return file


@pytest.mark.parametrize("packed", [False, True])
def test_positions_are_those_of_the_build_that_is_asked_for(tmp_path: Path, packed: bool) -> None:
    file = write(tmp_path, HEAD + NAMES + ROWS, packed)
    new, old = read_scoring(file, "GRCh38"), read_scoring(file, "GRCh37")
    assert new.table[["contig", "position"]].values.tolist() == [["1", 110], ["2", 120]] and new.harmonised
    assert old.table["position"].tolist() == [10, 20] and not old.harmonised
    assert new.table["line"].tolist() == [5, 6] and new.table["dose2"].tolist() == [1.0, -2e-3]


@pytest.mark.parametrize(("text", "line", "said"), [
    (HEAD + NAMES + ROWS.replace("0.5", "half"), 5, "not a number"), (HEAD + NAMES + ROWS.replace("0.5", "inf"), 5, "not a number"),
    (HEAD + NAMES + ROWS + "rs3\t1\t30\n", 7, "columns"), ("#genome_build=hg18\n" + NAMES + ROWS, None, "no positions"), (HEAD + NAMES, None, "no rows"),
    ("a\tb\n1\t2\n", 1, "columns of a scoring file"), (HEAD + NAMES.replace("rsID", "effect_allele") + ROWS, 4, "columns of a scoring file"), ("", None, "columns")])
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, line: int | None, said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        read_scoring(write(tmp_path, text), "GRCh38")
    assert line is None or error.value.line == line


def test_a_cut_file_and_none_are_refused(tmp_path: Path) -> None:
    body = HEAD + NAMES + "".join(f"rs{n}\t1\t{n}\tA\tG\t0.{n}\t1\t{n}\n" for n in range(1, 3000))
    file = tmp_path / "cut.txt.gz"
    file.write_bytes(gzip.compress(body.encode())[:-400])
    with pytest.raises(InputError):
        read_scoring(file, "GRCh38")
    with pytest.raises(NotFoundError):
        read_scoring(tmp_path / "none", "GRCh38")
    with pytest.raises(GenomicsError, match="build"):
        read_scoring(write(tmp_path, HEAD + NAMES + ROWS), "hg19")


def test_dosage_columns_dominant_and_recessive_rows(tmp_path: Path) -> None:
    names = "effect_allele\tother_allele\teffect_weight\tis_dominant\tis_recessive\tdosage_0_weight\tdosage_1_weight\tdosage_2_weight\thm_chr\thm_pos\n"
    rows = "A\tG\t2\tTrue\tFalse\t\t\t\t1\t1\nA\tG\t2\tFalse\tTrue\t\t\t\t1\t2\nA\tG\t\t\t\t0.1\t0.2\t0.9\t1\t3\nA\tG\t\t\t\t\t\t\t1\t4\n"
    table = read_scoring(write(tmp_path, HEAD + names + rows), "GRCh38").table
    assert table[["dose0", "dose1", "dose2"]].values[:3].tolist() == [[0, 2, 2], [0, 0, 2], [0.1, 0.2, 0.9]]
    assert table["unusable"].tolist() == ["", "", "", "no weight"]


@given(effect=st.text("ACGT", min_size=1, max_size=3), other=st.text("ACGT", max_size=3), ref=st.text("ACGT", min_size=1, max_size=3), alt=st.text("ACGT", min_size=1, max_size=3))
def test_agreement_is_symmetric_in_the_strand(effect: str, other: str, ref: str, alt: str) -> None:
    kind = agreement(effect, other, ref, alt)
    if kind and not is_ambiguous(effect, other) and other and ref != alt:
        turned = agreement(complement(effect), complement(other), ref, alt)
        assert (kind.startswith("swapped") == turned.startswith("swapped")) and kind != turned


@given(rows=st.integers(0, 70), people=st.integers(1, 140), scores=st.integers(1, 6), seed=st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_sums_are_those_of_the_plain_loop(rows: int, people: int, scores: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    calls = rng.integers(-1, 2, (rows, people, 2)).astype(np.int8)
    planes, table = pack_block(calls), rng.normal(size=(rows, 4, scores))
    plain = sum_weights_reference(planes, table, people)
    np.testing.assert_allclose(sum_weights_block(planes, table, people), plain, rtol=0, atol=1e-10)
    used = rng.random((rows, scores)) < 0.5
    expected = (calls.min(axis=2) < 0).T.astype(int) @ used if rows else np.zeros((people, scores), int)
    assert (count_missing(planes, used, people) == expected).all()


def test_the_array_twin_needs_the_array_api_alone() -> None:
    rng = np.random.default_rng(3)
    planes, table = pack_block(rng.integers(-1, 2, (40, 70, 2)).astype(np.int8)), rng.normal(size=(40, 4, 2))
    found = sum_weights_array(strict.asarray(planes), strict.asarray(table), 70)
    np.testing.assert_allclose(np.asarray(found), sum_weights_reference(planes, table, 70), atol=1e-10)


def test_additive_scores_with_mean_imputation_are_plinks(tmp_path: Path, peer) -> None:  # noqa: ANN001
    rng = np.random.default_rng(8)
    n, people = 120, 60
    calls = np.where(rng.random((n, people, 1)) < 0.03, -1, rng.integers(0, 2, (n, people, 2))).astype(np.int8)
    lines = ["##fileformat=VCFv4.2", "##contig=<ID=1>", '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">',
             "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(f"P{i}" for i in range(people))]
    for v in range(n):
        cells = ["./." if a < 0 else f"{a}/{b}" for a, b in calls[v]]
        lines.append(f"1\t{v + 1}\tv{v}\tG\tA\t.\t.\t.\tGT\t" + "\t".join(cells))
    (tmp_path / "a.vcf").write_text("\n".join(lines) + "\n")
    weight = rng.normal(size=n).round(4)
    (tmp_path / "score.tsv").write_text("".join(f"v{v}\t{'A' if v % 3 else 'G'}\t{weight[v]}\n" for v in range(n)))
    subprocess.run([peer("plink2"), "--vcf", tmp_path / "a.vcf", "--score", tmp_path / "score.tsv", "cols=+scoresums", "--out", tmp_path / "p"],
                   check=True, capture_output=True)
    theirs = pd.read_csv(tmp_path / "p.sscore", sep="\t")["SCORE1_SUM"].to_numpy()
    alt = np.where(calls.min(axis=2) < 0, np.nan, calls.sum(axis=2))
    mean = np.nanmean(alt, axis=1)
    table = np.zeros((n, 4, 1))
    for v in range(n):
        doses = np.array([0.0, 1.0, 2.0, mean[v]])
        table[v, :, 0] = weight[v] * (doses if v % 3 else 2 - doses)
    np.testing.assert_allclose(sum_weights_block(pack_block(calls), table, people)[:, 0], theirs, rtol=2e-5, atol=2e-5)


def test_a_score_of_another_build_finds_nothing_and_says_so(tmp_path: Path) -> None:
    scoring = read_scoring(write(tmp_path, HEAD + NAMES + ROWS), "GRCh38")
    sites = pd.DataFrame({"contig": ["1"], "position": [999], "ref": ["G"], "alt": ["A"], "shared": [False]})
    with pytest.raises(InputError, match="build"):
        match(scoring, sites)
    here = pd.DataFrame({"contig": ["1", "2"], "position": [110, 120], "ref": ["G", "C"], "alt": ["A", "T"], "shared": False})
    found = match(scoring, here)
    assert found.answer.tolist() == ["direct", "swapped"] and found.coverage == 1 and found.lost().empty
