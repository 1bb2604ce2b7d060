"""`pyswarmopt lesson`: the interactive lesson as one HTML file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt.cli.help import OUTPUT
from pyswarmopt.cli.options import Json
from pyswarmopt.cli.terminal import echo


def command(
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Output file.", rich_help_panel=OUTPUT)
    ] = Path("pso-lesson.html"),
    open_it: Annotated[
        bool,
        typer.Option("--open/--no-open", help="Open it in the browser.", rich_help_panel=OUTPUT),
    ] = True,
    as_json: Json = False,
) -> None:
    """Write the step-by-step lesson, one page that works offline, and open it.

    Example: pyswarmopt lesson --out lesson.html --no-open
    """
    import webbrowser

    from pyswarmopt.teaching.lesson import write

    size = write(out)
    if as_json:
        typer.echo(json.dumps({"out": str(out), "bytes": size}))
    else:
        echo(f"wrote {out} ({size / 1e6:.1f} MB, one file, works offline)")
    if open_it and not webbrowser.open(out.absolute().as_uri()):
        echo(f"no browser was found: open {out} yourself", err=True)
