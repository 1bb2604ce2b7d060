"""Names that users give, looked up in a table: one error for all of them, with the closest name as a suggestion."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from pyswarmopt_llm.common.errors import UserError

T = TypeVar("T")


def unknown(option: str, name: str, known: Iterable[str], advice: str | None = None) -> UserError:
    """The error for a name that is in no table.

    Args:
        option: where the name was given, such as ``--method``.
        name: as given.
        known: all names.
        advice: what to do where no name comes close; default: lists them all.

    Example:
        >>> unknown("--method", "tiess", ["slerp", "ties"])
        UserError('--method tiess: unknown; did you mean ties?')
        >>> unknown("--method", "x", ["slerp", "ties"])
        UserError('--method x: unknown; use one of: slerp, ties')
    """
    names = list(known)
    close = closest(name, names)
    hint = f"did you mean {close}?" if close is not None else advice or f"use one of: {', '.join(names)}"
    return UserError(f"{option} {name}: unknown; {hint}")


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like this one; None where none comes close."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def lookup(option: str, name: str, table: Mapping[str, T]) -> T:
    """The entry of that name.

    Raises:
        UserError: there is none; see `unknown`.
    """
    if name not in table:
        raise unknown(option, name, table)
    return table[name]


__all__ = ["closest", "lookup", "unknown"]
