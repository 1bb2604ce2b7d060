"""What an option does: it changes what a command finds, or it is refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError

Known = dict[tuple[str, str], object]  # command and settings -> what it said


def answer(
    known: Known, way: str, config: Any, found: Callable[[Any, Path], object], folder: Path
) -> object:
    """What a command finds, or its refusal; asked once."""
    key = (way, repr(config))
    if key not in known:
        try:
            known[key] = found(config, folder)
        except UserError as error:
            known[key] = error
    return known[key]


def changed_or_refused(before: object, after: object, settings: Collection[str]) -> None:
    if isinstance(after, UserError):
        assert any(setting in str(after) for setting in settings), str(after)
    else:
        assert not isinstance(before, UserError), str(before)
        assert repr(before) != repr(after)
