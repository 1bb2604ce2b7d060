"""The main job: a search for a better combination of experts.

A search is decided (`decide`), loaded (`prepare`), explored (`find`), trained (`train`), and finished
(`finish`), rounded if its result is for a file of few bits (`rounded`). `api` begins and resumes
it, and writes its card and report. The run directory stores everything expensive, so resuming means
repeating: known results are replayed, then the search continues.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial

from pyswarmopt_llm.common.config import CHOICES, SearchConfig, search_command
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.files.regular import digest, versions
from pyswarmopt_llm.run.directory import About, RunDirectory
from pyswarmopt_llm.run.record import TRAINED
from pyswarmopt_llm.run.result import RunResult
from pyswarmopt_llm.scores.tasks.types import form_of
from pyswarmopt_llm.searching.find import Explored, Trained, find
from pyswarmopt_llm.searching.finish import finish
from pyswarmopt_llm.searching.prepare import Job

# settings with digests of their own, and those that a run may be resumed with
FREE = {"base", "experts", "tasks", "out", "workers", "device", "threads"}


def complete(job: Job, run: RunDirectory, on_event: OnEvent | None = None) -> RunResult:
    """Search, train, and write the result; with a grid of coefficients, first search with each
    draw. Known results are taken from the run.
    """
    if on_event is not None:
        job = replace(job, tell=on_event)
        job.engine.progress = partial(_reading, on_event)
    with run.locked():
        if job.config.is_grid:
            from pyswarmopt_llm.searching.grid import choose_draw

            job = choose_draw(job, run)
            run.write_about(about(job))  # no grid from here on
        start = time.perf_counter()
        with ExitStack() as stack:
            found = find(job, run, stack)
            trained = _trained(job, run, found)
        job.tell(Event("closing"))
        result = finish(job, run, found, trained, start)
        if job.config.front:
            from pyswarmopt_llm.searching.points import with_front

            found = replace(found, rule="; ".join(filter(None, [found.rule, trained.rule])))
            result = with_front(job, run, found, result)
        if job.config.curve:
            from pyswarmopt_llm.searching.curve import with_curve

            result = with_curve(job, run, found, trained, result)
        run.finish(result.to_json())
    return result


def _trained(job: Job, run: RunDirectory, found: Explored) -> Trained:
    """What training makes of what was found."""
    if not job.trains or found.together:  # no reply has a score of its own to choose it by
        return Trained(found.chosen)
    if job.config.front:
        from pyswarmopt_llm.searching.train_point import train_point

        return train_point(job, run, found)
    if job.objectives.written:
        from pyswarmopt_llm.searching.written.expert_iteration import train_on_replies

        return train_on_replies(job, run, found)
    from pyswarmopt_llm.searching.train_on_labels import train_on_labels

    return train_on_labels(job, found, run.path / TRAINED)


def _reading(tell: OnEvent, done: int, texts: int) -> None:
    """Report the texts that the engine has read of those it was given."""
    tell(Event("reading", {"done": done, "texts": texts}))


def about(job: Job) -> About:
    """Content of ``run.json`` for a search."""
    defaults = {name: getattr(SearchConfig, name) for name in CHOICES}
    return About(
        config=job.config,
        fingerprints={**job.fingerprints, "settings": _settings(job)},
        base_name=job.pool.base_name,
        versions=versions(),
        notes=job.notes,
        given=job.given,
        forms={task.name: form_of(task) for task in job.tasks.values()},
        command=search_command(replace(job.config, **(defaults | dict(job.given)))),
    )


def _settings(job: Job) -> str:
    """A digest of the settings that determine the numbers."""
    settings = asdict(job.config)
    return digest([settings[name] for name in sorted(settings.keys() - FREE)])
