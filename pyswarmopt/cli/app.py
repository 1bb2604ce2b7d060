"""The commands `lesson`, `run`, `compare` and `list`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyswarmopt.base.spelling import did_you_mean
from pyswarmopt.base.words import COUNT, SEED, counted
from pyswarmopt.cli.terminal import complain, echo, run_app, version_option

if TYPE_CHECKING:
    from pyswarmopt.teaching.functions.functions import ToyFunction

DEFAULT = "default"  # recipe=None of `minimize`
OF_DEFAULT = f"{DEFAULT}: a Gaussian process, descents and a swarm in turns (no recipe)."
LARGE = 10**6  # most dimensions, particles and seeds

Function = Annotated[
    str,
    typer.Argument(
        metavar="FUNCTION",
        help="Name from `pyswarmopt list`; the prefix shifted: moves its optimum, and rotated: rotates its axes.",
    ),
]
Dim = Annotated[int, typer.Option(min=1, max=LARGE, metavar="D", help="Dimensions.")]
Particles = Annotated[
    int | None,
    typer.Option(min=1, max=LARGE, metavar="N", help="Particles (default: the recipe's)."),
]

app = typer.Typer(
    name="pyswarmopt",
    help="Run particle swarms on test functions, watch them, compare recipes and open the lesson.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def pyswarmopt(version: Annotated[bool, version_option("pyswarmopt")] = False) -> None: ...


@app.command()
def lesson(
    out: Annotated[Path, typer.Option(metavar="FILE", help="HTML file to create.")] = Path(
        "pso-lesson.html"
    ),
    open_it: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser.")] = True,
) -> None:
    """Write the step-by-step lesson as one page that works offline, and open it."""
    from pyswarmopt.teaching.lesson import write

    size = write(out)
    echo(f"wrote {out} ({size / 1e6:.1f} MB, one file, works offline)")
    if open_it:
        typer.launch(str(out))


@app.command()
def run(
    function: Function,
    recipe: Annotated[
        str, typer.Option(metavar="R", help="Recipe (see `pyswarmopt list`).")
    ] = DEFAULT,
    dim: Dim = 2,
    particles: Particles = None,
    max_evals: Annotated[
        int | None,
        typer.Option(
            min=1, max=COUNT, metavar="E", help="Maximum number of evaluations (default: 1000 D)."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(max=SEED, metavar="S", help="Random seed.")] = 0,
    animate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="GIF animation to create.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Minimise a test function.

    Example: pyswarmopt run shifted:rastrigin --recipe spso2011 --seed 1 --animate swarm.gif
    """
    from pyswarmopt._minimize import minimize
    from pyswarmopt.base.files import check_new
    from pyswarmopt.inspect.plot import animate as draw
    from pyswarmopt.teaching.functions.problems import problem

    chosen = recipe.replace("-", "_")
    task = problem(function, dim, seed)
    bounds = task.bounds(dim)
    optimum = task.optimal_value(dim)
    if animate is not None:
        check_new(animate, [".gif"])
    r = minimize(
        task, bounds, recipe=None if chosen == DEFAULT else chosen,
        population=particles, max_evals=max_evals or 1000 * dim, seed=seed,
        history="iteration" if animate is None else "particles",
    )  # fmt: skip
    if as_json:
        record = {
            "function": function, "recipe": chosen, "dim": dim, "seed": seed, "x": r.x.tolist(),
            "value": r.fun, "optimum": optimum, "evaluations": r.nfev, "iterations": r.nit,
            "stop": r.stop, "animation": animate,
        }  # fmt: skip
        typer.echo(json.dumps(record, default=str))
    else:
        echo(f"{function}, {counted(dim, 'dimension')}, {chosen}, seed {seed}: {r.fun:.6g}")
        echo(f"{r.fun - optimum:.3g} above the optimum, at {r.x}")
        echo(f"after {counted(r.nfev, 'evaluation')}: {r.message}")
    if r.status == "interrupted":
        raise typer.Exit(130)
    if animate is not None:
        draw(r, animate, task if dim == 2 else None, bounds, title=function)


@app.command()
def compare(
    functions: Annotated[
        list[str], typer.Argument(metavar="FUNCTION...", help="Same as for `run`.")
    ],
    recipes: Annotated[
        str,
        typer.Option(metavar="R,R", help="Comma-separated recipes."),
    ] = "constriction,spso2011,clpso",
    dim: Dim = 5,
    particles: Particles = None,
    max_evals: Annotated[
        int, typer.Option(min=1, max=COUNT, metavar="E", help="Evaluation limit per search.")
    ] = 5000,
    seeds: Annotated[
        int, typer.Option(min=1, max=LARGE, metavar="N", help="Searches per function and recipe.")
    ] = 15,
) -> None:
    """Compare recipes: the median over seeds with its 95% interval, and a Holm-corrected sign test
    of each recipe against the first.

    Example: pyswarmopt compare rastrigin rotated:ellipsoid --recipes constriction,fips
    """
    from pyswarmopt import _compare
    from pyswarmopt.teaching.functions.problems import problem

    names = [name.strip().replace("-", "_") for name in recipes.split(",")]
    tasks = {name: problem(name, dim) for name in functions}
    for name, task in tasks.items():
        found = _compare.compare(
            task, task.bounds(dim), names, seeds, task.optimal_value(dim), max_evals=max_evals, population=particles,
        )  # fmt: skip
        echo(f"{name}, {counted(dim, 'dimension')}, {counted(max_evals, 'evaluation')}")
        echo(f"{found}\n")


@app.command(name="list")
def show_list(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One function or recipe (default: all).")
    ] = None,
) -> None:
    """List the test functions (formula, optimum, domain, source) and recipes (equation, source)."""
    from pyswarmopt.algorithms.registry import RECIPES
    from pyswarmopt.teaching.functions.functions import ALL

    functions = {each: _of_function(function) for each, function in ALL.items()}
    recipes = {DEFAULT: OF_DEFAULT} | {each: _of_recipe(each, RECIPES[each]) for each in RECIPES}
    if name is not None:
        known = functions | recipes
        wanted = name.replace("-", "_").lower()
        if wanted not in known:
            hint = did_you_mean(wanted, known, "see pyswarmopt list")
            raise ValueError(f"there is no function or recipe named {name!r}; {hint}")
        echo(known[wanted])
        return
    echo("FUNCTIONS\n")
    for text in functions.values():
        echo(text)
    echo("\nRECIPES\n")
    for text in recipes.values():
        echo(text)


def _of_function(function: ToyFunction) -> str:
    """Formula, domain, optimum and source."""
    dim = max(function.min_dim, 2)
    optimum = f"{function.optimal_value(dim)} at {function.optimum(dim).tolist()}"
    return (
        f"{function.name}: {function.formula}\n"
        f"  dimensions {function.dimensions()}, domain {function.domain}, optimum {optimum}\n"
        f"  {function.source}"
    )


def _of_recipe(name: str, make: Callable[..., Any]) -> str:
    """Title with source, and equation."""
    title, equation, *_ = (inspect.getdoc(make) or "").replace("``", "").split("\n\n")
    return f"{name}: {' '.join(title.split())}\n  {' '.join(equation.split())}"


def run_line(arguments: list[str]) -> int:
    """Run a command line; return the exit code. Wrong input is one line on stderr."""
    try:
        return run_app(app, "pyswarmopt", arguments or ["--help"])
    except (ValueError, OSError) as error:
        return complain(str(error))
    except ImportError as error:
        return complain(f"{error.name or error} is not installed; install the extra 'toy'")
    except MemoryError:
        return complain("not enough memory; lower --dim or --particles")
