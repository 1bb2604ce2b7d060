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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from pyswarmopt_llm.common.events import note
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.scores.choices import MOST_STARTS, fold_epochs, fold_passes, training_passes
from pyswarmopt_llm.scores.metrics.objectives import Objectives
from pyswarmopt_llm.searching.find import Explored, Trained
from pyswarmopt_llm.searching.prepare import Contestant, Job
from pyswarmopt_llm.searching.scorer import CandidateEvaluator
from pyswarmopt_llm.searching.surrogate import SOFTNESS, Margins
from pyswarmopt_llm.training.fitting import Fitting, Meter, not_worse

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
    whole = trained_whole(values, best, job.compares_tuned)
    tuned = {}
    for name, row in rows.items():
        patch = fittings[name].whole() if name in whole else None
        tuned[name] = Contestant(starts[name], patch, True, row)
    mixture = Contestant(starts[best], dev=before_row)
    models = {"mixture": mixture, "trained": tuned[best]}
    models |= {f"{name}_tuned": tuned[name] for name in (BASE, EXPERT) if name in tuned}
    items = len(fittings[best].items)
    passes = len(starts) * fold_passes(items) + len(whole) * training_passes(items)
    of_models = {"trained": fittings[best]}
    of_models |= {f"{name}_tuned": fittings[name] for name in (BASE, EXPERT) if name in tuned}
    return Trained(tuned[best] if kept else mixture, models, passes, fittings=of_models)


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
    evaluator = job.evaluator("dev", found.answer_formats)
    fittings = {}
    rows = {}
    for name, position in starts.items():
        fittings[name] = Fitting(
            job.engine,
            job.pool.space.realise(position),
            items,
            pattern=job.pool.experts[0],
            seed=job.config.seed,
            folder=folder and folder / name,
            fold_epochs=fold_epochs(len(items)),
            spend=meter.spend,
            at=partial(meter.at, name),
        )
        compute = partial(by_folds, fittings[name], evaluator, job.objectives.items)
        rows[name] = found.scorer.trained(position, compute)
    return fittings, rows


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
    fitting: Fitting, evaluator: CandidateEvaluator, items: Mapping[str, int], strength: float = 1.0
) -> Row:
    """Cross-fitted scores on dev.

    Args:
        fitting: training on the items of all tasks, in the tasks' order.
        evaluator: dev evaluator.
        items: task name -> number of items.
        strength: factor of each trained model's change of the base.
    """
    places = [(name, index) for name, count in items.items() for index in range(count)]
    known: dict[tuple[str, int], tuple[float, tuple[float, ...]]] = {}
    seconds = 0.0
    for fold, patch in fitting.without_folds():
        evaluator.load(patch if strength == 1.0 else patch.scaled(strength))
        start = time.perf_counter()
        for name, utility in evaluator.utilities.items():
            of_task = [places[number] for number in fold if places[number][0] == name]
            if of_task:
                score = utility(fitting.engine, [index for _, index in of_task])
                known |= zip(of_task, zip(score.per_item, score.margins, strict=True), strict=True)
        seconds += time.perf_counter() - start
    scores = {}
    for name, count in items.items():
        values, margins = zip(*(known[name, index] for index in range(count)), strict=True)
        scores[name] = replace(score_of(values), margins=margins)
    return Row.of(scores, evaluator.combine(list(scores.values())), seconds)


def announce(job: Job, starts: Iterable[str]) -> None:
    """Report from which models training starts."""
    job.tell(note(f"{job.training}, starting from {', '.join(starts)}"))
