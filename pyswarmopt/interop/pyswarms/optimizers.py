"""The optimisers of pyswarms 1.3 as its documentation describes them, each a loop around
`pyswarmopt.Swarm`.

``v <- w v + c1 r1 (p - x) + c2 r2 (g - x)``, ``x <- x + v``, with r1, r2 ~ U(0, 1) per coordinate.
No code of pyswarms is used.
"""

from __future__ import annotations

import functools
import logging
import math
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats, needing_torch

with needing_torch("pyswarmopt.interop.pyswarms"):
    import torch

from pyswarmopt.algorithms.recipe import compose
from pyswarmopt.base.inputs import as_points
from pyswarmopt.driver.workers import Workers
from pyswarmopt.interop.pyswarms.parts import Nearest, Walls
from pyswarmopt.parts import boundary
from pyswarmopt.parts.boundary import Boundary
from pyswarmopt.parts.bounds import read_bounds
from pyswarmopt.parts.topology import Global, Topology
from pyswarmopt.parts.velocity import Clamped, SumOfTerms, VelocityRule, cognitive, inertia, social
from pyswarmopt.swarm import Swarm

LOGGER = logging.getLogger("pyswarmopt")
Objective = Callable[..., npt.ArrayLike]
Bounds = tuple[npt.ArrayLike, npt.ArrayLike]


class SwarmOptimizer(ABC):
    """Evaluate, remember, move.

    Attributes:
        cost_history: the best cost so far, one for each iteration.
        mean_pbest_history: the mean of the particles' best costs.
        mean_neighbor_history: the best cost once more, as in pyswarms.
        pos_history: the positions that were evaluated, (N, D).
        velocity_history: the velocities that led there, (N, D).
        swarm: `position` and `velocity` of the next iteration; `pbest_pos`, `pbest_cost`,
            `best_pos`, `best_cost` and `current_cost` after the latest one.
    """

    n_particles: int
    dimensions: int
    options: Mapping[str, Any]
    bounds: Bounds | None = None
    velocity_clamp: tuple[float, float] | None
    ftol: float
    ftol_iter: int
    init_pos: npt.ArrayLike | None
    seed: int | np.random.Generator | None

    def __post_init__(self) -> None:
        missing = [name for name in ("c1", "c2", "w") if name not in self.options]
        if missing:
            raise ValueError(f"options={dict(self.options)}: {', '.join(missing)} missing")
        if not isinstance(self.ftol_iter, int) or self.ftol_iter < 1:
            raise ValueError(f"ftol_iter={self.ftol_iter}: it must be a whole number, at least 1")
        self.reset()
        self._swarm()  # or an error

    def reset(self) -> None:
        """Begin again with empty histories: from the same positions with a `seed`, else others."""
        self.cost_history: list[float] = []
        self.mean_pbest_history: list[float] = []
        self.mean_neighbor_history: list[float] = []
        self.pos_history: list[npt.NDArray[Any]] = []
        self.velocity_history: list[Floats] = []
        self._random = np.random.default_rng(self.seed)
        size = self.n_particles, self.dimensions
        low, high = self._box()
        start = self._start(low, high, size)
        if self.init_pos is not None:
            points = as_points("init_pos", self.init_pos)
            if points.shape != size:
                raise ValueError(f"init_pos must have shape {size}, got {points.shape}")
            if self.bounds is not None and not ((low <= points) & (points <= high)).all():
                raise ValueError("init_pos lies outside the bounds")
            start = points.astype(start.dtype)
        slowest, fastest = (0.0, 1.0) if self.velocity_clamp is None else self.velocity_clamp
        self.swarm = SimpleNamespace(
            n_particles=self.n_particles,
            dimensions=self.dimensions,
            options=self.options,
            position=start,
            velocity=self._random.uniform(slowest, fastest, size),
            pbest_pos=start,
            pbest_cost=np.array([]),
            best_pos=np.array([]),
            best_cost=math.inf,
            current_cost=np.array([]),
        )

    def optimize(
        self,
        objective_func: Objective,
        iters: int,
        n_processes: int | None = None,
        verbose: bool = True,
        **kwargs: Any,
    ) -> tuple[float, npt.NDArray[Any]]:
        """Find the position of the lowest cost.

        A second call continues from where the particles are; their bests are found afresh.

        Args:
            objective_func: from positions, (N, D), to costs, (N,).
            iters: how often the swarm is evaluated, at most.
            n_processes: processes that share the particles. They are started afresh: a script
                needs its ``if __name__ == "__main__":``, and the function must be importable.
            verbose: show the best cost on standard error.
            kwargs: further arguments of `objective_func`.

        Returns:
            The lowest cost and its position, (D,).

        Raises:
            ValueError: not one cost for each particle, or a function that cannot be sent to
                processes.
        """
        swarm, state = self._swarm(), self.swarm
        fun = functools.partial(objective_func, **kwargs)
        latest: deque[bool] = deque(maxlen=self.ftol_iter)
        with Workers(1 if n_processes is None else f"processes:{n_processes}") as workers:
            workers.check(fun)
            swarm.ask()
            for i in range(iters):
                parts = np.array_split(state.position, min(workers.count, self.n_particles))
                costs = [np.atleast_1d(np.asarray(part)) for part in workers.map(fun, parts)]
                before, state.current_cost = swarm.best.value, np.concatenate(costs)
                # a function may repair the positions in place, and a binary swarm makes its own
                swarm.tell(
                    torch.from_numpy(state.position * 1.0), state.current_cost, repaired=True
                )
                self._note(swarm)
                if verbose:
                    sys.stderr.write(f"\r{i + 1}/{iters}  best cost {state.best_cost:<12.6g}")
                step = abs(state.best_cost - before)
                latest.append(step < self.ftol * (1 + abs(before)))
                if i >= self.ftol_iter and all(latest):
                    break
                x = swarm.ask()
                state.velocity = swarm.velocities.numpy().copy()
                state.position = self._position(x.numpy().copy(), state.velocity)
        if verbose:
            sys.stderr.write("\n")
        LOGGER.info("best cost %s at %s", state.best_cost, state.best_pos)
        return state.best_cost, state.best_pos

    def _swarm(self) -> Swarm:
        """A swarm where the particles are now."""
        weights = {name: float(self.options[name]) for name in ("w", "c1", "c2")}
        rule: VelocityRule = SumOfTerms(
            (
                inertia(weights["w"]),
                cognitive(weights["c1"], "element"),
                social(weights["c2"], "element"),
            )
        )
        if self.velocity_clamp is not None:
            least, limit = self.velocity_clamp
            rule = Clamped(rule, limit, least)
        return Swarm(
            positions=self.swarm.position * 1.0,
            velocities=self.swarm.velocity,
            bounds=None if self.bounds is None else self._box(),
            recipe=compose(velocity=rule, topology=self._topology(), boundary=self._walls()),
            seed=self._random,
        )

    def _box(self) -> tuple[Floats, Floats]:
        """Lower and upper bounds, (D,); without bounds those of the starting positions."""
        if self.bounds is None:
            return np.zeros(self.dimensions), np.ones(self.dimensions)
        low, high = (np.asarray(side, dtype=np.float64) for side in self.bounds)
        return read_bounds((low, high), self.dimensions)

    def _note(self, swarm: Swarm) -> None:
        state, kind = self.swarm, self.swarm.position.dtype
        state.pbest_pos = swarm.personal_bests.numpy().astype(kind)
        state.pbest_cost = swarm.personal_best_values
        state.best_pos, state.best_cost = swarm.best.x.numpy().astype(kind), swarm.best.value
        self.cost_history.append(state.best_cost)
        self.mean_pbest_history.append(float(np.mean(state.pbest_cost)))
        self.mean_neighbor_history.append(state.best_cost)
        self.pos_history.append(state.position)
        self.velocity_history.append(state.velocity)

    def _nearest(self, static: bool = False) -> Topology:
        """The topology of LocalBestPSO and BinaryPSO."""
        k, p = self.options.get("k"), self.options.get("p")
        if k not in range(1, self.n_particles + 1) or p not in (1, 2):
            raise ValueError(
                f"options={dict(self.options)}: k must be 1 to n_particles={self.n_particles}, "
                "p must be 1 or 2"
            )
        return Nearest(int(k), int(p), static)

    @abstractmethod
    def _start(self, low: Floats, high: Floats, size: tuple[int, int]) -> npt.NDArray[Any]:
        """Starting positions at random, (N, D)."""

    @abstractmethod
    def _topology(self) -> Topology: ...

    def _walls(self) -> Boundary:
        return boundary.none

    def _position(self, x: Floats, velocity: Floats) -> npt.NDArray[Any]:
        return x


@dataclass(eq=False)
class GlobalBestPSO(SwarmOptimizer):
    """The best of the whole swarm attracts every particle.

    Args:
        n_particles: N.
        dimensions: D.
        options: c1, c2 and w.
        bounds: lower and upper bounds, (D,) each.
        oh_strategy: not supported.
        bh_strategy: where a coordinate goes that leaves the bounds: "periodic", "nearest",
            "reflective", "intermediate" or "random".
        velocity_clamp: least and largest velocity.
        vh_strategy: the velocity of such a coordinate: "unmodified", "adjust" (what it moved),
            "invert" (reversed and halved) or "zero".
        center: factor of the starting positions, which are uniform in the bounds or in [0, 1).
        ftol: stop once the best cost changes by less than this share of 1 + its absolute value.
        ftol_iter: for so many iterations.
        init_pos: starting positions, (N, D).
        seed: the same seed gives the same search; NumPy's global seed changes nothing.

    Raises:
        ValueError: arguments that do not make sense.

    Example:
        >>> import pyswarmopt.interop.pyswarms as ps
        >>> fx = ps.utils.functions.single_obj
        >>> optimizer = ps.single.GlobalBestPSO(10, 2, {"c1": 0.5, "c2": 0.3, "w": 0.9}, seed=0)
        >>> cost, position = optimizer.optimize(fx.sphere, iters=200, verbose=False)
        >>> cost < 1e-5, position.shape, len(optimizer.cost_history)
        (True, (2,), 200)
    """

    n_particles: int
    dimensions: int
    options: Mapping[str, Any]
    bounds: Bounds | None = None
    oh_strategy: Mapping[str, str] | None = None
    bh_strategy: str = "periodic"
    velocity_clamp: tuple[float, float] | None = None
    vh_strategy: str = "unmodified"
    center: npt.ArrayLike = 1.0
    ftol: float = -math.inf
    ftol_iter: int = 1
    init_pos: npt.ArrayLike | None = None
    _: KW_ONLY
    seed: int | np.random.Generator | None = None

    def _start(self, low: Floats, high: Floats, size: tuple[int, int]) -> Floats:
        if self.oh_strategy:
            raise ValueError(
                "oh_strategy is not supported: a weight that changes is a schedule, "
                "pso.inertia(pso.schedule.Linear(...)) in pso.compose"
            )
        return np.asarray(self.center) * self._random.uniform(low, high, size)

    def _topology(self) -> Topology:
        return Global()

    def _walls(self) -> Boundary:
        return Walls(self.bh_strategy, self.vh_strategy)


@dataclass(eq=False)
class LocalBestPSO(GlobalBestPSO):
    """The best of its k nearest particles, itself among them, attracts a particle; other arguments
    are those of `GlobalBestPSO`.

    Args:
        options: c1, c2, w, k and p: 1 for sums of absolute distances, 2 for Euclidean ones.
        static: keep the first neighbours; otherwise they are found anew for each move.
    """

    static: bool = False

    def _topology(self) -> Topology:
        return self._nearest(self.static)


@dataclass(eq=False)
class BinaryPSO(SwarmOptimizer):
    """Bits that are 1 with probability 1 / (1 + exp(-v)): Kennedy & Eberhart 1997, "A discrete
    binary version of the particle swarm algorithm"; other arguments are those of `LocalBestPSO`.

    Args:
        init_pos: starting bits, (N, D).
        vh_strategy: "unmodified": there are no walls.
    """

    n_particles: int
    dimensions: int
    options: Mapping[str, Any]
    init_pos: npt.ArrayLike | None = None
    velocity_clamp: tuple[float, float] | None = None
    vh_strategy: str = "unmodified"
    ftol: float = -math.inf
    ftol_iter: int = 1
    _: KW_ONLY
    seed: int | np.random.Generator | None = None

    def _start(self, low: Floats, high: Floats, size: tuple[int, int]) -> npt.NDArray[Any]:
        if self.vh_strategy != "unmodified":
            raise ValueError(f"vh_strategy={self.vh_strategy!r}: bits have no walls")
        if self.init_pos is not None and not np.isin(self.init_pos, (0, 1)).all():
            raise ValueError("init_pos must be bits, 0 or 1")
        return self._random.integers(2, size=size)

    def _topology(self) -> Topology:
        return self._nearest()

    def _position(self, x: Floats, velocity: Floats) -> npt.NDArray[Any]:
        sigmoid = 0.5 + 0.5 * np.tanh(velocity / 2)  # 1 / (1 + exp(-v)) without overflow
        return (self._random.random(x.shape) < sigmoid).astype(np.int64)
