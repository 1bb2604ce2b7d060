"""`swarm-llm find`: the best few of many adapters for a task."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, make_dataclass
from typing import TYPE_CHECKING, Annotated, get_type_hints

import typer
from rich.markup import escape
from rich.table import Table

from pyswarmopt.base.words import counted
from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.cli.running import items_bar
from pyswarmopt_llm.common.options import SETTINGS, Option
from pyswarmopt_llm.scores.tasks.load import check_files
from pyswarmopt_llm.searching.use.config import EvalConfig

if TYPE_CHECKING:
    from pyswarmopt_llm.tools.find import FindResult, RankedAdapter


# Of the options of `swarm-llm eval`: those of another model, split or sampled replies are not here.
_OTHERS = frozenset(
    [
        "adapter",
        "against",
        "run",
        "split",
        "test",
        "temperature",
        "samples",
        "seed",
        "engine",
        "server_folder",
    ]
)
_HINTS = get_type_hints(EvalConfig, include_extras=True)
Exam = make_dataclass(
    "Exam",
    [(f.name, _HINTS[f.name], f) for f in fields(EvalConfig) if f.name not in _OTHERS],
    frozen=True,
)


def command(
    adapters: Annotated[list[str], typer.Argument(metavar="ADAPTERS...", help="LoRA adapters.")],
    settings: Exam,  # type: ignore[valid-type]
    top: Annotated[int, Option("Adapters to end with.", "K", SETTINGS, least=1)] = 4,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Rank many adapters on a task by few of its items.

    All are scored on some dev items, the better half on more, and so on; the last line is a search
    with the best.

    Example: swarm-llm find adapters/* --base B --task questions.json
    """
    exam = EvalConfig(split="dev", **vars(settings))
    if exam.task:
        check_files(exam, [exam.task])
    from pyswarmopt_llm.tools.find import find

    with items_bar(quiet or as_json) as on_items:
        result = find(adapters, exam, top, on_items)
    if as_json:
        typer.echo(json.dumps(result.to_json()))
        return
    for line in remarks(result):
        echo(with_flags(line), err=True)
    open_console().print(table(result))
    echo(f"Next: {result.search}")


def remarks(result: FindResult) -> Iterator[str]:
    """The adapters that were not ranked, and the cost."""
    for name, why in result.left_out.items():
        yield f"left out: {name}: {why}"
    ranked = counted(len(result.ranking), "adapter")
    yield f"{ranked} ranked by {result.passes:,} forward passes of an example"


def table(result: FindResult) -> Table:
    """The best adapters, and the bare base."""
    shown = Table(title=f"{result.task} dev, {result.metric}, {result.scoring} scoring")
    for heading in ("adapter", "score", "95% interval", "P(right)", "items"):
        shown.add_column(heading, justify="left" if heading == "adapter" else "right")
    for adapter in (*result.ranking[: result.top], result.base):
        shown.add_row(*_cells(adapter))
    return shown


def _cells(adapter: RankedAdapter) -> Iterator[str]:
    low, high = adapter.interval
    yield escape(adapter.name)
    yield f"{adapter.score:.3f}"
    yield f"{low:.3f} to {high:.3f}"
    yield f"{adapter.probability:.3f}"
    yield str(len(adapter.answers))
