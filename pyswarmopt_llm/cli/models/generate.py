"""`swarm-llm generate`: one prompt answered by a run's result, an adapter or the bare base."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.options import Device, Dtype, Json, Threads
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.run_result import result_of


def command(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to ask.")],
    run: Annotated[Path | None, typer.Option(metavar="RUN", help="A finished run: base and best/.")] = None,
    base: Annotated[
        str | None, typer.Option(metavar="B", help="Base model, mixture or graph, instead of --run.")
    ] = None,
    adapter: Annotated[str | None, typer.Option(metavar="A", help="LoRA adapter on --base.")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, metavar="N", help="Most tokens to write.")] = 128,
    fusion: Annotated[
        str, typer.Option(metavar="F", help="Of a mixture: auto, exact, bytes, union, top-k, edit-distance, relative.")
    ] = "auto",
    dtype: Dtype = "auto",
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Answer a prompt, greedily, with the base's chat template; a mixture of models writes as it goes.

    Example: swarm-llm generate --run runs/first "Which planet is the largest?"
    """
    if run is not None:
        if base is not None or adapter is not None:
            raise UserError("--run brings its own base and adapter; leave out --base and --adapter")
        base, adapter = result_of(run)
    elif base is None:
        raise UserError("say what answers: --run RUN, or --base B with --adapter A")
    from pyswarmopt_llm.jobs.generate import generate_text

    answer = generate_text(
        base, adapter, prompt, max_new_tokens, fusion=fusion, dtype=dtype, device=device, threads=threads
    )
    if as_json:
        typer.echo(json.dumps({"base": base, "adapter": adapter, "prompt": prompt, "answer": "".join(answer)}))
        return
    write = echo if sys.stdout.isatty() else _as_it_is
    for piece in answer:
        write(piece, end="")
    write("")


def _as_it_is(text: str, end: str = "\n") -> None:
    """To a file or another program goes what the model wrote, to the byte."""
    sys.stdout.write(text + end)
    sys.stdout.flush()
