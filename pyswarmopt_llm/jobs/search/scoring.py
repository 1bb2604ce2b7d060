"""How each task is scored: as its metric says, or as a short trial of the experts shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.evaluation.workers.messages import LETTERS, Questions
from pyswarmopt_llm.jobs.search.prepare import Job
from pyswarmopt_llm.jobs.search.scorers import Scorers
from pyswarmopt_llm.metrics.questions.answer_format import TRIAL, beats_chance, option_counts
from pyswarmopt_llm.tasks import Scoring


def choose_scoring(job: Job, scorers: Scorers, notify: OnEvent) -> dict[str, Scoring]:
    """The scoring of each task; ``auto`` tries the experts on letters first, and an event says how that went."""
    scorings: dict[str, Scoring] = {}
    tried: list[str] = []
    for name in job.tasks:
        how, *others = job.objectives.scorings(name, job.config.scoring)
        if others:
            tried.append(name)
        else:
            scorings[name] = how
    if tried:
        trial = scorers.scorer(Questions(LETTERS, tuple((name, "letter") for name in tried)))
        rows = trial.in_full(list(job.space.vertices()), 0)
        for name in tried:
            scorings[name] = _letter_or_likelihood(job, name, [row.score(name) for row in rows], notify)
    return {name: scorings[name] for name in job.tasks}


def _letter_or_likelihood(job: Job, name: str, scores: Sequence[Score], notify: OnEvent) -> Scoring:
    items = job.tasks[name].dev[:TRIAL]
    above = beats_chance(items, scores)
    scoring: Scoring = "letter" if above else "likelihood"
    best = max(score.value for score in scores)
    chance = sum(1 / n for n in option_counts(items)) / len(items)
    text = (
        f"{name}: asked for option letters, the best expert reaches {best:.3f} on {len(items)} dev items, "
        f"guessing {chance:.3f}: {'above' if above else 'within'} chance, so scoring is {scoring}"
    )
    notify(Event("note", {"text": text}))
    return scoring


def warn_if_chance(
    job: Job, singles: Sequence[Mapping[str, Score]], scorings: Mapping[str, Scoring], notify: OnEvent
) -> None:
    """Say so where no expert is better than guessing."""
    for name, task in job.tasks.items():
        if job.objectives.metrics[name].name != "accuracy":
            continue
        if option_counts(task.dev) and not beats_chance(task.dev, [scores[name] for scores in singles]):
            best = max(scores[name].value for scores in singles)
            text = (
                f"{name}: every expert is within chance on dev with {scorings[name]} scoring (best {best:.3f}); "
                "a search has nothing to hold on to here"
            )
            notify(Event("note", {"text": text}))


__all__ = ["choose_scoring", "warn_if_chance"]
