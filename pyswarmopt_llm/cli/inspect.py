"""`swarm-llm inspect`: whether experts fit together; `check`: whether each one is applied."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pyswarmopt.base.words import counted
from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Json
from pyswarmopt_llm.cli.running import print_either
from pyswarmopt_llm.common.config import command as command_text
from pyswarmopt_llm.common.options import TASK, Device, Option, Threads
from pyswarmopt_llm.common.other_options import Base

if TYPE_CHECKING:
    from pyswarmopt_llm.experts.compatibility import PreflightReport
    from pyswarmopt_llm.experts.table import ExpertRow

DEFAULT = "delta"  # space of the default search
_ENDLESS = 10_000  # columns of a screen that needs no folded cells
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
    """Print common properties of the experts, the rest as a table (or paragraphs if it does not
    fit), the problems, and the spaces, each with its own problems.
    """
    console = open_console()
    common, columns = differing(rows)
    table = _table(columns)
    echo(common)
    unbound = console.options.update(max_width=_ENDLESS)
    if console.measure(table, options=unbound).maximum <= console.width:
        console.print(table)
    else:
        for line in paragraphs(columns, console.width):
            echo(line)
    everywhere = [each for each in report.problems if DEFAULT in each.spaces]
    for problem in everywhere:
        echo(with_flags(f"{problem.severity}: {problem}"))
    for space, count in errors.items():
        verdict = "blocked" if count else "these experts can be mixed"
        echo(f"--space {space}: {verdict}")
        for problem in report.problems:
            if problem not in everywhere and space in problem.spaces:
                echo(with_flags(f"  {problem}"))


def differing(rows: Sequence[ExpertRow]) -> tuple[str, dict[str, list[str]]]:
    """The experts' common properties in one line, and the columns in which they differ."""
    columns = {
        **{name: [getattr(row, name) for row in rows] for name in WORDS},
        "parameters": [f"{row.parameters:,}" if row.parameters else "-" for row in rows],
        "MB": [f"{row.bytes / 1e6:.1f}" if row.bytes else "-" for row in rows],
    }
    several = len(rows) > 1
    shared = [name for name in [*columns][1:] if several and len({*columns[name]}) == 1]
    common = ", ".join(f"{name} {columns[name][0]}" for name in shared)
    experts = counted(len(rows), "expert")
    kept = {name: cells for name, cells in columns.items() if name not in shared}
    return f"{experts}, all with {common}" if shared else experts, kept


def _table(columns: Mapping[str, Sequence[str]]) -> Table:
    """The columns as a table."""
    table = Table()
    for name in columns:
        table.add_column(name, overflow="fold", justify="left" if name in WORDS else "right")
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*map(escape, cells))
    return table


def paragraphs(columns: Mapping[str, Sequence[str]], width: int) -> Iterator[str]:
    """The table for a narrow screen: each expert, with its properties indented below.

    Example:
        >>> print(*paragraphs({"expert": ["shop"], "rank": ["4"], "norm": ["-"]}, 80), sep="\\n")
        shop
          rank 4
    """
    for name, *cells in zip(*columns.values(), strict=True):
        yield name
        known = [pair for pair in zip([*columns][1:], cells, strict=True) if pair[1] != "-"]
        text = "; ".join(f"{heading} {cell}" for heading, cell in known) or "cannot be read"
        yield from textwrap.wrap(
            text,
            width,
            initial_indent="  ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
