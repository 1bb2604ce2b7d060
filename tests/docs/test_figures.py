"""A figure that a sentence quotes from a table is the one in its cell.

Behind the figure stands `<!-- cell: TABLE | ROW | COLUMN -->`: the table between the marks of that
name on any page, the row by its first cell, the column by its head.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from doc_blocks import ROOT, pages

import pyswarmopt as pso

PAGES = [*pages(), *sorted((ROOT / "research" / "notes").glob("*.md"))]
TABLE = re.compile(r"<!-- table: ([\w-]+) -->\n(\|.*?)<!-- end -->", flags=re.DOTALL)
QUOTED = re.compile(r"(-?\d[\d.,]*%?)\s*<!-- cell: ([^|]+) \| ([^|]+) \| ([^|]+?) -->")
Table = dict[str, dict[str, str]]


def table(text: str) -> Table:
    """Row -> head of the column -> cell."""
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()
    ]
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


def tables(paths: list[Path]) -> dict[str, Table]:
    """The tables of all pages, by the names in their marks."""
    texts = [path.read_text(encoding="utf-8") for path in paths]
    return {name: table(body) for text in texts for name, body in TABLE.findall(text)}


def wrong(text: str, known: dict[str, Table]) -> list[str]:
    """The quoted figures that are not those of their cells."""
    found = []
    for figure, name, row, column in QUOTED.findall(text):
        cell = known.get(name, {}).get(row, {}).get(column)
        if cell is None or figure not in re.findall(r"-?\d[\d.,]*\d%?|\d", cell):
            found.append(f"{figure}: {name}, {row}, {column} has {cell}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_quoted_figure_is_that_of_its_cell(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert wrong(text, tables(PAGES)) == []
    assert text.count("<!-- cell: ") == len(QUOTED.findall(text)), "a mark without a figure"


def test_the_medians_of_the_front_page_are_those_of_its_recipes() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = {name: float(figure) for figure, name in re.findall(r"([\d.]+)\s\(`(\w+)`", text)}
    runs = pso.compare(pso.functions.rosenbrock, [(-5, 5)] * 4, list(found), 7, max_evals=1000)
    medians = {name: np.median(runs.finals(name)) for name in found}
    assert medians == pytest.approx(found, rel=0.05)
