"""Scores positions: what the store knows is not evaluated again."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from torch import Tensor

from pyswarmopt_llm.common.errors import NotFiniteError, UndefinedModelError, UserError
from pyswarmopt_llm.common.interfaces import Space
from pyswarmopt_llm.searching.scoring.evaluator import Evaluation, Evaluator, Request
from pyswarmopt_llm.searching.scoring.plan import Items, Plan
from pyswarmopt_llm.searching.scoring.record import Margins, Row, pack, wrong_for
from pyswarmopt_llm.searching.scoring.run_directory import UNDEFINED, Journal, position_key

log = logging.getLogger(__name__)

OnRow = Callable[[Row, bool], None]  # a row, and whether it was known before this process


class WorkerPool(Protocol):
    """Evaluates several candidates at a time; see `workers`."""

    def submit(self, requests: Sequence[Request]) -> list[Future[Evaluation]]:
        """Begin to evaluate these candidates, the first ones first; the result does not depend on
        who does it.
        """


class Scorer:
    """Scores positions on a set of tasks, with a run's store.

    The row of an incomplete evaluation has `bounds`, and items that are not known. If the same
    position comes back and what is known of it does not suffice then, the other items are scored
    and a further row holds all.

    Args:
        run: its store remembers every evaluation, its history gets every row.
        space: gives the coefficients of a position.
        evaluator: evaluates candidates in this process.
        phase: keeps rows of different questions apart (``search``, ``letter``).
        on_row: called with every row, known or new.
        pool: evaluates in place of `evaluator`; the rows are the same.

    Attributes:
        item_evaluations: items scored so far.
        seconds: that evaluations took, of all workers.
    """

    def __init__(
        self,
        run: Journal,
        space: Space,
        evaluator: Evaluator,
        phase: str = "search",
        on_row: OnRow | None = None,
        pool: WorkerPool | None = None,
    ) -> None:
        self._run, self._space, self._evaluator = run, space, evaluator
        self._phase, self._on_row, self._pool = phase, on_row, pool
        self._wrong = wrong_for(evaluator.utilities)
        self._known: dict[str, Row] = {}
        self._times: Counter[str] = Counter()  # evaluations of each position
        self.item_evaluations = 0
        self.seconds = 0.0

    @property
    def rows(self) -> list[Row]:
        """The rows of this phase, in order."""
        return [row for row in self._run.rows if row.phase == self._phase]

    @property
    def evaluations(self) -> int:
        """Number of positions scored so far, in full or in part."""
        return len(self._known)

    def score(
        self,
        positions: Sequence[Tensor],
        iteration: int,
        plans: Sequence[Plan] | None = None,
        first: int = 0,
    ) -> list[Row | None]:
        """Score many positions.

        Args:
            positions: (D,) each.
            iteration: for the history.
            plans: which items of each to score; None: all items of all.
            first: number of the first one's particle; the others follow.

        Returns:
            A row for each, with the value for the optimizer; None where the plan is `Items.NONE`.
            Rows, and their order in the history, do not depend on who evaluates and who is done
            first.
        """
        plans = [Items.ALL] * len(positions) if plans is None else plans
        calls = [
            _Call(x, iteration, first + i, plan)
            for i, (x, plan) in enumerate(zip(positions, plans, strict=True))
        ]
        arriving = self._evaluations(calls)
        return [None if call.plan is Items.NONE else self._row(call, arriving) for call in calls]

    def in_full(
        self,
        positions: Sequence[Tensor],
        iteration: int,
        plans: Sequence[Plan] | None = None,
        first: int = 0,
    ) -> list[Row]:
        """As `score`, where no plan is to leave a candidate out."""
        return [row for row in self.score(positions, iteration, plans, first) if row is not None]

    # One position

    def _row(self, call: _Call, arriving: Iterator[None]) -> Row:
        if (enough := self._remembered(call)) is not None:
            return enough
        what, store = self._what(call), self._run.store
        if (what, call.key) not in store:
            any((what, call.key) in store for _ in arriving)  # until it is there
        stored = store.get(what, call.key, lambda: self._found(call).to_json(), self._wrong)
        row = replace(Row.from_json(stored), iteration=call.iteration, particle=call.particle)
        return self._take_in(row, (what, call.key) in store.earlier)

    def _remembered(self, call: _Call) -> Row | None:
        """What is known of a position, if that is all, or enough."""
        latest = self._known.get(call.key)
        if latest is None or latest.complete:
            return latest
        if isinstance(call.plan, Items):
            return None
        values = {name: np.array(latest.item_values(name)) for name in latest.items}
        value = call.plan.value(values, self._evaluator.combine)
        return None if value is None else replace(latest, value=value)

    def _what(self, call: _Call) -> str:
        """The name of an evaluation: the phase, and after the first of a position its number."""
        number = self._times[call.key] + 1
        return self._phase if number == 1 else f"{self._phase} {number}"

    def _request(self, call: _Call) -> Request:
        if isinstance(call.plan, Items):
            return Request(call.position)
        latest = self._known.get(call.key)
        values = (
            None if latest is None else {name: latest.item_values(name) for name in latest.items}
        )
        return Request(call.position, call.plan, values)

    def _found(self, call: _Call) -> Row:
        """The row of an evaluation now; a candidate without numbers counts as the worst so far."""
        request = self._request(call)
        try:
            with _finite(call):
                if self._pool is None:
                    return self._as_row(call, self._evaluator.evaluate(request))
                return self._as_row(call, self._pool.submit([request])[0].result())
        except UndefinedModelError as error:
            return self._as_the_worst(call, error)

    def _as_row(self, call: _Call, evaluation: Evaluation) -> Row:
        before = self._known[call.key].margins if call.key in self._known else {}
        return Row(
            phase=self._phase,
            iteration=call.iteration,
            particle=call.particle,
            key=call.key,
            coefficients=self._space.coefficients(call.position).tolist(),
            value=evaluation.value,
            n=evaluation.n,
            seconds=evaluation.seconds,
            items={name: pack(values) for name, values in evaluation.items.items()},
            bounds=None if evaluation.bounds is None else list(evaluation.bounds),
            values=dict(evaluation.own),
            margins={
                name: _merged(before.get(name), margins)
                for name, margins in evaluation.margins.items()
            },
        )

    def _as_the_worst(self, call: _Call, error: UndefinedModelError) -> Row:
        """Where there is none before it, the base or the dtype is at fault."""
        before = [row for row in self.rows if row.complete]
        text = f"particle {call.particle}, iteration {call.iteration}: {error.text}"
        if not before:
            raise UserError(text) from error
        log.warning("%s; it counts as the worst so far", UserError(text))
        self._run.note_failure(UNDEFINED, text)
        return replace(
            min(before, key=lambda row: row.value),
            iteration=call.iteration,
            particle=call.particle,
            key=call.key,
            coefficients=self._space.coefficients(call.position).tolist(),
            seconds=0.0,
        )

    # Many at a time

    def _evaluations(self, calls: Sequence[_Call]) -> Iterator[None]:
        """Have the pool evaluate what is not known, and store each evaluation as soon as it is
        there.
        """
        if self._pool is None:
            return
        store = self._run.store
        new: dict[str, _Call] = {}
        for call in calls:
            known = self._remembered(call) or (self._what(call), call.key) in store
            if call.plan is not Items.NONE and not known:
                new.setdefault(call.key, call)
        futures = self._pool.submit([self._request(call) for call in new.values()])
        begun = dict(zip(futures, new.values(), strict=True))
        for future in as_completed(begun):
            call = begun[future]
            # an undefined one counts as the worst before it, in its turn
            with suppress(UndefinedModelError), _finite(call):
                row = self._as_row(call, future.result())
                store.add(self._what(call), call.key, row.to_json())
            yield

    def _take_in(self, row: Row, known: bool) -> Row:
        """Count a row; it takes the place of the one before it."""
        self._known[row.key] = row
        self._times[row.key] += 1
        self.item_evaluations += row.n
        self.seconds += row.seconds
        self._run.append(row, known)
        if self._on_row is not None:
            self._on_row(row, known)
        return row


@dataclass(frozen=True)
class _Call:
    """An evaluation that `score` was called for."""

    position: Tensor
    iteration: int
    particle: int
    plan: Plan

    @cached_property
    def key(self) -> str:
        return position_key(self.position)


@contextmanager
def _finite(call: _Call) -> Iterator[None]:
    """Name the candidate whose score is not a number.

    Raises:
        UserError: there is one.
    """
    try:
        yield
    except UndefinedModelError:
        raise
    except NotFiniteError as error:
        text = (
            f"particle {call.particle}, iteration {call.iteration}: {error}; correct it and resume"
        )
        raise UserError(text) from error


def _merged(before: Margins | None, now: Margins) -> Margins:
    """What is known now, and what was known before of other items."""
    return (
        now
        if before is None
        else [old if new is None else new for old, new in zip(before, now, strict=True)]
    )
