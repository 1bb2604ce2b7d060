"""A result as rows and as HTML, which a notebook shows; a search loads neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any


def rows_of(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each scored model of ``result.json``; see `SearchResult.table`."""
    return [
        {
            "model": name,
            **_columns("dev", model.get("dev")),
            **_columns("test", model.get("test")),
            "trained": model["trained"],
        }
        for name, model in result["models"].items()
    ]


def in_html(rows: Sequence[Mapping[str, Any]], verdict: str, summary: str) -> str:
    """Verdict, summary line and table."""
    heads = "".join(f"<th>{name}</th>" for name in rows[0]) if rows else ""
    body = "".join(
        f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row.values())}</tr>" for row in rows
    )
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    said = f"<p>{escape(verdict)}</p>" if verdict else ""
    return f"{said}<p><code>{escape(summary)}</code></p>{table}"


def _columns(split: str, scores: Mapping[str, Any] | None) -> dict[str, float | None]:
    """A model's value and interval on a split, as table columns."""
    value = None if scores is None else scores["value"]
    low, high = (scores or {}).get("interval") or (None, None)
    return {split: value, f"{split}_low": low, f"{split}_high": high}


def _cell(value: Any) -> str:
    """A table value as HTML."""
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else escape(str(value))
