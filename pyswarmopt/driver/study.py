"""`Study`: a search for functions called elsewhere, on a cluster or by hand; it is asked for points
and told their values.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats, untensored
from pyswarmopt.base.in_flight import Ticket
from pyswarmopt.base.spelling import answered
from pyswarmopt.driver.asynchronous import AsynchronousSearch
from pyswarmopt.driver.call import CallOutcome
from pyswarmopt.driver.form import Form, WrongShapeError
from pyswarmopt.driver.options import GoalArguments, Options
from pyswarmopt.driver.problem.constraints import returned_row
from pyswarmopt.driver.problem.encoding import check_inside
from pyswarmopt.driver.result import Result
from pyswarmopt.driver.start import starting_points

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe

MOST_REPEATS = 100  # after this many known or pending proposals it waits for values
UNASKED = -1  # particle number of an unrequested point


@dataclass(frozen=True, eq=False)
class Trial:
    """A point to evaluate.

    Attributes:
        number: number of the trial; a restored study repeats pending ones with the same number.
        x: the point, (D,) float64.
        params: with ``space=``, its parameters by name; else None.

    Example:
        >>> import pyswarmopt as pso
        >>> pso.Study(space={"rate": (0.0, 1.0)}, seed=0).ask().number
        0
    """

    number: int
    x: Floats
    params: dict[str, Any] | None


def _called_elsewhere(*x: Any, **params: Any) -> float:  # whatever the space's names are
    raise TypeError("a Study calls no function")


class Study:
    """A search that is asked for points, and told their values, in any order. It can be copied and
    pickled, with its pending trials.

    Args:
        bounds: see `pyswarmopt.minimize`, as for the other arguments. Either this or `space`.
        recipe: see there.
        population: see there.
        max_evals: the end of the search, used in its plan.
        target: see there.
        seed: see there.
        x0: see there.
        integrality: see there.
        constraints: see there; "returned": each value is told with its constraints.
        categorical: see there.
        space: see there.
        equality_tolerance: see there.
        known: see there.
        patience: see there.
        maximize: whether larger values are better.

    Raises:
        ValueError: arguments that do not make sense.

    Example:
        >>> import pyswarmopt as pso
        >>> study = pso.Study(space={"rate": pso.log(1e-4, 1.0), "kind": ["a", "b"]}, max_evals=60, seed=1)
        >>> study.tell({"rate": 0.5, "kind": "b"}, 1.7)  # last month's
        >>> while not study.stop():
        ...     trial = study.ask()
        ...     study.tell(trial, abs(trial.params["rate"] - 0.01) + (trial.params["kind"] == "b"))
        >>> study.result().params["kind"], study.result().nfev
        ('a', 60)
    """

    @answered(GoalArguments)
    def __init__(
        self,
        bounds: Any = None,
        recipe: str | Recipe | None = None,
        population: int | None = None,
        maximize: bool = False,
        **options: Unpack[GoalArguments],
    ) -> None:
        options_of_search = Options(
            _called_elsewhere,
            bounds,
            recipe,
            population,
            **options,
            history="particles",
            asynchronous=True,
        )
        self._search = _Told(options_of_search, maximize)

    def ask(self) -> Trial | None:
        """The next point to evaluate; None while waiting for values, and at the end."""
        return self._search.next_trial()

    def tell(
        self,
        point: Trial | npt.ArrayLike | Mapping[str, Any],
        value: float | npt.ArrayLike | None,
        constraints: Any = None,
    ) -> None:
        """Take in a value.

        Args:
            point: a trial from `ask`; or any point, (D,), or parameters by name, even if not
                requested.
            value: the function's value there, a number, or an array or tensor of one; None, or a
                non-finite number, for a failure.
            constraints: with ``constraints="returned"``, the constraints there, at most 0 where
                allowed.

        Raises:
            ValueError: a trial already told, or of another study; a point out of bounds; missing or
                superfluous constraints.
        """
        self._search.take(point, value, constraints)

    def stop(self) -> dict[str, float]:
        """Reasons to stop, as `Result.stop`; empty to go on."""
        return self._search.reasons()

    def result(self) -> Result:
        """The result so far."""
        return self._search.result()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything told, and the pending trials, to a file."""
        self._search.save(path)

    def load(self, path: str | os.PathLike[str]) -> Study:
        """Continue from the file of a study with the same arguments. Its pending trials are
        requested again.

        Returns:
            This study: ``study = pso.Study(bounds).load("study.npz")``.

        Raises:
            ValueError: not a study's file, or another study's.
        """
        self._search.load(path)
        return self

    def __repr__(self) -> str:
        """Evaluations and the best value, in a line."""
        found = self.result()
        return f"<Study: {found.nfev} evaluations, best {found.fun:.6g}, {found.status}>"


def _number(value: Any) -> float:
    """A told value, read as `minimize` reads what a function returns."""
    try:
        return float(Form(False, None, False).read(untensored(value)))
    except WrongShapeError:
        raise ValueError(f"tell: value={value!r} is no number") from None


class _Told(AsynchronousSearch):
    """The search behind a `Study`."""

    def __init__(self, options: Options, maximize: bool) -> None:
        super().__init__(options, maximize)
        self._evaluator.confirms = False  # there is no function to call
        self._evaluator.form.vectorized = False
        self._evaluator.form.settled = True
        self._points: dict[int, Floats] = {}  # of the pending trials
        self._pending: dict[bytes, list[Ticket]] = {}  # by point: equal ones are told together
        self._identity["study"] = True

    def next_trial(self) -> Trial | None:
        for _ in range(MOST_REPEATS):
            ticket = self._next_ticket()
            if ticket is None:
                return None
            point = self._problem.coding.decode(np.asarray(ticket.x)[None])[0]
            if self._answers(ticket, point):
                continue
            self._points[ticket.number] = point
            alike = self._pending.setdefault(self._key(point), [])
            alike.append(ticket)
            if len(alike) == 1:
                space = self._problem.space
                params = None if space is None else space.decode(point)
                return Trial(ticket.number, point.copy(), params)
        return None

    def _next_ticket(self) -> Ticket | None:
        if self.reasons() or len(self._points) >= self._evaluator.left:
            return None
        ticket: Ticket | None = self._again.pop(0) if self._again else self._swarm.ask_one()
        return ticket

    def _key(self, x: Floats) -> bytes:
        memory = self._evaluator.memory
        return x.tobytes() if memory is None else memory.key(x)

    def take(self, point: Any, value: Any, constraints: Any) -> None:
        told = point if isinstance(point, Trial) else None
        if told is not None and told.number not in self._points:
            raise ValueError(f"trial {told.number} was told already, or is not of this study")
        x = self._read_point(point) if told is None else self._points[told.number]
        row = self._read_value(value, constraints)
        self._evaluator.calls += 1
        self._evaluator.learn(x, row)
        alike = self._pending.pop(self._key(x), [])
        if not alike:
            self._take_unasked(x, row)
        for ticket in alike:
            del self._points[ticket.number]
            self._tell(ticket, x, row)
        self._note_part()

    def _read_point(self, point: Any) -> Floats:
        points = starting_points(point, self._problem.space)
        low = self._problem.coding.low
        high = self._problem.coding.high
        if points.shape != (1, len(low)):
            raise ValueError(f"tell: a point has shape ({len(low)},), not {np.shape(point)}")
        check_inside(points, low, high, "point")
        return points[0]

    def _read_value(self, value: Any, constraints: Any) -> Floats | float:
        """The value, followed by its constraints."""
        number = math.nan if value is None else _number(value)
        if value is None or (constraints is None and not math.isfinite(number)):
            self._evaluator.count_if_failed(number)
            return math.nan
        if self._problem.constraints.returned == (constraints is None):
            raise ValueError(
                "tell: constraints= is given with each value where the study has "
                "constraints='returned', and only there"
            )
        told: Any = number
        if constraints is not None:
            told = returned_row(lambda x: (number, constraints), None)
        return self._evaluator.value(CallOutcome(told, None), last=True)

    def _take_unasked(self, x: Floats, row: Floats | float) -> None:
        judged = self._judge.judge_one(x, row)
        self._judge.take_in(self._problem.coding.encode(x[None]), judged)
        self._remember(UNASKED, x, judged)

    def load(self, path: str | os.PathLike[str]) -> None:
        super().load(path)
        self._points = {}
        self._pending = {}


__all__ = ["Study", "Trial"]
