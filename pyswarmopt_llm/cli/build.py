"""Turns functions into commands: a configuration among the parameters stands for its fields' options."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from dataclasses import is_dataclass
from inspect import Parameter
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from pyswarmopt_llm.common.errors import spell
from pyswarmopt_llm.common.options import RARE, as_flag, option_in
from pyswarmopt_llm.common.registry import plugins

_CLI = "pyswarmopt_llm.cli"
# Section of the help -> command -> "module:function". They are strings, as entry points are: a
# command's module is imported when the command is called.
SECTIONS: dict[str, dict[str, str]] = {
    "Start": {"demo": f"{_CLI}.demo:command"},
    "Search": {
        "search": f"{_CLI}.search:command",
        "resume": f"{_CLI}.search:resume",
        "report": f"{_CLI}.search:report",
        "analyse": f"{_CLI}.tools:analyse",
    },
    "Use a result": {
        "choose": f"{_CLI}.use:choose",
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
COMMANDS = {name: target for commands in SECTIONS.values() for name, target in commands.items()}
EMPTY = Parameter.empty


class Command:
    """A function with a parameter for each option, as Typer reads it.

    Typer, like `inspect.signature`, takes the parameters of a callable object from its attribute
    ``__signature__`` (PEP 362).

    Args:
        function: its parameters are configurations, have an `Option`, or are Typer's.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function
        self._parameters = _parameters(function)
        self._options = {each.name: _options(each) for each in self._parameters}
        all_options = itertools.chain.from_iterable(self._options.values())
        self.__doc__ = function.__doc__
        self.__signature__ = inspect.Signature([_for_typer(option) for option in all_options])
        self.__annotations__ = {}  # types are in the signature

    def __call__(self, **values: Any) -> None:
        """Call the function with the values that Typer has read.

        Raises:
            InvalidOption: a value is out of range.
        """
        arguments = {}
        for parameter in self._parameters:
            name = parameter.name
            read = {each.name: _read(each, values[each.name]) for each in self._options[name]}
            if is_dataclass(parameter.annotation):
                arguments[name] = parameter.annotation(**read)  # type: ignore[operator]
            else:
                arguments[name] = read[name]
        self._function(**arguments)


def _parameters(of: Callable[..., Any]) -> list[Parameter]:
    """The parameters of a function or class, with their types."""
    hints = get_type_hints(of, include_extras=True)
    parameters = inspect.signature(of).parameters
    return [parameters[name].replace(annotation=hints[name]) for name in parameters]


def _options(parameter: Parameter) -> list[Parameter]:
    """The parameter, or a configuration's fields that have options."""
    if not is_dataclass(parameter.annotation):
        return [parameter]
    return [each for each in _parameters(parameter.annotation) if option_in(each.annotation)]  # type: ignore[arg-type]


def _for_typer(parameter: Parameter) -> Parameter:
    """The parameter for Typer: tuples are lists."""
    option = option_in(parameter.annotation)
    if option is None:  # Typer's own
        return parameter.replace(kind=Parameter.KEYWORD_ONLY)
    kind = get_args(parameter.annotation)[0]
    default = parameter.default
    if default is EMPTY and not option.required:
        default = ""
    if get_origin(kind) is tuple:
        kind = list[str]
        default = default or ()
    said = typer.Option(
        as_flag(parameter.name),
        metavar=option.metavar,
        help=with_flags(option.help),
        hidden=option.group == RARE,
        show_default=default is not EMPTY and bool(default),  # not: off, 0, nothing
        rich_help_panel=option.group,
    )
    hint: Any = Annotated[kind, said]
    return Parameter(parameter.name, Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _read(parameter: Parameter, value: Any) -> Any:
    """The value from Typer's value.

    Raises:
        InvalidOption: the value is out of range.
    """
    option = option_in(parameter.annotation)
    if option is None:
        return value
    if option.commas:
        value = [part.strip() for text in value for part in text.split(",")]
    if isinstance(value, list):
        value = tuple(filter(None, value))
    option.check(parameter.name, value)
    return value


def with_flags(text: str) -> str:
    """A note with its settings as typed on the command line.

    Example:
        >>> with_flags("`max_iter` is at least 1")
        '--max-iter is at least 1'
    """
    return spell(text, as_flag)
