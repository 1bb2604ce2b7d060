"""`minimize_multi`: the Pareto front of several objectives in one call."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pyswarmopt.base import checkpoint as checkpoints
from pyswarmopt.base.inputs import as_count, as_seed
from pyswarmopt.base.spelling import answered
from pyswarmopt.driver.evaluation import Evaluator, Objective, OnError
from pyswarmopt.driver.multi.smpso import MultiResult, MultiSwarm
from pyswarmopt.driver.options import Options, in_coordinates
from pyswarmopt.driver.problem.constraints import Constraints
from pyswarmopt.driver.problem.encoding import make_coding
from pyswarmopt.driver.result import FAILED, INTERRUPTED, MESSAGES, keep_in, wants_to_stop
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
    population = as_count("population", population, 1)
    max_evals = as_count("max_evals", max_evals, 1)
    if archive < 2:
        raise ValueError(f"archive={archive}: a front has at least 2 points")
    seed = as_seed(seed)
    arguments = Options(
        fun, bounds, x0=x0, vectorized=vectorized, integrality=integrality, constraints=constraints,
        categorical=categorical, space=space,
    )  # fmt: skip
    options, names = in_coordinates(arguments)
    start = None if options.x0 is None else np.atleast_2d(np.asarray(options.x0, dtype=np.float64))
    low, high = read_bounds(options.bounds, None if start is None else start.shape[1])
    coding = make_coding((low, high), options.integrality, options.categorical)
    evaluator = Evaluator(
        options.fun, options.vectorized, workers, on_error, max_evals, outputs=n_objectives
    )
    if names is not None:
        evaluator.tensors = False  # known, like vectorized: no trial is needed
    swarm = MultiSwarm(
        coding, Constraints(options.constraints, len(low)), evaluator, population, archive, seed
    )
    if start is not None:
        swarm.place(start)
    path = None if checkpoint is None else checkpoints.place(checkpoint)
    problem = {
        "bounds": [low.tolist(), high.tolist()],
        "objectives": n_objectives,
        "population": population,
        "archive": archive,
        "seed": seed,
        "x0": None if start is None else start.tolist(),
        "integrality": coding.integers.tolist(),
        "categorical": coding.categories.tolist(),
        "constraints": constraints is not None,
        **({} if names is None else {"space": names.describe()}),
    }
    calls = 0

    def result(message: str) -> MultiResult:
        front = swarm.result(message)
        return front if names is None else replace(front, params=[names.decode(x) for x in front.x])

    def evaluate() -> None:
        nonlocal calls
        swarm.evaluate()
        calls = evaluator.calls
        if path is not None:
            checkpoints.write(path, {**swarm.state_dict(), "problem": json.dumps(problem)})

    @contextmanager
    def kept() -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if evaluator.calls:
                keep_in(error, replace(result(MESSAGES[FAILED]), success=False))
            raise

    def run() -> str:
        nonlocal calls
        if path is not None and os.path.lexists(path):
            _resume(path, swarm, checkpoints.read_search(path, problem))
            calls = evaluator.calls
        with kept(), evaluator.workers:
            if not swarm.evaluated:
                evaluate()
            while evaluator.left > 0:
                if callback is not None and wants_to_stop(callback, result("the search goes on")):
                    return MESSAGES["callback"]
                swarm.move()
                evaluate()
        return MESSAGES["max_evals"]

    try:
        return result(run())
    except KeyboardInterrupt:
        evaluator.calls = calls  # what the front rests on, and the checkpoint
        return replace(result(MESSAGES[INTERRUPTED]), success=False)


def _resume(path: Path, swarm: MultiSwarm, saved: dict[str, Any]) -> None:
    """Go on from there, if the objective is the same."""
    with checkpoints.taking_over(path):
        swarm.load_state_dict(saved)
    again = swarm.evaluate_again()
    if again is not None:
        check_value(path, *again)


__all__ = ["MultiResult", "minimize_multi"]
