"""Genotype planes: packing, its laziness, and what it refuses."""

from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import InputError, NotFoundError, StoreError
from genomics_nb.population.planes import (
    PLANES, as_packed, code_reference, group_masks, open_packed, pack, pack_block, planes_of, rows_of, transpose,
    unpack_block, unpack_reference, write_packed)


def dataset(seed: int, variants: int = 40, samples: int = 70, alleles: int = 4, contig: str = "chr1") -> xr.Dataset:
    rng = np.random.default_rng(seed)
    gt = rng.integers(-1, alleles, (variants, samples, 2)).astype(np.int8)
    gt[rng.random((variants, samples)) < 0.1, 1] = -2
    texts = np.array([["A", *("ACGT"[1:1 + rng.integers(0, alleles)].ljust(3))] for _ in range(variants)], object)
    texts[texts == " "] = ""
    return xr.Dataset(
        {"call_genotype": (("variants", "samples", "ploidy"), gt), "variant_allele": (("variants", "alleles"), texts),
         "variant_contig": ("variants", np.zeros(variants, int)), "variant_position": ("variants", np.arange(1, variants + 1)),
         "contig_id": ("contigs", np.array([contig], object)),
         "sample_id": ("samples", np.array([f"P{i}" for i in range(samples)], object))}, attrs={"genome_build": "GRCh38"})


def plain(ds: xr.Dataset, diploid: bool, keep: np.ndarray | None = None) -> np.ndarray:
    variant, allele = rows_of(ds["variant_allele"].values)
    codes = np.array([[code_reference(call, int(a), diploid) for call in ds["call_genotype"].values[v].tolist()]
                      for v, a in zip(variant, allele, strict=True)])
    if keep is not None:
        codes[~keep[variant]] = 3
    return np.where(codes == 3, -1, codes)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 17), st.sampled_from([1, 63, 64, 65, 130]), st.booleans())
def test_any_chunking_gives_the_rows_of_the_plain_rules(seed: int, chunk: int, samples: int, autosome: bool) -> None:
    ds = dataset(seed, 17, samples, contig="chr1" if autosome else "chrM")
    packed = pack(ds.chunk(variants=chunk, samples=max(samples // 2, 1)))
    assert isinstance(packed[PLANES].data, da.Array)
    dosage = unpack_block(packed[PLANES].values, samples)
    assert (dosage == plain(ds, autosome)).all()
    assert (dosage == unpack_reference(packed[PLANES].values, samples)).all()


def test_calls_that_do_not_count_are_missing_never_reference() -> None:
    ds = dataset(3)
    keep = np.random.default_rng(4).random((40, 70)) < 0.5
    packed = pack(ds.chunk(variants=9), keep=xr.DataArray(keep, dims=("variants", "samples")))
    assert (unpack_block(packed[PLANES].values, 70) == plain(ds, True, keep)).all()


def test_chosen_variants_keep_their_place_in_the_source() -> None:
    ds = dataset(5)
    chosen = np.random.default_rng(6).random(40) < 0.4
    packed = pack(ds.chunk(variants=7), select=chosen)
    variant, _ = rows_of(ds["variant_allele"].values)
    rows = chosen[variant]
    assert packed["variant_source"].values.tolist() == variant[rows].tolist()
    assert (packed["variant_position"].values == ds["variant_position"].values[variant[rows]]).all()
    assert (unpack_block(packed[PLANES].values, 70) == plain(ds, True)[rows]).all()


def test_padding_bits_are_zero() -> None:
    planes = pack_block(np.full((3, 65, 2), -1, np.int8))
    assert (planes[:, :, 1] == 1).all() and (planes[:, :, 0] == np.uint64(2**64 - 1)).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 140), st.integers(1, 140))
def test_turning_keeps_every_bit(seed: int, rows: int, samples: int) -> None:
    gt = np.random.default_rng(seed).integers(-1, 2, (rows, samples, 2)).astype(np.int8)
    planes = pack_block(gt)
    turned = transpose(planes, samples)
    assert (unpack_block(turned.transpose(1, 0, 2), rows).T == unpack_block(planes, samples)).all()


def test_people_of_no_group_are_in_no_mask() -> None:
    names, masks = group_masks([None, "a", "", "b", "a"])
    assert names == ["a", "b"] and masks.tolist() == [[0b10010], [0b01000]]


def test_a_written_dataset_is_the_same_and_opens_anywhere(tmp_path: Path) -> None:
    ds = dataset(8).chunk(variants=11)
    path = write_packed(ds, tmp_path / "x.planes")
    again = open_packed(path)
    xr.testing.assert_identical(as_packed(ds)[PLANES].compute().drop_attrs(), again[PLANES].compute().drop_attrs())
    assert again["variant_allele"].values.tolist() == as_packed(ds)["variant_allele"].values.tolist()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.planes"]
    with dask.config.set(scheduler="synchronous"):
        assert (planes_of(again).compute() == planes_of(ds).compute()).all()
    import zarr

    assert zarr.open_group(path, mode="r")[PLANES].shape == again[PLANES].shape  # plain Zarr, without our code


def test_nothing_is_left_of_a_write_that_fails(tmp_path: Path) -> None:
    ds = dataset(9).chunk(variants=11)
    broken = as_packed(ds)
    cells = broken[PLANES].data.map_blocks(lambda x: 1 // 0, dtype=np.uint64, meta=np.empty((0, 0, 0), np.uint64))
    with pytest.raises(ZeroDivisionError):
        write_packed(broken.assign({PLANES: (("variants", "planes", "words"), cells)}), tmp_path / "x.planes")
    assert list(tmp_path.iterdir()) == []


def test_wrong_input_is_one_clear_line(tmp_path: Path) -> None:
    ds = dataset(10)
    with pytest.raises(InputError, match="no call_genotype"):
        pack(ds.drop_vars("call_genotype"))
    three = ds.assign(call_genotype=(("variants", "samples", "ploidy"), np.zeros((40, 70, 3), np.int8)))
    with pytest.raises(InputError, match="3 copies"):
        pack(three)
    with pytest.raises(NotFoundError):
        open_packed(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError):
        open_packed(tmp_path / "empty")
    with pytest.raises(StoreError, match="there already"):
        write_packed(ds, tmp_path / "empty")
