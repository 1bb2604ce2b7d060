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
from pyswarmopt_llm.searching.scoring.record import Margins, Row, pack, unpack
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
        share: the items to score; None: all.
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
        complete = request.share is None and request.before is None
        row = self._complete() if complete else self._part(request)
        if not math.isfinite(row.value):
            raise NotFiniteError(f"the score is {row.value}")
        return replace(
            row,
            key=position_key(request.position),
            coefficients=self.coefficients(request.position),
            seconds=round(time.perf_counter() - start, 4),
        )

    def _complete(self) -> Row:
        """The row of all items."""
        scores = {name: utility(self._engine) for name, utility in self.utilities.items()}
        row = row_of("", "", scores, self.combine(list(scores.values())), 0.0)
        return replace(row, margins=margins_of(scores) if self.margins else {})

    def _part(self, request: Request) -> Row:
        """The row of a share of the items, with those that were known before."""
        known, margins, n = dict[str, Score](), dict[str, Margins](), 0
        for name, utility in self.utilities.items():
            values, own = _before(name, request)
            wanted = np.isnan(values)
            if request.share is not None:
                wanted &= request.share[name]
            places = np.flatnonzero(wanted).tolist()
            if places:
                score = utility(self._engine, places)
                values[places] = score.per_item
                for place, of_item in zip(places, score.margins, strict=False):  # or no options
                    own[place] = stored_margins(of_item)
            least = score_of(np.nan_to_num(values))
            known[name] = replace(least, per_item=tuple(values.tolist()))
            margins[name], n = own, n + len(places)
        value = self.combine(list(known.values())).value
        items = {name: pack(score.per_item) for name, score in known.items()}
        return Row("", 0, 0, "", (), value, n, 0.0, items, margins=margins if self.margins else {})


def _before(name: str, request: Request) -> tuple[np.ndarray, Margins]:
    """Values and margins of a task's items before a request; NaN and None where not known."""
    if request.before is None:
        count = len((request.share or {})[name])
        return np.full(count, math.nan), [None] * count
    values = np.array(unpack(request.before.items[name]))
    return values, list(request.before.margins.get(name, [None] * len(values)))


def row_of(phase: str, key: str, scores: Mapping[str, Score], total: Score, seconds: float) -> Row:
    """The row of complete scores of all tasks, and of their combination."""
    items = {task: pack(score.per_item) for task, score in scores.items()}
    own = {
        name: [score.value, score.stderr, score.n]
        for name, score in scores.items()
        if not score.per_item or score.value != score_of(score.per_item).value
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
