"""`swarm-llm check`: whether each adapter is applied."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pyswarmopt_llm.cli.options import Json
from pyswarmopt_llm.cli.running import print_either
from pyswarmopt_llm.common.options import Base, Device, Threads


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
    rows = [{**asdict(adapter), "ok": adapter.ok} for adapter in report.adapters]
    record = {"base": report.base, "adapters": rows, "ok": report.ok}
    print_either(record, map(str, report.adapters), as_json)
    if not report.ok:
        raise typer.Exit(1)
