"""What is checked before any mode: who is confirmed, what is stopped, and that no sentence gives a family secret away."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from genomics_nb.core.types import ParameterError
from genomics_nb.rare.checks import FamilyChecks, family_checks, modes_of_parent
from genomics_nb.rare.inheritance import candidates
from genomics_nb.rare.modes import MODES
from genomics_nb.store.pedigree import read_ped

PED = "F kid dad mum 1 2\nF dad 0 0 1 1\nF mum 0 0 2 1\n"
TRIO = read_ped(PED)
SITES, AUTOSOMES, ON_X = 400, 12, 200
NAMES = [f"chr{c}" for c in range(1, AUTOSOMES + 1)] + ["chrX", "chrY"]


def founder(rng, share, sex):
    """Two copies of each site; a man has one of X and Y."""
    copies = (rng.random((len(share), 2)) < share[:, None]).astype(np.int8)
    return one_copy(copies, sex)


def one_copy(copies, sex):
    on_x = slice(SITES * AUTOSOMES, SITES * AUTOSOMES + ON_X)
    on_y = slice(on_x.stop, None)
    copies = copies.copy()
    if sex == "male":
        copies[on_x, 1] = copies[on_x, 0]  # written 0/0 or 1/1
        copies[on_y, 1] = copies[on_y, 0]
    else:
        copies[on_y] = -1
    return copies


def child_of(father, mother, sex, rng):
    """A child: a quarter of each chromosome at a time from one of the two copies."""
    quarter = np.arange(len(father)) // (SITES // 4)
    pick = rng.integers(0, 2, (quarter[-1] + 1, 2))[quarter]
    rows = np.arange(len(father))
    child = np.stack([mother[rows, pick[:, 0]], father[rows, pick[:, 1]]], 1)
    on_x = slice(SITES * AUTOSOMES, SITES * AUTOSOMES + ON_X)
    if sex == "male":
        child[on_x, 1] = child[on_x, 0]
        child[on_x.stop:, 0] = child[on_x.stop:, 1] = father[on_x.stop:, 0]
        return child
    child[on_x.stop:] = -1
    return child


def dataset(**people):
    """A dataset of these genotypes with depth, quality and reads that fit."""
    genotype = np.stack(list(people.values()), 1).astype(np.int8)
    n, m = genotype.shape[:2]
    alternative = np.maximum(genotype, 0).sum(axis=2)
    position = np.concatenate([np.arange(SITES) * 100_000 + 50_000] * AUTOSOMES + [np.arange(ON_X) * 500_000 + 5_000_000]
                              + [np.arange(n - SITES * AUTOSOMES - ON_X) * 100_000 + 4_000_000])
    contig = np.repeat(np.arange(AUTOSOMES + 2), [SITES] * AUTOSOMES + [ON_X, n - SITES * AUTOSOMES - ON_X])
    return xr.Dataset({
        "call_genotype": (("variants", "samples", "ploidy"), genotype),
        "call_AD": (("variants", "samples", "alleles"), np.stack([30 - 15 * alternative, 15 * alternative], 2).astype(np.int32)),
        "call_DP": (("variants", "samples"), np.full((n, m), 30, np.int16)),
        "call_GQ": (("variants", "samples"), np.full((n, m), 99, np.int16)),
        "variant_contig": ("variants", contig.astype(np.int8)), "variant_position": ("variants", position.astype(np.int32)),
        "variant_allele": (("variants", "alleles"), np.tile(np.array(["A", "G"], object), (n, 1))),
        "variant_filter": (("variants", "filters"), np.ones((n, 1), bool)), "filter_id": ("filters", ["PASS"]),
        "contig_id": ("contigs", NAMES), "sample_id": ("samples", list(people))}, attrs={"genome_build": "GRCh38"})


class Kin:
    """Founders and children with a seed."""

    def __init__(self, seed=1):
        self.rng = np.random.default_rng(seed)
        self.share = self.rng.beta(1, 1, SITES * AUTOSOMES + ON_X + 60)

    def founder(self, sex):
        return founder(self.rng, self.share, sex)

    def child(self, father, mother, sex="male"):
        return child_of(father, mother, sex, self.rng)


def trio(seed=1, sex="male", **wrong):
    kin = Kin(seed)
    dad, mum = kin.founder("male"), kin.founder("female")
    kid = kin.child(dad, mum, sex)
    people = {"kid": kid, "dad": dad, "mum": mum}
    for name, other in wrong.items():
        people[name] = other(kin, dad, mum, kid)
    return dataset(**people)


def answers(checks: FamilyChecks) -> dict[str, str]:
    return dict(zip(checks.parents["role"], checks.parents["answer"], strict=True))


def test_a_true_trio_is_confirmed_and_nothing_is_stopped():
    checks = family_checks(trio(), TRIO)
    assert answers(checks) == {"father": "confirmed", "mother": "confirmed"} and checks.confirmed("kid")
    assert checks.blocked == {} and checks.level == "good" and checks.refuted == []
    assert checks.sex["verdict"].tolist() == ["agrees"] * 3
    assert not checks.confirmed("dad") and not checks.confirmed("nobody")


STRANGERS = {
    "father": ({"dad": lambda kin, dad, mum, kid: kin.founder("male")}, "dad"),
    "mother": ({"mum": lambda kin, dad, mum, kid: kin.founder("female")}, "mum"),
}


@pytest.mark.parametrize("sex", ["male", "female"])
@pytest.mark.parametrize("role", ["father", "mother"])
def test_a_wrong_parent_stops_the_modes_that_rely_on_that_parent(role, sex):
    wrong, name = STRANGERS[role]
    pedigree = read_ped(PED.replace("mum 1 2", f"mum {1 if sex == 'male' else 2} 2"))
    checks = family_checks(trio(sex=sex, **wrong), pedigree)
    assert checks.refuted == [("kid", role, name)] and not checks.confirmed("kid") and checks.level == "bad"
    assert tuple(checks.blocked) == tuple(m for m in MODES if m in modes_of_parent(role, sex, True))
    assert ("x_recessive" in checks.blocked) == (role == "mother" or sex == "female")
    assert ("mitochondrial" in checks.blocked) == (role == "mother")
    assert checks.disomy.segments.empty  # a wrong parent is no disomy


def test_the_brother_of_the_father_is_not_the_father():
    def uncle(kin, dad, mum, kid):
        a, b = kin.founder("male"), kin.founder("female")
        brother, true = kin.child(a, b), kin.child(a, b)
        kid[:] = kin.child(true, mum)
        return brother

    checks = family_checks(trio(seed=3, dad=uncle), TRIO)
    assert checks.refuted == [("kid", "father", "dad")] and "de_novo" in checks.blocked


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_no_sentence_tells_who_is_no_parent_unless_the_reader_may_know(lang):
    ds = trio(dad=STRANGERS["father"][0]["dad"])
    hidden = family_checks(ds, TRIO, lang=lang)
    told = family_checks(ds, TRIO, lang=lang, may_know=True)
    shown = " ".join(hidden.sentences()) + hidden._repr_html_() + " ".join(hidden.blocked.values()) + repr(hidden)
    for secret in ("dad", "father", "père", "mum", "mother", "mère", "kinship", "apparent", "endel"):
        assert secret not in shown
    assert any("dad" in s and ("father" in s or "père" in s) for s in told.sentences())
    assert "dad" in told._repr_html_()


def test_another_sex_and_one_sample_twice_stop_everything():
    other_sex = read_ped(PED.replace("mum 1 2", "mum 2 2"))
    checks = family_checks(trio(), other_sex)
    assert tuple(checks.blocked) == MODES and not checks.confirmed("kid")
    twice = family_checks(trio(dad=lambda kin, dad, mum, kid: kid.copy()), TRIO)
    assert tuple(twice.blocked) == MODES and twice.level == "bad"


def test_related_parents_stop_nothing_and_are_said():
    def sister(kin, dad, mum, kid):
        a, b = kin.founder("male"), kin.founder("female")
        dad[:], her = kin.child(a, b), kin.child(a, b, "female")
        kid[:] = kin.child(dad, her)
        return her

    checks = family_checks(trio(seed=4, mum=sister), TRIO)
    assert checks.blocked == {} and checks.confirmed("kid") and checks.level == "watch"
    assert any("more related" in s for s in checks.sentences())


def test_a_declared_sibling_who_is_none_stops_what_compares_with_siblings_and_not_de_novo():
    ped = read_ped(PED + "F sib dad mum 1 1\n")
    kin = Kin(6)
    dad, mum = kin.founder("male"), kin.founder("female")
    kid = kin.child(dad, mum)
    good = family_checks(dataset(kid=kid, dad=dad, mum=mum, sib=kin.child(dad, mum)), ped)
    assert good.blocked == {} and good.confirmed("kid") and good.confirmed("sib")
    half = family_checks(dataset(kid=kid, dad=dad, mum=mum, sib=kin.child(kin.founder("male"), mum)), ped)
    assert ("sib", "father", "dad") in half.refuted and half.confirmed("kid") and not half.confirmed("sib")
    assert "de_novo" not in half.blocked and "compound" in half.blocked


def test_a_disomic_chromosome_does_not_refute_the_other_parent():
    def disomic(kin, dad, mum, kid):
        kid = kid.copy()
        kid[:3 * SITES // 2] = mum[:3 * SITES // 2]  # a chromosome and a half: one eighth of the sites
        return kid

    checks = family_checks(trio(seed=8, kid=disomic), TRIO)
    assert checks.confirmed("kid") and checks.blocked == {}
    assert set(checks.disomy.segments["contig"]) == {"chr1", "chr2"} and checks.mendelian["rate"].iloc[0] < 0.01
    assert any("mother alone" in s for s in checks.sentences())


def test_errors_everywhere_leave_parents_unconfirmed_but_stop_nothing():
    rng = np.random.default_rng(2)
    ds = trio()
    calls = ds["call_genotype"].values.copy()
    wrong = rng.random(len(calls)) < 0.08
    wrong[SITES * AUTOSOMES:] = False
    calls[wrong, 0] = np.where(calls[wrong, 0].sum(1, keepdims=True) == 1, calls[wrong, 0], [0, 1])
    checks = family_checks(ds.assign(call_genotype=(("variants", "samples", "ploidy"), calls)), TRIO)
    assert checks.mendelian["rate"].iloc[0] > 0.02 and not checks.confirmed("kid") and checks.blocked == {}
    assert checks.level == "watch" and any("Mendelian errors" in s for s in checks.sentences())


def test_few_sites_stop_nothing_and_confirm_nobody():
    checks = family_checks(trio().isel(variants=slice(0, 300)), TRIO)
    assert answers(checks) == {"father": "not assessed", "mother": "not assessed"}
    assert checks.blocked == {} and not checks.confirmed("kid")
    assert any("could not be confirmed" in s for s in checks.sentences())


def test_one_parent_is_confirmed_alone_and_a_person_alone_has_none():
    ds = trio()
    duo = family_checks(ds.isel(samples=[0, 2]), TRIO)
    assert answers(duo) == {"father": "no data", "mother": "confirmed"} and not duo.confirmed("kid")
    assert any("mother of kid is confirmed" in s for s in duo.sentences())
    alone = family_checks(ds.isel(samples=[0]), TRIO)
    assert set(alone.parents["answer"]) == {"no data"} and alone.blocked == {}


def test_mixed_dna_is_said_and_missing_reads_are_not_called_clean():
    ds = trio()
    reads = ds["call_AD"].values.copy()
    hom = (ds["call_genotype"].values[:, 0] == 1).all(1)
    reads[hom, 0] = [3, 27]
    checks = family_checks(ds.assign(call_AD=(("variants", "samples", "alleles"), reads)), TRIO)
    assert checks.level == "watch" and any("another person's DNA" in s and "kid" in s for s in checks.sentences())
    blind = family_checks(ds.drop_vars("call_AD"), TRIO)
    assert any("Contamination" in s and "not assessed" in s for s in blind.sentences())


def test_stopped_modes_leave_the_table_and_are_named():
    table = pd.DataFrame({"mode": ["de_novo", "mitochondrial"], "variant": [1, 2]})
    table.attrs = {"counts": {"de_novo": {"yes": 1}, "mitochondrial": {"yes": 1}}, "not_assessed": ["x"]}
    checks = family_checks(trio(dad=STRANGERS["father"][0]["dad"]), TRIO)
    kept = checks.allowed(table)
    assert kept["mode"].tolist() == ["mitochondrial"] and set(kept.attrs["counts"]) == {"mitochondrial"}
    assert kept.attrs["not_assessed"][0].startswith("De novo, ") and kept.attrs["not_assessed"][1] == "x"
    assert table.attrs["not_assessed"] == ["x"]
    good = family_checks(trio(), TRIO)
    ds = trio()
    found = candidates(ds, TRIO)
    assert len(good.allowed(found)) == len(found) and good.allowed(found).attrs == found.attrs


def test_another_language_is_refused():
    with pytest.raises(ParameterError, match="en or fr"):
        family_checks(trio(), TRIO, lang="de")


def test_the_parents_of_giabs_trio_are_confirmed(stored, shared_data):
    folder = shared_data / "trio"
    checks = family_checks(stored(folder / "ashk-trio.vcf.gz", "GRCh37"), read_ped(folder / "ashk-trio.ped"))
    assert checks.confirmed("HG002") and checks.blocked == {} and checks.level == "good"
    assert checks.disomy.segments.empty
