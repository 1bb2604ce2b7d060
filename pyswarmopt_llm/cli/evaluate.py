"""`swarm-llm eval`: the score of a model on a task, or of two models side by side."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.cli.running import check_files, check_model, items_bar, loading, print_either
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.options import OUTPUT, Option
from pyswarmopt_llm.use.config import EvalConfig, OnItems, check_run

if TYPE_CHECKING:
    from pyswarmopt_llm.use.evaluate import EvalResult

Shown = tuple[Sequence[str], dict[str, Any], str]  # lines, JSON, note


def command(
    options: EvalConfig,
    blind: Annotated[
        str | None,
        Option("Write pairs of replies from both models, for people to judge.", "FILE", OUTPUT),
    ] = None,
    votes: Annotated[
        tuple[str, ...],
        Option("Count the votes in these files, one file per voter.", "FILE...", OUTPUT),
    ] = (),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Score a model, or compare two, with 95% intervals.

    Example: swarm-llm eval --base B --adapter runs/first/best --task questions.json --split test
    """
    if votes:
        _count(votes, as_json)
        return
    config = _with_run(options, quiet or as_json)
    with items_bar(quiet or as_json) as on_items:
        if blind is not None:
            lines, record, note = _pairs(blind, config, on_items)
        elif config.against is not None:
            lines, record, note = _two(config, on_items)
        else:
            lines, record, note = _one(config, on_items)
    if note:
        record["note"] = note
    if quiet:
        note = ""
    print_either(record, lines, as_json, note)


def _with_run(options: EvalConfig, quiet: bool) -> EvalConfig:
    """The options and those of the run, which knows how to read its tasks; paths are checked first."""
    if options.run is not None:
        check_run(user_path(options.run))
    elif options.task:
        check_files(options, [options.task])
    for name in (options.base, options.adapter, options.against):
        check_model(name)
    with loading(quiet):
        from pyswarmopt_llm.use.opening import with_run
    return with_run(options)


def _one(config: EvalConfig, on_items: OnItems) -> Shown:
    """The score of one model."""
    from pyswarmopt_llm.report.against import score_lines
    from pyswarmopt_llm.use.evaluate import evaluate

    result = evaluate(config, on_items)
    record = {**_record(result, (config.base, config.adapter)), "split": config.split}
    return list(score_lines(result, config.split)), record, result.note


def _record(result: EvalResult, model: tuple[str, str | None]) -> dict[str, Any]:
    """A score and what it is of, as JSON."""
    base, adapter = model
    value, interval = result.shown
    return {
        "base": base,
        "adapter": adapter,
        "task": result.task,
        "metric": result.metric,
        "scoring": result.scoring,
        "value": value,
        "interval": interval,
        "better": "lower" if result.lower else "higher",
        "unit": result.unit,
        "stderr": result.score.stderr,
        "n": result.n,
        "named": result.score.named,
        "by_label": result.by_label and asdict(result.by_label),
    }


def _two(config: EvalConfig, on_items: OnItems) -> Shown:
    """Two models on the same items."""
    from pyswarmopt_llm.report.against import against_lines
    from pyswarmopt_llm.report.phrases import turned
    from pyswarmopt_llm.use.evaluate import evaluate_against

    result = evaluate_against(config, on_items)
    one, other = result.results
    pair = result.paired
    if pair is not None and one.lower:
        pair = turned(pair)
    record = {
        **_record(one, result.models[0]),
        "split": config.split,
        "against": _record(other, result.models[1]),
        "paired": pair and asdict(pair),
        "wins": result.wins and asdict(result.wins),
        "gained": _as_read(result.gained, one.lower),
        "lost": _as_read(result.lost, one.lower),
    }
    return list(against_lines(result, config.split)), record, one.note


def _as_read(rows: Sequence[dict[str, Any]], lower: bool) -> list[dict[str, Any]]:
    """Examples with their values as people read them, which are stored with the other sign if lower is
    better.
    """
    sign = -1.0 if lower else 1.0
    return [row | {"values": [sign * value + 0.0 for value in row["values"]]} for row in rows]


def _pairs(file: str, config: EvalConfig, on_items: OnItems) -> Shown:
    """Replies of two models for people to judge."""
    from pyswarmopt_llm.tools.blind import key_of, write_pairs

    path = user_path(file)
    written = write_pairs(config, path, on_items)
    key = str(key_of(path))
    record = {"pairs": len(written.ours), "file": file, "key": key}
    lines = [
        f"{file}: {record['pairs']} pairs of replies; enter 1, 2 or tie in the column vote.",
        "Identical replies are skipped.",
        f"The key is in {key}; do not show it to the voters.",
        f"Then run: swarm-llm eval --votes {shlex.quote(file)}",
    ]
    return lines, record, ""


def _count(files: Sequence[str], as_json: bool) -> None:
    """Print the verdict of votes, and the rate of wins."""
    from pyswarmopt_llm.report.phrases import score_text
    from pyswarmopt_llm.tools.blind import count_votes

    votes = count_votes(files)
    first, second = votes.names
    lines = [
        votes.verdict.sentence,
        *votes.verdict.reasons,
        f"{first} has a win rate of {score_text(votes.value, votes.interval)} against {second} (ties count as "
        f"half): {votes.paired.gained} won, {votes.paired.lost} lost.",
    ]
    print_either(asdict(votes), lines, as_json)
