"""`swarm-llm check`: whether adapters are applied; `swarm-llm doctor`: whether a search can run here."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Json
from pyswarmopt_llm.common.options import TASK, Base, Device, Option, Threads

if TYPE_CHECKING:
    from pyswarmopt_llm.jobs.check.check import CheckReport

STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


def check(
    adapters: Annotated[list[str], typer.Argument(metavar="DIR...", help="LoRA adapters.")],
    base: Base,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Check that adapters are applied, whole and at their scale.

    No examples are needed. Exit code 1 if something is wrong with one of them.

    Example: swarm-llm check adapters/* --base embedded:smollm2-135m
    """
    from pyswarmopt_llm.jobs.check import check as job

    report = job.check(adapters, base, device, threads)
    if as_json:
        typer.echo(json.dumps(as_record(report)))
    else:
        for adapter in report.adapters:
            echo(str(adapter))
    if not report.ok:
        raise typer.Exit(1)


def as_record(report: CheckReport) -> dict[str, Any]:
    """The report as JSON values."""
    adapters = [{**asdict(adapter), "ok": adapter.ok} for adapter in report.adapters]
    same_a = [{"adapters": [first, second], "cosine": cosine} for first, second, cosine in report.same_a]
    return {**asdict(report), "adapters": adapters, "same_a": same_a, "ok": report.ok}


def doctor(
    base: Annotated[
        str | None, Option("Also check this base model: directory, hub id, embedded:...", "B", TASK)
    ] = None,
    as_json: Json = False,
) -> None:
    """Check versions, device, threads, memory, disk and model files; exit code 2 if a search cannot run.

    Example: swarm-llm doctor --base embedded:smollm2-135m
    """
    from pyswarmopt_llm.jobs.doctor import PROBLEM, examine

    findings = examine(base)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        table = Table.grid(padding=(0, 2))
        for finding in findings:
            status = Text(finding.status, style=STYLES[finding.status])
            table.add_row(status, finding.topic, Text(with_flags(finding.text)))
        open_console().print(table)
    if any(finding.status == PROBLEM for finding in findings):
        raise typer.Exit(2)
