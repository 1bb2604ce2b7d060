"""`minimize_multi`: the Pareto front of several objectives in one call."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from pyswarmopt import __version__
from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.inputs import as_count
from pyswarmopt.base.spelling import answered
from pyswarmopt.driver.call import Objective
from pyswarmopt.driver.history import Rows, write_csv
from pyswarmopt.driver.judge import ByOrder, Judged
from pyswarmopt.driver.loop import Loop, Reasons
from pyswarmopt.driver.multi.modelled import AT_ONCE, MODELLED, ModelledSwarm
from pyswarmopt.driver.multi.pareto import hypervolume, non_dominated
from pyswarmopt.driver.multi.smpso import MultiSwarm
from pyswarmopt.driver.options import CallArguments, Options
from pyswarmopt.driver.problem.constraints import Breach
from pyswarmopt.driver.result import FAILED, INTERRUPTED, failed_calls, lines, message, status
from pyswarmopt.driver.start import check_value
from pyswarmopt.hybrid.memetic import MODELLED_DIM, MODELLED_NUMBERS
from pyswarmopt.parts.topology import Global, Lattice
from pyswarmopt.parts.velocity import SumOfTerms

MAX_EVALS = 10_000
# evaluations per particle; with constraints more particles see more of the feasible region
PARTICLE_SHARE = 25
CONSTRAINED_SHARE = 10
PARTICLES = (10, 100)  # default population, at least and at most
SMPSO = "smpso"
MODELLED_SMPSO = "sms-ego, smpso"
FEWEST_DRAWS = 3  # of a point of a noisy front, afresh
FINAL_SHARE = 10  # a noisy search reserves one of this many evaluations for reevaluating the front


@dataclass(frozen=True, repr=False)
class MultiResult:
    """The front found by a search.

    Attributes:
        x: (K, D) float64, mutually non-dominated points; without a feasible point, the one that
            breaks the constraints least.
        fun: (K, M) their objectives, sorted by the first; infinite without a feasible point.
        nfev: calls of the objective; a call on m points counts m.
        nit: moves of the swarm.
        success: whether a feasible point with finite objectives was found.
        message: why the search ended, in words.
        maxcv: the largest amount by which a point breaks a constraint; an equality counts as met
            within ``equality_tolerance``.
        params: with ``space=``, the parameters of each point by name; else None.
        status: the state of the search, in a word, as in `pyswarmopt.Result`.
        failures: calls that failed, as in `pyswarmopt.Result`.
        fun_stderr: (K, M) standard errors of `fun`; 0 unless ``noisy=True``.
        algorithm: what ran: "sms-ego, smpso" (Ponweiser et al. 2008, then Nebro et al. 2009), "smpso" with
            more than 20 parameters, or the name of a recipe.
        seed: the search's seed; None if none was given.
        version: version of pyswarmopt.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize_multi(lambda x: [x[0] ** 2, (x[0] - 2) ** 2], [(-9, 9)], max_evals=300, seed=1)
        >>> r.fun.shape[1], len(r.x) == len(r.fun)
        (2, True)
    """

    x: Floats
    fun: Floats
    nfev: int
    nit: int
    success: bool
    message: str
    maxcv: float = 0.0
    params: list[dict[str, Any]] | None = None
    status: str = "running"
    failures: dict[str, int] = field(default_factory=dict)
    fun_stderr: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    algorithm: str = MODELLED_SMPSO
    seed: int | None = None
    version: str = __version__
    _seen: tuple[Any, Floats] | None = None

    def evaluated(self) -> tuple[Any, Floats]:
        """The evaluated points, (n, D), or with ``space=`` a dict of parameters for each; and their
        objectives, (n, M).

        Raises:
            ValueError: they were not kept.
        """
        if self._seen is None:
            raise ValueError("this search kept no points: minimize_multi(..., history='particles')")
        return self._seen

    def to_pandas(self) -> Any:
        """The front as a `pandas.DataFrame`: a row for each point, a column for each coordinate or
        parameter and each objective, fun0, fun1, ...
        """
        import pandas as pd

        header, rows = self._table()
        return pd.DataFrame(rows, columns=header)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the same table as a CSV file with a header line; floats keep all digits."""
        write_csv(path, *self._table())

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        points = self.params or [{f"x{i}": n for i, n in enumerate(x)} for x in self.x.tolist()]
        names = list(dict.fromkeys(name for point in points for name in point))
        objectives = [f"fun{i}" for i in range(self.fun.shape[1])]
        rows = [
            [*map(point.get, names), *values]
            for point, values in zip(points, self.fun.tolist(), strict=True)
        ]
        return [*names, *objectives], rows

    def __repr__(self) -> str:
        """A line for each field, with shortened arrays: the first and the last points of the front."""
        shown = {"message": self.message, "points": len(self.x), "success": self.success}
        shown["status"] = self.status
        if self.maxcv > 0:
            shown["maxcv"] = self.maxcv
        shown |= {"nit": self.nit, "nfev": self.nfev, "algorithm": self.algorithm}
        shown |= {"x": self.x, "fun": self.fun}
        return lines(shown)

    def hypervolume(self, reference: npt.ArrayLike) -> float:
        """The volume dominated by the front, up to `reference`, (M,); see
        `pyswarmopt.pareto.hypervolume`.
        """
        return hypervolume(self.fun, reference)


@answered(CallArguments)
def minimize_multi(
    fun: Objective,
    bounds: Any = None,
    n_objectives: int = 2,
    population: int | None = None,
    archive: int = 100,
    recipe: str | Recipe | None = None,
    **options: Unpack[CallArguments],
) -> MultiResult:
    """Find points of a box that are best in several objectives, each in its own way (a Pareto
    front).

    Up to 20 parameters, Gaussian processes propose the first 200 points (in the manner of SMS-EGO:
    Ponweiser, Wagner, Biermann & Vincze 2008, PPSN X). SMPSO goes on from there (Nebro, Durillo,
    Garcia-Nieto, Coello Coello, Luna & Alba 2009, IEEE MCDM).

    Args:
        fun: ``(D,) -> (M,)`` or ``(m, D) -> (m, M)``, all M to be minimised: negate what should be
            large. A point with a value that is not finite is never kept.
        bounds: as in `pyswarmopt.minimize`. Either this or `space`.
        n_objectives: M.
        population: particles, by default a 25th of `max_evals`, with constraints a tenth, from 10 to
            100; and points that the processes propose at a time, by default 5.
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
        equality_tolerance: by how much an equality may be missed.
        noisy: `fun` gives other values each time. A tenth of `max_evals` is kept to evaluate the front
            afresh: `MultiResult.fun` has the means of these draws, `fun_stderr` their standard errors,
            and points whose mean another one's dominates are left out, which makes the others a
            little too good. A front of more points than these evaluations allow is thinned out.
        history: "particles" keeps every point for `MultiResult.evaluated`; one that came up again,
            without a second call, is there again.
        timeout: as in `pyswarmopt.minimize`, and so is `evaluation_timeout`.
        evaluation_timeout: seconds after which a call fails.
        recipe: velocity terms, by the name of a recipe or as `pso.compose` makes them, in place of the
            processes and SMPSO's: a particle's attractor g is its leader, a less crowded point of the
            front, and w the personal best with the worst ranks. Of the recipe only terms and schedule
            are used; archive, walls and mutation stay SMPSO's.

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
    if options.get("history") not in (None, "particles"):
        raise ValueError(f"history={options['history']!r}: use 'particles' or None")
    options = {"max_evals": MAX_EVALS, **options}
    given = Options(fun, bounds, recipe, population, **options)
    return MultiSearch(given, n_objectives, archive, given.history is not None).run()


def _with_terms(recipe: str | Recipe | None, moves: int) -> Recipe | None:
    """A recipe with a sum of velocity terms, planned for `moves` moves.

    Raises:
        ValueError: not a sum of terms, or an unknown name.
    """
    if recipe is None:
        return None
    # imported on use, for a faster start of searches
    from pyswarmopt.algorithms.registry import as_recipe

    known = as_recipe(recipe)
    sums = isinstance(known.velocity, SumOfTerms)
    if not (sums and isinstance(known.topology, Global | Lattice)):
        raise ValueError(
            f"recipe={known.name!r}: a front needs a sum of velocity terms, such as constriction, "
            "model_swarms or pso.compose([...])"
        )
    return known.planned(max(moves, 1))


def _means(drawn: Floats) -> tuple[Floats, Floats]:
    """Means of draws, (k, n, M), and their standard errors, (k, M) each, over the draws that did
    not fail: NaN without any, with an infinite error for a single one.
    """
    good = np.isfinite(drawn).all(axis=2, keepdims=True)
    n = good.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.where(good, drawn, 0.0).sum(axis=1) / n
        squares = np.where(good, drawn - means[:, None], 0.0) ** 2
        errors = np.sqrt(squares.sum(axis=1) / (n - 1) / n)
    return means, np.where(n > 1, errors, np.inf)


class ByFront(ByOrder):
    """As `ByOrder`, for a swarm that keeps its best points itself.

    Attributes:
        seen: evaluated points and objectives, one row each, if kept.
    """

    seen: Rows | None = None

    def tell(self, positions: Any, points: Floats, judged: Judged) -> None:
        self._search.tell(judged)
        if self.seen is not None:
            self.seen.add(np.column_stack([points, judged.costs])[judged.valued])
        self.best = replace(self.best, calls=self._evaluator.calls)

    def salvage(self, points: Floats, judged: Judged) -> None:
        valued = np.isfinite(judged.costs).all(-1)
        positions = self._coding.encode(points)
        self._search.remember_front(positions, judged.costs, judged.violations, valued)

    def _best_position(self) -> Floats:
        return self._coding.low


class MultiSearch(Loop[MultiResult]):
    """One search for a front; all options are checked before the first evaluation."""

    _swarm: MultiSwarm

    def __init__(
        self, arguments: Options, n_objectives: int, archive: int, keeps_all: bool = False
    ) -> None:
        n_objectives = as_count("n_objectives", n_objectives, 1)
        if isinstance(arguments.constraints, str):
            raise ValueError(
                f"constraints={arguments.constraints!r}: with several objectives they are "
                "functions, at most 0 where x is allowed"
            )
        if archive < 2:
            raise ValueError(f"archive={archive}: a front has at least 2 points")
        super().__init__(arguments)
        options = self._options
        limit = options.max_evals or 0
        population = self._population(limit)
        self._evaluator = self._make_evaluator(limit, n_objectives)
        recipe = _with_terms(options.recipe, limit // population)
        self._reserve = limit // FINAL_SHARE if options.noisy else 0
        self._evaluator.max_evals -= self._reserve
        self._algorithm, self._swarm = self._make_swarm(
            recipe, limit, population=population, size=archive, objectives=n_objectives
        )
        problem = self._problem
        self._judge: ByFront = ByFront(self._swarm, problem, self._evaluator)
        if keeps_all:
            self._judge.seen = Rows(np.empty((0, problem.dim + n_objectives)))
        self._identity |= {
            "objectives": n_objectives,
            "population": population,
            "archive": archive,
            "noisy": options.noisy,
            "recipe": self._algorithm,
            "history": keeps_all,
        }

    def _population(self, limit: int) -> int:
        """Particles for this many evaluations, at least one for each starting point."""
        if self._options.population:
            return self._options.population
        share = CONSTRAINED_SHARE if self._problem.constraints else PARTICLE_SHARE
        start = self._problem.start
        usual = int(np.clip(limit // share, *PARTICLES))
        return max(usual, 0 if start is None else len(start))

    def _make_swarm(
        self, recipe: Recipe | None, limit: int, **sizes: int
    ) -> tuple[str, MultiSwarm]:
        """The name of the algorithm, and its swarm."""
        bounds = self._problem.coding.bounds()
        kinds = self._problem.coding.kinds
        start = self._problem.start
        common: dict[str, Any] = {
            "bounds": bounds,
            "seed": self._options.seed,
            "start": bounds[0][None][:0] if start is None else start,
            **sizes,
        }
        if recipe is not None:
            return f"{recipe.name}, front of smpso", MultiSwarm(**common, recipe=recipe)
        if kinds.count > MODELLED_DIM or len(kinds.levels) > MODELLED_NUMBERS:
            return SMPSO, MultiSwarm(**common)
        at_once = self._options.population or AT_ONCE
        return MODELLED_SMPSO, ModelledSwarm(kinds, at_once, min(limit, MODELLED), **common)

    def reasons(self) -> Reasons:
        limit = (
            {} if self._evaluator.left else {"max_evals": self._evaluator.max_evals + self._reserve}
        )
        return self._ends() | limit

    def _saved(self) -> tuple[Any, ...]:
        seen = self._judge.seen
        return super()._saved() if seen is None else (*super()._saved(), seen)

    def _result(self, stop: Reasons, final: bool = False) -> MultiResult:
        swarm = self._swarm
        problem = self._problem
        points = problem.coding.decode(swarm.archive)
        means = swarm.archive_values
        errors = np.zeros_like(means)
        if final and self._options.noisy and len(points) and not swarm.violation:
            points, means, errors = self._drawn_afresh(points, means)
        order = np.lexsort(means.T[::-1])
        x = points[order]
        values = means[order]
        breaches = [problem.constraints.breach(point, swarm.violation) for point in x]
        worst = max(breaches, key=lambda b: (not b.feasible, b.most), default=Breach(0.0, True, ""))
        found = len(x) > 0 and worst.feasible
        failures = dict(self._evaluator.failures)
        return MultiResult(
            x=x,
            fun=values,
            nfev=self._evaluator.calls,
            nit=swarm.iteration,
            success=found and not stop.keys() & {INTERRUPTED, FAILED},
            message=message(stop, found, worst) + failed_calls(failures, self._evaluator.calls),
            maxcv=worst.most,
            params=None if problem.space is None else [problem.space.decode(point) for point in x],
            status=status(stop, found, worst.feasible),
            failures=failures,
            algorithm=self._algorithm,
            fun_stderr=errors[order],
            seed=self._options.seed if isinstance(self._options.seed, int) else None,
            _seen=self._evaluated(),
        )

    def _drawn_afresh(self, points: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
        """Points of the front, (k, D), means of fresh draws and their standard errors, without
        points whose mean is dominated; each gets an equal share of the remaining calls. A front
        with too many points for these is thinned out: values that were not drawn afresh are luck.
        """
        evaluator = self._evaluator
        evaluator.max_evals += self._reserve
        self._reserve = 0
        count = min(len(points), max(evaluator.left // FEWEST_DRAWS, 1))
        draws = evaluator.left // count
        if not draws:
            return points, values, np.full_like(values, np.inf)
        evenly = np.linspace(0, len(points) - 1, count).round().astype(np.int64)
        rows = np.lexsort(values.T[::-1])[evenly]
        points = points[rows]
        values = values[rows]
        values_again, evaluated, error = evaluator(np.repeat(points, draws, axis=0))
        if error is not None:
            raise error
        if not evaluated.all():  # the time is up
            return points, values, np.full_like(values, np.inf)
        means, errors = _means(values_again.reshape(count, draws, -1))
        front = non_dominated(means)
        return points[front], means[front], errors[front]

    def _evaluated(self) -> tuple[Any, Floats] | None:
        seen = self._judge.seen
        space = self._problem.space
        dim = self._problem.dim
        if seen is None:
            return None
        points = seen.all[:, :dim].copy()
        values = seen.all[:, dim:].copy()
        return points if space is None else [space.decode(x) for x in points], values

    def _check_objective(self, path: Path) -> None:
        """Evaluate a point of the front once more."""
        swarm = self._swarm
        if len(swarm.archive) and not swarm.violation:
            x = swarm.archive
            scale = np.abs(swarm.archive_values).max(axis=0)
            again = self._evaluator.again(self._problem.coding.decode(x)[0])
            check_value(path, swarm.archive_values[0], again, scale)


__all__ = ["MultiResult", "minimize_multi"]
