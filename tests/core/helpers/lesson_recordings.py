"""What the lesson's page contains beside its texts: runs of the library as the page replays them, and the
source that made them.

`python tests/core/helpers/lesson_recordings.py` stores them in the package, and a test compares what
is stored with what the library does now.
"""

from __future__ import annotations

import gzip
import inspect
import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pyswarmopt.algorithms.recipe import Recipe, compose
from pyswarmopt.inspect.recorder import record
from pyswarmopt.inspect.step import Step
from pyswarmopt.parts import boundary as boundaries
from pyswarmopt.parts import topology, velocity
from pyswarmopt.parts.initialise import Interpolate, TowardsPartner, uniform
from pyswarmopt.parts.restart import RestartAtBest
from pyswarmopt.parts.schedule import Exponential
from pyswarmopt.parts.topology import named
from pyswarmopt.parts.velocity import Randomness
from pyswarmopt.teaching import algorithm1, lesson
from pyswarmopt.teaching.functions.functions import ALL, ToyFunction
from pyswarmopt.teaching.functions.wrappers import shifted

ROOT = Path(__file__).parents[3]

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


def steps_of(settings: Settings, moves: int, seed: int) -> list[Step]:
    """What the library does with these settings."""
    return record(
        settings.function(),
        settings.recipe(),
        moves,
        bounds=[(settings.low, settings.high)] * 2,
        population=settings.particles,
        positions=settings.experts or None,
        seed=seed,
    )


def recording(settings: Settings, moves: int, seed: int) -> list[dict[str, Any]]:
    """A frame per round: where the particles are, what they know, and the move that follows."""
    steps = steps_of(settings, moves, seed)
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


# ---- what is stored ----

# Part of the step that the page highlights -> the lines of `algorithm1.run` from one text up to
# another, or a part of a recipe that the paper does not have.
STEP_1 = ("# Step 1.", "# Step 2.")
PARTS: dict[str, tuple[Any, ...]] = {
    "inertia": STEP_1,
    "cognitive": STEP_1,
    "social": STEP_1,
    "repel": STEP_1,
    "velocity": STEP_1,
    "position": ("# Step 2.", "y = np.array"),
    "memory": ("better = ", "# Restart"),
    "restart": ("# Restart", "# Step 3."),
    "step length": ("# Step 3.", "return"),
    "topology: everybody": (topology.Global,),
    "topology: ring": (topology.Ring, topology.Lattice.informants),
    "topology: lattice": (topology.VonNeumann,),
    "wall: clip": (boundaries.clip,),
    "wall: confine": (boundaries.confine,),
    "wall: reflect": (boundaries.reflect,),
    "wall: periodic": (boundaries.periodic,),
}


def store() -> None:
    """Write the copy that the package reads."""
    text = json.dumps(data(), separators=(",", ":"), ensure_ascii=False)
    path = Path(lesson.__file__).with_name(lesson.STORED)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def data() -> dict[str, Any]:
    """The chapters with their recordings, and the library's source."""
    return {
        "recordings": [_recorded(chapter) for chapter in lesson.CHAPTERS],
        "source": excerpts(),
        "topologies": TOPOLOGIES,
        "boundaries": BOUNDARIES,
        "landscapes": LANDSCAPES,
    }


def _recorded(chapter: dict[str, Any]) -> dict[str, Any]:
    settings = Settings(**chapter["settings"])
    frames = recording(settings, chapter["moves"], chapter["seed"])
    return {"settings": asdict(settings), "frames": frames}


def excerpts() -> dict[str, list[dict[str, Any]]]:
    """For each part its pieces of source: file and text."""
    found = {}
    for part, things in PARTS.items():
        if isinstance(things[0], str):
            found[part] = [_lines(*things)]
        else:
            found[part] = [_excerpt(thing) for thing in things]
    return found


def _lines(first: str, after: str) -> dict[str, Any]:
    """The lines of Algorithm 1 from the one that holds a text of its loop up to another."""
    source = inspect.getsource(algorithm1.run)
    loop = source[source.index("    for _ in range(s.K)") :]
    start = loop.rindex("\n", 0, loop.index(first)) + 1
    end = loop.rindex("\n", 0, loop.index(after, start)) + 1
    return {
        "file": "pyswarmopt/teaching/algorithm1.py",
        "text": textwrap.dedent(loop[start:end]).rstrip(),
    }


def _excerpt(thing: Callable[..., Any]) -> dict[str, Any]:
    lines, _ = inspect.getsourcelines(thing)
    file = Path(inspect.getsourcefile(thing) or "").resolve().relative_to(ROOT)
    return {
        "file": file.as_posix(),
        "text": inspect.cleandoc("\n" + "".join(lines)).rstrip(),
    }


if __name__ == "__main__":
    store()
