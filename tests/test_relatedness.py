"""Kinship: the bit kernel equals its definition and plink2, and families are judged only on enough evidence."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genomics_nb.core.types import InputError
from genomics_nb.population.calls import pass_filter
from genomics_nb.population.relatedness import (
    check_family,
    count_pairs,
    degree,
    dosage,
    king,
    king_reference,
    kinship_from_counts,
    kinship_pairs,
    pack_block,
    plot_kinship,
)
from genomics_nb.store.pedigree import read_ped


def dataset(gt: np.ndarray, contigs: int = 22, names: list[str] | None = None) -> xr.Dataset:
    sites, samples = gt.shape[:2]
    return xr.Dataset(
        {"call_genotype": (("variants", "samples", "ploidy"), gt.astype(np.int8)),
         "variant_contig": ("variants", np.arange(sites) * contigs // max(sites, 1)),
         "variant_position": ("variants", np.arange(sites) + 1),
         "contig_id": ("contigs", np.array([*map(str, range(1, 23)), "X"])),
         "sample_id": ("samples", np.array(names or [f"S{i}" for i in range(samples)]))},
        attrs={"genome_build": "GRCh37"})


GENOTYPES = st.tuples(st.integers(0, 200), st.integers(1, 5)).flatmap(
    lambda shape: hnp.arrays(np.int8, (*shape, 2), elements=st.integers(-2, 3)))


@settings(deadline=None)
@given(gt=GENOTYPES, rows=st.integers(1, 200))
def test_kernel_equals_the_reference_wherever_rows_are_cut(gt: np.ndarray, rows: int) -> None:
    found = king(dataset(gt).chunk(variants=rows), tile=2)
    np.testing.assert_array_equal(found.stat_kinship.values, king_reference(gt))
    np.testing.assert_array_equal(found.stat_ibs0, found.stat_ibs0.values.T)
    np.testing.assert_array_equal(found.stat_het1hom2, found.stat_het2hom1.values.T)


@given(gt=GENOTYPES)
def test_bits_hold_what_the_calls_say(gt: np.ndarray) -> None:
    planes = pack_block(gt, np.ones(len(gt), dtype=bool))
    bits = np.unpackbits(planes.view(np.uint8), axis=-1, bitorder="little")[..., :len(gt)]
    alts = dosage(gt).T
    np.testing.assert_array_equal(bits, [alts == 1, (alts == 0) | (alts == 2), alts == 2])


def test_x_haploid_and_half_calls_count_for_nothing() -> None:
    het = np.tile([0, 1], (100, 2, 1))
    x = dataset(het)
    x["variant_contig"][:] = 22
    assert int(king(x).stat_sites.max()) == 0 and np.isnan(king(x).stat_kinship).all()
    for call in ([1, -2], [-1, 1], [-1, -1]):
        assert int(king(dataset(np.tile(call, (100, 2, 1)))).stat_sites.max()) == 0


def test_a_sample_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="sample NOBODY"):
        king(dataset(np.zeros((3, 2, 2))), samples=["S0", "NOBODY"])


def test_samples_are_compared_in_the_order_asked_for() -> None:
    gt = np.random.default_rng(0).integers(0, 2, (500, 4, 2))
    some = king(dataset(gt), samples=["S3", "S1"])
    assert some.samples_0.values.tolist() == ["S3", "S1"]
    assert float(some.stat_kinship[0, 1]) == float(king(dataset(gt)).stat_kinship[3, 1])


@pytest.mark.parametrize(("kinship", "name"), [
    (0.5, "duplicate"), (0.354, "first"), (0.25, "first"), (0.177, "second"), (0.0884, "third"), (0.0442, "unrelated"),
    (-0.2, "unrelated"), (float("nan"), "unknown")])
def test_degrees_begin_above_their_limit(kinship: float, name: str) -> None:
    assert degree(kinship) == name


@pytest.mark.parametrize(("file", "build"), [
    ("1kg_phase3_chr22_16.0-16.5Mb.vcf.gz", "GRCh37"), ("1kgp_high_coverage_chr1_head.vcf.gz", "GRCh38")])
def test_kinship_of_every_pair_equals_plink2(file: str, build: str, shared_data: Path, peer: Callable[[str], str],
                                             stored: Callable[..., xr.Dataset], tmp_path: Path) -> None:
    vcf = shared_data / "population" / file
    names = subprocess.run([peer("bcftools"), "query", "-l", vcf], check=True, capture_output=True, text=True).stdout.split()
    keep = tmp_path / "keep"
    keep.write_text("\n".join(names[::9]))
    subprocess.run([peer("plink2"), "--vcf", vcf, "--vcf-half-call", "m", "--keep", keep, "--make-king-table", "counts",
                    "cols=id,nsnp,hethet,ibs0,ibs1,kinship", "--threads", "2", "--silent", "--allow-extra-chr", "--out",
                    tmp_path / "k"], check=True, capture_output=True)
    theirs = pd.read_csv(tmp_path / "k.kin0", sep="\t").rename(columns={"#IID1": "IID1"})
    ours = king(stored(vcf, build), samples=names[::9])
    place = {name: i for i, name in enumerate(ours.samples_0.values)}
    i, j = (theirs[column].map(place).to_numpy() for column in ("IID1", "IID2"))
    for name, column in (("sites", "NSNP"), ("hethet", "HETHET"), ("ibs0", "IBS0")):
        np.testing.assert_array_equal(ours[f"stat_{name}"].values[i, j], theirs[column])
    # which of the two is sample 1 differs between releases of plink2
    one_sided = np.sort([ours[f"stat_{name}"].values[i, j] for name in ("het1hom2", "het2hom1")], axis=0)
    np.testing.assert_array_equal(one_sided, np.sort(theirs[["HET1_HOM2", "HET2_HOM1"]].to_numpy().T, axis=0))
    np.testing.assert_allclose(ours.stat_kinship.values[i, j], theirs["KINSHIP"], rtol=2e-5, atol=2e-6)  # printed to 6 digits


def test_the_giab_trio_is_a_trio(shared_data: Path, stored: Callable[..., xr.Dataset]) -> None:
    ds = stored(shared_data / "trio/ashk-trio.vcf.gz", "GRCh37")
    ped = read_ped(shared_data / "trio/ashk-trio.ped")
    checked = check_family(king(ds, select=pass_filter(ds)), ped)
    assert checked.verdict.tolist() == ["consistent"] * 3
    assert sorted(checked.declared) == ["parent-child", "parent-child", "partners"]
    swapped = read_ped("f\tHG003\tHG002\tHG004\t1\t2\nf\tHG002\t0\t0\t1\t1\nf\tHG004\t0\t0\t2\t1\n")
    wrong = check_family(king(ds), swapped).set_index(["sample_1", "sample_2"])
    assert wrong.verdict["HG003", "HG004"] == "inconsistent" and wrong.verdict["HG002", "HG004"] == "inconsistent"


def test_a_hospital_file_of_a_few_hundred_sites_is_too_small(shared_data: Path, stored: Callable[..., xr.Dataset]) -> None:
    ds = stored(shared_data / "trio/scout_643594.clinical.vcf.gz", "GRCh37")
    checked = check_family(king(ds), read_ped(shared_data / "trio/scout_643594.ped"), lang="fr")
    assert set(checked.verdict) == {"too few sites"} and checked.reason.str.contains("il en faut 500").all()


def family(sites: int, seed: int = 0) -> np.ndarray:
    """Father, mother, two children and a half sister of theirs by the father; independent sites."""
    rng = np.random.default_rng(seed)
    frequency = rng.beta(0.8, 1.6, sites)
    father, mother, second = (rng.random((2, sites)) < frequency for _ in range(3))
    pick = np.arange(sites)

    def child(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.stack([p[rng.integers(0, 2, sites), pick] for p in (a, b)])

    return np.stack([father, mother, child(father, mother), child(father, mother), child(father, second)]).transpose(2, 0, 1)


PED = """F F 0 0 1 1
F M 0 0 2 1
F C F M 1 2
F S F M 2 1
F H F 0 2 1
""".replace(" ", "\t")
NAMES = ["F", "M", "C", "S", "H"]


@pytest.mark.parametrize("seed", range(3))
def test_a_true_family_is_consistent_in_every_pair(seed: int) -> None:
    checked = check_family(king(dataset(family(6000, seed), names=NAMES)), read_ped(PED))
    assert set(checked.verdict) == {"consistent"}, checked
    assert len(checked) == 10


def test_siblings_are_not_judged_on_a_slice_of_the_genome() -> None:
    checked = check_family(king(dataset(family(6000), contigs=2, names=NAMES)), read_ped(PED))
    by = checked.set_index("declared").verdict
    assert by["full siblings"] == "too few sites" and set(by["parent-child"]) == {"consistent"}
    assert set(by["half siblings"]) == {"too few sites"}


def test_the_same_person_twice_is_found() -> None:
    gt = family(3000)[:, [0, 0, 2]]
    ped = read_ped("F\tA\t0\t0\t1\t1\nF\tB\t0\t0\t1\t1\nF\tC\tA\t0\t1\t2\n")
    checked = check_family(king(dataset(gt, names=["A", "B", "C"])), ped).set_index(["sample_1", "sample_2"])
    assert checked.inferred["A", "B"] == "duplicate" and checked.verdict["A", "B"] == "inconsistent"
    assert checked.verdict["A", "C"] == "consistent"


def test_members_without_a_sample_and_samples_without_a_member_are_passed_over() -> None:
    checked = check_family(king(dataset(family(3000), names=["F", "M", "C", "X1", "X2"])), read_ped(PED))
    assert sorted(zip(checked.sample_1, checked.sample_2, strict=True)) == [("F", "C"), ("F", "M"), ("M", "C")]


def test_plots_of_pairs_families_and_cohorts_are_drawn() -> None:
    kinship = king(dataset(family(1500), names=NAMES))
    assert plot_kinship(check_family(kinship, read_ped(PED)), lang="fr").axes[0].get_ylabel().startswith("Apparentement")
    many = pd.concat([kinship_pairs(kinship)] * 2500, ignore_index=True)
    assert plot_kinship(many).axes[0].collections
    empty = kinship_from_counts(count_pairs(*(pack_block(np.zeros((0, 2, 2), np.int8), np.zeros(0, bool)) for _ in "ab")))
    assert np.isnan(empty).all()
