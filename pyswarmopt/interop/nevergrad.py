"""nevergrad in both directions: our recipes as its optimisers, and its optimisers as ours.

NumPy's global random state, from which several of nevergrad's optimisers draw, stays untouched:
they get their own while they run. Optimisers that run in a thread (COBYLA, and NGOpt if it calls
it) are an exception: the thread's draws and their timing cannot be controlled, so such runs are not
reproducible bit for bit.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.algorithms import registry as recipes
from pyswarmopt.base.arrays import Array, Floats
from pyswarmopt.base.in_flight import Ticket
from pyswarmopt.base.inputs import as_points
from pyswarmopt.base.spelling import did_you_mean
from pyswarmopt.interop.replay import Replayed
from pyswarmopt.parts import boundary
from pyswarmopt.parts.bounds import read_bounds
from pyswarmopt.swarm import Swarm

_state = np.random.get_state()
import nevergrad as ng  # noqa: E402
from nevergrad.optimization import base, metamodel  # noqa: E402
from nevergrad.parametrization.helpers import Normalizer  # noqa: E402

np.random.set_state(_state)  # importing it draws from NumPy's global generator

WORST = 1e20  # told to nevergrad for a non-finite value; it cuts off at 5e20


def one_at_a_time(name: str) -> bool:
    """Whether a nevergrad optimiser needs each point's value before it proposes the next.

    Raises:
        ValueError: there is no such optimiser.
    """
    if name not in ng.optimizers.registry:
        hint = did_you_mean(name, ng.optimizers.registry, "see its documentation")
        raise ValueError(f"nevergrad has no optimiser {name!r}; {hint}")
    return bool(ng.optimizers.registry[name].no_parallelization)


class NevergradOptimizer(Replayed):
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

    Saving stores the told values; loading repeats all calls of `ask` and `tell` (see
    `interop.replay`).

    Example:
        >>> optimizer = NevergradOptimizer("CMA", bounds=[(-5, 5)] * 2, population=6, budget=600, seed=1)
        >>> while not optimizer.stop():
        ...     x = optimizer.ask()
        ...     optimizer.tell(x, ((x - 1) ** 2).sum(-1))
        >>> optimizer.best.value < 1e-6, optimizer.stop()
        (True, {'max_evals': 600})
    """

    _population: int

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
        self._name = name
        self._positions = None
        dim = None
        if positions is not None:
            self._positions = as_points("positions", positions)
            dim = self._positions.shape[1]
        self._box = None
        if bounds is not None:
            self._box = read_bounds(bounds, dim)
        super().__init__(population, budget, seed, maximize, positions, name=name)

    def _start(self, seed: int) -> Floats:
        self._global_state = np.random.RandomState(seed).get_state()
        with self._own_global_state():  # a space draws, too
            space = self._space()
            space.random_state = np.random.RandomState(seed)
            make = ng.optimizers.registry[self._name]
            self._optimizer = make(space, self._budget, self._population)
            if self._positions is not None:
                for x in self._positions[::-1]:  # last in, first out
                    self._optimizer.suggest(x)
        return np.array(space.value, dtype=np.float64)

    def _space(self) -> Any:
        if self._box is not None:
            low, high = self._box
            # Bounds given here, not by `set_bounds`, make the first step a sixth of the box instead
            # of 1.
            return ng.p.Array(init=(low + high) / 2, lower=low, upper=high)
        if self._positions is None:
            raise ValueError("nevergrad needs a region to start in; pass bounds or positions")
        sigma = float(self._positions.std(axis=0).mean()) or 1.0
        return ng.p.Array(init=self._positions.mean(axis=0)).set_mutation(sigma=sigma)

    @contextmanager
    def _own_global_state(self) -> Iterator[None]:
        before = np.random.get_state()
        np.random.set_state(self._global_state)
        try:
            yield
        finally:
            self._global_state = np.random.get_state()
            np.random.set_state(before)

    def _propose(self) -> tuple[list[Any], Floats]:
        count = self._population
        if self._budget is not None:
            count = min(count, max(self._budget - len(self._told), 1))
        with self._own_global_state():
            candidates = [self._optimizer.ask() for _ in range(count)]
        return candidates, np.array([candidate.value for candidate in candidates])

    def _learn(self, candidates: list[Any], costs: Floats) -> None:
        with self._own_global_state():
            for candidate, cost in zip(candidates, costs, strict=True):
                # Some optimisers cannot use starting positions that they did not propose.
                with suppress(ng.errors.TellNotAskedNotSupportedError):
                    self._optimizer.tell(candidate, float(min(cost, WORST)))

    def close(self) -> None:
        """Release nevergrad's optimiser, which then can no longer be used.

        Some optimisers (COBYLA, and NGOpt if it chooses COBYLA) run in their own thread, which
        keeps a program from ending as long as anything, such as a traceback, refers to the
        optimiser.
        """
        self._optimizer = None
        self._pending = None
        gc.collect()


def _as_float(value: Any) -> float:
    return float(np.asarray(value).item())


# Since NumPy 2.4 `float` refuses one-element arrays, which nevergrad's metamodels (for example
# NGOpt's) pass to it.
metamodel.float = _as_float


class SwarmOptimizer(base.ConfiguredOptimizer):
    """A swarm as a nevergrad optimiser: ``SwarmOptimizer("spso2011")(parametrization, budget,
    num_workers)``.

    With one worker, the swarm moves round by round; with several, each particle moves as soon as
    its own value arrives. Points told before the first ask become starting positions; other points
    that were not asked for are known only to nevergrad.

    Args:
        recipe: name of the recipe.
        population: particles; default: the recipe's, or the number of workers if that is more.
    """

    def __init__(self, recipe: str = "constriction", population: int | None = None) -> None:
        self.recipe = recipe
        self.population = population
        super().__init__(_Swarm, {"recipe": recipe, "population": population}, as_config=True)


class _Swarm(base.Optimizer):
    """Hands out a swarm's tickets as nevergrad candidates."""

    def __init__(
        self, parametrization: Any, budget: int | None, num_workers: int, config: SwarmOptimizer
    ) -> None:
        super().__init__(parametrization, budget=budget, num_workers=num_workers)
        self._penalize_cheap_violations = True  # a candidate that breaks a constraint is told inf
        self._config = config
        self._normalizer = Normalizer(self.parametrization)
        self._boxed = self._normalizer.working and self._normalizer.fully_bounded
        self._known: list[Any] = []  # positions that were told and not asked
        self._tickets: dict[str, Ticket] = {}  # of candidates without a value, by uid

    @cached_property
    def _swarm(self) -> Swarm:
        recipe = recipes.get(self._config.recipe)
        population = self._config.population or max(recipe.population, self.num_workers)
        seed = int(self._rng.randint(2**31))
        if self.budget is not None:
            recipe = recipe.planned(max(math.ceil(self.budget / population) - 1, 1))
        known = self._known[:population]
        if self._boxed:
            return Swarm(
                self.dimension, population, (0.0, 1.0), known or None, recipe=recipe, seed=seed
            )
        # the box is for recipes that restart; it stops nothing: nevergrad's prior is normal
        recipe = replace(recipe, boundary=boundary.none)
        start = self._rng.normal(size=(population, self.dimension))
        start[: len(known)] = np.reshape(known, (-1, self.dimension))
        return Swarm(bounds=(-3.0, 3.0), positions=start, recipe=recipe, seed=seed)

    def _internal_ask_candidate(self) -> Any:
        ticket = self._next()
        if ticket is None:  # all particles are pending: the one pending longest is handed out again
            ticket = self._tickets.pop(next(iter(self._tickets)))
        x = ticket.x
        candidate = self.parametrization.spawn_child()
        candidate.set_standardized_data(self._normalizer.backward(x) if self._boxed else x)
        self._tickets[candidate.uid] = ticket
        return candidate

    def _next(self) -> Ticket | None:
        if self.num_workers > 1:
            return self._swarm.ask_one()
        waiting = {ticket.particle for ticket in self._tickets.values()}
        return next((t for t in self._swarm.tickets() if t.particle not in waiting), None)

    def _internal_tell_candidate(self, candidate: Any, loss: float) -> None:
        ticket = self._tickets.pop(candidate.uid, None)
        if ticket is not None:
            self._swarm.tell(ticket, loss)

    def _internal_tell_not_asked(self, candidate: Any, loss: float) -> None:
        if "_swarm" not in vars(self):
            x = candidate.get_standardized_data(reference=self.parametrization)
            self._known.append(self._normalizer.forward(x) if self._boxed else x)


__all__ = ["NevergradOptimizer", "SwarmOptimizer", "ng", "one_at_a_time"]


def __dir__() -> list[str]:
    return __all__
