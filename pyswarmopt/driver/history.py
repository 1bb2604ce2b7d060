"""History of a search: a list of records, in the requested detail and bounded memory."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import NONE

if TYPE_CHECKING:
    from pyswarmopt.driver.problem.space import Space

LIMIT = 4096  # most records, and a 256th of the most coordinates of particles' positions
LARGEST_EXPONENT = 450  # power of 2: squares of smaller values can be added
BEFORE_VALUE = 4  # numbers of a saved `ParticleRecord` before its value
Granularity = Literal["iteration", "particles"]


class Record(NamedTuple):
    """Summary of one iteration.

    Attributes:
        iteration: number of the iteration, 0 for the starting positions.
        evaluations: calls of the objective so far.
        best: the best value so far.
        mean: mean of the finite values of this iteration; NaN if there are none.
        spread: standard deviation of the same values; NaN if there are none.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.sphere, [(-1, 1)] * 2, max_evals=30, seed=0)
        >>> r.history[-1].best == r.fun
        True
    """

    iteration: int
    evaluations: int
    best: float
    mean: float
    spread: float


class ParticleRecord(NamedTuple):
    """One particle in one iteration.

    Attributes:
        iteration: number of the iteration, 0 for the starting positions.
        particle: index of the particle.
        value: its value; NaN if the evaluation failed, or was skipped because the point violates a
            constraint; (M,) with several objectives.
        x: position, (D,), as the objective saw it.
        violation: sum of the amounts by which it violates constraints; 0 if it is feasible.
        again: whether its value was already known, so that `fun` was not called.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.sphere, [(-1, 1)] * 2, max_evals=30, seed=0, history="particles")
        >>> r.history[0].x.shape
        (2,)
    """

    iteration: int
    particle: int
    value: Any
    x: Floats
    violation: float = 0.0
    again: bool = False

    @property
    def feasible_value(self) -> Any:
        """The value; NaN if a constraint is violated."""
        if self.violation == 0:
            return self.value
        return math.nan


class Table(ABC):
    """Rows with a header line."""

    @abstractmethod
    def _table(self) -> tuple[list[str], list[list[Any]]]: ...

    def to_pandas(self) -> Any:
        """The rows as a `pandas.DataFrame`."""
        import pandas as pd

        header, rows = self._table()
        return pd.DataFrame(rows, columns=header)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows as a CSV file with a header line; floats keep all digits."""
        import csv  # imported on use, for a faster start of searches

        header, rows = self._table()
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)


class History(list[Any], Table):
    """The records of a run. With one objective, they are thinned evenly once there are too many:
    every second iteration is dropped, and from then on only every second (fourth, ...) is kept.

    As a table (`to_pandas`, `to_csv`) it has a column per field. A position has a column per
    coordinate, x0, x1, ..., or, with a space, a column per parameter, in the parameter's units and
    empty if inactive.

    Args:
        granularity: "iteration": a `Record` for each; "particles": a `ParticleRecord` for every
            point, including points that were proposed `again` and not evaluated.
        space: parameters by name, which replace coordinates in tables.
        constrained: whether tables of particles have a column for violations.
        objectives: number of objectives in a particle's value; 0: the value is a single number.

    Raises:
        ValueError: an unknown granularity.

    Example:
        >>> h = History("particles")
        >>> h.add(0, 1, 3.0, [ParticleRecord(0, 0, 3.0, np.ones(2))])
        >>> h[0].value, len(h)
        (3.0, 1)
    """

    def __init__(
        self,
        granularity: Granularity = "iteration",
        space: Space | None = None,
        constrained: bool = False,
        objectives: int = 0,
    ) -> None:
        super().__init__()
        if granularity not in ("iteration", "particles"):
            raise ValueError(f"history={granularity!r}: use 'iteration' or 'particles'")
        self.granularity = granularity
        self._space = space
        self._constrained = constrained
        self.objectives = objectives
        self._stride = 1

    def add(
        self, iteration: int, evaluations: int, best: float, points: Sequence[ParticleRecord]
    ) -> None:
        """Record an iteration.

        Args:
            iteration: number of the iteration, increasing.
            evaluations: calls of the objective so far.
            best: the best value so far.
            points: the iteration's evaluations; means use the finite values of feasible points.
        """
        if iteration % self._stride or not points:
            return
        limit = LIMIT
        if self.granularity == "iteration":
            mean, spread = _mean_and_spread([point.feasible_value for point in points])
            self.append(Record(iteration, evaluations, float(best), mean, spread))
        else:
            limit = max(2 * len(points), 256 * LIMIT // len(points[0].x))
            self += points
        # an iteration is kept whole, the first one always
        while len(self) > limit and self[-1].iteration and not self.objectives:
            self._stride *= 2
            self[:] = [record for record in self if record.iteration % self._stride == 0]

    def first_value(self) -> float:
        """The best value in the first record, or its first particle's if feasible; NaN without
        records.
        """
        if not self:
            return math.nan
        first = self[0]
        if isinstance(first, Record):
            return first.best
        return first.feasible_value

    def evaluated(self, feasible: bool = True) -> tuple[Floats, Floats]:
        """The positions with finite values, (n, D), and the values, (n,) or (n, M); with
        `feasible`, only of points that violate no constraint.
        """
        particles = (record for record in self if isinstance(record, ParticleRecord))
        kept = [r for r in particles if r.violation == 0 or not feasible]
        values = np.reshape([r.value for r in kept], (len(kept), self.objectives or 1))
        finite = np.isfinite(values).all(axis=1)
        if not self.objectives:
            values = values[:, 0]
        return np.array([r.x for r in kept])[finite], values[finite]

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        if self.granularity != "particles":
            return list(Record._fields), [list(record) for record in self]
        values = [f"fun{i}" for i in range(self.objectives)] or ["value"]
        header = ["iteration", "particle", *values, *["violation"] * self._constrained]
        if self._space is None:
            points = [{f"x{i}": number for i, number in enumerate(r.x)} for r in self]
            names = list(next(iter(points), {}))
        else:
            points = [self._space.decode(r.x) for r in self]
            names = self._space.searched
        rows = []
        for r, point in zip(self, points, strict=True):
            row = [r.iteration, r.particle, *np.ravel(r.value), *[r.violation] * self._constrained]
            rows.append([*row, *map(point.get, names)])
        return [*header, *names], rows

    def state_dict(self) -> dict[str, Any]:
        """Arrays and plain values for `load_state_dict`."""
        rows = NONE.reshape(0, 0)
        if self and self.granularity == "iteration":
            rows = np.array(self, dtype=np.float64)
        elif self:
            numbers = np.array([(r.iteration, r.particle, r.violation, r.again) for r in self])
            values = np.array([r.value for r in self])
            rows = np.column_stack([numbers, values, np.array([r.x for r in self])])
        return {
            "history.granularity": self.granularity,
            "history.stride": self._stride,
            "history.rows": rows,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: `saved` is not a history, or has another granularity.
        """
        if saved["history.granularity"] != self.granularity:
            raise ValueError(
                f"the saved search has history={saved['history.granularity']!r}; use that "
                f"instead of {self.granularity!r}"
            )
        read: Callable[[Floats], Any] = self._particle_of
        if self.granularity == "iteration":
            read = _iteration_of
        self._stride = saved["history.stride"]
        self[:] = [read(row) for row in saved["history.rows"]]

    def _particle_of(self, row: Floats) -> ParticleRecord:
        iteration, particle, violation, again = row[:BEFORE_VALUE].tolist()
        value, x = np.split(row[BEFORE_VALUE:].copy(), [self.objectives or 1])
        if not self.objectives:
            value = value[0]
        return ParticleRecord(int(iteration), int(particle), plain(value), x, violation, again > 0)


def _iteration_of(row: Floats) -> Record:
    iteration, evaluations, *values = row.tolist()
    return Record(int(iteration), int(evaluations), *map(plain, values))


def plain(value: Any) -> Any:
    """A value with `math`'s NaN: tuples compare it by identity, so equal histories are equal."""
    if isinstance(value, np.ndarray):
        return value
    if math.isnan(value):
        return math.nan
    return float(value)


def _mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of the finite values, however large; `math.nan` without any."""
    finite = np.array([value for value in values if math.isfinite(value)])
    if not finite.size:
        return math.nan, math.nan
    unit = 2.0 ** max(math.frexp(np.abs(finite).max())[1] - LARGEST_EXPONENT, 0)
    scaled = finite / unit
    # as `mean` and `std`, whose Python overhead exceeds a few sums
    mean = float(np.add.reduce(scaled)) / scaled.size
    scaled -= mean
    scaled *= scaled
    return unit * mean, unit * math.sqrt(float(np.add.reduce(scaled)) / scaled.size)
