"""Fingerprints: exact against the slow forms and against KING on real data, and gone when they are dropped."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import InputError, StoreError
from genomics_nb.store.fingerprint import (
    ENOUGH, PAIR_COUNTS, Area, compare, count_pair_plain, count_pairs, decoded, encoded, kinship_and_error, known_at)
from genomics_nb.store.ingest import ingest
from genomics_nb.store.markers import (
    PANEL, PANEL_BITS, UNKNOWN, Callable, Fingerprint, autosome_starts, fingerprint_of, mixed, unmixed)

HEADER = ("##fileformat=VCFv4.3\n##contig=<ID=1,length=249250621>\n##contig=<ID=X,length=155270560>\n"
          "##FILTER=<ID=low,Description=\"d\">\n"
          "##FORMAT=<ID=GT,Number=1,Type=String,Description=\"g\">\n##FORMAT=<ID=GQ,Number=1,Type=Integer,Description=\"q\">\n"
          "##INFO=<ID=END,Number=1,Type=Integer,Description=\"e\">\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT")


def positions_of_panel(n: int, start: int = 1000) -> list[int]:
    """The first positions of chromosome 1 that take part."""
    line = np.arange(start, start + 40 * n, dtype=np.uint32)
    return [int(p) for p in line[mixed(line) >> np.uint32(32 - PANEL_BITS) == PANEL][:n]]


def vcz_of(tmp_path: Path, rows: list[str], samples: list[str], bed: str | None = None) -> Path:
    vcf = tmp_path / f"{len(list(tmp_path.iterdir()))}.vcf"
    vcf.write_text(HEADER + "".join(f"\t{s}" for s in samples) + "\n" + "".join(r + "\n" for r in rows))
    region = None
    if bed is not None:
        region = vcf.with_suffix(".bed")
        region.write_text(bed)
    return ingest(vcf, tmp_path / "analyses", build="GRCh37", callable_bed=region).path


def said(prints: Fingerprint, sample: int = 0) -> dict[int, int]:
    """Position to code."""
    hashed = prints.of(sample) >> np.uint32(PANEL_BITS)
    return dict(zip(unmixed(hashed).tolist(), (prints.of(sample) & 15).tolist(), strict=True))


# --- positions ---------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1))
def test_the_mix_is_one_to_one(places: list[int]) -> None:
    array = np.array(places, np.uint32)
    assert (unmixed(mixed(array)) == array).all()


def test_the_mix_is_the_published_one() -> None:
    """Finaliser of MurmurHash3 in whole numbers."""
    def plain(h: int) -> int:
        h ^= h >> 16
        h = h * 0x85EBCA6B % 2**32
        h ^= h >> 13
        h = h * 0xC2B2AE35 % 2**32
        return h ^ h >> 16
    places = [0, 1, 65_537, 2_881_033_286, 2**32 - 1]
    assert mixed(np.array(places, np.uint32)).tolist() == [plain(p) for p in places]


def test_the_line_of_autosomes_knows_both_ways_to_write_a_name_and_no_sex_chromosome() -> None:
    assert autosome_starts("GRCh38", ["chr1", "2", "chrX", "chrUn_1"]).tolist() == [0, 248_956_422, -1, -1]
    with pytest.raises(InputError, match="known build"):
        autosome_starts("unknown", ["1"])


# --- what is written -----------------------------------------------------------------------------------------------------


def test_no_call_half_call_filtered_call_and_two_alternates_are_unknown(tmp_path: Path) -> None:
    p = positions_of_panel(9)
    rows = [f"1\t{p[0]}\t.\tA\tG\t.\tPASS\t.\tGT\t0/1\t0/0", f"1\t{p[1]}\t.\tA\tG\t.\tPASS\t.\tGT\t./.\t1/1",
            f"1\t{p[2]}\t.\tA\tG\t.\tPASS\t.\tGT\t./1\t0|1", f"1\t{p[3]}\t.\tA\tG\t.\tlow\t.\tGT\t0/1\t0/0",
            f"1\t{p[4]}\t.\tA\tG,T\t.\tPASS\t.\tGT\t1/2\t2/2", f"1\t{p[5]}\t.\tAC\tA\t.\tPASS\t.\tGT\t0/1\t./.",
            f"1\t{p[6]}\t.\tA\tG\t.\tPASS\t.\tGT\t1\t0/0", f"1\t{p[7]}\t.\tA\tG\t.\tPASS\t.\tGT\t0/1\t0/0",
            f"1\t{p[7]}\t.\tA\tT\t.\tPASS\t.\tGT\t0/1\t0/1", "X\t5000\t.\tA\tG\t.\tPASS\t.\tGT\t0/1\t0/1"]
    prints, where = fingerprint_of(vcz_of(tmp_path, rows, ["P", "Q"]), "GRCh37")
    assert said(prints, 0) == {p[0]: 2, p[1]: UNKNOWN, p[2]: UNKNOWN, p[3]: UNKNOWN, p[4]: UNKNOWN, p[6]: UNKNOWN, p[7]: UNKNOWN}
    assert said(prints, 1) == {p[1]: 6, p[2]: 2, p[3]: UNKNOWN, p[4]: 7, p[7]: 3}
    assert where is not None and where.start.tolist() == sorted(p[i] for i in (0, 1, 2, 3, 4, 6, 7))


def test_silence_of_one_sample_is_reference_only_where_it_could_be_called(tmp_path: Path) -> None:
    p = positions_of_panel(60)
    row = f"1\t{p[0]}\t.\tA\tG\t.\tPASS\t.\tGT:GQ\t0/1:50"
    alone, nowhere = fingerprint_of(vcz_of(tmp_path, [row], ["P"]), "GRCh37")
    assert nowhere is None and alone.callable is None
    outside, bed = fingerprint_of(vcz_of(tmp_path, [row], ["P"], bed=f"1\t{p[5] - 1}\t{p[9]}\n"), "GRCh37")
    assert said(alone) == {p[0]: 2} and said(outside) == {}  # or two people would be compared where both carry, never where one does
    assert bed is not None and (bed.start.tolist(), bed.end.tolist()) == ([p[5]], [p[9]])
    blocks = [row, f"1\t{p[0] + 1}\t.\tC\t.\t.\tPASS\tEND={p[20]}\tGT:GQ\t0/0:50",
              f"1\t{p[20] + 1}\t.\tC\t.\t.\tPASS\tEND={p[30]}\tGT:GQ\t0/0:5", f"1\t{p[40]}\t.\tC\t.\t.\tPASS\t.\tGT:GQ\t./.:50"]
    prints, gvcf = fingerprint_of(vcz_of(tmp_path, blocks, ["P"]), "GRCh37")
    assert gvcf is not None and (gvcf.start.tolist(), gvcf.end.tolist()) == ([p[0]], [p[20]])
    assert said(prints) == {p[0]: 2}


CALLS = st.dictionaries(st.integers(0, 40), st.sampled_from([0, 1, 2, 4, 5, UNKNOWN]), max_size=30)


def fingerprint(calls: dict[int, int], where: Callable | None = None) -> Fingerprint:
    entries = np.sort(np.array([site << PANEL_BITS | code for site, code in calls.items()], np.uint32))
    return Fingerprint("GRCh37", ("P",), np.array([0, len(entries)]), entries, where.id if where else None)


@settings(max_examples=200, deadline=None)
@given(CALLS, CALLS, st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_the_fast_count_is_the_plain_one(a: dict, b: dict, a_sites: set[int], b_sites: set[int]) -> None:
    place = [int(x) for x in unmixed(np.arange(41, dtype=np.uint32))]
    regions = [Callable.of(*[np.array([place[s] for s in sorted(sites)], np.int64)] * 2) for sites in (a_sites, b_sites)]
    x, y = fingerprint(a, regions[0]), fingerprint(b, regions[1])
    assert count_pairs(x, y, regions[0], known_at(x, regions[1]))[0, 0].tolist() == count_pair_plain(a, b, a_sites, b_sites)


def test_two_long_lists_are_compared_up_to_a_hash_that_is_the_same_both_ways() -> None:
    random = np.random.default_rng(1)
    lists = [dict.fromkeys(random.choice(60_000, n, replace=False).tolist(), 0) for n in (20_000, 30_000)]
    x, y = map(fingerprint, lists)
    limit = max(sorted(calls)[ENOUGH - 1] for calls in lists)
    wanted = count_pair_plain(*({s: c for s, c in calls.items() if s <= limit} for calls in lists), set(), set())
    assert count_pairs(x, y, None, known_at(x, None))[0, 0].tolist() == wanted
    assert count_pairs(y, x, None, known_at(y, None))[0, 0].tolist() == wanted


# --- against KING, on real data ------------------------------------------------------------------------------------------


def king_counts(ds, rows) -> np.ndarray:
    """Counts of population.relatedness over these records, in the order of PAIR_COUNTS' first four."""
    from genomics_nb.population.relatedness import king

    import xarray as xr

    full = king(ds, select=xr.DataArray(rows, dims="variants"))
    return np.stack([full[f"stat_{n}"].values for n in ("ibs0", "hethet", "het1hom2", "het2hom1")], -1)


def plain_records(ds) -> np.ndarray:
    """Records with one single-base alternate at a position of their own, which passed."""
    from genomics_nb.population.calls import pass_filter

    allele = ds["variant_allele"].values.astype(object)
    single = np.array([len(row[0]) == 1 and row[1] in tuple("ACGT") and not any(row[2:]) for row in allele])
    place = ds["variant_contig"].values.astype(np.int64) * 2**40 + ds["variant_position"].values
    _, back, times = np.unique(place, return_inverse=True, return_counts=True)
    return single & (times[back] == 1) & pass_filter(ds).values


def some_entries(prints: Fingerprint, samples: int, places: np.ndarray, panel: int) -> Fingerprint:
    """The first samples, at these places alone."""
    each = []
    for s in range(samples):
        here = unmixed(prints.of(s) >> np.uint32(PANEL_BITS) | np.uint32(panel << 32 - PANEL_BITS))
        each.append(prints.of(s)[np.isin(here, places)])
    offsets = np.concatenate([[0], np.cumsum([len(e) for e in each])])
    return Fingerprint(prints.build, prints.samples[:samples], offsets, np.concatenate(each), prints.callable, panel)


@pytest.mark.parametrize("name", ["trio/ashk-trio.vcf.gz", "population/1kg_phase3_chr22_16.0-16.5Mb.vcf.gz"])
def test_the_sixteen_panels_together_are_king_on_the_whole_file(name: str, shared_data: Path, tmp_path: Path) -> None:
    from genomics_nb.store.schema import open_vcz

    path = ingest(shared_data / name, tmp_path, build="GRCh37").path
    ds = open_vcz(path)
    rows, some = plain_records(ds), min(ds.sizes["samples"], 60)
    starts = autosome_starts("GRCh37", [str(c) for c in ds["contig_id"].values])
    places = (starts[ds["variant_contig"].values] + ds["variant_position"].values)[rows]
    panels = []
    for panel in range(1 << PANEL_BITS):
        prints, where = fingerprint_of(path, "GRCh37", panel)
        prints = some_entries(prints, some, places, panel)
        panels.append(count_pairs(prints, prints, where, known_at(prints, where)))
    off = ~np.eye(some, dtype=bool)
    wanted = king_counts(ds.isel(samples=slice(0, some)), rows)
    assert np.array_equal(sum(panels)[off][:, :4], wanted[off])
    if some == 3:  # the stated error is the spread of sixteen disjoint panels around the whole
        estimates, errors, _ = kinship_and_error(np.array(panels))
        away = ((estimates - kinship_and_error(wanted)[0])[:, off] / errors[:, off])
        assert 0.7 < away.std() < 1.3


# --- in the store --------------------------------------------------------------------------------------------------------


def test_files_are_private_whole_and_without_names(tmp_path: Path) -> None:
    area, where = Area(tmp_path / "fingerprints"), Callable.of(np.array([1]), np.array([9]))
    area.put("a", fingerprint({1: 0, 2: 5}, where), where)
    for path in [p for p in area.folder.rglob("*") if p.is_file()]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(area.folder.stat().st_mode) == 0o700
    assert sorted(p.name for p in area.folder.iterdir()) == ["a.fp", "callable"] and area.analyses() == ["a"]


@pytest.mark.parametrize("at", [0, 9, 17, -1])
def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path, at: int) -> None:
    area = Area(tmp_path)
    area.put("a", fingerprint({1: 0}), None)
    data = bytearray(area.path("a").read_bytes())
    data[at] ^= 1
    area.path("a").write_bytes(bytes(data))
    with pytest.raises(StoreError, match="damaged"):
        area.get("a")
    area.path("a").write_bytes(b"GNB")
    with pytest.raises(StoreError, match="damaged"):
        area.get("a")


@given(CALLS)
@settings(deadline=None)
def test_what_is_written_is_what_is_read(calls: dict) -> None:
    prints = fingerprint(calls)
    again = decoded(encoded(prints))
    assert again.entries.tolist() == prints.entries.tolist() and again.samples == prints.samples


def test_a_dropped_sample_leaves_no_byte_and_the_others_stay(tmp_path: Path) -> None:
    p = positions_of_panel(30)
    rows = [f"1\t{x}\t.\tA\tG\t.\tPASS\t.\tGT\t{'0/1' if i % 2 else '0/0'}\t{'1/1' if i % 3 else '0/1'}" for i, x in enumerate(p)]
    path = vcz_of(tmp_path, rows, ["GOES", "STAYS"])
    area = Area(tmp_path / "fingerprints")
    prints, where = fingerprint_of(path, "GRCh37")
    area.put("both", prints, where)
    area.put("alone", fingerprint({1: 0}, Callable.of(np.array([5]), np.array([6]))), Callable.of(np.array([5]), np.array([6])))
    area.put("alone", Fingerprint("GRCh37", ("GOES",), np.array([0, 1]), prints.entries[:1], area.get("alone").callable), None)
    gone = prints.of(0).tobytes()
    assert area.drop("GOES") == ["alone", "both"] and area.analyses() == ["both"]
    left = area.get("both")
    assert left is not None and left.samples == ("STAYS",) and left.of(0).tolist() == prints.of(1).tolist()
    everything = b"".join(f.read_bytes() for f in area.folder.rglob("*") if f.is_file())
    assert gone not in everything and b"GOES" not in everything
    assert [f.stem for f in (area.folder / "callable").iterdir()] == [left.callable]


def test_another_build_is_not_compared_and_a_crash_leaves_nothing_to_compare(tmp_path: Path) -> None:
    area = Area(tmp_path)
    area.put("a", fingerprint({1: 0}), None)
    (tmp_path / f".b.fp-{os.getpid()}-1").write_bytes(b"half")
    new = Fingerprint("GRCh38", ("N",), np.array([0, 1]), np.array([16], np.uint32), None)
    assert area.analyses() == ["a"] and compare(area, new, None, area.analyses()) == ([], 0)
    (match,), compared = compare(area, fingerprint({1: 0}), None, ["a", "missing"])
    assert compared == 1 and match.equal == match.shared == 1 and np.isnan(match.kinship)  # silence says nothing: no kinship


def test_of_a_genome_the_head_is_read_and_the_answer_is_the_same(tmp_path: Path) -> None:
    random, area = np.random.default_rng(3), Area(tmp_path)
    everywhere = Callable.of(np.array([1]), np.array([2_900_000_000]))
    people = [fingerprint({s: int(s) % 2 * 4 for s in random.choice(1 << 28, n, replace=False).tolist()}, everywhere)
              for n in (40_000, 60_000, 9_000, 500)]
    for i, prints in enumerate(people):
        area.put(str(i), prints, everywhere)
    whole = decoded(area.path("0").read_bytes())
    assert len(area.get("0", int(whole.entries[ENOUGH])).entries) < len(whole.entries) == len(area.get("0").entries)
    for new in people:
        pairs, compared = compare(area, new, everywhere, area.analyses(), wanted=frozenset("P"))
        pairs.sort(key=lambda m: m.analysis)
        wanted = [count_pairs(new, old, everywhere, known_at(new, everywhere))[0, 0] for old in people]
        assert compared == 4 and [(m.ibs0, m.hethet, m.shared, m.equal) for m in pairs] == [
            (w[0], w[1], w[4], w[5]) for w in np.array(wanted).tolist()]


def test_the_counts_have_names() -> None:
    assert PAIR_COUNTS[:2] == ("ibs0", "hethet") and len(PAIR_COUNTS) == 6
