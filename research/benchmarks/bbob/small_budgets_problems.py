"""The problems of `small_budgets.py`: five groups, which solvers see as named parameters.

Half of each group, those with an odd number, was there to choose by; results are those of the other
half.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy_problems import box, centred, functions
from small_budgets_sklearn import HYPERPARAMETERS, MIXTURES

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks" / "bbob"))
from bbob_problems import HIGH, LOW, Floats, bbob

BBOB = (1, 2, 7, 8, 13, 14, 21, 20)  # by turns for choosing and for the report
DIMS = (3, 3, 5, 5, 10, 10, 5, 5)
SCIPY = 32  # of SciPy's functions


@dataclass(frozen=True)
class Range:
    """A parameter: a real number from low to high, perhaps on a logarithmic scale or whole, or one
    of some options.
    """

    low: float = 0.0
    high: float = 1.0
    log: bool = False
    whole: bool = False
    options: tuple[Any, ...] = ()

    def at(self, share: float) -> Any:
        """The value so far along the range, 0 to 1; whole numbers and options have equal parts of
        it.
        """
        if self.options:
            return self.options[min(int(share * len(self.options)), len(self.options) - 1)]
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
        value = (
            float(low * (high / low) ** share) if self.log else float(low + share * (high - low))
        )
        return (
            int(min(max(round(value), self.low), self.high))
            if self.whole
            else min(max(value, self.low), self.high)
        )


@dataclass(frozen=True)
class Problem:
    """To minimise `truth(values)`, of which `observe` shows a value with a normal error of size
    `noise`.
    """

    group: str
    number: int
    name: str
    space: tuple[Range, ...]
    truth: Callable[[list[Any]], float]
    noise: float = 0.0

    @property
    def chosen_on(self) -> bool:
        return self.number % 2 == 1


def problems(scipy_folder: Path | None) -> Iterator[Problem]:
    """All of them; SciPy's own functions only where the folder `benchmarks` of its source is
    given.
    """
    yield from _bbob()
    if scipy_folder is not None:
        yield from _scipy(scipy_folder)
    for group, made in ("hyperparameters", HYPERPARAMETERS), ("mixtures", MIXTURES):
        for i, (name, space, make) in enumerate(made, 1):
            yield Problem(group, i, name, tuple(Range(**r) for r in space), _made_on_use(make))
    yield from _artificial()


def _made_on_use(make: Callable[[], Callable[[list[Any]], float]]) -> Callable[[list[Any]], float]:
    """The function that `make` returns; its data are read at the first call."""
    made = cache(make)
    return lambda values: made()(values)


def _box(low: Floats, high: Floats) -> tuple[Range, ...]:
    return tuple(Range(float(a), float(b)) for a, b in zip(low, high, strict=True))


def _bbob() -> Iterator[Problem]:
    for i, (number, dim) in enumerate(zip(BBOB, DIMS, strict=True), 1):
        found = next(p for p in bbob(dim, [31]) if p.name == str(number))
        yield Problem("bbob", i, f"f{number}-{dim}d", _box(*np.tile([[LOW], [HIGH]], dim)),
                      lambda x, fun=found.fun: float(fun(np.array(x))))  # fmt: skip


def _scipy(folder: Path) -> Iterator[Problem]:
    """Some drawn from those whose optimum is not in the middle of their box."""
    kinds = functions(folder)
    drawn = (kinds[i]() for i in np.random.default_rng(23).permutation(len(kinds)))
    usable = (b for b in drawn if hasattr(b, "bounds") and not centred(b))
    for i, b in zip(range(1, SCIPY + 1), usable, strict=False):
        low, high = box(b)
        name = f"{type(b).__name__}-{b.N}d"
        yield Problem("SciPy", i, name, _box(low, high), lambda x, b=b: float(b.fun(np.array(x))))


def steps(z: Floats) -> float:
    return float(np.floor(np.abs(z)).sum())


def plateaus(z: Floats) -> float:
    """A bowl of flat rings."""
    return float(np.floor(2 * np.sqrt((z**2).sum())))


def kinks(z: Floats) -> float:
    return float((np.abs(z) * 10.0 ** np.linspace(0, 2, len(z))).sum())


def deceptive(z: Floats) -> float:
    """A wide valley that leads away from a narrower, deeper one."""
    return float(min(((z + 2) ** 2).sum() + 2, 3 * (z**2).sum()))


def sphere(z: Floats) -> float:
    return float((z**2).sum())


def rosenbrock(z: Floats) -> float:
    y = z + 1
    return float((100 * (y[1:] - y[:-1] ** 2) ** 2 + (1 - y[:-1]) ** 2).sum())


ARTIFICIAL: list[tuple[Callable[[Floats], float], int, float]] = [
    (steps, 5, 0.0), (plateaus, 5, 0.0), (sphere, 5, 1.0), (sphere, 10, 5.0), (kinks, 5, 0.0),
    (deceptive, 3, 0.0), (rosenbrock, 3, 10.0), (kinks, 5, 5.0),
]  # fmt: skip


def _artificial() -> Iterator[Problem]:
    for i, (fun, dim, noise) in enumerate(ARTIFICIAL, 1):
        optimum = np.random.default_rng([23, i]).uniform(0.6 * LOW, 0.6 * HIGH, dim)
        name = f"{fun.__name__}-{dim}d" + (f"-noise{noise:g}" if noise else "")
        yield Problem("steps and noise", i, name, _box(*np.tile([[LOW], [HIGH]], dim)),
                      lambda x, fun=fun, optimum=optimum: fun(np.array(x) - optimum),
                      noise)  # fmt: skip
