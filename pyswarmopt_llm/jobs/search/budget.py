"""When a search has to end so that it keeps within its budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """When a search has to end so that it keeps within its budget.

    Seconds are those that the journal has of every evaluation, so that a resumed run ends where the stopped one
    would have. What the closing evaluations take (best, best single expert and average, on dev and test) is set
    aside at the pace so far.

    Attributes:
        seconds: for all evaluations; None: no limit.
        items: item evaluations of the search; None: no limit.
        closing_items: items of the closing evaluations, which count in `seconds` only.
        kept_items: set aside for proposals, which are scored when the search has ended.
    """

    seconds: float | None
    items: int | None
    closing_items: int = 0
    kept_items: int = 0

    def spent(self, item_evaluations: Sequence[int], seconds: float) -> dict[str, float]:
        """Reasons to stop: another iteration like the latest would go beyond the budget.

        Args:
            item_evaluations: running total at the end of each iteration so far.
            seconds: spent on them.

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
        """Whether so many more items are within the budget, which nothing more is set aside of.

        Example:
            >>> Budget(None, 1000, kept_items=300).spent([400, 700], 9.0), Budget(None, 1000).pays(700, 9.0, 300)
            ({'budget_items': 700}, True)
        """
        return (self.items is None or total + more <= self.items) and self._time(total, seconds, more)

    def _time(self, total: int, seconds: float, more: int) -> bool:
        """Whether there is time for so many more items and the closing ones, at the pace so far."""
        pace = seconds / total if total else 0.0
        return self.seconds is None or seconds + pace * (more + self.closing_items) <= self.seconds
