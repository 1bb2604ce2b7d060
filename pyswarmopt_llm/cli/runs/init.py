"""`swarm-llm init`: a configuration file that explains every option."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from pyswarmopt.cli.help import default_of, grouped
from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.options import Option
from pyswarmopt_llm.common.registry import unknown

# What everybody has to set; the rest has defaults.
EXAMPLES: dict[str, Any] = {
    "base": "embedded:smollm2-135m",
    "experts": ["adapters/one", "adapters/two"],
    "members": ["adapters/one", "adapters/two"],
    "task": ["questions.json"],
    "out": "runs/first",
}
LEFT_OUT = ("config", "help")


def command(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="TOML file to create (search.toml).")
    ] = Path("search.toml"),
    of: Annotated[str, Option("A command with `config`.", "COMMAND", name="for")] = "search",
) -> None:
    """Write a configuration file with every option: its meaning and its default.

    Example: swarm-llm init search.toml
    """
    if file.suffix != ".toml":
        raise UserError(f"{file}: a configuration is written as TOML; let the name end in .toml")
    text = template(ctx, of, file)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise UserError(f"{file}: exists already; choose another name") from error
    except OSError as error:
        raise UserError(
            f"{file}: cannot be written ({error.strerror}); choose another place"
        ) from error
    required = ", ".join(name for name in EXAMPLES if f"\n{name} = " in text)
    echo(f"wrote {file}; edit {required}, then: swarm-llm {of} --config {file}")


def template(ctx: Any, of: str, file: Path) -> str:
    """The text of the file."""
    group = ctx.parent.command
    commands = {
        name: group.get_command(ctx.parent, name) for name in group.list_commands(ctx.parent)
    }
    able = {
        name: command
        for name, command in commands.items()
        if any(p.name == "config" for p in command.params)
    }
    if of not in able:
        raise unknown("--for", of, able)
    lines = [
        f"# swarm-llm {of} --config {file}",
        (
            "# Options by their long names. What is commented out has its default; the command "
            "line "
            "wins over this file."
        ),
    ]
    for heading, params in grouped(able[of], ctx, hidden=True):
        lines += ["", f"# ---- {heading} ----"]
        for param in params:
            lines += _entry(param)
    return "\n".join(lines) + "\n"


def _entry(param: Any) -> Iterator[str]:
    """An option's meaning, and the line that sets it."""
    name = max(param.opts, key=len).removeprefix("--")
    if name in LEFT_OUT:
        return
    yield ""
    yield f"# {param.help}"
    default = False if param.is_flag else default_of(param)
    if name in EXAMPLES:
        yield f"{name} = {json.dumps(EXAMPLES[name])}"
    else:  # JSON writes strings, numbers and booleans as TOML does
        yield f"# {name} = {json.dumps(default) if default is not None else param.metavar}"
