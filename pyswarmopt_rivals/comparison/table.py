"""A comparison as Markdown, and on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.words import listed
from pyswarmopt_llm.report.pages import plain
from pyswarmopt_llm.report.summary import against_text, score_text
from pyswarmopt_rivals.comparison.contestants import NOTES
from pyswarmopt_rivals.comparison.verdict import compared, next_steps

HEADINGS = (
    *("method", "dev", "test", "items", "seconds", "models", "tokens", "rank"),
    *("against best single", "against best rival"),
)
OVER_TASKS = (
    "method",
    "dev",
    "test",
    "gain over best single",
    "first on",
    "items",
    "seconds",
    "tokens",
)


READING = (
    ("Intervals", "95%: Wilson's where each item is right in all seeds or wrong in all, Student's "
                  "for grades that are "
    "the same in all seeds, else by a bootstrap over seeds and items together; those over tasks "
    "follow from the tasks' "
    "(Zou & Donner 2008)."),
    ("p", "Paired permutation test over test items of the means over seeds, two-sided, not "
          "corrected for the number of "
    "methods. The best rival is the best other row on test."),
    ("Items, seconds", "What it took to find the result; scores on test are not counted."),
    ("Tokens", ("Read and written for an item in use, by all models together; a context once for "
               "all its options.")),
    ("Rank", "Of the weight changes: full where no LoRA of rank sum r_i holds a method's result, "
             "which is scored as in "
    "its paper. METHOD:adapter is the LoRA that merge writes of it, with what the cut lost in the "
    "Frobenius norm."),
)  # fmt: skip


# An average of a search in its default space, delta, is another model under nearly the same name.
_LABELS = {"uniform-soup": "uniform-soup (space factor)"}


def dev_note(methods: Iterable[str]) -> str | None:
    """The remark on the scores on dev where methods were trained on these very items; None where
    none was.

    Example:
        >>> print(dev_note(["finetune-once", "ties", "item-model+dev"]))
        On dev finetune-once is scored on the items that it was trained on: compare on test. On dev item-model+dev is
        cross-fitted: each item is scored by what was trained without it.
        >>> dev_note(["ties"]) is None
        True
    """
    from pyswarmopt_rivals.comparison.contestants import TRAINED, WITH_DEV

    names = list(methods)
    trained = [name for name in names if name in TRAINED]
    crossed = [name for name in names if name.endswith(WITH_DEV)]
    parts = []
    if trained:
        alone = len(trained) == 1
        verb, they = ("is", "it was") if alone else ("are", "they were")
        parts.append(
            f"On dev {listed(trained)} {verb} scored on the items that {they} trained on: compare "
            "on test."
        )
    if crossed:
        verb = "is" if len(crossed) == 1 else "are"
        how = "cross-fitted: each item is scored by what was trained without it"
        parts.append(f"On dev {listed(crossed)} {verb} {how}.")
    return " ".join(parts) or None


def cells(method: str, row: Mapping[str, Any]) -> list[str]:
    """One row as text, under `HEADINGS`."""
    return [
        _LABELS.get(method, method),
        score_text(row["dev"], row.get("dev_interval")),
        score_text(row["test"], row.get("test_interval")),
        f"{row['item_evaluations']:,.0f}",
        f"{row['seconds']:,.1f}",
        str(row["models"]),
        _tokens(row),
        rank_text(row),
        against_text(row.get("against_single")),
        against_text(row.get("against_rival"), named=True),
    ]


def _tokens(row: Mapping[str, Any]) -> str:
    """Tokens an item, where they are known (older comparisons did not count them)."""
    tokens = row.get("tokens")
    return "-" if tokens is None else f"{tokens:,.0f}"


def rank_text(row: Mapping[str, Any]) -> str:
    """The rank of the weight changes and what a cut to it lost.

    Example:
        >>> rank_text({"rank": "full"}), rank_text({"rank": 24, "relative_error": 0.281}), rank_text({"rank": None})
        ('full', '24, 28.1% cut', '-')
    """
    if row.get("rank") is None:
        return "-"
    lost = f", {row['relative_error']:.1%} cut" if row.get("relative_error") else ""
    return f"{row['rank']}{lost}"


def over_tasks(result: Mapping[str, Any]) -> list[list[str]]:
    """The rows of the table over all tasks."""
    rows = []
    for method, row in result["methods"].items():
        gain = "-" if row["gain"] is None else f"{row['gain']:+.1%}"
        scores = [score_text(row[split], row.get(f"{split}_interval")) for split in ("dev", "test")]
        costs = [f"{row['item_evaluations']:,.0f}", f"{row['seconds']:,.1f}", _tokens(row)]
        rows.append([_LABELS.get(method, method), *scores, gain, str(row["wins"]), *costs])
    return rows


def markdown(result: Mapping[str, Any]) -> str:
    """``compare.md``."""
    parts = ["# Ways to combine experts, compared", *summary_lines(result)]
    notes = [note] if (note := dev_note(result["methods"])) is not None else []
    for title, headings, rows in _tables(result):
        parts += [f"## {plain(title)}", _markdown_table(headings, rows), *notes]
    parts += [
        "## Next",
        *(f"{purpose.capitalize()}:\n\n    {line}" for purpose, line in next_steps(result)),
    ]
    parts += ["## How to read it", "\n".join(f"- {name}: {text}" for name, text in READING)]
    return "\n\n".join(parts) + "\n"


def print_comparison(console: Console, result: Mapping[str, Any]) -> None:
    """The same for a person at a terminal: of each table the first columns, as many as fit its
    width.
    """
    for line in summary_lines(result):
        console.print(line, markup=False, highlight=False)
    note = dev_note(result["methods"])
    unbounded = console.options.update(max_width=10_000)
    for title, headings, rows in _tables(result):
        for shown in range(len(headings), 1, -1):
            table = _rich_table(title, headings[:shown], rows)
            if console.measure(table, options=unbounded).maximum <= console.width:
                break
        console.print()
        console.print(table)
        if note is not None:
            console.print(note, markup=False, highlight=False)
    for purpose, command in next_steps(result):
        console.print(f"To {purpose}: {command}", markup=False, highlight=False, soft_wrap=True)


def _tables(result: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...], list[list[str]]]]:
    """Title, headings and rows of each table."""
    if "tasks" in result:
        yield f"Mean over {len(result['tasks'])} tasks", OVER_TASKS, over_tasks(result)
    for task, table in tables_of(result).items():
        yield task, HEADINGS, [cells(*pair) for pair in table["methods"].items()]


def _rich_table(title: str, headings: tuple[str, ...], rows: list[list[str]]) -> Table:
    table = Table(title=escape(title), title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row[: len(headings)]))
    return table


def _markdown_table(headings: tuple[str, ...], rows: list[list[str]]) -> str:
    cells = [list(headings), *([plain(row[0]), *row[1:]] for row in rows)]
    top, *below = (f"| {' | '.join(row)} |" for row in cells)
    return "\n".join([top, f"|---|{'---:|' * (len(headings) - 1)}", *below])


def tables_of(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Task -> its part of ``compare.json``, with ``methods`` and ``metric``."""
    return result["tasks"] if "tasks" in result else {result["task"]: result}


def summary_lines(result: Mapping[str, Any]) -> Sequence[str]:
    """The verdict, and what was compared."""
    config = result["config"]
    scores = ", ".join(f"{name} by {table['metric']}" for name, table in tables_of(result).items())
    lines = [
        compared(result),
        f"{counted(result['experts'], 'expert')} of {config['base']}; at most "
        f"{config['budget_items']} dev items per "
        f"method, task and seed; {counted(config['seeds'], 'seed')} for methods that draw.",
        f"Scores: {scores}.",
    ]
    if (config.get("particles") or result["experts"]) < result["experts"]:
        raised = f"{result['experts']} particles instead of {config['particles']}"
        lines.append(f"Searches start from all experts: {raised}.")
    lines += [f"{note}." for note in result.get("notes", ())]
    lines += [f"{name}: {text}." for name, text in NOTES.items() if name in result["methods"]]
    lines += [f"Left out: {name} ({why})." for name, why in result["left_out"].items()]
    return lines
