"""`swarm-llm inspect`: whether experts fit together and which stand out; `swarm-llm check`: whether
each is applied.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pyswarmopt.base.words import counted
from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Json
from pyswarmopt_llm.common.commands import command as command_text
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.options import TASK, Columns, Option

if TYPE_CHECKING:
    from pyswarmopt_llm.experts.compatibility import PreflightReport

DEFAULT = "delta"  # the space of `--preset auto`
NUMBERS = ("parameters", "MB", "norm", "top share", "score")
HEADINGS = ("expert", "base", "rank", "alpha", "kind", "targets", "dtype", *NUMBERS)


def report_table(report: PreflightReport) -> tuple[str, Table]:
    """The common properties of all experts in one line, and a table of their differences."""
    cells = [
        (
            *(r.expert, r.base, r.rank, r.alpha, r.kind, r.targets, r.dtype),
            *(f"{r.parameters:,}", f"{r.bytes / 1e6:.1f}"),
            *("-" if value is None else f"{value:.2f}" for value in (r.norm, r.top_share, r.score)),
        )
        for r in report.rows
    ]
    columns = dict(zip(HEADINGS, zip(*cells, strict=True), strict=True))
    if all(row.score is None for row in report.rows):
        del columns["score"]  # no task was given
    common = {
        name: values[0]
        for name, values in columns.items()
        if len(cells) > 1 and len(set(values)) == 1
    }
    table = Table()
    for heading in columns:
        if heading not in common:
            table.add_column(
                heading, overflow="fold", justify="right" if heading in NUMBERS else "left"
            )
    for row in zip(
        *(values for name, values in columns.items() if name not in common), strict=True
    ):
        table.add_row(*map(escape, row))
    shared = ", ".join(f"{name} {value}" for name, value in common.items())
    experts = counted(len(cells), "expert")
    return (f"{experts}, all with {shared}" if common else experts), table


def examine(
    experts: list[str], base: str | None, task: str | None = None, columns: tuple[str, ...] = ()
) -> tuple[PreflightReport, dict[str, int]]:
    """The report on these experts, with scores on dev if there is a task; errors by space."""
    from pyswarmopt_llm.experts.base import resolve_base
    from pyswarmopt_llm.experts.compatibility import SPACES, inspect_experts
    from pyswarmopt_llm.experts.outliers import inspect_weights

    report = inspect_weights(
        inspect_experts(experts, resolve_base(base) if base is not None else None), base
    )
    if task is not None and base is not None:
        from pyswarmopt_llm.searching.use.behaviour import inspect_behaviour

        report = inspect_behaviour(report, base, task, columns)
    return report, {space: len(report.errors(space)) for space in sorted(SPACES, reverse=True)}


def as_record(report: PreflightReport, errors: dict[str, int]) -> dict[str, Any]:
    """The report as JSON values."""
    problems = [
        {**asdict(problem), "spaces": sorted(problem.spaces)} for problem in report.problems
    ]
    record = {
        "experts": [asdict(row) for row in report.rows],
        "problems": problems,
        "errors": errors,
    }
    return {**record, "recommended": recommended(errors)}


def recommended(errors: dict[str, int]) -> str | None:
    """The space to search in: weight changes where they can be mixed; None: no space."""
    return next((space for space in (DEFAULT, "factor") if not errors[space]), None)


def next_command(
    space: str,
    experts: list[str],
    base: str | None,
    task: str | None,
    columns: tuple[str, ...] = (),
) -> str:
    """The next step with experts that mix in that space: a search."""
    models = {"base": base or "BASE", "experts": experts, "task": task or "TASK.json"}
    chosen = None if space == DEFAULT else space
    return command_text("search", **models, columns=columns, space=chosen, out="runs/first")


def command(
    experts: Annotated[list[str], typer.Argument(metavar="DIR...", help="LoRA adapters.")],
    base: Annotated[
        str | None,
        Option("Also check against this base: directory, hub id, embedded:...", "B", TASK),
    ] = None,
    task: Annotated[
        str | None, Option("Also score base and experts on its dev items.", "T", TASK)
    ] = None,
    columns: Columns = (),
    as_json: Json = False,
) -> None:
    """Say whether experts can be mixed, and who stands out; exit code 2 if no space can mix
    them.

    Example: swarm-llm inspect adapters/* --base embedded:smollm2-135m
    """
    if task is not None and base is None:
        raise InvalidOption("task", task, "is scored against the bare base; name it with `base`")
    if columns and task is None:
        raise InvalidOption(
            "columns", ",".join(columns), "are those of a task; name it with `task`"
        )
    report, errors = examine(experts, base, task, columns)
    if as_json:
        typer.echo(json.dumps(as_record(report, errors)))
    else:
        console = open_console()
        common, table = report_table(report)
        echo(common)
        console.print(table)
        for problem in report.problems:
            echo(with_flags(f"{problem.severity}: {problem}"))
        for space, count in errors.items():
            echo(
                f"--space {space}: "
                f"{f'blocked (errors: {count})' if count else 'these experts can be mixed'}"
            )
        best = recommended(errors)
        if best is not None:
            default = " (the default)" if best == DEFAULT else ""
            echo(f"Recommended: --space {best}{default}.")
            echo(f"Next: {next_command(best, experts, base, task, columns)}")
    if all(errors.values()):
        raise typer.Exit(2)
