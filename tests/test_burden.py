"""The background of the diagnosis benchmark: Mendelian, of the published size, and the same for every variant."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from genomics_nb.core.burden import (
    BANDS,
    KINDS,
    PUBLISHED,
    Sites,
    candidate_counts,
    carriers,
    draw_alleles,
    draw_frequency,
    draw_trio,
    homozygotes,
    plot_burden,
    read_genes,
    related,
    synthetic_genes,
)
from genomics_nb.core.reference import CONTIG_LENGTHS, Region
from genomics_nb.core.trio_vcf import CSQ, IMPACT, write_frequencies, write_trio
from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.variant.severity import SEVERITY, severity


@pytest.fixture(scope="module")
def genes():
    return synthetic_genes(18_000)


def families(genes, inbreeding: float, number: int = 30) -> list[dict[str, int]]:
    return [candidate_counts(draw_trio(genes, np.random.default_rng([9, i]), inbreeding), male=i % 2 == 0) for i in range(number)]


def test_candidates_before_phenotype_fall_into_the_published_ranges(genes) -> None:
    near, cousins = families(genes, 0.0), families(genes, 1 / 16)
    for mode in ("de_novo", "dominant", "compound"):
        low, high, _ = PUBLISHED[mode]
        inside = np.mean([low <= c[mode] <= high for c in near + cousins])
        assert inside >= 0.85, (mode, [c[mode] for c in near])
    assert 0.3 <= np.mean([c["homozygous"] for c in near]) <= 3  # the published mean is one
    low, high, _ = PUBLISHED["homozygous"]
    assert np.mean([low <= c["homozygous"] <= high for c in cousins]) >= 0.9
    assert 80 <= np.mean([c["dominant"] for c in near]) <= 120 and 0.7 <= np.mean([c["de_novo"] for c in near + cousins]) <= 1.5


def test_a_child_has_what_the_parents_passed_on(genes) -> None:
    for male in (True, False):
        sites = draw_trio(genes, np.random.default_rng(4))
        child, father, mother = np.moveaxis(sites.genotypes(male), 1, 0)
        region, nuclear = sites.region(), np.isnan(sites.level[:, 0])
        auto = (region == Region.AUTOSOME) & ~sites.new & nuclear
        assert ((child[auto, 0] == 1) <= (father[auto] == 1).any(axis=1)).all()
        assert ((child[auto, 1] == 1) <= (mother[auto] == 1).any(axis=1)).all()
        x = (region == Region.X_NONPAR) & ~sites.new
        assert x.any() and (father[x, 1] == -1).all()
        assert (child[x, 1] == -1).all() if male else (child[x] >= 0).all()
        if male:
            assert ((child[x, 0] == 1) <= (mother[x] == 1).any(axis=1)).all()
        assert (child[sites.new] == 1).sum(axis=1).tolist() == [1] * int(sites.new.sum())
        assert (father[sites.new] < 1).all() and (mother[sites.new] < 1).all()
        mitochondrial = sites.take(~nuclear)
        assert ((mitochondrial.level[:, 0] > 0) == (mitochondrial.level[:, 2] > 0)).all()


def test_the_seed_decides(genes) -> None:
    one, two, other = (draw_trio(genes, np.random.default_rng(s)) for s in (1, 1, 2))
    assert one.position.tolist() == two.position.tolist() and one.position.tolist() != other.position.tolist()


def test_carriers_follow_the_binomial_given_one() -> None:
    drawn = carriers(np.random.default_rng(0), np.full(40_000, 0.2))
    assert drawn.any(axis=1).all()
    share = np.bincount(drawn.sum(axis=1), minlength=5)[1:] / len(drawn)
    expected = np.array([4 * 0.2 * 0.8**3, 6 * 0.04 * 0.64, 4 * 0.008 * 0.8, 0.0016]) / (1 - 0.8**4)
    assert np.allclose(share, expected, atol=0.01)
    assert np.allclose(drawn.mean(axis=0), drawn.mean(), atol=0.01)  # each of the four alike


def test_children_of_related_parents_have_one_origin_in_the_stated_share(genes) -> None:
    rng = np.random.default_rng(3)
    sites = draw_trio(genes, rng)
    whole = related(sites, 0.5, rng)
    auto = (whole.region() == Region.AUTOSOME) & ~whole.new
    rare = auto & ~(whole.frequency > 1e-3)
    same = (whole.carried[rare, 0] & whole.carried[rare, 2]).sum() / (whole.carried[rare, 0] | whole.carried[rare, 2]).sum()
    assert 0.2 < same < 0.5  # half of the genome, less where stretches overlap
    with pytest.raises(ParameterError):
        draw_trio(genes, rng, inbreeding=0.9)


def test_terms_are_the_ontology_s_and_their_impact_is_ensembl_s() -> None:
    for kind in KINDS:
        assert set(kind.terms.split("&")) <= {term for term, _ in SEVERITY}, kind.terms
        first = kind.terms.partition("&")[0]
        assert severity(kind.terms, "").impact == IMPACT.get(first, "MODIFIER"), kind.terms


def test_alleles_are_of_the_kind_that_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert [len(a) for a in draw_alleles(rng, "snv")] == [1, 1]
        ref, alt = draw_alleles(rng, "frame")
        assert (len(ref) - len(alt)) % 3 and min(len(ref), len(alt)) == 1 and ref[0] == alt[0]
        ref, alt = draw_alleles(rng, "codon", shorter=True)
        assert len(ref) > 1 == len(alt) and (len(ref) - 1) % 3 == 0


def test_frequencies_are_rare_and_some_are_in_no_base() -> None:
    drawn = draw_frequency(np.random.default_rng(0), 20_000)
    assert np.nanmax(drawn) < 1e-3 and np.nanmin(drawn) >= 1e-6
    share = BANDS[0].carried / sum(b.carried for b in BANDS if b.high <= 1e-3)
    assert abs(np.isnan(drawn).mean() - share) < 0.02
    assert homozygotes(np.array([np.nan, 1e-6, 0.1])).tolist() == [0, 0, 7373]


def test_genes_stand_where_the_table_says_and_new_names_are_added(tmp_path: Path, shared_data: Path) -> None:
    table = shared_data / "knowledge" / "exac_r0.3_constraint_pli.tsv.gz"
    found = read_genes(table, ["FOXG1", "MT-ND1", "TTN"], {"WDR34": "DYNC2I2"})
    names = found.name.tolist()
    assert len(found) == 18_226 and {"FOXG1", "DYNC2I2"} <= set(names) and not {"MT-ND1", "WDR34"} & set(names)
    length = np.array([CONTIG_LENGTHS["GRCh38"][c] for c in [*map(str, range(1, 23)), "X", "Y"]])
    assert (found.start > 0).all() and (found.end <= length[found.contig] * 1.001).all()
    scn1a = names.index("SCN1A")
    assert found.contig[scn1a] == 1 and abs(found.start[scn1a] - 165_989_160) < 2_000_000  # its place on GRCh38
    for text, word in (("gene\tchr\nA\t1\n", "column"), ("\t".join(
            "transcript gene chr n_exons tx_start tx_end bp mu_syn mu_mis mu_lof n_syn n_mis n_lof".split()) + "\nT\tA\t1" + "\tx" * 10, "value")):
        (tmp_path / "bad.tsv").write_text(text)
        with pytest.raises(InputError, match=word):
            read_genes(tmp_path / "bad.tsv")


def test_what_is_joined_stays_in_order_and_replaces_what_stood_there(genes) -> None:
    sites = draw_trio(genes, np.random.default_rng(6))
    more = sites.take(np.array([10, 20]))
    other = Sites(*(np.array(["HIDDEN"] * 2, object) if f == "gene" else getattr(more, f) for f in more.__dataclass_fields__))
    both = sites.joined(other)
    assert len(both) == len(sites) and both.gene.tolist().count("HIDDEN") == 2
    assert (np.diff(both.contig << 32 | both.position) > 0).all()


def test_every_line_of_the_file_is_written_alike(genes, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    sites = draw_trio(genes, rng)
    vcf, ped = write_trio(tmp_path, sites, genes, False, rng, ["A", "B", "C"], "F1", (True, False, True))
    assert ped.read_text() == "F1\tA\tB\tC\t2\t2\nF1\tB\t0\t0\t1\t1\nF1\tC\t0\t0\t2\t2\n"
    lines = [line.rstrip("\n").split("\t") for line in gzip.open(vcf, "rt") if not line.startswith("#")]
    assert len(lines) == len(sites)
    for cells in lines:
        keys = [part.partition("=")[0] for part in cells[7].split(";")]
        entry = cells[7].rpartition("CSQ=")[2].split("|")
        assert keys == ["AC", "AN", "CSQ"] and len(entry) == len(CSQ) and cells[8] == "GT:AD:DP:GQ:PL" and cells[2] == "."
        assert entry[3] and entry[6].startswith("ENST") and entry[12] == "YES"
    number = write_frequencies(tmp_path / "f.vcf.gz", [sites, sites])
    assert number == int((~np.isnan(sites.frequency)).sum())


def test_the_figure_has_a_row_for_each_mode(genes) -> None:
    for lang, word in (("en", "homozygous"), ("fr", "homozygote")):
        axes = plot_burden(families(genes, 0.0, 3), lang=lang).axes[0]
        assert [t.get_text() for t in axes.get_yticklabels()][2] == word and len(axes.patches) == len(PUBLISHED)
