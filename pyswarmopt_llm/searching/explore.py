"""The loop of a search: a proposer asks for candidates, they are scored, and the proposer is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from pyswarmopt.base.optimizer import Point
from pyswarmopt_llm.searching.plan import Budget
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.scorer import Scorer


@dataclass(frozen=True)
class Batch:
    """Candidates that are scored side by side.

    Attributes:
        positions: (n, D); n may be 0, where all evaluations of an iteration are left out.
        numbers: particle numbers in the history, (n,).
        iteration: 0 for the starting points.
    """

    positions: Tensor
    numbers: Sequence[int]
    iteration: int


class Proposer(Protocol):
    """A way to propose candidates.

    Attributes:
        remarks: what a user should know of the proposals, once these have ended.
    """

    remarks: list[str]

    def ask(self) -> Batch | None:
        """The next candidates, the starting points first; None: there are no more."""

    def tell(self, positions: Tensor, rows: Sequence[Row]) -> None:
        """Learn from the candidates that were asked for last, (n, D), and their rows."""

    def best(self) -> Point:
        """The candidate to hand over, and its value."""

    def stop(self) -> dict[str, float]:
        """The reasons to ask for no more, as in ``result.json``."""


Tell = Callable[[Batch, Sequence[Row]], None]  # called after each batch


def explore(
    proposer: Proposer,
    scorer: Scorer,
    budget: Budget,
    tell: Tell = lambda batch, rows: None,
) -> dict[str, float]:
    """Score what a proposer asks for until it, or the budget, ends the search.

    The starting points are scored whatever they cost. A later batch that the budget does not cover
    is not begun.

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
        tell(batch, rows)
    return proposer.stop()
