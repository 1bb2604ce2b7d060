"""Data needed to continue a search: dataclass fields, saved by their declaration."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
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


@dataclass_transform(eq_default=False, field_specifiers=(field,))
class StateRecord:
    """Its subclasses are dataclasses with numbers, words, lists of numbers and arrays, all of which
    are saved.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    large: ClassVar[tuple[str, ...]] = ()  # names of arrays that a caller of `restore` copies

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(repr=False, eq=False)(cls)

    def state_dict(
        self, prefix: str, copied: Callable[[Any], Any] = copy.deepcopy
    ) -> dict[str, Any]:
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
        self, saved: Mapping[str, Any], prefix: str, owned: Callable[[Any], Any] = copy.deepcopy
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
            take = owned if f.name in self.large else copy.deepcopy
            setattr(self, f.name, take(saved[name]))
