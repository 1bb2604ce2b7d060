"""History of a search, in the requested detail and bounded memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats, Ints
from pyswarmopt.base.record import check

if TYPE_CHECKING:
    from pyswarmopt.driver.problem.space import Space

LARGEST_EXPONENT = 450  # power of 2: squares of smaller values can be added
PARTICLE_COLUMNS = 4  # numbers of a `ParticleRecord` before its position
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
        value: its value, NaN if the evaluation failed or was left out for a broken constraint.
        x: position, (D,), as the objective saw it.
        violation: sum of the amounts by which it breaks constraints; 0 if it is feasible.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.sphere, [(-1, 1)] * 2, max_evals=30, seed=0, history="particles")
        >>> r.history[0].x.shape
        (2,)
    """

    iteration: int
    particle: int
    value: float
    x: Floats
    violation: float = 0.0

    @property
    def feasible_value(self) -> float:
        """The value, NaN if a constraint is broken."""
        return self.value if self.violation == 0 else math.nan


class History:
    """The records of a run, thinned out evenly beyond a limit.

    Beyond `limit` records every second iteration is dropped, and from then on only every second
    (fourth, ...) one is kept.

    Args:
        granularity: "iteration": a `Record` for each; "particles": a `ParticleRecord` for every
            point, also for one that came up again and was not called again.
        limit: the most records to keep, at least 2. Particles' records hold positions, so their
            limit counts numbers: 256 * `limit` coordinates, but at least two iterations.
        space: parameters by name, which replace coordinates in tables.
        constrained: whether tables of particles have a column for violations.

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
        constrained: bool = False,
    ) -> None:
        if granularity not in ("iteration", "particles"):
            raise ValueError(f"history={granularity!r}: use 'iteration' or 'particles'")
        if limit < 2:
            raise ValueError(f"limit={limit}: a history holds at least 2 records")
        self.granularity = granularity
        self._limit = limit
        self._space = space
        self._constrained = constrained
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
        violations: Floats | None = None,
    ) -> None:
        """Record an iteration.

        Args:
            iteration: number of the iteration, increasing.
            evaluations: calls of the objective so far.
            best: the best value so far.
            values: (N,) values of its evaluations; means use the finite ones of feasible points.
            points: (N, D) positions, needed only for "particles".
            particles: (N,) numbers of the particles; default: in order.
            violations: (N,) of the constraints; default: none.
        """
        values = np.asarray(values, dtype=np.float64)
        broken = np.zeros(len(values)) if violations is None else violations
        if self.granularity == "iteration":
            mean_and_spread = _mean_and_spread(values[broken == 0])
            rows = np.array([[iteration, evaluations, best, *mean_and_spread]])
            limit = self._limit
        elif points is None:
            raise ValueError("a history of particles needs their positions: add(..., points=...)")
        else:
            numbers = np.arange(len(values)) if particles is None else particles
            number = np.full(len(values), float(iteration))
            rows = np.column_stack([number, numbers, values, broken, points])
            limit = max(2 * len(rows), 256 * self._limit // points.shape[1])
        while iteration % self._stride == 0 and 0 < len(self) > limit - len(rows):
            self._stride *= 2
            kept = self._rows.all
            self._rows = Rows(kept[kept[:, 0] % self._stride == 0])
        if iteration % self._stride == 0 and len(rows):
            self._rows.add(rows)

    def first_value(self) -> float:
        """The best value, or the first particle's if feasible, in the first record; NaN without
        records.
        """
        if not len(self):
            return math.nan
        first = self[0]
        return first.best if isinstance(first, Record) else first.feasible_value

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
        return ParticleRecord(int(first), int(second), values[0], row[4:].copy(), values[1])

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
        write_csv(path, *self._table())

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        if self.granularity != "particles":
            return list(Record._fields), [list(r) for r in self]
        header = ["iteration", "particle", "value", *["violation"] * self._constrained]
        records = list(self)
        first = [[getattr(record, name) for name in header] for record in records]
        if self._space is None:
            names: Sequence[str] = [f"x{i}" for i in range(self.dim or 0)]
            points = [list(record.x) for record in records]
        else:
            names = self._space.names
            named = (self._space.decode(record.x) for record in records)
            points = [[params.get(name) for name in names] for params in named]
        rows = [left + right for left, right in zip(first, points, strict=True)]
        return [*header, *names], rows

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


def write_csv(path: str | os.PathLike[str], header: list[str], rows: list[list[Any]]) -> None:
    """Write a table with a header line; floats keep all digits."""
    import csv  # imported on use, for a faster start of searches

    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


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
