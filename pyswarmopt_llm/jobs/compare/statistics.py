"""Intervals over seeds and items, and paired tests over items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pyswarmopt_llm.common import statistics as stats

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


def interval(scores: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """A 95% interval of the mean of scores, (seeds, items).

    Where each item is right in all seeds or wrong in all, as with one seed or a method without chance, the mean is a
    proportion of items and the interval Wilson's (`utilities.stats.interval`); else the central 95% of `replicates`.

    Example:
        >>> low, high = interval(np.ones((3, 20)), np.random.default_rng(0))
        >>> round(low, 3), high
        (0.839, 1.0)
    """
    per_item = scores.mean(0)
    if np.isin(per_item, (0.0, 1.0)).all():
        return stats.interval(per_item.tolist())
    low, high = np.quantile(replicates(scores, rng), [0.025, 0.975])
    return float(low), float(high)


def interval_over_tasks(means: Sequence[float], intervals: Sequence[Sequence[float]]) -> tuple[float, float]:
    """An interval of the mean of independent means from the interval of each (Zou & Donner 2008).

    Args:
        means: of each task.
        intervals: low and high of each, at the level that the result has, too.

    Example:
        >>> interval_over_tasks([0.5, 1.0], [(0.2, 0.8), (0.6, 1.0)])
        (0.5, 0.9)
    """
    centre, count = np.mean(means), len(means)
    below, above = np.abs(np.asarray(intervals, dtype=np.float64).T - np.asarray(means))
    return float(centre - np.linalg.norm(below) / count), float(centre + np.linalg.norm(above) / count)


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


__all__ = ["interval", "interval_over_tasks", "paired_permutation", "replicates"]
