"""Our recipes as nevergrad optimisers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

_state = np.random.get_state()
import nevergrad as ng  # noqa: E402
from nevergrad.optimization import base, metamodel  # noqa: E402
from nevergrad.parametrization.helpers import Normalizer  # noqa: E402

np.random.set_state(_state)  # importing it draws from NumPy's global generator

from pyswarmopt.algorithms import registry as recipes  # noqa: E402
from pyswarmopt.base.in_flight import Ticket  # noqa: E402
from pyswarmopt.parts import boundary  # noqa: E402
from pyswarmopt.swarm import Swarm  # noqa: E402


def _as_float(value: Any) -> float:
    return float(np.asarray(value).item())


# Since NumPy 2.4 `float` refuses an array of one element, which nevergrad's metamodels (NGOpt's,
# say) hand to it.
metamodel.float = _as_float


def register() -> dict[str, str]:
    """Make every recipe known to nevergrad, under names like "PySwarmOptConstriction".

    Returns:
        Recipe to name in `nevergrad.optimizers.registry`.

    Example:
        >>> import nevergrad as ng
        >>> names = register()
        >>> names["model_swarms"]
        'PySwarmOptModelSwarms'
        >>> optimizer = ng.optimizers.registry[names["constriction"]](parametrization=2, budget=1000)
        >>> optimizer.parametrization.random_state.seed(1)
        >>> float(abs(optimizer.minimize(lambda x: ((x - 0.5) ** 2).sum()).value - 0.5).max()) < 0.01
        True
    """
    names = {recipe: "PySwarmOpt" + recipe.title().replace("_", "") for recipe in recipes.RECIPES}
    for recipe, name in names.items():
        if name not in ng.optimizers.registry:
            SwarmOptimizer(recipe).set_name(name, register=True)
    return names


class SwarmOptimizer(base.ConfiguredOptimizer):
    """A swarm as a nevergrad optimiser: ``SwarmOptimizer("spso2011")(parametrization, budget,
    num_workers)``.

    With one worker the swarm moves round by round, with several each particle moves as soon as its
    own value is there. Points that are told before the first ask are among the starting positions;
    others that were not asked for are kept by nevergrad alone.

    Args:
        recipe: its name.
        population: particles; default: the recipe's, or the number of workers if that is more.
    """

    def __init__(self, recipe: str = "constriction", population: int | None = None) -> None:
        self.recipe = recipe
        self.population = population
        super().__init__(_Swarm, {"recipe": recipe, "population": population}, as_config=True)


class _Swarm(base.Optimizer):
    """Hands out a swarm's tickets as nevergrad's candidates."""

    def __init__(
        self, parametrization: Any, budget: int | None, num_workers: int, config: SwarmOptimizer
    ) -> None:
        super().__init__(parametrization, budget=budget, num_workers=num_workers)
        self._penalize_cheap_violations = True  # a candidate that breaks a constraint is told inf
        self._config = config
        self._normalizer = Normalizer(self.parametrization)
        self._boxed = self._normalizer.working and self._normalizer.fully_bounded
        self._swarm: Swarm | None = None
        self._known: list[Any] = []  # positions told before the swarm began
        self._tickets: dict[str, Ticket] = {}  # of candidates without a value, by their uid

    def _internal_ask_candidate(self) -> Any:
        if self._swarm is None:
            self._swarm = self._start()
        ticket = self._next(self._swarm)
        if ticket is None:  # all particles wait: the one that waits longest is handed out again
            ticket = self._tickets.pop(next(iter(self._tickets)))
        x = ticket.x.numpy()
        candidate = self.parametrization.spawn_child()
        candidate.set_standardized_data(self._normalizer.backward(x) if self._boxed else x)
        self._tickets[candidate.uid] = ticket
        return candidate

    def _next(self, swarm: Swarm) -> Ticket | None:
        if self.num_workers > 1:
            return swarm.ask_one()
        waiting = {ticket.particle for ticket in self._tickets.values()}
        return next((t for t in swarm.tickets() if t.particle not in waiting), None)

    def _internal_tell_candidate(self, candidate: Any, loss: float) -> None:
        ticket = self._tickets.pop(candidate.uid, None)
        if ticket is not None and self._swarm is not None:
            self._swarm.tell(ticket, loss)

    def _internal_tell_not_asked(self, candidate: Any, loss: float) -> None:
        if self._swarm is None:
            x = candidate.get_standardized_data(reference=self.parametrization)
            self._known.append(self._normalizer.forward(x) if self._boxed else x)

    def _start(self) -> Swarm:
        recipe, seed = recipes.get(self._config.recipe), int(self._rng.randint(2**31))
        population = self._config.population or max(recipe.population, self.num_workers)
        positions = self._known[:population]
        if not self._boxed:
            # The box is for recipes that restart; nothing stops at it. nevergrad's prior is normal.
            recipe = replace(recipe, boundary=boundary.none)
            drawn = self._rng.normal(size=(population, self.dimension))
            positions += list(drawn[len(positions) :])
        side = (0.0, 1.0) if self._boxed else (-3.0, 3.0)
        return Swarm(
            bounds=[side] * self.dimension, positions=positions or None, population=population,
            recipe=recipe, seed=seed,
        )  # fmt: skip


__all__ = ["SwarmOptimizer", "ng", "register"]
