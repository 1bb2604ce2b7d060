"""`pyswarmopt compare`: recipes against each other on test functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyswarmopt.base.words import counted
from pyswarmopt.cli.help import OUTPUT
from pyswarmopt.cli.options import Dim, Json, Particles, known_recipe
from pyswarmopt.cli.terminal import echo, open_console

if TYPE_CHECKING:
    from pyswarmopt.teaching.functions.compare import Outcome

PLOTS = (".png", ".pdf", ".svg")


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
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Plot the convergence: .png, .pdf or .svg.", rich_help_panel=OUTPUT
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare recipes: median result over seeds with its 95% interval; best medians are marked.

    Example: pyswarmopt compare rastrigin rotated:ellipsoid --recipes constriction,clpso --dim 10
    --plot c.png
    """
    from rich.progress import Progress

    from pyswarmopt.teaching.functions.compare import compare
    from pyswarmopt.teaching.functions.problems import problem

    names = list(
        dict.fromkeys(known_recipe(name.strip()) for name in recipes.split(",") if name.strip())
    )
    if not names:
        raise ValueError("--recipes: name at least one, such as constriction,clpso")
    problems = [problem(name, dim) for name in dict.fromkeys(functions)]
    if plot is not None:
        _check(plot)

    with Progress(console=open_console(stderr=True), transient=True, disable=as_json) as progress:
        task = progress.add_task("searches", total=len(problems) * len(names) * seeds)
        outcomes = compare(
            problems, names, seeds, max_evals, particles, lambda: progress.advance(task)
        )
    if as_json:
        about = {
            "dim": dim,
            "max_evals": max_evals,
            "seeds": seeds,
            "outcomes": [o.to_json() for o in outcomes],
        }
        typer.echo(json.dumps(about))
    else:
        _table(outcomes, dim, max_evals, seeds)
    if plot is not None:
        _draw(outcomes, plot)
        if not as_json:
            echo(f"wrote {plot}")


def _check(plot: Path) -> None:
    if plot.suffix not in PLOTS:
        raise ValueError(f"--plot {plot}: ends in {', '.join(PLOTS)}")
    if not plot.absolute().parent.is_dir():
        raise ValueError(f"--plot {plot}: its folder does not exist; create it first")


def _table(outcomes: list[Outcome], dim: int, max_evals: int, seeds: int) -> None:
    from rich.table import Table

    all_known = all(outcome.problem.optimum is not None for outcome in outcomes)
    what = (
        "distance to the optimum"
        if all_known
        else "best value (distance to the optimum where it is known)"
    )
    title = [
        what,
        counted(dim, "dimension"),
        counted(max_evals, "evaluation"),
        counted(seeds, "seed"),
    ]
    table = Table(title=", ".join(title), title_justify="left")
    for heading in ("function", "recipe", "median", "95% interval" if seeds > 5 else "range"):
        table.add_column(heading, justify="left" if heading in ("function", "recipe") else "right")
    best = {
        o.problem.name: min(p.median() for p in outcomes if p.problem is o.problem)
        for o in outcomes
    }
    before = ""
    for outcome in outcomes:
        name, median, (low, high) = outcome.problem.name, outcome.median(), outcome.interval()
        if before not in ("", name):
            table.add_section()
        mark = " *" if median == best[name] else "  "
        table.add_row(
            "" if name == before else name,
            outcome.recipe,
            f"{median:.3g}{mark}",
            f"{low:.3g} to {high:.3g}",
        )
        before = name
    open_console().print(table)


def _draw(outcomes: list[Outcome], path: Path) -> None:
    from matplotlib.figure import Figure

    from pyswarmopt.inspect.plot import convergence

    names = list(dict.fromkeys(outcome.problem.name for outcome in outcomes))
    figure = Figure(figsize=(4.6 * len(names) + 0.6, 3.8), layout="constrained")
    for ax, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        of_function = [outcome for outcome in outcomes if outcome.problem.name == name]
        convergence(
            {o.recipe: list(o.results) for o in of_function}, ax, of_function[0].problem.optimum
        )
        ax.set_title(name)
    figure.savefig(path, dpi=130)
