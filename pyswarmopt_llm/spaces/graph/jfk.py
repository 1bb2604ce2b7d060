"""What a model does for the others in a graph: the JFK-score (Feng et al. 2025, arXiv 2502.04510, Algorithm 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ASSIGNMENTS = 10  # M of the paper


def assignments(models: int, places: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Which model stands at each place of a graph, (M, places); M = 10, or as many as there are models.

    Uniform, as in the paper, but balanced: at each place all models stand equally often, to within one, so that each of
    them has a score.

    Example:
        >>> assignments(3, 2, np.random.default_rng(0)).shape
        (10, 2)
    """
    count = max(ASSIGNMENTS, models)
    rounds = -(-count // models)
    return np.stack(
        [np.concatenate([rng.permutation(models) for _ in range(rounds)])[:count] for _ in range(places)], axis=1
    )


def jfk_scores(assigned: NDArray[np.int64], values: Sequence[float], models: int) -> NDArray[np.float64]:
    """JFK(i) = sum_j cnt_ij f_j / sum_j cnt_ij, cnt_ij how often model i stands in assignment j: (models,).

    Args:
        assigned: (M, places), as `assignments` gives it.
        values: f_j, the utility of the graph with assignment j, M of them.
        models: how many there are; each stands somewhere.

    Example:
        >>> jfk_scores(np.array([[0, 0], [0, 1]]), [0.9, 0.3], 2).round(3).tolist()
        [0.7, 0.3]
    """
    counts = np.stack([(assigned == i).sum(1) for i in range(models)]).astype(np.float64)
    return counts @ np.array(values) / counts.sum(1)
