"""Intervals over seeds and items, and paired tests over items."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLES = 2000
PERMUTATIONS = 10_000


def replicates(scores: Floats, rng: np.random.Generator) -> Floats:
    """Bootstrap means, (`RESAMPLES`,), of scores resampled by seeds and by items.

    Both are drawn with replacement, the items alike for all seeds, so that the spread of the means holds what another
    seed and what other questions would change (Davison & Hinkley 1997, on data with several sources of variation).

    Args:
        scores: (seeds, items).
        rng: where the draws come from.
    """
    seeds, items = scores.shape
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    by_item = rng.multinomial(items, np.full(items, 1 / items), RESAMPLES) / items
    return np.asarray(((by_seed @ scores) * by_item).sum(1))


def interval(means: Floats) -> tuple[float, float]:
    """The central 95% of bootstrap means.

    Example:
        >>> interval(np.arange(1001) / 1000)
        (0.025, 0.975)
    """
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def paired_permutation(differences: Floats, rng: np.random.Generator) -> float:
    """Two-sided p-value of paired differences, (items,), under random signs (Fisher 1935).

    Exact where at most `PERMUTATIONS` sign patterns exist, else so many are drawn and the observed one is counted in
    (Phipson & Smyth 2010). Items without a difference say nothing either way.

    Example:
        >>> paired_permutation(np.array([1.0, 1.0, 1.0, 0.0]), np.random.default_rng(0))  # 2 of 8 patterns
        0.25
    """
    nonzero = differences[differences != 0]
    if not len(nonzero):
        return 1.0
    observed = abs(nonzero.sum()) - 1e-9
    if 2 ** len(nonzero) <= PERMUTATIONS:
        bits = (np.arange(2 ** len(nonzero))[:, None] >> np.arange(len(nonzero))) & 1
        return float((np.abs((2 * bits - 1) @ nonzero) >= observed).mean())
    hits = 0
    for start in range(0, PERMUTATIONS, 1000):  # in parts: thousands of items by thousands of patterns
        signs = 2 * rng.integers(0, 2, (min(1000, PERMUTATIONS - start), len(nonzero)), dtype=np.int8) - 1
        hits += int((np.abs(signs @ nonzero) >= observed).sum())
    return (hits + 1) / (PERMUTATIONS + 1)


__all__ = ["interval", "paired_permutation", "replicates"]
