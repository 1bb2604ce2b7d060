"""Scores positions: what the store knows is not evaluated again.

A candidate is evaluated in the search's process or in a worker by the same code; what passes between
them are requests and rows of a few kilobytes each.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pyswarmopt_llm.common.errors import NotFiniteError, UndefinedModelError, UserError
from pyswarmopt_llm.common.interfaces import Engine, Score, Space, Utility
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import UNDEFINED, Journal, position_key

Share = Mapping[str, npt.NDArray[np.bool_]]  # task name -> which of its items are scored, (n,)


@dataclass(frozen=True)
class Questions:
    """Examples that candidates are scored on, as another process can rebuild them.

    Attributes:
        split: ``dev``, ``test`` or ``spare``.
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
        what: the evaluation is called in the store.
        iteration, particle: place in the history.
    """

    position: Tensor
    share: Share | None = None
    before: Row | None = None
    what: str = ""
    iteration: int = 0
    particle: int = 0

    @cached_property
    def key(self) -> str:
        """The name of the exact position."""
        return position_key(self.position)

    @property
    def text(self) -> str:
        """The candidate in words."""
        return f"particle {self.particle}, iteration {self.iteration}"


@dataclass(frozen=True)
class Evaluator:
    """Scores candidates on one set of tasks: `space` realises them, `engine` runs them.

    Attributes:
        utilities: task name -> its utility.
        combine: one number from the tasks' scores.
        margins: whether rows hold the margins of the items.
    """

    space: Space
    engine: Engine
    utilities: Mapping[str, Utility]
    combine: Combine
    margins: bool = False

    def coefficients(self, position: Tensor) -> list[float]:
        """The experts' weights at a position."""
        return list(self.space.coefficients(position).tolist())

    def evaluate(self, request: Request) -> Row:
        """The row of a candidate, but for its phase, iteration and particle.

        Raises:
            NotFiniteError: the score is not a number.
        """
        start = time.perf_counter()
        self.engine.load(self.space.realise(request.position))
        row = self.row(request.share, request.before, start)
        return replace(row, key=request.key, coefficients=self.coefficients(request.position))

    def row(
        self,
        share: Share | None = None,
        before: Row | None = None,
        start: float | None = None,
        answers: bool = False,
    ) -> Row:
        """The scores of the model that is loaded.

        Args:
            share: the items to score, but for those that are known; None: all.
            before: what is known of some items.
            start: by `time.perf_counter`, from which its seconds count; None: now.
            answers: whether the row holds the options that the items got; not with `share`.

        Raises:
            NotFiniteError: the score is not a number.
        """
        start = time.perf_counter() if start is None else start
        scores = {name: self._score(name, share, before) for name in self.utilities}
        total = self.combine([*map(_least, scores.values())])
        if not math.isfinite(total.value):
            raise NotFiniteError(f"the score is {total.value}")
        seconds = time.perf_counter() - start
        return Row.of(scores, total, seconds, margins=self.margins, answers=answers)

    def _score(self, name: str, share: Share | None, before: Row | None) -> Score:
        """A task's score: on all items, or on a share of them with those that were known before;
        NaN where an item is not known.
        """
        utility = self.utilities[name]
        if before is not None:
            values = np.array(before.item_values(name))
        elif share is not None:
            values = np.full(len(share[name]), math.nan)
        else:
            return utility(self.engine)
        known = {} if before is None else before.margins
        margins = [tuple(own or ()) for own in known.get(name, [None] * len(values))]
        wanted = True if share is None else share[name]
        indices = np.flatnonzero(np.isnan(values) & wanted).tolist()
        if indices:
            score = utility(self.engine, indices)
            values[indices] = score.per_item
            for index, of_item in zip(indices, score.margins, strict=False):  # or no options
                margins[index] = of_item
        least = score_of(np.nan_to_num(values))
        items = tuple(values.tolist())
        return replace(least, per_item=items, n=len(indices), margins=tuple(margins))


def _least(score: Score) -> Score:
    """A score whose items that are not known count as wrong."""
    return replace(score, per_item=tuple(np.nan_to_num(score.per_item).tolist()))


log = logging.getLogger(__name__)
OnRow = Callable[[Row, bool], None]  # a row, and whether it was known before this process


@dataclass(frozen=True)
class Crew:
    """Workers that evaluate several candidates at a time.

    Attributes:
        evaluate: has a candidate evaluated; called from the threads.
        threads: as many as there may be at work.
    """

    evaluate: Callable[[Request], Row]
    threads: ThreadPoolExecutor


class Scorer:
    """Scores positions on a set of tasks, with a run's store.

    Args:
        run: its store remembers every evaluation, its history gets every row.
        evaluator: evaluates candidates in this process.
        phase: keeps rows of different questions apart (``search``, ``letter``).
        on_row: called with every row, known or new.
        crew: evaluates in place of `evaluator`; the rows are the same.

    Attributes:
        item_evaluations: items scored so far.
        items: items of a complete evaluation, as far as one was begun.
        seconds: that evaluations took, of all workers.
    """

    def __init__(
        self,
        run: Journal,
        evaluator: Evaluator,
        phase: str = "search",
        on_row: OnRow | None = None,
        crew: Crew | None = None,
    ) -> None:
        self._run = run
        self._evaluator = evaluator
        self._phase = phase
        self._on_row = on_row
        self._evaluate = evaluator.evaluate if crew is None else crew.evaluate
        self._each = map if crew is None else crew.threads.map
        self._latest: dict[str, Row] = {}
        self.item_evaluations = 0
        self.items = 0
        self.seconds = 0.0

    @property
    def rows(self) -> list[Row]:
        """The rows of this phase, in order."""
        return [row for row in self._run.rows if row.phase == self._phase]

    @property
    def evaluations(self) -> int:
        """Number of positions scored so far, in full or in part."""
        return len(self._latest)

    def score(
        self,
        positions: Sequence[Tensor],
        iteration: int,
        numbers: Sequence[int] | None = None,
        share: Share | None = None,
    ) -> list[Row]:
        """Score many positions.

        Args:
            positions: (D,) each.
            iteration: for the history.
            numbers: the particles' numbers; None: from 0 on.
            share: the items to score; None: all.

        Returns:
            A row for each, with the value for the optimizer. Rows, and their order in the history,
            do not depend on who evaluates and who is done first.

        Raises:
            UserError: a score is not a number; it names the candidate.
        """
        keys = [position_key(position) for position in positions]
        what = self._what(share)
        requests: dict[str, Request] = {}
        for number, key, position in zip(numbers or range(len(keys)), keys, positions, strict=True):
            before = self._latest.get(key)
            if key not in requests and not _covers(before, share):
                requests[key] = Request(position, share, before, what, iteration, number)
        rows = self._each(self._stored, requests.values())
        for request, stored in zip(requests.values(), rows, strict=True):
            self._take_in(request, stored)
        return [self._latest[key] for key in keys]

    def called(self, what: str) -> str:
        """The store's name of another finding; a comparison keeps those of each task apart."""
        return what if self._phase == "search" else f"{self._phase} {what}"

    def _what(self, share: Share | None) -> str:
        """The store's name of an evaluation: the phase, and the number of items of a share."""
        if share is None:
            return self._phase
        return f"{self._phase} of {sum(int(wanted.sum()) for wanted in share.values())}"

    def _stored(self, request: Request) -> Row | UndefinedModelError:
        """Row of a candidate from the store, else scored now."""

        def score() -> Row:
            row = self._evaluate(request)
            return replace(
                row, phase=self._phase, iteration=request.iteration, particle=request.particle
            )

        try:
            return self._run.store.row(request.what, request.key, self._evaluator.utilities, score)
        except UndefinedModelError as error:  # counts as the worst before it, in its turn
            return error
        except NotFiniteError as error:
            raise UserError(f"{request.text}: {error}; correct it and resume") from error

    def _take_in(self, request: Request, stored: Row | UndefinedModelError) -> None:
        """Count a row; it takes the place of the one before it."""
        if isinstance(stored, UndefinedModelError):
            stored = self._as_the_worst(request, stored)
        row = replace(stored, iteration=request.iteration, particle=request.particle)
        self._latest[row.key] = row
        self.item_evaluations += row.n
        self.items = max(self.items, row.size)
        self.seconds += row.seconds
        self.tell(request.what, row)

    def tell(self, what: str, row: Row) -> None:
        """Add a row to the history, and call `on_row`; `what` it is called in the store."""
        known = (what, row.key) in self._run.store.earlier
        self._run.append(row, known)
        if self._on_row is not None:
            self._on_row(row, known)

    def _as_the_worst(self, request: Request, error: UndefinedModelError) -> Row:
        """A candidate without numbers, of which no item was scored; where none before it has the
        items that were wanted, the base or the dtype is at fault.
        """
        before = [row for row in self.rows if _covers(row, request.share)]
        text = f"{request.text}: {error.text}"
        if not before:
            raise UserError(text) from error
        log.warning("%s; it counts as the worst so far", UserError(text))
        self._run.note_failure(UNDEFINED, text, request.key)
        worst = min(before, key=lambda row: row.value)
        coefficients = self._evaluator.coefficients(request.position)
        row = replace(worst, key=request.key, coefficients=coefficients, n=0, seconds=0.0)
        self._run.store.add(request.what, request.key, row.to_json())
        return row


def _covers(row: Row | None, share: Share | None) -> bool:
    """Whether a row has all items of a share; None: all items."""
    if row is None or share is None:
        return row is not None and row.complete
    known = {name: ~np.isnan(row.item_values(name)) for name in share}
    return all(known[name][wanted].all() for name, wanted in share.items())
