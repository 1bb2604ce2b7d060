"""Other libraries' optimizers, saved as the values they were told and loaded by repeating all calls
of `ask` and `tell`.

This is exact for every optimizer that depends only on its seed and the told values, whatever its
internals; it takes as long as those calls.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Array, Floats, as_array, beside
from pyswarmopt.base.inputs import as_costs, as_limit
from pyswarmopt.base.optimizer import Point


class Replayed(ABC):
    """The part of `pyswarmopt.Optimizer` shared by such optimizers.

    Args:
        population: positions per round; None: the optimizer's choice.
        budget: total number of evaluations, after which `stop` returns a reason.
        seed: the same seed gives the same search; None takes one from the operating system.
        maximize: whether larger values are better.
        positions: positions from the user; if they are a tensor, `ask` returns tensors, else
            arrays.
        settings: further values that must agree when loading a state.

    Raises:
        ValueError: a population or budget below 1.
    """

    def __init__(
        self,
        population: int | None,
        budget: int | None,
        seed: int | None,
        maximize: bool,
        positions: Any,
        **settings: str,
    ) -> None:
        self._population = as_limit("population", population, 1)
        self._budget = as_limit("budget", budget, 1)
        self._sign = -1.0 if maximize else 1.0
        self._given = positions
        self._settings = {
            **settings, "population": population, "budget": budget, "maximize": maximize,
        }  # fmt: skip
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        self._begin(int(seed))

    def _begin(self, seed: int) -> None:
        """Go back to the state before the first ask."""
        self._seed = seed
        self._told: list[float] = []
        self._digest = hashlib.sha256()
        self._pending: tuple[Any, Floats] | None = None  # a round that was not told
        self._best = Point(self._start(seed), np.inf)  # with its cost

    @abstractmethod
    def _start(self, seed: int) -> Floats:
        """Make the optimizer; its first mean, (D,), counts as the best before any value."""

    @abstractmethod
    def _propose(self) -> tuple[Any, Floats]:
        """Ask the optimizer for the next round: candidates, and their positions, (N, D)."""

    @abstractmethod
    def _learn(self, candidates: Any, costs: Floats) -> None:
        """Tell the optimizer a round's costs, (N,), +inf for missing ones."""

    @property
    def best(self) -> Point:
        """The best point so far."""
        return Point(beside(self._best.x.copy(), self._given), self._sign * self._best.value)

    def ask(self) -> Array:
        """Positions to evaluate, (N, D) float64; unchanged until `tell`. The last round may be
        smaller.
        """
        if self._pending is None:
            self._pending = self._propose()
        return beside(np.array(self._pending[1], dtype=np.float64), self._given)

    def tell(
        self,
        positions: Array,
        values: Array | npt.ArrayLike,
        dropped: Array | npt.ArrayLike | None = None,
    ) -> None:
        """Record the values, (N,), of the requested positions; non-finite ones count as the worst
        possible.

        Raises:
            ValueError: `ask` was not called, the positions differ, there is not one value for each,
                or some are `dropped`.
        """
        if dropped is not None:
            raise ValueError(
                "dropped= is not supported; call tell() with a value for every position"
            )
        candidates, asked = self._pending or (None, np.empty((0, 0)))
        costs = as_costs(asked, positions, values, self._sign)
        i = int(costs.argmin())
        if costs[i] < self._best.value:
            self._best = Point(asked[i].copy(), float(costs[i]))
        self._learn(candidates, costs)
        self._digest.update(asked.tobytes())
        self._told += costs.tolist()
        self._pending = None

    def stop(self) -> dict[str, float]:
        """``{"max_evals": n}`` once the budget is spent."""
        if self._budget is not None and len(self._told) >= self._budget:
            return {"max_evals": len(self._told)}
        return {}

    def state_dict(self) -> dict[str, Any]:
        """The settings, and the told values."""
        return {
            **self._settings,
            "seed": self._seed,
            "asked": self._pending is not None,
            "told": np.array(self._told, dtype=np.float64),
            "digest": self._digest.hexdigest(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restore a saved state by repeating all calls of `ask` and `tell`.

        Raises:
            ValueError: the settings differ, or `ask` returns different positions than before,
                because bounds, starting positions or the library changed, or the optimizer is not
                deterministic.
        """
        differs = [name for name, value in self._settings.items() if saved.get(name) != value]
        if differs:
            raise ValueError(
                f"the state was saved by an optimiser with a different {', '.join(differs)}"
            )
        self._begin(saved["seed"])
        costs = as_array(saved["told"])
        while len(self._told) < len(costs):
            x = self.ask()
            now = costs[len(self._told) : len(self._told) + len(x)]
            self.tell(x, self._sign * now)
        if self._digest.hexdigest() != saved["digest"]:
            raise ValueError(
                "the optimiser does not propose the same positions as before it was saved: bounds, "
                "positions or its library changed, or it is not deterministic"
            )
        if saved["asked"]:
            self.ask()
