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
from scipy import integrate, stats

from pyswarmopt_llm.scores.metrics.combines import harmonic
from pyswarmopt_llm.searching.scoring.record import Row, pack
from pyswarmopt_llm.searching.surrogate import (
    ItemModel,
    Kernel,
    Posterior,
    Surrogate,
    harmful,
)

WIGGLY, SMOOTH = Kernel(0.4, 1e-4), Kernel(2.0, 1e-2)


def positions(n: int, dim: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(dim), n)


def literal(kernel: Kernel, x: np.ndarray, y: np.ndarray, new: np.ndarray) -> tuple[float, float]:
    """P(margin > 0) by Student's t, and the margin's mean at `new`."""
    mean, error = kriged(kernel, x, y, new, kernel.noise)
    return float(stats.t.sf(0, len(x) - 1, loc=mean, scale=error)), mean


@given(
    st.integers(2, 9), st.integers(1, 4), st.integers(0, 10**6), st.sampled_from([WIGGLY, SMOOTH])
)
def test_probabilities_are_those_of_the_literal_formulas_item_by_item(
    n: int, dim: int, seed: int, kernel: Kernel
) -> None:
    """However many rivals an item has; one whose margins are not all known is left out."""
    rng = np.random.default_rng(seed)
    x, new = positions(n, dim + 1, seed), positions(3, dim + 1, seed + 1)
    margins = rng.normal(size=(n, 4, 3)) + rng.normal(size=(4, 3))
    margins[:, 1, 2] = margins[:, 2, 1:] = math.nan  # fewer options
    margins[0, 3] = math.nan
    there = [[[m for m in own if not math.isnan(m)] for own in one] for one in margins.tolist()]
    model = ItemModel(x, [[own or None for own in one] for one in there], kernel)
    found, means = model.right(new), model.margins(new)
    assert found.shape == means.shape == (3, 3)
    for m, i in itertools.product(range(3), range(3)):
        rivals = range(3 - i)
        each = [literal(kernel, x, margins[:, i, r], new[m]) for r in rivals]
        assert math.isclose(found[m, i], min(p for p, _ in each), rel_tol=1e-5, abs_tol=1e-7)
        assert math.isclose(means[m, i], min(mean for _, mean in each), rel_tol=1e-5, abs_tol=1e-7)


def test_the_evidence_is_the_likelihood_integrated_over_means_and_scales() -> None:
    x, y = positions(4, 2, 3), np.array([0.3, -0.2, 0.6, 0.1])
    # means in units of the scale
    steps, scales = np.linspace(-30, 30, 1201), np.exp(np.linspace(-5, 6, 441))

    def integrated(kernel: Kernel) -> float:
        k = covariance(kernel, x)
        off = y - scales[:, None, None] * steps[:, None]
        density = np.exp(
            -0.5 * np.einsum("smi,ij,smj->sm", off, np.linalg.inv(k), off) / scales[:, None] ** 2
        )
        density *= scales[:, None] ** -4 * np.linalg.det(k) ** -0.5  # of four margins
        over_means = integrate.simpson(density, x=steps) * scales
        return float(np.log(integrate.simpson(over_means, x=np.log(scales))))

    def ours(kernel: Kernel) -> float:
        return Posterior(kernel, x, y[:, None]).evidence

    one, other = Kernel(0.5, 1e-2), Kernel(1.5, 1e-1)
    assert math.isclose(ours(one) - ours(other), integrated(one) - integrated(other), abs_tol=1e-3)


def drawn(kernel: Kernel, x: np.ndarray, items: int, seed: int) -> np.ndarray:
    """(N, I, 1) margins drawn from the model itself, each with a mean and a scale of its own."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(covariance(kernel, x))
    return (
        rng.normal(size=items) + rng.gamma(2, 1, items) * (root @ rng.normal(size=(len(x), items)))
    )[..., None]


def test_the_length_is_found_and_probabilities_mean_what_they_say() -> None:
    true = Kernel(0.8, 1e-4)
    x = positions(45, 4, 5)
    margins = drawn(true, x, 600, 6)
    model = ItemModel(x[:25], margins[:25].tolist())
    assert true.length / 2 < model.kernel.length < 2 * true.length and model.kernel.noise < 1e-2
    p, right = model.right(x[25:]).ravel(), (margins[25:] > 0).ravel()
    for low, high in itertools.pairwise([0, 0.02, 0.1, 0.3, 0.7, 0.9, 0.98, 1]):
        inside = (p >= low) & (p < high)
        assert inside.sum() > 200 and abs(right[inside].mean() - p[inside].mean()) < 0.05
    assert np.mean((p < 0.05) | (p > 0.95)) > 0.5  # and they say something


def test_what_was_scored_is_known_and_what_never_changed_does_not_divide_by_zero() -> None:
    x = positions(8, 3, 7)
    margins = np.concatenate([drawn(SMOOTH, x, 5, 8), np.full((8, 1, 1), 0.25)], axis=1)
    found = ItemModel(x, margins.tolist(), Kernel(2.0, 1e-6)).right(x)
    np.testing.assert_array_equal(found[:, :5] > 0.5, margins[:, :5, 0] > 0)
    assert (found[:, 5] > 0.999).all()


# What is proposed and handed over


def learnt(margins: np.ndarray, x: np.ndarray, choosy: bool = False) -> Surrogate:
    """A surrogate of candidates at `x`, (N, D), with these margins, (N, I, R)."""
    surrogate = Surrogate("items", ["t"], harmonic, 6, choosy=choosy)
    for number, (position, own) in enumerate(zip(x, margins, strict=True)):
        right = (own.min(axis=1) > 0).astype(float).tolist()
        value, items = sum(right) / len(right), {"t": pack(right)}
        rest = {"t": own.tolist()}
        row = Row("search", 0, 0, str(number), (), value, 1, 0.0, items, margins=rest)
        surrogate.tell(torch.from_numpy(position), row)
    return surrogate


def test_of_those_about_as_good_as_the_best_the_widest_margins_win() -> None:
    """By a literal transcription; never one below the floor."""
    rng = np.random.default_rng(5)
    margins = rng.normal(size=(12, 40, 3)) + 1.2
    values = (margins.min(2) > 0).mean(1)
    surrogate = learnt(margins, np.arange(12.0)[:, None])
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
        assert surrogate.choice(floor) == max(near, key=wide.__getitem__)
    assert surrogate.choice(1.0) is None


def test_a_proposal_is_where_margins_are_widest() -> None:
    """Three items whose margins are paraboloids with known tops: the best place by a fine grid."""
    tops = np.array([[0.2, 0.6], [0.5, 0.4], [0.4, 0.8]])
    heights = np.array([0.1, 0.3, 0.2])

    def margins(x: np.ndarray) -> np.ndarray:
        """(N, 3) of (N, 2)."""
        return heights - ((x[:, None] - tops) ** 2).sum(2)

    x = np.random.default_rng(0).uniform(0, 1, (40, 2))
    assert list(Surrogate("items", ["t"], harmonic, 6).propose(0, 1)) == []
    surrogate = learnt(margins(x)[..., None], x)
    soft = 0.4 * margins(x).std()
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 201)] * 2), axis=-1).reshape(-1, 2)
    width = (1 / (1 + np.exp(-margins(grid) / soft))).mean(1)
    for seed in range(3):
        ((proposed,), *others) = surrogate.propose(seed, 4)
        assert len(others) == 5 and np.abs(proposed.numpy() - grid[width.argmax()]).max() < 0.02
        own = (1 / (1 + np.exp(-margins(proposed.numpy()[None]) / soft))).mean()
        best_seen = (1 / (1 + np.exp(-margins(x) / soft))).mean(1).max()
        assert own > best_seen  # better than all that was scored


@pytest.mark.parametrize("promising", [False, True])
def test_a_choosy_search_proposes_nothing_where_nothing_is_promised(promising: bool) -> None:
    """Each of two experts knows half of the items; added up they know all, or spoil the other's."""
    knows = np.repeat(np.eye(2), 50, axis=1) - (0 if promising else 1 - np.repeat(np.eye(2), 50, 1))
    x = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.2, 0.2], [0.8, 0.0], [0.0, 0.8]])
    proposed = list(learnt((x @ knows - 0.3)[..., None], x, choosy=True).propose(0, 1))
    assert bool(proposed) is promising


EXPERTS = 6
START = [*np.eye(EXPERTS), np.zeros(EXPERTS), np.full(EXPERTS, 1 / EXPERTS), np.ones(EXPERTS)]


def row(key: object, value: float) -> Row:
    """The row of a candidate with this share of 100 items."""
    right = np.arange(100) < round(100 * value)
    margins = {"t": np.where(right, 0.5, -0.5)[:, None].tolist()}
    items = {"t": pack(right.astype(float).tolist())}
    return Row("search", 0, 0, str(key), (), value, 100, 0.0, items, margins=margins)


def begun(of: str, harm: bool, most: int = 6) -> Surrogate:
    """A surrogate of the start of a search; `harm`: the last expert spoils what has it."""
    values = [0.3, 0.32, 0.28, 0.3, 0.31, 0.0 if harm else 0.15, 0.2, 0.15, 0.0]
    surrogate = Surrogate(of, ["t"], harmonic, most)
    for key, (position, value) in enumerate(zip(START, values, strict=True)):
        surrogate.tell(torch.from_numpy(position), row(key, value))
    return surrogate


def taken(surrogate: Surrogate, at_once: int = 1) -> list[list[list[float]]]:
    """The batches that a surrogate proposes, each scored."""
    batches: list[list[list[float]]] = []
    for batch in surrogate.propose(3, at_once):
        batches.append([position.tolist() for position in batch])
        for number, position in enumerate(batch):
            surrogate.tell(position, row(f"{len(batches)}-{number}", 0.4))
    return batches


@pytest.mark.parametrize(("of", "sizes"), [("items", [1] * 5), ("scores", [2, 2, 1])])
def test_an_expert_that_harms_is_in_no_proposal(of: str, sizes: Sequence[int]) -> None:
    surrogate = begun(of, harm=True)
    first, *others = taken(surrogate, at_once=2)
    assert first == [[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]]
    assert [len(batch) for batch in others] == sizes  # six in all
    assert all(position[-1] == 0 and any(position) for batch in others for position in batch)
    assert list(surrogate.left_out) == [5]
    choice = surrogate.choice(0.0)
    assert choice is not None and choice[-1] == 0


@pytest.mark.parametrize("of", ["items", "scores"])
def test_proposals_are_those_of_a_pool_without_it(of: str) -> None:
    """But for the sum, which is a candidate of the smaller pool from the start."""
    surrogate, smaller = begun(of, harm=True, most=3), Surrogate(of, ["t"], harmonic, 2)
    proposals = surrogate.propose(0, 1)
    (total,) = next(proposals)
    surrogate.tell(total, row("sum", 0.25))
    for key, seen in enumerate(surrogate.scored):
        smaller.tell(torch.from_numpy(seen.position[:-1]), row(key, seen.value))
    ((proposed,), (same,)) = next(proposals), next(smaller.propose(1, 1))
    assert proposed[:-1].equal(same)


@pytest.mark.parametrize("of", ["items", "scores"])
def test_without_an_expert_that_harms_the_proposals_are_those_of_all_experts(of: str) -> None:
    surrogate = begun(of, harm=False)
    batches = taken(surrogate)
    assert len(batches) == 6 and list(surrogate.left_out) == []
    assert batches[0][0] != [1.0] * EXPERTS and any(batch[0][-1] for batch in batches)


@pytest.mark.parametrize(("errors", "known"), [(2.4, True), (2.6, True), (99.0, False)])
def test_clearly_is_two_and_a_half_standard_errors_of_two_scores(
    errors: float, known: bool
) -> None:
    values = np.full(len(START), 0.5)
    values[5] = 0.5 - errors * math.hypot(0.03, 0.04)
    error = np.full(len(START), 0.03)
    error[5] = 0.04 if known else math.nan
    found = harmful(np.stack(START), values, error)
    assert found == ([5] if known and errors > 2.5 else [])


def test_nobody_is_left_out_without_a_base_or_after_iterations() -> None:
    values, errors = np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.0]), np.full(6, 0.01)
    assert harmful(np.eye(6), values, errors) == []
    moved = np.random.default_rng(1).random((20, 6))
    everything: list[Any] = [np.stack([*START, *moved]), [*values, 0.5, 0.5, 0.5, *[0.5] * 20]]
    assert harmful(everything[0], np.array(everything[1]), np.full(29, 0.01)) == []
