"""`swarm-llm distill`: one adapter that learns what a group answers."""

from __future__ import annotations

import json

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt.cli.words import counted
from pyswarmopt_llm.cli.models.train_expert import step_display
from pyswarmopt_llm.cli.options import DryRun, Json, Quiet
from pyswarmopt_llm.cli.runs.planning import print_plan
from pyswarmopt_llm.groups.config import DistillConfig


def command(config: DistillConfig, *, dry_run: DryRun = False, quiet: Quiet = False, as_json: Json = False) -> None:
    """Train one adapter on a group's answers to dev questions, so that one model does what the group did.

    Example: swarm-llm distill --base B --members adapters/* --task questions.json --strategy weighted --out student
    """
    if dry_run:
        from pyswarmopt_llm.jobs.dry_run.groups import dry_run_distill

        print_plan(dry_run_distill(config), as_json)
        return
    from pyswarmopt_llm.groups.distillation import distill

    with step_display(quiet) as on_step:
        found = distill(config, on_step)
    if as_json:
        typer.echo(json.dumps(found))
        return
    if "note" in found:
        echo(found["note"], err=True)
    for who in ("base", "group", "student"):
        low, high = found[who]["test_interval"]
        echo(
            f"{who:8}test {found[who]['test']:.3f} [{low:.3f}, {high:.3f}], {found[who]['tokens']:,.0f} tokens per item"
        )
    echo(f"wrote {config.out}: {counted(found['steps'], 'step')} on {counted(found['questions'], 'dev question')}")
