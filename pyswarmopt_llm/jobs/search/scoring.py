"""How each task is scored: as its metric says, or as a short trial of the experts shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.evaluation.workers.messages import LETTERS, Questions
from pyswarmopt_llm.jobs.search.prepare import Job
from pyswarmopt_llm.jobs.search.scorers import Scorers
from pyswarmopt_llm.metrics.questions.answer_format import TRIAL, beats_chance, choose_scoring, option_counts
from pyswarmopt_llm.tasks import Scoring


def choose_scorings(job: Job, scorers: Scorers, notify: OnEvent) -> dict[str, Scoring]:
    """The scoring of each task; ``auto`` tries the experts on letters first, and an event says how that went."""
    possible = {name: job.objectives.scorings(name, job.config.scoring) for name in job.tasks}
    scorings: dict[str, Scoring] = {name: allowed[0] for name, allowed in possible.items()}
    tried = [name for name, allowed in possible.items() if len(allowed) > 1]
    if tried:
        trial = scorers.scorer(Questions(LETTERS, tuple((name, "letter") for name in tried)))
        rows = trial.in_full(list(job.space.vertices()), 0)
        for name in tried:
            scores = [row.score(name) for row in rows]
            scorings[name] = choose_scoring(possible[name], job.tasks[name].dev[:TRIAL], scores.copy)
            notify(Event("note", {"text": _trial_text(job, name, scores, scorings[name])}))
    return scorings


def _trial_text(job: Job, name: str, scores: Sequence[Score], scoring: Scoring) -> str:
    items = job.tasks[name].dev[:TRIAL]
    best = max(score.value for score in scores)
    chance = sum(1 / n for n in option_counts(items)) / len(items)
    return (
        f"{name}: asked for option letters, the best expert reaches {best:.3f} on {len(items)} dev items, "
        f"guessing {chance:.3f}: {'above' if scoring == 'letter' else 'within'} chance, so scoring is {scoring}"
    )


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
