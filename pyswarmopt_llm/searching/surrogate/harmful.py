"""Experts that harm: what a model of candidates does not learn from.

One expert that was trained on wrong answers spoils everything that it is added to, and what it does
to scores is larger than what all others do. A model with one kernel for all coefficients then sees
little else, and proposes nothing of use.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float64]

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
    (bases,) = np.nonzero(~positions.any(axis=1))
    if not bases.size:
        return []
    base = bases[0]
    worse = []
    for number in range(positions.shape[1]):
        alone = np.zeros(positions.shape[1])
        alone[number] = 1.0
        for place in np.flatnonzero((positions == alone).all(axis=1)):
            behind = values[base] - values[place]
            if behind > ERRORS * np.hypot(errors[base], errors[place]):
                worse.append(number)
    kept = [position for position in positions if free_of(position, worse)]
    return worse if 2 * len(kept) > len(positions) else []


def free_of(position: Floats, numbers: Sequence[int]) -> bool:
    """Whether a candidate has nothing of these experts.

    Example:
        >>> free_of(np.array([0.5, 0.0]), [1]), free_of(np.array([0.5, 0.1]), [1])
        (True, False)
    """
    return not position[list(numbers)].any()


class ActiveExperts:
    """The coefficients of the experts that are not left out.

    Args:
        count: of all experts.
        left_out: numbers of some.

    Example:
        >>> active = ActiveExperts(3, [1])
        >>> active.ones.tolist(), active.restrict(np.array([[5.0, 0.0, 7.0]])).tolist()
        ([1.0, 0.0, 1.0], [[5.0, 7.0]])
        >>> active.embed(torch.tensor([[5.0, 7.0]])).tolist()
        [[5.0, 0.0, 7.0]]
    """

    def __init__(self, count: int, left_out: Sequence[int]) -> None:
        self._moving = torch.ones(count, dtype=torch.bool)
        self._moving[list(left_out)] = False

    @property
    def ones(self) -> Tensor:
        """The position of their sum, (D,) float64."""
        return self._moving.double()

    def restrict(self, positions: Floats) -> Floats:
        """(..., K) theirs alone."""
        part: Floats = positions[..., self._moving.numpy()]
        return part

    def embed(self, part: Tensor) -> Tensor:
        """(..., D) from (..., K): 0 where an expert is left out."""
        positions = torch.zeros(*part.shape[:-1], len(self._moving), dtype=part.dtype)
        positions[..., self._moving] = part
        return positions


__all__ = ["ActiveExperts", "free_of", "harmful"]
