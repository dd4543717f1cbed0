"""Logistic association: the kernel equals Newton's method by the book, the scan equals plink2, and cases are who they are said to be."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import array_api_strict as strict
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.kernels import kernel, reference, to_host
from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.population.case_control import TESTS, logistic_gwas, logistic_hits
from genomics_nb.population.logistic import ERRORS, case_controls, logistic_reference
from genomics_nb.population.planes import pack_block


def cohort(gt: np.ndarray) -> xr.Dataset:
    sites, samples = gt.shape[:2]
    return xr.Dataset(
        {"call_genotype": (("variants", "samples", "ploidy"), gt.astype(np.int8)),
         "variant_contig": ("variants", np.zeros(sites, np.int8)),
         "variant_position": ("variants", np.arange(sites) + 1),
         "variant_allele": (("variants", "alleles"), np.tile(np.array(["A", "G"], object), (sites, 1))),
         "contig_id": ("contigs", np.array(["1"], object)),
         "sample_id": ("samples", np.array([f"S{i:04d}" for i in range(samples)], object))},
        attrs={"genome_build": "GRCh37"})


def draw(samples: int, sites: int, missing: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    frequency = rng.beta(0.4, 0.6, sites)
    gt = (rng.random((sites, samples, 2)) < frequency[:, None, None]).astype(np.int8)
    gt[rng.random((sites, samples)) < missing] = -1
    return gt


@settings(deadline=None, max_examples=25)
@given(samples=st.integers(40, 150), k=st.integers(0, 3), missing=st.sampled_from([0, 0.02, 0.3]), seed=st.integers(0, 10_000))
def test_kernel_equals_newton_by_the_book(samples: int, k: int, missing: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gt = draw(samples, 30, missing, seed)
    covariates = rng.normal(size=(samples, k)) * [12, 1, 1e-3][:k] + [50, 0, 1][:k]
    case = (rng.random(samples) < 0.35).astype(float)
    case[:2] = 0, 1
    case[rng.random(samples) < 0.1] = np.nan
    (d,) = case_controls(case[:, None], covariates, ["ill"], [str(i) for i in range(k)])
    arrays = (pack_block(gt), d.people, d.who, d.design, d.case, d.start)
    fast, facts = kernel("logistic_block")(*arrays)
    slow, expected = reference("logistic_block")(*arrays)
    np.testing.assert_array_equal(facts[:, [0, 1, 4, 5]], expected[:, [0, 1, 4, 5]])
    # whether a fit near separation settles in its steps, or is handed to Firth's penalty, may differ: a huge β tells
    same = (facts == expected).all(1)
    assert (~same).sum() <= 1 and (abs(slow[~same, 1]) > 5).sum() + (abs(fast[~same, 1]) > 5).sum() >= (~same).sum()
    np.testing.assert_allclose(fast[same], slow[same], rtol=2e-5, atol=1e-6)
    score = reference("logistic_score")(*arrays)
    np.testing.assert_allclose(kernel("logistic_score")(*arrays), score, rtol=1e-8, atol=1e-8)
    twin, twin_facts = (to_host(x) for x in kernel("logistic_block")(*map(strict.asarray, arrays)))
    same = (twin_facts == facts).all(1)
    assert (~same).sum() <= 1 and (abs(fast[~same, 1]) > 5).sum() + (abs(twin[~same, 1]) > 5).sum() >= (~same).sum()
    np.testing.assert_allclose(twin[same], fast[same], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(to_host(kernel("logistic_score")(*map(strict.asarray, arrays))), score, rtol=1e-8, atol=1e-8)


def plink2_glm(program: str, vcf: Path, table: pd.DataFrame, phenotypes: list[str], covariates: list[str],
               folder: Path) -> pd.DataFrame:
    """Every result of `plink2 --glm`, in the order of the file, with a column `phenotype`."""
    for name, columns in (("pheno", phenotypes), ("covar", covariates)):
        table[["sample_id", *columns]].rename(columns={"sample_id": "#IID"}).to_csv(
            folder / name, sep="\t", index=False, na_rep="NA", float_format="%.17g")
    done = subprocess.run(
        [program, "--vcf", vcf, "--vcf-half-call", "m", "--pheno", folder / "pheno", "--1", "--covar", folder / "covar",
         "--covar-variance-standardize", "--threads", "2", "--out", folder / "glm", "--glm", "omit-ref", "hide-covar", "log10",
         "cols=+a1freq,+a1freqcc,+beta"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
    parts = [pd.read_csv(next(folder.glob(f"glm.{name}.glm.*")), sep="\t") for name in phenotypes]
    return pd.concat(parts, keys=phenotypes, names=["phenotype"]).reset_index("phenotype")


def compare(gwas: xr.Dataset, theirs: pd.DataFrame, phenotypes: list[str]) -> None:
    """Counts, codes and the choice of test are identical. plink2 fits in single precision and stops early: three digits.

    The standard errors of plink2 2.00a3.5 are off by up to 4 % in some variants whose number of people is no multiple of four
    (its β is right there); those are held against the textbook's Newton alone, in the tests of the kernel."""
    for p, name in enumerate(phenotypes):
        of = theirs[theirs.phenotype == name]
        one = gwas.isel(phenotypes=p)
        np.testing.assert_array_equal(one.stat_n, of.OBS_CT)
        np.testing.assert_allclose(one.stat_a1_freq, of.A1_FREQ, rtol=1e-5)
        np.testing.assert_allclose(one.stat_a1_freq_cases, of.A1_CASE_FREQ, rtol=1e-5)
        np.testing.assert_allclose(one.stat_a1_freq_controls, of.A1_CTRL_FREQ, rtol=1e-5)
        codes = np.array(ERRORS, object)[one.stat_error.values]
        same = {".": "", "CONST_OMITTED_ALLELE": "CONST_ALLELE", "CORR_TOO_HIGH": "VIF_TOO_HIGH", "UNFINISHED": ""}
        np.testing.assert_array_equal(codes, of.ERRCODE.replace(same).to_numpy())
        finished = (of.ERRCODE != "UNFINISHED").to_numpy()
        fitted = (codes == "") & finished
        firth = (of["FIRTH?"] == "Y").to_numpy()
        assert (~finished).sum() < 3 and fitted.sum() > 100 and 5 < firth.sum() < fitted.sum()
        np.testing.assert_array_equal(one.stat_test.values[fitted] == TESTS.index("Firth"), firth[fitted])
        beta, se, minus_log10_p = (of[c].astype(float).to_numpy() for c in ("BETA", "SE", "LOG10_P"))
        assert (abs(one.stat_beta.values - beta)[fitted] < 1e-3 * one.stat_se.values[fitted]).all()
        right = fitted & (of.OBS_CT % 4 == 0).to_numpy()
        np.testing.assert_allclose(one.stat_se.values[right], se[right], rtol=1e-3)
        np.testing.assert_allclose(one.stat_minus_log10_p.values[right], minus_log10_p[right], rtol=2e-3, atol=1e-3)


def table_of(ds: xr.Dataset, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = ds.sizes["samples"]
    return pd.DataFrame({"sample_id": [str(name) for name in ds.sample_id.values], "age": rng.normal(50, 12, n).round(1),
                         "sex": rng.integers(1, 3, n), "PC1": rng.normal(size=n), "PC2": rng.normal(size=n)})


def ill(table: pd.DataFrame, logit: np.ndarray | float, seed: int) -> np.ndarray:
    logit = logit + 0.02 * (table.age - 50) + 0.3 * table.PC1
    return (np.random.default_rng(seed).random(len(table)) < 1 / (1 + np.exp(-logit))).astype(float)


def test_slice_of_1000_genomes_equals_plink2(shared_data: Path, peer: Callable[[str], str],
                                             stored: Callable[..., xr.Dataset], tmp_path: Path) -> None:
    vcf = tmp_path / "split.vcf.gz"
    subprocess.run([peer("bcftools"), "norm", "-m-", "-r", "22:16050000-16250000", "-Oz", "-o", vcf,
                    shared_data / "population/1kg_phase3_chr22_16.0-16.5Mb.vcf.gz"], check=True, capture_output=True)
    ds = stored(vcf, "GRCh37")
    table = table_of(ds, 1)
    copies = (ds.call_genotype.values > 0).sum(2)
    causal = int(np.argmin(abs(copies.mean(1) - 0.5)))
    table["common"] = ill(table, -0.8 + 0.9 * copies[causal], 2)
    table["rare"] = ill(table, -3.2, 3)  # few cases: many empty cells
    table.loc[table.index % 9 == 0, "rare"] = np.nan
    covariates = ["age", "sex", "PC1", "PC2"]
    theirs = plink2_glm(peer("plink2"), vcf, table, ["common", "rare"], covariates, tmp_path)
    gwas = logistic_gwas(ds, table.sample(frac=1, random_state=2), ["common", "rare"], covariates).compute()
    compare(gwas, theirs, ["common", "rare"])
    assert float(gwas.stat_minus_log10_p[causal, 0]) > 15
    assert abs(float(gwas.stat_beta[causal, 0]) - 0.9) < 4 * float(gwas.stat_se[causal, 0])


def test_missing_calls_equal_plink2(peer_module: Callable[[str], object], peer: Callable[[str], str],
                                    stored: Callable[..., xr.Dataset], tmp_path: Path) -> None:
    msprime = peer_module("msprime")
    trees = msprime.sim_ancestry(400, sequence_length=30_000, recombination_rate=1e-8, population_size=10_000, random_seed=8)
    trees = msprime.sim_mutations(trees, rate=3e-8, random_seed=9, model=msprime.BinaryMutationModel())
    gt = trees.genotype_matrix().reshape(trees.num_sites, 400, 2).astype(np.int8)
    rng = np.random.default_rng(7)
    gt[rng.random(gt.shape[:2]) < rng.choice([0.0, 0.03, 0.3], (len(gt), 1), p=[0.3, 0.6, 0.1])] = -1
    names = [f"S{i:04d}" for i in range(400)]
    text = ["##fileformat=VCFv4.2", "##contig=<ID=1,length=60000>", '##FORMAT=<ID=GT,Number=1,Type=String,Description="G">',
            "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *names])]
    for i, row in enumerate(gt):
        calls = ["./." if a < 0 else f"{a}|{b}" for a, b in row]
        text.append("\t".join(["1", str(10 * i + 1), ".", "A", "G", ".", "PASS", ".", "GT", *calls]))
    vcf = tmp_path / "s.vcf"
    vcf.write_text("\n".join(text) + "\n")
    ds = stored(vcf)
    table = table_of(ds, 4)
    table["ill"] = ill(table, -0.5, 5)
    theirs = plink2_glm(peer("plink2"), vcf, table, ["ill"], ["age", "sex", "PC1"], tmp_path)
    gwas = logistic_gwas(ds.chunk(variants=64), table, ["ill"], ["age", "sex", "PC1"]).compute()
    assert int(gwas.stat_n.min()) < int(gwas.stat_n.max())
    compare(gwas, theirs, ["ill"])


def test_complete_separation_gets_a_finite_answer() -> None:
    gt = np.zeros((3, 60, 2), np.int8)
    gt[0, :9, 0] = 1  # carried by cases alone
    gt[1, :30, 0] = 1  # by every case and no control
    gt[2, 25:35, 0] = 1
    case = np.repeat([1.0, 0.0], 30)
    ds = cohort(gt)
    gwas = logistic_gwas(ds, pd.DataFrame({"sample_id": ds.sample_id.values, "ill": case}), ["ill"]).compute()
    assert [TESTS[t] for t in gwas.stat_test[:, 0].values] == ["Firth", "Firth", "Wald"]
    assert np.isfinite(gwas.stat_beta).all() and (gwas.stat_error == 0).all() and (gwas.stat_beta[:2] > 2).all()
    cells = np.log((9.5 * 30.5) / (21.5 * 0.5))  # Firth's penalty adds half a person to each cell of a 2 x 2 table
    np.testing.assert_allclose(float(gwas.stat_beta[0, 0]), cells, rtol=1e-5)


def test_odds_ratio_of_a_table_is_the_cross_product() -> None:
    copies = np.repeat([1, 0, 1, 0], [12, 8, 5, 15])
    beta, se, n = logistic_reference(copies, np.empty((40, 0)), np.repeat([1.0, 0.0], 20))
    assert n == 40 and np.isclose(np.exp(beta), 12 * 15 / (8 * 5)) and np.isclose(se, np.sqrt(1 / 12 + 1 / 8 + 1 / 5 + 1 / 15))


def test_null_p_values_are_uniform() -> None:
    ds = cohort(draw(500, 300, 0.01, 1))
    rng = np.random.default_rng(2)
    names = [f"D{i}" for i in range(8)]
    table = pd.DataFrame(rng.integers(0, 2, (500, 8)), columns=names).assign(sample_id=ds.sample_id.values)
    for screen in (None, 0.3):
        gwas = logistic_gwas(ds, table, names, screen=screen).compute()
        common = (gwas.stat_a1_freq[:, 0] > 0.05) & (gwas.stat_a1_freq[:, 0] < 0.95)
        p = 10.0 ** -gwas.stat_minus_log10_p.values[common]
        assert abs((p < 0.05).mean() - 0.05) < 0.02 and abs((p < 0.5).mean() - 0.5) < 0.04


def test_the_screen_loses_no_hit_and_says_which_test_was_made() -> None:
    gt = draw(500, 300, 0.02, 5)
    gt[:40, :, :][np.random.default_rng(0).random((40, 500)) < 0.2] = -1
    ds = cohort(gt)
    table = table_of(ds, 3)
    causal = int(np.argmin(abs(np.maximum(gt, 0).sum(2).mean(1) - 0.8)))
    table["ill"] = ill(table, -1 + 0.9 * np.maximum(gt[causal], 0).sum(1), 4)
    everything = logistic_hits(ds, table, ["ill"], ["age", "PC1"], keep=1e-3)
    for rows in (300, 64):
        screened = logistic_hits(ds.chunk(variants=rows), table, ["ill"], ["age", "PC1"], keep=1e-3, screen=0.1)
        pd.testing.assert_frame_equal(screened, everything)
    assert everything["row"][0] == causal and len(everything) >= 1
    quick = logistic_gwas(ds, table, ["ill"], ["age", "PC1"], screen=0.1).compute()
    scored = (quick.stat_test[:, 0] == TESTS.index("score")).values
    assert 100 < scored.sum() < 300 and not scored[:40].any()  # many calls missing: fitted in any case
    assert (quick.stat_minus_log10_p.values[scored] <= 1 + 1e-6).all()
    with pytest.raises(ParameterError, match="loses hits"):
        logistic_hits(ds, table, ["ill"], keep=0.01, screen=0.05)
    with pytest.raises(ParameterError, match="screen is a p-value"):
        logistic_gwas(ds, table, ["ill"], screen=5)


@pytest.mark.parametrize(("values", "message"), [
    ([0, 1, 2, 1], "holds 0, 1, 2"), ([1.5, 0, 1, 1], "holds 0, 1, 1.5"), ([1, 1, 1, 1], "only cases, only controls"),
    ([2, 2, 2, 2], "only cases, only controls"), ([-9, 1, 2, 1], "holds -9, 1, 2")])
def test_cases_are_coded_in_one_of_two_ways(values: list[float], message: str) -> None:
    ds = cohort(np.zeros((1, 4, 2)))
    table = pd.DataFrame({"sample_id": ds.sample_id.values, "ill": values})
    with pytest.raises(InputError, match=f"field ill: .*{message}"):
        logistic_gwas(ds, table, ["ill"])


def test_both_codings_are_the_same_and_wrong_names_are_refused() -> None:
    ds = cohort(draw(80, 20, 0.02, 5))
    table = table_of(ds, 3)
    table["a"] = ill(table, 0, 4)
    table["b"] = table["a"] + 1
    gwas = logistic_gwas(ds, table, ["a", "b"]).compute()
    np.testing.assert_array_equal(gwas.stat_beta[:, 0], gwas.stat_beta[:, 1])
    with pytest.raises(ParameterError, match="no phenotype 'aa'"):
        logistic_gwas(ds, table, ["aa"])
    with pytest.raises(InputError, match="field perfect: covariates alone|covariates alone tell cases"):
        logistic_gwas(ds, table.assign(perfect=table.a + 0.001 * table.age), ["a"], ["perfect"])
