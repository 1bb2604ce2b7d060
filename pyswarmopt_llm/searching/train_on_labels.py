"""The last step of a search: training models further on dev (`train`).

If options are compared, the base, the best expert and a mixture that leads it by more than a
standard error are all cross-fitted, and the best is trained on all items. With a test split, the
base or the best expert is also trained on all items, to show what plain fine-tuning achieves; both
are if the folds cannot distinguish them from the best. If written replies are scored, the mixture
is trained on the best replies.

The result is an ordinary patch: the start, plus a LoRA trained on all items. Cross-fitted scores on
dev come from LoRAs trained without the item's fold (see `trainer.folds`). Every other score is the
patch's.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from pyswarmopt_llm.common.events import note
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.scores.choices import (
    MOST_STARTS,
    Choices,
    fold_epochs,
    fold_passes,
    training_passes,
)
from pyswarmopt_llm.scores.metrics.objectives import Objectives
from pyswarmopt_llm.searching.crew import Crew
from pyswarmopt_llm.searching.find import Explored, Trained
from pyswarmopt_llm.searching.prepare import Contestant, Job
from pyswarmopt_llm.searching.scorer import CandidateEvaluator
from pyswarmopt_llm.searching.surrogate import SOFTNESS, Margins
from pyswarmopt_llm.training.fitting import (
    Factors,
    Fitting,
    Meter,
    Part,
    not_worse,
    packed,
    unpacked,
)

BEHIND = 2.0  # a model trained on labels may be this many standard errors behind
# The models trained on labels.
BASE = "base"
EXPERT = "expert"
MIXTURE = "mixture"
APART = 2.0  # the folds tell two models apart by more than this many standard errors, paired
FAVOUR = 1 / 3  # the best expert may be behind as a start by this many standard errors


def expected(rows: Sequence[Row], objectives: Objectives) -> list[Score]:
    """The score on unseen items that each row predicts, all computed in the same way.

    Where all margins are known, an item counts by its closest margin (see `softened`), which varies
    half as much as right and wrong. Otherwise it is the score itself.
    """
    scores = [[row.tasks[name] for name in objectives.names] for row in rows]
    if all(score.margins and all(score.margins) for of_row in scores for score in of_row):
        scores = [[softened(score.margins) for score in of_row] for of_row in scores]
    return [objectives.combine(of_row) for of_row in scores]


def softened(margins: Margins) -> Score:
    """A score from the items' margins: the logistic function of the closest margin, in units of
    `SOFTNESS` times the closest margins' standard deviation.

    Example:
        >>> softened([[2.0, 0.5], [-0.5]]).value
        0.5
    """
    closest = np.array([min(of_item) for of_item in margins if of_item])
    scale = SOFTNESS * float(closest.std()) or 1.0
    return score_of(expit(closest / scale).tolist())


def train_on_labels(
    job: Job, found: Explored, folder: Path | None = None, most: int = MOST_STARTS
) -> Trained:
    """Train models on the right options, and choose the one with the best expected score.

    Args:
        job: the search, in a space that `trains`.
        found: outcome of exploring.
        folder: keeps the LoRAs; those found there are reused. None: keeps nothing.
        most: maximum number of models to train; the best untrained model comes first.

    Returns:
        The models before and after.
    """
    if job.config.quick:
        most = 1
    untrained = _untrained(job, found)
    starts = _starts(untrained, job.pool.space.vertices()[found.single].to(untrained), most)
    announce(job, starts)
    fittings, rows = _cross_fitted(job, found, starts, folder)
    (row,) = found.scorer.score([untrained], 0)
    *trained, before = expected([*rows.values(), row], job.objectives)
    values = dict(zip(rows, trained, strict=True))
    best = best_start(values)
    kept = not_worse(values[best], before, BEHIND)
    if not kept:
        best = next(name for name, start in starts.items() if start.equal(untrained))
    (before_row,) = found.scorer.score([starts[best]], 0)
    mixture = Contestant(starts[best], dev=before_row)
    whole = trained_whole(values, best, job.compares_tuned)
    tuned = _tuned(found, starts, fittings, rows, whole)
    start_of = {"trained": best}  # model of the result -> its start
    start_of |= {f"{name}_tuned": name for name in (BASE, EXPERT) if name in tuned}
    items = len(fittings[best].items)
    return Trained(
        best=tuned[best] if kept else mixture,
        models={"mixture": mixture} | {model: tuned[name] for model, name in start_of.items()},
        passes=len(starts) * fold_passes(items) + len(whole) * training_passes(items),
        fittings={model: fittings[name] for model, name in start_of.items()},
    )


def _tuned(
    found: Explored,
    starts: Mapping[str, Tensor],
    fittings: Mapping[str, Fitting],
    rows: Mapping[str, Row],
    whole: Collection[str],
) -> dict[str, Contestant]:
    """Each start after training: on all items if it is in `whole`, else without a patch.

    Args:
        found: outcome of exploring.
        starts: name -> position.
        fittings: name -> its training.
        rows: name -> its cross-fitted scores.
        whole: names of the starts to train on all items.
    """
    crew = found.scorer.crew
    if crew is not None:
        fit_side_by_side(crew, [(fittings[name], fittings[name].on_all()) for name in whole])
    tuned = {}
    for name, row in rows.items():
        patch = fittings[name].whole() if name in whole else None
        tuned[name] = Contestant(starts[name], patch, trained=True, dev=row)
    return tuned


def trained_whole(values: Mapping[str, Score], best: str, tests_plain: bool) -> set[str]:
    """The starts to train on all items: the best and, for a comparison on test, the base or the best
    expert, whichever leads in the folds; both if the folds cannot distinguish them from the best.

    Args:
        values: start -> its cross-fitted score after training.
        best: the start of the result.
        tests_plain: whether base and best expert, each fine-tuned, are scored on test.

    Example:
        >>> values = {"base": score_of([0.0, 0.1] * 20), "expert": score_of([0.5, 0.4] * 20)}
        >>> values["mixture"] = score_of([0.9, 0.8] * 20)
        >>> sorted(trained_whole(values, "mixture", True)), trained_whole(values, "expert", True)
        (['expert', 'mixture'], {'expert'})
    """
    if not tests_plain:
        return {best}
    plain = [name for name in (BASE, EXPERT) if name in values]
    ahead = max(plain, key=lambda name: values[name].value)
    close = {name for name in plain if not_worse(values[name], values[best], APART)}
    return {best, ahead, *close}


def _untrained(job: Job, found: Explored) -> Tensor:
    """The position to use without training: the best expert's, unless a mixture is ahead of it by
    more than a standard error.
    """
    position = found.chosen.position
    expert = job.pool.space.vertices()[found.single].to(position)
    if not position.any():
        return position
    mixture, alone = expected(found.scorer.score([position, expert], 0), job.objectives)
    if not_worse(alone, mixture):
        return expert
    return position


def _starts(untrained: Tensor, expert: Tensor, most: int) -> dict[str, Tensor]:
    """Name -> position of each model to train; at most `most`, the best untrained model first."""
    starts = {EXPERT: expert, BASE: torch.zeros_like(expert)}
    if not any(untrained.equal(start) for start in starts.values()):
        starts[MIXTURE] = untrained
    order = sorted(starts, key=lambda name: not starts[name].equal(untrained))
    return {name: starts[name] for name in (BASE, EXPERT, MIXTURE) if name in order[:most]}


def _cross_fitted(
    job: Job, found: Explored, starts: Mapping[str, Tensor], folder: Path | None
) -> tuple[dict[str, Fitting], dict[str, Row]]:
    """The training of each start, and its row after training, cross-fitted on dev; some will also be
    trained on all items.
    """
    items = job.choices(found.answer_formats)
    folds = len(starts) * fold_passes(len(items))
    meter = Meter(folds + training_passes(len(items)), job.tell)
    fittings = {
        name: fitting_of(job, items, name, position, meter, folder)
        for name, position in starts.items()
    }
    crew = found.scorer.crew
    if crew is not None:
        parts = [(one, part) for one in fittings.values() for part in one.parts()]
        fit_side_by_side(crew, parts)
    evaluator = job.evaluator("dev", found.answer_formats)
    rows = {}
    for name, position in starts.items():
        compute = partial(by_folds, fittings[name], evaluator, job.objectives.items, crew=crew)
        rows[name] = found.scorer.trained(position, compute)
    return fittings, rows


def fitting_of(
    job: Job,
    items: Sequence[Choices],
    name: str,
    position: Tensor,
    meter: Meter,
    folder: Path | None,
) -> Fitting:
    """The training of a mixture on dev items.

    Args:
        job: the search.
        items: what it is trained on.
        name: what it is called, in progress and in the folder.
        position: the mixture, (D,).
        meter: counts the passes.
        folder: keeps its LoRAs in a folder of that name. None: keeps nothing.
    """
    return Fitting(
        job.engine,
        job.pool.space.realise(position),
        items,
        pattern=job.pool.experts[0],
        seed=job.config.seed,
        folder=folder and folder / name,
        fold_epochs=fold_epochs(len(items)),
        spend=meter.spend,
        at=partial(meter.at, name),
        position=position,
    )


def fit_side_by_side(crew: Crew, parts: Sequence[tuple[Fitting, Part]]) -> None:
    """Have workers train the parts that are not in their folders; each is kept as soon as it is there.

    Args:
        crew: the workers.
        parts: each with its fitting, which has a folder and a position.
    """
    missing = [(fitting, part) for fitting, part in parts if not fitting.reuse(part)]
    tasks = {number: fitting.task(part) for number, (fitting, part) in enumerate(missing)}
    for number, factors in crew.each(tasks):
        fitting, part = missing[number]
        fitting.keep(part, factors)


@dataclass(frozen=True, eq=False)
class ScoreUnseen:
    """Scores a trained model on dev items that it was not trained on: a task for a worker.

    Attributes:
        position: the mixture that was trained, (D,).
        factors: the LoRA trained on it.
        unseen: task -> indices of the items.
    """

    position: Tensor
    factors: Factors
    unseen: Mapping[str, Sequence[int]]

    def run(self, evaluator: CandidateEvaluator) -> tuple[dict[str, Score], float]:
        """See `score_unseen`."""
        start = evaluator.space.realise(self.position)
        model = start.with_low_rank(unpacked(self.factors))
        return score_unseen(evaluator, model, self.unseen)


def score_unseen(
    evaluator: CandidateEvaluator, model: Patch, unseen: Mapping[str, Sequence[int]]
) -> tuple[dict[str, Score], float]:
    """The scores of a model on these dev items of each task, and the seconds that they took."""
    evaluator.engine.load(model)
    start = time.perf_counter()
    utilities = evaluator.utilities
    scores = {name: utilities[name](evaluator.engine, places) for name, places in unseen.items()}
    return scores, time.perf_counter() - start


def best_start(values: Mapping[str, Score]) -> str:
    """The start with the best expected score after training; the best expert, unless it is behind
    by more than a third of a standard error.

    On twelve real tasks the best expert was the better start by 1.4 points, with a standard
    deviation of 2.5; 200 labels measure to 1.5 points (research/notes/regret.md).

    Example:
        >>> ahead = {"base": Score(0.62, (), 2, 0.1), "expert": Score(0.6, (), 2, 0.1)}
        >>> best_start(ahead), best_start({**ahead, "base": Score(0.7, (), 2, 0.1)})
        ('expert', 'base')
    """
    best = max(values, key=lambda name: values[name].value)
    if EXPERT in values and not_worse(values[EXPERT], values[best], FAVOUR):
        return EXPERT
    return best


def by_folds(
    fitting: Fitting,
    evaluator: CandidateEvaluator,
    items: Mapping[str, int],
    crew: Crew | None = None,
) -> Row:
    """Cross-fitted scores on dev.

    Args:
        fitting: training on the items of all tasks, in the tasks' order.
        evaluator: dev evaluator.
        items: task name -> number of items.
        crew: scores the models after they were trained; None: this process does both.
    """
    outcomes: dict[tuple[str, int], tuple[float, tuple[float, ...]]] = {}  # value and margins
    seconds = 0.0
    parts = [_by_task(part.unseen, items) for part in fitting.parts()]
    if crew is None:
        scored = _scored_here(fitting, evaluator, parts)
    else:
        scored = crew.map(_scorings(fitting, parts))
    for unseen, (scores, passed) in zip(parts, scored, strict=True):
        seconds += passed
        for name, score in scores.items():
            each = zip(unseen[name], score.per_item, score.margins, strict=True)
            for index, value, margin in each:
                outcomes[name, index] = value, margin
    totals = {}
    for name, count in items.items():
        values, margins = zip(*(outcomes[name, index] for index in range(count)), strict=True)
        totals[name] = replace(score_of(values), margins=margins)
    return Row.of(totals, evaluator.combine(list(totals.values())), seconds)


def _by_task(fold: Sequence[int], items: Mapping[str, int]) -> dict[str, list[int]]:
    """The indices of a fold's items in each task that has some, of indices that count all tasks' items."""
    places = [(name, index) for name, count in items.items() for index in range(count)]
    found: dict[str, list[int]] = {}
    for number in fold:
        name, index = places[number]
        found.setdefault(name, []).append(index)
    return found


def _scored_here(
    fitting: Fitting,
    evaluator: CandidateEvaluator,
    parts: Sequence[Mapping[str, Sequence[int]]],
) -> Iterator[tuple[dict[str, Score], float]]:
    """What this process scores, each model after its training."""
    for unseen, (_, model) in zip(parts, fitting.without_folds(), strict=True):
        yield score_unseen(evaluator, model, unseen)


def _scorings(
    fitting: Fitting, parts: Sequence[Mapping[str, Sequence[int]]]
) -> Iterator[ScoreUnseen]:
    """The models of a fitting's folds to be scored by workers."""
    for part, unseen in zip(fitting.parts(), parts, strict=True):
        position = fitting.task(part).position
        yield ScoreUnseen(position, packed(fitting.change(part)), unseen)


def announce(job: Job, starts: Iterable[str]) -> None:
    """Report from which models training starts."""
    job.tell(note(f"{job.training}, starting from {', '.join(starts)}"))
