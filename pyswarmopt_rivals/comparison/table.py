"""A comparison as lines and tables, in Markdown and as a page; and the commands that make its best
result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyswarmopt_llm.common.config import (
    MODEL_SWARMS,
    SearchConfig,
    changed,
    command,
    search_command,
)
from pyswarmopt_llm.report.against import against_text
from pyswarmopt_llm.report.pages import TextTable, render
from pyswarmopt_llm.report.phrases import score_text, versions_text
from pyswarmopt_rivals.comparison.contestants import ADAPTER, contestant
from pyswarmopt_rivals.comparison.summary import SINGLE
from pyswarmopt_rivals.comparison.words import READING, by_task, first_of, summary_lines
from pyswarmopt_rivals.merge_config import MergeConfig
from pyswarmopt_rivals.methods.method import ITEM_MODEL, RANDOM, WITH_DEV

Json = Mapping[str, Any]

FOLDER = "pyswarmopt_rivals/comparison"
HEADINGS = (
    "method",
    "dev",
    "test",
    "examples",
    "seconds",
    "models",
    "tokens",
    "rank",
    "against best single",
    "against best baseline",
)
OVER_TASKS = (
    "method",
    "dev",
    "test",
    "gain over best single",
    "first on",
    "examples",
    "seconds",
    "tokens",
)
_READING = ("columns", "template", "split_seed", "skip_bad_rows")
_SEARCHING = ("base", "experts", "tasks", *_READING, "scoring", "allow_overlap", "dev", "test")


def tables_of(result: Json) -> list[TextTable]:
    """Tables: over all tasks if there are several, then for each task."""
    tables = []
    if "tasks" in result:
        rows = [cells(name, row, OVER_TASKS) for name, row in result["methods"].items()]
        title = f"Mean over {len(result['tasks'])} tasks"
        tables.append(TextTable(title, OVER_TASKS, rows, first=True))
    for task, table in by_task(result).items():
        rows = [cells(*pair) for pair in table["methods"].items()]
        tables.append(TextTable(task, HEADINGS, rows, first=True))
    return tables


def cells(method: str, row: Json, headings: Sequence[str] = HEADINGS) -> list[str]:
    """A row as text, for these headings."""
    gain = row.get("gain")
    tokens = row["tokens"]
    texts = {
        "method": method,
        "dev": score_text(row["dev"], row.get("dev_interval")),
        "test": score_text(row["test"], row.get("test_interval")),
        "gain over best single": "-" if gain is None else f"{gain:+.1%}",
        "first on": str(row.get("wins")),
        "examples": f"{row['item_evaluations']:,.0f}",
        "seconds": f"{row['seconds']:,.1f}",
        "models": str(row["models"]),
        "tokens": "-" if tokens is None else f"{tokens:,.0f}",
        "rank": rank_text(row),
        "against best single": against_text(row.get("against_single")),
        "against best baseline": against_text(row.get("against_rival"), named=True),
    }
    return [texts[heading] for heading in headings]


def rank_text(row: Json) -> str:
    """The rank of the weight changes, and the loss from a cut to it.

    Example:
        >>> rank_text({"rank": "full"}), rank_text({"rank": 24, "relative_error": 0.281}), rank_text({"rank": None})
        ('full', '24, 28.1% cut', '-')
    """
    if row.get("rank") is None:
        return "-"
    lost = f", {row['relative_error']:.1%} cut" if row.get("relative_error") else ""
    return f"{row['rank']}{lost}"


def _content(result: Json) -> dict[str, Any]:
    """The variables of a template."""
    return {
        "lines": list(summary_lines(result)),
        "scores": tables_of(result),
        "steps": list(next_steps(result)),
        "reading": {**READING, **dict(_made_by(result))},
    }


def _made_by(result: Json) -> Iterator[tuple[str, str]]:
    """The command and the versions, commit included, of a comparison."""
    if "command" in result:
        yield "command", result["command"]
        yield "versions", versions_text(result["versions"])


def markdown(result: Json) -> str:
    """``compare.md``."""
    return render(f"{FOLDER}/compare.md.j2", **_content(result)).rstrip() + "\n"


def render_page(result: Json) -> str:
    """``compare.html``, a pure function of ``compare.json``: no scripts, no external links."""
    return render(f"{FOLDER}/compare.html.j2", **_content(result))


def next_steps(result: Json) -> Iterator[tuple[str, str]]:
    """(purpose, command): make the best method's adapter; none for an ensemble, which has no
    adapter, or for the best single expert, which already exists.

    Args:
        result: ``compare.json``.
    """
    config = result["config"]
    first, _ = first_of(result)
    if first == SINGLE or "tasks" not in config:  # or an early version's
        return
    name = first.removesuffix(ADAPTER)
    kind = contestant(first).kind
    out = config["out"].rstrip("/")

    def given(*names: str) -> dict[str, Any]:
        return {each: config[each] for each in names if each in config}

    if kind in ("rule", "searching") and name != "data-merge":
        how = given("base", "experts") | {"method": name}
        if kind == "searching":
            how |= {"task": config["tasks"][0], **changed(given(*_READING))}
        merge = command("merge", of=MergeConfig, **how, out=f"{out}-{name}")
        yield f"make the adapter of {first}", merge
    elif kind == "optimizer" and name != RANDOM:
        how = given(*_SEARCHING) | {"out": f"{out}-search"}
        if name == MODEL_SWARMS:
            how |= {"compat": "paper"}
        elif name != WITH_DEV:
            how |= {"train": "off"}
        if name not in (MODEL_SWARMS, ITEM_MODEL, WITH_DEV):
            how |= {"optimizer": name}
        yield f"search with {first}", search_command(SearchConfig(**how))
