"""History of a search, as detailed as the user wants, in bounded memory."""

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

LARGEST_EXPONENT = 450  # of 2: the squares of smaller values can be added up
Granularity = Literal["iteration", "particles"]


class Record(NamedTuple):
    """One iteration; values in the user's sense.

    Attributes:
        iteration: number of the iteration, 0 for the starting positions.
        evaluations: calls of the objective so far.
        best: the best value so far.
        mean: mean of the finite values of this iteration, NaN if there is none.
        spread: standard deviation of the same values, NaN if there is none.

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
        particle: number of the particle.
        value: its value, NaN if the evaluation failed or a constraint was broken.
        x: where it was, (D,), as the objective saw it.

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
    """The records of a run, thinned out evenly when they grow too many.

    Once there are more than `limit` records every second iteration is dropped, and from then on
    only every second (fourth, ...) one is kept.

    Args:
        granularity: "iteration": a `Record` for each; "particles": a `ParticleRecord` for every
            evaluation.
        limit: the most records to keep, at least 2. The records of particles hold positions, so of
            them the limit is one of numbers: 256 * `limit` coordinates, but always two iterations.
        space: parameters by name, which tables then have in place of coordinates.

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
        self._limit, self._space = limit, space
        self._stride = 1
        self._records: list[Any] = []

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
            iteration: its number; they come in order.
            evaluations: calls of the objective so far.
            best: the best value so far.
            values: (N,) values of its evaluations; means are those of the finite ones.
            points: (N, D) positions, needed for "particles" only.
            particles: (N,) their numbers; default: in order.
        """
        values = np.asarray(values, dtype=np.float64)
        if self.granularity == "iteration":
            mean_and_spread = _mean_and_spread(values)
            records: list[Any] = [Record(iteration, evaluations, best, *mean_and_spread)]
            coming, limit = 1, self._limit
        elif points is None:
            raise ValueError("a history of particles needs their positions: add(..., points=...)")
        else:
            numbers = range(len(values)) if particles is None else particles.tolist()
            rows = zip(numbers, values.tolist(), points, strict=True)
            records = [ParticleRecord(iteration, i, value, x.copy()) for i, value, x in rows]
            coming = len(values)
            limit = max(2 * coming, 256 * self._limit // points.shape[1])
        while iteration % self._stride == 0 and 0 < len(self._records) > limit - coming:
            self._stride *= 2
            self._records = [r for r in self._records if r.iteration % self._stride == 0]
        if iteration % self._stride == 0:
            self._records += records

    def first_value(self) -> float:
        """The best value, or the first particle's, of the first record; NaN without records."""
        if not self._records:
            return math.nan
        first = self._records[0]
        return float(first.value if self.granularity == "particles" else first.best)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._records)

    def __getitem__(self, index: int) -> Any:
        return self._records[index]

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a column per field.

        A position has one per coordinate, x0, x1, ..., or with a space one per parameter, in its own
        units and without a value where it is inactive.
        """
        import pandas as pd

        header, rows = self._table()
        return pd.DataFrame(rows, columns=header)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the same table as a CSV file with a header line; floats keep all their digits."""
        import csv

        header, rows = self._table()
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        if self.granularity != "particles":
            return list(Record._fields), [list(r) for r in self._records]
        header = list(ParticleRecord._fields[:-1])
        if self._space is None:
            dim = len(self._records[0].x) if self._records else 0
            return [*header, *(f"x{i}" for i in range(dim))], [
                [*r[:3], *r.x] for r in self._records
            ]
        names, decoded = self._space.names, [self._space.decode(r.x) for r in self._records]
        rows = zip(self._records, decoded, strict=True)
        return [*header, *names], [[*r[:3], *map(params.get, names)] for r, params in rows]

    def state_dict(self) -> dict[str, Any]:
        """Arrays and plain values from which `load_state_dict` restores the history."""
        columns = 3 if self.granularity == "particles" else 5
        rows = [[*r[:columns], *(r.x if columns == 3 else ())] for r in self._records]
        return {
            "history.granularity": self.granularity,
            "history.stride": self._stride,
            "history.rows": np.array(rows, dtype=np.float64),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: the saved history has another granularity, or is none.
        """
        check(saved, {"history.granularity": str, "history.stride": int})
        if saved["history.granularity"] != self.granularity:
            raise ValueError(
                f"history={self.granularity!r}, but the saved one has "
                f"{saved['history.granularity']!r}: use that"
            )
        self._stride, rows = max(saved["history.stride"], 1), saved["history.rows"]
        if len(rows):
            check(saved, {"history.rows": ("float64", "nc")})
        if self.granularity == "particles":
            self._records = [
                ParticleRecord(int(r[0]), int(r[1]), float(r[2]), r[3:].copy()) for r in rows
            ]
            return
        # The very NaN that `add` uses: tuples compare it by identity, so a resumed history equals
        # the uninterrupted one.
        self._records = [
            Record(int(i), int(n), *(math.nan if math.isnan(v) else v for v in values))
            for i, n, *values in rows.tolist()
        ]


def _mean_and_spread(values: Floats) -> tuple[float, float]:
    """Mean and standard deviation of the finite values, however large; `math.nan` if there is
    none.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return math.nan, math.nan
    unit = 2.0 ** max(math.frexp(np.abs(finite).max())[1] - LARGEST_EXPONENT, 0)
    scaled = finite / unit
    # as `mean` and `std` have them, whose Python takes longer than the sums of a few numbers
    mean = float(np.add.reduce(scaled)) / scaled.size
    scaled -= mean
    scaled *= scaled
    return unit * mean, unit * math.sqrt(float(np.add.reduce(scaled)) / scaled.size)
