"""Experts that harm: what a model of candidates does not learn from.

One expert that was trained on wrong answers spoils everything that it is added to, and what it does
to scores is larger than what all others do. A model with one kernel for all coefficients then sees
little else, and proposes nothing of use.
"""

from __future__ import annotations

import numpy as np

from pyswarmopt_llm.searching.surrogate.gaussian_process import Floats

ERRORS = 2.5  # standard errors by which such an expert is worse than the base


def harmful(positions: Floats, values: Floats, errors: Floats) -> list[int]:
    """Numbers of the experts that are worse than the base by more than `ERRORS` standard errors of
    the difference, as if both had been scored on different items.

    None where the base is not among the candidates, or where most candidates have some of these
    experts, as after iterations.

    Args:
        positions: (N, D) coefficients of the candidates.
        values: (N,) their scores.
        errors: (N,) the scores' standard errors; what has none (NaN) is never clearly worse.

    Example:
        >>> positions = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> harmful(positions, np.array([0.5, 0.6, 0.1, 0.4]), np.full(4, 0.05))
        [1]
    """
    bases = np.flatnonzero(~positions.any(axis=1))
    if not bases.size:
        return []
    behind = values[bases[0]] - values
    worse = behind > ERRORS * np.hypot(errors[bases[0]], errors)
    alone = (positions == 1).any(axis=1) & (np.count_nonzero(positions, axis=1) == 1)
    experts: list[int] = np.unique(positions[worse & alone].argmax(axis=1)).tolist()
    without = ~positions[:, experts].any(axis=1)
    return experts if 2 * without.sum() > len(positions) else []


__all__ = ["harmful"]
