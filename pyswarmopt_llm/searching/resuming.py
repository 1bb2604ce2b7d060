"""Continue an interrupted run: known results are replayed, then the search goes on."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.scores.metrics.external.named_again import require
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.prepare import Job, reopen
from pyswarmopt_llm.searching.scoring.run_directory import Run, check_fingerprints, position_key
from pyswarmopt_llm.searching.scoring.scorer import Questions
from pyswarmopt_llm.searching.search import SearchResult, complete


def resume(
    run: str | Path,
    on_event: OnEvent | None = None,
    allowed: Collection[str] = (),
) -> SearchResult:
    """Continue a run, with the same result as without interruption; of a finished run, return its
    result.

    Args:
        run: run directory.
        on_event: called with progress.
        allowed: parts of its configuration that may run code, as given at the start; see
            `named_again.require`.

    Raises:
        UserError: not a run, a run that would execute disallowed code, or base, experts or data
            have changed.
    """
    opened = Run(user_path(run))
    if (finished := opened.result) is not None:
        result = finished.to_json()
        if on_event is not None:
            on_event(Event("done", {"result": result}))
        return SearchResult(opened.path, result)
    require(opened.config, allowed, opened.path)
    job = checked(opened, reopen(opened.config, opened.about.given))
    return complete(job, opened, on_event)


def checked(run: Run, job: Job) -> Job:
    """The job of a continued run.

    A changed score function, say because the old one raised on a rare reply, is accepted if it
    gives an already scored expert the same values, or if nothing is scored yet.

    Raises:
        UserError: base, experts, data or scores have changed.
    """
    now = dict(job.fingerprints)
    before = run.about.fingerprints.get("scores", {})
    after = now.pop("scores", {})
    check_fingerprints(run, now)
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            _check_values(run, job, name)
    return job


def _check_values(run: Run, job: Job, name: str) -> None:
    """Score the first expert on a task again, if the store has its values."""
    vertex = job.pool.space.vertices()[0]
    row = run.store.find_row("search", position_key(vertex), job.objectives.names)
    if row is None:
        return
    scorings: dict[str, Scoring] = {task: "generate" for task in job.tasks}
    evaluator = job.evaluator(Questions("dev", tuple(scorings.items())))
    job.engine.load(job.pool.space.realise(vertex))
    now = evaluator.utilities[name](job.engine).per_item
    for item, old, new in zip(job.tasks[name].dev, row.item_values(name), now, strict=True):
        if old != new:
            raise UserError(
                f"{run.path}: the score of {name} changed since the run began: it gives prompt "
                f"{item.id} {new:g} in place of {old:g} (expert {job.pool.space.expert_names[0]}); put "
                "it back, or start a new run"
            )
