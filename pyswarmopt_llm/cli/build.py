"""Turns functions into commands: a configuration among the parameters stands for its fields' options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from pyswarmopt_llm.common.errors import spell
from pyswarmopt_llm.common.options import RARE, option_in, option_name
from pyswarmopt_llm.common.registry import plugins

_CLI = "pyswarmopt_llm.cli"
SECTIONS: dict[str, dict[str, str]] = {
    "Start": {"demo": f"{_CLI}.demo:command"},
    "Search": {
        "search": f"{_CLI}.search:command",
        "resume": f"{_CLI}.search:resume",
        "report": f"{_CLI}.search:report",
        "analyse": f"{_CLI}.tools:analyse",
    },
    "Use a result": {
        "predict": f"{_CLI}.use:predict",
        "generate": f"{_CLI}.use:generate",
        "export": f"{_CLI}.tools:export",
    },
    "Check": {
        "eval": f"{_CLI}.evaluate:command",
        "inspect": f"{_CLI}.inspect:command",
        "check": f"{_CLI}.inspect:check",
    },
    "Compare and combine": {
        "train-expert": f"{_CLI}.train_expert:command",
        **{name: point.value for name, point in plugins("commands").items()},
    },
}
# Command -> "module:function".
COMMANDS = {name: target for commands in SECTIONS.values() for name, target in commands.items()}
EMPTY = inspect.Parameter.empty


def as_command(function: Callable[..., None]) -> Callable[..., None]:
    """The function with a parameter for each option, for Typer.

    Args:
        function: its parameters are configurations, have an `Option`, or are Typer's.
    """
    kinds = get_type_hints(function, include_extras=True)
    inputs = {name: _inputs(name, kinds[name], default) for name, default in _defaults(function)}

    def command(**values: Any) -> None:
        arguments = {}
        for name, hints in inputs.items():
            read = {each: _read(each, hint, values[each]) for each, (hint, _) in hints.items()}
            arguments[name] = kinds[name](**read) if is_dataclass(kinds[name]) else read[name]
        function(**arguments)

    parameters = [
        _parameter(name, hint, default)
        for hints in inputs.values()
        for name, (hint, default) in hints.items()
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__doc__ = function.__doc__
    return command


def _defaults(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    parameters = inspect.signature(function).parameters
    return [(name, parameter.default) for name, parameter in parameters.items()]


def _inputs(name: str, kind: Any, default: Any) -> dict[str, tuple[Any, Any]]:
    """Name -> type and default of the options that a parameter stands for."""
    if not is_dataclass(kind):
        return {name: (kind, default)}
    hints = get_type_hints(kind, include_extras=True)
    fields = dict(_defaults(kind))  # type: ignore[arg-type]
    return {each: (hints[each], fields[each]) for each in fields if option_in(hints[each])}


def _parameter(name: str, hint: Any, default: Any) -> inspect.Parameter:
    """The parameter for Typer: tuples are lists."""
    if option := option_in(hint):
        kind = get_args(hint)[0]
        if default is EMPTY and not option.required:
            default = ""
        if get_origin(kind) is tuple:
            kind = list[str]
            default = default if default is EMPTY else list(default)
        said = typer.Option(
            f"--{option_name(name)}",
            metavar=option.metavar,
            help=with_flags(option.help),
            hidden=option.group == RARE,
            show_default=default not in (EMPTY, None, "", False),
            rich_help_panel=option.group,
        )
        hint = Annotated[kind, said]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _read(name: str, hint: Any, value: Any) -> Any:
    """The value from Typer's value.

    Raises:
        InvalidOption: the value is out of range.
    """
    option = option_in(hint)
    if option is None:
        return value
    if option.commas:
        value = [part.strip() for text in value for part in text.split(",")]
    if isinstance(value, list):
        value = tuple(filter(None, value))
    option.check(name, value)
    return value


def as_flag(field: str, value: str = "") -> str:
    """A field as typed on the command line, possibly with a value.

    Example:
        >>> as_flag("tasks"), as_flag("draws", " 3"), as_flag("settings", " repel=0")
        ('--task', '--draws 3', '--set repel=0')
    """
    return f"--{option_name(field)}{value}"


def with_flags(text: str) -> str:
    """A note with its settings as typed on the command line.

    Example:
        >>> with_flags("`max_iter` is at least 1")
        '--max-iter is at least 1'
    """
    return spell(text, as_flag)
