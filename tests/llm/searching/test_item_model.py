"""The model of the items: against scikit-learn, a literal transcription, integrals, and its own
promises; experts that harm are not learnt from.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kriging import covariance, kriged

from pyswarmopt_llm.common.gaussian import Kernel
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching.item_model import MarginProcess
from pyswarmopt_llm.searching.scoring.record import Row, pack
from pyswarmopt_llm.searching.surrogate import Surrogate

WIGGLY, SMOOTH = Kernel(0.4, 1e-4), Kernel(2.0, 1e-2)


def positions(n: int, dim: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(dim), n)


@given(
    st.integers(2, 9), st.integers(1, 4), st.integers(0, 10**6), st.sampled_from([WIGGLY, SMOOTH])
)
def test_margins_are_those_of_the_literal_formulas_item_by_item(
    n: int, dim: int, seed: int, kernel: Kernel
) -> None:
    """However many rivals an item has; one whose margins are not all known is left out."""
    rng = np.random.default_rng(seed)
    x, new = positions(n, dim + 1, seed), positions(3, dim + 1, seed + 1)
    margins = rng.normal(size=(n, 4, 3)) + rng.normal(size=(4, 3))
    margins[:, 1, 2] = margins[:, 2, 1:] = math.nan  # fewer options
    margins[0, 3] = math.nan
    there = [[[m for m in own if not math.isnan(m)] for own in one] for one in margins.tolist()]
    model = MarginProcess(x, [[own or None for own in one] for one in there], kernel)
    means = model.margins(new)
    assert means.shape == (3, 3)
    for m, i in itertools.product(range(3), range(3)):
        rivals = range(3 - i)
        each = [kriged(kernel, x, margins[:, i, r], new[m], kernel.noise)[0] for r in rivals]
        assert math.isclose(means[m, i], min(each), rel_tol=1e-5, abs_tol=1e-7)


def drawn(kernel: Kernel, x: np.ndarray, items: int, seed: int) -> np.ndarray:
    """(N, I, 1) margins drawn from the model itself, each with a mean and a scale of its own."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(covariance(kernel, x))
    return (
        rng.normal(size=items) + rng.gamma(2, 1, items) * (root @ rng.normal(size=(len(x), items)))
    )[..., None]


# What is proposed and handed over


def asked(proposer: Surrogate) -> np.ndarray:
    """The positions that are asked for, (n, D)."""
    batch = proposer.ask()
    assert batch is not None
    return np.asarray(batch.positions)


def learnt(margins: np.ndarray, x: np.ndarray, **more: Any) -> Surrogate:
    """A model that was told of candidates at `x`, (N, D), with these margins, (N, I, R)."""
    proposer = Surrogate(
        "items", torch.from_numpy(x), ["e"] * x.shape[1], ["t"], harmonic, 6, **more
    )
    rows = []
    for number, own in enumerate(margins):
        right = (own.min(axis=1) > 0).astype(float).tolist()
        value = sum(right) / len(right)
        items = {"t": pack(right)}
        known = {"t": own.tolist()}
        rows.append(
            Row("search", 0, 0, str(number), (), value, len(right), 0.0, items, margins=known)
        )
    np.testing.assert_array_equal(asked(proposer), x)
    proposer.tell(torch.from_numpy(x), rows)
    return proposer


def test_of_those_about_as_good_as_the_best_the_widest_margins_win() -> None:
    """By a literal transcription; never one below the floor."""
    rng = np.random.default_rng(5)
    margins = rng.normal(size=(12, 40, 3)) + 1.2
    values = (margins.min(2) > 0).mean(1)
    best, spread = values.max(), margins.min(2).std()
    least = best - math.sqrt(best * (1 - best) / 39)  # the error of a mean of forty
    wide = {
        i: sum(1 / (1 + math.exp(-min(m) / (0.4 * spread))) for m in margins[i]) / 40
        for i in range(12)
        if values[i] >= least
    }
    assert len(wide) > 1
    for floor in (-math.inf, best):
        near = [i for i in wide if values[i] >= floor]
        found = learnt(margins, np.arange(12.0)[:, None], floor=floor).best()
        chosen = max(near, key=wide.__getitem__)
        assert (found.x.item(), found.value) == (chosen, values[chosen])
    assert learnt(margins, np.arange(12.0)[:, None], floor=1.0).best().value == best


def test_a_proposal_is_where_margins_are_widest() -> None:
    """Three items whose margins are paraboloids with known tops: the best place by a fine grid."""
    tops = np.array([[0.2, 0.6], [0.5, 0.4], [0.4, 0.8]])
    heights = np.array([0.1, 0.3, 0.2])

    def margins(x: np.ndarray) -> np.ndarray:
        """(N, 3) of (N, 2)."""
        return heights - ((x[:, None] - tops) ** 2).sum(2)

    x = np.random.default_rng(0).uniform(0, 1, (40, 2))
    soft = 0.4 * margins(x).std()
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 201)] * 2), axis=-1).reshape(-1, 2)
    width = (1 / (1 + np.exp(-margins(grid) / soft))).mean(1)
    proposer = learnt(margins(x)[..., None], x, at_once=4)
    (proposed,) = asked(proposer)
    assert np.abs(proposed - grid[width.argmax()]).max() < 0.02
    own = (1 / (1 + np.exp(-margins(proposed[None]) / soft))).mean()
    best_seen = (1 / (1 + np.exp(-margins(x) / soft))).mean(1).max()
    assert own > best_seen  # better than all that was scored
    assert [len(asked(proposer)) for _ in range(5)] == [1] * 5 and proposer.ask() is None


EXPERTS = 6
START = [*np.eye(EXPERTS), np.zeros(EXPERTS), np.full(EXPERTS, 1 / EXPERTS), np.ones(EXPERTS)]
NAMES = [f"e{number}" for number in range(EXPERTS)]


def row(key: object, value: float) -> Row:
    """The row of a candidate with this share of 100 items."""
    right = np.arange(100) < round(100 * value)
    margins = {"t": np.where(right, 0.5, -0.5)[:, None].tolist()}
    items = {"t": pack(right.astype(float).tolist())}
    return Row("search", 0, 0, str(key), (), value, 100, 0.0, items, margins=margins)


def begun(of: str, harm: bool, most: int = 6, **more: Any) -> Surrogate:
    """A proposer that knows the start of a search; `harm`: the last expert spoils what has it."""
    values = [0.3, 0.32, 0.28, 0.3, 0.31, 0.0 if harm else 0.15, 0.2, 0.15, 0.0]
    starts = torch.from_numpy(np.stack(START))
    proposer = Surrogate(of, starts, NAMES, ["t"], harmonic, most, **more)
    proposer.tell(
        torch.from_numpy(asked(proposer)), [row(key, value) for key, value in enumerate(values)]
    )
    return proposer


def taken(proposer: Surrogate) -> list[list[list[float]]]:
    """The batches that are proposed, each scored."""
    batches: list[list[list[float]]] = []
    while (batch := proposer.ask()) is not None:
        batches.append(batch.positions.tolist())
        keys = [f"{len(batches)}-{number}" for number in range(len(batch.positions))]
        proposer.tell(batch.positions, [row(key, 0.4) for key in keys])
    return batches


@pytest.mark.parametrize(("of", "sizes"), [("items", [1] * 5), ("scores", [2, 2, 1])])
def test_an_expert_that_harms_is_in_no_proposal(of: str, sizes: Sequence[int]) -> None:
    proposer = begun(of, harm=True, at_once=2)
    first, *others = taken(proposer)
    assert first == [[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]]
    assert [len(batch) for batch in others] == sizes  # six in all
    assert all(position[-1] == 0 and any(position) for batch in others for position in batch)
    assert list(proposer.left_out) == [5] and "e5" in " ".join(proposer.remarks)
    assert proposer.best().x[-1] == 0 and proposer.stop() == {"proposals": 6}


@pytest.mark.parametrize("of", ["items", "scores"])
def test_proposals_are_those_of_a_pool_without_it(of: str) -> None:
    """But for the sum, which is a candidate of the smaller pool from the start."""
    proposer = begun(of, harm=True, most=3)
    proposer.tell(torch.from_numpy(asked(proposer)), [row("sum", 0.25)])
    inside = torch.from_numpy(np.stack([seen.position[:-1] for seen in proposer.scored]))
    smaller = Surrogate(of, inside, NAMES[:-1], ["t"], harmonic, 2)
    asked(smaller)
    smaller.tell(inside, [row(key, seen.value) for key, seen in enumerate(proposer.scored)])
    # the search for the maximum ends where rounding errors decide
    np.testing.assert_allclose(asked(proposer)[0, :-1], asked(smaller)[0], atol=1e-4)
