"""Train a model further on the dev items, and tell by cross-fitting what that is worth.

What is handed over is an ordinary patch: the model to start from, and a LoRA that was trained on
all items. Each item is scored by what was trained without its fold (see `choice_losses.folds`).
These scores are of the items that were trained on and of nothing else: whatever comes later is
scored by the patch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.special import expit

from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors, read_adapter
from pyswarmopt_llm.mix.coefficients import save_patch
from pyswarmopt_llm.scores.choices import FULL, PASSES, Choices, Schedule
from pyswarmopt_llm.scores.metrics.objectives import Objectives
from pyswarmopt_llm.searching.scoring.record import Margins, Row
from pyswarmopt_llm.searching.surrogate.items import SOFTNESS
from pyswarmopt_llm.searching.training.trainer import fit, folds

ALL = "all"  # the LoRA that was trained on all items


@dataclass
class Fitting:
    """A training on items, and one without each fold of them; all begin alike.

    Attributes:
        engine: the one on transformers.
        start: the model that is trained further.
        items: to train on, at least two.
        pattern: an expert, whose modules, rank and scale the LoRAs have.
        seed: of the LoRAs' start, the folds and the order.
        folder: keeps the LoRAs, ``without-K`` and ``all``, each as soon as it is trained; what is
            there is not trained again. None: nothing is kept.
        schedule: epochs; without folds where the items are not those that are scored.
        identities: what each item is known by, see `folds`.
        progress: called with the share of the training that is done, in 0..1.
        done: items that were trained on, of all epochs of all trainings.
    """

    engine: Engine
    start: Patch
    items: Sequence[Choices]
    pattern: AdapterInfo
    seed: int
    folder: Path | None = None
    schedule: Schedule = FULL
    identities: Sequence[Hashable] | None = None
    progress: Callable[[float], None] = lambda share: None
    done: int = field(default=0, init=False)

    @cached_property
    def folds(self) -> list[list[int]]:
        """The places of each fold's items; none where the schedule has no folds."""
        return folds(self.items, self.seed, self.identities) if self.schedule.without_fold else []

    def without_folds(self) -> Iterator[tuple[list[int], Patch]]:
        """The places of each fold's items, and the model that was trained without these."""
        for number, fold in enumerate(self.folds, start=1):
            rest = [item for place, item in enumerate(self.items) if place not in fold]
            yield fold, self._fitted(f"without-{number}", rest, self.schedule.without_fold)

    def whole(self) -> Patch:
        """The model that was trained on all items."""
        return self._fitted(ALL, self.items, self.schedule.epochs)

    def passes(self, whole: bool) -> int:
        """Forward passes of an item, with those of a training on all items or without."""
        count = len(self.items)
        return self.schedule.passes(count) if whole else self.schedule.fold_passes(count)

    def _fitted(self, name: str, items: Sequence[Choices], epochs: int) -> Patch:
        """The model after training on items."""

        def trained() -> Patch:
            settings = (self.pattern, self.seed, lambda *_: self._advance(len(items)), epochs)
            return fit(self.engine, self.start, items, *settings)

        if self.folder is None:
            return self.start.with_low_rank(trained().low_rank)
        place = self.folder / name
        if place.exists():
            self.done += epochs * len(items)
        else:
            save_patch(trained(), [self.pattern], place)
        return self.start.with_low_rank(load_factors(read_adapter(place)))

    def _advance(self, items: int) -> None:
        """Tell of so many more items, of all epochs of all trainings."""
        self.done += items
        self.progress(min(self.done * PASSES / self.schedule.passes(len(self.items)), 1.0))


def expected(rows: Sequence[Row], objectives: Objectives) -> list[Score]:
    """The score that each row lets expect on unseen items, all in the same way.

    Where all margins are known, an item counts by its closest rival's margin (see `softened`): that
    varies half as much as right and wrong. Else it is the score itself.
    """
    names = objectives.names
    known = all(
        all(margins for margins in row.margins.get(name, [None])) for row in rows for name in names
    )
    scores = [
        [softened(row.margins[name]) if known else row.score(name) for name in names]
        for row in rows
    ]
    return [objectives.combine(of_row) for of_row in scores]


def softened(margins: Margins) -> Score:
    """The score of items by their margins: the logistic function of the closest rival's, in units
    of `SOFTNESS` times the standard deviation of these.

    Example:
        >>> softened([[2.0, 0.5], [-0.5]]).value
        0.5
    """
    closest = np.array([min(of_item) for of_item in margins if of_item])
    scale = SOFTNESS * float(closest.std()) or 1.0
    return score_of(expit(closest / scale).tolist())


def not_worse(trained: Score, before: Score, errors: float = 1.0) -> bool:
    """Whether training is kept: it is not behind on dev by more than a standard error.

    That error is of the differences item by item, where both have the same items. On dev what was
    trained is scored by LoRAs of a part of the items, below what it is worth.

    Args:
        trained: by cross-fitting.
        before: without training.
        errors: standard errors by which it may be behind.

    Example:
        >>> before = score_of([1.0, 1.0, 0.0, 1.0])
        >>> not_worse(score_of([1.0, 0.0, 1.0, 1.0]), before), not_worse(score_of([0.0] * 4), before)
        (True, False)
    """
    error = before.stderr
    if len(trained.per_item) == len(before.per_item) > 1:
        differences = zip(trained.per_item, before.per_item, strict=True)
        error = score_of([after - own for after, own in differences]).stderr
    return trained.value >= before.value - (0.0 if math.isnan(error) else errors * error)


__all__ = ["Fitting", "expected", "not_worse", "softened"]
