"""`swarm-llm analyse`: how a run found its result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt.base.words import counted
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Allow, Json
from pyswarmopt_llm.common.options import OUTPUT, Option
from pyswarmopt_llm.reporting.summary import score_text


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished runs, or a group's directory.")],
    out: Annotated[Path | None, Option("Output directory (RUN/analysis).", "DIR", OUTPUT)] = None,
    leave_one_out: Annotated[bool, Option("Score without each expert, or decide without each member.")] = False,
    allow: Allow = (),
    as_json: Json = False,
) -> None:
    """Show how a run found its result, and which experts carry it.

    Example: swarm-llm analyse runs/first --leave-one-out
    """
    from pyswarmopt_llm.jobs.analyse import analyse

    folder = out or runs[0] / "analysis"
    record = analyse(
        runs, folder, with_leave_one_out=leave_one_out, allowed=allow, tell=lambda text: echo(text, err=True)
    )
    echo(json.dumps(record) if as_json else "\n".join([*_lines(record), f"Plots and figures: {folder}"]))


def _lines(record: dict[str, Any]) -> list[str]:
    """The findings, in sentences."""
    alone = record.get("leave_one_out", {})
    if "strategies" in alone:
        return list(_members(alone))
    return [*_runs(record), *(_experts(alone) if alone else ())]


def _runs(record: dict[str, Any]) -> list[str]:
    lines = []
    for run in record["runs"]:
        for task, case in run["emergence"].items():
            lines.append(
                f"{run['run']}, {task}: the result gets {case['emerged']} of the {case['emerged'] + case['never']} dev "
                f"items right that no expert does, and loses {case['lost']} of the {case['kept'] + case['lost']} that "
                "some expert gets right."
            )
        lines.append(f"{run['run']}: {_origin(run['origin'])}.")
    lines.append(
        f"Weak to strong (started in the lower half): {record['weak_to_strong']:.0%} of "
        f"{counted(len(record['runs']), 'run')}."
    )
    return lines


def _experts(record: dict[str, Any]) -> Iterator[str]:
    """Leave-one-out of a search, the expert that is missed most first; on test where there is a test split."""
    for task, splits in record["all"].items():
        split = "test" if "test" in splits else "dev"
        yield f"leave one out, {task} {split}: {score_text(splits[split])} with all experts that the result contains"
        rows = {name: row for name, row in record["experts"].items() if task in row["scores"]}
        for name, row in sorted(rows.items(), key=lambda pair: pair[1]["scores"][task][split]):
            start = f"  without {name} (coefficient {row['coefficient']:.2f}): {score_text(row['scores'][task][split])}"
            paired = row["paired"].get(task, {}).get(split)
            yield f"{start}{f', {_contribution(paired)}' if paired else ''}"


def _members(record: dict[str, Any]) -> Iterator[str]:
    """Leave-one-out of a group, strategy by strategy."""
    for strategy, row in record["strategies"].items():
        yield f"leave one out, {strategy}: test {score_text(row['test'])} with all members"
        for name, scores in sorted(row["members"].items(), key=lambda pair: pair[1]["test"]):
            changed = f"{counted(len(scores['decided']), 'answer')} changed"
            yield f"  without {name}: {score_text(scores['test'])}, {_contribution(scores['paired'])}, {changed}"
    for strategy, why in record["left_out"].items():
        yield f"left out: {strategy}: {with_flags(why)}"


def _contribution(paired: dict[str, Any]) -> str:
    """The contribution of one of them to the others."""
    low, high = paired["interval"]
    return (
        f"contribution {paired['difference']:+.3f} [{low:+.3f}, {high:+.3f}], {paired['gained']} gained and "
        f"{paired['lost']} lost by it"
    )


def _origin(start: dict[str, Any]) -> str:
    if start["promised"]:  # the key of analysis.json for a proposal
        return f"the result ({score_text(start['value'])}) was proposed by a model after the last iteration"
    return (
        f"particle {start['particle']} found the result ({score_text(start['value'])}) in iteration "
        f"{start['iteration']}; it started at {score_text(start['start'])}, rank {start['rank']:g} of "
        f"{start['population']}"
    )
