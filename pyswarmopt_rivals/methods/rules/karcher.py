"""Karcher mean: the point of the sphere that is nearest to all experts' directions.

Karcher 1977 (Comm. Pure Appl. Math. 30): the m that minimises sum_i w_i d(m, u_i)^2 for unit vectors u_i = x_i/|x_i|,
with d the angle. It is where the tangents vanish, sum_i w_i log_m(u_i) = 0, with log_m(u) = d / sin(d) (u - cos(d) m),
and is found by m <- exp_m(mean of the tangents). The result has the weighted mean of the experts' norms. For two
experts of equal norm it is their slerp; unlike slerp it does not depend on the order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_rivals.methods.changes import mix
from pyswarmopt_rivals.methods.method import Merged, Settings

_ITERATIONS = 100
_TOLERANCE = 1e-12


def coefficients(gram: Tensor, weights: Tensor) -> Tensor:
    """The Karcher mean as weights of the experts, (n,) float64, from their (n, n) inner products.

    A zero vector takes no part. Where the directions cancel no mean is defined: the plain weighted average.

    Example:
        >>> gram = torch.eye(3, dtype=torch.float64)
        >>> coefficients(gram, torch.ones(3, dtype=torch.float64)).round(decimals=4).tolist()
        [0.5774, 0.5774, 0.5774]
    """
    norms = gram.diagonal().clamp(min=0).sqrt()
    shares = weights / weights.sum()
    units = torch.where(norms > 0, 1 / norms, 0.0)
    part = torch.where(norms > 0, shares, 0.0)
    directions = units[:, None] * gram * units  # cosines between the experts
    mean = part.clone()  # coefficients of the unit vectors
    length = (mean @ directions @ mean).clamp(min=0).sqrt()
    if length < _TOLERANCE:
        return shares
    mean = mean / length
    for _ in range(_ITERATIONS):
        cosines = (directions @ mean).clamp(-1, 1)
        pull = part / torch.sinc(cosines.acos() / torch.pi)  # w d / sin(d)
        tangent = pull - (pull * cosines).sum() * mean
        step = (tangent @ directions @ tangent).clamp(min=0).sqrt()
        mean = step.cos() * mean + torch.sinc(step / torch.pi) * tangent
        if step < _TOLERANCE:
            break
    return mean * units * (shares * norms).sum()


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """The Karcher mean of each module."""
    if float(settings.weights.min()) < 0 or float(settings.weights.max()) == 0:
        raise InvalidOption("weights", None, "karcher takes shares, so none is negative and one is above 0; fix them")
    return mix(experts, settings, lambda gram: coefficients(gram, settings.weights))
