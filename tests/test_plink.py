"""PLINK files: what plink2 reads from ours and we from its, and what is refused."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from genomics_nb.core.types import InputError, NotFoundError, StoreError
from genomics_nb.population.planes import PLANES, pack
from genomics_nb.population.plink import open_plink, write_plink
from genomics_nb.store.ingest import ingest
from genomics_nb.store.schema import open_vcz


def plink2(program: str, *options: object) -> None:
    done = subprocess.run([program, *map(str, options)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def slice_1000g(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    vcf = shared_data / "population/1kg_phase3_chr22_16.0-16.5Mb.vcf.gz"
    return pack(open_vcz(ingest(vcf, tmp_path_factory.mktemp("slice"), build="GRCh37").path))


def small(samples: int = 5, variants: int = 30) -> xr.Dataset:
    rng = np.random.default_rng(2)
    gt = rng.integers(-1, 2, (variants, samples, 2)).astype(np.int8)
    return pack(xr.Dataset(
        {"call_genotype": (("variants", "samples", "ploidy"), gt),
         "variant_allele": (("variants", "alleles"), np.array([["A", "C"]] * variants, object)),
         "variant_contig": ("variants", np.zeros(variants, int)), "variant_position": ("variants", np.arange(1, variants + 1)),
         "contig_id": ("contigs", np.array(["chr1"], object)),
         "sample_id": ("samples", np.array([f"P{i}" for i in range(samples)], object))}).chunk(variants=7))


def test_plink2_counts_in_our_files_what_it_counts_in_the_vcf(peer, slice_1000g: xr.Dataset, shared_data: Path, tmp_path: Path) -> None:
    program = peer("plink2")
    write_plink(slice_1000g, tmp_path / "ours")
    biallelic = tmp_path / "split"
    vcf = shared_data / "population/1kg_phase3_chr22_16.0-16.5Mb.vcf.gz"
    split = subprocess.run([peer("bcftools"), "norm", "-m-any", "-Oz", "-o", str(tmp_path / "s.vcf.gz"), str(vcf)], capture_output=True)
    assert split.returncode == 0
    plink2(program, "--vcf", tmp_path / "s.vcf.gz", "--vcf-half-call", "m", "--geno-counts", "--out", biallelic)
    plink2(program, "--bfile", tmp_path / "ours", "--geno-counts", "--out", tmp_path / "ours")

    def counts(file: Path) -> list[tuple[str, ...]]:
        return [tuple(line.split("\t")[4:8] + line.split("\t")[-1:]) for line in file.read_text().splitlines()[1:]]

    ours, theirs = counts(tmp_path / "ours.gcount"), counts(biallelic.with_suffix(".gcount"))
    assert len(ours) > 6000 and sorted(ours) == sorted(theirs)


def test_files_of_plink2_are_read_as_it_means_them(peer, slice_1000g: xr.Dataset, tmp_path: Path) -> None:
    program = peer("plink2")
    write_plink(slice_1000g, tmp_path / "ours", sex={"HG00096": "male", "HG00097": "female"})
    plink2(program, "--bfile", tmp_path / "ours", "--make-bed", "--out", tmp_path / "theirs")
    again = open_plink(tmp_path / "theirs", build="GRCh37")
    assert (again[PLANES].values == slice_1000g[PLANES].values).all()
    assert (again["variant_position"].values == slice_1000g["variant_position"].values).all()
    assert again["variant_allele"].values.tolist() == slice_1000g["variant_allele"].values.tolist()
    assert again["sample_id"].values.tolist() == [str(s) for s in slice_1000g["sample_id"].values]
    assert again["sample_sex"].values[:3].tolist() == ["male", "female", "unknown"]
    assert (again["variant_region"].values == slice_1000g["variant_region"].values).all()


def test_a_name_with_a_blank_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    ds = small()
    ds["sample_id"] = ("samples", np.array(["P1", "P 2", "P3", "P4", "P5"], object))
    with pytest.raises(InputError, match="sample P 2"):
        write_plink(ds, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_files_are_not_written_over(tmp_path: Path) -> None:
    write_plink(small(), tmp_path / "x")
    before = (tmp_path / "x.bed").read_bytes()
    with pytest.raises(StoreError, match=r"x\.bed is there already"):
        write_plink(small(6), tmp_path / "x")
    assert (tmp_path / "x.bed").read_bytes() == before


@pytest.mark.parametrize(("end", "change", "said"), [
    ("bed", lambda b: b[:-1], "bytes"), ("bed", lambda b: b + b"x", "bytes"), ("bed", lambda b: b"\x6c\x1b\x00" + b[3:], "begin"),
    ("bim", lambda b: b.replace(b"\t0\t7\t", b"\t0\tseven\t"), "line 7"), ("bim", lambda b: b.replace(b"C\tA", b"C", 1), "line 1"),
    ("fam", lambda b: b.replace(b"P3", b"P2"), "sample P2"), ("fam", lambda b: b + b"0 P9 0 0\n", "line 6")])
def test_a_broken_file_is_named(tmp_path: Path, end: str, change, said: str) -> None:
    write_plink(small(), tmp_path / "x")
    file = tmp_path / f"x.{end}"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(InputError, match=said):
        open_plink(tmp_path / "x")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_plink(small(), tmp_path / "x")
    (tmp_path / "x.fam").unlink()
    with pytest.raises(NotFoundError, match=r"x\.fam"):
        open_plink(tmp_path / "x")


def test_a_cohort_leaves_through_the_gate(tmp_path: Path) -> None:
    from test_cohorts import fill
    from typer.testing import CliRunner

    from genomics_nb.delivery.cli import app
    from genomics_nb.store.cad import CAD

    cad = CAD.init(tmp_path / "store")
    people = fill(cad, tmp_path / "vcf")
    cad.build_cohort("c", "GRCh38", "research")
    cad.add_to_cohort("c")
    cad.tag_cohort("c", "v1")
    cad.withdraw(people[1], "research")
    told = ["--store", str(cad.path)]
    done = CliRunner().invoke(app, ["export", "plink", "c", "--purpose", "research", "--at", "v1", "--out", str(tmp_path / "x"), *told])
    assert done.exit_code == 0, done.output
    ds = open_plink(tmp_path / "x", "GRCh38")
    assert sorted(ds["sample_id"].values) == [p for p in people if p != people[1]]
    assert ds["variant_position"].values.tolist() == [1500, 1600, 1602, 1603]  # not the site that only the withdrawn person has
    refused = CliRunner().invoke(app, ["export", "plink", "c", "--purpose", "care", "--out", str(tmp_path / "y"), *told])
    assert refused.exit_code != 0 and not (tmp_path / "y.bed").exists()
    unknown = CliRunner().invoke(app, ["export", "plink", "d", "--purpose", "research", "--out", str(tmp_path / "y"), *told])
    assert unknown.exit_code != 0 and not (tmp_path / "y.bed").exists()
