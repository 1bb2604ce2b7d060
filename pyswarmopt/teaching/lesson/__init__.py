"""The lesson: one self-contained HTML page that replays steps of the library and lets readers
change them.

The texts, questions and exercises of `CHAPTERS` and the questions of `TEST` come from
`chapters.toml`, in HTML; recordings and source come from `STORED`.
"""

from __future__ import annotations

import gzip
import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from pyswarmopt.base.files import check_new

STORED = "recorded.json.gz"
SCRIPTS = (
    "swarm.js",
    "formula.js",
    "draw.js",
    "dom.js",
    "dock.js",
    "ask.js",
    "panel.js",
    "write.js",
    "page.js",
)


def read(name: str) -> str:
    """The text of a file in this folder."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


_TEXTS = tomllib.loads(read("chapters.toml"))
CHAPTERS = _TEXTS["chapters"]
TEST = _TEXTS["test"]


def write(out: Path) -> int:
    """Write the lesson to a new file and return its size in bytes.

    Raises:
        ValueError: `out` does not end in .html or already exists, or its folder does not exist.
    """
    check_new(out, [".html"])
    with open(out, "xb") as file:
        return file.write(page().encode())


def page() -> str:
    """The lesson as an HTML document that needs neither network nor other files.

    Example:
        >>> text = page()
        >>> text.startswith("<!doctype html>"), "http://" in text or "https://" in text
        (True, False)
    """
    scripts = "\n".join(map(read, SCRIPTS))
    return filled(read("page.html"), data(), STYLE=read("page.css"), SCRIPTS=scripts)


def filled(template: str, content: dict[str, Any], **parts: str) -> str:
    """Fill in a template: its parts replace the names in double braces.

    Args:
        template: HTML.
        content: data for its scripts, the part DATA.
        parts: other parts, except ASK, the markup that `ask.js` and `write.js` fill.
    """
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
    parts |= {"DATA": text, "ASK": read("ask.html")}
    return re.sub(r"\{\{ (\w+) \}\}", lambda match: parts[match[1]], template)


def data() -> dict[str, Any]:
    """Data of the page: texts, recordings, the library's source."""
    from pyswarmopt import __version__

    recorded = stored()
    recordings = recorded.pop("recordings")
    chapters = [
        chapter | recording for chapter, recording in zip(CHAPTERS, recordings, strict=True)
    ]
    return {"version": __version__, "chapters": chapters, "test": TEST, **recorded}


def stored() -> Any:
    """Runs of the library for replay on the page, and their source; a test compares them with the
    present behaviour.
    """
    return json.loads(gzip.decompress(files(__package__).joinpath(STORED).read_bytes()))


__all__ = ["CHAPTERS", "SCRIPTS", "STORED", "TEST", "data", "page", "stored", "write"]
