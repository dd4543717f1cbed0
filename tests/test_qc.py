"""Sample quality: the kernel equals its definition, the numbers equal bcftools stats, memory stays flat."""

import subprocess
import tracemalloc
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genomics_nb.core.reference import Region
from genomics_nb.core.types import InputError
from genomics_nb.population.calls import (
    KINDS,
    SKIPPED,
    allele_kind,
    allele_kinds,
    classify_reference,
    count_block,
    count_block_reference,
    pass_filter,
)
from genomics_nb.population.qc import (
    plot_allele_balance,
    plot_call_rate,
    plot_depth,
    plot_quality,
    plot_ratios,
    qc_table,
    qc_verdicts,
    sample_qc,
)

ALLELE = st.one_of(
    st.text("ACGTNacgt", min_size=1, max_size=5),
    st.sampled_from(["<DEL>", "*", ".", "", "<NON_REF>", "G]17:198982]", "[2:3[A", "<INS:ME:ALU>", "é"]),
)


@given(ref=st.text("ACGTNacgt", min_size=1, max_size=5), alts=st.lists(ALLELE, min_size=1, max_size=4))
def test_vectorised_kinds_equal_the_definition(ref: str, alts: list[str]) -> None:
    found = allele_kinds(np.array([[ref, *alts]], dtype=np.dtypes.StringDType()))
    assert found[0].tolist() == [0] + [allele_kind(ref, alt) for alt in alts]


@st.composite
def blocks(draw: st.DrawFn) -> dict:
    variants, samples = draw(st.integers(0, 12)), draw(st.integers(1, 3))
    ploidy, alleles = draw(st.integers(1, 3)), draw(st.integers(1, 4))

    def array(shape: tuple, low: int, high: int, dtype: type) -> np.ndarray:
        return draw(hnp.arrays(dtype, shape, elements=st.integers(low, high)))

    block = {
        "gt": array((variants, samples, ploidy), -2, alleles - 1, np.int8),
        "kinds": array((variants, alleles), 0, len(KINDS) - 1, np.uint8),
        "region": draw(hnp.arrays(np.uint8, variants, elements=st.sampled_from([*map(int, Region), SKIPPED]))),
    }
    block["kinds"][:, :1] = 0
    if draw(st.booleans()):
        block["depth"] = array((variants, samples), -2, 300, np.int16)
    if draw(st.booleans()):
        block["quality"] = array((variants, samples), -2, 150, np.int32)
    if draw(st.booleans()):
        block["reads"] = array((variants, samples, alleles), -2, 40, np.int32)
    return block


@settings(deadline=None, max_examples=100)
@given(block=blocks(), min_quality=st.integers(0, 99), min_reads=st.integers(1, 30))
def test_kernel_equals_the_reference_on_any_block(block: dict, min_quality: int, min_reads: int) -> None:
    limits = {"min_quality": min_quality, "min_reads": min_reads}
    np.testing.assert_array_equal(count_block(**block, **limits), count_block_reference(**block, **limits))


@settings(deadline=None)
@given(block=blocks(), cut=st.integers(0, 12))
def test_blocks_add_up_wherever_they_are_cut(block: dict, cut: int) -> None:
    first, second = ({k: v[part] for k, v in block.items()} for part in (slice(None, cut), slice(cut, None)))
    np.testing.assert_array_equal(count_block(**first) + count_block(**second), count_block(**block))


def test_padding_is_not_missing_and_half_a_call_is_not_a_call() -> None:
    gt = np.array([[[1, -2], [-1, -2], [-1, 0], [0, -1], [-1, -1], [0, 0]]], dtype=np.int8)
    kinds, _ = classify_reference(gt)
    assert kinds[0].tolist() == [6, 0, 1, 1, 0, 2]  # hap_alt, missing, half, half, missing, hom_ref


def dataset(variants: int = 6, samples: int = 2, **more: object) -> xr.Dataset:
    """A small dataset of autosomal A>G sites, all heterozygous."""
    gt = np.zeros((variants, samples, 2), dtype=np.int8)
    gt[..., 1] = 1
    return xr.Dataset(
        {"call_genotype": (("variants", "samples", "ploidy"), gt),
         "variant_allele": (("variants", "alleles"), np.tile(["A", "G"], (variants, 1))),
         "variant_contig": ("variants", np.zeros(variants, dtype=int)),
         "variant_position": ("variants", np.arange(variants) + 1),
         "contig_id": ("contigs", np.array(["1"])), **more},
        attrs={"genome_build": "GRCh37"})


def test_what_the_file_lacks_is_nan_and_not_zero() -> None:
    table = qc_table(sample_qc(dataset()).load())
    lacking = ["mean_depth", "mean_quality", "het_balance", "het_balance_outside", "hom_alt_ref_share", "ti_tv", "het_hom_ratio"]
    assert table[lacking].isna().all(axis=None)
    assert table["call_rate"].tolist() == [1.0, 1.0]
    assert set(qc_verdicts(sample_qc(dataset()).load(), "genome").query("statistic == 'mean_depth'").verdict) == {"not assessed"}


def test_verdicts_give_their_source_in_both_languages() -> None:
    qc = sample_qc(dataset()).load()
    english, french = (qc_verdicts(qc, "genome", lang=lang) for lang in ("en", "fr"))
    assert english.drop(columns="source").equals(french.drop(columns="source"))
    assert not (set(english.source) & set(french.source))


def test_no_variants_at_all_gives_nan() -> None:
    table = qc_table(sample_qc(dataset(0)).load())
    assert table["call_rate"].isna().all() and (table["n_het"] == 0).all()


def test_a_field_whose_values_are_all_missing_counts_nothing() -> None:
    fields = {"call_DP": (("variants", "samples"), np.full((6, 2), -1)),
              "call_GQ": (("variants", "samples"), np.full((6, 2), np.nan))}
    table = qc_table(sample_qc(dataset(**fields)).load())
    assert table[["mean_depth", "mean_quality"]].isna().all(axis=None)


def test_selected_variants_are_the_only_ones_counted() -> None:
    flags = np.array([[1, 0], [0, 1], [0, 0]] * 2, dtype=bool)
    ds = dataset(filter_id=("filters", np.array(["PASS", "q10"])), variant_filter=(("variants", "filters"), flags))
    assert pass_filter(ds).values.tolist() == [True, False, True] * 2
    assert sample_qc(ds, select=pass_filter(ds, unfiltered=False)).sample_n_het.values.tolist() == [2, 2]


def test_a_filter_without_pass_among_its_names_passes_the_unfiltered() -> None:
    flags = np.array([[1], [0]] * 3, dtype=bool)
    ds = dataset(filter_id=("filters", np.array(["q10"])), variant_filter=(("variants", "filters"), flags))
    assert pass_filter(ds).values.tolist() == [False, True] * 3
    assert not pass_filter(ds, unfiltered=False).values.any()


def test_a_dataset_without_genotypes_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="no call_genotype") as caught:
        sample_qc(dataset().drop_vars("call_genotype"))
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2


def test_a_woman_is_not_worse_called_for_having_no_y() -> None:
    ds = dataset(4, 2)
    ds["contig_id"] = ("contigs", np.array(["1", "Y"]))
    ds["variant_contig"][2:] = 1
    ds["variant_position"][:] = 10_000_000
    ds["call_genotype"][2:, 0] = -1
    assert sample_qc(ds).sample_call_rate.values.tolist() == [1.0, 1.0]


def test_reads_of_any_width_are_used_and_a_depth_of_several_values_is_none() -> None:
    width = {"call_AD": (("variants", "samples", "FORMAT_AD_dim"), np.full((6, 2, 3), 20)),
             "call_DP": (("variants", "samples", "FORMAT_DP_dim"), np.full((6, 2, 2), 20))}
    table = qc_table(sample_qc(dataset(**width)).load())
    assert table["het_balance"].tolist() == [0.5, 0.5] and table["mean_depth"].isna().all()


def test_chunks_in_any_dimension_change_nothing() -> None:
    rng = np.random.default_rng(0)
    ds = dataset(200, 5)
    ds["call_genotype"].values[:] = rng.integers(-1, 2, (200, 5, 2))
    ds["call_AD"] = (("variants", "samples", "alleles"), rng.integers(0, 40, (200, 5, 2)))
    whole = sample_qc(ds).load()
    for chunks in ({"variants": 64}, {"samples": 2}, {"variants": 7, "samples": 1, "alleles": 1, "ploidy": 1}):
        xr.testing.assert_equal(sample_qc(ds.chunk(chunks)).load(), whole)


def test_every_plot_is_drawn_in_both_languages_and_for_files_without_the_field() -> None:
    qc = sample_qc(dataset()).load()
    many = sample_qc(dataset(6, 9)).load()
    for data in (qc, many):
        for plot in (plot_allele_balance, plot_call_rate, plot_depth, plot_quality, plot_ratios):
            english, french = (plot(data, lang=lang).axes[0].get_xlabel() for lang in ("en", "fr"))
            assert english and french


def test_memory_is_bounded_by_the_block_and_not_by_the_file() -> None:
    def peak(variants: int) -> int:
        ds = dataset(4).isel(variants=[0]).drop_vars(["call_genotype", "variant_allele", "variant_contig", "variant_position"])
        block = 1 << 12
        ds["call_genotype"] = (("variants", "samples", "ploidy"), da.zeros((variants, 2, 2), dtype=np.int8, chunks=(block, 2, 2)))
        ds["call_DP"] = (("variants", "samples"), da.ones((variants, 2), dtype=np.int32, chunks=(block, 2)))
        ds["variant_allele"] = (("variants", "alleles"), da.full((variants, 2), "A", dtype="U1", chunks=(block, 2)))
        ds["variant_contig"] = ("variants", da.zeros(variants, dtype=np.int32, chunks=block))
        ds["variant_position"] = ("variants", da.ones(variants, dtype=np.int32, chunks=block))
        tracemalloc.start()
        counted = sample_qc(ds)[["sample_n_hom_ref"]].compute(scheduler="single-threaded")
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert counted.sample_n_hom_ref.values.tolist() == [variants] * 2
        return size

    peak(1 << 12)  # compilation
    assert peak(1 << 17) < 3 * peak(1 << 14)  # eight times the rows


def bcftools_psc(bcftools: str, vcf: Path) -> pd.DataFrame:
    """Per-sample counts of `bcftools stats`."""
    text = subprocess.run([bcftools, "stats", "-s", "-", vcf], check=True, capture_output=True, text=True).stdout
    names = next(line for line in text.splitlines() if line.startswith("# PSC\t")).split("\t")
    rows = [line.split("\t") for line in text.splitlines() if line.startswith("PSC\t")]
    table = pd.DataFrame(rows, columns=[name.split("]")[-1] for name in names]).set_index("sample")
    return table.drop(columns=["# PSC", "id"]).astype(float)


@pytest.mark.parametrize(("file", "build"), [
    ("trio/ashk-trio.vcf.gz", "GRCh37"),
    ("population/1kg_phase3_chr22_16.0-16.5Mb.vcf.gz", "GRCh37"),
    ("population/1kgp_high_coverage_chr1_head.vcf.gz", "GRCh38"),
    ("trio/slivar_comphet-test-case.vcf", "GRCh38"),
    ("bcftools/fill-tags-hemi.vcf", "unknown"),
])
def test_counts_equal_bcftools_stats(file: str, build: str, shared_data: Path, peer, stored) -> None:
    psc = bcftools_psc(peer("bcftools"), shared_data / file)
    qc = sample_qc(stored(shared_data / file, build)).load()
    single = qc.call_counts.sel(kind=["none", "transition", "transversion"]).sum(("region", "kind"))
    ours = pd.DataFrame({
        "nRefHom": qc.sample_n_hom_ref, "nNonRefHom": single.sel(genotype="hom_alt"), "nHets": single.sel(genotype="het"),
        "nTransitions": qc.sample_n_transition - single_haploid(qc, "transition"),
        "nTransversions": qc.sample_n_transversion - single_haploid(qc, "transversion"),
        "nIndels": qc.sample_n_indel - single_haploid(qc, "insertion") - single_haploid(qc, "deletion"),
        "nHapRef": qc.sample_n_hap_ref, "nHapAlt": qc.sample_n_hap_alt, "nMissing": qc.sample_n_missing + qc.sample_n_half,
    }, index=[str(name) for name in qc.sample_id.values])
    pd.testing.assert_frame_equal(ours.astype(float), psc.loc[ours.index, ours.columns], check_names=False)
    ratio = (psc.nTransitions / psc.nTransversions).where(psc.nTransversions > 0)
    if not qc.sample_n_hap_alt.any():
        np.testing.assert_array_equal(qc.sample_ti_tv, ratio.loc[ours.index])
    if "call_DP" in stored(shared_data / file, build):
        np.testing.assert_allclose(np.nan_to_num(qc.sample_mean_depth), psc["average depth"].loc[ours.index], atol=0.051)


def single_haploid(qc: xr.Dataset, kind: str) -> xr.DataArray:
    """Haploid calls of this kind, which bcftools counts apart."""
    return qc.call_counts.sel(genotype="hap_alt", kind=kind).sum("region")


def test_the_giab_trio_looks_like_three_good_exomes(shared_data: Path, stored) -> None:
    ds = stored(shared_data / "trio/ashk-trio.vcf.gz", "GRCh37")
    verdicts = qc_verdicts(sample_qc(ds, select=pass_filter(ds)).load(), assay="exome")
    assert set(verdicts.query("statistic != 'mean_depth'").verdict) == {"ok"}, verdicts[verdicts.verdict != "ok"]
