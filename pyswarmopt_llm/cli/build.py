"""Makes commands of functions: a configuration among the parameters stands for its fields' options."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import cache
from itertools import chain
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from pyswarmopt_llm.common.errors import InvalidOption, spell
from pyswarmopt_llm.common.files.json_types import fits, typed
from pyswarmopt_llm.common.options import RARE, Option, option_in, option_name
from pyswarmopt_llm.common.registry import is_there, load, plugins, unknown

_CLI = "pyswarmopt_llm.cli"
_TOOLS = "pyswarmopt_llm.tools.cli"

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
    "Check and find": {
        "eval": f"{_CLI}.evaluate:command",
        "inspect": f"{_CLI}.inspect:command",
        "check": f"{_TOOLS}:check",
        "find": f"{_TOOLS}:find",
    },
    "Compare and combine": {
        "train-expert": f"{_CLI}.train_expert:command",
        **{name: point.value for name, point in plugins("commands").items()},
    },
}
# Command -> "module:function", for installed rooms.
COMMANDS = {
    name: target
    for section in SECTIONS.values()
    for name, target in section.items()
    if is_there(target.partition(":")[0])
}


EMPTY = inspect.Parameter.empty
COEFFICIENTS = "settings"  # field for the values of `--set` that are not rare settings


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

    @property
    def rare(self) -> bool:
        """Whether the option exists only as `--set NAME=VALUE`."""
        return self.option.group == RARE

    def parameter(self) -> inspect.Parameter:
        """The parameter for Typer: tuples are lists, or texts with commas."""
        kind = self.kind
        default = self.default
        option = self.option
        if self.several and option.commas:
            kind = str
            default = EMPTY if default is EMPTY else ",".join(default)
        elif self.several:
            kind, default = (list[str], EMPTY) if default is EMPTY else (list[str] | None, None)
        said = typer.Option(
            flag(self.name, option),
            metavar=option.metavar or None,
            help=with_flags(option.help),
            hidden=option.hidden,
            rich_help_panel=option.group,
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
            value = tuple(value or ())
        if self.several and get_args(self.kind)[0] is not str:
            value = tuple(_pair(self.name, text, self.option.metavar) for text in value)
        self.option.check(self.name, value)
        return value

    def read_text(self, text: str) -> Any:
        """The value from the text after ``NAME=``.

        Raises:
            InvalidOption: the value has another type, or is out of range.
        """
        try:
            value = text if fits(text, self.kind) else typed(json.loads(text), self.kind)
        except ValueError as error:
            raise InvalidOption(
                self.name, text, f"write {self.option.metavar or 'true'}"
            ) from error
        self.option.check(self.name, value)
        return value


SET = Setting(
    "set", tuple[str, ...], Option("A rare setting, of those above.", "NAME=VALUE", hidden=True), ()
)


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
        return list(chain(*settings_of(hint).values()))
    return []


def as_command(function: Callable[..., None]) -> Callable[..., None]:
    """The function with a parameter for each option, for Typer; rare settings share ``--set``.

    Args:
        function: its parameters are configurations, have an `Option`, or are Typer's.
    """
    hints = get_type_hints(function, include_extras=True)
    groups = settings_of(function)
    settings = [*chain(*groups.values())]
    rare = {setting.name: setting for setting in settings if setting.rare}

    def command(**values: Any) -> None:
        named = _named(values.get("set") or (), rare)
        read = {s.name: s.read(values[s.name]) for s in settings if not s.rare} | named
        arguments = {name: setting.default for name, setting in rare.items()} | values | read
        for name, group in groups.items():
            if is_dataclass(hints[name]):
                given = {s.name: read[s.name] for s in group if s.name in read}
                arguments[name] = hints[name](**given)
        function(**{name: arguments[name] for name in groups})

    parameters: list[inspect.Parameter] = []
    for name, own in inspect.signature(function).parameters.items():
        parameters += [setting.parameter() for setting in groups[name] if not setting.rare]
        if not groups[name]:
            parameters.append(_keyword(name, hints[name], own.default))
    if rare:
        parameters.append(SET.parameter())
    parameters.sort(key=lambda parameter: parameter.default is not EMPTY)  # required ones first
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__ = "\n\n".join([inspect.cleandoc(function.__doc__ or ""), *_listed(rare)])
    return command


def _listed(rare: Mapping[str, Setting]) -> list[str]:
    """A paragraph of the full help: each rare setting and its meaning."""
    lines = [
        f"  {option_name(name)}={setting.option.metavar or 'true'}  {with_flags(setting.option.help)}"
        for name, setting in rare.items()
        if name != COEFFICIENTS
    ]
    return ["\n".join(["\b", f"{RARE}, with --set:", *lines])] if lines else []


def _named(texts: Sequence[str], rare: Mapping[str, Setting]) -> dict[str, Any]:
    """Rare setting -> its value; any other name is a coefficient for `settings`."""
    named: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        field = name.replace("-", "_")
        if field in rare:
            named[field] = rare[field].read_text(value if equals else "true")
        elif COEFFICIENTS in rare:
            named[COEFFICIENTS] = (*named.get(COEFFICIENTS, ()), text)
        else:
            raise unknown(COEFFICIENTS, name, map(option_name, rare))
    return named


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


def flag(field: str, option: Option) -> str:
    """A field as typed on the command line.

    Example:
        >>> flag("max_iter", Option("Iterations.")), flag("samples", Option("Replies.", group=RARE))
        ('--max-iter', '--set samples')
    """
    if field == COEFFICIENTS:
        return "--set"
    return f"--{'set ' if option.group == RARE else ''}{option_name(field, option)}"


@cache
def _flags() -> dict[str, str]:
    """Field -> its typed form, over the options of all commands."""
    flags: dict[str, str] = {}
    for target in COMMANDS.values():
        for group in settings_of(load(target)).values():
            flags |= {setting.name: flag(setting.name, setting.option) for setting in group}
    return flags


def as_flag(field: str, value: str = "") -> str:
    """A field as typed, possibly with a value; other words in backticks stay.

    Example:
        >>> as_flag("tasks"), as_flag("samples", " 3"), as_flag("trust_remote_code")
        ('--task', '--set samples=3', '`trust_remote_code`')
    """
    name = _flags().get(field)
    if name is None:
        return f"`{field}{value}`"
    return name + (value.replace(" ", "=", 1) if " " in name else value)


def with_flags(text: str) -> str:
    """A note with its settings as typed.

    Example:
        >>> with_flags("`max_iter` N: iterations first")
        '--max-iter N: iterations first'
    """
    return spell(text, as_flag)
