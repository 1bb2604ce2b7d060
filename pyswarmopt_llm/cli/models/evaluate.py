"""`swarm-llm eval`: the score of a base model or an adapter on a task."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.progress import Progress

from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt.cli.words import counted
from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.common import options as opt
from pyswarmopt_llm.common.options import Option


@dataclass(frozen=True)
class Evaluation:
    """The options of `swarm-llm eval`, as `evaluate_model` calls them."""

    base: opt.Base
    task: opt.TaskFile
    adapter: Annotated[str | None, Option("LoRA adapter, such as RUN/best (the bare base).", "A", opt.TASK)] = None
    split: Annotated[str, Option("dev or test.", "S", opt.TASK, choices=("dev", "test"))] = "test"
    limit: Annotated[int | None, Option("Use the first N items of `split`.", "N", opt.TASK, least=1)] = None
    dev: opt.Dev = None
    test: opt.Test = None
    columns: opt.Columns = ()
    template: opt.Template = ()
    split_seed: opt.SplitSeed = 0
    scoring: opt.Scoring = "auto"
    metric: Annotated[
        str | None, Option("accuracy, f1, bleu, reward:MODEL, judge, ... (the task's own).", "M", opt.TASK)
    ] = None
    against: Annotated[
        str | None, Option("Second adapter: print the win rate of A against it (judge).", "A2", opt.TASK)
    ] = None
    allow_overlap: opt.Overlap = False
    dtype: opt.Dtype = "auto"
    device: opt.Device = "auto"
    threads: opt.Threads = None


def command(given: Evaluation, quiet: Quiet = False, as_json: Json = False) -> None:
    """Score a base model, or an adapter on it, with a 95% interval.

    Example: swarm-llm eval --base B --adapter runs/first/best --task questions.json --split test
    """
    options = dict(vars(given))
    if given.against is not None:
        from pyswarmopt_llm.jobs.evaluate import win_rate

        del options["scoring"], options["allow_overlap"]
        found = win_rate(**{**options, "metric": given.metric or "judge"})
    else:
        from pyswarmopt_llm.jobs.evaluate import evaluate_model

        del options["against"]
        with _items(quiet or as_json) as on_items:
            found = evaluate_model(**options, on_items=on_items)
    if found.note and not quiet:
        echo(found.note, err=True)
    low, high = found.interval
    if as_json:
        record: dict[str, Any] = {"base": given.base, "adapter": given.adapter, "task": found.task}
        record |= {"split": given.split, "value": found.score.value, "interval": [low, high]}
        record |= {"stderr": found.score.stderr, "n": found.n}
        record |= {"scoring": found.scoring, "metric": found.metric} | ({"note": found.note} if found.note else {})
        typer.echo(json.dumps(record))
        return
    echo(
        f"{found.task} {given.split}: {found.metric} {found.score.value:.3f} (95% interval {low:.3f} to {high:.3f}, "
        f"{counted(found.n, 'item')}, {found.scoring} scoring)"
    )


@contextmanager
def _items(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar of items on stderr, for a terminal."""
    console = open_console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("loading the model", total=None)
        yield lambda done, total: bar.update(task, description="items", completed=done, total=total)
