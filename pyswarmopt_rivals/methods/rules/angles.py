"""Rules whose weights follow from the experts' norms and angles: slerp, the Karcher mean, Model
Stock.

A module is a vector: dW in ``delta`` space, A and B each in ``factor`` space. Norms and angles come
from the experts' (n, n) inner products, so no dense matrix is formed.

Slerp, Shoemake 1985 (SIGGRAPH): slerp(x, y; t) = sin((1-t) Omega) / sin(Omega) x + sin(t Omega) /
sin(Omega) y, where Omega is the angle between x and y. As is usual for weights, Omega is that of
the directions and the sum is of the vectors as they are, so norms are interpolated too. More than
two: m_1 = x_1, m_k = slerp(m_(k-1), x_k; w_k / (w_1 + ... + w_k)), in the order given; on a flat
space that would be the weighted average.

Karcher mean, Karcher 1977 (Comm. Pure Appl. Math. 30): the m that minimises sum_i w_i d(m, u_i)^2
for unit vectors u_i = x_i/|x_i|, with d the angle. It is where the tangents vanish, sum_i w_i
log_m(u_i) = 0, with log_m(u) = d / sin(d) (u - cos(d) m), and is found by m <- exp_m(mean of the
tangents). The result has the weighted mean of the experts' norms. For two experts of equal norm it
is their slerp; unlike slerp it does not depend on the order.

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
_ITERATIONS = 100
_TOLERANCE = 1e-12


def slerp(settings: Settings) -> Merged:
    """Slerp of each module."""
    weights = _shares(settings, "slerp").tolist()
    return mix(settings, lambda gram: slerp_weights(gram, weights))


def karcher(settings: Settings) -> Merged:
    """The Karcher mean of each module."""
    weights = _shares(settings, "karcher")
    return mix(settings, lambda gram: karcher_weights(gram, weights))


def model_stock(settings: Settings) -> Merged:
    """Model Stock of each module."""
    return mix(settings, model_stock_weights)


def _shares(settings: Settings, name: str) -> Tensor:
    """The weights, if they are valid shares.

    Raises:
        InvalidOption: a weight is negative, or all are 0.
    """
    weights = settings.weights
    if float(weights.min()) < 0 or float(weights.max()) == 0:
        raise InvalidOption(
            "weights",
            None,
            f": {name} needs weights of at least 0, at least one of them above 0",
        )
    return weights


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


def karcher_weights(gram: Tensor, weights: Tensor) -> Tensor:
    """The Karcher mean as weights of the experts, (n,) float64, from their (n, n) inner products.

    Zero vectors are ignored, and vectors opposite to the mean, from which no direction leads to it.
    If all directions cancel, no mean is defined, and the plain weighted average is used.

    Example:
        >>> gram = torch.eye(3, dtype=torch.float64)
        >>> karcher_weights(gram, torch.ones(3, dtype=torch.float64)).round(decimals=4).tolist()
        [0.5774, 0.5774, 0.5774]
        >>> opposite = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
        >>> karcher_weights(opposite, torch.tensor([1.0, 1.0], dtype=torch.float64)).tolist()
        [0.5, 0.5]
        >>> first, second = karcher_weights(opposite, torch.tensor([1.0, 3.0], dtype=torch.float64))
        >>> round(float(second - first), 6)  # the heavier one: the sum is (second - first) times it
        1.0
    """
    norms, units, directions = cosines_of(gram)
    shares = weights / weights.sum()
    part = torch.where(norms > 0, shares, 0.0)
    mean = part.clone()  # coefficients of the unit vectors
    length = (mean @ directions @ mean).clamp(min=0).sqrt()
    if length < _TOLERANCE:
        return shares
    mean = mean / length
    for _ in range(_ITERATIONS):
        cosines = (directions @ mean).clamp(-1, 1)
        pull = part / torch.sinc(cosines.acos() / torch.pi)  # w d / sin(d)
        pull = torch.where(cosines > _STRAIGHT - 1, pull, 0.0)
        tangent = pull - (pull * cosines).sum() * mean
        step = (tangent @ directions @ tangent).clamp(min=0).sqrt()
        mean = step.cos() * mean + torch.sinc(step / torch.pi) * tangent
        if step < _TOLERANCE:
            break
    return mean * units * (shares * norms).sum()


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
    cosines = cosines_of(gram)[-1][tuple(torch.triu_indices(n, n, offset=1))]
    cosine = max(0.0, float(cosines.mean()))
    return torch.full_like(gram[0], n * cosine / (1 + (n - 1) * cosine) / n)


def cosines_of(gram: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The experts' norms, their inverses (0 of a zero change), and the cosines between them."""
    norms = gram.diagonal().clamp(min=0).sqrt()
    inverse = torch.where(norms > 0, 1 / norms, 0.0)
    return norms, inverse, inverse[:, None] * gram * inverse
