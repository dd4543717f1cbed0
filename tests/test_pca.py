"""Components agree with the exact ones, with plink2 and scikit-allel, and a result says whether it converged."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import array_api_strict
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from genomics_nb.core.compute import client
from genomics_nb.core.kernels import implementation, kernel, reference
from genomics_nb.core.types import GenomicsError, InputError, ParameterError
from genomics_nb.population.pca import leading_eigenvectors, pca, plot_loadings, plot_pca, plot_scree, standard_values
from genomics_nb.population.planes import as_packed, pack_block, unpack_block


def groups_of(rows: int, sizes: list[int], fst: float, seed: int = 1, missing: float = 0.0) -> np.ndarray:
    """ALT copies of people of several groups (Balding-Nichols)."""
    rng = np.random.default_rng(seed)
    ancestral = rng.uniform(0.05, 0.95, rows)
    shape = (1 - fst) / fst
    groups = [rng.beta(ancestral * shape, (1 - ancestral) * shape) for _ in sizes]
    copies = np.concatenate([rng.binomial(2, p[:, None], (rows, n)) for p, n in zip(groups, sizes, strict=True)], axis=1)
    copies = copies.astype(np.int8)
    copies[rng.random(copies.shape) < missing] = -1
    return copies


def dataset(copies: np.ndarray, block: int = 700) -> xr.Dataset:
    gt = np.stack([np.where(copies < 0, -1, copies > 1), np.where(copies < 0, -1, copies > 0)], axis=-1).astype(np.int8)
    rows, samples = copies.shape
    return xr.Dataset({
        "call_genotype": (("variants", "samples", "ploidy"), da.from_array(gt, chunks=(block, -1, -1))),
        "variant_contig": ("variants", np.sort(np.arange(rows) % 3)), "variant_position": ("variants", np.arange(rows) * 100 + 1),
        "variant_allele": (("variants", "alleles"), np.tile(np.array(["C", "A"], object), (rows, 1))),
        "contig_id": ("contigs", np.array(["1", "2", "3"], object)),
        "sample_id": ("samples", np.array([f"s{i}" for i in range(samples)], object))}, attrs={"genome_build": "GRCh37"})


def standardised(copies: np.ndarray) -> np.ndarray:
    """Patterson's scale in plain NumPy, in double precision; rows that vary."""
    masked = np.ma.masked_less(copies, 0)
    p = masked.mean(1, keepdims=True) / 2
    x = ((masked - 2 * p) / np.ma.sqrt(2 * p * (1 - p))).filled(0)
    return x[(p.filled(0) > 0)[:, 0] & (p.filled(1) < 1)[:, 0]]


def smallest_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Of the principal angles between the spaces that the columns span."""
    qa, qb = np.linalg.qr(a)[0], np.linalg.qr(b)[0]
    return float(np.linalg.svd(qa.T @ qb)[1].min())


@pytest.mark.parametrize("missing", [0.0, 0.05])
@pytest.mark.parametrize("samples", [63, 64, 150])
def test_three_implementations_agree(samples: int, missing: float) -> None:
    copies = groups_of(90, [samples - 30, 30], 0.05, missing=missing)
    copies[3], copies[4], copies[5] = 0, -1, 2
    gt = np.stack([np.where(copies < 0, -1, copies > 1), np.where(copies < 0, -1, copies > 0)], axis=-1).astype(np.int8)
    planes = pack_block(gt)
    counts = reference("count_codes")(planes, samples)
    strict = array_api_strict.asarray
    assert np.array_equal(kernel("count_codes")(planes, samples), counts)
    assert np.array_equal(np.from_dlpack(kernel("count_codes")(strict(planes), samples)), counts)
    frequency, values = standard_values(counts)
    varies = np.array([len(np.unique(row[row >= 0])) > 1 or bool((row == 1).any()) for row in copies])
    assert not varies[3:6].any() and np.array_equal(np.isfinite(frequency), varies) and not values[~varies].any()
    x = reference("standardise")(planes, values, samples)
    assert np.array_equal(kernel("standardise")(planes, values, samples), x)
    assert np.allclose(np.from_dlpack(kernel("standardise")(strict(planes), strict(values), samples)), x, atol=1e-6)
    basis = np.random.default_rng(0).standard_normal((samples, 7)).astype(np.float32)
    expected = reference("gram_product")(planes, values, basis)
    for found in (kernel("gram_product")(planes, values, basis),
                  np.from_dlpack(kernel("gram_product")(strict(planes), strict(values), strict(basis)))):
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    assert {implementation("gram_product", kind) for kind in ("reference", "numba", "array")}


@pytest.mark.parametrize("missing", [0.0, 0.03])
def test_components_are_those_of_the_singular_value_decomposition(missing: float) -> None:
    copies = groups_of(2000, [60, 50, 40, 30], 0.03, missing=missing)
    copies[5:9] = 0
    x = standardised(copies)
    _, singular, right = np.linalg.svd(x, full_matrices=False)
    for exact in (False, True):
        result = pca(dataset(copies), components=5, exact=exact, tolerance=0.001)
        assert result.attrs["pca_rows"] == len(x) and result.attrs["pca_converged"]
        assert np.allclose(result["pca_eigenvalue"], singular[:5] ** 2 / len(x), rtol=1e-5)
        assert smallest_cosine(result["sample_pca_projection"].values, right[:5].T) > 0.999999
        loading = result["variant_pca_loading"].values
        assert not loading[5:9].any() and np.isnan(result["variant_pca_frequency"][5:9]).all()
        scores = result["sample_pca_projection"].values
        assert np.allclose((scores**2).sum(0), result["pca_eigenvalue"], rtol=1e-4) and ((scores**3).sum(0) > 0).all()
        again = x.T @ np.delete(loading, range(5, 9), axis=0) / np.sqrt(len(x))
        assert np.allclose(again, scores, atol=1e-4)
        assert np.allclose(result["pca_explained"], singular[:5] ** 2 / (singular**2).sum(), rtol=1e-4)


def test_the_space_is_that_of_scikit_allel(peer_module: Callable[[str], ModuleType]) -> None:
    allel, copies = peer_module("allel"), groups_of(1500, [70, 60, 50], 0.04)
    coordinates, model = allel.pca(copies, n_components=4, scaler="patterson")
    result = pca(dataset(copies), components=4, tolerance=0.001)
    assert smallest_cosine(result["sample_pca_projection"].values[:, :2], np.asarray(coordinates)[:, :2]) > 0.99999
    ours = result["pca_explained"].values
    assert np.allclose(ours, model.explained_variance_ratio_[:4], rtol=1e-3)


def bed(prefix: Path, packed: xr.Dataset) -> None:
    """PLINK's files of the rows."""
    dosage = unpack_block(packed["call_genotype_planes"].values, packed.sizes["samples"])
    code = np.select([dosage == 0, dosage == 1, dosage == 2], [3, 2, 0], 1).astype(np.uint8)
    code = np.pad(code, ((0, 0), (0, -code.shape[1] % 4)))
    four = code[:, 0::4] | code[:, 1::4] << 2 | code[:, 2::4] << 4 | code[:, 3::4] << 6
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + four.tobytes())
    names = [str(x) for x in packed["contig_id"].values]
    places = zip(packed["variant_contig"].values, packed["variant_position"].values, strict=True)
    prefix.with_suffix(".bim").write_text("".join(f"{names[c]}\tr{i}\t0\t{p}\tC\tA\n" for i, (c, p) in enumerate(places)))
    prefix.with_suffix(".fam").write_text("".join(f"s{i}\ts{i}\t0\t0\t2\t-9\n" for i in range(dosage.shape[1])))


def vectors_of_plink2(plink2: str, prefix: Path, *how: str) -> tuple[np.ndarray, np.ndarray]:
    done = subprocess.run([plink2, "--bfile", str(prefix), "--pca", *how, "--out", str(prefix)], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return (np.loadtxt(prefix.with_suffix(".eigenvec"), usecols=range(2, 2 + int(how[-1])), skiprows=1),
            np.loadtxt(prefix.with_suffix(".eigenval")))


def test_the_space_is_that_of_plink2(peer: Callable[[str], str], tmp_path: Path) -> None:
    copies = groups_of(4000, [60, 50, 40, 30], 0.03)
    ds = dataset(copies)
    bed(tmp_path / "x", as_packed(ds))
    vectors, values = vectors_of_plink2(peer("plink2"), tmp_path / "x", "3")
    result = pca(ds, components=3)
    assert smallest_cosine(result["sample_pca_projection"].values, vectors) > 0.9999
    assert np.allclose(result["pca_eigenvalue"], values, rtol=1e-3)


def test_the_space_is_that_of_plink2_on_real_people(
    peer: Callable[[str], str], stored: Callable[..., xr.Dataset], shared_data: Path, tmp_path: Path,
) -> None:
    ds = as_packed(stored(shared_data / "population" / "1kg_phase3_chr22_16.0-16.5Mb.vcf.gz", "GRCh37"))
    ds = ds.isel(samples=slice(0, 640), words=slice(0, 10))
    counts = kernel("count_codes")(ds["call_genotype_planes"].values, 640)
    frequency = (counts[:, 1] + 2 * counts[:, 2]) / (2 * counts[:, :3].sum(1))
    common = np.minimum(frequency, 1 - frequency) > 0.02
    bed(tmp_path / "x", ds.isel(variants=np.flatnonzero(common)))
    vectors, values = vectors_of_plink2(peer("plink2"), tmp_path / "x", "5")
    for exact in (False, True):
        result = pca(ds, components=5, select=common, exact=exact)
        assert smallest_cosine(result["sample_pca_projection"].values, vectors) > 0.999
        assert np.allclose(result["pca_eigenvalue"], values, rtol=1e-3)


def test_a_result_says_whether_it_converged() -> None:
    rng = np.random.default_rng(0)
    noise = dataset(rng.binomial(2, 0.3, (3000, 300)).astype(np.int8))
    early, late = pca(noise, components=3, passes=2), pca(noise, components=3)
    assert not early.attrs["pca_converged"] and early.attrs["pca_angle"] > 0.03 and early["pca_residual"].max() > 1e-2
    assert late.attrs["pca_converged"] and late.attrs["pca_passes"] > 2
    exact = pca(noise, components=3, exact=True)
    assert smallest_cosine(late["sample_pca_projection"].values, exact["sample_pca_projection"].values) > 0.999
    assert smallest_cosine(early["sample_pca_projection"].values, exact["sample_pca_projection"].values) < 0.999


def test_the_angle_bounds_the_error() -> None:
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.standard_normal((200, 200)))[0]
    matrix = basis * np.concatenate([[9, 8, 7.5, 7], np.linspace(6.5, 0, 196)]) @ basis.T
    for passes in (3, 5, 8):
        found = leading_eigenvectors(lambda q: matrix @ q.astype(float), 200, 4, tolerance=0, passes=passes)
        sine = np.sqrt(max(0, 1 - np.linalg.svd(basis[:, :4].T @ found.vectors)[1].min() ** 2))
        assert found.passes == passes
        assert sine <= 1.5 * found.angle


def test_few_people_are_solved_completely() -> None:
    copies = groups_of(50, [4, 4], 0.3)
    result = pca(dataset(copies), components=3)
    x = standardised(copies)
    assert np.allclose(result["pca_eigenvalue"], np.linalg.svd(x)[1][:3] ** 2 / len(x), rtol=1e-5)


def test_the_same_seed_gives_the_same_numbers_and_a_cluster_no_others() -> None:
    ds = dataset(groups_of(1500, [40, 30], 0.05, missing=0.02), block=200)
    one, two = pca(ds, components=2, seed=3), pca(ds, components=2, seed=3)
    assert one.identical(two)
    with client("threads", workers=2):
        assert np.allclose(pca(ds, components=2, seed=3)["sample_pca_projection"], one["sample_pca_projection"], atol=1e-6)


def test_what_has_no_components_is_refused() -> None:
    ds = dataset(groups_of(50, [5, 5], 0.1))
    with pytest.raises(ParameterError):
        pca(ds, components=0)
    with pytest.raises(InputError, match="people"):
        pca(ds, components=10)
    with pytest.raises(InputError, match="autosomal"):
        pca(ds, components=2, select=np.zeros(50, bool))
    with pytest.raises(InputError, match="differs"):
        pca(dataset(np.zeros((20, 8), np.int8)), components=2)
    with pytest.raises(GenomicsError, match="gpu|GPU|CuPy"):
        pca(ds, components=2, device="gpu")


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_plots_say_what_they_show(lang: str) -> None:
    ds = dataset(groups_of(300, [15, 15], 0.2))
    result = pca(ds, components=3)
    scatter = plot_pca(result, ["a"] * 15 + ["b"] * 15, lang=lang)
    assert ("Composante 1" if lang == "fr" else "Component 1") in scatter.axes[0].get_xlabel()
    assert len(scatter.axes[0].get_legend().get_texts()) == 2
    assert len(plot_scree(result, lang=lang).axes) == 2
    assert len(plot_loadings(ds, result, 2, lang=lang).axes[0].lines) == 3
