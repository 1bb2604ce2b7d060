"""The last step of a search: models are trained further on dev (``--train``).

Where items have options, the base, the best expert and a mixture that is clearly better than it are
all cross-fitted. Those that are not behind the best by more than a standard error are then trained
on all items, and the best is kept. Where replies are written and scored, the mixture is trained on
the best of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.common.words import mixture_text
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.scores.choices import labelled
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.metrics.questions.written import Written
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.cross_fitting import Fitting, cross_fit, expected, not_worse
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.evaluator import row_of, stored_margins
from pyswarmopt_llm.searching.scoring.record import TRAINED, Margins, Row, wrong_for
from pyswarmopt_llm.searching.scoring.result import Iterated
from pyswarmopt_llm.searching.scoring.run_directory import Run, position_key
from pyswarmopt_llm.searching.scoring.scorer import OnRow, Scorer
from pyswarmopt_llm.searching.selection import Choice

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.written.expert_iteration import Iteration

FOLDER = "trained"  # in the run directory
BASE, EXPERT, MIXTURE = "base", "expert", "mixture"  # what is trained on labels
FAVOUR = 1 / 3  # standard errors by which the best expert may be behind as a start


@dataclass(frozen=True)
class Training:
    """A model before and after training, with the rows of their scores on dev.

    Attributes:
        before, after: the model.
        rows: of both.
        scores: of the second on dev, task name -> score; each item by what was trained without it.
        kept: whether the second is handed over.
        passes: forward passes of an item that all training took.
        tuned: what was trained on the same labels, by the name of its start (`BASE`, `EXPERT`).
        iteration: of training without labels.
        base: of training without labels, task name -> score of the base on dev.
    """

    before: Choice
    after: Choice
    rows: tuple[Row, Row]
    scores: Mapping[str, Score]
    kept: bool
    passes: int
    tuned: Mapping[str, Tuned] = field(default_factory=dict)
    iteration: Iterated | None = None
    base: Mapping[str, Score] = field(default_factory=dict)

    @property
    def chosen(self) -> Choice:
        """The choice that the search returns."""
        return self.after if self.kept else self.before


@dataclass(frozen=True)
class Tuned:
    """What was trained on top of a position, and its cross-fitted scores on dev, by task.

    Attributes:
        patch: trained on all items; None where cross-fitting finds it clearly behind.
    """

    position: Tensor
    patch: Patch | None
    scores: Mapping[str, Score]


def train_further(
    job: Job,
    run: Run,
    chosen: Choice,
    single: int,
    scorer: Scorer,
    scorings: Mapping[str, Scoring],
    notify: OnEvent,
    on_row: OnRow,
) -> Training | None:
    """Train, unless the run directory has the outcome, and score that.

    Args:
        job: the search, in a space of a kind that `trains`.
        run: where the LoRAs are or will be.
        chosen: what the search found.
        single: number of the best expert.
        scorer: of the search.
        scorings: of the tasks.
        notify: called with progress.
        on_row: called with new rows.

    Returns:
        A model before and after; None if too few replies were better than before, or no time is
        left.
    """
    begun = time.monotonic()

    def progress(share: float) -> None:
        notify(Event("training", {"share": share, "seconds": time.monotonic() - begun}))

    if not job.objectives.written:
        return _train_starts(job, run, chosen, single, scorer, scorings, notify, progress, on_row)
    _announce(job, run, [_in_words(job, chosen.position)], notify)
    outcome = _on_replies(job, run, chosen, scorings, notify, progress)
    if outcome is None:
        return None
    (before,) = scorer.score([chosen.position], 0)
    after = _row(job, run, chosen.position, outcome, on_row)
    return Training(
        before=chosen,
        after=replace(chosen, value=after.value, patch=outcome.patch),
        rows=(before, after),
        scores=outcome.scores,
        kept=not_worse(_total(job, after), _total(job, before)),
        passes=outcome.passes,
        iteration=outcome.iteration,
        base=outcome.base,
    )


def _train_starts(
    job: Job,
    run: Run,
    chosen: Choice,
    single: int,
    scorer: Scorer,
    scorings: Mapping[str, Scoring],
    notify: OnEvent,
    progress: Callable[[float], None],
    on_row: OnRow,
) -> Training:
    """Train starts on the right options, and keep what is expected to be best."""
    untrained = _untrained(job, chosen, single, scorer)
    starts = _starts(job, untrained, single)
    _announce(job, run, [_in_words(job, position) for position in starts.values()], notify)
    shares = dict.fromkeys(starts, 0.0)

    def tell(name: str, share: float) -> None:
        shares[name] = share
        progress(sum(shares.values()) / len(shares))

    fitted: dict[str, _CrossFitted] = {}
    rows: dict[str, Row] = {}
    for name, position in starts.items():
        fitted[name] = _cross_fitted(job, run, name, position, scorings, partial(tell, name))
        rows[name] = _row(job, run, position, fitted[name], on_row)
    (row,) = scorer.score([untrained.position], 0)
    *trained, before = expected([*rows.values(), row], job.objectives)
    values = dict(zip(starts, trained, strict=True))
    best = best_start(values)
    kept = not_worse(values[best], before)
    if not kept:
        best = next(name for name, start in starts.items() if start.equal(untrained.position))
    elif not starts[best].equal(untrained.position):
        (row,) = scorer.score([starts[best]], 0)
        untrained = Choice(starts[best], row.value)
    patches: dict[str, Patch] = {}
    for name in starts:
        if name == best or not_worse(values[name], values[best]):
            patches[name] = fitted[name].fitting.whole()
        else:
            tell(name, 1.0)
    return Training(
        before=untrained,
        after=replace(untrained, value=rows[best].value, patch=patches[best]),
        rows=(row, rows[best]),
        scores=fitted[best].scores,
        kept=kept,
        passes=sum(start.passes(name in patches) for name, start in fitted.items()),
        tuned={
            name: Tuned(position, patches.get(name), fitted[name].scores)
            for name, position in starts.items()
        },
    )


def best_start(values: Mapping[str, Score]) -> str:
    """The start after whose training most is expected; the best expert, unless that is behind by
    more than a third of a standard error.

    On twelve real tasks it was the better start by 1.4 points, with a standard deviation of 2.5; 200
    labels tell to 1.5 points (research/notes/regret.md).

    Example:
        >>> ahead = {"base": Score(0.62, (), 2, 0.1), "expert": Score(0.6, (), 2, 0.1)}
        >>> best_start(ahead), best_start({**ahead, "base": Score(0.7, (), 2, 0.1)})
        ('expert', 'base')
    """
    best = max(values, key=lambda name: values[name].value)
    if EXPERT in values and not_worse(values[EXPERT], values[best], FAVOUR):
        return EXPERT
    return best


def start_name(coefficients: Mapping[str, float], best_single: str) -> str:
    """What a trained model with these coefficients began with, as its folder is called.

    Example:
        >>> start_name({"x": 0.0}, "x"), start_name({"x": 1.0}, "x"), start_name({"x": 0.5}, "x")
        ('base', 'expert', 'mixture')
    """
    used = {name: weight for name, weight in coefficients.items() if weight}
    if not used:
        return BASE
    return EXPERT if used == {best_single: 1.0} else MIXTURE


def _untrained(job: Job, chosen: Choice, single: int, scorer: Scorer) -> Choice:
    """What the search found; the best expert, unless a mixture is ahead of it by more than a
    standard error.
    """
    expert = job.space.vertices()[single].to(chosen.position)
    if chosen.position.equal(expert) or not chosen.position.any():
        return chosen
    found, alone = expected(scorer.score([chosen.position, expert], 0), job.objectives)
    return Choice(expert, alone.value) if not_worse(alone, found) else chosen


def _starts(job: Job, untrained: Choice, single: int) -> dict[str, Tensor]:
    """Name -> position of each model that is trained."""
    expert = job.space.vertices()[single].to(untrained.position)
    starts = {BASE: torch.zeros_like(expert), EXPERT: expert}
    if not any(untrained.position.equal(start) for start in starts.values()):
        starts[MIXTURE] = untrained.position
    if job.config.quick:
        return {name: at for name, at in starts.items() if at.equal(untrained.position)}
    return starts


def _announce(job: Job, run: Run, starts: Sequence[str], notify: OnEvent) -> None:
    if not (run.path / FOLDER).exists():
        *others, last = starts
        on_top = f"{', '.join(others)} and {last}" if others else last
        notify(Event("note", {"text": f"{job.plan.training}, on top of {on_top}"}))


def _in_words(job: Job, position: Tensor) -> str:
    """The model at a position."""
    weights = job.space.coefficients(position).tolist()
    return mixture_text(dict(zip(job.space.expert_names, weights, strict=True)))


@dataclass(frozen=True, kw_only=True)
class _Scored:
    """Cross-fitted scores on dev, by task."""

    scores: Mapping[str, Score]
    seconds: float = 0.0  # that scoring took
    margins: Mapping[str, Margins] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Outcome(_Scored):
    """What was trained on replies; see `Training`."""

    patch: Patch
    passes: int
    iteration: Iterated
    base: Mapping[str, Score]


@dataclass(frozen=True, kw_only=True)
class _CrossFitted(_Scored):
    """A start that is trained on labels."""

    fitting: Fitting

    def passes(self, whole: bool) -> int:
        """Forward passes of an item, with those of a training on all items or without."""
        schedule, items = self.fitting.schedule, len(self.fitting.items)
        return schedule.passes(items) if whole else schedule.fold_passes(items)


def _cross_fitted(
    job: Job,
    run: Run,
    name: str,
    position: Tensor,
    scorings: Mapping[str, Scoring],
    progress: Callable[[float], None],
) -> _CrossFitted:
    """Score a start on dev, each item by what was trained without its fold."""
    utilities, items = job.training_items(scorings)
    start, schedule = job.space.realise(position), labelled(len(items))
    folder, seed = run.path / FOLDER / name, job.config.seed
    fitting = Fitting(
        job.engine, start, items, job.experts[0], seed, folder, schedule, progress=progress
    )
    seconds = 0.0

    def score(places: Sequence[int]) -> list[tuple[float, tuple[float, ...]]]:
        nonlocal seconds
        begun = time.perf_counter()
        outcomes = items_of_tasks(utilities.values(), job.engine, places)
        seconds += time.perf_counter() - begun
        return outcomes

    outcomes = iter(cross_fit(fitting, score))
    of_tasks = {name: list(islice(outcomes, len(task.items))) for name, task in utilities.items()}
    return _CrossFitted(
        fitting=fitting,
        scores={name: score_of([value for value, _ in own]) for name, own in of_tasks.items()},
        seconds=round(seconds, 4),
        margins={
            name: [stored_margins(margins) for _, margins in own] for name, own in of_tasks.items()
        },
    )


def items_of_tasks(
    tasks: Iterable[Accuracy], engine: Engine, places: Sequence[int]
) -> list[tuple[float, tuple[float, ...]]]:
    """Value and margins of items of several tasks, whose places count on from task to task;
    ascending.
    """
    outcomes: list[tuple[float, tuple[float, ...]]] = []
    first = 0
    for task in tasks:
        own = [place - first for place in places if first <= place < first + len(task.items)]
        if own:
            score = task(engine, own)
            margins = score.margins or ((),) * len(own)  # none without options
            outcomes += zip(score.per_item, margins, strict=True)
        first += len(task.items)
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
        patch=iteration.best.model.patch,
        scores=iteration.scores,
        passes=iteration.passes,
        iteration=iteration.use,
        # else scores are of sampled replies
        base={} if job.config.temperature else iteration.base,
    )


def _row(job: Job, run: Run, position: Tensor, outcome: _Scored, on_row: OnRow) -> Row:
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
    row = Row.from_json(run.store.get(TRAINED, key, row.to_json, wrong_for(row.items)))
    known = (TRAINED, key) in run.store.earlier
    run.append(row, known)
    on_row(row, known)
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
    from pyswarmopt_llm.searching.written.expert_iteration import expert_iteration
    from pyswarmopt_llm.searching.written.reply_log import ask_the_same
    from pyswarmopt_llm.searching.written.teachers import complementary

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
        run.store,
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
    return job.plan.budget.left(sum(row.n for row in rows), sum(row.seconds for row in rows))


__all__ = [
    "BASE",
    "EXPERT",
    "FOLDER",
    "MIXTURE",
    "Training",
    "Tuned",
    "best_start",
    "start_name",
    "train_further",
]
