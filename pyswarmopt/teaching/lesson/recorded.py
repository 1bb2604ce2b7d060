"""What the lesson's page contains: runs of the library, and the source that made them. It needs torch;
`STORED` keeps a copy for those who have NumPy alone.
"""

from __future__ import annotations

import gzip
import inspect
import json
from collections.abc import Callable
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from pyswarmopt.engine import reference
from pyswarmopt.parts import boundary, restart, schedule, topology, velocity
from pyswarmopt.teaching.lesson.settings import (
    BOUNDARIES,
    LANDSCAPES,
    TOPOLOGIES,
    Settings,
    recording,
)
from pyswarmopt.teaching.lesson.texts import CHAPTERS, STORED

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


def store() -> None:
    """Write the copy, without the lines at which the source stands: they move with every change."""
    content = data()
    for excerpt in chain(*content["source"].values()):
        del excerpt["line"]
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    path = Path(__file__).with_name(STORED)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def data() -> dict[str, Any]:
    """The chapters with their recordings, and the library's source."""
    return {
        "recordings": [_recorded(chapter) for chapter in CHAPTERS],
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
    """For each part its pieces of source: file, first line and text.

    Example:
        >>> piece = excerpts()["cognitive"][1]
        >>> piece["file"], piece["text"].splitlines()[-1].strip()
        ('pyswarmopt/parts/velocity.py', 'return s.p - s.x')
    """
    return {part: [_excerpt(thing) for thing in things] for part, things in PARTS.items()}


def _excerpt(thing: Callable[..., Any]) -> dict[str, Any]:
    lines, first = inspect.getsourcelines(thing)
    file = Path(inspect.getsourcefile(thing) or "").resolve().relative_to(ROOT)
    return {
        "file": file.as_posix(),
        "line": first,
        "text": inspect.cleandoc("\n" + "".join(lines)).rstrip(),
    }


__all__ = ["data", "excerpts", "store"]
