"""Looks up users' names; an unknown name raises an error that lists those that exist.

Other packages add commands, spaces and names of the Python API through entry points
(`plugins`), so this package imports none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from pyswarmopt_llm.common.errors import InvalidOption, UserError

T = TypeVar("T")


def unknown(where: str, name: str, names: Iterable[str], advice: str | None = None) -> UserError:
    """The error for an unknown name.

    Args:
        where: field of a configuration, such as ``method``, or prefix of the name, such as
            ``builtin:``.
        name: name given by the user.
        names: all known names.
        advice: remedy; None: list the names.

    Example:
        >>> str(unknown("method", "x", ["slerp", "ties"]))
        'method x is unknown; use one of: slerp, ties'
        >>> unknown("builtin:", "tips", ["ties"])
        UserError('builtin:tips is unknown; use one of: ties')
    """
    fault = "is unknown" if name else "needs a name"
    why = f"{fault}; {advice or 'use one of: ' + ', '.join(names)}"
    if where.isidentifier():
        return InvalidOption(where, name, why)
    gap = "" if where.endswith(":") else " "
    return UserError(f"{where}{gap}{name} {why}")


def lookup(where: str, name: str, table: Mapping[str, T]) -> T:
    """The entry with this name.

    Raises:
        UserError: there is no such entry; see `unknown`.
    """
    if name not in table:
        raise unknown(where, name, table)
    return table[name]


def load(target: str) -> Any:
    """Import and return the object at ``module:name``.

    Example:
        >>> load("math:pi")
        3.141592653589793
    """
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


@cache
def plugins(kind: str) -> dict[str, EntryPoint]:
    """Name -> entry point of the group ``swarm_llm.KIND``.

    Example:
        >>> plugins("no such kind")
        {}
    """
    return {point.name: point for point in sorted(entry_points(group=f"swarm_llm.{kind}"))}
