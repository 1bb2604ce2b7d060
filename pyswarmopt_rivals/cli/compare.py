"""`swarm-llm compare`: every way to combine experts under one budget, in one table."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_groups.cli.options import following
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Config, Json, Quiet, names_block
from pyswarmopt_llm.cli.running import check_files
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.methods import ENSEMBLES, METHODS, SEARCHING

UNFOLDED = 1000  # columns, where no terminal says how many it has


def command(
    settings: CompareConfig,
    config: Config = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    check_files(settings, settings.tasks)
    from pyswarmopt_rivals.comparison.contest import compare
    from pyswarmopt_rivals.comparison.table import print_comparison

    with following(quiet, _scores) as on_step:
        result = compare(settings, on_step)
    if as_json:
        echo(json.dumps(result))
    else:
        left_out = {name: with_flags(why) for name, why in result["left_out"].items()}
        result = {
            **result,
            "left_out": left_out,
            "notes": [with_flags(note) for note in result.get("notes", ())],
        }
        terminal = sys.stdout.isatty()
        print_comparison(open_console(width=None if terminal else UNFOLDED), result)
        echo(f"Table and notes: {Path(settings.out) / 'compare.html'}, compare.md and compare.json")


def _scores(row: Mapping[str, Any]) -> str:
    from pyswarmopt_llm.searching.scoring.record import unpack

    scores = [
        (split, unpack(row[split])) for split in ("dev", "test") if row.get(split) is not None
    ]
    words = [f"{split} {sum(values) / len(values):.3f}" for split, values in scores]
    return f"{', '.join(words)} ({row['items']:,} examples, {row['seconds']:.1f} s)"


command.__doc__ = """Compare ways to combine experts: same examples, seeds and budget; DIR/compare.md is the table.

Example: swarm-llm compare --base B --experts adapters/* --task questions.json --out comparison

\b
""" + "\n".join(
    [
        *names_block("Fixed rules (RULE:adapter: cut to a LoRA)", METHODS),
        *names_block("Searching", SEARCHING),
        *names_block("Ensembles", ENSEMBLES),
        (
            "Optimizers: model-swarms (the published update), item-model, item-model+dev, "
            "constriction,"
        ),
        "  ..., pycma, nevergrad:NAME, random-adapters (item-model on random adapters)",
    ]
)
