"""`pyswarmopt run`: one search on a test function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyswarmopt.base.words import counted
from pyswarmopt.cli.help import OUTPUT
from pyswarmopt.cli.options import DEFAULT, Dim, Json, Particles
from pyswarmopt.cli.terminal import echo

if TYPE_CHECKING:
    from pyswarmopt.base.arrays import Floats
    from pyswarmopt.driver.result import Result
    from pyswarmopt.teaching.functions.problems import ToyProblem


def command(
    function: Annotated[
        str,
        typer.Argument(
            metavar="FUNCTION",
            help="Name of `pyswarmopt list`, also as shifted:NAME, rotated:NAME.",
        ),
    ],
    recipe: Annotated[
        str, typer.Option(metavar="R", help="Recipe (see `pyswarmopt list`).")
    ] = DEFAULT,
    dim: Dim = 2,
    particles: Particles = None,
    max_evals: Annotated[
        int | None, typer.Option(min=1, metavar="E", help="Evaluation budget (1000 D).")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Random seed.")] = 0,
    animate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write an animation: .gif or .html.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Minimise a test function.

    The prefixes shifted: and rotated: move the optimum and rotate the axes.

    Example: pyswarmopt run shifted:rastrigin --recipe spso2011 --seed 1 --animate swarm.html
    """
    from pyswarmopt._minimize import minimize
    from pyswarmopt.driver.result import INTERRUPTED
    from pyswarmopt.teaching.functions.problems import problem

    chosen = recipe.replace("-", "_")
    task = problem(function, dim, seed)
    if animate is not None:
        from pyswarmopt.inspect.plot.animation import check_target

        check_target(animate)
    result = minimize(
        task.function,
        task.bounds,
        recipe=None if chosen == DEFAULT else chosen,
        population=particles,
        max_evals=max_evals or 1000 * dim,
        seed=seed,
        history="iteration" if animate is None else "particles",
    )
    if as_json:
        made = {"function": function, "recipe": chosen, "dim": dim, "seed": seed}
        animation = None if animate is None else str(animate)
        record = {**made, **_record(result, task.optimum), "animation": animation}
        typer.echo(json.dumps(record))
    else:
        setting = f"{function}, {counted(dim, 'dimension')}, {chosen}, seed {seed}"
        echo(f"{setting}: {result.fun:.6g}, {result.fun - task.optimum:.3g} above the optimum")
        echo(f"at {_shown(result.x)} after {counted(result.nfev, 'evaluation')}: {result.message}")
    if INTERRUPTED in result.stop:
        raise typer.Exit(130)
    if animate is not None:
        _film(result, animate, task, title=f"{function}, {chosen}")
        if not as_json:
            echo(f"wrote {animate}")


def _film(result: Result, file: Path, task: ToyProblem, title: str) -> None:
    """Write the animation of a search; in two dimensions, over the function."""
    from pyswarmopt.inspect.plot import animate

    behind = task.function if len(result.x) == 2 else None
    animate(result, file, behind, task.bounds, title=title)


def _record(result: Result, optimum: float) -> dict[str, Any]:
    """A search's result, as JSON values."""
    return {
        "x": result.x.tolist(),
        "value": result.fun,
        "optimum": optimum,
        "evaluations": result.nfev,
        "iterations": result.nit,
        "stop": result.stop,
    }


def _shown(x: Floats) -> str:
    """A point with six digits, its first ten coordinates.

    Example:
        >>> import numpy as np
        >>> _shown(np.array([1.0, 1 / 3]))
        '(1, 0.333333)'
    """
    more = ", ..." if len(x) > 10 else ""
    return f"({', '.join(f'{value:.6g}' for value in x[:10])}{more})"
