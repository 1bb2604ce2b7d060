"""`MultiStudy`: a search for a front whose objectives are evaluated elsewhere."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats, untensored
from pyswarmopt.base.spelling import answered
from pyswarmopt.driver.multi.multiobjective import MAX_EVALS, MultiResult, MultiSearch
from pyswarmopt.driver.options import Options, ProblemArguments
from pyswarmopt.driver.study import Trial

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe


class MultiStudy:
    """`pyswarmopt.minimize_multi` with ask and tell: the same points for the same seed and values.

    Args:
        bounds: see `pyswarmopt.minimize_multi`, as for the other arguments. Either this or `space`.
        n_objectives: M.
        population: see there.
        archive: see there.
        max_evals: see there.
        seed: see there.
        x0: see there.
        integrality: see there.
        constraints: see there; points that break one are not asked for.
        categorical: see there.
        space: see there.
        equality_tolerance: see there.
        recipe: see there.

    Raises:
        ValueError: arguments that do not make sense.

    Example:
        >>> import pyswarmopt as pso
        >>> study = pso.MultiStudy([(-9, 9)], max_evals=300, seed=1)
        >>> while not study.stop():
        ...     study.tell([(t.x[0] ** 2, (t.x[0] - 2) ** 2) for t in study.ask()])
        >>> round(study.result().hypervolume([4, 4]), 1), study.result().nfev
        (13.3, 300)
    """

    @answered(ProblemArguments)
    def __init__(
        self,
        bounds: Any = None,
        n_objectives: int = 2,
        population: int | None = None,
        archive: int = 100,
        recipe: str | Recipe | None = None,
        **options: Unpack[ProblemArguments],
    ) -> None:
        told = _Answers()
        options = {"max_evals": MAX_EVALS, **options}
        given = Options(told, bounds, recipe, population, **options, vectorized=False)
        self._search = _Told(given, n_objectives, archive, told)

    def ask(self) -> list[Trial]:
        """The points to evaluate, the same ones until `tell`; none at the end."""
        return self._search.trials()

    def tell(self, values: npt.ArrayLike) -> None:
        """Take in the objectives of the points from `ask`, (n, M), also as tensors; NaN for a failure.

        Raises:
            ValueError: no `ask` before, or not M numbers for each point.
        """
        self._search.take(values)

    def stop(self) -> dict[str, float]:
        """Reasons to stop, as `Result.stop`; empty to go on."""
        return self._search.reasons()

    def result(self) -> MultiResult:
        """The front so far."""
        return self._search.result()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything told to a file."""
        self._search.save(path)

    def load(self, path: str | os.PathLike[str]) -> MultiStudy:
        """Continue from the file of a study with the same arguments. What it had asked for without
        an answer is asked for again.

        Returns:
            This study: ``study = pso.MultiStudy(bounds).load("study.npz")``.

        Raises:
            ValueError: not such a study's file, or another study's.
        """
        self._search.load(path)
        return self

    def __repr__(self) -> str:
        """Evaluations and the size of the front, in a line."""
        found = self.result()
        return f"<MultiStudy: {found.nfev} evaluations, {len(found.x)} points, {found.status}>"


class _Answers(deque[Floats]):
    """What was told; called as an objective, it gives the next."""

    def __call__(self, *x: Any, **params: Any) -> Floats:
        return self.popleft()


class _Told(MultiSearch):
    """The search behind a `MultiStudy`. Its objective returns what was told, in the same order."""

    def __init__(self, options: Options, n_objectives: int, archive: int, told: _Answers) -> None:
        super().__init__(options, n_objectives, archive)
        self._evaluator.form.settled = True
        self._identity["study"] = True
        self._told = told
        self._positions: Floats | None = None  # of the round under way
        self._trials: list[Trial] = []
        self._before: dict[str, Any] = {}  # the state before the round

    def trials(self) -> list[Trial]:
        while not self._trials and not self.reasons():
            self._begin_round()
            if not self._trials:  # all points are known or forbidden
                self._end_round()
        return list(self._trials)

    def _begin_round(self) -> None:
        self._before = self._state()
        self._positions = self._swarm.ask()
        points = self._problem.coding.decode(self._positions)
        allowed = points[self._judge.needless(points) == 0]
        space = self._problem.space
        first = self._evaluator.calls
        for number, x in enumerate(allowed[self._evaluator.due(allowed)], start=first):
            params = None if space is None else space.decode(x)
            self._trials.append(Trial(number, x.copy(), params))

    def _ask(self) -> Any:
        return self._positions

    def _end_round(self) -> None:
        self._iterate()
        self._trials = []
        self._positions = None

    def take(self, values: npt.ArrayLike) -> None:
        if not self._trials:
            raise ValueError("tell() without ask(): each round of points can be told once")
        wanted = len(self._trials), *self._evaluator.form.shape
        try:
            rows = np.asarray(untensored(values), dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"tell: values are numbers of shape {wanted} ({error})") from error
        if rows.shape != wanted:
            raise ValueError(f"tell: values have shape {rows.shape}, their points need {wanted}")
        self._told.extend(rows)
        self._end_round()

    def _state(self) -> dict[str, Any]:
        return self._before if self._trials else super()._state()

    def load(self, path: str | os.PathLike[str]) -> None:
        super().load(path)
        self._trials = []


__all__ = ["MultiStudy"]
