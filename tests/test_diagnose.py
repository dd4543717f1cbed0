"""The whole way from a family to its list: with and without bases, any family, filters, consent, and what is said of what is missing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from genomics_nb.core.types import ParameterError
from genomics_nb.rare import diagnose as module
from genomics_nb.rare.checks import family_checks
from genomics_nb.rare.diagnose import FITTING, FromFamily, diagnose, facts_of, pairing
from genomics_nb.rare.findings import Options
from genomics_nb.rare.prioritise import Shortlist
from genomics_nb.rare.similarity import Phenotypes
from genomics_nb.store.cad import synthetic_store
from genomics_nb.store.pedigree import Pedigree, read_ped
from genomics_nb.store.public import open_public
from genomics_nb.variant.consequence import genes
from genomics_nb.variant.knowledge import Bases, demo_bases
from genomics_nb.variant.person import Entered

SIGNS = ["HP:0001249", "HP:0001250"]


@pytest.fixture(scope="module")
def family() -> tuple[xr.Dataset, Pedigree]:
    cad = synthetic_store()
    return cad.genotypes("SYN-001", purpose="training"), cad.pedigree("SYN-001")


@pytest.fixture(scope="module")
def listed(family: tuple[xr.Dataset, Pedigree]) -> Shortlist:
    return diagnose(*family, SIGNS, ["HP:0000252"], demo_bases())


def only(ds: xr.Dataset, name: str) -> xr.Dataset:
    return ds.isel(samples=[list(ds["sample_id"].values).index(name)])


def test_the_planted_findings_are_listed_with_class_and_releases(listed: Shortlist) -> None:
    assert {"ARID1B", "OPHN1", "PAH", "ALDH7A1", "MT-TL1"} <= set(listed.ranked["gene"])
    assert len(listed.ranked) <= listed.options.most and listed.ranked["score"].is_monotonic_decreasing
    row = listed.ranked.set_index("gene").loc["ARID1B"]
    assert row["mode"] == "de_novo" and "PVS1" in row["acmg_codes"] and row["clinvar"] in ("", "pathogenic", "likely pathogenic")
    named = {r["base"] for r in listed.releases}
    assert {"demo-frequency", "demo-clinvar", "HPO"} <= named and all(r["release"] for r in listed.releases)


def test_each_class_can_be_traced_to_its_criteria(listed: Shortlist) -> None:
    for finding in listed.findings:
        for row in finding.rows:
            made = listed.classifications[row["variant"], row["allele"], row["gene"]]
            assert made.acmg_class == row["acmg_class"] and made.codes == row["acmg_codes"]
    assert listed.classifications[next(k for k in listed.classifications if k[2] == "MT-TL1")].why_not == "mitochondrial"


def test_the_order_does_not_depend_on_chance(family: tuple[xr.Dataset, Pedigree], listed: Shortlist) -> None:
    again = diagnose(*family, list(reversed(SIGNS)), ["HP:0000252"], demo_bases())
    pd.testing.assert_frame_equal(again.ranked, listed.ranked)


def test_chunks_do_not_matter(family: tuple[xr.Dataset, Pedigree], listed: Shortlist) -> None:
    ds, pedigree = family
    again = diagnose(ds.chunk(variants=max(ds.sizes["variants"] // 3, 1)), pedigree, SIGNS, ["HP:0000252"], demo_bases())
    assert again.ranked["gene"].tolist() == listed.ranked["gene"].tolist()
    assert np.allclose(again.ranked["score"], listed.ranked["score"])


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_without_bases_and_features_everything_is_said_as_not_assessed(family: tuple[xr.Dataset, Pedigree], lang: str) -> None:
    blind = diagnose(*family, lang=lang)  # type: ignore[arg-type]
    assert {"ARID1B", "OPHN1"} <= set(blind.ranked["gene"])
    assert blind.ranked["score_phenotype"].isna().all() and (blind.evidence["pop_state"] == "").all() and not blind.classifications == {}
    words = {"en": ("ClinVar", "ClinGen", "Rarity", "predictors", "Phenotype"), "fr": ("ClinVar", "ClinGen", "Rareté", "prédicteurs", "Phénotype")}
    assert all(any(word in gap for gap in blind.not_assessed) for word in words[lang])
    assert not any("PM2" in codes or "BA1" in codes for codes in blind.ranked["acmg_codes"])  # nobody looked, so nothing is absent


def test_one_person_alone(family: tuple[xr.Dataset, Pedigree]) -> None:
    ds, _ = family
    alone = diagnose(only(ds, "SYN-001"), read_ped("F\tSYN-001\t0\t0\t1\t2\n"), SIGNS, (), demo_bases())
    assert {"ARID1B", "OPHN1"} <= set(alone.ranked["gene"]) and alone.checks is None
    assert not any("PS2" in c or "PM6" in c or "PM3" in c for c in alone.ranked["acmg_codes"])  # no parent, no proof
    assert "de_novo" not in set(alone.ranked["mode"])


@pytest.mark.parametrize("parent", ["SYN-002", "SYN-003"])
def test_one_parent_and_the_child(family: tuple[xr.Dataset, Pedigree], parent: str) -> None:
    ds, pedigree = family
    names = [str(s) for s in ds["sample_id"].values]
    two = diagnose(ds.isel(samples=[names.index("SYN-001"), names.index(parent)]), pedigree, SIGNS, (), demo_bases())
    assert "ARID1B" in set(two.ranked["gene"])
    assert not two.answers.loc[two.answers["mode"] == "de_novo", "answer"].eq("yes").any()


def test_nobody_affected_is_a_mistake_of_the_family(family: tuple[xr.Dataset, Pedigree]) -> None:
    ds, _ = family
    with pytest.raises(ParameterError, match="affected"):
        diagnose(ds, read_ped("F\tSYN-001\t0\t0\t1\t1\n"))


def test_a_file_without_consequences_lists_nothing_and_says_so(family: tuple[xr.Dataset, Pedigree]) -> None:
    ds, pedigree = family
    bare = diagnose(ds.assign_attrs(vcf_header=""), pedigree, SIGNS, (), demo_bases(), penetrance=["ARID1B"])
    assert bare.ranked.empty and any("consequences" in gap for gap in bare.not_assessed)
    told = genes(ds)
    given = diagnose(ds.assign_attrs(vcf_header=""), pedigree, SIGNS, (), demo_bases(), told=told)
    assert "ARID1B" in set(given.ranked["gene"])


def test_bases_of_another_build_are_refused(family: tuple[xr.Dataset, Pedigree]) -> None:
    ds, pedigree = family
    with pytest.raises(ParameterError, match="GRCh37"):
        diagnose(ds.assign_attrs(genome_build="GRCh37"), pedigree, SIGNS, (), demo_bases())


def test_a_filter_takes_off_and_says_what_it_could_not_decide(family: tuple[xr.Dataset, Pedigree], listed: Shortlist) -> None:
    rule = "impact == 'HIGH' and popmax < 1e-4"
    some = diagnose(*family, SIGNS, ["HP:0000252"], demo_bases(), rule=rule)
    assert {"ARID1B", "OPHN1"} <= set(some.ranked["gene"]) < set(listed.ranked["gene"])
    assert all("HIGH" in {r["impact"] for r in f.rows} for f in some.findings)
    off = some.dropped.set_index("gene")
    assert off.loc["PAH", "why"] == "filter" and rule in off.loc["PAH", "reason"]
    blind = diagnose(*family, SIGNS, (), None, rule=rule)  # no base: the frequency is unknown, not low and not high
    assert blind.ranked.empty
    why = blind.dropped.set_index("gene").loc["ARID1B"]
    assert why["why"] == "open filter" and "popmax < 0.0001" in why["reason"]
    assert set(some.single_hits["gene"]) <= {r.gene for r in some.evidence.itertuples() if r.impact == "HIGH"}


def test_a_wrong_filter_is_refused_before_anything_is_read(family: tuple[xr.Dataset, Pedigree]) -> None:
    _, pedigree = family
    with pytest.raises(ParameterError, match="column 1"):
        diagnose(xr.Dataset(), pedigree, rule="popmaxx < 1")
    with pytest.raises(ParameterError, match="empty"):
        diagnose(xr.Dataset(), pedigree, rule="")


def test_a_refuted_parent_stops_the_modes_that_need_one(family: tuple[xr.Dataset, Pedigree]) -> None:
    ds, pedigree = family
    checks = family_checks(ds, pedigree)
    stopped = diagnose(ds, pedigree, SIGNS, (), demo_bases(), checks=replace(checks, blocked={"de_novo": "a parent is refuted"}))
    assert "de_novo" not in set(stopped.answers["mode"]) and "ARID1B" not in {f.gene for f in stopped.findings if f.answers[0].mode == "de_novo"}
    assert stopped.checks is not None and stopped.checks.blocked
    assert any("ARID1B" == g for g in stopped.dropped["gene"]) or "ARID1B" in set(stopped.ranked["gene"])


def test_de_novo_is_confirmed_only_by_the_genotypes(family: tuple[xr.Dataset, Pedigree]) -> None:
    ds, pedigree = family
    answers = diagnose(ds, pedigree, check=False).answers
    assumed, confirmed = (FromFamily.of(answers, who).de_novo for who in ((), ("SYN-001",)))
    assert set(assumed) == set(confirmed) and set(assumed.values()) == {"assumed"} and set(confirmed.values()) == {"confirmed"}
    low = answers[(answers["mode"] == "de_novo") & (answers["grade"] == "low")]
    assert not {(int(v), int(a)) for v, a in zip(low["variant"], low["allele"], strict=True)} & set(assumed)
    unchecked = diagnose(ds, pedigree, check=False)
    assert any("assumed" in gap for gap in unchecked.not_assessed)
    assert not any("PS2" in c.codes for c in unchecked.classifications.values())


def test_the_phenotype_counts_for_de_novo_only_where_hardly_any_gene_fits_better() -> None:
    comparison = Phenotypes().compare(["HP:0002373", "HP:0006813", "HP:0001251", "HP:0002376"])
    answers = pd.DataFrame({"mode": "de_novo", "answer": "yes", "grade": "high", "pair": "", "variant": [1, 2], "allele": 1, "child": "kid"})
    family = FromFamily.of(answers, ["kid"])
    best = min(comparison.phenotypes.annotations.genes.ids, key=comparison.better)
    worst = max(comparison.phenotypes.annotations.genes.ids, key=comparison.better)
    assert comparison.better(best) <= FITTING < comparison.better(worst)
    said = [facts_of({"variant": 1, "allele": 1, "gene": g, "validity": v}, family, comparison, "revel", "GRCh38").phenotype_fit
            for g, v in ((best, ""), (worst, ""), ("NOSUCH", ""), (best, "refuted"))]
    assert said == ["heterogeneous", "", "", ""]
    assert facts_of({"variant": 9, "allele": 1, "gene": best}, family, comparison, "revel", "unknown").de_novo == ""


def test_pm3_needs_a_proven_pair() -> None:
    pair = {"mode": "compound", "pair": "G-1", "variant": [1, 2], "allele": 1, "child": ""}
    for answer, grade, expected in (("yes", "high", [((1, 1), (2, 1))]), ("yes", "low", []), ("indeterminate", "high", [])):
        assert FromFamily.of(pd.DataFrame(pair | {"answer": answer, "grade": grade}), ()).trans == expected


def test_what_a_person_entered_counts(family: tuple[xr.Dataset, Pedigree], listed: Shortlist) -> None:
    key = next(k for k in listed.classifications if k[2] == "ARID1B")
    entered = {key: [Entered("PS3", "", "biologist", "B-1", "2026-11-24", "RNA shows no protein")]}
    said = diagnose(*family, SIGNS, ["HP:0000252"], demo_bases(), entered=entered)
    assert "PS3" in said.classifications[key].codes and "PS3" not in listed.classifications[key].codes


def test_rna_genes_make_pairs_and_untranslated_regions_do_not() -> None:
    told = pd.DataFrame({"variant": range(5), "allele": 1, "gene": ["RMRP", "A", "LNC", "B", "C"], "rank": [28, 27, 28, 14, 19],
                         "biotype": ["ribozyme", "protein_coding", "lncRNA", "protein_coding", "protein_coding"]})
    told["rank"] = [module.RANK[t] for t in ("non_coding_transcript_exon_variant", "3_prime_UTR_variant", "non_coding_transcript_exon_variant",
                                             "missense_variant", "intron_variant")]
    assert pairing(told)["gene"].tolist() == ["RMRP", "B"]


def test_incidental_findings_only_with_consent(family: tuple[xr.Dataset, Pedigree]) -> None:
    signs = ["HP:0000365"]  # deafness, which is nobody's here
    silent, told = (diagnose(*family, signs, (), demo_bases(), incidental=yes) for yes in (False, True))
    assert silent.incidental.empty
    outside = set(told.incidental["gene"])
    assert all(silent.ranked.loc[silent.ranked["gene"] == g, "clinvar"].eq("").all() for g in outside)
    by_options = diagnose(*family, signs, (), demo_bases(), options=Options(incidental=True, most=3))
    assert set(by_options.incidental["gene"]) == outside and len(by_options.ranked) == 3


def test_a_healthy_real_family(shared_data: Path) -> None:
    trio = shared_data / "trio"
    ds, pedigree = open_public(trio / "ashk-trio.vcf.gz"), read_ped(trio / "ashk-trio.ped")
    listed = diagnose(ds, pedigree, SIGNS, (), Bases.empty())
    assert 0 < len(listed.ranked) <= 30 and not listed.ranked["clinvar"].any()
    assert set(listed.dropped["why"]) <= {"same gene", "length", "single", "mode", "benign"}
    assert not listed.ranked["acmg_class"].str.contains("pathogenic").any()  # no base, so nothing can be shown
