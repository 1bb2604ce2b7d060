"""Two engineering designs with catalogues, whole numbers and constraints, for simulations.py. Every
constraint is relative, so that 0.1 is a tenth too much.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import pyswarmopt as pso


@dataclass(frozen=True)
class Design:
    """Parameters, what is to be small, and what must be at most 0, each by name."""

    space: dict[str, Any]
    fun: Callable[..., float]
    rules: Callable[..., list[float]]


METALS = {  # modulus, density, extra for the price
    "6061": (69, 2.70, 0.1), "7075": (72, 2.81, 0.17), "Ti64": (114, 4.43, 0.9),
    "steel": (210, 7.85, 0.06),
}  # fmt: skip
PANEL = {
    "w": (8.0, 60.0), "h": (20.0, 100.0), "t": [1.0, 1.2, 1.5, 2.0, 2.5, 3.0], "n": pso.integer(2, 9),
    "m": list(METALS),
}  # fmt: skip


def panel(w, h, t, n, m):
    _, density, dear = METALS[m]
    return density * (2 * w * t + 1.6 * n * h) / 100 * (1 + dear)


def panel_rules(w, h, t, n, m):
    stiffness = METALS[m][0] * (1.6 * n * h**3 / 12 + w * t * h**2 / 2)
    return [1e8 / stiffness - 1, w / n / t / 22 - 1]


SECTIONS = [1.2, 1.7, 2.3, 3.1, 3.8, 4.7, 5.8, 6.9, 8.2, 9.4, 11.0, 13.1, 15.5, 18.7]  # cm2
TOWER = {f"a{i}": pso.ordered(SECTIONS) for i in range(7)} | {"base": (1.0, 5.0), "top": (0.3, 2.0)}


def _tower(base, top, **areas):
    heights = np.linspace(0.0, 12.0, 8)
    widths = base + (top - base) * heights / 12
    lengths = np.hypot(np.diff(heights), np.diff(widths) / 2)
    area = np.array([areas[f"a{i}"] for i in range(7)])
    moments = 18.0 * (12.0 - heights[:7])  # kN m, of a load at the top
    forces = moments / widths[:7] + 12.0
    return area, lengths, widths[:7], forces


def tower(**p):
    area, lengths, widths, _ = _tower(**p)
    return float((0.785 * area * (4 * lengths + 3 * widths)).sum())


def tower_rules(**p):
    area, lengths, _, forces = _tower(**p)
    stress = 10 * forces / area / 160  # of 160 MPa
    buckling = forces / (2.07e3 * 0.6 * area**2 / (100 * lengths**2) * math.pi**2 / 10)
    return [float(stress.max()) - 1, float(buckling.max()) - 1]


DESIGNS = {
    "panel": Design(PANEL, panel, panel_rules),
    "tower": Design(TOWER, tower, tower_rules),
}
