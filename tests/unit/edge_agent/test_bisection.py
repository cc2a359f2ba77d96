"""Bisection finds exactly the lines that a store minds, in few requests."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bisection import Judged, Search
from edge_agent.messages import Record, Refused

Place = tuple[int, int]
Hint = Callable[[list[Place]], dict[int, str]]


def asked(search: Search, n_lines: dict[int, int]) -> list[Place]:
    return [
        (piece.sequence, line)
        for piece in search.question
        for line in (range(n_lines[piece.sequence]) if piece.lines is None else piece.lines)
    ]


def run(
    n_lines: dict[int, int],
    bad: set[Place],
    hint: Hint = lambda _lines: {},
    *,
    says_when_all: bool = False,
) -> tuple[set[Place], set[Place], int]:
    """Search as the lane does; give what was stored, what was condemned, and how many requests."""
    search = Search([Record(n, 0, 0, n_lines=count) for n, count in n_lines.items()])
    stored: set[Place] = set()
    judged: list[Judged] = []
    n_requests = 0
    while not search.is_over:
        lines = asked(search, n_lines)
        n_requests += 1
        assert lines
        assert len(set(lines)) == len(lines)
        minded = [line for line in lines if line in bad]
        if not minded:
            stored |= set(lines)
            judged += search.stored()
            continue
        is_all = says_when_all and len(minded) == len(lines)
        judged += search.refused(Refused("400", tuple(hint(lines).items()), is_all))
    assert sorted(each.sequence for each in judged) == sorted(n_lines)
    condemned = {(each.sequence, line) for each in judged for line, _ in each.bad}
    return stored, condemned, n_requests


def bound(n: int, k: int) -> float:
    """Requests of a binary search for k of n lines, as an upper bound."""
    return 1 + 2 * k * (1 + math.log2(max(n / k, 1))) + 2 * k


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[int, int], set[Place]]:
    sizes = draw(SIZES)
    n_lines = dict(enumerate(sizes, start=7))
    places = [(n, line) for n, size in n_lines.items() for line in range(size)]
    bad = draw(st.sets(st.sampled_from(places), min_size=1, max_size=8))
    return n_lines, bad


@settings(max_examples=300)
@given(case=cases())
def test_exactly_the_bad_lines_are_found_in_k_log_n_requests(
    case: tuple[dict[int, int], set[Place]],
) -> None:
    n_lines, bad = case

    stored, condemned, n_requests = run(n_lines, bad)

    everything = {(n, line) for n, size in n_lines.items() for line in range(size)}
    assert condemned == bad
    assert stored == everything - bad
    assert n_requests <= bound(len(everything), len(bad)) + math.log2(len(n_lines)) * len(bad)


@settings(max_examples=300)
@given(case=cases(), seed=st.integers(0, 2**32))
def test_wrong_hints_change_nothing_but_a_bounded_number_of_requests(
    case: tuple[dict[int, int], set[Place]], seed: int
) -> None:
    n_lines, bad = case
    chance = np.random.default_rng(seed)

    def lie(lines: list[Place]) -> dict[int, str]:
        """Name anything, but never everything: that is a lie about single lines no store tells."""
        some = [place for place in range(len(lines)) if chance.random() < chance.random()]
        return dict.fromkeys(some[: len(lines) - 1], "a lie")

    stored, condemned, n_requests = run(n_lines, bad, lie)
    _, _, n_without = run(n_lines, bad)

    everything = {(n, line) for n, size in n_lines.items() for line in range(size)}
    assert condemned == bad
    assert stored == everything - bad
    assert n_requests <= 3 * bound(len(everything), len(bad)) + n_without


@pytest.mark.parametrize("n", [100, 1000])
def test_a_store_that_always_names_all_lines_but_one_is_not_believed_for_long(n: int) -> None:
    def all_but_one_good(lines: list[Place]) -> dict[int, str]:
        good = next((place for place, line in enumerate(lines) if line != (1, 42)), 0)
        return {place: "a lie" for place in range(len(lines)) if place != good}

    def one_good(lines: list[Place]) -> dict[int, str]:
        good = next((place for place, line in enumerate(lines) if line != (1, 42)), 0)
        return {good: "a lie"} if len(lines) > 1 else {}

    for lie in (all_but_one_good, one_good):
        _, condemned, n_requests = run({1: n}, {(1, 42)}, lie)

        assert condemned == {(1, 42)}
        assert n_requests <= 4 * math.ceil(math.log2(n)) + 5


@given(case=cases())
def test_true_hints_make_it_three_requests(case: tuple[dict[int, int], set[Place]]) -> None:
    n_lines, bad = case

    def tell(lines: list[Place]) -> dict[int, str]:
        return {place: f"{line} is bad" for place, line in enumerate(lines) if line in bad}

    _, condemned, n_requests = run(n_lines, bad, tell)

    assert condemned == bad
    assert n_requests <= 3


def test_each_line_keeps_the_stores_own_reason() -> None:
    search = Search([Record(5, 0, 0, n_lines=3)])

    search.refused(Refused("400 two bad lines", ((0, "no field"), (2, "no time"))))
    first = search.refused(Refused("400", ((0, "no field"), (1, "no time"))))
    judged = search.stored()

    assert first == []
    assert judged == [Judged(5, ((0, "no field"), (2, "no time")))]


def test_a_store_that_takes_none_of_ten_thousand_lines_is_asked_once() -> None:
    bad = {(1, line) for line in range(10_000)}

    _, condemned, n_requests = run({1: 10_000}, bad, says_when_all=True)

    assert condemned == bad
    assert n_requests == 1


def test_a_promise_that_the_rest_is_stored_is_believed() -> None:
    search = Search([Record(1, 0, 0, n_lines=5), Record(2, 0, 0, n_lines=5)])

    judged = search.refused(Refused("400", ((7, "unknown machine"),), is_rest_stored=True))

    assert judged == [Judged(1, ()), Judged(2, ((2, "unknown machine"),))]
    assert search.is_over


@pytest.mark.parametrize("n", [1_000, 10_000])
def test_one_bad_line_in_many_costs_a_few_dozen_requests(n: int) -> None:
    for line in np.random.default_rng(4).integers(n, size=20).tolist():
        _, condemned, n_requests = run({1: n}, {(1, line)})

        assert condemned == {(1, line)}
        assert n_requests <= 2 * math.ceil(math.log2(n)) + 1


def test_whole_records_are_asked_about_before_lines() -> None:
    questions: list[Sequence[object]] = []
    search = Search([Record(n, 0, 0, n_lines=100) for n in range(16)])
    while not search.is_over:
        questions.append(search.question)
        has_bad = any(
            piece.sequence == 11 and (piece.lines is None or 42 in piece.lines)
            for piece in search.question
        )
        if has_bad:
            search.refused(Refused("400"))
        else:
            search.stored()

    whole = [all(getattr(piece, "lines", 1) is None for piece in each) for each in questions]
    assert whole.index(False) >= 5
