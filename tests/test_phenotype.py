"""Terms are checked, replaced and suggested; likeness agrees with hpo3's own measures and with a plain form; a release can be given."""

from pathlib import Path

import numpy as np
import pytest
from genomics_nb.core.types import InputError, NotFoundError, ParameterError
from genomics_nb.rare.annotations import share_of
from genomics_nb.rare.phenotype import Terms, check_terms, packaged_terms, plain_text, read_obo, suggest, term_id, term_number, usable_rows
from genomics_nb.rare.similarity import MEASURES, Phenotypes, compare_all, compare_reference, matched_text, shared_information
from hypothesis import given, settings
from hypothesis import strategies as st

DRAVET = ["HP:0002373", "HP:0006813", "HP:0001251", "HP:0002376"]


@pytest.fixture(scope="module")
def terms() -> Terms:
    return packaged_terms()


@pytest.fixture(scope="module")
def hpo() -> Phenotypes:
    return Phenotypes()


@pytest.mark.parametrize(("given", "status", "term"), [
    ("HP:0001250", "ok", "HP:0001250"), (" hp:0001250 ", "ok", "HP:0001250"), ("HP_0001250", "ok", "HP:0001250"),
    ("Seizure", "named", "HP:0001250"), ("  seizure ", "named", "HP:0001250"), ("HP:0000118", "not a feature", "HP:0000118"),
    ("HP:0000006", "not a feature", "HP:0000006"), ("HP:9999999", "unknown", ""), ("", "unknown", ""), ("tall and blue", "unknown", "")])
def test_each_term_is_checked(terms: Terms, given: str, status: str, term: str) -> None:
    row = check_terms(terms, [given]).iloc[0]
    assert (row["status"], row["term"]) == (status, term) and row["says"]


def test_every_obsolete_term_is_replaced_by_what_hpo_names(terms: Terms) -> None:
    """pyhpo is the peer: its own record of each obsolete term."""
    from pyhpo import Ontology

    Ontology()
    current = {int(t) for t in Ontology if not t.is_obsolete}
    old = [t for t in Ontology if t.is_obsolete]
    assert len(old) > 100
    table = check_terms(terms, [t.id for t in old])
    for t, row in zip(old, table.itertuples(), strict=True):
        told = term_number(t.replaced_by or "")
        if told in current:
            assert row.term == term_id(told) and row.status in ("replaced", "not a feature")
            assert row.status != "replaced" or term_id(int(t)) in row.says
        else:
            assert row.status == "obsolete"
    replaced = table[table["status"] == "replaced"]
    assert len(replaced) > 50
    rows = usable_rows(terms, replaced["given"].tolist()[:1])
    assert terms.numbers[rows].tolist() == [term_number(replaced["term"].iloc[0])]


@pytest.mark.parametrize("name", ["Seizure", "Ataxia", "Global developmental delay", "Microcephaly", "Cleft palate"])
def test_the_name_of_a_term_finds_it_and_a_slip_still_does(terms: Terms, name: str) -> None:
    assert suggest(terms, name)["name"].tolist()[0] == name and suggest(terms, name)["likeness"].iloc[0] > 0.99
    slip = name[:-3] + name[-2:]
    assert name in suggest(terms, slip)["name"].tolist()


def test_suggestions_say_what_was_not_searched(terms: Terms) -> None:
    assert any("English" in n for n in suggest(terms, "épilepsie").attrs["notes"]) and any("anglais" in n for n in suggest(terms, "x", lang="fr").attrs["notes"])
    assert suggest(terms, "???").empty and suggest(terms, "").empty and len(suggest(terms, "seizure", most=3)) == 3
    assert "autosomal" not in suggest(terms, "Autosomal dominant inheritance")["name"].str.lower().str.cat(sep=" ")  # a mode is no feature
    assert "Seizure" in check_terms(terms, ["seizur"])["says"][0]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_answered(text: str) -> None:
    terms = packaged_terms()
    row = check_terms(terms, [text]).iloc[0]
    assert row["status"] in ("ok", "replaced", "named", "obsolete", "not a feature", "unknown") and len(row["given"]) < 700
    assert (suggest(terms, text)["likeness"] <= 1.0001).all()
    assert plain_text(plain_text(text)) == plain_text(text)


def test_a_term_that_another_implies_counts_once(terms: Terms) -> None:
    focal, seizure = "HP:0007359", "HP:0001250"
    assert terms.numbers[usable_rows(terms, [seizure, focal])].tolist() == [7359]  # the narrower one says more
    assert terms.numbers[usable_rows(terms, [seizure, focal], excluded=True)].tolist() == [1250]  # no seizure excludes more


def test_ancestors_and_descendants_are_those_of_hpo3(terms: Terms) -> None:
    from pyhpo import Ontology

    for number in np.random.default_rng(1).choice(terms.numbers[terms.feature], 60, replace=False).tolist():
        term, row = Ontology.hpo(int(number)), terms.position[int(number)]
        assert {int(terms.numbers[r]) for r in terms.above(row)} == {int(a) for a in term.all_parents} | {number}
        assert all(row in terms.above(int(b)).tolist() for b in terms.below(row))


def test_the_common_ancestor_is_that_of_hpo3s_resnik(hpo: Phenotypes) -> None:
    """hpo3 counts annotated diseases over all of OMIM: its content differs by the diseases counted, the order of ancestors does not."""
    from pyhpo import Ontology

    terms, rng = hpo.terms, np.random.default_rng(2)
    rows = rng.choice(np.flatnonzero(terms.feature & (hpo.content > 0)), 40, replace=False)
    ours, theirs = [], []
    for a, b in zip(rows[:20], rows[20:], strict=True):
        ours.append(float(shared_information(terms, hpo.content, int(a))[int(b)]))
        theirs.append(Ontology.hpo(int(terms.numbers[a])).similarity_score(Ontology.hpo(int(terms.numbers[b])), kind="omim", method="resnik"))
    order = np.corrcoef(np.argsort(np.argsort(ours)), np.argsort(np.argsort(theirs)))[0, 1]
    assert order > 0.95 and np.abs(np.array(ours) - np.array(theirs)).max() < 0.6


def test_genes_are_ranked_much_as_hpo3s_set_similarity_does(hpo: Phenotypes) -> None:
    from pyhpo import HPOSet, Ontology

    patient, ours = HPOSet.from_queries(DRAVET), hpo.compare(DRAVET)
    some = [g for g in Ontology.genes if g.name in hpo.annotations.genes.index and len(g.hpo) > 5]
    some = [some[i] for i in np.random.default_rng(3).choice(len(some), 120, replace=False)] + [g for g in some if g.name == "SCN1A"]
    theirs = [patient.similarity(HPOSet([Ontology.hpo(t) for t in sorted(g.hpo)]), kind="omim", method="resnik", combine="funSimAvg") for g in some]
    mine = [ours.score(g.name) for g in some]
    rank = [np.argsort(np.argsort(v)) for v in (mine, theirs)]
    assert np.corrcoef(*rank)[0, 1] > 0.7
    assert rank[0][-1] >= len(some) - 3 and rank[1][-1] >= len(some) - 12  # SCN1A stands in front for both


@pytest.mark.parametrize("measure", MEASURES)
def test_the_fast_form_equals_the_plain_one(hpo: Phenotypes, measure: str) -> None:
    present, excluded = usable_rows(hpo.terms, DRAVET), usable_rows(hpo.terms, ["HP:0000648", "HP:0001252"], excluded=True)
    diseases = hpo.annotations.diseases
    fast = compare_all(hpo.terms, hpo.content, present, excluded, [diseases], measure)[0]
    for d in np.random.default_rng(4).choice(len(diseases), 25, replace=False).tolist():
        features, expected = diseases.features(d), diseases.expected[diseases.edges[d]:diseases.edges[d + 1]]
        plain = compare_reference(hpo.terms, hpo.content, present.tolist(), excluded.tolist(), features.tolist(), expected.tolist(), measure)
        assert np.isclose(fast[d], plain, atol=1e-9), diseases.ids[d]
    assert ((fast >= 0) & (fast <= 1)).all()


def test_excluded_features_count_against(hpo: Phenotypes) -> None:
    plain, against = hpo.compare(DRAVET), hpo.compare(DRAVET, ["HP:0001263"])  # no developmental delay
    carriers = [g for g in hpo.annotations.genes.ids if hpo.terms.position[1263] in hpo.annotations.genes.features(hpo.annotations.genes.index[g])]
    assert carriers and all(against.score(g) <= plain.score(g) + 1e-12 for g in carriers) and any(against.score(g) < plain.score(g) for g in carriers)
    free = next(g for g in ("COL1A1", "HBB", "CFTR") if g not in carriers)
    assert against.score(free) == pytest.approx(plain.score(free))
    assert "not Global developmental delay" in matched_text(against.matches(carriers[0]))
    with pytest.raises(ParameterError, match="excluded"):
        hpo.compare(["HP:0007359"], ["HP:0001250"])  # a focal seizure without seizures


def test_matches_are_shown_term_by_term(hpo: Phenotypes) -> None:
    table = hpo.compare(DRAVET).matches("SCN1A")
    assert table["term"].tolist() == sorted(DRAVET, key=table["term"].tolist().index) and set(table["has"]) == {"yes"}
    exact = table[table["likeness"] == 1]
    assert len(exact) and (exact["feature"] == exact["nearest"]).all()
    assert len(repr(hpo.compare(DRAVET))) < 200


def test_without_a_usable_feature_nothing_is_compared(hpo: Phenotypes) -> None:
    for present in ([], ["HP:9999999"], ["HP:0000006"]):
        nothing = hpo.compare(present)
        assert not nothing.assessed and np.isnan(nothing.score("SCN1A")) and np.isnan(nothing.better("SCN1A")) and nothing.disease("SCN1A") == ""
        assert len(nothing.checked) == len(present)


# a release from files

OBO = """format-version: 1.2
data-version: hp/releases/2026-02-01

[Term]
id: HP:0000001
name: All

[Term]
id: HP:0000118
name: Phenotypic abnormality
is_a: HP:0000001 ! All

[Term]
id: HP:0001250
name: Seizure
synonym: "Epileptic fit" EXACT []
alt_id: HP:0002279
is_a: HP:0000118 ! Phenotypic abnormality

[Term]
id: HP:0007359
name: Focal seizure
is_a: HP:0001250

[Term]
id: HP:0001251
name: Ataxia
is_a: HP:0000118

[Term]
id: HP:0000006
name: Autosomal dominant inheritance
is_a: HP:0000001

[Term]
id: HP:0009999
name: obsolete Fit
is_obsolete: true
replaced_by: HP:0001250
"""
HPOA = """#version: 2026-02-01
database_id\tdisease_name\tqualifier\thpo_id\treference\tevidence\tonset\tfrequency\tsex\tmodifier\taspect\tbiocuration
OMIM:1\tFocal disease\t\tHP:0007359\tr\tPCS\t\t3/4\t\t\tP\tx
OMIM:1\tFocal disease\t\tHP:0000006\tr\tPCS\t\t\t\t\tI\tx
OMIM:2\tShaky disease\t\tHP:0001251\tr\tPCS\t\tHP:0040281\t\t\tP\tx
OMIM:2\tShaky disease\tNOT\tHP:0001250\tr\tPCS\t\t\t\t\tP\tx
"""
GENES = "ncbi_gene_id\tgene_symbol\thpo_id\thpo_name\tfrequency\tdisease_id\n1\tFOC\tHP:0007359\tFocal seizure\t-\tOMIM:1\n2\tSHAKE\tHP:0001251\tAtaxia\t-\tOMIM:2\n"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    for name, text in (("hp.obo", OBO), ("phenotype.hpoa", HPOA), ("genes_to_phenotype.txt", GENES)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_a_users_release_from_files(release: Path) -> None:
    mine = Phenotypes(release)
    assert "2026-02-01" in mine.release and mine.annotations.stated and mine.annotations.modes_of_gene("FOC") == {"AD"}
    checked = mine.check(["HP:0009999", "HP:0002279", "Epileptic fit", "epileptic fits"])
    assert checked["term"].tolist()[:2] == ["HP:0001250"] * 2 and checked["status"].tolist()[:2] == ["replaced", "replaced"]
    assert mine.suggest("epileptic fits")["term"].tolist()[0] == "HP:0001250" and mine.suggest("epileptic fits")["found"].tolist()[0] == "Epileptic fit"
    ranked = mine.rank_genes(["HP:0001250"])
    assert ranked["gene"].tolist()[0] == "FOC" and ranked["disease"].tolist()[0].endswith("Focal disease")
    assert mine.annotations.diseases.share[mine.annotations.diseases.edges[0]] == 0.75


@pytest.mark.parametrize(("name", "old", "new", "says"), [
    ("hp.obo", "is_a: HP:0000001 ! All", "is_a: HP:0007359", "own ancestors"), ("hp.obo", "id: HP:0000118", "id: HP:0000119", "HP:0000118"),
    ("hp.obo", "id: HP:0001251", "id: HP:0001250", "twice"), ("phenotype.hpoa", "3/4", "4/3", "frequency"), ("phenotype.hpoa", "HP:0007359", "HP:x", "no term"),
    ("phenotype.hpoa", "hpo_id", "term", "no column hpo_id"), ("genes_to_phenotype.txt", "\tOMIM:2", "", "columns")])
def test_a_faulty_release_is_refused_with_its_file(release: Path, name: str, old: str, new: str, says: str) -> None:
    path = release / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=says):
        Phenotypes(release)


def test_a_release_that_is_not_whole(release: Path, tmp_path: Path) -> None:
    (release / "phenotype.hpoa").unlink()
    with pytest.raises(NotFoundError, match="hpoa"):
        Phenotypes(release)
    (release / "hp.obo").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_obo(release / "hp.obo")


@pytest.mark.parametrize(("text", "share"), [("3/4", 0.75), ("45%", 0.45), ("HP:0040280", 1.0), ("0/5", 0.0), ("", np.nan), ("0/0", np.nan)])
def test_frequencies_of_features(text: str, share: float) -> None:
    assert share_of(text) == pytest.approx(share, nan_ok=True)
