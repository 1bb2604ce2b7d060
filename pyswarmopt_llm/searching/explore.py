"""The loop of a search: a proposer suggests candidates, a scorer scores them, the proposer learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from pyswarmopt.base.optimizer import Point
from pyswarmopt_llm.searching.leaders import Archive
from pyswarmopt_llm.searching.plan import Budget
from pyswarmopt_llm.searching.progress import Progress
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.scorer import Scorer


@dataclass(frozen=True)
class Batch:
    """Candidates scored side by side.

    Attributes:
        positions: (n, D); n is 0 if all evaluations of an iteration are dropped.
        numbers: particle numbers in the history, (n,).
        iteration: 0 for the starting points.
    """

    positions: Tensor
    numbers: Sequence[int]
    iteration: int


class Proposer(Protocol):
    """A way to propose candidates.

    Attributes:
        remarks: what a user should know about the proposals, complete once they have ended.
    """

    remarks: list[str]

    def ask(self) -> Batch | None:
        """The next candidates, the starting points first; None: no more candidates."""

    def tell(self, positions: Tensor, rows: Sequence[Row]) -> None:
        """Learn from the latest candidates, (n, D), and their rows."""

    def best(self) -> Point:
        """The candidate to return, and its value."""

    def stop(self) -> dict[str, float]:
        """The reasons to stop, as in ``result.json``."""

    def close(self) -> None:
        """Release what the proposer holds."""


def explore(
    proposer: Proposer,
    scorer: Scorer,
    budget: Budget,
    archive: Archive | None = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Score what a proposer suggests until the proposer or the budget ends the search.

    The starting points are scored whatever they cost. A later batch beyond the budget is not begun.

    Returns:
        The reasons to stop.
    """
    while (batch := proposer.ask()) is not None:
        if batch.iteration > 0:
            more = len(batch.positions) * scorer.items
            over = budget.exceeded(scorer.item_evaluations, scorer.seconds, more)
            if over:
                return over
        rows = scorer.score(list(batch.positions), batch.iteration, batch.numbers)
        proposer.tell(batch.positions, rows)
        if archive is not None:
            archive.add(batch.positions, rows)
        if progress is not None:
            progress.on_iteration(batch.iteration)
    return proposer.stop()
