"""A comparison as tables, for a terminal, as Markdown and as a page; and the command that makes its
best result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import pandas as pd

from pyswarmopt_llm.common.config import MODEL_SWARMS, SearchConfig, command, search_command
from pyswarmopt_llm.report.against import against_text
from pyswarmopt_llm.report.pages import render
from pyswarmopt_llm.report.phrases import score_text
from pyswarmopt_rivals.comparison.contestants import ADAPTER, contestant
from pyswarmopt_rivals.comparison.summary import SINGLE
from pyswarmopt_rivals.comparison.words import READING, by_task, first_of, summary_lines
from pyswarmopt_rivals.merge_config import MergeConfig
from pyswarmopt_rivals.methods import METHODS, SEARCHING
from pyswarmopt_rivals.methods.method import ITEM_MODEL, RANDOM, WITH_DEV

Json = Mapping[str, Any]

FOLDER = "pyswarmopt_rivals/comparison"
HEADINGS = (
    "dev",
    "test",
    "examples",
    "seconds",
    "models",
    "rank",
    "against best-single",
    "against best baseline",
)
OVER_TASKS = ("dev", "test", "examples", "seconds")
# How `search` makes a method's result; other optimizers by their name.
_SEARCHES: Mapping[str, Mapping[str, Any]] = {
    MODEL_SWARMS: {"paper": True},
    ITEM_MODEL: {"train": "off"},
    WITH_DEV: {},
}


def tables_of(result: Json) -> dict[str, pd.DataFrame]:
    """Title -> a table of texts, a row for each method: over all tasks if there are several, then for
    each task.
    """
    tables = {}
    if "tasks" in result:
        title = f"Mean over {len(result['tasks'])} tasks"
        tables[title] = _texts(result["methods"], OVER_TASKS)
    for task, table in by_task(result).items():
        tables[task] = _texts(table["methods"], HEADINGS)
    return tables


def _texts(rows: Mapping[str, Json], headings: Sequence[str]) -> pd.DataFrame:
    texts = [cells(row) for row in rows.values()]
    return pd.DataFrame(texts, index=pd.Index(rows), columns=pd.Index(headings, name="method"))


def cells(row: Json) -> dict[str, str]:
    """Heading -> text of a method's row."""
    return {
        "dev": score_text(row["dev"], row["dev_interval"]),
        "test": score_text(row["test"], row["test_interval"]),
        "examples": f"{row['item_evaluations']:,.0f}",
        "seconds": f"{row['seconds']:,.1f}",
        "models": str(row["models"]),
        "rank": rank_text(row),
        "against best-single": against_text(row.get("against_single")),
        "against best baseline": against_text(row.get("against_rival"), named=True),
    }


def rank_text(row: Json) -> str:
    """The rank of the weight changes, and the loss from truncation to it.

    Example:
        >>> rank_text({"rank": "full"}), rank_text({"rank": 24, "relative_error": 0.281}), rank_text({"rank": None})
        ('full', '24, 28.1% cut', '-')
    """
    if row.get("rank") is None:
        return "-"
    lost = ""
    if row.get("relative_error"):
        lost = f", {row['relative_error']:.1%} cut"
    return f"{row['rank']}{lost}"


def _content(result: Json) -> dict[str, Any]:
    """The variables of a template."""
    return {
        "lines": list(summary_lines(result)),
        "scores": tables_of(result),
        "command": next_command(result),
        "reading": {
            **READING,
            "command": result["command"],
            "versions": ", ".join(map(" ".join, result["versions"].items())),
        },
    }


def markdown(result: Json) -> str:
    """``compare.md``."""
    return render(f"{FOLDER}/compare.md.j2", **_content(result)).rstrip() + "\n"


def render_page(result: Json) -> str:
    """``compare.html``, a pure function of ``compare.json``: no scripts, no external links."""
    return render(f"{FOLDER}/compare.html.j2", **_content(result))


def next_command(result: Json) -> str | None:
    """The command that makes the best method's adapter. None if the best method is an ensemble (which
    has no adapter), the best expert (which exists), or neither in `merge` nor in `search`.

    Args:
        result: ``compare.json``.
    """
    config = result["config"]
    first = first_of(result)
    name = first.removesuffix(ADAPTER)
    out = config["out"].rstrip("/")
    how = {"base": config["base"], "experts": config["experts"], "method": name}
    if name in METHODS:
        return command("merge", of=MergeConfig, **how, out=f"{out}-{name}")
    if name in SEARCHING and name not in (SINGLE, "data-merge") and not config["metrics"]:
        how |= _shared(config, MergeConfig) | {"out": f"{out}-{name}"}
        return command("merge", of=MergeConfig, **how, task=config["tasks"][0])
    if contestant(first).kind == "optimizer" and name != RANDOM:
        how = _shared(config, SearchConfig) | {"budget_items": None, "out": f"{out}-search"}
        how |= _SEARCHES.get(name, {"train": "off", "optimizer": name})
        return search_command(SearchConfig(**how))
    return None


def _shared(config: Json, kind: type[Any]) -> dict[str, Any]:
    """The settings of a comparison that another command has, too."""
    return {each.name: config[each.name] for each in fields(kind) if each.name in config}
