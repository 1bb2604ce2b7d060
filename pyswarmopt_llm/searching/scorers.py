"""The evaluators of a search, this process or a pool of workers, and the scoring of each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.scores.metrics.questions.answer_format import (
    TRIED,
    beats_chance,
    choose_scoring,
    one_letter,
    option_counts,
)
from pyswarmopt_llm.scores.tasks import Item, Scoring
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.scoring.evaluator import LETTERS, Evaluator, Questions
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.scoring.scorer import Crew, OnRow, Scorer

if TYPE_CHECKING:
    from pyswarmopt_llm.servers.workers.pool import Pool
    from pyswarmopt_llm.servers.workers.served import ServedPool
    from pyswarmopt_llm.servers.workers.worker import Host

_PHASES = {LETTERS: "letter", "dev": "search", "fresh": "confirm"}  # in the journal


class Scorers:
    """Scorers for a search's questions; a context that ends the workers.

    `job` may be replaced for the questions that follow. After the context `memory` holds the bytes
    that the workers on this machine took.
    """

    def __init__(self, job: Job, run: Run, on_row: OnRow) -> None:
        self.job, self._run, self._on_row = job, run, on_row
        self._pool: Pool | None = None
        self._served: list[ServedPool] = []
        self.memory = 0

    def __enter__(self) -> Scorers:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._pool is not None:
            self.memory = self._pool.memory
            self._pool.close()
        for served in self._served:
            served.close()

    def scorer(self, questions: Questions) -> Scorer:
        """Scores positions on these questions, with the run's journal."""
        evaluator = self.job.evaluator(questions)
        crew = self._crew(questions, evaluator)
        return Scorer(self._run, evaluator, _PHASES[questions.split], self._on_row, crew)

    def _crew(self, questions: Questions, evaluator: Evaluator) -> Crew | None:
        """Those who evaluate several candidates at a time; None: this process does."""
        # a user's function may bear one thread only
        if self.job.config.served and not self.job.objectives.user_scored:
            from pyswarmopt_llm.servers.workers.served import ServedPool

            self._served.append(ServedPool(evaluator, self.job.engine))
            return self._served[-1].crew
        if self.job.workers.alone:
            return None
        self._pool = self._pool or self._start_pool()
        return self._pool.crew(questions)

    def _start_pool(self) -> Pool:
        from pyswarmopt_llm.servers.workers import local
        from pyswarmopt_llm.servers.workers.pool import Pool

        job = self.job
        # What `auto` and the preset stand for is decided once: another process or machine might
        # decide otherwise.
        config = replace(
            job.config, dtype=str(job.engine.dtype).removeprefix("torch."), preset="none"
        )
        host: Host
        if job.workers.address:
            from pyswarmopt_llm.servers.workers.ray import RayCluster

            host = RayCluster(job.workers.address, config, prepare)
        else:
            device = "cpu" if pick_device(config.device).type == "cpu" else config.device
            host = local.ForkServer(replace(config, device=device), prepare, job.workers.count)
        return Pool(host, job.fingerprints, self._run.note_failure)


def choose_scorings(job: Job, scorers: Scorers, notify: OnEvent) -> dict[str, Scoring]:
    """The scoring of each task; ``auto`` tries the first experts on letters and reports the outcome
    as an event.
    """
    possible = {
        name: job.objectives.scorings(name, job.config.scoring, job.engine.likelihoods)
        for name in job.tasks
    }
    scorings: dict[str, Scoring] = {name: allowed[0] for name, allowed in possible.items()}
    tried = [name for name, allowed in possible.items() if len(allowed) > 1]
    if tried:
        trial = scorers.scorer(Questions(LETTERS, tuple((name, "letter") for name in tried)))
        rows = trial.score(list(job.space.vertices()[:TRIED]), 0)
        for name in tried:
            scores = [row.score(name) for row in rows]
            dev = job.tasks[name].dev
            scorings[name] = choose_scoring(possible[name], dev, scores.copy)
            notify(Event("note", {"text": _trial_text(name, dev, scores, scorings[name])}))
    return scorings


def _trial_text(name: str, dev: Sequence[Item], scores: Sequence[Score], scoring: Scoring) -> str:
    items, members = dev[: scores[0].n], counted(len(scores), "expert")
    best = max(score.value for score in scores)
    return (
        f"{name}: with option letters the best of {members} reaches {best:.3f} on {len(items)} "
        "dev items, one letter "
        f"for all {one_letter(items):.3f}: {'above' if scoring == 'letter' else 'within'} chance, "
        f"so scoring is {scoring}"
    )


def warn_if_chance(
    job: Job,
    singles: Sequence[Mapping[str, Score]],
    scorings: Mapping[str, Scoring],
    notify: OnEvent,
) -> None:
    """Warn if no expert is better than guessing."""
    for name, task in job.tasks.items():
        scores = [single[name] for single in singles]
        countable = job.objectives.metrics[name].name == "accuracy" and option_counts(task.dev)
        if countable and not beats_chance(task.dev, scores):
            best = f"{scorings[name]} scoring (best {max(score.value for score in scores):.3f})"
            text = f"{name}: no expert is measurably better than guessing on dev with {best}"
            notify(Event("note", {"text": text}))


def warn_if_alike(
    job: Job,
    singles: Sequence[Mapping[str, Score]],
    scorings: Mapping[str, Scoring],
    notify: OnEvent,
) -> None:
    """Warn if a score of written replies is the same for all experts and the base, on every dev
    prompt.
    """
    for name, task in job.tasks.items():
        values = singles[0][name].per_item
        written = job.objectives.metrics[name].scoring == "generate" and len(values) > 0
        if not written or any(single[name].per_item != values for single in singles):
            continue
        who = "every expert"
        if not job.kind.several_models:
            job.engine.load(Patch())
            if job.utilities("dev", scorings)[name](job.engine).per_item != values:
                continue
            who += " and the base"
        text = (
            f"{name}: the score of {who} is {singles[0][name].value:.3f}, the same on each of "
            f"the {len(task.dev)} "
        )
        notify(
            Event(
                "note", {"text": f"{text}dev prompts; a search cannot tell candidates apart by it"}
            )
        )
