"""All text printed by the commands passes through here; `base.words` decides what is shown."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pyswarmopt.base.words import one_line, visible

if TYPE_CHECKING:
    import typer
    from rich.console import Console

INTERRUPTED = 130  # a shell's exit code for SIGINT


def echo(text: str = "", err: bool = False) -> None:
    """Print text on stdout or stderr, with unsafe characters as escapes."""
    stream = sys.stderr if err else sys.stdout
    stream.write(visible(text) + "\n")
    stream.flush()


def complain(text: str) -> int:
    """Print a one-line error; return the exit code."""
    echo(f"error: {one_line(text)}", err=True)
    return 2


def open_console(**options: Any) -> Console:
    """A Rich console that shows unsafe characters as escapes, also in tables and progress displays."""
    from rich.console import Console, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    class Visible(Console):
        def render_str(self, text: str, **more: Any) -> Text:
            return super().render_str(visible(text), **more)

        def render(self, renderable: RenderableType, options: Any = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(visible(segment.text), segment.style)

    return Visible(**options)


def run_app(app: typer.Typer, name: str, arguments: list[str]) -> int:
    """Run a program's command line; return the exit code. The parser's errors become one line on
    stderr.
    """
    import typer

    try:
        code = app(args=arguments, prog_name=name, standalone_mode=False)
    except typer.TyperException as error:
        help_of = getattr(getattr(error, "ctx", None), "command_path", name)
        # with its did-you-mean, as the parser would print it
        return complain(f"{error.format_message()} (see {help_of} --help)")
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def version_option(package: str) -> Any:
    """The switch ``--version``, which prints a package's version and exits."""
    import typer

    def show(asked: bool) -> None:
        if asked:
            echo(import_module(package).__version__)
            raise typer.Exit

    return typer.Option(
        "--version", callback=show, is_eager=True, help="Show the version and exit."
    )
