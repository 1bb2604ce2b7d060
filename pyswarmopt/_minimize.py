"""`minimize` and `maximize`: a whole search in one call, with a result like SciPy's."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Unpack

from pyswarmopt.base.inputs import as_target
from pyswarmopt.base.spelling import answered
from pyswarmopt.driver.call import Objective
from pyswarmopt.driver.options import Arguments, Options
from pyswarmopt.driver.result import Result
from pyswarmopt.driver.search import Search

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe


@answered(Arguments)
def minimize(
    fun: Objective,
    bounds: Any = None,
    recipe: str | Recipe | None = None,
    population: int | None = None,
    **options: Unpack[Arguments],
) -> Result:
    """Find the point of a box, or the parameters of a space, where `fun` is smallest.

    Ctrl-C ends the search: the result so far comes back, with ``success=False`` and
    ``message="interrupted"``, and the calls of the iteration under way are lost.

    Args:
        fun: ``(D,) float64 array -> float``, or ``(m, D) -> (m,)``; it gets copies. A function of
            torch tensors is called as ``lambda x: fun(torch.from_numpy(x))``. A value that is not
            finite counts as the worst possible.
        bounds: D pairs (low, high) of finite numbers as in SciPy, or its `Bounds`, or two NumPy
            arrays (low, high); see `pyswarmopt.boundary.make_box`. Either this or `space`.
        recipe: a name, a `Recipe`, or None: the best in docs/explanation/evidence.md. That is
            `MemeticSwarm` (points that a Gaussian process proposes, then descents by differences
            beside a swarm that adapts its covariance; in this order in
            `pyswarmopt/hybrid/memetic.py`) for a deterministic function of real coordinates,
            however many; its form with mutations in place of descents where some are integers or
            categories; its form with quadratic programs for up to 100 coordinates with constraints,
            and with models of cost and constraints beside for up to 20. With noise a Gaussian
            process proposes all points, if ``max_evals`` is at most 500, for up to 20 parameters
            without constraints; else it is `recipes.covariant`, and above 100 coordinates
            `recipes.constriction`. `Result.algorithm` says what ran: "default", or the recipe's name.
        population: particles; the algorithm stays the same. Default: the recipe's;
            `MemeticSwarm` chooses its own, and an asynchronous swarm has at least as many as
            workers. A recipe has no fewer than the starting points in `x0`. The Gaussian process
            proposes this many points at a time, by default one: up to 20 parameters for the first
            5 * D points, with integers or categories for the first 200.
        max_evals: the most calls of `fun`, never exceeded. A point that was evaluated is remembered
            and costs no second call, unless there is noise or ``vectorized=True``. Default: 1000 *
            D if neither `max_iter` nor `timeout` is given and the recipe has no stop rule of its
            own. Points where `fun` is not called, since they break a constraint, count too. With
            the default from 50 calls on, and with ``vectorized=True``, the last one is for the best
            point again: noise that
            was not declared shows there, `message` says so, and `fun` is the second value.
        max_iter: the most moves; takes the place of the recipe's own limit.
        target: stop when the best value is at least as good.
        seed: the same seed gives the same search; None takes one from the operating system, a NumPy
            `Generator` draws one.
        workers: a number of threads (-1: one for each core), or an executor, such as a
            `concurrent.futures.ProcessPoolExecutor`; the result is the same (see
            `pyswarmopt.driver.workers.Workers`). Workers share the points proposed at a
            time: with ``workers=4`` say ``population=4``, or three of them wait; a warning says so
            where that matters.
        vectorized: whether `fun` takes many points, (m, D), and returns (m,). It is not guessed: a
            function that takes many and is called with one point raises an error of its own, whose
            note says so, or returns other than a number.
        callback: called with the result so far after each iteration; return True, or raise
            StopIteration, to stop.
        x0: a starting point, (D,), or several, (n, D), or the `Result` of another run. The rest of
            the population is filled up by the recipe.
        progress: show a bar with the share of the budget used, the time left, evaluations and the
            best value on standard error.
        on_error: what to do when `fun` raises: "raise", "worst" or ("retry", n).
        checkpoint: a file; written after each iteration, unless that took more than a tenth of the
            time, and at the end. If it exists the search goes on from there, bit for bit. Its best
            point is then evaluated again, uncounted: a file of another objective is refused (not
            with noise).
        integrality: (D,) mask of the coordinates that are integers, or one truth value for all:
            they are rounded for `fun` and in the result.
        constraints: one or several: callables g with g(x) <= 0 where x is allowed, SciPy's
            `LinearConstraint` and `NonlinearConstraint`, and SciPy's dicts, where "ineq" means g(x)
            >= 0; see `pyswarmopt.driver.problem.constraints`. "returned": `fun` returns ``(value,
            constraints)`` or ``{"fun": value, "constraints": ...}``, at most 0 where x is allowed.
            Return a number for each limit, not the largest of them: ``max`` has kinks, which
            descents do not pass. The default search calls `fun` where one is broken, too, up to 100
            coordinates (or any number of integers with two values) and unless there is noise or
            ``keep_feasible=True``; values that are not
            finite do no harm there. Otherwise it is called there once, for the result, if no
            feasible point was found at all.
        categorical: (D,) mask of the coordinates whose whole numbers low, low + 1, ..., high are
            labels without an order; for a list of choices, use the label as its index.
        noisy: `fun` gives another value each time. With whole numbers or choices, no constraints and up
            to 500 evaluations a Gaussian process that learns the noise proposes all points; else a swarm
            does. The bests are evaluated again and compared by their means (see
            `pyswarmopt.driver.resampling`). A tenth of `max_evals`, at most 100, is kept to choose
            among them at the end, and as many to evaluate the chosen one afresh, for `Result.fun` and
            `Result.fun_stderr`. `target` then means the mean, by two standard errors.
        history: "iteration" or "particles", every point of each iteration. Default: "iteration", with `space`
            "particles".
        asynchronous: a free worker gets a point at once, so workers of unequal speed are always
            busy. A recipe's particle moves as soon as its own value is there, with the values
            known by then, and an iteration is as many evaluations as there are particles. While a
            round is unfinished, the default search has its model, or mutations of the best point,
            propose more points. The search ends when all calls under way have. With several
            workers the result depends on the order of their answers. `fun` must take one
            point at a time; not with `noisy`.
        space: parameters by name in place of `bounds`: ``(low, high)`` a real number, ``[a, b]`` a
            choice, `pso.ordered`, `pso.log`, `pso.integer`, `pso.fixed` and `pso.when`. `fun` and the constraints
            get them as keyword arguments, or as one dict if they take a single parameter of another
            name; with ``vectorized=True`` `fun` gets a list of dicts. `Result.params` has the best
            ones. `x0` may then be such a dict, or several.
        args: further arguments of `fun`: ``fun(x, *args)``.
        timeout: seconds after which no call of `fun` begins, and ``stop`` has the key "timeout"; the
            calls under way are waited for, which `evaluation_timeout` bounds. A search resumed
            from a checkpoint has the whole time again.
        evaluation_timeout: seconds after which a call of `fun` fails with TimeoutError, as
            `on_error` says. With workers=1 in the main thread and in the main threads of processes
            it is interrupted; elsewhere it is abandoned, and calls go in groups of as many as
            there are workers. A thread that hangs keeps the program from ending.
        equality_tolerance: an equality counts as met where it is missed by no more. The default
            search aims at a tenth of that; `Result.maxcv` says how near it came.
        known: earlier evaluations, which are not repeated: ``(points, values)`` with points as in
            `x0`, NaN or infinite where a call failed; with ``constraints="returned"`` ``(points,
            values, constraints)``; or a `Result` with all its points. The search begins from them, a
            recipe from the best, one for each particle.
        patience: end the search when this many calls have gained at most 1e-8 of the gain before
            them; None: never.

    Returns:
        The best point found, its value, and how it was found.

    Raises:
        TypeError: an unknown argument; for another library's argument the message names ours.
        ValueError: arguments that do not make sense or do not fit the checkpoint.
        Exception: whatever `fun` raises, if `on_error` says so, and what a constraint raises. Its
            attribute `result` is the `Result` so far, with all that was evaluated (with noise or
            `asynchronous`, all that the search was told).

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

    return _search(Options(fun, bounds, recipe, population, **options), maximize=False)


@answered(Arguments)
def maximize(
    fun: Objective,
    bounds: Any = None,
    recipe: str | Recipe | None = None,
    population: int | None = None,
    **options: Unpack[Arguments],
) -> Result:
    """Find the point of a box where `fun` is largest, with the arguments and result of `minimize`.

    Args:
        fun: ``(D,) float64 array -> float``, as all others: see `minimize`.

    Returns:
        As `minimize`; `fun` is the largest value.

    Raises:
        Exception: see `minimize`.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.maximize(lambda x: 3.0 - abs(x[0] - 1.0), [(-5, 5)], max_evals=2000, seed=1)
        >>> round(r.fun, 3), round(float(r.x[0]), 3)
        (3.0, 1.0)
    """

    return _search(Options(fun, bounds, recipe, population, **options), maximize=True)


def _search(options: Options, maximize: bool) -> Result:
    if options.target is not None:
        as_target(options.target, maximize)
    search = Search(options, maximize)
    if search.advice:
        warnings.warn(search.advice, stacklevel=4)  # the line that calls minimize
    result: Result = search.run()
    return result


__all__ = ["maximize", "minimize"]
