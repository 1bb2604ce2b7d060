"""Data needed to continue a search: dataclass fields, saved by their declaration, and tables."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self, dataclass_transform

import numpy as np

NONE = np.empty(0)


def array() -> Any:
    """A field for an initially empty array."""
    return field(default_factory=lambda: NONE)


def known() -> Any:
    """A field determined by the problem, and so not saved."""
    return field(metadata={"saved": False})


def part() -> Any:
    """A field for another record of any kind, saved with its own fields; None before there is one."""
    return field(default=None, metadata={"part": True})


@dataclass_transform(eq_default=False, field_specifiers=(field,))
class StateRecord:
    """Its subclasses are dataclasses with numbers, words, lists of numbers, arrays and other records,
    all of which are saved.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    kinds_of_records: ClassVar[dict[str, type[StateRecord]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(repr=False, eq=False)(cls)
        cls.kinds_of_records[cls.__name__] = cls

    def state_dict(
        self, prefix: str, copied: Callable[[Any], Any] = copy.deepcopy
    ) -> dict[str, Any]:
        """A copy of every field, under its name after `prefix`."""
        saved: dict[str, Any] = {}
        for f in fields(self):
            name = prefix + f.name
            value = getattr(self, f.name)
            if isinstance(value, StateRecord):
                saved |= value.state_dict(f"{name}.")
                value = type(value).__name__
            if f.metadata.get("saved", True):
                saved[name] = copied(value)
        return saved

    @classmethod
    def from_state(cls, saved: Mapping[str, Any], prefix: str, **problem: Any) -> Self:
        """The inverse of `state_dict`; see `restore`.

        Args:
            saved: saved entries.
            prefix: prefix of their names.
            problem: fields that are not saved, of this record and of its parts.
        """
        record = cls.__new__(cls)
        record.restore(saved, prefix, **problem)
        return record

    def restore(self, saved: Mapping[str, Any], prefix: str, **problem: Any) -> None:
        """Take over every saved field; `saved` then belongs to the record.

        Raises:
            ValueError: an entry is missing.
        """
        for f in fields(self):
            name = prefix + f.name
            if f.name not in problem and name not in saved:
                raise ValueError(f"{name} is missing")
            value = problem.get(f.name, saved.get(name))
            if value is not None and "part" in f.metadata:
                value = self.kinds_of_records[value].from_state(saved, f"{name}.", **problem)
            setattr(self, f.name, value)


def columns(rows: Iterable[Any], kind: type[Any], prefix: str) -> dict[str, Any]:
    """Named tuples of a kind as an array for each field, under its name after `prefix`.

    Example:
        >>> from pyswarmopt.base.optimizer import Point
        >>> saved = columns([Point(np.zeros(2), 3.0)], Point, "best.")
        >>> sorted(saved), rows_of(saved, Point, "best.")[0].value
        (['best.value', 'best.x'], 3.0)
    """
    return {prefix + name: np.array([getattr(row, name) for row in rows]) for name in kind._fields}


def rows_of(saved: Mapping[str, Any], kind: type[Any], prefix: str) -> list[Any]:
    """The inverse of `columns`, with Python's numbers, and `math.nan` for NaN: tuples compare it by
    identity, so equal rows are equal.
    """
    cells = []
    for name in kind._fields:
        column = list(saved[prefix + name])
        if np.ndim(saved[prefix + name]) == 1:
            column = [math.nan if cell != cell else cell.item() for cell in column]
        cells.append(column)
    return [kind(*row) for row in zip(*cells, strict=True)]
