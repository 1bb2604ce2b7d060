"""Problems drawn at random for `minimize`, with a count of their own of what a search did and
saw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

import pyswarmopt as pso

SIDES = [
    (-5.0, 5.0), (0.0, 1.0), (1e9, 1e9 + 1), (1e-12, 1e12), (-1e153, 1e153), (1e-300, 1e150),
    (-1e-300, 1e-300), (0.0, 1e-310), (0.0, 5e-324),
]  # fmt: skip
SIZES = [1.0, 1e-300, 1e150, 1e299, 1e301, 1.7e308]
RECIPES = [
    "constriction",
    "spso2011",
    "fips",
    "clpso",
    "covariant",
    "bare_bones",
    "model_swarms",
]


class NoLicence(RuntimeError):
    """What the objective raises."""


@dataclass(frozen=True)
class Drawn:
    """A problem and how it is searched."""

    shape: str  # of the objective
    size: float  # of its values
    missing: str  # what happens at some of the points: nothing, NaN, infinity or an error
    sides: list[tuple[float, float]]
    kinds: str  # of the coordinates with whole bounds: real, integer or category
    rule: str  # the constraint
    maximize: bool
    recipe: str | None
    population: int | None
    max_evals: int
    seed: int
    workers: int
    asynchronous: bool
    vectorized: bool
    starts: bool
    interrupted: int  # iterations before the first part of an interrupted run ends

    @property
    def low(self) -> np.ndarray:
        return np.array([side[0] for side in self.sides])

    @property
    def high(self) -> np.ndarray:
        return np.array([side[1] for side in self.sides])

    @property
    def whole(self) -> list[bool]:
        return [
            kind != "r" and high - low == 10
            for kind, (low, high) in zip(self.kinds, self.sides, strict=False)
        ]

    def unit(self, x: np.ndarray) -> np.ndarray:
        return (x - self.low) / (self.high - self.low)

    def value(self, x: np.ndarray) -> float:
        """The objective at a point, (D,)."""
        u = self.unit(x)
        total = float(u.sum())
        if self.missing != "nothing" and math.sin(1e3 * total) > 0.6:
            if self.missing == "error":
                raise NoLicence
            return math.nan if self.missing == "nan" else math.inf
        if self.shape == "magnitudes":
            return 10.0 ** (600 * total / len(x) - 300)
        value = {
            "bowl": float(((u - 0.3) ** 2).sum()) - 0.5,
            "steps": math.floor(4 * total) / 4 - 0.5,
            "waves": math.sin(40 * total),
            "slope": total - 1,
        }[self.shape]
        return self.size * min(max(value, -1.0), 1.0)

    def broken_by(self, x: np.ndarray) -> float:
        """The amount by which a point breaks the constraint, at most 0 where it is allowed."""
        u = self.unit(x)
        amounts = {
            "none": -1.0,
            "half": 0.7 - u[0],
            "huge": 1e300 * (0.7 - u[0]),
            "ball": float(((u - 0.8) ** 2).sum()) - 0.05,
            "strict": u[0] - 0.6,
            "never": 1.0 + u[0],
            "nan": math.nan if u[0] < 0.5 else -1.0,
        }
        return float(amounts[self.rule])

    def violation(self, x: np.ndarray) -> float:
        broken = self.broken_by(x)
        return math.inf if math.isnan(broken) else max(broken, 0.0)

    def constraints(self) -> Any:
        if self.rule == "none":
            return None
        if self.rule == "strict":
            return {"type": "ineq", "fun": lambda x: -self.broken_by(x), "keep_feasible": True}
        return self.broken_by

    def start(self) -> list[list[float]] | None:
        if not self.starts:
            return None
        points = [self.low + share * (self.high - self.low) for share in (0.2, 0.5, 0.9)]
        whole = np.array(self.whole)
        return [
            np.clip(np.where(whole, np.rint(x), x), self.low, self.high).tolist() for x in points
        ]

    def search(self, log: Log, **more: Any) -> pso.Result:
        """Run it; `log` is called in place of the objective."""
        names = {"i": "integrality", "c": "categorical"}
        masks: dict[str, Any] = {}
        for kind, name in names.items():
            mask = [whole and k == kind for whole, k in zip(self.whole, self.kinds, strict=False)]
            if any(mask):
                masks[name] = mask
        return (pso.maximize if self.maximize else pso.minimize)(
            log, self.sides, recipe=self.recipe, population=self.population,
            max_evals=self.max_evals, seed=self.seed, workers=self.workers,
            asynchronous=self.asynchronous, vectorized=self.in_batches, x0=self.start(),
            on_error="worst", constraints=self.constraints(), **masks, **more,
        )  # fmt: skip

    @property
    def in_batches(self) -> bool:
        return self.vectorized and not self.asynchronous and self.missing != "error"

    @property
    def repeatable(self) -> bool:
        """Whether the order of the answers is always the same."""
        return self.workers == 1 or not self.asynchronous


@dataclass
class Log:
    """The objective; notes where it was called and what it gave, NaN for an error."""

    problem: Drawn
    points: list[np.ndarray] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def __call__(self, x: np.ndarray) -> Any:
        if x.ndim == 2:
            return np.array([self._at(row) for row in x])
        return self._at(x)

    def _at(self, x: np.ndarray) -> float:
        try:
            value = self.problem.value(x)
        except NoLicence:
            self._note(x, math.nan)
            raise
        self._note(x, value)
        return value

    def _note(self, x: np.ndarray, value: float) -> None:
        self.points.append(x.copy())
        self.values.append(value)

    def feasible(self) -> list[float]:
        """Values at the points that break no constraint."""
        pairs = zip(self.points, self.values, strict=True)
        return [value for x, value in pairs if self.problem.violation(x) == 0]


coordinates = st.lists(st.sampled_from(SIDES) | st.just((-5.0, 5.0)), min_size=1, max_size=3)
problems = st.builds(
    Drawn,
    shape=st.sampled_from(["bowl", "steps", "waves", "slope", "magnitudes"]),
    size=st.sampled_from(SIZES),
    missing=st.sampled_from(["nothing", "nothing", "nan", "infinity", "error"]),
    sides=coordinates,
    kinds=st.sampled_from(["rrr", "rrr", "iii", "irc", "cir", "rci"]),
    rule=st.sampled_from(["none", "none", "half", "huge", "ball", "strict", "never", "nan"]),
    maximize=st.booleans(),
    recipe=st.none() | st.sampled_from(RECIPES),
    population=st.sampled_from([None, None, 1, 2, 5, 12]),
    max_evals=st.sampled_from([1, 2, 3, 5, 12, 30, 60]),
    seed=st.integers(0, 9),
    workers=st.sampled_from([1, 1, 1, 2]),
    asynchronous=st.sampled_from([False, False, False, True]),
    vectorized=st.sampled_from([False, False, True]),
    starts=st.sampled_from([False, False, True]),
    interrupted=st.integers(0, 6),
)
