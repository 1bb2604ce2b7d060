"""The table of the papers' systems: all rows are there, what a row names exists, and its figures
stand on the page that it links to.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = DOCS / "systems.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if re.match(r"\| \d+ \|", line)
]
LINKED = re.compile(r"\[([^\]]+)\](?:\(([^)]+)\)|\[(\w+)\])")
TARGETS = dict(re.findall(r"^\[(\w+)\]: (\S+)$", TEXT, flags=re.MULTILINE))
EVIDENCE = re.compile(r"<!-- table: |evidence/[\w.-]+\.jsonl|no outcomes kept")

sys.path.insert(0, str(DOCS / "tools"))
sys.path.pop(0)


def named(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def figures(cell: str) -> list[tuple[str, Path, str]]:
    """The links of a cell: text, page and anchor."""
    links = []
    for text, target, name in LINKED.findall(cell):
        page, _, anchor = (target or TARGETS[name]).partition("#")
        links.append((text, DOCS / page, anchor))
    return links


@cache
def section(page: Path, anchor: str) -> str:
    """The part of a page under a heading, up to the next heading of its level; without an anchor
    all of it.
    """
    lines = page.read_text(encoding="utf-8").splitlines()
    if not anchor:
        return "\n".join(lines)
    for start, line in enumerate(lines):
        level, _, title = line.partition(" ")
        words = re.sub(r"[^\w\- ]", "", title.lower()).strip()
        if level.strip("#") == "" and level and words.replace(" ", "-") == anchor:
            rest = lines[start + 1 :]
            ends = [i for i, text in enumerate(rest) if re.match(rf"#{{1,{len(level)}}} ", text)]
            return "\n".join(rest[: ends[0]] if ends else rest)
    raise AssertionError(f"{page.name} has no heading {anchor}")
