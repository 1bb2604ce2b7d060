"""The commands of the tools: `swarm-llm analyse` and `export`."""

from __future__ import annotations

from typing import Annotated

import typer

from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Allow, Json, RunFolder
from pyswarmopt_llm.cli.running import (
    check_model,
    interruptible,
    loading,
    nothing_written,
    print_either,
)
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import check_free, user_path
from pyswarmopt_llm.common.options import OUTPUT, TASK, Option
from pyswarmopt_llm.experts.files import require_inputs


def analyse(
    run: RunFolder,
    as_json: Json = False,
    allow: Allow = (),
) -> None:
    """Leave out one expert at a time, to show which ones a result depends on.

    Example: swarm-llm analyse runs/first
    """
    if not (run / "run.json").is_file():
        raise UserError(f"{run} is not a run directory; check the path")
    with loading(as_json):
        from pyswarmopt_llm.tools.analyse import analyse
    record = analyse(run, allow)
    lines = (
        f"{name} adds {difference:+.3f} to {task}"
        for name, tasks in record.items()
        for task, difference in tasks.items()
    )
    print_either(record, lines, as_json)


def export(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="Directory of a finished run, an adapter or a model."
        ),
    ],
    out: Annotated[str, Option("Directory to create.", "DIR", OUTPUT)],
    base: Annotated[str | None, Option("Base model, if SOURCE is an adapter.", "B", TASK)] = None,
    form: Annotated[
        str,
        Option("merged or peft.", "F", choices=("merged", "peft")),
    ] = "merged",
    rank: Annotated[
        int | None,
        Option(
            "Truncate to rank R; turns other adapter types into LoRA (peft only).", "R", least=1
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Export a result as a merged model or a smaller adapter.

    Formats: merged (transformers, vLLM, Ollama, llama.cpp's converter), peft (an adapter). With
    --rank, peft converts DoRA, saved modules and other types into a plain LoRA.

    Example: swarm-llm export runs/first --out first-merged
    """
    out = out.rstrip("/")
    check_free(user_path(out))
    if rank is not None and form == "merged":
        why = "requires `form` peft, because a merged model contains the whole adapter"
        raise InvalidOption("rank", rank, why)
    if not (user_path(source) / "run.json").is_file():
        check_model(source)
        if base is None:
            raise InvalidOption("base", None, f"is missing; set it to the base model of {source}")
        require_inputs([source], base)
    with loading(as_json):
        from pyswarmopt_llm.tools.export import export_model, lines_on_rounding, scoring_command
    with interruptible(nothing_written):
        error = export_model(source, out, form, base=base, rank=rank)
    lines = [f"wrote {out}"]
    if form == "merged" and not as_json:
        lines += map(with_flags, lines_on_rounding(source, base))
    if error is not None:
        lines.append(
            f"Truncation to rank {rank} changes the weight updates by {error:.1%} (Frobenius norm)"
        )
        lines.append(f"To score it: {scoring_command(source, out, base)}")
    print_either({"out": out, "relative_error": error}, lines, as_json)
