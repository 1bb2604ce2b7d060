"""Shared by commands: options with several values, and configuration files."""

from __future__ import annotations

import itertools
import textwrap
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer.core import TyperCommand

from pyswarmopt_llm.cli.removed import REMOVED, refuse_removed
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_text
from pyswarmopt_llm.common.options import OUTPUT, RARE, TASK, Option
from pyswarmopt_llm.common.registry import lookup, unknown


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


def spell_set(args: Sequence[str], options: Mapping[str, bool]) -> list[str]:
    """Each ``--set NAME=VALUE`` of an option as that option; the others are swarm coefficients.

    Args:
        args: the command line.
        options: option with its dashes -> whether it is a switch.

    Example:
        >>> words = ["--set", "samples=3", "--set", "quick=true", "--set", "repel=0"]
        >>> spell_set(words, {"--samples": False, "--quick": True})
        ['--samples=3', '--quick', '--set', 'repel=0']
    """
    words: list[str] = []
    for arg in args:
        if arg.startswith("--set="):
            words.append("--set")
            arg = arg.removeprefix("--set=")
        name, _, value = arg.partition("=")
        flag = f"--{name.replace('_', '-')}"
        if words[-1:] == ["--set"] and (flag in options or flag in REMOVED):
            alone = not value or (value == "true" and options.get(flag, False))
            words[-1] = flag if alone else f"{flag}={value}"
        else:
            words.append(arg)
    return words


class SwarmCommand(TyperCommand):
    """A command with variadic options (dots after the value), a configuration file, and
    ``--help-all``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Turn configuration file, ``--set`` and variadic options into plain options, then parse."""
        flags: dict[str, Any] = {name: param for param in self.params for name in param.opts}
        if "--help-all" in args:
            for param in flags.values():
                param.hidden = False
            args = ["--help"]
        several = [name for name in flags if (flags[name].metavar or "").endswith("...")]
        switches = {name: getattr(param, "is_flag", False) for name, param in flags.items()}
        single = [name for name in flags if not getattr(flags[name], "multiple", False)]
        words = spell_set(args, switches)
        refuse_removed(words, flags)
        if "--set" in words and "--set" not in flags:
            setting = words[words.index("--set") + 1].partition("=")[0]
            raise unknown("settings", setting, [name.removeprefix("--") for name in flags])
        refuse_empty(words, [name for name in flags if not switches[name]])
        refuse_repeated(words, {"--task", "--metric"}.intersection(single))
        return super().parse_args(
            ctx, spread(words_of_config(words, flags, switches) + words, several)
        )


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
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid TOML: {error}") from error


def words_of_config(
    words: Sequence[str], flags: Mapping[str, Any], switches: Mapping[str, bool]
) -> list[str]:
    """The settings of the file after ``--config`` as options; those on the command line win.

    Args:
        words: the command line.
        flags: option with its dashes -> parameter of the command.
        switches: option with its dashes -> whether it is a switch.

    Raises:
        UserError: the file is faulty, or a setting is unknown or of a wrong type.
    """
    typed = [word.partition("=")[0] for word in words]
    if "--config" not in typed or "--config" not in flags:
        return []
    place = typed.index("--config")
    path = Path(words[place].partition("=")[2] or [*words, ""][place + 1])
    settings: list[str] = []
    known = {name: flag for name, flag in flags.items() if name not in ("--config", "--help")}
    for key, value in read_config(path).items():
        refuse_removed([f"--{key}"], flags)
        lookup(f"{path}: option", f"--{key}", known)
        if f"--{key}" not in typed:
            settings += _option_words(path, key, value, switches[f"--{key}"])
    return spell_set(settings, switches)


def _option_words(path: Path, key: str, value: Any, switch: bool) -> list[str]:
    """A setting of a configuration file as typed on the command line."""
    if switch and isinstance(value, bool):
        return [f"--{key}"] if value else []
    values = value if isinstance(value, list) else [value]
    if switch or any(isinstance(each, bool | dict) for each in values):
        wanted = "true or false" if switch else "a value, or a list of values"
        raise UserError(f"{path}: {key} = {value}: of a wrong type; write {wanted}")
    return [word for each in values for word in (f"--{key}", str(each))]


Config = Annotated[str | None, Option("TOML file with these options.", "FILE", OUTPUT)]
Json = Annotated[bool, Option("Print the result as JSON.", group=OUTPUT)]
JsonLines = Annotated[bool, Option("Print events as JSON lines.", group=RARE)]
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
BlindFile = Annotated[
    str | None,
    Option(
        "Write the replies of the model and of --against as pairs for people to judge.",
        "FILE",
        OUTPUT,
    ),
]
VoteFiles = Annotated[
    tuple[str, ...],
    Option("Count the votes in this file, one copy for each voter.", "FILE...", OUTPUT),
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


@dataclass(frozen=True)
class DisplayOptions:
    """How a command displays a search, during it and at its end."""

    quiet: Quiet = False
    as_json: Json = False
    as_lines: JsonLines = False
