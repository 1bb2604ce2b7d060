"""`swarm-llm doctor`: whether a search can run here."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from pyswarmopt.cli.terminal import open_console
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Json
from pyswarmopt_llm.common.options import TASK, Option

STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


def command(
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
