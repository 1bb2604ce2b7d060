"""The last step of a search: the mixture that it found is trained further on dev (``--train``).

Where items have options, on these; where replies are written and scored, on the best of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, cast

from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.evaluation.evaluator import Evaluator
from pyswarmopt_llm.evaluation.record import TRAINED, Row
from pyswarmopt_llm.evaluation.result import Iterated
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.evaluation.scorer import OnRow, Scorer
from pyswarmopt_llm.jobs.search.cross_fitting import not_worse, read_trained, train_on_dev
from pyswarmopt_llm.jobs.search.prepare import Job
from pyswarmopt_llm.jobs.search.selection import Choice
from pyswarmopt_llm.metrics.questions.written import Written
from pyswarmopt_llm.models.choices import labelled
from pyswarmopt_llm.spaces.cross_fitted import CrossFittedSpace
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
        kept: whether the second is handed over.
        passes: forward passes of an item that training took.
        iteration: of training without labels.
        base: of training without labels, task name -> score of the base on dev.
    """

    before: Choice
    after: Choice
    rows: tuple[Row, Row]
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

    use, utilities = None, job.utilities("dev", scorings)
    base: Mapping[str, Score] = {}
    if job.objectives.written:
        iteration = _iterate(job, run, chosen.position, scorings, notify, progress)
        if iteration.best is None:
            return None
        space, passes, use = iteration.best.space, iteration.passes, iteration.use
        if not job.config.temperature:  # else scores are of sampled replies
            base = iteration.base
            utilities = {
                name: partial(_as_scored, score) for name, score in iteration.best.scores.items()
            }
    else:
        mixtures, seed = cast(DeltaSpace, job.space), job.config.seed
        choices = job.training_items(scorings)[1]
        patch = mixtures.realise(chosen.position)
        folder, schedule = run.path / FOLDER, labelled(len(choices))
        train_on_dev(job.engine, patch, choices, job.experts[0], folder, seed, progress, schedule)
        space = read_trained(mixtures, folder, choices, seed)
        passes = schedule.passes(job.dev_items)
    position = space.on_top_of(chosen.position)
    evaluator = Evaluator(space, job.engine, utilities, job.objectives.combine)
    (before,) = scorer.in_full([chosen.position], 0)
    (after,) = Scorer(run, space, evaluator, TRAINED, on_row).in_full([position], 0)
    trained = replace(chosen, position=position, value=after.value, space=space)
    kept = not_worse(_total(job, after), _total(job, before))
    return Training(chosen, trained, (before, after), kept, passes, use, base)


def _as_scored(score: Score, engine: Engine) -> Score:
    """The score of replies that are written already."""
    return score


def _total(job: Job, row: Row) -> Score:
    """The score of a row over all tasks."""
    return job.objectives.combine([row.score(name) for name in job.objectives.names])


def _iterate(
    job: Job,
    run: Run,
    position: Tensor,
    scorings: Mapping[str, Scoring],
    notify: OnEvent = lambda event: None,
    progress: Callable[[float], None] = lambda share: None,
) -> Iteration:
    """Train on the best replies."""
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


def trained_space(
    job: Job, run: Run, position: Tensor, scorings: Mapping[str, Scoring]
) -> CrossFittedSpace:
    """The space of what a finished run of this search trained, read from its directory.

    Args:
        job: the search.
        run: has trained what it found.
        position: of the mixture that was trained.
        scorings: of the tasks.

    Raises:
        UserError: it is not there.
    """
    folder = run.path / FOLDER
    if not folder.exists():
        raise UserError(f"{folder}: not there; restore it, or begin a new search")
    if job.objectives.written:
        iteration = _iterate(job, run, position, scorings)  # which is there: it is read
        if iteration.best is not None:
            return iteration.best.space
    return read_trained(
        cast(DeltaSpace, job.space), folder, job.training_items(scorings)[1], job.config.seed
    )


__all__ = ["FOLDER", "Training", "train_further", "trained_space"]
