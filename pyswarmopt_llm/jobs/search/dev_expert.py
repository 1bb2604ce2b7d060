"""One more expert for a search, trained on the dev items (``--dev-expert``)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pyswarmopt.cli.words import counted
from pyswarmopt_llm.common.config import EVEN_SUMS
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.files.regular import read_json
from pyswarmopt_llm.common.interfaces import Space
from pyswarmopt_llm.evaluation.policy import Policy
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.evaluation.scorer import Scorer
from pyswarmopt_llm.jobs.search.prepare import Job
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_llm.models.adapters.adapter import AdapterFile
from pyswarmopt_llm.models.choices import Choices
from pyswarmopt_llm.spaces.cross_fitted import MIXTURES, CrossFittedSpace, best_of, complete_from, train_on_dev
from pyswarmopt_llm.tasks import Scoring

FOLDER = "dev-expert"  # in the run directory


def untrained_space(job: Job) -> CrossFittedSpace:
    """The space that the search will have, to begin with."""
    return CrossFittedSpace([AdapterFile(info) for info in job.prepared.experts], job.config.granularity)


def in_space(job: Job, space: Space) -> Job:
    """The same job over other candidates."""
    return replace(job, prepared=replace(job.prepared, space=space))


def train_dev_expert(
    job: Job,
    space: CrossFittedSpace,
    run: Run,
    scorer: Scorer,
    policy: Policy,
    scorings: Mapping[str, Scoring],
    notify: OnEvent,
) -> None:
    """Score what can be trained further, and train the best of it, unless the run directory has the outcome.

    Args:
        job: the search.
        space: of the job; to be completed.
        run: where the new expert is or will be.
        scorer: of the dev items.
        policy: learns from the rows.
        scorings: of the tasks.
        notify: called with progress.
    """
    tried = list(space.tried())
    sums, experts = tried[:EVEN_SUMS], tried[EVEN_SUMS:]
    of_experts = scorer.in_full(experts, 0, policy.in_full(len(experts)))
    of_sums = scorer.in_full(sums, 0, policy.in_full(len(sums)), job.config.population)  # numbered after the particles
    rows = [*of_sums, *of_experts]
    policy.learn(experts, of_experts)
    policy.learn_uncertain(sums, of_sums)
    utilities, choices = training_items(job, scorings)
    values = [
        {p: value for name, one in utilities.items() for p, value in one.by_prompt(row.item_values(name)).items()}
        for row in rows
    ]
    start, folder, place = time.monotonic(), run.path / FOLDER, job.prepared.base_name
    if not folder.exists():
        notify(Event("note", {"text": _note(space, values, choices)}))

    def after_epoch(share: float) -> None:
        notify(Event("training", {"share": share, "seconds": time.monotonic() - start}))

    train_on_dev(space, job.engine, choices, values, folder, place, job.config.seed, after_epoch)


def completed(job: Job, run: Run, scorings: Mapping[str, Scoring]) -> Job:
    """The job in the space of a run's search, whose new expert is read from the run directory.

    Raises:
        UserError: it is not there.
    """
    space = untrained_space(job)
    complete_from(space, run.path / FOLDER, training_items(job, scorings)[1], job.config.seed)
    return in_space(job, space)


def trained_from(run: Path) -> dict[str, float]:
    """The mixture on top of which the new expert of a run was trained: expert -> coefficient, those that are not 0."""
    found: dict[str, float] = read_json(run / FOLDER / MIXTURES)["all"]
    return found


def _note(space: CrossFittedSpace, values: Sequence[Mapping[str, float]], choices: Sequence[Choices]) -> str:
    from pyswarmopt_llm.reporting.verdict import start_of_training

    best = space.tried()[best_of(values, frozenset(values[0]))]
    start = start_of_training({"trained_from": space.weights(best)})
    return f"training one more expert on the {counted(len(choices), 'dev item')}, starting from {start}"


def training_items(job: Job, scorings: Mapping[str, Scoring]) -> tuple[dict[str, Accuracy], list[Choices]]:
    """The tasks' dev items as they are scored, and all of them as they are trained on."""
    utilities = {name: one for name, one in job.utilities("dev", scorings).items() if isinstance(one, Accuracy)}
    return utilities, [item for utility in utilities.values() for item in utility.choices()]


__all__ = ["FOLDER", "completed", "in_space", "train_dev_expert", "trained_from", "training_items", "untrained_space"]
