"""`swarm-llm export`: a result in the format of the program that is to run it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyswarmopt.base.words import counted
from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.options import Json
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.options import OUTPUT, TASK, Option

if TYPE_CHECKING:
    from pyswarmopt_llm.tools.export import Exported


@dataclass(frozen=True)
class Export:
    """The options of `swarm-llm export`, as `export_model` calls them."""

    out: Annotated[str, Option("Directory to create.", "DIR", OUTPUT)]
    base: Annotated[str | None, Option("Base model, where SOURCE is an adapter.", "B", TASK)] = None
    form: Annotated[
        str,
        Option("merged, gguf or peft.", "F", name="format", choices=("merged", "gguf", "peft")),
    ] = "merged"
    rank: Annotated[
        int | None,
        Option(
            "Truncate the adapter to rank R (peft, gguf); flatten DoRA and others.", "R", least=1
        ),
    ] = None


def command(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Finished run, adapter, or model directory.")
    ],
    options: Export,
    as_json: Json = False,
) -> None:
    """Write a result merged, smaller, or as GGUF.

    Formats: merged (transformers, vLLM), gguf (an adapter for llama.cpp, Ollama), peft (an
    adapter). With --rank, peft makes a plain LoRA of DoRA, saved modules and other kinds.

    Example: swarm-llm export runs/first --out first-merged
    """
    from pyswarmopt_llm.tools.export import export_model

    done = export_model(source, options.out, options.form, base=options.base, rank=options.rank)
    if as_json:
        loss = done.loss
        record: dict[str, Any] = {"source": source, "out": options.out, "format": options.form}
        record |= {"files": dict(done.files), "rank": options.rank}
        record |= {"relative_error": loss and loss.whole, "worst": loss and loss.worst}
        record |= {"left_out": loss.left_out if loss else ()}
        typer.echo(json.dumps(record))
        return
    for line in _lines(source, options, done):
        echo(line)


def _lines(source: str, options: Export, done: Exported) -> Iterator[str]:
    size = sum(done.files.values()) / 2**20
    yield f"wrote {options.out}: {', '.join(done.files)} ({size:,.1f} MiB)"
    if done.loss is not None:
        lost = f"{done.loss.whole:.1%} of the weights lost in the Frobenius norm"
        yield f"rank {options.rank}: {lost}"
        if done.loss.worst is not None:
            yield f"The worst module, {done.loss.worst[0]}: {done.loss.worst[1]:.1%}"
        if left_out := done.loss.left_out:
            more = len(left_out) - 1
            also = f" and {counted(more, 'more parameter')}" if more else ""
            yield (
                f"Left out, and counted as lost: {left_out[0]}{also}; no LoRA of linear layers "
                "holds them"
            )
    if options.form == "gguf" and not done.base:
        yield (
            f"The base goes to {options.out}/base.gguf; llama.cpp's convert_hf_to_gguf.py writes it"
        )
    for purpose, words in _steps(source, options, done):
        yield f"To {purpose}: {shlex.join(words)}"


def _steps(source: str, options: Export, done: Exported) -> Iterator[tuple[str, list[str]]]:
    """(purpose, command): how to run what was written."""
    out, name = options.out.rstrip("/"), Path(options.out).name.lower()
    if options.form == "gguf":
        base = done.base or f"{out}/base.gguf"
        yield "run it in llama.cpp", ["llama-cli", "-m", base, "--lora", f"{out}/adapter.gguf"]
        yield "run it in Ollama", ["ollama", "create", name, "-f", f"{out}/Modelfile"]
    elif options.form == "merged":
        if not _chooses(source):  # what was searched to choose writes nonsense
            question = "Which planet is the largest?"
            yield "ask it a question", ["swarm-llm", "generate", "--base", out, question]
        yield "serve it with vLLM", ["vllm", "serve", out]
    elif options.base is None:
        yield "score it again", ["swarm-llm", "eval", "--run", source, "--adapter", out]


def _chooses(source: str) -> bool:
    """Whether a source is a run whose result chooses among options."""
    from pyswarmopt_llm.report.commands import labelled
    from pyswarmopt_llm.searching.scoring.result import read_result
    from pyswarmopt_llm.searching.scoring.run_directory import read_about

    run = user_path(source)
    result = read_result(run) if (run / "run.json").is_file() else None
    return result is not None and labelled(read_about(run), result) is not None
