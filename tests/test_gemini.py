"""Other programs' expected answers: GEMINI's suite, slivar's cases, genmod's models in Scout's demo trio.

Each difference of rule stands in a table here, with the argument; nbs/library/4_rare/11_agreement.ipynb tells the same to a
reader. A test compares the whole answer: what we say beyond the other program, and what it says beyond us, must be the table.
"""

import re
from collections import defaultdict

import dask
import numpy as np
import pandas as pd
import pysam
import pytest
import xarray as xr

from genomics_nb.rare.inheritance import candidates, rows_to_annotate
from genomics_nb.rare.mendelian import mendelian_errors
from genomics_nb.store.ped import Member
from genomics_nb.store.pedigree import pedigree_from_members, read_ped
from genomics_nb.variant.consequence import genes

pysam.set_verbosity(0)

ORPHANS = "GEMINI warns and calls an affected child without parents homozygous recessive; here the missing parents leave it open"
PARENT_HAS_BOTH = "a healthy parent carries both variants, so the pair does not explain the disease; GEMINI keeps it at priority 3"
X_FATHER = "a daughter's second X is her father's, and he is called without the variant: a wrong call, disomy or deletion, not recessive"
X_NEW = "neither parent carries it: that is de novo, which is asked as a mode of its own, and not transmitted dominance"
# test -> (rows that GEMINI has and we leave open or reject, argument); nothing else may differ, and we never have a row more
DIFFERENCES = {
    "auto_rec.t8": ({(1142208, "1"), (1142208, "2"), (48003992, "1"), (48004992, "2")}, ORPHANS),
    "auto_rec.t10": ({(1142208, "1"), (1142208, "2"), (48003992, "1"), (48004992, "2"), (135369532, "3")}, ORPHANS),
    "auto_rec.t11": ({(1142208, "1"), (1142208, "2"), (48003992, "1"), (48004992, "2")}, ORPHANS),
    "comp_het.t1": ({(17363, "4"), (17730, "4")}, PARENT_HAS_BOTH),
    "comp_het.t3": ({(17363, "4"), (17730, "4")}, PARENT_HAS_BOTH),
    "x_linked_rec.t1": ({(48004992, "1")}, X_FATHER),
    "x_linked_dom.t2": ({(135336656, "1")}, X_NEW),
}
MODES = {"autosomal_dominant": "dominant", "autosomal_recessive": "recessive", "comp_hets": "compound",
         "x_linked_recessive": "x_recessive", "x_linked_dominant": "x_dominant"}
TESTS = ["auto_dom.t2", "auto_dom.t5", "auto_dom.t6", "auto_dom.t7", "auto_dom.t8", "auto_dom.t9", "auto_dom.t10", "auto_dom.t11",
         "auto_dom.t13", "auto_dom.t18", "auto_dom.t20", "auto_rec.t4", "auto_rec.t8", "auto_rec.t10", "auto_rec.t11", "auto_rec.t12",
         "auto_rec.t15", "auto_rec.t16", "comp_het.t1", "comp_het.t3", "comp_het.t15", "x_linked_rec.t1", "x_linked_rec.t2",
         "x_linked_dom.t2"]
ELSEWHERE = {"mendel_error": "below", "query.t26": "below"}
NO_INPUT = {"comp_het.t10"}  # its VCF is not among the files


@pytest.fixture(scope="module")
def suite(shared_data):
    """Test -> (command, expected text)."""
    table = pd.read_csv(shared_data / "inheritance/gemini_expected.tsv", sep="\t", keep_default_na=False)
    return {r.test: (r.command, r.expected.replace("\\n", "\n")) for r in table.itertuples()}


def expected_rows(text):
    """The rows of a GEMINI table as dictionaries; text after the first table belongs to other tests."""
    lines = text.split("\n\n")[0].splitlines()
    head = next((i for i, line in enumerate(lines) if line.startswith(("gene|", "chrom|"))), None)
    if head is None:
        return []
    names, rows = lines[head].split("|"), []
    for line in lines[head + 1:]:
        cells = re.sub(r"(?<=[ACGT])\|(?=[ACGT]+[,/])", "/", line).split("|")  # a phased genotype holds a bar
        rows.append(dict(zip(names, cells, strict=True)))
    return rows


def keys(rows):
    """(position in the VCF, family): GEMINI's start counts from 0."""
    return {(int(r["start"]) + 1, r["family_id"]) for r in rows}


def test_every_test_of_the_suite_about_families_is_compared_or_named(suite):
    about = {t for t in suite if not t.startswith(("query", "stat", "roh")) or t == "query.t26"}
    named = {t for t in about if any(t.startswith(name) for name in ELSEWHERE)}
    assert about == set(TESTS) | named | NO_INPUT


# ---- GEMINI's modes ----------------------------------------------------------------------------------------------------

def sites_of(rows):
    """The sites of a test without VCF, from the genotypes that GEMINI printed, with members and sexes (chrX, GRCh37)."""
    people = [re.fullmatch(r"(\w+)\((\w+);(\w+);(\w+)\)", p).groups()[1:] for p in rows[0]["family_members"].split(",")]
    names = [p[0].rsplit("_", 1) for p in people]
    members = [Member(p[0], f, None if role != "kid" else f"{f}_dad", None if role != "kid" else f"{f}_mom", p[2], p[1] == "affected")
               for (f, role), p in zip(names, people, strict=True)]
    calls = [[[int(a != r["ref"]) for a in g.split("/")] for g in r["family_genotypes"].split(",")] for r in rows]
    n = len(rows)
    return xr.Dataset({
        "call_genotype": (("variants", "samples", "ploidy"), np.array(calls, np.int8)),
        "variant_contig": ("variants", np.zeros(n, np.int8)), "variant_filter": (("variants", "filters"), np.ones((n, 1), bool)),
        "variant_position": ("variants", np.array([int(r["start"]) + 1 for r in rows], np.int32)),
        "variant_allele": (("variants", "alleles"), np.array([[r["ref"], r["alt"]] for r in rows], object)),
        "contig_id": ("contigs", [r["chrom"] for r in rows[:1]]), "filter_id": ("filters", ["PASS"]),
        "sample_id": ("samples", [m.id for m in members])}, attrs={"genome_build": "GRCh37"}), pedigree_from_members(members)


def ours_of(ds, pedigree, mode, of_gene=None):
    """Answer -> {(position, family): gene cells of the row}."""
    found = {"yes": {}, "indeterminate": {}}
    for family in pedigree.family_ids:
        person = pedigree.family(family)
        if person.affected:
            table = candidates(ds, person, answers=("yes", "indeterminate"), genes=of_gene)
            for row in table[table["mode"] == mode].to_dict("records"):
                found[row["answer"]].setdefault((int(row["position"]), family), []).append(row)
    return found


def depth_and_quality(rows, what):
    return min(v for row in rows for k, v in row.items() if k.endswith(f" {what}") and v is not None and not pd.isna(v))


@pytest.mark.parametrize("test", TESTS)
def test_the_answers_are_geminis_but_for_the_stated_rules(stored, shared_data, suite, test):
    command, text = suite[test]
    theirs, mode = expected_rows(text), MODES[command.split()[1]]
    name = re.search(r"test\.(\w[\w.]*?)\.db", command).group(1)
    facts = {int(r["start"]) + 1: (r["gene"], r.get("impact_severity", "HIGH")) for _, e in suite.values()
             for r in expected_rows(e) if "family_id" in r and "gene" in r}
    file = shared_data / f"inheritance/test.{name}.vcf"
    if file.exists():
        ds, pedigree = stored(file, "GRCh37"), read_ped(shared_data / f"inheritance/test.{name}.ped")
    else:  # x_linked: the whole site stands in the expected rows of its tests
        ds, pedigree = sites_of([r for t in TESTS if t.startswith("x_linked") for r in expected_rows(suite[t][1])])
    of_gene = None
    if mode == "compound":  # only what passed GEMINI's filter is paired
        of_gene = genes(ds)
        high = [facts.get(int(p), ("", ""))[1] == "HIGH" for p in ds["variant_position"].values]
        of_gene = of_gene[np.array(high)[of_gene["variant"]]]
    found = ours_of(ds, pedigree, mode, of_gene)
    yes = found["yes"]
    if option := re.search(r"-d (\d+)", command):
        yes = {k: r for k, r in yes.items() if depth_and_quality(r, "DP") >= int(option.group(1))} if "call_DP" in ds else {}
    if option := re.search(r"--min-gq (\d+)", command):
        yes = {k: r for k, r in yes.items() if depth_and_quality(r, "GQ") >= int(option.group(1))}
    if "'HIGH'" in command:
        yes = {k: r for k, r in yes.items() if facts.get(k[0], ("", ""))[1] == "HIGH"}
    if option := re.search(r"--families (\w+)", command):
        yes = {k: r for k, r in yes.items() if k[1] == option.group(1)}
    if option := re.search(r"--min-kindreds (\d+)", command):  # families in which the gene has a candidate
        of = defaultdict(set)
        every = set(yes) | (DIFFERENCES[test][0] if test in DIFFERENCES else set())
        for position, family in every:
            of[facts.get(position, ("", ""))[0]].add(family)
        yes = {k: r for k, r in yes.items() if len(of[facts[k[0]][0]]) >= int(option.group(1))}
    missing, argument = DIFFERENCES.get(test, (set(), "no difference"))
    assert keys(theirs) - set(yes) == missing, argument
    assert set(yes) <= keys(theirs)
    if argument == ORPHANS:
        assert missing <= set(found["indeterminate"])
    elif missing and mode != "x_dominant":
        assert not missing & set(found["indeterminate"])


def test_what_gemini_calls_dominant_on_x_without_a_carrier_is_de_novo_here(suite):
    ds, pedigree = sites_of(expected_rows(suite["x_linked_dom.t2"][1]))
    table = candidates(ds, pedigree)
    assert table[["mode", "answer", "grade"]].values.tolist() == [["de_novo", "yes", "low"]]  # low: no reads are given


def test_mendelian_errors_are_geminis(stored, shared_data, suite):
    ds, pedigree = stored(shared_data / "inheritance/test.mendel.vcf", "GRCh37"), read_ped(shared_data / "inheritance/test.mendel.ped")
    rows = np.flatnonzero((mendelian_errors(ds, pedigree)["variant_mendelian"].values == -1).any(axis=1))
    assert ds["variant_position"].values[rows][:3].tolist() == sorted(int(r["start"]) + 1 for r in expected_rows(
        suite["mendel_error.t1"][1]))
    assert len(rows) == int(suite["mendel_error.t4"][1]) - 1  # one line is the header
    ds = stored(shared_data / "inheritance/test.auto_rec.vcf", "GRCh37")
    family = read_ped(shared_data / "inheritance/test.auto_rec.ped").family("1")
    assert not (mendelian_errors(ds, family)["variant_mendelian"].values == -1).any()


def test_rows_carried_by_every_affected_member_are_those_of_the_query(stored, shared_data, suite, tmp_path):
    """query.t26: rows that all affected members carry, in two families or more. The file is not sorted: intake refuses it as it is."""
    lines = (shared_data / "inheritance/test.family.vcf").read_text().splitlines(keepends=True)
    records = sorted((line for line in lines if not line.startswith("#")), key=lambda line: int(line.split("\t")[1]))
    file = tmp_path / "family.vcf"
    file.write_text("".join([line for line in lines if line.startswith("#")] + records))
    ds = stored(file, "GRCh37")
    pedigree = read_ped(shared_data / "inheritance/test.auto_rec.ped")  # the same nine people, each family's child affected
    count = np.zeros(ds.sizes["variants"], int)
    for family in pedigree.family_ids:
        count[rows_to_annotate(ds, pedigree.family(family))] += 1
    kinds = {(0, 0): 0, (0, 1): 1, (1, 1): 3}
    got = [",".join(str(kinds[tuple(sorted(c))]) for c in ds["call_genotype"].values[i].tolist()) for i in np.flatnonzero(count >= 2)]
    assert sorted(got) == sorted(line.split("|")[1] for line in suite["query.t26"][1].strip().splitlines())


# ---- slivar ----------------------------------------------------------------------------------------------------------------

SLIVAR = {"geneC": "one half is inherited and the other de novo: on which copy it arose is unknown, unless a phase set says so; "
                   "slivar says yes, we say open"}


def test_slivar_compound_cases(stored, shared_data):
    ds = stored(shared_data / "trio/slivar_comphet.vcf", "GRCh37")
    expect, gene = ([str(v) for v in ds[f"variant_{name}"].values.reshape(ds.sizes["variants"], -1)[:, 0]]
                    for name in ("expect", "BCSQ"))
    table = pd.DataFrame({"variant": range(len(gene)), "allele": 1, "gene": [g.split("|")[1] for g in gene]})
    found = candidates(ds, read_ped(shared_data / "trio/ashk-trio.ped"), genes=table, answers=("yes", "indeterminate"))
    pairs = found[found["mode"] == "compound"]
    yes, open_ = (set(pairs.loc[pairs["answer"] == a, "variant"]) for a in ("yes", "indeterminate"))
    theirs = {i for i, text in enumerate(expect) if text.startswith("yes")}
    differ = {i for i, t in enumerate(table["gene"]) if t in SLIVAR}
    assert yes == theirs - differ and differ <= open_ and differ <= theirs


def test_slivar_family_with_two_affected_children(stored, shared_data):
    ds = stored(shared_data / "trio/slivar_comphet-test-case.vcf", "GRCh38")
    pedigree = read_ped(shared_data / "trio/slivar_comphet-test-case.ped")
    table = pd.DataFrame({"variant": [0, 1], "allele": 1, "gene": "GENE"})
    found = candidates(ds, pedigree, genes=table)
    pair = found[found["mode"] == "compound"]
    assert pair["position"].tolist() == [68_559_353, 68_717_963] and set(pair["grade"]) == {"high"}


# ---- genmod in Scout's demo trio -------------------------------------------------------------------------------------------

NO_CALL = "genmod lets a missing or half call fit every model; here a no-call is never a genotype, so the mode is open"
ONE_PARENT = "genmod's AR_hom_dn: homozygous with one parent without it; recessive is rejected and the row says disomy or deletion"
Y_OF_A_SON = "a son has one Y and is called heterozygous: evidence of nothing here"
X_OF_A_SON = "a son has one X and is called heterozygous: evidence of nothing here"
REGION = "genmod takes the gene spans of its own annotation; ours pairs by the gene of each allele's worst consequence"
# model of genmod, mode here: rows of genmod that are open here, rows rejected here, arguments
GENMOD = {
    ("AR_hom", "recessive"): (18, 2, (NO_CALL, ONE_PARENT)),
    ("AR_hom_dn", "recessive"): (17, 9, (NO_CALL, ONE_PARENT)),
    ("AD", "dominant"): (10, 0, (NO_CALL,)),
    ("AD_dn", "de_novo"): (11, 2, (NO_CALL, Y_OF_A_SON)),
    ("AR_comp", "compound"): (0, 0, ()),
    ("XR_dn", "x_recessive"): (0, 1, (X_OF_A_SON,)),
    ("XD_dn", "x_dominant"): (0, 1, (X_OF_A_SON,)),
}


@pytest.fixture(scope="module")
def scout(stored, shared_data):
    """The demo trio, our table of it, and genmod's models row by row."""
    ds = stored(shared_data / "trio/scout_643594.clinical.vcf.gz", "GRCh37")
    table = candidates(ds, read_ped(shared_data / "trio/scout_643594.ped"), genes=genes(ds), answers=("yes", "indeterminate"))
    models = [set(str(v[0]).split(":")[-1].split("|")) - {"."} for v in ds["variant_GeneticModels"].values]
    return ds, table, models


def whole(ds, row):
    """Whether every member has a complete call."""
    calls = ds["call_genotype"].values[row]
    return bool((calls != -1).all() and (calls[:, 0] != -2).all())


@pytest.mark.parametrize("model,mode", GENMOD)
def test_the_models_of_genmod_are_ours_but_for_the_stated_rules(scout, model, mode):
    ds, table, models = scout
    theirs = {i for i, m in enumerate(models) if model in m}
    here = table[table["mode"] == mode]
    yes, open_ = (set(here.loc[here["answer"] == a, "variant"]) for a in ("yes", "indeterminate"))
    left_open, rejected, arguments = GENMOD[model, mode]
    assert len(theirs & open_ - yes) == left_open and len(theirs - yes - open_) == rejected, arguments
    for i in theirs & open_ - yes:
        assert not whole(ds, i)  # NO_CALL is the only reason to leave open what genmod says
    if arguments[-1:] in ((Y_OF_A_SON,), (X_OF_A_SON,)):
        for i in theirs - yes - open_:
            assert str(ds["contig_id"].values[ds["variant_contig"].values[i]]) in ("X", "Y")
            assert sorted(ds["call_genotype"].values[i, 1].tolist()) == [0, 1]
    if model == "AR_hom":
        assert yes == {i for i in theirs if whole(ds, i)} and not any(whole(ds, i) for i in theirs - yes)


def test_new_variants_of_genmod_are_ours_where_everybody_is_called(scout):
    ds, table, models = scout
    theirs = {i for i, m in enumerate(models) if "AD_dn" in m and whole(ds, i)}
    son_on_y = {i for i in theirs if str(ds["contig_id"].values[ds["variant_contig"].values[i]]) == "Y"}
    ours = set(table.loc[(table["mode"] == "de_novo") & (table["answer"] == "yes"), "variant"])
    assert theirs - son_on_y == ours and len(ours) == 21 and len(son_on_y) == 2


def test_our_pairs_beyond_genmods_are_in_trans_by_the_parents(scout):
    """Five rows that genmod does not mark: three have a parent without call (grade low), two lie in a gene that its span misses."""
    ds, table, models = scout
    pairs = table[(table["mode"] == "compound") & (table["answer"] == "yes")]
    more = {int(v) for v in pairs["variant"] if "AR_comp" not in models[v]}
    without_call = {i for i in more if not whole(ds, i)}
    assert (len(more), len(without_call)) == (5, 4), REGION
    assert set(pairs.loc[pairs["variant"].isin(without_call), "grade"]) == {"low"}


def test_one_half_new_is_open_here_and_named_apart_by_genmod(scout):
    """AR_comp_dn, one half inherited and one new: open here, as with slivar; the rest lie on a son's Y or are yes in another pair."""
    ds, table, models = scout
    theirs = {i for i, m in enumerate(models) if "AR_comp_dn" in m}
    pairs = table[table["mode"] == "compound"]
    rest = theirs - set(pairs["variant"])
    assert {str(ds["contig_id"].values[ds["variant_contig"].values[i]]) for i in rest} == {"Y"} and len(rest) == 3
    yes = set(pairs.loc[pairs["answer"] == "yes", "variant"]) & theirs
    assert all("AR_comp" in models[i] for i in yes)


def test_sex_and_kinship_of_the_demo_trio_are_those_of_its_files(scout, shared_data):
    """peddy's sexes and somalier's relations stand beside the trio; its 680 rows are too few to judge, and that is said."""
    from genomics_nb.population.relatedness import check_family, king

    ds, *_ = scout
    pedigree = read_ped(shared_data / "trio/scout_643594.ped")
    told = pd.read_csv(shared_data / "trio/scout_643594.sex_check.csv")
    assert {r.sample_id: r.predicted_sex for r in told.itertuples()} == {m.id: m.sex for m in pedigree.members.values()}
    pairs = pd.read_csv(shared_data / "trio/scout_643594.somalier.pairs.tsv", sep="\t")
    for row in pairs.itertuples():
        assert 2 * pedigree.kinship(row[1], row[2]) == pytest.approx(row.expected_relatedness)
    assert set(check_family(king(ds), pedigree)["verdict"]) == {"too few sites"}
    with dask.config.set(scheduler="synchronous"):
        assert (mendelian_errors(ds, pedigree)["variant_mendelian"].values == -1).mean() < 0.1


def test_the_mitochondrion_of_the_demo_trio_shows_each_members_share(scout, shared_data):
    """Of three MT rows two are homoplasmic in everybody (no argument), one is heteroplasmic; the shares are those of the file's AD."""
    ds, table, _ = scout
    rows = table[table["mode"] == "mitochondrial"]
    assert rows["position"].tolist() == [16023]
    row = rows.iloc[0]
    for member in ("ADM1059A1", "ADM1059A2", "ADM1059A3"):
        assert row[f"{member} AD"] == "1029,1125" and row[f"{member} VAF"] == pytest.approx(1125 / 2154, abs=1e-3)
    assert "heteroplasmic in ADM1059A1 (52.2%), ADM1059A2 (52.2%), ADM1059A3 (52.2%)" in row["reasons"][0]
    assert "homoplasmic" not in row["reasons"][0].replace("heteroplasmic", "")
