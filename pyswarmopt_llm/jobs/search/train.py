"""The last step of a search: the mixture that it found is trained further on dev (``--train``).

Where items have options, on these; where replies are written and scored, on the best of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.interfaces import Engine, ItemScore, Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.evaluation.evaluator import row_of, stored_margins
from pyswarmopt_llm.evaluation.record import TRAINED, Margins, Row
from pyswarmopt_llm.evaluation.result import Iterated
from pyswarmopt_llm.evaluation.run_directory import Run, position_key
from pyswarmopt_llm.evaluation.scorer import OnRow, Scorer
from pyswarmopt_llm.jobs.search.cross_fitting import Fitting, cross_fit, not_worse
from pyswarmopt_llm.jobs.search.prepare import Job
from pyswarmopt_llm.jobs.search.selection import Choice
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_llm.metrics.questions.written import Written
from pyswarmopt_llm.models.choices import labelled
from pyswarmopt_llm.spaces.delta import DeltaSpace
from pyswarmopt_llm.tasks import Scoring

if TYPE_CHECKING:
    from pyswarmopt_llm.jobs.search.written.expert_iteration import Iteration

FOLDER = "trained"  # in the run directory


@dataclass(frozen=True)
class Training:
    """A mixture before and after training, with the rows of their scores on dev.

    Attributes:
        before, after: the mixture.
        rows: of both.
        scores: of the second on dev, task name -> score; each item by what was trained without it.
        kept: whether the second is handed over.
        passes: forward passes of an item that training took.
        iteration: of training without labels.
        base: of training without labels, task name -> score of the base on dev.
    """

    before: Choice
    after: Choice
    rows: tuple[Row, Row]
    scores: Mapping[str, Score]
    kept: bool
    passes: int
    iteration: Iterated | None = None
    base: Mapping[str, Score] = field(default_factory=dict)

    @property
    def chosen(self) -> Choice:
        """The choice that the search returns."""
        return self.after if self.kept else self.before


def train_further(
    job: Job,
    run: Run,
    chosen: Choice,
    scorer: Scorer,
    scorings: Mapping[str, Scoring],
    notify: OnEvent,
    on_row: OnRow,
) -> Training | None:
    """Train what the search found, unless the run directory has the outcome, and score that.

    Args:
        job: the search, in a space of a kind that `trains`.
        run: where the LoRAs are or will be.
        chosen: what is trained further.
        scorer: of the search.
        scorings: of the tasks.
        notify: called with progress.
        on_row: called with the new row.

    Returns:
        The mixture before and after; None if too few replies were better than before, or no time is
        left.
    """
    start = time.monotonic()
    if not (run.path / FOLDER).exists():
        from pyswarmopt_llm.reporting.summary import mixture_text

        weights = dict(
            zip(
                job.space.expert_names,
                job.space.coefficients(chosen.position).tolist(),
                strict=True,
            )
        )
        notify(Event("note", {"text": f"{job.training}, on top of {mixture_text(weights)}"}))

    def progress(share: float) -> None:
        notify(Event("training", {"share": share, "seconds": time.monotonic() - start}))

    if job.objectives.written:
        outcome = _on_replies(job, run, chosen, scorings, notify, progress)
    else:
        outcome = _on_labels(job, run, chosen, scorings, progress)
    if outcome is None:
        return None
    (before,) = scorer.in_full([chosen.position], 0)
    after = _row(job, run, chosen.position, outcome, on_row)
    trained = replace(chosen, value=after.value, patch=outcome.patch)
    return Training(
        before=chosen,
        after=trained,
        rows=(before, after),
        scores=outcome.scores,
        kept=not_worse(_total(job, after), _total(job, before)),
        passes=outcome.passes,
        iteration=outcome.iteration,
        base=outcome.base,
    )


@dataclass(frozen=True)
class _Outcome:
    """What was trained, and its cross-fitted scores on dev; the rest as of `Training`."""

    patch: Patch
    scores: Mapping[str, Score]
    passes: int
    seconds: float = 0.0  # that scoring took
    margins: Mapping[str, Margins] = field(default_factory=dict)
    iteration: Iterated | None = None
    base: Mapping[str, Score] = field(default_factory=dict)


def _on_labels(
    job: Job,
    run: Run,
    chosen: Choice,
    scorings: Mapping[str, Scoring],
    progress: Callable[[float], None],
) -> _Outcome:
    """Train on the right options."""
    utilities, items = job.training_items(scorings)
    start, schedule = job.space.realise(chosen.position), labelled(len(items))
    folder, seed = run.path / FOLDER, job.config.seed
    fitting = Fitting(
        job.engine, start, items, job.experts[0], seed, folder, schedule, progress=progress
    )
    seconds = 0.0

    def score(places: Sequence[int]) -> list[ItemScore]:
        nonlocal seconds
        begun = time.perf_counter()
        outcomes = items_of_tasks(utilities.values(), job.engine, places)
        seconds += time.perf_counter() - begun
        return outcomes

    outcomes = iter(cross_fit(fitting, score))
    of_tasks = {name: list(islice(outcomes, task.n)) for name, task in utilities.items()}
    return _Outcome(
        fitting.whole(),
        {name: score_of([item.value for item in own]) for name, own in of_tasks.items()},
        schedule.passes(len(items)),
        round(seconds, 4),
        {name: [stored_margins(item.margins) for item in own] for name, own in of_tasks.items()},
    )


def items_of_tasks(
    tasks: Iterable[Accuracy], engine: Engine, places: Sequence[int]
) -> list[ItemScore]:
    """The results on items of several tasks, whose places count on from task to task; ascending."""
    outcomes: list[ItemScore] = []
    first = 0
    for task in tasks:
        own = [place - first for place in places if first <= place < first + task.n]
        outcomes += task.score_items(engine, own) if own else []
        first += task.n
    return outcomes


def _on_replies(
    job: Job,
    run: Run,
    chosen: Choice,
    scorings: Mapping[str, Scoring],
    notify: OnEvent,
    progress: Callable[[float], None],
) -> _Outcome | None:
    """Train on the best replies; None if there are too few of them."""
    iteration = _iterate(job, run, chosen.position, scorings, notify, progress)
    if iteration.best is None:
        return None
    return _Outcome(
        iteration.best.model.patch,
        iteration.scores,
        iteration.passes,
        iteration=iteration.use,
        # else scores are of sampled replies
        base={} if job.config.temperature else iteration.base,
    )


def _row(job: Job, run: Run, position: Tensor, outcome: _Outcome, on_row: OnRow) -> Row:
    """The journal's row of what was trained, with a coefficient of 1 for the LoRA."""
    weights = job.space.coefficients(position)
    weights = torch.cat([weights, torch.ones_like(weights[:1])])
    key = position_key(weights)
    for row in run.rows:
        if (row.phase, row.key) == (TRAINED, key):
            return row
    total = job.objectives.combine(list(outcome.scores.values()))
    row = row_of(TRAINED, key, outcome.scores, total, outcome.seconds)
    row = replace(row, coefficients=weights.tolist(), margins=outcome.margins)
    run.append(row)
    on_row(row)
    return row


def _total(job: Job, row: Row) -> Score:
    """The score of a row over all tasks."""
    return job.objectives.combine([row.score(name) for name in job.objectives.names])


def _iterate(
    job: Job,
    run: Run,
    position: Tensor,
    scorings: Mapping[str, Scoring],
    notify: OnEvent,
    progress: Callable[[float], None],
) -> Iteration:
    """Train on the best replies, round by round."""
    from pyswarmopt_llm.jobs.search.written.expert_iteration import expert_iteration
    from pyswarmopt_llm.jobs.search.written.reply_log import ask_the_same
    from pyswarmopt_llm.jobs.search.written.teachers import complementary

    dev = cast(Mapping[str, Written], job.utilities("dev", scorings))
    spare = job.utilities("spare", scorings) if job.objectives.spare else {}
    combine = job.objectives.combine
    teachers = complementary(
        run.searched,
        position,
        job.objectives.names,
        combine=combine if ask_the_same(dev) else None,
    )
    return expert_iteration(
        job.engine,
        cast(DeltaSpace, job.space),
        position,
        dev,
        combine,
        job.experts[0],
        run.path / FOLDER,
        job.config.seed,
        spare=cast(Mapping[str, Written], spare),
        teachers=teachers,
        seconds=_seconds_left(job, run),
        say=lambda text: notify(Event("note", {"text": text})),
        progress=progress,
    )


def _seconds_left(job: Job, run: Run) -> float | None:
    """Seconds of the budget that a search leaves, by its journal; None without one."""
    rows = run.searched
    return job.budget.left(sum(row.n for row in rows), sum(row.seconds for row in rows))


__all__ = ["FOLDER", "Training", "train_further"]
