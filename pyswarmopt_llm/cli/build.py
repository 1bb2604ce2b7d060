"""Makes commands of functions: a configuration among the parameters stands for its fields' options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from pyswarmopt_llm.common.errors import InvalidOption, spell
from pyswarmopt_llm.common.options import RARE, Option, option_in, option_name
from pyswarmopt_llm.common.registry import plugins

_CLI = "pyswarmopt_llm.cli"
_TOOLS = "pyswarmopt_llm.cli.tools"

SECTIONS: dict[str, dict[str, str]] = {
    "Start": {"demo": f"{_CLI}.demo:command"},
    "Search": {
        "search": f"{_CLI}.search:command",
        "resume": f"{_CLI}.search:resume",
        "report": f"{_CLI}.search:report",
        "analyse": f"{_TOOLS}:analyse",
    },
    "Use a result": {
        "predict": f"{_CLI}.use:predict",
        "generate": f"{_CLI}.use:generate",
        "export": f"{_TOOLS}:export",
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


@dataclass(frozen=True)
class Setting:
    """An option of a command: field or parameter, type, and default (`EMPTY`: required)."""

    name: str
    kind: Any
    option: Option
    default: Any

    @property
    def several(self) -> bool:
        """Whether the value is a tuple."""
        return get_origin(self.kind) is tuple

    def parameter(self) -> inspect.Parameter:
        """The parameter for Typer: tuples are lists, or texts with commas."""
        kind = self.kind
        default = self.default
        if self.several and self.option.commas:
            kind = str
            default = EMPTY if default is EMPTY else ",".join(default)
        elif self.several:
            kind = list[str]
            default = EMPTY if default is EMPTY else []
        said = typer.Option(
            f"--{option_name(self.name)}",
            metavar=self.option.metavar,
            help=with_flags(self.option.help),
            hidden=self.option.group == RARE,
            show_default=default not in (EMPTY, None, "", False),
            rich_help_panel=self.option.group,
        )
        return _keyword(self.name, Annotated[kind, said], default)

    def read(self, value: Any) -> Any:
        """The value from Typer's value.

        Raises:
            InvalidOption: the value is out of range, or not ``NAME=VALUE`` where required.
        """
        if self.several and self.option.commas:
            value = tuple(filter(None, map(str.strip, value.split(","))))
        elif self.several:
            value = tuple(value)
        if self.several and get_args(self.kind)[0] is not str:
            value = tuple(_pair(self.name, text, self.option.metavar) for text in value)
        self.option.check(self.name, value)
        return value


def settings_of(function: Callable[..., Any]) -> dict[str, list[Setting]]:
    """Parameter of a command -> its options: one, or a configuration's; none for Typer's own
    parameters.

    Example:
        >>> from pyswarmopt_llm.common.config import SearchConfig
        >>> def search(config: SearchConfig) -> None: ...
        >>> [setting.name for setting in settings_of(search)["config"]][:2]
        ['base', 'experts']
    """
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters
    return {name: _settings(name, hints[name], p.default) for name, p in parameters.items()}


def _settings(name: str, hint: Any, default: Any) -> list[Setting]:
    if option := option_in(hint):
        default = "" if default is EMPTY and not option.required else default
        return [Setting(name, get_args(hint)[0], option, default)]
    if isinstance(hint, type) and is_dataclass(hint):
        return [setting for group in settings_of(hint).values() for setting in group]
    return []


def as_command(function: Callable[..., None]) -> Callable[..., None]:
    """The function with a parameter for each option, for Typer.

    Args:
        function: its parameters are configurations, have an `Option`, or are Typer's.
    """
    hints = get_type_hints(function, include_extras=True)
    groups = settings_of(function)

    def command(**values: Any) -> None:
        arguments: dict[str, Any] = {}
        for name, group in groups.items():
            read = {setting.name: setting.read(values[setting.name]) for setting in group}
            if is_dataclass(hints[name]):
                arguments[name] = hints[name](**read)
            else:
                arguments[name] = read.get(name, values.get(name))
        function(**arguments)

    parameters: list[inspect.Parameter] = []
    for name, own in inspect.signature(function).parameters.items():
        parameters += [setting.parameter() for setting in groups[name]]
        if not groups[name]:
            parameters.append(_keyword(name, hints[name], own.default))
    parameters.sort(key=lambda parameter: parameter.default is not EMPTY)  # required ones first
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    summary, gap, more = inspect.cleandoc(function.__doc__ or "").partition("\n\n")
    command.__doc__ = " ".join(summary.split()) + gap + more
    return command


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _pair(name: str, text: str, form: str) -> tuple[str, str]:
    """``NAME=VALUE`` -> (name, value)."""
    left, equals, right = text.partition("=")
    if not (left and equals and right):
        raise InvalidOption(name, text, f"write {form}")
    return left, right


def as_flag(field: str, value: str = "") -> str:
    """A field as typed, possibly with a value.

    Example:
        >>> as_flag("tasks"), as_flag("samples", " 3"), as_flag("settings", " repel=0")
        ('--task', '--samples 3', '--set repel=0')
    """
    return f"--{option_name(field)}{value}"


def with_flags(text: str) -> str:
    """A note with its settings as typed.

    Example:
        >>> with_flags("`max_iter` N: iterations first")
        '--max-iter N: iterations first'
    """
    return spell(text, as_flag)
