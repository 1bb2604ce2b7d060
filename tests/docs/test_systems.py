"""The table of the papers' systems: all rows are there, and what a row names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "systems.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d+ \|", line)
]


def named(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def test_every_system_of_the_audit_has_a_row() -> None:
    assert [row[0] for row in ROWS] == [str(number) for number in range(1, 131)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_files_and_tests_exist_and_every_row_has_a_figure_or_a_reason(row: list[str]) -> None:
    _, system, files, tests, figure, departure = row
    assert system and figure and departure
    assert bool(named(files)) == bool(named(tests)) != ("missing" in figure)
    for name in named(files):
        assert any((folder / name).is_file() for folder in (ROOT, ROOT / "pyswarmopt_llm")), name
    for name in named(tests):
        assert (ROOT / "tests" / name).is_file(), name
    assert not figure.startswith("none") or re.match(r"none: \w", figure)


def test_the_page_is_in_the_site() -> None:
    assert "systems.md" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
