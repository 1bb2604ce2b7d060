"""Rules whose weights follow from the experts' norms and angles: slerp and Model Stock.

A module is a vector: dW in ``delta`` space, A and B each in ``factor`` space. Norms and angles come
from the experts' (n, n) inner products, so no dense matrix is formed.

Slerp, Shoemake 1985 (SIGGRAPH): slerp(x, y; t) = sin((1-t) Omega) / sin(Omega) x + sin(t Omega) /
sin(Omega) y, where Omega is the angle between x and y. As is usual for weights, Omega is that of
the directions and the sum is of the vectors as they are, so norms are interpolated too. More than
two: m_1 = x_1, m_k = slerp(m_(k-1), x_k; w_k / (w_1 + ... + w_k)), in the order given; on a flat
space that would be the weighted average.

Model Stock, Jang, Yun & Han 2024, arXiv 2403.19522, generalised to N models: per layer, with theta
the angle between two experts seen from the base, w = t w_avg + (1 - t) w_0, t = N cos(theta) / (1 +
(N - 1) cos(theta)). That is the foot of the perpendicular from the centre of the experts' shell to
the plane through base and experts, if all pairs have the same angle; where they differ, cos(theta)
is the mean over the pairs. A mean below 0 counts as 0 (the base), since the formula's geometry does
not hold. Only dW is defined: the factors have no base to move to. The paper's models were trained
for one task, and are also merged during training; experts differ in task and are merged once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_rivals.methods.changes import mix
from pyswarmopt_rivals.methods.method import Merged, Settings

# Below this sine the arc is practically straight, or (for opposite vectors) undefined: then
# interpolate linearly.
_STRAIGHT = 1e-6


def slerp(settings: Settings) -> Merged:
    """Slerp of each module.

    Raises:
        InvalidOption: a weight is negative, or all are 0.
    """
    weights = settings.weights.tolist()
    if min(weights) < 0 or max(weights) == 0:
        why = ": slerp needs weights of at least 0, at least one of them above 0"
        raise InvalidOption("weights", None, why)
    return mix(settings, lambda gram: slerp_weights(gram, weights))


def model_stock(settings: Settings) -> Merged:
    """Model Stock of each module."""
    return mix(settings, model_stock_weights)


def arc_weights(cosine: float, t: float) -> tuple[float, float]:
    """The factors of both ends at `t`, given the cosine of their angle.

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


def cosine_of(product: Tensor, square: Tensor, other: Tensor) -> float:
    """The cosine between two vectors, from their inner product and squared norms; 1 if one is zero.

    Example:
        >>> cosine_of(torch.tensor(3.0), torch.tensor(4.0), torch.tensor(9.0))
        0.5
        >>> cosine_of(torch.tensor(0.0), torch.tensor(0.0), torch.tensor(9.0))
        1.0
    """
    norms = math.sqrt(max(0.0, float(square) * float(other)))
    return float(product) / norms if norms else 1.0


def slerp_weights(gram: Tensor, weights: Sequence[float]) -> Tensor:
    """The iterated slerp as weights of the experts, (n,) float64, from their (n, n) inner products.

    A zero vector has no angle: interpolation with it is linear.

    Example:
        >>> slerp_weights(torch.eye(2, dtype=torch.float64), [1, 1]).round(decimals=4).tolist()
        [0.7071, 0.7071]
    """
    mixed = torch.zeros(len(weights), dtype=torch.float64)
    mixed[0] = 1.0
    total = weights[0]
    for k, weight in enumerate(weights[1:], start=1):
        total += weight
        cosine = cosine_of(mixed @ gram[k], mixed @ gram @ mixed, gram[k, k])
        stay, go = arc_weights(cosine, weight / total if total > 0 else 1.0)
        mixed = mixed * stay
        mixed[k] = go
    return mixed


def model_stock_weights(gram: Tensor) -> Tensor:
    """t / n for each expert, from the (n, n) float64 inner products; a zero change counts as
    orthogonal.

    Example:
        >>> model_stock_weights(torch.tensor([[4.0]])), model_stock_weights(torch.ones(2, 2))
        (tensor([1.]), tensor([0.5000, 0.5000]))
    """
    n = len(gram)
    if n == 1:
        return torch.ones_like(gram[0])
    norms = gram.diagonal().clamp(min=0).sqrt()
    inverse = torch.where(norms > 0, 1 / norms, 0.0)
    cosines = inverse[:, None] * gram * inverse
    pairs = cosines[tuple(torch.triu_indices(n, n, offset=1))]
    cosine = max(0.0, float(pairs.mean()))
    return torch.full_like(gram[0], n * cosine / (1 + (n - 1) * cosine) / n)
