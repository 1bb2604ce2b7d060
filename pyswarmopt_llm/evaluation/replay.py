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

    Attributes:
        tickets: rows of an asynchronous search, in their order.
    """

    def __init__(self, rows: Iterable[Row], aside: Iterable[Row]) -> None:
        self._rows: dict[str, deque[Row]] = defaultdict(deque)
        self.tickets: deque[Row] = deque()
        self._left = 0
        for row in rows:
            if row.number is not None:
                self.tickets.append(row)
            else:
                self._rows[row.key].append(row)
                self._left += 1
        self._aside = {_place(row): row for row in aside}

    def holds(self, iteration: int, particle: int, key: str) -> bool:
        """Whether the evaluation of this particle is known."""
        return bool(self._rows[key]) or (iteration, particle, key) in self._aside

    def take(self, key: str) -> Row | None:
        """The next row of a position."""
        if not self._rows[key]:
            return None
        self._left -= 1
        return self._rows[key].popleft()

    def take_aside(self, iteration: int, particle: int, key: str) -> Row | None:
        """The row of this evaluation that was finished out of order; it is not in the journal yet."""
        return self._aside.pop((iteration, particle, key), None)

    def stands(self, row: Row, iteration: int, particle: int) -> bool:
        """Whether an incomplete row answered this evaluation, too.

        Version 0.1.0 ended evaluations once their value could not matter any more, and wrote a further row only where
        what it knew of a position did not suffice. While there are rows left to replay, one that has no row of its own
        here was answered by what was known.
        """
        rows = self._rows[row.key]
        if rows and _place(rows[0]) == (iteration, particle, row.key):
            return False
        return self._left > 0

    def stands_alone(self, row: Row) -> bool:
        """The same for the tickets of an asynchronous search."""
        return bool(self.tickets) and all(ticket.key != row.key for ticket in self.tickets)


def _place(row: Row) -> tuple[int, int, str]:
    return row.iteration, row.particle, row.key
