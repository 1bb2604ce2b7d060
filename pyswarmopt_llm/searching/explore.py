"""The loop of a search on dev: a proposer is asked for candidates, these are scored, and it is told
their rows. It is the core's loop; here are what it proposes with and what it ends by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from torch import Tensor

from pyswarmopt.base.loop import Loop
from pyswarmopt.base.optimizer import Asked, Ticket
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.searching.scorer import Heard, Scorer


class Chosen(NamedTuple):
    """The candidate that a proposer chooses in the end.

    Attributes:
        x: its position.
        value: its value in the search.
        front: positions of the candidates that no other dominates, if a front was searched for.
        rule: why this one was chosen from the front.
        limits: score -> its least value in that choice, higher is better.
        remarks: what a user should know about it.
    """

    x: Tensor
    value: float
    front: Sequence[Tensor] = ()
    rule: str = ""
    limits: Mapping[str, float] = MappingProxyType({})
    remarks: Sequence[str] = ()


class Proposer(Asked, Protocol):
    """Proposes candidates by tickets, the starting points first.

    A round is any number of tickets; what they say is learnt after the last of them, and the next
    round is proposed then. A proposer that is asynchronous learns from each at once.

    Attributes:
        remarks: what a user should know about the proposals.
    """

    remarks: list[str]

    @property
    def iteration(self) -> int:
        """The number in the history of the round under way."""

    def is_start(self, ticket: Ticket) -> bool:
        """Whether a ticket from the latest `ask` is one of the starting points."""

    def tell(self, ticket: Ticket, row: Row) -> None:
        """Learn the row of a candidate."""

    def best(self) -> Chosen:
        """The candidate to return."""


class ScoringLoop(Loop[Heard, Row]):
    """Asks, has candidates scored, and tells.

    The starting points are always scored. A later round that would exceed the budget is not started.

    Args:
        proposer: proposes candidates.
        scorer: scores them.
        config: has the budget.

    Attributes:
        over: the reason to stop by the budget, as soon as there is one.
    """

    optimizer: Proposer

    def __init__(self, proposer: Proposer, scorer: Scorer, config: SearchConfig) -> None:
        super().__init__(proposer, scorer, self._report)
        self._scorer = scorer
        self._config = config
        self.over: dict[str, float] = {}

    @property
    def iteration(self) -> int:
        return self.optimizer.iteration

    def next_tickets(self, most: int) -> Sequence[Ticket]:
        if self.over:
            return []
        tickets = super().next_tickets(most)
        if not all(map(self.optimizer.is_start, tickets)):
            more = (self._scorer.busy + len(tickets)) * self._scorer.items
            self.over = over_budget(self._config, self._scorer, more)
        if self.over:
            return []
        self._scorer.asked += len(tickets)
        return tickets

    def known(self, x: Tensor) -> Row | None:
        return self._scorer.known(x)

    def read(self, x: Tensor, answer: Heard, tickets: Sequence[Ticket]) -> Row:
        return self._scorer.take(x, answer, self.iteration, tickets[0].particle, self._scorer.asked)

    def settle(self, ticket: Ticket, outcome: Row) -> None:
        self.optimizer.tell(ticket, outcome)

    def _report(self, iteration: int) -> None:
        self._scorer.report("iteration", {"iteration": iteration})


def explore(proposer: Proposer, scorer: Scorer, config: SearchConfig) -> dict[str, float]:
    """Score what a proposer suggests until the proposer or the budget ends the search.

    Returns:
        The reasons to stop.
    """
    loop = ScoringLoop(proposer, scorer, config)
    while not (proposer.stop() or loop.over):
        loop.run_round()
    while scorer.busy:
        loop.hear()
    return loop.over or proposer.stop()


def over_budget(config: SearchConfig, scorer: Scorer, more: int) -> dict[str, float]:
    """The reason not to score more items. Seconds are those of all journalled evaluations, so a
    resumed run ends where the interrupted one would have.
    """
    items = config.budget_items
    if items is not None and scorer.item_evaluations + more > items:
        return {"budget_items": scorer.item_evaluations}
    minutes = scorer.seconds / 60
    if config.budget_minutes is not None and minutes >= config.budget_minutes:
        return {"budget_minutes": round(minutes, 3)}
    return {}
