"""Whether a run may go on with a score function whose file was edited, say because it raised on a
rare reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.record import Row, wrong_for
from pyswarmopt_llm.searching.scoring.run_directory import Run, position_key


def check_unchanged(run: Run, job: Job) -> None:
    """Refuse to go on if base, experts, data or scores are not what they were.

    A function of another source is accepted if it gives an expert that is scored already the same
    values, or if nothing is scored yet.

    Raises:
        UserError: names what changed.
    """
    now: Mapping[str, Any] = job.fingerprints
    run.check_fingerprints({kind: value for kind, value in now.items() if kind != "scores"})
    before, after = run.about.fingerprints.get("scores", {}), now.get("scores", {})
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            _check_values(run, job, name)


def _check_values(run: Run, job: Job, name: str) -> None:
    """Score the first expert again, if the journal has it."""
    vertex = job.space.vertices()[0]
    key = position_key(vertex)
    if ("search", key) not in run.store:
        return
    stored = run.store.get("search", key, dict, wrong_for(job.objectives.names))
    row = Row.from_json(stored)
    job.engine.load(job.space.realise(vertex))
    scorings: dict[str, Scoring] = {task: "generate" for task in job.tasks}
    objectives = replace(job.objectives, tasks={name: job.tasks[name]}, externals={})
    (utility,) = objectives.utilities("dev", scorings, job.engine.chat).values()
    pairs = zip(
        job.tasks[name].dev, row.item_values(name), utility(job.engine).per_item, strict=True
    )
    for item, old, new in pairs:
        if old != new:
            gives = (
                f"gives prompt {item.id} {new:g} in place of {old:g} (expert "
                f"{job.space.expert_names[0]})"
            )
            raise UserError(
                f"{run.path}: the score of {name} changed since the run began: it {gives}; put it "
                "back, or begin a "
                "new run"
            )
