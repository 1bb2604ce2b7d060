"""Implement the searches of pyswarmopt: its default and its particle swarms."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optimagic import mark
from optimagic.exceptions import NotInstalledError
from optimagic.optimization.algo_options import STOPPING_MAXFUN_GLOBAL
from optimagic.optimization.algorithm import Algorithm, InternalOptimizeResult
from optimagic.optimization.internal_optimization_problem import InternalOptimizationProblem
from optimagic.typing import AggregationLevel, PositiveInt

IS_PYSWARMOPT_INSTALLED = importlib.util.find_spec("pyswarmopt") is not None


@mark.minimizer(
    name="pyswarmopt",
    solver_type=AggregationLevel.SCALAR,
    is_available=IS_PYSWARMOPT_INSTALLED,
    is_global=True,
    needs_jac=False,
    needs_hess=False,
    needs_bounds=True,
    supports_parallelism=True,
    supports_bounds=True,
    supports_infinite_bounds=False,
    supports_linear_constraints=False,
    supports_nonlinear_constraints=True,
    disable_history=False,
)
@dataclass(frozen=True)
class PySwarmOpt(Algorithm):
    """Minimize a scalar function by the default search of pyswarmopt or one of its swarms.

    The default proposes points by a Gaussian process, then by quasi-Newton descents with
    differences, then by a swarm that adapts its covariance. It needs bounds, but no
    derivatives, and takes nonlinear constraints. A recipe such as ``"constriction"`` (Clerc &
    Kennedy, 2002) or ``"spso2011"`` runs a pure particle swarm instead.

    """

    stopping_maxfun: PositiveInt = STOPPING_MAXFUN_GLOBAL
    """Maximum number of function evaluations."""

    recipe: str | None = None
    """A swarm to run instead of the default: "constriction", "inertia_weight", "spso2011",
    "fips", "clpso", "bare_bones", "covariant" or "model_swarms"."""

    population_size: PositiveInt | None = None
    """Number of points evaluated at a time; None means the search's own choice."""

    noisy: bool = False
    """Whether the function's values have noise."""

    n_cores: PositiveInt = 1
    """Number of cores for the evaluation of a population."""

    seed: int | None = None
    """Seed of the random numbers."""

    def _solve_internal_problem(
        self, problem: InternalOptimizationProblem, x0: NDArray[np.float64]
    ) -> InternalOptimizeResult:
        if not IS_PYSWARMOPT_INSTALLED:
            raise NotInstalledError(
                "To use the 'pyswarmopt' optimizer you need to install pyswarmopt. "
                "Use 'pip install pyswarmopt'."
            )
        import pyswarmopt as pso

        def batch(points: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(problem.batch_fun(list(points), n_cores=self.n_cores))

        result = pso.minimize(
            batch,
            np.column_stack([problem.bounds.lower, problem.bounds.upper]),
            recipe=self.recipe,
            population=self.population_size,
            constraints=_constraints(problem),
            max_evals=self.stopping_maxfun,
            noisy=self.noisy,
            seed=self.seed,
            vectorized=True,
            x0=x0,
        )
        return InternalOptimizeResult(
            x=np.asarray(result.x),
            fun=float(result.fun),
            success=bool(result.success),
            message=result.message,
            n_fun_evals=result.nfev,
            n_iterations=result.nit,
            max_constraint_violation=result.maxcv,
        )


def _constraints(problem: InternalOptimizationProblem) -> list[dict] | None:
    """The constraints in SciPy's form, which pyswarmopt reads."""
    constraints = []
    for constraint in problem.nonlinear_constraints or []:
        constraints.append({"type": constraint["type"], "fun": constraint["fun"]})
    return constraints or None
