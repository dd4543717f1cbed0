"""The release rule is attacked: by subtraction, by linear programs, and by comparing one release with the next."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import ParameterError
from genomics_nb.population.release import (
    CARRIERS, LEVELS, Design, Earlier, Members, Policy, changed, count_people, feasible, protect, protect_row, suppress, unsafe, withhold)

K = 3
GROUPS, SEXES = ("A", "B", "C"), ("female", "male")
DESIGN = Design.of([g for g in GROUPS for _ in SEXES], list(SEXES) * len(GROUPS))
POLICY = Policy(k=K)


def numbers(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """AC, AN, homozygotes of strata with (..., strata, 3) people without, with one, with two copies."""
    return tables @ [0, 1, 2], 2 * tables.sum(-1), tables[..., 2]


def hide(tables: np.ndarray, **more) -> np.ndarray:
    ac, an, hom = numbers(tables)
    return suppress(count_people(ac, an, hom, np.full(ac.shape, 2)), DESIGN, POLICY, **more)


def printed(tables: np.ndarray, hidden: np.ndarray, line: slice) -> np.ndarray:
    """What a reader has of one variant, (3, 1 + parts): AN, AC, hom, -1 where hidden."""
    ac, an, hom = numbers(tables)
    nodes = np.r_[0, np.arange(len(DESIGN.nodes))[line]]
    return np.stack([np.where(h[nodes], -1, DESIGN.sums(n)[nodes]) for n, h in zip((an, ac, hom), hidden, strict=True)])


small = st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 9]), min_size=18, max_size=18).map(lambda v: np.array(v).reshape(6, 3))


@settings(max_examples=300, deadline=None)
@given(table=small)
def test_no_small_number_of_people_is_printed_or_is_a_sum_or_difference_of_printed_ones(table: np.ndarray) -> None:
    people = count_people(*(n[None] for n in numbers(table)), np.full((1, 6), 2))
    sums, hidden = DESIGN.sums(people)[0], hide(table[None])[:, 0]
    for (_, kinds), mask in zip(LEVELS, hidden, strict=True):
        for line in DESIGN.axes:
            visible = np.flatnonzero(~mask[line]) + line.start
            for n in range(len(visible) + 1):  # every sum of visible parts, and what is left of the whole
                for some in itertools.combinations(visible, n):
                    found = sums[list(kinds)][:, list(some)].sum(1)
                    assert not unsafe(found, K).any()
                    if not mask[0]:
                        assert not unsafe(sums[list(kinds), 0] - found, K).any()
    assert (hidden[0] <= hidden[1]).all() and (hidden[1] <= hidden[2]).all()


def attack(releases: list[np.ndarray], masks: list[np.ndarray], same: np.ndarray, line: slice) -> None:
    """Raises where a reader of all releases can bound the carriers of a hidden node below k, or determine a small number."""
    seen = np.stack([printed(t, m, line) for t, m in zip(releases, masks, strict=True)])
    bounds = feasible(seen, same)
    people = np.stack([count_people(*(n[None] for n in numbers(t)), np.full((1, 6), 2))[0] for t in releases])
    true = DESIGN.sums(people)[..., line]
    for r, p in np.argwhere(seen[:, 1, 1:] < 0):
        for kind, what in ((1, 1), (2, 3)):  # carriers, with the reference
            assert bounds[r, p, what, 1] >= K - 1e-6 or not unsafe(true[r, kind, p], K), (r, p, bounds[r, p], seen.tolist())
    for r, p in np.argwhere(seen[:, 2, 1:] < 0):
        if unsafe(true[r, 3, p], K):
            assert bounds[r, p, 2, 1] - bounds[r, p, 2, 0] > 1e-6, (r, p, bounds[r, p], seen.tolist())


@settings(max_examples=60, deadline=None)
@given(table=small)
def test_a_linear_program_finds_no_bound_below_k(table: np.ndarray) -> None:
    hidden = hide(table[None])[:, 0]
    for line in DESIGN.axes:
        attack([table], [hidden], np.full((1, line.stop - line.start), -1), line)


def people_of(table: np.ndarray, first: int) -> tuple[Members, np.ndarray]:
    """One row for each person of a table, numbered from `first`; and their genotypes."""
    rows = [(GROUPS[s // 2], SEXES[s % 2], g) for s in range(6) for g in range(3) for _ in range(int(table[s, g]))]
    number = np.arange(first, first + len(rows), dtype=np.uint64)
    return (Members(number, number.astype(np.int64), np.array([r[0] for r in rows], object), np.array([r[1] for r in rows], object)),
            np.array([r[2] for r in rows], np.int64))


def table_of(members: Members, genotype: np.ndarray) -> np.ndarray:
    table = np.zeros((6, 3), np.int64)
    for g, s, n in zip(members.group, members.sex, genotype, strict=True):
        table[2 * GROUPS.index(g) + SEXES.index(s), n] += 1
    return table


joiners = st.lists(st.sampled_from([0, 0, 0, 0, 1, 2, 3, 5]), min_size=18, max_size=18).map(lambda v: np.array(v).reshape(6, 3))
still = st.lists(st.booleans(), min_size=3, max_size=3)


@settings(max_examples=60, deadline=None)
@given(table=small, steps=st.lists(st.tuples(joiners, still, st.floats(0, 0.2)), min_size=1, max_size=2), seed=st.integers(0, 99))
def test_no_series_of_releases_gives_a_bound_below_k(table: np.ndarray, steps: list, seed: int) -> None:
    rng = np.random.default_rng(seed)
    members, genotype = people_of(table, 0)
    history, tables, masks = [members], [table], [hide(table[None])[:, 0]]
    for number, (more, frozen, leaving) in enumerate(steps, 1):
        moving = np.array([not f for f in frozen])
        more = more * np.repeat(moving, 2)[:, None]
        stay = (rng.random(len(members.person)) >= leaving) | ~moving[[GROUPS.index(g) for g in members.group]].astype(bool)
        came, new = people_of(more, 1000 * number)
        members = Members(*(np.concatenate([getattr(members, n)[stay], getattr(came, n)]) for n in ("person", "slot", "group", "sex")))
        genotype = np.concatenate([genotype[stay], new])
        try:
            withheld, same = withhold(history, members, DESIGN, K)
        except ParameterError:
            return
        earlier = [Earlier(same[e], m[:, None]) for e, m in enumerate(masks)]
        table = table_of(members, genotype)
        masks.append(hide(table[None], withheld=withheld, earlier=earlier)[:, 0])
        members = Members(members.person, members.slot, members.group, members.sex,
                          tuple(n for n, w in zip(DESIGN.nodes, withheld, strict=True) if w))
        history.append(members)
        tables.append(table)
    for line in DESIGN.axes:
        link = np.full((len(tables), line.stop - line.start), -1)
        for r in range(1, len(tables)):
            for p, name in enumerate(DESIGN.nodes[line]):
                for e in range(r):
                    if changed(history[e], history[r], [name], DESIGN) == 0:
                        link[r, p] = e
        attack(tables, masks, link, line)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10_000), width=st.integers(1, 5), before=st.integers(0, 3))
def test_the_kernel_is_the_plain_form(seed: int, width: int, before: int) -> None:
    rng = np.random.default_rng(seed)
    parts = rng.choice([0, 0, 1, 2, 3, 4, 30], (40, 2, width))
    same, was, there = rng.random((before, width)) < 0.4, rng.random((before, 40, width)) < 0.4, rng.random((before, 40)) < 0.7
    must, closed = rng.random((40, width)) < 0.1, rng.random(40) < 0.1
    hidden, lost = protect(parts, K, must, closed, same, was, there)
    for r in range(40):
        if closed[r]:
            assert hidden[r].all() and lost[r]
            continue
        wanted, fine = protect_row(parts[r], K, must[r], [(same[e], was[e, r]) for e in range(before) if there[e, r]])
        assert np.array_equal(hidden[r], wanted) and lost[r] != fine


def test_the_difference_of_two_releases_is_nobody_or_k_people() -> None:
    base, _ = people_of(np.full((6, 3), 4), 0)
    for came in range(7):
        more, _ = people_of(np.array([[came, 0, 0], *[[0, 0, 0]] * 5]), 500)
        both = Members(*(np.concatenate([getattr(base, n), getattr(more, n)]) for n in ("person", "slot", "group", "sex")))
        if 0 < came < K:
            with pytest.raises(ParameterError, match=f"only {came} people changed"):
                withhold([base], both, DESIGN, K)
            with pytest.raises(ParameterError):
                withhold([both], base, DESIGN, K)  # who left shows as who came
        else:
            withheld, same = withhold([base], both, DESIGN, K)
            assert not withheld.any() and same[0].sum() == (len(DESIGN.nodes) if came == 0 else 3)


def test_coming_and_going_does_not_single_out_who_stayed() -> None:
    first, _ = people_of(np.full((6, 3), 4), 0)
    crowd, _ = people_of(np.array([[5, 0, 0], *[[0, 0, 0]] * 5]), 500)

    def plus(a: Members, b: Members) -> Members:
        return Members(*(np.concatenate([getattr(a, n), getattr(b, n)]) for n in ("person", "slot", "group", "sex")))

    second = plus(first, crowd)
    third = plus(first, Members(crowd.person[:1], crowd.slot[:1], crowd.group[:1], crowd.sex[:1]))
    withhold([second], third, DESIGN, K)  # four left
    with pytest.raises(ParameterError, match="only 1 people changed"):
        withhold([first, second], third, DESIGN, K)


def test_new_data_of_one_person_do_not_show_alone() -> None:
    first, _ = people_of(np.full((6, 3), 4), 0)
    slot = first.slot.copy()
    slot[0] = 9999
    again = Members(first.person, slot, first.group, first.sex)
    with pytest.raises(ParameterError):
        withhold([first], again, DESIGN, K)


def test_a_pool_that_was_withheld_is_compared_as_a_pool() -> None:
    first, _ = people_of(np.full((6, 3), 4), 0)
    second = Members(first.person, first.slot, first.group, first.sex, ("A", "B"))
    more, _ = people_of(np.array([[1, 0, 0], [0, 0, 0], [5, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]), 700)
    now = Members(*(np.concatenate([getattr(second, n), getattr(more, n)]) for n in ("person", "slot", "group", "sex")))
    withheld, _ = withhold([second], now, DESIGN, K)
    assert not withheld[list(DESIGN.nodes).index("A")]  # alone it was never printed; A and B together gained six
    withheld, _ = withhold([first], now, DESIGN, K)
    assert withheld[list(DESIGN.nodes).index("A")] and withheld[list(DESIGN.nodes).index("B")]


def test_one_copy_counts_as_one_person() -> None:
    found = count_people(np.array([[7]]), np.array([[10]]), np.array([[0]]), np.array([[1]]))[0, :, 0]
    assert found.tolist() == [10, 7, 3, 0, 7, 3]


def test_all_people_with_the_allele_is_as_small_as_nobody_without() -> None:
    table = np.zeros((1, 6, 3), int)
    table[0, :, 2] = 10
    assert not hide(table).any()
    table[0, 0] = [1, 0, 9]
    assert hide(table)[1].all() and not hide(table)[0].any()  # one person alone has the reference


@pytest.mark.parametrize("k", [1, 0, -5])
def test_a_policy_that_hides_nothing_is_refused(k: int) -> None:
    with pytest.raises(ParameterError):
        Policy(k=k)


def test_nobody_is_hidden_where_everybody_is_many() -> None:
    people = count_people(*(np.full((1, 6), n) for n in (100, 600, 25)), np.full((1, 6), 2))
    assert people[0, CARRIERS].tolist() == [75] * 6 and not suppress(people, DESIGN, Policy()).any()
