"""The swarm behind `minimize_multi`.

MOPSO (Coello Coello, Pulido & Lechuga 2004, IEEE TEC 8(3)) with an archive kept by crowding
distance (Raquel & Naval 2005, GECCO), in the form of SMPSO (Nebro, Durillo, Garcia-Nieto, Coello
Coello, Luna & Alba 2009, IEEE MCDM): each particle follows its own best and a leader out of the
archive, its speed is constricted, and some particles mutate. The weights of the first two papers,
with their mutation that dies out, are often lost to a corner of the front (ZDT2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Bools, Floats
from pyswarmopt.base.checkpoint import check
from pyswarmopt.base.storage import too_large
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.multi.pareto import crowding_distance, hypervolume, non_dominated
from pyswarmopt.driver.problem.constraints import Constraints
from pyswarmopt.driver.problem.encoding import Coding, check_inside
from pyswarmopt.driver.result import with_faults

# Nebro et al. 2009, section III: w, and the range that both c1 and c2 are drawn from
INERTIA = 0.1
ACCELERATION = 1.5, 2.5
MUTANTS = 0.15  # the share of particles that mutate
MUTATION_INDEX = 20.0  # eta of the polynomial mutation there: the larger, the smaller the steps
# the swarm's arrays
SAVED = ("x", "v", "p", "p_values", "p_violations", "archive", "archive_values")


@dataclass(frozen=True, repr=False)
class MultiResult:
    """The front that a search found.

    Attributes:
        x: (K, D) float64, points none of which dominates another; if no feasible point was found
            the one that breaks the constraints least.
        fun: (K, M) their objectives, sorted by the first; infinite where there is no feasible
            point.
        nfev: calls of the objective; a call on m points counts m.
        nit: moves of the swarm.
        success: a feasible point with finite objectives was found.
        message: why the search ended, in words.
        maxcv: the largest amount by which a point breaks a constraint; an equality counts as met up
            to 1e-4.
        params: with ``space=``, the parameters of each point by name; else None.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize_multi(lambda x: [x[0] ** 2, (x[0] - 2) ** 2], [(-9, 9)], max_evals=300, seed=1)
        >>> r.fun.shape[1], len(r.x) == len(r.fun)
        (2, True)
    """

    x: Floats
    fun: Floats
    nfev: int
    nit: int
    success: bool
    message: str
    maxcv: float = 0.0
    params: list[dict[str, Any]] | None = None

    def __repr__(self) -> str:
        """A line for each field, arrays in short: the first and the last points of the front."""
        names = ["message", "success", "maxcv", "nit", "nfev"]
        with np.printoptions(precision=3, threshold=10, edgeitems=2):
            lines = [
                f"{name:>9}: {getattr(self, name)}"
                for name in names
                if name != "maxcv" or self.maxcv > 0
            ]
            lines.insert(1, f"{'points':>9}: {len(self.x)}")
            for name in ("x", "fun"):
                lines.append(
                    f"{name:>9}: {str(getattr(self, name)).replace(chr(10), chr(10) + ' ' * 11)}"
                )
        return "\n".join(lines)

    def hypervolume(self, reference: npt.ArrayLike) -> float:
        """The volume that the front dominates, up to `reference`, (M,); see
        `pyswarmopt.pareto.hypervolume`.
        """
        return hypervolume(self.fun, reference)


class MultiSwarm:
    """Positions, personal bests and the archive, in the coordinates of the swarm, (.., M).

    Args:
        coding: between those and the user's.
        constraints: by whose violations points are compared while none is feasible.
        evaluator: calls the objective.
        population: particles.
        size: the most points in the archive.
        seed: of the swarm's own generator.
    """

    def __init__(
        self,
        coding: Coding,
        constraints: Constraints,
        evaluator: Evaluator,
        population: int,
        size: int,
        seed: int | None,
    ) -> None:
        self._coding, self._constraints, self._evaluator, self._size = (
            coding,
            constraints,
            evaluator,
            size,
        )
        self._random = np.random.default_rng(seed)
        self._low, self._high = coding.bounds()
        shape = population, coding.size
        try:
            self._x = self._random.uniform(self._low, self._high, shape)
        # the last ones: more than NumPy can count
        except (MemoryError, OverflowError, ValueError) as error:
            raise too_large(shape, 8 * math.prod(shape)) from error
        self._v = np.zeros_like(self._x)
        self._p, self._p_values, self._p_violations = self._x.copy(), np.empty(0), np.empty(0)
        self._archive, self._archive_values = np.empty((0, coding.size)), np.empty(0)
        self._violation = math.inf  # of what is in the archive
        self.iteration = self.calls = 0  # calls that the archive rests on

    def place(self, start: Floats) -> None:
        """Begin at these points, (n, D) of the user's coordinates.

        Raises:
            ValueError: another shape, more points than particles, or some out of bounds.
        """
        if start.ndim != 2 or start.shape[1] != len(self._coding.low) or len(start) > len(self._x):
            raise ValueError(
                f"x0 must have shape (n, {len(self._coding.low)}), n at most {len(self._x)}; got "
                f"{start.shape}"
            )
        check_inside(start, self._coding.low, self._coding.high)
        self._x[: len(start)] = self._coding.encode(start)
        self._p = self._x.copy()

    def move(self) -> None:
        """Equations 1 to 6 of Nebro et al. 2009, walls and mutation."""
        n = len(self._x)
        c1, c2 = self._random.uniform(*ACCELERATION, (2, n, 1))
        r1, r2 = self._random.random((2, n, 1))
        v = (
            INERTIA * self._v
            + c1 * r1 * (self._p - self._x)
            + c2 * r2 * (self._leaders(n) - self._x)
        )
        phi = np.maximum(c1 + c2, 4.0)  # the coefficient is 1 up to 4
        v *= 2 / np.abs(2 - phi - np.sqrt(phi**2 - 4 * phi))
        limit = (self._high - self._low) / 2
        v = np.clip(v, -limit, limit)
        x = self._x + v
        # At a wall a particle stops and turns round.
        self._x = np.clip(x, self._low, self._high)
        self._v = np.where(self._x == x, v, -v)
        self._mutate()
        self.iteration += 1

    def _leaders(self, n: int) -> Floats:
        """The less crowded one of two random members of the archive for each particle."""
        if len(self._archive) == 0:
            return self._p
        pairs = self._random.integers(0, len(self._archive), (n, 2))
        if self._violation > 0:
            return self._archive[pairs[:, 0]]
        distances = crowding_distance(self._archive_values)[pairs]
        return self._archive[pairs[np.arange(n), distances.argmax(axis=1)]]

    def _mutate(self) -> None:
        """Polynomial mutation (Deb & Agrawal 1995, Complex Systems 9(2)), a coordinate with
        probability 1/D.
        """
        chosen = self._random.random((len(self._x), 1)) < MUTANTS
        chosen = chosen & (self._random.random(self._x.shape) < 1 / self._coding.size)
        u = self._random.random(self._x.shape)
        power = 1 / (MUTATION_INDEX + 1)
        step = np.where(u < 0.5, (2 * u) ** power - 1, 1 - (2 - 2 * u) ** power)
        moved = np.clip(self._x + step * (self._high - self._low), self._low, self._high)
        self._x = np.where(chosen, moved, self._x)

    def evaluate(self) -> None:
        """Evaluate all particles, as far as the budget goes; renew personal bests and archive."""
        points = self._coding.decode(self._x)
        violations = self._constraints.excess(points).sum(axis=1)
        feasible = violations == 0
        values = np.full((len(points), *self._evaluator.shape), math.inf)
        try:
            called, evaluated = self._evaluator(points[feasible])
        except Exception:
            if self._evaluator.unreported is not None:
                values[feasible] = self._evaluator.unreported[1]
                self._remember_front(values, violations, np.asarray(np.isfinite(values).all(-1)))
            raise
        evaluated &= np.isfinite(called).all(-1)
        rows = np.flatnonzero(feasible)[evaluated]
        values[rows] = called[evaluated]
        self._evaluator.skipped += int((~feasible).sum())
        seen = ~feasible
        seen[rows] = True
        self._remember_personal(values, violations, seen)
        self._remember_front(values, violations, seen)
        self.calls = self._evaluator.calls

    def _remember_personal(self, values: Floats, violations: Floats, seen: Bools) -> None:
        if self._p_values.size == 0:
            self._p_values, self._p_violations = values, np.where(seen, violations, math.inf)
            return
        wins = (values <= self._p_values).all(-1) & (values < self._p_values).any(-1)
        loses = (values >= self._p_values).all(-1)
        coin = self._random.random(len(values)) < 0.5  # neither dominates: either may stay
        both_feasible = (violations == 0) & (self._p_violations == 0)
        better = (
            np.where(both_feasible, wins | (~loses & coin), violations < self._p_violations) & seen
        )
        self._p[better], self._p_values[better] = self._x[better], values[better]
        self._p_violations[better] = violations[better]

    def _remember_front(self, values: Floats, violations: Floats, seen: Bools) -> None:
        """Feasible points that nothing dominates; as long as there is none, the point of the
        smallest violation.
        """
        if not seen.any():
            return
        least = float(violations[seen].min())
        if least > self._violation or (least == self._violation and least > 0):
            return
        if least < self._violation:
            self._archive, self._archive_values = self._archive[:0], values[:0]
        self._violation = least
        new = seen & (violations == least)
        x, v = (
            np.concatenate([self._archive, self._x[new]]),
            np.concatenate([self._archive_values, values[new]]),
        )
        if least > 0:
            x, v = x[:1], v[:1]
        _, first = np.unique(v, axis=0, return_index=True)
        x, v = x[first], v[first]
        keep = non_dominated(v)
        x, v = x[keep], v[keep]
        while len(v) > self._size:
            most_crowded = int(crowding_distance(v).argmin())
            x, v = np.delete(x, most_crowded, axis=0), np.delete(v, most_crowded, axis=0)
        self._archive, self._archive_values = x, v

    def evaluate_again(self) -> tuple[Floats, Floats, Floats] | None:
        """A point of the front evaluated once more: what it was worth, what it is worth, and the
        sizes of the front's objectives, (K,) each; None without a feasible point.
        """
        if not len(self._archive) or self._violation > 0:
            return None
        x = self._coding.decode(self._archive[:1])[0]
        return (
            self._archive_values[0],
            self._evaluator.again(x),
            np.abs(self._archive_values).max(axis=0),
        )

    @property
    def evaluated(self) -> bool:
        """Whether the starting positions were."""
        return self._p_values.size > 0

    def state_dict(self) -> dict[str, Any]:
        """All that a resume needs, the evaluator's counts included."""
        return {
            **{name: getattr(self, f"_{name}").copy() for name in SAVED},
            "violation": self._violation,
            "iteration": self.iteration,
            "random": self._random.bit_generator.state,
            **self._evaluator.state_dict(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: an entry is missing, or of another type or shape.
        """
        sizes = dict(zip("PMK", (*self._x.shape, *self._evaluator.shape), strict=True))
        axes = {
            "x": "PM",
            "v": "PM",
            "p": "PM",
            "p_values": "PK",
            "p_violations": "P",
            "archive": "AM",
        }
        # empty before a point is known
        axes["archive_values"] = "AK" if saved["archive"].size else "B"
        check(saved, {name: ("float64", kind) for name, kind in axes.items()}, sizes)
        check(saved, {"violation": float, "iteration": int, "random": dict})
        for name in SAVED:
            setattr(self, f"_{name}", saved[name])
        self._violation, self.iteration = saved["violation"], saved["iteration"]
        self._random.bit_generator.state = saved["random"]
        self._evaluator.load_state_dict(saved)
        self.calls = self._evaluator.calls

    def result(self, text: str) -> MultiResult:
        """The archive as what is given to the user."""
        points = self._coding.decode(self._archive)
        values = self._archive_values.reshape(-1, *self._evaluator.shape)
        order = np.lexsort(values.T[::-1])
        breaches = [self._constraints.breach(x) for x in points]
        maxcv = max((amount for amount, _ in breaches), default=0.0)
        feasible = all(holds for _, holds in breaches)
        success = bool(len(values)) and feasible
        text = with_faults(text, success, feasible, maxcv)
        return MultiResult(
            points[order],
            values[order],
            self._evaluator.calls,
            self.iteration,
            success,
            text,
            maxcv,
        )
