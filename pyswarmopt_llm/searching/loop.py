"""The main job: a swarm of experts searches for a better one.

A search is decided (`plan`), loaded (`prepare`), explored (`explore`), trained (`train`) and
finished (`finish`); whoever runs it writes card and report (`report.run`). Its run directory knows
everything that was expensive, so that to resume is to do the same again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.files.fingerprint import versions
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.optimizers import optimizer, released
from pyswarmopt_llm.common.registry import lazy
from pyswarmopt_llm.scores.tasks import Scoring, Task
from pyswarmopt_llm.scores.tasks.types import form_of
from pyswarmopt_llm.searching.explore import explore
from pyswarmopt_llm.searching.finish import finish
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import (
    Run,
    about_run,
    check_new,
    position_key,
)
from pyswarmopt_llm.searching.scoring.scorer import Questions, Request

Publish = Callable[[Run, Result, Mapping[str, Task]], None]  # writes what people read of a run
choose_draw = lazy("pyswarmopt_llm.searching.grid:choose_draw")
train_further = lazy("pyswarmopt_llm.searching.train:train_further")
still_same = lazy("pyswarmopt_llm.servers.attach:still_same")


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    Example:
        >>> experts = ("adapters/math", "adapters/science")  # doctest: +SKIP
        >>> config = sl.SearchConfig("my/base", experts, ("questions.json",), "runs/a")  # doctest: +SKIP
        >>> found = sl.search(config)  # doctest: +SKIP
        >>> found.run.name, found.result["best_dev"]  # doctest: +SKIP
        ('a', 0.625)
    """

    run: Path  # its directory; ``best/`` in it is the adapter
    result: Mapping[str, Any]  # the content of ``result.json``


def search(
    config: SearchConfig, on_event: OnEvent | None = None, publish: Publish | None = None
) -> SearchResult:
    """Find a better mixture of experts and train it; with a grid, of several sets of coefficients.

    Args:
        config: what to search, where and how long.
        on_event: called with progress.
        publish: called with the finished run, before ``result.json`` is written.

    Returns:
        The finished run. The score in it is that of the files in ``best/``, read back and scored
        again.

    Raises:
        UserError: bad input, before anything is written.
        KeyboardInterrupt: the run can be resumed.
    """
    path = user_path(config.out)
    check_new(path)
    job = prepare(config)
    # Made before anything is written, since some of nevergrad's refuse this number of coefficients.
    with released(optimizer(job.config, job.starts)):
        pass
    return work(job, Run.create(path, about(job)), on_event, publish)


def resume(
    run: str | Path,
    on_event: OnEvent | None = None,
    allowed: Collection[str] = (),
    publish: Publish | None = None,
) -> SearchResult:
    """Continue a run: the same result as if it had never been stopped; of a finished run its
    result.

    Args:
        run: its directory.
        on_event: called with progress.
        allowed: what of its configuration may run code, in the words it was begun with; see
            `named_again.require`.
        publish: see `search`.

    Raises:
        UserError: not a run, one that would run code that is not allowed, or base, experts or data
            changed since it began.
    """
    opened = Run.open(user_path(run))
    if (finished := opened.result) is not None:
        result = finished.to_json()
        if on_event is not None:
            on_event(Event("done", {"result": result}))
        return SearchResult(opened.path, result)
    from pyswarmopt_llm.scores.metrics.external.named_again import require

    require(opened.config, allowed, opened.path)
    # A judge's answers are in the run, wherever that is now; what a preset chose is stored.
    config = replace(opened.config, out=str(opened.path), preset="none")
    job = reopened(opened, prepare(config, opened.about.given))
    return work(job, opened, on_event, publish)


def about(job: Job) -> dict[str, Any]:
    """What ``run.json`` is to hold of a search."""
    tasks = job.tasks.items()
    more: dict[str, Any] = {"notes": job.notes} if job.notes else {}
    more["forms"] = {name: form.to_json() for name, task in tasks if (form := form_of(task))}
    more["left"] = {name: task.left for name, task in tasks if task.left is not None}
    if job.examination is not None:
        more |= job.examination.stored
    more |= {"given": job.given, "chosen": job.chosen}
    names = {"base_name": job.base_name, "versions": versions()}
    return about_run(job.stored, job.fingerprints, **names, **more)


def reopened(run: Run, job: Job) -> Job:
    """The job of a run that goes on.

    A score function of another source, say because it raised on a rare reply, is accepted if it
    gives an expert that is scored already the same values, or if nothing is scored yet.

    Raises:
        UserError: base, experts, data, scores or the server are not what they were.
    """
    now = dict(job.fingerprints)
    before, after = run.about.fingerprints.get("scores", {}), now.pop("scores", {})
    run.check_fingerprints(now)
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            _check_values(run, job, name)
    if job.examination is None:
        return job
    return replace(job, notes=still_same(run, job.examination, job.notes))


def _check_values(run: Run, job: Job, name: str) -> None:
    """Score the first expert on a task again, if the store has its values."""
    vertex = job.space.vertices()[0]
    known = ("search", position_key(vertex))
    if known not in run.store:
        return
    scorings: dict[str, Scoring] = {task: "generate" for task in job.tasks}
    evaluator = job.evaluator(Questions("dev", tuple(scorings.items())))
    score = partial(evaluator.evaluate, Request(vertex))
    row = run.store.row(*known, job.objectives.names, score)
    job.engine.load(job.space.realise(vertex))
    now = evaluator.utilities[name](job.engine).per_item
    for item, old, new in zip(job.tasks[name].dev, row.item_values(name), now, strict=True):
        if old != new:
            raise UserError(
                f"{run.path}: the score of {name} changed since the run began: it gives prompt "
                f"{item.id} {new:g} in place of {old:g} (expert {job.space.expert_names[0]}); put "
                "it back, or begin a new run"
            )


def work(job: Job, run: Run, on_event: OnEvent | None, publish: Publish | None) -> SearchResult:
    """Search, train, and hand over; with a grid of coefficients search with each draw before."""
    tell = on_event or (lambda event: None)
    with run.locked():
        if job.drawn_from:
            job = choose_draw(job, run, tell)
            run.write_about(about(job))  # no grid from now on
        start = time.perf_counter()
        found = explore(job, run, tell)
        training = train_further(job, run, found, tell) if job.trains else None
        tell(Event("closing"))
        result = finish(job, run, found, training, start)
        if publish is not None:
            publish(run, result, job.tasks)
        content = result.to_json()
        run.finish(content)  # last: where it is, everything is
    tell(Event("done", {"result": content}))
    return SearchResult(run.path, content)
