"""A surrogate: it is told of the candidates that were scored, proposes others, and chooses one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.parts.stopping import MaxIter, Patience
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.optimizers import maximise
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.searching.scoring.record import Margins, Row
from pyswarmopt_llm.searching.surrogate.gaussian_process import Floats
from pyswarmopt_llm.searching.surrogate.harmful import harmful

LEAST = 3  # candidates that a model needs: one degree of freedom more than its mean takes
PARTICLES = 40  # of the swarm that maximises what a model predicts
_PATIENCE = 10
# beyond, the candidates of a search tell too little of the space for a model of it
MOST_COEFFICIENTS = 64


@dataclass(frozen=True)
class Candidate:
    """A candidate whose items were all scored.

    Attributes:
        position: (D,).
        scores: of each task, with those of its items.
        value: what the search maximises, their combination.
        margins: of the items of all tasks, where rows hold them.
    """

    position: Floats
    scores: Sequence[Score]
    value: float
    margins: Margins = field(default_factory=list)


class Model(Protocol):
    """A model of the candidates that were scored."""

    def expected(self) -> Floats:
        """(N,) what it expects of each of them, in any unit."""

    def propose(self, seed: int, count: int) -> Sequence[Tensor]:
        """At most so many positions, (D,) float64, of which it expects most; none: of nothing
        enough.
        """


# A model of candidates, so many of which were there before the first was proposed.
Fit = Callable[[Sequence[Candidate], int], Model]


class Surrogate:
    """Learns from candidates, proposes others, and chooses the one to hand over.

    Args:
        fit: makes a model.
        tasks: their names.
        combine: the tasks' scores into the value.
        most: candidates that it proposes at most.

    Attributes:
        left_out: numbers of the experts that are in no proposal: they are clearly worse than the
            base. What was scored with them is not learnt from.
    """

    def __init__(self, fit: Fit, tasks: Sequence[str], combine: Combine, most: int) -> None:
        self._fit, self._tasks, self._combine, self._most = fit, tuple(tasks), combine, most
        self._seen: dict[str, Candidate] = {}
        self.left_out: Sequence[int] = ()

    def tell(self, position: Tensor, row: Row) -> None:
        """Learn from a candidate, (D,), if all its items were scored."""
        if row.complete:
            scores = [row.score(name) for name in self._tasks]
            margins = [own for name in self._tasks for own in row.margins.get(name, ())]
            place = position.detach().cpu().double().numpy().copy()
            self._seen[row.key] = Candidate(place, scores, row.value, margins)

    def propose(self, seed: int, at_once: int) -> Iterator[Sequence[Tensor]]:
        """Candidates to score, (D,) float64, at most as many at once as are scored side by side.

        Each batch is learnt from before the next is taken. The sum of the experts that do not harm
        is the first, where others do.
        """
        everyone = list(self._seen.values())
        if len(everyone) < LEAST:
            return
        positions = np.stack([candidate.position for candidate in everyone])
        values = np.array([candidate.value for candidate in everyone])
        self.left_out = harmful(positions, values, np.array([*map(self._error, everyone)]))
        active = torch.ones(positions.shape[1], dtype=torch.float64)
        active[list(self.left_out)] = 0.0
        proposed = int(bool(self.left_out))
        if proposed:
            yield [active]
        begun = len(self.scored)
        while proposed < self._most:
            inside = [replace(c, position=c.position[active.numpy() > 0]) for c in self.scored]
            model = self._fit(inside, begun)
            batch = model.propose(seed + proposed, min(at_once, self._most - proposed))
            if not batch:
                return
            yield [active.masked_scatter(active > 0, position) for position in batch]
            proposed += len(batch)

    def choice(self, floor: float) -> Tensor | None:
        """The position to hand over, (D,) float64; None: the optimizer's best.

        Of the candidates that are about as good as the best, that of which most is expected. About
        as good is within a standard error of the best value (the rule of Breiman et al. 1984,
        section 3.4.3), and not below `floor`. The winner of many comparisons on the same items owes
        part of its lead to luck.
        """
        scored = self.scored
        if len(scored) < LEAST:
            return None
        best = max(scored, key=lambda candidate: candidate.value)
        least = max(best.value - np.nan_to_num(self._error(best)), floor)
        near = [number for number, c in enumerate(scored) if c.value >= least]
        if not near:
            return None
        expected = self._fit(scored, 0).expected()
        return torch.from_numpy(scored[max(near, key=lambda number: expected[number])].position)

    @property
    def scored(self) -> list[Candidate]:
        """The candidates without experts that harm."""
        left_out = list(self.left_out)
        return [c for c in self._seen.values() if not c.position[left_out].any()]

    def _error(self, candidate: Candidate) -> float:
        """The standard error of a candidate's value; NaN: unknown."""
        return self._combine(candidate.scores).stderr


def argmax(
    gain: Callable[[Floats], Floats],
    starts: Floats,
    seed: int,
    iterations: int,
    bounds: Sequence[tuple[float, float]] | None = None,
) -> Tensor:
    """The position, (D,) float64, where a swarm finds the greatest gain.

    Swarms on scores have to feel their way; this one can look at a model thousands of times.

    Args:
        gain: (N,) of positions (N, D).
        starts: (N, D), the best first; the swarm begins at `PARTICLES` of them.
        seed: of the swarm.
        iterations: at most so many.
        bounds: D pairs (lower, upper).
    """
    stop = (Patience(_PATIENCE), MaxIter(iterations))
    swarm = pso.Swarm(
        bounds=None if bounds is None else list(bounds),
        positions=torch.from_numpy(starts[:PARTICLES]),
        population=PARTICLES,
        recipe=replace(pso.recipes.constriction(), stop=stop, restart=()),
        maximize=True,
        seed=seed,
        dtype=torch.float64,
    )
    return maximise(swarm, lambda points: gain(points.numpy()).tolist()).x


__all__ = ["LEAST", "MOST_COEFFICIENTS", "Candidate", "Surrogate", "argmax"]
