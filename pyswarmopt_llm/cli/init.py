"""`swarm-llm init`: a configuration file that explains every option."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.build import COEFFICIENTS, COMMANDS, EMPTY, Setting, settings_of, with_flags
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.options import GROUPS, RARE, Option, option_name
from pyswarmopt_llm.common.registry import load, lookup

# What everybody has to set; the rest has defaults.
EXAMPLES: dict[str, Any] = {
    "base": "embedded:smollm2-135m",
    "experts": ["adapters/one", "adapters/two"],
    "members": ["adapters/one", "adapters/two"],
    "task": ["questions.json"],
    "out": "runs/first",
}


def command(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="TOML file to create (search.toml).")
    ] = Path("search.toml"),
    of: Annotated[
        str, Option("search, compare, distill, ensemble or negotiate.", "COMMAND", name="for")
    ] = "search",
) -> None:
    """Write a configuration file with every option: its meaning and its default.

    Example: swarm-llm init search.toml
    """
    if file.suffix != ".toml":
        raise UserError(f"{file}: a configuration is written as TOML; let the name end in .toml")
    text = template(of, file)
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


def template(of: str, file: Path) -> str:
    """The text of the file."""
    groups = {name: settings_of(load(target)) for name, target in COMMANDS.items()}
    able = {name: group for name, group in groups.items() if "config" in group}
    settings = [setting for group in lookup("of", of, able).values() for setting in group]
    lines = [
        f"# swarm-llm {of} --config {file}",
        "# Options by their long names. What is commented out has its default; the command line",
        "# wins over this file.",
    ]
    for heading in GROUPS:
        lines += ["", f"# ---- {heading} ----"]
        for setting in settings:
            if setting.option.group == heading:
                lines += _entry(setting)
    lines += ["", f"# ---- {RARE} ----", "", "# set = ["]
    for setting in filter(lambda setting: setting.rare, settings):
        name = "" if setting.name == COEFFICIENTS else f"{option_name(setting.name)}="
        value = _shown(setting).strip('"')
        text = json.dumps(f"{name}{value}")
        lines.append(f"#     {text},  # {with_flags(setting.option.help)}")
    return "\n".join([*lines, "# ]"]) + "\n"


def _entry(setting: Setting) -> list[str]:
    """An option's meaning, and the line that sets it."""
    name = option_name(setting.name, setting.option)
    line = (
        f"{name} = {json.dumps(EXAMPLES[name])}"
        if name in EXAMPLES
        else f"# {name} = {_shown(setting)}"
    )
    return ["", f"# {with_flags(setting.option.help)}", line]


def _shown(setting: Setting) -> str:
    """The default as TOML, or else what stands for the value."""
    if setting.default in (None, "", (), EMPTY):
        return setting.option.metavar
    # JSON writes strings, numbers and booleans as TOML does
    return json.dumps(setting.default)
