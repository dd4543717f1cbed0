"""Copy number segments and fusions: PCGR's example, the tables of five callers, states by hand, and one clear line for what is wrong."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomics_nb.core.types import InputError, NotFoundError, ParameterError
from genomics_nb.tumour.fusions import read_fusions
from genomics_nb.tumour.segments import (
    Purity, copies_of, copy_numbers, plot_segments, read_gene_places, read_segments, share_altered, state_of)

SEGMENTS = "Chromosome\tStart\tEnd\tnMajor\tnMinor\n17\t1\t7000000\t1\t0\n17\t39000000\t40000000\t11\t1\n13\t1000\t2000\t0\t0\n"


def write(folder: Path, text: str, name: str = "a.tsv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("build", ["grch37", "grch38"])
def test_the_colon_example(build: str, shared_data: Path) -> None:
    path = shared_data / f"tumour/pcgr_T001-COAD.{build}.cna.tsv"
    other = pd.read_csv(path, sep="\t", dtype={"Chromosome": str})
    table = read_segments(path, build={"grch37": "GRCh37", "grch38": "GRCh38"}[build])
    assert len(table) == len(other) and table["total"].sum() == (other["nMajor"] + other["nMinor"]).sum()
    assert set(table["contig"]) == {c.removeprefix("chr") for c in other["Chromosome"]}
    assert (table.groupby("contig")["start"].diff().dropna() > 0).all() and 0 < share_altered(table) < 1


def test_the_tables_of_five_callers(tmp_path: Path) -> None:
    """The same segment: 17:1-7000000 with one copy and none."""
    heads = {"ASCAT": "sample\tchr\tstartpos\tendpos\tnMajor\tnMinor\nx\t17\t1\t7000000\t1\t0\n",
             "FACETS": "chrom\tloc.start\tloc.end\ttcn.em\tlcn.em\n17\t1\t7000000\t1\t0\n",
             "CNVkit": '"chromosome"\t"start"\t"end"\t"log2"\n"chr17"\t"1"\t"7000000"\t"-1"\n',
             "totals": "# made by hand\r\nContig\tStart\tEnd\tTotal\r\nchr17\t1\t7000000\t1\r\n",
             "PCGR": "Chromosome\tStart\tEnd\tnMajor\tnMinor\n17\t1\t7000000\t1\t0\n"}
    for name, text in heads.items():
        table = read_segments(write(tmp_path, text), Purity(1.0, 2.0))
        assert table[["contig", "start", "end", "total"]].values.tolist() == [["17", 1, 7000000, 1.0]], name
        assert np.isnan(table["minor"][0]) == (name in ("CNVkit", "totals"))


def test_a_log_ratio_says_nothing_without_purity_and_ploidy(tmp_path: Path) -> None:
    path = write(tmp_path, "chromosome\tstart\tend\tseg.mean\n1\t1\t100\t0.5\n")
    for known in (Purity(), Purity(0.6), Purity(None, 2.0)):
        assert np.isnan(read_segments(path, known)["total"][0])
    assert read_segments(path, Purity(0.6, 2.0))["total"][0] == pytest.approx(2 + 2 * (2**0.5 - 1) / 0.6)


@given(st.floats(0.05, 1), st.floats(1, 6), st.floats(0, 40))
def test_copies_come_back_from_their_mixture(purity: float, ploidy: float, copies: float) -> None:
    mean = purity * ploidy + 2 * (1 - purity)
    with np.errstate(divide="ignore"):
        ratio = np.log2(np.array([(purity * copies + 2 * (1 - purity)) / mean]))
    assert copies_of(ratio, Purity(purity, ploidy))[0] == pytest.approx(copies, abs=1e-6)


@pytest.mark.parametrize(("purity", "ploidy"), [(0.0, 2), (1.01, 2), (70, 2), (-1, 2), (float("nan"), 2), (0.5, 0), (0.5, 100), (0.5, float("nan"))])
def test_absurd_purity_and_ploidy(purity: float, ploidy: float) -> None:
    with pytest.raises(ParameterError):
        Purity(purity, ploidy)


@pytest.mark.parametrize(("total", "minor", "ploidy", "state"), [
    (0, 0, 2, "homozygous deletion"), (1, 0, 2, "loss"), (2, 1, 2, "neutral"), (2, 0, 2, "cnLOH"), (3, 1, 2, "gain"), (5, 1, 2, "gain"),
    (6, 1, 2, "amplification"), (12, 0, 2, "amplification"), (2, 1, 4, "loss"), (4, 2, 4, "neutral"), (4, 0, 4, "cnLOH"), (6, 2, 4, "amplification"),
    (5, 2, 4, "gain"), (2, np.nan, 2, "neutral"), (np.nan, np.nan, 2, ""), (0, 0, 4, "homozygous deletion")])
def test_states(total: float, minor: float, ploidy: float, state: str) -> None:
    """A minor allele that is not known is no loss of heterozygosity."""
    assert state_of(total, minor, ploidy) == state


def test_genes_over_segments(tmp_path: Path) -> None:
    genes = read_gene_places(write(tmp_path, "chr17\t7668401\t7687550\tFAR\n17\t6999989\t7000010\tHALF\n17\t39688093\t39728660\tERBB2\n"
                                             "X\t1\t5\tNONE\n13\t1500\t1600\tGONE\n13\t1\t2\tGONE\n"))
    table = copy_numbers(read_segments(write(tmp_path, SEGMENTS, "b.tsv")), genes).set_index("gene")
    assert table["state"].to_dict() == {"FAR": "", "HALF": "loss", "ERBB2": "amplification", "NONE": "", "GONE": "homozygous deletion"}
    assert table.loc["HALF", "covered"] == pytest.approx(11 / 21) and table.loc["ERBB2", "total"] == 12 and not table.attrs["ploidy_known"]
    gff = "##gff-version 3\n17\tx\tgene\t39688094\t39728660\t.\t+\t.\tID=g;Name=ERBB2\n17\tx\texon\t1\t2\t.\t+\t.\tName=E\n"
    assert read_gene_places(write(tmp_path, gff, "g.gff3")).values.tolist() == [["ERBB2", "17", 39688094, 39728660]]
    none = copy_numbers(read_segments(write(tmp_path, SEGMENTS.splitlines()[0] + "\n", "c.tsv")), genes)
    assert none["state"].eq("").all() and none["total"].isna().all()


@pytest.mark.parametrize(("old", "new", "words"), [
    ("17\t1\t", "17\t8000000\t", "line 2, field end: the end is before"), ("\t1\t0\n17", "\t1\t2\n17", "line 2, field minor"),
    ("39000000", "6999999", "line 3, field start: two segments overlap"), ("7000000", "700000000", "line 2, field end: behind the end"),
    ("13\t1000", "77\t1000", "line 4, field contig: no chromosome"), ("\t11\t", "\televen\t", "line 3, field nmajor"),
    ("\t11\t", "\t-1\t", "line 3, field nmajor"), ("\t11\t", "\tinf\t", "line 3, field nmajor"), ("\t11\t1\n", "\t11\n", "line 3: not 5 columns"),
    ("17\t1\t7000000", "17\t\t7000000", "line 2"), ("17\t1\t", "17\t1.5\t", "line 2, field start: not a place"), ("7000000", "1e300", "line 2, field start: not a place"),
    ("nMajor\tnMinor", "a\tb", "nMajor, total or seg.mean"), ("Start", "From", "no column start")])
def test_a_fault_is_one_line_with_its_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_segments(write(tmp_path, SEGMENTS.replace(old, new, 1)), build="GRCh38")
    text = str(caught.value)
    assert words in text and "a.tsv" in text and "\n" not in text and "eleven" not in text


def test_copies_that_do_not_add_up(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="add up"):
        read_segments(write(tmp_path, "chr\tstart\tend\tmajor\tminor\ttotal\n1\t1\t9\t2\t1\t4\n"))


@pytest.mark.parametrize("read", [read_segments, read_fusions])
def test_files_that_are_no_table(read, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    packed = gzip.compress(SEGMENTS.encode() * 50)
    for content in (b"", b"\n\n", packed[:40], b"\x1f\x8b\x08", b"\xff\xfe\x00\x01", b"x" * (17 << 20), b"PK\x03\x04", b"<html></html>",
                    gzip.compress(b"chr\tstart\tend\ttotal\n" + b"1\t1\t2\t2\n" * 200_000)):
        path = tmp_path / "bad.tsv"
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read(path)
        assert "bad.tsv" in str(caught.value) and len(str(caught.value)) < 400
    with pytest.raises(NotFoundError):
        read(tmp_path / "none.tsv")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tsv"
    path.write_bytes(gzip.compress(b"chr\tstart\tend\ttotal\n" + b"\0" * (200 << 20), 1))
    for read in (read_segments, read_fusions):
        with pytest.raises(InputError):
            read(path)


@pytest.mark.parametrize("line", ["17\t5\t5\tG", "17\t9\t5\tG", "17\t-1\t5\tG", "17\tx\t5\tG", "17\t1\t5", "nothing", "17\t²\t5\tG", "17\t1\t99999999999\tG",
                                  "17\tx\tgene\t0\t5\t.\t+\t.\tName=G", "A" * (3 << 20)])
def test_places_of_genes_that_are_none(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match="line 2: no place of a gene"):
        read_gene_places(write(tmp_path, f"17\t1\t5\tA\n{line}\n"))


def test_places_of_genes_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "genes.bed"
    path.write_bytes(gzip.compress(b"17\t1\t5\tA\n" * 100)[:30])
    with pytest.raises(InputError, match="genes.bed: cannot be read"):
        read_gene_places(path)


def test_a_column_twice_is_refused_and_one_named_line_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1: a column stands there twice"):
        read_segments(write(tmp_path, "chr\tstart\tend\tstart\ttotal\n1\t1\t9\t1\t2\n"))
    assert read_segments(write(tmp_path, "chr\tstart\tend\tline\ttotal\n1\t1\t9\tx\t2\n"))["total"].tolist() == [2]


def test_the_share_of_the_genome(tmp_path: Path) -> None:
    text = "chr\tstart\tend\ttotal\n1\t1\t100\t2\n2\t1\t50\t3\n2\t51\t100\t1\nX\t1\t999\t1\n"
    table = read_segments(write(tmp_path, text))
    assert share_altered(table) == 0.5 and share_altered(table, 3.1) == pytest.approx(0.75)
    assert np.isnan(share_altered(table.iloc[:0]))


def test_the_plot_cuts_what_is_high(tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    table = read_segments(write(tmp_path, SEGMENTS), build="GRCh38")
    figure = plot_segments(table, marks=copy_numbers(table, read_gene_places(write(tmp_path, "17\t39688093\t39728660\tERBB2\n", "g.bed"))))
    ax = figure.axes[0]
    assert max(float(np.max(line.get_ydata())) for line in ax.lines if len(set(line.get_xdata())) > 1) == 8
    assert any("ERBB2 12" in text.get_text() for text in ax.texts)
    plt.close(figure)


# ---- fusions


@pytest.mark.parametrize("build", ["grch37", "grch38"])
def test_fusions_of_the_example(build: str, shared_data: Path) -> None:
    path = shared_data / f"tumour/pcgr_T001-COAD.{build}.fusions.tsv"
    lines = path.read_text().splitlines()[1:]
    table = read_fusions(path)
    assert len(table) == len([line for line in lines if line.strip()]) and table["name"].str.contains("::").all()


def test_three_callers_say_one_fusion(tmp_path: Path) -> None:
    star = "#FusionName\tJunctionReadCount\tLeftBreakpoint\tRightBreakpoint\tPROT_FUSION_TYPE\nEML4--ALK\t12\tchr2:42295516:+\tchr2:29223528:-\tINFRAME\n"
    arriba = ("#gene1\tgene2\tbreakpoint1\tbreakpoint2\tsplit_reads1\tsplit_reads2\treading_frame\tconfidence\n"
              "EML4\tALK\t2:42295516\t2:29223528\t7\t5\tin-frame\thigh\n")
    tables = [read_fusions(write(tmp_path, text)) for text in (star, arriba)]
    for table in tables:
        assert table.iloc[0, :7].tolist() == ["EML4::ALK", "EML4", "ALK", "2:42295516", "2:29223528", 12.0, True]


def test_a_partner_or_frame_that_is_not_known(tmp_path: Path) -> None:
    table = read_fusions(write(tmp_path, "FusionGene\tSplitReads\tin_frame\n--ALK\t.\t.\nNTRK1--\t3\tno\n"))
    assert table["name"].tolist() == ["?::ALK", "NTRK1::?"] and table["in_frame"].tolist() == [None, False] and np.isnan(table["split_reads"][0])


@pytest.mark.parametrize(("row", "words"), [
    ("EML4\t1\t1:1\t1:2", "line 3: no pair"), ("--\t1\t1:1\t1:2", "line 3: no pair"), ("A--B--C\t1\t1:1\t1:2", "line 3: no pair"),
    ("<b>--ALK\t1\t1:1\t1:2", "line 3: no pair"), ("=A--ALK\t1\t1:1\t1:2", "line 3: no pair"), ("A--B\t-1\t1:1\t1:2", "line 3: not a number"),
    ("A--B\tmany\t1:1\t1:2", "line 3: not a number"), ("A--B\t²\t1:1\t1:2", "line 3: not a number"),
    ("A--B\t" + "9" * 5000 + "\t1:1\t1:2", "line 3: not a number"), ("A--B\t1\t1:1", "line 3: not 4 columns"), ("EML4--ALK\t9\t2:5\t2:9", "line 3: a fusion stands there twice")])
def test_a_fusion_that_cannot_be_read(tmp_path: Path, row: str, words: str) -> None:
    text = f"FusionGene\tSplitReads\tLeftBreakpoint\tRightBreakpoint\nEML4--ALK\t4\t2:5\t2:9\n{row}\n"
    with pytest.raises(InputError) as caught:
        read_fusions(write(tmp_path, text))
    assert words in str(caught.value) and "<b>" not in str(caught.value)


def test_no_fusion_found_is_an_empty_table(tmp_path: Path) -> None:
    assert read_fusions(write(tmp_path, "FusionGene\tSplitReads\n")).empty
