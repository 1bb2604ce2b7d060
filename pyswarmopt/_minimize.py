"""`minimize` and `maximize`: a whole search in one call, with a result like SciPy's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.spelling import suggesting
from pyswarmopt.driver.call import Objective, OnError
from pyswarmopt.driver.history import Granularity
from pyswarmopt.driver.options import Callback, Known, Options, Start
from pyswarmopt.driver.result import Result
from pyswarmopt.driver.search import ValueSearch

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from pyswarmopt.algorithms.recipe import Recipe


@suggesting
def minimize(
    fun: Objective,
    bounds: Any = None,
    recipe: str | Recipe | None = None,
    population: int | None = None,
    *,
    max_evals: int | None = None,
    max_iter: int | None = None,
    target: float | None = None,
    seed: int | np.random.Generator | None = None,
    workers: int | Executor = 1,
    vectorized: bool = False,
    callback: Callback | None = None,
    x0: Start | None = None,
    progress: bool = False,
    on_error: OnError = "raise",
    checkpoint: str | os.PathLike[str] | None = None,
    integrality: npt.ArrayLike | None = None,
    constraints: Any = None,
    categorical: npt.ArrayLike | None = None,
    noisy: bool = False,
    history: Granularity | None = None,
    asynchronous: bool = False,
    space: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    known: Known | None = None,
    patience: int | None = None,
) -> Result:
    """Minimise `fun` over a box, or over the parameters of a space.

    Ctrl-C ends the search and returns the result so far, with ``success=False`` and
    ``message="interrupted"``; calls of the current iteration are discarded.

    Args:
        fun: ``(D,) float64 array -> float``, or ``(m, D) -> (m,)`` with ``vectorized=True``; it
            receives copies. To use a function of torch tensors, pass ``lambda x:
            fun(torch.from_numpy(x))``. A value that is not finite counts as the worst possible.
        bounds: D pairs (low, high) of finite numbers as in SciPy, or its `Bounds`, or two NumPy
            arrays (low, high); see `pyswarmopt.boundary.make_box`. Pass either this or `space`.
        recipe: a name, a `Recipe`, or None for the search that was best in
            docs/explanation/evidence.md. For a deterministic function of real coordinates, however
            many, this is `DefaultSearch`: points proposed by a Gaussian process, then descents by
            finite differences alongside a swarm that adapts its covariance (see
            `pyswarmopt/default/continuous.py`). With integers or categories, mutations replace the
            descents. With constraints and up to 100 coordinates it uses quadratic programs and, up
            to 20, also models of cost and constraints. With noise, a Gaussian process proposes all
            points if ``max_evals`` is at most 500, for up to 20 parameters without constraints;
            otherwise `recipes.covariant` runs, or `recipes.constriction` above 100 coordinates.
            `Result.algorithm` is "default" or the name of the recipe that ran.
        population: number of particles. Default: the recipe's, but at least one for each point in
            `x0`; `DefaultSearch` chooses its own. If a Gaussian process proposes the first points
            (5 * D with up to 20 parameters, 200 with integers or categories), it proposes this many
            at a time, by default one.
        max_evals: the maximum number of calls of `fun`. No point is evaluated twice, unless there
            is noise or ``vectorized=True``. Default: 1000 * D if neither `max_iter` nor `timeout`
            is given and the recipe has no stop rule. Points where `fun` is not called because they
            violate a constraint also count. With ``vectorized=True``, and in the default search
            with 50 calls or more, the last call evaluates the best point again: if the value
            differs because of undeclared noise, `message` says so and `fun` is the second value.
        max_iter: the maximum number of iterations; overrides the recipe's limit.
        target: stop when the best value is at least as good as this one.
        seed: the same seed gives the same search; None uses entropy from the operating system, and
            a NumPy `Generator` draws a seed.
        workers: a number of threads (-1: one for each core), or an executor, such as a
            `concurrent.futures.ProcessPoolExecutor`; the result does not depend on it (see
            `pyswarmopt.driver.workers.Workers`). Workers share the points that are proposed
            together: with ``workers=4``, pass ``population=4``, or three of them may be idle.
        vectorized: whether `fun` accepts many points, (m, D), and returns (m,). This is not
            detected: a function that expects many points and gets one fails, with a note that
            explains why.
        callback: called with the result so far after each iteration; return True, or raise
            StopIteration, to stop.
        x0: a starting point, (D,), or several, (n, D), or the `Result` of another run. The recipe
            adds the rest of the population.
        progress: show the number of evaluations and the best value on standard error.
        on_error: what to do if `fun` fails: "raise" its error, or count it as the "worst" value.
        checkpoint: a file, written now and then, in at most a tenth of the time, and at the end.
            Until then `fun`'s latest values are in a file beside it, with ``.journal`` after its
            name, so an error, Ctrl-C or a killed process loses none. If the file exists, the search
            continues from it, bit for bit. Its best point is then evaluated once more, uncounted,
            to reject a file from a different objective (except with noise).
        integrality: (D,) mask of the coordinates that are integers, or one boolean for all; they
            are rounded for `fun` and in the result.
        constraints: one or several: callables g with g(x) <= 0 at feasible x, SciPy's
            `LinearConstraint` and `NonlinearConstraint`, and SciPy's dicts, where "ineq" means g(x)
            >= 0; see `pyswarmopt.driver.problem.constraints`. "returned": `fun` returns ``(value,
            constraints)``, the latter at most 0 at feasible x.
            Return one number per limit, not the largest of them: ``max`` has kinks, where descents
            can get stuck. The default search also calls `fun` at infeasible points, for up to 100
            coordinates (or any number of integers with two values), unless there is noise or
            ``keep_feasible=True``; values there need not be finite. Otherwise `fun` is called at an
            infeasible point only once, for the result, if no feasible point was found.
        categorical: (D,) mask of the coordinates whose whole numbers low, low + 1, ..., high are
            labels without an order; for a list of choices, use the label as its index.
        noisy: `fun` returns a different value each time. With up to 500 evaluations, up to 20
            parameters and no constraints, a Gaussian process that learns the noise proposes all
            points; otherwise a swarm does. The best points are re-evaluated and compared by
            their means (see `pyswarmopt.driver.resampling`). A tenth of `max_evals`, at most 100,
            is reserved for choosing among them at the end, and as many calls again for evaluating
            the chosen point afresh, which gives `Result.fun` and `Result.fun_stderr`. `target` then
            applies to the mean, which must meet it by two standard errors.
        history: "iteration" keeps a summary of each iteration, "particles" every point. Default:
            "iteration", or "particles" with `space`.
        asynchronous: a free worker immediately gets a new point, so workers of unequal speed are
            always busy. While a round is unfinished, the default search proposes more points from
            its model, or by mutating the best point; the particles of a `recipe` move as soon as
            their own values are there. It ends when all pending calls have finished. With several
            workers, the result depends on the order in which values arrive. `fun` must take one
            point at a time; `noisy` is not supported.
        space: parameters by name instead of `bounds`: ``(low, high)`` is a real number, ``[a, b]``
            a choice; see also `pso.ordered`, `pso.log`, `pso.integer`, `pso.fixed` and `pso.when`.
            `fun` and the constraints receive them as keyword arguments, or as one dict if they have
            a single parameter with another name; with ``vectorized=True``, `fun` receives a list of
            dicts. `Result.params` contains the best ones. `x0` may then be such a dict, or several.
        timeout: seconds after which no call of `fun` begins, and ``stop`` has the key "timeout";
            pending calls still finish. A search resumed from a checkpoint gets the full time again.
        known: earlier evaluations, which are not repeated: ``(points, values)`` with points as in
            `x0`, NaN or infinite where a call failed; with ``constraints="returned"``, ``(points,
            values, constraints)``; or a `Result` with all its points. The search starts from them;
            a recipe starts from the best, one for each particle.
        patience: stop after this many calls in which the best value improved by at most 1e-8 of its
            improvement before them. Default: never.

    Returns:
        The best point found, its value, and how it was found.

    Raises:
        TypeError: an unknown argument; for another library's name, the message gives ours.
        ValueError: arguments that are invalid or do not match the checkpoint.
        Exception: whatever `fun` raises, depending on `on_error`, and whatever a constraint raises.
            Its attribute `result` is the `Result` so far, with everything that was evaluated (with
            noise or `asynchronous`, everything that the search received).

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.rosenbrock, [(-5, 5)] * 2, max_evals=8000, seed=1)
        >>> r.fun < 1e-12, r.nfev, r.stop
        (True, 8000, {'max_evals': 8000})

        With the sum of the coordinates at least 1:

        >>> r = pso.minimize(pso.functions.sphere, [(-5, 5)] * 2, constraints=lambda x: 1 - x.sum(), seed=1)
        >>> abs(r.fun - 0.5) < 0.01, r.maxcv
        (True, 0.0)

        Parameters by name:

        >>> space = {"lr": pso.log(1e-5, 1.0), "layers": pso.integer(1, 8), "opt": ["adam", "sgd"]}
        >>> def loss(lr, layers, opt):
        ...     return abs(lr - 0.01) + abs(layers - 3) + (opt == "sgd")
        >>> r = pso.minimize(loss, space=space, max_evals=600, seed=1)
        >>> r.params["layers"], r.params["opt"], r.fun < 0.01
        (3, 'adam', True)
    """
    given = Options(
        fun, bounds, recipe, population, max_evals=max_evals, max_iter=max_iter, target=target,
        seed=seed, workers=workers, vectorized=vectorized, callback=callback, x0=x0,
        progress=progress, on_error=on_error, checkpoint=checkpoint, integrality=integrality,
        constraints=constraints, categorical=categorical, noisy=noisy, history=history,
        asynchronous=asynchronous, space=space, timeout=timeout, known=known, patience=patience,
    )  # fmt: skip
    return ValueSearch(given).run()


@suggesting
def maximize(
    fun: Objective,
    bounds: Any = None,
    recipe: str | Recipe | None = None,
    population: int | None = None,
    *,
    max_evals: int | None = None,
    max_iter: int | None = None,
    target: float | None = None,
    seed: int | np.random.Generator | None = None,
    workers: int | Executor = 1,
    vectorized: bool = False,
    callback: Callback | None = None,
    x0: Start | None = None,
    progress: bool = False,
    on_error: OnError = "raise",
    checkpoint: str | os.PathLike[str] | None = None,
    integrality: npt.ArrayLike | None = None,
    constraints: Any = None,
    categorical: npt.ArrayLike | None = None,
    noisy: bool = False,
    history: Granularity | None = None,
    asynchronous: bool = False,
    space: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    known: Known | None = None,
    patience: int | None = None,
) -> Result:
    """Maximise `fun` over a box, or over the parameters of a space; see `minimize`.

    Args:
        fun: ``(D,) float64 array -> float``; see `minimize` for this and all other arguments.

    Returns:
        As for `minimize`; `fun` is the largest value.

    Raises:
        Exception: see `minimize`.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.maximize(lambda x: 3.0 - abs(x[0] - 1.0), [(-5, 5)], max_evals=2000, seed=1)
        >>> round(r.fun, 3), round(float(r.x[0]), 3)
        (3.0, 1.0)
    """
    given = Options(
        fun, bounds, recipe, population, max_evals=max_evals, max_iter=max_iter, target=target,
        seed=seed, workers=workers, vectorized=vectorized, callback=callback, x0=x0,
        progress=progress, on_error=on_error, checkpoint=checkpoint, integrality=integrality,
        constraints=constraints, categorical=categorical, noisy=noisy, history=history,
        asynchronous=asynchronous, space=space, timeout=timeout, known=known, patience=patience,
    )  # fmt: skip
    return ValueSearch(given, maximize=True).run()
