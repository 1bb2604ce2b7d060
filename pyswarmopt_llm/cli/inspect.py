"""`swarm-llm inspect`: whether experts fit together; `check`: whether each one is applied."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Json
from pyswarmopt_llm.cli.running import print_either
from pyswarmopt_llm.common.config import command as command_text
from pyswarmopt_llm.common.options import TASK, Device, Option, Threads
from pyswarmopt_llm.common.other_options import Base
from pyswarmopt_llm.experts.files import require_inputs

if TYPE_CHECKING:
    from pyswarmopt_llm.experts.compatibility import ExpertRow, PreflightReport

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
    rows = report.rows
    errors = {space: len(report.errors(space)) for space in sorted(SPACES, reverse=True)}
    best = recommended(errors)
    if as_json:
        problems = [{**asdict(each), "spaces": sorted(each.spaces)} for each in report.problems]
        record: dict[str, Any] = {"experts": [asdict(row) for row in rows]}
        record |= {"problems": problems, "errors": errors, "recommended": best}
        typer.echo(json.dumps(record))
    else:
        _show(report, rows, errors)
        if best is not None:
            default = " (the default)" if best == DEFAULT else ""
            echo(f"Recommended: --space {best}{default}.")
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


def recommended(errors: dict[str, int]) -> str | None:
    """The space to search in: weight changes, if they can be mixed; None: no space."""
    return next((space for space in (DEFAULT, "factor") if not errors[space]), None)


def next_command(space: str, experts: list[str], base: str | None) -> str:
    """The next step for experts that mix in this space: a search, with a pattern for experts that
    are all of a folder.
    """
    folder = folder_of(experts)
    named = experts if folder is None else [f"{folder}/*"]
    models = {"base": base or "BASE", "experts": named, "task": "TASK.json"}
    chosen = None if space == DEFAULT else space
    line = command_text("search", **models, space=chosen, out="runs/first")
    if folder is None:
        return line
    # the shell reads the star, which is not quoted
    return line.replace(shlex.quote(f"{folder}/*"), f"{shlex.quote(str(folder))}/*")


def folder_of(experts: Sequence[str]) -> Path | None:
    """The folder of which these experts are all that a shell's ``*`` finds; None: there is none."""
    folder = Path(experts[0]).parent
    named = {*map(Path, experts)}
    if len(named) < 2 or not folder.is_dir():
        return None
    found = {path for path in folder.iterdir() if not path.name.startswith(".")}
    return folder if found == named else None


def _show(report: PreflightReport, rows: Sequence[ExpertRow], errors: dict[str, int]) -> None:
    """Print the experts as a table, the problems, and the spaces, each with its own problems."""
    console = open_console()
    console.print(_table(rows))
    everywhere = [each for each in report.problems if DEFAULT in each.spaces]
    for problem in everywhere:
        echo(with_flags(f"{problem.severity}: {problem}"))
    for space, count in errors.items():
        verdict = "blocked" if count else "these experts can be mixed"
        echo(f"--space {space}: {verdict}")
        for problem in report.problems:
            if problem not in everywhere and space in problem.spaces:
                echo(with_flags(f"  {problem}"))


def _table(rows: Sequence[ExpertRow]) -> Table:
    """The experts as a table; cells are folded on a narrow screen."""
    table = Table()
    for name in WORDS:
        table.add_column(name, overflow="fold")
    for name in ("parameters", "MB"):
        table.add_column(name, overflow="fold", justify="right")
    for row in rows:
        sizes = (f"{row.parameters:,}", f"{row.bytes / 1e6:.1f}")
        table.add_row(*(escape(getattr(row, name)) for name in WORDS), *sizes)
    return table
