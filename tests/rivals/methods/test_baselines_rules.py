"""The rules on plain tensors: worked by hand, written out as loops, and their limiting cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import geometric_slerp

from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.experts.truncate import truncate_dense, truncate_low_rank
from pyswarmopt_rivals.methods.rules import sparsify
from pyswarmopt_rivals.methods.rules.angles import model_stock_weights, slerp_weights
from pyswarmopt_rivals.methods.rules.sparsify import TIES, drop_rates

SEEDS = st.integers(0, 2**32)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# TIES


def ties_in_loops(rows: list[list[float]], kept: int) -> list[float]:
    """Algorithm 1 of the paper, an entry at a time."""
    trimmed = []
    for row in rows:
        threshold = sorted((abs(value) for value in row), reverse=True)[kept - 1]
        trimmed.append([value if abs(value) >= threshold else 0.0 for value in row])
    merged = []
    for column in zip(*trimmed, strict=True):
        positive = sum(value for value in column if value > 0)
        negative = -sum(value for value in column if value < 0)
        agree = [value for value in column if (value > 0 if positive >= negative else value < 0)]
        merged.append(sum(agree) / len(agree) if agree else 0.0)
    return merged


@st.composite
def distinct_rows(draw: st.DrawFn) -> list[list[float]]:
    """Experts of 8 entries whose magnitudes are 1 to 8 in any order: what is trimmed is never
    ambiguous.
    """
    magnitudes = st.permutations(range(1, 9))
    signs = st.lists(st.sampled_from([1.0, -1.0]), min_size=8, max_size=8)
    pairs = [(draw(magnitudes), draw(signs)) for _ in range(draw(st.integers(1, 5)))]
    return [[m * s for m, s in zip(*pair, strict=True)] for pair in pairs]


@given(rows=distinct_rows(), kept=st.integers(1, 8))
def test_ties_is_algorithm_1(rows: list[list[float]], kept: int) -> None:
    experts = torch.tensor(rows, dtype=torch.float64)
    found = TIES.merge(experts, torch.ones(len(rows), dtype=torch.float64), kept / 8)
    np.testing.assert_allclose(found.numpy(), ties_in_loops(rows, kept), rtol=1e-12)


# Pruning


# Random drops


@pytest.mark.parametrize("density", [0.2, 0.5, 0.9])
def test_dare_keeps_the_share_and_the_expectation(density: float) -> None:
    ones = torch.ones(3, 200, 200)
    drawn = sparsify.drop_and_rescale(ones, density, torch.Generator().manual_seed(1))
    assert set(drawn.unique().tolist()) == {0.0, torch.tensor(1.0).div(density).item()}
    error = math.sqrt((1 - density) / density / ones.numel())  # of the mean of kept / density
    assert abs(drawn.mean().item() - 1) < 5 * error
    assert not torch.equal(drawn[0], drawn[1])  # each expert has its own mask


# Which sparsifier goes with which consensus


@pytest.mark.parametrize(
    ("rule", "remains", "elects"),
    [
        (sparsify.TASK_ARITHMETIC, lambda x, draws: x, False),
        (sparsify.MAGNITUDE_PRUNE, lambda x, draws: sparsify.keep_largest(x, 0.5), False),
        (sparsify.BREADCRUMBS, lambda x, draws: sparsify.keep_middle(x, 0.5), False),
        (sparsify.DARE_LINEAR, lambda x, draws: x * (draws < 0.5) / 0.5, False),
        (sparsify.TIES, lambda x, draws: sparsify.keep_largest(x, 0.5), True),
        (sparsify.DARE_TIES, lambda x, draws: x * (draws < 0.5) / 0.5, True),
        (
            sparsify.DELLA,
            lambda x, draws: x * (draws < 1 - drop_rates(x, 0.5)) / (1 - drop_rates(x, 0.5)),
            True,
        ),
    ],
)
def test_a_rule_is_its_sparsifier_and_then_a_sum_or_an_election(rule, remains, elects) -> None:
    """DARE-TIES elects signs among what DARE left; DARE alone, a weighted sum, does not."""
    changes = normal(3, 3, 6, 5)
    draws = torch.rand(3, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = remains(changes, draws).flatten(1)
    weights = torch.full((3,), 0.7, dtype=torch.float64)
    expected = 0.7 * rows.sum(0)
    if elects:  # with nothing left to trim
        expected = 0.7 * torch.tensor(ties_in_loops(rows.tolist(), 30), dtype=torch.float64)
    found = rule.merge(changes, weights, 0.5).flatten()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


# On the sphere


def unit(seed: int, n: int, dim: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, dim))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def gram_of(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rows @ rows.T)


@given(seed=SEEDS)
def test_slerp_of_four_goes_from_one_to_the_next(seed: int) -> None:
    ends, weights = unit(seed, 4, 6), [3.0, 1.0, 2.0, 4.0]
    point = ends[0]
    for end, t in zip(ends[1:], (1 / 4, 2 / 6, 4 / 10), strict=True):
        point = geometric_slerp(point, end, t)
    found = slerp_weights(gram_of(ends), weights).numpy() @ ends
    np.testing.assert_allclose(found, point, atol=1e-9)


# Model Stock


@given(seed=SEEDS, n=st.integers(2, 5), spread=st.floats(0.1, 3))
def test_model_stock_is_the_foot_of_the_perpendicular(seed: int, n: int, spread: float) -> None:
    """Experts centre + spread * e_i with e_i at right angles: the nearest point to the centre in
    their span.
    """
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(8, 8)))[0]
    experts = basis[:, [0]] + spread * basis[:, 1 : n + 1]
    foot = np.linalg.lstsq(experts, basis[:, 0], rcond=None)[0]
    np.testing.assert_allclose(
        model_stock_weights(torch.from_numpy(experts.T @ experts)), foot, rtol=1e-9
    )


# Truncation


@given(seed=SEEDS, rank=st.integers(1, 7))
def test_truncation_is_the_nearest_of_that_rank(seed: int, rank: int) -> None:
    b, a = normal(seed, 9, 5), normal(seed + 1, 5, 7)
    dense = (b @ a).numpy()
    left, values, right = np.linalg.svd(dense)
    nearest = (left[:, :rank] * values[:rank]) @ right[:rank]
    for cut in (truncate_dense(b @ a, rank), truncate_low_rank(LowRank(b=b, a=a), rank)):
        np.testing.assert_allclose(cut.change.dense(), nearest, atol=1e-9)
        assert cut.lost == pytest.approx(((dense - nearest) ** 2).sum(), abs=1e-9)
        assert cut.total == pytest.approx((dense**2).sum())
        assert cut.change.a.shape[0] <= rank
