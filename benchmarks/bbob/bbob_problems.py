"""The problems of `bbob.py`: COCO's bbob suite, affine mixtures of its functions, the CEC's of 2022,
and rotated functions whose optimum is moved off the centre.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
LOW, HIGH = -5.0, 5.0
GROUPS = {
    "separable": range(1, 6),
    "moderate": range(6, 10),
    "ill-conditioned": range(10, 15),
    "multimodal": range(15, 20),
    "weakly structured": range(20, 25),
}


@dataclass(frozen=True)
class Problem:
    """One function to minimise on [-5, 5]^D.

    Attributes:
        name: of the function; in bbob its number from 1 to 24.
        instance: which of its shifted and rotated versions.
        dim: D.
        fun: (D,) -> value.
        optimum: the smallest value.
    """

    name: str
    instance: int
    dim: int
    fun: Callable[[Floats], float]
    optimum: float


def bbob(dim: int, instances: list[int]) -> Iterator[Problem]:
    """The 24 noiseless functions of Hansen et al. 2009 (INRIA RR-6829), one after the other."""
    import cocoex

    suite = cocoex.Suite("bbob", "instances:" + ",".join(map(str, instances)), f"dimensions:{dim}")
    for fun in suite:
        yield Problem(
            str(fun.id_function), fun.id_instance, dim, fun, float(fun(_best_parameter(fun)))
        )


def _best_parameter(fun: Any) -> Floats:
    """Where the optimum lies; cocoex tells it by a file in the working directory only."""
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stack.callback(os.chdir, here)
        os.chdir(folder)
        fun._best_parameter("print")
        return np.loadtxt("._bbob_problem_best_parameter.txt")


def rosenbrock(z: Floats) -> float:
    return float((100 * ((z[:-1] + 1) ** 2 - z[1:] - 1) ** 2 + z[:-1] ** 2).sum())


def rastrigin(z: Floats) -> float:
    return float((10 + z * z - 10 * np.cos(2 * math.pi * z)).sum())


def ackley(z: Floats) -> float:
    z = 6 * z  # +-30 on the box
    bowl, waves = (
        math.exp(-0.2 * math.sqrt((z @ z) / len(z))),
        math.exp(np.cos(2 * math.pi * z).mean()),
    )
    return 20 + math.e - 20 * bowl - waves


def griewank(z: Floats) -> float:
    z = 100 * z  # +-500 on the box
    return float(1 + (z @ z) / 4000 - np.cos(z / np.sqrt(np.arange(1, len(z) + 1))).prod())


CONTROL: dict[str, Callable[[Floats], float]] = {
    "sphere": lambda z: float(z @ z),
    "rosenbrock": rosenbrock,
    "rastrigin": rastrigin,
    "ackley": ackley,
    "griewank": griewank,
}


def control(dim: int, instances: list[int]) -> Iterator[Problem]:
    """Rotated functions, each with its optimum at the centre and at a random point of the box."""
    for instance in instances:
        for name, g in CONTROL.items():
            random = np.random.default_rng([instance, dim, len(name)])
            rotation = np.linalg.qr(random.standard_normal((dim, dim)))[0]
            anywhere = random.uniform(LOW, HIGH, dim)
            for where, best in ("centre", np.zeros(dim)), ("shifted", anywhere):
                yield Problem(f"{name}/{where}", instance, dim, _moved(g, rotation, best), 0.0)


def mixtures(dim: int, instances: list[int]) -> Iterator[Problem]:
    """MA-BBOB (Vermetten et al. 2023, GECCO): mixtures of bbob functions, an optimum anywhere."""
    import ioh

    for instance in instances:
        fun = ioh.problem.ManyAffine(instance, dim)
        yield Problem("mixture", instance, dim, fun, float(fun.optimum.y))


# of the logarithms of each function's values, from the paper
MIXTURE_SCALES = (11.0, 17.5, 12.3, 12.6, 11.5, 15.3, 12.1, 15.3, 15.2, 17.4, 13.4, 20.4,
                  12.9, 10.4, 12.3, 10.3, 9.8, 10.6, 10.0, 14.7, 10.7, 10.8, 9.0, 12.1)  # fmt: skip


def drawn_mixtures(dim: int, instances: list[int]) -> Iterator[Problem]:
    """Mixtures in the manner of MA-BBOB, without ioh: other weights and optima, so that something may
    be chosen on them.
    """
    for number in instances:
        rng = np.random.default_rng([77, number, dim])
        weights = rng.random(24)
        weights = np.maximum(weights - min(0.85, float(np.sort(weights)[-3])), 0)
        used = np.flatnonzero(weights)
        best = rng.uniform(LOW, HIGH, dim)
        parts = [_moved_bbob(dim, int(rng.integers(1, 16)), int(i) + 1, best) for i in used]
        shares = weights[used] / weights[used].sum() / np.array(MIXTURE_SCALES)[used]
        yield Problem("drawn mixture", number, dim, _mixed(parts, shares), 0.0)


def _moved_bbob(dim: int, instance: int, number: int, best: Floats) -> Callable[[Floats], float]:
    """How far one function of bbob is above its least value, which it has at best."""
    import cocoex

    options = f"dimensions:{dim} function_indices:{number}"
    suite = cocoex.Suite("bbob", f"instances:{instance}", options)
    fun = suite.get_problem(0)
    at = _best_parameter(fun)
    least = float(fun(at))
    # the function is of no use after its suite
    return lambda x, suite=suite: float(fun(x - best + at)) - least


def _mixed(parts: list[Callable[[Floats], float]], shares: Floats) -> Callable[[Floats], float]:
    """The weighted mean of the logarithms of how far each part is above its least value."""

    def fun(x: Floats) -> float:
        above = [max(part(x), 1e-12) for part in parts]
        return float(10 ** (10 * (shares @ (np.log10(above) + 8)) - 8))

    return fun


CEC_OPTIMA = [300, 400, 600, 800, 900, 1800, 2000, 2200, 2300, 2400, 2600, 2700]


def cec2022(dim: int, instances: list[int]) -> Iterator[Problem]:
    """The 12 functions of the CEC 2022 competition, its box of [-100, 100]^D shrunk to ours; it has
    one instance, so that others are runs with another seed.
    """
    import minionpy

    for number, optimum in enumerate(CEC_OPTIMA, 1):
        fun = minionpy.CEC2022Functions(number, dim)
        for instance in instances:
            yield Problem(str(number), instance, dim, _single(fun, 100 / HIGH), float(optimum))


def cec2017(dim: int, instances: list[int]) -> Iterator[Problem]:
    """The functions of the CEC 2017 competition but the second, which the organisers took back; see
    `cec2022`.
    """
    import minionpy

    for number in (1, *range(3, 31)):
        fun = minionpy.CEC2017Functions(number, dim)
        for instance in instances:
            yield Problem(str(number), instance, dim, _single(fun, 100 / HIGH), 100.0 * number)


def _single(fun: Callable[[list[Floats]], list[float]], scale: float) -> Callable[[Floats], float]:
    return lambda x: fun([scale * x])[0]


SUITES: dict[str, Callable[[int, list[int]], Iterator[Problem]]] = {
    "bbob": bbob,
    "control": control,
    "ma-bbob": mixtures,
    "drawn-mixtures": drawn_mixtures,
    "cec2022": cec2022,
    "cec2017": cec2017,
}


def _moved(
    g: Callable[[Floats], float], rotation: Floats, best: Floats
) -> Callable[[Floats], float]:
    return lambda x: g(rotation @ (x - best))
