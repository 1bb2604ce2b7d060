"""Scores positions: what the journal holds is not evaluated again, what is evaluated is written to
the journal.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from torch import Tensor

from pyswarmopt_llm.common.errors import NotFiniteError, UndefinedModelError, UserError
from pyswarmopt_llm.common.interfaces import Space
from pyswarmopt_llm.evaluation.evaluator import Evaluation, Evaluator, Request
from pyswarmopt_llm.evaluation.plan import Items, Plan
from pyswarmopt_llm.evaluation.record import Margins, Row, pack
from pyswarmopt_llm.evaluation.run_directory import UNDEFINED, Journal, position_key

log = logging.getLogger(__name__)

OnRow = Callable[[Row], None]


class WorkerPool(Protocol):
    """Evaluates several candidates at a time; see `workers`."""

    def submit(self, requests: Sequence[Request]) -> list[Future[Evaluation]]:
        """Begin to evaluate these candidates, the first ones first; the result does not depend on
        who does it.
        """


class Scorer:
    """Scores positions on a set of tasks, with a run's journal.

    The row of an incomplete (screened) evaluation has `bounds`, and items that are not known. If
    the same position comes back and what is known of it does not suffice then, the other items are
    scored and a further row holds all. Rows are replayed in the order in which they were written,
    so that a resumed run tells its optimizer what the stopped one did.

    Args:
        run: where every new row goes.
        space: gives the coefficients of a position.
        evaluator: evaluates candidates in this process.
        phase: keeps rows of different questions apart (``search``, ``letter``).
        on_row: called with every new row.
        pool: evaluates in place of `evaluator`; the rows are the same.

    Attributes:
        item_evaluations: items scored so far.
        seconds: that evaluations took, of all workers.
        replay: rows that a resumed run has not reached.
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
        self._known: dict[str, Row] = {}
        self.replay = Replay(self.rows, [row for row in run.aside if row.phase == phase])
        self._keys = {row.key for row in self.rows}
        self.item_evaluations = 0
        self.seconds = 0.0

    @property
    def rows(self) -> list[Row]:
        """The journal's rows of this phase, in order."""
        return [row for row in self._run.rows if row.phase == self._phase]

    @property
    def evaluations(self) -> int:
        """Number of positions scored so far, in full or in part."""
        return len(self._keys)

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
            iteration: for the journal.
            plans: which items of each to score; None: all items of all.
            first: number of the first one's particle; the others follow.

        Returns:
            A row for each, with the value for the optimizer; None where the plan is `Items.NONE`.
            Rows, and their order in the journal, do not depend on who evaluates and who is done
            first.
        """
        plans = [Items.ALL] * len(positions) if plans is None else plans
        calls = [
            _Call(x, iteration, first + i, plan)
            for i, (x, plan) in enumerate(zip(positions, plans, strict=True))
        ]
        new = self._new(calls)
        begun = {} if self._pool is None else self._begin(calls, new, self._pool)
        arrivals, arrived = as_completed(begun), dict[int, Future[Evaluation]]()
        pending = set(begun.values())
        rows: list[Row | None] = []
        for i, call in enumerate(calls):
            if call.plan is Items.NONE:
                rows.append(None)
            elif i in pending:
                self._wait_for(i, calls, begun, arrivals, arrived)
                rows.append(self._write(self._new_row(call, arrived[i].result)))
            else:
                rows.append(self._row(call))
        self._run.forget_aside()
        return rows

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

    def _row(self, call: _Call) -> Row:
        remembered = self._remembered(call)
        if remembered is not None:
            return remembered
        if (row := self.replay.take(call.key)) is not None:
            return self._take_in(row)
        if (row := self.replay.take_aside(*call.place)) is not None:
            return self._write(row)
        return self._write(self._new_row(call, lambda: self._evaluate(call)))

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

    def _evaluate(self, call: _Call) -> Evaluation:
        request = self._request(call)
        return (
            self._evaluator.evaluate(request)
            if self._pool is None
            else self._pool.submit([request])[0].result()
        )

    def _request(self, call: _Call) -> Request:
        if isinstance(call.plan, Items):
            return Request(call.position)
        latest = self._known.get(call.key)
        values = (
            None if latest is None else {name: latest.item_values(name) for name in latest.items}
        )
        return Request(call.position, call.plan, values)

    def _new_row(self, call: _Call, find: Callable[[], Evaluation]) -> Row:
        """The evaluation of a position as a row."""
        try:
            evaluation = find()
        except UndefinedModelError as error:
            return self._as_the_worst(call, error)
        except NotFiniteError as error:
            text = (
                f"particle {call.particle}, iteration {call.iteration}: {error}; correct it "
                "and resume"
            )
            raise UserError(text) from error
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
        """A candidate without numbers counts as the worst before it; where there is none, the base
        or the dtype is at fault.
        """
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

    def _new(self, calls: Sequence[_Call]) -> list[int]:
        """Those of which not enough is known, of several at one position the first: the same in a
        run that is resumed.
        """
        seen: set[str] = set()
        new = []
        for i, call in enumerate(calls):
            if call.plan is not Items.NONE and call.key not in seen:
                seen.add(call.key)
                new += [i] if self._remembered(call) is None else []
        return new

    def _begin(
        self, calls: Sequence[_Call], new: Sequence[int], pool: WorkerPool
    ) -> dict[Future[Evaluation], int]:
        """Submit those that no earlier process has evaluated."""
        requests = {
            i: self._request(calls[i]) for i in new if not self.replay.holds(*calls[i].place)
        }
        return dict(zip(pool.submit(list(requests.values())), requests, strict=True))

    def _wait_for(
        self,
        i: int,
        calls: Sequence[_Call],
        begun: Mapping[Future[Evaluation], int],
        arrivals: Iterator[Future[Evaluation]],
        arrived: dict[int, Future[Evaluation]],
    ) -> None:
        """Collect evaluations until that of position i is there; rows before their turn are kept
        beside the journal.
        """
        while i not in arrived:
            future = next(arrivals)
            j = begun[future]
            arrived[j] = future
            if j != i and not isinstance(future.exception(), UndefinedModelError):
                self._run.set_aside(self._new_row(calls[j], future.result))

    # What is known

    def _write(self, row: Row) -> Row:
        self._run.append(row)
        self._keys.add(row.key)
        self._take_in(row)
        if self._on_row is not None:
            self._on_row(row)
        return row

    def _take_in(self, row: Row) -> Row:
        """Count a row; it takes the place of the one before it."""
        self._known[row.key] = row
        self.item_evaluations += row.n
        self.seconds += row.seconds
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

    @property
    def place(self) -> tuple[int, int, str]:
        return self.iteration, self.particle, self.key


def _merged(before: Margins | None, now: Margins) -> Margins:
    """What is known now, and what was known before of other items."""
    return (
        now
        if before is None
        else [old if new is None else new for old, new in zip(before, now, strict=True)]
    )


class Replay:
    """Journal rows in the order in which they were written, by position.

    Args:
        rows: of the journal, of one phase.
        aside: rows that workers finished out of order.
    """

    def __init__(self, rows: Iterable[Row], aside: Iterable[Row]) -> None:
        self._rows: dict[str, deque[Row]] = defaultdict(deque)
        for row in rows:
            self._rows[row.key].append(row)
        self._aside = {_place(row): row for row in aside}

    def holds(self, iteration: int, particle: int, key: str) -> bool:
        """Whether the evaluation of this particle is known."""
        return bool(self._rows[key]) or (iteration, particle, key) in self._aside

    def take(self, key: str) -> Row | None:
        """The next row of a position."""
        return self._rows[key].popleft() if self._rows[key] else None

    def take_aside(self, iteration: int, particle: int, key: str) -> Row | None:
        """The row of this evaluation that was finished out of order; it is not in the journal
        yet.
        """
        return self._aside.pop((iteration, particle, key), None)


def _place(row: Row) -> tuple[int, int, str]:
    return row.iteration, row.particle, row.key
