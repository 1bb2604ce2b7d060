"""`pyswarmopt compare`: recipes against each other on test functions."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Annotated

import typer

from pyswarmopt.base.words import counted
from pyswarmopt.cli.options import Dim, Json, Particles
from pyswarmopt.cli.terminal import open_console

if TYPE_CHECKING:
    from pyswarmopt.teaching.functions.compare import RecipeResults


def command(
    functions: Annotated[
        list[str],
        typer.Argument(metavar="FUNCTION...", help="Test functions (see `pyswarmopt list`)."),
    ],
    recipes: Annotated[
        str, typer.Option(metavar="R,R", help="Comma-separated recipes.")
    ] = "constriction,spso2011,clpso",
    dim: Dim = 5,
    particles: Particles = None,
    max_evals: Annotated[
        int, typer.Option(min=1, metavar="E", help="Evaluation budget of each search.")
    ] = 5000,
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Searches of each pair, with seeds 0 to N-1.")
    ] = 15,
    as_json: Json = False,
) -> None:
    """Compare recipes: median result over seeds with its 95% interval; best medians are marked.

    Example: pyswarmopt compare rastrigin rotated:ellipsoid --recipes constriction,clpso --dim 10
    """
    from rich.progress import Progress

    from pyswarmopt.teaching.functions.compare import compare, problem

    given = recipes.replace("-", "_").split(",")
    names = list(dict.fromkeys(name.strip() for name in given if name.strip()))
    if not names:
        raise ValueError("--recipes: name at least one, such as constriction,clpso")
    problems = [problem(name, dim) for name in dict.fromkeys(functions)]
    with Progress(console=open_console(stderr=True), transient=True, disable=as_json) as progress:
        task = progress.add_task("searches", total=len(problems) * len(names) * seeds)
        outcomes = compare(
            problems, names, seeds, max_evals, particles, lambda: progress.advance(task)
        )
    if as_json:
        told = [outcome.to_json() for outcome in outcomes]
        about = {"dim": dim, "max_evals": max_evals, "seeds": seeds, "outcomes": told}
        typer.echo(json.dumps(about))
    else:
        _table(outcomes, dim, max_evals, seeds)


def _table(outcomes: list[RecipeResults], dim: int, max_evals: int, seeds: int) -> None:
    from rich.table import Table

    sizes = counted(dim, "dimension"), counted(max_evals, "evaluation"), counted(seeds, "seed")
    title = ", ".join(["distance to the optimum", *sizes])
    table = Table("function", "recipe", title=title, title_justify="left")
    table.add_column("median", justify="right")
    table.add_column("95% interval" if seeds > 5 else "range", justify="right")
    for of_problem in itertools.groupby(outcomes, key=lambda outcome: outcome.problem.name):
        name, rows = of_problem[0], list(of_problem[1])
        best = min(outcome.median() for outcome in rows)
        for outcome in rows:
            median, (low, high) = outcome.median(), outcome.interval()
            table.add_row(
                name if outcome is rows[0] else "", outcome.recipe,
                f"{median:.3g}{' *' if median == best else '  '}", f"{low:.3g} to {high:.3g}",
            )  # fmt: skip
        table.add_section()
    open_console().print(table)
