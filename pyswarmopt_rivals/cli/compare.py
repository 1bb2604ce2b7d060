"""`swarm-llm compare`: every way to combine experts under one budget, in one table."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console

from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_groups.cli.options import following
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Config, Json, Quiet, names_block
from pyswarmopt_llm.cli.running import check_files
from pyswarmopt_llm.common.options import OUTPUT, Option
from pyswarmopt_llm.scores.tasks.types import SPLITS
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.methods import ENSEMBLES, METHODS, SEARCHING

Format = Annotated[
    str,
    Option("Print as text, latex or csv.", "F", OUTPUT, choices=("text", "latex", "csv")),
]
UNFOLDED = 1000  # default number of columns, without a terminal


def command(
    settings: CompareConfig,
    config: Config = None,
    quiet: Quiet = False,
    as_json: Json = False,
    as_format: Format = "text",
) -> None:
    check_files(settings, settings.tasks)
    from pyswarmopt_rivals.comparison.contest import compare
    from pyswarmopt_rivals.comparison.table import csv_text, latex_text

    with following(quiet, _scores) as on_step:
        result = compare(settings, on_step)
    if as_json:
        echo(json.dumps(result))
    elif as_format == "csv":
        echo(csv_text(result).rstrip())
    elif as_format == "latex":
        echo(latex_text(result))
    else:
        terminal = sys.stdout.isatty()
        print_comparison(open_console(width=None if terminal else UNFOLDED), result)
        echo(f"Table and notes: {Path(settings.out) / 'compare.html'}, compare.md and compare.json")


def print_comparison(console: Console, result: Mapping[str, Any]) -> None:
    """The comparison on a terminal; a table that is too wide continues in another one below."""
    from pyswarmopt_rivals.comparison.table import next_steps, tables_of
    from pyswarmopt_rivals.comparison.words import summary_lines

    said: dict[str, Any] = {"markup": False, "highlight": False}
    for line in summary_lines(result):
        console.print(with_flags(line), **said)
    for title, table in tables_of(result).items():
        console.print(f"\n{title}", **said)
        console.print(table.to_string(line_width=console.width), **said)
    for purpose, line in next_steps(result):
        console.print(f"To {purpose}: {line}", **said, soft_wrap=True)


def _scores(row: Mapping[str, Any]) -> str:
    from pyswarmopt_llm.searching.scoring.record import unpack

    scores = [(split, unpack(row[split])) for split in SPLITS if row.get(split) is not None]
    words = [f"{split} {sum(values) / len(values):.3f}" for split, values in scores]
    return f"{', '.join(words)} ({row['items']:,} examples, {row['seconds']:.1f} s)"


command.__doc__ = """Compare ways to combine experts on the same examples with equal budgets; see DIR/compare.md.

Example: swarm-llm compare --base B --experts adapters/* --task questions.json --out comparison

\b
""" + "\n".join(
    [
        *names_block("Fixed rules (RULE:adapter truncates to a LoRA)", METHODS),
        *names_block("Search and training", SEARCHING),
        *names_block("Ensembles", ENSEMBLES),
        (
            "Optimizers: model-swarms (the published update), item-model, item-model+dev, "
            "constriction,"
        ),
        "  ..., pycma, nevergrad:NAME, random-adapters (item-model on random adapters)",
    ]
)
