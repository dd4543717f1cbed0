"""One pass counts genotypes by row, by group and by person: edges, the three implementations, and plink2."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import array_api_strict
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.kernels import kernel, reference, to_host
from genomics_nb.core.types import GenomicsError, InputError, NotFoundError, ParameterError, StoreError
from genomics_nb.population.genotype_counts import count_genotypes, plot_people, scan_packed, sex_names, strata_of
from genomics_nb.population.planes import pack_block, write_packed
from genomics_nb.store.working import rows_of_copy

SLICE = "population/1kg_phase3_chr22_16.0-16.5Mb.vcf.gz"
PSAM = "population/1kg_samples.psam"


def block(rows: int, samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    frequency = rng.beta(0.2, 1, (rows, 1, 1))
    gt = (rng.random((rows, samples, 2)) < frequency).astype(np.int8)
    gt[rng.random((rows, samples)) < 0.05] = -1
    return pack_block(gt)


def dataset(gt: np.ndarray, chunk: int = 3) -> xr.Dataset:
    rows, samples = gt.shape[:2]
    return xr.Dataset(
        {"call_genotype": (("variants", "samples", "ploidy"), gt), "variant_allele": (("variants", "alleles"), np.full((rows, 2), ["A", "G"], object)),
         "variant_contig": ("variants", np.zeros(rows, int)), "variant_position": ("variants", np.arange(1, rows + 1)),
         "contig_id": ("contigs", ["chr1"]), "sample_id": ("samples", [f"P{i}" for i in range(samples)])},
        attrs={"genome_build": "GRCh38"}).chunk(variants=chunk)


@settings(deadline=None, max_examples=60)
@given(rows=st.integers(0, 40), samples=st.integers(1, 200), groups=st.integers(0, 4), seed=st.integers(0, 2**32 - 1))
def test_the_three_implementations_agree(rows: int, samples: int, groups: int, seed: int) -> None:
    planes = block(rows, samples, seed)
    masks = np.random.default_rng(seed).integers(0, 2**64, (groups, planes.shape[2]), np.uint64)
    masks[:, -1] &= np.uint64(2**64 - 1) >> np.uint64(-samples % 64)
    slow, fast = reference("count_genotypes")(planes, masks, samples), kernel("count_genotypes")(planes, masks, samples)
    strict = kernel("count_genotypes")(*map(array_api_strict.asarray, (planes, masks)), samples)
    for a, b, c in zip(slow, fast, strict, strict=True):
        assert a.dtype == b.dtype == to_host(c).dtype
        assert np.array_equal(a, b) and np.array_equal(a, to_host(c))


def test_many_people_and_many_rows_carry_into_every_digit() -> None:
    samples, rows = 64 * 65 + 1, 700  # more than one tile of words; counts of ten binary digits
    gt = np.ones((rows, samples, 2), np.int8)
    gt[:, ::2, 0] = 0
    gt[::3, ::5] = -1
    planes, none = pack_block(gt), np.zeros((0, 66), np.uint64)
    for a, b in zip(reference("count_genotypes")(planes, none, samples), kernel("count_genotypes")(planes, none, samples), strict=True):
        assert np.array_equal(a, b)


def test_a_person_may_belong_to_several_groups() -> None:
    planes = block(20, 70)
    masks = np.array([[2**64 - 1, 0], [7, 3]], np.uint64)
    for a, b in zip(reference("count_genotypes")(planes, masks, 70), kernel("count_genotypes")(planes, masks, 70), strict=True):
        assert np.array_equal(a, b)


def test_a_dataset_without_variants_or_groups_has_empty_counts() -> None:
    counts = count_genotypes(dataset(np.zeros((0, 3, 2), np.int8), chunk=1)).compute()
    assert counts["variant_genotype_count"].shape == (0, 4) and counts["sample_genotype_count"].values.tolist() == [[0] * 4] * 3
    assert "variant_stratum_genotype_count" not in counts


def test_half_calls_are_missing_and_other_alleles_are_called() -> None:
    gt = np.array([[[0, -1], [2, 2], [1, 2]]], np.int8)
    ds = dataset(gt).assign(variant_allele=(("variants", "alleles"), [["A", "G", "T"]]))
    assert count_genotypes(ds)["variant_genotype_count"].values.tolist() == [[1, 1, 0, 1], [0, 1, 1, 1]]


def test_counts_are_lazy_and_read_the_data_once() -> None:
    ds = dataset(np.zeros((9, 5, 2), np.int8))
    read = []

    def note(x: np.ndarray) -> np.ndarray:
        read.append(len(x))
        return x

    ds["call_genotype"] = ds["call_genotype"].copy(data=ds["call_genotype"].data.map_blocks(note, dtype=np.int8, meta=np.empty((0, 0, 0), np.int8)))
    counts = count_genotypes(ds, groups=["a", "b", "a", "b", "a"])
    assert sum(read) == 0
    counts.compute()
    assert sum(read) == 9


def test_strata_are_read_from_a_variable_by_its_name() -> None:
    ds = dataset(np.zeros((2, 3, 2), np.int8)).assign(sample_region=("samples", ["n", "s", "n"]), sample_sex=("samples", ["XX", "XY", "XX"]))
    counts = count_genotypes(ds, groups="sample_region", sex="sample_sex")
    assert counts["stratum_group"].values.tolist() == ["n", "s"] and counts["stratum_sex"].values.tolist() == ["female", "male"]
    with pytest.raises(InputError, match="no variable sample_city"):
        count_genotypes(ds, groups="sample_city")


def test_wrong_labels_are_refused() -> None:
    with pytest.raises(ParameterError, match="2 labels for 3 samples"):
        strata_of(3, groups=["a", "b"])
    with pytest.raises(ParameterError, match="'3' of sample 2 is not understood"):
        sex_names(["1", "3"])


def test_a_missing_gpu_is_an_error_before_any_work() -> None:
    with pytest.raises(GenomicsError, match="device"):
        count_genotypes(dataset(np.zeros((2, 3, 2), np.int8)), device="tpu")  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_scan_of_a_file_equals_the_lazy_counts(tmp_path: Path, workers: int) -> None:
    rng = np.random.default_rng(2)
    ds = dataset(rng.integers(-1, 2, (200, 70, 2)).astype(np.int8), chunk=50)
    sex, groups = rng.choice(["XX", "XY", ""], 70), rng.choice(["n", "s"], 70)
    counts = count_genotypes(ds, groups=groups, sex=sex).compute()
    found = scan_packed(write_packed(ds, tmp_path / "a.planes"), groups=groups, sex=sex, workers=workers)
    assert np.array_equal(found.by_row, counts["variant_genotype_count"])
    assert np.array_equal(found.by_stratum, counts["variant_stratum_genotype_count"])
    assert np.array_equal(found.by_sample, counts["sample_genotype_count"])
    assert found.strata.group == counts["stratum_group"].values.tolist()


def test_a_scan_of_something_else_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing.planes"):
        scan_packed(tmp_path / "nothing.planes")


def test_a_scan_imports_nothing_heavy() -> None:
    code = ("import sys, genomics_nb.population.genotype_counts; "
            "print([m for m in ('xarray', 'dask', 'pandas', 'scipy.special', 'matplotlib', 'pydantic') if m in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_the_plot_speaks_both_languages() -> None:
    counts = count_genotypes(dataset(np.zeros((4, 3, 2), np.int8))).compute()
    assert plot_people(counts, ["a", "b", "a"], lang="fr").axes[0].get_xlabel() == "Appels manquants (%)"


@pytest.fixture(scope="module")
def slice_counts(shared_data: Path, stored: Callable[..., xr.Dataset]) -> xr.Dataset:
    return count_genotypes(stored(shared_data / SLICE, "GRCh37")).compute()


def test_the_1000_genomes_slice_counts_as_plink2_does(slice_counts: xr.Dataset, shared_data: Path, tmp_path: Path,
                                                      peer: Callable[[str], str]) -> None:
    """--geno-counts and --missing of the split file; the order of rows is that of the file."""
    subprocess.run([peer("bcftools"), "norm", "-m-any", "-Ob", "-o", tmp_path / "split.bcf", shared_data / SLICE], check=True, capture_output=True)
    subprocess.run([peer("plink2"), "--bcf", tmp_path / "split.bcf", "--vcf-half-call", "missing", "--geno-counts", "cols=homref,refalt,homalt1,missing",
                    "--missing", "--sample-counts", "cols=homref,het,homalt,missing", "--threads", "1", "--out", tmp_path / "p"], check=True, capture_output=True)
    rows = pd.read_table(tmp_path / "p.gcount")[["HOM_REF_CT", "HET_REF_ALT_CTS", "HOM_ALT1_CT", "MISSING_CT"]].to_numpy()
    assert np.array_equal(slice_counts["variant_genotype_count"], rows)
    people = pd.read_table(tmp_path / "p.scount")
    assert people.iloc[:, 0].tolist() == slice_counts["sample_id"].values.tolist()
    assert np.array_equal(slice_counts["sample_genotype_count"], people[["HOM_REF_CT", "HET_CT", "HOM_ALT_CT", "MISSING_CT"]].to_numpy())
    assert np.array_equal(slice_counts["sample_genotype_count"].sel(genotypes="missing"), pd.read_table(tmp_path / "p.smiss")["MISSING_CT"])


@pytest.mark.parametrize("layout", ["blosc", "zstd", "none", "sharded", "big-endian", "absent"])
def test_a_chunk_is_read_as_zarr_reads_it(tmp_path: Path, layout: str) -> None:
    import zarr

    values = np.random.default_rng(0).integers(0, 2**60, (23, 2, 3), np.uint64)
    group = zarr.create_group(tmp_path / "a")
    how = {"blosc": {"compressors": zarr.codecs.BloscCodec()}, "zstd": {"compressors": zarr.codecs.ZstdCodec()}, "none": {"compressors": None},
           "sharded": {"shards": (10, 2, 3)}, "big-endian": {"serializer": zarr.codecs.BytesCodec(endian="big")}, "absent": {}}[layout]
    array = group.create_array("x", shape=values.shape, dtype=values.dtype, chunks=(5, 2, 3), **how)
    if layout == "absent":
        values[:] = 0
    else:
        array[:] = values
    rows = rows_of_copy(tmp_path / "a", "x")
    assert np.array_equal(np.concatenate([rows.chunk(i) for i in range(len(rows))]), values)
    assert (rows.dtype is not None) == (layout in ("blosc", "zstd", "absent"))


def test_rows_of_a_copy_that_is_not_there_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no working copy a"):
        rows_of_copy(tmp_path / "a", "x")
    (tmp_path / "a").mkdir()
    with pytest.raises(StoreError, match="a holds no array x"):
        rows_of_copy(tmp_path / "a", "x")
