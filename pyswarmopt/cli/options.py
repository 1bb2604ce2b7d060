"""Options shared by several commands."""

from __future__ import annotations

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
