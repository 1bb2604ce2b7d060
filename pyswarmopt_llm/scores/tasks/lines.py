"""Files with one record per line: JSON, or plain text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pyswarmopt_llm.scores.tasks.table import parse_text, read_text


def json_lines(path: Path) -> Iterator[tuple[str, object]]:
    """(location, value) of each non-blank line."""
    for location, line in text_lines(path):
        yield location, parse_text(line, path, int(location.rpartition(" ")[2]))


def text_lines(path: Path) -> Iterator[tuple[str, str]]:
    """(location, line) of each non-blank line, stripped."""
    # Not str.splitlines: it also splits at U+2028 and others, which JSON allows inside a text.
    for n, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}: line {n}", line.strip()
