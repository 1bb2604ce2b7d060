"""The lesson: one HTML page, whole in one file, that replays steps of the library and lets one
change them.

The texts, questions and exercises of `CHAPTERS` are those of `chapters.toml`, in HTML.
"""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
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

SCRIPTS = ("swarm.js", "draw.js", "dom.js", "panel.js", "page.js")
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


def page() -> str:
    """The lesson as an HTML document that needs no network and no other file.

    Example:
        >>> text = page()
        >>> text.startswith("<!doctype html>"), "http://" in text or "https://" in text
        (True, False)
    """
    parts = {
        "STYLE": _read("page.css"),
        "DATA": json.dumps(data(), separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/"),
        "SCRIPTS": "\n".join(map(_read, SCRIPTS)),
    }
    return re.sub(r"\{\{ (\w+) \}\}", lambda match: parts[match[1]], _read("page.html"))


def data() -> dict[str, Any]:
    """What the page contains: chapters with their recordings, and the library's source."""
    from pyswarmopt import __version__

    return {
        "version": __version__,
        "chapters": [_recorded(chapter) for chapter in CHAPTERS],
        "source": excerpts(),
        "topologies": TOPOLOGIES,
        "boundaries": BOUNDARIES,
        "landscapes": LANDSCAPES,
    }


def _recorded(chapter: dict[str, Any]) -> dict[str, Any]:
    settings = Settings(**chapter["settings"])
    frames = recording(settings, chapter["moves"], chapter["seed"])
    return {**chapter, "settings": asdict(settings), "frames": frames}


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


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


CHAPTERS: list[dict[str, Any]] = tomllib.loads(_read("chapters.toml"))["chapters"]

__all__ = ["CHAPTERS", "SCRIPTS", "Settings", "data", "excerpts", "page", "recording"]
