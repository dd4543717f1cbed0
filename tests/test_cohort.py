"""The cohort against a model that is plain enough to be believed (`cohort_truth`), on files drawn at random.

The files are read by the real reader. The segments are made tiny, so that a few dozen people and a few hundred alleles go
through all that a nation's cohort goes through: chunks, key frames, merges of merges, and a table folded over many chunks.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cohort_truth as truth
import numpy as np
import pytest
import zarr
from cohort_truth import Delivery, Person, Record
from cohort_worker import shrink

from genomics_nb.store import counts as counts_module
from genomics_nb.store import segments as segments_module
from genomics_nb.core.genome import Genome
from genomics_nb.store.cohort import Cohort, add, recount, remove, tag
from genomics_nb.store.counts import View
from genomics_nb.store.ingest import ingest
from genomics_nb.store.matrix import carried_keys, frequencies, genotypes, keys_of_person
from genomics_nb.store.row import Row, Rules, read_rows

LENGTHS = {"1": 249250621, "X": 155270560, "Y": 59373566, "MT": 16569, "GL000192.1": 547496}
PLACES = {"1": [range(1000, 1060)], "X": [range(61000, 61010), range(3000000, 3000020)],
          "Y": [range(2700000, 2700012)], "MT": [range(60, 75)], "GL000192.1": [range(100, 104)]}


def base_at(position: int) -> str:
    return "ACGGTTTACA"[position * 7 % 10]


def letters(first: int, length: int) -> str:
    return "".join(base_at(p) for p in range(first, first + length))


# --- random files -----------------------------------------------------------------------------------------------------


def random_alleles(draw: random.Random, position: int) -> tuple[str, list[str], int | None]:
    """REF, ALTs and END of a record that starts at a position."""
    def other(ref: str) -> str:
        return draw.choice([b for b in "ACGT" if b != ref])

    first = base_at(position)
    kind = draw.choices(["snv", "multi", "ins", "del", "loose", "long_ins", "long_del", "symbolic", "star", "mono", "mixed"],
                        [40, 12, 6, 8, 10, 4, 4, 5, 5, 4, 3])[0]
    if kind == "snv":
        return first, [other(first)], None
    if kind == "multi":
        return first, draw.sample([b for b in "ACGT" if b != first], draw.randint(2, 3)), None
    if kind == "ins":
        return first, [first + draw.choice("ACGT") * draw.randint(1, 9)], None
    if kind == "del":
        return letters(position, draw.randint(2, 8)), [first], None
    if kind == "loose":  # more bases than needed, at the start, at the end or both
        ref = letters(position, draw.randint(2, 6))
        at = draw.randrange(len(ref))
        alt = ref[:at] + other(ref[at]) + ref[at + 1:] if draw.random() < 0.6 else ref[:1] + ref[2:]
        return ref, [alt] if draw.random() < 0.7 else [alt, ref + "T"], None
    if kind == "long_ins":
        return first, [first + "ACGTTGCA" * 3], None
    if kind == "long_del":
        ref = letters(position, draw.randint(18, 22))
        return ref, [first, ref + "G"], None
    if kind == "symbolic":
        return first, [draw.choice(["<DEL>", "<DUP>"])], position + draw.randint(3, 9)
    if kind == "star":
        return first, [other(first), "*"] if draw.random() < 0.7 else ["*"], None
    if kind == "mono":
        return first, ["."], None
    ref = letters(position, 3)
    return (ref[0] + ref[1:].lower()), [ref[0].lower() + ref[2]], None


def random_call(draw: random.Random, contig: str, alleles: int) -> tuple[tuple[int | None, ...], bool]:
    def one() -> int | None:
        return draw.choices([0, None, *range(1, alleles)], [5, 1, *[3] * (alleles - 1)])[0]

    phased = draw.random() < 0.3
    shape = draw.random()
    if contig != "1" and shape < 0.5 or shape < 0.04:
        return (one(),), phased
    if shape > 0.985:
        return (0, 1 % alleles, 0), phased
    if shape > 0.9:
        return (None, None), phased
    return (one(), one()), phased


def random_delivery(draw: random.Random) -> Delivery:
    """A file of one kind or another."""
    gvcf = draw.random() < 0.25
    samples = 1 if gvcf or draw.random() < 0.5 else draw.randint(2, 4)
    quality = gvcf or draw.random() < 0.3
    records = []
    for contig, stretches in PLACES.items():
        for stretch in stretches:
            position = stretch.start + draw.randrange(3)
            while position < stretch.stop:
                ref, alts, end = random_alleles(draw, position)
                if gvcf:
                    alts = [a for a in alts if a != "."]
                    if draw.random() < 0.5:
                        ref, alts, end = base_at(position), [], min(position + draw.randrange(12), stretch.stop + 3)
                    alts = [*alts, "<NON_REF>"]
                calls = [random_call(draw, contig, 1 + len([a for a in alts if a != "."])) for _ in range(samples)]
                if gvcf and len(alts) == 1 and draw.random() < 0.8:
                    calls = [((0, 0), False)]
                records.append(Record(contig, position, ref, alts, draw.random() < 0.9, calls, end))
                if quality:
                    records[-1].gq = [draw.choice([None, 5, 19, 20, 60, 99]) for _ in range(samples)]
                if gvcf:
                    records[-1].depth = [draw.choice([None, 9, 10, 30]) for _ in range(samples)]
                position += 0 if draw.random() < 0.12 else (max(1, (end or position) - position + 1) if gvcf else draw.randint(1, 9))
    if draw.random() < 0.3 and records:  # the same line twice, as a careless merge leaves it
        at = draw.randrange(len(records))
        again = records[at]
        records.insert(at + 1, Record(again.contig, again.position, again.ref, again.alts, True,
                                      [random_call(draw, again.contig, 1 + len(again.real())) for _ in range(samples)], again.end,
                                      again.gq, again.depth))
    bed = None
    if draw.random() < 0.5:
        bed = [("1", 1000 + a, 1000 + a + draw.randint(0, 15)) for a in sorted(draw.sample(range(55), 3))]
        bed += [("X", 3000000, 3000010), ("MT", 1, 16569), ("Y", 2700003, 2700020), ("GL000192.1", 100, 102)][:draw.randint(0, 4)]
    return Delivery(samples, records, bed)


def write_vcf(delivery: Delivery, path: Path) -> None:
    lines = ["##fileformat=VCFv4.3", '##FILTER=<ID=LowQual,Description="Low">',
             '##INFO=<ID=END,Number=1,Type=Integer,Description="Last position">',
             '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
             '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality">',
             '##FORMAT=<ID=MIN_DP,Number=1,Type=Integer,Description="Least depth in the block">']
    lines += [f"##contig=<ID={name},length={length}>" for name, length in LENGTHS.items()]
    lines.append("\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT",
                            *[f"S{i}" for i in range(delivery.samples)]]))
    for r in delivery.records:
        names = ["GT"] + ["GQ"] * (r.gq is not None) + ["MIN_DP"] * (r.depth is not None)
        columns = []
        for s, (copies, phased) in enumerate(r.calls):
            parts = [("|" if phased else "/").join("." if c is None else str(c) for c in copies)]
            parts += ["." if v[s] is None else str(v[s]) for v in (r.gq, r.depth) if v is not None]
            columns.append(":".join(parts))
        lines.append("\t".join([r.contig, str(r.position), ".", r.ref, ",".join(r.alts), "50", "PASS" if r.passing else "LowQual",
                                f"END={r.end}" if r.end else ".", ":".join(names), *columns]))
    path.write_text("\n".join(lines) + "\n")


# --- both sides -------------------------------------------------------------------------------------------------------


@dataclass
class Everybody:
    """The same people twice: as the model has them and as rows of the cohort."""

    people: list[Person]
    rows: list[Row]


def random_people(draw: random.Random, folder: Path, deliveries: int) -> Everybody:
    found = Everybody([], [])
    for number in range(deliveries):
        delivery = random_delivery(draw)
        vcf, bed = folder / f"{number}.vcf", folder / f"{number}.bed"
        write_vcf(delivery, vcf)
        if delivery.bed is not None:
            bed.write_text("".join(f"{c}\t{low - 1}\t{high}\n" for c, low, high in delivery.bed))
        analysis = ingest(vcf, folder / "analyses", build="GRCh37", workers=1, callable_bed=bed if delivery.bed is not None else None)
        sexes = [draw.randrange(3) for _ in range(delivery.samples)]
        group = zarr.open_group(analysis.path, mode="r")
        found.rows += [row for row, _ in read_rows(group, Genome.of("GRCh37"), range(delivery.samples), sexes)]
        found.people += [truth.person_of(delivery, s, sexes[s], draw.choice(["north", "south"])) for s in range(delivery.samples)]
    return found


def call_of(copies: list[int]) -> truth.Call:
    return tuple(None if c == -1 else c for c in copies if c != -2)


def answer_of(view: View, people: dict[int, Person], first: int = 0, last: int | None = None) -> list[tuple[object, ...]]:
    """What the cohort says, in the form of `cohort_truth.answer`."""
    last = int(view.genome.offsets[-1]) if last is None else last
    keys = carried_keys(view, first, last)
    slots = sorted(people)
    ds = genotypes(view, {s: f"P{s}" for s in slots}, keys)
    table = frequencies(view, tuple(view.group.attrs["groups"]), first, last)
    assert ds.sizes["variants"] == table.sizes["variants"] == len(keys)
    names = ds.contig_id.values
    sites = [(str(names[c]), p, *alleles) for c, p, alleles in
             zip(ds.variant_contig.values, ds.variant_position.values.tolist(), ds.variant_allele.values.tolist(), strict=True)]
    sex = {"unknown": 0, "male": 1, "female": 2}
    strata = [(str(g), sex[s]) for g, s in zip(table.stratum_group.values, table.stratum_sex.values, strict=True)]
    sums = np.stack([table[f"variant_{n}"].values for n in ("AC", "AN", "homozygotes", "hemizygotes")], -1).tolist()
    calls = ds.call_genotype.values.tolist()
    wanted = {(p.group, p.sex) for p in people.values()}
    assert wanted <= set(strata)
    for row in sums:
        assert all(not any(values) for stratum, values in zip(strata, row, strict=True) if stratum not in wanted)
    return sorted([(site, [truth.plain(call_of(c), site[:2], people[s].sex) for s, c in zip(slots, calls[i], strict=True)],
                    {stratum: tuple(v) for stratum, v in zip(strata, sums[i], strict=True) if stratum in wanted})
                   for i, site in enumerate(sites)], key=repr)


def agree(view: View, people: dict[int, Person]) -> None:
    assert np.flatnonzero(view.active).tolist() == sorted(people)
    found, expected = answer_of(view, people), truth.answer(people)
    assert [f[0] for f in found] == [e[0] for e in expected]
    for one, other in zip(found, expected, strict=True):
        assert one == other


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Segments of 2 and 8 people, chunks of 16 words, pieces of 64."""
    shrink(monkeypatch.setattr)
    yield


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> list[Everybody]:
    """Six times some people, from about sixty files."""
    return [random_people(random.Random(seed), tmp_path_factory.mktemp(f"files{seed}"), 11) for seed in range(6)]


# --- the cohort against the model -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(6))
def test_a_row_alone_says_what_the_model_says(everybody: list[Everybody], number: int, tmp_path: Path) -> None:
    """With chunks and blocks as they are in use."""
    both = everybody[number]
    cohort = Cohort.create(tmp_path / "all", "GRCh37", "research")
    with cohort.repository.locked():
        add(cohort, [(s, both.people[s].group, row) for s, row in enumerate(both.rows)])
    view, _ = cohort.view()
    assert recount(view) == []
    agree(view, dict(enumerate(both.people)))


@pytest.mark.parametrize("number", range(6))
def test_people_come_and_go_in_any_order(everybody: list[Everybody], number: int, tmp_path: Path, tiny: None) -> None:
    """Adding, removing and tagging by chance; every moment of the past stays what it was."""
    draw, both = random.Random(100 + number), everybody[number]
    cohort = Cohort.create(tmp_path / "all", "GRCh37", "research")
    coming = draw.sample(range(len(both.rows)), len(both.rows))
    present: dict[int, Person] = {}
    next_slot, past, merged = 0, {}, 0
    while coming:
        act = draw.random()
        with cohort.repository.locked():
            if act < 0.65 or not present:
                some, coming = coming[:(size := draw.choice([1, 1, 1, 2, 5]))], coming[size:]
                done = add(cohort, [(next_slot + i, both.people[p].group, both.rows[p]) for i, p in enumerate(some)])
                present |= {next_slot + i: both.people[p] for i, p in enumerate(some)}
                next_slot += len(some)
                merged += done.merged
            elif act < 0.9:
                leaving = draw.sample(sorted(present), min(len(present), draw.choice([1, 1, 2, 4])))
                done = remove(cohort, leaving)
                present = {s: p for s, p in present.items() if s not in leaving}
            else:
                past[f"v{len(past)}"] = dict(present)
                past[tag(cohort, f"v{len(past) - 1}")] = dict(present)
                continue
        past[done.snapshot] = dict(present)
        view, snapshot = cohort.view()
        assert snapshot == done.snapshot and recount(view) == []
        if draw.random() < 0.2:
            agree(view, present)
    assert merged > 4
    agree(cohort.view()[0], present)
    again = Cohort.open(cohort.repository.path)
    for name in draw.sample(sorted(past), 6):
        view, snapshot = again.view(name)
        assert recount(view) == [] and name in (snapshot, *again.repository.tags())
        agree(view, past[name])
    left = dict(draw.sample(sorted(present.items()), max(1, len(present) // 2)))
    agree(again.view(allowed=left)[0], left)  # the others have withdrawn: no word and no sum of theirs is left


def test_small_chunks_meant_many_chunks(everybody: list[Everybody], tmp_path: Path, tiny: None) -> None:
    """The tests above would prove little if nothing had been longer than a chunk, framed, merged twice or folded."""
    cohort, rows = Cohort.create(tmp_path / "all", "GRCh37", "research"), [r for e in everybody for r in e.rows][:40]
    with cohort.repository.locked():
        for slot, row in enumerate(rows):
            add(cohort, [(slot, "all", row)])
    view, _ = cohort.view()
    large = view.blocks[(view.blocks[:, segments_module.STATE] == segments_module.PRESENT) & (view.blocks[:, segments_module.LEVEL] == 2)]
    assert len(large) == 5 and (view.blocks[:, segments_module.STATE] == segments_module.GONE).sum() == 20
    assert (large[:, segments_module.WORDS] > 5 * 16).all() and (large[:, segments_module.EVENTS] > 5 * 16).all()
    assert any(s.events_of(0, 1 << 31)[16] & segments_module.FRAME for s in view.segments() if s.kind == "blocks")
    assert view.meta[segments_module.TABLE_ROWS] > 5 * 16 and view.meta[segments_module.TABLE_STEPS] > 16
    assert len(counts_module.pieces(view, view.segments(), 0, int(view.genome.offsets[-1]))) > 3


def test_any_order_gives_the_same_frequencies(everybody: list[Everybody], tmp_path: Path, tiny: None) -> None:
    rows = [(person, row) for both in everybody[:2] for person, row in zip(both.people, both.rows, strict=True)][:24]
    found = []
    for seed in range(3):
        draw = random.Random(seed)
        order, cohort = draw.sample(range(len(rows)), len(rows)), Cohort.create(tmp_path / str(seed), "GRCh37", "research")
        with cohort.repository.locked():
            while order:
                some, order = order[:(size := draw.choice([1, 3, 12, 24]))], order[size:]
                add(cohort, [(s, rows[s][0].group, rows[s][1]) for s in some])
            if seed == 2:
                tag(cohort, "folded")
        view, _ = cohort.view()
        ds = frequencies(view, view.group.attrs["groups"], 0, int(view.genome.offsets[-1]))
        strata = np.lexsort((ds.stratum_sex.values.astype(str), ds.stratum_group.values.astype(str)))
        found.append(ds.isel(strata=strata).compute())
    for other in found[1:]:
        assert found[0].identical(other)
    assert found[0].variant_AC.values.sum() > 100


def test_a_region_is_a_slice_of_the_whole(everybody: list[Everybody], tmp_path: Path, tiny: None) -> None:
    both, draw = everybody[3], random.Random(7)
    cohort = Cohort.create(tmp_path / "all", "GRCh37", "research")
    with cohort.repository.locked():
        add(cohort, [(s, both.people[s].group, row) for s, row in enumerate(both.rows)])
        remove(cohort, [2])
    view, _ = cohort.view()
    people = {s: p for s, p in enumerate(both.people) if s != 2}
    whole = truth.answer(people)
    for _ in range(12):
        contig = draw.choice(truth.CONTIGS)
        low = draw.choice(PLACES[contig]).start + draw.randrange(20)
        high = low + draw.randrange(25)
        first, last = cohort.genome.span(f"chr{contig}:{low}-{high}")
        assert answer_of(view, people, first, last) == [e for e in whole if e[0][0] == contig and low <= e[0][1] <= high]


def test_what_one_person_carries_is_in_their_row(everybody: list[Everybody], tmp_path: Path, tiny: None) -> None:
    both = everybody[4]
    cohort = Cohort.create(tmp_path / "all", "GRCh37", "research")
    with cohort.repository.locked():
        add(cohort, [(s, both.people[s].group, row) for s, row in enumerate(both.rows)])
    view, _ = cohort.view()
    for slot, person in enumerate(both.people):
        keys = keys_of_person(view, slot, 0, int(view.genome.offsets[-1]))
        ds = genotypes(view, {slot: "X"}, keys)
        calls = [call_of(c) for c in ds.call_genotype.values[:, 0].tolist()]
        carried = sorted((a[:4], call) for a, (call, _) in person.calls.items() if 1 in call)
        names = ds.contig_id.values
        sites = [(str(names[c]), p, *a) for c, p, a in zip(ds.variant_contig.values, ds.variant_position.values.tolist(),
                                                          ds.variant_allele.values.tolist(), strict=True)]
        assert sorted(zip(sites, calls, strict=True)) == carried
        phases = {a[:4]: phased for a, (call, phased) in person.calls.items() if 1 in call and len(call) == 2}
        for site, phased in zip(sites, ds.call_genotype_phased.values[:, 0].tolist(), strict=True):
            if site in phases and "<" not in site[3]:
                assert phased == phases[site]


def test_rules_say_what_a_delivery_is_worth(tmp_path: Path) -> None:
    """Thresholds of reference blocks, and whether a filtered record is a no-call, are the cohort's choice."""
    draw = random.Random(12)
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(4):
        delivery = random_delivery(draw)
        write_vcf(delivery, folder / f"{number}.vcf")
        delivery.bed = None
        group = zarr.open_group(ingest(folder / f"{number}.vcf", folder / "analyses", build="GRCh37", workers=1).path, mode="r")
        for rules in (Rules(), Rules(passing=False), Rules(block_gq=0, block_depth=0), Rules(False, 60, 30)):
            cohort = Cohort.create(tmp_path / f"{number}-{rules.passing}-{rules.block_gq}", "GRCh37", "research", rules)
            rows = [row for row, _ in read_rows(group, cohort.genome, range(delivery.samples), [1] * delivery.samples, cohort.rules)]
            people = {s: truth.person_of(delivery, s, 1, "all", rules.block_gq, rules.block_depth, rules.passing)
                      for s in range(delivery.samples)}
            with cohort.repository.locked():
                add(cohort, [(s, "all", row) for s, row in enumerate(rows)])
            agree(cohort.view()[0], people)
            assert Cohort.open(cohort.repository.path).rules == rules


def test_an_empty_cohort_and_an_emptied_one(everybody: list[Everybody], tmp_path: Path) -> None:
    cohort = Cohort.create(tmp_path / "all", "GRCh37", "research")
    agree(cohort.view()[0], {})
    with cohort.repository.locked():
        add(cohort, [(0, "all", everybody[0].rows[0])])
        tag(cohort, "one")
        remove(cohort, [0])
    view, _ = cohort.view()
    assert recount(view) == [] and not view.active.any()
    agree(view, {})
    with cohort.repository.locked():
        tag(cohort, "none")
    assert recount(cohort.view("none")[0]) == [] and cohort.view("one")[0].active.tolist() == [True]
