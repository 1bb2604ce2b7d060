"""A comparison as tables: for a terminal, as Markdown, as a page, as CSV and LaTeX; and the command
that makes its best result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from pyswarmopt_llm.common.config import MODEL_SWARMS, SearchConfig, command, search_command
from pyswarmopt_llm.report.against import against_text
from pyswarmopt_llm.report.pages import render
from pyswarmopt_llm.report.phrases import score_text
from pyswarmopt_llm.scores.tasks.types import SPLITS
from pyswarmopt_rivals.comparison.contestants import ADAPTER, contestant
from pyswarmopt_rivals.comparison.summary import SINGLE
from pyswarmopt_rivals.comparison.words import READING, by_task, first_of, summary_lines
from pyswarmopt_rivals.merge_config import MergeConfig
from pyswarmopt_rivals.methods.method import ITEM_MODEL, RANDOM, WITH_DEV

Json = Mapping[str, Any]

FOLDER = "pyswarmopt_rivals/comparison"
HEADINGS = (
    "dev",
    "test",
    "examples",
    "seconds",
    "models",
    "tokens",
    "rank",
    "against best-single",
    "against best baseline",
)
OVER_TASKS = ("dev", "test", "gain over best-single", "first on", "examples", "seconds", "tokens")
_READING = ("columns", "template")
_SEARCHING = (
    "base",
    "experts",
    "tasks",
    *_READING,
    "metrics",
    "max_new_tokens",
    "scoring",
    "allow_overlap",
    "dev",
    "test",
    "dtype",
)


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
    gain = row.get("gain")
    tokens = row["tokens"]
    return {
        "dev": score_text(row["dev"], row.get("dev_interval")),
        "test": score_text(row["test"], row.get("test_interval")),
        "gain over best-single": "-" if gain is None else f"{gain:+.1%}",
        "first on": str(row.get("wins")),
        "examples": f"{row['item_evaluations']:,.0f}",
        "seconds": f"{row['seconds']:,.1f}",
        "models": str(row["models"]),
        "tokens": "-" if tokens is None else f"{tokens:,.0f}",
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
        "steps": list(next_steps(result)),
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


def csv_text(result: Json) -> str:
    """A line for each method of each task, with scores and intervals as numbers, empty if missing.

    Args:
        result: as in ``compare.json``.
    """
    rows = []
    for task, table in by_task(result).items():
        for method, row in table["methods"].items():
            line = {"task": task, "method": method}
            for split in SPLITS:
                low, high = row.get(f"{split}_interval") or (None, None)
                line |= {split: row[split], f"{split}_low": low, f"{split}_high": high}
            line["examples"] = row["item_evaluations"]
            line |= {name: row[name] for name in ("seconds", "models", "tokens")}
            against = row.get("against_single") or {}
            line["against_best_single"] = against.get("difference")
            line["p"] = against.get("corrected", against).get("p")
            rows.append(line)
    return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")


def latex_text(result: Json) -> str:
    """A ``tabular`` for each table of ``compare.md``; needs the package booktabs.

    Args:
        result: as in ``compare.json``.
    """
    parts = []
    for title, table in tables_of(result).items():
        columns = "l" + "r" * len(table.columns)
        plain = table.rename_axis("method").rename_axis(None, axis=1).reset_index()
        text = plain.to_latex(index=False, escape=True, column_format=columns)
        parts.append(f"% {title}\n{text}")
    return "\n".join(parts).rstrip()


def next_steps(result: Json) -> Iterator[tuple[str, str]]:
    """(purpose, command): make the best method's adapter; none for an ensemble, which has no
    adapter, or for the best expert, which already exists.

    Args:
        result: ``compare.json``.
    """
    config = result["config"]
    first, _ = first_of(result)
    name = first.removesuffix(ADAPTER)
    kind = contestant(first).kind
    if first == SINGLE or (kind == "searching" and config["metrics"]):  # which `merge` lacks
        return
    out = config["out"].rstrip("/")
    if kind in ("rule", "searching") and name != "data-merge":
        how = {"base": config["base"], "experts": config["experts"], "method": name}
        if kind == "searching":
            how["task"] = config["tasks"][0]
            how |= {each: config[each] for each in (*_READING, "budget_items")}
        merge = command("merge", of=MergeConfig, **how, out=f"{out}-{name}")
        yield f"create the adapter of {first}", merge
    elif kind == "optimizer" and name != RANDOM:
        how = {each: config[each] for each in _SEARCHING} | {"out": f"{out}-search"}
        if name == MODEL_SWARMS:
            how["paper"] = True
        elif name != WITH_DEV:
            how["train"] = "off"
            if name != ITEM_MODEL:
                how["optimizer"] = name
        yield f"search with {first}", search_command(SearchConfig(**how))
