"""Ten thousand tumours with 200 million mutations, as tumour x gene and tumour x context. Run by `make bench`.

    python benchmarks/tumours.py                    # 200 million rows; pandas beside it at 2 million
    python benchmarks/tumours.py --write            # the table goes to README.md

The large store is drawn straight into the arrays of `tumour.mutations` (the columns that the summary reads), sorted by tumour: no MAF of
that size is written. Each summary runs in a process of its own, from the files on disk to the matrices, imports apart. Pandas starts
from a table that is in memory already. Nothing is printed before the matrices were found equal.
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
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from genomics_nb.tumour.contexts import CONTEXTS
from genomics_nb.tumour.maf import write_maf
from genomics_nb.tumour.matrices import summarise
from genomics_nb.tumour.mutations import CHUNK, COLUMNS, EFFECTS, NON_SILENT, open_mutations, write_mutations
from genomics_nb.tumour.synthetic_tumours import synthetic_tumours
from run import HERE, WORK

MARK, PART = "<!-- tumours measured -->", "<!-- end -->"
READ = ("tumour", "gene", "effect", "context", "kind")  # what a summary reads
GENES = 20_000
EFFECT_SHARES = (0.10, 0.24, 0.55, 0.02, 0.02, 0.07)


def draw(path: Path, rows: int, tumours: int) -> None:
    """A store with `rows` mutations spread evenly over the tumours."""
    shutil.rmtree(path, ignore_errors=True)
    group, rng = zarr.open_group(path, mode="w", zarr_format=3), np.random.default_rng(1)
    arrays = {name: group.create_array(f"mutation_{name}", shape=(rows,), chunks=(CHUNK,), dtype=COLUMNS[name],
                                       dimension_names=("mutations",)) for name in READ}
    effects = np.searchsorted(np.cumsum(EFFECT_SHARES)[:-1], np.arange(256) / 256, side="right").astype(np.uint8)
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        kind = (rng.integers(0, 20, n, np.uint8) == 0).astype(np.uint8) * np.uint8(3)
        place = rng.integers(-1, 96, n, np.int8)
        block: dict[str, Any] = {"tumour": np.arange(start, start + n) * tumours // rows, "gene": rng.integers(0, GENES, n, np.uint32),
                                 "effect": effects[rng.integers(0, 256, n, np.uint8)], "context": np.where(kind, -2, place), "kind": kind}
        for name in READ:
            arrays[name][start:start + n] = block[name].astype(COLUMNS[name])
    group.attrs.update({"format": "genomics_nb mutations 1", "rows": rows, "tumour_kept": [True] * tumours, "sources": ["drawn"],
                        "tumour_id": [f"T{n:05d}" for n in range(tumours)], "gene_id": [f"G{n:05d}" for n in range(GENES)],
                        "contig_id": [], "protein_id": []})


def child(path: Path) -> dict[str, float]:
    """Seconds and the most memory of a summary in a process of its own, compiled code read from its cache."""
    run = subprocess.run([sys.executable, __file__, "--summarise", str(path)], check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


def summarised(path: Path) -> None:
    """What the child does."""
    start = time.perf_counter()
    found = summarise(open_mutations(path))
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                      "mutations": int(found["effect_count"].sum())}))


def plain(table: pd.DataFrame, tumours: int) -> dict[str, np.ndarray]:
    """The same matrices by pandas: `groupby`, which is several times faster here than `crosstab`."""
    heavy, placed = table[table["effect"] >= NON_SILENT], table[table["context"] >= 0]

    def count(part: pd.DataFrame, by: str, width: int) -> np.ndarray:
        return part.groupby(["tumour", by]).size().unstack(fill_value=0).reindex(index=range(tumours), columns=range(width), fill_value=0).to_numpy()

    worst = heavy.groupby(["tumour", "gene"])["effect"].max().unstack(fill_value=0)
    return {"mutation_count": count(heavy, "gene", GENES), "spectrum": count(placed, "context", len(CONTEXTS)),
            "worst_effect": worst.reindex(index=range(tumours), columns=range(GENES), fill_value=0).to_numpy(),
            "effect_count": count(table, "effect", len(EFFECTS))}


def beside(path: Path, tumours: int) -> tuple[float, float]:
    """Seconds of ours (from disk, warm) and of pandas (from memory), after their matrices were found equal."""
    mutations = open_mutations(path)
    table = pd.DataFrame({name: mutations[f"mutation_{name}"].values for name in READ})
    start = time.perf_counter()
    theirs = plain(table, tumours)
    pandas = time.perf_counter() - start
    summarise(mutations)
    start = time.perf_counter()
    ours = summarise(open_mutations(path))
    seconds = time.perf_counter() - start
    for name, values in theirs.items():
        if not np.array_equal(ours[name].values, values):
            raise SystemExit(f"{name} differs from pandas: no time is printed")
    return seconds, pandas


def text_rate(tumours: int) -> tuple[int, float]:
    """Rows of a drawn MAF, and the seconds from its text to the store."""
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        table = synthetic_tumours({"colorectal": tumours}).maf
        file = write_maf(table, Path(folder) / "a.maf")
        write_mutations([write_maf(table.head(1000), Path(folder) / "warm.maf")], Path(folder) / "warm.zarr")
        start = time.perf_counter()
        write_mutations([file], Path(folder) / "a.zarr")
        return len(table), time.perf_counter() - start


def report(rows: int = 200_000_000, tumours: int = 10_000) -> list[str]:
    WORK.mkdir(exist_ok=True)
    large, small, few = WORK / "tumours.zarr", WORK / "tumours_small.zarr", max(1, tumours // 100)
    try:
        draw(small, rows // 100, few)
        ours, pandas = beside(small, few)
        draw(large, rows, tumours)
        size = sum(p.stat().st_size for p in large.rglob("*") if p.is_file()) / 2**30
        half, full = child(small), child(large)
        if full["mutations"] != rows or half["mutations"] != rows // 100:
            raise SystemExit("mutations were lost: no time is printed")
    finally:
        for path in (large, small):
            shutil.rmtree(path, ignore_errors=True)
    lines_read, seconds = text_rate(600)
    lines = [
        f"Measured {time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}. Tumour x gene "
        f"({GENES:,} genes: count and worst effect) and tumour x context (96); the store of {rows:,} rows was drawn, {size:.1f} GiB on disk.", "",
        "| tumours | mutations | seconds | million rows a second | peak memory, MiB |", "|---|---|---|---|---|",
        f"| {tumours:,} | {rows:,} | {full['seconds']:.1f} | {rows / full['seconds'] / 1e6:.1f} | {full['mib']:.0f} |",
        f"| {few:,} | {rows // 100:,} | {half['seconds']:.1f} | {rows / 100 / half['seconds'] / 1e6:.1f} | {half['mib']:.0f} |", "",
        f"At {rows // 100:,} rows, warm and in one process, whose matrices were found equal to those of pandas first: ours from disk {ours:.2f} s, "
        f"pandas from memory {pandas:.2f} s (**{pandas / ours:.1f} times**). From the text of a MAF to the store: {lines_read:,} rows in "
        f"{seconds:.1f} s, {lines_read / seconds:,.0f} rows a second.", ""]
    print("\n".join(lines), flush=True)
    return lines


def publish(lines: list[str]) -> None:
    """Put the table into README.md, in the place of the one that stands there."""
    page = HERE / "README.md"
    text = page.read_text(encoding="utf-8")
    if MARK not in text:
        text = text.rstrip() + f"\n\n{MARK}\n{PART}\n"
    before, _, rest = text.partition(MARK)
    page.write_text(before + MARK + "\n\n## Ten thousand tumours\n\n" + "\n".join(lines).rstrip() + f"\n\n{PART}" + rest.partition(PART)[2],
                    encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000_000)
    parser.add_argument("--tumours", type=int, default=10_000)
    parser.add_argument("--write", action="store_true", help="write the table into README.md")
    parser.add_argument("--summarise", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.summarise:
        summarised(given.summarise)
        return
    lines = report(given.rows, given.tumours)
    if given.write:
        publish(lines)


if __name__ == "__main__":
    sys.exit(main())
