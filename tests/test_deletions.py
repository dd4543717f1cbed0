"""Deletions as halves of pairs: how files spell them, who carries them, both sides of a breakpoint, and a real file."""

import numpy as np
import pandas as pd
import pysam
import pytest
import xarray as xr

from genomics_nb.core.types import ParameterError
from genomics_nb.rare.deletions import (
    SMALLEST, Call, Deletion, deleted_stretch, deletions_from_table, over_genes, read_deletions, state_of_copies,
)
from genomics_nb.rare.evidence import State
from genomics_nb.rare.inheritance import candidates
from genomics_nb.store.pedigree import read_ped
from genomics_nb.variant.consequence import genes

pysam.set_verbosity(0)
TRIO = read_ped("F kid dad mum 1 2\nF dad 0 0 1 1\nF mum 0 0 2 1\n")
GIRL = read_ped("F kid dad mum 2 2\nF dad 0 0 1 1\nF mum 0 0 2 1\n")
HEADER = """##fileformat=VCFv4.2
##contig=<ID=chr1,length=248956422>
##contig=<ID=chrX,length=156040895>
##FILTER=<ID=PASS,Description="passed">
##FILTER=<ID=Low,Description="low">
##INFO=<ID=END,Number=1,Type=Integer,Description="end">
##INFO=<ID=SVTYPE,Number=1,Type=String,Description="kind">
##INFO=<ID=SVLEN,Number=.,Type=Integer,Description="length">
##INFO=<ID=SVAF,Number=A,Type=Float,Description="frequency">
##INFO=<ID=BCSQ,Number=.,Type=String,Description="Local consequence annotation from BCFtools/csq. Format: Consequence|gene|transcript|biotype|strand|amino_acid_change|dna_change">
##ALT=<ID=DEL,Description="Deletion">
##ALT=<ID=CNV,Description="Copies">
##FORMAT=<ID=GT,Number=1,Type=String,Description="genotype">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="quality">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="depth">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="reads">
##FORMAT=<ID=CN,Number=1,Type=Integer,Description="copies">
"""


def vcf(path, rows, samples=("kid", "dad", "mum")):
    """A small VCF from rows of (contig, position, ref, alt, filter, info, format, calls)."""
    lines = ["\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples])]
    lines += ["\t".join([c, str(p), ".", r, a, "50", f, i, fmt, *calls]) for c, p, r, a, f, i, fmt, calls in rows]
    path.write_text(HEADER + "\n".join(lines) + "\n")
    return path


GOOD = {"0/0": "0/0:99:30:30,0", "0/1": "0/1:99:30:15,15", "1/1": "1/1:90:30:0,30", "./.": "./.:.:.:."}


def small(tmp_path, stored, sites, contig="chr1"):
    """Small variants of one gene: (position, genotypes of kid, dad, mum)."""
    rows = [(contig, p, "A", "G", "PASS", "BCSQ=missense|GENE1|T1|protein_coding|+|1A>1G|9A>G", "GT:GQ:DP:AD", [GOOD[g] for g in calls])
            for p, calls in sites]
    return stored(vcf(tmp_path / "small.vcf", rows), "GRCh38")


def deleted(**states):
    """A deletion of chr1:5,000,001-5,010,000 in GENE1."""
    return Deletion("1", 5_000_001, 5_010_000, {m: Call(s, 60, 40, 20) for m, s in states.items()}, ("GENE1",))


FROM_DAD = {"kid": State.HET, "dad": State.HET, "mum": State.REFERENCE}
FROM_MUM = {"kid": State.HET, "dad": State.REFERENCE, "mum": State.HET}


def pairs(ds, deletions, pedigree=TRIO, **more):
    found = candidates(ds, pedigree, genes=genes(ds), deletions=deletions, answers=("yes", "indeterminate"), **more)
    return found[found["mode"] == "compound"]


# ---- spelling ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("record,expected", [
    ((100, "A", "<DEL>", "DEL", 400, 0), (101, 400)),
    ((100, "A", "<DEL>", "DEL", 0, -300), (101, 400)),
    ((100, "A", "<DEL:ME:ALU>", "DEL", 400, 0), (101, 400)),
    ((100, "A", "<CN0>", "CNV", 400, 0), (101, 400)),
    ((100, "A", "<CN2>", "CNV", 400, 0), None),
    ((100, "A", "<DUP>", "DUP", 400, 0), None),
    ((100, "A", "<INS>", "INS", 100, 0), None),
    ((100, "A", "<DEL>", "DEL", 0, 0), None),  # where it ends is not told
    ((100, "A", "A[chr2:5[", "BND", 0, 0), None),
    ((100, "A" + "C" * SMALLEST, "A", "", 0, 0), (101, 100 + SMALLEST)),
    ((100, "A" + "C" * (SMALLEST - 1), "A", "", 0, 0), None),  # the business of small variants
    ((100, "A" + "C" * SMALLEST, "AG", "DEL", 150, 0), (101, 150)),
    ((100, "A" + "C" * 80, "A", "INV", 0, 0), None),
])
def test_a_deletion_is_recognised_however_it_is_spelled(record, expected):
    assert deleted_stretch(*record) == expected


def test_copies_are_held_against_what_there_should_be():
    assert [state_of_copies(c, 2) for c in (2, 1, 0, 3, -1)] == [
        State.REFERENCE, State.HET, State.HOM, State.REFERENCE, State.NO_CALL]
    assert [state_of_copies(c, 1) for c in (1, 0)] == [State.REFERENCE, State.HEMI]


def test_a_file_is_read_with_its_genes_copies_and_support(tmp_path, stored):
    rows = [("chr1", 5_000_000, "A", "<DEL>", "PASS", "END=5010000;SVTYPE=DEL;SVAF=0.002;BCSQ=feature_truncation|GENE1|T1|protein_coding|+||",
             "GT:GQ:DP", ["0/1:60:40", "0/0:80:41", "./.:.:."]),
            ("chr1", 6_000_000, "A", "<CNV>", "Low", "END=6010000;SVTYPE=CNV", "GT:CN", ["./.:1", "./.:2", "./.:0"]),
            ("chrX", 50_000_000, "A", "<CNV>", ".", "END=50010000;SVTYPE=CNV", "GT:CN", [".:0", ".:1", "./.:1"]),
            ("chrX", 60_000_000, "A", "<DEL>", "PASS", "END=60010000;SVTYPE=DEL", "GT", ["0/0", "0/0", "0/0"])]
    ds = stored(vcf(tmp_path / "sv.vcf", rows), "GRCh38")
    one, two, three = read_deletions(ds, TRIO, genes=genes(ds), frequency="SVAF")
    assert (one.place, one.genes, one.passed) == ("chr1:5000001-5010000", ("GENE1",), 1) and one.frequency == pytest.approx(0.002)
    assert {m: c.state for m, c in one.calls.items()} == {"kid": State.HET, "dad": State.REFERENCE, "mum": State.NO_CALL}
    assert (one.calls["kid"].quality, one.calls["kid"].depth) == (60, 40)
    assert two.passed == 0 and [c.state for c in two.calls.values()] == [State.HET, State.REFERENCE, State.HOM]
    assert three.passed == -1 and [c.state for c in three.calls.values()] == [State.HEMI, State.REFERENCE, State.HET]
    with pytest.raises(ParameterError, match="no INFO field NONE"):
        read_deletions(ds, TRIO, frequency="NONE")


@pytest.mark.parametrize("table,words", [
    ({"contig": ["chr1"], "start": [5], "kid": [1]}, "end"),
    ({"contig": ["chr1"], "start": [5], "end": [900]}, "column of copies"),
    ({"contig": ["chr1"], "start": [900], "end": [5], "kid": [1]}, "row 1"),
    ({"contig": ["chr1"], "start": [0], "end": [5], "kid": [1]}, "row 1")])
def test_a_wrong_table_is_one_clear_line(table, words):
    with pytest.raises(ParameterError, match=words):
        deletions_from_table(pd.DataFrame(table), TRIO)


def test_genes_come_from_spans_that_touch_by_a_base():
    spans = pd.DataFrame({"gene": ["A", "B", "C"], "contig": ["chr1", "1", "chr2"], "start": [1, 5_010_000, 5_000_001],
                          "end": [5_000_000, 5_020_000, 5_010_000]})
    assert over_genes([deleted(**FROM_DAD)], spans)[0].genes == ("GENE1", "B")


# ---- pairs ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("site,states,expected", [
    ((4_990_000, ("0/1", "0/0", "0/1")), FROM_DAD, "yes"),  # outside, from the other parent
    ((4_990_000, ("0/1", "0/1", "0/0")), FROM_DAD, None),  # outside, from the same parent
    ((5_005_000, ("1/1", "0/0", "0/1")), FROM_DAD, "yes"),  # inside: read as two copies
    ((5_005_000, ("1/1", "0/1", "0/0")), FROM_MUM, "yes"),
    ((5_005_000, ("1/1", "0/0", "1/1")), FROM_DAD, None),  # the healthy mother has it twice
    ((5_005_000, ("1/1", "1/1", "0/1")), FROM_DAD, None),  # the healthy father has it and the deletion
    ((5_005_000, ("0/0", "0/0", "0/1")), FROM_DAD, None),  # not carried
    ((4_990_000, ("1/1", "0/0", "0/1")), FROM_DAD, None),  # two copies outside
    ((5_000_000, ("1/1", "0/0", "0/1")), FROM_DAD, None),  # the base before the deletion
    ((5_000_001, ("1/1", "0/0", "0/1")), FROM_DAD, "yes"),  # its first base
    ((5_010_000, ("1/1", "0/0", "0/1")), FROM_DAD, "yes"),  # its last base
    ((5_010_001, ("1/1", "0/0", "0/1")), FROM_DAD, None),
    ((4_990_000, ("0/1", "0/0", "0/1")), {"kid": State.HET, "mum": State.REFERENCE}, "indeterminate"),  # the father was not looked at
    ((4_990_000, ("0/1", "0/0", "0/1")), {"dad": State.HET, "mum": State.REFERENCE}, "indeterminate"),  # nor the child
    ((4_990_000, ("0/1", "0/0", "0/1")), {**FROM_DAD, "dad": State.REFERENCE}, "indeterminate"),  # deletion de novo: phase unknown
    ((4_990_000, ("0/1", "0/0", "0/1")), {**FROM_DAD, "kid": State.REFERENCE}, None),
    ((4_990_000, ("0/1", "0/0", "0/1")), {**FROM_DAD, "kid": State.HOM}, None),
])
def test_a_small_variant_over_a_deletion(tmp_path, stored, site, states, expected):
    ds = small(tmp_path, stored, [site])
    found = pairs(ds, [deleted(**states)])
    assert set(found["answer"]) == ({expected} if expected else set())
    if expected:
        assert found["variant"].tolist() == [0, -1] and found["pair"].nunique() == 1
        assert found["alt"].tolist() == ["G", "<DEL>"] and found["position"].tolist() == [site[0], 5_000_000]


def test_the_rows_say_how_it_is_meant(tmp_path, stored):
    ds = small(tmp_path, stored, [(5_005_000, ("1/1", "0/0", "0/1"))])
    for lang, words in (("en", "has taken the other copy"), ("fr", "a emporté l'autre copie")):
        found = pairs(ds, [deleted(**FROM_DAD)], lang=lang)
        assert any(words in text for text in found.iloc[0]["reasons"])
        assert any("1:5000001-5010000" in text for text in found.iloc[0]["reasons"])
    assert found["grade"].tolist() == ["high", "high"]
    assert (found.iloc[0]["kid GT"], found.iloc[1]["kid GT"], found.iloc[1]["mum GT"]) == ("1/1", "0/1", "0/0")
    assert found.iloc[1]["kid DP"] == 40


def test_heterozygous_inside_its_own_deletion_is_low_and_said(tmp_path, stored):
    found = pairs(small(tmp_path, stored, [(5_005_000, ("0/1", "0/0", "0/1"))]), [deleted(**FROM_DAD)])
    assert set(found["grade"]) == {"low"} and any("one of the two calls is wrong" in t for t in found.iloc[0]["reasons"])


def test_two_deletions_of_one_gene_are_a_pair(tmp_path, stored):
    ds = small(tmp_path, stored, [(4_000_000, ("0/0", "0/1", "0/0"))])
    other = Deletion("chr1", 5_100_000, 5_200_000, {m: Call(s) for m, s in FROM_MUM.items()}, ("GENE1",))
    found = pairs(ds, [deleted(**FROM_DAD), other])
    assert found["variant"].tolist() == [-1, -2] and set(found["answer"]) == {"yes"}


def test_deletions_that_nobody_looked_for_are_said_to_be_open(tmp_path, stored):
    ds = small(tmp_path, stored, [(4_990_000, ("0/1", "0/0", "0/1"))])
    without, with_none = (candidates(ds, TRIO, genes=genes(ds), deletions=d).attrs["not_assessed"] for d in (None, []))
    assert any("deletion" in text for text in without) and not any("deletion" in text for text in with_none)
    assert any("duplication" in text for text in with_none)
    assert candidates(ds, TRIO, deletions=[deleted(**FROM_DAD)]).attrs["not_assessed"] != with_none  # no genes, so no pairs


def test_no_pair_on_the_x_of_a_son_but_of_a_daughter(tmp_path, stored):
    lost = Deletion("chrX", 50_000_001, 50_010_000, {m: Call(s, 60, 40) for m, s in FROM_DAD.items()}, ("GENE1",))
    ds = small(tmp_path, stored, [(49_990_000, ("0/1", "0/0", "0/1"))], contig="chrX")
    assert pairs(ds, [lost]).empty
    assert set(pairs(ds, [lost], GIRL)["answer"]) == {"yes"}


def test_candidates_without_deletions_are_unchanged(tmp_path, stored):
    ds = small(tmp_path, stored, [(4_990_000, ("0/1", "0/0", "0/1")), (4_991_000, ("0/1", "0/1", "0/0"))])
    one, other = (candidates(ds, TRIO, genes=genes(ds), deletions=d) for d in (None, []))
    pd.testing.assert_frame_equal(one, other)
    both = candidates(ds, TRIO, genes=genes(ds), deletions=[deleted(**FROM_DAD)])
    assert len(both[both["mode"] == "compound"]) == 4 and (both["variant"] >= -1).all()


# ---- a real file ------------------------------------------------------------------------------------------------------------

def test_the_deletions_of_scouts_demo_trio(stored, shared_data):
    """Manta's calls as they stand in the file: every SVTYPE=DEL that anybody carries, with Manta's read support."""
    ds = stored(shared_data / "trio/scout_643594.clinical.SV.vcf.gz", "GRCh37")
    pedigree = read_ped(shared_data / "trio/scout_643594.ped")
    found = read_deletions(ds, pedigree, genes=genes(ds), frequency="AF")
    with pysam.VariantFile(str(shared_data / "trio/scout_643594.clinical.SV.vcf.gz")) as source:
        expected = {}
        for record in source:
            carried = {s: tuple(sorted(c["GT"])) for s, c in record.samples.items()}
            if record.info["SVTYPE"] == "DEL" and record.stop - record.pos >= SMALLEST and any(sum(g) for g in carried.values()):
                expected[record.chrom, record.stop] = carried
    states = {(0, 0): State.REFERENCE, (0, 1): State.HET, (1, 1): State.HOM}
    assert {(d.contig, d.end): {m: c.state for m, c in d.calls.items()} for d in found} == {
        key: {m: states[g] for m, g in carried.items()} for key, carried in expected.items()}
    first = next(d for d in found if d.genes == ("PER3",))
    assert (first.calls["ADM1059A2"].depth, first.calls["ADM1059A2"].reads) == (21, 5) and len(found) == 13


def test_scouts_demo_trio_has_one_pair_of_a_small_variant_and_a_deletion(stored, shared_data):
    """Derived from the two files by pysam: SIRT3, a small variant of the father alone over a deletion of the mother alone."""
    trio = shared_data / "trio"
    pedigree = read_ped(trio / "scout_643594.ped")
    child, father, mother = "ADM1059A2", "ADM1059A1", "ADM1059A3"
    small = stored(trio / "scout_643594.clinical.vcf.gz", "GRCh37")
    large = stored(trio / "scout_643594.clinical.SV.vcf.gz", "GRCh37")

    def halves(path, kind=None):
        """(gene, position) -> the one parent who carries it, where the child is heterozygous and everybody is called."""
        found = {}
        with pysam.VariantFile(str(path)) as source:
            for record in source:
                if kind and (record.info["SVTYPE"] != kind or record.stop - record.pos < SMALLEST):
                    continue
                calls = {s: c["GT"] for s, c in record.samples.items()}
                if any(None in g for g in calls.values()):
                    continue
                carriers = [p for p in (father, mother) if sum(calls[p]) > 0]
                if sum(calls[child]) == 1 and len(carriers) == 1 and sum(calls[carriers[0]]) == 1:
                    genes_here = {entry.split("|")[3] for entry in record.info["CSQ"]}
                    found |= {(gene, record.pos): carriers[0] for gene in genes_here}
        return found

    variants, gone = halves(trio / "scout_643594.clinical.vcf.gz"), halves(trio / "scout_643594.clinical.SV.vcf.gz", "DEL")
    expected = {(gene, at, place) for (gene, at), one in variants.items() for (other, place), parent in gone.items()
                if gene == other and one != parent}
    assert expected == {("SIRT3", 232855, 223831)}
    table = candidates(small, pedigree, genes=genes(small), deletions=read_deletions(large, pedigree, genes=genes(large)))
    pairs = table[(table["mode"] == "compound") & table["pair"].isin(table.loc[table["variant"] < 0, "pair"])]
    assert {(g, *sorted(rows["position"])[::-1]) for (g, _), rows in pairs.groupby(["gene", "pair"])} == expected
    assert set(pairs["answer"]) == {"yes"} and any("deletion" in r for r in pairs.iloc[-1]["reasons"])


def test_structural_variants_are_an_analysis_of_their_own(stored, shared_data):
    """genmod marks two deletions of this file as de novo; ours: one yes of low grade, one open to doubt by the same calls."""
    ds = stored(shared_data / "trio/scout_643594.clinical.SV.vcf.gz", "GRCh37")
    table = candidates(ds, read_ped(shared_data / "trio/scout_643594.ped"))
    models = [str(v[0]) for v in ds["variant_GeneticModels"].values]
    theirs = {i for i, text in enumerate(models) if "AD_dn" in text}
    assert set(table.loc[table["mode"] == "de_novo", "variant"]) == theirs
    assert set(table.loc[table["mode"] == "de_novo", "grade"]) == {"low"}  # no AD, and GQ 15 and 6 in a parent


def test_hostile_records_are_read_or_left_out_and_never_stop_the_reading():
    """Missing END, many alleles, an unknown person, no filters at all."""
    ds = xr.Dataset({
        "call_genotype": (("variants", "samples", "ploidy"), np.array([[[1, -2]], [[2, 1]], [[-1, -1]]], np.int8)),
        "variant_contig": ("variants", np.zeros(3, np.int8)), "variant_position": ("variants", np.array([100, 200, 300], np.int32)),
        "variant_allele": (("variants", "alleles"), np.array([["A", "<DEL>", ""], ["A", "<DUP>", "<DEL>"], ["A", "<DEL>", ""]], object)),
        "variant_END": ("variants", np.array([-1, 900, 2_000], np.int32)), "variant_filter": (("variants", "filters"), np.zeros((3, 1), bool)),
        "filter_id": ("filters", ["PASS"]), "contig_id": ("contigs", ["chr1"]), "sample_id": ("samples", ["kid"])})
    one, two = read_deletions(ds, TRIO)
    assert (one.place, one.calls["kid"].state) == ("chr1:201-900", State.HET) and two.calls["kid"].state == State.NO_CALL
    assert read_deletions(ds.assign_coords(sample_id=("samples", ["stranger"])), TRIO) == []
