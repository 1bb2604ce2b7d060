"""Shared by the commands: options with several values, and configuration files."""

from __future__ import annotations

import itertools
import textwrap
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_text
from pyswarmopt_llm.common.options import OUTPUT, Option, Texts


def spread(args: Sequence[str], variadic: Collection[str]) -> list[str]:
    """Repeat a variadic option before each of its values, as the parser requires.

    Every word up to the next option belongs to it, as a shell's `adapters/*` expands.

    Example:
        >>> spread(["--experts", "a", "b", "--out", "run"], ["--experts"])
        ['--experts', 'a', '--experts', 'b', '--out', 'run']
    """
    out: list[str] = []
    option = ""
    for arg in args:
        if arg.startswith("-"):
            option = arg if arg in variadic else ""
        elif option and out[-1] != option:
            out.append(option)
        out.append(arg)
    return out


def spell_set(args: Sequence[str], options: Collection[str]) -> list[str]:
    """Each ``--set NAME=VALUE`` of an option as that option; the others are swarm coefficients.

    Example:
        >>> spell_set(["--set", "draws=3", "--set=quick", "--set", "repel=0"], ["--draws", "--quick"])
        ['--draws=3', '--quick', '--set', 'repel=0']
    """
    words: list[str] = []
    for arg in args:
        if arg.startswith("--set="):
            words.append("--set")
            arg = arg.removeprefix("--set=")
        option = f"--{arg}"
        if words[-1:] == ["--set"] and option.partition("=")[0] in options:
            words[-1] = option
        else:
            words.append(arg)
    return words


def pairs_of(args: Sequence[str]) -> list[tuple[str, str]]:
    """Each word before its "=", with what is after it, or with the next word.

    Example:
        >>> pairs_of(["--dev", "3", "--seed=4"])
        [('--dev', '3'), ('3', '--seed=4'), ('--seed', '4')]
    """
    pairs = []
    for word, after in itertools.pairwise([*args, ""]):
        name, equals, value = word.partition("=")
        pairs.append((name, value if equals else after))
    return pairs


def refuse_unclear(args: Sequence[str], flags: Mapping[str, Any]) -> None:
    """Refuse empty values, such as a shell's unset variables, and a second task or metric where a
    command accepts only one; the parser would keep the last.

    Args:
        args: the command line.
        flags: option with its dashes -> parameter, for options that take values.
    """
    seen: set[str] = set()
    for name, value in pairs_of(args):
        if name in flags and not value:
            raise UserError(f"{name} is empty; set a value, or omit the option")
        if name in seen & {"--task", "--metric"} & flags.keys() and not flags[name].multiple:
            raise UserError(
                f"{name} appears twice, but this command accepts only one; run it for each"
            )
        seen.add(name)


class SwarmCommand(TyperCommand):
    """A command with variadic options (whose placeholder ends in dots), a configuration file, and
    ``--help-all``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Turn the configuration file, ``--set`` and variadic options into plain options, then parse."""
        flags = flags_of(self)
        if "--help-all" in args:
            for param in flags.values():
                param.hidden = False
            args = ["--help"]
        words = spell_set([*from_file(args), *args], flags)
        valued = {name: param for name, param in flags.items() if not param.is_flag}
        refuse_unclear(words, valued)
        variadic = [name for name in valued if (valued[name].metavar or "").endswith("...")]
        return super().parse_args(ctx, spread(words, variadic))


def flags_of(command: Any) -> dict[str, Any]:
    """Option with its dashes -> parameter of a command."""
    return {name: each for each in command.params for name in each.opts if name.startswith("-")}


def names_block(heading: str, names: Iterable[str]) -> list[str]:
    """A heading and names, as lines of help.

    Example:
        >>> names_block("Two", ["one", "two"])
        ['Two: one, two']
    """
    return textwrap.wrap(
        f"{heading}: {', '.join(names)}", 92, subsequent_indent="  ", break_on_hyphens=False
    )


def from_file(args: Sequence[str]) -> list[str]:
    """The options in the TOML file after ``--config`` that are not on the command line, as words.

    Raises:
        UserError: the file is malformed (with its line), or names another file.
        OSError: it cannot be read.
    """
    given = dict(pairs_of(args))
    path = given.get("--config")
    if not path:
        return []
    try:
        settings = tomllib.loads(read_text(Path(path), INPUT_LIMIT))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    words = []
    for name, value in settings.items():
        if name == "config":
            raise UserError(f"{path}: option --config is unknown; remove it")
        if f"--{name}" in given or value is False:
            continue
        values = value if isinstance(value, list) else [value]
        words += [f"--{name}" if each is True else f"--{name}={each}" for each in values]
    return words


Config = Annotated[str | None, Option("TOML file that sets these options.", "FILE", OUTPUT)]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.")]
Json = Annotated[bool, Option("Print the result as JSON.", group=OUTPUT)]
DryRun = Annotated[
    bool, Option("Load everything, time one batch and print the cost; write nothing.", group=OUTPUT)
]
Quiet = Annotated[bool, Option("Hide the progress display.", group=OUTPUT)]
# Permissions that a run, perhaps a stranger's, needs from its user; see `common.trust`.
Allow = Annotated[
    Texts,
    Option(
        "Allow code or a judge that the run uses (mine.py:score, ray, judge, ...); repeatable.",
        "CODE",
        OUTPUT,
    ),
]
