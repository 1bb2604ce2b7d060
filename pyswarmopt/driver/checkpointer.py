"""A search's files: its latest state, and the answers since then."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from pyswarmopt.base.checkpoint import Writer
from pyswarmopt.driver.journal import Journal


class Checkpointer:
    """Saves a search from time to time, and keeps the answers in between.

    Args:
        path: of the file with the state; the journal of answers is beside it.

    Attributes:
        path: as given.
        journal: of the answers since the latest saved state.

    Raises:
        ValueError: the path cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._writer = Writer(path)
        self.path = self._writer.path
        self.journal = Journal(self.path.with_name(f"{self.path.name}.journal"))

    @property
    def exists(self) -> bool:
        """Whether a search was saved."""
        return os.path.lexists(self.path)

    @property
    def due(self) -> bool:
        """Whether to save again: not while the answers of an interrupted search are replayed."""
        return self._writer.due and not self.journal.replayed

    def save(self, make_state: Callable[[], Mapping[str, Any]]) -> None:
        """Build and write the present state."""
        self._writer.write(make_state)
        self.journal.clear()
