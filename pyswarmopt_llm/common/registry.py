"""Looks up users' names; an unknown name raises an error that suggests the closest one.

Other packages add commands, spaces, analyses and names of the Python API through entry points
(`plugins`), so this package imports none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from pyswarmopt.base.spelling import nearest
from pyswarmopt_llm.common.errors import InvalidOption, UserError

T = TypeVar("T")


def unknown(where: str, name: str, names: Iterable[str], advice: str | None = None) -> UserError:
    """The error for an unknown name.

    Args:
        where: field of a configuration, such as ``method``, or prefix of the name, such as
            ``builtin:``.
        name: name given by the user.
        names: all known names.
        advice: remedy if no name is close; None: list all names.

    Example:
        >>> str(unknown("method", "tiess", ["slerp", "ties"]))
        'method tiess is unknown; did you mean ties?'
        >>> str(unknown("method", "x", ["slerp", "ties"]))
        'method x is unknown; use one of: slerp, ties'
        >>> unknown("builtin:", "tips", ["ties"])
        UserError('builtin:tips is unknown; did you mean builtin:ties?')
    """
    names = list(names)
    shown = f"{where} {name}"
    prefix = ""
    if where.endswith(":"):
        shown = where + name
        prefix = where.split()[-1]
    close = nearest(name, names)
    if close is not None:
        hint = f"did you mean {prefix}{close}?"
    else:
        hint = advice or f"use one of: {', '.join(names)}"
    fault = "is unknown" if name else "needs a name"
    if where.isidentifier():
        return InvalidOption(where, name, f"{fault}; {hint}")
    return UserError(f"{shown} {fault}; {hint}")


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
    """Name -> entry point of the group ``swarm_llm.KIND``; entries of deleted modules, whose
    metadata may remain, are left out.

    Example:
        >>> plugins("no such kind")
        {}
    """
    group = sorted(entry_points(group=f"swarm_llm.{kind}"))
    return {point.name: point for point in group if _is_there(*point.module.split("."))}


def _is_there(package: str, *names: str) -> bool:
    """Whether there is such a module, found without importing its packages."""
    spec = find_spec(package)
    if spec is None or not names:
        return spec is not None
    paths = [Path(folder, *names) for folder in spec.submodule_search_locations or ()]
    return any(path.is_dir() or path.with_suffix(".py").is_file() for path in paths)
