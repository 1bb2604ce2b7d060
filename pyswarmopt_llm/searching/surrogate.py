"""A proposer that learns: starting points first, then candidates from a surrogate model.

The model ignores harmful experts. One expert trained on wrong answers spoils every sum it is in,
with larger effects than all others together. A model with one kernel for all coefficients then sees
little else, and proposes nothing useful.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.blas import one_thread
from pyswarmopt.base.optimizer import Point
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.searching.explore import Batch
from pyswarmopt_llm.searching.item_model import MarginProcess
from pyswarmopt_llm.searching.score_model import Candidate, ScoreProcess
from pyswarmopt_llm.searching.scoring.record import Row

ERRORS = 2.5  # a harmful expert is worse than the base by this many standard errors
LEAST = 3  # candidates a model needs: one degree of freedom more than its mean takes


@dataclass
class Surrogate:
    """Proposes the starting points, then candidates from a surrogate model.

    Attributes:
        method: ``items`` (a model of their margins) or ``scores`` (of each task's scores).
        starts: the first candidates, (N, D) float64.
        experts: names of the experts.
        tasks: names of the tasks.
        combine: combines the tasks' scores into the value.
        most: the most candidates that the model proposes.
        seed: seed of the proposals.
        numbers: particle numbers of the starting points; None: from 0 on.
        at_once: candidates scored side by side, and so proposed together.
        floor: value of the best expert; the returned candidate is not below it.
        noisy: whether rescoring a candidate may give another score.
        remarks: what a user should know about the proposals.
        left_out: numbers of the experts in no proposal: those that a race dropped, then also those
            clearly worse than the base. The model ignores candidates that contain them.
    """

    method: str
    starts: Tensor
    experts: Sequence[str]
    tasks: Sequence[str]
    combine: Combine
    most: int
    seed: int = 0
    numbers: Sequence[int] | None = None
    at_once: int = 1
    floor: float = -math.inf
    left_out: Sequence[int] = ()
    noisy: bool = False
    remarks: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Begin with the starting points."""
        self._seen: dict[str, Candidate] = {}
        self._started = 0  # candidates scored before any proposal
        self._learnt = 0  # starting points and first sum, which bound the model's region
        self._batches = self._in_turn()

    def ask(self) -> Batch | None:
        """The next candidates; None: no more candidates."""
        return next(self._batches, None)

    def tell(self, positions: Tensor, rows: Sequence[Row]) -> None:
        """Learn from candidates, (n, D), whose items were all scored."""
        for position, row in zip(positions, rows, strict=True):
            if row.complete:
                self._seen[row.key] = self._candidate(position, row)

    def best(self) -> Point:
        """The candidate to return.

        Of the candidates about as good as the best, it is the one with the highest expectation of
        the model. About as good means within a standard error of the best value (the rule of
        Breiman et al. 1984, section 3.4.3), and not below `floor`. The winner of many comparisons
        on the same items owes part of its lead to luck. Where no candidate leads the best expert,
        it is that expert.
        """
        scored = self.scored
        best = max(scored, key=lambda candidate: candidate.value)
        if len(scored) >= LEAST and best.value > self.floor:
            least = max(best.value - np.nan_to_num(self._error(best)), self.floor)
            expected = self._fit(scored).expected()
            near = [number for number, c in enumerate(scored) if c.value >= least]
            best = scored[max(near, key=lambda number: expected[number])] if near else best
        return Point(torch.from_numpy(best.position), best.value)

    def stop(self) -> dict[str, float]:
        """The reason to stop: the number of new proposals."""
        return {"proposals": len(self._seen) - self._started if self._started else 0}

    @property
    def scored(self) -> list[Candidate]:
        """The candidates without harmful experts."""
        left_out = list(self.left_out)
        return [c for c in self._seen.values() if not c.position[left_out].any()]

    def close(self) -> None:
        """Nothing to release."""

    def _fit(self, seen: Sequence[Candidate]) -> MarginProcess | ScoreProcess:
        """A model of these candidates, the first `_learnt` of which bound its region."""
        if self.method == "items":
            positions = np.stack([candidate.position for candidate in seen])
            return MarginProcess(positions, [candidate.margins for candidate in seen])
        return ScoreProcess(seen, self.combine, self.noisy, self._learnt)

    def _in_turn(self) -> Iterator[Batch]:
        """The batches in turn; each is scored before the next is proposed.

        Where some experts harm, the first proposal is the sum of the others. In the history all
        proposals form one more iteration, with particle numbers after the starting points.
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
        """The positions of each batch of proposals, (n, D)."""
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
            with one_thread():
                batch = self._fit(inside).propose(self.seed + proposed, count)
            yield torch.stack([active.masked_scatter(active > 0, position) for position in batch])
            proposed += len(batch)

    def _leave_out_harmful(self) -> None:
        """Find the harmful experts, and say so."""
        seen = list(self._seen.values())
        found = harmful(
            np.stack([candidate.position for candidate in seen]),
            np.array([candidate.value for candidate in seen]),
            np.array([self._error(candidate) for candidate in seen]),
        )
        self.left_out = sorted({*self.left_out, *found})
        if found:
            names = ", ".join(self.experts[number] for number in found)
            self.remarks.append(
                f"{names}: clearly worse than the base, and so in no proposed mixture"
            )

    def _candidate(self, position: Tensor, row: Row) -> Candidate:
        """A scored candidate for the models."""
        scores = [row.score(name) for name in self.tasks]
        margins = [own for name in self.tasks for own in row.margins.get(name, ())]
        x = position.detach().cpu().double().numpy().copy()
        return Candidate(x, scores, row.value, margins)

    def _error(self, candidate: Candidate) -> float:
        """The standard error of a candidate's value; NaN: unknown."""
        return self.combine(candidate.scores).stderr


def harmful(positions: Floats, values: Floats, errors: Floats) -> list[int]:
    """Numbers of the experts worse than the base by more than `ERRORS` standard errors of the
    difference, taken as if both had been scored on different items.

    Empty if the base is not among the candidates, or if most candidates contain some of these
    experts, as after iterations.

    Args:
        positions: (N, D) coefficients of the candidates.
        values: (N,) their scores.
        errors: standard errors of the scores, (N,); an unknown one (NaN) is never clearly worse.

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
