"""Linear association: the kernel equals least squares, the scan equals plink2, and people meet by name alone."""

import decimal
import math
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
from genomics_nb.core.types import InputError, ParameterError, StoreError
from genomics_nb.population.association import linear_gwas, linear_hits, write_gwas
from genomics_nb.population.linear import ERRORS, regress_reference
from genomics_nb.population.planes import pack_block
from genomics_nb.population.regression import align_people, designs, minus_log10_p
from genomics_nb.store.working import open_copy


def cohort(gt: np.ndarray, names: list[str] | None = None) -> xr.Dataset:
    sites, samples = gt.shape[:2]
    return xr.Dataset(
        {"call_genotype": (("variants", "samples", "ploidy"), gt.astype(np.int8)),
         "variant_contig": ("variants", np.zeros(sites, np.int8)),
         "variant_position": ("variants", np.arange(sites) + 1),
         "variant_allele": (("variants", "alleles"), np.tile(np.array(["A", "G"], object), (sites, 1))),
         "contig_id": ("contigs", np.array(["1"], object)),
         "sample_id": ("samples", np.array(names or [f"S{i:04d}" for i in range(samples)], object))},
        attrs={"genome_build": "GRCh37"})


def draw(samples: int, sites: int, missing: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    frequency = rng.beta(0.4, 0.6, sites)  # common and rare, ALT often the major allele
    gt = (rng.random((sites, samples, 2)) < frequency[:, None, None]).astype(np.int8)
    gt[rng.random((sites, samples)) < missing] = -1
    return gt


def close(found: np.ndarray, expected: np.ndarray) -> None:
    """Ten digits of the estimate, or of its standard error where the estimate is nothing but noise of rounding."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    error = np.where(expected[:, 1:] > 0, expected[:, 1:], 1)
    assert np.nanmax(abs(found - expected) / np.maximum(abs(expected), error), initial=0) < 1e-9


@settings(deadline=None, max_examples=40)
@given(samples=st.integers(12, 150), k=st.integers(0, 4), traits=st.integers(1, 5), missing=st.sampled_from([0, 0.02, 0.4]),
       seed=st.integers(0, 10_000))
def test_kernels_equal_least_squares(samples: int, k: int, traits: int, missing: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gt = draw(samples, 40, missing, seed)
    y = rng.normal(size=(samples, traits)) * 10.0 ** rng.integers(-3, 4, traits) + rng.normal(size=traits) * 100
    y[rng.random(samples) < 0.1, traits // 2:] = np.nan
    covariates = rng.normal(size=(samples, k)) * [1, 1e3, 1e-3, 5][:k] + [0, 1950, 3, -4][:k]
    planes = pack_block(gt)
    for d in designs(y, covariates, [str(i) for i in range(traits)], [str(i) for i in range(k)]):
        arrays = (planes, d.people, d.table, d.squares)
        fast, facts = kernel("linear_block")(*arrays, k)
        slow, expected = reference("linear_block")(*arrays, k)
        twin, twin_facts = kernel("linear_block")(*map(strict.asarray, arrays), k)
        np.testing.assert_array_equal(facts, expected)
        np.testing.assert_array_equal(to_host(twin_facts), expected)
        close(fast, slow)
        close(to_host(twin), slow)
        for row in np.flatnonzero(facts[:, 2] == 0)[:3]:  # the raw definition, with no design between
            copies = np.where((gt[row] < 0).any(1), -1, gt[row].sum(1))
            beta, se, n = regress_reference(copies, covariates, y[:, d.traits[0]])
            assert n == facts[row, 0]
            np.testing.assert_allclose(fast[row, 1, 0], se, rtol=1e-7)
            assert abs(fast[row, 0, 0] - beta) < 1e-7 * max(abs(beta), se)


def exact_minus_log10_p(t: float, freedom: int) -> float:
    """The closed form of Student's law with an even number of degrees of freedom, in 2,500 digits."""
    with decimal.localcontext(decimal.Context(prec=2500)):
        square = decimal.Decimal(t) ** 2
        cos2 = freedom / (freedom + square)
        total = term = decimal.Decimal(1)
        for j in range(1, freedom // 2):
            term *= cos2 * (2 * j - 1) / (2 * j)
            total += term
        p = 1 - (square / (freedom + square)).sqrt() * total
        return -p.adjusted() - math.log10(float(p.scaleb(-p.adjusted())))


@pytest.mark.parametrize("freedom", [2, 4, 30, 198, 200, 202, 1000, 2490])
def test_p_is_exact_far_beyond_underflow(freedom: int) -> None:
    t = [1e-6, 0.01, 0.5, 1.5, 1.75, 3, 7, 7.1, 15, 24, 25, 26, 60, 300, 1e4][: 15 if freedom < 500 else 14]
    found = minus_log10_p(np.array([t]), freedom)[0]
    np.testing.assert_allclose(found, [exact_minus_log10_p(x, freedom) for x in t], rtol=1e-9, atol=1e-13)


def test_p_of_no_statistic_is_none() -> None:
    found = minus_log10_p(np.array([[0.0, np.nan, np.inf, -5.0, 5.0]]), 100)[0]
    assert found[0] == 0 and np.isnan(found[1]) and found[2] == np.inf and found[3] == found[4] > 5
    normal = minus_log10_p(np.array([[1.959964, 40.0, 1e5]]), np.inf)[0]
    np.testing.assert_allclose(normal[0], -math.log10(0.05), rtol=1e-6)
    assert abs(normal[1] - 803.91529 / math.log(10)) < 1e-4 and np.isfinite(normal[2])


def table_of(ds: xr.Dataset, phenotypes: int, seed: int, covariates: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = ds.sizes["samples"]
    columns = {"sample_id": [str(name) for name in ds.sample_id.values], "age": rng.normal(50, 12, n).round(1), "sex": rng.integers(1, 3, n)}
    columns |= {f"PC{i + 1}": rng.normal(size=n) for i in range(covariates)}
    y = rng.normal(size=(n, phenotypes)) + 0.02 * columns["age"][:, None]
    columns |= {f"T{i}": y[:, i] for i in range(phenotypes)}
    return pd.DataFrame(columns)


def plink2_glm(program: str, vcf: Path, table: pd.DataFrame, phenotypes: list[str], covariates: list[str], folder: Path,
               *options: str) -> pd.DataFrame:
    """Every result of `plink2 --glm`, in the order of the file, with a column `phenotype`."""
    for name, columns in (("pheno", phenotypes), ("covar", covariates)):
        table[["sample_id", *columns]].rename(columns={"sample_id": "#IID"}).to_csv(
            folder / name, sep="\t", index=False, na_rep="NA", float_format="%.17g")
    done = subprocess.run(
        [program, "--vcf", vcf, "--vcf-half-call", "m", "--allow-extra-chr", "--pheno", folder / "pheno", "--covar", folder / "covar",
         "--covar-variance-standardize", "--threads", "2", "--out", folder / "glm", "--glm", "omit-ref", "hide-covar", "log10",
         "cols=+a1freq,+beta", *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
    parts = [pd.read_csv(next(folder.glob(f"glm.{name}.glm.*")), sep="\t") for name in phenotypes]
    return pd.concat(parts, keys=phenotypes, names=["phenotype"]).reset_index("phenotype")


def split(peer: Callable[[str], str], vcf: Path, folder: Path) -> Path:
    """One row for each ALT, as packed rows are."""
    out = folder / "split.vcf.gz"
    subprocess.run([peer("bcftools"), "norm", "-m-", "-Oz", "-o", out, vcf], check=True, capture_output=True)
    return out


def compare(gwas: xr.Dataset, theirs: pd.DataFrame, phenotypes: list[str]) -> None:
    """Counts and codes are identical; numbers agree to the six digits that plink2 prints."""
    for p, name in enumerate(phenotypes):
        of = theirs[theirs.phenotype == name]
        one = gwas.isel(phenotypes=p, patterns=int(gwas.phenotype_pattern[p]))
        assert len(of) == gwas.sizes["variants"]
        np.testing.assert_array_equal(one.stat_n, of.OBS_CT)
        np.testing.assert_allclose(one.stat_a1_freq, of.A1_FREQ, rtol=1e-5)
        codes = np.array(ERRORS, object)[one.stat_error.values]
        known = of.ERRCODE.replace({".": "", "CONST_OMITTED_ALLELE": "CONST_ALLELE", "CORR_TOO_HIGH": "VIF_TOO_HIGH"})
        np.testing.assert_array_equal(codes, known)
        fitted = codes == ""
        assert fitted.sum() > 100
        for mine, column in (("beta", "BETA"), ("se", "SE"), ("t", "T_STAT"), ("minus_log10_p", "LOG10_P")):
            expected = pd.to_numeric(of[column], errors="coerce").to_numpy()[fitted]
            np.testing.assert_allclose(one[f"stat_{mine}"].values[fitted], expected, rtol=6e-6, atol=1e-12)


def test_slice_of_1000_genomes_equals_plink2(shared_data: Path, peer: Callable[[str], str],
                                             stored: Callable[..., xr.Dataset], tmp_path: Path) -> None:
    vcf = split(peer, shared_data / "population/1kg_phase3_chr22_16.0-16.5Mb.vcf.gz", tmp_path)
    ds = stored(vcf, "GRCh37")
    table = table_of(ds, 6, seed=3)
    gt = ds.call_genotype.isel(variants=int(np.argmax((ds.call_genotype.values > 0).mean((1, 2)) > 0.2))).values
    table["T0"] += 1.5 * (gt > 0).sum(1)  # p far below the smallest double
    table.loc[table.index % 7 == 0, ["T3", "T4"]] = np.nan
    table.loc[table.index % 11 == 0, "T5"] = np.nan
    phenotypes, covariates = [f"T{i}" for i in range(6)], ["age", "sex", "PC1", "PC2", "PC3"]
    theirs = plink2_glm(peer("plink2"), vcf, table, phenotypes, covariates, tmp_path)
    gwas = linear_gwas(ds, table.sample(frac=1, random_state=2), phenotypes, covariates).compute()
    assert gwas.sizes["patterns"] == 3 and float(gwas.stat_minus_log10_p.max()) > 50
    compare(gwas, theirs, phenotypes)


@pytest.fixture(scope="session")
def simulated(peer_module: Callable[[str], object], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A VCF of 300 people simulated with msprime, three in a hundred calls missing, and its genotypes."""
    msprime = peer_module("msprime")
    trees = msprime.sim_ancestry(300, sequence_length=60_000, recombination_rate=1e-8, population_size=10_000, random_seed=5)
    trees = msprime.sim_mutations(trees, rate=3e-8, random_seed=6, model=msprime.BinaryMutationModel())
    gt = trees.genotype_matrix().reshape(trees.num_sites, 300, 2).astype(np.int8)
    rng = np.random.default_rng(7)
    gt[rng.random(gt.shape[:2]) < rng.choice([0.0, 0.03, 0.3], (len(gt), 1), p=[0.3, 0.6, 0.1])] = -1
    path = tmp_path_factory.mktemp("simulated") / "s.vcf"
    names = [f"S{i:04d}" for i in range(300)]
    text = ["##fileformat=VCFv4.2", "##contig=<ID=1,length=60000>", '##FORMAT=<ID=GT,Number=1,Type=String,Description="G">',
            "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *names])]
    for i, row in enumerate(gt):
        calls = ["./." if a < 0 else f"{a}|{b}" for a, b in row]
        text.append("\t".join(["1", str(10 * i + 1), ".", "A", "G", ".", "PASS", ".", "GT", *calls]))
    path.write_text("\n".join(text) + "\n")
    return path, gt


def test_missing_calls_equal_plink2(simulated: tuple[Path, np.ndarray], peer: Callable[[str], str],
                                    stored: Callable[..., xr.Dataset], tmp_path: Path) -> None:
    vcf, gt = simulated
    ds = stored(vcf)
    table = table_of(ds, 3, seed=4)
    copies = np.where((gt < 0).any(2), 0, gt.sum(2))
    causal = int(np.argmin(abs(copies.mean(1) - 0.6)))
    table["T1"] += 0.8 * copies[causal]
    table.loc[table.index % 5 == 0, "T2"] = np.nan
    phenotypes, covariates = ["T0", "T1", "T2"], ["age", "sex", "PC1"]
    theirs = plink2_glm(peer("plink2"), vcf, table, phenotypes, covariates, tmp_path)
    gwas = linear_gwas(ds.chunk(variants=97), table, phenotypes, covariates).compute()
    assert (gwas.stat_n.values.min(0) < gwas.stat_n.values.max(0)).all()
    compare(gwas, theirs, phenotypes)
    one = gwas.isel(variants=causal, phenotypes=1)
    assert abs(float(one.stat_beta) - 0.8) < 4 * float(one.stat_se)


def test_a_genotype_that_covariates_explain_has_the_code_of_plink2(
        simulated: tuple[Path, np.ndarray], peer: Callable[[str], str], stored: Callable[..., xr.Dataset], tmp_path: Path) -> None:
    vcf, gt = simulated
    ds = stored(vcf)
    table = table_of(ds, 1, seed=5)
    whole = np.flatnonzero((gt >= 0).all((1, 2)) & (abs(gt.mean((1, 2)) - 0.4) < 0.2))
    table["same"] = gt[whole[0]].sum(1)
    table["near"] = gt[whole[1]].sum(1) + np.random.default_rng(1).normal(0, 0.05, len(table))
    theirs = plink2_glm(peer("plink2"), vcf, table, ["T0"], ["age", "same", "near"], tmp_path)
    gwas = linear_gwas(ds, table, ["T0"], ["age", "same", "near"]).compute()
    assert [ERRORS[int(c)] for c in gwas.stat_error[whole[:2], 0]] == ["VIF_TOO_HIGH"] * 2
    # plink2 also gives up where it is a covariate, not the genotype, that the other columns explain: we fit these
    codes = np.array(ERRORS, object)[gwas.stat_error.values[:, 0]]
    others = np.flatnonzero((codes == "") & (theirs.ERRCODE == "VIF_TOO_HIGH").to_numpy())
    for row in others:
        use = (gt[row] >= 0).all(1)
        inflation = np.diag(np.linalg.inv(np.corrcoef(np.column_stack([table[["age", "same", "near"]], gt[row].sum(1)])[use].T)))
        assert inflation[3] < 50 < inflation[:3].max()
    keep = np.setdiff1d(np.arange(len(codes)), others)
    assert len(others) < 5
    compare(gwas.isel(variants=keep), theirs.iloc[keep], ["T0"])


def test_effects_are_unbiased_and_null_p_values_uniform() -> None:
    gt = draw(400, 300, 0.05, 1)
    ds = cohort(gt)
    rng = np.random.default_rng(2)
    table = pd.DataFrame(rng.normal(size=(400, 40)), columns=[f"T{i}" for i in range(40)]).assign(sample_id=ds.sample_id.values)
    gwas = linear_gwas(ds, table, [f"T{i}" for i in range(40)]).compute()
    common = (gwas.stat_a1_freq[:, 0] > 0.05) & (gwas.stat_a1_freq[:, 0] < 0.95)
    p = 10.0 ** -gwas.stat_minus_log10_p.values[common]
    assert abs((p < 0.05).mean() - 0.05) < 0.01 and abs((p < 0.5).mean() - 0.5) < 0.02
    t = gwas.stat_t.values[common]
    assert abs(t.mean()) < 0.05 and abs(t.std() - 1) < 0.03


def test_hits_are_those_of_the_scan_wherever_rows_are_cut() -> None:
    gt = draw(200, 150, 0.02, 3)
    ds = cohort(gt)
    table = table_of(ds, 5, seed=1)
    names = [f"T{i}" for i in range(5)]
    gwas = linear_gwas(ds, table, names, ["age"]).compute()
    for rows in (150, 64, 7):
        hits = linear_hits(ds.chunk(variants=rows), table, names, ["age"], keep=0.03)
        assert len(hits) == int((gwas.stat_minus_log10_p >= -np.log10(0.03)).sum()) > 5
        assert hits.minus_log10_p.is_monotonic_decreasing
        for hit in hits.itertuples():
            one = gwas.isel(variants=hit.row, phenotypes=names.index(hit.phenotype))
            assert float(one.stat_beta) == hit.beta and hit.position == hit.row + 1 and hit.contig == "1" and hit.alt == "G"
    assert linear_hits(ds, table, names, ["age"], keep=1e-300).empty
    with pytest.raises(ParameterError, match="keep"):
        linear_hits(ds, table, names, keep=0)


def test_results_are_written_whole_and_only_once(tmp_path: Path) -> None:
    ds = cohort(draw(100, 90, 0.02, 3)).chunk(variants=64)
    table = table_of(ds, 2, seed=1)
    table.loc[:9, "T1"] = np.nan
    gwas = linear_gwas(ds, table, ["T0", "T1"], ["age"])
    path = write_gwas(gwas, tmp_path / "gwas.zarr")
    again = open_copy(path).load()
    assert set(again) == set(gwas) and [p.name for p in tmp_path.iterdir()] == ["gwas.zarr"]
    for name in gwas:
        np.testing.assert_array_equal(again[name], gwas[name])
    assert again.phenotype.values.tolist() == ["T0", "T1"]
    with pytest.raises(StoreError, match="gwas.zarr is there already"):
        write_gwas(gwas, path)


PEOPLE = cohort(np.zeros((1, 4, 2)), ["A", "B", "C", "D"])
TABLE = pd.DataFrame({"sample_id": list("DCBAX"), "height": [4.0, 3, 2, 1, 9], "group": list("abcde"), "sex": [1, 2, 1, 2, 1]})


def test_people_meet_by_name() -> None:
    assert align_people(PEOPLE, TABLE).height.tolist() == [1, 2, 3, 4]
    assert align_people(PEOPLE, TABLE.set_index("sample_id")).height.tolist() == [1, 2, 3, 4]
    assert align_people(PEOPLE, TABLE.rename(columns={"sample_id": "IID"}), on="IID").height.tolist() == [1, 2, 3, 4]
    numbered = cohort(np.zeros((1, 2, 2)), ["10", "9"])
    assert align_people(numbered, pd.DataFrame({"sample_id": [9, 10], "x": [0.9, 1.0]})).x.tolist() == [1.0, 0.9]
    without = align_people(PEOPLE, TABLE[TABLE.sample_id != "B"], missing="exclude")
    assert np.isnan(without.height["B"]) and without.height["A"] == 1


def test_people_who_are_missing_or_twice_are_named() -> None:
    with pytest.raises(InputError, match="not in the table: B"):
        align_people(PEOPLE, TABLE[TABLE.sample_id != "B"])
    with pytest.raises(InputError, match="more than once in the table: C"):
        align_people(PEOPLE, pd.concat([TABLE, TABLE[1:2]]))
    with pytest.raises(InputError, match="more than once in the dataset: A"):
        align_people(cohort(np.zeros((1, 2, 2)), ["A", "A"]), TABLE)
    with pytest.raises(InputError, match="not in the table: A, B, C, D"):
        align_people(PEOPLE, TABLE.assign(sample_id=range(5)), missing="exclude")
    with pytest.raises(ParameterError, match="no column 'sample'"):
        align_people(PEOPLE, TABLE, on="sample")


@pytest.mark.parametrize(("phenotypes", "covariates", "message"), [
    (["heigth"], [], "no phenotype 'heigth'. Is it 'height'"), (["height"], ["sexe"], "no covariate 'sexe'. Is it 'sex'"),
    (["group"], [], "field group: the phenotype holds text"), (["height"], ["sex", "sex"], "named twice: sex"),
    ("height", [], "Give a list"), ([], [], "no phenotype is named")])
def test_wrong_names_are_refused(phenotypes: list[str], covariates: list[str], message: str) -> None:
    with pytest.raises((ParameterError, InputError), match=message):
        linear_gwas(PEOPLE, TABLE, phenotypes, covariates)


def test_what_cannot_be_fitted_is_refused_by_name() -> None:
    ds = cohort(draw(50, 5, 0, 1))
    table = table_of(ds, 1, seed=1).assign(flat=3.0, months=lambda t: 12 * t.age, few=np.nan)
    table.loc[:4, "few"] = [1.0, 2, 3, 2, 1]
    table["aged"] = 2 * table.age + 1e9
    for phenotypes, covariates, message in [
            (["T0"], ["age", "months"], "field months: the covariate is constant or a combination"),
            (["T0"], ["flat"], "field flat: the covariate is constant"), (["flat"], [], "field flat: the phenotype is constant"),
            (["months"], ["age"], "field months: the phenotype is constant, or covariates"),
            (["few"], ["age", "sex", "PC1"], "field few: 5 people")]:
        with pytest.raises(InputError, match=message):
            linear_gwas(ds, table, phenotypes, covariates)


def test_no_gpu_is_an_error_before_any_work() -> None:
    from genomics_nb.core.types import GenomicsError

    with pytest.raises(GenomicsError, match="gpu"):
        linear_gwas(PEOPLE, TABLE, ["height"], device="gpu")
