"""`pyswarmopt run`: one search on a test function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt.cli.options import DEFAULT, Dim, Json, Particles, known_recipe
from pyswarmopt.cli.terminal import echo
from pyswarmopt.cli.words import counted


def command(
    function: Annotated[str, typer.Argument(metavar="FUNCTION", help="A name of `pyswarmopt list`.")],
    recipe: Annotated[str, typer.Option(metavar="R", help="A recipe of `pyswarmopt list`.")] = DEFAULT,
    dim: Dim = 2,
    particles: Particles = None,
    max_evals: Annotated[int | None, typer.Option(min=1, metavar="E", help="Evaluations (1000 D).")] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="The same seed gives the same search.")] = 0,
    animate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Moving picture: .gif, .mp4 or .html; needs --dim 2.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Minimise a test function with a swarm.

    Before the name may stand shifted: and rotated:, for an optimum elsewhere and turned axes; nevergrad:NAME takes
    one of nevergrad's functions.

    Example: pyswarmopt run shifted:rastrigin --recipe spso2011 --seed 1 --animate swarm.html
    """
    from pyswarmopt._minimize import minimize
    from pyswarmopt.driver.result import INTERRUPTED
    from pyswarmopt.teaching.functions.problems import problem

    chosen = known_recipe(recipe)
    asked = problem(function, dim, seed)
    if animate is not None:
        from pyswarmopt.inspect.plot.animation import check_target

        check_target(animate)
        if dim != 2:
            raise ValueError(f"--animate {animate}: shows two dimensions; leave out --dim {dim}")
    result = minimize(
        asked.function,
        asked.bounds,
        recipe=None if chosen == DEFAULT else chosen,
        population=particles,
        max_evals=max_evals or 1000 * dim,
        seed=seed,
        history="iteration" if animate is None else "particles",
    )
    if as_json:
        told = {
            "function": function,
            "recipe": chosen,
            "dim": dim,
            "seed": seed,
            "x": result.x.tolist(),
            "value": result.fun,
            "optimum": asked.optimum,
            "evaluations": result.nfev,
            "iterations": result.nit,
            "stop": result.stop,
            "animation": None if animate is None else str(animate),
        }
        typer.echo(json.dumps(told))
    else:
        above = "" if asked.optimum is None else f", {result.fun - asked.optimum:.3g} above the optimum"
        echo(f"{function}, {counted(dim, 'dimension')}, {chosen}, seed {seed}: {result.fun:.6g}{above}")
        place = ", ".join(f"{x:.6g}" for x in result.x[:10]) + (", ..." if dim > 10 else "")
        echo(f"at ({place}) after {counted(result.nfev, 'evaluation')}: {result.message}")
    if INTERRUPTED in result.stop:
        raise typer.Exit(130)
    if animate is not None:
        from pyswarmopt.inspect.plot import animate as film

        film(result, animate, asked.function, asked.bounds, title=f"{function}, {chosen}")
        if not as_json:
            echo(f"wrote {animate}")
