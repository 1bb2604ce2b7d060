"""Settings that few need: ``--NAME VALUE`` like every option, but only named in the help.

For the parser they are one option, ``--set NAME VALUE``, which users may type as well. A command may also take names
that are no setting here, as `search` takes the coefficients of its swarm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args, get_origin

import typer

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.options import SETTINGS, Option, option_name
from pyswarmopt_llm.common.registry import closest, unknown

SET = "--set"
FIELD = "settings"  # the parameter that takes them
_FROM_FILE = "swarm-llm.rare"  # in the context: what the configuration file says
_SWITCH = {"": True, "true": True, "false": False}


@dataclass(frozen=True)
class Rare:
    """A setting of a command: its field, type, description and default."""

    field: str
    kind: Any
    option: Option
    default: Any

    @property
    def name(self) -> str:
        """The name on the command line and in a configuration file."""
        return option_name(self.field, self.option)

    def read(self, texts: Sequence[str]) -> Any:
        """The value that the last of these texts gives; all of them where it is a tuple.

        Raises:
            InvalidOption: it is not of the setting's type.
        """
        if get_origin(self.kind) is tuple:
            return tuple(part.strip() for part in ",".join(texts).split(",")) if self.option.commas else tuple(texts)
        (kind,) = [kind for kind in get_args(self.kind) or (self.kind,) if kind is not NoneType]
        text = texts[-1]
        try:
            return _SWITCH[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError) as error:
            type_name = {bool: "true or false", int: "a whole number"}.get(kind, "a number")
            raise InvalidOption(self.field, text, f"give {type_name}") from error


def rare_of(command: Any) -> Mapping[str, Rare]:
    """Name -> setting, of a command of the parser; `cli.build` has put them beside its function."""
    rare: Mapping[str, Rare] = getattr(command.callback, "rare", {})
    return rare


def set_option(free: str = "") -> Any:
    """The option itself; `free`: the help where other names are allowed, too, else only the names are shown."""
    text = free or "A setting that few need, by its name; repeatable."
    return typer.Option(
        SET,
        metavar="NAME VALUE",
        help=text,
        hidden=not free,
        rich_help_panel=SETTINGS,
        callback=_with_file,
    )


def joined(args: Iterable[str], rare: Mapping[str, Rare]) -> list[str]:
    """``--set NAME VALUE`` and ``--NAME VALUE`` as ``--set NAME=VALUE``, one word for the parser.

    Args:
        args: a command line.
        rare: the command's.

    Example:
        >>> confirm, quick = Rare("confirm", int, Option(""), None), Rare("quick", bool, Option(""), False)
        >>> rare = {"confirm": confirm, "quick": quick}
        >>> joined(["--set", "confirm", "8", "--quick", "x"], rare), joined(["--confirm=8", "--dev", "5"], rare)
        (['--set', 'confirm=8', '--set', 'quick', 'x'], ['--set', 'confirm=8', '--dev', '5'])
    """

    def switches(name: str) -> bool:
        return name in rare and rare[name].kind is bool

    words: list[str] = []
    for word in args:
        if word.startswith("--") and word[2:].partition("=")[0] in rare:
            words += [SET, word[2:]]
            continue
        alone = words[-2:-1] == [SET] and "=" not in words[-1] and not switches(words[-1])
        if alone and not word.startswith("--"):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def read_rare(rare: Mapping[str, Rare], pairs: Iterable[str], free: bool) -> tuple[dict[str, Any], list[str]]:
    """Field -> value, of the settings that are given, and what is none of them.

    Args:
        rare: the command's.
        pairs: ``NAME=VALUE``, or the name of a switch.
        free: whether other names are allowed.

    Raises:
        UserError: an unknown name, no value, or one of another type.
    """
    texts: dict[str, list[str]] = {}
    others = []
    for pair in pairs:
        name, equals, text = pair.partition("=")
        setting = rare.get(name.replace("_", "-"))
        if setting is None and not (free and not closest(name, rare)):
            raise unknown(SET, name, rare)
        if setting is None:
            others.append(pair)
        elif not (equals or setting.kind is bool):
            raise UserError(f"--{name}: has no value; write --{name} {setting.option.metavar}")
        else:
            texts.setdefault(setting.name, []).append(text)
    return {rare[name].field: rare[name].read(values) for name, values in texts.items()}, others


def keep_from_file(ctx: typer.Context, name: str, value: Any) -> None:
    """Remember what a configuration file says of a setting, for `set_option`."""
    values = value if isinstance(value, list) else [value]
    texts = [str(item).lower() if isinstance(item, bool) else str(item) for item in values if item is not None]
    ctx.meta.setdefault(_FROM_FILE, []).extend(f"{name}={text}" for text in texts)


def _with_file(ctx: typer.Context, value: list[str] | None) -> list[str]:
    """The settings of the file, then those of the command line, which win."""
    typed = value or []
    names = {pair.partition("=")[0].replace("_", "-") for pair in typed}
    return [pair for pair in ctx.meta.get(_FROM_FILE, []) if pair.partition("=")[0] not in names] + typed
