"""The search: an optimizer asks for positions, a scorer scores them, the optimizer is told.

The experts may race: they are scored on more and more items, and those that fall behind drop out.
After each share of the items one does if, on the items so far, it is behind the leader by more than
`ERRORS` standard errors of the paired differences, those of a sample without replacement: of all
items but a few, little is left that could turn it. A race is decided if one is left before all items
are scored. Racing is due to Maron & Moore 1994 ("Hoeffding races", NIPS 6), the paired test to Moore
& Lee 1994 ("Efficient algorithms for minimizing cross validation error", ICML).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.base.optimizer import Point
from pyswarmopt_llm.common.interfaces import Space
from pyswarmopt_llm.common.optimizers import play_round
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.scorer import Scorer, Share

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.scoring.dropout import Dropout
    from pyswarmopt_llm.searching.surrogate import Surrogate

FIRST = 16  # items of the first share; each that follows is twice as large
ERRORS = 3.0
OnRound = Callable[[pso.Optimizer, int, float], None]


@dataclass(frozen=True)
class Budget:
    """When a search has to end so that it keeps within its budget.

    Seconds are those that the journal has of every evaluation, so that a resumed run ends where the
    interrupted one would have. The closing evaluations (best, best single expert and average, on
    dev and test) are reserved at the pace so far.
    """

    seconds: float | None  # for all evaluations, and for expert iteration; None: no limit
    items: int | None  # item evaluations of the search; None: no limit
    closing_items: int = 0  # items of the closing evaluations, which count in `seconds` only
    kept_items: int = 0  # reserved for proposals, which are scored when the search has ended
    training_share: float = 0.0  # of the seconds, reserved for expert iteration

    def spent(self, item_evaluations: Sequence[int], seconds: float) -> dict[str, float]:
        """Reasons to stop: another iteration like the latest would exceed the budget.

        `item_evaluations` is the running total after each iteration, `seconds` the time of these.

        Example:
            >>> Budget(None, 1000).spent([400, 700], 9.0), Budget(None, 999).spent([400, 700], 9.0)
            ({}, {'budget_items': 700})
            >>> Budget(15.0, None, closing_items=400).spent([400, 700], 9.0)
            {'budget_minutes': 0.15}
        """
        total = item_evaluations[-1]
        latest = total - item_evaluations[-2] if len(item_evaluations) > 1 else total
        reasons: dict[str, float] = {}
        if self.items is not None and total + latest + self.kept_items > self.items:
            reasons["budget_items"] = total
        if not self._time(total, seconds, latest + self.kept_items):
            reasons["budget_minutes"] = round(seconds / 60, 3)
        return reasons

    def pays(self, total: int, seconds: float, more: int) -> bool:
        """Whether the budget covers so many more items, its reserve for proposals included.

        Example:
            >>> Budget(None, 1000, kept_items=300).spent([400, 700], 9.0), Budget(None, 1000).pays(700, 9.0, 300)
            ({'budget_items': 700}, True)
        """
        return (self.items is None or total + more <= self.items) and self._time(
            total, seconds, more
        )

    def _time(self, total: int, seconds: float, more: int) -> bool:
        """Whether there is time for so many more items and the closing ones, at the pace so far."""
        left = self.left(total, seconds, more)
        return left is None or left >= self.training_share * (self.seconds or 0.0)

    def left(self, total: int, seconds: float, more: int = 0) -> float | None:
        """Seconds that are left after so many more items and the closing ones; None: any number.

        Example:
            >>> Budget(60.0, None, closing_items=100).left(200, 10.0)
            45.0
        """
        pace = seconds / total if total else 0.0
        return (
            None
            if self.seconds is None
            else self.seconds - seconds - pace * (more + self.closing_items)
        )


class Search:
    """One search over a space of experts.

    Args:
        space: what positions mean; its vertices are the experts.
        scorer: scores positions.
        optimizer: proposes positions, beginning with the experts.
        budget: ends the search.
        population: positions of a round at most; proposals are numbered from there.
        items: of a complete evaluation.
        seed: of the proposals.
        surrogate: proposes candidates when the optimizer has stopped, and chooses the best.
        dropout: leaves evaluations out.
        at_once: candidates that are scored side by side, and so proposed together.
        on_scored: called with each candidate of a round or proposal, (D,), and its row.
        on_round: called with the optimizer, the iteration and the best value after each round, and
            after the proposals.
        shares: of the items, of a race among the experts. Where it is decided, the experts that
            dropped out stay incomplete, the other starting points race against the winner, and
            nothing is proposed; else everything is as without it.

    Attributes:
        decided: whether the race is decided, once the experts are scored.
        proposed: how many proposals were new, once it has `run`.
        over_budget: whether the budget ended the proposals.
    """

    def __init__(
        self,
        space: Space,
        scorer: Scorer,
        optimizer: pso.Optimizer,
        budget: Budget,
        *,
        population: int,
        items: int,
        seed: int,
        surrogate: Surrogate | None = None,
        dropout: Dropout | None = None,
        at_once: int = 1,
        on_scored: Callable[[Tensor, Row], None] | None = None,
        on_round: OnRound = lambda optimizer, iteration, best: None,
        shares: Sequence[Share] = (),
    ) -> None:
        self._vertices, self._scorer = list(space.vertices()), scorer
        self._surrogate, self._dropout = surrogate, dropout
        self._optimizer, self._budget, self._population = optimizer, budget, population
        self._items, self._seed, self._at_once = items, seed, at_once
        self._on_scored, self._on_round, self._shares = on_scored, on_round, shares
        self._floor = -math.inf
        self._totals: list[int] = []  # items after each round
        self.decided = False
        self.proposed = 0
        self.over_budget = False

    def score_first(self) -> Row:
        """Score the first expert, of a race on its first items: what that takes tells the pace."""
        share = self._shares[0] if self._shares else None
        (row,) = self._scorer.score(self._vertices[:1], 0, share=share)
        return row

    def score_experts(self) -> Sequence[Row]:
        """Score the experts, complete but for those that drop out of a race that is decided; call
        it before `run`.
        """
        rows, racing = self._raced(self._vertices)
        self.decided = len(racing) == 1 and bool(rows)
        everyone = range(len(self._vertices))
        rows |= self._of(self._vertices, racing if self.decided else everyone)
        experts = [rows[number] for number in everyone]
        self._learn(self._vertices, experts)
        self._floor = max((row.value for row in experts if row.complete), default=-math.inf)
        return experts

    def _raced(self, positions: Sequence[Tensor]) -> tuple[dict[int, Row], list[int]]:
        """Number -> row of what takes part in a race, and the numbers of those still in it at the
        end.
        """
        rows, racing = dict[int, Row](), list(range(len(positions)))
        for share in self._shares:
            rows |= self._of(positions, racing, share)
            racing = survivors({number: rows[number] for number in racing}, share)
            if len(racing) == 1:
                break
        return rows, racing

    def _of(
        self, positions: Sequence[Tensor], numbers: Sequence[int], share: Share | None = None
    ) -> dict[int, Row]:
        """Number -> row of the positions with these numbers."""
        chosen = [positions[number] for number in numbers]
        rows = self._scorer.score(chosen, self._iteration, numbers, share)
        return dict(zip(numbers, rows, strict=True))

    def run(self) -> dict[str, float]:
        """Search until the optimizer or the budget ends it, then score the surrogate's proposals.

        Returns:
            The reasons.
        """
        self._totals = [0]
        reasons: dict[str, float] = {}
        while not reasons:
            play_round(self._optimizer, self._round)
            self._on_round(self._optimizer, self._iteration, self._optimizer.best.value)
            self._totals.append(self._scorer.item_evaluations)
            reasons = {
                **self._optimizer.stop(),
                **self._budget.spent(self._totals, self._scorer.seconds),
            }
        if self._surrogate is not None and not self.decided:
            self._score_proposals(self._surrogate)
        return reasons

    def best(self) -> Point:
        """Return what to hand over: the surrogate's choice, never below the best expert, or the
        best.
        """
        choice = None if self._surrogate is None else self._surrogate.choice(self._floor)
        if choice is None:
            return self._optimizer.best
        position = choice.to(self._optimizer.best.x)
        (row,) = self._scorer.score([position], 0)
        return Point(position, row.value)

    @property
    def _iteration(self) -> int:
        return max(len(self._totals) - 1, 0)

    def _round(self, positions: Tensor) -> list[float | None]:
        """Values of the positions of a round, (N, D); None where they are left out."""
        candidates = list(positions)
        rows, numbers = dict[int, Row](), list(range(len(candidates)))
        if self.decided and not self._iteration:
            rows, numbers = self._raced(candidates)
        elif self._dropout is not None:
            dropped = self._dropout.dropped(self._iteration, len(candidates))
            numbers = np.flatnonzero(~dropped).tolist()
        rows |= self._of(candidates, numbers)
        self._take_in([candidates[number] for number in rows], list(rows.values()))
        return [rows[n].value if n in rows else None for n in range(len(candidates))]

    def _take_in(self, positions: Sequence[Tensor], rows: Sequence[Row]) -> None:
        if self._on_scored is not None:
            for position, row in zip(positions, rows, strict=True):
                self._on_scored(position, row)
        self._learn(positions, rows)

    def _learn(self, positions: Sequence[Tensor], rows: Sequence[Row]) -> None:
        if self._surrogate is not None:
            for position, row in zip(positions, rows, strict=True):
                self._surrogate.tell(position, row)

    def _score_proposals(self, surrogate: Surrogate) -> None:
        """Score the surrogate's proposals, as far as the budget goes.

        In the history they are one more iteration, of particles numbered after those of the swarm;
        views of a search do not count it.
        """
        scorer, iteration = self._scorer, self._iteration
        values, spent = [], scorer.item_evaluations
        number = self._population
        for batch in surrogate.propose(self._seed, self._at_once):
            if not self._budget.pays(
                scorer.item_evaluations, scorer.seconds, len(batch) * self._items
            ):
                self.over_budget = True
                break
            before = scorer.evaluations
            rows = scorer.score(batch, iteration, range(number, number + len(batch)))
            self._take_in(batch, rows)
            values += [row.value for row in rows]
            self.proposed += scorer.evaluations - before
            number += len(batch)
        if scorer.item_evaluations > spent:
            self._on_round(self._optimizer, iteration, max(values))


def draw_shares(items: Mapping[str, int], seed: int) -> list[Share]:
    """The shares of the items after which candidates may drop out, each with the one before it.

    Args:
        items: task name -> number of its items. Of several tasks each share has the same part.
        seed: of the items' order.

    Returns:
        None where there are few items.

    Example:
        >>> shares = draw_shares({"a": 40, "b": 20}, seed=0)
        >>> [{name: int(chosen.sum()) for name, chosen in share.items()} for share in shares]
        [{'a': 11, 'b': 6}, {'a': 22, 'b': 11}]
    """
    draws = np.random.default_rng([seed, 7])
    ranks = {name: np.argsort(draws.permutation(count)) for name, count in items.items()}
    shares, part = list[Share](), FIRST / sum(items.values())
    while part <= 2 / 3:  # else hardly less than all
        shares.append({n: rank < math.ceil(part * rank.size) for n, rank in ranks.items()})
        part *= 2
    return shares


def survivors(rows: Mapping[int, Row], share: Share) -> list[int]:
    """The numbers of the candidates that go on after a share, of those with these rows."""
    values = {
        number: np.concatenate([np.array(row.item_values(name))[share[name]] for name in share])
        for number, row in rows.items()
    }
    leader = max(values.values(), key=lambda own: float(own.mean()))
    total = sum(chosen.size for chosen in share.values())
    return [number for number, own in values.items() if not eliminated(own, leader, total)]


def eliminated(
    values: npt.NDArray[np.float64], leader: npt.NDArray[np.float64], total: int
) -> bool:
    """Whether a candidate is so far behind the leader that it drops out.

    One more item, of the largest difference, keeps few items that agree from deciding.

    Args:
        values: of the items so far, (n,).
        leader: the leader's values of the same items.
        total: number of all items.

    Example:
        >>> ones, half = np.ones(16), np.repeat([0.0, 1.0], 8)
        >>> eliminated(half, ones, 100), eliminated(ones, half, 100), eliminated(half, ones[::-1] * half, 16)
        (True, False, False)
    """
    difference = leader - values
    n = difference.size
    variance = (((difference - difference.mean()) ** 2).sum() + 1.0) / (n + 1)
    error = math.sqrt(variance / n * max(1 - n / total, 0.0))
    return bool(difference.mean() > ERRORS * error)
