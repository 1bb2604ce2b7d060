"""`swarm-llm compare`: every way to combine experts under one budget, in one table."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.baselines import ENSEMBLES, METHODS, SEARCHING
from pyswarmopt_llm.cli.options import Config, DryRun, Json, Quiet, names_block
from pyswarmopt_llm.cli.runs.planning import print_plan
from pyswarmopt_llm.jobs.compare.config import CompareConfig

if TYPE_CHECKING:
    from pyswarmopt_llm.jobs.compare.contest import OnStep, Step

UNFOLDED = 1000  # columns, where no terminal says how many it has


def command(
    settings: CompareConfig,
    config: Config = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    if dry_run:
        from pyswarmopt_llm.jobs.dry_run.compare import dry_run_compare

        print_plan(dry_run_compare(settings), as_json)
        return
    from pyswarmopt_llm.jobs.compare.contest import compare
    from pyswarmopt_llm.jobs.compare.table import print_comparison

    try:
        with steps(open_console(stderr=True), quiet) as on_step:
            result = compare(settings, on_step)
    except KeyboardInterrupt:
        echo(f"\ninterrupted; resume with: {shlex.join(['swarm-llm', *sys.argv[1:]])}", err=True)
        raise typer.Exit(130) from None
    if as_json:
        echo(json.dumps(result))
    else:
        terminal = sys.stdout.isatty()
        print_comparison(open_console(width=None if terminal else UNFOLDED), result)
        echo(f"Table and notes: {Path(settings.out) / 'compare.html'}, compare.md and compare.json")


@contextmanager
def steps(console: Console, quiet: bool) -> Iterator[OnStep | None]:
    """A line for each finished contestant; on a terminal also what is running."""
    if quiet:
        yield None
        return
    with console.status("") as status:

        def on_step(step: Step) -> None:
            what = f"[{step.done}/{step.total}] {step.task}: {step.method}, seed {step.seed}"
            if step.outcome is None:
                status.update(f"{what} ...".replace("[", r"\["))
                return
            console.print(f"{what}: {_found(step)}", markup=False, highlight=False, soft_wrap=True)

        yield on_step


def _found(step: Step) -> str:
    from pyswarmopt_llm.evaluation.record import unpack

    row = step.outcome or {}
    scores = [(split, unpack(row[split])) for split in ("dev", "test") if row.get(split) is not None]
    words = [f"{split} {sum(values) / len(values):.3f}" for split, values in scores]
    return f"{', '.join(words)} ({row['items']:,} items, {row['seconds']:.1f} s)"


command.__doc__ = """Compare ways to combine experts: same items, seeds and budget; DIR/compare.md is the table.

\b
Example: swarm-llm compare --base B --experts adapters/* --task questions.json --out comparison
""" + "\n".join(
    [
        *names_block("Fixed rules (RULE:adapter: cut to a LoRA)", METHODS),
        *names_block("Searching", SEARCHING),
        *names_block("Ensembles", [*ENSEMBLES, "vote:NAME", "vote:*", "negotiate:NAME", "negotiate:*"]),
        "Optimizers: model-swarms, constriction, fips, ..., pycma, nevergrad:NAME, random-adapters",
    ]
)
