"""What the plots read: the course of a search, wherever it was written down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats, Ints
from pyswarmopt.driver.history import History, ParticleRecord, Record
from pyswarmopt.driver.result import Result
from pyswarmopt.inspect.step import Step


@dataclass(frozen=True, eq=False)
class Trace:
    """The course of a search over T rounds.

    Attributes:
        evaluations: up to the end of each round, (T,).
        best: the best value so far, (T,), in the user's sense.
        rounds: particle -> position (D,) in each round; empty where only values were kept.
        values: particle -> value in each round.
        maximize: whether larger is better.
    """

    evaluations: Ints
    best: Floats
    rounds: tuple[Mapping[int, Floats], ...]
    values: tuple[Mapping[int, float], ...]
    maximize: bool

    def positions(self) -> Floats:
        """All positions, round by round, (evaluations, D); a ValueError if only values were
        kept.
        """
        if not self.rounds:
            raise ValueError(
                "this search kept no positions: run minimize(..., history='particles')"
            )
        return np.array([x for where in self.rounds for x in where.values()])

    def path(self, particle: int) -> Floats:
        """Where a particle was, (rounds in which it was evaluated, D)."""
        return np.array([where[particle] for where in self.rounds if particle in where])

    def diversity(self) -> Floats:
        """Mean distance of the particles from their mean in each round, (T,)."""
        self.positions()  # or an error
        clouds = [np.array(list(where.values())) for where in self.rounds]
        return np.array([np.linalg.norm(x - x.mean(axis=0), axis=1).mean() for x in clouds])


def trace(source: Any) -> Trace:
    """Read the course of a search.

    Args:
        source: a `Result`, a list of `Step`, the folder of a `swarm-llm` run, or an object whose
            `run` is such a folder. A trace is returned as it is.

    Raises:
        ValueError: something else, a folder without a journal, or nothing in it.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.sphere, [(-5, 5)] * 2, max_evals=400, seed=0, history="particles")
        >>> t = trace(r)
        >>> bool(t.best[-1] == r.fun), t.positions().shape  # the last call is r.x's once more
        (True, (399, 2))
    """
    if isinstance(source, Trace):
        return source
    if isinstance(source, Result):
        return _of_history(source.history, source.maximize)
    if isinstance(source, str | Path) or hasattr(source, "run"):
        return _of_folder(Path(getattr(source, "run", source)))
    if isinstance(source, Sequence) and source and all(isinstance(step, Step) for step in source):
        return _of_steps(source)
    raise ValueError(
        f"{type(source).__name__} cannot be plotted: give a Result, recorded steps or a run's "
        "folder"
    )


def _of_history(history: History, maximize: bool) -> Trace:
    records = list(history)
    if records and isinstance(records[0], ParticleRecord):
        return _of_rows([(r.iteration, r.particle, r.value, r.x) for r in records], maximize)
    if not records:
        raise ValueError("this search has no history to plot")
    kept: list[Record] = records
    best = np.array([r.best for r in kept])
    return Trace(np.array([r.evaluations for r in kept]), best, (), (), maximize)


def _of_steps(steps: Iterable[Step]) -> Trace:
    rows = [
        (step.number, i, float(value), x)
        for step in steps
        for i, (x, value) in enumerate(zip(step.x, step.values, strict=True))
    ]
    bests = [step.best for step in steps]
    return _of_rows(rows, maximize=bests[-1] > bests[0])


def _of_folder(folder: Path) -> Trace:
    journal = folder / "history.jsonl"
    if not journal.is_file():
        raise ValueError(f"{folder}: has no history.jsonl; give the folder of a swarm-llm run")
    lines = journal.read_text(encoding="utf-8").split("\n")
    # a last line without an end was not finished
    records = [json.loads(line) for line in lines[:-1] if line]
    rows = [
        (
            row["iteration"],
            row["particle"],
            row["value"],
            np.ravel(row["coefficients"]).astype(np.float64),
        )
        for row in records
        if row.get("phase", "search") == "search"
    ]
    if not rows:
        raise ValueError(f"{journal}: holds no evaluation yet")
    return _of_rows(rows, maximize=True)


def _of_rows(rows: Sequence[tuple[int, int, float, Floats]], maximize: bool) -> Trace:
    """From one row per evaluation: round, particle, value, position."""
    numbers = sorted({row[0] for row in rows})
    rounds: dict[int, dict[int, Floats]] = {number: {} for number in numbers}
    values: dict[int, dict[int, float]] = {number: {} for number in numbers}
    for number, particle, value, x in rows:
        rounds[number][particle], values[number][particle] = x, value
    sign = -1.0 if maximize else 1.0
    lowest = [
        min((sign * v for v in values[number].values() if np.isfinite(v)), default=np.inf)
        for number in numbers
    ]
    evaluations = np.cumsum([len(values[number]) for number in numbers])
    best = sign * np.minimum.accumulate(lowest)
    return Trace(evaluations, best, tuple(rounds.values()), tuple(values.values()), maximize)
