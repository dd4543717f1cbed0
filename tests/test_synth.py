"""Synthetic genomes and the synthetic family: deterministic, well formed, Mendelian, with the promised texture."""

import gzip
import json
import subprocess
from collections import Counter

import numpy as np
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.family import findings, planted_line, traps, write_family
from genomics_nb.core.reads import likelihoods, put_fixed, put_int
from genomics_nb.core.reference import CONTIG_LENGTHS, PAR_X
from genomics_nb.core.synth import BGZF_END, bgzf, contig_shares, family_dir, genome_trio
from genomics_nb.core.types import ParameterError

pysam.set_verbosity(0)


@given(st.integers(1 - 10**18, 10**18 - 1))
@settings(deadline=None)  # the first call compiles
def test_integers_are_written_as_python_writes_them(value):
    out = np.zeros(32, np.uint8)
    assert out[:put_int(out, 0, value)].tobytes() == str(value).encode()


@given(st.integers(-10**9, 10**9), st.integers(1, 4))
@settings(deadline=None)
def test_fixed_numbers_are_written_as_python_writes_them(units, decimals):
    out = np.zeros(32, np.uint8)
    value = units / 10**decimals
    assert float(out[:put_fixed(out, 0, value, decimals)].tobytes()) == float(f"{value:.{decimals}f}")


@given(st.lists(st.integers(0, 60), min_size=2, max_size=4), st.sampled_from([1, 2]))
@settings(deadline=None)
def test_likelihoods_are_a_valid_pl(reads, ploidy):
    pl = np.zeros(16, np.int64)
    counts = np.zeros(4, np.int64)
    counts[:len(reads)] = reads
    best, gq = likelihoods(pl, counts, len(reads), ploidy)
    n = len(reads) if ploidy == 1 else len(reads) * (len(reads) + 1) // 2
    assert pl[best] == 0 and (pl[:n] >= 0).all() and 0 <= gq <= 99
    if n > 1:
        assert gq == min(99, int(np.sort(pl[:n])[1]))


@given(st.binary(max_size=200_000))
@settings(max_examples=25, deadline=None)
def test_bgzf_is_gzip_and_htslib_reads_it(text):
    assert gzip.decompress(bgzf(text) + BGZF_END) == text


def test_the_same_seed_gives_the_same_file_with_any_number_of_threads(tmp_path):
    one = genome_trio(tmp_path / "a.vcf.gz", 40_000, seed=3, threads=1).read_bytes()
    two = genome_trio(tmp_path / "b.vcf.gz", 40_000, seed=3, threads=4).read_bytes()
    other = genome_trio(tmp_path / "c.vcf.gz", 40_000, seed=4).read_bytes()
    assert one == two != other


@pytest.fixture(scope="module")
def trio(tmp_path_factory):
    path = genome_trio(tmp_path_factory.mktemp("synth") / "trio.vcf.gz", 30_000, seed=11)
    with pysam.VariantFile(str(path)) as file:
        return path, [(r.chrom, r.pos, r.alleles, list(r.filter), dict(r.info), [dict(s) for s in r.samples.values()])
                      for r in file]


def test_a_genome_has_24_contigs_in_order_and_distinct_sorted_positions(trio):
    _, records = trio
    assert len(records) == 30_000
    contigs = list(dict.fromkeys(r[0] for r in records))
    assert contigs == [f"chr{c}" for c in CONTIG_LENGTHS["GRCh38"] if c != "MT"]
    for contig in contigs:
        positions = [r[1] for r in records if r[0] == contig]
        assert all(b > a for a, b in zip(positions, positions[1:], strict=False))
        assert positions[-1] <= CONTIG_LENGTHS["GRCh38"][contig[3:]]


def test_values_have_the_texture_of_real_data(trio):
    _, records = trio
    substitutions = [r[2] for r in records if len(r[2]) == 2 and len(r[2][0]) == len(r[2][1]) == 1]
    ti = sum(set(a) in ({"A", "G"}, {"C", "T"}) for a in substitutions)
    assert 1.8 < ti / (len(substitutions) - ti) < 2.2
    calls = [r[5][0]["GT"] for r in records if r[0] not in ("chrX", "chrY")]
    het = sum(None not in c and len(set(c)) == 2 for c in calls)
    hom = sum(None not in c and len(set(c)) == 1 and c[0] > 0 for c in calls)
    assert 1.1 < het / hom < 2.2 and 0 < sum(None in c for c in calls) < 0.02 * len(calls)
    assert 0.01 < sum(len(r[2]) > 2 for r in records) / len(records) < 0.05
    assert len(Counter(len(a) for r in records for a in r[2])) > 10  # lengths of alleles
    assert set(Counter(r[3][0] for r in records)) == {"PASS", "LowQual", "VQSRTrancheSNP99.90to100.00"}
    names = set().union(*(r[4] for r in records))
    assert names == {"AC", "AF", "AN", "BaseQRankSum", "DB", "DP", "FS", "MQ", "QD", "culprit"}
    assert all(len(set(r[2])) == len(r[2]) for r in records)


def test_every_line_agrees_with_itself(trio):
    for _, _, alleles, _, info, samples in trio[1]:
        called = [a for s in samples for a in s["GT"] if a is not None]
        assert info["AN"] == len(called)
        assert info["AC"] == tuple(called.count(k) for k in range(1, len(alleles)))
        assert info["DP"] == sum(s["DP"] for s in samples)
        for s in samples:
            assert sum(s["AD"]) == s["DP"] and len(s["AD"]) == len(alleles)
            if None not in s["GT"]:
                genotypes = len(alleles) if len(s["GT"]) == 1 else len(alleles) * (len(alleles) + 1) // 2
                assert len(s["PL"]) == genotypes and min(s["PL"]) == 0 and s["GQ"] >= 3


def test_a_son_has_one_x_outside_the_pars_and_women_have_no_y(trio):
    (first, last), (again, _) = PAR_X["GRCh38"]
    for contig, position, _, _, _, (child, father, mother) in trio[1]:
        if contig == "chrX":
            single = last < position < again
            assert {len(child["GT"]), len(father["GT"])} == {1 if single else 2} and len(mother["GT"]) == 2
        if contig == "chrY":
            assert len(child["GT"]) == len(father["GT"]) == 1 and set(mother["GT"]) == {None} and mother["DP"] == 0


def test_htslib_and_bcftools_read_the_whole_file(trio, peer):
    counted = subprocess.run([peer("bcftools"), "view", "-H", str(trio[0])], capture_output=True, check=True)
    assert counted.stdout.count(b"\n") == 30_000 and not counted.stderr


def test_confident_genotypes_of_a_trio_are_mendelian(trio):
    errors = checked = 0
    for contig, _, _, _, _, (child, father, mother) in trio[1]:
        if contig in ("chrX", "chrY") or any(s["GQ"] is None or s["GQ"] < 30 or None in s["GT"] for s in (child, father, mother)):
            continue
        checked += 1
        a, b = child["GT"]
        errors += not ((a in father["GT"] and b in mother["GT"]) or (b in father["GT"] and a in mother["GT"]))
    assert checked > 20_000 and errors / checked < 0.003


@pytest.mark.parametrize("arguments", [{"records": 0}, {"depth": 0}, {"threads": 0}, {"records": 10**10}])
def test_impossible_sizes_are_refused(tmp_path, arguments):
    with pytest.raises(ParameterError):
        genome_trio(tmp_path / "x.vcf.gz", **arguments)


@given(st.integers(1, 10**7), st.integers(1, 24))
def test_shares_add_up(records, n):
    shares = contig_shares(records, tuple(CONTIG_LENGTHS["GRCh38"])[:n])
    assert sum(shares.values()) == records and min(shares.values()) >= 0


# ---- the family -------------------------------------------------------------------------------------------------------

def test_the_committed_family_is_what_the_code_makes(tmp_path):
    made = write_family(tmp_path)
    for name in ("family.ped", "case.json", "truth.tsv", "README.md"):
        assert (made / name).read_text() == (family_dir() / name).read_text(), name
    assert gzip.open(made / "family.vcf.gz").read() == gzip.open(family_dir() / "family.vcf.gz").read()


def test_the_committed_family_is_small_and_says_that_it_is_synthetic():
    files = [f for f in family_dir().iterdir() if f.is_file()]
    assert sum(f.stat().st_size for f in files) < 500_000
    assert "no real person" in (family_dir() / "README.md").read_text()
    assert json.loads((family_dir() / "case.json").read_text())["proband"] == "SYN-001"


def test_every_truth_stands_in_the_file():
    with pysam.VariantFile(str(family_dir() / "family.vcf.gz")) as file:
        for planted in findings() + traps():
            [record] = file.fetch(f"chr{planted.contig}", planted.position - 1, planted.position)
            assert (record.ref, ",".join(record.alts)) == (planted.ref, planted.alt)
            assert planted.gene in record.info["CSQ"][0]
            assert planted_line(planted).split("\t")[9:] == str(record).rstrip().split("\t")[9:]


def test_the_file_holds_what_users_stumble_over():
    with pysam.VariantFile(str(family_dir() / "family.vcf.gz")) as file:
        records = list(file)
    genotypes = [s["GT"] for r in records for s in r.samples.values()]
    assert {len(g) for g in genotypes} == {1, 2}
    assert any(None in g and set(g) != {None} for g in genotypes)  # a half call
    assert any(set(g) == {None} for g in genotypes)
    assert any(len(r.alts) > 1 for r in records) and {"chrX", "chrY", "chrM"} <= {r.chrom for r in records}
    assert {"PASS", "LowQual"} <= {name for r in records for name in r.filter}
