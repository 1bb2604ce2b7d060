"""nevergrad's optimisers as `pyswarmopt.Optimizer`.

NumPy's global random state, from which several of nevergrad's optimisers draw, stays untouched:
they get their own while they run. Optimisers that run in a thread (COBYLA, and NGOpt if it calls
it) are an exception: the thread's draws and their timing cannot be controlled, so such runs are not
reproducible bit for bit.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Array, Floats, beside
from pyswarmopt.base.inputs import as_costs, as_count, as_limit, as_points, as_values
from pyswarmopt.base.optimizer import Optimizer, Point, Ticket, UnderWay
from pyswarmopt.base.spelling import did_you_mean
from pyswarmopt.parts.bounds import read_bounds

_state = np.random.get_state()
import nevergrad as ng  # noqa: E402
from nevergrad.optimization import metamodel  # noqa: E402

np.random.set_state(_state)  # importing it draws from NumPy's global generator
_registry = ng.optimizers.registry

WORST = 1e20  # told to nevergrad for a non-finite value; it cuts off at 5e20


def one_at_a_time(name: str) -> bool:
    """Whether a nevergrad optimiser needs each point's value before it proposes the next.

    Raises:
        ValueError: there is no such optimiser.
    """
    if name not in _registry:
        hint = did_you_mean(name, _registry, "see its documentation")
        raise ValueError(f"nevergrad has no optimiser {name!r}; {hint}")
    return bool(_registry[name].no_parallelization)


class NevergradOptimizer(Optimizer):
    """Any of nevergrad's optimisers as a `pyswarmopt.Optimizer`.

    Args:
        name: name in `nevergrad.optimizers.registry`, for example "CMA" or "NGOpt".
        bounds: the box to search in; see `pyswarmopt.boundary.make_box`.
        positions: points to evaluate first, (n, D). Without bounds the search starts from their
            mean and spread.
        population: number of positions that `ask` returns.
        budget: total number of evaluations, after which `stop` returns a reason. Some optimisers
            need to know it.
        seed: the same seed gives the same search; None takes one from the operating system.
        maximize: whether larger values are better.

    Raises:
        ValueError: there is no such optimiser, it proposes one point at a time but `population` is
            larger, or both bounds and positions are missing.

    Example:
        >>> optimizer = NevergradOptimizer("CMA", bounds=[(-5, 5)] * 2, population=6, budget=600, seed=1)
        >>> while not optimizer.stop():
        ...     x = optimizer.ask()
        ...     optimizer.tell(x, ((x - 1) ** 2).sum(-1))
        >>> optimizer.best.value < 1e-6, optimizer.stop()
        (True, {'max_evals': 600})
    """

    def __init__(
        self,
        name: str,
        bounds: Any = None,
        positions: Array | npt.ArrayLike | None = None,
        population: int = 1,
        budget: int | None = None,
        seed: int | None = None,
        maximize: bool = False,
    ) -> None:
        if one_at_a_time(name) and population > 1:
            raise ValueError(
                f"{name} proposes one point at a time; population must be 1, not {population}"
            )
        start = None
        if positions is not None:
            start = as_points("positions", positions)
        self._population = as_count("population", population, 1)
        budget = as_limit("budget", budget, 1)
        self._budget = budget
        self._sign = -1.0 if maximize else 1.0
        self._given = positions
        self._told = 0
        self._rounds = 0
        self._candidates: list[Any] = []  # nevergrad's, of a round that was not told
        self._asked = np.empty((0, 0))  # their positions
        self._under_way = UnderWay()
        self._global_state = np.random.RandomState(seed).get_state()
        with self._own_global_state():  # a space draws, too
            space = _space(bounds, start)
            space.random_state = np.random.RandomState(seed)
            self._optimizer = _registry[name](space, budget, self._population)
            if start is not None:
                for x in start[::-1]:  # last in, first out
                    self._optimizer.suggest(x)
        # the first mean, with its cost
        self._best = Point(np.array(space.value, dtype=np.float64), np.inf)

    @contextmanager
    def _own_global_state(self) -> Iterator[None]:
        before = np.random.get_state()
        np.random.set_state(self._global_state)
        try:
            yield
        finally:
            self._global_state = np.random.get_state()
            np.random.set_state(before)

    @property
    def best(self) -> Point:
        """The best point so far."""
        return Point(beside(self._best.x.copy(), self._given), self._sign * self._best.value)

    @property
    def rounds(self) -> int:
        """Completed rounds."""
        return self._rounds

    @property
    def pending(self) -> list[Ticket]:
        """The tickets without a value, oldest first."""
        return list(self._under_way.pending.values())

    @overload
    def ask(self, n: None = None) -> Array: ...

    @overload
    def ask(self, n: int) -> list[Ticket]: ...

    def ask(self, n: int | None = None) -> Array | list[Ticket]:
        """Positions to evaluate, (N, D) float64; unchanged until `tell`. The last round may be
        smaller.

        Args:
            n: for at most so many tickets of the round instead; it is told when all of them are.

        Raises:
            ValueError: n is below 1.
        """
        most = as_limit("n", n, 1)
        if not self._candidates:
            count = self._population
            if self._budget is not None:
                count = min(count, max(self._budget - self._told, 1))
            with self._own_global_state():
                self._candidates = [self._optimizer.ask() for _ in range(count)]
            self._asked = np.array([each.value for each in self._candidates], np.float64)
        positions = beside(self._asked.copy(), self._given)
        if most is None:
            return positions
        return self._under_way.hand_out(positions, most)

    def tell(
        self,
        positions: Any,
        values: Array | npt.ArrayLike,
        dropped: Array | npt.ArrayLike | None = None,
    ) -> None:
        """Record the values, (N,), of the requested positions, or the value of a ticket; non-finite
        ones count as the worst possible.

        Raises:
            ValueError: `ask` was not called, the positions differ, there is not one value for each,
                some are `dropped`, or a ticket is not pending.
        """
        if dropped is not None:
            raise ValueError(
                "dropped= is not supported; call tell() with a value for every position"
            )
        if isinstance(positions, Ticket):
            value = float(as_values(values, ()))
            told = self._under_way.receive(positions, [value], len(self._asked))
            if told is None:
                return
            positions = self._asked
            values = [value for [value] in told]
        self._tell_round(as_costs(self._asked, positions, values, self._sign))

    def _tell_round(self, costs: Floats) -> None:
        """Record the costs of the round, (N,)."""
        i = costs.argmin()
        if costs[i] < self._best.value:
            self._best = Point(self._asked[i].copy(), float(costs[i]))
        with self._own_global_state():
            for candidate, cost in zip(self._candidates, costs, strict=True):
                # Some optimisers cannot use starting positions that they did not propose.
                with suppress(ng.errors.TellNotAskedNotSupportedError):
                    self._optimizer.tell(candidate, float(min(cost, WORST)))
        self._told += len(costs)
        self._rounds += 1
        self._candidates = []
        self._asked = np.empty((0, 0))
        self._under_way.end_round()

    def stop(self) -> dict[str, float]:
        """``{"max_evals": n}`` once the budget is spent."""
        if self._budget is None or self._told < self._budget:
            return {}
        return {"max_evals": self._told}

    def close(self) -> None:
        """Release nevergrad's optimiser, which then can no longer be used.

        Some optimisers (COBYLA, and NGOpt if it chooses COBYLA) run in their own thread, which
        keeps a program from ending as long as anything, such as a traceback, refers to the
        optimiser.
        """
        self._optimizer = None
        self._candidates = []
        gc.collect()


def _space(bounds: Any, start: Floats | None) -> Any:
    """The box, or else the surroundings of the points to start from, (n, D)."""
    if bounds is not None:
        dim = None if start is None else start.shape[1]
        low, high = read_bounds(bounds, dim)
        # Bounds given here, not by `set_bounds`, make the first step a sixth of the box instead of
        # 1.
        return ng.p.Array(init=(low + high) / 2, lower=low, upper=high)
    if start is None:
        raise ValueError("nevergrad needs a region to start in; pass bounds or positions")
    sigma = float(start.std(axis=0).mean()) or 1.0
    return ng.p.Array(init=start.mean(axis=0)).set_mutation(sigma=sigma)


def _as_float(value: Any) -> float:
    return float(np.asarray(value).item())


# Since NumPy 2.4 `float` refuses one-element arrays, which nevergrad's metamodels (for example
# NGOpt's) pass to it.
metamodel.float = _as_float


__all__ = ["NevergradOptimizer", "ng", "one_at_a_time"]

__dir__ = __all__.copy
