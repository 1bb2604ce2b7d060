"""Expert iteration without a search, from the base or from the best expert, with as many replies as
a search takes at most, its candidates and both of its trainings counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.run.record import RESULTS, Store
from pyswarmopt_llm.scores.tasks import AnswerFormat
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.written.expert_iteration import START, ExpertIteration, greedy_cover
from pyswarmopt_llm.searching.written.samples import ROUNDS, TEACHERS, planned_replies
from pyswarmopt_llm.training.fitting import not_worse

EVALUATIONS = 40  # of every method
FROM_BASE, FROM_BEST = "expert-iteration-base", "expert-iteration-best-single"


def samples(spent: int, dev: int, spare: int = 0) -> int:
    """Samples of a prompt in a round, so that all rounds take what a search takes at most.

    Args:
        spent: evaluations of all dev prompts before.
        dev: number of dev prompts.
        spare: number of spare prompts.

    Example:
        >>> samples(0, 100), samples(10, 100)  # (40 + 118 - 2) / 6 - 1
        (25, 23)
        >>> samples(10, 100, 400)  # (16,400 - 1,000 - 600) / 2,400
        6
    """
    left = (EVALUATIONS - spent) * dev + planned_replies(dev, spare) - 2 * (dev + spare)
    return (left - ROUNDS * dev) // (ROUNDS * (spare or dev))


def on_dev(job: Job) -> list[Score]:
    """The score of each expert on the dev prompts of a job of one task."""
    (utility,) = job.utilities("dev", {job.objectives.names[0]: "generate"}).values()
    scores = []
    for vertex in job.pool.space.vertices():
        job.engine.load(job.pool.space.realise(vertex))
        scores.append(utility(job.engine))
    return scores


def best_of(scores: Sequence[Score]) -> int:
    """Number of the best, of equals the first."""
    values = [score.value for score in scores]
    return values.index(max(values))


def experts_beside(scores: Sequence[Score], single: int) -> list[int]:
    """Numbers of the experts that teach one: those that, with it, are right on most prompts."""
    values = np.array([score.per_item for score in scores])
    return greedy_cover(values, values[single], TEACHERS)


def _print_note(event: Event) -> None:
    if event.kind == "note":
        print(" ", event.data["text"], flush=True)


def iterated(
    job: Job,
    position: Tensor,
    spent: int,
    folder: Path,
    seed: int,
    teachers: Sequence[Tensor] = (),
) -> list[float]:
    """The value of each test item, of what is not below its start on dev, else of the start.

    Args:
        job: of one task.
        position: of the base or of an expert, to begin with.
        spent: evaluations of all dev prompts that the choice of it took.
        folder: holds, or will hold, what the rounds write.
        seed: of samples and training.
        teachers: positions of other models that write replies.
    """
    answer_formats: dict[str, AnswerFormat] = {job.objectives.names[0]: "generate"}
    dev = job.utilities("dev", answer_formats)
    folder.mkdir(parents=True, exist_ok=True)
    spare = job.trained_items if job.objectives.spare else 0
    settings = replace(job.with_settings(seed=seed), tell=_print_note)
    most = samples(spent, job.items, spare)
    iteration = ExpertIteration(settings, answer_formats, Store(folder / RESULTS), folder, most)
    rounds = iteration.run(START, position, teachers)
    patch = job.pool.space.realise(position)
    if rounds:
        best = max(reversed(rounds), key=lambda one: one.row.value)
        job.engine.load(patch)
        before = [utility(job.engine) for utility in dev.values()]
        after = job.total(best.row)
        if not_worse(after, job.objectives.combine(before)):
            patch = best.model.patch
    job.engine.load(patch)
    (utility,) = job.utilities("test", answer_formats).values()
    return list(utility(job.engine).per_item)
