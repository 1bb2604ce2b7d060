"""Shared by the commands: options with several values, and configuration files."""

from __future__ import annotations

import itertools
import textwrap
import tomllib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_text
from pyswarmopt_llm.common.options import OUTPUT, Option
from pyswarmopt_llm.common.registry import lookup

# What the command line no longer has: command, or option with its dashes -> what to use instead.
REMOVED = {
    "find": "see examples/find_adapters.py, which ranks many adapters through the Python API",
    "perturb": "see examples/perturb.py, which scores a model on questions with typos",
    "blind": "use swarm-llm eval --blind FILE",
    "votes": "use swarm-llm eval --votes FILE",
    "--preset": "use --paper or --reference, with --draws 1 for a single swarm",
    "--compat": "use --paper or --reference",
    "--grid": "use --paper for its grid, or --draws 1 for a single set of coefficients",
    "--forgetting": "use --against base --task builtin:everyday",
    "--fail-if-worse": "use --json and compare the interval in paired with 0",
    "--fusion": "use open_mixture(..., fusion=) in Python",
    "--columns": "rename the columns as in the search",
    "--skip-bad-rows": "correct the rows, which the message lists",
    "--text": "use a file with one row, or predict(run, [text]) in Python",
    "--engine": "docs/how-to/served-models.md shows how to serve a result",
    "--prompts": "use --task prompts:FILE",
    "--soft": "distill trains on the group's answers",
    "--temperature": "replies are greedy; swarm-llm ensemble --strategy self-consistency samples them",
    "--samples": "replies are greedy, so one of each prompt says all",
    "--json-lines": "read RUN/history.jsonl, or pass on_event= to pyswarmopt_llm.search",
    "--spare": "up to four prompts beyond each dev prompt are used",
}


def refuse_removed(words: Sequence[str], known: Collection[str]) -> None:
    """Refuse commands and options that were removed.

    Args:
        words: commands or options as typed.
        known: existing names, which are never refused.

    Raises:
        UserError: names what to use instead.

    Example:
        >>> refuse_removed(["--compat=paper"], ["--seed"])
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: --compat was removed; use --paper or --reference
    """
    for word in words:
        name = word.partition("=")[0]
        if name in REMOVED and name not in known:
            raise UserError(f"{name} was removed; {REMOVED[name]}")


def spread(args: Sequence[str], variadic: Collection[str]) -> list[str]:
    """Repeat a variadic option before each of its values, as the parser requires.

    Every word up to the next option belongs to it, as a shell's `adapters/*` expands.

    Example:
        >>> spread(["--experts", "a", "b", "--out", "run"], ["--experts"])
        ['--experts', 'a', '--experts', 'b', '--out', 'run']
    """
    out: list[str] = []
    current = ""
    filled = False
    for arg in args:
        if arg.startswith("-"):
            current = ""
            if arg in variadic:
                current = arg
            filled = False
        else:
            if current and filled:
                out.append(current)
            filled = True
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


def refuse_unclear(args: Sequence[str], options: Collection[str], single: Collection[str]) -> None:
    """Refuse empty values, such as a shell's unset variables, and second values of an option that
    accepts only one here but several in other commands.

    Args:
        args: the command line.
        options: the options that take values.
        single: those that accept one value; the parser would keep the last.

    Example:
        >>> refuse_unclear(["--base", "", "--out", "run"], ["--base", "--out"], [])
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: --base is empty; set a value, or omit the option
    """
    seen = set[str]()
    for option, after in itertools.pairwise([*args, "-"]):
        name, equals, value = option.partition("=")
        if name in options and not (value if equals else after):
            raise UserError(f"{name} is empty; set a value, or omit the option")
        if name in single and name in seen:
            raise UserError(
                f"{name} appears twice, but this command accepts only one; run it for each"
            )
        seen.add(name)


class SwarmCommand(TyperCommand):
    """A command with variadic options (whose placeholder ends in dots), a configuration file, and
    ``--help-all``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Turn ``--set`` and variadic options into plain options, then parse."""
        flags = flags_of(self)
        if "--help-all" in args:
            for param in flags.values():
                param.hidden = False
            args = ["--help"]
        words = spell_set(args, {*flags, *REMOVED})
        refuse_removed(words, flags)
        valued = {name: param for name, param in flags.items() if not param.is_flag}
        single = {name for name in valued if not valued[name].multiple}
        refuse_unclear(words, valued, single & {"--task", "--metric"})
        variadic = [name for name in valued if (valued[name].metavar or "").endswith("...")]
        return super().parse_args(ctx, spread(words, variadic))


def flags_of(command: Any) -> dict[str, Any]:
    """Option with its dashes -> parameter of a command."""
    params = [param for param in command.params if param.param_type_name == "option"]
    return {name: param for param in params for name in param.opts}


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
        UserError: the file is malformed (with its line).
        OSError: it cannot be read.
    """
    try:
        return tomllib.loads(read_text(path, INPUT_LIMIT))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error


def take_defaults(ctx: typer.Context, path: str | None) -> str | None:
    """Use the settings in the file after ``--config`` as defaults; the command line takes precedence.

    Raises:
        UserError: the file is invalid, or a setting is unknown.
    """
    if path is None:
        return None
    flags = flags_of(ctx.command)
    known = {name: flag for name, flag in flags.items() if name not in ("--config", "--help")}
    ctx.default_map = {}
    for key, value in read_config(Path(path)).items():
        refuse_removed([f"--{key}"], flags)
        param = lookup(f"{path}: option", f"--{key}", known)
        if not isinstance(value, list):
            value = [value]
        texts = list(map(str, value))
        ctx.default_map[param.name] = ",".join(texts)
        if param.multiple:
            ctx.default_map[param.name] = texts
    return path


Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file that sets these options.",
        rich_help_panel=OUTPUT,
        is_eager=True,
        callback=take_defaults,
    ),
]
Json = Annotated[bool, Option("Print the result as JSON.", group=OUTPUT)]
DryRun = Annotated[
    bool, Option("Load everything, time one batch and print the cost; write nothing.", group=OUTPUT)
]
Quiet = Annotated[bool, Option("Hide the progress display.", group=OUTPUT)]
# Permissions that a run, perhaps a stranger's, needs from its user; see `named_again`.
Allow = Annotated[
    tuple[str, ...],
    Option(
        "Allow code or a judge that the run uses (mine.py:score, ray, judge, ...); repeatable.",
        "CODE",
        OUTPUT,
    ),
]
