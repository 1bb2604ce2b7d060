"""One more expert for a search, trained on the dev items (``--dev-expert``)."""

from __future__ import annotations

import time
from dataclasses import replace

from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.jobs.search.prepare import Job
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_llm.models.adapters.adapter import AdapterFile
from pyswarmopt_llm.spaces.cross_fitted import CrossFittedSpace, train_on_dev
from pyswarmopt_llm.tasks import Scoring

FOLDER = "dev-expert"  # in the run directory


def untrained_space(job: Job) -> CrossFittedSpace:
    """The space that the search will have, to begin with."""
    return CrossFittedSpace([AdapterFile(info) for info in job.prepared.experts], job.config.granularity)


def with_dev_expert(job: Job, run: Run, scorings: dict[str, Scoring], notify: OnEvent) -> Job:
    """The job with a space of one more expert, which is trained here or read from the run directory."""
    utilities = job.utilities("dev", scorings).values()
    choices = [item for utility in utilities if isinstance(utility, Accuracy) for item in utility.choices()]
    space, folder = untrained_space(job), run.path / FOLDER
    if not folder.exists():
        notify(Event("note", {"text": f"training one more expert on the {len(choices)} dev items"}))
    start = time.monotonic()

    def after_epoch(share: float) -> None:
        notify(Event("training", {"share": share, "seconds": time.monotonic() - start}))

    train_on_dev(space, job.engine, choices, folder, job.prepared.base_name, job.config.seed, after_epoch)
    return replace(job, prepared=replace(job.prepared, space=space))


__all__ = ["untrained_space", "with_dev_expert"]
