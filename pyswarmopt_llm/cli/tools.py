"""The commands of the tools: `swarm-llm analyse` and `export`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Allow, Json
from pyswarmopt_llm.cli.running import interruptible, nothing_written, print_either
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import check_free, user_path
from pyswarmopt_llm.common.options import OUTPUT, TASK, Option
from pyswarmopt_llm.experts.files import require_inputs
from pyswarmopt_llm.report.phrases import one_line, score_text


def analyse(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Finished run, or a group's directory.")
    ],
    out: Annotated[
        Path | None, Option("Output directory (default: RUN/analysis).", "DIR", OUTPUT)
    ] = None,
    as_json: Json = False,
    allow: Allow = (),
) -> None:
    """Leave out one expert or group member at a time, to show which ones a result depends on.

    Example: swarm-llm analyse runs/first
    """
    if not any((run / about).is_file() for about in ("run.json", "about.json")):
        raise UserError(f"{run} is not a run or group directory; check the path")
    folder = out or run / "analysis"
    from pyswarmopt_llm.tools.analyse import analyse

    record = analyse(run, folder, allowed=allow, tell=lambda text: echo(text, err=True))
    lines = map(with_flags, left_out_lines(record["leave_one_out"]))
    print_either(record, [*lines, f"All figures: {folder}/analysis.json"], as_json)


def left_out_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """The leave-one-out lines of ``analysis.json``: experts by task, or members of a group by
    strategy, the most important first.
    """
    for what, score in record["all"].items():
        yield f"{one_line(what)}, leaving one out on {record['split']}: all {score_text(score)}"
        scored = {name: row for name, row in record["experts"].items() if what in row["scores"]}
        for name in sorted(scored, key=lambda name: scored[name]["scores"][what]):
            text = f"  without {one_line(name)}: {score_text(scored[name]['scores'][what])}"
            if pair := scored[name]["paired"].get(what):
                low, high = pair["interval"]
                text += f", contribution {pair['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
            yield text
    for strategy, why in record.get("left_out", {}).items():
        yield f"skipped {strategy}: {one_line(why)}"


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
        if base is None:
            raise InvalidOption("base", None, f"is missing; set it to the base model of {source}")
        require_inputs([source], base)
    from pyswarmopt_llm.tools.export import export_model

    with interruptible(nothing_written):
        done = export_model(source, out, form, base=base, rank=rank)
    size = sum(done.files.values()) / 2**20
    lines = [f"wrote {out}: {', '.join(done.files)} ({size:,.1f} MiB)"]
    loss = done.loss
    record = {
        "source": source,
        "out": out,
        "format": form,
        "rank": rank,
        "files": dict(done.files),
        "relative_error": loss and loss.whole,
        "left_out": loss.left_out if loss else (),
    }
    if loss:
        lines.append(
            f"Truncation to rank {rank} alters the weight changes by {loss.whole:.1%} "
            f"(Frobenius norm); left out: {', '.join(loss.left_out) or 'nothing'}"
        )
    print_either(record, lines, as_json)
