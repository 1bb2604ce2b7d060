"""A Gaussian process proposes the first points of the default search."""

from __future__ import annotations

import numpy as np
import pytest
from swarm_runs import bowl

import pyswarmopt as pso

BOX = (-5.0, 5.0)


def rounds(fun, dim: int, n: int, **options) -> list[np.ndarray]:
    """What is proposed, round for round, in the unit box, until there are n points."""
    search, seen = pso.DefaultSearch([BOX] * dim, seed=0, **options), []
    while sum(map(len, seen)) < n:
        x = search.ask()
        seen.append((x + 5) / 10)
        search.tell(x, [fun(row) for row in x])
    return seen


@pytest.mark.parametrize("dim", [1, 2, 5, 20])
def test_five_points_for_each_dimension_are_the_models_and_the_descent_starts_from_the_best(dim):
    seen = rounds(bowl, dim, 5 * dim + 1, max_evals=200 * dim)
    points = np.concatenate(seen[: 5 * dim])
    assert [len(batch) for batch in seen[: 5 * dim]] == [1] * (5 * dim)
    assert 0 < np.abs(points[0] - 0.5).max() <= 0.1
    best = points[np.argmin([bowl(10 * u - 5) for u in points])]
    # differences for its gradient
    assert np.abs(np.concatenate(seen[5 * dim :]) - best).max() <= 1e-3
