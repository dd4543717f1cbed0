"""A cohort of 2,504 people of eleven demes over 22 short autosomes, made once by msprime and kept in work/population.

The same genotypes stand there as `cohort.pgen` for plink2, and as planes for us. Eleven demes that parted one after the other
give ten real principal components and no eleventh; 0.7 % of the genotypes are missing, more at some sites than at others.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numba
import numpy as np

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ.get("BENCH_WORK", HERE / "work"))
SAMPLES, DEMES, CONTIGS, MISSING, PHENOTYPES = 2_504, 11, 22, 0.007, 100
ROWS = 4_096  # sites written at once
MAGIC = b"\x6c\x1b\x01"  # a .bed file, variant after variant


def demography() -> Any:
    """Eleven demes of 8,000; deme i parted from the others 250 + 150 i generations ago."""
    import msprime

    model, before = msprime.Demography(), "deme0"
    for i in range(DEMES):
        model.add_population(name=f"deme{i}", initial_size=8_000)
    for i in range(1, DEMES):
        model.add_population(name=f"root{i}", initial_size=8_000)
        model.add_population_split(time=250 + 150 * i, derived=[before, f"deme{i}"], ancestral=f"root{i}")
        before = f"root{i}"
    return model


def deme_sizes() -> list[int]:
    return [len(part) for part in np.array_split(np.arange(SAMPLES), DEMES)]


@numba.njit(cache=True)
def put_bed(haplotypes: np.ndarray, rate: np.ndarray, state: np.ndarray, out: np.ndarray) -> None:
    """Rows of a .bed file: 3 hom-ref, 2 het, 0 hom-alt, 1 missing; steps between missing calls are geometric."""
    for v in range(haplotypes.shape[0]):
        for s in range(out.shape[1] * 4):
            if 2 * s < haplotypes.shape[1]:
                alt = haplotypes[v, 2 * s] + haplotypes[v, 2 * s + 1]
                out[v, s >> 2] |= np.uint8((3 if alt == 0 else 2 if alt == 1 else 0) << (2 * (s & 3)))
        s = -1
        while True:
            state[0] ^= state[0] << np.uint64(13)
            state[0] ^= state[0] >> np.uint64(7)
            state[0] ^= state[0] << np.uint64(17)
            u = (np.float64(state[0] >> np.uint64(11)) + 1) / 9007199254740993.0
            s += 1 + int(np.log(u) / np.log(1 - rate[v]))
            if 2 * s >= haplotypes.shape[1]:
                break
            shift = 2 * (s & 3)
            out[v, s >> 2] = np.uint8((out[v, s >> 2] & ~(3 << shift)) | (1 << shift))


@numba.njit(cache=True)
def bed_calls(rows: np.ndarray, samples: int) -> np.ndarray:
    """call_genotype (variants, samples, 2) int8 of rows of a .bed file."""
    calls = np.empty((rows.shape[0], samples, 2), dtype=np.int8)
    for v in range(rows.shape[0]):
        for s in range(samples):
            code = (rows[v, s >> 2] >> (2 * (s & 3))) & 3
            calls[v, s, 0] = -1 if code == 1 else 1 if code == 0 else 0
            calls[v, s, 1] = -1 if code == 1 else 0 if code == 3 else 1
    return calls


def contig_length(sites: int) -> float:
    """Bases of one autosome for so many sites in all: about 15 sites for each thousand bases."""
    return round(sites / CONTIGS / 0.0147)


def make_bed(folder: Path, sites: int) -> int:
    """cohort.bed, .bim and .fam; answers the number of sites."""
    import msprime

    rng, state, model, made = np.random.default_rng(11), np.array([0x9E3779B97F4A7C15], dtype=np.uint64), demography(), 0
    who = {f"deme{i}": n for i, n in enumerate(deme_sizes())}
    with open(folder / "cohort.bed", "wb") as bed, open(folder / "cohort.bim", "w") as bim:
        bed.write(MAGIC)
        for contig in range(1, CONTIGS + 1):
            trees = msprime.sim_ancestry(samples=who, demography=model, sequence_length=contig_length(sites), recombination_rate=1e-8, random_seed=contig)
            trees = msprime.sim_mutations(trees, rate=1.25e-8, model=msprime.BinaryMutationModel(), random_seed=contig)
            block = np.empty((ROWS, 2 * SAMPLES), dtype=np.int8)
            places = trees.sites_position.astype(int) + 1
            for n, variant in enumerate(trees.variants(copy=False)):
                block[n % ROWS] = variant.genotypes
                if n % ROWS == ROWS - 1 or n == len(places) - 1:
                    rows = np.zeros((n % ROWS + 1, -(-SAMPLES // 4)), dtype=np.uint8)
                    put_bed(block[:len(rows)], np.minimum(rng.exponential(MISSING, len(rows)), 0.1) + 1e-5, state, rows)
                    bed.write(rows.tobytes())
            bim.writelines(f"{contig}\tv{contig}_{p}\t0\t{p}\tG\tA\n" for p in places)
            made += len(places)
    names = sample_names()
    (folder / "cohort.fam").write_text("".join(f"0\t{name}\t0\t0\t{1 + i % 2}\t-9\n" for i, name in enumerate(names)))
    return made


def sample_names() -> list[str]:
    return [f"D{deme:02d}_{i:03d}" for deme, n in enumerate(deme_sizes()) for i in range(n)]


def traits() -> tuple[np.ndarray, np.ndarray]:
    """Phenotypes (samples, 100) and covariates (samples, 3): sex, age and its square; no value is missing."""
    rng = np.random.default_rng(12)
    age = rng.normal(50, 12, SAMPLES)
    covariates = np.column_stack([1.0 + np.arange(SAMPLES) % 2, age, age**2 / 100])
    return np.round(rng.normal(size=(SAMPLES, PHENOTYPES)) + 0.01 * age[:, None], 6), np.round(covariates, 6)


def write_table(path: Path, values: np.ndarray, names: list[str]) -> None:
    lines = ["\t".join(["#IID", *names])] + ["\t".join([who, *(f"{x:.6f}" for x in row)]) for who, row in zip(sample_names(), values, strict=True)]
    path.write_text("\n".join(lines) + "\n")


def run(*command: object) -> None:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr[-800:]}{done.stdout[-300:]}")


def build(sites: int, small: int) -> Path:
    """The folder with everything that the benchmark reads; what is not there is made."""
    folder = WORK / "population" / f"{SAMPLES}x{sites}"
    if not (folder / "made.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        made = make_bed(folder, sites)
        run("plink2", "--bfile", folder / "cohort", "--make-pgen", "--out", folder / "cohort")
        phenotypes, covariates = traits()
        write_table(folder / "phenotypes.tsv", phenotypes, [f"Y{i:03d}" for i in range(PHENOTYPES)])
        write_table(folder / "covariates.tsv", covariates, ["sex", "age", "age2"])
        (folder / "made.json").write_text(json.dumps({"sites": made}))
    there = json.loads((folder / "stores.json").read_text()) if (folder / "stores.json").is_file() else {}
    if there.get("small") != small:
        for old in folder.glob("small*"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        (folder / "stores.json").write_text(json.dumps(derive(folder, small)))
    return folder


def listed(folder: Path, name: str, *how: object) -> np.ndarray:
    """Rows of the cohort that plink2 lists when it is asked in this way."""
    run("plink2", "--pfile", folder / "cohort", *how, "--out", folder / name)
    found = next(p for p in (folder / f"{name}.prune.in", folder / f"{name}.snplist") if p.is_file())
    row = {line.split("\t", 2)[1]: n for n, line in enumerate(open(folder / "cohort.bim"))}
    return np.array([row[line.strip()] for line in open(found)])


def derive(folder: Path, small: int) -> dict[str, int]:
    """Parts of the cohort, each as pgen for plink2 and as a packed store; how many sites each has."""
    sites = json.loads((folder / "made.json").read_text())["sites"]
    common = listed(folder, "common", "--maf", "0.05", "--write-snplist")
    frequent = listed(folder, "frequent", "--maf", "0.01", "--write-snplist")
    pruned = listed(folder, "pruned", "--extract", folder / "common.snplist", "--indep-pairwise", "500kb", "0.2")
    first = [int(line.split("\t", 1)[0]) for line in open(folder / "cohort.bim")]
    parts = {"common": common, "frequent": frequent, "pruned": pruned, "traits": common[np.array(first)[common] <= 2], "small": np.arange(small), "tiny": common[::100]}
    ids = [line.split("\t", 2)[1] for line in open(folder / "cohort.bim")]
    for name, rows in parts.items():
        if (folder / f"{name}.zarr").exists():
            continue
        (folder / f"{name}.txt").write_text("".join(f"{ids[row]}\n" for row in rows))
        run("plink2", "--pfile", folder / "cohort", "--extract", folder / f"{name}.txt", "--make-pgen", "--out", folder / name)
        pack_store(folder, name, from_bed(folder, rows))
    if not (folder / "small.bcf").exists():
        run("plink2", "--pfile", folder / "small", "--export", "bcf", "--out", folder / "small")
        plain_zarr(folder, small)
    pack_store(folder, "cohort", from_bed(folder, np.arange(sites)))
    for some in (100_000, 500_000, 2_000_000):  # the last stands once more behind the cohort: for memory alone
        pack_store(folder, f"sites_{some}", *(from_bed(folder, np.arange(min(sites, some - start))) for start in range(0, some, sites)))
    write_patient(folder, common)
    return {name: len(rows) for name, rows in parts.items()} | {"cohort": sites}


def dataset(folder: Path, calls: Any, rows: np.ndarray, names: list[str]) -> Any:
    """A VCF Zarr dataset of these calls at these rows of the cohort."""
    import xarray as xr

    lines = [line.split("\t") for line in open(folder / "cohort.bim")]
    return xr.Dataset({
        "call_genotype": (("variants", "samples", "ploidy"), calls),
        "variant_contig": ("variants", np.array([int(lines[row][0]) - 1 for row in rows], np.int32)),
        "variant_position": ("variants", np.array([int(lines[row][3]) for row in rows], np.int32)),
        "variant_allele": (("variants", "alleles"), np.tile(np.array([["A", "G"]], object), (len(rows), 1))),
        "contig_id": ("contigs", np.array([str(c + 1) for c in range(CONTIGS)], object)),
        "sample_id": ("samples", np.array(names, object))}, attrs={"genome_build": "GRCh38"})


def from_bed(folder: Path, rows: np.ndarray) -> Any:
    """These rows of cohort.bed as a dataset with `call_genotype`, lazy."""
    import dask.array as da

    width = -(-SAMPLES // 4)
    bed = np.memmap(folder / "cohort.bed", np.uint8, "r", len(MAGIC), ((folder / "cohort.bed").stat().st_size // width, width))
    at = da.from_array(rows, chunks=2 * ROWS)
    calls = at.map_blocks(lambda some: bed_calls(bed[some], SAMPLES), dtype=np.int8, new_axis=[1, 2],
                          chunks=(at.chunks[0], (SAMPLES,), (2,)), meta=np.empty((0, 0, 0), np.int8))
    return dataset(folder, calls, rows, sample_names())


def write_patient(folder: Path, rows: np.ndarray) -> None:
    """Somebody new of the first deme, called at the common sites; the genotypes are drawn from that deme's frequencies."""
    calls = from_bed(folder, rows)["call_genotype"].data[:, : deme_sizes()[0]].compute()
    frequency = np.maximum(calls, 0).sum((1, 2)) / np.maximum((calls >= 0).sum((1, 2)), 1)
    draw = np.random.default_rng(13).random((len(rows), 1, 2)) < frequency[:, None, None]
    pack_store(folder, "patient", dataset(folder, np.sort(draw, axis=2).astype(np.int8), rows, ["NEW"]))


def pack_store(folder: Path, name: str, *parts: Any) -> Path:
    """The planes of these datasets, one behind the other, as a packed store; made where it is not there."""
    import xarray as xr

    from genomics_nb.population.planes import pack, write_packed

    path = folder / f"{name}.zarr"
    if not path.exists():
        packed = [pack(part) for part in parts]
        write_packed(packed[0] if len(packed) == 1 else xr.concat(packed, "variants", data_vars="minimal"), path)
    return path


def plain_zarr(folder: Path, small: int) -> None:
    """call_genotype of the first sites, one int8 for each allele: the form that scikit-allel and sgkit read fastest."""
    import zarr

    calls = from_bed(folder, np.arange(small))["call_genotype"].data
    array = zarr.create_array(folder / "small_int8.zarr", shape=calls.shape, chunks=(2_000, SAMPLES, 2), dtype="int8", zarr_format=2, overwrite=True)
    for n in range(calls.numblocks[0]):
        array[n * 2 * ROWS:(n + 1) * 2 * ROWS] = calls.blocks[n].compute()


if __name__ == "__main__":
    print(build(1_050_000, 150_000))
