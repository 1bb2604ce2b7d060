"""History of a search: a list of records, in the requested detail and bounded memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Floats, needing
from pyswarmopt.base.record import columns, rows_of

if TYPE_CHECKING:
    from pyswarmopt.driver.problem.space import Space

LIMIT = 4096  # most records, and a 256th of the most coordinates of particles' positions
Granularity = Literal["iteration", "particles"]


class Record(NamedTuple):
    """Summary of one iteration.

    Attributes:
        iteration: number of the iteration, 0 for the starting positions.
        evaluations: calls of the objective so far.
        best: the best value so far.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.sphere, [(-1, 1)] * 2, max_evals=30, seed=0)
        >>> r.history[-1].best == r.fun
        True
    """

    iteration: int
    evaluations: int
    best: float


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


KINDS: dict[str, type[Any]] = {"iteration": Record, "particles": ParticleRecord}


class History(list[Any]):
    """The records of a run. With one objective, they are thinned evenly once there are too many:
    every second iteration is dropped, and from then on only every second (fourth, ...) is kept.

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
        if granularity not in KINDS:
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
            points: the iteration's evaluations.
        """
        if iteration % self._stride or not points:
            return
        limit = LIMIT
        if self.granularity == "iteration":
            self.append(Record(iteration, evaluations, float(best)))
        else:
            limit = max(2 * len(points), 256 * LIMIT // len(points[0].x))
            self += map(_comparable, points)
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
        return first.value if first.violation == 0 else math.nan

    def evaluated(self, feasible: bool = True) -> tuple[Floats, Floats]:
        """The positions with finite values, (n, D), and the values, (n,) or (n, M); with
        `feasible`, only of points that violate no constraint.
        """
        kept = []
        if self.granularity == "particles":
            kept = [r for r in self if r.violation == 0 or not feasible]
        values = np.reshape([r.value for r in kept], (len(kept), self.objectives or 1))
        finite = np.isfinite(values).all(axis=1)
        if not self.objectives:
            values = values[:, 0]
        return np.array([r.x for r in kept])[finite], values[finite]

    def to_pandas(self) -> Any:
        """The records as a `pandas.DataFrame`, with a column per field. A position has a column per
        coordinate, x0, x1, ..., or, with a space, a column per parameter, in the parameter's units
        and empty if inactive. `again` marks points whose value was known, so that they were not
        evaluated again.
        """
        pd = imported_pandas("to_pandas()")
        table = columns(self, KINDS[self.granularity], "")
        if self.granularity != "particles":
            return pd.DataFrame(table)
        points = table.pop("x")
        if not self._constrained:
            del table["violation"]
        if self.objectives:
            table |= {f"fun{i}": column for i, column in enumerate(table.pop("value").T)}
        if self._space is None:
            return pd.DataFrame(table | {f"x{i}": column for i, column in enumerate(points.T)})
        params = [self._space.decode(x) for x in points]
        names = self._space.searched
        return pd.DataFrame(table | {name: [p.get(name) for p in params] for name in names})

    def state_dict(self) -> dict[str, Any]:
        """Arrays and plain values for `load_state_dict`."""
        state = {"history.granularity": self.granularity, "history.stride": self._stride}
        return state | columns(self, KINDS[self.granularity], "history.")

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: `saved` is not a history, or has another granularity.
        """
        if saved["history.granularity"] != self.granularity:
            raise ValueError(
                f"the saved search has history={saved['history.granularity']!r}; use that "
                f"instead of {self.granularity!r}"
            )
        self._stride = saved["history.stride"]
        self[:] = rows_of(saved, KINDS[self.granularity], "history.")


def imported_pandas(what: str) -> Any:
    """pandas, which only tables need.

    Raises:
        ImportError: it is not installed.
    """
    with needing("pandas", what, "pip install pandas"):
        import pandas

    return pandas


def _comparable(record: ParticleRecord) -> ParticleRecord:
    """A record with `math`'s NaN: tuples compare it by identity, so equal histories are equal."""
    value = record.value
    if isinstance(value, np.ndarray):
        return record
    if type(value) is float and not math.isnan(value):
        return record  # the usual case
    if math.isnan(value):
        return record._replace(value=math.nan)
    return record._replace(value=float(value))
