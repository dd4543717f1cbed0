"""Genes and consequences: equal to bcftools split-vep entry for entry, alleles and pointers resolved, order as Ensembl's."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from genomics_nb.core.types import NotFoundError, ParameterError
from genomics_nb.store import text_rows
from genomics_nb.variant import consequence
from genomics_nb.variant.consequence import (
    COLUMNS,
    UNRESOLVED,
    allele_numbers,
    annotation_fields,
    consequence_table,
    consequences,
    find_annotation,
    genes,
    vep_alleles,
    worst_gene,
)
from genomics_nb.variant.protein import parse_csq_change, parse_hgvs_p
from genomics_nb.variant.severity import RANK, SEVERITY, severity, so_term

HEADERS = {
    "CSQ": "Consequence annotations from Ensembl VEP. "
           "Format: Allele|Consequence|IMPACT|SYMBOL|Gene|Feature|BIOTYPE|CANONICAL|MANE_SELECT",
    "ANN": "Functional annotations: 'Allele | Annotation | Annotation_Impact | Gene_Name | Gene_ID | Feature_Type | Feature_ID'",
    "BCSQ": "Local consequence annotation. "
            "Format: '[*]consequence|gene|transcript|biotype[|strand|amino_acid_change|dna_change]' or '@position'",
}


def dataset(field: str, values: list[list[str]], alleles: list[list[str]], position: list[int] | None = None) -> xr.Dataset:
    width, many = max(map(len, values)), max(map(len, alleles))
    text = np.array([row + [""] * (width - len(row)) for row in values], dtype=np.dtypes.StringDType())
    return xr.Dataset(
        {f"variant_{field}": (("variants", f"INFO_{field}_dim"), text),
         "variant_allele": (("variants", "alleles"), np.array([row + [""] * (many - len(row)) for row in alleles])),
         "variant_contig": ("variants", np.zeros(len(values), dtype=int)),
         "variant_position": ("variants", np.array(position or range(1, len(values) + 1)))},
        attrs={"vcf_header": f'##INFO=<ID={field},Number=.,Type=String,Description="{HEADERS[field]}">\n'})


# ---- severity

def test_severity_is_ensembls_list_and_impacts_follow_its_order() -> None:
    impacts = [impact for _, impact in SEVERITY]
    assert len({term for term, _ in SEVERITY}) == 41
    assert list(dict.fromkeys(impacts)) == ["HIGH", "MODERATE", "LOW", "MODIFIER"] and impacts == sorted(
        impacts, key=["HIGH", "MODERATE", "LOW", "MODIFIER"].index)


@given(terms=st.lists(st.sampled_from(sorted(RANK)), min_size=1, max_size=4))
def test_the_worst_term_decides_in_any_order(terms: list[str]) -> None:
    found = severity("&".join(terms))
    assert found.rank == min(RANK[term] for term in terms) == severity("&".join(reversed(terms))).rank
    assert found.impact == SEVERITY[found.rank][1]


@given(term=st.text("abcdefgh_", min_size=1, max_size=12).filter(lambda t: so_term(t) not in RANK),
       impact=st.sampled_from(["HIGH", "MODERATE", "LOW", "MODIFIER", ""]))
def test_an_unknown_term_is_kept_and_never_outranks_its_impact(term: str, impact: str) -> None:
    found = severity(term, impact)
    assert found.terms == term and found.impact == (impact or "MODIFIER")
    assert SEVERITY[found.rank][1] == found.impact


@pytest.mark.parametrize("term", ["missense", "synonymous", "stop_lost", "stop_gained", "inframe_deletion", "inframe_insertion",
                                  "frameshift", "splice_acceptor", "splice_donor", "start_lost", "splice_region", "stop_retained",
                                  "5_prime_utr", "3_prime_utr", "non_coding", "intron", "intergenic", "inframe_altering",
                                  "coding_sequence", "feature_elongation", "start_retained"])
def test_every_word_of_bcftools_csq_has_its_so_term(term: str) -> None:
    assert so_term(term) in RANK


# ---- header

def test_columns_are_found_whatever_the_annotator_calls_them() -> None:
    for field, gene in (("CSQ", 3), ("ANN", 3), ("BCSQ", 1)):
        annotation = find_annotation(dataset(field, [["."]], [["A", "C"]]))
        assert annotation.field == field and annotation.at["gene"] == gene
    assert "gene_id" not in find_annotation(dataset("BCSQ", [["."]], [["A", "C"]])).at


def test_a_description_without_columns_is_no_annotation() -> None:
    ds = dataset("CSQ", [["x"]], [["A", "C"]])
    ds.attrs["vcf_header"] = '##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequences, see the manual">\n'
    assert annotation_fields(ds) == []
    with pytest.raises(NotFoundError, match="it has: none"):
        genes(ds)


def test_a_field_that_is_asked_for_and_absent_is_named() -> None:
    with pytest.raises(NotFoundError, match=r"annotation ANN in this dataset \(it has: CSQ\)"):
        genes(dataset("CSQ", [["."]], [["A", "C"]]), field="ANN")


def test_a_term_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ParameterError, match="'missense' is no consequence term"):
        genes(dataset("CSQ", [["."]], [["A", "C"]]), at_least="missense")


# ---- alleles

BASES = st.text("ACGT", min_size=1, max_size=5)


@given(ref=BASES, alts=st.lists(BASES, min_size=1, max_size=4, unique=True))
def test_veps_spelling_points_back_to_its_allele(ref: str, alts: list[str]) -> None:
    alts = [alt for alt in alts if alt != ref] or ["A" * 6]
    spelled = vep_alleles(ref, alts)
    numbers = allele_numbers(ref, alts)
    for number, name in enumerate(spelled, start=1):
        assert numbers[name] == number


def test_entries_of_a_multiallelic_record_go_to_their_allele() -> None:
    vep = ["-|frameshift_variant|HIGH|G1|||||", "TT|inframe_insertion|MODERATE|G1|||||", "N|intron_variant|MODIFIER|G2|||||"]
    found = consequence_table(dataset("CSQ", [vep], [["CA", "C", "CTT"]]))
    assert found.allele.tolist() == [1, 2, -1]
    snpeff = ["CTT|stop_gained|HIGH|G1|G1|transcript|T1", "C|intron_variant|MODIFIER|G1|G1|transcript|T1"]
    assert consequence_table(dataset("ANN", [snpeff], [["CA", "C", "CTT"]])).allele.tolist() == [2, 1]
    csq = ["missense|G1|T1|protein_coding|+|1A>1V|7CA>C",
           "missense|G1|T1|protein_coding|+|1A>1V|7CA>CTT+9A>T", "intron|G2||protein_coding"]
    assert consequence_table(dataset("BCSQ", [csq], [["CA", "C", "CTT"]], [7])).allele.tolist() == [1, 2, -1]


def test_an_allele_that_is_not_stated_counts_for_every_alt() -> None:
    found = genes(dataset("BCSQ", [["intron|G2||protein_coding"]], [["CA", "C", "CTT"]]))
    assert found[["allele", "gene"]].values.tolist() == [[1, "G2"], [2, "G2"]]


# ---- entries

def test_a_consequence_behind_a_stop_is_marked() -> None:
    found = consequence_table(dataset("BCSQ", [["*missense|G|T|protein_coding|+|2V>2I|1G>A"]], [["G", "A"]]))
    assert found.after_stop.tolist() == [True] and found.consequence.tolist() == ["missense_variant"]


@pytest.mark.parametrize(("positions", "order"), [([107, 108], [0, 1]), ([107, 108], [1, 0])])
def test_pointers_are_followed_forward_and_backward(positions: list[int], order: list[int]) -> None:
    alleles = [["G", "A"], ["T", "A"]]
    holder, pointer = order
    values = [[""], [""]]
    change = f"{positions[0]}G>A+{positions[1]}T>A"
    values[holder], values[pointer] = [f"missense|G|T|protein_coding|+|3R>3Q|{change}"], [f"@{positions[holder]}"]
    found = consequence_table(dataset("BCSQ", values, alleles, positions))
    assert found.consequence.tolist() == ["missense_variant"] * 2 and found.allele.tolist() == [1, 1]
    assert found.dna_change.tolist() == [change] * 2


def test_a_pointer_takes_only_the_entries_that_name_this_variant() -> None:
    values = [["missense|G1|T|protein_coding|+|3R>3Q|107G>A+108T>A", "stop_gained|G2|T|protein_coding|+|9R>9*|107G>A"], ["@107"]]
    found = genes(dataset("BCSQ", values, [["G", "A"], ["T", "A"]], [107, 108]))
    assert found.query("variant == 1").gene.tolist() == ["G1"]


def test_pointers_reach_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_rows, "BLOCK", 2)
    values = [["@40"], ["."], ["."], ["missense|G|T|protein_coding|+|3R>3Q|10G>A+40T>A"]]
    tables = list(consequences(dataset("BCSQ", values, [["G", "A"]] * 3 + [["T", "A"]], [10, 20, 30, 40])))
    assert [t.variant.tolist() for t in tables] == [[0], [3]]
    assert tables[0].gene.tolist() == ["G"]


def test_a_pointer_to_nowhere_is_said_and_gives_no_gene() -> None:
    ds = dataset("BCSQ", [["@999"], ["@x"]], [["G", "A"]] * 2)
    assert consequence_table(ds).consequence.tolist() == [UNRESOLVED] * 2
    assert genes(ds).empty and worst_gene(ds).variant_consequence_rank.values.tolist() == [[-1], [-1]]


def test_percent_signs_are_decoded_after_the_cut() -> None:
    found = consequence_table(dataset("CSQ", [["T|missense_variant|MODERATE|A%2CB%7CC|E%253D||||"]], [["C", "T"]]))
    assert found[["gene", "gene_id"]].values.tolist() == [["A,B|C", "E%3D"]]


def test_only_the_variants_asked_for_are_read_and_keep_their_row_number() -> None:
    values = [[f"T|missense_variant|MODERATE|G{i}|||||"] for i in range(10)]
    ds = dataset("CSQ", values, [["C", "T"]] * 10).chunk(variants=3)
    assert consequence_table(ds, [7, 2, 7]).gene.tolist() == ["G2", "G7"]
    assert genes(ds, np.array([5])).variant.tolist() == [5]
    assert worst_gene(ds, [9, 0]).variants.values.tolist() == [0, 9]
    assert consequence_table(ds, []).columns.tolist() == list(COLUMNS)


# ---- genes

def test_a_gene_is_represented_by_worst_then_mane_then_canonical_then_coding() -> None:
    entries = [
        "T|intron_variant|MODIFIER|G|E|T0|protein_coding|YES|NM_1", "T|missense_variant|MODERATE|G|E|T1|retained_intron||",
        "T|missense_variant|MODERATE|G|E|T2|protein_coding||", "T|missense_variant|MODERATE|G|E|T3|protein_coding|YES|",
        "T|missense_variant|MODERATE|G|E|T4|protein_coding||NM_2",
    ]
    for count, best in ((5, "T4"), (4, "T3"), (3, "T2"), (2, "T1"), (1, "T0")):
        assert genes(dataset("CSQ", [entries[:count]], [["C", "T"]])).transcript.tolist() == [best]


def test_entries_without_a_gene_are_left_out_of_genes_and_kept_in_the_worst() -> None:
    ds = dataset("CSQ", [["T|regulatory_region_variant|MODIFIER||||||"]], [["C", "T"]])
    assert genes(ds).empty
    assert worst_gene(ds).variant_consequence.values.tolist() == [["regulatory_region_variant"]]


# ---- the protein, see test_protein too

def test_bcsq_gains_hgvs_of_the_protein_but_not_where_two_variants_act() -> None:
    values = [["missense|G|T|protein_coding|+|2V>2I|103G>A"], ["frameshift|G|T|protein_coding|+|12GVAP*>12VKQ*|140G>GT"],
              ["missense|G|T|protein_coding|+|3R>3Q|107G>A+108T>A"], ["inframe_deletion|G|T|protein_coding|+|5TY>5I|121ACG>A"]]
    told = genes(dataset("BCSQ", values, [["G", "A"], ["G", "GT"], ["G", "A"], ["ACG", "A"]], [103, 140, 107, 121]))
    assert told.hgvs_p.tolist() == ["p.(Val2Ile)", "p.(Gly12ValfsTer4)", "", ""]
    assert told.nmd.tolist() == ["", "unknown", "", ""]


def test_every_protein_description_of_vep_agrees_with_its_own_columns(shared_data: Path, stored: Callable[..., xr.Dataset]) -> None:
    """VEP states residue and amino acids a second time, in columns of their own."""
    ds = stored(shared_data / "trio/scout_643594.clinical.vcf.gz")
    columns = find_annotation(ds).columns
    place, letters, text = (columns.index(n) for n in ("protein_position", "amino_acids", "hgvsp"))
    seen = 0
    for value in {v for v in np.ravel(ds.variant_CSQ.values) if v}:
        for entry in str(value).split(","):
            cells = entry.split("|")
            change = parse_hgvs_p(cells[text]) if len(cells) > text else None
            if change is not None and change.kind in {"exchange", "nonsense"}:
                assert [str(change.first), f"{change.before}/{change.after}"] == [cells[place], cells[letters]]
                seen += 1
    assert seen > 100


def test_every_change_of_the_ashkenazi_trio_can_be_read(shared_data: Path, stored: Callable[..., xr.Dataset]) -> None:
    table = consequence_table(stored(shared_data / "trio/ashk-trio.vcf.gz"))
    stated = table[table.amino_acid_change != ""]
    changes = [parse_csq_change(c, "frameshift" in t) for c, t in zip(stated.amino_acid_change, stated.consequence, strict=True)]
    assert None not in changes and len(changes) > 5000
    alone = stated[~stated.dna_change.str.contains("+", regex=False)]
    plain = alone[alone.consequence.isin(["missense_variant", "synonymous_variant", "stop_gained", "frameshift_variant"])]
    assert plain.hgvs_p.str.match(r"p\.\([A-Z][a-z]{2}\d+(=|[A-Z][a-z]{2}(fsTer(\d+|\?))?)\)$").all()


# ---- real files, against bcftools

SPLIT = [*(f"split-vep.{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10)), "split-vep.filter", "split-vep.gene-list",
         "split-vep.select-tr-expr", "split-vep.types", "split-vep.filter-missing-bt2098"]
FILES = [*(f"bcftools/{name}.vcf" for name in SPLIT), "trio/scout_643594.clinical.vcf.gz", "trio/scout_643594.clinical.SV.vcf.gz",
         "trio/ashk-trio.vcf.gz", "trio/slivar_comphet-test-case.vcf", "trio/slivar_comphet.vcf"]


def split_vep(bcftools: str, vcf: Path, *options: str) -> list[list[str]]:
    """Lines of the plugin. It cannot read the headers of SnpEff and of an old bcftools csq, so they are put in its way."""
    text = subprocess.run([bcftools, "view", vcf], check=True, capture_output=True, text=True).stdout
    plain = 'Format: Consequence|gene|transcript|biotype|strand|amino_acid_change|dna_change">'
    text = re.sub(r"Format: '\[\*\]consequence\|.*", lambda _: plain, text)
    text = re.sub(r"Functional annotations: '(.*)'\">", lambda m: 'Format: {}">'.format(
        m[1].replace(" ", "").replace("|Annotation|", "|Consequence|")), text)
    text = text.replace("fake bcftools CSQ Format: 'CONSEQUENCE|SYMBOL|TRANSCRIPT'", "Format: Consequence|SYMBOL|TRANSCRIPT")
    command = [bcftools, "+split-vep", "-", *options]
    out = subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout
    return [line.split("\t") for line in out.splitlines()]


@pytest.mark.parametrize("file", FILES)
def test_every_entry_equals_split_vep(file: str, shared_data: Path, peer: Callable[[str], str],
                                      stored: Callable[..., xr.Dataset]) -> None:
    vcf = shared_data / file
    ds = stored(vcf)
    seen = 0
    for annotation in annotation_fields(ds):
        lines = split_vep(peer("bcftools"), vcf, "-a", annotation.field, "-d", "-A", "tab", "-f",
                          f"%POS\t%REF\t%ALT\t%{annotation.field}\n")
        theirs = [row for row in lines if len(row) > 4]
        ours = consequence_table(ds, field=annotation.field)
        assert UNRESOLVED not in set(ours.consequence)
        want = {"consequence": [severity(cell(r, annotation, "consequence").lstrip("*")).terms for r in theirs]}
        for role in ("transcript", "hgvs_c", "hgvs_p", "exon", "biotype", "amino_acid_change", "dna_change"):
            if role == "hgvs_p" and role not in annotation.at:  # derived, see test_protein
                continue
            want[role] = [cell(r, annotation, role) for r in theirs]
        want["gene"] = [cell(r, annotation, "gene") or cell(r, annotation, "gene_id") for r in theirs]
        for column, values in want.items():
            assert ours[column].str.replace("=", "%3D").tolist() == values, (annotation.field, column)
        assert ds.variant_position.values[ours.variant.to_numpy(dtype=int)].tolist() == [int(r[0]) for r in theirs]
        seen += len(theirs)
    assert seen


def cell(row: list[str], annotation: consequence.Annotation, role: str) -> str:
    """One column of a row of split-vep; "." is its word for nothing."""
    number = annotation.at.get(role)
    value = "" if number is None or number + 3 >= len(row) else row[number + 3]
    return "" if value == "." else value


def test_snpeffs_old_field_is_read_with_its_classic_names(shared_data: Path, stored: Callable[..., xr.Dataset]) -> None:
    ds = stored(shared_data / "inheritance/test.comp_het.vcf")
    assert [a.field for a in annotation_fields(ds)] == ["EFF"]
    text = (shared_data / "inheritance/test.comp_het.vcf").read_text()
    entries = re.findall(r"([A-Z_]+)\(([A-Z]+)\|[^|]*\|[^|]*\|[^|]*\|[^|]*\|([^|]*)\|", text)
    table = consequence_table(ds)
    assert table[["impact", "gene"]].values.tolist() == [[impact, gene] for _, impact, gene in entries]
    assert table.consequence.tolist() == [so_term(term) for term, _, _ in entries] and set(table.consequence) <= set(RANK)


def test_every_allele_of_the_scout_trio_is_stated(shared_data: Path, stored: Callable[..., xr.Dataset]) -> None:
    table = consequence_table(stored(shared_data / "trio/scout_643594.clinical.vcf.gz"))
    assert (table.allele > 0).all() and table.gene.ne("").any()


@pytest.mark.parametrize("file", ["trio/ashk-trio.vcf.gz", "trio/scout_643594.clinical.vcf.gz"])
def test_the_worst_entry_is_among_the_worst_of_split_vep(file: str, shared_data: Path, peer: Callable[[str], str],
                                                         stored: Callable[..., xr.Dataset]) -> None:
    """bcftools orders a few classes otherwise, so the two are held together by impact, as Ensembl gives it."""
    ds, vcf = stored(shared_data / file), shared_data / file
    annotation = annotation_fields(ds)[0]
    lines = split_vep(peer("bcftools"), vcf, "-a", annotation.field, "-s", "worst", "-f", "%POS\t%REF\t%ALT\t%Consequence\n")
    theirs = pd.DataFrame(lines, columns=["position", "ref", "alt", "theirs"])
    worst = worst_gene(ds)
    alleles = ds.variant_allele.values
    ours = pd.DataFrame({
        "position": ds.variant_position.values.astype(str),
        "ref": alleles[:, 0].astype(object), "alt": alleles[:, 1].astype(object),
        "impact": worst.variant_impact.values[:, 0].astype(object), "rank": worst.variant_consequence_rank.values[:, 0]})
    both = theirs.merge(ours, on=["position", "ref", "alt"], validate="one_to_one")
    assert len(both) == len(theirs)
    # 1.16 puts a splice site before a stop and a frameshift as Ensembl does; only ties of one impact may differ
    assert [severity(t.lstrip("*")).impact for t in both.theirs] == both.impact.tolist()
    assert (both["rank"] <= [severity(t.lstrip("*")).rank for t in both.theirs]).all()


def test_pointers_made_by_bcftools_csq_are_all_resolved(shared_data: Path, peer: Callable[[str], str],
                                                        stored: Callable[..., xr.Dataset], tmp_path: Path) -> None:
    folder, out = shared_data / "bcftools", tmp_path / "csq.vcf"
    subprocess.run([peer("bcftools"), "csq", "-p", "m", "-f", folder / "csq.fa", "-g", folder / "csq.2.gff", "-o", out,
                    folder / "csq.vcf"], check=True, capture_output=True)
    ds = stored(out)
    pointing = [i for i, row in enumerate(ds.variant_BCSQ.values) if any(str(v).startswith("@") for v in row)]
    assert pointing
    table = consequence_table(ds, pointing)
    assert set(table.variant) == set(pointing) and (table.consequence != UNRESOLVED).all()
    assert table.dna_change.str.contains("+", regex=False).all() and (table.gene == "XYZ").all()
