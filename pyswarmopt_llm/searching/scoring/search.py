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
from dataclasses import dataclass, field
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

    def exceeded(self, total: int, seconds: float, more: int) -> dict[str, float]:
        """Reasons to stop: so many more items would exceed the budget, with those for training.

        Args:
            total: item evaluations so far.
            seconds: the time of these.
            more: items, without the closing ones.

        Example:
            >>> Budget(None, 1000).exceeded(700, 9.0, 300), Budget(None, 999).exceeded(700, 9.0, 300)
            ({}, {'budget_items': 700})
            >>> Budget(15.0, None, closing_items=400).exceeded(700, 9.0, 300)
            {'budget_minutes': 0.15}
        """
        reasons: dict[str, float] = {}
        if self.items is not None and total + more > self.items:
            reasons["budget_items"] = total
        left = self.left(total, seconds, more)
        if left is not None and left < self.training_share * (self.seconds or 0.0):
            reasons["budget_minutes"] = round(seconds / 60, 3)
        return reasons

    def left(self, total: int, seconds: float, more: int = 0) -> float | None:
        """Seconds that are left after so many more items and the closing ones, at the pace so far;
        None: any number.

        Example:
            >>> Budget(60.0, None, closing_items=100).left(200, 10.0)
            45.0
        """
        if self.seconds is None:
            return None
        pace = seconds / total if total else 0.0
        return self.seconds - seconds - pace * (more + self.closing_items)


@dataclass
class Search:
    """One search over a space of experts.

    Attributes:
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
        decided: whether the race is decided, once the experts are scored.
        proposed: how many proposals were new, once it has `run`.
        over_budget: whether the budget ended the proposals.
    """

    space: Space
    scorer: Scorer
    optimizer: pso.Optimizer
    budget: Budget
    population: int
    items: int
    seed: int
    surrogate: Surrogate | None = None
    dropout: Dropout | None = None
    at_once: int = 1
    on_scored: Callable[[Tensor, Row], None] | None = None
    on_round: OnRound | None = None
    shares: Sequence[Share] = ()
    decided: bool = field(default=False, init=False)
    proposed: int = field(default=0, init=False)
    over_budget: bool = field(default=False, init=False)
    _floor: float = field(default=-math.inf, init=False)
    _iteration: int = field(default=0, init=False)

    def score_experts(self) -> Sequence[Row]:
        """Score the experts, complete but for those that drop out of a race that is decided; call
        it before `run`.
        """
        vertices = list(self.space.vertices())
        rows, racing = self._raced(vertices)
        self.decided = len(racing) == 1 and bool(rows)
        everyone = range(len(vertices))
        rows |= self._of(vertices, racing if self.decided else everyone)
        experts = [rows[number] for number in everyone]
        self._learn(vertices, experts)
        self._floor = max((row.value for row in experts if row.complete), default=-math.inf)
        return experts

    def _raced(self, positions: Sequence[Tensor]) -> tuple[dict[int, Row], list[int]]:
        """Number -> row of what takes part in a race, and the numbers of those still in it at the
        end.
        """
        rows, racing = dict[int, Row](), list(range(len(positions)))
        for share in self.shares:
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
        rows = self.scorer.score(chosen, self._iteration, numbers, share)
        return dict(zip(numbers, rows, strict=True))

    def run(self) -> dict[str, float]:
        """Search until the optimizer or the budget ends it, then score the surrogate's proposals.

        Returns:
            The reasons.
        """
        reasons: dict[str, float] = {}
        total = 0
        while not reasons:
            play_round(self.optimizer, self._round)
            self._tell(self.optimizer.best.value)
            before, total = total, self.scorer.item_evaluations
            more = total - before + self.budget.kept_items  # another iteration like the latest
            reasons = {
                **self.optimizer.stop(),
                **self.budget.exceeded(total, self.scorer.seconds, more),
            }
            self._iteration += 1
        if self.surrogate is not None and not self.decided:
            self._score_proposals(self.surrogate)
        return reasons

    def best(self) -> Point:
        """Return what to hand over: the surrogate's choice, never below the best expert, or the
        best.
        """
        choice = None if self.surrogate is None else self.surrogate.choice(self._floor)
        if choice is None:
            return self.optimizer.best
        position = choice.to(self.optimizer.best.x)
        (row,) = self.scorer.score([position], 0)
        return Point(position, row.value)

    def _round(self, positions: Tensor) -> list[float | None]:
        """Values of the positions of a round, (N, D); None where they are left out."""
        candidates = list(positions)
        rows, numbers = dict[int, Row](), list(range(len(candidates)))
        if self.decided and not self._iteration:
            rows, numbers = self._raced(candidates)
        elif self.dropout is not None:
            dropped = self.dropout.dropped(self._iteration, len(candidates))
            numbers = np.flatnonzero(~dropped).tolist()
        rows |= self._of(candidates, numbers)
        self._take_in([candidates[number] for number in rows], list(rows.values()))
        return [rows[n].value if n in rows else None for n in range(len(candidates))]

    def _take_in(self, positions: Sequence[Tensor], rows: Sequence[Row]) -> None:
        if self.on_scored is not None:
            for position, row in zip(positions, rows, strict=True):
                self.on_scored(position, row)
        self._learn(positions, rows)

    def _learn(self, positions: Sequence[Tensor], rows: Sequence[Row]) -> None:
        if self.surrogate is not None:
            for position, row in zip(positions, rows, strict=True):
                self.surrogate.tell(position, row)

    def _score_proposals(self, surrogate: Surrogate) -> None:
        """Score the surrogate's proposals, as far as the budget goes.

        In the history they are one more iteration, of particles numbered after those of the swarm;
        views of a search do not count it.
        """
        scorer = self.scorer
        values, spent = [], scorer.item_evaluations
        number = self.population
        for batch in surrogate.propose(self.seed, self.at_once):
            more = len(batch) * self.items
            if self.budget.exceeded(scorer.item_evaluations, scorer.seconds, more):
                self.over_budget = True
                break
            before = scorer.evaluations
            rows = scorer.score(batch, self._iteration, range(number, number + len(batch)))
            self._take_in(batch, rows)
            values += [row.value for row in rows]
            self.proposed += scorer.evaluations - before
            number += len(batch)
        if scorer.item_evaluations > spent:
            self._tell(max(values))

    def _tell(self, best: float) -> None:
        if self.on_round is not None:
            self.on_round(self.optimizer, self._iteration, best)


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
