"""The commands of the tools: `swarm-llm analyse`, `check` and `export`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyswarmopt.base.words import counted
from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Again, Json
from pyswarmopt_llm.cli.running import interruptible, nothing_written, print_either
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.options import OUTPUT, TASK, Option
from pyswarmopt_llm.common.own import is_own
from pyswarmopt_llm.report.phrases import one_line, score_text, signed

if TYPE_CHECKING:
    pass


def analyse(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A finished run, or a group's directory.")
    ],
    out: Annotated[Path | None, Option("Output directory (RUN/analysis).", "DIR", OUTPUT)] = None,
    as_json: Json = False,
    *,
    again: Again,
) -> None:
    """Show which experts carry a result: score it without each, or decide without each member.

    Example: swarm-llm analyse runs/first
    """
    from pyswarmopt_llm.tools.analyse import analyse

    folder = out or run / "analysis"
    record = analyse(run, folder, allowed=again.allow, tell=lambda text: echo(text, err=True))
    lines = map(with_flags, left_out_lines(record["leave_one_out"]))
    print_either(record, [*lines, f"All figures: {folder}/analysis.json"], as_json)


def left_out_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """The leave-one-out lines of ``analysis.json``: experts of a search (on test if possible), the
    most important first; or members of a group, by strategy.
    """
    for task, score in record.get("all", {}).items():
        whole = f"{score_text(score)} with all experts that the result contains"
        yield f"leave one out, {one_line(task)} {record['split']}: {whole}"
        yield from _without_experts(record["experts"], task)
    for strategy, row in record.get("strategies", {}).items():
        yield f"leave one out, {strategy}: test {score_text(row['test'])} with all members"
        yield from _without_members(row["members"])
    for strategy, why in record.get("left_out", {}).items():
        yield f"left out: {strategy}: {one_line(why)}"


def _without_experts(experts: Mapping[str, Any], task: str) -> Iterator[str]:
    scored = {name: row for name, row in experts.items() if task in row["scores"]}
    for name in sorted(scored, key=lambda name: scored[name]["scores"][task]):
        row = scored[name]
        pair = row["paired"].get(task)
        paired = f", {_contribution(pair)}" if pair else ""
        score = score_text(row["scores"][task])
        yield f"  without {one_line(name)} (coefficient {row['coefficient']:.2f}): {score}{paired}"


def _without_members(members: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(members, key=lambda name: members[name]["test"]):
        row = members[name]
        answers = counted(len(row["decided"]), "answer")
        without = f"  without {one_line(name)}: {score_text(row['test'])}"
        yield f"{without}, {_contribution(row['paired'])}, {answers} changed"


def _contribution(pair: Mapping[str, Any]) -> str:
    """An expert's or member's contribution: the `Comparison` of all with all but it, as JSON
    values.
    """
    low, high = pair["interval"]
    ends = f"[{signed(low)}, {signed(high)}]"
    changed = f"{pair['gained']} gained and {pair['lost']} lost by it"
    return f"contribution {signed(pair['difference'])} {ends}, {changed}"


def export(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Finished run, adapter, or model directory.")
    ],
    out: Annotated[str, Option("Directory to create.", "DIR", OUTPUT)],
    base: Annotated[
        str | None, Option("Base model, where SOURCE is an adapter.", "B", TASK)
    ] = None,
    form: Annotated[
        str,
        Option("merged or peft.", "F", name="format", choices=("merged", "peft")),
    ] = "merged",
    rank: Annotated[
        float | None,
        Option(
            "Truncate the adapter to rank R (peft), or to a share as 0.95; flatten others.",
            "R",
            above=0,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a result merged, or as a smaller adapter.

    Formats: merged (transformers, vLLM, Ollama, llama.cpp's converter), peft (an adapter). With
    --rank, peft makes a plain LoRA of DoRA, saved modules and other kinds.

    Example: swarm-llm export runs/first --out first-merged
    """
    from pyswarmopt_llm.tools.export import export_model, rank_in_words

    with interruptible(nothing_written):
        done = export_model(source, out, form, base=base, rank=rank)
    record: dict[str, Any] = {"source": source, "out": out, "format": form}
    record |= {"files": dict(done.files), "rank": rank if rank is None or rank < 1 else int(rank)}
    record |= {"relative_error": done.loss and done.loss.whole}
    record |= {"left_out": done.loss.left_out if done.loss else ()}
    lines = [*_written(done, out, rank_in_words(rank))]
    if form == "peft" and base is None:
        lines.append(_scoring(source.rstrip("/"), out))
    if done.chooses:
        lines.append("It selects among answer choices by probability, which a chat cannot do.")
    lines += (
        [_to("serve it with vLLM", "vllm", "serve", out.rstrip("/"))] if form == "merged" else []
    )
    print_either(record, lines, as_json)


def _scoring(run: str, out: str) -> str:
    """The command that compares a copy with a run's result; it names a metric that `eval` does not
    take from the run: one of several, or code.
    """
    from pyswarmopt_llm.searching.scoring.result import read_result

    words = ["swarm-llm", "eval", "--run", run, "--adapter", out, "--against", f"{run}/best"]
    result = read_result(user_path(run))
    metrics = [] if result is None else [each.metric for each in result.objectives.values()]
    if len(set(metrics)) > 1 or any(is_own("metric", metric) for metric in metrics):
        words += ["--metric", metrics[0]]
    return _to("compare it with the original", *words)


def _written(done: Any, out: str, rank: str) -> Iterator[str]:
    """The written files, and what they lack."""
    size = sum(done.files.values()) / 2**20
    yield f"wrote {out}: {', '.join(done.files)} ({size:,.1f} MiB)"
    if done.loss is not None:
        yield (
            f"The copy, {rank}, differs from the original by {done.loss.whole:.1%} of its change "
            "(Frobenius norm)"
        )
        if left_out := done.loss.left_out:
            more = len(left_out) - 1
            also = f" and {counted(more, 'more parameter')}" if more else ""
            held = "no LoRA of linear layers holds them"
            yield f"Left out, and counted as lost: {left_out[0]}{also}; {held}"


def _to(purpose: str, *words: str) -> str:
    return f"To {purpose}: {shlex.join(words)}"
