"""The lines of the library that make a step, taken from the files that are running."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from pyswarmopt.engine import reference
from pyswarmopt.parts import boundary, restart, schedule, topology, velocity

ROOT = Path(__file__).parents[3]

# Part of the step that the page highlights -> what to show of it.
PARTS: dict[str, tuple[Any, ...]] = {
    "inertia": (velocity.inertia, velocity.along),
    "cognitive": (velocity.cognitive, velocity.to_own_best),
    "social": (velocity.social, velocity.to_known_best),
    "repel": (velocity.repel, velocity.from_worst),
    "velocity": (velocity.SumOfTerms.on, velocity.SumOfTerms.normalised),
    "position": (reference.move, reference.step),
    "step length": (schedule.Exponential,),
    "memory": (reference.remember, reference.remember_extremes),
    "restart": (restart.RestartAtBest.__call__, reference.send_back),
    "topology: everybody": (topology.Global,),
    "topology: ring": (topology.Ring, topology.Lattice.informants),
    "topology: lattice": (topology.VonNeumann,),
    "wall: clip": (boundary.clip,),
    "wall: confine": (boundary.confine,),
    "wall: reflect": (boundary.reflect,),
    "wall: periodic": (boundary.periodic,),
}


def excerpts() -> dict[str, list[dict[str, Any]]]:
    """For each part its pieces of source: file, first line and text.

    Example:
        >>> piece = excerpts()["cognitive"][1]
        >>> piece["file"], piece["text"].splitlines()[-1].strip()
        ('pyswarmopt/parts/velocity.py', 'return s.p - s.x')
    """
    return {part: [_excerpt(thing) for thing in things] for part, things in PARTS.items()}


def _excerpt(thing: Callable[..., Any] | type | ModuleType) -> dict[str, Any]:
    lines, first = inspect.getsourcelines(thing)
    file = Path(inspect.getsourcefile(thing) or "").resolve().relative_to(ROOT)
    return {
        "file": file.as_posix(),
        "line": first,
        "text": inspect.cleandoc("\n" + "".join(lines)).rstrip(),
    }
