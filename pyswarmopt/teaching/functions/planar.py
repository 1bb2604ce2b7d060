"""Functions of two coordinates, as the textbooks draw them."""

from __future__ import annotations

import math
from typing import Any

from pyswarmopt.teaching.functions.function import ToyFunction, lib_of


def _goldstein_price(x: Any) -> Any:
    a, b = x[..., 0], x[..., 1]
    left = 19 - 14 * a + 3 * a**2 - 14 * b + 6 * a * b + 3 * b**2
    right = 18 - 32 * a + 12 * a**2 + 48 * b - 36 * a * b + 27 * b**2
    return (1 + (a + b + 1) ** 2 * left) * (30 + (2 * a - 3 * b) ** 2 * right)


def _easom(x: Any) -> Any:
    lib = lib_of(x)
    return -lib.cos(x).prod(-1) * lib.exp(-((x - math.pi) ** 2).sum(-1))


himmelblau = ToyFunction(
    "himmelblau",
    "(x_1^2 + x_2 - 11)^2 + (x_1 + x_2^2 - 7)^2; four optima",
    "Himmelblau 1972; Jamil & Yang 2013 [65]",
    (-5.0, 5.0),
    lambda x: (x[..., 0] ** 2 + x[..., 1] - 11) ** 2 + (x[..., 0] + x[..., 1] ** 2 - 7) ** 2,
    coordinate=lambda i, dim: (3.0, 2.0)[i - 1],
    min_dim=2,
    max_dim=2,
)
beale = ToyFunction(
    "beale",
    "sum_{k=1,2,3} (c_k - x_1 (1 - x_2^k))^2, c = 1.5, 2.25, 2.625",
    "Beale 1958; Jamil & Yang 2013 [10]",
    (-4.5, 4.5),
    lambda x: sum((c - x[..., 0] * (1 - x[..., 1] ** k)) ** 2 for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))),
    coordinate=lambda i, dim: (3.0, 0.5)[i - 1],
    min_dim=2,
    max_dim=2,
)
goldstein_price = ToyFunction(
    "goldstein_price",
    "(1 + (x_1 + x_2 + 1)^2 (19 - 14 x_1 + 3 x_1^2 - 14 x_2 + 6 x_1 x_2 + 3 x_2^2)) "
    "(30 + (2 x_1 - 3 x_2)^2 (18 - 32 x_1 + 12 x_1^2 + 48 x_2 - 36 x_1 x_2 + 27 x_2^2))",
    "Goldstein & Price 1971; Jamil & Yang 2013 [58]",
    (-2.0, 2.0),
    _goldstein_price,
    coordinate=lambda i, dim: (0.0, -1.0)[i - 1],
    optimum_per_dim=1.5,
    min_dim=2,
    max_dim=2,
)
six_hump_camel = ToyFunction(
    "six_hump_camel",
    "(4 - 2.1 x_1^2 + x_1^4 / 3) x_1^2 + x_1 x_2 + 4 (x_2^2 - 1) x_2^2; two optima",
    "Dixon & Szego 1978; Jamil & Yang 2013 [30]",
    (-5.0, 5.0),
    lambda x: (
        (4 - 2.1 * x[..., 0] ** 2 + x[..., 0] ** 4 / 3) * x[..., 0] ** 2
        + x[..., 0] * x[..., 1]
        + 4 * (x[..., 1] ** 2 - 1) * x[..., 1] ** 2
    ),
    coordinate=lambda i, dim: (0.08984201310031806, -0.7126564030207396)[i - 1],
    optimum_per_dim=-1.0316284534898774 / 2,
    min_dim=2,
    max_dim=2,
)
easom = ToyFunction(
    "easom",
    "-cos x_1 cos x_2 exp(-(x_1 - pi)^2 - (x_2 - pi)^2)",
    "Easom 1990; Jamil & Yang 2013 [50]",
    (-100.0, 100.0),
    _easom,
    coordinate=lambda i, dim: math.pi,
    optimum_per_dim=-0.5,
    min_dim=2,
    max_dim=2,
)

PLANAR = (himmelblau, beale, goldstein_price, six_hump_camel, easom)

__all__ = ["PLANAR"]
