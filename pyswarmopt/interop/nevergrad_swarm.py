"""Our recipes as nevergrad optimisers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pyswarmopt.algorithms import registry as recipes
from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.base.arrays import Floats
from pyswarmopt.interop._nevergrad import Normalizer, base, ng
from pyswarmopt.parts import boundary
from pyswarmopt.swarm import Swarm

PREFIX = "PySwarmOpt"


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
    names = {
        recipe: PREFIX + "".join(word.capitalize() for word in recipe.split("_"))
        for recipe in recipes.RECIPES
    }
    for recipe, name in names.items():
        if name not in ng.optimizers.registry:
            SwarmOptimizer(recipe).set_name(name, register=True)
    return names


class SwarmOptimizer(base.ConfiguredOptimizer):
    """A swarm as a nevergrad optimiser: ``SwarmOptimizer("spso2011")(parametrization, budget,
    num_workers)``.

    Args:
        recipe: its name.
        population: particles; default: the recipe's, or the number of workers if that is more.
    """

    def __init__(self, recipe: str = "constriction", population: int | None = None) -> None:
        self.recipe = recipe
        self.population = population
        super().__init__(_Swarm, {"recipe": recipe, "population": population}, as_config=True)


class _Swarm(base.Optimizer):
    """Hands out the particles of a round one by one.

    A round ends when all of its values are there, or when a worker is idle and no particle is left
    to hand out: those in flight are then dropped from it. Late values are not lost: when one
    arrives its particle is put back to where it was evaluated, in the current round if it was not
    handed out again yet, else in the next one. A point that was never asked for takes the place of
    any particle.
    """

    def __init__(
        self,
        parametrization: Any,
        budget: int | None = None,
        num_workers: int = 1,
        config: SwarmOptimizer | None = None,
    ) -> None:
        super().__init__(parametrization, budget=budget, num_workers=num_workers)
        self._config = SwarmOptimizer() if config is None else config
        self._normalizer = Normalizer(self.parametrization)
        self._boxed = self._normalizer.working and self._normalizer.fully_bounded
        self._swarm: Swarm | None = None
        self._round = 0
        self._x = torch.empty(0, 0)
        self._values: Floats = np.empty(0)
        self._free: list[int] = []  # particles of this round that were not handed out yet
        self._flying: dict[str, tuple[int, int]] = {}  # candidate's uid -> round and particle
        self._late: list[tuple[int | None, Floats, float]] = []  # particle or any, where, value

    def _internal_ask_candidate(self) -> Any:
        if not self._free:
            self._next_round()
        flying = {particle for _, particle in self._flying.values()}
        particle = next((i for i in self._free if i not in flying), self._free[0])
        self._free.remove(particle)
        data = self._x[particle].numpy()
        candidate = self.parametrization.spawn_child()
        candidate.set_standardized_data(self._normalizer.backward(data) if self._boxed else data)
        self._flying[candidate.uid] = self._round, particle
        return candidate

    def _internal_tell_candidate(self, candidate: Any, loss: float) -> None:
        number, particle = self._flying.pop(candidate.uid)
        if number == self._round:
            self._values[particle] = loss
            if not np.isnan(self._values).any():
                self._next_round()
        else:
            self._keep(particle, candidate, loss)

    def _internal_tell_not_asked(self, candidate: Any, loss: float) -> None:
        self._keep(None, candidate, loss)

    def _keep(self, particle: int | None, candidate: Any, loss: float) -> None:
        data = candidate.get_standardized_data(reference=self.parametrization)
        self._late.append((particle, self._normalizer.forward(data) if self._boxed else data, loss))
        self._place_late()

    def _next_round(self) -> None:
        if self._swarm is None:
            self._swarm = self._start()
        else:
            # Late values came with positions of their own.
            self._swarm.tell(self._x, self._values, dropped=np.isnan(self._values), repaired=True)
        self._round += 1
        self._x = self._swarm.ask()
        self._values = np.full(len(self._x), np.nan)
        self._free = list(range(len(self._x)))
        self._place_late()

    def _place_late(self) -> None:
        waiting = []
        for particle, data, loss in self._late:
            free = next((i for i in self._free if particle in (None, i)), None)
            if free is None:
                waiting.append((particle, data, loss))
            else:
                self._free.remove(free)
                self._x[free] = torch.from_numpy(data)
                self._values[free] = loss
        self._late = [late for late in waiting if late[0] is None or late[0] < len(self._x)]

    def _recipe(self) -> Recipe:
        recipe = recipes.get(self._config.recipe)
        # Without bounds the box is for recipes that restart; nothing stops at it.
        return recipe if self._boxed else replace(recipe, boundary=boundary.none)

    def _box(self) -> list[tuple[float, float]]:
        return [(0.0, 1.0) if self._boxed else (-3.0, 3.0)] * self.dimension

    def _start(self) -> Swarm:
        recipe, seed = self._recipe(), int(self._rng.randint(2**31))
        population = self._config.population or max(recipe.population, self.num_workers)
        # nevergrad's prior where there are no bounds
        positions = None if self._boxed else self._rng.normal(size=(population, self.dimension))
        return Swarm(
            bounds=self._box(), positions=positions, population=population, recipe=recipe, seed=seed
        )

    # nevergrad dumps optimisers with pickle, which cannot hold a recipe's functions

    def __getstate__(self) -> dict[str, Any]:
        saved = None if self._swarm is None else self._swarm.state_dict()
        return {**self.__dict__, "_swarm": saved}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        saved = state["_swarm"]
        if saved is not None:
            self._swarm = Swarm(
                bounds=self._box(), positions=saved["positions"], recipe=self._recipe()
            )
            self._swarm.load_state_dict(saved)
