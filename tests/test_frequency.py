"""Allele frequencies by group and sex, intervals and quality, against plink2, bcftools, the 1000 Genomes and the store."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.reference import Region
from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.population.frequency import (
    ADJ, SUMS, adj_block, adj_mask, adj_reference, allele_counts, allele_frequencies, clopper_pearson, count_person, frequency,
    frequency_intervals, plot_external, plot_spectrum, populations_of, same_alleles, sums_of)
from genomics_nb.population.genotype_counts import SEXES, count_genotypes
from genomics_nb.population.planes import pack

SLICE = "population/1kg_phase3_chr22_16.0-16.5Mb.vcf.gz"
PSAM = "population/1kg_samples.psam"
INFO = "%POS\t%REF\t%ALT\t%AC\t%AN\t%AF\t%AFR_AF\t%AMR_AF\t%EAS_AF\t%EUR_AF\t%SAS_AF\n"


def cohort(contigs: list[str], positions: list[int], gt: np.ndarray, build: str = "GRCh38") -> xr.Dataset:
    names = list(dict.fromkeys(contigs))
    return xr.Dataset(
        {"call_genotype": (("variants", "samples", "ploidy"), gt), "variant_allele": (("variants", "alleles"), np.full((len(gt), 2), ["A", "G"], object)),
         "variant_contig": ("variants", [names.index(c) for c in contigs]), "variant_position": ("variants", positions),
         "contig_id": ("contigs", names), "sample_id": ("samples", [f"P{i}" for i in range(gt.shape[1])])}, attrs={"genome_build": build})


def vcf_of(ds: xr.Dataset, path: Path) -> Path:
    """Write GT only; a man's calls outside PAR as they stand in the dataset."""
    names = ds["contig_id"].values
    lines = ["##fileformat=VCFv4.3", '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">', *[f"##contig=<ID={n}>" for n in names],
             "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *ds["sample_id"].values])]
    for v in range(ds.sizes["variants"]):
        calls = ["/".join("." if a == -1 else str(a) for a in call if a != -2) for call in ds["call_genotype"].values[v].tolist()]
        lines.append("\t".join([names[ds["variant_contig"].values[v]], str(ds["variant_position"].values[v]), f"v{v}", "A", "G", ".", ".", ".", "GT", *calls]))
    path.write_text("\n".join(lines) + "\n")
    return path


# one person, one stratum

def test_the_table_of_sums_is_that_of_the_store() -> None:
    """`store.counts.count_call` is written for copies, this for genotypes: they agree wherever both can be asked."""
    from genomics_nb.store.alleles import DIPLOID, FEMALE, MALE, MITO, UNKNOWN, X_NONPAR, Y_NONPAR
    from genomics_nb.store.counts import count_call

    places = {Region.AUTOSOME: DIPLOID, Region.X_PAR: DIPLOID, Region.X_NONPAR: X_NONPAR, Region.Y_NONPAR: Y_NONPAR, Region.MT: MITO}
    sexes = {"unknown": UNKNOWN, "male": MALE, "female": FEMALE}
    for genotype, copies in ((0, (0, 0)), (1, (0, 1)), (2, (1, 1)), (3, (-1, -1))):
        for region, place in places.items():
            for sex, code in sexes.items():
                theirs = count_call(*copies, place, code)
                assert count_person(genotype, region, sex) == theirs, (genotype, region, sex)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_sums_over_strata_are_sums_over_people(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, strata = int(rng.integers(0, 8)), int(rng.integers(1, 4))
    count, region = rng.integers(0, 4, (rows, strata, 4)), rng.integers(0, len(Region), rows)
    sex = rng.choice(SEXES, strata)
    slow = np.zeros((rows, strata, len(SUMS)), int)
    for v, s, g in np.ndindex(rows, strata, 4):
        slow[v, s] += count[v, s, g] * np.array(count_person(g, int(region[v]), sex[s]))
    assert np.array_equal(sums_of(count, region, sex), slow)


def test_populations_are_sums_of_strata() -> None:
    sets = populations_of(["north", "north", "south", ""], ["female", "male", "female", "unknown"])
    assert list(sets) == ["all", "all_female", "all_male", "north", "north_female", "north_male", "south", "south_female"]
    assert sets["all"].all() and sets["all_female"].tolist() == [True, False, True, False]
    assert list(populations_of(["north"], ["male"], by_sex=False)) == ["all", "north"]


def test_nothing_read_is_unknown_and_not_zero() -> None:
    found = frequency(cohort(["1"], [10], np.full((1, 3, 2), -1, np.int8))).compute()
    assert found["variant_AN"].values.tolist() == [[0]] and np.isnan(found["variant_AF"].values).all()
    assert np.isnan(frequency_intervals(found)["variant_AF_high"].values).all()


def test_without_sex_nothing_is_counted_on_x_and_y() -> None:
    gt = np.ones((3, 4, 2), np.int8)
    found = frequency(cohort(["X", "Y", "X"], [50_000_000, 10_000_000, 100_000], gt)).compute()
    assert found["variant_AN"].values.ravel().tolist() == [0, 0, 8] and found["variant_carriers"].values.ravel().tolist() == [4, 4, 4]


def test_frequencies_are_lazy_and_the_same_when_computed() -> None:
    rng = np.random.default_rng(0)
    ds = cohort(["1"] * 40, list(range(1, 41)), rng.integers(-1, 2, (40, 9, 2)).astype(np.int8))
    lazy = frequency(ds.chunk(variants=7), groups=list("aabbccabc"), sex=[1, 2] * 4 + [0])
    assert lazy["variant_AF"].chunks is not None
    xr.testing.assert_identical(lazy.compute(), frequency(ds, groups=list("aabbccabc"), sex=[1, 2] * 4 + [0]).compute())


# intervals

@settings(deadline=None, max_examples=60)
@given(an=st.integers(1, 3000), share=st.floats(0, 1), level=st.sampled_from([0.9, 0.95, 0.99]))
def test_the_ends_of_an_interval_make_the_count_just_surprising(an: int, share: float, level: float) -> None:
    from scipy.stats import binom

    ac = round(an * share)
    low, high, one_sided = clopper_pearson(ac, an, level)
    assert low <= ac / an <= high and bool(one_sided) == (ac == 0)
    if ac:
        assert binom.sf(ac - 1, an, low) == pytest.approx((1 - level) / 2, rel=1e-6)
    if ac < an:
        assert binom.cdf(ac, an, high) == pytest.approx((1 - level) / (1 if ac == 0 else 2), rel=1e-6)


def test_impossible_counts_and_levels_are_refused() -> None:
    with pytest.raises(ParameterError, match="above its allele number"):
        clopper_pearson(3, 2)
    with pytest.raises(ParameterError, match="level 95"):
        clopper_pearson(1, 2, level=95)


# quality

@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_the_compiled_mask_is_the_plain_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(0, 12)), int(rng.integers(1, 6)))
    gt = rng.integers(-1, 4, (*shape, 2)).astype(np.int8)
    gt[rng.random(shape) < 0.2, 1] = -2
    quality, depth = rng.integers(-1, 60, shape), rng.integers(-1, 30, shape).astype(np.float32)
    depth[rng.random(shape) < 0.1] = np.nan
    reads, single = rng.integers(-1, 12, (*shape, 3)), rng.random(shape) < 0.3
    for q in (None, quality):
        for d in (None, depth):
            for r in (None, reads):
                assert np.array_equal(adj_block(gt, q, d, r, single), adj_reference(gt, q, d, r, single))


def test_each_limit_of_adj_is_reached_and_missed() -> None:
    def kept(gt: list[int], gq: int, dp: int, ad: list[int], single: bool = False) -> bool:
        return bool(adj_block(np.array([[gt]], np.int8), np.array([[gq]]), np.array([[dp]]), np.array([[ad]]), np.array([[single]]))[0, 0])

    assert kept([0, 1], 20, 10, [8, 2, 0]) and not kept([0, 1], 19, 10, [8, 2, 0])
    assert not kept([0, 1], 20, 9, [7, 2, 0]) and not kept([0, 1], 20, 20, [17, 3, 0])
    assert kept([0, 0], 20, 10, [10, 0, 0]) and not kept([0, -1], 99, 99, [50, 49, 0])
    assert kept([1, -2], 20, 5, [0, 5, 0]) and not kept([1, -2], 20, 4, [0, 4, 0])
    assert kept([1, 1], 20, 5, [0, 5, 0], single=True) and not kept([1, 1], 20, 5, [0, 5, 0])
    assert kept([1, 2], 20, 10, [0, 8, 2]) and not kept([1, 2], 20, 10, [0, 9, 1])
    assert not kept([0, 1], -1, 10, [8, 2, 0]) and not kept([0, 1], 20, 10, [8, -1, 0])
    assert (ADJ.quality, ADJ.depth, ADJ.single_depth, ADJ.balance) == (20, 10, 5, 0.2)


def test_what_fails_adj_is_missing_and_not_reference() -> None:
    gt = np.array([[[0, 1], [0, 0], [1, 1]], [[0, 1], [0, 0], [1, 1]]], np.int8)
    ds = cohort(["1", "2"], [5, 6], gt).assign(call_GQ=(("variants", "samples"), [[30, 10, 30], [10, 30, 10]])).chunk(variants=1)
    mask = adj_mask(ds)
    assert mask.attrs["measures"] == ["GQ"] and mask.values.tolist() == [[True, False, True], [False, True, False]]
    found = frequency(pack(ds, keep=mask)).compute()
    assert found["variant_AC"].values.ravel().tolist() == [3, 0] and found["variant_AN"].values.ravel().tolist() == [4, 2]


def test_a_man_on_x_needs_fewer_reads() -> None:
    gt = np.array([[[1, 1], [1, 1]]] * 2, np.int8)
    ds = cohort(["X", "1"], [50_000_000, 9], gt).assign(call_DP=(("variants", "samples"), [[6, 6]] * 2))
    assert adj_mask(ds, sex=["male", "female"]).values.tolist() == [[True, False], [False, False]]
    assert adj_mask(ds).values.tolist() == [[False, False]] * 2


# beside another panel

def test_alleles_are_found_by_place_and_letters_and_builds_must_agree() -> None:
    one = cohort(["chr1", "chr2"], [5, 6], np.zeros((2, 1, 2), np.int8))
    other = cohort(["2", "1"], [6, 5], np.zeros((2, 1, 2), np.int8))
    assert same_alleles(one, other).tolist() == [1, 0]
    other["variant_allele"] = other["variant_allele"].copy(data=[["A", "T"], ["A", "G"]])
    assert same_alleles(one, other).tolist() == [1, -1]
    with pytest.raises(InputError, match="GRCh37 and GRCh38"):
        same_alleles(one, other.assign_attrs(genome_build="GRCh37"))


def test_the_plots_speak_both_languages() -> None:
    found = frequency(cohort(["1"] * 4, [1, 2, 3, 4], np.eye(4, dtype=np.int8)[:, :, None].repeat(2, 2))).compute()
    assert plot_spectrum(found, lang="fr").axes[0].get_xlabel() == "Fréquence allélique"
    figure = plot_external(found, [0.25, np.nan, 0.99, 0.2], lang="fr")
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == ["intervalle contenant l’autre (2)", "intervalle ne la contenant pas (1)"]


# peers

@pytest.fixture(scope="module")
def people(shared_data: Path) -> pd.DataFrame:
    return pd.read_table(shared_data / PSAM).set_index("#IID")


@pytest.fixture(scope="module")
def found(shared_data: Path, stored: Callable[..., xr.Dataset], people: pd.DataFrame) -> xr.Dataset:
    ds = stored(shared_data / SLICE, "GRCh37")
    some = people.loc[ds["sample_id"].values]
    return frequency(ds, groups=some["SuperPop"].to_numpy(), sex=some["SEX"].to_numpy()).compute()


@pytest.fixture(scope="module")
def split(shared_data: Path, peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("split") / "split.bcf"
    subprocess.run([peer("bcftools"), "norm", "-m-any", "-Ob", "-o", path, shared_data / SLICE], check=True, capture_output=True)
    return path


def query(bcftools: str, path: Path, fields: str) -> pd.DataFrame:
    text = subprocess.run([bcftools, "query", "-f", fields, path], check=True, capture_output=True, text=True).stdout
    return pd.DataFrame([line.split("\t") for line in text.splitlines()], columns=[f.strip().lstrip("%") for f in fields.split("\t")])


def test_the_1000_genomes_slice_has_the_counts_of_its_own_info(found: xr.Dataset, split: Path, peer: Callable[[str], str]) -> None:
    """AC, AN and AF in total and AF by super-population, which the file gives to few digits."""
    info = query(peer("bcftools"), split, INFO)
    total = found.sel(populations="all")
    assert np.array_equal(total["variant_AC"], info["AC"].astype(int)) and np.array_equal(total["variant_AN"], info["AN"].astype(int))
    np.testing.assert_allclose(total["variant_AF"], info["AF"].astype(float), rtol=5e-6)
    for name in ("AFR", "AMR", "EAS", "EUR", "SAS"):
        np.testing.assert_allclose(found["variant_AF"].sel(populations=name), info[f"{name}_AF"].astype(float), atol=5.1e-5)


def test_the_1000_genomes_slice_is_counted_as_bcftools_does(found: xr.Dataset, split: Path, people: pd.DataFrame, tmp_path: Path,
                                                            peer: Callable[[str], str]) -> None:
    (tmp_path / "groups").write_text("".join(f"{name}\t{group}\n" for name, group in people["SuperPop"].items()))
    subprocess.run([peer("bcftools"), "+fill-tags", split, "-Ob", "-o", tmp_path / "tags.bcf", "--", "-S", tmp_path / "groups", "-t", "AC,AN,AC_Hom"],
                   check=True, capture_output=True)
    names = ["AFR", "AMR", "EAS", "EUR", "SAS"]
    tags = query(peer("bcftools"), tmp_path / "tags.bcf", "\t".join(f"%{tag}_{n}" for n in names for tag in ("AC", "AN", "AC_Hom")) + "\n").astype(int)
    for n in names:
        one = found.sel(populations=n)
        assert np.array_equal(one["variant_AC"], tags[f"AC_{n}"]) and np.array_equal(one["variant_AN"], tags[f"AN_{n}"])
        assert np.array_equal(2 * one["variant_homozygotes"], tags[f"AC_Hom_{n}"])


def test_the_1000_genomes_slice_is_counted_as_plink2_does(found: xr.Dataset, split: Path, tmp_path: Path, peer: Callable[[str], str]) -> None:
    subprocess.run([peer("plink2"), "--bcf", split, "--freq", "counts", "--threads", "1", "--out", tmp_path / "p"], check=True, capture_output=True)
    theirs = pd.read_table(tmp_path / "p.acount")
    total = found.sel(populations="all")
    assert np.array_equal(total["variant_AC"], theirs["ALT_CTS"]) and np.array_equal(total["variant_AN"], theirs["OBS_CT"])


def test_x_is_counted_by_sex_as_plink2_does(tmp_path: Path, peer: Callable[[str], str]) -> None:
    """Men outside PAR count one copy, their heterozygous calls none; inside PAR everybody counts two."""
    rng = np.random.default_rng(5)
    gt = rng.integers(0, 2, (60, 40, 2)).astype(np.int8)
    gt[rng.random((60, 40)) < 0.1] = -1
    positions = [*range(100_000, 100_020), *range(50_000_000, 50_000_040)]
    sex = np.array(["male", "female"] * 20)
    ds = cohort(["X"] * 60, positions, gt)
    vcf = vcf_of(ds, tmp_path / "x.vcf")
    (tmp_path / "x.psam").write_text("#IID\tSEX\n" + "".join(f"P{i}\t{1 if s == 'male' else 2}\n" for i, s in enumerate(sex)))
    base = [peer("plink2"), "--vcf", vcf, "--psam", tmp_path / "x.psam", "--split-par", "hg38", "--vcf-half-call", "missing", "--threads", "1"]
    subprocess.run([*base, "--make-pgen", "--sort-vars", "--out", tmp_path / "s"], check=True, capture_output=True)
    subprocess.run([peer("plink2"), "--pfile", tmp_path / "s", "--set-hh-missing", "--make-pgen", "--out", tmp_path / "t"], check=True, capture_output=True)
    subprocess.run([peer("plink2"), "--pfile", tmp_path / "t", "--freq", "counts", "--out", tmp_path / "f"], check=True, capture_output=True)
    theirs = pd.read_table(tmp_path / "f.acount").set_index("ID").loc[[f"v{i}" for i in range(60)]]
    found = frequency(ds, sex=sex).compute().sel(populations="all")
    assert np.array_equal(found["variant_AC"], theirs["ALT_CTS"]) and np.array_equal(found["variant_AN"], theirs["OBS_CT"])


def test_a_cohort_of_the_store_counts_the_same(tmp_path: Path) -> None:
    """`cad.frequencies` keeps sums person by person; counting its genotypes again gives the same numbers."""
    from genomics_nb.store.cad import synthetic_store

    cad = synthetic_store(tmp_path / "store")
    cad.build_cohort("c", "GRCh38", "research")
    cad.add_to_cohort("c")
    kept, gt = cad.frequencies("c", purpose="research"), cad.genotypes("c", purpose="research")
    members = cad.pedigree(cad.case_rows()[0]["case"]).members
    sex = [members[str(name)].sex for name in gt["sample_id"].values]
    ours = allele_counts(count_genotypes(gt, sex=sex)).compute()
    assert np.array_equal(ours.sizes["variants"], kept.sizes["variants"]) and {"male", "female"} <= set(sex)
    regions = set(pack(gt)["variant_region"].values.tolist())
    assert Region.AUTOSOME in regions and Region.X_NONPAR in regions
    copies = gt["call_genotype"].values
    whole = ~((copies == -1).any(-1) & (copies >= 0).any(-1)).any(-1)  # of a half call the store counts the half that was read
    assert whole.sum() > 2000
    for name in SUMS:
        for one in ("male", "female"):
            mine, theirs = (d[f"variant_{name}"].isel(strata=np.flatnonzero(d["stratum_sex"].values == one)).sum("strata") for d in (ours, kept))
            assert np.array_equal(mine.values[whole], theirs.values[whole]), (name, one)
    both = [allele_frequencies(one)["variant_AF"].sel(populations="all").values[whole] for one in (kept, ours)]
    assert np.array_equal(*both, equal_nan=True)


def test_counts_of_a_store_become_frequencies() -> None:
    """The form of `cad.frequencies`: (variants, strata) with unknown sex among the strata."""
    kept = xr.Dataset({"variant_AC": (("variants", "strata"), [[1, 2, 3]]), "variant_AN": (("variants", "strata"), [[10, 20, 30]]),
                       "stratum_group": ("strata", ["n", "n", "s"]), "stratum_sex": ("strata", ["unknown", "female", "male"])})
    found = allele_frequencies(kept)
    assert found["populations"].values.tolist() == ["all", "all_female", "all_male", "n", "n_female", "s", "s_male"]
    assert found["variant_AC"].values.tolist() == [[6, 2, 3, 3, 2, 3, 3]] and float(found["variant_AF"][0, 0]) == 0.1
