"""Training with cross-validation folds, from one start, and whether training is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors, read_adapter
from pyswarmopt_llm.mix.coefficients import save_patch
from pyswarmopt_llm.scores.choices import EPOCHS, PASSES, Choices
from pyswarmopt_llm.training.trainer import fit, folds

ALL = "all"  # the LoRA trained on all items

Spend = Callable[[float], None]  # called with the forward passes per item just made
At = Callable[[str], None]  # called with what is being done, in words


@dataclass
class Meter:
    """Counts the passes of training, and reports the share done.

    Attributes:
        most: the most passes that training takes.
        tell: called with the share done, in 0..1.
        passes: passes so far, those found in the run directory included.
    """

    most: int
    tell: OnEvent
    passes: float = 0.0

    def spend(self, passes: float) -> None:
        """Add passes."""
        self.passes += passes
        self.tell(Event("training", {"share": min(self.passes / self.most, 1.0)}))

    def at(self, model: str, part: str) -> None:
        """Report what is being done with a model."""
        self.tell(Event("fitting", {"model": model, "part": part}))


@dataclass
class Fitting:
    """Fits a LoRA to all items, and one without each cross-validation fold, from the same start.

    Attributes:
        engine: a transformers engine.
        start: the model to train further.
        items: training items, at least two.
        pattern: an expert; the LoRAs have its modules, rank and scale.
        seed: seed of the LoRAs' initial values, the folds and the order.
        folder: keeps each finished LoRA, as ``without-K`` or ``all``; those found there are not
            trained again. None: keeps nothing.
        fold_epochs: epochs without each fold; 0 if other items are scored, without folds.
        identities: identity of each item, see `folds`.
        spend: called with the passes of each epoch, those found in `folder` included.
        at: called with fold and step, such as ``fold 2 of 5, step 3 of 12``.
    """

    engine: Engine
    start: Patch
    items: Sequence[Choices]
    pattern: AdapterInfo
    seed: int
    folder: Path | None = None
    fold_epochs: int = EPOCHS
    identities: Sequence[Hashable] | None = None
    spend: Spend = lambda passes: None
    at: At = lambda part: None

    def without_folds(self) -> Iterator[tuple[list[int], Patch]]:
        """The indices of each fold's items, and the model trained without them; nothing if
        there are no folds.
        """
        if not self.fold_epochs:
            return
        parts = folds(self.items, self.seed, self.identities)
        for number, fold in enumerate(parts, start=1):
            held_out = set(fold)
            rest = [item for index, item in enumerate(self.items) if index not in held_out]
            part = f"fold {number} of {len(parts)}"
            patch = self._fitted(f"without-{number}", rest, self.fold_epochs, part)
            self.at(f"{part}, scoring")
            yield fold, patch

    def whole(self) -> Patch:
        """The model trained on all items."""
        return self._fitted(ALL, self.items, EPOCHS, "all examples")

    def _fitted(self, name: str, items: Sequence[Choices], epochs: int, part: str) -> Patch:
        """The model after training on items; `part`: which items these are, in words."""
        folder = self.folder and self.folder / name

        def spend(*_: object) -> None:
            self.spend(PASSES * len(items))

        def at(step: int, steps: int) -> None:
            self.at(f"{part}, step {step} of {steps}")

        if folder and folder.exists():
            self.at(f"{part}, already trained")
            self.spend(epochs * PASSES * len(items))
        else:
            change = fit(self.engine, self.start, items, self.pattern, self.seed, spend, epochs, at)
            if not folder:
                return self.start.with_low_rank(change.low_rank)
            save_patch(change, [self.pattern], folder)
        return self.start.with_low_rank(load_factors(read_adapter(folder)))


def not_worse(trained: Score, before: Score, errors: float = 1.0) -> bool:
    """Whether training is kept: its dev score is lower by at most one standard error.

    If both scores have the same items, the standard error is that of the paired differences. The
    trained model's dev score is an underestimate, measured with LoRAs that saw only some items.

    Args:
        trained: cross-fitted score.
        before: score without training.
        errors: standard errors by which `trained` may be lower.

    Example:
        >>> before = score_of([1.0, 1.0, 0.0, 1.0])
        >>> not_worse(score_of([1.0, 0.0, 1.0, 1.0]), before), not_worse(score_of([0.0] * 4), before)
        (True, False)
    """
    error = before.stderr
    if len(trained.per_item) == len(before.per_item) > 1:
        differences = zip(trained.per_item, before.per_item, strict=True)
        error = score_of([after - own for after, own in differences]).stderr
    if math.isnan(error):
        error = 0.0
    return trained.value >= before.value - errors * error
