"""A search in which a model proposes candidates once the optimizer has stopped, and experts may race.

In a race they are scored on more and more items, and those that fall behind drop out. After each
share of the items one does if, on the items so far, it is behind the leader by more than `ERRORS`
standard errors of the paired differences, those of a sample without replacement: of all items but a
few, little is left that could turn it. A race is decided if one is left before all items are
scored. Racing is due to Maron & Moore 1994 ("Hoeffding races", NIPS 6), the paired test to Moore &
Lee 1994 ("Efficient algorithms for minimizing cross validation error", ICML).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pyswarmopt.base.optimizer import Point
from pyswarmopt_llm.searching.explore import Search
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.scoring.scorer import Share
from pyswarmopt_llm.searching.surrogate import Surrogate

FIRST = 16  # items of the first share; each that follows is twice as large
ERRORS = 3.0


@dataclass(kw_only=True)
class ProposingSearch(Search):
    """A search with a race of the experts, and candidates that a model proposes.

    Attributes:
        population: positions of a round at most; proposals are numbered from there.
        items: of a complete evaluation.
        seed: of the proposals.
        surrogate: proposes candidates when the optimizer has stopped, and chooses the best.
        at_once: candidates that are scored side by side, and so proposed together.
        proposed: how many proposals were new, once it has `run`.
    """

    population: int
    items: int
    seed: int
    surrogate: Surrogate | None = None
    at_once: int = 1
    proposed: int = field(default=0, init=False)
    _floor: float = field(default=-math.inf, init=False)

    def score(self, positions: Mapping[int, Tensor], share: Share | None = None) -> dict[int, Row]:
        """Score positions; the surrogate learns of those that are complete."""
        rows = super().score(positions, share)
        if self.surrogate is not None:
            for number, row in rows.items():
                self.surrogate.tell(positions[number], row)
        return rows

    def score_experts(self) -> list[Row]:
        """Score the experts, complete but for those that drop out of a race that is decided."""
        experts = dict(enumerate(self.space.vertices()))
        rows, racing = self._race(experts)
        self.decided = bool(rows) and len(racing) == 1
        rows |= self.score(racing if self.decided else experts)
        self._floor = max((row.value for row in rows.values() if row.complete), default=-math.inf)
        scored = [rows[number] for number in experts]
        if self.decided:
            self.remarks.append(self._outcome(scored, *racing))
        return scored

    def run(self) -> dict[str, float]:
        """Search until the optimizer or the budget ends it, then score the surrogate's proposals.

        Returns:
            The reasons; those that ended the proposals where no iterations were asked for.
        """
        reasons = super().run()
        if self.surrogate is None:
            return reasons
        over = {} if self.decided else self._score_proposals(self.surrogate)
        if self.surrogate.left_out:
            names = ", ".join(self.space.expert_names[n] for n in self.surrogate.left_out)
            self.remarks.append(
                f"{names}: clearly worse than the base, and so in no proposed mixture"
            )
        return over or {"proposals": self.proposed} if reasons.get("max_iter") == 0 else reasons

    def best(self) -> Point:
        """Return the surrogate's choice, never below the best expert; or the optimizer's best."""
        choice = None if self.surrogate is None else self.surrogate.choice(self._floor)
        if choice is None:
            return super().best()
        position = choice.to(self.optimizer.best.x)
        (row,) = self.scorer.score([position], 0)
        return Point(position, row.value)

    def values(self, positions: Tensor) -> list[float | None]:
        """Values of a round; where the experts' race is decided, the first round is one, too."""
        if not self.decided or self.iteration:
            return super().values(positions)
        candidates = dict(enumerate(positions))
        rows, racing = self._race(candidates)
        rows |= self.score(racing)
        return [rows[number].value for number in candidates]

    def _race(self, positions: Mapping[int, Tensor]) -> tuple[dict[int, Row], dict[int, Tensor]]:
        """Number -> row of what takes part in a race, and the positions still in it at the end."""
        rows, racing = dict[int, Row](), dict(positions)
        for share in self.shares:
            rows |= self.score(racing, share)
            staying = survivors({number: rows[number] for number in racing}, share)
            racing = {number: positions[number] for number in staying}
            if len(racing) == 1:
                break
        return rows, racing

    def _outcome(self, experts: Sequence[Row], winner: int) -> str:
        """The outcome of the race, where it is decided, in words."""
        counts = [sum(row.score(task).n for task in row.items) for row in experts]
        *_, latest, _most = sorted(counts)
        return (
            f"{self.space.expert_names[winner]} is ahead of every other expert by more than three "
            f"standard errors, after {latest} of {self.items} dev examples at the latest: they drop "
            "out, and no mixture is proposed"
        )

    def _score_proposals(self, surrogate: Surrogate) -> dict[str, float]:
        """Score the surrogate's proposals, as far as the budget goes; the reasons if that ends them.

        In the history they are one more iteration, of particles numbered after those of the swarm;
        views of a search do not count it.
        """
        scorer, number, values = self.scorer, self.population, list[float]()
        evaluations, spent = scorer.evaluations, scorer.item_evaluations
        over: dict[str, float] = {}
        for batch in surrogate.propose(self.seed, self.at_once):
            more = len(batch) * self.items
            if over := self.budget.exceeded(scorer.item_evaluations, scorer.seconds, more):
                break
            rows = self.score(dict(enumerate(batch, start=number)))
            values += [row.value for row in rows.values()]
            number += len(batch)
        self.proposed = scorer.evaluations - evaluations
        if scorer.item_evaluations > spent:
            self.on_round(self.optimizer, self.iteration, max(values))
        return over


def proposing_search(job: Job, run: Run, plain: Search) -> ProposingSearch:
    """The search of a job whose experts race, or for which a model proposes candidates.

    Args:
        job: what the search works with.
        run: its directory.
        plain: the search without.
    """
    surrogate = None
    if job.proposals:
        surrogate = Surrogate(
            job.config.surrogate or "scores",
            job.objectives.names,
            job.objectives.combine,
            job.proposals,
            # a proposal has to promise something where all that is found is trained anyway
            choosy=job.trains and "proposals" not in job.given,
            # the noise with which the run began: another measurement gives another number
            noisy=run.about.noise > 0 or job.config.temperature > 0,
        )
    # the experts race where a model of the items is to propose mixtures of them
    races = job.config.surrogate is not None or job.config.quick
    shares = draw_shares(job.objectives.items, job.config.seed) if races else []
    return ProposingSearch(
        plain.space,
        plain.scorer,
        plain.optimizer,
        plain.budget,
        plain.dropout,
        plain.archive,
        plain.on_round,
        shares,
        population=job.config.population,
        items=job.items,
        seed=job.config.seed,
        surrogate=surrogate,
        at_once=job.side_by_side,
    )


def draw_shares(items: Mapping[str, int], seed: int) -> list[Share]:
    """The shares of the items after which candidates may drop out, each with the one before it.

    Args:
        items: task name -> number of its items. Of several tasks each share has the same part.
        seed: of the items' order.

    Returns:
        The shares, none where there are few items.

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
