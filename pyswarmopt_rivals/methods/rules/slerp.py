"""Slerp: along the great circle from one expert to another, experts taken in turn.

Shoemake 1985 (SIGGRAPH): slerp(x, y; t) = sin((1-t) Omega) / sin(Omega) x + sin(t Omega) / sin(Omega) y,
where Omega is the angle between x and y. As is usual for weights, Omega is that of the directions and the sum is of
the vectors as they are, so norms are interpolated too. One module is one vector: dW in ``delta`` space, A and B each
in ``factor`` space.

More than two: m_1 = x_1, m_k = slerp(m_(k-1), x_k; w_k / (w_1 + ... + w_k)), in the order given; on a flat space that
would be the weighted average. The order matters (unlike in `karcher`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_rivals.methods.changes import mix
from pyswarmopt_rivals.methods.method import Merged, Settings

# Below this sine the arc is as good as straight, or (opposite vectors) not defined: then interpolate linearly.
_STRAIGHT = 1e-6


def arc_weights(cosine: float, t: float) -> tuple[float, float]:
    """What the two ends are multiplied with at `t`, given the cosine of their angle.

    Example:
        >>> [round(weight, 6) for weight in arc_weights(cosine=0.0, t=0.5)]
        [0.707107, 0.707107]
        >>> arc_weights(cosine=1.0, t=0.25)
        (0.75, 0.25)
    """
    angle = math.acos(min(1.0, max(-1.0, cosine)))
    if math.sin(angle) < _STRAIGHT:
        return 1 - t, t
    return math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def coefficients(gram: Tensor, weights: Sequence[float]) -> Tensor:
    """The iterated slerp as weights of the experts, (n,) float64, from their (n, n) inner products.

    A zero vector has no angle: interpolation from or to it is linear.

    Example:
        >>> coefficients(torch.eye(2, dtype=torch.float64), [1, 1]).round(decimals=4).tolist()
        [0.7071, 0.7071]
    """
    mixed = torch.zeros(len(weights), dtype=torch.float64)
    mixed[0] = 1.0
    total = weights[0]
    for k, weight in enumerate(weights[1:], start=1):
        total += weight
        norms = math.sqrt(max(0.0, float(mixed @ gram @ mixed) * float(gram[k, k])))
        cosine = float(mixed @ gram[k]) / norms if norms > 0 else 1.0
        stay, go = arc_weights(cosine, weight / total if total > 0 else 1.0)
        mixed = mixed * stay
        mixed[k] = go
    return mixed


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Slerp of each module."""
    weights = settings.weights.tolist()
    if min(weights) < 0 or max(weights) == 0:
        raise InvalidOption(
            "weights", None, "slerp takes shares of the way, so none is negative and one is above 0; fix them"
        )
    return mix(experts, settings, lambda gram: coefficients(gram, weights))
