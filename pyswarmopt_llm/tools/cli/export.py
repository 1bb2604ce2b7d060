"""`swarm-llm export`: a result in the format of the program that is to run it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from pyswarmopt.base.words import counted
from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.options import Json
from pyswarmopt_llm.common.options import OUTPUT, TASK, Option


def command(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Finished run, adapter, or model directory.")
    ],
    out: Annotated[str, Option("Directory to create.", "DIR", OUTPUT)],
    base: Annotated[
        str | None, Option("Base model, where SOURCE is an adapter.", "B", TASK)
    ] = None,
    form: Annotated[
        str,
        Option("merged, gguf or peft.", "F", name="format", choices=("merged", "gguf", "peft")),
    ] = "merged",
    rank: Annotated[
        int | None,
        Option(
            "Truncate the adapter to rank R (peft, gguf); flatten DoRA and others.", "R", least=1
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a result merged, smaller, or as GGUF.

    Formats: merged (transformers, vLLM), gguf (an adapter for llama.cpp, Ollama), peft (an
    adapter). With --rank, peft makes a plain LoRA of DoRA, saved modules and other kinds.

    Example: swarm-llm export runs/first --out first-merged
    """
    from pyswarmopt_llm.tools.export import export_model

    done = export_model(source, out, form, base=base, rank=rank)
    if as_json:
        record: dict[str, Any] = {"source": source, "out": out, "format": form}
        record |= {"files": dict(done.files), "rank": rank}
        record |= {"relative_error": done.loss and done.loss.whole}
        record |= {"left_out": done.loss.left_out if done.loss else ()}
        typer.echo(json.dumps(record))
        return
    size = sum(done.files.values()) / 2**20
    echo(f"wrote {out}: {', '.join(done.files)} ({size:,.1f} MiB)")
    if done.loss is not None:
        echo(f"rank {rank}: {done.loss.whole:.1%} of the weights lost in the Frobenius norm")
        if left_out := done.loss.left_out:
            more = len(left_out) - 1
            also = f" and {counted(more, 'more parameter')}" if more else ""
            held = "no LoRA of linear layers holds them"
            echo(f"Left out, and counted as lost: {left_out[0]}{also}; {held}")
    if form == "gguf" and not done.base:
        echo(f"The base goes to {out}/base.gguf; llama.cpp's convert_hf_to_gguf.py writes it")
    for purpose, words in _steps(out.rstrip("/"), form, done.base):
        echo(f"To {purpose}: {shlex.join(words)}")
    if form == "peft" and base is None:
        again = ["swarm-llm", "eval", "--run", source, "--adapter", out]
        echo(f"To score it again: {shlex.join(again)}")


def _steps(out: str, form: str, base: str) -> Iterator[tuple[str, list[str]]]:
    """(purpose, command): the programs that run what was written."""
    if form == "gguf":
        model = base or f"{out}/base.gguf"
        yield "run it in llama.cpp", ["llama-cli", "-m", model, "--lora", f"{out}/adapter.gguf"]
        name = Path(out).name.lower()
        yield "run it in Ollama", ["ollama", "create", name, "-f", f"{out}/Modelfile"]
    elif form == "merged":
        yield "serve it with vLLM", ["vllm", "serve", out]
