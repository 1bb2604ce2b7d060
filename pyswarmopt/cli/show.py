"""`pyswarmopt list`: the test functions and the recipes."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyswarmopt.base.spelling import did_you_mean
from pyswarmopt.cli.options import Json
from pyswarmopt.cli.terminal import open_console

if TYPE_CHECKING:
    from pyswarmopt.teaching.functions.functions import ToyFunction

SHEETS = ("all", "functions", "recipes")


def command(
    what: Annotated[
        str, typer.Argument(metavar="[functions|recipes|NAME]", help="All, one kind, or one entry.")
    ] = "all",
    as_json: Json = False,
) -> None:
    """List test functions (formula, optimum, domain, source) and recipes (equation, source).

    Example: pyswarmopt list functions
    """
    functions, recipes = _chosen(what)
    if as_json:
        typer.echo(json.dumps({"functions": functions, "recipes": recipes}))
    else:
        for entry in functions:
            _print(entry["name"], [entry["formula"], _where(entry), entry["source"]])
        for entry in recipes:
            _print(entry["name"], [entry["title"], entry["equation"]])


def _chosen(what: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    from pyswarmopt.algorithms.registry import RECIPES
    from pyswarmopt.teaching.functions.functions import ALL

    name = what.replace("-", "_")
    names = [*SHEETS, *ALL, *RECIPES]
    if name not in names:
        hint = did_you_mean(name, names, "see pyswarmopt list")
        raise ValueError(f"nothing is called {what!r}; {hint}")
    functions = [_about(f) for f in ALL.values() if name in ("all", "functions", f.name)]
    recipes = [_recipe(key) for key in RECIPES if name in ("all", "recipes", key)]
    return functions, recipes


def _about(function: ToyFunction) -> dict[str, Any]:
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
    """Title with source, and the equation: the first two paragraphs of the recipe's documentation."""
    from pyswarmopt.algorithms.registry import RECIPES

    doc = inspect.getdoc(RECIPES[name]) or ""
    title, equation, *_ = (" ".join(paragraph.split()) for paragraph in doc.split("\n\n"))
    return {"name": name, "title": title, "equation": equation.replace("``", "")}


def _where(entry: dict[str, Any]) -> str:
    optimum = ", ".join(f"{x:.6g}" for x in entry["optimum"])
    low, high = entry["domain"]
    return (
        f"optimum {entry['optimal_value']:.6g} at ({optimum}); domain [{low:g}, {high:g}]; "
        f"dimensions: {entry['dimensions']}"
    )


def _print(name: str, lines: list[str]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console = open_console(highlight=False)
    console.print(Text(name, style="bold"))
    for line in lines:
        console.print(Padding(Text(line), (0, 0, 0, 2)))
