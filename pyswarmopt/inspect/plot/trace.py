"""The course of a search for plots, from any source."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats, Ints
from pyswarmopt.driver.history import History, ParticleRecord
from pyswarmopt.driver.problem.space import Choice
from pyswarmopt.driver.result import Result
from pyswarmopt.inspect.step import Step


@dataclass(frozen=True, eq=False)
class Trace:
    """The course of a search over T rounds.

    Attributes:
        evaluations: evaluations up to the end of each round, (T,).
        best: the best value so far, (T,), in the user's sense.
        maximize: whether larger values are better.
        rounds: round of each evaluation, from 0, (E,); empty, like all that follows, if only the
            best was kept.
        particles: number of the evaluated particle, (E,).
        x: evaluated positions, (E, D).
        values: their values, (E,).
        named: named points, (D,): the base and the experts of a `swarm-llm` run.
        names: names of the coordinates; empty: x_1, x_2, ...
        options: of each coordinate that is a choice, its options by name.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.sphere, [(-5, 5)] * 2, max_evals=40, seed=0)
        >>> trace(r).best[-1] == r.fun, len(trace(r).x)
        (np.True_, 0)
    """

    evaluations: Ints
    best: Floats
    maximize: bool
    rounds: Ints
    particles: Ints
    x: Floats
    values: Floats
    named: Mapping[str, Floats] = field(default_factory=dict)
    names: Sequence[str] = ()
    options: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def name(self, i: int) -> str:
        """The name of coordinate i, as an axis has it."""
        return self.names[i] if self.names else f"$x_{i + 1}$"

    def positions(self) -> Floats:
        """All positions, round by round, (E, D); ValueError if only values were kept."""
        if not len(self.x):
            raise ValueError(
                "this search kept no positions: run minimize(..., history='particles')"
            )
        return self.x

    def diversity(self) -> Floats:
        """Mean distance of the particles from their mean in each round, (T,)."""
        x = self.positions()
        clouds = [x[self.rounds == k] for k in range(len(self.best))]
        return np.array([np.linalg.norm(x - x.mean(axis=0), axis=1).mean() for x in clouds])


def trace(source: Any) -> Trace:
    """Read the course of a search.

    Args:
        source: a `Result`, a list of `Step`, the folder of a `swarm-llm` run, or an object whose
            `run` is such a folder. A trace is returned unchanged.

    Returns:
        The course of the search.

    Raises:
        ValueError: another source, or a folder with a missing or empty journal.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.sphere, [(-5, 5)] * 2, max_evals=400, seed=0, history="particles")
        >>> t = trace(r)
        >>> bool(t.best[-1] == r.fun), t.positions().shape[1]
        (True, 2)
    """
    if isinstance(source, Trace):
        return source
    if isinstance(source, Result):
        return _of_result(source)
    if isinstance(source, str | Path) or hasattr(source, "run"):
        return _of_folder(Path(getattr(source, "run", source)))
    if isinstance(source, Sequence) and source and all(isinstance(step, Step) for step in source):
        return _of_steps(source)
    raise ValueError(
        f"{type(source).__name__} cannot be plotted: give a Result, recorded steps or a run's "
        "folder"
    )


def _of_result(result: Result) -> Trace:
    found = _of_history(result.history, result.maximize)
    if result.space is None:
        return found
    names = []
    options = {}
    for name, owner in zip(result.space.names, result.space.owners, strict=True):
        parameter = result.space.parameter(owner)
        names.append(f"log({name})" if getattr(parameter, "log", False) else name)
        if isinstance(parameter, Choice):
            options[name] = parameter.options
    return replace(found, names=names, options=options)


def _of_history(history: History, maximize: bool) -> Trace:
    records = list(history)
    if not records:
        raise ValueError("this search has no history to plot")
    if isinstance(records[0], ParticleRecord):
        return _of_rows(records, maximize)
    evaluations, best = np.array([(r.evaluations, r.best) for r in records]).T
    numbers = np.empty(0, np.int64)
    none = np.empty((0, 0))
    upto = evaluations.astype(np.int64)
    return Trace(upto, best, maximize, numbers, numbers, none, none.ravel())


def _of_steps(steps: Sequence[Step]) -> Trace:
    rows = [
        ParticleRecord(step.number, i, float(value), x)
        for step in steps
        for i, (x, value) in enumerate(zip(step.x, step.values, strict=True))
    ]
    return _of_rows(rows, maximize=steps[-1].best > steps[0].best)


def _of_folder(folder: Path) -> Trace:
    journal = folder / "history.jsonl"
    if not journal.is_file():
        raise ValueError(f"{folder}: has no history.jsonl; give the folder of a swarm-llm run")
    lines = journal.read_text(encoding="utf-8").split("\n")
    # an unterminated last line is incomplete
    records = [json.loads(line) for line in lines[:-1] if line]
    rows = [
        ParticleRecord(r["iteration"], r["particle"], r["value"], np.ravel(r["coefficients"]))
        for r in records
        if r.get("phase", "search") == "search"
    ]
    if not rows:
        raise ValueError(f"{journal}: holds no evaluation yet")
    found = _of_rows(rows, maximize=True)
    return replace(found, named=_named(folder, found.x.shape[1]))


def _named(folder: Path, dim: int) -> dict[str, Floats]:
    """The base and the experts of a run; empty unless each coefficient is an expert's."""
    about = folder / "run.json"
    if not about.is_file():
        return {}
    experts = json.loads(about.read_text(encoding="utf-8"))["config"]["experts"]
    if len(experts) != dim:
        return {}
    named = {"base": np.zeros(dim)}
    for expert, corner in zip(experts, np.eye(dim), strict=True):
        named[Path(expert).name] = corner
    return named


def _of_rows(rows: Sequence[ParticleRecord], maximize: bool) -> Trace:
    """A trace from one row per evaluation."""
    in_order = sorted(rows, key=lambda row: row.iteration)
    rounds, particles, _, x, _ = zip(*in_order, strict=True)
    values = np.array([row.feasible_value for row in in_order])
    _, numbers, counts = np.unique(rounds, return_inverse=True, return_counts=True)
    sign = -1.0 if maximize else 1.0
    lowest = np.full(len(counts), np.inf)
    finite = np.isfinite(values)
    np.minimum.at(lowest, numbers[finite], sign * values[finite])
    return Trace(
        np.cumsum(counts), sign * np.minimum.accumulate(lowest), maximize, numbers,
        np.array(particles), np.array(x, dtype=np.float64), values,
    )  # fmt: skip
