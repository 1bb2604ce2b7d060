"""The demonstration: a search, and beside it the base, as it is and fine-tuned on the same examples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.evaluation.workers.spec import with_threads
from pyswarmopt_llm.jobs.search.loop import SearchResult, search
from pyswarmopt_llm.jobs.search.prepare import Job, prepare
from pyswarmopt_llm.jobs.search.train import training_items
from pyswarmopt_llm.models.training.folds import train_once
from pyswarmopt_llm.tasks import Scoring


def demo(config: SearchConfig, on_event: OnEvent | None = None) -> SearchResult:
    """Search on one task, then score the base on its test items, and what training on its dev items alone gives.

    Returns:
        As `search`; ``others`` in the result has label, score and interval of each. Fine-tuning is left out where the
        search trains nothing, either.
    """
    found = search(config, on_event)
    notify = on_event or (lambda event: None)
    job = prepare(with_threads(replace(config, scoring=str(found.result["scoring"]))))
    others = [_on_test(job, "base", Patch())]
    if "trained_test" in found.result:
        notify(Event("note", {"text": "fine-tuning the base on the same dev items, for comparison"}))
        _, choices = training_items(job, _scorings(job))
        job.engine.load(Patch())
        patch, _ = train_once(job.engine, choices, job.prepared.experts[0], config.seed)
        others.append(_on_test(job, "base, fine-tuned on dev", patch))
    return SearchResult(found.run, {**found.result, "others": others})


def _on_test(job: Job, label: str, patch: Patch) -> dict[str, Any]:
    (utility,) = job.utilities("test", _scorings(job)).values()
    job.engine.load(patch)
    score = utility(job.engine)
    return {"label": label, "test": score.value, "test_interval": interval(score.per_item)}


def _scorings(job: Job) -> dict[str, Scoring]:
    return {name: job.objectives.scorings(name, job.config.scoring)[0] for name in job.tasks}
