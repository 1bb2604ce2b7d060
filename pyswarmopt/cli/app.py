"""The commands `lesson`, `run`, `compare` and `list`."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pyswarmopt.base.words import COUNT, SEED, counted
from pyswarmopt.cli.terminal import (
    complain,
    echo,
    run_app,
    tame_warnings,
    unreadable,
    version_option,
)

DEFAULT = "default"  # recipe=None of `minimize`
LARGE = 10**6  # most dimensions, particles and seeds

Function = Annotated[
    str,
    typer.Argument(
        metavar="FUNCTION",
        help="Name from `pyswarmopt list`; shifted: and rotated: before it move its optimum and turn its axes.",
    ),
]
Dim = Annotated[int, typer.Option(min=1, max=LARGE, metavar="D", help="Dimensions.")]
Particles = Annotated[
    int | None,
    typer.Option(min=1, max=LARGE, metavar="N", help="Particles (default: the recipe's)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

app = typer.Typer(
    name="pyswarmopt",
    help="Particle swarms on test functions: run one, watch it, compare recipes, open the lesson.",
    epilog="Exit codes: 0 done, 2 wrong input (one line on stderr, nothing written), 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def pyswarmopt(version: Annotated[bool, version_option("pyswarmopt")] = False) -> None: ...


@app.command()
def lesson(
    out: Annotated[Path, typer.Option(metavar="FILE", help="New file, .html.")] = Path(
        "pso-lesson.html"
    ),
    open_it: Annotated[bool, typer.Option("--open/--no-open", help="Open it.")] = True,
    as_json: Json = False,
) -> None:
    """Write the step-by-step lesson, one page that works offline, and open it."""
    import webbrowser

    from pyswarmopt.teaching.lesson import write

    size = write(out)
    if as_json:
        typer.echo(json.dumps({"out": str(out), "bytes": size}))
    else:
        echo(f"wrote {out} ({size / 1e6:.1f} MB, one file, works offline)")
    if open_it and not webbrowser.open(out.absolute().as_uri()):
        echo(f"no browser was found: open {out} yourself", err=True)


@app.command()
def run(
    function: Function,
    recipe: Annotated[
        str, typer.Option(metavar="R", help="Recipe (see `pyswarmopt list`).")
    ] = DEFAULT,
    dim: Dim = 2,
    particles: Particles = None,
    max_evals: Annotated[
        int | None, typer.Option(min=1, max=COUNT, metavar="E", help="Most calls (1000 D).")
    ] = None,
    seed: Annotated[int, typer.Option(max=SEED, metavar="S", help="Random seed.")] = 0,
    animate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="New animation, .gif.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Minimise a test function.

    Example: pyswarmopt run shifted:rastrigin --recipe spso2011 --seed 1 --animate swarm.gif
    """
    from pyswarmopt._minimize import minimize
    from pyswarmopt.inspect.plot.animation import animate as draw
    from pyswarmopt.inspect.plot.animation import check_target
    from pyswarmopt.teaching.functions.problems import problem

    chosen = recipe.replace("-", "_")
    task = problem(function, dim, seed)
    if animate is not None:
        check_target(animate)
    r = minimize(
        task.function, task.bounds, recipe=None if chosen == DEFAULT else chosen,
        population=particles, max_evals=max_evals or 1000 * dim, seed=seed,
        history="iteration" if animate is None else "particles",
    )  # fmt: skip
    if as_json:
        record = {
            "function": function, "recipe": chosen, "dim": dim, "seed": seed,
            "x": r.x.tolist(), "value": r.fun, "optimum": task.optimum, "evaluations": r.nfev,
            "iterations": r.nit, "stop": r.stop,
            "animation": None if animate is None else str(animate),
        }  # fmt: skip
        typer.echo(json.dumps(record))
    else:
        shown = ", ".join(f"{value:.6g}" for value in r.x[:10]) + (", ..." if dim > 10 else "")
        echo(f"{function}, {counted(dim, 'dimension')}, {chosen}, seed {seed}: {r.fun:.6g}")
        echo(f"{r.fun - task.optimum:.3g} above the optimum, at ({shown})")
        echo(f"after {counted(r.nfev, 'evaluation')}: {r.message}")
    if r.status == "interrupted":
        raise typer.Exit(130)
    if animate is not None:
        behind = task.function if dim == 2 else None
        draw(r, animate, behind, task.bounds, title=f"{function}, {chosen}")
        if not as_json:
            echo(f"wrote {animate}")


@app.command()
def compare(
    functions: Annotated[list[str], typer.Argument(metavar="FUNCTION...", help="As for `run`.")],
    recipes: Annotated[
        str, typer.Option(metavar="R,R", help="Recipes, with commas; FILE.py:NAME for yours.")
    ] = "constriction,spso2011,clpso",
    dim: Dim = 5,
    particles: Particles = None,
    max_evals: Annotated[
        int, typer.Option(min=1, max=COUNT, metavar="E", help="Calls of each search.")
    ] = 5000,
    seeds: Annotated[
        int, typer.Option(min=1, max=LARGE, metavar="N", help="Searches of each pair.")
    ] = 15,
    as_json: Json = False,
) -> None:
    """Compare recipes: median over seeds with its 95% interval, and a sign test of each against the
    first, corrected by Holm.

    Example: pyswarmopt compare rastrigin rotated:ellipsoid --recipes constriction,mine.py:mine
    """
    from pyswarmopt.cli.compare import entries, mean_ranks, named, search_all

    found = search_all(
        functions, named(recipes), dim, seeds, hidden=as_json,
        max_evals=max_evals, population=particles,
    )  # fmt: skip
    if as_json:
        about = {"dim": dim, "max_evals": max_evals, "seeds": seeds, "outcomes": entries(found)}
        typer.echo(json.dumps({**about, "mean_ranks": mean_ranks(found)}))
        return
    for function, comparison in found.items():
        echo(f"{function}, {counted(dim, 'dimension')}, {counted(max_evals, 'evaluation')}")
        echo(f"{comparison}\n")
    ranks = sorted(mean_ranks(found).items(), key=lambda item: item[1])
    echo("mean ranks: " + ", ".join(f"{name} {rank:.2g}" for name, rank in ranks))


@app.command(name="list")
def show_list(
    what: Annotated[
        str, typer.Argument(metavar="[functions|recipes|NAME]", help="All, one kind, or one.")
    ] = "all",
    as_json: Json = False,
) -> None:
    """List test functions (formula, optimum, domain, source) and recipes (equation, source)."""
    from pyswarmopt.algorithms.registry import RECIPES
    from pyswarmopt.base.spelling import did_you_mean
    from pyswarmopt.teaching.functions.functions import ALL

    name = what.replace("-", "_")
    names = ["all", "functions", "recipes", *ALL, *RECIPES]
    if name not in names:
        hint = did_you_mean(name, names, "see pyswarmopt list")
        raise ValueError(f"nothing is called {what!r}; {hint}")
    functions = [_about(f) for f in ALL.values() if name in ("all", "functions", f.name)]
    recipes = [_recipe(key) for key in RECIPES if name in ("all", "recipes", key)]
    if as_json:
        typer.echo(json.dumps({"functions": functions, "recipes": recipes}))
        return
    for entry in functions:
        low, high = entry["domain"]
        optimum = ", ".join(f"{x:.6g}" for x in entry["optimum"])
        echo(f"{entry['name']}\n  {entry['formula']}")
        echo(f"  optimum {entry['optimal_value']:.6g} at ({optimum})")
        echo(f"  domain [{low:g}, {high:g}]; dimensions: {entry['dimensions']}")
        echo(f"  {entry['source']}")
    for entry in recipes:
        echo(f"{entry['name']}\n  {entry['title']}\n  {entry['equation']}")


def _about(function: Any) -> dict[str, Any]:
    dim = max(function.min_dim, 2)
    return {
        "name": function.name,
        "formula": function.formula,
        "dimensions": function.dimensions(),
        "domain": list(function.domain),
        "optimum": function.optimum(dim).tolist(),
        "optimal_value": function.optimal_value(dim),
        "in_dimension": dim,
        "source": function.source,
    }


def _recipe(name: str) -> dict[str, Any]:
    """Title with source, and equation: the first two paragraphs of the recipe's documentation."""
    from pyswarmopt.algorithms.registry import RECIPES

    doc = inspect.getdoc(RECIPES[name]) or ""
    title, equation, *_ = (" ".join(paragraph.split()) for paragraph in doc.split("\n\n"))
    return {"name": name, "title": title, "equation": equation.replace("``", "")}


def run_line(arguments: list[str]) -> int:
    """Run a command line; return the exit code. Wrong input is one line on stderr."""
    tame_warnings()
    if problem := unreadable(arguments):
        return complain(problem)
    try:
        return run_app(app, "pyswarmopt", arguments or ["--help"])
    except (ValueError, OSError) as error:
        return complain(str(error), arguments)
    except ImportError as error:
        return complain(f"{error.name or error} is needed for this: install the extra 'toy'")
    except MemoryError:
        return complain("does not fit into memory; lower --dim or --particles")
