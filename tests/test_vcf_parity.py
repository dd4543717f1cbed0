"""Our store against bcftools, vcztools and bio2zarr on every real VCF at hand."""
from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import vcf_truth as truth
import zarr

from genomics_nb.core.types import InputError
from genomics_nb.store.ingest import ingest
from genomics_nb.store.schema import open_vcz

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
FILES = sorted(str(p.relative_to(SHARED)) for kind in ("*.vcf", "*.vcf.gz", "*.bcf") for p in SHARED.rglob(kind))

# The rules of the house refuse these, though bcftools reads them.
REFUSED = {"bcftools/norm.setref.vcf": "GT names an allele", "inheritance/test.family.vcf": "not sorted"}
# Files too long for the slow readers below are looked at through a slice of records and samples.
LONG = {"population/1kg_phase3_chr22_16.0-16.5Mb.vcf.gz": (600, 12), "population/1kgp_high_coverage_chr1_head.vcf.gz": (300, 12),
        "trio/ashk-trio.vcf.gz": (10_000, 3)}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Ingests a file of the shared data once and opens it."""
    folder, done = tmp_path_factory.mktemp("analyses"), {}

    def open_(name: str):
        if name not in done:
            done[name] = ingest(SHARED / name, folder)
        return done[name]

    return open_


@pytest.fixture(autouse=True)
def _needs_shared(shared_data):
    pass


def without_known_limit(found: list[str], analysis) -> list[str]:
    """VCF Zarr 0.4 cannot tell an integer -1 or -2 from missing or fill: such values, which ingest counts and reports, are left out."""
    if not any("which VCF Zarr reads as missing" in w for w in analysis.warnings):
        return found
    return [line for line in found if not (" against '-1'" in line or " against '-2'" in line)]


def view(bcftools: str, path: Path) -> list[truth.Record]:
    result = subprocess.run([bcftools, "view", "--no-version", str(path)], capture_output=True, text=True)
    return truth.records_of_text(result.stdout) if result.returncode == 0 else pytest.skip("bcftools cannot read this file")


@pytest.mark.parametrize("name", FILES)
def test_store_says_what_bcftools_says(name, stored, peer):
    if name in REFUSED:
        with pytest.raises(InputError, match=REFUSED[name]):
            stored(name)
        return
    theirs = view(peer("bcftools"), SHARED / name)
    analysis = stored(name)
    ds = open_vcz(analysis.path)
    assert ds.sizes["variants"] == len(theirs)
    if name in LONG:
        records, samples = LONG[name]
        ds, theirs = ds.isel(variants=slice(records), samples=slice(samples)), theirs[:records]
        theirs = [{**r, "calls": r["calls"][:samples]} for r in theirs]
    assert without_known_limit(truth.differences(truth.records_of_store(ds), theirs), analysis) == []


def dropped_by_vcztools(line: str) -> bool:
    """vcztools leaves FORMAT/GT out of a record in which nobody has a call."""
    return "FORMAT/GT: None against" in line and not set(line.rsplit("against ", 1)[1]) - set("'./|")


@pytest.mark.parametrize("name", [f for f in FILES if f not in REFUSED and f not in LONG])
def test_vcztools_view_of_the_store_says_what_bcftools_says(name, stored, peer, peer_module, tmp_path):
    peer_module("vcztools")
    theirs = view(peer("bcftools"), SHARED / name)
    analysis = stored(name)
    if not theirs:
        pytest.skip("no records")
    result = subprocess.run([sys.executable, "-W", "ignore", "-m", "vcztools", "view", str(analysis.path)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-500:]
    found = truth.differences(truth.records_of_text(result.stdout), theirs, atol=5.1e-4)  # vcztools prints three decimals
    assert [line for line in without_known_limit(found, analysis) if not dropped_by_vcztools(line)] == []


@pytest.mark.parametrize("name", sorted(LONG))
def test_genotypes_of_a_whole_file_are_those_of_bcftools(name, stored, peer):
    analysis = stored(name)
    ds = open_vcz(analysis.path)
    text = subprocess.run([peer("bcftools"), "query", "-f", "[%GT ]\n", str(SHARED / name)], capture_output=True, text=True, check=True).stdout
    rows = text.splitlines()
    ours = ds.call_genotype.values, ds.call_genotype_phased.values
    for r in range(0, len(rows), max(1, len(rows) // 500)):
        cells = rows[r].split()
        assert all(truth.same_genotype(truth.genotype(ours[0][r, s], ours[1][r, s]), cell) for s, cell in enumerate(cells)), r


def comparable(array: np.ndarray) -> np.ndarray:
    """Values with one mark for 'not there', and without a trailing dimension of length one."""
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
        return np.where(np.isnan(array), np.float32(-12345.5), array)
    if array.dtype.kind in "iu" and array.dtype != bool:
        return np.where(array < 0, -1, array.astype(np.int64))
    if array.dtype.kind in "TUO":
        return np.where(array.astype("T") == "", ".", array.astype("T"))
    return array


@pytest.mark.parametrize("name", [f for f in FILES if f.endswith(".gz") and f not in REFUSED])
def test_arrays_equal_those_of_bio2zarr(name, stored, peer_module, tmp_path):
    peer_module("bio2zarr")
    from bio2zarr import vcf as peer_vcf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            peer_vcf.convert([str(SHARED / name)], tmp_path / "peer.vcz", worker_processes=0, zarr_format=3)
        except Exception as error:  # what it cannot convert cannot be compared
            pytest.skip(f"bio2zarr cannot convert this file: {type(error).__name__}")
        theirs, ours = zarr.open_group(tmp_path / "peer.vcz", mode="r"), open_vcz(stored(name).path)
    checked = 0
    for key, array in theirs.arrays():
        if key in ours and "variants" in (array.metadata.dimension_names or ()):
            a, b = comparable(ours[key].values), comparable(np.asarray(array[:]))
            if a.shape != b.shape:  # Number=. with at most one value: theirs has no last dimension; ours keeps it
                width = min(a.shape[-1], b.shape[-1]) if a.ndim == b.ndim else 1
                a, b = a.reshape(*a.shape[:2 if key.startswith("call") else 1], -1)[..., :width], b.reshape(*b.shape[:2 if key.startswith("call") else 1], -1)[..., :width]
            assert np.array_equal(a, b), key
            checked += 1
    assert checked > 10
