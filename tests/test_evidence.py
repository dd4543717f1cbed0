"""The evidence table: values worked out by hand, and every way in which nothing is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from genomics_nb.core.types import ParameterError
from genomics_nb.variant.consequence import genes
from genomics_nb.variant.criteria import Evidence
from genomics_nb.variant.evidence import COLUMNS, NUMBERS, TEXTS, GeneNames, evidence_table, mechanism, same_residue, validity_of_gene
from genomics_nb.variant.formats import add_release
from genomics_nb.variant.frequency_criteria import pm2
from genomics_nb.variant.knowledge import Bases, demo_bases

FREQUENCY = ("##fileformat=VCFv4.2\n##reference=GRCh38\n" + "".join(
    f'##INFO=<ID={k},Number=A,Type=Integer,Description="">\n' for k in ("AC", "AN", "nhomalt", "AC_afr", "AN_afr", "AC_fin", "AN_fin"))
    + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")


def dataset(rows: list[tuple[str, int, list[str]]]) -> xr.Dataset:
    contigs, wide = sorted({c for c, _, _ in rows}), max(len(a) for _, _, a in rows)
    text = np.array([a + [""] * (wide - len(a)) for _, _, a in rows], dtype=np.dtypes.StringDType())
    return xr.Dataset({"variant_allele": (("variants", "alleles"), text),
                       "variant_contig": ("variants", np.array([contigs.index(c) for c, _, _ in rows])),
                       "variant_position": ("variants", np.array([p for _, p, _ in rows])),
                       "contig_id": ("contigs", np.array(contigs))}, attrs={"genome_build": "GRCh38"})


def frequencies(folder: Path, name: str, lines: str, covered: str = "") -> None:
    (folder / f"{name}.vcf").write_text(FREQUENCY + lines)
    bed = folder / f"{name}.bed"
    bed.write_text(covered)
    add_release(folder / "k", name, "1", folder / f"{name}.vcf", date="2026-01-01", covered=bed if covered else None)


@pytest.fixture(scope="module")
def family(stored, synthetic: Path) -> xr.Dataset:
    return stored(synthetic / "family.vcf.gz", "GRCh38")


@pytest.fixture(scope="module")
def planted(family: xr.Dataset) -> pd.DataFrame:
    """The rows of the planted variants, by gene."""
    wanted = np.isin(family["variant_position"].values, [157150210, 117559601, 165300077, 102850407, 3243, 60780333])
    table = evidence_table(family, np.flatnonzero(wanted), demo_bases())
    return table[~table["gene"].str.startswith("SYN")].set_index("gene")


def test_a_common_benign_variant_by_hand(planted: pd.DataFrame) -> None:
    """CFTR, from the lines of data/knowledge: AC 5639 of 61000; alp 2073 of 24000 is the highest outbred group."""
    row = planted.loc["CFTR"]
    assert (row["contig"], row["position"], row["ref"], row["alt"]) == ("chr7", 117559601, "A", "G")
    assert row["pop_state"] == "counted" and np.isclose(row["pop_af"], 5639 / 61000) and np.isclose(row["pop_max"], 2073 / 24000)
    assert (row["pop_ac"], row["pop_an"], row["pop_hom"], row["pop_hemi"]) == (5639, 61000, 295, 0)
    assert (row["pop_group"], row["pop_group_an"], row["pop_release"]) == ("alp", 24000, "demo-frequency synthetic")
    assert 0.08 < row["pop_faf95"] < row["pop_max"]
    assert (row["clinvar"], row["clinvar_stars"], row["clinvar_disease"]) == ("benign", 3, "cystic fibrosis")
    assert np.allclose([row["revel"], row["cadd"], row["spliceai"], row["conservation"]], [0.184, 9.5, 0.04, 0.04])
    assert (row["validity"], row["validity_moi"], row["g2p"], row["lof_mechanism"]) == ("definitive", "AR", "definitive", "yes")
    assert np.allclose([row["pli"], row["loeuf"], row["mis_z"]], [0.0, 0.93, -0.6])
    assert row["panel"] == "Synthetic intellectual disability 1.0: amber"
    assert row["consequence"] == "missense_variant" and row["impact"] == "MODERATE"


def test_absent_is_only_said_where_the_base_looked(planted: pd.DataFrame) -> None:
    assert planted.loc["ARID1B", "pop_state"] == "absent" and planted.loc["ARID1B", "consequence"] == "stop_gained"
    assert planted.loc["SCN2A", "pop_state"] == "not covered"
    assert planted.loc[["ARID1B", "SCN2A"], ["pop_af", "pop_max", "pop_ac", "pop_hom", "clinvar_stars"]].isna().all(axis=None)
    assert planted.loc["KIF1A", "lof_mechanism"] == "no" if "KIF1A" in planted.index else True
    assert planted.loc["PAH", "clinvar"] == "pathogenic" and planted.loc["PAH", "clinvar_stars"] == 2
    assert planted.loc["MT-TL1", "validity_moi"] == "MT" and np.isnan(planted.loc["MT-TL1", "pli"])


def test_each_allele_of_a_record_has_its_own_numbers(planted: pd.DataFrame) -> None:
    both = planted.loc[["CHD7"]].sort_values("allele")
    assert both["alt"].tolist() == ["C", "G"] and both["pop_state"].tolist() == ["counted", "absent"]
    assert both["pop_af"].notna().tolist() == [True, False]


def test_every_allele_has_a_row_and_the_columns_are_the_promised_ones(family: xr.Dataset) -> None:
    rows = np.arange(0, 300)
    table = evidence_table(family, rows, demo_bases())
    alleles = family["variant_allele"].values[:300, 1:]
    assert tuple(table.columns) == COLUMNS
    assert set(zip(table["variant"], table["allele"], strict=True)) == {(int(i), int(j) + 1) for i, j in zip(*np.nonzero(alleles != ""), strict=True)}
    assert all(table[c].dtype == np.float64 for c in NUMBERS) and all(table[c].map(type).eq(str).all() for c in TEXTS)
    told = genes(family, rows)
    assert evidence_table(family, rows[::-1], demo_bases(), told=told).equals(table)


def test_without_a_base_every_cell_is_missing_and_no_release_is_named(family: xr.Dataset) -> None:
    table = evidence_table(family, [0, 1, 2], Bases.empty())
    assert table[list(NUMBERS)].isna().all(axis=None) and (table[list(TEXTS)] == "").all(axis=None)
    assert evidence_table(family, [], demo_bases()).empty and tuple(evidence_table(family, [], demo_bases()).columns) == COLUMNS


def test_builds_must_agree(family: xr.Dataset) -> None:
    with pytest.raises(ParameterError, match="GRCh37"):
        evidence_table(family.assign_attrs(genome_build="GRCh37"), [0], demo_bases())


# --- the states of a frequency ---------------------------------------------------------------------------------------

ROWS = [("chr1", 100, ["A", "G"]), ("chr1", 200, ["A", "G"]), ("chr1", 300, ["A", "G"]), ("chr1", 400, ["ACGT", "A"]), ("chr1", 500, ["A", "G"]),
        ("chr1", 600, ["A", "*"])]


def test_the_five_states_and_what_pm2_makes_of_them(tmp_path: Path) -> None:
    frequencies(tmp_path, "x", "chr1\t100\t.\tA\tG\t.\tPASS\tAC=4;AN=1000\nchr1\t200\t.\tA\tG\t.\tPASS\tAN=1000\n", "chr1\t0\t401\n")
    table = evidence_table(dataset(ROWS), range(6), Bases.open(tmp_path / "k"))
    assert table["pop_state"].tolist() == ["counted", "suppressed", "absent", "not covered", "not covered", "unknown"]
    assert table["pop_ac"].fillna(-9).tolist() == [4, -9, -9, -9, -9, -9]  # the deletion reaches out of what was looked at
    assert [pm2(Evidence(row)).state for row in table.assign(consequence="missense_variant").to_dict("records")] == [
        "not met", "not evaluated", "met", "not evaluated", "not evaluated", "not evaluated"]


def test_a_base_that_does_not_say_where_it_looked_calls_nothing_absent(tmp_path: Path) -> None:
    frequencies(tmp_path, "x", "chr1\t100\t.\tA\tG\t.\tPASS\tAC=0;AN=1000\n")
    table = evidence_table(dataset(ROWS), range(3), Bases.open(tmp_path / "k"))
    assert table["pop_state"].tolist() == ["counted", "unknown", "unknown"] and table["pop_af"][0] == 0


def test_of_several_bases_the_highest_count_speaks_and_each_is_named(tmp_path: Path) -> None:
    frequencies(tmp_path, "x", "chr1\t100\t.\tA\tG\t.\tPASS\tAC=4;AN=1000;nhomalt=2\nchr1\t200\t.\tA\tG\t.\tPASS\tAN=1000\n", "chr1\t0\t1000\n")
    frequencies(tmp_path, "y", "chr1\t100\t.\tA\tG\t.\tlow\tAC=90;AN=1000;nhomalt=1\nchr1\t300\t.\tA\tG\t.\tPASS\tAC=1;AN=10\n")
    table = evidence_table(dataset(ROWS), range(5), Bases.open(tmp_path / "k"))
    assert table["pop_state"].tolist() == ["counted", "suppressed", "counted", "absent", "absent"]
    assert table["pop_release"].tolist() == ["y 1; x 1", "x 1", "y 1", "x 1", "x 1"]
    assert (table["pop_ac"][0], table["pop_hom"][0], table["pop_filter"][0]) == (90, 2, "filtered")


def test_a_bottlenecked_group_is_not_the_highest(tmp_path: Path) -> None:
    frequencies(tmp_path, "x", "chr1\t100\t.\tA\tG\t.\tPASS\tAC=800;AN=20000;AC_afr=100;AN_afr=5000;AC_fin=700;AN_fin=2500\n")
    row = evidence_table(dataset(ROWS), [0], Bases.open(tmp_path / "k")).iloc[0]
    assert (row["pop_group"], row["pop_group_an"]) == ("afr", 5000) and np.isclose(row["pop_max"], 0.02)


# --- amino acids and genes -------------------------------------------------------------------------------------------

KNOWN = pd.DataFrame([("PAH", "NM_000277.3", 408, "R", "W", 1, 1, 2, "12", 102840493, "G", "A"),
                      ("PAH", "NM_000277.3", 408, "R", "Q", 2, 1, 1, "12", 102840492, "C", "T"),
                      ("PAH", "NM_000277.3", 408, "R", "L", 3, 2, 0, "12", 102840492, "C", "A"),
                      ("PAH", "NM_000277.3", 408, "R", "*", 4, 1, 2, "12", 102840492, "CG", "TT")],
                     columns=["gene", "transcript", "residue", "before", "after", "id", "class", "stars", "contig", "position", "ref", "alt"])


@pytest.mark.parametrize(("change", "transcript", "position", "alt", "same", "other"), [
    ("NP_000268.1:p.Arg408Trp", "NM_000277.1", 102840493, "T", "1", "2"),  # another nucleotide, the same change; a version does not matter
    ("p.(Arg408Trp)", "NM_000277.3", 102840493, "A", "", "2"),  # the very variant is no evidence for itself
    ("p.Arg408Gly", "NM_000277.3", 102840493, "C", "", "1, 2"),  # best reviewed first; nothing without a star, no stop
    ("p.Arg408Gly", "ENST00000553106.6", 102840494, "C", "", "1, 2"),  # Ensembl and RefSeq: one codon of the genome
    ("p.Arg408Gly", "ENST00000553106.6", 102840900, "C", "", ""),  # the same number, another place: another transcript's numbering
    ("p.Arg408Gly", "NM_999999.1", 102840493, "C", "", ""),  # another transcript of the same maker
    ("p.Lys408Gly", "NM_000277.3", 102840493, "C", "", ""),  # the residue is another amino acid there
    ("p.Arg408Ter", "NM_000277.3", 102840493, "C", "", ""), ("", "NM_000277.3", 102840493, "C", "", ""),
])
def test_same_change_and_same_residue(change: str, transcript: str, position: int, alt: str, same: str, other: str) -> None:
    row = pd.DataFrame([{"gene": "PAH", "transcript": transcript, "hgvs_p": change, "contig": "chr12", "position": position,
                         "ref": "G", "alt": alt}])
    assert same_residue(row, KNOWN) == ([same], [other])
    assert same_residue(row, None) == (["not assessed"], ["not assessed"])


def test_a_clinvar_without_protein_changes_says_not_assessed(stored, shared_data: Path, tmp_path: Path) -> None:
    add_release(tmp_path, "clinvar", "2023", shared_data / "knowledge" / "clinvar-test.vcf.gz")
    ds = dataset([("1", 69134, ["A", "G"])]).assign_attrs(genome_build="GRCh37")
    row = evidence_table(ds, [0], Bases.open(tmp_path)).iloc[0]
    assert (row["clinvar"], row["clinvar_stars"], row["clinvar_id"]) == ("likely benign", 1, "2205837")
    assert row["clinvar_same_change"] == row["clinvar_same_residue"] == "not assessed" and row["clinvar_release"] == "clinvar 2023"


def test_genes_are_joined_by_number_and_by_former_symbols_of_one_gene() -> None:
    names = GeneNames([pd.DataFrame({"gene": ["AARS1", "KMT2B", "KMT2D"], "hgnc": ["HGNC:20", "15840", None], "aliases": ["AARS", "MLL4;X1", "X1"]}),
                       pd.DataFrame({"gene": ["AARS"], "hgnc": ["20"]})])
    assert names.of("AARS") == names.of("AARS1") == names.of("aars1") == "20" and names.of("MLL4") == "15840"
    assert names.of("X1") == "X1" and names.of("KMT2D") == "KMT2D"


def test_real_curations_of_a_gene_become_one_answer(shared_data: Path, tmp_path: Path) -> None:
    known = shared_data / "knowledge"
    add_release(tmp_path, "clingen", "2026-06-21", known / "clingen_gene_validity_2026-06-21.csv")
    add_release(tmp_path, "ddg2p", "2021", known / "DDG2P.csv", date="2021-07-23")
    add_release(tmp_path, "exac", "0.3", known / "exac_r0.3_constraint_pli.tsv.gz", date="2016-03-16")
    ds = dataset([("chr1", 100, ["A", "G"])])
    told = pd.DataFrame([dict.fromkeys(("gene_id", "transcript", "mane", "consequence", "impact", "hgvs_c", "hgvs_p", "exon", "nmd"), "")
                         | {"variant": 0, "allele": 1, "gene": g} for g in ("BLK", "HNF1A", "CEP290", "AARS", "NOBODY")])
    table = evidence_table(ds, [0], Bases.open(tmp_path), told=told).set_index("gene")
    assert table["validity"].tolist()[:2] == ["refuted", "definitive"] and table.loc["NOBODY", "validity"] == ""
    assert table.loc["CEP290", ["g2p", "lof_mechanism", "g2p_release"]].tolist() == ["definitive", "yes", "ddg2p 2021"]
    assert table.loc["AARS", "validity"] == "definitive"  # ClinGen calls it AARS1; Gene2Phenotype knew it as AARS
    assert table["constraint_release"].tolist() == ["exac 0.3"] * 4 + [""] and table["loeuf"].isna().all()


def test_refuted_curations_show_only_where_nothing_else_does() -> None:
    rows = pd.DataFrame({"disease": ["a", "b", "c"], "moi": ["AD", "AR", "XL"], "validity": ["disputed", "limited", "refuted"], "release": "c 1"})
    assert validity_of_gene(rows) == {"validity": "limited", "validity_disease": "b", "validity_moi": "AR", "validity_release": "c 1"}
    assert validity_of_gene(rows.iloc[[0, 2]])["validity"] == "disputed"


@pytest.mark.parametrize(("said", "answer"), [
    (["loss of function"], "yes"), (["activating", "loss of function"], "yes"), (["dominant negative"], "no"),
    (["all missense/in frame", "activating"], "no"), (["all missense/in frame", "uncertain"], "unknown"), ([""], "unknown"), (["undetermined"], "unknown")])
def test_the_mechanism_is_no_only_where_all_say_another(said: list[str], answer: str) -> None:
    assert mechanism(pd.DataFrame({"mechanism": said})) == answer
