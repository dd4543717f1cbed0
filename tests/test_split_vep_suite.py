"""Every line of bcftools' own suite about split-vep: what it prints, from our table, or why not."""

import csv
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

from genomics_nb.variant.consequence import consequence_table, genes
from genomics_nb.variant.severity import RANK, severity, so_term

ABSENT = "its input is not in the shared data"
COLUMN = "prints a column of VEP that says nothing of gene, transcript or consequence (a frequency, a score, a position)"
LEFT_OUT = {
    **dict.fromkeys(("1", "1.1", "2", "2.1", "3", "3.1", "4", "9", "10", "11", "12", "12.2", "12.3", "12.4", "14", "26", "27"),
                    f"{ABSENT}: split-vep.vcf"),
    **dict.fromkeys(("select-tr-expr.1.out", "select-tr-expr.2.out", "select-tr-expr.3.out"), "its output is not in the shared data"),
    **dict.fromkeys(("5", "6", "17", "25", "types.1", "types.2", "filter-missing-bt2098.1", "broken-LoF.2"), COLUMN),
    "7.1": "the worst term inside the entry of line 7; we keep all terms of an entry, and line 7 is checked",
    "8": "line 7 for each sample with an ALT; genotypes are not of this table",
    "18": "repeats the input, text by text; test_consequence compares every entry",
    "19": "as line 18",
    "24": "a column of the annotation that is called POS; its consequence is in line 23",
    "filter.2": "line filter.1 and the whole text of the entry",
}
LEFT_OUT = {name if name.endswith(".out") else f"split-vep.{name}.out": reason for name, reason in LEFT_OUT.items()}


def so(terms: str) -> str:
    return "&".join(so_term(t) for t in terms.lstrip("*").split("&"))


@pytest.fixture
def told(shared_data: Path, stored: Callable[..., xr.Dataset]) -> Callable[..., pd.DataFrame]:
    """The table of a file of the suite, with contig and position of each row."""

    def read(name: str, **options: str) -> pd.DataFrame:
        ds = stored(shared_data / f"bcftools/{name}.vcf")
        table = consequence_table(ds, **options)
        rows = table.variant.to_numpy()
        return table.assign(position=ds.variant_position.values[rows], contig=ds.contig_id.values[ds.variant_contig.values[rows]].astype(object))

    return read


@pytest.fixture
def expected(shared_data: Path) -> Callable[[str], list[list[str]]]:
    """Words of each line of an expected output, "" for the dot."""

    def read(name: str) -> list[list[str]]:
        lines = (shared_data / f"bcftools/split-vep.{name}.out").read_text().splitlines()
        return [["" if word == "." else word for word in line.replace(" ", "\t").split("\t")] for line in lines]

    return read


CHECKED = {"7", "13", "13.1", "15", "16", "20", "21", "22", "23", "gene-list.1", "gene-list.2", "gene-list.3", "broken-LoF", "filter.1"}


def test_no_line_of_the_suite_is_forgotten(shared_data: Path) -> None:
    with (shared_data / "bcftools/commands.tsv").open() as file:
        outs = {row[4] for row in csv.reader(file, delimiter="\t") if len(row) > 4 and row[1] == "+split-vep"}
    assert outs == set(LEFT_OUT) | {f"split-vep.{name}.out" for name in CHECKED}
    missing = {out for out, reason in LEFT_OUT.items() if reason.startswith(ABSENT)}
    assert missing and not (shared_data / "bcftools/split-vep.vcf").exists()


def test_lines_13_and_23_every_column_of_every_entry(told: Callable[..., pd.DataFrame], expected: Callable[[str], list[list[str]]]) -> None:
    columns = ["consequence", "gene", "transcript", "biotype", "amino_acid_change", "dna_change"]
    table = told("split-vep.4", field="BCSQ")
    for name in ("13", "13.1"):
        want = [[int(row[0]), so(row[1]), *row[2:5], *row[6:]] for row in expected(name)]
        ours = table.assign(consequence=[severity(t).terms for t in table.consequence])
        if name == "13.1":  # the worst term alone
            ours["consequence"] = [min(t.split("&"), key=RANK.__getitem__) for t in table.consequence]
            want = [[row[0], min(row[1].split("&"), key=RANK.__getitem__), *row[2:]] for row in want]
        assert ours[["position", *columns]].values.tolist() == want
    want = [[row[0], int(row[1]), so(row[4]), row[5], row[6], row[7], row[9], row[10]] for row in expected("23")]
    assert told("split-vep.9", field="BCSQ")[["contig", "position", *columns]].values.tolist() == want


def test_line_7_the_worst_entry_of_a_record(told: Callable[..., pd.DataFrame], expected: Callable[[str], list[list[str]]]) -> None:
    """bcftools calls an intron worse than an exon of a non-coding transcript; Ensembl's list, which we follow, does not."""
    table = told("split-vep.3")
    worst = table.loc[table.groupby("variant")["rank"].idxmin(), ["position", "consequence"]].values.tolist()
    want = [[int(position), terms] for position, terms in expected("7")]
    differ = [(ours, theirs) for ours, theirs in zip(worst, want, strict=True) if ours != theirs]
    assert differ == [([14522, "non_coding_transcript_exon_variant"], [14522, "intron_variant&non_coding_transcript_variant"])]
    assert RANK["non_coding_transcript_exon_variant"] < RANK["intron_variant"]


def test_lines_15_and_16_records_with_a_synonymous_change(told: Callable[..., pd.DataFrame], expected: Callable[[str], list[list[str]]]) -> None:
    table = told("split-vep.5")
    found = table[[("synonymous_variant" in terms.split("&")) for terms in table.consequence]].drop_duplicates("position")
    ours = found[["position", "consequence"]].values.tolist()
    for name in ("15", "16"):
        assert ours == [[int(position), terms] for position, terms in expected(name) if terms]


def test_lines_20_to_22_impact_and_the_change(told: Callable[..., pd.DataFrame], expected: Callable[[str], list[list[str]]]) -> None:
    (line,) = expected("20")
    found = told("split-vep.7", field="ANN").query("impact == 'MODIFIER'")
    assert {(c, str(p)) for c, p in zip(found.contig, found.position, strict=True)} == {(line[0], line[1])}
    table = told("split-vep.8", field="BCSQ")
    table = table.loc[table.groupby("variant")["rank"].idxmin()]
    want = [[int(row[0]), so(row[1]), row[2]] for row in expected("22")]
    assert table[["position", "consequence", "amino_acid_change"]].values.tolist() == want
    of_21 = [dict(cell.split("=") for cell in row[7].split(";")) for row in expected("21")]
    assert [[so(cells["Consequence"]), cells["amino_acid_change"].replace(".", "")] for cells in of_21] == [row[1:] for row in want]


def test_gene_lists(told: Callable[..., pd.DataFrame], expected: Callable[[str], list[list[str]]], shared_data: Path,
                    stored: Callable[..., xr.Dataset]) -> None:
    table = told("split-vep.gene-list")
    table["at"] = table.contig + ":" + table.position.astype(str)
    assert table[["at", "gene_id", "consequence"]].values.tolist() == expected("gene-list.1")
    wanted = (shared_data / "bcftools/split-vep.gene-list.txt").read_text().split()
    listed = table[table.gene.isin(wanted)]
    assert listed[["at", "gene_id", "consequence"]].values.tolist() == expected("gene-list.2")
    first = pd.concat([listed, table[~table.variant.isin(listed.variant)]]).sort_values("variant", kind="stable")
    assert first[["at", "gene_id", "consequence"]].values.tolist() == expected("gene-list.3")
    of_genes = genes(stored(shared_data / "bcftools/split-vep.gene-list.vcf"))
    assert set(of_genes.gene_id) == set(table.gene_id)


def test_broken_values_and_a_filter(told: Callable[..., pd.DataFrame], expected: Callable[[str], list[list[str]]]) -> None:
    """LOFTEE once left commas inside a value: the stray pieces are no entries."""
    table = told("split-vep.broken-LoF", field="vep")
    want = [row[1] for row in expected("broken-LoF")]
    assert table.consequence.tolist() == want and set(table.contig + ":" + table.position.astype(str)) == {"chr21:5032064"}
    (line,) = expected("filter.1")
    found = told("split-vep.filter").query("biotype.str.contains('nonsense')").iloc[0]
    assert [str(found.position), found.consequence.lower(), found.transcript, found.biotype] == line
