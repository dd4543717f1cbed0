"""Texts of chosen rows: equal to what xarray reads, whatever stands between, and a damaged chunk is never a text."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from genomics_nb.core.types import StoreError
from genomics_nb.store.shards import compress, pack_text
from genomics_nb.store.text_rows import TextRows, shards_of, unpack

ZSTD = {"cname": "zstd", "clevel": 1, "shuffle": "noshuffle", "typesize": 1}


def by_xarray(array: xr.DataArray, rows: np.ndarray) -> list[list[str]]:
    return [[str(v) for v in row if v] for row in array.values[rows]]


@pytest.mark.parametrize(("file", "name"), [("trio/ashk-trio.vcf.gz", "variant_BCSQ"), ("trio/ashk-trio.vcf.gz", "variant_allele"),
                                            ("trio/scout_643594.clinical.vcf.gz", "variant_CSQ")])
def test_shards_give_what_xarray_gives(file: str, name: str, shared_data: Path, stored: Callable[..., xr.Dataset]) -> None:
    """The two annotations are wider than their chunks: some rows go on in the overflow."""
    array = stored(shared_data / file)[name]
    rows = np.sort(np.random.default_rng(1).choice(array.shape[0], 300, replace=False))
    reader = TextRows(array)
    assert reader.shards is not None
    assert reader.take(rows) == by_xarray(array, rows)
    found = {int(r): texts for block, here in reader.blocks(rows) for r, texts in zip(here, block.take(here), strict=True)}
    assert [found[int(r)] for r in rows] == by_xarray(array, rows)
    every = [texts for block, here in reader.blocks() for texts in block.take(here)]
    assert every == by_xarray(array, np.arange(array.shape[0]))


def test_what_was_changed_after_opening_is_read_through_xarray(shared_data: Path, stored: Callable[..., xr.Dataset]) -> None:
    ds = stored(shared_data / "trio/scout_643594.clinical.vcf.gz")
    array = ds["variant_CSQ"]
    assert shards_of(ds.isel(samples=[0]).assign_attrs(a=1)["variant_CSQ"]) is not None  # nothing done to the texts
    rows = np.array([0, 5, 400])
    for changed in (array[::-1], array[100:], array[:, :3], array.load(), array.isel(variants=np.arange(600)), xr.concat([array, array], "variants")):
        assert shards_of(changed) is None
        assert TextRows(changed).take(rows) == by_xarray(changed, rows)


def test_a_damaged_chunk_is_an_error() -> None:
    cells = [b"A", b"", b"long text", b"B"]
    good = (4).to_bytes(4, "little") + b"".join(map(pack_text, cells))
    assert list(unpack(compress(good, ZSTD), (2, 2)).take(np.array([0, 1]))) == [["A"], ["long text", "B"]]
    for bad in (good[:-1], good + b"x", (5).to_bytes(4, "little") + good[4:], good[:4] + b"\xff\xff\xff\xff" + good[8:],
                good[:4] + b"\x00\x00\x00\x80" + good[8:], b"", b"\x04"):
        with pytest.raises(StoreError, match="damaged"):
            unpack(compress(bad, ZSTD), (2, 2))
    for bad in (b"", b"no blosc", compress(good, ZSTD)[:-3]):
        with pytest.raises(StoreError, match="damaged"):
            unpack(bad, (2, 2))


def test_an_empty_array_and_no_rows() -> None:
    empty = xr.DataArray(np.empty((0, 2), dtype=np.dtypes.StringDType()), dims=("variants", "values"))
    assert list(TextRows(empty).blocks()) == [] and TextRows(empty).take(np.empty(0, np.int64)) == []
    assert list(TextRows(empty.chunk()).blocks(np.empty(0, np.int64))) == []
