"""A comparison as CSV, as LaTeX and in a terminal."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from pyswarmopt_rivals.cli.compare import print_comparison
from pyswarmopt_rivals.comparison.table import csv_text, latex_text, tables_of

AGAINST = {"method": "best-single", "difference": 0.1, "p": 0.001, "corrected": {"p": 0.002}}


def row(dev: float, test: float | None, **more: Any) -> dict[str, Any]:
    interval = None if test is None else [test - 0.1, test + 0.1]
    costs = {"seeds": 1, "item_evaluations": 1200, "seconds": 3.25, "models": 1, "tokens": None}
    return {"dev": dev, "test": test, "test_interval": interval, **costs, **more}


RESULT: dict[str, Any] = {
    "task": "R&D_100%",
    "methods": {"ties": row(0.8, 0.7, against_single=AGAINST), "best-single": row(0.7, None)},
}


def test_csv_has_the_numbers_and_is_empty_where_there_is_none() -> None:
    first, second = csv.DictReader(io.StringIO(csv_text(RESULT)))
    assert (first["task"], first["method"]) == ("R&D_100%", "ties")
    assert [float(first[name]) for name in ("dev", "test", "test_low")] == [0.8, 0.7, 0.7 - 0.1]
    assert [float(first[name]) for name in ("examples", "against_best_single", "p")] == [
        1200,
        0.1,
        0.002,
    ]
    assert [second[name] for name in ("test", "test_high", "p", "tokens")] == [""] * 4


def test_latex_reads_back_as_the_table() -> None:
    text = latex_text(RESULT)
    assert text.startswith("% R&D_100%")
    lines = [line.removesuffix(r" \\") for line in text.splitlines() if line.endswith(r"\\")]
    plain = [re.sub(r"\\([&%_])", r"\1", line).split(" & ") for line in lines]
    table = tables_of(RESULT)["R&D_100%"]
    assert plain == [["method", *table.columns], *map(list, table.itertuples())]


@pytest.mark.parametrize("width", [80, 120, 300])
def test_in_a_terminal_a_wide_table_goes_on_below(width: int) -> None:
    about = {"experts": 3, "config": {"base": "b", "budget_items": 24, "seeds": 1}, "left_out": {}}
    named = row(0.75, 0.9, against_single=AGAINST, against_rival=AGAINST)
    methods = {"nevergrad:[CMA]": named, "ties": row(0.8, 0.7)}
    result = {**about, "task": "quiz", "metric": "accuracy", "methods": methods}
    out = io.StringIO()
    print_comparison(Console(file=out, width=width), result)
    lines = out.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= width and "…" not in out.getvalue()
    found = [line for line in lines if line.startswith("nevergrad:[CMA]")]
    shown = " ".join(line.removeprefix("nevergrad:[CMA]").removesuffix("\\") for line in found)
    cells = list(tables_of(result)["quiz"].loc["nevergrad:[CMA]"])
    assert shown.split() == " ".join(cells).split()
    assert len(found) == 1 if width == 300 else len(found) > 1
