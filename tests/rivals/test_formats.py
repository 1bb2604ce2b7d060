"""A comparison as CSV, as LaTeX and in a terminal."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from pyswarmopt_rivals.comparison.table import csv_text, latex_text, tables_of

AGAINST = {
    "method": "best-single",
    "difference": 0.1,
    "p": 0.001,
    "corrected": {"p": 0.002, "interval": [0.02, 0.18]},
}


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
    assert "+0.100 [+0.020, +0.180] (p = 0.002)" in text
