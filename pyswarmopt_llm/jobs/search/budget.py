"""The budget of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """When a search has to end so that it keeps within its budget.

    Seconds are those that the journal has of every evaluation, so that a resumed run ends where the interrupted one
    would have. The closing evaluations (best, best single expert and average, on dev and test) are reserved at the pace
    so far.
    """

    seconds: float | None  # for all evaluations; None: no limit
    items: int | None  # item evaluations of the search; None: no limit
    closing_items: int = 0  # items of the closing evaluations, which count in `seconds` only
    kept_items: int = 0  # reserved for proposals, which are scored when the search has ended

    def spent(self, item_evaluations: Sequence[int], seconds: float) -> dict[str, float]:
        """Reasons to stop: another iteration like the latest would exceed the budget.

        `item_evaluations` is the running total after each iteration, `seconds` the time spent on them.

        Example:
            >>> Budget(None, 1000).spent([400, 700], 9.0), Budget(None, 999).spent([400, 700], 9.0)
            ({}, {'budget_items': 700})
            >>> Budget(15.0, None, closing_items=400).spent([400, 700], 9.0)
            {'budget_minutes': 0.15}
        """
        total = item_evaluations[-1]
        latest = total - item_evaluations[-2] if len(item_evaluations) > 1 else total
        found: dict[str, float] = {}
        if self.items is not None and total + latest + self.kept_items > self.items:
            found["budget_items"] = total
        if not self._time(total, seconds, latest + self.kept_items):
            found["budget_minutes"] = round(seconds / 60, 3)
        return found

    def pays(self, total: int, seconds: float, more: int) -> bool:
        """Whether the budget covers so many more items, its reserve for proposals included.

        Example:
            >>> Budget(None, 1000, kept_items=300).spent([400, 700], 9.0), Budget(None, 1000).pays(700, 9.0, 300)
            ({'budget_items': 700}, True)
        """
        return (self.items is None or total + more <= self.items) and self._time(total, seconds, more)

    def _time(self, total: int, seconds: float, more: int) -> bool:
        """Whether there is time for so many more items and the closing ones, at the pace so far."""
        pace = seconds / total if total else 0.0
        return self.seconds is None or seconds + pace * (more + self.closing_items) <= self.seconds
