"""Exome-sized patients, made on the spot: each is a row of a cohort and, where wanted, the VCF that a platform would send.

The kit has 20,000 genes of nine exons, 180,000 intervals and 34 Mb on the autosomes. A tenth of the sites lies in the ten bases
beside an exon: called, and yet not in the kit. Site frequencies fall as 1/f, from 1 in 10,000 up; beside these there are a pool of
900,000 rarer sites, of which each patient has 800, and 300 sites that are theirs alone. A patient carries about 43,000 sites.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomics_nb.core.synth import BGZF_END, bgzf
from genomics_nb.core.genome import Genome
from genomics_nb.store.alleles import FEMALE, HASHED, MALE, allele_code
from genomics_nb.core.stretches import CALLABLE, HOLE, Intervals, events_of, exceptions
from genomics_nb.store.row import Row, genotype_code

GENES, EXONS, LONG, SPACE, BESIDE = 20_000, 9, 190, 5_000, 10  # bases of an exon, between two, and beside one
TAIL = "ACGTACGTTGCATG"
PAIRS = ([(r, a) for r in "ACGT" for a in "ACGT" if r != a] + [(b + "TC", b) for b in "ACGT"] + [(b, b + "GA") for b in "ACGT"]
         + [(b, b + TAIL) for b in "ACGT"])  # single bases, deletions, insertions, and those too long for a key
HEADER = """##fileformat=VCFv4.2
##FILTER=<ID=PASS,Description="All filters passed">
##INFO=<ID=AC,Number=A,Type=Integer,Description="Copies">
##INFO=<ID=DP,Number=1,Type=Integer,Description="Reads">
##INFO=<ID=MQ,Number=1,Type=Float,Description="Mapping quality">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads of each allele">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Reads">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality of the genotype">
##FORMAT=<ID=PL,Number=G,Type=Integer,Description="Likelihoods">
"""


@dataclass
class Patient:
    """What one patient has."""

    number: int
    place: NDArray[np.int64]  # (n,) on the line, sorted
    copies: NDArray[np.int64]  # (n,) 1 or 2
    sex: int
    hole: NDArray[np.int64]  # (m, 2) stretches of the kit that were not covered, where these are wanted

    @property
    def name(self) -> str:
        return f"P{self.number:05d}"


@dataclass
class Exomes:
    """A population, from one seed: the same number is always the same patient."""

    seed: int = 1
    own_holes: int = 0  # stretches of the kit that each patient misses: 0 when all share the kit's BED file
    genome: Genome = field(default_factory=lambda: Genome.of("GRCh38"))

    @cached_property
    def gene(self) -> NDArray[np.int64]:
        """First base of each gene, (genes,)."""
        rng, length = np.random.default_rng(self.seed), np.diff(self.genome.offsets[:23])
        share = np.diff(np.round(np.cumsum(np.r_[0, length]) / length.sum() * GENES).astype(int))
        found = []
        for start, bases, genes in zip(self.genome.offsets[:22], length, share, strict=True):
            room = int(bases) // int(genes)
            found.append(start + 1 + np.arange(genes) * room + rng.integers(BESIDE, room - EXONS * (SPACE + LONG) - BESIDE, genes))
        return np.concatenate(found)

    @cached_property
    def kit(self) -> Intervals:
        start = (self.gene[:, None] + np.arange(EXONS) * (SPACE + LONG)).ravel()
        return Intervals.merged(start, start + LONG - 1)

    def sites(self, rng: np.random.Generator, number: int) -> NDArray[np.int64]:
        """So many places in or beside an exon."""
        exon = self.kit.start[rng.integers(0, len(self.kit.start), number)].astype(np.int64)
        return exon + rng.integers(-BESIDE, LONG + BESIDE, number)

    @cached_property
    def shared(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Sites with a frequency, their frequencies, and the pool of rare ones."""
        rng = np.random.default_rng([self.seed, 1])
        common = np.unique(self.sites(rng, 258_000))
        return common, np.exp(rng.uniform(np.log(1e-4), 0, len(common))), np.unique(self.sites(rng, 900_000))

    @cached_property
    def codes(self) -> NDArray[np.uint64]:
        return np.array([allele_code(r, a) for r, a in PAIRS], np.uint64)

    def pair(self, place: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which of PAIRS a place has, (n,): a function of the place alone."""
        mixed = (place.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(24)
        kind, which = mixed % np.uint64(1000), (mixed >> np.uint64(12)).astype(np.int64)
        return np.select([kind < 920, kind < 960, kind < 999], [which % 12, 12 + which % 4, 16 + which % 4], 20 + which % 4)

    def patient(self, number: int) -> Patient:
        rng = np.random.default_rng([self.seed, 2, number])
        common, frequency, pool = self.shared
        copies = (rng.random(len(common)) < frequency).astype(np.int64) + (rng.random(len(common)) < frequency)
        rare = np.r_[pool[rng.integers(0, len(pool), 800)], self.sites(rng, 300)]
        place, first = np.unique(np.r_[common[copies > 0], rare], return_index=True)
        copies = np.r_[copies[copies > 0], np.ones(len(rare), np.int64)][first]
        hole = np.empty((0, 2), np.int64)
        if self.own_holes:
            exon = np.unique(rng.integers(0, len(self.kit.start), self.own_holes))
            low = self.kit.start[exon] + rng.integers(0, LONG // 2, len(exon))
            hole = np.column_stack([low, low + rng.integers(1, LONG // 2, len(exon))])
            seen = ~Intervals(hole[:, 0].astype(np.uint32), hole[:, 1].astype(np.uint32)).contains(place)
            place, copies = place[seen], copies[seen]
        return Patient(number, place, copies, int(rng.integers(MALE, FEMALE + 1)), hole)

    def keys(self, place: NDArray[np.int64]) -> NDArray[np.uint64]:
        return place.astype(np.uint64) << np.uint64(32) | self.codes[self.pair(place)] << np.uint64(6)

    def row(self, patient: Patient, as_exceptions: bool = True) -> Row:
        """The patient as a row of a cohort. Stretches of their own are exceptions from the kit, or a set of intervals of their own."""
        base, key = self.kit, self.keys(patient.place)
        word = key | np.where(patient.copies == 2, genotype_code(1, 1, False, True), genotype_code(0, 1, False, True)).astype(np.uint64)
        if len(patient.hole) and not as_exceptions:
            edge = np.r_[patient.hole[:, 0], patient.hole[:, 1] + 1]
            piece = np.unique(np.r_[self.kit.start, edge[self.kit.contains(edge)]]).astype(np.int64)
            low, high = patient.hole.T
            end = np.minimum(np.r_[piece[1:], 1 << 62] - 1, self.kit.end[np.searchsorted(self.kit.start, piece, side="right") - 1])
            kept = ~Intervals(low.astype(np.uint32), high.astype(np.uint32)).contains(piece)
            base = Intervals.merged(piece[kept], end[kept])
        off = patient.place[~base.contains(patient.place)]
        layers = [(off, off, CALLABLE)]
        if len(patient.hole) and as_exceptions:
            layers.append((patient.hole[:, 0], patient.hole[:, 1], HOLE))
        hashed = np.flatnonzero(self.codes[self.pair(patient.place)] >= HASHED)
        texts = {int(key[i]): " ".join(PAIRS[int(self.pair(patient.place[i:i + 1])[0])]) for i in hashed}
        return Row(word, events_of(*exceptions(base, layers)), base, patient.sex, texts)

    def write_kit(self, path: Path) -> Path:
        """The kit as a BED file."""
        number, position = self.genome.locate(self.kit.start)
        path.write_text("".join(f"chr{self.genome.names[n]}\t{p - 1}\t{p - 1 + LONG}\n" for n, p in zip(number.tolist(), position.tolist(), strict=True)))
        return path

    def write_vcf(self, patient: Patient, path: Path, plain: bool = False) -> Path:
        """The patient as a bgzipped VCF: GT:AD:DP:GQ:PL and three INFO fields, or GT alone where `plain`."""
        rng = np.random.default_rng([self.seed, 3, patient.number])
        number, position = self.genome.locate(patient.place)
        contigs = "".join(f"##contig=<ID=chr{n},length={b - a}>\n" for n, a, b in zip(
            self.genome.names[:24], self.genome.offsets, self.genome.offsets[1:], strict=False))
        depth = rng.poisson(45, len(position)) + 12
        alt = np.where(patient.copies == 2, depth, np.clip(rng.binomial(depth, 0.5), 3, depth - 3))
        quality = rng.integers(60, 1500, len(position))
        call = {1: "0/1:{r},{a}:{d}:99:{q},0,{q}", 2: "1/1:{r},{a}:{d}:99:{q},{d},0"}
        lines = [f"chr{n + 1}\t{p}\t.\t{PAIRS[k][0]}\t{PAIRS[k][1]}\t{q}.6\tPASS\tAC={c};DP={d};MQ=60.0\tGT:AD:DP:GQ:PL\t"
                 + call[c].format(r=d - a, a=a, d=d, q=q) for n, p, k, q, c, d, a in zip(*(
                     v.tolist() for v in (number, position, self.pair(patient.place), quality, patient.copies, depth, alt)), strict=True)]
        if plain:
            lines = ["\t".join([*line.split("\t", 7)[:7], ".\tGT", line.rsplit("\t", 1)[1][:3]]) for line in lines]
        head = f"{HEADER}{contigs}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{patient.name}\n"
        path.write_bytes(bgzf((head + "\n".join(lines) + "\n").encode(), 1) + BGZF_END)
        return path

    def write_ped(self, patient: Patient, path: Path) -> Path:
        path.write_text(f"F{patient.number:05d}\t{patient.name}\t0\t0\t{patient.sex}\t0\n")
        return path
