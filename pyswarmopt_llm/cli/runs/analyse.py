"""`swarm-llm analyse`: what a run tells about how it found what it found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.options import Allowed, Json
from pyswarmopt_llm.common.options import OUTPUT, Option


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished run directories.")],
    *,
    out: Annotated[Path | None, Option("Where to write (RUN/analysis).", "DIR", OUTPUT)] = None,
    ablations: Annotated[bool, Option("Search again without each part.")] = False,
    diversity: Annotated[bool, Option("Search again from fewer experts.")] = False,
    allowed: Allowed,
    as_json: Json = False,
) -> None:
    """Correctness emergence, where the best started, and on demand ablations and diversity; with plots.

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
    typer.echo(json.dumps(found) if as_json else "\n".join([*_lines(found), f"Plots and figures: {folder}"]))


def _lines(found: dict[str, Any]) -> list[str]:
    lines = []
    for run in found["runs"]:
        for task, case in run["emergence"].items():
            unknown = case["emerged"] + case["never"]
            lines.append(
                f"{run['run']}, {task}: of {unknown} dev items that no starting expert got right the final one gets "
                f"{case['emerged']}; of {case['kept'] + case['lost']} that some did it loses {case['lost']}."
            )
        start = run["origin"]
        if start["promised"]:
            where = "was proposed by the item model after the last iteration"
            lines.append(f"{run['run']}: the best ({start['value']:.3f}) {where}.")
            continue
        lines.append(
            f"{run['run']}: the best ({start['value']:.3f}, iteration {start['iteration']}) is of particle "
            f"{start['particle']}, which started at {start['start']:.3f}, rank {start['rank']:g} of "
            f"{start['population']}."
        )
    lines.append(
        f"Weak to strong (started in the lower half): {found['weak_to_strong']:.0%} of {len(found['runs'])} runs."
    )
    for study in ("ablations", "diversity"):
        for trial in found.get(study, ()):
            test = "-" if trial["test"] is None else f"{trial['test']:.3f}"
            lines.append(
                f"{study}, {trial['label']}: dev {trial['dev']:.3f}, test {test}, {trial['evaluations']} evaluations"
            )
    return lines
