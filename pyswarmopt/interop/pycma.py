"""CMA-ES as its author wrote it (pycma, Hansen et al.), as a `pyswarmopt.Optimizer`."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

try:
    import cma
except ImportError as error:
    raise ImportError("pyswarmopt.interop.pycma needs pycma: pip install cma") from error

from pyswarmopt.base.inputs import as_matrix, as_values
from pyswarmopt.base.optimizer import Point

# A share of right answers has plateaus: equal values are no reason to stop.
_ON_PLATEAUS = {"tolfun": 0, "tolfunhist": 0, "tolflatfitness": 10**9, "tolstagnation": 10**9}


class PycmaOptimizer:
    """pycma's `CMAEvolutionStrategy` with ask, tell and stop.

    Args:
        positions: (n, D), n >= 2; they are evaluated first, and the search starts from their mean with the standard
            deviation of their coordinates as its step size.
        population: how many positions `ask` gives after those; None is pycma's 4 + 3 ln D.
        budget: evaluations in all; `stop` says when they are spent.
        seed: the same seed gives the same search; None takes one from the operating system.
        maximize: whether larger values are better.

    Raises:
        ValueError: a single position, equal positions, or a population or budget below 1.

    The starting positions count as the best so far, but CMA-ES itself is not told of them: it did not draw them. Of
    pycma's own reasons to stop, those that come of equal values are switched off.
    Saving keeps the values told; loading asks and tells all of them again.

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
        positions: npt.ArrayLike | Tensor,
        population: int | None = None,
        budget: int | None = None,
        seed: int | None = None,
        maximize: bool = False,
    ) -> None:
        start = as_matrix("positions", positions, torch.float64, torch.device("cpu")).numpy()
        sigma = float(start.std(axis=0).mean())
        if not sigma > 0:
            raise ValueError("pycma takes its first step size from the positions: give at least two that differ")
        for what, number in (("population", population), ("budget", budget)):
            if number is not None and number < 1:
                raise ValueError(f"{what}={number}: it must be at least 1")
        self._start, self._sigma = start, sigma
        # CMA-ES ranks its candidates: it needs two of them.
        self._population, self._budget = (None if population is None else max(population, 2)), budget
        self._maximize = maximize
        # pycma takes 0 for "from the clock".
        self._begin(int(np.random.default_rng().integers(1, 2**31)) if seed is None else int(seed) + 1)

    def _begin(self, seed: int) -> None:
        self._seed = seed
        options: dict[str, Any] = {"seed": np.nan, "verbose": -9, "randn": self._randn, **_ON_PLATEAUS}
        if self._population is not None:
            options["popsize"] = self._population
        self._random = np.random.default_rng(seed)
        self._strategy = cma.CMAEvolutionStrategy(self._start.mean(axis=0), self._sigma, options)
        self._pending: npt.NDArray[np.float64] | None = None
        self._told: list[float] = []
        self._digest = hashlib.sha256()
        self._best = Point(torch.from_numpy(self._start.mean(axis=0)), -np.inf if self._maximize else np.inf)

    def _randn(self, *shape: int) -> npt.NDArray[np.float64]:
        """In place of NumPy's global generator, which pycma would draw from."""
        return self._random.standard_normal(shape)

    @property
    def best(self) -> Point:
        """The best point told so far."""
        return Point(self._best.x.clone(), self._best.value)

    def ask(self) -> Tensor:
        """Positions to evaluate, (N, D) float64; the same ones until they are told."""
        if self._pending is None:
            first = not self._told
            self._pending = self._start if first else np.array(self._strategy.ask(), dtype=np.float64)
        left = len(self._pending) if self._budget is None else max(self._budget - len(self._told), 1)
        return torch.from_numpy(self._pending[:left].copy())

    def tell(
        self, positions: Tensor, values: npt.ArrayLike | Tensor, dropped: npt.ArrayLike | Tensor | None = None
    ) -> None:
        """The values, (N,), of the positions asked for; one that is not finite counts as the worst possible.

        Raises:
            ValueError: nothing was asked for, other positions, not one value for each, or some are `dropped`.
        """
        if dropped is not None:
            raise ValueError("every position needs a value: none can be dropped")
        if self._pending is None:
            raise ValueError("tell() without ask(): each round of positions can be told once")
        asked = self.ask()
        if positions.shape != asked.shape or not torch.equal(positions.to(asked), asked):
            raise ValueError("tell() must be given the positions that ask() returned")
        costs = as_values(values, (len(asked),)) * (-1.0 if self._maximize else 1.0)
        costs = np.where(np.isfinite(costs), costs, np.inf)
        i = int(costs.argmin())
        if costs[i] < (-self._best.value if self._maximize else self._best.value):
            self._best = Point(asked[i].clone(), float(-costs[i] if self._maximize else costs[i]))
        if self._told and len(asked) == len(self._pending):  # the starting points and a cut round are not CMA-ES's
            self._strategy.tell(list(self._pending), [float(min(cost, 1e300)) for cost in costs])
        self._digest.update(asked.numpy().tobytes())
        self._told += costs.tolist()
        self._pending = None

    def stop(self) -> dict[str, float]:
        """``{"max_evals": n}`` once the budget is spent, and pycma's own reasons."""
        spent = self._budget is not None and len(self._told) >= self._budget
        reasons = {"max_evals": float(len(self._told))} if spent else {}
        return {**reasons, **{str(name): 1.0 for name in self._strategy.stop()}}

    def state_dict(self) -> dict[str, Any]:
        """The settings, and the values told so far."""
        return {
            **self._settings(),
            "seed": self._seed,
            "asked": self._pending is not None,
            "told": torch.tensor(self._told, dtype=torch.float64),
            "digest": self._digest.hexdigest(),
        }

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, f"_{name}") for name in ("population", "budget", "maximize")}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go back to a saved state by asking and telling all over again.

        Raises:
            ValueError: saved with other settings or positions, or by a version of pycma that draws otherwise.
        """
        differs = [name for name, value in self._settings().items() if saved.get(name) != value]
        if differs:
            raise ValueError(f"saved by an optimiser with another {', '.join(differs)}")
        self._begin(saved["seed"])
        costs = saved["told"].numpy()
        while len(self._told) < len(costs):
            x = self.ask()
            now = costs[len(self._told) : len(self._told) + len(x)]
            self.tell(x, -now if self._maximize else now)
        if self._digest.hexdigest() != saved["digest"]:
            raise ValueError("pycma asked for other positions than when it was saved: other positions or version")
        if saved["asked"]:
            self.ask()


__all__ = ["PycmaOptimizer"]
