"""`swarm-llm analyse`: how a run found its result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt.cli.words import counted
from pyswarmopt_llm.cli.options import Allowed, Json
from pyswarmopt_llm.common.options import OUTPUT, Option
from pyswarmopt_llm.reporting.summary import score_text


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished run directories.")],
    *,
    out: Annotated[Path | None, Option("Output directory (RUN/analysis).", "DIR", OUTPUT)] = None,
    ablations: Annotated[bool, Option("Rerun without each part.")] = False,
    diversity: Annotated[bool, Option("Rerun with fewer experts.")] = False,
    allowed: Allowed,
    as_json: Json = False,
) -> None:
    """Correctness emergence and where the best particle started; ablations and diversity on request; with plots.

    Example: swarm-llm analyse runs/first --ablations
    """
    from pyswarmopt_llm.jobs.analyse import analyse

    folder = out or runs[0] / "analysis"
    found = analyse(
        runs,
        folder,
        with_ablations=ablations,
        with_diversity=diversity,
        allowed=allowed.values,
        tell=lambda text: echo(text, err=True),
    )
    echo(json.dumps(found) if as_json else "\n".join([*_lines(found), f"Plots and figures: {folder}"]))


def _lines(found: dict[str, Any]) -> list[str]:
    lines = []
    for run in found["runs"]:
        for task, case in run["emergence"].items():
            lines.append(
                f"{run['run']}, {task}: the result gets {case['emerged']} of the {case['emerged'] + case['never']} dev "
                f"items right that no expert does, and loses {case['lost']} of the {case['kept'] + case['lost']} that "
                "some expert gets right."
            )
        lines.append(f"{run['run']}: {_origin(run['origin'])}.")
    lines.append(
        f"Weak to strong (started in the lower half): {found['weak_to_strong']:.0%} of "
        f"{counted(len(found['runs']), 'run')}."
    )
    for study in ("ablations", "diversity"):
        for trial in found.get(study, ()):
            lines.append(
                f"{study}, {trial['label']}: dev {score_text(trial['dev'])}, test {score_text(trial['test'])}, "
                f"{counted(trial['evaluations'], 'evaluation')}"
            )
    return lines


def _origin(start: dict[str, Any]) -> str:
    if start["promised"]:  # the key of analysis.json for a proposal of the item model
        return f"the result ({score_text(start['value'])}) was proposed by the item model after the last iteration"
    return (
        f"particle {start['particle']} found the result ({score_text(start['value'])}) in iteration "
        f"{start['iteration']}; it started at {score_text(start['start'])}, rank {start['rank']:g} of "
        f"{start['population']}"
    )
