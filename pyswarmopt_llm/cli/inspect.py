"""`swarm-llm inspect`: whether experts fit together and which stand out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pyswarmopt.base.words import counted
from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Json
from pyswarmopt_llm.common.config import command as command_text
from pyswarmopt_llm.common.options import TASK, Option

if TYPE_CHECKING:
    from pyswarmopt_llm.experts.compatibility import PreflightReport
    from pyswarmopt_llm.experts.table import ExpertRow

DEFAULT = "delta"  # the space of `--preset auto`
WORDS = ("expert", "base", "rank", "alpha", "kind", "targets", "dtype")  # columns of the table


def command(
    experts: Annotated[list[str], typer.Argument(metavar="DIR...", help="LoRA adapters.")],
    base: Annotated[
        str | None,
        Option("Also check against this base: directory, hub id, embedded:...", "B", TASK),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say whether experts can be mixed, and who stands out; exit code 2 if no space can mix
    them.

    Example: swarm-llm inspect adapters/* --base embedded:smollm2-135m
    """
    from pyswarmopt_llm.experts.base import resolve_base
    from pyswarmopt_llm.experts.compatibility import SPACES, inspect_experts, inspect_weights

    report = inspect_experts(experts, None if base is None else resolve_base(base))
    report = inspect_weights(report, base)
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


def recommended(errors: dict[str, int]) -> str | None:
    """The space to search in: weight changes where they can be mixed; None: no space."""
    return next((space for space in (DEFAULT, "factor") if not errors[space]), None)


def next_command(space: str, experts: list[str], base: str | None) -> str:
    """The next step with experts that mix in that space: a search."""
    models = {"base": base or "BASE", "experts": experts, "task": "TASK.json"}
    chosen = None if space == DEFAULT else space
    return command_text("search", **models, space=chosen, out="runs/first")


def _show(report: PreflightReport, rows: Sequence[ExpertRow], errors: dict[str, int]) -> None:
    """Print what all experts have in common, a table of the rest, and the problems."""
    common, table = report_table(rows)
    echo(common)
    open_console().print(table)
    for problem in report.problems:
        echo(with_flags(f"{problem.severity}: {problem}"))
    for space, count in errors.items():
        verdict = f"blocked (errors: {count})" if count else "these experts can be mixed"
        echo(f"--space {space}: {verdict}")


def report_table(rows: Sequence[ExpertRow]) -> tuple[str, Table]:
    """The common properties of all experts in one line, and a table of their differences."""
    columns = {
        **{name: [getattr(row, name) for row in rows] for name in WORDS},
        "parameters": [f"{row.parameters:,}" for row in rows],
        "MB": [f"{row.bytes / 1e6:.1f}" for row in rows],
        "norm": ["-" if row.norm is None else f"{row.norm:.2f}" for row in rows],
        "top share": ["-" if row.top_share is None else f"{row.top_share:.2f}" for row in rows],
    }
    shared = [name for name, cells in columns.items() if len(rows) > 1 and len({*cells}) == 1]
    table = Table()
    for name in [each for each in columns if each not in shared]:
        table.add_column(name, overflow="fold", justify="left" if name in WORDS else "right")
    for cells in zip(*(columns[name] for name in columns if name not in shared), strict=True):
        table.add_row(*map(escape, cells))
    common = ", ".join(f"{name} {columns[name][0]}" for name in shared)
    experts = counted(len(rows), "expert")
    return f"{experts}, all with {common}" if shared else experts, table
