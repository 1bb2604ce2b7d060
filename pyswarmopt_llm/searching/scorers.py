"""The scorers of a search, and the answer format of each task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import OnEvent, note
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.registry import lazy
from pyswarmopt_llm.scores.metrics.questions.answer_format import (
    TRIED,
    beats_chance,
    choose_scoring,
    one_letter,
    option_counts,
)
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.scoring.evaluator import LETTERS, Questions
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.scoring.scorer import OnRow, Scorer

start_pools = lazy("pyswarmopt_llm.servers.workers.pools:Pools")
_PHASES = {LETTERS: "letter", "dev": "search", "fresh": "confirm"}  # in the history


class Scorers:
    """Makes scorers of a search's questions, on its workers where it has any.

    Attributes:
        memory: bytes that workers on this machine took, once these have ended.
    """

    def __init__(self, job: Job, run: Run, on_row: OnRow) -> None:
        self._job, self._run, self._on_row = job, run, on_row
        # a user's function may bear one thread only
        on_server = job.config.served and not job.objectives.user_scored
        several = on_server or not job.workers.alone
        self._pools = start_pools(job, run, prepare) if several else None
        self.memory = 0

    def on(self, questions: Questions) -> Scorer:
        """Scores positions on these questions, with the run's store and history."""
        job, evaluator = self._job, self._job.evaluator(questions)
        pool = None if self._pools is None else self._pools.on(evaluator, questions)
        phase = _PHASES[questions.split]
        return Scorer(self._run, job.space, evaluator, phase, self._on_row, pool)

    def close(self) -> None:
        """End the workers."""
        if self._pools is not None:
            self.memory = self._pools.close()


@contextmanager
def scorers_of(job: Job, run: Run, on_row: OnRow) -> Iterator[Scorers]:
    """Scorers whose workers end with the context."""
    scorers = Scorers(job, run, on_row)
    try:
        yield scorers
    finally:
        scorers.close()


def choose_scorings(job: Job, scorers: Scorers, tell: OnEvent) -> dict[str, Scoring]:
    """The scoring of each task; ``auto`` tries the first experts on letters, and tells of it."""
    possible = {
        name: job.objectives.scorings(name, job.config.scoring, job.engine.likelihoods)
        for name in job.tasks
    }
    scorings: dict[str, Scoring] = {name: allowed[0] for name, allowed in possible.items()}
    tried = [name for name, allowed in possible.items() if len(allowed) > 1]
    if not tried:
        return scorings
    trial = scorers.on(Questions(LETTERS, tuple((name, "letter") for name in tried)))
    rows = trial.in_full(list(job.space.vertices()[:TRIED]), 0)
    for name in tried:
        scores, dev = [row.score(name) for row in rows], job.tasks[name].dev
        scorings[name] = chosen = choose_scoring(possible[name], dev, scores.copy)
        best = max(score.value for score in scores)
        tell(
            note(
                f"{name}: with option letters the best of {counted(len(rows), 'expert')} reaches "
                f"{best:.3f} on {scores[0].n} dev items, one letter for all "
                f"{one_letter(dev[: scores[0].n]):.3f}: "
                f"{'above' if chosen == 'letter' else 'within'} chance, so scoring is {chosen}"
            )
        )
    return scorings


def warn_of_useless_scores(
    job: Job, experts: Sequence[Row], scorings: Mapping[str, Scoring], tell: OnEvent
) -> None:
    """Warn where no expert is better than guessing, and where a score of written replies is the
    same for all experts and the base, on every dev prompt.
    """
    for name, task in job.tasks.items():
        metric, scores = job.objectives.metrics[name], [row.score(name) for row in experts]
        best = max(score.value for score in scores)
        if metric.name == "accuracy" and option_counts(task.dev):
            if not beats_chance(task.dev, scores):
                how = f"{scorings[name]} scoring (best {best:.3f})"
                tell(
                    note(f"{name}: no expert is measurably better than guessing on dev with {how}")
                )
        elif metric.scoring == "generate" and len({score.per_item for score in scores}) == 1:
            who = "every expert"
            if not job.kind.several_models:
                job.engine.load(Patch())
                base = job.utilities("dev", scorings)[name](job.engine)
                if base.per_item != scores[0].per_item:
                    continue
                who += " and the base"
            tell(
                note(
                    f"{name}: the score of {who} is {best:.3f}, the same on each of the "
                    f"{len(task.dev)} dev prompts; a search cannot tell candidates apart by it"
                )
            )
