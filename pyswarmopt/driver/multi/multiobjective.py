"""`minimize_multi`: the Pareto front of several objectives in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pyswarmopt.base import checkpoint as checkpoints
from pyswarmopt.base.inputs import as_count, as_seed
from pyswarmopt.base.spelling import answered
from pyswarmopt.driver.evaluation import Evaluator, Objective, OnError
from pyswarmopt.driver.loop import Loop, Reasons, describe
from pyswarmopt.driver.multi.smpso import MultiResult, MultiSwarm
from pyswarmopt.driver.options import Options, in_coordinates
from pyswarmopt.driver.problem.constraints import Constraints
from pyswarmopt.driver.problem.encoding import make_coding
from pyswarmopt.driver.result import FAILED, INTERRUPTED, in_words
from pyswarmopt.driver.start import check_value
from pyswarmopt.driver.workers.pool import MapLike
from pyswarmopt.parts.bounds import read_bounds


@answered
def minimize_multi(
    fun: Objective,
    bounds: Any = None,
    n_objectives: int = 2,
    population: int = 100,
    archive: int = 100,
    max_evals: int = 10_000,
    seed: int | np.random.Generator | None = None,
    workers: int | str | MapLike | Executor = 1,
    vectorized: bool | Literal["auto"] = "auto",
    callback: Callable[[MultiResult], bool | None] | None = None,
    x0: npt.ArrayLike | None = None,
    on_error: OnError = "raise",
    integrality: npt.ArrayLike | None = None,
    constraints: Any = None,
    categorical: npt.ArrayLike | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    space: Mapping[str, Any] | None = None,
) -> MultiResult:
    """Find points of a box that are best in several objectives, each in its own way (a Pareto
    front).

    Args:
        fun: ``(D,) -> (M,)`` or ``(m, D) -> (m, M)``, all M to be minimised: negate what should be
            large. A point with a value that is not finite is never kept.
        bounds: as in `pyswarmopt.minimize`. Either this or `space`.
        n_objectives: M.
        population: particles.
        archive: the most points of the front to keep; the most crowded ones go first.
        max_evals: the most calls of `fun`, and of points that break a constraint.
        seed: as in `pyswarmopt.minimize`.
        workers: as in `pyswarmopt.minimize`, and so are `vectorized`, `on_error`, `integrality`,
            `constraints` and `categorical`.
        vectorized: whether `fun` takes (m, D).
        callback: called with the front so far after each iteration; return True, or raise
            StopIteration, to stop.
        x0: starting points, (D,) or (n, D).
        on_error: what to do when `fun` raises.
        integrality: mask of the integers.
        constraints: see `pyswarmopt.driver.problem.constraints`.
        categorical: mask of the categories.
        checkpoint: as in `pyswarmopt.minimize`.
        space: parameters by name, as in `pyswarmopt.minimize`; `MultiResult.params` has those of
            the front.

    Returns:
        The points of the front, and how they were found.

    Raises:
        TypeError: see `pyswarmopt.driver.problem.space.Space`.
        ValueError: arguments that do not make sense or do not fit the checkpoint.
        Exception: whatever `fun` raises, if `on_error` says so; its attribute `result` is the front
            so far.

    Example:
        Close to 0 and close to 2, which no x can be at once:

        >>> r = minimize_multi(lambda x: [x[0] ** 2, (x[0] - 2) ** 2], [(-9, 9)], 2, max_evals=2000, seed=1)
        >>> bool((r.x > -0.1).all() and (r.x < 2.1).all()), round(r.hypervolume([4, 4]), 1)
        (True, 13.3)

        Parameters by name:

        >>> space = {"rate": (0.0, 1.0), "kind": ["a", "b"]}
        >>> r = minimize_multi(lambda rate, kind: [rate, (kind == "b") - rate], space=space, max_evals=500, seed=1)
        >>> {params["kind"] for params in r.params}
        {'a'}
    """
    n_objectives = as_count("n_objectives", n_objectives, 1)
    if archive < 2:
        raise ValueError(f"archive={archive}: a front has at least 2 points")
    options = Options(
        fun, bounds, population=as_count("population", population, 1),
        max_evals=as_count("max_evals", max_evals, 1), seed=seed, workers=workers,
        vectorized=vectorized, callback=callback, x0=x0, on_error=on_error,
        checkpoint=checkpoint, integrality=integrality, constraints=constraints,
        categorical=categorical, space=space,
    )  # fmt: skip
    return MultiSearch(options, n_objectives, archive).run()


class MultiSearch(Loop[MultiResult]):
    """One search for a front; all options are checked before the first evaluation."""

    def __init__(self, arguments: Options, n_objectives: int, archive: int) -> None:
        options, self._space = in_coordinates(arguments)
        x0 = options.x0
        start = None if x0 is None else np.atleast_2d(np.asarray(x0, dtype=np.float64))
        bounds = read_bounds(options.bounds, None if start is None else start.shape[1])
        coding = make_coding(bounds, options.integrality, options.categorical)
        constraints = Constraints(options.constraints, len(bounds[0]))
        self._callback, seed = options.callback, as_seed(options.seed)
        self._evaluator = Evaluator(
            options.fun, options.vectorized, options.workers, options.on_error,
            options.max_evals or 0, outputs=n_objectives,
        )  # fmt: skip
        if self._space is not None:
            self._evaluator.tensors = False  # known, like vectorized: no trial is needed
        population = options.population or 1
        self._swarm = MultiSwarm(coding, constraints, self._evaluator, population, archive, seed)
        if start is not None:
            self._swarm.place(start)
        path = options.checkpoint
        self._checkpoint = None if path is None else checkpoints.place(path)
        self._problem = {
            **describe(coding, bounds, start, seed, bool(constraints), self._space),
            "objectives": n_objectives,
            "population": population,
            "archive": archive,
        }

    def _iterate(self) -> None:
        if self._swarm.evaluated:
            self._swarm.move()
        self._swarm.evaluate()
        self._write_down()

    def _reasons(self) -> Reasons:
        return {} if self._evaluator.left else {"max_evals": self._evaluator.max_evals}

    def _result(self, stop: Reasons, final: bool = False) -> MultiResult:
        front = self._swarm.result(in_words(stop))
        space, ended = self._space, not stop.keys() & {INTERRUPTED, FAILED}
        params = None if space is None else [space.decode(x) for x in front.x]
        return replace(front, success=front.success and ended, params=params)

    @property
    def _found_after(self) -> int:
        return self._swarm.calls

    def _saved(self) -> tuple[Any, ...]:
        return (self._swarm,)

    def _check_objective(self, path: Path) -> None:
        again = self._swarm.evaluate_again()
        if again is not None:
            check_value(path, *again)


__all__ = ["MultiResult", "minimize_multi"]
