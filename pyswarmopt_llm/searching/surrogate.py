"""A proposer that learns: starting points first, then what a model of the candidates proposes.

Experts that harm are not learnt from. One expert that was trained on wrong answers spoils everything
that it is added to, and what it does to scores is larger than what all others do. A model with one
kernel for all coefficients then sees little else, and proposes nothing of use.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.base.optimizer import Point
from pyswarmopt_llm.common.gaussian import Floats
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.searching.explore import Batch
from pyswarmopt_llm.searching.scoring.record import Margins, Row

ERRORS = 2.5  # standard errors by which an expert that harms is worse than the base
LEAST = 3  # candidates that a model needs: one degree of freedom more than its mean takes


@dataclass(frozen=True)
class Candidate:
    """A candidate whose items were all scored.

    Attributes:
        position: (D,).
        scores: scores of each task, with those of its items.
        value: what the search maximises, their combination.
        margins: margins of the items of all tasks, where rows hold them.
    """

    position: Floats
    scores: Sequence[Score]
    value: float
    margins: Margins = field(default_factory=list)


class CandidateModel(Protocol):
    """A model of the candidates that were scored."""

    def expected(self) -> Floats:
        """(N,) what it expects of each of them, in any unit."""

    def propose(self, seed: int, count: int) -> Sequence[Tensor]:
        """At most so many positions, (D,) float64, at least one, of which it expects most."""


@dataclass
class Surrogate(ABC):
    """Proposes the starting points, then what a model of the candidates proposes.

    Attributes:
        starts: (N, D) float64, the first candidates.
        experts: names of the experts.
        tasks: names of the tasks.
        combine: the tasks' scores into the value.
        most: the largest number of candidates that the model proposes.
        seed: seed of the proposals.
        numbers: the particle numbers of the starting points; None: from 0 on.
        at_once: candidates that are scored side by side, and so proposed together.
        floor: the value of the best expert. What is handed over is not below it.
        remarks: what a user should know of the proposals.
        left_out: numbers of the experts that are in no proposal: they are clearly worse than the
            base. What was scored with them is not learnt from.
    """

    starts: Tensor
    experts: Sequence[str]
    tasks: Sequence[str]
    combine: Combine
    most: int
    seed: int = 0
    numbers: Sequence[int] | None = None
    at_once: int = 1
    floor: float = -math.inf
    remarks: list[str] = field(default_factory=list, init=False)
    left_out: Sequence[int] = field(default=(), init=False)

    def __post_init__(self) -> None:
        """Begin with the starting points."""
        self._seen: dict[str, Candidate] = {}
        self._started = 0  # candidates that were there before any was proposed
        self._learnt = 0  # those of them, and the first sum, that the model begins with
        self._batches = self._in_turn()

    def ask(self) -> Batch | None:
        """The next candidates; None: no more are proposed."""
        return next(self._batches, None)

    def tell(self, positions: Tensor, rows: Sequence[Row]) -> None:
        """Learn from candidates, (n, D), whose items were all scored."""
        for position, row in zip(positions, rows, strict=True):
            if row.complete:
                self._seen[row.key] = self._candidate(position, row)

    def best(self) -> Point:
        """The candidate to hand over.

        Of the candidates that are about as good as the best, it is that of which the model expects
        most. About as good is within a standard error of the best value (the rule of Breiman et al.
        1984, section 3.4.3), and not below `floor`. The winner of many comparisons on the same items
        owes part of its lead to luck.
        """
        scored = self.scored
        best = max(scored, key=lambda candidate: candidate.value)
        if len(scored) >= LEAST:
            least = max(best.value - np.nan_to_num(self._error(best)), self.floor)
            expected = self._fit(scored).expected()
            near = [number for number, c in enumerate(scored) if c.value >= least]
            best = scored[max(near, key=lambda number: expected[number])] if near else best
        return Point(torch.from_numpy(best.position), best.value)

    def stop(self) -> dict[str, float]:
        """The reason to stop: the number of proposals that were new."""
        return {"proposals": len(self._seen) - self._started if self._started else 0}

    @property
    def scored(self) -> list[Candidate]:
        """The candidates without experts that harm."""
        left_out = list(self.left_out)
        return [c for c in self._seen.values() if not c.position[left_out].any()]

    @abstractmethod
    def _fit(self, seen: Sequence[Candidate]) -> CandidateModel:
        """A model of these candidates; it began with the first `_learnt`."""

    def _in_turn(self) -> Iterator[Batch]:
        """Every batch, each learnt from before the next is asked for.

        The sum of the experts that do not harm is the first proposal, where others do. In the
        history all proposals are one more iteration, of particles numbered after the starting
        points.
        """
        numbers = range(len(self.starts)) if self.numbers is None else self.numbers
        yield Batch(self.starts, numbers, iteration=0)
        if not self.most or len(self._seen) < LEAST:
            return
        self._started = len(self._seen)
        self._leave_out_harmful()
        proposed = 0
        for positions in self._positions():
            first = len(self.starts) + proposed
            yield Batch(positions, range(first, first + len(positions)), iteration=1)
            proposed += len(positions)

    def _positions(self) -> Iterator[Tensor]:
        """The positions of each batch that the model proposes, (n, D)."""
        active = torch.ones(self.starts.shape[1], dtype=torch.float64)
        active[list(self.left_out)] = 0.0
        proposed = 0
        if self.left_out:
            yield active[None]
            proposed = 1
        self._learnt = len(self.scored)
        while proposed < self.most:
            inside = [replace(c, position=c.position[active.numpy() > 0]) for c in self.scored]
            count = min(self.at_once, self.most - proposed)
            batch = self._fit(inside).propose(self.seed + proposed, count)
            yield torch.stack([active.masked_scatter(active > 0, position) for position in batch])
            proposed += len(batch)

    def _leave_out_harmful(self) -> None:
        """Find the experts that harm, and say so."""
        seen = list(self._seen.values())
        self.left_out = harmful(
            np.stack([candidate.position for candidate in seen]),
            np.array([candidate.value for candidate in seen]),
            np.array([self._error(candidate) for candidate in seen]),
        )
        if self.left_out:
            names = ", ".join(self.experts[number] for number in self.left_out)
            self.remarks.append(
                f"{names}: clearly worse than the base, and so in no proposed mixture"
            )

    def _candidate(self, position: Tensor, row: Row) -> Candidate:
        """A candidate as the models see it."""
        scores = [row.score(name) for name in self.tasks]
        margins = [own for name in self.tasks for own in row.margins.get(name, ())]
        x = position.detach().cpu().double().numpy().copy()
        return Candidate(x, scores, row.value, margins)

    def _error(self, candidate: Candidate) -> float:
        """The standard error of a candidate's value; NaN: unknown."""
        return self.combine(candidate.scores).stderr


def harmful(positions: Floats, values: Floats, errors: Floats) -> list[int]:
    """Numbers of the experts that are worse than the base by more than `ERRORS` standard errors of
    the difference, as if both had been scored on different items.

    None where the base is not among the candidates, or where most candidates have some of these
    experts, as after iterations.

    Args:
        positions: (N, D) coefficients of the candidates.
        values: (N,) their scores.
        errors: (N,) the scores' standard errors; what has none (NaN) is never clearly worse.

    Example:
        >>> positions = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> harmful(positions, np.array([0.5, 0.6, 0.1, 0.4]), np.full(4, 0.05))
        [1]
    """
    bases = np.flatnonzero(~positions.any(axis=1))
    if not bases.size:
        return []
    behind = values[bases[0]] - values
    worse = behind > ERRORS * np.hypot(errors[bases[0]], errors)
    alone = (positions == 1).any(axis=1) & (np.count_nonzero(positions, axis=1) == 1)
    experts: list[int] = np.unique(positions[worse & alone].argmax(axis=1)).tolist()
    without = ~positions[:, experts].any(axis=1)
    return experts if 2 * without.sum() > len(positions) else []
