"""Evaluate one candidate: realise its weights, load them into the engine, score the items of every
task.

The same code runs in the search's process and in a worker; what passes between them are requests
and rows of a few kilobytes each.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pyswarmopt_llm.common.errors import NotFiniteError
from pyswarmopt_llm.common.interfaces import Engine, Score, Space, Utility
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.scoring.record import Margins, Row, pack
from pyswarmopt_llm.searching.scoring.run_directory import position_key

Share = Mapping[str, npt.NDArray[np.bool_]]  # task name -> which of its items are scored, (n,)
LETTERS = "letters"  # in place of a split: the trial by letters, on the first items of dev


@dataclass(frozen=True)
class Questions:
    """What candidates are scored on, as another process can rebuild it.

    Attributes:
        split: ``dev``, ``fresh``, or `LETTERS`.
        scorings: task name and how it is scored.
    """

    split: str
    scorings: tuple[tuple[str, Scoring], ...]


@dataclass(frozen=True)
class Request:
    """A candidate to evaluate.

    Attributes:
        position: (D,).
        share: the items to score, but for those that are known; None: all.
        before: what is known of some items.
    """

    position: Tensor
    share: Share | None = None
    before: Row | None = None


class Evaluator:
    """Scores candidates on one set of tasks: `space` realises them, `engine` runs them.

    Attributes:
        utilities: task name -> its utility.
        combine: one number from the tasks' scores.
        margins: whether rows hold the margins of the items.
    """

    def __init__(
        self,
        space: Space,
        engine: Engine,
        utilities: Mapping[str, Utility],
        combine: Combine,
        margins: bool = False,
    ) -> None:
        self._space, self._engine, self.combine = space, engine, combine
        self.utilities, self.margins = dict(utilities), margins

    def on(self, engine: Engine) -> Evaluator:
        """The same on another engine."""
        return Evaluator(self._space, engine, self.utilities, self.combine, self.margins)

    def coefficients(self, position: Tensor) -> list[float]:
        """The experts' weights at a position."""
        return list(self._space.coefficients(position).tolist())

    def evaluate(self, request: Request) -> Row:
        """The row of a candidate, but for its phase, iteration and particle.

        Raises:
            NotFiniteError: the score is not a number.
        """
        start = time.perf_counter()
        self._engine.load(self._space.realise(request.position))
        scores = {name: self._score(name, request) for name in self.utilities}
        of_tasks = list(scores.values())
        total = self.combine([*map(_least, of_tasks)] if request.share is not None else of_tasks)
        if not math.isfinite(total.value):
            raise NotFiniteError(f"the score is {total.value}")
        row = row_of("", position_key(request.position), scores, total, 0.0)
        return replace(
            row,
            coefficients=self.coefficients(request.position),
            seconds=round(time.perf_counter() - start, 4),
            margins=margins_of(scores) if self.margins else {},
        )

    def _score(self, name: str, request: Request) -> Score:
        """A task's score: on all items, or on a share of them with those that were known before;
        NaN where an item is not known.
        """
        utility, share, before = self.utilities[name], request.share, request.before
        if share is None:
            return utility(self._engine)
        values = np.full(len(share[name]), math.nan)
        margins = [tuple[float, ...]()] * len(values)
        if before is not None:
            values = np.array(before.item_values(name))
            margins = [tuple(own or ()) for own in before.margins.get(name, margins)]
        places = np.flatnonzero(np.isnan(values) & share[name]).tolist()
        if places:
            score = utility(self._engine, places)
            values[places] = score.per_item
            for place, of_item in zip(places, score.margins, strict=False):  # or no options
                margins[place] = of_item
        least, items = score_of(np.nan_to_num(values)), tuple(values.tolist())
        return replace(least, per_item=items, n=len(places), margins=tuple(margins))


def _least(score: Score) -> Score:
    """A score whose items that are not known count as wrong."""
    return replace(score, per_item=tuple(np.nan_to_num(score.per_item).tolist()))


def row_of(phase: str, key: str, scores: Mapping[str, Score], total: Score, seconds: float) -> Row:
    """The row of the scores of all tasks, and of their combination."""
    items = {task: pack(score.per_item) for task, score in scores.items()}
    own = {
        name: [score.value, score.stderr, score.n]
        for name, score in scores.items()
        if not score.per_item or score.value != np.nan_to_num(score.per_item).mean()
    }
    return Row(phase, 0, 0, key, (), total.value, total.n, seconds, items, own)


def margins_of(scores: Mapping[str, Score]) -> dict[str, Margins]:
    """Task name -> margins of its items, where there are options."""
    return {
        name: [stored_margins(margins) for margins in score.margins]
        for name, score in scores.items()
        if score.margins
    }


def stored_margins(margins: Sequence[float]) -> list[float] | None:
    """Six digits are more than a model's rounding leaves; margins that are not numbers count as not
    known.
    """
    return (
        [float(f"{m:.6g}") for m in margins]
        if margins and all(map(math.isfinite, margins))
        else None
    )
