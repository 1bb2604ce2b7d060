"""Using a result: `swarm-llm predict` labels new questions, `swarm-llm generate` answers a prompt."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.options import Json, Quiet, RunFolder
from pyswarmopt_llm.cli.running import (
    check_model,
    interruptible,
    items_bar,
    loading,
    print_either,
    print_result,
    repeating,
)
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.options import OUTPUT, TASK, Option
from pyswarmopt_llm.use.config import Machine, check_run, check_table_out

OneTask = Annotated[str | None, Option("Task to use, if the run has several.", "T", TASK)]


def choose(
    run: RunFolder,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="Point of the front, from 1.")],
    *,
    as_json: Json = False,
) -> None:
    """Make another point of a front the result, which `predict`, `generate` and `export` then use.

    Example: swarm-llm choose runs/front 3
    """
    check_run(user_path(run))
    from pyswarmopt_llm.api import choose

    print_result(choose(user_path(run), number), as_json)


def predict(
    run: Annotated[Path, Option("Finished run on a task with choices.", "RUN", TASK)],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, TSV, JSONL or JSON file of new rows.")
    ],
    out: Annotated[
        Path, Option("File to write, with the rows, labels and probabilities.", "F", OUTPUT)
    ],
    task: OneTask = None,
    *,
    machine: Machine,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Label new rows with a search's result.

    Each row gets a label and the probabilities of all labels. Column names, prompt, labels and
    scoring come from the search. If it is interrupted, the same command continues where it stopped.

    Example: swarm-llm predict --run runs/first new.csv --out labelled.csv
    """
    check_run(user_path(run))
    check_table_out(user_path(out))
    if not user_path(file).exists():
        raise UserError(f"{file}: no such file; check the path")
    with loading(quiet or as_json):
        from pyswarmopt_llm.use.predict import predict
    with interruptible(repeating), items_bar(quiet or as_json, "labelling rows") as on_items:
        where = (machine.dtype, machine.device, machine.threads)
        found = predict(run, file, out, task, *where, on_items, machine.quantize)
    labels = Counter(prediction.label for prediction in found if prediction.label)
    counts = ", ".join(f"{count} {label}" for label, count in labels.most_common())
    line = f"{labels.total():,} of {len(found):,} rows labelled in {out}: {counts}"
    print_either({"out": str(out), "labels": labels}, [line], as_json)


def generate(
    prompt: Annotated[
        str,
        typer.Argument(
            metavar="PROMPT",
            help="With --run, a question for its task; otherwise the whole prompt.",
        ),
    ],
    run: Annotated[
        Path | None,
        Option("Finished run, which provides the base model and the adapter.", "RUN", TASK),
    ] = None,
    base: Annotated[
        str | None, Option("Base model, mixture or graph, instead of `run`.", "B", TASK)
    ] = None,
    adapter: Annotated[str | None, Option("LoRA adapter for `base`.", "A", TASK)] = None,
    task: OneTask = None,
    max_new_tokens: Annotated[int, Option("Maximum number of new tokens.", "N", least=1)] = 128,
    *,
    machine: Machine,
    as_json: Json = False,
) -> None:
    """Answer a prompt greedily with the chat template; --run also uses the search's prompt.

    Example: swarm-llm generate --run runs/first "Which planet is the largest?"
    """
    if (run is None) == (base is None) or (run and adapter):
        raise InvalidOption(
            "run", None, ": use either a finished run, or `base` (with or without `adapter`)"
        )
    if run is not None:
        check_run(user_path(run))
    for name in (base, adapter):
        check_model(name)
    from pyswarmopt_llm.use.generate import answered
    from pyswarmopt_llm.use.opening import result_of

    model = (base or "", adapter)
    if run is not None:
        model = result_of(user_path(run))
    asked, answer = answered(model, prompt, machine, max_new_tokens, run, task)
    if as_json:
        record = {"base": model[0], "adapter": model[1], "prompt": prompt}
        print_either({**record, "asked": asked, "answer": answer}, [], as_json)
        return
    # A file or another program gets the model's text, byte for byte.
    (echo if sys.stdout.isatty() else print)(answer)
