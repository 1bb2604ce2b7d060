"""Evaluate one candidate: realise its weights, load them into the engine, score the items of every
task.

The same code runs in the search's process and in a worker; what passes between them are requests
and evaluations of a few kilobytes each.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from torch import Tensor

from pyswarmopt_llm.common.errors import NotFiniteError
from pyswarmopt_llm.common.interfaces import Engine, Score, Space, Utility
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.scoring.plan import Selection, Values, bounds, complete
from pyswarmopt_llm.searching.scoring.record import Margins, Row, pack

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
        screen: which items to score; None: all.
        known: with a screen, task name -> item values of an earlier evaluation (NaN: not scored);
            None: there is none.
    """

    position: Tensor
    screen: Selection | None = None
    known: Mapping[str, Sequence[float]] | None = None


@dataclass(frozen=True)
class Evaluation:
    """The outcome of a `Request`.

    Attributes:
        value: for the optimizer.
        n: items that were scored.
        items: task name -> item values, NaN where not scored.
        seconds: of all processes that took part.
        bounds: least and greatest value that the complete evaluation can have; None where this is
            the complete one.
        own: value, standard error and count of those tasks whose score is not the mean of their
            items.
        margins: with a screen, task name -> margins of the items that were scored.
    """

    value: float
    n: int
    items: Mapping[str, tuple[float, ...]]
    seconds: float
    bounds: tuple[float, float] | None = None
    own: Mapping[str, list[float]] = field(default_factory=dict)
    margins: Mapping[str, Margins] = field(default_factory=dict)


class Evaluator:
    """Scores candidates on one set of tasks: `space` realises them, `engine` runs them.

    Attributes:
        utilities: task name -> its utility.
        combine: one number from the tasks' scores.
    """

    def __init__(
        self, space: Space, engine: Engine, utilities: Mapping[str, Utility], combine: Combine
    ) -> None:
        self._space, self._engine, self.combine = space, engine, combine
        self.utilities = dict(utilities)

    def on(self, engine: Engine) -> Evaluator:
        """The same on another engine."""
        return Evaluator(self._space, engine, self.utilities, self.combine)

    def load(self, position: Tensor) -> None:
        """Load the candidate at a position into the engine."""
        self._engine.load(self._space.realise(position))

    def evaluate(self, request: Request) -> Evaluation:
        """Score all items of a candidate, or those that its screen selects.

        Raises:
            NotFiniteError: the score is not a number.
        """
        start = time.perf_counter()
        if request.screen is not None:
            evaluation = self._screened(request, request.screen)
        else:
            self.load(request.position)
            evaluation = self.combined(
                {name: utility(self._engine) for name, utility in self.utilities.items()}
            )
        return replace(evaluation, seconds=round(time.perf_counter() - start, 4))

    def combined(self, scores: Mapping[str, Score]) -> Evaluation:
        """The evaluation that the complete scores of all tasks make.

        Raises:
            NotFiniteError: the combined score is not a number.
        """
        total = self.combine(list(scores.values()))
        items = {name: tuple(score.per_item) for name, score in scores.items()}
        return _finite(Evaluation(total.value, total.n, items, 0.0, own=own_values(scores)))

    def _screened(self, request: Request, screen: Selection) -> Evaluation:
        """Score the items that come first, then the others while these do not do."""
        load = cache(lambda: self.load(request.position))  # not at all if nothing is scored
        values: dict[str, Values] = {
            name: np.full(screen.sizes[name], math.nan)
            if request.known is None
            else np.array(request.known[name])
            for name in self.utilities
        }
        margins: dict[str, Margins] = {
            name: [None] * len(task_values) for name, task_values in values.items()
        }
        n = 0
        for uncertain in (True, False):
            for name, task_values in values.items():
                unknown = np.flatnonzero(np.isnan(task_values)).tolist()
                numbers = [i for i in unknown if (i in screen.first[name]) == uncertain]
                if numbers and screen.value(values, self.combine) is None:
                    load()
                    self._score_items(name, numbers, task_values, margins[name])
                    n += len(numbers)
        low, high = bounds(values, self.combine)
        imputed = screen.value(values, self.combine)
        value = high if imputed is None else imputed
        items = {name: tuple(task_values.tolist()) for name, task_values in values.items()}
        between = None if complete(values) else (low, high)
        return _finite(Evaluation(value, n, items, 0.0, between, margins=margins))

    def _score_items(
        self, name: str, items: Sequence[int], values: Values, margins: Margins
    ) -> None:
        """Score these items of a task, into `values` and `margins`."""
        score = self.utilities[name](self._engine, items)
        values[items] = score.per_item
        for i, of_item in zip(items, score.margins, strict=False):  # no options: no margins
            margins[i] = stored_margins(of_item)


def own_values(scores: Mapping[str, Score]) -> dict[str, list[float]]:
    """Value, standard error and count of those scores that are not the mean of their items."""
    return {
        name: [score.value, score.stderr, score.n]
        for name, score in scores.items()
        if not score.per_item or score.value != score_of(score.per_item).value
    }


def row_of(phase: str, key: str, scores: Mapping[str, Score], total: Score, seconds: float) -> Row:
    """The row of complete scores of all tasks, and of their combination."""
    items = {task: pack(score.per_item) for task, score in scores.items()}
    return Row(
        phase, 0, 0, key, (), total.value, total.n, seconds, items, values=own_values(scores)
    )


def stored_margins(margins: Sequence[float]) -> list[float] | None:
    """Six digits are more than a model's rounding leaves; margins that are not numbers count as not
    known.
    """
    return (
        [float(f"{m:.6g}") for m in margins]
        if margins and all(map(math.isfinite, margins))
        else None
    )


def _finite(evaluation: Evaluation) -> Evaluation:
    if not math.isfinite(evaluation.value):
        raise NotFiniteError(f"the score is {evaluation.value}")
    return evaluation
