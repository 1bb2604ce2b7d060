"""`pyswarmopt compare`: recipes compared on test functions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from pyswarmopt.base.words import counted
from pyswarmopt.cli.options import Dim, Json, Particles
from pyswarmopt.cli.terminal import open_console

if TYPE_CHECKING:
    from pyswarmopt._compare import Comparison, Paired


def command(
    functions: Annotated[
        list[str],
        typer.Argument(
            metavar="FUNCTION...",
            help="Names of `pyswarmopt list`, also as shifted:NAME, rotated:NAME.",
        ),
    ],
    recipes: Annotated[
        str, typer.Option(metavar="R,R", help="Comma-separated recipes; FILE.py:NAME for yours.")
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
    """Compare recipes: median result over seeds with its 95% interval, and a paired test of each
    against the first: seeds on which it is better, p of a sign test (Holm-corrected).

    Example: pyswarmopt compare rastrigin rotated:ellipsoid --recipes constriction,mine.py:mine --dim 10
    """
    from rich.progress import Progress

    from pyswarmopt._compare import compare
    from pyswarmopt.cli.own_recipe import named
    from pyswarmopt.teaching.functions.problems import problem

    made = named(recipes)
    problems = [problem(name, dim) for name in dict.fromkeys(functions)]
    found: dict[str, Comparison] = {}
    with Progress(console=open_console(stderr=True), transient=True, disable=as_json) as progress:
        task = progress.add_task("searches", total=len(problems) * len(made) * seeds)
        for one in problems:
            found[one.name] = compare(
                one.function, one.bounds, made, seeds, one.optimum,
                on_run=lambda: progress.advance(task), max_evals=max_evals, population=particles,
            )  # fmt: skip
    if as_json:
        told = [entry for name, comparison in found.items() for entry in _entries(name, comparison)]
        about = {"dim": dim, "max_evals": max_evals, "seeds": seeds, "outcomes": told}
        about["mean_ranks"] = _mean_ranks(found)
        typer.echo(json.dumps(about))
    else:
        _table(found, dim, max_evals, seeds)
        if len(found) > 1 and len(made) > 1:
            _ranks(found)


def _entries(function: str, comparison: Comparison) -> list[dict[str, Any]]:
    """The function's entry in `--json`: one for each recipe."""
    paired = comparison.paired()
    return [
        {
            "function": function,
            "recipe": name,
            "optimum": comparison.optimum,
            "finals": comparison.finals(name).tolist(),
            "median": comparison.median(name),
            "interval": list(comparison.interval(name)),
            "against_first": paired[name]._asdict() if name in paired else None,
        }
        for name in comparison.results
    ]


def _table(found: dict[str, Comparison], dim: int, max_evals: int, seeds: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from pyswarmopt.inspect.plot.curves import interval_name

    sizes = counted(dim, "dimension"), counted(max_evals, "evaluation"), counted(seeds, "seed")
    first = next(iter(next(iter(found.values())).results))
    console = open_console()
    console.print(", ".join(["distance to the optimum", *sizes]))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in "function", "recipe":
        table.add_column(heading, no_wrap=True)
    for heading in "median", interval_name(seeds), "wins", "p":
        table.add_column(heading, justify="right")
    for function, comparison in found.items():
        paired = comparison.paired()
        best = min(comparison.median(name) for name in comparison.results)
        for name in comparison.results:
            median = comparison.median(name)
            low, high = comparison.interval(name)
            table.add_row(
                function if name == first else "", name,
                f"{median:.3g}{' *' if median == best else '  '}", f"{low:.2g} to {high:.2g}",
                *(_against(paired[name]) if name in paired else ()),
            )  # fmt: skip
        table.add_section()
    console.print(table)
    console.print(
        f"*: best median; wins: seeds on which a recipe beats {first}; p: sign test of them, "
        "Holm-corrected"
    )


def _ranks(found: dict[str, Comparison]) -> None:
    """Print each recipe's mean rank over the functions, best first."""
    ranks = _mean_ranks(found)
    told = [f"{name} {ranks[name]:.2g}" for name in sorted(ranks, key=lambda name: ranks[name])]
    open_console().print(f"mean rank over {counted(len(found), 'function')}: {', '.join(told)}")


def _mean_ranks(found: dict[str, Comparison]) -> dict[str, float]:
    """Recipe -> mean over the functions of the rank of its median, 1 for the least; ties share
    their mean rank.
    """
    names = list(next(iter(found.values())).results)
    medians = np.array([[each.median(name) for name in names] for each in found.values()])
    better = (medians[:, None] < medians[:, :, None]).sum(axis=2)
    equal = (medians[:, None] == medians[:, :, None]).sum(axis=2)
    return dict(zip(names, (better + (equal + 1) / 2).mean(axis=0).tolist(), strict=True))


def _against(paired: Paired) -> tuple[str, str]:
    return f"{paired.better} of {paired.better + paired.worse}", f"{paired.p:.2g}"
