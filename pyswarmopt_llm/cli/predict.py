"""`swarm-llm predict`: new questions labelled by a run's result."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyswarmopt.base.words import counted
from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.evaluate import placed
from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.cli.running import interruptible, repeating
from pyswarmopt_llm.common import options as opt
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.options import Option
from pyswarmopt_llm.report.terminal import items_bar

if TYPE_CHECKING:
    from pyswarmopt_llm.scores.tasks.tables.predicted import Prediction

_SHOWN = 5  # choices of a question on the terminal


@dataclass(frozen=True)
class Labelling:
    """The model that labels, and the destination of the labels."""

    run: Annotated[Path, Option("Finished run of a task with choices.", "RUN", opt.TASK)]
    out: Annotated[
        Path | None,
        Option("File to write: the rows with labels and probabilities.", "F", opt.OUTPUT),
    ] = None
    text: Annotated[str | None, Option("A question, instead of a file.", "TEXT", opt.TASK)] = None
    task: Annotated[
        str | None, Option("Which one, of a run with several tasks.", "T", opt.TASK)
    ] = None
    columns: opt.Columns = ()
    dtype: opt.Dtype = "auto"
    device: opt.Device = "auto"
    threads: opt.Threads = None
    engine: opt.Place = "auto"
    server_folder: opt.ServerFolder = None


def command(
    settings: Labelling,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="CSV, TSV, JSONL or JSON of new rows.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Label new rows with a search's result.

    Each gets its choice and the probabilities of all. Prompt, choices and scoring are the search's.
    If it is interrupted, the same command goes on where it stopped.

    Example: swarm-llm predict --run runs/first new.csv --out labelled.csv
    """
    if (file is None) == (settings.text is None):
        raise InvalidOption("text", None, "give a file of rows or `text`, one of the two")
    if file is not None and settings.out is None:
        raise InvalidOption("out", None, "missing; name the file to write")
    if settings.text is not None and settings.out is not None:
        raise InvalidOption("out", str(settings.out), "is for a file of rows; remove it")
    from pyswarmopt_llm.searching.use.predict import predict

    names = ("task", "columns", "dtype", "device", "threads", "server_folder")
    options = {name: getattr(settings, name) for name in names}
    options["engine"] = placed(settings.engine, settings.run, quiet=quiet or as_json)
    console, questions = (
        open_console(stderr=True),
        file if settings.text is None else [settings.text],
    )
    with interruptible(repeating), items_bar(console, quiet or as_json) as on_items:
        found = predict(settings.run, questions or "", settings.out, on_items=on_items, **options)
    if as_json and settings.out is None:
        typer.echo(json.dumps(asdict(found[0])))
    elif as_json:
        typer.echo(json.dumps({"out": str(settings.out), "labels": _counts(found)}))
    else:
        for line in _single(found[0]) if settings.out is None else _many(found, settings.out):
            echo(line)


def _single(prediction: Prediction) -> Iterator[str]:
    """The label, and the most probable choices."""
    yield prediction.label or "(undefined: the model's numbers overflow)"
    best = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])
    for label, probability in best[:_SHOWN]:
        yield f"  {probability:.3f}  {label}"


def _many(predictions: Sequence[Prediction], out: Path) -> Iterator[str]:
    """The place of the rows, and the number with each label."""
    yield f"{counted(sum(_counts(predictions).values()), 'row')} labelled in {out}"
    yield ", ".join(
        f"{count} {label or 'undefined'}" for label, count in _counts(predictions).items()
    )


def _counts(predictions: Sequence[Prediction]) -> dict[str, int]:
    labels = (prediction.label for prediction in predictions if prediction.probabilities)
    return dict(Counter(labels).most_common())
