"""Commands out of functions: each `Option` of a parameter or a configuration is one of Typer's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import MISSING, fields, is_dataclass
from types import MappingProxyType
from typing import Annotated, Any, TypeGuard, get_args, get_origin, get_type_hints

import typer

from pyswarmopt_llm.common.errors import InvalidOption, spell
from pyswarmopt_llm.common.options import Option, check_options, option_in, option_name, options_of

PAIRS = tuple[tuple[str, str], ...]
_KNOWN: ContextVar[Mapping[str, Option]] = ContextVar("options", default=MappingProxyType({}))


def as_command(function: Callable[..., None]) -> Callable[..., None]:
    """The function with one parameter per option, as Typer reads it.

    A parameter whose type is a configuration stands for the options of all its fields; the function
    gets the configuration, in range.

    Args:
        function: its parameters are configurations, have an `Option`, or are Typer's own.
    """
    hints = get_type_hints(function, include_extras=True)
    options = options_in(function)
    signature = inspect.signature(function).parameters.values()

    def command(**values: Any) -> None:
        function(
            **{name: _value(name, hint, values) for name, hint in hints.items() if name != "return"}
        )

    parameters: list[inspect.Parameter] = []
    for parameter in signature:
        with spelling(options):
            parameters += _expanded(parameter, hints[parameter.name])
    # required ones first
    parameters.sort(key=lambda parameter: parameter.default is not inspect.Parameter.empty)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__ = function.__doc__
    return command


def flag(field: str, options: Mapping[str, Option] = MappingProxyType({})) -> str:
    """The name of a field on the command line.

    Example:
        >>> flag("max_iter")
        '--max-iter'
    """
    return f"--{option_name(field, options.get(field))}"


@contextmanager
def spelling(options: Mapping[str, Option]) -> Iterator[None]:
    """Within this context `as_flag` and `with_flags` know these options."""
    before = _KNOWN.set(options)
    try:
        yield
    finally:
        _KNOWN.reset(before)


def as_flag(field: str) -> str:
    """The name on the command line of a field; other words in backticks stay.

    Example:
        >>> with spelling({"tasks": Option("Task files.", name="task")}):
        ...     as_flag("tasks"), as_flag("trust_remote_code")
        ('--task', '`trust_remote_code`')
    """
    known = _KNOWN.get()
    return flag(field, known) if field in known else f"`{field}`"


def with_flags(text: str) -> str:
    """A note with its settings as the command line calls them.

    Example:
        >>> with spelling({"max_iter": Option("Iterations.")}):
        ...     with_flags("`max_iter` N: iterations first")
        '--max-iter N: iterations first'
    """
    return spell(text, as_flag)


def options_in(function: Callable[..., None]) -> dict[str, Option]:
    """Name -> option, of a command's parameters and of the fields of its configurations.

    Example:
        >>> from pyswarmopt_llm.common.config import SearchConfig
        >>> def search(config: SearchConfig) -> None: ...
        >>> options_in(search)["max_iter"].metavar
        'K'
    """
    options: dict[str, Option] = {}
    for name, hint in get_type_hints(function, include_extras=True).items():
        if _configuration(hint):
            options |= _shown(hint)
        elif option := option_in(hint):
            options[name] = option
    return options


def _configuration(hint: Any) -> TypeGuard[type[Any]]:
    return isinstance(hint, type) and is_dataclass(hint)


def _shown(config: type[Any]) -> dict[str, Option]:
    """Field -> option, of those on the command line."""
    return {name: option for name, option in options_of(config).items() if option.help}


def _expanded(parameter: inspect.Parameter, hint: Any) -> Iterator[inspect.Parameter]:
    """The parameters for Typer that one parameter of a command stands for."""
    if not (_configuration(hint) or option_in(hint)):
        yield parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY)
    for name, kind, option, default in _settings(parameter, hint):
        yield _parameter(name, kind, option, default)


def _settings(parameter: inspect.Parameter, hint: Any) -> Iterator[tuple[str, Any, Option, Any]]:
    """Name, type, option and default of what one parameter of a command stands for."""
    if not _configuration(hint):
        if option := option_in(hint):
            yield parameter.name, get_args(hint)[0], option, parameter.default
        return
    options, types = _shown(hint), get_type_hints(hint)
    for field in fields(hint):
        if option := options.get(field.name):
            empty = inspect.Parameter.empty if option.required else ""
            yield (
                field.name,
                types[field.name],
                option,
                empty if field.default is MISSING else field.default,
            )


def _parameter(name: str, kind: Any, option: Option, default: Any) -> inspect.Parameter:
    """An option as Typer wants it: tuples are lists or, with commas, texts."""
    if get_origin(kind) is tuple:
        required = default is inspect.Parameter.empty
        kind = str if option.commas else list[str] if required else list[str] | None
        default = default if required else ",".join(default) if option.commas else None
    said = typer.Option(
        flag(name, {name: option}),
        metavar=option.metavar or None,
        help=with_flags(option.help),
        hidden=option.hidden,
        rich_help_panel=option.group,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, said]
    )


def _value(name: str, hint: Any, values: Mapping[str, Any]) -> Any:
    """The value of a parameter of the function.

    Raises:
        InvalidOption: it is out of range.
    """
    if _configuration(hint):
        types = get_type_hints(hint)
        options = _shown(hint)
        config = hint(**{name: _read(name, types[name], options[name], values) for name in options})
        check_options(config)
        return config
    option = option_in(hint)
    if option is None:
        return values[name]
    value = _read(name, get_args(hint)[0], option, values)
    option.check(name, value)
    return value


def _read(name: str, kind: Any, option: Option, values: Mapping[str, Any]) -> Any:
    """An option's value from what Typer found."""
    value = values[name]
    if get_origin(kind) is not tuple:
        return value
    texts = (
        [text.strip() for text in value.split(",") if text.strip()]
        if option.commas
        else value or ()
    )
    return (
        tuple(_pair(name, text, option.metavar) for text in texts)
        if kind == PAIRS
        else tuple(texts)
    )


def _pair(name: str, text: str, form: str) -> tuple[str, str]:
    """``NAME=VALUE`` -> (name, value)."""
    left, equals, right = text.partition("=")
    if not (left and equals and right):
        raise InvalidOption(name, text, f"write {form}")
    return left, right
