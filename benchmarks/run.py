"""VCF to Zarr against bio2zarr and plink2, on inputs made here; then cohort.py, population.py, annotate.py and night.py. Run by `make bench`.

Every number is printed only after the outputs were found equal. Each program runs in a process of its own: wall time, CPU
seconds (children included) and peak memory are those that the operating system reports. The table goes to benchmarks/README.md.
"""
from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import data
import numpy as np
import zarr

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ.get("BENCH_WORK", HERE / "work"))

OURS = """
import json, sys, time
from genomics_nb.store.ingest import ingest
tiny, vcf, out = sys.argv[1:4]
if tiny != "-":
    ingest(tiny, out + "-tiny")
mark, used = time.perf_counter(), time.process_time()
analysis = ingest(vcf, out)
print(json.dumps({"after": time.perf_counter() - mark, "used": time.process_time() - used, "path": str(analysis.path), "records": analysis.records}))
"""
PEER = """
import sys, warnings; warnings.simplefilter("ignore")
from bio2zarr import vcf
if __name__ == "__main__":
    vcf.convert([sys.argv[1]], sys.argv[2], worker_processes=2, zarr_format=3)
"""


# A child inherits the peak memory of the process that starts it, so a small one stands between.
LAUNCHER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
text = child.stdout.read()
_, status, usage = os.wait4(child.pid, 0)
if status: sys.exit(1)
found = {"wall": time.perf_counter() - start, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss / 1024}
print(json.dumps({**found, **(json.loads(text.splitlines()[-1]) if text.strip().endswith("}") else {})}))
"""


def measured(command: list[str], env: dict[str, str] | None = None) -> dict[str, float]:
    """Runs a command: wall and CPU seconds, peak MiB of its largest process, and what it printed."""
    done = subprocess.run([sys.executable, "-S", "-c", LAUNCHER, *command], capture_output=True, text=True, env={**os.environ, **(env or {})})
    if done.returncode:
        raise SystemExit(f"{command[:4]} failed: {done.stderr[-800:]}")
    return json.loads(done.stdout)


def best(runs: list[dict[str, float]]) -> dict[str, float]:
    """The least of each figure over some runs."""
    return {key: value if isinstance(value, str) else min(r[key] for r in runs) for key, value in runs[0].items()}


def size(path: Path) -> tuple[int, float]:
    """Files and megabytes below a path."""
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    return len(files), sum(p.stat().st_size for p in files) / 1e6


def same(ours: Path, theirs: Path) -> int:
    """Number of arrays that agree; stops the benchmark where one does not."""
    a, b, checked = zarr.open_group(ours, mode="r"), zarr.open_group(theirs, mode="r"), 0
    for name, array in b.arrays():
        if name not in a or "variants" not in (array.metadata.dimension_names or ()):
            continue
        step = max(1024, int(32e6 // max(1, np.prod(array.shape[1:]))))
        for at in range(0, array.shape[0], step):
            x, y = (norm(np.asarray(g[name][at:at + step])) for g in (a, b))
            if x.shape != y.shape:
                x, y = x.reshape(*y.shape[:2], -1)[..., :1].reshape(y.shape) if x.size == y.size else x[..., :y.shape[-1]], y
            if not np.array_equal(x, y):
                raise SystemExit(f"{name} differs from bio2zarr's at records {at} to {at + step}: no time is printed")
        checked += 1
    return checked


def norm(values: np.ndarray) -> np.ndarray:
    """One mark for everything that is not there."""
    if values.dtype.kind == "f":
        return np.nan_to_num(values.astype(np.float32), nan=-12345.5)
    if values.dtype.kind in "iu":
        return np.where(values < 0, -1, values.astype(np.int64))
    if values.dtype.kind in "TUO":
        values = values.astype("T")
        return np.where(values == "", ".", values)
    return values


def ours(vcf: Path, out: Path, first: bool = True) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Our reader: the first process ever (compiles), the next whole process, and the time after imports and compilation."""
    tiny = WORK / "tiny.vcf.gz"
    cold = {}
    if first:
        shutil.rmtree(WORK / "cache", ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)
        cold = measured([sys.executable, "-c", OURS, "-", str(vcf), str(out)], {"NUMBA_CACHE_DIR": str(WORK / "cache")})
    runs = []
    for _ in range(3):
        shutil.rmtree(out, ignore_errors=True)
        runs.append(measured([sys.executable, "-c", OURS, "-", str(vcf), str(out)]))
        if runs[-1]["wall"] > 20:
            break
    after = []
    for _ in range(3):
        for old in (out, Path(f"{out}-tiny")):
            shutil.rmtree(old, ignore_errors=True)
        after.append(measured([sys.executable, "-c", OURS, str(tiny), str(vcf), str(out)]))
        if after[-1]["wall"] > 20:
            break
    return cold, best(runs), best(after)


def line(name: str, r: dict[str, float], files: tuple[int, float] | None = None) -> str:
    out = f"{files[0]:,} | {files[1]:.1f}" if files else "- | -"
    return f"| {name} | {r['wall']:.2f} | {r['cpu']:.2f} | {r['peak']:.0f} | {out} |"


HEAD = "| | wall s | CPU s | peak MiB | files | MB |\n|---|---|---|---|---|---|"


def block(title: str, vcf: Path, peer: bool, plink: bool) -> list[str]:
    out, lines = WORK / "ours", [f"### {title}", "", f"Input: {vcf.stat().st_size / 1e6:.1f} MB bgzipped.", "", HEAD]
    cold, warm, after = ours(vcf, out)
    stored, text = Path(str(warm["path"])), []
    stored = next(out.glob("*.vcz"))
    mine = size(stored)
    if peer:
        subprocess.run(["tabix", "-f", "-p", "vcf", str(vcf)], check=True)
        target = WORK / "peer.vcz"
        shutil.rmtree(target, ignore_errors=True)
        script = WORK / "peer.py"
        script.write_text(PEER)
        theirs = measured([sys.executable, str(script), str(vcf), str(target)])
        checked = same(stored, target)
        text.append(f"{checked} arrays were found equal to bio2zarr's before this table was printed. CPU: "
                    f"**{theirs['cpu'] / after['used']:.1f} times** less than bio2zarr after imports and compilation, "
                    f"{theirs['cpu'] / warm['cpu']:.1f} times as whole processes; wall of whole processes: {theirs['wall'] / warm['wall']:.1f} times less.")
    lines += [line("ours, first run ever (compiles)", cold, mine), line("ours, whole process", warm, mine),
              line("ours, after imports and compilation", {**after, "wall": after["after"], "cpu": after["used"]}, mine)]
    if peer:
        lines.append(line("bio2zarr 0.2.1, 2 workers", theirs, size(target)))
    if plink:
        runs = [measured(["plink2", "--vcf", str(vcf), "--make-pgen", "--threads", "2", "--out", str(WORK / "plink")]) for _ in range(3)]
        quick = best(runs)
        made = (3, sum(size(WORK / f"plink.{e}")[1] for e in ("pgen", "pvar", "psam")))
        lines.append(line("plink2 --make-pgen", quick, made))
        text.append(f"Wall after imports and compilation: **{after['after'] / quick['wall']:.2f} times** plink2's whole run.")
    print("\n".join([*lines, "", *text, ""]), flush=True)
    return [*lines, "", *text, ""]


def main() -> None:
    import annotate  # which measure by the functions of this file
    import cohort
    import night
    import population
    import trio
    from genomics_nb.core.synth import genome_trio

    warnings.simplefilter("ignore")
    WORK.mkdir(parents=True, exist_ok=True)
    inputs = {"tiny": 200, "trio_tenth": 450_000, "trio": 4_500_000}
    for name, records in inputs.items():
        if not (WORK / f"{name}.vcf.gz").exists():
            genome_trio(WORK / f"{name}.vcf.gz", records=records, seed=1)
    people = data.cohort(WORK / "cohort.vcf.gz")
    report = [f"Measured {time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, by `make bench`.", ""]
    report += block("Cohort: 2,504 people, about 94,000 sites, GT only", people, peer=True, plink=True)
    report += block("Genome: a trio, 4,500,000 records, GT:AD:DP:GQ:PL and ten INFO fields", WORK / "trio.vcf.gz", peer=False, plink=False)
    report += block("A tenth of the genome, beside bio2zarr", WORK / "trio_tenth.vcf.gz", peer=True, plink=False)
    page = HERE / "README.md"
    before = page.read_text() if page.exists() else "# Benchmarks\n\n"
    head, last = before.split("<!-- measured -->")[0], before.partition(cohort.MARK)
    page.write_text(head + "<!-- measured -->\n\n" + "\n".join([*report, *last[1:]]))
    cohort.publish(cohort.report())
    population.publish(population.report())
    trio.publish(trio.report(4_500_000))
    annotate.publish(annotate.report())
    night.publish(night.report())


if __name__ == "__main__":
    main()
