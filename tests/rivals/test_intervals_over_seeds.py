"""Intervals of scores with several seeds, against theory and worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_rivals.comparison.summary import interval_over_seeds, interval_over_tasks


def test_a_mistake_in_one_seed_narrows_nothing() -> None:
    scores = np.ones((3, 20))
    whole = interval_over_seeds(scores)
    scores[0, 0] = 0.0
    low, high = interval_over_seeds(scores)
    assert low < whole[0] and high == 1.0
    assert low <= interval(scores.mean(0).tolist())[0]


@pytest.mark.parametrize("right", [0, 7, 30])
@pytest.mark.parametrize("seeds", [1, 3])
def test_where_seeds_agree_the_interval_is_wilsons_and_never_a_point(
    right: int, seeds: int
) -> None:
    scores = np.tile(np.arange(30) < right, (seeds, 1)).astype(float)
    # Wilson 1927, by hand: (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
    p, z, n = right / 30, stats.norm.ppf(0.975), 30
    centre, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = ((centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n))
    low, high = interval_over_seeds(scores)
    assert (low, high) == pytest.approx(expected, abs=1e-12) and high - low > 0.1


def test_the_interval_over_tasks_covers_the_mean() -> None:
    """Simulated: in 95% of draws, or a little more, the interval holds the mean of the three true
    shares.
    """
    rng = np.random.default_rng(7)
    shares, sizes, covered = np.array([0.5, 0.9, 0.97]), (60, 80, 100), 0
    for _ in range(2000):
        drawn = [rng.random(n) < share for share, n in zip(shares, sizes, strict=True)]
        tasks = [right.astype(float).tolist() for right in drawn]
        means = [float(np.mean(task)) for task in tasks]
        low, high = interval_over_tasks(means, list(map(interval, tasks)))
        covered += low <= shares.mean() <= high
    assert 0.94 <= covered / 2000 <= 0.975
    assert interval_over_tasks([0.4], [(0.3, 0.6)]) == pytest.approx((0.3, 0.6))
