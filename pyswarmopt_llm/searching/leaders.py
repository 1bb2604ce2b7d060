"""The Pareto front of a search over several tasks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from pyswarmopt.driver.multi.pareto import crowding_distance, non_dominated
from pyswarmopt_llm.common.files.regular import write_json
from pyswarmopt_llm.searching.plan import FRONT
from pyswarmopt_llm.searching.prepare import Contestant, Job
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import Front, Model
from pyswarmopt_llm.searching.scoring.run_directory import Run

Measure = Callable[[str, Contestant], Model]  # called with a name and a model; scores it


@dataclass(frozen=True)
class Scored:
    """A scored position, (D,), and its value on dev for each task."""

    position: Tensor
    tasks: Mapping[str, float]
    row: Row


class Archive:
    """The fully scored candidates of a search, the first at each position."""

    def __init__(self, tasks: Sequence[str]) -> None:
        self._names = tuple(tasks)
        self._scored: dict[str, Scored] = {}

    def add(self, position: Tensor, row: Row) -> None:
        """Add a candidate, (D,), unless its evaluation is incomplete."""
        if row.complete and row.key not in self._scored:
            tasks = {name: row.score(name).value for name in self._names}
            self._scored[row.key] = Scored(position.clone(), tasks, row)

    @property
    def front(self) -> list[Scored]:
        """The non-dominated candidates, sorted by the first task; the first of several equal ones."""
        points = list(
            {tuple(s.tasks.values()): s for s in reversed(self._scored.values())}.values()
        )
        efficient = non_dominated(-self._values(points))
        front = [point for point, is_in in zip(points, efficient, strict=True) if is_in]
        return sorted(front, key=lambda scored: tuple(scored.tasks.values()))

    def at(self, position: Tensor) -> Scored | None:
        """The candidate at a position, or None."""
        return next((s for s in self._scored.values() if s.position.equal(position)), None)

    def spread(self, without: Scored | None) -> list[Scored]:
        """At most `FRONT` well-spread points of the front, excluding `without`."""
        points = [point for point in self.front if point is not without]
        while len(points) > FRONT:
            points.pop(int(crowding_distance(-self._values(points)).argmin()))
        return points

    def _values(self, points: Sequence[Scored]) -> np.ndarray:
        values = np.array([list(point.tasks.values()) for point in points])
        return values.reshape(len(points), len(self._names))


def save_front(job: Job, run: Run, archive: Archive, chosen: Contestant, measure: Measure) -> Front:
    """Write ``front/``: the non-dominated candidates, with their values on dev and test.

    Returns, for ``result.json``, the folder and values of each saved point, and the front's full
    size.
    """
    folder = run.path / "front"
    if folder.exists():  # written by an earlier, interrupted process
        shutil.rmtree(folder)
    folder.mkdir()
    points: list[dict[str, Any]] = []
    # a trained model is not among the candidates
    at = None if chosen.trained else archive.at(chosen.position)
    for number, scored in enumerate(archive.spread(without=at), start=1):
        name = f"{number:02d}"
        job.pool.space.save(scored.position, folder / name)
        model = measure(f"front/{name}", Contestant(scored.position, dev=scored.row))
        tests = {} if model.test is None else model.test.tasks
        point = {
            "folder": f"front/{name}",
            "dev": dict(scored.tasks),
            "test": {task: outcome.value for task, outcome in tests.items()},
            "coefficients": model.weights,
        }
        points.append(point)
    everything = [dict(scored.tasks) for scored in archive.front]
    content = {
        "tasks": list(job.objectives.names),
        "points": points,
        "all": everything,
        "chosen": None if at is None else dict(at.tasks),
    }
    write_json(folder / "front.json", content)
    return Front(points, len(everything))
