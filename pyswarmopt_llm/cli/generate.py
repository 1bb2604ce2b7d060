"""`swarm-llm generate`: one prompt answered by a run's result, an adapter or the bare base."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.evaluate import choose_engine
from pyswarmopt_llm.cli.options import Json, Machine
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.options import TASK, Option


@dataclass(frozen=True)
class Generation:
    """The model that answers, and its settings."""

    run: Annotated[Path | None, Option("Finished run; provides base and adapter.", "RUN", TASK)] = (
        None
    )
    base: Annotated[
        str | None, Option("Base model, mixture or graph, instead of `run`.", "B", TASK)
    ] = None
    adapter: Annotated[str | None, Option("LoRA adapter on `base`.", "A", TASK)] = None
    max_new_tokens: Annotated[int, Option("Maximum number of new tokens.", "N", least=1)] = 128
    fusion: Annotated[str, Option("For mixtures: auto, exact, bytes, union, relative.", "F")] = (
        "auto"
    )

    @property
    def model(self) -> tuple[str, str | None]:
        """Base and adapter, of the run or as given."""
        if self.run is not None:
            if self.base is not None or self.adapter is not None:
                raise InvalidOption(
                    "run", None, "brings its own base and adapter; remove `base` and `adapter`"
                )
            from pyswarmopt_llm.searching.scoring.run_directory import result_of

            return result_of(self.run)
        if self.base is None:
            raise InvalidOption(
                "run", None, "missing; give a finished run, or `base` with `adapter`"
            )
        return self.base, self.adapter


def command(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="The prompt.")],
    settings: Generation,
    *,
    machine: Machine,
    as_json: Json = False,
) -> None:
    """Answer a prompt: greedily, in the base's chat template.

    Example: swarm-llm generate --run runs/first "Which planet is the largest?"
    """
    base, adapter = settings.model
    from pyswarmopt_llm.searching.use.model import generate_text

    options = {**vars(machine), "fusion": settings.fusion, "run": settings.run}
    options["engine"] = choose_engine(machine.engine, settings.run, quiet=as_json)
    answer = generate_text(base, adapter, prompt, settings.max_new_tokens, **options)
    if as_json:
        typer.echo(
            json.dumps(
                {"base": base, "adapter": adapter, "prompt": prompt, "answer": "".join(answer)}
            )
        )
        return
    if settings.run is not None:
        _warn_of_labels(settings.run)
    # A file or another program gets what the model wrote, byte for byte.
    write = echo if sys.stdout.isatty() else partial(print, flush=True)
    for piece in answer:
        write(piece, end="")
    write("")


def _warn_of_labels(run: Path) -> None:
    """Say that a result was found by its choices, where it was: its replies were never scored."""
    from pyswarmopt_llm.report.commands import labelled
    from pyswarmopt_llm.searching.scoring.result import read_result
    from pyswarmopt_llm.searching.scoring.run_directory import read_about

    result = read_result(run)
    if result is None or result.scoring not in ("letter", "likelihood"):
        return
    if labelled(read_about(run), result) is not None:
        text = "found by its choices among options, replies were not scored; use swarm-llm predict"
        echo(f"{run}: {text}", err=True)
