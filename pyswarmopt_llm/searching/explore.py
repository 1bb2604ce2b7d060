"""The loop of a search: a proposer suggests candidates, a scorer scores them, the proposer learns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.searching.plan import Budget
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.scorer import Scorer

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.surrogate import Surrogate
    from pyswarmopt_llm.searching.swarm import SwarmProposer

_SHOWN = ("phase", "iteration", "particle", "value", "n", "seconds", "coefficients")


@dataclass
class Progress:
    """Reports rows and batches.

    Attributes:
        planned: evaluations if nothing stops the search early.
        tell: called with events.

    Example:
        >>> progress = Progress(4, lambda event: print(event.kind, event.data["best"], event.data["evaluations_left"]))
        >>> progress.on_row(Row("search", 0, 0, "k", [1.0], value=0.5, n=8, seconds=1.0, items={"t": "1"}))
        evaluation 0.5 3
    """

    planned: int
    tell: OnEvent
    _best: float = field(default=-math.inf, init=False)
    _keys: set[str] = field(default_factory=set, init=False)

    def on_row(self, row: Row, known: bool = False) -> None:
        """Report a row of the search, unless it is of another phase and was known before."""
        data = {name: getattr(row, name) for name in _SHOWN}
        if row.phase == "search":
            self._best = max(self._best, row.value)
            self._keys.add(row.key)
            self.tell(Event("replayed" if known else "evaluation", {**data, **self._so_far()}))
        elif not known:
            self.tell(Event("trial", data))

    def on_iteration(self, iteration: int) -> None:
        """Report an iteration, or a batch of proposals."""
        self.tell(Event("iteration", {"iteration": iteration, **self._so_far()}))

    def _so_far(self) -> dict[str, float]:
        done = len(self._keys)
        return {"best": self._best, "evaluations": done, "evaluations_left": self.planned - done}


def explore(
    proposer: Surrogate | SwarmProposer,
    scorer: Scorer,
    budget: Budget,
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
        if progress is not None:
            progress.on_iteration(batch.iteration)
    return proposer.stop()
