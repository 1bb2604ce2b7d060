"""How each task is answered: letters are tried, and scores that tell nothing are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import OnEvent, note
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.scores.metrics.accuracy import (
    TRIED,
    beats_chance,
    choose_scoring,
    one_letter,
    option_counts,
    trial_of,
)
from pyswarmopt_llm.scores.metrics.combine import find_combine
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.scores.tasks.types import form_of
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.scoring.scorer import Evaluator, OnRow, Scorer

if TYPE_CHECKING:
    from pyswarmopt_llm.common.interfaces import Score


def choose_scorings(job: Job, run: Run, on_row: OnRow, tell: OnEvent) -> dict[str, Scoring]:
    """The scoring of each task; ``auto`` tries letters on the first experts, and reports it."""
    possible = {
        name: job.objectives.scorings(name, job.plan.config.scoring, job.engine.likelihoods)
        for name in job.tasks
    }
    scorings: dict[str, Scoring] = {name: allowed[0] for name, allowed in possible.items()}
    tried = [name for name, allowed in possible.items() if len(allowed) > 1]
    if tried:
        trials = {name: trial_of(job.tasks[name], job.engine.chat) for name in tried}
        combine = find_combine("harmonic", len(trials))
        trial = Scorer(
            run, Evaluator(job.pool.space, job.engine, trials, combine), "letter", on_row
        )
        rows = trial.score(list(job.pool.space.vertices()[:TRIED]), 0)
        for name in tried:
            scores = [row.score(name) for row in rows]
            dev = job.tasks[name].dev
            scorings[name] = chosen = choose_scoring(possible[name], dev, scores.copy)
            same = one_letter(dev[: scores[0].n])
            tell(note(f"{name}: {letter_trial(scores, same, chosen)}"))
    point_to_writing(job, scorings, tell)
    return scorings


def letter_trial(scores: Sequence[Score], same: float, chosen: Scoring) -> str:
    """How well experts answer with an option's letter, and the scoring that follows from it.

    Args:
        scores: scores of each expert.
        same: accuracy of one letter for all examples.
        chosen: how answers are scored.

    Example:
        >>> from pyswarmopt_llm.common.statistics import score_of
        >>> letter_trial([score_of([1.0, 0.0, 0.0, 0.0])], 0.25, "likelihood").partition(". ")[2]
        'That is no better than guessing, so the probability of each option as the reply is compared'
    """
    best = max(score.value for score in scores)
    found = (
        f"asked for the letter of an option, the best of {counted(len(scores), 'expert')} has "
        f"{best:.3f} on {counted(scores[0].n, 'dev example')}, one letter for all {same:.3f}"
    )
    if chosen == "letter":
        return f"{found}. That is better than guessing, so letters are compared"
    how = "the probability of each option as the reply is compared"
    if chosen == "generate":
        how = "answers are written"
    return f"{found}. That is no better than guessing, so {how}"


def point_to_writing(job: Job, scorings: Mapping[str, Scoring], tell: OnEvent) -> None:
    """Say how a search for labels can find a result for a chat server, if no answer format was
    requested.
    """
    forms = [form_of(job.tasks[name]) for name, how in scorings.items() if how != "generate"]
    labels = any(form.choices for form in forms)
    if labels and job.plan.config.scoring == "auto" and job.plan.kind.library:
        tell(
            note(
                "the result will choose a label by its probability, which a chat in Ollama or vLLM "
                "cannot do; to serve it there, search with `scoring` generate"
            )
        )


def warn_of_useless_scores(
    job: Job, experts: Sequence[Row], scorings: Mapping[str, Scoring], tell: OnEvent
) -> None:
    """Warn if no expert is better than guessing, or all written replies score the same."""
    for name, task in job.tasks.items():
        metric = job.objectives.metrics[name]
        scores = [row.score(name) for row in experts]
        if metric.scoring == "generate":
            _warn_of_equal_scores(job, name, scores, scorings, tell)
            continue
        guesses = metric.name == "accuracy" and option_counts(task.dev)
        if guesses and not beats_chance(task.dev, scores):
            best = max(score.value for score in scores)
            how = f"{scorings[name]} scoring (best {best:.3f})"
            tell(note(f"{name}: no expert is measurably better than guessing on dev with {how}"))


def _warn_of_equal_scores(
    job: Job, name: str, scores: Sequence[Score], scorings: Mapping[str, Scoring], tell: OnEvent
) -> None:
    """Warn if all experts and the base have the same score on every dev prompt."""
    if len({score.per_item for score in scores}) > 1:
        return
    who = "every expert"
    if not job.plan.kind.several_models:
        job.engine.load(Patch())
        base = job.utilities("dev", scorings)[name](job.engine)
        if base.per_item != scores[0].per_item:
            return
        who += " and the base"
    tell(
        note(
            f"{name}: the score of {who} is {scores[0].value:.3f}, the same on each of the "
            f"{len(job.tasks[name].dev)} dev prompts; a search cannot tell candidates apart by it"
        )
    )
