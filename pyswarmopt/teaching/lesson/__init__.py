"""The lesson: one HTML page, whole in one file, that replays steps of the library and lets one
change them.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from pyswarmopt.teaching.lesson.chapters import CHAPTERS, Chapter
from pyswarmopt.teaching.lesson.excerpts import excerpts
from pyswarmopt.teaching.lesson.recording import recording
from pyswarmopt.teaching.lesson.settings import BOUNDARIES, LANDSCAPES, TOPOLOGIES, Settings

SCRIPTS = ("swarm.js", "draw.js", "dom.js", "panel.js", "page.js")


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
        "chapters": [_chapter(chapter) for chapter in CHAPTERS],
        "source": excerpts(),
        "topologies": TOPOLOGIES,
        "boundaries": BOUNDARIES,
        "landscapes": LANDSCAPES,
    }


def _chapter(chapter: Chapter) -> dict[str, Any]:
    return {**asdict(chapter), "frames": recording(chapter.settings, chapter.moves, chapter.seed)}


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


__all__ = ["CHAPTERS", "SCRIPTS", "Chapter", "Settings", "data", "excerpts", "page", "recording"]
