"""A surrogate: it is told of the candidates that were scored, proposes others, and chooses one.

Of the items (`items`) or of the scores (`scores`); what both do is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.parts.stopping import MaxIter, Patience
from pyswarmopt_llm.common.optimizers import maximise
from pyswarmopt_llm.searching.scoring.plan import Items, Plan
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.surrogate.gaussian_process import Floats
from pyswarmopt_llm.searching.surrogate.harmful import ActiveExperts, free_of, harmful

PARTICLES = 40  # of the swarm that maximises what a model predicts
_PATIENCE = 10
# beyond, the candidates of a search tell too little of the space for a model of it
MOST_COEFFICIENTS = 64


class Candidate(Protocol):
    """A candidate that was scored.

    Attributes:
        position: (D,).
        value: what the search maximises.
    """

    @property
    def position(self) -> Floats: ...

    @property
    def value(self) -> float: ...


C = TypeVar("C", bound=Candidate)


class Surrogate(ABC, Generic[C]):
    """Learns from candidates, proposes others, and chooses the one to hand over.

    Args:
        most: candidates that it proposes at most.

    Attributes:
        left_out: numbers of the experts that are in no proposal: they are clearly worse than the
            base. What was scored with them is not learnt from.
    """

    least: ClassVar[int] = 1  # candidates that a model needs

    def __init__(self, most: int) -> None:
        self._most = most
        self.left_out: Sequence[int] = ()

    @property
    def in_full(self) -> Plan:
        """The plan of candidates whose items are all scored."""
        return Items.ALL

    def begin(self, positions: Tensor) -> list[Plan]:
        """Plans for the starting positions, (N, D)."""
        return [self.in_full] * len(positions)

    @abstractmethod
    def tell(self, position: Tensor, row: Row) -> None:
        """Learn from a candidate, (D,)."""

    def propose(self, seed: int, at_once: int) -> Iterator[Sequence[Tensor]]:
        """Candidates to score in full, (D,) float64, as many at once as are scored side by side.

        Each batch is learnt from before the next is taken. The sum of the experts that do not harm
        is the first, where others do.
        """
        everyone = self._candidates()
        if len(everyone) < self.least:
            return
        values = np.array([candidate.value for candidate in everyone])
        errors = np.array([self._error(candidate) for candidate in everyone])
        positions = np.stack([candidate.position for candidate in everyone])
        self.left_out = harmful(positions, values, errors)
        if self.left_out:
            yield [self.active.ones]
        yield from self._promising(seed, at_once)

    def choice(self, floor: float) -> Tensor | None:
        """The position to hand over, (D,) float64; None: the optimizer's best.

        Of the candidates that are about as good as the best, that of which most is expected. About
        as good is within a standard error of the best value (the rule of Breiman et al. 1984,
        section 3.4.3), and not below `floor`. The winner of many comparisons on the same items owes
        part of its lead to luck.
        """
        scored = self.scored
        if len(scored) < self.least:
            return None
        best = max(scored, key=lambda candidate: candidate.value)
        error = self._error(best)
        least = max(best.value - (0.0 if np.isnan(error) else error), floor)
        near = [number for number, c in enumerate(scored) if c.value >= least]
        if not near:
            return None
        chosen = near[int(np.argmax(self._expected(near)))]
        return torch.from_numpy(scored[chosen].position.copy())

    @property
    def active(self) -> ActiveExperts:
        """The coefficients that proposals move in."""
        return ActiveExperts(self._candidates()[0].position.size, self.left_out)

    @property
    @abstractmethod
    def scored(self) -> Sequence[C]:
        """The candidates that were scored in full and are learnt from."""

    @abstractmethod
    def _candidates(self) -> Sequence[C]:
        """All candidates that something is known of."""

    @abstractmethod
    def _error(self, candidate: C) -> float:
        """The standard error of a candidate's value; NaN: unknown."""

    @abstractmethod
    def _expected(self, numbers: Sequence[int]) -> Floats:
        """What the model expects of these of `scored`, in any unit."""

    @abstractmethod
    def _promising(self, seed: int, at_once: int) -> Iterator[Sequence[Tensor]]:
        """Batches of the candidates of which the model expects most."""

    def _without_harmful(self, candidates: Sequence[C]) -> list[C]:
        return [one for one in candidates if free_of(one.position, self.left_out)]


def argmax(
    gain: Callable[[Tensor], Tensor],
    starts: Tensor,
    seed: int,
    iterations: int,
    bounds: Sequence[tuple[float, float]] | None = None,
) -> Tensor:
    """The position, (K,), where a swarm finds the greatest gain.

    Swarms on scores have to feel their way; this one can look at a model thousands of times.

    Args:
        gain: (N,) of positions (N, K).
        starts: (at most `PARTICLES`, K) float64.
        seed: of the swarm.
        iterations: at most so many.
        bounds: K pairs (lower, upper).
    """
    stop = (Patience(_PATIENCE), MaxIter(iterations))
    swarm = pso.Swarm(
        bounds=None if bounds is None else list(bounds),
        positions=starts,
        population=PARTICLES,
        recipe=replace(pso.recipes.constriction(), stop=stop, restart=()),
        maximize=True,
        seed=seed,
        dtype=torch.float64,
    )
    return maximise(swarm, lambda points: gain(points).tolist()).x
