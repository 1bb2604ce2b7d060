"""History of a search, in the requested detail and bounded memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats, Ints
from pyswarmopt.base.record import check

if TYPE_CHECKING:
    from pyswarmopt.driver.problem.space import Space

LARGEST_EXPONENT = 450  # power of 2: squares of smaller values can be added
PARTICLE_COLUMNS = 3  # numbers of a `ParticleRecord` before its position
Granularity = Literal["iteration", "particles"]


class Record(NamedTuple):
    """One iteration; values in the user's sense.

    Attributes:
        iteration: number of the iteration, 0 for the starting positions.
        evaluations: calls of the objective so far.
        best: the best value so far.
        mean: mean of the finite values of this iteration, NaN without any.
        spread: standard deviation of the same values, NaN without any.

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
        value: its value, NaN if the evaluation failed or a constraint was broken.
        x: position, (D,), as the objective saw it.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.sphere, [(-1, 1)] * 2, max_evals=30, seed=0, history="particles")
        >>> r.history[0].x.shape
        (2,)
    """

    iteration: int
    particle: int
    value: float
    x: npt.NDArray[np.float64]


class History:
    """The records of a run, thinned out evenly beyond a limit.

    Beyond `limit` records every second iteration is dropped, and from then on only every second
    (fourth, ...) one is kept.

    Args:
        granularity: "iteration": a `Record` for each; "particles": a `ParticleRecord` for every
            evaluation.
        limit: the most records to keep, at least 2. Particles' records hold positions, so their
            limit counts numbers: 256 * `limit` coordinates, but at least two iterations.
        space: parameters by name, which replace coordinates in tables.

    Raises:
        ValueError: an unknown granularity, or a limit below 2.

    Example:
        >>> h = History(limit=4)
        >>> for t in range(10):
        ...     h.add(t, 10 * t, best=1.0 / (t + 1), values=[1.0, 3.0])
        >>> [r.iteration for r in h]
        [0, 4, 8]
    """

    def __init__(
        self,
        granularity: Granularity = "iteration",
        limit: int = 4096,
        space: Space | None = None,
    ) -> None:
        if granularity not in ("iteration", "particles"):
            raise ValueError(f"history={granularity!r}: use 'iteration' or 'particles'")
        if limit < 2:
            raise ValueError(f"limit={limit}: a history holds at least 2 records")
        self.granularity = granularity
        self._limit = limit
        self._space = space
        self._stride = 1
        self._rows = Rows(np.empty((0, 0)))  # numbers of the records, in `state_dict`'s form

    def add(
        self,
        iteration: int,
        evaluations: int,
        best: float,
        values: npt.ArrayLike,
        points: Floats | None = None,
        particles: Ints | None = None,
    ) -> None:
        """Record an iteration.

        Args:
            iteration: number of the iteration, increasing.
            evaluations: calls of the objective so far.
            best: the best value so far.
            values: (N,) values of its evaluations; means use the finite ones.
            points: (N, D) positions, needed only for "particles".
            particles: (N,) numbers of the particles; default: in order.
        """
        values = np.asarray(values, dtype=np.float64)
        if self.granularity == "iteration":
            rows = np.array([[iteration, evaluations, best, *_mean_and_spread(values)]])
            limit = self._limit
        elif points is None:
            raise ValueError("a history of particles needs their positions: add(..., points=...)")
        else:
            numbers = np.arange(len(values)) if particles is None else particles
            number = np.full(len(values), float(iteration))
            rows = np.column_stack([number, numbers, values, points])
            limit = max(2 * len(rows), 256 * self._limit // points.shape[1])
        while iteration % self._stride == 0 and 0 < len(self) > limit - len(rows):
            self._stride *= 2
            kept = self._rows.all
            self._rows = Rows(kept[kept[:, 0] % self._stride == 0])
        if iteration % self._stride == 0 and len(rows):
            self._rows.add(rows)

    def first_value(self) -> float:
        """The best value, or the first particle's, in the first record; NaN without records."""
        return float(self._rows.all[0, 2]) if len(self) else math.nan

    def __len__(self) -> int:
        return len(self._rows.all)

    def __iter__(self) -> Iterator[Any]:
        return map(self._record, self._rows.all)

    def __getitem__(self, index: int | slice) -> Any:
        rows = self._rows.all[index]
        return list(map(self._record, rows)) if isinstance(index, slice) else self._record(rows)

    def _record(self, row: Floats) -> Record | ParticleRecord:
        # The same NaN object as `math`'s: tuples compare it by identity, so equal histories are
        # equal.
        first, second, *values = (math.nan if math.isnan(n) else n for n in row[:5].tolist())
        if self.granularity == "iteration":
            return Record(int(first), int(second), *values)
        return ParticleRecord(int(first), int(second), values[0], row[3:].copy())

    @property
    def dim(self) -> int | None:
        """Number of coordinates, if there are particles' positions."""
        particles = self.granularity == "particles" and len(self)
        return self._rows.all.shape[1] - PARTICLE_COLUMNS if particles else None

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a column per field.

        A position has a column per coordinate, x0, x1, ..., or with a space per parameter, in its
        own units and empty if inactive.
        """
        import pandas as pd

        header, rows = self._table()
        return pd.DataFrame(rows, columns=header)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the same table as a CSV file with a header line; floats keep all digits."""
        import csv

        header, rows = self._table()
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        if self.granularity != "particles":
            return list(Record._fields), [list(r) for r in self]
        header = list(ParticleRecord._fields[:-1])
        if self._space is None:
            names = [f"x{i}" for i in range(self.dim or 0)]
            return [*header, *names], [[*r[:3], *r.x] for r in self]
        names = self._space.names
        rows = ((r, self._space.decode(r.x)) for r in self)
        return [*header, *names], [[*r[:3], *map(params.get, names)] for r, params in rows]

    def state_dict(self) -> dict[str, Any]:
        """Arrays and plain values for `load_state_dict`; the array is neither copied nor changed."""
        return {
            "history.granularity": self.granularity,
            "history.stride": self._stride,
            "history.rows": self._rows.all,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: not a history, or another granularity.
        """
        check(saved, {"history.granularity": str, "history.stride": int})
        if saved["history.granularity"] != self.granularity:
            raise ValueError(
                f"history={self.granularity!r}, but the saved one has "
                f"{saved['history.granularity']!r}: use that"
            )
        self._stride = max(saved["history.stride"], 1)
        rows = saved["history.rows"]
        self._rows = Rows(np.empty((0, 0)))
        if len(rows):
            by_iteration = self.granularity == "iteration"
            sizes = {"c": len(Record._fields)} if by_iteration else {}
            check(saved, {"history.rows": ("float64", "nc")}, sizes)
            if rows.shape[1] <= PARTICLE_COLUMNS or not np.isfinite(rows[:, :2]).all():
                raise ValueError("history.rows holds no records")
            self._rows = Rows(rows.copy())


class Rows:
    """Growing rows of numbers, (n, c), in memory that at least doubles when full: earlier results
    of `all` stay valid.
    """

    def __init__(self, rows: Floats) -> None:
        self._memory = rows
        self._count = len(rows)

    @property
    def all(self) -> Floats:
        return self._memory[: self._count]

    def add(self, rows: Floats) -> None:
        end = self._count + len(rows)
        if end > len(self._memory):
            memory = np.empty((max(end, 2 * self._count), rows.shape[1]))
            if self._count:
                memory[: self._count] = self.all
            self._memory = memory
        self._memory[self._count : end] = rows
        self._count = end

    def state_dict(self) -> dict[str, Any]:
        """The rows, for `load_state_dict`."""
        return {"rows": self.all}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored."""
        check(saved, {"rows": ("float64", "nc")}, {"c": self._memory.shape[1]})
        self._memory = saved["rows"].copy()
        self._count = len(self._memory)


def _mean_and_spread(values: Floats) -> tuple[float, float]:
    """Mean and standard deviation of the finite values, however large; `math.nan` without any."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return math.nan, math.nan
    unit = 2.0 ** max(math.frexp(np.abs(finite).max())[1] - LARGEST_EXPONENT, 0)
    scaled = finite / unit
    # as `mean` and `std`, whose Python overhead exceeds a few sums
    mean = float(np.add.reduce(scaled)) / scaled.size
    scaled -= mean
    scaled *= scaled
    return unit * mean, unit * math.sqrt(float(np.add.reduce(scaled)) / scaled.size)
