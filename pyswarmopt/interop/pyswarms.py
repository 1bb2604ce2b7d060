"""pyswarms' names for our swarms: a script for pyswarms 1.3 runs after changing its imports.

``import pyswarmopt.interop.pyswarms as ps``, then `ps.single`, `ps.discrete` and `ps.utils` as
there; ``from pyswarmopt.interop.pyswarms.utils.functions import single_obj`` and its like work,
too. docs/how-to/coming-from.md says what differs.

The optimisers are those of pyswarms' documentation, each a loop around `pyswarmopt.Swarm`: ``v <-
w v + c1 r1 (p - x) + c2 r2 (g - x)``, ``x <- x + v``, with r1, r2 ~ U(0, 1) per coordinate. No code
of pyswarms is used.
"""

from __future__ import annotations

import functools
import math
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.algorithms.recipe import compose
from pyswarmopt.base.arrays import Array, Floats, Ints
from pyswarmopt.base.inputs import as_count, as_points
from pyswarmopt.base.state import State
from pyswarmopt.driver.workers.pool import Workers
from pyswarmopt.parts import boundary
from pyswarmopt.parts.boundary import Boundary, Box
from pyswarmopt.parts.bounds import read_bounds
from pyswarmopt.parts.topology import ByInformants, Global, Topology
from pyswarmopt.parts.velocity import Snapshot, SumOfTerms, cognitive, inertia, social
from pyswarmopt.swarm import Swarm
from pyswarmopt.teaching.functions.functions import ALL

# bh_strategy: the new place of a coordinate that left the bounds
WALLS: dict[str, Boundary] = {
    "periodic": boundary.periodic,
    "nearest": boundary.clip,
    "reflective": boundary.reflect,
    "random": boundary.resample,
}
# vh_strategy: the factor of its velocity
FACTORS = {"unmodified": 1.0, "invert": -0.5, "zero": 0.0}


@dataclass(eq=False)
class GlobalBestPSO:
    """The best of the whole swarm attracts every particle.

    Args:
        n_particles: N.
        dimensions: D.
        options: c1, c2 and w.
        bounds: lower and upper bounds, (D,) each; particles start uniformly in them, or in [0, 1).
        bh_strategy: new place of a coordinate that leaves the bounds: "periodic", "nearest",
            "reflective" or "random".
        vh_strategy: velocity of such a coordinate: "unmodified", "invert" (reversed and halved) or
            "zero".
        velocity_clamp: least and largest velocity; first velocities are uniform in between, or in
            [0, 1).
        ftol: stop once the best cost changes by less than this share of 1 + its absolute value.
        ftol_iter: number of iterations with such a change.
        init_pos: starting positions, (N, D).
        seed: the same seed gives the same search; NumPy's global seed has no effect.

    Attributes:
        cost_history: the best cost so far, for each iteration.
        pos_history: evaluated positions, (N, D), for each iteration.
        swarm: `position` and `velocity` of the next iteration; `pbest_pos`, `pbest_cost`,
            `best_pos`, `best_cost` and `current_cost` after the latest one.

    Raises:
        ValueError: invalid arguments.

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
    bounds: tuple[npt.ArrayLike, npt.ArrayLike] | None = None
    _: KW_ONLY
    bh_strategy: str = "periodic"
    vh_strategy: str = "unmodified"
    velocity_clamp: tuple[float, float] | None = None
    ftol: float = -math.inf
    ftol_iter: int = 1
    init_pos: npt.ArrayLike | None = None
    seed: int | np.random.Generator | None = None

    def __post_init__(self) -> None:
        missing = [name for name in ("c1", "c2", "w") if name not in self.options]
        if missing:
            raise ValueError(f"options={dict(self.options)}: {', '.join(missing)} missing")
        if self.bh_strategy not in WALLS or self.vh_strategy not in FACTORS:
            raise ValueError(
                f"bh_strategy={self.bh_strategy!r}, vh_strategy={self.vh_strategy!r}: use one of "
                f"{', '.join(WALLS)}, and of {', '.join(FACTORS)}, or pso.boundary"
            )
        self._topology()  # or an error
        self.reset()

    def reset(self) -> None:
        """Start again with empty histories: from the same positions with a `seed`, else from
        others.
        """
        self.cost_history: list[float] = []
        self.pos_history: list[npt.NDArray[Any]] = []
        self._random = np.random.default_rng(self.seed)
        size = self.n_particles, self.dimensions
        start = self._start(size)
        if self.init_pos is not None:
            start = as_points("init_pos", self.init_pos).astype(start.dtype)
            if start.shape != size:
                raise ValueError(f"init_pos must have shape {size}, got {start.shape}")
            low, high = self._box()
            if self.bounds is not None and not ((low <= start) & (start <= high)).all():
                raise ValueError("init_pos lies outside the bounds")
        self.swarm = SimpleNamespace(
            n_particles=self.n_particles,
            dimensions=self.dimensions,
            options=self.options,
            position=start,
            velocity=self._random.uniform(*(self.velocity_clamp or (0.0, 1.0)), size),
            best_cost=math.inf,
        )

    def optimize(
        self,
        objective_func: Callable[..., npt.ArrayLike],
        iters: int,
        n_processes: int | None = None,
        verbose: bool = True,
        **kwargs: Any,
    ) -> tuple[float, npt.NDArray[Any]]:
        """Find the position of the lowest cost.

        A second call continues from the particles' positions; their bests are found anew.

        Args:
            objective_func: from positions, (N, D), to costs, (N,).
            iters: most evaluations of the swarm.
            n_processes: processes that share the particles. They start afresh: a script needs its
                ``if __name__ == "__main__":``, and the function must be importable.
            verbose: show the best cost on standard error.
            kwargs: further arguments of `objective_func`.

        Returns:
            The lowest cost and its position, (D,).

        Raises:
            ValueError: not one cost per particle, or a function that cannot be sent to processes.
        """
        as_count("iters", iters, 1)
        swarm = self._begin()
        state = self.swarm
        function = functools.partial(objective_func, **kwargs)
        latest: deque[bool] = deque(maxlen=self.ftol_iter)
        who = 1 if n_processes is None else f"processes:{n_processes}"
        with Workers(who, function) as workers:
            swarm.ask()
            for i in range(iters):
                parts = np.array_split(state.position, min(workers.count, self.n_particles))
                costs = [np.atleast_1d(part) for part in workers.map(parts)]
                before = swarm.best.value
                state.current_cost = np.concatenate(costs)
                # a function may repair positions in place, and a binary swarm makes its own
                positions = state.position.astype(np.float64)
                swarm.tell(positions, state.current_cost, repaired=True)
                self._note(swarm)
                if verbose:
                    sys.stderr.write(f"\r{i + 1}/{iters}  best cost {state.best_cost:<12.6g}")
                latest.append(abs(state.best_cost - before) < self.ftol * (1 + abs(before)))
                if i >= self.ftol_iter and all(latest):
                    break
                x = swarm.ask().copy()
                state.velocity = swarm.velocities.copy()
                state.position = self._position(x, state.velocity)
        if verbose:
            sys.stderr.write("\n")
        return state.best_cost, state.best_pos

    def _begin(self) -> Swarm:
        """Make a swarm at the particles' present positions."""
        w, c1, c2 = (float(self.options[name]) for name in ("w", "c1", "c2"))
        terms = SumOfTerms((inertia(w), cognitive(c1, "element"), social(c2, "element")))
        limits = self.velocity_clamp or (-math.inf, math.inf)

        def clamped(snapshot: Snapshot, move: int, generator: np.random.Generator) -> Array:
            velocity: Array = terms(snapshot, move, generator)
            return velocity.clip(*limits)

        return Swarm(
            positions=self.swarm.position.astype(np.float64),
            velocities=self.swarm.velocity,
            bounds=None if self.bounds is None else self._box(),
            recipe=compose(
                velocity=terms if self.velocity_clamp is None else clamped,
                topology=self._topology(),
                boundary=self._wall,
            ),
            seed=self._random,
        )

    def _wall(
        self, x: Array, v: Array, box: Box, generator: np.random.Generator
    ) -> tuple[Array, Array]:
        outside = (x < box.low) | (x > box.high)
        inside, _ = WALLS[self.bh_strategy](x, v, box, generator)
        return inside, np.where(outside, FACTORS[self.vh_strategy] * v, v)

    def _box(self) -> tuple[Floats, Floats]:
        """Lower and upper bounds, (D,); without bounds, the starting positions'."""
        low, high = (0.0, 1.0) if self.bounds is None else self.bounds
        return read_bounds((np.atleast_1d(low), np.atleast_1d(high)), self.dimensions)

    def _note(self, swarm: Swarm) -> None:
        state = self.swarm
        kind = self.swarm.position.dtype
        state.pbest_pos = swarm.personal_bests.astype(kind)
        state.pbest_cost = swarm.personal_best_values
        state.best_pos = swarm.best.x.astype(kind)
        state.best_cost = swarm.best.value
        self.cost_history.append(state.best_cost)
        self.pos_history.append(state.position)

    def _start(self, size: tuple[int, int]) -> npt.NDArray[Any]:
        """Draw starting positions, (N, D)."""
        return self._random.uniform(*self._box(), size)

    def _topology(self) -> Topology:
        return Global()

    def _position(self, x: Floats, velocity: Floats) -> npt.NDArray[Any]:
        return x


class LocalBestPSO(GlobalBestPSO):
    """Each particle is attracted by the best of its k nearest particles, itself included; other
    arguments as in `GlobalBestPSO`.

    Args:
        options: c1, c2, w, k and p: 1 for sums of absolute distances, 2 for Euclidean ones.
    """

    def _topology(self) -> Topology:
        k = self.options.get("k", 0)
        p = self.options.get("p", 0)
        if k not in range(1, self.n_particles + 1) or p not in (1, 2):
            raise ValueError(
                f"options={dict(self.options)}: k must be 1 to n_particles={self.n_particles}, "
                "p must be 1 or 2"
            )
        return Nearest(int(k), int(p))


class BinaryPSO(LocalBestPSO):
    """Bits that are 1 with probability 1 / (1 + exp(-v)): Kennedy & Eberhart 1997, "A discrete
    binary version of the particle swarm algorithm"; arguments as in `LocalBestPSO`, without bounds.
    As in the paper, each bit of each particle has its own random number; in pyswarms all particles
    share one per bit.

    Args:
        init_pos: starting bits, (N, D).
    """

    def _start(self, size: tuple[int, int]) -> npt.NDArray[Any]:
        if self.bounds is not None or self.vh_strategy != "unmodified":
            raise ValueError("bits have no bounds, and no vh_strategy")
        if self.init_pos is not None and not np.isin(self.init_pos, (0, 1)).all():
            raise ValueError("init_pos must be bits, 0 or 1")
        return self._random.integers(2, size=size)

    def _position(self, x: Floats, velocity: Floats) -> npt.NDArray[Any]:
        sigmoid = 0.5 + 0.5 * np.tanh(velocity / 2)  # 1 / (1 + exp(-v)) without overflow
        return (self._random.random(x.shape) < sigmoid).astype(np.int64)


@dataclass(frozen=True)
class Nearest(ByInformants):
    """The informant is the best of the k nearest particles, including the particle itself.

    Attributes:
        k: number of nearest particles.
        p: order of the norm used as distance.
    """

    k: int
    p: int

    def informants(self, state: State, generator: np.random.Generator) -> Ints:
        x = state.positions
        # the power sum has the same order as its root
        distances = np.array([(np.abs(x - other) ** self.p).sum(1) for other in x])
        np.fill_diagonal(distances, -1.0)
        rows = distances.argsort(axis=1, kind="stable")[:, : self.k]
        return rows[np.arange(len(rows)), state.best_costs[rows].argmin(axis=1)]


def cost(function: Callable[..., float]) -> Callable[..., Floats]:
    """Let a function of one position, (D,), accept a swarm's, (N, D).

    Example:
        >>> cost(max)(np.array([[1.0, 2.0], [4.0, 3.0]])).tolist()
        [2.0, 4.0]
    """

    @functools.wraps(function)
    def of_many(positions: Floats, **kwargs: Any) -> Floats:
        return np.array([function(x, **kwargs) for x in positions])

    return of_many


# ---- pyswarms' modules ----


def __getattr__(name: str) -> Any:
    raise AttributeError(f"pyswarms' {name} is not here; see docs/how-to/coming-from.md")


def _module(path: str, **names: Any) -> ModuleType:
    """An importable stand-in for a pyswarms module: names -> objects."""
    module = ModuleType(f"{__name__}.{path}", f"pyswarms.{path}, by pyswarmopt")
    vars(module).update(names, __getattr__=__getattr__)
    sys.modules[module.__name__] = module
    return module


single = _module("single", GlobalBestPSO=GlobalBestPSO, LocalBestPSO=LocalBestPSO)
discrete = _module("discrete", BinaryPSO=BinaryPSO)
_functions = _module("utils.functions.single_obj", **ALL, goldstein=ALL["goldstein_price"])
utils = _module(
    "utils",
    functions=_module("utils.functions", single_obj=_functions),
    decorators=_module("utils.decorators", cost=cost),
)

__all__ = ["cost", "discrete", "single", "utils"]
