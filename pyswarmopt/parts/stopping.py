"""Stop rules: each has a name and a function of the state that returns the value that triggered it,
or None.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pyswarmopt.base.arrays import BLOCK, namespace

if TYPE_CHECKING:
    from pyswarmopt.base.state import State


class StopRule(Protocol):
    """The interface of the rules that `Swarm.stop` checks.

    Example:
        >>> import pyswarmopt as pso
        >>> recipe = pso.compose([pso.inertia(0.5)], stop=[pso.stopping.MaxIter(0)])
        >>> swarm = pso.Swarm(positions=[[0.0], [3.0]], recipe=recipe, seed=0)
        >>> swarm.tell(swarm.ask(), [1.0, 2.0])
        >>> swarm.stop()
        {'max_iter': 0}
    """

    @property
    def reason(self) -> str:
        """Key of the rule in the result of `stop()`."""

    def __call__(self, state: State) -> float | None:
        """The value that triggers the stop, or None to continue."""


@dataclass(frozen=True)
class MaxIter:
    """Stop after `limit` iterations; evaluating the starting positions is not an iteration.

    Attributes:
        limit: iterations.

    Example:
        >>> import pyswarmopt as pso
        >>> recipe = pso.compose([pso.inertia(0.5)], stop=[pso.stopping.MaxIter(1)])
        >>> swarm = pso.Swarm(positions=[[0.0], [3.0]], recipe=recipe, seed=0)
        >>> swarm.tell(swarm.ask(), [1.0, 2.0])
        >>> swarm.stop()
        {}
    """

    limit: int
    reason = "max_iter"

    def __call__(self, state: State) -> float | None:
        if state.generation > 0 and state.iteration >= self.limit:
            return state.iteration
        return None


@dataclass(frozen=True)
class Patience:
    """Stop when the overall best has not changed for `rounds` iterations, but not before iteration
    `earliest`.

    Attributes:
        rounds: iterations without a new overall best.
        earliest: the first iteration after which the search may stop.

    Example:
        >>> import pyswarmopt as pso
        >>> recipe = pso.compose([pso.inertia(0.5)], stop=[pso.stopping.Patience(1)])
        >>> swarm = pso.Swarm(positions=[[0.0], [3.0]], recipe=recipe, seed=0)
        >>> swarm.tell(swarm.ask(), [1.0, 2.0])
        >>> swarm.stop()
        {}
    """

    rounds: int
    earliest: int = 0
    reason = "patience"

    def __call__(self, state: State) -> float | None:
        if (
            state.generation == 0
            or state.iteration < self.earliest
            or state.best_stagnation < self.rounds
        ):
            return None
        return state.best_stagnation


@dataclass(frozen=True)
class Target:
    """Stop when the best value is at least as good as `value`.

    Attributes:
        value: the value that is good enough.

    Example:
        >>> import pyswarmopt as pso
        >>> recipe = pso.compose([pso.inertia(0.5)], stop=[pso.stopping.Target(1.5)])
        >>> swarm = pso.Swarm(positions=[[0.0], [3.0]], recipe=recipe, seed=0)
        >>> swarm.tell(swarm.ask(), [1.0, 2.0])
        >>> swarm.stop()
        {'target': 1.0}
    """

    value: float
    reason = "target"

    def __call__(self, state: State) -> float | None:
        if state.best_cost <= state.user_value(self.value):
            return state.user_value(state.best_cost)
        return None


def extent(state: State) -> float:
    """The largest side of the smallest box around all particles, in the units of x.

    Args:
        state: state of the swarm.

    Returns:
        The length, in the units of x.

    Example:
        >>> import numpy as np
        >>> from pyswarmopt.base.state import State
        >>> extent(State.start(np.array([[0.0, 0.0], [1.0, 3.0]]), np.zeros((2, 2)), maximize=False))
        3.0
    """
    x = state.positions
    library = namespace(x)
    width = max(BLOCK // len(x), 1)
    parts = (x[:, i : i + width] for i in range(0, x.shape[1], width))
    return max(float((library.amax(p, 0) - library.amin(p, 0)).max()) for p in parts)


def reasons(rules: Iterable[StopRule], state: State) -> dict[str, float]:
    """Every rule that triggers a stop, with its value; empty if the search continues.

    Args:
        rules: rules to check.
        state: state of the swarm.

    Returns:
        Reason -> value.

    Example:
        >>> import numpy as np
        >>> from pyswarmopt.base.state import State
        >>> reasons([Target(np.inf)], State.start(np.zeros((1, 1)), np.zeros((1, 1)), maximize=False))
        {'target': inf}
    """
    stops = {}
    for rule in rules:
        value = rule(state)
        if value is not None:
            stops[rule.reason] = value
    return stops


__all__ = [
    "MaxIter",
    "Patience",
    "StopRule",
    "Target",
    "extent",
    "reasons",
]
