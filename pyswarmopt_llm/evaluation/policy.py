"""Evaluation policies: which items of which candidates of a round are scored.

A policy plans a round, and learns from what was scored. `Full` scores everything, `Modelled` too
and then proposes more candidates, `Screened` scores what a model cannot predict, and `Dropout`
leaves out evaluations at random that another policy has planned.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.evaluation.plan import Items, Plan
from pyswarmopt_llm.evaluation.record import Row
from pyswarmopt_llm.metrics.combine import Combine

if TYPE_CHECKING:
    from pyswarmopt_llm.evaluation.surrogate.harmful import Rest
    from pyswarmopt_llm.evaluation.surrogate.score_model import Scored
    from pyswarmopt_llm.evaluation.surrogate.screening import Screening


LEAST_GAIN = 1.0  # standard errors that the model has to expect of a mixture


@dataclass(frozen=True)
class Round:
    """Candidates that an optimizer asks for together.

    Attributes:
        iteration: 0 for the starting ones.
        positions: (N, D).
        best: value of the best candidate so far.
    """

    iteration: int
    positions: Tensor
    best: float


class Policy(Protocol):
    """Decides what is scored.

    Attributes:
        starts_in_full: whether the starting round is as expensive as any other, the experts
            included.
    """

    starts_in_full: bool

    @property
    def left_out(self) -> Sequence[int]:
        """Numbers of the experts that are in no proposal, once there are some."""

    def plan(self, round: Round) -> list[Plan]:
        """The items to score of each candidate."""

    def in_full(self, count: int) -> list[Plan]:
        """Plans for candidates that are scored in full, before or after the rounds."""

    def learn(self, positions: Sequence[Tensor], rows: Sequence[Row | None]) -> None:
        """Take in a round's rows; None: not evaluated."""

    def proposals(self, seed: int, at_once: int) -> Iterator[Sequence[Tensor]]:
        """Candidates to score in full when the optimizer has stopped, as many at once as are scored
        side by side.

        Each batch is learnt from before the next is taken.
        """

    def choice(self, floor: float) -> Tensor | None:
        """The position to hand over, of a value not below `floor`; None: the optimizer's best."""


class Full:
    """Scores every item of every candidate."""

    starts_in_full = True
    left_out: Sequence[int] = ()

    def plan(self, round: Round) -> list[Plan]:
        """All items of all."""
        return self.in_full(len(round.positions))

    def in_full(self, count: int) -> list[Plan]:
        """All items."""
        return [Items.ALL] * count

    def learn(self, positions: Sequence[Tensor], rows: Sequence[Row | None]) -> None:
        """Nothing."""

    def proposals(self, seed: int, at_once: int) -> Iterator[Sequence[Tensor]]:
        """None."""
        return iter(())

    def choice(self, floor: float) -> Tensor | None:
        """None: the optimizer's best."""
        return None


class Screened:
    """Scores the items whose outcome is uncertain; see `Screening`."""

    starts_in_full = False

    def __init__(self, screening: Screening, proposals: int, least_gain: float = -math.inf) -> None:
        self._screening, self._proposals = screening, proposals
        self._least_gain = least_gain

    @property
    def left_out(self) -> Sequence[int]:
        """Those that harm; see `Screening.leave_out_harmful`."""
        return self._screening.left_out

    def plan(self, round: Round) -> list[Plan]:
        """A screen for each candidate."""
        best = round.best if round.iteration else self._screening.best
        return [*self._screening.screens(round.positions, best)]

    def in_full(self, count: int) -> list[Plan]:
        """All items, with their margins."""
        return [self._screening.everything()] * count

    def learn(self, positions: Sequence[Tensor], rows: Sequence[Row | None]) -> None:
        """Take in the margins."""
        for position, row in zip(positions, rows, strict=True):
            if row is not None:
                self._screening.learn(row.key, position, row)

    def proposals(self, seed: int, at_once: int) -> Iterator[Sequence[Tensor]]:
        """Those of the item model, one by one."""
        from pyswarmopt_llm.evaluation.surrogate.proposals import proposals

        for position in proposals(self._screening, seed, self._proposals, self._least_gain):
            yield [position]

    def choice(self, floor: float) -> Tensor | None:
        """That of the widest margins among those about as good as the best."""
        from pyswarmopt_llm.evaluation.surrogate.proposals import widest

        return widest(self._screening, floor)


class Modelled(Full):
    """Scores every item of every candidate, and then those that a model of their scores proposes;
    see `ScoreModel`.
    """

    def __init__(
        self, objectives: Iterable[str], combine: Combine, proposals: int, noisy: bool = False
    ) -> None:
        self._objectives, self._combine, self._proposals = tuple(objectives), combine, proposals
        self.noisy = noisy
        self.left_out: Sequence[int] = ()
        self._scored: dict[str, Scored] = {}

    def learn(self, positions: Sequence[Tensor], rows: Sequence[Row | None]) -> None:
        """Take in the scores."""
        from pyswarmopt_llm.evaluation.surrogate.score_model import Scored

        for position, row in zip(positions, rows, strict=True):
            if row is not None and row.complete:
                scores = [row.score(name) for name in self._objectives]
                self._scored[row.key] = Scored(
                    position.detach().cpu().double().numpy().copy(), scores, row.value
                )

    def proposals(self, seed: int, at_once: int) -> Iterator[Sequence[Tensor]]:
        """Where the model expects the greatest improvement; first the sum of the experts that do not
        harm, where others do.
        """
        from pyswarmopt_llm.evaluation.surrogate.score_model import (
            LEAST,
            box_around,
            clearly_harmful,
            most_promising,
        )

        if len(self._scored) < LEAST:
            return
        self.left_out = clearly_harmful([*self._scored.values()], self._combine)
        begin, rest = 0, self._rest()
        if self.left_out:
            begin = 1
            yield [rest.sum]
        bounds = box_around(self._used(rest))
        for first in range(begin, self._proposals, at_once):
            count = min(at_once, self._proposals - first)
            promising = most_promising(
                self._used(rest), self._combine, bounds, seed + first, count, self.noisy
            )
            yield [rest.whole(position) for position in promising]

    def choice(self, floor: float) -> Tensor | None:
        """That which the model expects most of, among those about as good as the best."""
        from pyswarmopt_llm.evaluation.surrogate.score_model import most_credible

        if not self._scored:
            return None
        rest = self._rest()
        credible = most_credible(self._used(rest), self._combine, floor, self.noisy)
        return None if credible is None else rest.whole(credible)

    def _rest(self) -> Rest:
        """The coefficients that proposals move in."""
        from pyswarmopt_llm.evaluation.surrogate.harmful import Rest

        return Rest(next(iter(self._scored.values())).position.size, self.left_out)

    def _used(self, rest: Rest) -> list[Scored]:
        """The candidates without experts that harm, in these coefficients."""
        from pyswarmopt_llm.evaluation.surrogate.harmful import free_of

        return [
            replace(scored, position=rest.of(scored.position))
            for scored in self._scored.values()
            if free_of(scored.position, self.left_out)
        ]


class Dropout:
    """Leaves out evaluations: Drop-K and Drop-N of Feng et al. 2024 (arXiv 2410.11163).

    Drop-K leaves out a whole iteration with probability `drop_k`, Drop-N a single candidate with
    probability `drop_n`. The particles move on all the same. The starting swarm is always
    evaluated. The draws are the policy's own, so that the same seed moves the swarm by the same
    random numbers with and without them.

    Args:
        policy: plans what is not left out.
        drop_k: probability that a whole iteration is left out.
        drop_n: probability that a single candidate is left out.
        seed: of the search.

    Example:
        >>> dropout = Dropout(Full(), 0.0, 0.5, seed=0)
        >>> dropout.dropped(0, 4).tolist(), dropout.dropped(1, 4).tolist()
        ([False, False, False, False], [False, False, False, True])
    """

    def __init__(self, policy: Policy, drop_k: float, drop_n: float, seed: int) -> None:
        self._policy, self._whole, self._single = policy, drop_k, drop_n
        self._random = np.random.default_rng([seed, 1])
        self.starts_in_full = policy.starts_in_full
        self.in_full, self.learn = policy.in_full, policy.learn
        self.proposals, self.choice = policy.proposals, policy.choice

    @property
    def left_out(self) -> Sequence[int]:
        """Those of the other policy."""
        return self._policy.left_out

    def plan(self, round: Round) -> list[Plan]:
        """What the other policy plans, without those that are left out."""
        plans = self._policy.plan(round)
        dropped = self.dropped(round.iteration, len(plans))
        return [Items.NONE if out else plan for out, plan in zip(dropped, plans, strict=True)]

    def dropped(self, iteration: int, particles: int) -> npt.NDArray[np.bool_]:
        """(N,) mask of the particles that are not evaluated."""
        if iteration == 0:
            return np.zeros(particles, dtype=np.bool_)
        whole = self._random.random() < self._whole
        return (self._random.random(particles) < self._single) | whole


def make_policy(
    config: SearchConfig, items: Mapping[str, int], combine: Combine, noisy: bool = False
) -> Policy:
    """The policy of a search for objectives with these numbers of dev items, and this combination
    of their scores; `noisy` where the same candidate does not score the same again. The model of
    the items estimates its noise from the margins in any case.
    """
    noisy = noisy or config.temperature > 0
    policy: Policy = Full()
    if config.most_proposals:
        policy = Modelled(items, combine, config.most_proposals, noisy)
    if config.screen is not None:
        from pyswarmopt_llm.evaluation.surrogate.screening import Screening

        # Where all that is found is trained anyway, a mixture has to promise something.
        least_gain = LEAST_GAIN if config.train == "on" and config.proposals is None else -math.inf
        screening = Screening(config.screen, items)
        policy = Screened(screening, config.most_proposals, least_gain)
    if config.drop_k or config.drop_n:
        return Dropout(policy, config.drop_k or 0.0, config.drop_n or 0.0, config.seed)
    return policy
