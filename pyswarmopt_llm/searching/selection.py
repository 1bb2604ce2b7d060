"""The models that a search compares, and the one that it hands over: the best on dev, or of the
leading ones the best on fresh dev items.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from pyswarmopt.base.optimizer import Point
from pyswarmopt.driver.multi.pareto import crowding_distance, non_dominated
from pyswarmopt_llm.common.files.regular import write_json
from pyswarmopt_llm.common.interfaces import Patch, Score, Space
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import Confirmed, Front, Leader
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.scoring.scorer import Scorer

TOP = 10  # candidates that `confirm` scores again
FRONT = 5  # points of the front that are saved beside the best
ByTask = Mapping[str, Score]


@dataclass(frozen=True)
class Contestant:
    """A model that a search compares: a mixture, and what was trained on top of it.

    Attributes:
        position: of the mixture, (D,).
        patch: the whole model, where it is not what the space makes of the position.
        trained: whether it was trained on dev; without a patch it was trained without folds alone,
            since it is clearly behind, and cannot be scored.
        known: split -> task -> score, where these are known.
        value: on dev, as the search saw it.
    """

    position: Tensor
    patch: Patch | None = None
    trained: bool = False
    known: Mapping[str, ByTask] = field(default_factory=dict)
    value: float = math.nan

    def realise(self, space: Space) -> Patch:
        """The patch that an engine loads."""
        return space.realise(self.position) if self.patch is None else self.patch


@dataclass(frozen=True)
class Scored:
    """A scored position, (D,), with the objective's value and each task's on dev."""

    position: Tensor
    value: float
    tasks: Mapping[str, float]


class Archive:
    """The candidates of a search that were scored in full, the first at each position."""

    def __init__(self, tasks: Sequence[str]) -> None:
        self._names = tuple(tasks)
        self._scored: dict[str, Scored] = {}

    def add(self, position: Tensor, row: Row | None) -> None:
        """Remember a candidate, (D,), unless its evaluation is incomplete."""
        if row is not None and row.complete and row.key not in self._scored:
            tasks = {name: row.score(name).value for name in self._names}
            self._scored[row.key] = Scored(position.clone(), float(row.value), tasks)

    @property
    def top(self) -> list[Scored]:
        """The `TOP` best by value, the best first; on a tie the earlier."""
        return sorted(self._scored.values(), key=lambda scored: -scored.value)[:TOP]

    @property
    def front(self) -> list[Scored]:
        """Candidates that none dominates, sorted by the first task; of several at one point the
        first.
        """
        points = list(
            {tuple(s.tasks.values()): s for s in reversed(self._scored.values())}.values()
        )
        efficient = non_dominated(-self._values(points))
        front = [point for point, is_in in zip(points, efficient, strict=True) if is_in]
        return sorted(front, key=lambda scored: tuple(scored.tasks.values()))

    def at(self, position: Tensor) -> Scored | None:
        """The candidate at a position, if there is one."""
        return next((s for s in self._scored.values() if s.position.equal(position)), None)

    def spread(self, without: Scored | None) -> list[Scored]:
        """At most `FRONT` points of the front that lie far apart, `without` one of them."""
        points = [point for point in self.front if point is not without]
        while len(points) > FRONT:
            points.pop(int(crowding_distance(-self._values(points)).argmin()))
        return points

    def _values(self, points: Sequence[Scored]) -> np.ndarray:
        values = np.array([list(point.tasks.values()) for point in points])
        return values.reshape(len(points), len(self._names))


def total(job: Job, row: Row) -> Score:
    """The score of a row over all tasks, of the items that were scored."""
    return job.objectives.combine([row.score(name) for name in job.objectives.names])


def by_task(job: Job, row: Row) -> dict[str, Score]:
    """Task -> score."""
    return {name: row.score(name) for name in job.objectives.names}


def best_expert(job: Job, rows: Sequence[Row]) -> int:
    """The number of the best expert on dev, of those that did not drop out of a race."""
    most = max(scored_items(row) for row in rows)
    values = {n: total(job, r).value for n, r in enumerate(rows) if scored_items(r) == most}
    return max(values, key=lambda number: values[number])


def scored_items(row: Row) -> int:
    """Items of all tasks that were scored."""
    return sum(not math.isnan(value) for task in row.items for value in row.item_values(task))


def choose(
    job: Job, archive: Archive, best: Point, fresh: Callable[[], Scorer]
) -> tuple[Contestant, Confirmed | None]:
    """The best on dev; with `confirm` the best of the leaders on dev items that the search has not
    seen, and the leaders' scores.

    The best of hundreds of noisy scores is partly the luckiest. On fresh items the leaders lose
    their luck, and the value there is biased only by the choice among few. On a tie the better on
    dev.
    """
    if not job.objectives.fresh:
        return Contestant(best.x, value=best.value), None
    leaders = archive.top
    rows = fresh().in_full([leader.position for leader in leaders], 0)
    values = [row.value for row in rows]
    chosen = values.index(max(values))
    scores = [Leader(leader.value, value) for leader, value in zip(leaders, values, strict=True)]
    confirmed = Confirmed(sum(map(len, job.objectives.fresh.values())), scores, chosen)
    return Contestant(leaders[chosen].position, value=leaders[chosen].value), confirmed


def save_front(job: Job, run: Run, archive: Archive, chosen: Contestant) -> Front:
    """Write ``front/``: candidates that no other beats on all tasks, with their values on dev.

    Returns, for ``result.json``, folder and values of each saved point, and the size of the whole
    front.
    """
    folder = run.path / "front"
    if folder.exists():  # an earlier process was stopped after writing it
        shutil.rmtree(folder)
    folder.mkdir()
    points: list[dict[str, Any]] = []
    # what was trained is none of the candidates
    at = None if chosen.trained else archive.at(chosen.position)
    for number, scored in enumerate(archive.spread(without=at), start=1):
        name = f"{number:02d}"
        job.space.save(scored.position, folder / name)
        weights = named_weights(job.space, scored.position)
        points.append(
            {"folder": f"front/{name}", "dev": dict(scored.tasks), "coefficients": weights}
        )
    everything = [dict(scored.tasks) for scored in archive.front]
    content = {
        "tasks": list(job.objectives.names),
        "points": points,
        "all": everything,
        "chosen": None if at is None else dict(at.tasks),
    }
    write_json(folder / "front.json", content)
    return Front(points, len(everything))


def named_weights(space: Space, position: Tensor) -> dict[str, float]:
    """Expert -> its coefficient."""
    return dict(zip(space.expert_names, space.coefficients(position).tolist(), strict=True))
