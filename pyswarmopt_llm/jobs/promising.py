"""The few experts of many that a trial goes on with, by successive halving.

Source: Karnin, Koren and Somekh 2013, "Almost optimal exploration in multi-armed bandits", ICML.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import read_json, write_json
from pyswarmopt_llm.jobs.search.prepare import Job, prepare

MEMBERS = 4
FIRST_ITEMS = 8  # of each task, in the first round; twice as many in each that follows

# number of an expert, number of items -> its score on them
ItemScores = Callable[[int, int], float]


def promising_experts(config: SearchConfig, file: Path) -> tuple[str, ...]:
    """The experts of a trial, at most `MEMBERS`, in the order of the configuration.

    Args:
        config: of the trial; its dev items decide.
        file: keeps the choice; the same call later reads it.

    Raises:
        UserError: the file is about other experts.
    """
    if len(config.experts) <= MEMBERS:
        return config.experts
    if file.exists():
        kept = read_json(file)
        if kept.get("of") != list(config.experts):
            raise UserError(
                f"{file.parent}: holds another run (experts differs); give another `out`"
            )
        return tuple(kept["experts"])
    job = prepare(config)
    numbers = halved(len(config.experts), _scores_of(job))
    experts = tuple(config.experts[number] for number in numbers)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"experts": experts, "of": config.experts})
    return experts


def halving_passes(experts: int, items: int) -> int:
    """Forward passes of an item that `promising_experts` takes at most.

    Example:
        >>> halving_passes(4, 80), halving_passes(11, 80), halving_passes(11, 10)
        (0, 168, 138)
    """
    passes, shown = 0, FIRST_ITEMS
    while experts > MEMBERS:
        passes += experts * min(shown, items)
        experts, shown = _half(experts), 2 * shown
    return passes


def halved(experts: int, score: ItemScores) -> Sequence[int]:
    """The numbers of the experts that are left when the worse half is dropped again and again.

    Args:
        experts: how many there are.
        score: of an expert on so many items.

    Example:
        >>> halved(9, lambda number, items: number % 5)
        [2, 3, 4, 8]
    """
    numbers, items = list(range(experts)), FIRST_ITEMS
    while len(numbers) > MEMBERS:
        scores = {number: score(number, items) for number in numbers}
        better = sorted(numbers, key=lambda number: -scores[number])
        numbers, items = sorted(better[: _half(len(numbers))]), 2 * items
    return numbers


def _half(experts: int) -> int:
    return max(MEMBERS, experts // 2)


def _scores_of(job: Job) -> ItemScores:
    """Scores on the first items of each task in a random order, without a trial of letters."""
    vertices = job.space.vertices()
    shuffled = {}
    for name, task in job.tasks.items():
        shuffled[name] = random.Random(job.config.seed).sample(task.dev, len(task.dev))

    def score(number: int, items: int) -> float:
        job.engine.load(job.space.realise(vertices[number]))
        scores = []
        for name, task in job.tasks.items():
            scoring = job.objectives.scorings(name, job.config.scoring)[-1]
            metric = job.objectives.metrics[name]
            utility = metric.build(shuffled[name][:items], scoring, job.engine.chat, task.prompt)
            scores.append(utility(job.engine))
        return job.objectives.combine(scores).value

    return score


__all__ = ["MEMBERS", "halved", "halving_passes", "promising_experts"]
