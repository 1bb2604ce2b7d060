"""Data needed to continue a search: dataclass fields, saved by their declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

import numpy as np

NONE = np.empty(0)
# Possible errors from inconsistent numbers.
DAMAGE = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError,
    SyntaxError, TypeError,
)  # fmt: skip


def array() -> Any:
    """A field for an initially empty array."""
    return field(default_factory=lambda: NONE)


def known() -> Any:
    """A field determined by the problem, and so not saved."""
    return field(metadata={"saved": False})


def _copied(value: Any) -> Any:
    """A copy of an array, a dict or (nested) lists; other values cannot change."""
    if isinstance(value, list):
        return [*map(_copied, value)]
    if isinstance(value, np.ndarray | dict):
        return value.copy()
    return value


@dataclass(repr=False, eq=False)
class StateRecord:
    """A dataclass with numbers, words, lists of numbers and arrays, all of which are saved."""

    large: ClassVar[tuple[str, ...]] = ()  # names of arrays that a caller of `restore` copies

    def state_dict(self, prefix: str, copied: Callable[[Any], Any] = _copied) -> dict[str, Any]:
        """A copy of every field, under its name after `prefix`."""
        saved = [f.name for f in fields(self) if f.metadata.get("saved", True)]
        return {prefix + name: copied(getattr(self, name)) for name in saved}

    @classmethod
    def from_state(cls, saved: Mapping[str, Any], prefix: str, **problem: Any) -> Self:
        """The inverse of `state_dict`; see `restore`.

        Args:
            saved: saved entries.
            prefix: prefix of their names.
            problem: fields that are not saved.
        """
        record = cls.__new__(cls)
        vars(record).update(problem)
        record.restore(saved, prefix)
        return record

    def restore(
        self, saved: Mapping[str, Any], prefix: str, owned: Callable[[Any], Any] = _copied
    ) -> None:
        """Take over every saved field; `owned` copies those that are `large`.

        Raises:
            ValueError: an entry is missing.
        """
        for f in fields(self):
            if not f.metadata.get("saved", True):
                continue
            name = prefix + f.name
            if name not in saved:
                raise ValueError(f"{name} is missing")
            take = owned if f.name in self.large else _copied
            setattr(self, f.name, take(saved[name]))
