"""A comparison for spreadsheets (CSV) and for papers (LaTeX)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyswarmopt_rivals.comparison.table import tables_of
from pyswarmopt_rivals.comparison.words import by_task

Json = Mapping[str, Any]

_ESCAPED = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_ESCAPED |= {character: f"\\{character}" for character in "&%$#_{}"}
_SPECIAL = re.compile("[" + re.escape("".join(_ESCAPED)) + "]")


def csv_text(result: Json) -> str:
    """A line for each method of each task, with scores and intervals as numbers, empty if missing.

    Args:
        result: as in ``compare.json``.
    """
    rows = list(_records(result))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _records(result: Json) -> Iterator[dict[str, Any]]:
    for task, table in by_task(result).items():
        for method, row in table["methods"].items():
            against = row.get("against_single") or {}
            yield {
                "task": task,
                "method": method,
                **_score(row, "dev"),
                **_score(row, "test"),
                "examples": row["item_evaluations"],
                "seconds": row["seconds"],
                "models": row["models"],
                "tokens": row["tokens"],
                "against_best_single": against.get("difference"),
                "p": against.get("corrected", against).get("p"),
            }


def _score(row: Json, split: str) -> dict[str, Any]:
    low, high = row.get(f"{split}_interval") or (None, None)
    return {split: row[split], f"{split}_low": low, f"{split}_high": high}


def latex_text(result: Json) -> str:
    """A ``tabular`` for each table of ``compare.md``; needs the package booktabs.

    Args:
        result: as in ``compare.json``.
    """
    return "\n\n".join(
        _tabular(table.title, table.headings, table.rows) for table in tables_of(result)
    )


def _tabular(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    columns = "l" + "r" * (len(headings) - 1)
    body = [_line(row) for row in rows]
    top = [f"% {title}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _line(headings)]
    return "\n".join([*top, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"])


def _line(cells: Sequence[str]) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"


def escaped(text: str) -> str:
    r"""A text with LaTeX's special characters escaped.

    Example:
        >>> print(escaped("item_model: 95% & more"))
        item\_model: 95\% \& more
    """
    return _SPECIAL.sub(lambda found: _ESCAPED[found[0]], text)
