"""Ten turbines with 45 distances: the default beside SciPy's SLSQP with restarts.

    python research/benchmarks/functions/farms.py --out research/evidence/farms.jsonl
    python research/benchmarks/functions/farms.py --out research/evidence/farms.jsonl --table

Six farms with drawn wind roses. The outcome is the least loss by wakes in per cent at a layout whose
turbines are far enough apart, after 150, 300 and 600 calls, seeds 0 to 7. A call gives the loss and all
distances. Nothing was chosen on them.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import contextlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from resumed import compared
from scipy import optimize

import pyswarmopt as pso

SOLVERS = ("default", "SLSQP")
CALLS = (150, 300, 600)
COUNT = 10
ONE, OTHER = np.triu_indices(COUNT, 1)
BROKEN = 1e-6  # what counts as kept


class Farm(NamedTuple):
    """A square with a wind rose; lengths in rotor diameters."""

    side: float
    least: float  # distance between turbines
    number: int  # of the wind rose
    directions: int
    spread: float  # widening of a wake
    evenness: float  # of the wind rose


FARMS = {
    "20": Farm(20, 4, 1, 12, 0.05, 1.0),
    "20 uneven": Farm(20, 4, 2, 8, 0.05, 0.5),
    "15": Farm(15, 3, 3, 16, 0.03, 1.0),
    "20 one way": Farm(20, 5, 4, 12, 0.075, 0.3),
    "30": Farm(30, 5, 5, 12, 0.05, 1.0),
    "25 uneven": Farm(25, 6, 6, 16, 0.04, 0.5),
}


class Over(Exception):
    """No more calls."""


def lost(farm: Farm, x: Any) -> float:
    """Per cent of the energy that wakes cost (Gaussian ones, Jensen's widening)."""
    shares = np.random.default_rng(farm.number).dirichlet(np.full(farm.directions, farm.evenness))
    places = np.asarray(x).reshape(COUNT, 2)
    away = places[:, None] - places
    left = 0.0
    for i, share in enumerate(shares):
        angle = 2 * math.pi * i / farm.directions
        along = away @ [math.cos(angle), math.sin(angle)]
        beside = away @ [-math.sin(angle), math.cos(angle)]
        width = 0.5 + farm.spread * np.maximum(along, 0)
        wake = 2 / 3 * (0.5 / width) ** 2 * np.exp(-((beside / width) ** 2))
        deficit = np.sqrt((np.where(along > 1e-9, wake, 0.0) ** 2).sum(axis=1))
        left += share * (np.maximum(1 - deficit, 0) ** 3).mean()
    return 100 * (1 - float(left))


def too_close(farm: Farm, x: Any) -> Any:
    """By how much each pair is closer than allowed."""
    places = np.asarray(x).reshape(COUNT, 2)
    away = places[ONE] - places[OTHER]
    return farm.least - np.sqrt((away**2).sum(axis=1) + 1e-12)


class Watched:
    """Loss and distances, each layout once; the best loss after each call."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.known: dict[bytes, tuple[float, Any]] = {}
        self.bests = [math.inf]

    def __call__(self, x: Any) -> tuple[float, Any]:
        key = np.asarray(x).tobytes()
        if key not in self.known:
            if len(self.bests) > CALLS[-1]:
                raise Over
            self.known[key] = lost(self.farm, x), too_close(self.farm, x)
            loss, close = self.known[key]
            kept = close.max() <= BROKEN
            self.bests.append(min(self.bests[-1], loss if kept else math.inf))
        return self.known[key]


def run(farm: str, calls: int, solver: str, seed: int) -> float:
    """The best loss after so many calls, infinite without an allowed layout."""
    watched = Watched(FARMS[farm])
    with contextlib.suppress(Over):
        SEARCHES[solver](watched, [(0, FARMS[farm].side)] * (2 * COUNT), seed)
    return watched.bests[min(calls, len(watched.bests) - 1)]


def _default(watched: Watched, box: Any, seed: int) -> None:
    options: dict[str, Any] = {"max_evals": CALLS[-1], "seed": seed}
    pso.minimize(watched, box, constraints="returned", **options)


def _slsqp(watched: Watched, box: Any, seed: int) -> None:
    draws = np.random.default_rng(seed)
    rules = {"type": "ineq", "fun": lambda x: -watched(x)[1]}
    while True:
        start = draws.uniform(*np.transpose(box))
        optimize.minimize(
            lambda x: watched(x)[0], start, bounds=box, constraints=rules, method="SLSQP"
        )


SEARCHES: dict[str, Callable[..., None]] = {"default": _default, "SLSQP": _slsqp}


if __name__ == "__main__":
    tried = {"solver": SOLVERS, "farm": FARMS, "calls": CALLS}
    compared(__doc__, 8, tried, "best", run)
