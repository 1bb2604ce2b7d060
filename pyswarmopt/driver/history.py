"""History of a search: a list of records, in the requested detail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import NONE, check

if TYPE_CHECKING:
    from pyswarmopt.driver.problem.space import Space

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


class History(list[Any]):
    """The records of a run, all of them.

    Args:
        granularity: "iteration": a `Record` for each; "particles": a `ParticleRecord` for every
            point, also for one that came up again and was not called again.
        space: parameters by name, which replace coordinates in tables.
        objectives: how many numbers a particle's value has; 0: it is a number.

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
        objectives: int = 0,
    ) -> None:
        super().__init__()
        if granularity not in ("iteration", "particles"):
            raise ValueError(f"history={granularity!r}: use 'iteration' or 'particles'")
        self.granularity = granularity
        self._space = space
        self._objectives = objectives

    def add(
        self, iteration: int, evaluations: int, best: float, points: Sequence[ParticleRecord]
    ) -> None:
        """Record an iteration.

        Args:
            iteration: number of the iteration, increasing.
            evaluations: calls of the objective so far.
            best: the best value so far.
            points: its evaluations; means use the finite values of feasible points.
        """
        if self.granularity == "particles":
            self += points
        elif points:
            values = np.array([point.feasible_value for point in points])
            finite = values[np.isfinite(values)]
            mean = spread = math.nan
            if finite.size:
                with np.errstate(over="ignore", invalid="ignore"):
                    mean, spread = float(finite.mean()), float(finite.std())
            self.append(Record(iteration, evaluations, float(best), mean, spread))

    def first_value(self) -> float:
        """The best value, or the first particle's if feasible, in the first record; NaN without
        records.
        """
        if not self:
            return math.nan
        first = self[0]
        return first.best if isinstance(first, Record) else first.feasible_value

    def evaluated(self, feasible: bool = True) -> tuple[Floats, Floats]:
        """The particles' positions with finite values, (n, D), and these values, (n,) or (n, M);
        with `feasible` only those that break no constraint.
        """
        kept = [
            record
            for record in self
            if isinstance(record, ParticleRecord)
            and np.isfinite(record.feasible_value if feasible else record.value).all()
        ]
        return np.array([record.x for record in kept]), np.array([record.value for record in kept])

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a column per field.

        A position has a column per coordinate, x0, x1, ..., or with a space per parameter, in its
        own units and empty if inactive.
        """
        import pandas as pd

        table = pd.DataFrame(self)
        if "x" not in table:
            return table
        return table.join(pd.DataFrame(map(self._named, table.pop("x"))))

    def _named(self, x: Floats) -> dict[str, Any]:
        if self._space is None:
            return {f"x{i}": value for i, value in enumerate(x)}
        params = self._space.decode(x)
        return {name: params.get(name) for name in self._space.searched}

    def state_dict(self) -> dict[str, Any]:
        """An array for `load_state_dict`: a row for each record."""
        rows = np.array([np.hstack(record) for record in self]) if self else NONE.reshape(0, 0)
        return {"history.rows": rows}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: not a history.
        """
        check(saved, {"history.rows": ("float64", "nc")})
        read = self._iteration if self.granularity == "iteration" else self._particle
        self[:] = [read(*row) for row in saved["history.rows"].tolist()]

    def _iteration(self, iteration: float, evaluations: float, *values: float) -> Record:
        return Record(int(iteration), int(evaluations), *values)

    def _particle(self, iteration: float, particle: float, *numbers: float) -> ParticleRecord:
        *value, violation = numbers
        count = self._objectives or 1
        x = np.array(value[count:])
        found: Any = np.array(value[:count]) if self._objectives else value[0]
        return ParticleRecord(int(iteration), int(particle), found, x, violation)
