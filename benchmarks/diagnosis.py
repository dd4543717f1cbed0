"""From a family's VCF, PED and HPO terms to a ranked list: how often is the causal gene of a published case first? Run by `make bench-diagnosis`.

    python benchmarks/diagnosis.py                     # every case; some minutes
    python benchmarks/diagnosis.py --write             # the tables go to README.md
    python benchmarks/diagnosis.py --cases 40 --half development --list    # a sample, one line for each case

Each of the 492 cases of the shared phenopackets is hidden in a trio of core.burden (`diagnosis_data.py` says how) and goes the whole way:
bgzipped VCF -> store -> consent gate -> modes of inheritance -> evidence -> phenotype -> shortlist (`rare.diagnose`). The answer is read
twice: to hide the variant, and to score. Bases: the frequencies of the synthetic population, ClinGen validity, Gene2Phenotype, ExAC
constraint, HPO as hpo3 brings it. No ClinVar and no predictors: they might know the very variants.

Two baselines see the same files. *Phenotype only* orders all genes in which the child has a rare functional variant by their likeness with the
patient. *Variant only* is the same pipeline without any HPO term. A third line orders the pipeline's own list by likeness alone: what is left to
the other pieces once the modes of inheritance have done their work.
"""
from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from diagnosis_data import Question, Truth, all_genes, family, read_question, read_truth, write_family
from genomics_nb.core.burden import PUBLISHED, Genes, candidate_counts
from genomics_nb.core.reference import CONTIG_LENGTHS
from genomics_nb.core.trio_vcf import write_frequencies
from run import HERE, WORK

SHARED = HERE.parent.parent / "shared" / "data"
MARK, PART, BATCH = "<!-- diagnosis measured -->", "<!-- end -->", 41
MOST_COMMON = 0.01  # a gene of the phenotype baseline has a functional variant below this frequency
SETTINGS = {"trio": "healthy parents", "affected parent": "the variant of a dominant case comes from an affected parent", "alone": "the child without parents"}


@dataclass
class Found:
    """What came out for one case. Ranks start at 1, NaN: the gene is not in the list."""

    case: str
    group: str
    half: str
    gene: str
    setting: str
    rank: float = np.nan
    by_phenotype: float = np.nan
    by_variant: float = np.nan
    fitting: float = np.nan  # by phenotype among the genes that fit a mode
    single: bool = False  # among the single hits of recessive genes instead
    listed: int = 0
    whole: int = 0  # before the list was cut
    genes: int = 0  # genes of the phenotype baseline
    modes: dict[str, int] = field(default_factory=dict)  # genes by mode, before phenotype
    drawn: dict[str, int] = field(default_factory=dict)  # the true counts of the family
    seconds: float = 0.0
    top: tuple[str, ...] = ()
    why: str = ""
    curated: bool = False  # ClinGen or Gene2Phenotype name the gene
    proposed: str = ""  # class proposed for the causal variants that are ranked


def middle_rank(genes: Sequence[str], score: Sequence[float], gene: str) -> float:
    """The rank of a gene, the middle one among equals; NaN where it is not there."""
    if gene not in genes:
        return np.nan
    values, own = np.asarray(score, float), float(score[list(genes).index(gene)])
    return 1 + float((values > own).sum()) + (float((values == own).sum()) - 1) / 2


def knowledge(folder: Path, frequencies: Path) -> Any:
    """The bases of one batch: the population of its families, and what is known of genes."""
    from genomics_nb.variant.formats import add_release
    from genomics_nb.variant.knowledge import Bases

    everywhere, known = folder.parent / "covered.bed", SHARED / "knowledge"
    everywhere.write_text("".join(f"chr{'M' if c == 'MT' else c}\t0\t{n}\n" for c, n in CONTIG_LENGTHS["GRCh38"].items()))
    stated = {"licence": "see shared/data", "source": "shared/data"}
    add_release(folder, "population", "synthetic", frequencies, kind="frequency", date="2026-01-01", licence="none", source="core.burden",
                build="GRCh38", covered=everywhere)
    add_release(folder, "clingen", "2026-06-21", known / "clingen_gene_validity_2026-06-21.csv", kind="gene_validity", date="2026-06-21", **stated)
    for name in ("DDG2P.csv", "CancerG2P.csv", "CardiacG2P_curated_20210723.csv"):
        add_release(folder, name.partition("_")[0].removesuffix(".csv").lower(), "2021", known / name, kind="gene_disease", date="2021-07-23", **stated)
    add_release(folder, "exac", "0.3", known / "exac_r0.3_constraint_pli.tsv.gz", kind="constraint", date="2016-03-16", **stated)
    return Bases.open(folder)


def put_in(cad: Any, folder: Path, code: str, question: Question, affected: Sequence[bool]) -> None:
    """A family's files into the store, with its case and its consents. The case says nothing but who is who."""
    cad.ingest(folder / "trio.vcf.gz", ped=folder / "trio.ped", workers=1)
    child, father, mother = (f"{code}-{m}" for m in "CFM")
    cad.add_case({"case": code, "family": code, "proband": child, "indication": "rare disease", "members": [
        {"person": child, "father": father, "mother": mother, "sex": "male" if question.male else "female", "affected": True},
        {"person": father, "sex": "male", "affected": affected[1]}, {"person": mother, "sex": "female", "affected": affected[2]}]})
    for person in (child, father, mother):
        cad.grant(person, "care", version="bench")


def rare_functional_genes(ds: Any, child: str, bases: Any) -> list[str]:
    """Genes in which the child carries a variant that changes the protein or a splice site and is rarer than 1 %."""
    from genomics_nb.variant.annotate import population
    from genomics_nb.variant.consequence import genes

    carries = (ds["call_genotype"].isel(samples=list(ds["sample_id"].values).index(child)).values > 0).any(axis=1)
    rare = ~(population(ds, bases)["population_af"].values[:, 0] >= MOST_COMMON)
    told = genes(ds, np.flatnonzero(carries & rare))
    return sorted(set(told.loc[told["impact"].isin(["HIGH", "MODERATE"]), "gene"]))


def answer(cad: Any, code: str, question: Question, bases: Any, alone: bool = False) -> dict[str, Any]:
    """What pipeline and baselines say of one family. Nothing of the truth is here."""
    from genomics_nb.rare.diagnose import diagnose
    from genomics_nb.store.pedigree import read_ped

    ds, pedigree = cad.genotypes(code, "care"), cad.pedigree(code)
    child = f"{code}-C"
    if alone:
        ds = ds.isel(samples=[list(ds["sample_id"].values).index(child)])
        pedigree = read_ped(f"{code}\t{child}\t0\t0\t{1 if question.male else 2}\t2\n")
    listed = diagnose(ds, pedigree, question.present, question.excluded, bases, lang="en")
    return {"ds": ds, "pedigree": pedigree, "child": child, "listed": listed}


def without_features(said: dict[str, Any]) -> Any:
    """The list that `diagnose` makes without any term, from the answers and the evidence of the list with them: a test compares both."""
    from genomics_nb.rare.diagnose import classified
    from genomics_nb.rare.prioritise import shortlist

    listed = said["listed"]
    nothing = listed.comparison.phenotypes.compare((), ())
    confirmed = [m for m in said["pedigree"].members if listed.checks is not None and listed.checks.confirmed(m)]
    bare = listed.evidence.drop(columns=["acmg_class", "acmg_points", "acmg_codes"])
    evidence, _ = classified(bare, listed.answers, nothing, confirmed, str(said["ds"].attrs["genome_build"]), {})
    return shortlist(listed.answers, evidence, nothing, releases=listed.releases, options=listed.options)


def baselines(said: dict[str, Any], question: Question, bases: Any) -> dict[str, Any]:
    """The two simpler orders of the same family."""
    some = rare_functional_genes(said["ds"], said["child"], bases)
    comparison = said["listed"].comparison
    return {"genes": some, "likeness": [comparison.score(g) for g in some], "blind": without_features(said)}


def by_mode(listed: Any) -> dict[str, int]:
    """Genes that fit each mode before any phenotype, functional ones alone."""
    evidence = listed.evidence
    strong = evidence.loc[evidence["impact"].isin(["HIGH", "MODERATE"]), ["variant", "allele", "gene"]]
    rows = listed.answers.loc[listed.answers["answer"] == "yes", ["mode", "variant", "allele"]].merge(strong, on=["variant", "allele"])
    return {str(m): int(n) for m, n in rows.groupby("mode", observed=True)["gene"].nunique().items()}


def scored(truth: Truth, question: Question, setting: str, said: dict[str, Any], simple: dict[str, Any] | None) -> Found:
    """Compare with the truth."""
    listed = said["listed"]
    ranked = listed.ranked["gene"].tolist()
    found = Found(truth.case, truth.group, truth.half, truth.gene, setting, listed=len(ranked), modes=by_mode(listed), top=tuple(ranked[:3]))
    if truth.gene in ranked:
        found.rank = middle_rank(ranked, listed.ranked["score"].tolist(), truth.gene)
        row = listed.ranked.iloc[ranked.index(truth.gene)]
        found.why = " ".join(f"{n.removeprefix('score_')} {row[n]:.2f}" for n in listed.ranked if n.startswith("score_")) + f" {row['mode']} {row['consequence']}"
        found.proposed = str(row["acmg_class"])
    else:
        gone = listed.dropped.loc[listed.dropped["gene"] == truth.gene, "reason"].tolist()
        found.why = gone[0] if gone else "not among the candidates"
    found.whole = len(ranked) + int((listed.dropped["why"] == "length").sum())
    own = listed.evidence[listed.evidence["gene"] == truth.gene]
    found.curated = bool(((own["validity"] != "") | (own["g2p"] != "")).any())
    found.single = truth.gene in set(listed.single_hits["gene"])
    if simple is not None:
        found.genes = len(simple["genes"])
        found.by_phenotype = middle_rank(simple["genes"], simple["likeness"], truth.gene)
        fitting = sorted({f.gene for f in listed.findings})
        found.fitting = middle_rank(fitting, [listed.comparison.score(g) for g in fitting], truth.gene)
        blind = simple["blind"].ranked
        found.by_variant = middle_rank(blind["gene"].tolist(), blind["score"].tolist(), truth.gene)
    return found


def one(cad: Any, folder: Path, code: str, truth: Truth, question: Question, bases: Any, setting: str, affected: Sequence[bool],
        drawn: dict[str, int], simpler: bool) -> Found:
    """A family from its files to the score."""
    start = time.perf_counter()
    put_in(cad, folder, code, question, affected)
    said = answer(cad, code, question, bases, setting == "alone")
    seconds = time.perf_counter() - start
    found = scored(truth, question, setting, said, baselines(said, question, bases) if simpler else None)
    found.seconds, found.drawn = seconds, drawn
    return found


def batch(truths: Sequence[Truth], setting: str = "trio", hide: dict[str, Truth] | None = None, genes: Genes | None = None,
          simpler: bool = True) -> list[Found]:
    """Some cases, one after the other, in a store of their own. `hide`: whose variants are hidden instead of a case's own."""
    import dask
    from genomics_nb.store.cad import CAD

    packets = SHARED / "phenopackets"
    genes = genes or all_genes(SHARED, [t.gene for t in read_truth(packets)])
    folder = Path(tempfile.mkdtemp(prefix="diagnosis-", dir=WORK))
    try:
        with dask.config.set(scheduler="synchronous"):
            questions = {t.case: read_question(packets, t.case) for t in truths}
            codes = {t.case: f"F{zlib.crc32(t.case.encode()):010d}" for t in truths}
            sides = {t.case: parent_of(t) if setting == "affected parent" else -1 for t in truths}
            families = {t.case: family(t, questions[t.case], genes, (hide or {}).get(t.case), sides[t.case]) for t in truths}
            affected = {case: (True, side == 0, side == 1) for case, side in sides.items()}
            for t in truths:
                write_family(folder / codes[t.case], codes[t.case], families[t.case], genes, questions[t.case].male, affected[t.case])
            write_frequencies(folder / "frequencies.vcf.gz", families.values())
            drawn = {case: candidate_counts(sites, questions[case].male) for case, sites in families.items()}
            families.clear()
            bases, cad = knowledge(folder / "bases", folder / "frequencies.vcf.gz"), CAD.init(folder / "store")
            return [one(cad, folder / codes[t.case], codes[t.case], t, questions[t.case], bases, setting, affected[t.case], drawn[t.case], simpler)
                    for t in truths]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def parent_of(truth: Truth) -> int:
    """Which parent is affected: 0 the father, 1 the mother; drawn from the name of the case."""
    return zlib.crc32(truth.case.encode()) // 2 % 2


def run(truths: Sequence[Truth], setting: str, workers: int, simpler: bool = True) -> list[Found]:
    WORK.mkdir(parents=True, exist_ok=True)
    parts = [truths[i:i + BATCH] for i in range(0, len(truths), BATCH)]
    done: list[Found] = []

    def keep(found: list[Found]) -> None:
        done.extend(found)
        pd.DataFrame([vars(f) for f in done]).to_pickle(WORK / f"diagnosis-{setting.replace(' ', '-')}.pkl")  # should the run be cut short
        print(f"{setting}: {len(done)} of {len(truths)} cases", file=sys.stderr, flush=True)
    if workers == 1:
        for part in parts:
            keep(batch(part, setting, simpler=simpler))
        return done
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for found in pool.map(batch, parts, *([x] * len(parts) for x in (setting, None, None, simpler))):
            keep(found)
    return done


def share(ranks: Sequence[float], most: int) -> str:
    return f"{np.mean(np.nan_to_num(np.asarray(ranks, float), nan=np.inf) <= most):.1%}"


HEAD = "| | cases | top 1 | top 5 | top 10 | median length |\n|---|---|---|---|---|---|"


def line(name: str, ranks: Sequence[float], length: float) -> str:
    return f"| {name} | {len(ranks)} | {share(ranks, 1)} | {share(ranks, 5)} | {share(ranks, 10)} | {length:g} |"


def overlap(found: pd.DataFrame, truths: dict[str, Truth]) -> pd.DataFrame:
    """What HPO's annotations hold of each case: is its gene there, its disease, and which share of the observed terms."""
    from genomics_nb.rare.phenotype import usable_rows
    from genomics_nb.rare.similarity import Phenotypes

    hpo = Phenotypes()
    notes, rows = hpo.annotations, []
    for case in found["case"]:
        truth = truths[case]
        terms = usable_rows(hpo.terms, read_question(SHARED / "phenopackets", case).present)
        place = notes.diseases.index.get(truth.disease_id)
        held = float(np.isin(terms, notes.diseases.features(place)).mean()) if place is not None and len(terms) else 0.0
        rows.append(("gene and disease" if truth.gene in notes.genes.index and place is not None else
                     "gene, by another disease" if truth.gene in notes.genes.index else "not the gene", held))
    return found.assign(annotated=[a for a, _ in rows], held=[h for _, h in rows])


def tables(found: pd.DataFrame, truths: dict[str, Truth]) -> list[str]:
    """The report of the trio setting."""
    rank, length = found["rank"].tolist(), float(found["listed"].median())
    lines = ["### Rank of the causal gene", "", HEAD, line("**pipeline**", rank, length),
             line("phenotype only", found["by_phenotype"].tolist(), float(found["genes"].median())),
             line("phenotype only, of the genes in the pipeline's list", found["fitting"].tolist(), length),
             line("variant only", found["by_variant"].tolist(), length)]
    for half in ("development", "report"):
        part = found[found["half"] == half]
        lines.append(line(f"pipeline, {half} half", part["rank"].tolist(), float(part["listed"].median())))
    missing, proposed = found[found["rank"].isna()], found.loc[found["rank"].notna(), "proposed"]
    half = found["case"].map(lambda c: not all(truths[c].variants))
    lines += ["", f"The list is cut at 30 genes; before the cut its median is {found['whole'].median():g}, 95 % have {found['whole'].quantile(0.95):g} or fewer. "
              f"Equal scores get the middle rank. Not in the list: {len(missing)}, of which {int(missing['single'].sum())} stand among the single hits of recessive genes. Of "
              f"{int(half.sum())} cases the paper's second allele is no small variant: they are in every line above, and {int((half & found['rank'].isna()).sum())} of "
              f"them in no list. Class proposed for the causal variants that are ranked (of a pair: both): (likely) pathogenic "
              f"{proposed.map(lambda p: all('pathogenic' in x for x in p.split(' + '))).mean():.0%}; without ClinVar and predictors, and no stop gained is granted.", "",
              "### By disease group", "", HEAD.replace("median length", "median length | phenotype only, top 1 | variant only, top 1") + "---|---|"]
    for group, part in found.groupby("group"):
        lines.append(line(str(group).replace("_", " "), part["rank"].tolist(), float(part["listed"].median())) +
                     f" {share(part['by_phenotype'].tolist(), 1)} | {share(part['by_variant'].tolist(), 1)} |")
    lines += ["", "### What HPO's annotations know of the cases", "", *knows(overlap(found, truths)), "",
              "### Candidates for a family before phenotype", "", *burden_lines(found)]
    return lines


def knows(found: pd.DataFrame) -> list[str]:
    """Ranks by what the annotations hold."""
    there = found[found["annotated"] == "gene and disease"]
    lines = [f"The annotations are curated from publications, partly the same. They hold the gene of {(found['annotated'] != 'not the gene').mean():.0%} of the cases and "
             f"the disease of {len(there) / len(found):.0%}. Of the latter, a case's observed terms stand word for word in the disease's annotation to "
             f"{there['held'].mean():.0%} on average; in {(there['held'] == 1).mean():.0%} of them all do. ClinGen's or Gene2Phenotype's files name the gene of "
             f"{found['curated'].mean():.0%}; they speak of genes and diseases, no variant of a case is in any base.", "", HEAD]
    for name, part in (("gene and disease annotated, all terms there", there[there["held"] == 1]),
                       ("gene and disease annotated, half of the terms or more", there[(there["held"] < 1) & (there["held"] >= 0.5)]),
                       ("gene and disease annotated, less than half", there[there["held"] < 0.5]),
                       ("gene annotated by another disease only", found[found["annotated"] == "gene, by another disease"]),
                       ("gene not annotated", found[found["annotated"] == "not the gene"]),
                       ("gene not annotated, and in no file of ClinGen or Gene2Phenotype",
                        found[(found["annotated"] == "not the gene") & ~found["curated"]])):
        if len(part):
            lines.append(line(name, part["rank"].tolist(), float(part["listed"].median())))
    return lines


def burden_lines(found: pd.DataFrame) -> list[str]:
    """Drawn and found candidates beside the published range."""
    lines = ["| mode | published | drawn: median (5-95 %) | found by the modes, genes: median (5-95 %) |", "|---|---|---|---|"]
    names = {"de_novo": "de_novo", "dominant": "dominant", "homozygous": "recessive", "compound": "compound", "x_linked": "x_recessive"}

    def spread(values: Sequence[float]) -> str:
        low, mid, high = np.percentile(values, [5, 50, 95])
        return f"{mid:g} ({low:g}-{high:g})"
    for mode, ours in names.items():
        told = f"{PUBLISHED[mode][0]}-{PUBLISHED[mode][1]}" if mode in PUBLISHED else ""
        seen = "none: the parents are healthy" if mode == "dominant" else spread([m.get(ours, 0) for m in found["modes"]])
        lines.append(f"| {mode.replace('_', ' ')} | {told} | {spread([d[mode] for d in found['drawn']])} | {seen} |")
    return lines


def giab() -> list[str]:
    """The healthy Ashkenazi trio: how short is the list when there is nothing to find, with and without features."""
    from genomics_nb.rare.diagnose import diagnose
    from genomics_nb.store.pedigree import read_ped
    from genomics_nb.store.public import open_public
    from genomics_nb.variant.knowledge import Bases

    ds, pedigree = open_public(SHARED / "trio" / "ashk-trio.vcf.gz"), read_ped(SHARED / "trio" / "ashk-trio.ped")
    lengths = [len(diagnose(ds, pedigree, present, (), Bases.empty(), lang="en").ranked) for present in ((), ("HP:0001249", "HP:0001250"))]
    return ["### A healthy family", "", f"GIAB's Ashkenazi trio (exome of chromosomes 1 and 2, GRCh37, BCSQ; its child taken as affected, no frequencies: rarity is not "
            f"assessed): {lengths[0]} genes in the list without features, {lengths[1]} with intellectual disability and seizures.", ""]


def report(truths: list[Truth], workers: int, only_trio: bool, listing: bool) -> list[str]:
    start = time.perf_counter()
    by_case = {t.case: t for t in truths}
    found = pd.DataFrame([vars(f) for f in run(truths, "trio", workers)])
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    if listing:
        for f in found.itertuples():
            print(f"{f.case:38} {f.gene:10} {f.rank:5.0f} {f.by_phenotype:6.1f} {f.by_variant:6.1f} {f.listed:3d} {'single ' if f.single else ''}{f.why} | {','.join(f.top)}")
    lines = [f"Measured {time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}: {len(found)} cases in {workers} "
             f"process(es); a case, from its VCF to the list, takes {found['seconds'].median():.2f} s (95 %: {found['seconds'].quantile(0.95):.2f} s); peak {peak:.0f} MiB a process.",
             "", *tables(found, by_case)]
    if not only_trio:
        lines += ["", "### Other families", "", HEAD]
        dominant = [t for t in truths if t.state == "heterozygous" and not t.gene.startswith("MT-")]
        for setting, some in (("affected parent", dominant), ("alone", truths)):
            other = pd.DataFrame([vars(f) for f in run(some, setting, workers, simpler=False)])
            lines.append(line(SETTINGS[setting], other["rank"].tolist(), float(other["listed"].median())))
            if setting == "affected parent":
                same = found[found["case"].isin(other["case"])]
                lines.append(line("the same cases, new in the child of healthy parents", same["rank"].tolist(), float(same["listed"].median())))
        lines += ["", *giab()]
    print(f"{time.perf_counter() - start:.0f} s")
    return lines


def publish(lines: list[str]) -> None:
    """Put the tables into README.md, in the place of those that stand there."""
    page = HERE / "README.md"
    text = page.read_text()
    if MARK not in text:
        text = text.rstrip() + f"\n\n{MARK}\n{PART}\n"
    before, _, rest = text.partition(MARK)
    page.write_text(before + MARK + "\n\n## Diagnosis\n\n" + "\n".join(lines).rstrip() + f"\n\n{PART}" + rest.partition(PART)[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into README.md")
    parser.add_argument("--cases", type=int, help="so many, drawn at random")
    parser.add_argument("--half", choices=["development", "report"], help="of one half")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--trio", action="store_true", help="healthy parents alone, no other families")
    parser.add_argument("--list", action="store_true", help="a line for each case")
    given = parser.parse_args()
    if not SHARED.is_dir():
        raise SystemExit(f"the published cases are not there: {SHARED}")
    truths = [t for t in read_truth(SHARED / "phenopackets") if given.half in (None, t.half)]
    if given.cases:
        truths = [truths[i] for i in np.random.default_rng(0).permutation(len(truths))[:given.cases]]
    lines = report(truths, given.workers, given.trio, given.list)
    print("\n".join(lines))
    if given.write:
        publish(lines)


if __name__ == "__main__":
    main()
