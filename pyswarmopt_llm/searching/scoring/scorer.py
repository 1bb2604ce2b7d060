"""Scores positions; stored results are reused.

A candidate is evaluated in the search's process or in a worker by the same code; they exchange only
requests and rows of a few kilobytes.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import NotFiniteError, UndefinedModelError, UserError
from pyswarmopt_llm.common.events import Event, OnEvent, ignore
from pyswarmopt_llm.common.interfaces import Engine, Score, Space, Utility
from pyswarmopt_llm.common.statistics import LARGEST, score_of
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.searching.scoring.record import REMEDY, RESULTS, TRAINED, Row
from pyswarmopt_llm.searching.scoring.run_directory import Journal

log = logging.getLogger(__name__)
# what an event tells of a row
_SHOWN = ("phase", "iteration", "particle", "value", "n", "seconds", "coefficients")
Share = Mapping[str, npt.NDArray[np.bool_]]  # task name -> mask of the items to score, (n,)


def position_key(position: Tensor) -> str:
    """A name for an exact position: equal for bitwise equal positions.

    Example:
        >>> position_key(torch.tensor([1.0, 0.0])) == position_key(torch.tensor([1.0, 1e-30]))
        False
    """
    data = position.detach().cpu().double().contiguous().numpy().tobytes()
    return hashlib.blake2b(data, digest_size=16).hexdigest()


@dataclass(frozen=True)
class Batch:
    """Candidates scored side by side.

    Attributes:
        positions: (n, D); n is 0 if all evaluations of an iteration are dropped.
        numbers: particle numbers in the history, (n,).
        iteration: 0 for the starting points.
    """

    positions: Tensor
    numbers: Sequence[int]
    iteration: int


@dataclass(frozen=True)
class Request:
    """A candidate to evaluate.

    Attributes:
        position: (D,).
        share: items to score, known ones excepted; None: all.
        before: row with the known items, if any.
        what: name of the evaluation in the store.
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
    """Scores candidates on a set of tasks: `space` builds them, `engine` runs them.

    Attributes:
        utilities: task name -> its scoring function.
        combine: combines the tasks' scores into one number.
        margins: whether rows hold the items' margins.
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
        """A candidate's row, without phase, iteration and particle.

        Raises:
            NotFiniteError: the score is not a number.
        """
        start = time.perf_counter()
        self.engine.load(self.space.realise(request.position))
        row = self.row(request.share, request.before)
        seconds = round(time.perf_counter() - start, 4)
        coefficients = self.coefficients(request.position)
        return replace(row, key=request.key, coefficients=coefficients, seconds=seconds)

    def answer(self, request: Request) -> Answer:
        """A candidate's row, or its error if the score is not a number."""
        try:
            return self.evaluate(request)
        except NotFiniteError as error:
            return error

    def row(
        self,
        share: Share | None = None,
        before: Row | None = None,
        answers: bool = False,
    ) -> Row:
        """The scores of the loaded model.

        Args:
            share: items to score, known ones excepted; None: all.
            before: row with the known items, if any.
            answers: whether the row holds the chosen options; not with `share`.

        Raises:
            NotFiniteError: the score is not a number.
        """
        start = time.perf_counter()
        scores = {name: self._score(name, share, before) for name in self.utilities}
        least = []  # unknown items count as wrong
        for score in scores.values():
            items = np.nan_to_num(score.per_item).tolist()
            least.append(replace(score, per_item=tuple(items)))
        total = self.combine(least)
        if not abs(total.value) <= LARGEST:
            raise NotFiniteError(f"the score is {total.value}")
        seconds = time.perf_counter() - start
        return Row.of(scores, total, seconds, margins=self.margins, answers=answers)

    def _score(self, name: str, share: Share | None, before: Row | None) -> Score:
        """A task's score on all items, or on the known items and a share; NaN for all other items."""
        utility = self.utilities[name]
        if before is not None:
            values = np.array(before.item_values(name))
            known = before.margins.get(name, [None] * len(values))
        elif share is not None:
            values = np.full(len(share[name]), math.nan)
            known = [None] * len(values)
        else:
            return utility(self.engine)
        margins = [tuple(own or ()) for own in known]
        wanted = np.isnan(values)
        if share is not None:
            wanted &= share[name]
        indices = np.flatnonzero(wanted).tolist()
        if indices:
            score = utility(self.engine, indices)
            values[indices] = score.per_item
            for index, of_item in zip(indices, score.margins, strict=False):  # also without options
                margins[index] = of_item
        least = score_of(np.nan_to_num(values))
        items = tuple(values.tolist())
        return replace(least, per_item=items, n=len(indices), margins=tuple(margins))


Answer = Row | NotFiniteError
# evaluates candidates, in parallel or not: their answers, in order
Crew = Callable[[Sequence[Request]], Iterable[Answer]]


@dataclass(eq=False)
class Scorer:
    """Scores positions on a set of tasks, and stores the results.

    Attributes:
        run: its store keeps every evaluation, its history every row.
        evaluator: evaluates candidates in this process.
        phase: separates rows of different questions (``search``, ``letter``).
        listener: called with every evaluation.
        crew: evaluates instead of `evaluator`, with the same answers.
        item_evaluations: items scored so far.
        items: items of a complete evaluation, as far as known.
        seconds: seconds of all evaluations, over all workers.
    """

    run: Journal
    evaluator: Evaluator
    phase: str = "search"
    listener: OnEvent = ignore
    crew: Crew | None = None

    def __post_init__(self) -> None:
        self._answers = self.crew or partial(map, self.evaluator.answer)
        self._best = -math.inf
        self._latest: dict[str, Row] = {}
        self.item_evaluations = 0
        self.items = 0
        self.seconds = 0.0

    @property
    def rows(self) -> list[Row]:
        """The rows of this phase, in order."""
        return [row for row in self.run.rows if row.phase == self.phase]

    @property
    def complete(self) -> list[Row]:
        """The latest row of each position whose items were all scored."""
        return [row for row in self._latest.values() if row.complete]

    def score(
        self,
        positions: Sequence[Tensor],
        iteration: int,
        numbers: Sequence[int] | None = None,
        share: Share | None = None,
    ) -> list[Row]:
        """Score positions.

        Args:
            positions: each (D,).
            iteration: number of the iteration, for the history.
            numbers: particle numbers; None: from 0 on.
            share: items to score; None: all.

        Returns:
            A row for each position, with the value for the optimizer. Rows and their order in the
            history do not depend on which worker evaluates or finishes first.

        Raises:
            UserError: a score is not a number; it names the candidate.
        """
        keys = [position_key(position) for position in positions]
        what = self.phase
        if share is not None:
            what += f" of {sum(int(wanted.sum()) for wanted in share.values())}"
        requests: dict[str, Request] = {}
        for number, key, position in zip(numbers or range(len(keys)), keys, positions, strict=True):
            before = self._latest.get(key)
            if key not in requests and not _covers(before, share):
                requests[key] = Request(position, share, before, what, iteration, number)
        stored = {key: self._stored(request) for key, request in requests.items()}
        missing = [request for key, request in requests.items() if stored[key] is None]
        answers = iter(self._answers(missing))
        for key, request in requests.items():
            self._take_in(request, stored[key] or self._kept(request, next(answers)))
        return [self._latest[key] for key in keys]

    def known(self, position: Tensor) -> Row | None:
        """The complete row of a position, if it has been scored."""
        row = self._latest.get(position_key(position))
        if row is not None and row.complete:
            return row
        return None

    def trained(self, position: Tensor) -> Row | None:
        """The stored row of the model trained from a position; None if there is none."""
        what, key, _ = self._trained_name(position)
        return self.run.store.find_row(what, key, self.evaluator.utilities)

    def add_trained(self, position: Tensor, row: Row) -> Row:
        """Store and report the row of the model trained from a position."""
        what, key, coefficients = self._trained_name(position)
        row = replace(row, phase=TRAINED, key=key, coefficients=coefficients)
        if (what, key) not in self.run.store:
            self.run.store.add(what, key, row.to_json())
        self._report(what, row)
        return row

    def report(self, kind: str, data: Mapping[str, Any]) -> None:
        """Report an event with the best value and the number of candidates so far."""
        so_far = {"best": self._best, "evaluations": len(self._latest)}
        self.listener(Event(kind, {**data, **so_far}))

    def _trained_name(self, position: Tensor) -> tuple[str, str, list[float]]:
        """What the store calls a trained model, with its coefficients: 1 for the LoRA is the last."""
        coefficients = [*self.evaluator.coefficients(position), 1.0]
        key = position_key(torch.tensor(coefficients, dtype=torch.float64))
        what = TRAINED
        if self.phase != "search":  # in a comparison
            what = f"{self.phase} {what}"
        return what, key, coefficients

    def _stored(self, request: Request) -> Row | None:
        """A candidate's row in the store; None if there is none."""
        known = self.run.store.find_row(request.what, request.key, self.evaluator.utilities)
        if known is None:
            return None
        scores = [known.score(name, least=True) for name in self.evaluator.utilities]
        value = self.evaluator.combine(scores).value
        if not math.isclose(known.value, value, rel_tol=1e-6, abs_tol=1e-9):
            raise UserError(
                f"{RESULTS}: {request.text}: value {known.value:g} does not match its items, which "
                f"give {value:g}; {REMEDY}"
            )
        return known

    def _kept(self, request: Request, answer: Answer) -> Row:
        """The row of an evaluated candidate, now in the store."""
        if isinstance(answer, UndefinedModelError):
            row = self._as_the_worst(request, answer)
        elif isinstance(answer, NotFiniteError):
            raise UserError(f"{request.text}: {answer}; fix the metric and resume") from answer
        else:
            row = replace(answer, phase=self.phase)
        self.run.store.add(request.what, request.key, row.to_json())
        return row

    def _take_in(self, request: Request, row: Row) -> None:
        """Count a row in place of the position's previous row."""
        row = replace(row, iteration=request.iteration, particle=request.particle)
        self._latest[row.key] = row
        self.item_evaluations += row.n
        self.items = max(self.items, row.size)
        self.seconds += row.seconds
        self._report(request.what, row)

    def _report(self, what: str, row: Row) -> None:
        """Add a row to the history and report it, unless it is of another phase and was known
        before; `what` is its name in the store.
        """
        known = (what, row.key) in self.run.store.earlier
        self.run.append(row, known)
        data = {name: getattr(row, name) for name in _SHOWN}
        if row.phase == "search":
            self._best = max(self._best, row.value)
            self.report("replayed" if known else "evaluation", data)
        elif not known:
            self.listener(Event("trial", data))

    def _as_the_worst(self, request: Request, error: UndefinedModelError) -> Row:
        """The row of a candidate without numbers: the worst row so far, with no items scored. If no
        earlier row has the requested items, base or dtype is at fault.
        """
        before = [row for row in self.rows if _covers(row, request.share)]
        text = f"{request.text}: {error.text}"
        if not before:
            raise UserError(text) from error
        log.warning("%s; this candidate counts as the worst so far", UserError(text))
        self.run.store.get("failure", request.key, lambda: {"text": text})
        worst = min(before, key=lambda row: row.value)
        coefficients = self.evaluator.coefficients(request.position)
        return replace(worst, key=request.key, coefficients=coefficients, n=0, seconds=0.0)


def _covers(row: Row | None, share: Share | None) -> bool:
    """Whether a row has all items of a share; None: all items."""
    if row is None or share is None:
        return row is not None and row.complete
    known = {name: ~np.isnan(row.item_values(name)) for name in share}
    return all(known[name][wanted].all() for name, wanted in share.items())
