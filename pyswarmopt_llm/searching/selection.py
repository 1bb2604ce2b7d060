"""The candidate that a search returns: the best on dev, or of the leading ones the best on fresh
dev items.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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

TOP = 10  # candidates that --confirm scores again
FRONT = 5  # points of the front that are saved beside the best


@dataclass(frozen=True)
class Candidate:
    """A scored position, (D,), with the objective's value and each task's on dev."""

    position: Tensor
    value: float
    tasks: Mapping[str, float]


class Archive:
    """Keeps the `TOP` candidates by value and the Pareto front over the tasks; forgets all
    others.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self._names = tuple(tasks)
        self._seen: dict[str, Candidate] = {}

    def add(self, position: Tensor, row: Row) -> None:
        """Remember a candidate, (D,), if it leads; incomplete evaluations, without scores by task,
        are ignored.
        """
        if not row.complete or row.key in self._seen:
            return
        tasks = {name: row.score(name).value for name in self._names}
        self._seen[row.key] = Candidate(position.clone(), float(row.value), tasks)
        if len(self._seen) > 4 * TOP:
            self._forget()

    @property
    def top(self) -> list[Candidate]:
        """The best by value, the best first; on a tie the earlier."""
        return sorted(self._seen.values(), key=lambda candidate: -candidate.value)[:TOP]

    @property
    def front(self) -> list[Candidate]:
        """Candidates that none dominates, sorted by the first task; of several at one point the
        first.
        """
        distinct = {tuple(c.tasks.values()): c for c in reversed(self._seen.values())}
        points = list(distinct.values())
        keep = non_dominated(-self._values(points))
        return sorted(
            (c for c, k in zip(points, keep, strict=True) if k),
            key=lambda c: tuple(c.tasks.values()),
        )

    def at(self, position: Tensor) -> Candidate | None:
        """The candidate at a position, if it is remembered."""
        return next((c for c in self._seen.values() if c.position.equal(position)), None)

    def spread(self, without: Candidate | None) -> list[Candidate]:
        """At most `FRONT` points of the front that lie far apart, `without` one of them."""
        points = [c for c in self.front if c is not without]
        while len(points) > FRONT:
            points.pop(int(crowding_distance(-self._values(points)).argmin()))
        return points

    def _values(self, candidates: Sequence[Candidate]) -> np.ndarray:
        return np.array([list(c.tasks.values()) for c in candidates]).reshape(
            len(candidates), len(self._names)
        )

    def _forget(self) -> None:
        kept = {id(c) for c in [*self.top, *self.front]}
        self._seen = {key: c for key, c in self._seen.items() if id(c) in kept}


@dataclass(frozen=True)
class Choice:
    """The position that is handed over, or what was trained on top of it."""

    position: Tensor  # (D,)
    value: float = math.nan  # on dev, as the search saw it
    confirm: Confirmed | None = None  # for ``result.json``; None without ``--confirm``
    patch: Patch | None = None  # what was trained; None: the candidate at the position

    def realise(self, space: Space) -> Patch:
        """The patch, where the position is one of a space."""
        return space.realise(self.position) if self.patch is None else self.patch


def values_on_dev(job: Job, singles: Sequence[Mapping[str, Score]]) -> list[float]:
    """The objective's value of each expert on dev, of its scores by task."""
    return [job.objectives.combine(list(scores.values())).value for scores in singles]


def best_first(job: Job, singles: Sequence[Mapping[str, Score]]) -> list[int]:
    """The experts' numbers, the best on dev first; last those that dropped out of a race."""
    items = [items_scored(scores) for scores in singles]
    return sorted(
        ranked(values_on_dev(job, singles)), key=lambda number: items[number] < max(items)
    )


def items_scored(scores: Mapping[str, Score]) -> int:
    """Items of all tasks that these scores are of."""
    return sum(len(score.per_item) for score in scores.values())


def ranked(values: Sequence[float]) -> list[int]:
    """Places of the values, the greatest first; of equals the first.

    Example:
        >>> ranked([0.5, 0.7, 0.7])
        [1, 2, 0]
    """
    return sorted(range(len(values)), key=lambda number: -values[number])


def choose(job: Job, archive: Archive, best: Point, fresh: Callable[[], Scorer]) -> Choice:
    """The best on dev; with ``--confirm`` the best of the leaders on dev items that the search has
    not seen.

    The best of hundreds of noisy scores is partly the luckiest. On fresh items the leaders lose
    their luck, and the value there is biased only by the choice among few. On a tie the better on
    dev.
    """
    if not job.objectives.fresh:
        return Choice(best.x, best.value)
    candidates = archive.top
    rows = fresh().score([candidate.position for candidate in candidates], 0)
    values = [row.value for row in rows]
    chosen = values.index(max(values))
    leaders = [
        Leader(candidate.value, value) for candidate, value in zip(candidates, values, strict=True)
    ]
    confirm = Confirmed(sum(map(len, job.objectives.fresh.values())), leaders, chosen)
    return Choice(candidates[chosen].position, candidates[chosen].value, confirm)


def save_front(job: Job, run: Run, archive: Archive, chosen: Choice) -> Front:
    """Write ``front/``: candidates that no other beats on all tasks, their values on dev, and a
    plot.

    Returns, for ``result.json``, folder and values of each saved point, and the size of the whole
    front.
    """
    folder = run.path / "front"
    if folder.exists():  # an earlier process was stopped after writing it
        shutil.rmtree(folder)
    folder.mkdir()
    points: list[dict[str, Any]] = []
    # what was trained is none of the candidates
    at = archive.at(chosen.position) if chosen.patch is None else None
    for number, candidate in enumerate(archive.spread(without=at), start=1):
        name = f"{number:02d}"
        job.space.save(candidate.position, folder / name)
        values = job.space.coefficients(candidate.position).tolist()
        coefficients = dict(zip(job.space.expert_names, values, strict=True))
        points.append(
            {"folder": f"front/{name}", "dev": dict(candidate.tasks), "coefficients": coefficients}
        )
    everything = [dict(candidate.tasks) for candidate in archive.front]
    content = {"tasks": list(job.objectives.names), "points": points, "all": everything}
    write_json(folder / "front.json", content)
    from pyswarmopt_llm.report.plots import plot_front

    plot_front(
        folder / "front.png", everything, [p["dev"] for p in points], dict(at.tasks) if at else None
    )
    return Front(points, len(everything))
