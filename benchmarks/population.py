"""Cohort statistics on planes against plink2, scikit-allel, sgkit and bcftools, on 2,504 people made by msprime. Run by `make bench`.

    python benchmarks/population.py               # prints the tables; data are made at the first run, in some minutes
    python benchmarks/population.py --write       # the tables go to README.md
    python benchmarks/population.py --only king   # one part: counts, king, pca, prune, linear, memory, processes, patient

Every part compares results before it prints a time. *Whole* is a process of its own, from the files on disk to the result: imports, and
compiled code read from its cache, are in it. *Kernel* is the same call once more, in a process that has done it on a small input. One
thread means one core: our process and the peer's are tied to it. sgkit is measured where SGKIT names a Python that has it.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from population_data import DEMES, SAMPLES, build, from_bed
from run import HERE, WORK, best, measured

SITES, SMALL, MARK, PART = 1_050_000, 150_000, "<!-- population measured -->", "<!-- end -->"

# How each of our statistics is called. `act` is measured; `kept` gives the arrays that are compared.
HEAD = """
import json, sys, time, warnings
folder, name, tiny, out = sys.argv[1:5]
"""
TAIL = """
if tiny != "-":
    act(f"{folder}/{tiny}.zarr")
mark, used = time.perf_counter(), time.process_time()
found = act(f"{folder}/{name}.zarr")
print(json.dumps({"kernel": time.perf_counter() - mark, "kernel_cpu": time.process_time() - used}))
if out != "-":
    import numpy as np
    np.savez(out, **kept(found))
"""
OURS = {
    "counts": """
from genomics_nb.core.config import usable_cores
from genomics_nb.population.genotype_counts import scan_packed
from genomics_nb.population.hwe import hwe_exact
def act(path):
    counts = scan_packed(path)
    hom_ref, het, hom_alt, missing = counts.by_row.T
    called = hom_ref + het + hom_alt
    return {"af": (het + 2 * hom_alt) / (2 * called), "missing": missing, "of_people": counts.by_sample[:, 3],
            "p": hwe_exact(het, hom_ref, hom_alt, workers=usable_cores()), "het": het}
kept = dict
""",
    "counts of a dataset": """
import dask
from genomics_nb.population.planes import open_packed
from genomics_nb.population.genotype_counts import count_genotypes
from genomics_nb.population.hwe import hardy_weinberg
def act(path):
    counts = count_genotypes(open_packed(path))
    counts, tested = dask.compute(counts, hardy_weinberg(counts))
    return counts, tested
def kept(found):
    of_rows = found[0].variant_genotype_count.values
    hom_ref, het, hom_alt, missing = of_rows.T
    return {"af": (het + 2 * hom_alt) / (2 * (hom_ref + het + hom_alt)), "missing": missing, "het": het,
            "of_people": found[0].sample_genotype_count.values[:, 3], "p": found[1].variant_hwe_p.values}
""",
    "king": """
from genomics_nb.population.planes import open_packed
from genomics_nb.population.relatedness import king
def act(path):
    return king(open_packed(path))
def kept(found):
    return {"kinship": found.stat_kinship.values}
""",
    "prune": """
from genomics_nb.population.planes import open_packed
from genomics_nb.population.pruning import ld_prune
def act(path):
    return ld_prune(open_packed(path), kilobases=500, r2=0.2)
def kept(found):
    return {"kept": found.variant_unlinked.values}
""",
    "pca": """
from genomics_nb.population.planes import open_packed
from genomics_nb.population.pca import pca
def act(path):
    return pca(open_packed(path), components=10)
def kept(found):
    return {"vectors": found.sample_pca_projection.values}
""",
    "linear": """
import pandas as pd
from genomics_nb.population.planes import open_packed
from genomics_nb.population.association import linear_gwas
def act(path):
    table = pd.read_csv(folder + "/phenotypes.tsv", sep="\\t").merge(pd.read_csv(folder + "/covariates.tsv", sep="\\t"), on="#IID")
    traits = [c for c in table if c.startswith("Y")]
    return linear_gwas(open_packed(path), table, traits, ["sex", "age", "age2"], on="#IID").compute()
def kept(found):
    return {"beta": found.stat_beta.values, "se": found.stat_se.values, "log10p": found.stat_minus_log10_p.values}
""",
    "patient": """
from genomics_nb.population.planes import open_packed
from genomics_nb.population.relatedness import king_between
from genomics_nb.population.projection import project
def act(path):
    import numpy as np, xarray as xr
    new, cohort = open_packed(folder + "/patient.zarr"), open_packed(path)
    return king_between(new, cohort), project(new, xr.open_zarr(folder + "/loadings.zarr"))
def kept(found):
    return {"kinship": found[0].stat_kinship.values[0]}
""",
    # the same scans by dask on worker processes; `name` says how many
    "processes": """
if __name__ == "__main__":
    import dask, json, os, sys, time
    from genomics_nb.core.compute import client
    from genomics_nb.population.genotype_counts import count_genotypes
    from genomics_nb.population.relatedness import king
    from genomics_nb.population.planes import open_packed
    import numpy as np
    folder, workers, _, out = sys.argv[1:5]
    tiny, whole = (open_packed(f"{folder}/{n}.zarr") for n in ("tiny", "cohort"))
    with client("local", workers=int(workers)):
        seconds = {}
        for name, act in (("king", lambda ds: king(ds).stat_kinship.values),
                          ("counts", lambda ds: count_genotypes(ds)["sample_genotype_count"].compute().values)):
            for _ in range(2):
                act(tiny)
            mark = time.perf_counter()
            found = act(whole)
            seconds[name] = time.perf_counter() - mark
            np.save(f"{out}-{name}.npy", found)
    print(json.dumps(seconds))
""",
}

LOADINGS = """
from genomics_nb.population.planes import open_packed
from genomics_nb.population.pca import pca
from genomics_nb.population.projection import pca_loadings
ds = open_packed(f"{folder}/{name}.zarr")
pca_loadings(ds, pca(ds)).to_zarr(folder + "/loadings.zarr", mode="w")
"""

# What the other libraries do with the same genotypes as one int8 for each allele, which is the form they like best.
ALLEL = """
import sys, zarr, allel, numpy as np
gt = allel.GenotypeArray(zarr.open(sys.argv[1] + "/small_int8.zarr", mode="r")[:])
counts = gt.count_alleles(max_allele=1)
missing, of_people = gt.count_missing(axis=1), gt.count_missing(axis=0)
het = gt.count_het(axis=1)
af = counts[:, 1] / counts.sum(1)
expected = 2 * af * (1 - af)
if len(sys.argv) > 2:
    np.savez(sys.argv[2], af=af, missing=missing, of_people=of_people, het=het)
"""
SGKIT = """
import sys, warnings; warnings.simplefilter("ignore")
import dask, dask.array as da, numpy as np, xarray as xr, sgkit
calls = da.from_zarr(sys.argv[1] + "/small_int8.zarr")
ds = xr.Dataset({"call_genotype": (("variants", "samples", "ploidy"), calls), "call_genotype_mask": (("variants", "samples", "ploidy"), calls < 0)},
                attrs={"contigs": ["1"]})
ds["variant_allele"] = (("variants", "alleles"), np.tile(np.array([["A", "G"]]), (calls.shape[0], 1)))
ds = sgkit.hardy_weinberg_test(sgkit.sample_stats(sgkit.variant_stats(ds)), alleles=2)
some = dask.compute(ds.variant_allele_frequency.data[:, 1], ds.variant_n_called.data, ds.sample_n_called.data, ds.variant_n_het.data, ds.variant_hwe_p_value.data)
if len(sys.argv) > 2:
    np.savez(sys.argv[2], af=some[0], missing=calls.shape[1] - some[1], of_people=calls.shape[0] - some[2], het=some[3], p=some[4])
"""


class Bench:
    """The data, and how a command is measured on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, WORK / "population" / "out"
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()

    def sites(self, name: str) -> int:
        return json.loads((self.folder / "stores.json").read_text())[name]

    def tied(self, threads: int) -> list[str]:
        """Before a command: the cores that it may use."""
        return ["taskset", "-c", "0" if threads == 1 else f"0-{threads - 1}"]

    def run(self, command: list[str], threads: int = 2) -> dict[str, float]:
        one = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        return measured([*self.tied(threads), *command], {**one, "PYTHONWARNINGS": "ignore"})

    def ours(self, what: str, name: str, threads: int, tiny: str = "-", keep: bool = False) -> dict[str, float]:
        """One of `OURS` on a store of the folder; with `tiny` its kernel time is meant."""
        out = str(self.out / f"{what}.npz") if keep else "-"
        return self.run([sys.executable, "-c", HEAD + OURS[what] + TAIL, str(self.folder), name, tiny, out], threads)

    def kept(self, what: str) -> Any:
        return np.load(self.out / f"{what}.npz")

    def plink(self, name: str, *how: str, threads: int = 2, out: str = "plink") -> dict[str, float]:
        return self.run(["plink2", "--pfile", str(self.folder / name), *how, "--threads", str(threads), "--out", str(self.out / out)], threads)

    def both(self, what: str, name: str, threads: int, peer: Callable[[], dict[str, float]], times: int) -> list[dict[str, float]]:
        """Whole and kernel of ours, and the peer, in turn, so that a busy moment meets all; the least of each."""
        runs = [(self.ours(what, name, threads), self.ours(what, name, threads, "tiny"), peer()) for _ in range(times)]
        return [best(list(some)) for some in zip(*runs, strict=True)]


def stop(unless: bool, why: str) -> None:
    if not unless:
        raise SystemExit(f"{why}: no time is printed")


def column(path: Path, name: str) -> np.ndarray:
    """A column of one of plink2's tables."""
    import pandas as pd

    return pd.read_csv(path, sep="\t", usecols=[name])[name].to_numpy()


TABLE = "| | threads | ours whole, s | kernel, s | CPU s | peak MiB | peer, s | CPU s | wall, ours / peer | CPU, ours / peer |\n|---|---|---|---|---|---|---|---|---|---|"


def row(title: str, threads: int, ours: dict[str, float], kernel: dict[str, float], peer: dict[str, float]) -> str:
    return (f"| {title} | {threads} | {ours['wall']:.2f} | {kernel['kernel']:.2f} | {ours['cpu']:.2f} | {ours['peak']:.0f} | {peer['wall']:.2f} | "
            f"{peer['cpu']:.2f} | **{ours['wall'] / peer['wall']:.2f}** | {ours['cpu'] / peer['cpu']:.2f} |")


def total(runs: list[dict[str, float]]) -> dict[str, float]:
    """Commands that run one behind the other."""
    return {"wall": sum(r["wall"] for r in runs), "cpu": sum(r["cpu"] for r in runs), "peak": max(r["peak"] for r in runs)}


def counts(bench: Bench) -> list[str]:
    """Frequencies, missing calls and the exact Hardy-Weinberg test of a million sites in one pass."""
    for what in ("counts", "counts of a dataset"):
        bench.ours(what, "cohort", 2, keep=True)
        mine = bench.kept(what)
        if what == "counts":
            bench.plink("cohort", "--freq", "--missing", "--hardy")
        out, hardy = bench.out / "plink", bench.out / "plink.hardy"
        stop(np.array_equal(mine["missing"], column(out.with_suffix(".vmiss"), "MISSING_CT")), "missing calls of sites differ from plink2's")
        stop(np.array_equal(mine["of_people"], column(out.with_suffix(".smiss"), "MISSING_CT")), "missing calls of people differ from plink2's")
        stop(np.array_equal(mine["het"], column(hardy, "HET_A1_CT")), "heterozygotes differ from plink2's")
        stop(np.allclose(mine["af"], column(out.with_suffix(".afreq"), "ALT_FREQS"), rtol=1e-5, atol=0), "frequencies differ from plink2's")
        stop(np.allclose(mine["p"], column(hardy, "P"), rtol=2e-5, atol=1e-300), "Hardy-Weinberg p-values differ from plink2's")
    rows = []
    for threads in (1, 2):
        def three(threads: int = threads) -> dict[str, float]:
            return total([bench.plink("cohort", how, threads=threads) for how in ("--freq", "--missing", "--hardy")])
        rows.append(row("plink2 --freq, --missing, --hardy", threads, *bench.both("counts", "cohort", threads, three, 3)))
        rows.append(row("the same, from an xarray dataset", threads, *bench.both("counts of a dataset", "cohort", threads, three, 2)))
    bench.ours("counts", "small", 2, keep=True)
    mine, npz = bench.kept("counts"), str(bench.out / "peer.npz")
    peers = {"scikit-allel (without the test)": [sys.executable, "-W", "ignore", "-c", ALLEL, str(bench.folder), npz]}
    if os.environ.get("SGKIT"):
        peers["sgkit"] = [os.environ["SGKIT"], "-W", "ignore", "-c", SGKIT, str(bench.folder), npz]
    for name, command in peers.items():
        runs = bench.both("counts", "small", 2, lambda command=command: bench.run(command, 2), 1)
        theirs = np.load(npz)
        for key in theirs.files:
            stop(np.allclose(theirs[key], mine[key], rtol=1e-6 if key != "p" else 1e-3, atol=1e-300), f"{key} differs from {name}'s")
        rows.append(row(f"{SMALL:,} sites: {name}", 2, *runs))
    fill = ["bcftools", "+fill-tags", str(bench.folder / "small.bcf"), "-Ou", "-o", str(bench.out / "tags.bcf"), "--threads", "2", "--", "-t", "AN,AC,AF,HWE,F_MISSING"]
    runs = bench.both("counts", "small", 2, lambda: bench.run(fill, 2), 1)
    stop(np.allclose(tags(bench), np.stack([mine["af"], mine["missing"] / SAMPLES, mine["p"]], 1), rtol=1e-3, atol=1e-5), "bcftools' tags differ from ours")
    rows.append(row(f"{SMALL:,} sites: bcftools +fill-tags", 2, *runs))
    return ["### Frequencies, missing calls, Hardy-Weinberg", "", *say("Counts, frequencies and missing calls equal; p-values to the five digits that plink2 writes. Of an xarray dataset's time, one "
                 "second and more goes into the imports of xarray and dask."), TABLE, *rows, ""]


def say(text: str) -> list[str]:
    return [text, ""]


def tags(bench: Bench) -> np.ndarray:
    """AF, F_MISSING and HWE as bcftools writes them."""
    text = subprocess.run(["bcftools", "query", "-f", "%AF\t%F_MISSING\t%HWE\n", str(bench.out / "tags.bcf")], capture_output=True, text=True, check=True).stdout
    return np.array([[float(x) for x in line.split("\t")] for line in text.splitlines()])


def king(bench: Bench) -> list[str]:
    """Kinship of all pairs over the common sites."""
    how = ("--make-king", "triangle", "bin")
    bench.ours("king", "common", 2, keep=True)
    bench.plink("common", *how)
    mine, low = bench.kept("king")["kinship"], np.tril_indices(SAMPLES, -1)
    stop(np.allclose(mine[low], np.fromfile(bench.out / "plink.king.bin"), rtol=0, atol=1e-9), "kinship differs from plink2's")
    rows = [row("plink2 --make-king triangle bin", n, *bench.both("king", "common", n, lambda n=n: bench.plink("common", *how, threads=n), 2)) for n in (1, 2)]
    return [f"### KING, {SAMPLES:,} people, {bench.sites('common'):,} sites of 5 % and above", "", *say("All 3,133,756 pairs within 1e-9."), TABLE, *rows, ""]


def exact(bench: Bench, name: str) -> np.ndarray:
    """The ten leading eigenvectors by LAPACK, from the whole matrix in double precision; kept beside the data."""
    path = bench.folder / f"exact_{name}.npy"
    if not path.exists():
        calls = from_bed(bench.folder, rows_of(bench, name))["call_genotype"].data
        gram = np.zeros((SAMPLES, SAMPLES))
        for block in calls.blocks:
            gt = block.compute()
            dosage = np.ma.masked_less(gt, 0).sum(2, dtype=np.float64)
            p = dosage.mean(1) / 2
            x = ((dosage - 2 * p[:, None]) / np.sqrt(2 * p * (1 - p))[:, None]).filled(0)
            gram += x.T @ x
        np.save(path, np.linalg.eigh(gram)[1][:, : -11 : -1])
    return np.load(path)


def rows_of(bench: Bench, name: str) -> np.ndarray:
    """Rows of the cohort that a part of it has."""
    row = {line.split("\t", 2)[1]: n for n, line in enumerate(open(bench.folder / "cohort.bim"))}
    return np.array([row[line.strip()] for line in open(bench.folder / f"{name}.txt")])


def cosine(one: np.ndarray, two: np.ndarray) -> float:
    """The smallest cosine of the principal angles between two spaces."""
    return float(np.linalg.svd(np.linalg.qr(one)[0].T @ np.linalg.qr(two)[0])[1].min())


def pca(bench: Bench) -> list[str]:
    """Ten principal components."""
    rows, said = [], []
    for name, title, threads, times in (("pruned", "unlinked sites", (1, 2), 2), ("common", "common sites", (2,), 1)):
        def approx(n: int = 2, name: str = name) -> dict[str, float]:
            return bench.plink(name, "--pca", "approx", "10", threads=n)
        bench.ours("pca", name, 2, keep=True)
        mine = cosine(bench.kept("pca")["vectors"], exact(bench, name))
        stop(mine >= 0.999, f"the components are off: cosine {mine:.5f}")
        for n in threads:
            rows.append(row(f"plink2 --pca approx 10, {bench.sites(name):,} {title}", n, *bench.both("pca", name, n, lambda n=n, approx=approx: approx(n), times)))
        theirs = np.loadtxt(bench.out / "plink.eigenvec", usecols=range(1, 11))
        said.append(f"{bench.sites(name):,} sites: {mine:.6f} (plink2's {cosine(theirs, exact(bench, name)):.6f})")
    return ["### Principal components", "", *say("Smallest cosine of the ten principal angles with LAPACK's eigenvectors of the whole matrix: " + "; ".join(said) + "."),
            TABLE, *rows, ""]


def prune(bench: Bench) -> list[str]:
    """Sites in linkage equilibrium, by windows of 500 kb."""
    how = ("--indep-pairwise", "500kb", "0.2")
    bench.ours("prune", "frequent", 2, keep=True)
    bench.plink("frequent", *how)
    ids = [line.strip() for line in open(bench.folder / "frequent.txt")]
    mine = [name for name, kept in zip(ids, bench.kept("prune")["kept"], strict=True) if kept]
    stop(mine == (bench.out / "plink.prune.in").read_text().split(), "the list differs from plink2's")
    rows = [row("plink2 --indep-pairwise 500kb 0.2", n, *bench.both("prune", "frequent", n, lambda n=n: bench.plink("frequent", *how, threads=n), 2)) for n in (1, 2)]
    return [f"### Linkage pruning, {bench.sites('frequent'):,} sites of 1 % and above", "", *say(f"The same list of {len(mine):,} sites."), TABLE, *rows, ""]


def linear(bench: Bench) -> list[str]:
    """Linear association of a hundred phenotypes, three covariates, the missing calls of the data."""
    folder, name = bench.folder, "traits"
    how = ("--glm", "omit-ref", "hide-covar", "--pheno", str(folder / "phenotypes.tsv"), "--covar", str(folder / "covariates.tsv"), "--covar-variance-standardize")
    bench.ours("linear", name, 2, keep=True)
    mine = bench.kept("linear")
    rows = [row("plink2 --glm", n, *bench.both("linear", name, n, lambda n=n: bench.plink(name, *how, threads=n), 1)) for n in (1, 2)]
    for trait in range(0, 100, 9):
        table = bench.out / f"plink.Y{trait:03d}.glm.linear"
        for key, theirs in (("beta", column(table, "BETA")), ("se", column(table, "SE")), ("log10p", -np.log10(column(table, "P")))):
            stop(np.allclose(mine[key][:, trait], theirs, rtol=2e-4, atol=2e-5, equal_nan=True), f"{key} of phenotype {trait} differs from plink2's")
    return [f"### Linear association, 100 phenotypes, {bench.sites(name):,} sites, 3 covariates", "",
            *say("Effects, errors and p-values of twelve phenotypes at all sites within the digits that plink2 writes."), TABLE, *rows, ""]


def memory(bench: Bench) -> list[str]:
    """Peak memory of whole processes as sites grow."""
    lines = ["| sites | counts MiB | s | counts of a dataset MiB | s |", "|---|---|---|---|---|"]
    for sites, name in ((100_000, "sites_100000"), (500_000, "sites_500000"), (bench.sites("cohort"), "cohort"), (2_000_000, "sites_2000000")):
        found = [bench.ours(what, name, 2) for what in ("counts", "counts of a dataset")]
        lines.append(f"| {sites:,} | " + " | ".join(f"{r['peak']:.0f} | {r['wall']:.2f}" for r in found) + " |")
    return ["### Memory as sites grow", "", *say("What is held for each site are the results: 44 bytes."), *lines, ""]


def processes(bench: Bench) -> list[str]:
    """Two dask processes of one thread against one."""
    runs: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for _ in range(2):
        for workers, some in runs.items():
            some.append(bench.run([sys.executable, "-c", OURS["processes"], str(bench.folder), str(workers), "-", str(bench.out / f"w{workers}")]))
    one, two = best(runs[1]), best(runs[2])
    lines = ["| scan | one process, s | two, s | times |", "|---|---|---|---|"]
    for what, title in (("king", "KING, a million sites"), ("counts", "genotype counts, a million sites")):
        stop(np.array_equal(*(np.load(bench.out / f"w{n}-{what}.npy") for n in (1, 2)), equal_nan=True), f"{what} differs between one process and two")
        lines.append(f"| {title} | {one[what]:.2f} | {two[what]:.2f} | **{one[what] / two[what]:.2f}** |")
    return ["### Processes of one thread, by dask", "", *say("Identical results. Time of the call, workers started before."), *lines, ""]


def patient(bench: Bench) -> list[str]:
    """One new person against everybody."""
    if not (bench.folder / "loadings.zarr").is_dir():
        bench.run([sys.executable, "-c", HEAD + LOADINGS, str(bench.folder), "pruned", "-", "-"])
    bench.ours("patient", "common", 2, keep=True)
    mine = bench.kept("patient")["kinship"]
    stop(len(mine) == SAMPLES and np.isfinite(mine).all(), "the patient's kinships are not there")
    whole, kernel = (best([bench.ours("patient", "common", 2, tiny) for _ in range(3)]) for tiny in ("-", "tiny"))
    return [f"### One new patient against {SAMPLES:,}: KING at {bench.sites('common'):,} sites, projection on 10 components", "",
            f"Whole process {whole['wall']:.2f} s ({whole['cpu']:.2f} CPU s), the two calls alone {kernel['kernel']:.2f} s.", ""]


PARTS: dict[str, Callable[[Bench], list[str]]] = {
    "counts": counts, "king": king, "pca": pca, "prune": prune, "linear": linear, "memory": memory, "processes": processes, "patient": patient}


def report(only: list[str] | None = None) -> list[str]:
    bench = Bench(build(SITES, SMALL))
    lines = [f"Measured {time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}: {SAMPLES:,} people "
             f"of {DEMES} demes, {bench.sites('cohort'):,} sites, 0.7 % missing.", ""]
    for name in only or PARTS:
        start = time.perf_counter()
        lines += (part := PARTS[name](bench))
        print("\n".join([*part, f"({name}: {time.perf_counter() - start:.0f} s)", ""]), flush=True)
    return lines


def publish(lines: list[str]) -> None:
    """Put the tables into README.md, in the place of those that stand there."""
    page = HERE / "README.md"
    text = page.read_text()
    if MARK not in text:
        text = text.rstrip() + f"\n\n{MARK}\n{PART}\n"
    before, _, rest = text.partition(MARK)
    page.write_text(before + MARK + "\n\n## Cohort statistics\n\n" + "\n".join(lines).rstrip() + f"\n\n{PART}" + rest.partition(PART)[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into README.md")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="these parts alone")
    given = parser.parse_args()
    lines = report(given.only)
    if given.write:
        publish(lines)


if __name__ == "__main__":
    main()
