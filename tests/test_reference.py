"""Builds, contig names and regions: edges, and agreement with the headers of real files."""

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomics_nb.core.reference import (
    BUILDS, CONTIG_LENGTHS, PAR_X, PAR_Y, Region, bare_contig, check_build, guess_build, header_contigs, region_class,
)
from genomics_nb.core.types import InputError


@pytest.mark.parametrize("name,build", [
    ("population/1kgp_high_coverage_chr1_head.vcf.gz", "GRCh38"),
    ("population/1kg_phase3_chr22_16.0-16.5Mb.vcf.gz", "GRCh37"),
    ("trio/ashk-trio.vcf.gz", "GRCh37"),
    ("bcftools/mendelian.vcf", "unknown"),
])
def test_real_headers_give_their_build(shared_data, name, build):
    with pysam.VariantFile(str(shared_data / name)) as file:
        header = str(file.header)
    assert guess_build(*header_contigs(header)) == build


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("prefix", ["", "chr", "CHR"])
def test_every_chromosome_is_recognised_with_and_without_prefix(build, prefix):
    names = [prefix + name for name in CONTIG_LENGTHS[build]]
    assert [bare_contig(n) for n in names] == list(CONTIG_LENGTHS[build])
    assert guess_build(names, list(CONTIG_LENGTHS[build].values())) == build


@pytest.mark.parametrize("build", BUILDS)
def test_par_bounds_are_inclusive_on_both_sides(build):
    for contig, intervals, par, outside in (
        ("X", PAR_X[build], Region.X_PAR, Region.X_NONPAR), ("Y", PAR_Y[build], Region.Y_PAR, Region.Y_NONPAR)):
        for first, last in intervals:
            positions = [first - 1, first, last, last + 1]
            found = region_class([contig], np.zeros(4, int), positions, build)
            assert found.tolist() == [outside, par, par, outside]


@given(st.lists(st.sampled_from(["1", "2", "X", "Y"]), min_size=2, max_size=4, unique=True), st.data())
def test_a_mixture_of_builds_is_never_guessed(names, data):
    odd = data.draw(st.sampled_from(names))
    lengths = [CONTIG_LENGTHS["GRCh37" if n == odd else "GRCh38"][n] for n in names]
    assert guess_build(names, lengths) == "unknown"


@given(st.integers(1, 160_000_000), st.sampled_from(["X", "chrY"]))
def test_an_unknown_build_never_claims_more_than_both_builds_agree_on(position, contig):
    either = {int(region_class([contig], [0], [position], b)[0]) for b in BUILDS}
    unknown = int(region_class([contig], [0], [position], "unknown")[0])
    assert unknown == (either.pop() if len(either) == 1 else Region.OTHER)


def test_alternate_and_decoy_contigs_are_other():
    names = ["chr1_KI270706v1_random", "chrX_KI270880v1_alt", "hs37d5", "GL000207.1", "NC_000099.1"]
    assert [bare_contig(n) for n in names] == names
    assert not region_class(names, np.arange(5), np.ones(5, int), "GRCh38").any()


def test_a_contradicted_declaration_is_one_line_that_says_what_to_do():
    with pytest.raises(InputError) as caught:
        check_build("GRCh38", ["1"], [249250621], file="a.vcf")
    assert "\n" not in str(caught.value) and "GRCh37" in str(caught.value) and "a.vcf" in str(caught.value)
    with pytest.raises(InputError, match="hg19"):
        check_build("hg19", [], [])


def test_contig_lines_in_any_order_and_quoting():
    header = ('##contig=<length=5,ID=a>\n##contig=<ID="b",note="x, length=9",length=7>\n##contig=<ID=c,length=?>\n'
              '##INFO=<ID=contig>\n##contig=<length=3>\n')
    assert header_contigs(header) == (["a", "b", "c"], [5, 7, 0])


def test_no_variants_give_no_regions():
    assert region_class(["X"], np.zeros(0, int), np.zeros(0, int), "GRCh38").shape == (0,)
