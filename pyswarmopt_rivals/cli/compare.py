"""`swarm-llm compare`: every way to combine experts under one budget, in one table."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

from pyswarmopt_groups.cli.options import following
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Config, Json, Quiet, names_block
from pyswarmopt_llm.cli.running import check_adapters, check_files, loading, print_either
from pyswarmopt_llm.scores.tasks.types import SPLITS
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.methods import ENSEMBLES, METHODS, SEARCHING


def command(
    settings: CompareConfig,
    config: Config = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    check_files(settings, settings.tasks)
    with loading(quiet):
        check_adapters(settings.experts)
        from pyswarmopt_rivals.comparison.contest import compare
    with following(quiet, _scores) as on_step:
        result = compare(settings, on_step)
    print_either(result, _report(result, settings.out), as_json)


def _report(result: Mapping[str, Any], out: str) -> Iterator[str]:
    """The comparison on a terminal; a table that is too wide continues in another one below."""
    from pyswarmopt_rivals.comparison.table import next_command, tables_of
    from pyswarmopt_rivals.comparison.words import summary_lines

    width = get_terminal_size().columns if sys.stdout.isatty() else None
    yield from map(with_flags, summary_lines(result))
    for title, table in tables_of(result).items():
        yield f"\n{title}\n{table.to_string(line_width=width)}"
    if best := next_command(result):
        yield f"For the best result: {best}"
    yield f"Table and notes: {Path(out) / 'compare.html'}, compare.md and compare.json"


def _scores(row: Mapping[str, Any]) -> str:
    from pyswarmopt_llm.run.record import unpack

    words = []
    for split in SPLITS:
        values = unpack(row[split])
        mean = sum(values) / len(values)
        words.append(f"{split} {0.0 - mean if row['lower'] else mean:.3f}")
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
        "  ..., nevergrad:NAME, random-adapters (item-model on random adapters)",
    ]
)
