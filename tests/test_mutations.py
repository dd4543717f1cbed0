"""A cohort of tumours as numbers: TCGA's known answers, a plain crosstab, any workers, tumours added and taken out, a write that breaks."""

from pathlib import Path

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

from genomics_nb.core.types import GenomicsError, InputError, NotFoundError, ParameterError, StoreError
from genomics_nb.tumour.contexts import from_context
from genomics_nb.tumour.maf import NEEDED, load_maf, write_maf
from genomics_nb.tumour.matrices import join, summarise, summarise_block, summarise_reference
from genomics_nb.tumour.mutations import (
    EFFECT_OF, EFFECTS, NON_SILENT, append_mutations, open_mutations, remove_tumour, write_mutations)
from genomics_nb.tumour.somatic import maf_variants
from genomics_nb.tumour.synthetic_tumours import synthetic_tumours

ROWS = [("KRAS", "12", "Missense_Mutation", "T2"), ("APC", "5", "Nonsense_Mutation", "T1"), ("APC", "5", "Silent", "T2"),
        ("APC", "5", "Missense_Mutation", "T1"), ("TP53", "17", "Frame_Shift_Del", "T2")]


def maf(path: Path, rows: list[tuple[str, str, str, str]]) -> Path:
    table = pd.DataFrame([(gene, contig, 100 + n, effect, "SNP", "C", "T", tumour) for n, (gene, contig, effect, tumour) in enumerate(rows)],
                         columns=list(NEEDED))
    return write_maf(table.assign(CONTEXT="ACG", HGVSp_Short="p.R1C"), path)


def same(one: xr.Dataset, two: xr.Dataset) -> bool:
    """Whether two cohorts have the same matrices, whatever the order of tumours and genes."""
    one, two = (d.sortby("tumour_id").sortby("gene_id") for d in (one, two))
    return all(one[name].equals(two[name]) for name in one)


@pytest.fixture(scope="module")
def laml(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mutations([shared_data / "tumour/tcga_laml.maf.gz"], tmp_path_factory.mktemp("laml") / "laml.zarr")


@pytest.fixture(scope="module")
def sarcoma(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mutations([shared_data / "tumour/tcga_MC3_SARC.maf.tsv.gz"], tmp_path_factory.mktemp("sarc") / "sarc.zarr")


def test_mutated_tumours_of_laml(laml: Path) -> None:
    cohort = summarise(open_mutations(laml))
    mutated = pd.Series((cohort["worst_effect"].values > 0).sum(axis=0), cohort["gene_id"].values)
    assert mutated.nlargest(9).to_dict() == {
        "FLT3": 52, "DNMT3A": 48, "NPM1": 33, "IDH2": 20, "IDH1": 18, "TET2": 17, "RUNX1": 16, "TP53": 15, "NRAS": 15}
    assert cohort.sizes["tumours"] == 193


def test_matrices_are_the_crosstab_of_pandas(sarcoma: Path, shared_data: Path) -> None:
    cohort = summarise(open_mutations(sarcoma))
    table = load_maf(shared_data / "tumour/tcga_MC3_SARC.maf.tsv.gz")
    effect = table["Variant_Classification"].map(EFFECT_OF).fillna(0).astype(int)
    heavy, tumour, gene = effect >= NON_SILENT, table["Tumor_Sample_Barcode"], table["Hugo_Symbol"]
    count = pd.crosstab(tumour[heavy], gene[heavy]).reindex(index=cohort["tumour_id"].values, columns=cohort["gene_id"].values, fill_value=0)
    worst = effect[heavy].groupby([tumour[heavy], gene[heavy]]).max().unstack(fill_value=0).reindex(
        index=cohort["tumour_id"].values, columns=cohort["gene_id"].values, fill_value=0)
    assert (cohort["mutation_count"].values == count.to_numpy()).all() and (cohort["worst_effect"].values == worst.to_numpy()).all()
    effects = pd.crosstab(tumour, effect).reindex(index=cohort["tumour_id"].values, columns=range(len(EFFECTS)), fill_value=0)
    assert (cohort["effect_count"].values == effects.to_numpy()).all() and effects.to_numpy().sum() == len(table)
    indels = ((effect > 0) & maf_variants(table)["kind"].isin(["insertion", "deletion", "complex"])).groupby(tumour).sum()
    assert cohort["indel_count"].values.tolist() == indels.reindex(cohort["tumour_id"].values).tolist()


def test_spectra_of_drawn_tumours_are_a_plain_count(tmp_path: Path) -> None:
    table = synthetic_tumours({"colorectal": 12, "sarcoma": 9}, seed=5).maf
    file = write_maf(table, tmp_path / "a.maf")
    cohort = summarise(open_mutations(write_mutations([file], tmp_path / "a.zarr")))
    variants = maf_variants(load_maf(file))
    place = from_context(variants)
    plain = pd.crosstab(variants["tumour"].to_numpy()[place >= 0], place[place >= 0]).reindex(
        index=cohort["tumour_id"].values, columns=range(96), fill_value=0)
    assert (cohort["spectrum"].values == plain.to_numpy()).all()
    assert cohort["unplaced"].values.sum() == (place == -1).sum() and cohort["context"].values[0] == "A[C>A]A"


def test_any_scheduler_and_any_chunks_give_the_same(sarcoma: Path) -> None:
    mutations = open_mutations(sarcoma)
    plain = summarise(mutations)
    for scheduler, rows in (("synchronous", 997), ("threads", 5000), ("processes", 20000)):
        with dask.config.set(scheduler=scheduler, num_workers=2):
            assert same(summarise(mutations.chunk(mutations=rows)), plain)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 5), st.integers(-2, 95), st.integers(0, 4)), max_size=120),
       st.integers(1, 40))
def test_blocks_join_to_the_reference(rows: list[tuple[int, ...]], step: int) -> None:
    types = (np.uint32, np.uint32, np.uint8, np.int8, np.uint8)
    columns = [np.array([r[n] for r in sorted(rows, key=lambda r: r[0])], t) for n, t in enumerate(types)]
    plain = summarise_reference(*columns, 6, 5)
    whole = {name: np.zeros_like(values) for name, values in plain.items()}
    for start in range(0, len(rows), step):
        join(whole, summarise_block(*(c[start:start + step] for c in columns), 5))
    assert all((whole[name] == plain[name]).all() for name in plain)


def test_rows_lie_by_tumour_and_small(sarcoma: Path) -> None:
    mutations = open_mutations(sarcoma)
    tumour = mutations["mutation_tumour"].values
    assert (np.diff(tumour.astype(int)) >= 0).all() and set(tumour) == set(range(mutations.sizes["tumours"]))
    assert sum(v.dtype.itemsize for n, v in mutations.items() if n.startswith("mutation_")) <= 24
    assert zarr.open_group(sarcoma, mode="r").metadata.zarr_format == 3 and all(v.chunks for n, v in mutations.items() if n.startswith("mutation_"))


def test_a_cohort_that_grew_is_the_one_written_at_once(shared_data: Path, sarcoma: Path, tmp_path: Path) -> None:
    table = load_maf(shared_data / "tumour/tcga_MC3_SARC.maf.tsv.gz")
    half = table["Tumor_Sample_Barcode"].isin(sorted(table["Tumor_Sample_Barcode"].unique())[::2])
    files = [write_maf(table[here], tmp_path / name) for here, name in ((half, "a.maf"), (~half, "b.maf"))]
    store = write_mutations(files[:1], tmp_path / "c.zarr")
    append_mutations(files[1], store)
    grown = open_mutations(store)
    assert same(summarise(grown), summarise(open_mutations(sarcoma)))
    assert [s.split()[0] for s in grown.attrs["sources"]] == ["a.maf", "b.maf"] and len(set(grown.attrs["sources"])) == 2
    assert all(len(s.split()[1]) == 64 for s in grown.attrs["sources"])


def test_a_tumour_counts_once(tmp_path: Path) -> None:
    first, more = maf(tmp_path / "a.maf", ROWS), maf(tmp_path / "b.maf", [("KRAS", "12", "Silent", "T9"), ("KRAS", "12", "Silent", "T1")])
    with pytest.raises(InputError, match="T1 is in the cohort already"):
        write_mutations([first, more], tmp_path / "c.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.maf", "b.maf"]
    store = write_mutations([first], tmp_path / "c.zarr")
    before = summarise(open_mutations(store))
    with pytest.raises(InputError, match="already"):
        append_mutations(more, store)
    assert same(summarise(open_mutations(store)), before) and "T9" not in open_mutations(store)["tumour_id"].values


def test_who_leaves_is_in_no_count(tmp_path: Path) -> None:
    store = write_mutations([maf(tmp_path / "a.maf", ROWS)], tmp_path / "c.zarr")
    remove_tumour(store, "T2")
    cohort = summarise(open_mutations(store))
    without = summarise(open_mutations(write_mutations([maf(tmp_path / "b.maf", [r for r in ROWS if r[3] != "T2"])], tmp_path / "d.zarr")))
    assert cohort["tumour_id"].values.tolist() == ["T1"] and cohort.attrs["excluded"] == 1
    for name in ("effect_count", "spectrum", "indel_count", "unplaced"):
        assert (cohort[name].values == without[name].values).all()
    kept = cohort["worst_effect"].values.sum(axis=0) > 0
    assert cohort["gene_id"].values[kept].tolist() == ["APC"]
    with pytest.raises(InputError, match="was taken out"):
        append_mutations(maf(tmp_path / "e.maf", [r for r in ROWS if r[3] == "T2"]), store)
    for tumour in ("T2", "T7"):
        with pytest.raises(NotFoundError, match="no tumour"):
            remove_tumour(store, tumour)


def test_a_broken_file_leaves_what_was_there(tmp_path: Path) -> None:
    store = write_mutations([maf(tmp_path / "a.maf", ROWS)], tmp_path / "c.zarr")
    before = summarise(open_mutations(store))
    broken = maf(tmp_path / "b.maf", [("KRAS", "12", "Silent", "T5")])
    with broken.open("a") as file:
        file.write("KRAS\t12\n")
    with pytest.raises(GenomicsError):
        append_mutations(broken, store)
    assert same(summarise(open_mutations(store)), before) and open_mutations(store).sizes["mutations"] == len(ROWS)
    append_mutations(maf(tmp_path / "d.maf", [("KRAS", "12", "Missense_Mutation", "T5")]), store)
    assert summarise(open_mutations(store)).sizes["tumours"] == 3
    with pytest.raises(GenomicsError):
        write_mutations([broken], tmp_path / "e.zarr")
    assert not (tmp_path / "e.zarr").exists() and not list(tmp_path.glob(".*"))


def test_a_write_that_died_leaves_rows_that_do_not_count(tmp_path: Path) -> None:
    """What an append leaves that was killed before its last step: longer arrays, the old number of rows."""
    store = write_mutations([maf(tmp_path / "a.maf", ROWS)], tmp_path / "c.zarr")
    before = summarise(open_mutations(store))
    group = zarr.open_group(store, mode="r+")
    for name in ("mutation_tumour", "mutation_gene"):
        group[name].resize((len(ROWS) + 3,))
        group[name][len(ROWS):] = 1
    assert same(summarise(open_mutations(store)), before)
    append_mutations(maf(tmp_path / "b.maf", [("NRAS", "1", "Missense_Mutation", "T3")]), store)
    mutations = open_mutations(store)
    assert mutations.sizes["mutations"] == len(ROWS) + 1 and mutations["mutation_tumour"].values[-1] == 2


def test_what_is_no_cohort_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no cohort of tumours none"):
        open_mutations(tmp_path / "none")
    zarr.open_group(tmp_path / "other.zarr", mode="w")
    with pytest.raises(StoreError, match="is no cohort"):
        open_mutations(tmp_path / "other.zarr")
    with pytest.raises(StoreError, match="there already"):
        write_mutations([maf(tmp_path / "a.maf", ROWS)], tmp_path / "other.zarr")
    store = write_mutations([maf(tmp_path / "b.maf", ROWS)], tmp_path / "c.zarr")
    wide = open_mutations(store).drop_dims("genes").assign_coords(gene_id=("genes", np.broadcast_to(np.int8(0), 2_000_000_000)))
    with pytest.raises(ParameterError, match="too many cells"):
        summarise(wide)


def test_many_contigs_keep_their_names(tmp_path: Path) -> None:
    """A reference with decoys has more contigs than a byte counts."""
    rows = [("G", f"GL{n:06d}", "Silent", "T1") for n in range(300)]
    mutations = open_mutations(write_mutations([maf(tmp_path / "a.maf", rows)], tmp_path / "c.zarr"))
    assert mutations["contig_id"].values[mutations["mutation_contig"].values].tolist() == [r[1] for r in rows]


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    rows = [("<b>G</b>", "12", "Missense_Mutation", "=1+1"), ("../../x", "12", "Odd_Class", "T\u00e9")]
    store = write_mutations([maf(tmp_path / "a.maf", rows)], tmp_path / "c.zarr")
    cohort = summarise(open_mutations(store))
    assert cohort["gene_id"].values.tolist() == ["<b>G</b>", "../../x"] and "T\u00e9" in cohort["tumour_id"].values
    assert cohort["effect_count"].values.sum(axis=0)[0] == 1 and sorted(p.name for p in tmp_path.iterdir()) == ["a.maf", "c.zarr"]


def test_a_cohort_of_tumours_is_neither_written_nor_opened_in_a_store(tmp_path: Path) -> None:
    from genomics_nb.core.types import ConsentError
    from genomics_nb.store.cad import CAD

    CAD.init(tmp_path / "store")
    with pytest.raises(ConsentError, match="lies in the store"):
        write_mutations([], tmp_path / "store" / "tumours.zarr")
    (tmp_path / "store" / "runs" / "c.zarr").mkdir(parents=True)
    with pytest.raises(ConsentError, match="lies in the store"):
        open_mutations(tmp_path / "store" / "runs" / "c.zarr")
