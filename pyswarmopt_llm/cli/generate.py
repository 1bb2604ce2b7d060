"""`swarm-llm generate`: one prompt answered by a run's result, an adapter or the bare base."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.evaluate import choose_engine
from pyswarmopt_llm.cli.options import Json, Machine
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.options import TASK, Option


def command(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="The prompt.")],
    run: Annotated[
        Path | None, Option("Finished run; provides base and adapter.", "RUN", TASK)
    ] = None,
    base: Annotated[
        str | None, Option("Base model, mixture or graph, instead of `run`.", "B", TASK)
    ] = None,
    adapter: Annotated[str | None, Option("LoRA adapter on `base`.", "A", TASK)] = None,
    max_new_tokens: Annotated[int, Option("Maximum number of new tokens.", "N", least=1)] = 128,
    fusion: Annotated[str, Option("For mixtures: auto, exact, bytes, union, relative.", "F")] = (
        "auto"
    ),
    *,
    machine: Machine,
    as_json: Json = False,
) -> None:
    """Answer a prompt: greedily, in the base's chat template.

    Example: swarm-llm generate --run runs/first "Which planet is the largest?"
    """
    from pyswarmopt_llm.searching.use.model import generate_text

    if run is not None:
        if base is not None or adapter is not None:
            why = "brings its own base and adapter; remove `base` and `adapter`"
            raise InvalidOption("run", None, why)
        from pyswarmopt_llm.searching.scoring.run_directory import result_of

        base, adapter = result_of(run)
    if base is None:
        raise InvalidOption("run", None, "missing; give a finished run, or `base` with `adapter`")
    options = {**vars(machine), "fusion": fusion, "run": run}
    options["engine"] = choose_engine(machine.engine, run, quiet=as_json)
    answer = "".join(generate_text(base, adapter, prompt, max_new_tokens, **options))
    if as_json:
        record = {"base": base, "adapter": adapter, "prompt": prompt, "answer": answer}
        typer.echo(json.dumps(record))
        return
    if run is not None:
        _warn_of_labels(run)
    # A file or another program gets what the model wrote, byte for byte.
    (echo if sys.stdout.isatty() else print)(answer)


def _warn_of_labels(run: Path) -> None:
    """Say that a result was found by its choices, where it was: its replies were never scored."""
    from pyswarmopt_llm.report.commands import labelled
    from pyswarmopt_llm.searching.scoring.result import read_result
    from pyswarmopt_llm.searching.scoring.run_directory import read_about

    result = read_result(run)
    if result is not None and labelled(read_about(run), result) is not None:
        text = "found by its choices among options, replies were not scored; use swarm-llm predict"
        echo(f"{run}: {text}", err=True)
