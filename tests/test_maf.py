"""MAF files: TCGA's known answers, older names, faults by rule and line, and a file that cannot be read says where."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomics_nb.core.types import GenomicsError, InputError, NotFoundError, ParameterError
from genomics_nb.tumour.maf import (
    NEEDED, check_maf, load_maf, maf_build, read_maf, to_maf_alleles, to_vcf_alleles, write_maf)

KRAS = ["KRAS", "12", "25245350", "Missense_Mutation", "SNP", "C", "T", "T-001"]
BASES = st.text("ACGT", min_size=1, max_size=6)


def maf(folder: Path, *rows: list[str], names: tuple[str, ...] = NEEDED, head: str = "", end: str = "\n") -> Path:
    path = folder / "a.maf"
    path.write_bytes((head + end.join("\t".join(row) for row in ([*names], *rows)) + end).encode())
    return path


def test_the_known_answers_of_laml(shared_data: Path) -> None:
    """maftools' example: 193 tumours; mutated samples of the three leading genes."""
    table = load_maf(shared_data / "tumour/tcga_laml.maf.gz")
    mutated = table.groupby("Hugo_Symbol")["Tumor_Sample_Barcode"].nunique().sort_values(ascending=False)
    assert table["Tumor_Sample_Barcode"].nunique() == 193
    assert mutated.head(3).to_dict() == {"FLT3": 52, "DNMT3A": 48, "NPM1": 33}
    assert maf_build(table["NCBI_Build"]) == "GRCh37" and "HGVSp_Short" in table and table["End_Position"].dtype == np.int64


@pytest.mark.parametrize("name", ["Firehose_COAD", "MC3_READ", "MC3_SARC"])
def test_blocks_give_what_pandas_gives(name: str, shared_data: Path) -> None:
    path = shared_data / f"tumour/tcga_{name}.maf.tsv.gz"
    other = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=3, comment=None)
    parts = list(read_maf(path, block=1 << 20))
    table = pd.concat(parts, ignore_index=True)
    assert len(parts) > 3 and table["line"].tolist() == list(range(2, len(other) + 2))
    assert table["Hugo_Symbol"].tolist() == other["Hugo_Symbol"].str.strip().tolist()
    assert table["Start_Position"].tolist() == other["Start_Position"].astype(float).astype(int).tolist()
    pd.testing.assert_frame_equal(table, load_maf(path))


@pytest.mark.parametrize("name", ["tcga_laml.maf.gz", "tcga_MC3_SARC.maf.tsv.gz"])
def test_what_was_written_reads_the_same(name: str, shared_data: Path, tmp_path: Path) -> None:
    table = load_maf(shared_data / "tumour" / name)
    again = load_maf(write_maf(table, tmp_path / "out.maf"))
    pd.testing.assert_frame_equal(again.drop(columns="line"), table.drop(columns="line"), check_like=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out.maf"]


def test_line_ends_comments_and_a_byte_order_mark(tmp_path: Path) -> None:
    plain = load_maf(maf(tmp_path, KRAS)).drop(columns="line")
    for head, end in (("", "\r\n"), ("#version 2.4\n# by a caller\n", "\n"), ("\ufeff", "\n")):
        table = load_maf(maf(tmp_path, KRAS, head=head, end=end))
        pd.testing.assert_frame_equal(table.drop(columns="line"), plain)
        assert table["line"].tolist() == [2 + head.count("\n")]
    path = tmp_path / "b.maf"
    path.write_bytes(gzip.compress(maf(tmp_path, KRAS).read_bytes()))
    pd.testing.assert_frame_equal(load_maf(path).drop(columns="line"), plain)


def test_older_files_name_sex_chromosomes_by_number(tmp_path: Path) -> None:
    rows = [[*KRAS[:1], contig, *KRAS[2:]] for contig in ("chr7", "23", "24", "MT", "X")]
    assert load_maf(maf(tmp_path, *rows))["Chromosome"].tolist() == ["7", "X", "Y", "MT", "X"]


def test_new_names_win_over_old_ones(tmp_path: Path) -> None:
    names = (*NEEDED, "Protein_Change", "HGVSp_Short")
    assert load_maf(maf(tmp_path, [*KRAS, "p.OLD", "p.G12D"], names=names))["HGVSp_Short"].tolist() == ["p.G12D"]


@pytest.mark.parametrize(("place", "value", "field"), [
    (2, "", "Start_Position"), (2, "0", "Start_Position"), (2, "-5", "Start_Position"), (2, "12.5", "Start_Position"),
    (2, "1e300", "Start_Position"), (2, "inf", "Start_Position"), (2, "<b>1</b>", "Start_Position"), (2, "NA", "Start_Position"),
    (7, "", "Tumor_Sample_Barcode"), (1, "", "Chromosome")])
def test_a_wrong_cell_is_named_by_line_and_column(tmp_path: Path, place: int, value: str, field: str) -> None:
    bad = KRAS[:place] + [value] + KRAS[place + 1:]
    with pytest.raises(InputError) as caught:
        load_maf(maf(tmp_path, KRAS, bad, head="#version 2.4\n"))
    text = str(caught.value)
    assert "a.maf" in text and "line 4" in text and field in text and "\n" not in text
    assert not value or value not in text.replace("a.maf", "").replace("line 4", "").replace("above 0", "")


def test_rows_and_headers_that_do_not_fit(tmp_path: Path) -> None:
    for rows, names, words in (([KRAS, KRAS[:-1]], NEEDED, ("line 3", "8 columns")), ([KRAS, [*KRAS, "x"]], NEEDED, ("line 3",)),
                               ([KRAS], NEEDED[1:] + ("more",), ("Hugo_Symbol",)),
                               ([[*KRAS, "1"]], (*NEEDED, "Chromosome"), ("twice",))):
        with pytest.raises(InputError) as caught:
            load_maf(maf(tmp_path, *rows, names=names))
        assert all(word in str(caught.value) for word in words), str(caught.value)


def test_files_that_are_no_maf(tmp_path: Path, shared_data: Path) -> None:
    whole = (shared_data / "tumour/tcga_laml.maf.gz").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for content in (b"", b"\n", b"\x1f\x8b", whole[:len(whole) // 2], bytes(flipped), b"#" * 3000 + b"\n", b"\xff\xfe\x00",
                    b"# only\n" * 2000, b"x" * (3 << 20)):
        path = tmp_path / "bad.maf"
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            load_maf(path)
        assert "bad.maf" in str(caught.value) and len(str(caught.value)) < 400
    with pytest.raises(NotFoundError):
        load_maf(tmp_path / "none.maf")
    assert load_maf(maf(tmp_path)).empty


def test_a_cohort_is_not_held_whole(shared_data: Path) -> None:
    with pytest.raises(ParameterError, match="blocks"):
        load_maf(shared_data / "tumour/tcga_laml.maf.gz", most=1000)


def test_each_rule_finds_its_fault(tmp_path: Path) -> None:
    names = (*NEEDED, "End_Position", "Strand", "NCBI_Build")
    good = [*KRAS, KRAS[2], "+", "GRCh38"]
    change = {"class": {3: "Mis"}, "type": {4: "SUB"}, "bases": {5: "<script>", 4: "ONP"}, "order": {8: "25245349"},
              "length": {8: "25245351"}, "change": {6: "C"}, "strand": {9: "-"}, "build": {10: "hg19"}, "once": {}}
    for rule, cells in change.items():
        second = [cells.get(n, value) for n, value in enumerate(good)]
        if rule != "once":
            second[7] = "T-002"
        found = check_maf(load_maf(maf(tmp_path, good, second, names=names)))
        assert rule in found["rule"].tolist() and set(found["line"]) == {3}, (rule, found)
    assert check_maf(load_maf(maf(tmp_path, good, names=names))).empty


def test_real_files_keep_most_rules(shared_data: Path) -> None:
    """MC3 was made by rule; Firehose and the old LAML file have classes and lengths of their own."""
    sarc = check_maf(load_maf(shared_data / "tumour/tcga_MC3_SARC.maf.tsv.gz"))
    laml = check_maf(load_maf(shared_data / "tumour/tcga_laml.maf.gz"))
    assert not {"bases", "order", "change", "type"} & {*sarc["rule"], *laml["rule"]}


def test_two_builds_in_one_file() -> None:
    assert maf_build(pd.Series(["37", "hg19", ""])) == "GRCh37" and maf_build(pd.Series(["", "T2T"])) == "unknown"
    with pytest.raises(InputError, match="two genome builds"):
        maf_build(pd.Series(["hg38", "37"]))


def test_a_spreadsheet_executes_nothing(tmp_path: Path) -> None:
    table = load_maf(maf(tmp_path, ["=cmd|' /C calc'!A0", *KRAS[1:]])).assign(note="@SUM(1)\tx\ny")
    text = write_maf(table, tmp_path / "out.maf").read_text()
    assert not any(cell.startswith(("=", "@", "+cmd")) for line in text.splitlines() for cell in line.split("\t"))
    assert len(text.splitlines()) == 3
    with pytest.raises(ParameterError, match="Chromosome"):
        write_maf(table.drop(columns="Chromosome"), tmp_path / "out.maf")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.maf"
    write_maf(load_maf(maf(tmp_path, KRAS)), path)
    before = path.read_bytes()
    with pytest.raises(GenomicsError):
        write_maf(load_maf(maf(tmp_path, KRAS)).drop(columns="Chromosome"), path)
    assert path.read_bytes() == before


@given(st.integers(1, 10**8), BASES, BASES, st.sampled_from("ACGT"))
def test_alleles_go_to_a_maf_and_back(position: int, ref: str, alt: str, before: str) -> None:
    """The change is the same on the sequence, whatever the padding."""
    if ref == alt:
        return
    padded_ref, padded_alt = before + ref, before + alt
    start, end, left, right, kind = to_maf_alleles(position, padded_ref, padded_alt)
    sequence = padded_ref
    if kind == "INS":
        at = start - position + 1
        assert sequence[:at] + right + sequence[at:] == padded_alt and end == start + 1
        back = to_vcf_alleles(start, left, right, sequence[at - 1])
    else:
        at = start - position
        assert sequence[at:at + len(left)] == left and end == start + len(left) - 1
        assert sequence[:at] + right.replace("-", "") + sequence[at + len(left):] == padded_alt
        back = to_vcf_alleles(start, left, right, sequence[at - 1] if kind == "DEL" else "")
    place, r, a = back
    at = place - position
    assert sequence[at:at + len(r)] == r and sequence[:at] + a + sequence[at + len(r):] == padded_alt


def test_an_indel_without_the_base_before() -> None:
    with pytest.raises(ParameterError, match="base before"):
        to_vcf_alleles(10, "-", "A")
