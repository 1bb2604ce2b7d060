"""The rows of a journal that a resumed run has not reached yet, served as the run reaches each evaluation."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable

from pyswarmopt_llm.evaluation.record import Row


class Replay:
    """Journal rows in the order in which they were written, by position.

    Args:
        rows: of the journal, of one phase.
        aside: rows that workers finished out of order.
    """

    def __init__(self, rows: Iterable[Row], aside: Iterable[Row]) -> None:
        self._rows: dict[str, deque[Row]] = defaultdict(deque)
        for row in rows:
            self._rows[row.key].append(row)
        self._aside = {_place(row): row for row in aside}

    def holds(self, iteration: int, particle: int, key: str) -> bool:
        """Whether the evaluation of this particle is known."""
        return bool(self._rows[key]) or (iteration, particle, key) in self._aside

    def take(self, key: str) -> Row | None:
        """The next row of a position."""
        return self._rows[key].popleft() if self._rows[key] else None

    def take_aside(self, iteration: int, particle: int, key: str) -> Row | None:
        """The row of this evaluation that was finished out of order; it is not in the journal yet."""
        return self._aside.pop((iteration, particle, key), None)


def _place(row: Row) -> tuple[int, int, str]:
    return row.iteration, row.particle, row.key
