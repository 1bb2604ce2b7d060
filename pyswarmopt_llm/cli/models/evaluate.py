"""`swarm-llm eval`: the score of a base model or an adapter on a task."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.progress import Progress

from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt.cli.words import counted
from pyswarmopt_llm.cli.options import Base, Device, Dtype, Json, Overlap, Quiet, Scoring, Threads


def command(
    base: Base,
    task: Annotated[str, typer.Option(metavar="T", help="File, builtin:, hub: or published:NAME.")],
    adapter: Annotated[
        str | None, typer.Option(metavar="A", help="LoRA adapter, such as RUN/best (the bare base).")
    ] = None,
    split: Annotated[str, typer.Option(metavar="S", help="dev or test.")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Use the first N items of --split.")] = None,
    dev: Annotated[int | None, typer.Option(min=1, metavar="N", help="Use the first N dev items.")] = None,
    test: Annotated[int | None, typer.Option(min=1, metavar="N", help="Use the first N test items.")] = None,
    scoring: Scoring = "auto",
    metric: Annotated[
        str | None, typer.Option(metavar="M", help="accuracy, f1, bleu, reward:MODEL, judge, ... (the task's own).")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="A2", help="Another adapter: print how often A beats it (judge).")
    ] = None,
    allow_overlap: Overlap = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Score a base model, or an adapter on it, with a 95% interval.

    Example: swarm-llm eval --base B --adapter runs/first/best --task questions.json --split test
    """
    options: dict[str, Any] = {"dtype": dtype, "device": device, "threads": threads, "limit": limit}
    options |= {"dev": dev, "test": test}
    if against is not None:
        from pyswarmopt_llm.jobs.evaluate import win_rate

        found = win_rate(base, adapter, against, task, split, metric=metric or "judge", **options)
    else:
        from pyswarmopt_llm.jobs.evaluate import evaluate_model

        options |= {"scoring": scoring, "allow_overlap": allow_overlap, "metric": metric}
        with _items(quiet or as_json) as on_items:
            found = evaluate_model(base, adapter, task, split, on_items=on_items, **options)
    low, high = found.interval
    if as_json:
        record = {
            "base": base,
            "adapter": adapter,
            "task": found.task,
            "split": split,
            "value": found.score.value,
            "interval": [low, high],
            "stderr": found.score.stderr,
            "n": found.n,
            "scoring": found.scoring,
            "metric": found.metric,
        }
        typer.echo(json.dumps(record))
        return
    echo(
        f"{found.task} {split}: {found.metric} {found.score.value:.3f} (95% interval {low:.3f} to {high:.3f}, "
        f"{counted(found.n, 'item')}, {found.scoring} scoring)"
    )


@contextmanager
def _items(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, for a terminal, of how many items have been scored."""
    console = open_console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("loading the model", total=None)
        yield lambda done, total: bar.update(task, description="items", completed=done, total=total)
