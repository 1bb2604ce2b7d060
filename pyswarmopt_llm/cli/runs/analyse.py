"""`swarm-llm analyse`: which experts carry a result, or which members a decision."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from pyswarmopt.base.words import counted
from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Again, Json
from pyswarmopt_llm.common.options import OUTPUT, Option
from pyswarmopt_llm.reporting.summary import score_text


def command(
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
    from pyswarmopt_llm.jobs.analyse import analyse

    folder = out or run / "analysis"
    record = analyse(run, folder, allowed=again.allowed, tell=lambda text: echo(text, err=True))
    if as_json:
        echo(json.dumps(record))
        return
    left_out = record["leave_one_out"]
    for line in (_members if "strategies" in left_out else _experts)(left_out):
        echo(line)
    echo(f"All figures: {folder}/analysis.json")


def _experts(record: dict[str, Any]) -> Iterator[str]:
    """Leave-one-out of a search, the expert that is missed most first; on test where there is a
    test split.
    """
    for task, splits in record["all"].items():
        split = "test" if "test" in splits else "dev"
        yield (
            f"leave one out, {task} {split}: {score_text(splits[split])} with all experts that "
            "the result contains"
        )
        rows = {name: row for name, row in record["experts"].items() if task in row["scores"]}
        for name, row in sorted(rows.items(), key=lambda pair: pair[1]["scores"][task][split]):
            start = (
                f"  without {name} (coefficient {row['coefficient']:.2f}): "
                f"{score_text(row['scores'][task][split])}"
            )
            paired = row["paired"].get(task, {}).get(split)
            yield f"{start}{f', {_contribution(paired)}' if paired else ''}"


def _members(record: dict[str, Any]) -> Iterator[str]:
    """Leave-one-out of a group, strategy by strategy."""
    for strategy, row in record["strategies"].items():
        yield f"leave one out, {strategy}: test {score_text(row['test'])} with all members"
        for name, scores in sorted(row["members"].items(), key=lambda pair: pair[1]["test"]):
            changed = f"{counted(len(scores['decided']), 'answer')} changed"
            yield (
                f"  without {name}: {score_text(scores['test'])}, "
                f"{_contribution(scores['paired'])}, {changed}"
            )
    for strategy, why in record["left_out"].items():
        yield f"left out: {strategy}: {with_flags(why)}"


def _contribution(paired: dict[str, Any]) -> str:
    """The contribution of one of them to the others."""
    low, high = paired["interval"]
    return (
        f"contribution {paired['difference']:+.3f} [{low:+.3f}, {high:+.3f}], {paired['gained']} "
        "gained and "
        f"{paired['lost']} lost by it"
    )
