"""`Study`: a search for functions that are evaluated elsewhere, such as on a cluster or by hand; it
is asked for points and told their values.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats, untensored
from pyswarmopt.base.inputs import as_count
from pyswarmopt.base.spelling import Elsewhere, suggesting
from pyswarmopt.driver.call import CallOutcome, Value
from pyswarmopt.driver.options import Known, Options, Start, starting_points
from pyswarmopt.driver.problem.constraints import row_of
from pyswarmopt.driver.problem.encoding import check_inside
from pyswarmopt.driver.search import Search, ValueSearch

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe

MOST_REPEATS = 100  # after this many known or pending proposals it waits for values


@dataclass(frozen=True, eq=False)
class Trial:
    """A point to evaluate.

    Attributes:
        number: number of the trial; a restored study returns pending trials again, with their
            numbers.
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
    raise TypeError("a Study does not call its function")


class Study:
    """A search that is asked for points and told their values, in any order. It can be copied and
    pickled, with its pending trials.

    Args:
        bounds: as in `pyswarmopt.minimize`; so are the arguments not described here. Pass either
            this or the option ``space=``.
        recipe: as in `pyswarmopt.minimize`; not with several objectives.
        population: as in `pyswarmopt.minimize`. By default, the number of trials that are pending
            when the first value is reported.
        maximize: whether larger values are better.
        objectives: number of objectives in each value. With several, all are minimised, and
            `result` is a `MultiResult`.
        max_evals: number of values after which the search ends; it affects its plan.
        constraints: as in `pyswarmopt.minimize`; with "returned", pass them with each value:
            ``tell(trial, value, constraints=[...])``.

    Raises:
        ValueError: invalid arguments.

    Example:
        >>> import pyswarmopt as pso
        >>> study = pso.Study(space={"rate": pso.log(1e-4, 1.0), "kind": ["a", "b"]}, max_evals=60, seed=1)
        >>> study.tell({"rate": 0.5, "kind": "b"}, 1.7)  # evaluated before
        >>> while not study.stop():
        ...     trial = study.ask()
        ...     study.tell(trial, abs(trial.params["rate"] - 0.01) + (trial.params["kind"] == "b"))
        >>> study.result().params["kind"], study.result().nfev
        ('a', 60)

        Two objectives:

        >>> study = pso.Study([(-9, 9)], objectives=2, max_evals=300, seed=1)
        >>> while trial := study.ask():
        ...     study.tell(trial, [trial.x[0] ** 2, (trial.x[0] - 2) ** 2])
        >>> round(pso.pareto.hypervolume(study.result().fun, [4, 4]), 1), study.result().nfev
        (13.3, 300)
    """

    @suggesting
    def __init__(
        self,
        bounds: Any = None,
        recipe: str | Recipe | None = None,
        population: int | None = None,
        maximize: bool = False,
        objectives: int = 1,
        *,
        max_evals: int | None = None,
        target: float | None = None,
        seed: int | np.random.Generator | None = None,
        x0: Start | None = None,
        integrality: npt.ArrayLike | None = None,
        constraints: Any = None,
        categorical: npt.ArrayLike | None = None,
        space: Mapping[str, Any] | None = None,
        known: Known | None = None,
        patience: int | None = None,
    ) -> None:
        given = Options(
            _called_elsewhere, bounds, recipe, population, max_evals=max_evals, target=target,
            seed=seed, x0=x0, integrality=integrality, constraints=constraints,
            categorical=categorical, space=space, known=known, patience=patience,
            history="particles", asynchronous=True,
        )  # fmt: skip
        count = as_count("objectives", objectives, 1)
        self._adapts = population is None and count == 1 and recipe is None
        self._search: Search[Any]
        if count == 1:
            self._search = ValueSearch(given, maximize, told=True)
            return
        if maximize:
            raise ValueError(
                "maximize=True is not supported with several objectives; negate those to maximise"
            )
        # imported on use, for a faster start of searches
        from pyswarmopt.driver.multi.front import FrontSearch

        self._search = FrontSearch(given, count, told=True)

    if not TYPE_CHECKING:
        optimize = Elsewhere(
            "call study.ask() and study.tell(trial, value), or pso.minimize(fun, bounds)"
        )
        best = Elsewhere("use study.result()")
        best_params = Elsewhere("use study.result().params")
        best_trial = Elsewhere("use study.result()")
        best_value = Elsewhere("use study.result().fun")

    def ask(self) -> Trial | None:
        """The next point to evaluate; None while waiting for values, and at the end. A named recipe
        waits once its whole round is pending, the default search only before its first values.
        """
        search = self._search
        loop = search.loop
        repeats = 0
        while repeats < MOST_REPEATS or not loop.busy:
            repeats += 1
            if search.reasons() or loop.busy >= search.evaluator.left:
                return None
            tickets = loop.next_tickets(1)
            if not tickets:
                return None
            ticket = tickets[0]
            x = loop.take_up(ticket)
            if x is not None:
                return Trial(ticket.number, x.copy(), search.problem.params(x))
        return None

    def tell(
        self,
        point: Trial | npt.ArrayLike | Mapping[str, Any],
        value: float | npt.ArrayLike | None,
        constraints: Any = None,
    ) -> None:
        """Record a value.

        Args:
            point: a trial from `ask`; or any point, (D,), or parameters by name, even if not
                requested.
            value: the function's value there: a number, or an array or tensor with one number; with
                several objectives, one number for each. None, or a number that is not finite, marks
                a failed evaluation.
            constraints: with ``constraints="returned"``, the constraints there, at most 0 where
                met.

        Raises:
            ValueError: a trial was already told or comes from another study, a point is out of
                bounds, or constraints are missing or unexpected.
        """
        search = self._search
        x = self._read_point(point)
        row = self._read_value(value, constraints)
        together = search.loop.busy
        if self._adapts and together > 1:
            search.loop.optimizer.expect_together(together)
        self._adapts = False
        search.take(x, row)

    def _read_point(self, point: Any) -> Floats:
        if isinstance(point, Trial):
            x: Floats | None = self._search.loop.point(point.number)
            if x is None:
                raise ValueError(
                    f"tell: trial {point.number} was already told or belongs to another study"
                )
            return x
        problem = self._search.problem
        points = starting_points(point, problem.space, "tell: point")
        if points.shape != (1, problem.dim):
            raise ValueError(
                f"tell: a point must have shape ({problem.dim},), got {np.shape(point)}"
            )
        check_inside(points, problem.coding.low, problem.coding.high, "tell: point")
        return points[0]

    def _read_value(self, value: Any, constraints: Any) -> Value:
        """The value, followed by its constraints."""
        search = self._search
        returned = search.problem.constraints.returned
        told: Any = untensored(value)
        if told is None or (returned and constraints is None and _is_missing(told)):
            search.evaluator.count_if_failed(math.nan)
            return math.nan
        if returned == (constraints is None):
            raise ValueError(
                "tell: constraints= is required with constraints='returned', and only then"
            )
        if constraints is not None:
            told = row_of((told, constraints), search.evaluator.form.values)
        try:
            return search.evaluator.value(CallOutcome(told, None))
        except ValueError as error:
            raise ValueError(f"tell: value={value!r} is not valid: {error}") from None

    def stop(self) -> dict[str, float]:
        """Reasons to stop, as in `Result.stop`; empty if the search continues."""
        return self._search.reasons()

    def result(self) -> Any:
        """The `Result` so far, or the `MultiResult` with several objectives."""
        return self._search.result()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all told values and the pending trials to a file."""
        self._search.save(path)

    def load(self, path: str | os.PathLike[str]) -> Study:
        """Continue from the file of a study with the same arguments. `ask` returns its
        pending trials again.

        Returns:
            This study: ``study = pso.Study(bounds).load("study.npz")``.

        Raises:
            ValueError: the file is not a study's, or belongs to another study.
        """
        self._search.load(path)
        self._adapts = False
        return self


def _is_missing(value: Any) -> bool:
    """Whether a told value is a number that is not finite."""
    try:
        return not math.isfinite(value)
    except TypeError:
        return False
