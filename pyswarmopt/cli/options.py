"""Options that several commands have."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from pyswarmopt.cli.help import OUTPUT

DEFAULT = "default"  # recipe=None of `minimize`

Dim = Annotated[int, typer.Option(min=1, metavar="D", help="Dimensions.")]
Particles = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Particles (default: the recipe's).")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=OUTPUT)
]


def known_recipe(name: str) -> str:
    """The name as the library writes it: dashes count as underscores."""
    from pyswarmopt.algorithms.registry import RECIPES

    names = [DEFAULT, *RECIPES]
    recipe = name.replace("-", "_")
    if recipe not in names:
        near = difflib.get_close_matches(recipe, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"use {', '.join(names)}"
        raise ValueError(f"no recipe is called {name!r}; {hint}")
    return recipe
