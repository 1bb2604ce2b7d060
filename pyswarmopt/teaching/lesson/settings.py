"""The settings of a lesson's swarm, and the library's recipe for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pyswarmopt.algorithms.recipe import Recipe, compose
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
Point = tuple[float, float]

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
    experts: tuple[Point, ...] = ()
    launch: float = 0.5  # starting velocity as a share of the way to another particle

    def function(self) -> ToyFunction:
        """The landscape as a test function."""
        return shifted(ALL[self.landscape], self.shift)

    def optima(self) -> list[Point]:
        """The best points of the landscape."""
        dx, dy = self.shift
        return [(x + dx, y + dy) for x, y in LANDSCAPES[self.landscape]]

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
