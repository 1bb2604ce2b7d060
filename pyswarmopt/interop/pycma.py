"""CMA-ES by its author (pycma, Hansen et al.) as a `pyswarmopt.Optimizer`."""

from __future__ import annotations

from typing import Any

import cma
import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Array, Floats
from pyswarmopt.base.inputs import as_points
from pyswarmopt.interop.replay import Replayed

# Shares of right answers have plateaus: equal values are no reason to stop.
_ON_PLATEAUS = {"tolfun": 0, "tolfunhist": 0, "tolflatfitness": 10**9, "tolstagnation": 10**9}


class PycmaOptimizer(Replayed):
    """pycma's `CMAEvolutionStrategy` with ask, tell and stop.

    Args:
        positions: (n, D), n >= 2; evaluated first. The search starts from their mean, with the
            standard deviation of their coordinates as step size.
        population: number of positions that later calls of `ask` return; None: pycma's 4 + 3 ln D.
        budget: total number of evaluations, after which `stop` returns a reason.
        seed: the same seed gives the same search; None takes one from the operating system.
        maximize: whether larger values are better.

    Raises:
        ValueError: there is a single position, all positions are equal, or a population or budget
            is below 1.

    The starting positions count for `best`, but CMA-ES itself is not told about them, since it did
    not draw them. pycma's rules that stop at equal values are switched off. Saving stores the told
    values; loading repeats all calls of `ask` and `tell` (see `interop.replay`).

    Source: Hansen 2016, arXiv 1604.00772.

    Example:
        >>> optimizer = PycmaOptimizer(positions=[[0.0, 0.0], [2.0, 2.0]], budget=300, seed=1)
        >>> while not optimizer.stop():
        ...     x = optimizer.ask()
        ...     optimizer.tell(x, ((x - 1) ** 2).sum(-1))
        >>> optimizer.best.value < 1e-6
        True
    """

    def __init__(
        self,
        positions: Array | npt.ArrayLike,
        population: int | None = None,
        budget: int | None = None,
        seed: int | None = None,
        maximize: bool = False,
    ) -> None:
        start = as_points("positions", positions)
        sigma = float(start.std(axis=0).mean())
        if not sigma > 0:
            raise ValueError(
                "the initial step size comes from the positions; pass at least two different ones"
            )
        self._first = start
        self._sigma = sigma
        super().__init__(population, budget, seed, maximize, positions)

    def _start(self, seed: int) -> Floats:
        random = np.random.default_rng(seed + 1)
        options: dict[str, Any] = {
            "seed": np.nan,
            "verbose": -9,
            # replaces NumPy's global generator, from which pycma would draw
            "randn": lambda *shape: random.standard_normal(shape),
            **_ON_PLATEAUS,
        }
        if self._population is not None:
            options["popsize"] = max(self._population, 2)  # it ranks them
        mean: Floats = self._first.mean(axis=0)
        self._strategy = cma.CMAEvolutionStrategy(mean, self._sigma, options)
        return mean

    def _propose(self) -> tuple[Floats, Floats]:
        asked = self._first
        if self._told:
            asked = np.array(self._strategy.ask(), dtype=np.float64)
        left = None
        if self._budget is not None:
            left = max(self._budget - len(self._told), 1)
        return asked, asked[:left]

    def _learn(self, candidates: Floats, costs: Floats) -> None:
        # the starting points and a cut round are not CMA-ES's own
        if self._told and len(costs) == len(candidates):
            self._strategy.tell(list(candidates), [float(min(cost, 1e300)) for cost in costs])

    def stop(self) -> dict[str, float]:
        """``{"max_evals": n}`` once the budget is spent, and pycma's own reasons."""
        return super().stop() | dict.fromkeys(map(str, self._strategy.stop()), 1.0)


__all__ = ["PycmaOptimizer"]


def __dir__() -> list[str]:
    return __all__
