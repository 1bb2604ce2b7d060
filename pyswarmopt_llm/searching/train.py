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

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.choices import MOST_STARTS, labelled
from pyswarmopt_llm.scores.metrics.objectives import Objectives
from pyswarmopt_llm.searching.find import Found, Trained
from pyswarmopt_llm.searching.fitting import (
    BASE,
    BEHIND,
    EXPERT,
    MIXTURE,
    Fitting,
    Meter,
    announce,
    not_worse,
)
from pyswarmopt_llm.searching.prepare import Contestant, Job
from pyswarmopt_llm.searching.scoring.record import Margins, Row
from pyswarmopt_llm.searching.scoring.scorer import Evaluator
from pyswarmopt_llm.searching.surrogate import SOFTNESS

APART = 2.0  # the folds tell two models apart by more than this many standard errors, paired
FAVOUR = 1 / 3  # the best expert may be behind as a start by this many standard errors


def expected(rows: Sequence[Row], objectives: Objectives) -> list[Score]:
    """The score on unseen items that each row predicts, all computed in the same way.

    Where all margins are known, an item counts by its closest margin (see `softened`), which varies
    half as much as right and wrong. Otherwise it is the score itself.
    """
    names = objectives.names
    known = all(
        all(margins for margins in row.margins.get(name, [None])) for row in rows for name in names
    )
    return [
        objectives.combine(
            [softened(row.margins[name]) if known else row.score(name) for name in names]
        )
        for row in rows
    ]


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
    job: Job, found: Found, folder: Path | None = None, most: int = MOST_STARTS
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
    if job.plan.config.quick:
        most = 1
    untrained = _untrained(job, found)
    starts = _starts(untrained, job.pool.space.vertices()[found.single].to(untrained), most)
    if folder is None or not folder.exists():
        announce(job, starts)
    fittings = _fittings(job, found, starts, folder)
    rows = _cross_fitted(job, found, starts, fittings)
    (row,) = found.scorer.score([untrained], 0)
    *trained, before = expected([*rows.values(), row], job.objectives)
    values = dict(zip(rows, trained, strict=True))
    best = best_start(values)
    kept = not_worse(values[best], before, BEHIND)
    if not kept:
        best = next(name for name, start in starts.items() if start.equal(untrained))
    (before_row,) = found.scorer.score([starts[best]], 0)
    whole = trained_whole(values, best, job.plan.rivals == 3)
    tuned = {name: Contestant(starts[name], None, True, row) for name, row in rows.items()}
    for name in sorted(whole):
        tuned[name] = replace(tuned[name], patch=fittings[name].whole())
    mixture = Contestant(starts[best], dev=before_row)
    models = {"mixture": mixture, "trained": tuned[best]}
    models |= {f"{name}_tuned": tuned[name] for name in (BASE, EXPERT) if name in tuned}
    schedule = fittings[best].schedule
    items = len(fittings[best].items)
    passes = len(starts) * schedule.fold_passes(items) + len(whole) * schedule.whole_passes(items)
    return Trained(tuned[best] if kept else mixture, models, passes)


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


def _untrained(job: Job, found: Found) -> Tensor:
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


def _fittings(
    job: Job, found: Found, starts: Mapping[str, Tensor], folder: Path | None
) -> dict[str, Fitting]:
    """Name -> the training of each start; some will also be trained on all items."""
    items = job.choices(found.scorings)
    schedule = labelled(len(items))
    folds = len(starts) * schedule.fold_passes(len(items))
    meter = Meter(folds + schedule.whole_passes(len(items)), job.tell)
    fittings = {}
    for name, position in starts.items():
        fittings[name] = Fitting(
            job.engine,
            job.pool.space.realise(position),
            items,
            job.pool.experts[0],
            job.plan.config.seed,
            folder and folder / name,
            schedule,
            spend=meter.spend,
        )
    return fittings


def _cross_fitted(
    job: Job, found: Found, starts: Mapping[str, Tensor], fittings: Mapping[str, Fitting]
) -> dict[str, Row]:
    """Name -> the row of each start after training, cross-fitted on dev."""
    evaluator = job.evaluator("dev", found.scorings, margins=True)
    rows = {}
    for name, fitting in fittings.items():
        row = found.scorer.trained(starts[name])
        if row is None:
            row = _by_folds(fitting, evaluator, job.objectives.items)
        rows[name] = found.scorer.add_trained(starts[name], row)
    return rows


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


def _by_folds(fitting: Fitting, evaluator: Evaluator, items: Mapping[str, int]) -> Row:
    """Cross-fitted scores on dev.

    Args:
        fitting: training on the items of all tasks, in the tasks' order.
        evaluator: dev evaluator.
        items: task name -> number of items.
    """
    row: Row | None = None
    rows = list[Row]()
    for fold, patch in fitting.without_folds():
        fitting.engine.load(patch)
        scored = np.isin(np.arange(sum(items.values())), fold)
        parts = np.split(scored, np.cumsum([*items.values()])[:-1])
        row = evaluator.row(dict(zip(items, parts, strict=True)), row)
        rows.append(row)
    return replace(rows[-1], n=sum(r.n for r in rows), seconds=sum(r.seconds for r in rows))
