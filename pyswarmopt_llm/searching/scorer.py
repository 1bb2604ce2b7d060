"""Scores positions; stored results are reused.

A candidate is evaluated in the search's process or in a worker by the same code; they exchange only
requests and rows of a few kilobytes.
"""

from __future__ import annotations

import hashlib
import logging
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import torch
from pydantic import NonNegativeInt
from torch import Tensor
from typing_extensions import TypedDict

from pyswarmopt_llm.common.errors import NotFiniteError, UndefinedModelError, UserError
from pyswarmopt_llm.common.events import Event, OnEvent, ignore
from pyswarmopt_llm.common.interfaces import Engine, MixtureSpace, Utility
from pyswarmopt_llm.common.statistics import LARGEST
from pyswarmopt_llm.run.directory import RunJournal
from pyswarmopt_llm.run.record import TRAINED, Row
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.searching.crew import Alone, Crew

log = logging.getLogger(__name__)
Items = Mapping[str, Sequence[int]]  # task -> numbers of its items
# what an event tells of a row
_SHOWN = ("phase", "iteration", "particle", "value", "n", "seconds", "coefficients")


def position_key(position: Tensor) -> str:
    """A name for an exact position: equal for bitwise equal positions.

    Example:
        >>> position_key(torch.tensor([1.0, 0.0])) == position_key(torch.tensor([1.0, 1e-30]))
        False
    """
    data = position.detach().cpu().double().contiguous().numpy().tobytes()
    return hashlib.blake2b(data, digest_size=16).hexdigest()


@dataclass(frozen=True)
class CandidateEvaluator:
    """Scores candidates on a set of tasks: `space` builds them, `engine` runs them.

    Attributes:
        utilities: task name -> its scoring function.
        combine: combines the tasks' scores into one number.
    """

    space: MixtureSpace
    engine: Engine
    utilities: Mapping[str, Utility]
    combine: Combine

    def coefficients(self, position: Tensor) -> list[float]:
        """The experts' weights at a position."""
        return list(self.space.coefficients(position).tolist())

    def answer(self, position: Tensor, items: Items | None = None) -> Answer:
        """The row of a candidate, (D,), without phase, iteration and particle, on all items or only on
        these; or its error if the score is not a number.
        """
        start = time.perf_counter()
        try:
            self.engine.load(self.space.realise(position))
            row = self.row(items)
        except NotFiniteError as error:
            return error
        seconds = round(time.perf_counter() - start, 4)
        row = replace(row, key=position_key(position), seconds=seconds)
        if items is not None:  # an expert's: its number says which, and there may be thousands
            return row
        return replace(row, coefficients=self.coefficients(position))

    def row(self, items: Items | None = None) -> Row:
        """The scores of the loaded model, on all items or only on these.

        Raises:
            NotFiniteError: the score is not a number.
        """
        scores = {}
        for name, utility in self.utilities.items():
            if items is None:
                scores[name] = utility(self.engine)
            else:
                scores[name] = utility(self.engine, items[name])
        total = self.combine(list(scores.values()))
        if not abs(total.value) <= LARGEST:
            raise NotFiniteError(f"the score is {total.value}")
        return Row.of(scores, total)


Answer = Row | NotFiniteError


@dataclass(frozen=True, eq=False)
class Evaluate:
    """Scores a candidate on dev: a task for a worker.

    Attributes:
        position: (D,).
        items: task -> numbers of the items to score; None: all.
    """

    position: Tensor
    items: Items | None = None

    def run(self, evaluator: CandidateEvaluator) -> Answer:
        """See `CandidateEvaluator.answer`."""
        return evaluator.answer(self.position, self.items)


ASKED = "asked"  # in the store, of a row that was heard asynchronously


class _Asked(TypedDict):
    asked: NonNegativeInt


class Heard(NamedTuple):
    """The answer for a candidate, and whether it is a row of the store."""

    answer: Answer
    stored: bool


@dataclass(eq=False)
class Scorer:
    """Scores positions on a set of tasks, and stores the results.

    Candidates are evaluated side by side, as the crew can, and heard in the order in which they were
    sent. So rows and their order in the history do not depend on which worker evaluates or finishes
    first.

    If it is asynchronous, a loop hears whichever answer comes first. The order is kept: the store has
    the rows in it, each with the number of candidates that had been asked for by then. A search that
    is resumed asks and hears in the same order, on any number of workers.

    Attributes:
        run: its store keeps every evaluation, its history every row.
        evaluator: evaluates candidates in this process.
        phase: separates rows of different questions (``search``, ``letter``).
        listener: called with every evaluation.
        crew: evaluates instead of `evaluator`, with the same answers; None: this process.
        asynchronous: whether a loop hears answers as they come.
        asked: number of candidates that a loop has asked for.
        part: the only items that are scored; None: all.
        item_evaluations: items scored so far.
        items: items of an evaluation, as far as known.
        seconds: seconds of all evaluations, over all workers.
    """

    run: RunJournal
    evaluator: CandidateEvaluator
    phase: str = "search"
    listener: OnEvent = ignore
    crew: Crew | None = None
    asynchronous: bool = False
    part: Items | None = None

    def __post_init__(self) -> None:
        self._crew = self.crew or Alone(self.evaluator)
        self._rows: dict[str, Row] = {}
        self._sent: dict[str, Tensor] = {}  # candidates under way, oldest first
        self._tasks: dict[int, str] = {}  # of the crew, for those without a row in the store
        self._answers: dict[str, Answer] = {}  # heard before their turn
        self._replays: deque[tuple[str, int]] = (
            deque()
        )  # of an earlier process, with what was asked
        if self.asynchronous:
            self._replays += self._in_order()
        self.asked = 0
        self.item_evaluations = 0
        self.items = 0
        self.seconds = 0.0

    @property
    def rows(self) -> list[Row]:
        """The rows so far, in order."""
        return list(self._rows.values())

    def score(
        self,
        positions: Sequence[Tensor],
        iteration: int,
        numbers: Sequence[int] | None = None,
    ) -> list[Row]:
        """Score positions.

        Args:
            positions: each (D,).
            iteration: number of the iteration, for the history.
            numbers: particle numbers; None: from 0 on.

        Returns:
            A row for each position, with the value for the optimizer.

        Raises:
            UserError: a score is not a number; it names the candidate.
        """
        keys = [position_key(position) for position in positions]
        new: dict[str, int] = {}
        for number, key, position in zip(numbers or range(len(keys)), keys, positions, strict=True):
            if key not in self._rows and key not in new:
                new[key] = number
                self.send(position)
        for number in new.values():
            _, position, heard = self._hear(next(iter(self._sent)))
            self.take(position, heard, iteration, number)
        return [self._rows[key] for key in keys]

    def score_part(
        self, positions: Sequence[Tensor], numbers: Sequence[int], items: Items, phase: str
    ) -> list[Row]:
        """Rows of positions on some of the items, in a phase of their own; see `score`."""
        scorer = replace(self, phase=phase, part=items, asynchronous=False)
        rows = scorer.score(positions, 0, numbers)
        self.item_evaluations += scorer.item_evaluations
        self.seconds += scorer.seconds
        return rows

    def add(self, row: Row, number: int) -> Row:
        """Take in the row of a particle that was scored in parts, and return it."""
        row = replace(row, phase=self.phase, particle=number)
        known = (self.phase, row.key) in self.run.store
        if not known:
            self.run.store.add(self.phase, row.key, asdict(row))
        self._take_in(row, known)
        self.items = max(self.items, sum(score.n for score in row.tasks.values()))
        return row

    # ---- one position at a time, for a loop ----

    @property
    def free(self) -> int:
        """How many candidates it takes now: a round of any size; if it is asynchronous, one where a
        worker is free, or as many as an earlier process had asked for by its next answer.
        """
        if not self.asynchronous:
            return sys.maxsize
        if self._replays and self.busy:
            return int(self.asked < self._replays[0][1])
        return int(self.busy < self._crew.size)

    @property
    def busy(self) -> int:
        """Number of candidates under way."""
        return len(self._sent)

    def key(self, position: Tensor) -> str:
        """See `position_key`."""
        return position_key(position)

    def send(self, position: Tensor) -> None:
        """Begin to evaluate a position, (D,), unless its row is in the store."""
        key = position_key(position)
        self._sent[key] = position
        if (self.phase, key) not in self.run.store:
            self._tasks[self._crew.submit(Evaluate(position, self.part))] = key

    def hear(self) -> tuple[str, Tensor, Heard]:
        """Key, position and answer of a candidate under way: the oldest, or the first to end."""
        if not self.asynchronous:
            return self._hear(next(iter(self._sent)))
        while self._replays:
            key, _ = self._replays.popleft()
            if key in self._sent:
                return self._hear(key)
        for key in self._sent:
            if (self.phase, key) in self.run.store:
                return self._hear(key)
        number, answer = self._crew.hear()
        key = self._tasks.pop(number)
        return key, self._sent.pop(key), Heard(answer, stored=False)

    def _hear(self, key: str) -> tuple[str, Tensor, Heard]:
        """Wait for the answer for the candidate with this key."""
        row = self.run.store.find_row(self.phase, key)
        while row is None and key not in self._answers:
            number, answer = self._crew.hear()
            self._answers[self._tasks.pop(number)] = answer
        heard = Heard(row or self._answers.pop(key), stored=row is not None)
        return key, self._sent.pop(key), heard

    def _in_order(self) -> Iterator[tuple[str, int]]:
        """Keys of the stored rows that a loop heard, and how many candidates it had asked for."""
        store = self.run.store
        for row in store.all(self.phase):
            if ASKED in row:
                yield row["who"], store.read(self.phase, row["who"], _Asked)[ASKED]

    def take(
        self, position: Tensor, heard: Heard, iteration: int, number: int, asked: int = 0
    ) -> Row:
        """Count the answer for a position, (D,), and store it.

        Args:
            position: the position.
            heard: its answer, from `hear`.
            iteration: number of the iteration, for the history.
            number: particle number, for the history.
            asked: how many candidates had been asked for, if it is to be heard again in this order.

        Returns:
            Its row.

        Raises:
            UserError: the score is not a number.
        """
        row = self._read(position, heard, f"particle {number}, iteration {iteration}")
        if not heard.stored:
            order = {ASKED: asked} if asked and self.asynchronous else {}
            self.run.store.add(self.phase, row.key, {**asdict(row), **order})
        row = replace(row, iteration=iteration, particle=number)
        self._take_in(row, heard.stored)
        return row

    def known(self, position: Tensor) -> Row | None:
        """The row of a position, if it has been scored."""
        return self._rows.get(position_key(position))

    def trained(self, position: Tensor, compute: Callable[[], Row]) -> Row:
        """The row of the model trained from a position, which is computed unless it is stored.

        Args:
            position: the mixture's.
            compute: computes the row.
        """
        coefficients = [*self.evaluator.coefficients(position), 1.0]  # the last: the LoRA
        key = position_key(torch.tensor(coefficients, dtype=torch.float64))
        what = f"{self.phase} {TRAINED}"
        known = self.run.store.find_row(what, key)
        row = known or replace(compute(), phase=TRAINED, key=key, coefficients=coefficients)
        if known is None:
            self.run.store.add(what, key, asdict(row))
        self._report(row, known is not None)
        return row

    def report(self, kind: str, data: Mapping[str, Any]) -> None:
        """Report an event with the best value and the number of candidates so far, and how many workers
        are busy.
        """
        best = max((row.value for row in self.rows), default=-math.inf)
        so_far = {"best": best, "evaluations": len(self._rows), "under_way": 0}
        if self.crew is not None:
            so_far["under_way"] = min(len(self._tasks), self.crew.size)
        self.listener(Event(kind, {**data, **so_far}))

    def _read(self, position: Tensor, heard: Heard, where: str) -> Row:
        """The row of an evaluated candidate; `where` names it in messages."""
        answer = heard.answer
        if isinstance(answer, UndefinedModelError):
            where += self._expert_alone(position)
            row = self._as_the_worst(position, f"{where}: {answer.text}")
        elif isinstance(answer, NotFiniteError):
            raise UserError(f"{where}: {answer}; fix the metric and start a new run") from answer
        else:
            row = replace(answer, phase=self.phase)
        return row

    def _expert_alone(self, position: Tensor) -> str:
        """The expert that a position consists of, for messages; "" for a mixture."""
        weights = self.evaluator.coefficients(position)
        names = self.evaluator.space.expert_names
        used = [name for name, weight in zip(names, weights, strict=True) if weight]
        return f" (the expert {used[0]})" if len(used) == 1 else ""

    def _take_in(self, row: Row, known: bool) -> None:
        """Count a row."""
        self._rows[row.key] = row
        self.item_evaluations += row.n
        self.items = max(self.items, row.n)
        self.seconds += row.seconds
        self._report(row, known)

    def _report(self, row: Row, known: bool) -> None:
        """Add a row to the history and report it, unless it is of another phase and was in the store."""
        self.run.append(row, known)
        data = {name: getattr(row, name) for name in _SHOWN}
        if row.phase == "search":
            self.report("replayed" if known else "evaluation", data)
        elif not known:
            self.listener(Event("trial", data))

    def _as_the_worst(self, position: Tensor, text: str) -> Row:
        """The row of a candidate without numbers: the worst row so far, with no items scored. If it
        is the first, base or dtype is at fault.
        """
        if not self._rows:
            raise UserError(text)
        log.warning("%s; this candidate counts as the worst so far", UserError(text))
        worst = min(self.rows, key=lambda row: row.value)
        coefficients = self.evaluator.coefficients(position)
        return replace(
            worst, key=position_key(position), coefficients=coefficients, n=0, seconds=0.0
        )
