"""Shared by commands: options with several values, and configuration files."""

from __future__ import annotations

import itertools
import textwrap
import tomllib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperOption

from pyswarmopt.cli.help import HelpCommand
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_text
from pyswarmopt_llm.common.options import GROUPS, MACHINE, OUTPUT, TASK, Option, ServerFolder
from pyswarmopt_llm.common.registry import lookup


def spread(args: Sequence[str], variadic: Sequence[str]) -> list[str]:
    """Repeat a variadic option before each of its values, as the parser requires.

    Every word up to the next option belongs to it, as a shell's `adapters/*` expands.

    Example:
        >>> spread(["--experts", "a", "b", "--out", "run"], ["--experts"])
        ['--experts', 'a', '--experts', 'b', '--out', 'run']
    """
    out: list[str] = []
    current: str | None = None
    filled = False
    for arg in args:
        if arg.startswith("-"):
            name, equals, _ = arg.partition("=")
            current = name if name in variadic else None
            filled = bool(equals)
        elif current is not None:
            if filled:
                out.append(current)
            filled = True
        out.append(arg)
    return out


def refuse_empty(args: Sequence[str], options: Collection[str]) -> None:
    """Refuse options with empty values, such as a shell's unset variables.

    Example:
        >>> refuse_empty(["--base", "", "--out", "run"], ["--base", "--out"])
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: --base: is empty; give it a value, or leave the option out
    """
    for option, value in itertools.pairwise([*args, "-"]):
        name, equals, rest = option.partition("=")
        if name in options and not (rest if equals else value):
            raise UserError(f"{name}: is empty; give it a value, or leave the option out")


def refuse_repeated(args: Sequence[str], options: Collection[str]) -> None:
    """Refuse a second value of an option that takes one, and of which other commands take several: the
    parser keeps the last.

    Example:
        >>> refuse_repeated(["--metric", "f1", "--metric=bleu"], ["--metric"])
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: --metric: is given twice; this command takes one, so run it for each
    """
    names = [arg.partition("=")[0] for arg in args]
    for option in options:
        if names.count(option) > 1:
            raise UserError(f"{option}: is given twice; this command takes one, so run it for each")


class SwarmCommand(HelpCommand):
    """A command with variadic options (dots after the value)."""

    headings = GROUPS

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Spread the variadic options, then parse as usual."""
        several = []
        valued = []
        single = []
        for param in self.params:
            several += param.opts if (param.metavar or "").endswith("...") else []
            valued += [] if getattr(param, "is_flag", False) else param.opts
            single += [] if getattr(param, "multiple", False) else param.opts
        refuse_empty(args, valued)
        refuse_repeated(args, {"--task", "--metric"}.intersection(single))
        return super().parse_args(ctx, spread(args, several))


def names_block(heading: str, names: Iterable[str]) -> list[str]:
    """A heading and names, as lines of help.

    Example:
        >>> names_block("Two", ["one", "two"])
        ['Two: one, two']
    """
    return textwrap.wrap(
        f"{heading}: {', '.join(names)}", 92, subsequent_indent="  ", break_on_hyphens=False
    )


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a TOML file.

    Raises:
        UserError: the file cannot be read, or is malformed (with its line).
    """
    if path.suffix != ".toml":
        raise UserError(f"{path}: a configuration is TOML; let its name end in .toml")
    try:
        return tomllib.loads(read_text(path, INPUT_LIMIT))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check --config") from error
    except RecursionError as error:
        raise UserError(f"{path}: nested too deeply; a configuration is a flat table") from error
    except ValueError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from error


def _use_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Use the file's settings as this command's defaults; the command line still wins."""
    if path is None or ctx.resilient_parsing:
        return path
    options: dict[str, Any] = {
        max(param.opts, key=len).removeprefix("--"): param
        for param in ctx.command.params
        if isinstance(param, TyperOption) and param.name != "config"
    }
    defaults: dict[str, Any] = {}
    for key, value in read_config(path).items():
        option = lookup(f"{path}: option", key, options)
        alone = option.multiple and not isinstance(value, list)
        defaults[option.name] = [value] if alone else value
    ctx.default_map = defaults
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        is_eager=True,
        rich_help_panel=OUTPUT,
        callback=_use_config,
        help="TOML file with these options.",
    ),
]
Json = Annotated[bool, Option("Print the result as JSON.", group=OUTPUT, name="json")]
JsonLines = Annotated[
    bool, Option("Print events as JSON lines.", group=OUTPUT, hidden=True, name="json-lines")
]
DryRun = Annotated[
    bool, Option("Load, time one batch, print the cost, write nothing.", group=OUTPUT)
]
Quiet = Annotated[bool, Option("No progress display.", group=OUTPUT)]
Forgetting = Annotated[
    bool,
    Option(
        "Ask 119 everyday questions, to see what was forgotten; against the base, if no other.",
        group=TASK,
    ),
]
FailIfWorse = Annotated[
    bool,
    Option(
        "End with exit code 3 if the model is worse than that of --against: the interval of the "
        "difference lies below 0.",
        group=OUTPUT,
    ),
]


@dataclass(frozen=True)
class Again:
    """Permissions that a run, perhaps a stranger's, needs from its user; see `named_again`."""

    allow: Annotated[
        tuple[str, ...],
        Option(
            "Allow code or a judge of the run (mine.py:score, ray, judge, ...); repeatable.",
            "CODE",
            OUTPUT,
        ),
    ] = ()
    engine: Annotated[
        str | None, Option("Name the run's server to send it data.", "URL", MACHINE, hidden=True)
    ] = None
    server_folder: ServerFolder = None

    @property
    def allowed(self) -> tuple[str, ...]:
        """All given permissions."""
        return (*self.allow, *filter(None, (self.engine, self.server_folder)))


@dataclass(frozen=True)
class DisplayOptions:
    """How a command displays a search, during it and at its end."""

    quiet: Quiet = False
    as_json: Json = False
    as_lines: JsonLines = False
