"""A whole-genome trio, from the store to the short list and from the VCF to the report. Part of `make bench`.

    python benchmarks/trio.py --write      # the tables go to README.md; the first run makes trio and bases (trio_data.py)
    python benchmarks/trio.py --profile    # where the time goes

A VCF of 4.5 million records with VEP's annotation, a frequency base of 34 million entries, ClinVar-like and CADD-like ones of 2 and 24
million, ClinGen, DDG2P and constraint. No time is printed before the answer was checked: the new stop codon that was put in is first on the
list, and what the list says of frequencies is what a plain look-up in the base says. Each figure is of a process of its own.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ.get("BENCH_WORK", HERE / "work"))
MARK, PART = "<!-- trio measured -->", "<!-- end -->"
VCF, STORE, BASES = WORK / "trio_annotated.vcf.gz", WORK / "trio_store", WORK / "trio_bases"
MOST_SECONDS, MOST_GIB, MOST_REPORT = 30.0, 3.0, 120.0  # what was asked for, on two cores


def prepare(records: int) -> Path:
    """The trio and the bases; the analysis."""
    import trio_data

    from genomics_nb.store.ingest import ingest
    from genomics_nb.store.schema import open_vcz

    WORK.mkdir(parents=True, exist_ok=True)
    trio_data.annotated_trio(VCF, records)
    there = sorted(STORE.glob("*.vcz")) if STORE.is_dir() else []
    analysis = there[0] if there else ingest(VCF, STORE).path
    trio_data.make_bases(BASES, open_vcz(analysis))
    trio_data.add_gene_bases(BASES)
    return analysis


def inputs(analysis: str) -> tuple[Any, Any, Any, list[str]]:
    """Dataset, pedigree, bases and features."""
    from trio_data import FEATURES

    from genomics_nb.core.family import PED
    from genomics_nb.store.pedigree import read_ped
    from genomics_nb.store.schema import open_vcz
    from genomics_nb.variant.knowledge import Bases

    return open_vcz(analysis), read_ped(PED), Bases.open(BASES), list(FEATURES)


def check(listed: Any, ds: Any, bases: Any) -> int:
    """Whether the planted variant is first, and the frequencies are those of the base; how many were compared."""
    import numpy as np
    from trio_data import FOUND

    from genomics_nb.core.genome import Genome
    from genomics_nb.store.alleles import encode, keys_of

    table, first = listed.evidence, listed.ranked.iloc[0]
    if first["gene"] != FOUND:
        raise SystemExit(f"{FOUND} is not first on the list, {first['gene']} is: no time is printed")
    kind, genome, base = np.dtypes.StringDType(), Genome.of("GRCh38"), bases.frequency[0].table
    short = table[(table["ref"].str.len() == 1) & (table["alt"].str.len() == 1)]
    start = genome.starts(list(short["contig"]))
    place = genome.place(start, short["position"].to_numpy(np.int64))
    words = keys_of(encode(place, short["ref"].to_numpy().astype(kind), short["alt"].to_numpy().astype(kind), place))
    every = base.key.piece(0, len(base))
    row = np.minimum(np.searchsorted(every, words), len(every) - 1)
    known = np.where(every[row] == words, base.column("af", row), np.nan)
    if not np.allclose(known, short["pop_af"].to_numpy(float), equal_nan=True):
        raise SystemExit("a frequency on the list is not that of the base: no time is printed")
    return len(short)


def measure(analysis: str, checked: bool) -> dict[str, Any]:
    """One run of diagnose in this process, checks of the family included."""
    from genomics_nb.rare.diagnose import diagnose

    start, used = time.perf_counter(), time.process_time()
    ds, pedigree, bases, features = inputs(analysis)
    listed = diagnose(ds, pedigree, features, [], bases, lang="en")
    found = {"wall": time.perf_counter() - start, "cpu": time.process_time() - used, "listed": len(listed.ranked),
             "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "records": int(ds.sizes["variants"])}
    return found | ({"compared": check(listed, ds, bases)} if checked else {})


def parts(analysis: str) -> list[dict[str, Any]]:
    """What each step costs, one after the other in one warm process."""
    from genomics_nb.rare import diagnose as d
    from genomics_nb.rare.checks import family_checks
    from genomics_nb.rare.evidence import Thresholds
    from genomics_nb.rare.screen import screen
    from genomics_nb.variant.annotate import population

    ds, pedigree, bases, features = inputs(analysis)
    known = population(ds, bases)
    limits, rows = Thresholds(), []
    steps = {
        "checks of the family": lambda: family_checks(ds, pedigree),
        "frequencies and known variants of every allele": lambda: known["population_af"].data.sum().compute(),
        "modes of inheritance, without frequencies": lambda: screen(ds, pedigree, thresholds=limits),
        "phenotype against every gene": lambda: d.compared(features, [], bases),
        "all of it": lambda: d.diagnose(ds, pedigree, features, [], bases),
    }
    for name, act in steps.items():
        act() if name != "all of it" else None
        wall, cpu = time.perf_counter(), time.process_time()
        act()
        rows.append({"what": name, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu})
    return rows


def whole(folder: Path) -> dict[str, Any]:
    """VCF to rendered report by the commands that a user types; seconds of each."""
    from trio_data import FEATURES

    from genomics_nb.core.family import PED

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store, program = folder / "store", str(Path(sys.executable).with_name("genomics-nb"))
    (folder / "trio.ped").write_text(PED)
    family = PED.splitlines()[1].split()[0]
    (folder / "case.json").write_text(json.dumps({
        "case": "BENCH-1", "family": family, "proband": "SYN-001", "indication": "benchmark",
        "hpo_present": [{"id": f, "label": f} for f in FEATURES]}))
    people = [word for word in PED.split() if word.startswith("SYN-00")]

    def call(*words: str | Path) -> float:
        start = time.perf_counter()
        done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"genomics-nb {words[0]} failed: {done.stderr[-600:]}")
        return time.perf_counter() - start

    call("init", store)
    if BASES.is_dir():
        (store / "knowledge").rmdir() if (store / "knowledge").is_dir() and not any((store / "knowledge").iterdir()) else None
        shutil.copytree(BASES, store / "knowledge", dirs_exist_ok=True)
    seconds = {"ingest": call("ingest", VCF, "--ped", folder / "trio.ped", "--platform", "BENCH", "--store", store)}
    call("case", "add", folder / "case.json", "--store", store)
    for person in dict.fromkeys(people):
        call("consent", "grant", person, "--purpose", "care", "--store", store)
    seconds["report"] = call("report", "BENCH-1", "--store", store, "--lang", "en", "--out", folder / "runs")
    page = next((folder / "runs").rglob("report.html"))
    if "ARID1B" not in page.read_text():
        raise SystemExit("the planted gene is not on the page: no time is printed")
    return seconds | {"whole": seconds["ingest"] + seconds["report"], "page": page.stat().st_size / 1e6}


def alone(*words: str) -> Any:
    """What a process of its own prints."""
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-1500:] or done.stdout[-1500:])
    return json.loads(done.stdout.splitlines()[-1])


def report(records: int, rendered: bool = True) -> list[str]:
    """The tables as lines of README.md."""
    analysis = str(prepare(records))
    first = alone("--analysis", analysis, "--measure", "check")
    runs = [alone("--analysis", analysis, "--measure", "run") for _ in range(2)]
    steps = alone("--analysis", analysis, "--measure", "parts")
    best = min(runs, key=lambda r: r["wall"])
    lines = [f"{first['records']:,} records; the planted variant is first of {best['listed']} on the list, and {first['compared']:,} frequencies on it are "
             "those of the base. Wall and CPU seconds, peak memory in GiB; asked for: "
             f"{MOST_SECONDS:.0f} s and {MOST_GIB:.0f} GiB on two cores.", "",
             "| store to short list | wall s | CPU s | peak GiB |", "|---|---|---|---|",
             f"| first process (compiles) | {first['wall']:.1f} | {first['cpu']:.1f} | {first['peak']:.2f} |",
             f"| next process, imports included | {best['wall']:.1f} | {best['cpu']:.1f} | {best['peak']:.2f} |", "",
             "| step, in a warm process | wall s | CPU s |", "|---|---|---|",
             *(f"| {s['what']} | {s['wall']:.2f} | {s['cpu']:.2f} |" for s in steps), ""]
    if rendered:
        made = whole(WORK / "trio_whole")
        lines += [f"VCF to rendered report by the command line: ingest {made['ingest']:.0f} s, report {made['report']:.0f} s, together "
                  f"**{made['whole']:.0f} s** (asked for: {MOST_REPORT:.0f}); the page has {made['page']:.1f} MB.", ""]
    load = os.getloadavg()[0]
    head = (f"Measured {time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, "
            f"at a load of {load:.1f} when it ended.")
    print("\n".join([head, "", *lines]), flush=True)
    return [head, "", *lines]


def publish(lines: list[str]) -> None:
    """Put the tables into README.md, in the place of those that stand there."""
    page = HERE / "README.md"
    text = page.read_text(encoding="utf-8")
    if MARK not in text:
        text = text.rstrip() + f"\n\n{MARK}\n{PART}\n"
    before, _, rest = text.partition(MARK)
    page.write_text(before + MARK + "\n\n## A family's whole genome\n\n" + "\n".join(lines).rstrip() + f"\n\n{PART}" + rest.partition(PART)[2],
                    encoding="utf-8")


def profile(analysis: str) -> None:
    """Where one run spends its time."""
    import cProfile
    import pstats

    import dask

    ds, pedigree, bases, features = inputs(analysis)
    from genomics_nb.rare.diagnose import diagnose

    with dask.config.set(scheduler="synchronous"):
        work = cProfile.Profile()
        work.runcall(diagnose, ds, pedigree, features, [], bases)
    pstats.Stats(work).sort_stats("cumulative").print_stats(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=4_500_000)
    parser.add_argument("--write", action="store_true", help="put the tables into README.md")
    parser.add_argument("--profile", action="store_true", help="profile one run instead")
    parser.add_argument("--no-report", action="store_true", help="leave out the way from VCF to report")
    parser.add_argument("--analysis", help=argparse.SUPPRESS)
    parser.add_argument("--measure", choices=["check", "run", "parts"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.measure:
        print(json.dumps(parts(given.analysis) if given.measure == "parts" else measure(given.analysis, given.measure == "check")))
    elif given.profile:
        profile(str(prepare(given.records)))
    else:
        lines = report(given.records, not given.no_report)
        if given.write:
            publish(lines)


if __name__ == "__main__":
    main()
