"""Somatic variants: the same call from every caller, PCGR's colon example read twice, swapped samples, and a tumour without normal."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest
import xarray as xr

from genomics_nb.core.types import InputError, NotFoundError, ParameterError
from genomics_nb.store.ingest import ingest
from genomics_nb.store.schema import open_vcz
from genomics_nb.tumour.germline import REASONS, filter_germline, germline_signs, is_credible
from genomics_nb.tumour.maf import load_maf
from genomics_nb.tumour.somatic import MOST, SOMATIC, check_pair, maf_variants, merge_callers, short_protein, somatic_variants

CSQ = "Allele|Consequence|IMPACT|SYMBOL|Gene|Feature_type|Feature|BIOTYPE|EXON|HGVSc|HGVSp|MANE_SELECT"
NUMBERS = {"GT": "1,Type=String", "AD": "R,Type=Integer", "AF": "A,Type=Float", "DP": "1,Type=Integer", "RO": "1,Type=Integer",
           "AO": "A,Type=Integer", **{f"{b}U": "2,Type=Integer" for b in "ACGT"}, "TAR": "2,Type=Integer", "TIR": "2,Type=Integer"}
PCGR = "TCGA-A6-2686-01A-01D-1408-10_TCGA-A6-2686-10A-01D-2188-10"


class Calls:
    """Writes small call sets and opens them from a store."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.number = folder, 0

    def vcf(self, rows: list[tuple[str, str, str, str, str, list[str]]], form: str, samples: tuple[str, ...] = ("T", "N")) -> xr.Dataset:
        """`rows`: position, REF, ALT, FILTER, INFO, one text for each sample; all on chromosome 12."""
        self.number += 1
        path = self.folder / f"{self.number}.vcf"
        head = ["##fileformat=VCFv4.2", "##contig=<ID=chr12,length=133275309>", '##FILTER=<ID=germline,Description="g">',
                '##FILTER=<ID=weak,Description="w">', '##INFO=<ID=CONTEXT,Number=1,Type=String,Description="bases">',
                '##INFO=<ID=callers,Number=.,Type=String,Description="c">']
        if any("CSQ=" in row[4] for row in rows):
            head.append(f'##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequence annotations from Ensembl VEP. Format: {CSQ}">')
        head += [f'##FORMAT=<ID={name},Number={NUMBERS[name]},Description="{name}">' for name in form.split(":")]
        head.append("\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples]))
        body = ["\t".join(["chr12", pos, ".", ref, alt, ".", flag, info, form, *cells]) for pos, ref, alt, flag, info, cells in rows]
        path.write_text("\n".join([*head, *body]) + "\n")
        return open_vcz(ingest(path, self.folder / "analyses", build="GRCh38").path)


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    return Calls(tmp_path)


SNV = ("25245350", "C", "T", "PASS", ".")


def test_three_conventions_write_the_same_call(calls: Calls) -> None:
    """60 reads of the reference and 20 of the variant; the normal has 48 and none."""
    forms = {"AD": ("GT:AD:AF", ["0/1:60,20:0.24", "0/0:48,0:0.01"]), "Strelka": ("DP:AU:CU:GU:TU", ["85:0,0:60,61:0,0:20,22", "50:0,0:48,49:0,0:0,1"]),
             "RO/AO": ("GT:RO:AO", ["0/1:60:20", "0/0:48:0"])}
    tables = {}
    for name, (form, cells) in forms.items():
        tables[name] = somatic_variants(calls.vcf([(*SNV, cells)], form), "T", "N")
        assert tables[name].attrs["convention"] == name and tables[name].attrs["mode"] == "paired"
    reads = ["tumour_depth", "tumour_alt", "tumour_vaf", "normal_depth", "normal_alt", "normal_vaf"]
    for table in tables.values():
        assert table[reads].values.tolist() == [[80, 20, 0.25, 48, 0, 0]] and table["kind"].tolist() == ["SNV"]
        assert list(table.columns) == [*SOMATIC, "allele"]
    merged = merge_callers(tables)
    assert merged["callers"].tolist() == ["AD;Strelka;RO/AO"] and merged["tumour_vaf"].tolist() == [0.25]


def test_indels_of_strelka_and_their_tiers(calls: Calls) -> None:
    table = somatic_variants(calls.vcf([("1000", "CAG", "C", "PASS", ".", ["90:70,75:30,33", "40:40,40:0,0"])], "DP:TAR:TIR"), "T", "N")
    assert table[["kind", "tumour_depth", "tumour_alt", "normal_alt"]].values.tolist() == [["deletion", 100, 30, 0]]


def test_the_two_samples_are_named_in_any_order(calls: Calls) -> None:
    ds = calls.vcf([(*SNV, ["0/0:48,0", "0/1:60,20"])], "GT:AD", ("N", "T"))
    assert somatic_variants(ds, "T", "N")["tumour_vaf"].tolist() == [0.25]
    only = somatic_variants(ds, "T")
    assert only.attrs["mode"] == "tumour only" and only["normal_depth"].isna().all()
    for tumour, normal, error in (("X", "N", NotFoundError), ("T", "X", NotFoundError), ("T", "T", ParameterError), ("", "N", ParameterError)):
        with pytest.raises(error) as caught:
            somatic_variants(ds, tumour, normal)
        assert "\n" not in str(caught.value)


def test_swapped_samples_stop(calls: Calls) -> None:
    rows = [(str(1000 * n), "C", "T", "PASS", ".", ["0/1:60,20", "0/0:48,0"]) for n in range(1, 12)]
    ds = calls.vcf(rows, "GT:AD")
    assert len(somatic_variants(ds, "T", "N")) == 11
    with pytest.raises(InputError, match="swapped"):
        somatic_variants(ds, "N", "T")
    few = somatic_variants(calls.vcf(rows[:9], "GT:AD"), "N", "T")
    assert len(few) == 9  # too few to tell
    check_pair(few.assign(normal_vaf=np.nan))


def test_alleles_are_trimmed_and_stay_whole(calls: Calls) -> None:
    """A site with three alternatives, a doublet, an indel that replaces; contexts stay only where the first base stayed."""
    rows = [("100", "C", "T,A,<DEL>", "PASS", "CONTEXT=ACT", ["0/1:50,30,20,0", "0/0:40,0,0,0"]),
            ("200", "ACG", "ATG", "PASS", "CONTEXT=TAC", ["0/1:5,5", "0/0:9,0"]),
            ("300", "CA", "TG", "PASS", "CONTEXT=ACA", ["0/1:5,5", "0/0:9,0"]),
            ("400", "CAG", "TT", "PASS", ".", ["0/1:5,5", "0/0:9,0"]), ("500", "C", "*", "PASS", ".", ["0/1:5,5", "0/0:9,0"]),
            ("600", "C", "CTT", "PASS", ".", ["0/1:5,5", "0/0:9,0"])]
    table = somatic_variants(calls.vcf(rows, "GT:AD"), "T", "N")
    assert table[["position", "ref", "alt", "kind"]].values.tolist() == [
        [100, "C", "T", "SNV"], [100, "C", "A", "SNV"], [201, "C", "T", "SNV"], [300, "CA", "TG", "MNV"],
        [400, "CAG", "TT", "complex"], [600, "C", "CTT", "insertion"]]
    assert table["tumour_vaf"].tolist()[:2] == [0.3, 0.2] and table["tumour_depth"].tolist()[:2] == [100, 100]
    assert table["context"].tolist() == ["ACT", "ACT", "", "ACA", "", ""]
    assert table.attrs["not_read"] == 2 and table["variant"].tolist() == [0, 0, 1, 2, 3, 5]


def test_filters_and_a_file_that_was_not_filtered(calls: Calls) -> None:
    cells = ["0/1:60,20", "0/0:48,0"]
    rows = [(str(n), "C", "T", flag, ".", cells) for n, flag in ((10, "PASS"), (20, "germline"), (30, "germline;weak"), (40, "."))]
    ds = calls.vcf(rows, "GT:AD")
    assert somatic_variants(ds, "T", "N")["position"].tolist() == [10, 40]
    every = somatic_variants(ds, "T", "N", only_passed=False)
    assert every["filter"].tolist() == ["PASS", "germline", "germline;weak", ""] and every["passed"].tolist() == [True, False, False, True]
    assert every.attrs["unfiltered"] == 1
    none = somatic_variants(calls.vcf(rows[1:3], "GT:AD"), "T", "N")
    assert none.empty and list(none.columns) == [*SOMATIC, "allele"]
    assert np.issubdtype(none["tumour_vaf"].dtype, np.floating)


def test_reads_that_are_not_given_are_not_known(calls: Calls) -> None:
    table = somatic_variants(calls.vcf([(*SNV, ["0/1:.", "0/0:."]), ("25245400", "C", "T", "PASS", ".", ["0/1:0,0", "0/0:30,0"])], "GT:AD"), "T", "N")
    assert table["tumour_vaf"].isna().all() and table["tumour_depth"].tolist()[1] == 0 and np.isnan(table["tumour_depth"][0])
    bare = somatic_variants(calls.vcf([(*SNV, ["0/1", "0/0"])], "GT"), "T", "N")
    assert bare.attrs["convention"] == "" and bare[["tumour_depth", "normal_vaf"]].isna().all(axis=None)


def test_a_fraction_is_counted_and_not_copied(calls: Calls) -> None:
    table = somatic_variants(calls.vcf([(*SNV, ["0/1:60,20:0.60", "0/0:48,0:0.0"])], "GT:AD:AF"), "T", "N")
    assert table["tumour_vaf"].tolist() == [0.25] and table.attrs["far_from_stated"] == 1


def test_genes_of_the_allele_and_hostile_names(calls: Calls) -> None:
    def csq(allele: str, consequence: str, impact: str, gene: str, protein: str) -> str:
        return f"{allele}|{consequence}|{impact}|{gene}|ENSG1|Transcript|ENST1|protein_coding|2/6|ENST1:c.35G>A|ENSP1:{protein}|NM_1"

    info = "CSQ=" + ",".join([csq("T", "intron_variant", "MODIFIER", "FAR", ""), csq("T", "missense_variant", "MODERATE", "KRAS", "p.Gly12Asp"),
                              csq("A", "missense_variant", "MODERATE", "KRAS", "p.Gly12Val")])
    rows = [("25245350", "C", "T,A", "PASS", info, ["0/1:60,20,10", "0/0:48,0,0"]),
            ("25245400", "C", "T", "PASS", "CSQ=" + csq("T", "stop_gained", "HIGH", "<img/src=x>", "p.Gln5Ter"), ["0/1:60,20", "0/0:48,0"])]
    table = somatic_variants(calls.vcf(rows, "GT:AD"), "T", "N")
    assert table["hgvs_p"].tolist() == ["p.G12D", "p.G12V", "p.Q5*"] and table["exon"].tolist() == ["2/6"] * 3
    assert table["gene"].tolist() == ["KRAS", "KRAS", "<img/src=x>"] and table["hgvs_c"].tolist()[0] == "c.35G>A"
    assert table.attrs["annotated"] and not somatic_variants(calls.vcf([(*SNV, ["0/1:6,2", "0/0:4,0"])], "GT:AD"), "T", "N").attrs["annotated"]


@pytest.mark.parametrize("build", ["grch37", "grch38"])
def test_the_colon_example_read_by_htslib(build: str, shared_data: Path, stored: Callable[..., xr.Dataset]) -> None:
    """Tumour and normal in one column, each with fields of its own: every allele, depth and fraction."""
    path = shared_data / f"tumour/pcgr_T001-COAD.{build}.vcf.gz"
    expected = []
    with pysam.VariantFile(str(path)) as vcf:
        name = next(iter(vcf.header.samples))
        for record in vcf:
            ref, alt = (int(n) if n.isdigit() else np.nan for n in record.samples[name]["ADT"])
            expected.append((record.chrom, record.pos, len(record.alts or ()), ref + alt, alt, list(record.filter)))
    table = somatic_variants(stored(path), name)
    passed = [row for row in expected if row[5] in ([], ["PASS"])]
    assert len(passed) > 200 and all(row[2] == 1 for row in passed)
    assert table["contig"].tolist() == [row[0] for row in passed]
    np.testing.assert_array_equal(table["tumour_depth"], [row[3] for row in passed])
    np.testing.assert_array_equal(table["tumour_alt"], [row[4] for row in passed])
    assert name == PCGR and table.attrs["convention"] == "columns" and table["callers"].str.contains("mutect2").any()
    assert (table["kind"] == "SNV").sum() == sum(len(r.ref) == len(r.alts[0]) == 1 for r in pysam.VariantFile(str(path)))


def test_a_maf_gives_the_same_table(shared_data: Path) -> None:
    maf = load_maf(shared_data / "tumour/tcga_MC3_SARC.maf.tsv.gz")
    table = maf_variants(maf)
    assert [name for name in SOMATIC if name in table] == list(SOMATIC) and len(table) == len(maf)
    given = maf["t_ref_count"] + maf["t_alt_count"]
    np.testing.assert_allclose(table["tumour_vaf"], np.where(given > 0, maf["t_alt_count"] / given, np.nan))
    assert table.attrs["mode"] == "paired" and not table.loc[maf["Variant_Classification"] == "Nonsense_Mutation", "consequence"].ne("stop_gained").any()
    assert table["kind"].value_counts().to_dict()["SNV"] == (maf["Variant_Type"] == "SNP").sum()
    bare = maf_variants(load_maf(shared_data / "tumour/tcga_Firehose_COAD.maf.tsv.gz"))
    assert bare["tumour_vaf"].isna().all() and bare.attrs["mode"] == "unknown" and bare["hgvs_p"].str.startswith("p.").any()


def test_callers_of_two_builds_do_not_merge(calls: Calls) -> None:
    one = somatic_variants(calls.vcf([(*SNV, ["0/1:60,20", "0/0:48,0"])], "GT:AD"), "T", "N")
    other = one.copy()
    other.attrs = one.attrs | {"build": "GRCh37"}
    with pytest.raises(InputError, match="GRCh37 and GRCh38"):
        merge_callers({"a": one, "b": other})
    with pytest.raises(ParameterError):
        merge_callers({})
    unread = one.assign(tumour_vaf=np.nan)
    assert merge_callers({"a": unread, "b": one})["tumour_vaf"].tolist() == [0.25]  # reads of the caller that has them


@pytest.mark.parametrize(("text", "short"), [
    ("ENSP00000269305.4:p.Arg175His", "p.R175H"), ("p.Glu746_Ala750del", "p.E746_A750del"), ("p.Ter394LysextTer9", "p.*394KextTer9"),
    ("ENSP1:p.Leu5%3D", "p.L5="), ("V600E", "p.V600E"), (".", ""), ("", ""), ("p.Trp288CysfsTer12", "p.W288Cfs*12"), ("p.Met1?", "p.M1?")])
def test_proteins_are_written_short(text: str, short: str) -> None:
    assert short_protein(text).replace("ext*", "extTer") == short


# ---- a tumour without its normal


def without_normal(**columns: list[object]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    table = pd.DataFrame({"gene": ["G"] * n, "tumour_vaf": [0.3] * n} | columns)
    table.attrs = {"mode": "tumour only"}
    return table


def test_only_the_population_decides_unless_asked() -> None:
    table = without_normal(tumour_vaf=[1.0, 0.5, 0.5, 0.3], frequency=[np.nan, 0.0002, 0.001, 0.0011], clinvar=["Benign", "", "", ""],
                           panel_of_normals=[True, False, False, False])
    kept = filter_germline(table)
    assert kept["germline_reason"].tolist() == ["", "", "", "population"]  # a frequency at the limit stays
    assert kept.attrs["germline_counts"] == {"population": 1} and kept.attrs["mode"] == "tumour only"
    strict = filter_germline(table, REASONS)
    assert strict["germline_reason"].tolist() == ["panel of normals", "heterozygous", "heterozygous", "population"]
    assert filter_germline(table, population=0.0001)["germline_reason"].tolist() == ["", *["population"] * 3]


def test_what_was_not_looked_up_stays_and_is_said() -> None:
    kept = filter_germline(without_normal(tumour_vaf=[0.5, 0.5]), REASONS)
    assert kept["germline_reason"].tolist() == ["", ""] and not kept.attrs["frequency_assessed"]
    assert not germline_signs(without_normal(frequency=[np.nan])).any(axis=None)


def test_a_variant_known_in_tumours_is_not_taken_for_inherited() -> None:
    table = without_normal(tumour_vaf=[0.5, 0.5], frequency=[1e-5, 1e-5], known_somatic=[True, False], clinvar=["Pathogenic"] * 2)
    strict = filter_germline(table, REASONS)
    assert strict["germline_reason"].tolist() == ["", "clinvar germline"] and strict["set_apart"].tolist() == [False, True]


def test_a_credible_germline_finding_is_never_lost() -> None:
    """Whatever rule it meets, also where its frequency alone would filter it."""
    table = without_normal(gene=["BRCA2", "MSH6", "HFE", "TTN"], tumour_vaf=[0.5, 1.0, 0.3, 0.3], frequency=[1e-5, np.nan, 0.06, 0.06],
                           clinvar=["Pathogenic", "Likely_pathogenic", "Pathogenic|risk_factor", "Benign"])
    for rules in (("population",), REASONS, ()):
        assert filter_germline(table, rules)["set_apart"].tolist() == [True, True, True, False]


@pytest.mark.parametrize(("text", "yes"), [
    ("Pathogenic", True), ("pathogenic/likely pathogenic", True), ("Likely pathogenic, low penetrance", True), ("Pathogenic|other", True),
    ("Conflicting_classifications_of_pathogenicity", False), ("Benign", False), ("", False), ("nan", False), ("not Pathogenic", False)])
def test_conflicting_statements_are_not_credible(text: str, yes: bool) -> None:
    assert is_credible(text) is yes


def test_a_rule_that_nobody_knows() -> None:
    with pytest.raises(ParameterError, match="no rule"):
        filter_germline(without_normal(frequency=[0.1]), ["<b>rumour</b>"])
    assert MOST >= 1_000_000 and filter_germline(without_normal(frequency=[0.1]).iloc[:0], REASONS).empty


def test_what_vardict_calls_germline_is_not_somatic_though_it_passed(tmp_path: Path, stored) -> None:  # noqa: ANN001
    head = ["##fileformat=VCFv4.2", "##contig=<ID=chr1,length=248956422>", '##INFO=<ID=STATUS,Number=1,Type=String,Description="s">',
            '##FILTER=<ID=PASS,Description="p">', '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="a">',
            "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tT\tN"]
    rows = [f"chr1\t{100 + n}\t.\tG\tA\t.\tPASS\tSTATUS={status}\tAD\t50,20\t40,0"
            for n, status in enumerate(("StrongSomatic", "Germline", "LikelySomatic", "StrongLOH"))]
    file = tmp_path / "vardict.vcf"
    file.write_text("\n".join([*head, *rows]) + "\n")
    assert somatic_variants(stored(file), "T", "N")["position"].tolist() == [100, 102]
    assert len(somatic_variants(stored(file), "T", "N", only_passed=False)) == 4


def test_a_credible_germline_finding_that_a_rule_takes_out_is_set_apart_even_where_it_is_a_hot_spot() -> None:
    calls = pd.DataFrame({"gene": ["TP53"], "tumour_vaf": [0.3], "frequency": [0.01], "known_somatic": [True],
                          "clinvar": ["Pathogenic/Likely_pathogenic/Pathogenic,_low_penetrance"]})
    found = filter_germline(calls)
    assert found["germline_reason"].tolist() == ["population"] and found["set_apart"].tolist() == [True]
