"""Which candidate a search hands over: its best on dev, or of the leading ones the best on fresh dev items."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pyswarmopt_llm.common.files.regular import write_json
from pyswarmopt_llm.common.interfaces import Space
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.evaluation.workers.messages import Questions
from pyswarmopt_llm.jobs.search.archive import Archive, Candidate
from pyswarmopt_llm.jobs.search.prepare import Job
from pyswarmopt_llm.jobs.search.scorers import Scorers
from pyswarmopt_llm.tasks import Scoring


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        position: (D,).
        value: its value on dev, as the search saw it.
        confirm: for ``result.json``; None without ``--confirm``.
        space: what the position is one of; None: the job's.
    """

    position: Tensor
    value: float
    confirm: dict[str, Any] | None = None
    space: Space | None = None


def choose(job: Job, scorers: Scorers, archive: Archive, best: Candidate, scorings: Mapping[str, Scoring]) -> Choice:
    """The best on dev; with ``--confirm`` the best of the leaders on dev items that the search has not seen.

    The best of hundreds of noisy scores is partly the luckiest. Scored again on fresh items, the leaders lose their
    luck, and the value there is without optimism but for the choice among few. Equal ones: the better on dev.
    """
    if not job.objectives.fresh:
        return Choice(best.position, best.value)
    again = scorers.scorer(Questions("fresh", tuple(scorings.items())))
    candidates = archive.top
    values = [row.value for row in again.in_full([candidate.position for candidate in candidates], 0)]
    chosen = values.index(max(values))
    confirm = {
        "items": sum(map(len, job.objectives.fresh.values())),
        "candidates": [{"dev": c.value, "fresh": value} for c, value in zip(candidates, values, strict=True)],
        "chosen": chosen,
    }
    return Choice(candidates[chosen].position, candidates[chosen].value, confirm)


def save_front(job: Job, run: Run, archive: Archive, chosen: Tensor) -> dict[str, Any]:
    """Write ``front/``: candidates that no other beats on all tasks, their values on dev, and a plot of them.

    Returns:
        For ``result.json``: task names, and of each saved point its folder and values.
    """
    folder = run.path / "front"
    if folder.exists():  # an earlier process was stopped after writing it
        shutil.rmtree(folder)
    folder.mkdir()
    points: list[dict[str, Any]] = []
    for number, candidate in enumerate(archive.spread(without=chosen), start=1):
        name = f"{number:02d}"
        job.space.save(candidate.position, folder / name)
        mixture = job.space.coefficients(candidate.position).tolist()
        points.append(
            {
                "folder": f"front/{name}",
                "dev": dict(candidate.tasks),
                "coefficients": dict(zip(job.space.expert_names, mixture, strict=True)),
            }
        )
    everything = [dict(candidate.tasks) for candidate in archive.front]
    found = {"tasks": list(job.objectives.names), "points": points, "all": everything}
    write_json(folder / "front.json", found)
    at = archive.at(chosen)
    from pyswarmopt_llm.reporting.plots import plot_front

    plot_front(folder / "front.png", everything, [p["dev"] for p in points], dict(at.tasks) if at else None)
    return {"points": points, "size": len(everything)}


__all__ = ["Choice", "choose", "save_front"]
