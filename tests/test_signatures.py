"""Contexts and signatures: the strand does not matter, FASTA and given context agree, and the refit is SigProfilerAssignment's."""

import contextlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from genomics_nb.core.types import InputError, ParameterError
from genomics_nb.tumour.contexts import (
    CONTEXTS, context_reference, from_context, from_reference, places_of, plot_spectrum, spectra, spectrum, spectrum_words)
from genomics_nb.tumour.refit import LEAST, plot_exposures, read_signatures, refit, refit_many, synthetic_signatures

PAIR = str.maketrans("ACGT", "TGCA")
BASE = st.sampled_from("ACGT")
MIXTURES = [({"SBS1": 0.4, "SBS5": 0.6}, 2000), ({"SBS2": 0.3, "SBS13": 0.3, "SBS5": 0.4}, 3000), ({"SBS7a": 0.7, "SBS7b": 0.3}, 5000),
            ({"SBS4": 0.8, "SBS5": 0.2}, 4000), ({"SBS10a": 0.6, "SBS10b": 0.4}, 8000), ({"SBS6": 0.5, "SBS15": 0.2, "SBS1": 0.3}, 2500)]


def letters(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def drawn(signatures: pd.DataFrame, mix: dict[str, float], n: int, seed: int = 1) -> pd.Series:
    rng = np.random.default_rng(seed)
    return pd.Series(rng.multinomial(n, signatures[list(mix)].to_numpy() @ list(mix.values())), index=list(CONTEXTS))


@pytest.fixture(scope="module")
def six() -> pd.DataFrame:
    return synthetic_signatures()


def table_of(signatures: pd.DataFrame, path: Path) -> Path:
    signatures.to_csv(path, sep="\t", index_label="Type")
    return path


def test_both_strands_are_one_substitution() -> None:
    """All 192: by number as in words, and the reverse complement at the same place; each of the 96 twice."""
    seen = np.zeros(96, int)
    for around in (f"{a}{b}{c}" for a in "ACGT" for b in "ACGT" for c in "ACGT"):
        for alt in set("ACGT") - {around[1]}:
            place = int(places_of(letters(around)[None], letters(alt))[0])
            other = around.translate(PAIR)[::-1]
            assert CONTEXTS[place] == context_reference(around, alt) == context_reference(other, alt.translate(PAIR))
            seen[place] += 1
    assert (seen == 2).all()


def test_unknown_bases_have_no_place() -> None:
    around = np.concatenate([letters(t)[None] for t in ("NCG", "ANG", "ACN", "ACG", "ACG", "acg")])
    assert (places_of(around, letters("TTTNCt")) >= 0).tolist() == [False, False, False, False, False, True]


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    rng = np.random.default_rng(5)
    bases = {name: "".join(rng.choice(list("ACGT"), size)) for name, size in (("chr1", 5000), ("chr2", 700))}
    path = tmp_path_factory.mktemp("genome") / "g.fa"
    path.write_text("".join(f">{name}\n{text[:2500].lower()}{text[2500:]}\n" for name, text in bases.items()))
    pysam.faidx(str(path))
    return path, bases


def calls(bases: dict[str, str], n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for name in rng.choice(list(bases), n):
        at = int(rng.integers(4, len(bases[name]) - 4))
        ref = bases[name][at - 1]
        rows.append((name.removeprefix("chr"), at, "SNV", ref, rng.choice(sorted(set("ACGT") - {ref})), bases[name][at - 4:at + 3]))
    return pd.DataFrame(rows, columns=["contig", "position", "kind", "ref", "alt", "context"])


def test_reference_and_given_context_agree(genome: tuple[Path, dict[str, str]]) -> None:
    path, bases = genome
    table = calls(bases)
    table.loc[::10, "kind"] = "deletion"
    places = from_reference(table, path)
    assert (places == from_context(table)).all() and (places[::10] == -2).all() and (np.delete(places, np.s_[::10]) >= 0).all()
    plain = [context_reference(r.context[2:5], r.alt) for r in table[table["kind"] == "SNV"].itertuples()]
    assert [CONTEXTS[p] for p in places[places >= 0]] == plain


def test_ends_of_chromosomes_have_no_neighbours(genome: tuple[Path, dict[str, str]]) -> None:
    path, bases = genome
    ends = [(1, bases["chr2"][0]), (700, bases["chr2"][-1])]
    table = pd.DataFrame([("2", at, "SNV", ref, "C" if ref != "C" else "T", "") for at, ref in ends],
                         columns=["contig", "position", "kind", "ref", "alt", "context"])
    assert from_reference(table, path).tolist() == [-1, -1]


def test_what_the_reference_does_not_know_is_unplaced(tmp_path: Path) -> None:
    """An N under the variant is no other build, and a call without a chromosome is a substitution without a context."""
    path = tmp_path / "n.fa"
    path.write_text(">1\nACGTNACGT\n")
    pysam.faidx(str(path))
    table = pd.DataFrame([("1", 5, "SNV", "A", "C", ""), ("1", 2, "SNV", "C", "T", ""), (np.nan, 2, "SNV", "C", "T", "")],
                         columns=["contig", "position", "kind", "ref", "alt", "context"])
    assert from_reference(table, path).tolist() == [-1, CONTEXTS.index("A[C>T]G"), -1]


def test_another_build_is_noticed(genome: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    path, bases = genome
    table = calls(bases, 20)
    with pytest.raises(InputError, match="in the reference and .* in the calls"):
        from_reference(table.assign(position=table["position"] + 1), path)
    with pytest.raises(InputError, match="before the start"):
        from_reference(table.assign(position=-1), path)
    with pytest.raises(InputError, match="no chromosome 7"):
        from_reference(table.assign(contig="7"), path)
    with pytest.raises(InputError, match="behind the end"):
        from_reference(table.assign(position=90_000), path)
    with pytest.raises(InputError, match="indexed FASTA"):
        from_reference(table, tmp_path / "none.fa")


def test_a_context_of_something_else_is_not_used() -> None:
    table = pd.DataFrame({"kind": "SNV", "ref": ["C", "C", "C", "C", "C"], "alt": "T", "context": ["ACG", "AGG", "ACGT", "C", None]})
    assert (from_context(table) >= 0).tolist() == [True, False, False, False, False]
    assert set(from_context(table)[1:]) == {-1}


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(-2, 95)), max_size=200))
def test_spectra_are_a_plain_count(rows: list[tuple[int, int]]) -> None:
    tumour, place = np.array([r[0] for r in rows], int), np.array([r[1] for r in rows], np.int8)
    counts, lost = spectra(place, tumour, 7)
    plain = np.zeros((7, 96), int)
    np.add.at(plain, (tumour[place >= 0], place[place >= 0]), 1)
    assert (counts == plain).all() and lost.tolist() == np.bincount(tumour[place == -1], minlength=7).tolist()
    if rows:
        with pytest.raises(ParameterError, match="a tumour's number"):
            spectra(place, tumour, int(tumour.max()))


@given(st.integers(0, 2**31), st.integers(2, 20))
@settings(max_examples=40, deadline=None)
def test_refit_without_selection_is_nonnegative_least_squares(seed: int, k: int) -> None:
    """With nothing removed and everything let back in, the exposures are scipy's."""
    rng = np.random.default_rng(seed)
    signatures = pd.DataFrame(rng.dirichlet(np.full(96, 0.3), k).T, index=list(CONTEXTS))
    counts = rng.poisson(signatures.to_numpy() @ rng.gamma(0.5, 300, k) + 0.5)
    ours = refit_many(counts[None], signatures, remove=0.0, add=1.0)[0]
    plain = nnls(signatures.to_numpy(), counts.astype(float))[0]
    assert np.allclose(ours, plain * counts.sum() / plain.sum(), atol=1e-3 * counts.sum() + 1e-6)


def test_the_refit_is_sigprofilerassignments(peer_module: Callable[[str], ModuleType], tmp_path: Path) -> None:
    """Sixty spectra of six mixtures of COSMIC 3.4, to the mutation.

    SigProfiler's is asked for the same selection: no first removal with a limit of its own (0.05 by default, with which 11 of the 60
    choose other signatures), and no signature forced in.
    """
    package = peer_module("SigProfilerAssignment")
    path = Path(str(package.__file__)).parent / "data/Reference_Signatures/GRCh38/COSMIC_v3.4_SBS_GRCh38.txt"
    cosmic = read_signatures(path)
    assert cosmic.shape == (96, 86)
    counts = pd.DataFrame({f"s{n}_{seed}": drawn(cosmic, mix, size, seed) for n, (mix, size) in enumerate(MIXTURES) for seed in range(10)})
    ours = pd.DataFrame(refit_many(counts.to_numpy().T, cosmic), counts.columns, cosmic.columns)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from SigProfilerAssignment.Analyzer import cosmic_fit

        cosmic_fit(counts.rename_axis("Mutation Types"), str(tmp_path), input_type="matrix", genome_build="GRCh38", cosmic_version=3.4,
                   make_plots=False, export_probabilities=False, cpu=1, add_background_signatures=False, connected_sigs=False,
                   initial_remove_penalty=0.01)
    found = pd.read_csv(tmp_path / "Assignment_Solution/Activities/Assignment_Solution_Activities.txt", sep="\t", index_col=0)
    found = found.reindex(columns=cosmic.columns, fill_value=0)
    assert (found > 0).equals(ours > 0) and (found - ours).abs().to_numpy().max() <= 1
    right = [set(ours.columns[ours.loc[name] > 0]) == set(MIXTURES[int(name[1])][0]) for name in counts]
    assert sum(right) >= 50


def test_intervals_hold_the_truth(six: pd.DataFrame) -> None:
    """Forty spectra of stated shares: 95 % intervals hold at least 88 % of the shares, and none of the signatures that are absent is certain."""
    mix, held, false = {"SYN1": 0.5, "SYN3": 0.3, "SYN6": 0.2}, [], 0
    for seed in range(40):
        answer = refit(drawn(six, mix, 800, seed), six, draws=120, seed=seed)
        for name, share in mix.items():
            row = answer.exposures.loc[name]
            held.append(row["low"] <= share <= row["high"])
        false += int((answer.exposures.drop(index=list(mix))["low"] > 0).sum())
        assert answer.cosine is not None and answer.cosine > 0.95 and answer.explains
    assert np.mean(held) >= 0.88 and false == 0


def test_few_substitutions_get_no_signature(six: pd.DataFrame) -> None:
    counts = drawn(six, {"SYN1": 1.0}, LEAST - 1)
    few = refit(counts, six)
    assert few.why == "few" and not few.reported and few.exposures.empty and few.explains is None
    assert refit(drawn(six, {"SYN1": 1.0}, LEAST), six, draws=20).reported
    nowhere = spectrum(np.full(300, -1, np.int8))
    assert refit(nowhere, six).why == "no context" and refit(nowhere, six).unplaced == 300
    with pytest.raises(ParameterError, match="no signature"):
        plot_exposures(few)


def test_a_spectrum_of_nothing_known_is_said_not_to_be_explained(six: pd.DataFrame) -> None:
    counts = pd.Series(0, index=list(CONTEXTS))
    counts["G[T>A]C"], counts["C[C>G]A"] = 500, 400
    answer = refit(counts, six, draws=20)
    assert answer.reported and answer.explains is False


def test_the_same_seed_gives_the_same_answer(six: pd.DataFrame) -> None:
    counts = drawn(six, {"SYN2": 0.6, "SYN4": 0.4}, 500)
    one, two = (refit(counts.sample(frac=1, random_state=n), six, draws=50, seed=9) for n in (1, 2))
    pd.testing.assert_frame_equal(one.exposures, two.exposures)


def test_signatures_in_any_order_of_rows(six: pd.DataFrame, tmp_path: Path) -> None:
    shuffled = read_signatures(table_of(six.sample(frac=1, random_state=0), tmp_path / "s.tsv"))
    assert list(shuffled.index) == list(CONTEXTS) and np.allclose(shuffled, six)


@pytest.mark.parametrize(("change", "says"), [
    (lambda s: s.iloc[:-1], "95 of the 96"), (lambda s: pd.concat([s, s.iloc[:1]]), "second time"),
    (lambda s: s.rename(index={"A[C>A]A": "AC>AA"}), "no row of one of"), (lambda s: s * 2, "adds up to 1"),
    (lambda s: s.assign(SYN1=-s["SYN1"]), "adds up to 1"), (lambda s: s.assign(SYN1="much"), "not a number"),
    (lambda s: s.assign(SYN1=np.inf), "adds up to 1"), (lambda s: s.iloc[:, :0], "no table")])
def test_a_table_that_is_no_table_of_signatures(change: Callable, says: str, six: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        read_signatures(table_of(change(six), tmp_path / "s.tsv"))


def test_pictures_have_words(six: pd.DataFrame) -> None:
    import matplotlib.pyplot as plt

    counts = drawn(six, {"SYN1": 1.0}, 900)
    assert len(plot_spectrum(counts).axes[0].patches) == 96
    words, french = spectrum_words(counts), spectrum_words(counts, "fr")
    assert "C>T 6" in words and "the highest bars" in words and "les plus hautes barres" in french and "]G" in words
    answer = refit(counts, six, draws=30)
    assert [t.get_text() for t in plot_exposures(answer).axes[0].get_yticklabels()] == list(answer.exposures.index)
    plt.close("all")
