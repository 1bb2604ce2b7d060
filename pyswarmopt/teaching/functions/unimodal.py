"""Functions with one basin, and the problems that a single one can make: conditioning, curvature, coupling."""

from __future__ import annotations

from typing import Any

from pyswarmopt.teaching.functions.function import ToyFunction, exponents, index, lib_of, one


def _rosenbrock(x: Any) -> Any:
    head, tail = x[..., :-1], x[..., 1:]
    return (100 * (tail - head**2) ** 2 + (1 - head) ** 2).sum(-1)


def _dixon_price(x: Any) -> Any:
    terms = index(x)[1:] * (2 * x[..., 1:] ** 2 - x[..., :-1]) ** 2
    return (x[..., 0] - 1) ** 2 + terms.sum(-1)


def _zakharov(x: Any) -> Any:
    s = (0.5 * index(x) * x).sum(-1)
    return (x**2).sum(-1) + s**2 + s**4


def _schwefel_1_2(x: Any) -> Any:
    lib = lib_of(x)
    return (lib.cumsum(x, -1) ** 2).sum(-1)


sphere = ToyFunction(
    "sphere", "sum x_i^2", "Hansen et al. 2009, f1", (-5.12, 5.12), lambda x: (x**2).sum(-1)
)  # fmt: skip
ellipsoid = ToyFunction(
    "ellipsoid",
    "sum 10^(6 (i-1)/(D-1)) x_i^2",
    "Hansen et al. 2009, f2",
    (-5.0, 5.0),
    lambda x: (10.0 ** (6 * exponents(x)) * x**2).sum(-1),
)
cigar = ToyFunction(
    "cigar",
    "x_1^2 + 10^6 sum_{i>1} x_i^2",
    "Hansen et al. 2009, f12",
    (-5.0, 5.0),
    lambda x: x[..., 0] ** 2 + 1e6 * (x[..., 1:] ** 2).sum(-1),
)
discus = ToyFunction(
    "discus",
    "10^6 x_1^2 + sum_{i>1} x_i^2",
    "Hansen et al. 2009, f11",
    (-5.0, 5.0),
    lambda x: 1e6 * x[..., 0] ** 2 + (x[..., 1:] ** 2).sum(-1),
)
different_powers = ToyFunction(
    "different_powers",
    "sqrt(sum |x_i|^(2 + 4 (i-1)/(D-1)))",
    "Hansen et al. 2009, f14",
    (-5.0, 5.0),
    lambda x: lib_of(x).sqrt((abs(x) ** (2 + 4 * exponents(x))).sum(-1)),
)
rosenbrock = ToyFunction(
    "rosenbrock",
    "sum_{i<D} 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2",
    "Rosenbrock 1960; Jamil & Yang 2013 [105]",
    (-5.0, 10.0),
    _rosenbrock,
    coordinate=one,
    min_dim=2,
)
dixon_price = ToyFunction(
    "dixon_price",
    "(x_1 - 1)^2 + sum_{i>1} i (2 x_i^2 - x_{i-1})^2",
    "Dixon & Price 1989; Jamil & Yang 2013 [48]",
    (-10.0, 10.0),
    _dixon_price,
    coordinate=lambda i, dim: 2.0 ** -(1 - 2.0 ** (1 - i)),
)
zakharov = ToyFunction(
    "zakharov",
    "sum x_i^2 + (sum i x_i / 2)^2 + (sum i x_i / 2)^4",
    "Jamil & Yang 2013 [173]",
    (-5.0, 10.0),
    _zakharov,
)
sum_squares = ToyFunction(
    "sum_squares",
    "sum i x_i^2",
    "Jamil & Yang 2013 [142]",
    (-10.0, 10.0),
    lambda x: (index(x) * x**2).sum(-1),
)
schwefel_1_2 = ToyFunction(
    "schwefel_1_2",
    "sum_i (sum_{j<=i} x_j)^2",
    "Schwefel 1981; Jamil & Yang 2013 [118]",
    (-100.0, 100.0),
    _schwefel_1_2,
)
schwefel_2_21 = ToyFunction(
    "schwefel_2_21",
    "max |x_i|",
    "Schwefel 1981; Jamil & Yang 2013 [123]",
    (-100.0, 100.0),
    lambda x: lib_of(x).amax(abs(x), -1),
)
schwefel_2_22 = ToyFunction(
    "schwefel_2_22",
    "sum |x_i| + prod |x_i|",
    "Schwefel 1981; Jamil & Yang 2013 [124]",
    (-10.0, 10.0),
    lambda x: abs(x).sum(-1) + abs(x).prod(-1),
)

UNIMODAL = (
    sphere, ellipsoid, cigar, discus, different_powers, rosenbrock, dixon_price, zakharov, sum_squares, schwefel_1_2,
    schwefel_2_21, schwefel_2_22,
)  # fmt: skip

__all__ = ["UNIMODAL"]
