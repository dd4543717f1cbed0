"""The join with a base: equal to a dictionary, and to bcftools annotate on real alleles."""

import gzip
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.genome import Genome
from genomics_nb.core.types import ParameterError, StoreError
from genomics_nb.store import schema
from genomics_nb.store.ingest import ingest
from genomics_nb.store.keyed import KeyedTable, KeyedWriter
from genomics_nb.store.schema import open_vcz
from genomics_nb.store.text_rows import letters_of, shards_of
from genomics_nb.variant.annotate import allele_words, match, match_reference, population
from genomics_nb.variant.formats import add_release
from genomics_nb.variant.knowledge import Bases
from genomics_nb.variant.sorting import hashed

HEADER = ("##fileformat=VCFv4.2\n##reference=GRCh37\n##contig=<ID=22>\n" + "".join(
    f'##INFO=<ID={k},Number=A,Type=Integer,Description="">\n' for k in ("AC", "nhomalt"))
    + '##INFO=<ID=AN,Number=1,Type=Integer,Description="">\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n')


def dataset(rows: list[tuple[str, int, list[str]]], build: str = "GRCh38") -> xr.Dataset:
    """Contig, position and alleles of each record as a store holds them."""
    contigs, wide = sorted({c for c, _, _ in rows}), max((len(a) for _, _, a in rows), default=2)
    text = np.array([a + [""] * (wide - len(a)) for _, _, a in rows], dtype=np.dtypes.StringDType()).reshape(len(rows), wide)
    return xr.Dataset({"variant_allele": (("variants", "alleles"), text),
                       "variant_contig": ("variants", np.array([contigs.index(c) for c, _, _ in rows], np.int16)),
                       "variant_position": ("variants", np.array([p for _, p, _ in rows], np.int32)),
                       "contig_id": ("contigs", np.array(contigs or ["1"]))}, attrs={"genome_build": build})


def base(folder: Path, lines: list[tuple[int, str, str, int]], **how: str) -> Bases:
    """A base of alleles on 22: position, REF, ALT, AC."""
    folder.mkdir(exist_ok=True)
    (folder / "base.vcf").write_text(HEADER + "".join(f"22\t{p}\t.\t{r}\t{a}\t.\tPASS\tAC={n};AN=1000\n" for p, r, a, n in lines))
    add_release(folder, "b", "1", folder / "base.vcf", date="2026-01-01", **how)
    return Bases.open(folder)


# --- the join --------------------------------------------------------------------------------------------------------

KEYS = st.lists(st.integers(1, 60), min_size=1, max_size=40, unique=True)


@settings(max_examples=60, deadline=None)
@given(keys=KEYS, asked=st.lists(st.integers(0, 70), max_size=60), chunk=st.integers(1, 9))
def test_the_merge_finds_what_a_dictionary_finds(keys: list[int], asked: list[int], chunk: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("keyed") / "b" / "1"
    writer = KeyedWriter(folder, {"ac": np.int32}, chunk=chunk)
    ordered = np.sort(np.array(keys, np.uint64)) << np.uint64(6)
    writer.append(ordered, {"ac": np.arange(len(ordered))})
    writer.close()
    words = np.array(asked, np.uint64) << np.uint64(6)
    assert match(KeyedTable(folder), words).tolist() == match_reference(words, ordered).tolist()


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.sampled_from("CGT").map(lambda b: f"A {b * 12}"), min_size=1, max_size=3, unique=True),
       asked=st.lists(st.sampled_from("CGTN").map(lambda b: f"A {b * 12}"), max_size=6), chunk=st.integers(1, 3))
def test_alleles_of_one_hash_are_told_apart_across_chunks(texts: list[str], asked: list[str], chunk: int,
                                                          tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("keyed") / "b" / "1"
    writer, same = KeyedWriter(folder, {"ac": np.int32}, chunk=chunk), np.uint64(5 << 32 | 1 << 31)
    writer.append(np.array([1 << 32 | 64] + [same] * len(texts), np.uint64), {"ac": np.arange(len(texts) + 1)}, list(enumerate(texts, 1)))
    writer.close()
    found = match(KeyedTable(folder), np.full(len(asked), same), dict(enumerate(asked)))
    assert hashed(np.array([same])).all()
    assert found.tolist() == [texts.index(a) + 1 if a in texts else -1 for a in asked]


def test_an_allele_has_one_word_however_it_is_padded_and_a_missing_one_has_none() -> None:
    alleles = np.array([["A", "G"], ["CA", "CG"], ["A", "*"], ["A", "."], ["A", "<NON_REF>"], ["A", ""], ["a", "g"], ["A", "<DEL>"]], "T")
    place = np.array([500, 499, 500, 500, 500, 500, 500, -1])
    words, texts = allele_words(alleles, place)
    assert words[0, 0] == words[1, 0] == words[6, 0] != 0 and (words[[2, 3, 4, 5, 7], 0] == 0).all() and not texts


def test_parts_by_column_and_other_text_types_give_the_same_words() -> None:
    alleles = np.array([["A", "G", "T"], ["C", "CACACACACACA", ""], ["G", "*", "<DÉL>"]], "T")
    place = np.array([5, 9, 12])
    words, texts = allele_words(alleles, place)
    for other in ([alleles[:, :2], alleles[:, 2:]], alleles.astype(object), alleles.astype("U12")):
        again, said = allele_words(other, place)
        assert (again == words).all() and said == texts
    assert allele_words(alleles[:, :1], place)[0].shape == (3, 0)


# --- a dataset and a base --------------------------------------------------------------------------------------------


def test_padded_multiallelic_and_star_alleles_find_their_own_numbers(tmp_path: Path) -> None:
    long = "G" + "ACGT" * 8
    bases = base(tmp_path / "k", [(100, "A", "G", 1), (100, "A", "T", 2), (200, "G", long, 3), (300, "CTT", "C", 4), (300, "CT", "C", 5),
                                  (400, "AC", "GT", 6)])
    ds = dataset([("22", 100, ["A", "T", "*", "G"]), ("22", 200, ["G", long, "GA"]), ("22", 300, ["CTT", "CT", "C"]),
                  ("22", 400, ["AC", "GT", "AT"]), ("22", 999, ["A", "G"])], "GRCh37")
    found = population(ds, bases).compute()
    assert found.population_ac.values.tolist() == [[2, -1, 1], [3, -1, -1], [5, 4, -1], [6, -1, -1], [-1, -1, -1]]
    assert np.isclose(found.population_af.values[0], [0.002, np.nan, 0.001], equal_nan=True).all()
    assert (found.population_known == -1).all() and found.population_hom.values.max() == -1


def test_a_suppressed_count_is_unknown_and_never_zero(tmp_path: Path) -> None:
    (tmp_path / "b.vcf").write_text(HEADER + "22\t100\t.\tA\tG\t.\tPASS\tAN=1000\n22\t101\t.\tA\tG\t.\tPASS\tAC=0;AN=1000\n")
    add_release(tmp_path, "b", "1", tmp_path / "b.vcf", date="2026-01-01")
    found = population(dataset([("22", 100, ["A", "G"]), ("22", 101, ["A", "G"])], "GRCh37"), Bases.open(tmp_path)).compute()
    assert np.isnan(found.population_af.values[0, 0]) and found.population_ac.values[0, 0] == -1
    assert found.population_af.values[1, 0] == 0 and found.population_ac.values[1, 0] == 0


def test_the_highest_frequency_of_several_bases_counts(tmp_path: Path) -> None:
    for name, count in (("x", 3), ("y", 30)):
        (tmp_path / f"{name}.vcf").write_text(HEADER + f"22\t100\t.\tA\tG\t.\tPASS\tAC={count};AN=1000\n")
        add_release(tmp_path, name, "1", tmp_path / f"{name}.vcf", date="2026-01-01")
    found = population(dataset([("22", 100, ["A", "G"])], "GRCh37"), Bases.open(tmp_path)).compute()
    assert np.isclose(found.population_af.values[0, 0], 0.03) and found.attrs["releases"] == ["x 1", "y 1"]


def test_lazy_and_loaded_datasets_give_the_same_and_no_variants_none(tmp_path: Path) -> None:
    bases = base(tmp_path / "k", [(p, "A", "G", p) for p in range(100, 200)])
    ds = dataset([("22", p, ["A", "G", "C"]) for p in range(90, 210)], "GRCh37")
    whole = population(ds, bases)
    assert whole["population_ac"].chunks is not None
    for chunks in (7, 50):
        assert population(ds.chunk(variants=chunks, alleles=2), bases).compute().equals(whole.compute())
    assert population(ds.isel(variants=slice(0, 0)), bases).compute().sizes["variants"] == 0
    assert population(ds.isel(alleles=slice(0, 1)), bases).compute()["population_ac"].values.tolist() == [[-1]] * 120


def test_alleles_read_as_bytes_from_files_give_what_texts_in_memory_give(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real alleles in small chunks, long ones and symbolic ones among them; the base holds those of each third record."""
    monkeypatch.setattr(schema, "LEAST", 1 << 14)
    path = ingest(shared_data / "population" / "1kg_phase3_chr22_16.0-16.5Mb.vcf.gz", tmp_path / "store", build="GRCh37").path
    whole = open_vcz(path)
    lines = [(int(p), r, a, i % 900) for i, (p, (r, *alts)) in enumerate(zip(whole.variant_position.values, whole.variant_allele.values.tolist(), strict=True))
             for a in alts if a and a[0] != "<" and i % 3 == 0]
    bases = base(tmp_path / "k", lines)
    assert shards_of(whole["variant_allele"]) is not None
    found = population(whole, bases)
    assert found["population_ac"].chunks[0] == whole["variant_allele"].chunks[0]
    held = whole.assign(variant_allele=whole["variant_allele"].compute())
    shards = shards_of(open_vcz(path)["variant_allele"])
    assert shards_of(held["variant_allele"]) is None and shards is not None and len(whole["variant_allele"].chunks[0]) == 3
    assert found.compute().equals(population(held, bases).compute())
    hits, wanted = int((found["population_ac"].values >= 0).sum()), len(set(lines))
    assert hits >= wanted > 2000
    cut = slice(17, 3000)
    assert found.isel(variants=cut).compute().equals(population(whole.isel(variants=cut), bases).compute())
    for number, block in enumerate(held["variant_allele"].values[at:at + shards.chunk[0]] for at in range(0, held.sizes["variants"], shards.chunk[0])):
        place = np.arange(1, len(block) + 1)
        words, texts = allele_words(letters_of(shards, number), place)
        again, said = allele_words(block, place)
        assert (words == again).all() and texts == said


def test_alleles_of_every_kind_have_the_same_words_from_files_and_from_memory(tmp_path: Path, stored: Callable[..., xr.Dataset]) -> None:
    """Lower case, letters beyond ASCII, an empty line of alternatives, more alleles than a chunk is wide."""
    alts = ["g", "*", ".", "<NON_REF>", "<*>", "<DEL>", "<DÉL>,T,<*>,CC,AT", "G" * 12, "G" * 12 + "É", "N", "AT,C,G", "]22:9]A", "C" * 400]
    (tmp_path / "odd.vcf").write_text("##fileformat=VCFv4.3\n##contig=<ID=22,length=51304566>\n##ALT=<ID=DEL,Description=\"\">\n"
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(f"22\t{100 + i}\t.\t{'AC' if i % 4 == 3 else 'A'}\t{a}\t.\t.\t.\n"
                                                                    for i, a in enumerate(alts)), encoding="utf-8")
    ds = stored(tmp_path / "odd.vcf", "GRCh37")
    shards, held = shards_of(ds["variant_allele"]), ds["variant_allele"].values
    assert shards is not None
    columns, place = letters_of(shards, 0), np.arange(1000, 1000 + len(alts))
    assert [c.whole(np.arange(len(alts))) for c in columns] == held.T.tolist()
    words, texts = allele_words(columns, place)
    again, said = allele_words(held, place)
    assert (words == again).all() and texts == said and held.shape[1] == 6 and (words != 0).any(1).sum() == len(alts) - 4


def test_builds_must_agree_and_be_known(tmp_path: Path) -> None:
    bases = base(tmp_path / "k", [(100, "A", "G", 1)])
    for build in ("GRCh38", "unknown"):
        with pytest.raises(ParameterError, match=f"{build}.*GRCh37"):
            population(dataset([("22", 100, ["A", "G"])], build), bases)


def test_a_damaged_chunk_of_a_base_is_an_error_not_an_absence(tmp_path: Path) -> None:
    bases = base(tmp_path / "k", [(100, "A", "G", 1)])
    chunk = tmp_path / "k" / "b" / "1" / "alleles" / "key" / "c" / "0"
    good = chunk.read_bytes()
    for damage in (b"", b"\0" * 40, good[:-1], good[:17], good + b"x"):
        chunk.write_bytes(damage)
        with pytest.raises(StoreError, match="damaged"):
            population(dataset([("22", 100, ["A", "G"])], "GRCh37"), Bases.open(tmp_path / "k")).compute()
    assert bases.build == "GRCh37"


# --- parity ----------------------------------------------------------------------------------------------------------


def annotated(bcftools: str, vcf: Path, by: Path, columns: str, query: str) -> dict[tuple[str, ...], str]:
    """What bcftools annotate says of each allele of a split VCF."""
    for path in (vcf, by):
        subprocess.run([bcftools, "index", "-f", str(path)], check=True)
    out = vcf.parent / "annotated.bcf"
    subprocess.run([bcftools, "annotate", "-a", str(by), "-c", columns, "-Ob", "-o", str(out), str(vcf)], check=True, capture_output=True)
    done = subprocess.run([bcftools, "query", "-f", f"%CHROM\t%POS\t%REF\t%ALT\t{query}\n", str(out)], check=True, capture_output=True, text=True)
    return {tuple(line.split("\t")[:4]): line.split("\t")[4] for line in done.stdout.splitlines()}


def packed(bcftools: str, text: str, path: Path) -> Path:
    """A sorted VCF, bgzipped."""
    subprocess.run([bcftools, "sort", "-Oz", "-o", str(path), "-"], input=text, text=True, check=True, capture_output=True)
    return path


def test_frequencies_equal_bcftools_annotate_on_real_alleles(shared_data: Path, peer, tmp_path: Path) -> None:
    """Each second record of 1000 Genomes is the base, split; the family holds every allele, some twice in one record, some padded."""
    bcftools, source = peer("bcftools"), shared_data / "population" / "1kg_phase3_chr22_16.0-16.5Mb.vcf.gz"
    split = subprocess.run(f"{bcftools} view -G {source} | {bcftools} norm -m -any - | {bcftools} view -H -", shell=True, check=True,
                           capture_output=True, text=True).stdout.splitlines()
    alleles = [line.split("\t") for line in split if "<" not in line.split("\t")[4]]
    keep = {(c[1], c[3], c[4]): next(i for i in c[7].split(";") if i.startswith("AC="))[3:] for n, c in enumerate(alleles) if n % 2}
    head = HEADER.replace("##contig=<ID=22>", "##contig=<ID=22,length=51304566>")
    by = packed(bcftools, head + "".join(f"22\t{p}\t.\t{r}\t{a}\t.\tPASS\tAC={n};AN=5008\n" for (p, r, a), n in keep.items()), tmp_path / "base.vcf.gz")
    family = packed(bcftools, head + "".join(f"22\t{c[1]}\t.\t{c[3]}\t{c[4]}\t.\tPASS\t.\n" for c in alleles), tmp_path / "family.vcf.gz")
    theirs = annotated(bcftools, family, by, "INFO/AC", "%INFO/AC")
    add_release(tmp_path / "k", "kg", "3", by, date="2013-05-02")
    joined: dict[tuple[int, str], list[str]] = {}
    for c in alleles:
        joined.setdefault((int(c[1]), c[3]), []).append(c[4])
    rows = [("22", p, [r, *a, "*"]) for (p, r), a in joined.items()]  # as they come: several alleles in a record, and a star
    found = population(dataset(rows, "GRCh37"), Bases.open(tmp_path / "k")).compute()["population_ac"].values
    ours = {("22", str(p), a[0], alt): str(found[i, j]) for i, (_, p, a) in enumerate(rows) for j, alt in enumerate(a[1:]) if alt != "*"}
    differing = [(k, v, theirs[k]) for k, v in ours.items() if v != theirs[k].replace(".", "-1")]
    long, hits = sum(len(k[2]) + len(k[3]) > 9 for k in ours), sum(v != "-1" for v in ours.values())
    assert differing == [] and set(ours) == set(theirs) and len(ours) > 6000 and long >= 4 and 2500 < hits < 3600
    prefixed = dataset([("22", p - 1, ["N" + r, *("N" + x for x in a)]) for (p, r), a in list(joined.items())[:500] if len(r) == 1
                        and all(len(x) == 1 for x in a)], "GRCh37")
    again = population(prefixed, Bases.open(tmp_path / "k")).compute()["population_ac"].values
    for i, alleles_here in enumerate(prefixed["variant_allele"].values):
        for j, alt in enumerate(a for a in alleles_here[1:] if a):
            assert str(again[i, j]) == ours["22", str(int(prefixed["variant_position"][i]) + 1), alleles_here[0][1:], alt[1:]]


def test_clinvar_equals_bcftools_annotate_on_its_real_entries(shared_data: Path, peer, tmp_path: Path) -> None:
    bcftools, source = peer("bcftools"), shared_data / "knowledge" / "clinvar-test.vcf.gz"
    add_release(tmp_path / "k", "clinvar", "2023-07-10", source)
    bases = Bases.open(tmp_path / "k")
    with gzip.open(source, "rt") as file:
        cells = [line.split("\t") for line in file if not line.startswith("#")]
    alleles = sorted({(c[0], int(c[1]), c[3], c[4]) for c in cells if c[4] != "."})
    other = [(c, p, r, a + "ACGTACGTA") for c, p, r, a in alleles[::5]]  # long ones that ClinVar does not have
    head = "##fileformat=VCFv4.2\n" + "".join(f"##contig=<ID={c}>\n" for c in sorted({c for c, *_ in alleles}))
    head += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    family = packed(bcftools, head + "".join(f"{c}\t{p}\t.\t{r}\t{a}\t.\t.\t.\n" for c, p, r, a in alleles + other), tmp_path / "f.vcf.gz")
    by = tmp_path / "clinvar.vcf.gz"
    by.write_bytes(source.read_bytes())
    theirs = annotated(bcftools, family, by, "ID", "%ID")
    assert bases.clinvar is not None
    table = bases.clinvar.table
    ds = dataset([(c, p, [r, a]) for c, p, r, a in alleles + other], "GRCh37")
    place = np.array([int(Genome.of("GRCh37").starts([c])[0]) + p for c, p, _, _ in alleles + other])
    words, texts = allele_words(ds["variant_allele"].values, place)
    rows = match(table, words.ravel(), texts)
    ours = {(c, str(p), r, a): str(table.column("id", np.array([row]))[0]) if row >= 0 else "."
            for (c, p, r, a), row in zip(alleles + other, rows.tolist(), strict=True)}
    differing = {k for k in ours if ours[k] != theirs[k]}
    assert differing == set() and len(alleles) > 1900 and all(ours[(c, str(p), r, a)] == "." for c, p, r, a in other)
