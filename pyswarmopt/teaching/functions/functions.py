"""Standard test functions to minimise, for NumPy and torch.

Each maps (..., D) to (...), and knows its domain, its optimum, its formula and its source.
``pyswarmopt list`` shows them.

Sources: Surjanovic & Bingham, Virtual Library of Simulation Experiments; Jamil & Yang 2013, arXiv
1308.4008 (numbers in brackets); and the COCO bbob functions, Hansen et al. 2009, INRIA RR-6829,
here without their transformations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats, is_tensor, namespace


@dataclass(frozen=True)
class ToyFunction:
    """A test function, which can be called like any function.

    Attributes:
        name: name of the function.
        formula: the formula, coordinates counted from 1.
        source: where the function is defined.
        domain: the usual (low, high) of every coordinate.
        evaluate: the formula in code, (..., D) -> (...).
        optimal_x: the optimum, (D,), or the same number for each coordinate.
        optimum_per_dim: value at the optimum divided by D.
        min_dim: smallest dimension in which it is defined.
        max_dim: largest dimension, or None.

    Example:
        >>> float(sphere([3.0, 4.0])), sphere.optimum(2).tolist(), sphere.optimal_value(2)
        (25.0, [0.0, 0.0], 0.0)
    """

    name: str
    formula: str
    source: str
    domain: tuple[float, float]
    evaluate: Callable[[Any], Any]
    optimal_x: float | tuple[float, ...] = 0.0
    optimum_per_dim: float = 0.0
    min_dim: int = 1
    max_dim: int | None = None

    def __call__(self, x: Any) -> Any:
        """Value at x, (..., D) -> (...): a tensor for a tensor, else NumPy (a float64 for a single
        point).

        Raises:
            ValueError: x has no coordinates, or not between `min_dim` and `max_dim` of them.
        """
        if not is_tensor(x):
            x = np.asarray(x, dtype=np.float64)
        if x.ndim == 0 or not self.defined_in(x.shape[-1]):
            raise ValueError(
                f"{self.name} needs points with {self.dimensions()} coordinates, got shape {tuple(x.shape)}"
            )
        return self.evaluate(x)

    def defined_in(self, dim: int) -> bool:
        """Whether the function is defined in `dim` dimensions."""
        return dim >= self.min_dim and (self.max_dim is None or dim <= self.max_dim)

    def dimensions(self) -> str:
        """The dimensions in which it is defined, in words."""
        if self.max_dim is None:
            return f"at least {self.min_dim}"
        return f"{self.max_dim}"

    def bounds(self, dim: int) -> list[tuple[float, float]]:
        """The usual box, one (low, high) per coordinate."""
        return [self.domain] * dim

    def optimum(self, dim: int) -> Floats:
        """The point with the smallest value, (dim,)."""
        return np.full(dim, self.optimal_x)

    def optimal_value(self, dim: int) -> float:
        """The smallest value in `dim` dimensions."""
        return self.optimum_per_dim * dim


def index(x: Any) -> Any:
    """1..D, as a tensor or array like x."""
    return namespace(x).arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)


ALL: dict[str, ToyFunction] = {}


def toy(
    formula: str, source: str, domain: tuple[float, float], **more: Any
) -> Callable[[Callable[[Any], Any]], ToyFunction]:
    """Make a `ToyFunction` from the formula in code and further facts, and list it in `ALL`."""

    def made(evaluate: Callable[[Any], Any]) -> ToyFunction:
        name = evaluate.__name__
        evaluate.__qualname__ = f"{name}.evaluate"  # pickle finds it here
        ALL[name] = ToyFunction(name, formula, source, domain, evaluate, **more)
        return ALL[name]

    return made


# ---- one basin, with difficulties such as conditioning, curvature and coupling ----


@toy("sum x_i^2", "Hansen et al. 2009, f1", (-5.12, 5.12))
def sphere(x: Any) -> Any:
    return (x**2).sum(-1)


@toy("sum 10^(6 (i-1)/(D-1)) x_i^2", "Hansen et al. 2009, f2", (-5.0, 5.0))
def ellipsoid(x: Any) -> Any:
    shares = (index(x) - 1) / max(x.shape[-1] - 1, 1)
    return (10.0 ** (6 * shares) * x**2).sum(-1)


@toy(
    "sum_{i<D} 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2",
    "Rosenbrock 1960; Jamil & Yang 2013 [105]",
    (-5.0, 10.0),
    optimal_x=1.0,
    min_dim=2,
)
def rosenbrock(x: Any) -> Any:
    head = x[..., :-1]
    tail = x[..., 1:]
    return (100 * (tail - head**2) ** 2 + (1 - head) ** 2).sum(-1)


# ---- many basins, in any dimension ----


@toy("10 D + sum x_i^2 - 10 cos(2 pi x_i)", "Rastrigin 1974; Surjanovic & Bingham", (-5.12, 5.12))
def rastrigin(x: Any) -> Any:
    return 10 * x.shape[-1] + (x**2 - 10 * namespace(x).cos(2 * math.pi * x)).sum(-1)


@toy(
    "-20 exp(-0.2 sqrt(mean x_i^2)) - exp(mean cos(2 pi x_i)) + 20 + e",
    "Ackley 1987; Jamil & Yang 2013 [1]",
    (-32.768, 32.768),
)
def ackley(x: Any) -> Any:
    lib = namespace(x)
    far = -20 * lib.exp(-0.2 * lib.sqrt((x**2).mean(-1)))
    return far - lib.exp(lib.cos(2 * math.pi * x).mean(-1)) + 20 + math.e


@toy(
    "1 + sum x_i^2 / 4000 - prod cos(x_i / sqrt(i))",
    "Griewank 1981; Jamil & Yang 2013 [59]",
    (-600.0, 600.0),
)
def griewank(x: Any) -> Any:
    lib = namespace(x)
    return 1 + (x**2).sum(-1) / 4000 - lib.cos(x / lib.sqrt(index(x))).prod(-1)


# The stationary point of t sin(sqrt t) near 421: tan(s) = -s / 2 with s = sqrt t; and its value.
_SCHWEFEL_X = 420.968746359982
_SCHWEFEL_F = 418.982887272433799


@toy(
    "418.98288727... D - sum x_i sin(sqrt |x_i|)",
    "Schwefel 1981; Surjanovic & Bingham",
    (-500.0, 500.0),
    optimal_x=_SCHWEFEL_X,
)
def schwefel(x: Any) -> Any:
    lib = namespace(x)
    return _SCHWEFEL_F * x.shape[-1] - (x * lib.sin(lib.sqrt(abs(x)))).sum(-1)


_LUNACEK_X = 2.5  # the middle of the better funnel


@toy(
    "min(sum (x_i - 2.5)^2, D + s sum (x_i - m)^2) + 10 sum (1 - cos 2 pi (x_i - 2.5)), "
    "s = 1 - 1/(2 sqrt(D + 20) - 8.2), m = -sqrt(5.25/s)",
    "Lunacek, Whitley & Sutton 2008 (double Rastrigin); Hansen et al. 2009, f24",
    (-5.12, 5.12),
    optimal_x=_LUNACEK_X,
    min_dim=2,
)
def lunacek(x: Any) -> Any:
    lib = namespace(x)
    dim = x.shape[-1]
    s = 1 - 1 / (2 * math.sqrt(dim + 20) - 8.2)
    other = -math.sqrt((_LUNACEK_X**2 - 1) / s)  # the middle of the wider funnel, which is worse
    funnels = lib.minimum(((x - _LUNACEK_X) ** 2).sum(-1), dim + s * ((x - other) ** 2).sum(-1))
    return funnels + 10 * (1 - lib.cos(2 * math.pi * (x - _LUNACEK_X))).sum(-1)


# ---- two coordinates, as the textbooks draw them ----

in_plane = partial(toy, min_dim=2, max_dim=2)


@in_plane(
    "(x_1^2 + x_2 - 11)^2 + (x_1 + x_2^2 - 7)^2; four optima",
    "Himmelblau 1972; Jamil & Yang 2013 [65]",
    (-5.0, 5.0),
    optimal_x=(3.0, 2.0),
)
def himmelblau(x: Any) -> Any:
    return (x[..., 0] ** 2 + x[..., 1] - 11) ** 2 + (x[..., 0] + x[..., 1] ** 2 - 7) ** 2


@in_plane(
    "sum_{k=1,2,3} (c_k - x_1 (1 - x_2^k))^2, c = 1.5, 2.25, 2.625",
    "Beale 1958; Jamil & Yang 2013 [10]",
    (-4.5, 4.5),
    optimal_x=(3.0, 0.5),
)
def beale(x: Any) -> Any:
    return sum(
        (c - x[..., 0] * (1 - x[..., 1] ** k)) ** 2 for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))
    )


@in_plane(
    "(1 + (x_1 + x_2 + 1)^2 (19 - 14 x_1 + 3 x_1^2 - 14 x_2 + 6 x_1 x_2 + 3 x_2^2)) "
    "(30 + (2 x_1 - 3 x_2)^2 (18 - 32 x_1 + 12 x_1^2 + 48 x_2 - 36 x_1 x_2 + 27 x_2^2))",
    "Goldstein & Price 1971; Jamil & Yang 2013 [58]",
    (-2.0, 2.0),
    optimal_x=(0.0, -1.0),
    optimum_per_dim=1.5,
)
def goldstein_price(x: Any) -> Any:
    a = x[..., 0]
    b = x[..., 1]
    left = 19 - 14 * a + 3 * a**2 - 14 * b + 6 * a * b + 3 * b**2
    right = 18 - 32 * a + 12 * a**2 + 48 * b - 36 * a * b + 27 * b**2
    return (1 + (a + b + 1) ** 2 * left) * (30 + (2 * a - 3 * b) ** 2 * right)


@in_plane(
    "(4 - 2.1 x_1^2 + x_1^4 / 3) x_1^2 + x_1 x_2 + 4 (x_2^2 - 1) x_2^2; two optima",
    "Dixon & Szego 1978; Jamil & Yang 2013 [30]",
    (-5.0, 5.0),
    optimal_x=(0.08984201310031806, -0.7126564030207396),
    optimum_per_dim=-1.0316284534898774 / 2,
)
def six_hump_camel(x: Any) -> Any:
    a = x[..., 0]
    b = x[..., 1]
    return (4 - 2.1 * a**2 + a**4 / 3) * a**2 + a * b + 4 * (b**2 - 1) * b**2


@in_plane(
    "-cos x_1 cos x_2 exp(-(x_1 - pi)^2 - (x_2 - pi)^2)",
    "Easom 1990; Jamil & Yang 2013 [50]",
    (-100.0, 100.0),
    optimal_x=math.pi,
    optimum_per_dim=-0.5,
)
def easom(x: Any) -> Any:
    lib = namespace(x)
    return -lib.cos(x).prod(-1) * lib.exp(-((x - math.pi) ** 2).sum(-1))


__all__ = [
    "ALL",
    "ToyFunction",
    "ackley",
    "beale",
    "easom",
    "ellipsoid",
    "goldstein_price",
    "griewank",
    "himmelblau",
    "lunacek",
    "rastrigin",
    "rosenbrock",
    "schwefel",
    "six_hump_camel",
    "sphere",
]
