"""Mixing weights in two dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Projection:
    """Mixtures and experts as points of a plane.

    Attributes:
        points: the mixtures, (N, 2) float64.
        experts: the experts, (n, 2) float64.
        caption: what the two dimensions are.
    """

    points: Floats
    experts: Floats
    caption: str

    @classmethod
    def of(cls, weights: Floats, values: Floats) -> Projection:
        """Project mixtures of n experts; with two experts the value is the second dimension.

        Args:
            weights: mixing weights, (N, n) float64.
            values: their scores, (N,) float64.
        """
        n = weights.shape[1]
        if n == 2:
            return _with_scores(weights, values)
        return _in_triangle(weights) if n == 3 else _principal(weights)


def _with_scores(weights: Floats, values: Floats) -> Projection:
    at = [values[(weights == corner).all(1)].max(initial=values.min()) for corner in np.eye(2)]
    caption = "Across: the weight of the second expert. Up: the dev score."
    return Projection(np.column_stack([weights[:, 1], values]), np.column_stack([[0.0, 1.0], at]), caption)


def _in_triangle(weights: Floats) -> Projection:
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2]])
    return Projection(weights @ corners, corners, "The triangle of the three experts; outside it a weight is negative.")


def _principal(weights: Floats) -> Projection:
    n, centre = weights.shape[1], weights.mean(0)
    _, singular, axes = np.linalg.svd(weights - centre, full_matrices=False)
    share = (singular[:2] ** 2).sum() / max(float((singular**2).sum()), 1e-300)
    axes = axes[:2] if len(axes) > 1 else np.vstack([axes, np.zeros(n)])
    # The sign of a component is arbitrary; this one draws the same run the same way everywhere.
    axes = axes * np.where(axes[np.arange(2), np.abs(axes).argmax(1)] < 0, -1.0, 1.0)[:, None]
    caption = f"The first two principal components of the positions, with {share:.0%} of the variance."
    return Projection((weights - centre) @ axes.T, (np.eye(n) - centre) @ axes.T, caption)
