"""A family against a base of 50 million alleles: how many variants a second on one core, and how much memory. Run by `make bench`.

    python benchmarks/annotate.py             # makes base and family in benchmarks/work once, then measures
    python benchmarks/annotate.py --write     # the table goes to README.md

The base is generated: 86 % single bases, 11 % short insertions and deletions, 3 % whose alleles are too long for the key, so that a hash and
a text stand in. Of the family's alleles seven in ten are in it; one record in 50 has two alternative alleles or a `*`. *From chunks to arrays*
is `variant.annotate.population` on the ingested family, all five arrays computed, one process on one core. Before anything is printed, every
allele of chromosome 22 is compared with `bcftools annotate`.
"""
from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from genomics_nb.core.genome import Genome
from genomics_nb.core.reference import CONTIG_LENGTHS
from genomics_nb.store.alleles import GENOTYPE_BITS, HASHED, allele_code
from run import HERE, WORK, best, measured, size

ENTRIES, FAMILY, BUILD, SEED = 50_000_000, 2_000_000, "GRCh38", 50
MARK, PART, PIECE = "<!-- annotate measured -->", "<!-- end -->", 1 << 20

OURS = """
import json, sys, time
import dask
from genomics_nb.store.schema import open_vcz
from genomics_nb.variant.annotate import population
from genomics_nb.variant.knowledge import Bases
dask.config.set(scheduler="synchronous")
family, folder = sys.argv[1:]
population(open_vcz(family).isel(variants=slice(0, 1000)), Bases.open(folder)).compute()  # compiles, or reads what was compiled
ds, bases = open_vcz(family), Bases.open(folder)  # nothing of the base is held any more
mark, used = time.perf_counter(), time.process_time()
found = population(ds, bases).compute()
after = time.perf_counter() - mark
hits = int((found["population_ac"].values >= 0).sum())
print(json.dumps({"after": after, "used": time.process_time() - used, "variants": ds.sizes["variants"], "hits": hits}))
"""


def templates() -> tuple[list[tuple[str, str]], np.ndarray, np.ndarray]:
    """Pairs of alleles, already trimmed, how often each comes, and its code."""
    rng = np.random.default_rng(SEED)

    def bases(n: int) -> str:
        return "".join(rng.choice(list("ACGT"), n))

    pairs = [(a, b) for a in "ACGT" for b in "ACGT" if a != b]
    weights = [0.86 / 12] * 12
    for share, lengths in ((0.11, (1, 7)), (0.03, (12, 60))):
        some = {}
        while len(some) < 400:
            first, rest = bases(1), bases(int(rng.integers(*lengths)))
            some[(first, first + rest) if rng.random() < 0.5 else (first + rest, first)] = None
        pairs, weights = pairs + list(some), weights + [share / len(some)] * len(some)
    return pairs, np.array(weights) / sum(weights), np.array([allele_code(r, a) for r, a in pairs], np.int64)


def make_base(folder: Path) -> float:
    """Write the base; seconds."""
    from genomics_nb.store.bases import Draft, new_release
    from genomics_nb.store.keyed import KeyedWriter
    from genomics_nb.variant.frequency_formats import COLUMNS

    mark, rng, (pairs, weights, codes) = time.perf_counter(), np.random.default_rng(SEED + 1), templates()
    genome = Genome.of(BUILD)
    step = int(genome.offsets[-1]) / ENTRIES
    with new_release(folder, "generated", str(ENTRIES), "frequency", date="2026-01-01", licence="none", source="benchmarks/annotate.py", build=BUILD) as draft:
        if not isinstance(draft, Draft):
            return 0.0
        writer = KeyedWriter(draft.folder / "alleles", COLUMNS)
        last = 0
        for first in range(0, ENTRIES, PIECE):
            n = min(PIECE, ENTRIES - first)
            place = np.floor((first + np.sort(rng.random(n)) * n) * step).astype(np.int64) + 1
            kind = rng.choice(len(pairs), n, p=weights)
            key, at = np.unique(place.astype(np.uint64) << np.uint64(32) | codes[kind].astype(np.uint64) << np.uint64(GENOTYPE_BITS), return_index=True)
            key, at = key[key > last], at[key > last]
            last = int(key[-1])
            an = rng.integers(140_000, 152_000, len(key)) & ~1
            ac = np.minimum(1 + rng.exponential(1, len(key)) ** 8, an - 1).astype(np.int64)
            values = {"ac": ac, "an": an, "af": ac / an, "hom": ac * ac // an // 4, "hemi": np.zeros(len(key)), "max": np.minimum(1.5 * ac / an, 1),
                      "group": rng.integers(0, 8, len(key)), "group_an": an // 8, "faf95": ac / an * 0.9, "state": np.zeros(len(key)), "filtered": np.zeros(len(key))}
            long = np.flatnonzero(codes[kind[at]] >= HASHED)
            writer.append(key, values, [(int(i), " ".join(pairs[kind[at[i]]])) for i in long])
        draft.rows, draft.columns = writer.close()
        draft.notes["groups"] = [f"g{i}" for i in range(8)]
    return time.perf_counter() - mark


def alleles_at(table: object, rows: np.ndarray) -> list[tuple[int, str, str]]:
    """Place on the line, REF and ALT of rows of the base."""
    pairs, _, codes = templates()
    said = {int(c): p for c, p in zip(codes, pairs, strict=True) if c < HASHED}
    key, text = table.key.at(rows), table.column("allele", rows)  # type: ignore[attr-defined]
    code = (key >> np.uint64(GENOTYPE_BITS) & np.uint64((1 << 26) - 1)).tolist()
    return [(int(k >> np.uint64(32)), *(tuple(t.split(" ")) if t else said[c])) for k, c, t in zip(key, code, text, strict=True)]  # type: ignore[misc]


def header(info: str = "", sample: str = "") -> str:
    contigs = "".join(f"##contig=<ID=chr{'M' if c == 'MT' else c},length={n}>\n" for c, n in CONTIG_LENGTHS[BUILD].items())
    return f"##fileformat=VCFv4.2\n##reference={BUILD}\n{contigs}{info}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO{sample}\n"


def make_family(table: object, path: Path) -> None:
    """Write a VCF of one person whose alleles are in the base seven times of ten."""
    rng, genome = np.random.default_rng(SEED + 2), Genome.of(BUILD)
    rows = np.unique(rng.integers(0, len(table), int(FAMILY * 0.7)))  # type: ignore[arg-type]
    found = alleles_at(table, rows)
    other = rng.integers(1, int(genome.offsets[-1]), FAMILY - len(found)).tolist()
    found += [(p, "ACGT"[p % 4], "ACGT"[(p + 1) % 4]) for p in other]
    found.sort()
    number, position = genome.locate(np.array([p for p, _, _ in found]))
    with open(path, "w", encoding="ascii") as file:
        file.write(header('##FORMAT=<ID=GT,Number=1,Type=String,Description="genotype">\n', "\tFORMAT\tS1"))
        for i, ((_, ref, alt), n, p) in enumerate(zip(found, number.tolist(), position.tolist(), strict=True)):
            more = "" if i % 50 else ",*" if i % 100 else ",T" if alt != "T" and len(ref) == 1 and ref != "T" else ""
            name = genome.names[n]
            file.write(f"chr{'M' if name == 'MT' else name}\t{p}\t.\t{ref}\t{alt}{more}\t.\tPASS\t.\tGT\t0/1\n")


def write_slice(table: object, path: Path, contig: str) -> int:
    """The base's alleles on one chromosome as VCF; how many."""
    genome = Genome.of(BUILD)
    start = int(genome.starts([contig])[0])
    edges = np.array([start + 1, start + CONTIG_LENGTHS[BUILD][contig] + 1], np.uint64) << np.uint64(32)
    first, last = (int(np.searchsorted(_keys(table), e)) for e in edges)
    with open(path, "w", encoding="ascii") as file:
        file.write(header('##INFO=<ID=AC,Number=A,Type=Integer,Description="">\n##INFO=<ID=AN,Number=1,Type=Integer,Description="">\n'))
        for low in range(first, last, PIECE):
            rows = np.arange(low, min(low + PIECE, last))
            for (place, ref, alt), ac, an in zip(alleles_at(table, rows), table.column("ac", rows), table.column("an", rows), strict=True):  # type: ignore[attr-defined]
                file.write(f"chr{contig}\t{place - start}\t.\t{ref}\t{alt}\t.\tPASS\tAC={ac};AN={an}\n")
    return last - first


def _keys(table: object) -> np.ndarray:
    return table.key.piece(0, table.key.rows)  # type: ignore[attr-defined]


def shell(*commands: str) -> None:
    subprocess.run(["bash", "-o", "pipefail", "-ec", "\n".join(commands)], check=True)


def compare(vcf: Path, base: Path, stored: Path, folder: Path, contig: str = "chr22") -> tuple[int, int]:
    """Alleles compared with bcftools, and those that the base has; stops where one differs."""
    from genomics_nb.store.schema import open_vcz
    from genomics_nb.variant.annotate import population
    from genomics_nb.variant.knowledge import Bases

    split, annotated = WORK / "annotate" / "split.bcf", WORK / "annotate" / "annotated.bcf"
    shell(f"bcftools index -f {vcf}", f"bcftools index -f {base}", f"bcftools view -r {contig} {vcf} | bcftools norm -m -any -Ob -o {split} -",
          f"bcftools index -f {split}", f"bcftools annotate -a {base} -c INFO/AC,INFO/AN -Ob -o {annotated} {split}")
    text = subprocess.run(["bcftools", "query", "-f", "%POS %REF %ALT %INFO/AC\n", str(annotated)], check=True, capture_output=True, text=True).stdout
    theirs: dict[tuple[str, ...], str] = {}
    for line in text.splitlines():
        *allele, count = line.split(" ")
        if theirs.get(tuple(allele), ".") == ".":  # of two equal records bcftools annotates the first alone
            theirs[tuple(allele)] = count
    ds = open_vcz(stored)
    here = ds.isel(variants=np.flatnonzero(ds["variant_contig"].values == list(ds["contig_id"].values).index(contig)))
    found, ours, hits = population(here, Bases.open(folder))["population_ac"].values, 0, 0
    for i, (position, alleles) in enumerate(zip(here["variant_position"].values, here["variant_allele"].values, strict=True)):
        for j, alt in enumerate(a for a in alleles[1:] if a and a != "*"):
            said = theirs[str(position), alleles[0], alt]
            if (said if said != "." else "-1") != str(found[i, j]):
                raise SystemExit(f"{contig}:{position} {alleles[0]}>{alt}: {found[i, j]}, and {said} from bcftools annotate: no time is printed")
            ours, hits = ours + 1, hits + (said != ".")
    return ours, hits


def prepare() -> tuple[Path, Path, Path, Path, float]:
    """Base folder, stored family, its VCF, the slice of the base, and how long the base took to write (0: it was there)."""
    from genomics_nb.store.ingest import ingest
    from genomics_nb.variant.knowledge import Bases

    home = WORK / "annotate"
    home.mkdir(parents=True, exist_ok=True)
    folder, vcf, part, seconds = home / "bases", home / "family.vcf", home / "base22.vcf", 0.0
    if not (folder / "generated" / str(ENTRIES)).exists():
        seconds = make_base(folder)
        (home / "seconds").write_text(str(seconds))
    table = Bases.open(folder).frequency[0].table
    if not vcf.with_suffix(".vcf.gz").exists():
        make_family(table, vcf)
        shell(f"bgzip -f {vcf}")
    if not part.with_suffix(".vcf.gz").exists():
        write_slice(table, part, "22")
        shell(f"bgzip -f {part}")
    if not list(home.glob("*.vcz")):
        ingest(vcf.with_suffix(".vcf.gz"), home, build=BUILD)
    return folder, next(home.glob("*.vcz")), vcf.with_suffix(".vcf.gz"), part.with_suffix(".vcf.gz"), float((home / "seconds").read_text())


def build_rate(part: Path) -> tuple[int, float]:
    """Rows of the slice and seconds that `knowledge add` takes for them."""
    from genomics_nb.variant.formats import add_release

    target = WORK / "annotate" / "added"
    shutil.rmtree(target, ignore_errors=True)
    mark = time.perf_counter()
    rows = add_release(target, "slice", "1", part, date="2026-01-01").rows
    seconds = time.perf_counter() - mark
    shutil.rmtree(target)
    return rows, seconds


def report() -> list[str]:
    """The measured table."""
    folder, stored, vcf, part, seconds = prepare()
    compared, hits = compare(vcf, part, stored, folder)
    env = {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    one = ["taskset", "-c", str(sorted(os.sched_getaffinity(0))[-1])] if shutil.which("taskset") else []
    runs = [measured([*one, sys.executable, "-c", OURS, str(stored), str(folder)], env) for _ in range(3)]
    found, load = best(runs), os.getloadavg()[0]
    rows, added = build_rate(part)
    n = found["variants"]
    _, mb = size(folder / "generated" / str(ENTRIES))
    lines = [
        f"Measured {time.strftime('%Y-%m-%d')} on one core ({platform.machine()}), Python {platform.python_version()}: a base of {ENTRIES:,} alleles ({mb:,.0f} MB on disk), a family of {n:,.0f} records. "
        f"{os.cpu_count()} cores had a load of {load:.1f}" + (": the wall seconds hold waiting, the CPU seconds do not." if load > 1.5 else "."),
        "", "| | wall s | CPU s | peak MiB | records a second | records a CPU second |", "|---|---|---|---|---|---|",
        f"| from chunks to arrays | {found['after']:.2f} | {found['used']:.2f} | {found['peak']:.0f} | {n / found['after']:,.0f} | {n / found['used']:,.0f} |",
        f"| whole process, imports included | {found['wall']:.2f} | {found['cpu']:.2f} | {found['peak']:.0f} | {n / found['wall']:,.0f} | {n / found['cpu']:,.0f} |",
        "", f"The bars: 1,000,000 records a second, below 1,024 MiB. {compared:,} alleles of chromosome 22, {hits:,} of them in the base, had been found equal to `bcftools annotate`.",
        f"Writing the generated base took {seconds:.0f} s; `knowledge add` of a VCF reads {rows / added:,.0f} alleles a second ({rows:,} in {added:.0f} s), which makes {ENTRIES / rows * added / 60:.0f} minutes for 50 million."]
    print("\n".join(lines), flush=True)
    return lines


def publish(lines: list[str]) -> None:
    """Write the tables into README.md, in the place of the last ones."""
    page = HERE / "README.md"
    text = page.read_text(encoding="utf-8")
    if MARK not in text:
        text = text.rstrip() + f"\n\n{MARK}\n{PART}\n"
    before, _, rest = text.partition(MARK)
    page.write_text(before + MARK + "\n\n## Joining a family with a base\n\n" + "\n".join(lines).rstrip() + f"\n\n{PART}" + rest.partition(PART)[2],
                    encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the table into README.md")
    said = parser.parse_args()
    lines = report()
    if said.write:
        publish(lines)


if __name__ == "__main__":
    main()
