"""Engineering designs and CEC 2006 problems with constraints, and the best values known for them.

Sources: g05 and g06 from Liang et al. 2006 (CEC 2006), the designs as in Coello Coello & Mezura
Montes 2002 (Adv. Eng. Inform. 16).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
EQUALITY_TOLERANCE = 1e-4  # of CEC 2006


@dataclass(frozen=True)
class Problem:
    """Minimise `fun` in the box where `below` is at most 0 and `zero` is 0."""

    name: str
    bounds: list[tuple[float, float]]
    fun: Callable[[Floats], float]
    below: Callable[[Floats], list[float]]
    best: float
    zero: Callable[[Floats], list[float]] = lambda x: []
    integers: tuple[int, ...] = ()

    def rules(self, x: Floats) -> Floats:
        """All constraints as g(x) <= 0, equalities within the tolerance."""
        return np.array([*self.below(x), *(abs(h) - EQUALITY_TOLERANCE for h in self.zero(x))])


def _beam_rules(x: Floats) -> list[float]:
    h, weld, t, b = x
    load, length, young, shear = 6000.0, 14.0, 30e6, 12e6
    radius = sqrt(weld**2 / 4 + ((h + t) / 2) ** 2)
    direct = load / (sqrt(2) * h * weld)
    moment = load * (length + weld / 2)
    bending = moment * radius / (2 * (sqrt(2) * h * weld * (weld**2 / 12 + ((h + t) / 2) ** 2)))
    tau = sqrt(direct**2 + direct * bending * weld / radius + bending**2)
    buckling = (
        4.013
        * young
        * sqrt(t**2 * b**6 / 36)
        / length**2
        * (1 - t / (2 * length) * sqrt(young / (4 * shear)))
    )
    return [
        tau - 13600, 6 * load * length / (b * t**2) - 30000, h - b,
        0.10471 * h**2 + 0.04811 * t * b * (14 + weld) - 5, 0.125 - h,
        4 * load * length**3 / (young * t**3 * b) - 0.25, load - buckling,
    ]  # fmt: skip


def _vessel(x: Floats) -> float:
    shell, head, r, long = 0.0625 * x[0], 0.0625 * x[1], x[2], x[3]
    return float(
        0.6224 * shell * r * long
        + 1.7781 * head * r**2
        + 3.1661 * shell**2 * long
        + 19.84 * shell**2 * r
    )


def _vessel_rules(x: Floats) -> list[float]:
    shell, head, r, long = 0.0625 * x[0], 0.0625 * x[1], x[2], x[3]
    return [
        0.0193 * r - shell,
        0.00954 * r - head,
        1296000 - pi * r**2 * long - 4 / 3 * pi * r**3,
        long - 240,
    ]


def _spring_rules(x: Floats) -> list[float]:
    d, coil, n = x
    return [
        1 - coil**3 * n / (71785 * d**4),
        (4 * coil**2 - d * coil) / (12566 * (coil * d**3 - d**4)) + 1 / (5108 * d**2) - 1,
        1 - 140.45 * d / (coil**2 * n),
        (d + coil) / 1.5 - 1,
    ]


def _g05_zero(x: Floats) -> list[float]:
    a, b, c, d = x
    return [
        1000 * np.sin(-c - 0.25) + 1000 * np.sin(-d - 0.25) + 894.8 - a,
        1000 * np.sin(c - 0.25) + 1000 * np.sin(c - d - 0.25) + 894.8 - b,
        1000 * np.sin(d - 0.25) + 1000 * np.sin(d - c - 0.25) + 1294.8,
    ]


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem(
            "welded beam", [(0.1, 2), (0.1, 10), (0.1, 10), (0.1, 2)],
            lambda x: float(1.10471 * x[0] ** 2 * x[1] + 0.04811 * x[2] * x[3] * (14 + x[1])),
            _beam_rules, 1.724852309,
        ),
        Problem(
            "pressure vessel", [(1, 99), (1, 99), (10, 200), (10, 200)], _vessel, _vessel_rules,
            6059.714335, integers=(0, 1),
        ),
        Problem(
            "spring", [(0.05, 2), (0.25, 1.3), (2, 15)],
            lambda x: float((x[2] + 2) * x[1] * x[0] ** 2), _spring_rules, 0.0126652328,
        ),
        Problem(
            "g05", [(0, 1200), (0, 1200), (-0.55, 0.55), (-0.55, 0.55)],
            lambda x: float(3 * x[0] + 1e-6 * x[0] ** 3 + 2 * x[1] + 2e-6 / 3 * x[1] ** 3),
            lambda x: [x[2] - x[3] - 0.55, x[3] - x[2] - 0.55], 5126.4967, _g05_zero,
        ),
        Problem(
            "g06", [(13, 100), (0, 100)], lambda x: float((x[0] - 10) ** 3 + (x[1] - 20) ** 3),
            lambda x: [100 - (x[0] - 5) ** 2 - (x[1] - 5) ** 2,
                       (x[0] - 6) ** 2 + (x[1] - 5) ** 2 - 82.81],
            -6961.813876,
        ),
    )
}  # fmt: skip
