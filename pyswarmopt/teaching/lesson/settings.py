"""The settings of a lesson's swarm, the library's recipe for them, and a run as the page replays
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pyswarmopt.algorithms.recipe import Recipe, compose
from pyswarmopt.inspect.recorder import record
from pyswarmopt.inspect.step import Step
from pyswarmopt.parts import boundary as boundaries
from pyswarmopt.parts import velocity
from pyswarmopt.parts.initialise import Interpolate, TowardsPartner, uniform
from pyswarmopt.parts.restart import RestartAtBest
from pyswarmopt.parts.schedule import Exponential
from pyswarmopt.parts.topology import named
from pyswarmopt.parts.velocity import Randomness
from pyswarmopt.teaching.functions.function import ToyFunction
from pyswarmopt.teaching.functions.functions import ALL
from pyswarmopt.teaching.functions.wrappers import shifted

TOPOLOGIES = ("global", "ring", "von_neumann")
BOUNDARIES = ("none", "clip", "confine", "reflect", "periodic")
Point = Sequence[float]
DIGITS = 8  # significant digits in the page

# The landscapes that the page can compute itself, and all of their best points.
LANDSCAPES: dict[str, tuple[Point, ...]] = {
    "sphere": ((0.0, 0.0),),
    "rosenbrock": ((1.0, 1.0),),
    "rastrigin": ((0.0, 0.0),),
    "ackley": ((0.0, 0.0),),
    "himmelblau": (
        (3.0, 2.0),
        (-2.805118, 3.131313),
        (-3.779310, -3.283186),
        (3.584428, -1.848127),
    ),
    "six_hump_camel": ((0.089842, -0.712656), (-0.089842, 0.712656)),
    "lunacek": ((2.5, 2.5),),
}


@dataclass(frozen=True)
class Settings:
    """The controls of the page; each field means the same in `swarm.js`."""

    landscape: str = "sphere"  # one of `LANDSCAPES`
    shift: Point = (0.0, 0.0)  # of its optimum
    low: float = -5.0  # bounds of both coordinates
    high: float = 5.0
    particles: int = 10
    inertia: float = 0.73  # weight of v
    cognitive: float = 1.5  # weight of p - x
    social: float = 1.5  # weight of g - x
    repel: float = 0.0  # weight of x - w
    random: Randomness = "element"
    # divide the sum by its coefficients as drawn; then inertia has a random factor too
    normalise: bool = False
    step: float = 1.0  # length lambda of the first move
    decay: float = 1.0  # factor of lambda after each move
    topology: Literal["global", "ring", "von_neumann"] = "global"
    boundary: Literal["none", "clip", "confine", "reflect", "periodic"] = "reflect"
    # moves without a new personal best after which a particle goes back to it; 0: never
    restart: int = 0
    # starting points that the others are put between; none: uniform in the box
    experts: Sequence[Point] = ()
    launch: float = 0.5  # starting velocity as a share of the way to another particle

    def function(self) -> ToyFunction:
        """The landscape as a test function."""
        return shifted(ALL[self.landscape], self.shift)

    def recipe(self) -> Recipe:
        """The library's recipe for these settings."""
        kinds: dict[str, Randomness] = {
            name: self.random for name in ("inertia", "cognitive", "social", "repel")
        }
        if not self.normalise:
            kinds["inertia"] = "none"
        return compose(
            name="lesson",
            terms=[
                getattr(velocity, name)(getattr(self, name), kind) for name, kind in kinds.items()
            ],
            topology=named(self.topology),
            boundary=getattr(boundaries, self.boundary),
            schedule=Exponential(self.step, self.decay),
            restart=RestartAtBest(self.restart) if self.restart else (),
            normalise=self.normalise,
            populate=Interpolate() if self.experts else uniform,
            launch=TowardsPartner(self.launch),
        )


def recording(settings: Settings, moves: int, seed: int) -> list[dict[str, Any]]:
    """A frame per round: where the particles are, what they know, and the move that follows.

    Example:
        >>> frames = recording(Settings(particles=3), moves=2, seed=0)
        >>> [frame["t"] for frame in frames], frames[2]["move"] is None, sorted(frames[0]["move"]["forces"])
        ([0, 1, 2], True, ['cognitive', 'inertia', 'repel', 'social'])
    """
    steps = record(
        settings.function(),
        settings.recipe(),
        moves,
        bounds=[(settings.low, settings.high)] * 2,
        population=settings.particles,
        positions=settings.experts or None,
        seed=seed,
    )
    return [_frame(now, after) for now, after in pairwise([*steps, None]) if now is not None]


def _frame(now: Step, after: Step | None) -> dict[str, Any]:
    """State after a round, and the move to the next one."""
    origin = now.x if after is None or after.origin is None else after.origin
    return {
        "t": now.number,
        "x": numbers(now.x),
        "v": numbers(np.where(now.restarted[:, None], 0.0, now.v)),
        "f": numbers(now.values),
        "p": numbers(now.p),
        "pf": numbers(now.p_values),
        "best": number(now.best),
        "leader": numbers(now.p[now.p_values.argmin()]),
        "worst": None if after is None or after.w is None else numbers(after.w),
        "restarted": now.restarted.tolist(),
        "origin": numbers(origin),
        "move": None if after is None else _move(after),
    }


def _move(step: Step) -> dict[str, Any]:
    return {
        "g": numbers(np.asarray(step.g)),
        "forces": {name: numbers(force) for name, force in step.forces.items()},
        "factors": {name: numbers(factor) for name, factor in step.factors.items()},
        "length": number(step.length),
        "v": numbers(step.v),
        "x": numbers(step.x),
    }


def number(value: float) -> float:
    """With as many digits as the page gets."""
    return float(f"{value:.{DIGITS}g}")


def numbers(array: npt.NDArray[np.float64]) -> Any:
    """Nested lists of such numbers."""
    return np.vectorize(number, otypes=[float])(array).tolist()
