"""Data needed to continue a search: dataclass fields, saved and checked by their declaration; and
checks of data saved otherwise.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np

from pyswarmopt.base.arrays import FLOATING, dtype_name

NONE = np.empty(0)
# Possible errors from inconsistent numbers.
DAMAGE = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError,
    SyntaxError, TypeError,
)  # fmt: skip
PLAIN = {"int": int, "bool": bool, "float": float, "str": str, "dict[str, int]": dict}
OWN = "own"  # in place of a dtype: a floating one, the same for all such fields


def array(axes: str, filled: bool = False) -> Any:
    """A field for an initially empty array, with a letter for each axis; equal letters mean equal
    lengths. `filled`: never empty later.
    """
    metadata = {"axes": axes, "dtype": "float64", "filled": filled}
    return field(default_factory=lambda: NONE, metadata=metadata)


def known() -> Any:
    """A field determined by the problem, and so not saved."""
    return field(metadata={"saved": False})


def given(axes: str, dtype: str = "float64") -> Any:
    """Like `array`, for an array that must be given and is never empty."""
    return field(metadata={"axes": axes, "dtype": dtype, "filled": True})


def _copied(value: Any) -> Any:
    """A copy of an array, a dict or (nested) lists; other values cannot change."""
    if isinstance(value, list):
        if value and isinstance(value[0], list):
            return [*map(_copied, value)]
        return value.copy()
    if isinstance(value, np.ndarray | dict):
        return value.copy()
    return value


@dataclass(repr=False, eq=False)
class StateRecord:
    """A dataclass with numbers, words, lists of numbers and arrays, all of which are saved."""

    def state_dict(self, prefix: str, copied: Callable[[Any], Any] = _copied) -> dict[str, Any]:
        """A copy of every field, under its name after `prefix`."""
        saved = [f.name for f in fields(self) if f.metadata.get("saved", True)]
        return {_entry(prefix, name): copied(getattr(self, name)) for name in saved}

    @classmethod
    def from_state(
        cls, saved: Mapping[str, Any], prefix: str, sizes: Mapping[str, Any], **problem: Any
    ) -> Self:
        """The inverse of `state_dict`; see `restore`.

        Args:
            saved: saved entries.
            prefix: prefix of their names.
            sizes: lengths of axes.
            problem: fields that are not saved.
        """
        record = cls.__new__(cls)
        vars(record).update(problem)
        record.restore(saved, prefix, sizes)
        return record

    def restore(
        self,
        saved: Mapping[str, Any],
        prefix: str,
        sizes: Mapping[str, Any],
        owned: Callable[[Any], Any] = _copied,
    ) -> None:
        """Take over every saved field; `owned` copies those of dtype `OWN`.

        Raises:
            ValueError: an entry is missing, has another kind, or does not fit the others.
        """
        lengths = dict(sizes)
        for f in fields(self):
            if not f.metadata.get("saved", True):
                continue
            name = _entry(prefix, f.name)
            kind = _kind(f.metadata, str(f.type), saved.get(name))
            check(saved, {name: kind}, lengths)
            value = saved[name]
            if isinstance(value, int) and value < 0:
                raise ValueError(f"{name} is {value}: it is a count")
            if isinstance(value, list):
                _check_numbers(name, value)
            setattr(self, f.name, owned(value) if OWN in kind else _copied(value))
        self.check()

    def check(self) -> None:
        """Raise ValueError if the loaded numbers are inconsistent."""


def _entry(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _kind(metadata: Mapping[str, Any], annotation: str, value: Any) -> tuple[Any, ...]:
    """The expectation of `check` for a field."""
    if "axes" not in metadata:
        return (PLAIN.get(annotation, list),)
    empty = not metadata["filled"] and getattr(value, "shape", None) == (0,)
    return metadata["dtype"], "0" if empty else metadata["axes"]


def _check_numbers(name: str, values: list[Any]) -> None:
    """Check numbers, or lists of them."""
    for value in values:
        if isinstance(value, list):
            _check_numbers(name, value)
        elif type(value) not in (int, float):
            raise ValueError(f"{name} holds {type(value).__name__}, not numbers")


def check(
    saved: Mapping[str, Any], expected: Mapping[str, Any], sizes: dict[str, Any] | None = None
) -> None:
    """Compare loaded entries with their expected types.

    Args:
        saved: name -> array, tensor or JSON value.
        expected: name -> type (or tuple of types) of a JSON value, or (dtype, axes) of an array or
            tensor: the dtype's name or `OWN`, and a letter for each axis, where equal letters mean
            equal lengths. An int is accepted as a float.
        sizes: known lengths, and the dtype `OWN`; new ones are added.

    Raises:
        ValueError: an entry is missing, or unexpected.

    Example:
        >>> check({"x": np.ones((2, 3)), "w": np.ones(3), "n": sys.maxsize}, {"x": ("float64", "ND"), "n": int})
        >>> check({"x": np.ones((2, 3)), "w": np.ones(2)}, {"x": ("float64", "ND"), "w": ("float64", "D")})
        Traceback (most recent call last):
        ValueError: w has shape (2,), not (3,)
    """
    sizes = {} if sizes is None else sizes
    for name, kind in expected.items():
        if name not in saved:
            raise ValueError(f"{name} is missing")
        value = saved[name]
        if isinstance(kind, tuple) and not isinstance(kind[0], type):
            _check_array(name, value, kind[0], kind[1], sizes)
        else:
            kinds = kind if isinstance(kind, tuple) else (kind,)
            if type(value) not in (*kinds, int if float in kinds else kinds[0]):
                raise ValueError(f"{name} is a {type(value).__name__}, not a {kinds[0].__name__}")
            if isinstance(value, int) and abs(value) > sys.maxsize:
                raise ValueError(f"{name} has more than 64 bits")


def _check_array(name: str, value: Any, needed: str, axes: str, sizes: dict[str, Any]) -> None:
    actual = dtype_name(value)
    if needed == OWN and actual in FLOATING:
        needed = sizes.setdefault(OWN, actual)
    if actual != needed:
        raise ValueError(f"{name} is {actual or type(value).__name__}, not {needed}")
    shape = tuple(value.shape)
    if len(shape) != len(axes):
        raise ValueError(f"{name} has shape {shape}, not {len(axes)} dimensions")
    expected = tuple(sizes.setdefault(axis, size) for axis, size in zip(axes, shape, strict=True))
    if shape != expected:
        raise ValueError(f"{name} has shape {shape}, not {expected}")
