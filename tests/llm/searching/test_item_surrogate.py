"""The model of the items: what is imputed of the starting positions, what it proposes and hands over."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching.scoring.plan import Screen, bounds
from pyswarmopt_llm.searching.scoring.record import Row, wrong_in_row
from pyswarmopt_llm.searching.surrogate.items import ItemSurrogate

# The rule

_probability = st.sampled_from([0.0, 0.04, 0.05, 0.3, 0.5, 0.6, 0.95, 0.96, 1.0])
_value = st.sampled_from([0.0, 1.0, math.nan])
_item = st.tuples(_probability, _value)


@given(
    st.lists(_item, min_size=1, max_size=6),
    st.lists(_item, min_size=1, max_size=6),
    st.floats(0, 1),
)
@settings(max_examples=100)
def test_what_is_told_counts_sure_items_and_waits_for_doubtful_ones(
    one: list[tuple[float, float]], two: list[tuple[float, float]], best: float
) -> None:
    tasks = {"one": one, "two": two}
    values = {name: np.array([v for _, v in task]) for name, task in tasks.items()}
    screen = Screen(
        {name: np.array([p for p, _ in task]) for name, task in tasks.items()}, 0.05, best
    )
    told = screen.value(values, harmonic)
    doubtful = {
        name: {i for i, (p, _) in enumerate(task) if 0.05 <= p <= 0.95}
        for name, task in tasks.items()
    }
    assert screen.first == doubtful
    filled = [[float(p > 0.5) if math.isnan(v) else v for p, v in task] for task in (one, two)]
    value = harmonic([score_of(task) for task in filled]).value
    waits = any(math.isnan(tasks[name][i][1]) for name in tasks for i in doubtful[name])
    assert told == (None if waits or value > best else value)


@given(st.lists(_value, min_size=1, max_size=5), st.lists(_value, min_size=1, max_size=5))
def test_bounds_are_the_extremes_of_all_completions(one: list[float], two: list[float]) -> None:
    def completions(values: list[float]) -> list[list[float]]:
        return [
            list(c)
            for c in itertools.product(*([v] if not math.isnan(v) else (0.0, 1.0) for v in values))
        ]

    values = [
        harmonic([score_of(a), score_of(b)]).value
        for a in completions(one)
        for b in completions(two)
    ]
    assert bounds({"one": np.array(one), "two": np.array(two)}, harmonic) == (
        min(values),
        max(values),
    )


def test_the_kernel_is_chosen_anew_with_half_as_many_margins_again() -> None:
    """After 4 candidates at 6, 9, 14, 21: there it predicts what one that was never used before
    predicts.
    """
    rng = np.random.default_rng(0)
    positions = torch.from_numpy(rng.dirichlet(np.ones(3), 24))
    slopes = rng.normal(size=(5, 2, 3))
    margins = np.sin(3 * slopes @ positions.numpy().T).transpose(2, 0, 1)
    rows = [found(str(k), 0.5, {"t": own.tolist()}) for k, own in enumerate(margins)]
    often, anew = ItemSurrogate({"t": 5}, 6), set()
    new = positions[:3].numpy() + 0.1
    for n in range(1, 25):
        often.tell(positions[n - 1], rows[n - 1])
        if n < 4:
            continue
        once = ItemSurrogate({"t": 5}, 6)
        for k in range(n):
            once.tell(positions[k], rows[k])
        ours, fresh = (one.model().right(new) for one in (often, once))
        if np.array_equal(ours, fresh):
            anew.add(n)
    assert anew == {4, 6, 9, 14, 21}


def test_a_screen_has_the_items_of_each_task() -> None:
    surrogate = ItemSurrogate({"three": 3, "two": 2, "one": 1}, 6)
    rng = np.random.default_rng(0)
    for k, position in enumerate(torch.eye(3, dtype=torch.float64)):
        margins = {name: rng.normal(size=(n, 1)).tolist() for name, n in surrogate.items.items()}
        surrogate.tell(position, found(str(k), 0.5, margins))
    (screen,) = surrogate.begin(torch.full((1, 3), 1 / 3, dtype=torch.float64))
    assert isinstance(screen, Screen)
    assert {name: len(right) for name, right in screen.right.items()} == {
        "three": 3,
        "two": 2,
        "one": 1,
    }
    together = surrogate.model().right(np.full((1, 3), 1 / 3))[0]
    assert np.array_equal(np.concatenate([*screen.right.values()]), together)


def test_damaged_margins_are_no_row() -> None:
    row = {
        "phase": "search",
        "iteration": 0,
        "particle": 0,
        "key": "k",
        "coefficients": [1.0],
        "value": 0.5,
        "n": 1,
    }
    row |= {"seconds": 0.1, "items": {"t": "1?"}}
    assert wrong_in_row(row | {"margins": {"t": [[0.5, -1.0], None]}}) is None
    for bad in ([], {"t": 1}, {"t": [0.5]}, {"t": [["x"]]}):
        assert wrong_in_row(row | {"margins": bad}) == "margins"


# What is handed over


def learnt(*candidates: tuple[float, list[list[float] | None]]) -> ItemSurrogate:
    """A model of candidates with these values and margins, at 0, 1, 2, ..."""
    surrogate = ItemSurrogate({"t": len(candidates[0][1])}, 6)
    for i, (value, margins) in enumerate(candidates):
        known = None if None not in margins else (0.0, 1.0)
        surrogate.tell(torch.tensor([float(i)]), found(str(i), value, {"t": margins}, known))
    return surrogate


def found(key: str, value: float, margins: Any, bounds: Any = None) -> Row:
    """The row of a candidate with these margins."""
    return Row("search", 0, 0, key, (), value, 1, 0.0, {}, bounds, margins=margins)


def test_of_those_about_as_good_as_the_best_the_widest_margins_win() -> None:
    """Four items; a standard error at .75 is .217, so .54 and more is about as good."""
    narrow = (0.75, [[0.1, 9.0], [0.1, 0.3], [0.1, 0.2], [-0.1, 0.5]])
    wide = (0.75, [[2.0, 9.0], [3.0, 4.0], [2.0, 2.5], [-0.1, 0.5]])
    widest_but_half = (0.5, [[9.0, 9.0], [9.0, 9.0], [-0.1, 9.0], [-0.1, 9.0]])
    too_low = (0.25, [[9.0, 9.0], [-0.1, 9.0], [-0.1, 9.0], [-0.1, 9.0]])
    not_asked_in_full = (0.75, [[9.0, 9.0], [9.0, 9.0], [9.0, 9.0], None])
    surrogate = learnt(narrow, wide, widest_but_half, too_low, not_asked_in_full)
    assert surrogate.choice(-math.inf) == torch.tensor([1.0], dtype=torch.float64)
    lower = learnt(narrow, (0.55, wide[1]))  # as if two tasks had been combined
    assert lower.choice(-math.inf) == 1 and lower.choice(0.6) == 0
    assert learnt(not_asked_in_full).choice(-math.inf) is None


def test_the_widest_margins_by_a_literal_transcription() -> None:
    rng = np.random.default_rng(0)
    margins = rng.normal(size=(12, 9, 3))
    values = (margins.min(2) > 0).mean(1)
    surrogate = learnt(*((float(v), m.tolist()) for v, m in zip(values, margins, strict=True)))
    best = values.max()
    spread = margins.min(2).std()
    wide = {}
    for i in range(12):
        if values[i] >= best - math.sqrt(best * (1 - best) / 9):
            wide[i] = sum(1 / (1 + math.exp(-min(m) / (0.4 * spread))) for m in margins[i]) / 9
    chosen = surrogate.choice(-math.inf)
    assert chosen is not None and int(chosen) == max(wide, key=lambda i: wide[i])


def test_a_proposal_is_where_margins_are_widest() -> None:
    """Three items whose margins are paraboloids with known tops: the best place by a fine grid."""
    tops = np.array([[0.2, 0.6], [0.5, 0.4], [0.4, 0.8]])
    heights = np.array([0.1, 0.3, 0.2])

    def margins(x: np.ndarray) -> np.ndarray:
        """(N, 3) of (N, 2)."""
        return heights - ((x[:, None] - tops) ** 2).sum(2)

    x = np.random.default_rng(0).uniform(0, 1, (40, 2))
    surrogate = ItemSurrogate({"t": 3}, 6)
    assert list(surrogate.propose(0, 1)) == []
    for i, row in enumerate(margins(x)):
        value = float((row > 0).mean())
        surrogate.tell(torch.from_numpy(x[i]), found(str(i), value, {"t": [[m] for m in row]}))
    soft = 0.4 * margins(x).std()
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 201)] * 2), axis=-1).reshape(-1, 2)
    width = (1 / (1 + np.exp(-margins(grid) / soft))).mean(1)
    for seed in range(3):
        ((proposed,), *_) = surrogate.propose(seed, 1)
        assert np.abs(proposed.numpy() - grid[width.argmax()]).max() < 0.02
        own = (1 / (1 + np.exp(-margins(proposed.numpy()[None]) / soft))).mean()
        best_seen = (1 / (1 + np.exp(-margins(x) / soft))).mean(1).max()
        assert own > best_seen  # better than all that was asked
