"""Model Stock: the average of the experts, moved towards the base the more the experts disagree.

Jang, Yun & Han 2024, arXiv 2403.19522 and its generalisation to N models: per layer, with theta the angle
between two experts seen from the base, w = t w_avg + (1 - t) w_0, t = N cos(theta) / (1 + (N - 1) cos(theta)). That is
the foot of the perpendicular from the centre of the experts' shell to the plane through base and experts, if all
pairs have the same angle; where they differ, cos(theta) is the mean over the pairs. A mean below 0 counts as 0 (the
base), since the formula's geometry does not hold. Only dW is defined: the factors have no base to move to.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_rivals.methods.changes import mix
from pyswarmopt_rivals.methods.method import Merged, Settings


def ratio(cosine: float, n: int) -> float:
    """How far from the base to the average of `n` experts.

    Example:
        >>> ratio(cosine=0.5, n=2), ratio(cosine=1.0, n=5), ratio(cosine=-0.2, n=2)
        (0.6666666666666666, 1.0, 0.0)
    """
    return n * cosine / (1 + (n - 1) * cosine) if cosine > 0 else 0.0


def coefficients(gram: Tensor) -> Tensor:
    """t / n for each expert, from their (n, n) float64 inner products; a zero change counts as at right angles."""
    n = len(gram)
    if n == 1:
        return torch.ones_like(gram[0])
    norms = gram.diagonal().clamp(min=0).sqrt()
    scale = torch.where(norms > 0, 1 / norms, 0.0)
    cosines = (scale[:, None] * gram * scale)[tuple(torch.triu_indices(n, n, offset=1))]
    return torch.full_like(gram[0], ratio(float(cosines.mean()), n) / n)


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Model Stock of each module."""
    return mix(experts, settings, coefficients)
