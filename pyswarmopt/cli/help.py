"""Layout of the help: a line per option, in groups, on one screen; rarely used options by name
only. ``--help-all`` shows everything.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, ClassVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from pyswarmopt.base.words import largest
from pyswarmopt.cli.start import INTERRUPTED
from pyswarmopt.cli.terminal import complain, echo

SETTINGS = "Settings"
OUTPUT = "Output"
EVERYTHING = "--help-all"
EXAMPLE = "Example: "
HEADING = 12  # columns of a heading beside commands
WIDE = 100  # most columns of the help, however wide the terminal is


class HelpCommand(TyperCommand):
    """A command whose help lists options by group; its integer options have upper bounds, named in
    the error message.
    """

    # headings of the groups, in order; arguments come first
    headings: ClassVar[tuple[str, ...]] = (SETTINGS, OUTPUT)

    @property
    def only_named(self) -> list[str]:
        """Hidden options: the help only names them."""
        return [param.opts[0] for param in self.params if getattr(param, "hidden", False)]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help; the parser's own formatter prints nothing."""
        print_help(self, ctx)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the whole help if requested, else parse and refuse numbers that are too large."""
        if EVERYTHING in args and not ctx.resilient_parsing:
            print_help(self, ctx, everything=True)
            ctx.exit()
        rest = super().parse_args(ctx, args)
        param: Any
        for param in self.params:
            value = ctx.params.get(param.name)
            most = largest(str(param.name))
            if isinstance(value, int) and value > most:
                raise typer.BadParameter(
                    f"{value} is too large; give at most {most}", ctx=ctx, param=param
                )
        return rest


class HelpGroup(TyperGroup):
    """The list of commands, under their registered headings."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help; the parser's own formatter prints nothing."""
        console = _console()
        _head(console, f"{ctx.command_path} COMMAND [OPTIONS]", _paragraphs(self.help or ""))
        sections: dict[str, list[Any]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            heading = getattr(command, "rich_help_panel", None)
            sections.setdefault(heading if isinstance(heading, str) else "Commands", []).append(
                command
            )
        table = _table(2)
        for heading, commands in sections.items():
            words = [*textwrap.wrap(heading, HEADING), *[""] * len(commands)]
            for word, command in zip(words, commands, strict=False):
                summary = re.split("[:;.] ", next(_paragraphs(command.help or "")))[0].rstrip(".")
                table.add_row(
                    Text(word, style="bold"), Text(command.name, style="cyan"), Text(summary)
                )
        console.print(table)
        for line in (self.epilog or "").splitlines():
            console.print(Text(line), soft_wrap=True)


def run_app(app: typer.Typer, name: str, arguments: list[str]) -> int:
    """Run a program's command line; return the exit code. The parser's errors become one line on
    stderr.
    """
    try:
        code = app(args=arguments, prog_name=name, standalone_mode=False)
    except typer.TyperException as error:
        # with its did-you-mean, as the parser would print it
        text = error.format_message() if hasattr(error, "format_message") else str(error)
        help_of = getattr(getattr(error, "ctx", None), "command_path", name)
        return complain(f"{text} (see {help_of} --help)", arguments)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def version_option(package: str) -> Any:
    """The switch ``--version``, which prints a package's version and exits."""

    def show(asked: bool) -> None:
        if asked:
            echo(str(import_module(package).__version__))
            raise typer.Exit

    return typer.Option(
        "--version", callback=show, is_eager=True, help="Show the version and exit."
    )


def print_help(command: Any, ctx: Any, everything: bool = False) -> None:
    """Print a command's usage, first paragraph, options by group and example.

    Args:
        command: a `HelpCommand` of the parser.
        ctx: its context, with the command's full name.
        everything: whether to show the other paragraphs, and hidden options with their texts;
            otherwise these are only named.
    """
    console = _console()
    required = [_left(param) for param in command.params if param.required]
    summary, *others = _paragraphs(command.help or "")
    example = [text for text in others if text.startswith(EXAMPLE)]
    more = [text for text in others if text not in example] if everything else []
    usage = " ".join([ctx.command_path, *required, "[OPTIONS]"])
    _head(console, usage, [summary, *more])
    table = _table(1)
    for heading, params in grouped(command, ctx, everything):
        table.add_row(Text(heading, style="bold"), "")
        for param in params:
            table.add_row(Text(f"  {_left(param)}", style="cyan"), Text(_right(param)))
    console.print(table)
    if command.only_named and not everything:
        names = Text(" ".join(command.only_named), style="cyan")
        console.print(Text(f"More, explained by {EVERYTHING}: ").append(names))
    for text in example:
        console.print(Text(text), soft_wrap=True)


def grouped(command: Any, ctx: Any, hidden: bool = False) -> list[tuple[str, list[Any]]]:
    """A command's arguments and options by heading of the help.

    Args:
        command: command of the parser.
        ctx: its context.
        hidden: whether to include options that the help only names.
    """
    headings = ("Arguments", *getattr(command, "headings", HelpCommand.headings))
    groups: dict[str, list[Any]] = {name: [] for name in headings}
    for param in command.get_params(ctx):
        if isinstance(param, TyperArgument):
            groups["Arguments"].append(param)
        elif hidden or not getattr(param, "hidden", False):
            heading = OUTPUT if param.name == "help" else param.rich_help_panel
            groups[heading or SETTINGS].append(param)
    return [(name, params) for name, params in groups.items() if params]


def default_of(param: Any) -> Any:
    """The default worth showing: None for switches, and for options that are simply not given.

    Example:
        >>> from types import SimpleNamespace
        >>> default_of(SimpleNamespace(default=""))
    """
    value = param.default if isinstance(param, TyperOption) and not param.is_flag else None
    return None if callable(value) or value in ("", [], ()) else value


def _console() -> Console:
    console = Console(highlight=False)
    console.width = min(console.width, WIDE)
    return console


def _head(console: Console, usage: str, paragraphs: Iterable[str]) -> None:
    console.print(Text("Usage: ").append(usage, style="bold"))
    for paragraph in paragraphs:
        console.print(Text(paragraph))
    console.print()


def _table(fixed: int) -> Table:
    """A table with unwrapped first columns."""
    table = Table.grid(padding=(0, 2))
    for _ in range(fixed):
        table.add_column(no_wrap=True)
    return table


def _paragraphs(text: str) -> Iterator[str]:
    """A docstring's paragraphs, with lines joined except after \b."""
    for paragraph in text.strip("\n").split("\n\n"):
        kept = paragraph.strip("\n")
        yield kept.removeprefix("\b\n") if kept.startswith("\b") else " ".join(kept.split())


def _left(param: Any) -> str:
    """An option as typed: ``--experts DIR...``, ``RUN``, ``--json``."""
    if isinstance(param, TyperArgument):
        return str(param.metavar or param.name.upper())
    # short names first; the parser keeps no order
    names = sorted([*param.opts, *param.secondary_opts], key=lambda name: name.startswith("--"))
    return f"{', '.join(names)} {'' if param.is_flag else param.metavar or ''}".rstrip()


def _right(param: Any) -> str:
    """An option's purpose and default."""
    default = default_of(param)
    ending = " (required)" if param.required else "" if default is None else f" [{default}]"
    return f"{param.help or ''}{ending}"
