"""The course of a search for plots, from any source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats, Ints
from pyswarmopt.base.record import array, columns
from pyswarmopt.driver.history import ParticleRecord, Record
from pyswarmopt.driver.problem.space import Space
from pyswarmopt.driver.result import Result
from pyswarmopt.inspect.step import Step


@dataclass(frozen=True, eq=False)
class Trace:
    """The course of a search over T rounds.

    Attributes:
        evaluations: evaluations up to the end of each round, (T,).
        best: the best value so far, (T,).
        maximize: whether larger values are better.
        rounds: round of each evaluation, from 0, (E,); empty, like the following attributes, if
            only the best was kept.
        particles: number of the evaluated particle, (E,).
        x: evaluated positions, (E, D).
        values: their values, (E,).
        names: names of the coordinates; if empty, x_1, x_2, ...

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.sphere, [(-5, 5)] * 2, max_evals=40, seed=0)
        >>> trace(r).best[-1] == r.fun, len(trace(r).x)
        (np.True_, 0)
    """

    evaluations: Ints
    best: Floats
    maximize: bool
    rounds: Ints = array()
    particles: Ints = array()
    x: Floats = array()
    values: Floats = array()
    names: Sequence[str] = ()

    def positions(self) -> Floats:
        """All positions, round by round, (E, D); ValueError if only values were kept."""
        if not len(self.x):
            raise ValueError(
                "this search did not keep its positions; run it with history='particles'"
            )
        return self.x

    def diversity(self) -> Floats:
        """Mean distance of the particles from their centroid in each round, (T,)."""
        x = self.positions()
        clouds = [x[self.rounds == k] for k in range(len(self.best))]
        return np.array([np.linalg.norm(x - x.mean(axis=0), axis=1).mean() for x in clouds])


def trace(source: Any) -> Trace:
    """Read the course of a search.

    Args:
        source: a `Result` or a list of `Step`. A trace is returned unchanged.

    Returns:
        The course of the search.

    Raises:
        ValueError: the source has none of these types, or the search has no evaluations.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.sphere, [(-5, 5)] * 2, max_evals=400, seed=0, history="particles")
        >>> t = trace(r)
        >>> bool(t.best[-1] == r.fun), t.positions().shape[1]
        (True, 2)
    """
    if isinstance(source, Trace):
        return source
    if isinstance(source, Result) and np.ndim(source.fun) == 0:
        return _of_rows(source.history, source.maximize, _names(source.space))
    if isinstance(source, Sequence) and source and all(isinstance(step, Step) for step in source):
        rows = [
            ParticleRecord(step.number, i, float(value), x)
            for step in source
            for i, (x, value) in enumerate(zip(step.x, step.values, strict=True))
        ]
        return _of_rows(rows, maximize=source[-1].best > source[0].best)
    raise ValueError(f"{type(source).__name__} cannot be plotted; pass a Result or recorded steps")


def _names(space: Space | None) -> list[str]:
    """Names of the axes."""
    if space is None:
        return []
    return [
        f"log({name})" if getattr(space.parameter(owner), "log", False) else name
        for name, owner in zip(space.names, space.owners, strict=True)
    ]


def _of_rows(rows: Sequence[Any], maximize: bool, names: Sequence[str] = ()) -> Trace:
    """A trace from one row per round, or per particle and round."""
    if not rows:
        raise ValueError("this search has no evaluations to plot")
    if isinstance(rows[0], Record):
        _, evaluations, best = np.array(rows).T
        return Trace(evaluations.astype(np.int64), best, maximize)
    of = columns(sorted(rows, key=lambda row: row.iteration), ParticleRecord, "")
    values = np.where(of["violation"] == 0, of["value"], np.nan)
    iterations, rounds = np.unique(of["iteration"], return_inverse=True)
    ends = np.searchsorted(rounds, range(len(iterations)), side="right") - 1
    better: Any = np.fmax if maximize else np.fmin
    return Trace(
        evaluations=np.cumsum(~of["again"])[ends],
        best=better.accumulate(np.where(np.isfinite(values), values, np.nan))[ends],
        maximize=maximize,
        rounds=rounds,
        particles=of["particle"],
        x=of["x"],
        values=values,
        names=names,
    )
