"""Using a result: `swarm-llm predict` labels new questions, `swarm-llm generate` answers a prompt."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyswarmopt.base.words import counted
from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.cli.running import interruptible, items_bar, print_either, repeating
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.options import OUTPUT, RARE, TASK, Columns, Option
from pyswarmopt_llm.searching.use.config import Machine, check_model, check_run, check_table_out

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.use.predict import Prediction

_SHOWN = 5  # most choices of a question on the terminal


def predict(
    run: Annotated[Path, Option("Finished run of a task with choices.", "RUN", TASK)],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="CSV, TSV, JSONL or JSON of new rows.")
    ] = None,
    out: Annotated[
        Path | None,
        Option("File to write: the rows with labels and probabilities.", "F", OUTPUT),
    ] = None,
    text: Annotated[str | None, Option("A question, instead of a file.", "TEXT", TASK)] = None,
    task: Annotated[
        str | None, Option("Which one, of a run with several tasks.", "T", TASK)
    ] = None,
    columns: Columns = (),
    *,
    machine: Machine,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Label new rows with a search's result.

    Each gets its choice and the probabilities of all. Prompt, choices and scoring are the search's.
    If it is interrupted, the same command goes on where it stopped.

    Example: swarm-llm predict --run runs/first new.csv --out labelled.csv
    """
    if (file is None) == (text is None):
        raise InvalidOption("text", None, "give a file of rows or `text`, one of the two")
    if file is not None and out is None:
        raise InvalidOption("out", None, "missing; name the file to write")
    if text is not None and out is not None:
        raise InvalidOption("out", str(out), "is for a file of rows; remove it")
    check_run(user_path(run))
    if out is not None:
        check_table_out(user_path(out))
    if file is not None and not user_path(file).is_file():
        raise UserError(f"{file}: no such file; check the path")
    from pyswarmopt_llm.searching.use.predict import predict

    options = {**vars(machine), "task": task, "columns": columns}
    questions = [text or ""] if file is None else file
    with interruptible(repeating), items_bar(quiet or as_json) as items:
        found = predict(run, questions, out, on_items=items, **options)
    if out is None:
        print_either(asdict(found[0]), _single(found[0]), as_json)
        return
    labels = Counter(prediction.label for prediction in found if prediction.label)
    counts = dict(labels.most_common())
    lines = [
        f"{counted(labels.total(), 'row')} labelled in {out}",
        ", ".join(f"{count} {label}" for label, count in counts.items()),
    ]
    print_either({"out": str(out), "labels": counts}, lines, as_json)


def _single(prediction: Prediction) -> Iterator[str]:
    """The label, and the most probable choices."""
    yield prediction.label or "(undefined: the model's numbers overflow)"
    best = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])
    for label, probability in best[:_SHOWN]:
        yield f"  {probability:.3f}  {label}"


def generate(
    prompt: Annotated[
        str,
        typer.Argument(
            metavar="PROMPT", help="A question, worded as in the run's search; else the prompt."
        ),
    ],
    run: Annotated[
        Path | None, Option("Finished run; provides base and adapter.", "RUN", TASK)
    ] = None,
    base: Annotated[
        str | None, Option("Base model, mixture or graph, instead of `run`.", "B", TASK)
    ] = None,
    adapter: Annotated[str | None, Option("LoRA adapter on `base`.", "A", TASK)] = None,
    task: Annotated[
        str | None, Option("Which one, of a run with several tasks.", "T", TASK)
    ] = None,
    max_new_tokens: Annotated[int, Option("Maximum number of new tokens.", "N", least=1)] = 128,
    fusion: Annotated[
        str, Option("For mixtures: auto, exact, bytes, union, relative, sampled.", "F")
    ] = "auto",
    seed: Annotated[int, Option("Seed of `fusion` sampled.", "S", RARE, least=0)] = 0,
    *,
    machine: Machine,
    as_json: Json = False,
) -> None:
    """Answer a prompt: greedily, in the base's chat template, and worded as in a run's search.

    Example: swarm-llm generate --run runs/first "Which planet is the largest?"
    """
    if run is not None:
        check_run(user_path(run))
    check_model(base)
    check_model(adapter)
    from pyswarmopt_llm.searching.use.generate import answer_turn, worded

    base, adapter = _source(run, base, adapter)
    asked, said = worded(run, prompt, task)
    if said and not as_json:
        echo(with_flags(said), err=True)
    pieces = answer_turn((base, adapter), asked, max_new_tokens, machine, run, fusion, seed)
    answer = "".join(pieces)
    if as_json:
        record = {"base": base, "adapter": adapter, "prompt": prompt}
        typer.echo(json.dumps({**record, "asked": asked, "answer": answer}))
        return
    # A file or another program gets the model's text, byte for byte.
    (echo if sys.stdout.isatty() else print)(answer)


def _source(run: Path | None, base: str | None, adapter: str | None) -> tuple[str, str | None]:
    """The base and the adapter that answer: a run's, or the given ones.

    Raises:
        InvalidOption: both are given, or neither.
    """
    if run is not None:
        if base is not None or adapter is not None:
            why = "brings its own base and adapter; remove `base` and `adapter`"
            raise InvalidOption("run", None, why)
        from pyswarmopt_llm.searching.use.opening import result_of

        return result_of(run)
    if base is None:
        raise InvalidOption("run", None, "missing; give a finished run, or `base` with `adapter`")
    return base, adapter
