"""What the commands share: options with several values, and a configuration file behind the command line."""

from __future__ import annotations

import json
import textwrap
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperOption

from pyswarmopt.cli.limits import BoundedCommand
from pyswarmopt_llm.cli.help import print_help
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_text import parse_json
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_bytes
from pyswarmopt_llm.common.registry import unknown

# Options after which every word up to the next option belongs to them, as a shell's `adapters/*` expands.
VARIADIC = ("--experts", "--members")


def spread(args: Sequence[str], variadic: Sequence[str] = VARIADIC) -> list[str]:
    """Repeat a variadic option before each of its values, which is what the parser understands.

    Example:
        >>> spread(["--experts", "a", "b", "--out", "run"])
        ['--experts', 'a', '--experts', 'b', '--out', 'run']
    """
    out: list[str] = []
    current: str | None = None
    filled = False
    for arg in args:
        if arg.startswith("-"):
            name, equals, _ = arg.partition("=")
            current, filled = (name if name in variadic else None), bool(equals)
        elif current is not None:
            if filled:
                out.append(current)
            filled = True
        out.append(arg)
    return out


class SwarmCommand(BoundedCommand):
    """A command whose `VARIADIC` options take several values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Spread the variadic options, then parse as usual."""
        return super().parse_args(ctx, spread(args))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help of `_help.py`; nothing is left for the parser's own formatter."""
        print_help(self, ctx)


def names_block(heading: str, names: Iterable[str], width: int = 92) -> list[str]:
    """A heading and names, as lines of a help text.

    Example:
        >>> names_block("Two", ["one", "two"])
        ['Two: one, two']
    """
    return textwrap.wrap(f"{heading}: {', '.join(names)}", width, subsequent_indent="  ", break_on_hyphens=False)


def read_config(path: Path) -> dict[str, Any]:
    """A flat table of settings from a TOML or JSON file.

    Raises:
        UserError: the file cannot be read, is malformed (with its line), or is not a table.
    """
    if path.suffix not in (".toml", ".json"):
        raise UserError(f"{path}: a configuration ends in .toml or .json")
    try:
        text = read_bytes(path, INPUT_LIMIT).decode("utf-8")
        table = tomllib.loads(text) if path.suffix == ".toml" else parse_json(text)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check --config") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text; save it as UTF-8") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: line {error.lineno}: not valid JSON ({error.msg})") from error
    except RecursionError as error:
        raise UserError(f"{path}: nested too deeply; a configuration is a flat table of options") from error
    except ValueError as error:
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        raise UserError(f"{path}: not valid {kind}: {error}") from error
    if not isinstance(table, dict):
        raise UserError(f'{path}: must hold a table of options, such as {{"particles": 20}}')
    return table


def _use_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Make the file's settings the defaults of this command: the command line still wins."""
    if path is None or ctx.resilient_parsing:
        return path
    options = {
        name.removeprefix("--"): param
        for param in ctx.command.params
        if isinstance(param, TyperOption)
        for name in param.opts
        if name.startswith("--") and name not in ("--config", "--help")
    }
    defaults: dict[str, Any] = {}
    for key, value in read_config(path).items():
        if key not in options:
            raise unknown(f"{path}: option", key, options)
        option = options[key]
        defaults[option.name] = [value] if option.multiple and not isinstance(value, list) else value
    ctx.default_map = defaults
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        is_eager=True,
        callback=_use_config,
        help="TOML or JSON with these options; the command line wins.",
    ),
]
Base = Annotated[str, typer.Option(metavar="B", help="Directory, hub id or embedded:smollm2-135m.")]
Experts = Annotated[list[str], typer.Option(metavar="DIR...", help="LoRA adapters; --space token takes models too.")]
Dtype = Annotated[str, typer.Option(metavar="D", help="auto, bfloat16, float16 or float32.")]
Device = Annotated[str, typer.Option(metavar="D", help="auto, cpu, cuda, cuda:1, ...")]
Threads = Annotated[int | None, typer.Option(min=1, metavar="N", help="CPU threads (torch's choice).")]
Scoring = Annotated[str, typer.Option(metavar="S", help="auto, letter, likelihood or generate.")]
Overlap = Annotated[bool, typer.Option("--allow-overlap", help="Accept items that are in dev and in test.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
JsonLines = Annotated[bool, typer.Option("--json-lines", help="Print events as JSON, one a line, as they come.")]
Track = Annotated[str | None, typer.Option(metavar="T", help="Log to trackio, wandb or tensorboard.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress display.")]

AgainUtility = Annotated[
    list[str] | None, typer.Option(metavar="M:F", help="Allow a function of the run: its --utility again.")
]
AgainTask = Annotated[
    list[str] | None, typer.Option(metavar="T", help="Allow a harness YAML of the run: its --task again.")
]
AgainMetric = Annotated[
    list[str] | None, typer.Option(metavar="M", help="Allow a metric's script of the run: its --metric again.")
]
AgainWorkers = Annotated[
    str | None, typer.Option(metavar="W", help="Allow the run's Ray cluster: its --workers again.")
]


def said_again(
    utility: Sequence[str] | None, task: Sequence[str] | None, metric: Sequence[str] | None, workers: str | None
) -> list[str]:
    """What a command line allows a stored configuration to run."""
    return [*(utility or ()), *(task or ()), *(metric or ()), *([] if workers is None else [workers])]
