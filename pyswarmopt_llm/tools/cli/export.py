"""`swarm-llm export`: a result in the format of the program that is to run it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyswarmopt.base.words import counted
from pyswarmopt_llm.cli.options import Json
from pyswarmopt_llm.cli.running import print_either
from pyswarmopt_llm.common.options import OUTPUT, TASK, Option

if TYPE_CHECKING:
    from pyswarmopt_llm.tools.export import Exported


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
    record: dict[str, Any] = {"source": source, "out": out, "format": form}
    record |= {"files": dict(done.files), "rank": rank}
    record |= {"relative_error": done.loss and done.loss.whole}
    record |= {"left_out": done.loss.left_out if done.loss else ()}
    lines = [*_written(done, out, rank), *_steps(out.rstrip("/"), form, done.base)]
    if form == "peft" and base is None:
        lines.append(_to("score it again", "swarm-llm", "eval", "--run", source, "--adapter", out))
    print_either(record, lines, as_json)


def _written(done: Exported, out: str, rank: int | None) -> Iterator[str]:
    """The files, and what they lack."""
    size = sum(done.files.values()) / 2**20
    yield f"wrote {out}: {', '.join(done.files)} ({size:,.1f} MiB)"
    if done.loss is not None:
        yield f"rank {rank}: {done.loss.whole:.1%} of the weights lost in the Frobenius norm"
        if left_out := done.loss.left_out:
            more = len(left_out) - 1
            also = f" and {counted(more, 'more parameter')}" if more else ""
            held = "no LoRA of linear layers holds them"
            yield f"Left out, and counted as lost: {left_out[0]}{also}; {held}"


def _steps(out: str, form: str, base: str) -> Iterator[str]:
    """The programs that run what was written."""
    if form == "gguf":
        if not base:
            yield f"The base goes to {out}/base.gguf; llama.cpp's convert_hf_to_gguf.py writes it"
        model = base or f"{out}/base.gguf"
        yield _to("run it in llama.cpp", "llama-cli", "-m", model, "--lora", f"{out}/adapter.gguf")
        name = Path(out).name.lower()
        yield _to("run it in Ollama", "ollama", "create", name, "-f", f"{out}/Modelfile")
    elif form == "merged":
        yield _to("serve it with vLLM", "vllm", "serve", out)


def _to(purpose: str, *words: str) -> str:
    return f"To {purpose}: {shlex.join(words)}"
