"""The list of pruned variants is that of plink2, whatever the missing calls, ties, windows and blocks."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.compute import client
from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.population.planes import as_packed, pack_block, unpack_block
from genomics_nb.population.pruning import ld_decay, ld_prune, prune_reference, prune_windows, summarise_rows
from genomics_nb.population.pruning import prune_chromosome as prune_rows

WAYS = [{"window": 50, "step": 5}, {"window": 20, "step": 1}, {"window": 7, "step": 7}, {"kilobases": 2.0}, {"kilobases": 0.5}]


def linked(rng: np.random.Generator, rows: int, samples: int, missing: float) -> np.ndarray:
    """Dosages of mosaics of six founders with sites that do not vary, are not called, or where everybody is heterozygous."""
    panel = rng.random((rows, 6)) < rng.random((rows, 1)) * 0.5
    copied = rng.integers(6, size=2 * samples)
    dosage = np.zeros((rows, samples), np.int8)
    for row in range(rows):
        change = rng.random(2 * samples) < 0.1
        copied[change] = rng.integers(6, size=int(change.sum()))
        dosage[row] = (panel[row, copied] ^ (rng.random(2 * samples) < 0.02)).reshape(samples, 2).sum(1)
    dosage[rng.random(rows) < 0.08] = 0
    dosage[rng.random(rows) < 0.04] = 2
    dosage[rng.random(dosage.shape) < missing] = -1
    for value in (1, -1):
        dosage[rng.integers(rows, size=2)] = value
    few = rng.integers(rows, size=3)
    dosage[few] = -1
    dosage[few, :3] = [0, 1, 2]
    return dosage


def dataset(dosage: np.ndarray, contig: np.ndarray, position: np.ndarray, block: int = 50) -> xr.Dataset:
    gt = np.stack([np.where(dosage < 0, -1, dosage > 1), np.where(dosage < 0, -1, dosage > 0)], axis=-1).astype(np.int8)
    rows, samples = dosage.shape
    return xr.Dataset({
        "call_genotype": (("variants", "samples", "ploidy"), da.from_array(gt, chunks=(block, -1, -1))),
        "variant_contig": ("variants", contig), "variant_position": ("variants", position),
        "variant_allele": (("variants", "alleles"), np.tile(np.array(["C", "A"], object), (rows, 1))),
        "contig_id": ("contigs", np.array(["1", "2", "X"], object)),
        "sample_id": ("samples", np.array([f"s{i}" for i in range(samples)], object))}, attrs={"genome_build": "GRCh37"})


def bed(prefix: Path, packed: xr.Dataset) -> None:
    """PLINK's files of the rows."""
    dosage = unpack_block(packed["call_genotype_planes"].values, packed.sizes["samples"])
    code = np.select([dosage == 0, dosage == 1, dosage == 2], [3, 2, 0], 1).astype(np.uint8)
    code = np.pad(code, ((0, 0), (0, -code.shape[1] % 4)))
    four = code[:, 0::4] | code[:, 1::4] << 2 | code[:, 2::4] << 4 | code[:, 3::4] << 6
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + four.tobytes())
    names = [str(x) for x in packed["contig_id"].values]
    places = zip(packed["variant_contig"].values, packed["variant_position"].values, strict=True)
    prefix.with_suffix(".bim").write_text("".join(f"{names[c]}\tr{i}\t0\t{p}\tC\tA\n" for i, (c, p) in enumerate(places)))
    prefix.with_suffix(".fam").write_text("".join(f"s{i}\ts{i}\t0\t0\t2\t-9\n" for i in range(dosage.shape[1])))


def pruned(plink2: str, prefix: Path, r2: float, window: int = 50, step: int = 5, kilobases: float | None = None,
           ) -> list[int]:
    """Rows that plink2 keeps on the autosomes."""
    width = [f"{kilobases:g}kb"] if kilobases is not None else [str(window), str(step)]
    done = subprocess.run([plink2, "--bfile", str(prefix), "--autosome", "--indep-pairwise", *width, str(r2), "--out", str(prefix)],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [int(name[1:]) for name in prefix.with_suffix(".prune.in").read_text().split()]


@pytest.mark.parametrize("missing", [0, 0.05, 0.5])
@pytest.mark.parametrize("r2", [0.05, 0.2, 0.25, 0.9])
def test_the_list_is_that_of_plink2(peer: Callable[[str], str], tmp_path: Path, missing: float, r2: float) -> None:
    rng = np.random.default_rng(int(100 * (r2 + missing)))
    dosage = linked(rng, 210, 75, missing)
    contig = np.repeat([0, 1, 2], [110, 80, 20])
    position = np.concatenate([np.cumsum(rng.integers(0, 300, n)) + 1 for n in (110, 80, 20)])
    ds = dataset(dosage, contig, position)
    bed(tmp_path / "x", as_packed(ds))
    for way in WAYS:
        expected = pruned(peer("plink2"), tmp_path / "x", r2, **way)
        got = np.flatnonzero(ld_prune(ds, r2=r2, **way)["variant_unlinked"].values)
        assert got.tolist() == expected, way


@pytest.mark.parametrize("missing", [0, 0.02])
@pytest.mark.parametrize("way", [{"kilobases": 500}, {"window": 50, "step": 5}, {"window": 1000, "step": 100}],
                         ids=lambda way: "-".join(map(str, way.values())))
def test_the_list_is_that_of_plink2_on_real_people(
    peer: Callable[[str], str], stored: Callable[..., xr.Dataset], shared_data: Path, tmp_path: Path, missing: float, way: dict,
) -> None:
    ds = as_packed(stored(shared_data / "population" / "1kg_phase3_chr22_16.0-16.5Mb.vcf.gz", "GRCh37"))
    planes = ds["call_genotype_planes"].values
    if missing:
        rng = np.random.default_rng(0)
        lost = np.packbits(rng.random((len(planes), planes.shape[2] * 64)) < missing, axis=1, bitorder="little").view("<u8")
        behind = np.uint64((1 << ds.sizes["samples"] % 64) - 1)
        lost[:, -1] &= behind
        ds["call_genotype_planes"] = (("variants", "planes", "words"), da.from_array(planes | lost[:, None], chunks=(700, -1, -1)))
    bed(tmp_path / "x", ds)
    expected = pruned(peer("plink2"), tmp_path / "x", 0.2, **way)
    assert np.flatnonzero(ld_prune(ds, **way)["variant_unlinked"].values).tolist() == expected
    assert 100 < len(expected) < 6000


def test_the_list_is_that_of_plink2_on_a_simulation(
    peer: Callable[[str], str], peer_module: Callable[[str], ModuleType], tmp_path: Path,
) -> None:
    msprime = peer_module("msprime")
    trees = msprime.sim_ancestry(200, sequence_length=5e5, recombination_rate=1e-8, population_size=10_000, random_seed=1)
    trees = msprime.sim_mutations(trees, rate=2e-8, random_seed=2, discrete_genome=True)
    alleles = (trees.genotype_matrix() > 0).astype(np.int8)
    dosage = alleles[:, 0::2] + alleles[:, 1::2]
    dosage[np.random.default_rng(3).random(dosage.shape) < 0.01] = -1
    position = np.array([int(site.position) + 1 for site in trees.sites()])
    ds = dataset(dosage, np.zeros(len(dosage), int), position, block=333)
    bed(tmp_path / "x", as_packed(ds))
    for way in ({"kilobases": 100}, {"window": 50, "step": 5}):
        expected = pruned(peer("plink2"), tmp_path / "x", 0.2, **way)
        assert np.flatnonzero(ld_prune(ds, **way)["variant_unlinked"].values).tolist() == expected


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 130), st.sampled_from([0.0, 0.1, 0.7]), st.integers(1, 61),
       st.sampled_from(WAYS), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_bits_in_any_blocks_give_the_list_of_the_reference(
    seed: int, rows: int, samples: int, missing: float, block: int, way: dict, r2: float,
) -> None:
    rng = np.random.default_rng(seed)
    dosage = linked(rng, rows, max(samples, 3), missing)
    position = np.cumsum(rng.integers(0, 300, rows))
    windows = prune_windows(position, **way)
    gt = np.stack([np.where(dosage < 0, -1, dosage > 1), np.where(dosage < 0, -1, dosage > 0)], axis=-1).astype(np.int8)
    planes, people = pack_block(gt), dosage.shape[1]
    blocks = [summarise_rows(planes[a:a + block], people) for a in range(0, rows, block)]
    expected = np.flatnonzero(prune_reference(dosage, *windows, r2))
    assert prune_rows(blocks, *windows, people, r2).tolist() == expected.tolist()


def test_rows_that_are_not_selected_are_not_there() -> None:
    rng = np.random.default_rng(5)
    dosage, position = linked(rng, 150, 60, 0.03), np.cumsum(rng.integers(1, 300, 150))
    ds, select = dataset(dosage, np.zeros(150, int), position), rng.random(150) < 0.6
    got = ld_prune(ds, select=select)["variant_unlinked"].values
    alone = ld_prune(dataset(dosage[select], np.zeros(select.sum(), int), position[select]))["variant_unlinked"].values
    assert np.array_equal(got[select], alone) and not got[~select].any()


def test_a_cluster_gives_the_same_list() -> None:
    rng = np.random.default_rng(6)
    ds = dataset(linked(rng, 200, 60, 0.03), np.repeat([0, 1], 100), np.tile(np.arange(1, 101) * 50, 2))
    expected = ld_prune(ds)["variant_unlinked"].values
    with client("threads", workers=2):
        assert np.array_equal(ld_prune(ds)["variant_unlinked"].values, expected)


def test_what_cannot_be_pruned_is_refused() -> None:
    rng = np.random.default_rng(7)
    dosage = linked(rng, 30, 60, 0)
    with pytest.raises(InputError, match="ascend"):
        ld_prune(dataset(dosage, np.zeros(30, int), np.arange(30)[::-1]))
    with pytest.raises(InputError, match="together"):
        ld_prune(dataset(dosage, np.repeat([0, 1, 0], 10), np.tile(np.arange(10), 3)))
    ds = dataset(dosage, np.zeros(30, int), np.arange(30))
    for wrong in ({"window": 1}, {"step": 0}, {"kilobases": 0}, {"r2": 1.5}):
        with pytest.raises(ParameterError):
            ld_prune(ds, **wrong)


def test_linkage_falls_with_distance() -> None:
    rng = np.random.default_rng(8)
    decay = ld_decay(dataset(linked(rng, 600, 200, 0.01), np.repeat([0, 1], 300), np.tile(np.arange(1, 301) * 1000, 2)),
                     kilobases=50, bins=10, loci=4)
    assert decay["ld_r2"][0] > 3 * decay["ld_r2"][-1] > 0
    empty = ld_decay(dataset(linked(rng, 30, 60, 0), np.full(30, 2), np.arange(1, 31)))
    assert np.isnan(empty["ld_r2"]).all() and (empty["ld_pairs"] == 0).all()
