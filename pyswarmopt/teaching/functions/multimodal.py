"""Functions with many basins, in any dimension."""

from __future__ import annotations

import math
from typing import Any

from pyswarmopt.teaching.functions.function import ToyFunction, index, lib_of, one


def _rastrigin(x: Any) -> Any:
    return 10 * x.shape[-1] + (x**2 - 10 * lib_of(x).cos(2 * math.pi * x)).sum(-1)


def _ackley(x: Any) -> Any:
    lib = lib_of(x)
    far = -20 * lib.exp(-0.2 * lib.sqrt((x**2).mean(-1)))
    return far - lib.exp(lib.cos(2 * math.pi * x).mean(-1)) + 20 + math.e


def _griewank(x: Any) -> Any:
    lib = lib_of(x)
    return 1 + (x**2).sum(-1) / 4000 - lib.cos(x / lib.sqrt(index(x))).prod(-1)


# The stationary point of t sin(sqrt t) near 421: tan(s) = -s / 2 with s = sqrt t; and its value.
_SCHWEFEL_X = 420.968746359982
_SCHWEFEL_F = 418.982887272433799


def _schwefel(x: Any) -> Any:
    lib = lib_of(x)
    return _SCHWEFEL_F * x.shape[-1] - (x * lib.sin(lib.sqrt(abs(x)))).sum(-1)


def _levy(x: Any) -> Any:
    sin = lib_of(x).sin
    w = 1 + (x - 1) / 4
    head, last = w[..., :-1], w[..., -1]
    middle = ((head - 1) ** 2 * (1 + 10 * sin(math.pi * head + 1) ** 2)).sum(-1)
    return sin(math.pi * w[..., 0]) ** 2 + middle + (last - 1) ** 2 * (1 + sin(2 * math.pi * last) ** 2)


# The global minimum of t^4 - 16 t^2 + 5 t, a root of 4 t^3 - 32 t + 5; and half its value.
_STYBLINSKI_X = -2.903534027771177
_STYBLINSKI_F = -39.16616570377142


def _salomon(x: Any) -> Any:
    lib = lib_of(x)
    norm = lib.sqrt((x**2).sum(-1))
    return 1 - lib.cos(2 * math.pi * norm) + 0.1 * norm


def _schaffer_f7(x: Any) -> Any:
    lib = lib_of(x)
    s = lib.sqrt(x[..., :-1] ** 2 + x[..., 1:] ** 2)
    return (lib.sqrt(s) * (1 + lib.sin(50 * s**0.2) ** 2)).mean(-1) ** 2


def _happy_cat(x: Any) -> Any:
    dim = x.shape[-1]
    squares = (x**2).sum(-1)
    return abs(squares - dim) ** 0.25 + (0.5 * squares + x.sum(-1)) / dim + 0.5


def _weierstrass(x: Any) -> Any:
    total = 0.0
    for k in range(21):  # a = 1/2, b = 3, k_max = 20
        waves = lib_of(x).cos(2 * math.pi * 3**k * (x + 0.5)).sum(-1)
        total = total + 0.5**k * (waves - x.shape[-1] * math.cos(math.pi * 3**k))
    return total


_LUNACEK_X = 2.5  # the middle of the better funnel


def _lunacek(x: Any) -> Any:
    lib, dim = lib_of(x), x.shape[-1]
    s = 1 - 1 / (2 * math.sqrt(dim + 20) - 8.2)
    other = -math.sqrt((_LUNACEK_X**2 - 1) / s)  # the middle of the wider funnel, which is worse
    funnels = lib.minimum(((x - _LUNACEK_X) ** 2).sum(-1), dim + s * ((x - other) ** 2).sum(-1))
    return funnels + 10 * (1 - lib.cos(2 * math.pi * (x - _LUNACEK_X))).sum(-1)


rastrigin = ToyFunction(
    "rastrigin",
    "10 D + sum x_i^2 - 10 cos(2 pi x_i)",
    "Rastrigin 1974; Surjanovic & Bingham",
    (-5.12, 5.12),
    _rastrigin,
)
ackley = ToyFunction(
    "ackley",
    "-20 exp(-0.2 sqrt(mean x_i^2)) - exp(mean cos(2 pi x_i)) + 20 + e",
    "Ackley 1987; Jamil & Yang 2013 [1]",
    (-32.768, 32.768),
    _ackley,
)
griewank = ToyFunction(
    "griewank",
    "1 + sum x_i^2 / 4000 - prod cos(x_i / sqrt(i))",
    "Griewank 1981; Jamil & Yang 2013 [59]",
    (-600.0, 600.0),
    _griewank,
)
schwefel = ToyFunction(
    "schwefel",
    "418.98288727... D - sum x_i sin(sqrt |x_i|)",
    "Schwefel 1981; Surjanovic & Bingham",
    (-500.0, 500.0),
    _schwefel,
    coordinate=lambda i, dim: _SCHWEFEL_X,
)
levy = ToyFunction(
    "levy",
    "sin^2(pi w_1) + sum_{i<D} (w_i - 1)^2 (1 + 10 sin^2(pi w_i + 1)) + (w_D - 1)^2 (1 + sin^2(2 pi w_D)), "
    "w_i = 1 + (x_i - 1)/4",
    "Levy & Montalvo 1985; Surjanovic & Bingham",
    (-10.0, 10.0),
    _levy,
    coordinate=one,
)
styblinski_tang = ToyFunction(
    "styblinski_tang",
    "1/2 sum x_i^4 - 16 x_i^2 + 5 x_i",
    "Styblinski & Tang 1990; Jamil & Yang 2013 [144]",
    (-5.0, 5.0),
    lambda x: (x**4 - 16 * x**2 + 5 * x).sum(-1) / 2,
    coordinate=lambda i, dim: _STYBLINSKI_X,
    optimum_per_dim=_STYBLINSKI_F,
)
salomon = ToyFunction(
    "salomon",
    "1 - cos(2 pi |x|) + 0.1 |x|",
    "Salomon 1996; Jamil & Yang 2013 [110]",
    (-100.0, 100.0),
    _salomon,
)
alpine = ToyFunction(
    "alpine",
    "sum |x_i sin x_i + 0.1 x_i|",
    "Jamil & Yang 2013 [6]",
    (-10.0, 10.0),
    lambda x: abs(x * lib_of(x).sin(x) + 0.1 * x).sum(-1),
)
schaffer_f7 = ToyFunction(
    "schaffer_f7",
    "(mean_{i<D} sqrt(s_i) (1 + sin^2(50 s_i^0.2)))^2, s_i = sqrt(x_i^2 + x_{i+1}^2)",
    "Schaffer et al. 1989; Hansen et al. 2009, f17",
    (-100.0, 100.0),
    _schaffer_f7,
    min_dim=2,
)
happy_cat = ToyFunction(
    "happy_cat",
    "|sum x_i^2 - D|^(1/4) + (sum x_i^2 / 2 + sum x_i) / D + 1/2",
    "Beyer & Finck 2012, alpha = 1/8",
    (-2.0, 2.0),
    _happy_cat,
    coordinate=lambda i, dim: -1.0,
)
qing = ToyFunction(
    "qing",
    "sum (x_i^2 - i)^2",
    "Qing 2006; Jamil & Yang 2013 [98]",
    (-500.0, 500.0),
    lambda x: ((x**2 - index(x)) ** 2).sum(-1),
    coordinate=lambda i, dim: math.sqrt(i),
)
weierstrass = ToyFunction(
    "weierstrass",
    "sum_i sum_{k<=20} 2^-k (cos(2 pi 3^k (x_i + 1/2)) - cos(pi 3^k))",
    "Suganthan et al. 2005 (CEC), F11",
    (-0.5, 0.5),
    _weierstrass,
)
lunacek = ToyFunction(
    "lunacek",
    "min(sum (x_i - 2.5)^2, D + s sum (x_i - m)^2) + 10 sum (1 - cos 2 pi (x_i - 2.5)), "
    "s = 1 - 1/(2 sqrt(D + 20) - 8.2), m = -sqrt(5.25/s)",
    "Lunacek, Whitley & Sutton 2008 (double Rastrigin); Hansen et al. 2009, f24",
    (-5.12, 5.12),
    _lunacek,
    coordinate=lambda i, dim: _LUNACEK_X,
    min_dim=2,
)

MULTIMODAL = (
    rastrigin, ackley, griewank, schwefel, levy, styblinski_tang, salomon, alpine, schaffer_f7, happy_cat, qing,
    weierstrass, lunacek,
)  # fmt: skip

__all__ = ["MULTIMODAL"]
