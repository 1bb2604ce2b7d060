"""`swarm-llm check`: whether each adapter is applied."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.options import Json
from pyswarmopt_llm.common.options import Base, Device, Threads

if TYPE_CHECKING:
    from pyswarmopt_llm.tools.check import CheckReport


def command(
    adapters: Annotated[list[str], typer.Argument(metavar="DIR...", help="LoRA adapters.")],
    base: Base,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Check that adapters apply, whole and at their scale.

    No examples are needed. Exit code 1 if something is wrong with one of them.

    Example: swarm-llm check adapters/* --base embedded:smollm2-135m
    """
    from pyswarmopt_llm.tools.check import check

    report = check(adapters, base, device, threads)
    if as_json:
        typer.echo(json.dumps(check_record(report)))
    else:
        for adapter in report.adapters:
            echo(str(adapter))
    if not report.ok:
        raise typer.Exit(1)


def check_record(report: CheckReport) -> dict[str, Any]:
    """The report as JSON values."""
    adapters = [{**asdict(adapter), "ok": adapter.ok} for adapter in report.adapters]
    return {"base": report.base, "adapters": adapters, "ok": report.ok}
