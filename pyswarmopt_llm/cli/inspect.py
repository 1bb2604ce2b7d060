"""`swarm-llm inspect`: whether experts fit together; `check`: whether each one is applied."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Json
from pyswarmopt_llm.cli.running import print_either
from pyswarmopt_llm.common.config import command as command_text
from pyswarmopt_llm.common.options import TASK, Base, Device, Option, Threads
from pyswarmopt_llm.experts.files import require_inputs

if TYPE_CHECKING:
    from pyswarmopt_llm.experts.compatibility import PreflightReport

DEFAULT = "delta"  # space of the default search
WORDS = ("expert", "base", "rank", "alpha", "kind", "targets", "dtype")  # columns of the table


def command(
    experts: Annotated[list[str], typer.Argument(metavar="DIR...", help="LoRA adapters.")],
    base: Annotated[
        str | None,
        Option("Also check against this base: directory, hub id, embedded:...", "B", TASK),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say whether experts can be mixed; exit code 2 if no space can mix them.

    Example: swarm-llm inspect adapters/* --base embedded:smollm2-135m
    """
    from pyswarmopt_llm.experts.base import resolve_base
    from pyswarmopt_llm.experts.compatibility import SPACES, check_weights, inspect_experts

    report = inspect_experts(experts, None if base is None else resolve_base(base))
    report = check_weights(report)
    errors = {space: len(report.errors(space)) for space in sorted(SPACES)}
    best = next((space for space in errors if not errors[space]), None)
    if as_json:
        problems = [{**asdict(each), "spaces": sorted(each.spaces)} for each in report.problems]
        record = {"experts": [asdict(row) for row in report.rows], "problems": problems}
        typer.echo(json.dumps({**record, "errors": errors, "recommended": best}))
    else:
        _show(report, errors)
        if best is not None:
            echo(f"Recommended: --space {best}.")
            echo(f"Next: {next_command(best, experts, base)}")
    if best is None:
        problem = report.errors(DEFAULT)[0]
        echo(with_flags(f"error: no space can mix these experts; {problem}"), err=True)
        raise typer.Exit(2)


def check(
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
    require_inputs(adapters, base)
    from pyswarmopt_llm.tools.check import check

    report = check(adapters, base, device, threads)
    rows = [{**asdict(adapter), "ok": adapter.ok} for adapter in report.adapters]
    record = {"base": report.base, "adapters": rows, "ok": report.ok}
    print_either(record, map(str, report.adapters), as_json)
    if not report.ok:
        raise typer.Exit(1)


def next_command(space: str, experts: list[str], base: str | None) -> str:
    """The next step for experts that mix in this space: a search, with a pattern for experts that
    are all of a folder.
    """
    folder = Path(experts[0]).parent
    chosen = None if space == DEFAULT else space
    models = {"base": base or "BASE", "task": "TASK.json", "space": chosen, "out": "runs/first"}
    if len(experts) < 2 or not folder.is_dir() or {*folder.glob("[!.]*")} != {*map(Path, experts)}:
        return command_text("search", experts=experts, **models)
    pattern = f"{shlex.quote(str(folder))}/*"  # the shell reads the star, which is not quoted
    return f"{command_text('search', **models)} --experts {pattern}"


def _show(report: PreflightReport, errors: dict[str, int]) -> None:
    """Print the experts as a table, the problems, and the spaces, each with its own problems."""
    table = Table()
    for name in WORDS:
        table.add_column(name, overflow="fold")
    for name in ("parameters", "MB"):
        table.add_column(name, overflow="fold", justify="right")
    for row in report.rows:
        words = [escape(getattr(row, name)) for name in WORDS]
        table.add_row(*words, f"{row.parameters:,}", f"{row.bytes / 1e6:.1f}")
    open_console().print(table)
    for problem in report.problems:
        if DEFAULT in problem.spaces:
            echo(with_flags(f"{problem.severity}: {problem}"))
    for space, count in errors.items():
        echo(f"--space {space}: {'blocked' if count else 'these experts can be mixed'}")
        for problem in report.problems:
            if problem.spaces == {space}:
                echo(with_flags(f"  {problem}"))
