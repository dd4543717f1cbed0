"""A cohort as slow and plain as its rules: dictionaries of people, and every question answered by looking at everybody.

Written from the rules in the notebooks' prose alone, with no code of the project, so that `test_cohort` can hold the real
cohort against it. Positions are painted one by one; nothing is sorted, packed, merged or subtracted.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

Place = tuple[str, int]  # contig, 1-based position
Allele = tuple[str, int, str, str, int]  # contig, position, REF, ALT, and last position of a symbolic one, else 0
Call = tuple[int | None, ...]  # the copies: allele numbers, None for a missing one

UNKNOWN, MALE, FEMALE = 0, 1, 2
CONTIGS = ("1", "X", "Y", "MT")  # of these tests, in the order of the genome
PAR1 = {"X": (60001, 2699520), "Y": (10001, 2649520)}  # GRCh37


@dataclass
class Record:
    """One line of a VCF."""

    contig: str
    position: int
    ref: str
    alts: list[str]
    passing: bool
    calls: list[tuple[Call, bool]]  # of each sample: copies, and whether phased
    end: int | None = None
    gq: list[int | None] | None = None  # of each sample
    depth: list[int | None] | None = None

    @property
    def last(self) -> int:
        return self.end or self.position + len(self.ref) - 1

    def real(self) -> list[int]:
        """Numbers of the alleles that can be carried."""
        return [n for n, alt in enumerate(self.alts, 1) if alt not in (".", "*", "<NON_REF>", "<*>")]


@dataclass
class Delivery:
    """One VCF, perhaps with a BED file."""

    samples: int
    records: list[Record]
    bed: list[tuple[str, int, int]] | None = None  # contig, first and last position


@dataclass
class Person:
    """What the cohort knows of somebody."""

    sex: int
    group: str
    calls: dict[Allele, tuple[Call, bool]] = field(default_factory=dict)  # copies as 0, 1 or None, and phase
    callable: dict[Place, bool] = field(default_factory=dict)  # painted places
    base: set[Place] = field(default_factory=set)

    def silent(self, place: Place) -> bool:
        """Whether silence means reference."""
        return self.callable.get(place, place in self.base)

    def at(self, allele: Allele) -> Call:
        """What they have of an allele: the call of their own file, else reference where callable, else missing."""
        if allele in self.calls:
            return self.calls[allele][0]
        copies = expected_copies(allele[:2], self.sex)
        return (0,) * copies if copies and self.silent(allele[:2]) else (None,)


def trimmed(position: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Shared last bases go, then shared first ones; one is left. Symbolic alleles stay."""
    if alt[0] != "<":
        while len(ref) > 1 and len(alt) > 1 and ref[-1] == alt[-1]:
            ref, alt = ref[:-1], alt[:-1]
        while len(ref) > 1 and len(alt) > 1 and ref[0] == alt[0]:
            position, ref, alt = position + 1, ref[1:], alt[1:]
    return position, ref, alt


def region(place: Place) -> str:
    """"X", "Y" or "MT" where copies differ from two, else "autosome"."""
    contig, position = place
    if contig in PAR1 and PAR1[contig][0] <= position <= PAR1[contig][1]:
        return "autosome"
    return contig if contig in ("X", "Y", "MT") else "autosome"


def expected_copies(place: Place, sex: int) -> int:
    """Copies that somebody has, 0 where it is not known or there is none."""
    return {"autosome": 2, "MT": 1, "X": (0, 1, 2)[sex], "Y": (0, 1, 0)[sex]}[region(place)]


def complete(call: Call, unknown: int | None) -> bool:
    """One or two copies, all of them called, none of an allele that the caller did not name."""
    return 1 <= len(call) <= 2 and None not in call and (unknown is None or unknown not in call)


def person_of(delivery: Delivery, sample: int, sex: int, group: str, gq: int = 20, depth: int = 10, only_passing: bool = True) -> Person:
    """Read one person out of a delivery."""
    person = Person(sex, group)
    if delivery.bed is not None:
        person.base = {(c, p) for c, low, high in delivery.bed if c in CONTIGS for p in range(low, high + 1)}
    elif delivery.samples > 1:
        person.base = {(r.contig, r.position) for r in delivery.records}
    records = [r for r in delivery.records if r.contig in CONTIGS]
    good = [not only_passing or r.passing for r in records]
    full = [g and complete(r.calls[sample][0], unknown_of(r)) for r, g in zip(records, good, strict=True)]

    def paint(record: Record, value: bool, first_base_only: bool = False) -> None:
        for p in range(record.position, (record.position if first_base_only else record.last) + 1):
            person.callable[record.contig, p] = value

    variants = [(r, f) for r, f in zip(records, full, strict=True) if r.real()]
    for r, f in zip(records, full, strict=True):
        if not r.real():
            enough = (r.gq is None or (r.gq[sample] or -1) >= gq) and (r.depth is None or (r.depth[sample] or -1) >= depth)
            paint(r, f and enough)
    for r, f in variants:
        if not f:
            paint(r, False)
    for wanted in (True, False):
        for r, f in variants:
            if f is wanted:
                paint(r, wanted, first_base_only=True)
    for r, g in zip(records, good, strict=True):
        for number in r.real() if g else ():
            position, ref, alt = trimmed(r.position, r.ref.upper(), r.alts[number - 1].upper())
            allele = (r.contig, position, ref, alt, r.last if alt[0] == "<" else 0)
            copies, phased = r.calls[sample]
            unknown = unknown_of(r)
            mine = tuple(None if c is None or c == unknown else int(c == number) for c in copies) if len(copies) <= 2 else (None,)
            before = person.calls.get(allele)
            if before is None or (mine.count(1), len(mine) - mine.count(None)) > (before[0].count(1), len(before[0]) - before[0].count(None)):
                person.calls[allele] = mine, phased
    return person


def unknown_of(record: Record) -> int | None:
    """The number of the allele that stands for any other."""
    return next((n for n, alt in enumerate(record.alts, 1) if alt in ("<NON_REF>", "<*>")), None)


def count(call: Call, place: Place, sex: int) -> tuple[int, int, int, int]:
    """AC, AN, homozygotes, hemizygotes of one call."""
    where, known = region(place), [c for c in call if c is not None]
    if (where == "Y" and sex == FEMALE) or (where in ("X", "Y") and sex not in (MALE, FEMALE)):
        return 0, 0, 0, 0
    if where == "MT" or (where in ("X", "Y") and sex == MALE):
        if len(known) < len(call):
            return 0, 0, 0, 0
        if len(set(known)) == 1:
            return known[0], 1, 0, known[0]
        return (1, 1, 0, 0) if where == "MT" else (0, 0, 0, 0)
    return sum(known), len(known), int(call == (1, 1)), int(call == (1,))


def plain(call: Call, place: Place, sex: int) -> Call:
    """One form for calls that mean the same: a missing one, and a reference where one copy or none is expected."""
    if all(c is None for c in call) or (region(place) == "Y" and sex == FEMALE and 1 not in call):
        return (None,)
    return (0,) if region(place) != "autosome" and set(call) == {0} and expected_copies(place, sex) < 2 else call


def answer(people: dict[int, Person]) -> list[tuple[tuple[str, int, str, str], list[Call], dict[tuple[str, int], tuple[int, int, int, int]]]]:
    """Every allele that somebody carries: site, everybody's call by slot, and the four sums by group and sex; sorted."""
    alleles: Iterable[Allele] = {a for p in people.values() for a in p.calls}
    found = []
    for allele in alleles:
        sums: dict[tuple[str, int], list[int]] = {}
        for person in people.values():
            here = sums.setdefault((person.group, person.sex), [0, 0, 0, 0])
            for i, value in enumerate(count(person.at(allele), allele[:2], person.sex)):
                here[i] += value
        if any(1 in person.at(allele) for person in people.values()):
            calls = [plain(people[slot].at(allele), allele[:2], people[slot].sex) for slot in sorted(people)]
            found.append((allele[:4], calls, {k: (v[0], v[1], v[2], v[3]) for k, v in sums.items()}))
    return sorted(found, key=repr)
