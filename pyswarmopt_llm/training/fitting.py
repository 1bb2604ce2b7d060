"""Training with cross-validation folds, from one start, and whether training is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.interfaces import Engine, LowRank, MixtureSpace, Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors, read_adapter
from pyswarmopt_llm.mix.coefficients import save_patch
from pyswarmopt_llm.scores.choices import EPOCHS, PASSES, Choices
from pyswarmopt_llm.training.trainer import fit, folds

ALL = "all"  # the LoRA trained on all items

# what a process tells another of a LoRA: parameter of the base -> b and a of its `LowRank`
Factors = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
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


def packed(change: Mapping[str, LowRank]) -> Factors:
    """A LoRA as arrays, which need no shared memory on their way to another process.

    Example:
        >>> packed({"w": LowRank(b=torch.ones(2, 1), a=torch.zeros(1, 1))})["w"][0].tolist()
        [[1.0], [1.0]]
    """
    return {name: (one.b.numpy(), one.a.numpy()) for name, one in change.items()}


def unpacked(factors: Factors) -> dict[str, LowRank]:
    """The inverse of `packed`."""
    return {
        name: LowRank(b=torch.from_numpy(b), a=torch.from_numpy(a))
        for name, (b, a) in factors.items()
    }


class Loaded(Protocol):
    """What a worker has loaded: a `CandidateEvaluator`."""

    space: MixtureSpace
    engine: Engine


@dataclass(frozen=True, eq=False)
class Fit:
    """Trains a LoRA on top of a mixture: a task for a worker, see `fit`.

    Attributes:
        position: the mixture, (D,).
        items: training items.
        pattern: an expert; the LoRA has its modules, rank and scale.
        seed: seed of the initial LoRA and the order.
        epochs: number of epochs.
    """

    position: Tensor
    items: Sequence[Choices]
    pattern: AdapterInfo
    seed: int
    epochs: int

    def run(self, evaluator: Loaded) -> Factors:
        """The trained LoRA."""
        change = fit(
            evaluator.engine,
            evaluator.space.realise(self.position),
            self.items,
            self.pattern,
            self.seed,
            epochs=self.epochs,
        )
        return packed(change.low_rank)


@dataclass(frozen=True)
class Part:
    """One training of a `Fitting`.

    Attributes:
        name: name of its folder.
        items: items to train on.
        epochs: number of epochs.
        words: which items these are, in words.
        unseen: indices of the items that are left out, ascending.
    """

    name: str
    items: Sequence[Choices]
    epochs: int
    words: str
    unseen: Sequence[int] = ()

    @property
    def passes(self) -> float:
        """Forward passes per item."""
        return self.epochs * PASSES * len(self.items)


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
        position: the mixture that `start` is, (D,); only workers need it.
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
    position: Tensor | None = None
    _counted: set[str] = field(default_factory=set, init=False)  # parts whose passes are spent

    def parts(self) -> list[Part]:
        """The training without each fold; none if there are no folds."""
        if not self.fold_epochs:
            return []
        parts = []
        found = folds(self.items, self.seed, self.identities)
        for number, fold in enumerate(found, start=1):
            held_out = set(fold)
            rest = [item for index, item in enumerate(self.items) if index not in held_out]
            words = f"fold {number} of {len(found)}"
            parts.append(Part(f"without-{number}", rest, self.fold_epochs, words, fold))
        return parts

    def on_all(self) -> Part:
        """The training on all items."""
        return Part(ALL, self.items, EPOCHS, "all examples")

    def without_folds(self) -> Iterator[tuple[list[int], Patch]]:
        """The indices of each fold's items, and the model trained without them; nothing if
        there are no folds.
        """
        for part in self.parts():
            patch = self._fitted(part)
            self.at(f"{part.words}, scoring")
            yield [*part.unseen], patch

    def whole(self) -> Patch:
        """The model trained on all items."""
        return self._fitted(self.on_all())

    def task(self, part: Part) -> Fit:
        """A part as a task for a worker.

        Raises:
            ValueError: the position of the start is unknown.
        """
        if self.position is None:
            raise ValueError("a worker needs the position of the start; give `position`")
        return Fit(self.position, part.items, self.pattern, self.seed, part.epochs)

    def reuse(self, part: Part) -> bool:
        """Count a part as trained, and spend its passes, if it is in the folder; False if it is not."""
        if self.folder is None or not self._place(part).exists():
            return False
        if part.name not in self._counted:
            self._counted.add(part.name)
            self.at(f"{part.words}, already trained")
            self.spend(part.passes)
        return True

    def keep(self, part: Part, factors: Factors) -> None:
        """Write a part that a worker has trained into the folder, and spend its passes.

        Raises:
            ValueError: there is no folder.
        """
        save_patch(Patch(unpacked(factors)), [self.pattern], self._place(part))
        self._counted.add(part.name)
        self.at(f"{part.words}, trained")
        self.spend(part.passes)

    def change(self, part: Part) -> dict[str, LowRank]:
        """The LoRA of a part that is in the folder.

        Raises:
            ValueError: there is no folder.
        """
        return load_factors(read_adapter(self._place(part)))

    def _place(self, part: Part) -> Path:
        """The folder of a part."""
        if self.folder is None:
            raise ValueError("nothing is kept without a folder; give `folder`")
        return self.folder / part.name

    def _fitted(self, part: Part) -> Patch:
        """The model after a training, which is in the folder afterwards, if there is one."""
        if not self.reuse(part):
            change = self._train(part)
            self._counted.add(part.name)
            if self.folder is None:
                return self.start.with_low_rank(change.low_rank)
            save_patch(change, [self.pattern], self._place(part))
        return self.start.with_low_rank(self.change(part))

    def _train(self, part: Part) -> Patch:
        """The LoRA of a part, trained here; its passes are spent epoch by epoch."""

        def after_epoch(*_: object) -> None:
            self.spend(PASSES * len(part.items))

        def on_step(step: int, steps: int) -> None:
            self.at(f"{part.words}, step {step} of {steps}")

        return fit(
            self.engine,
            self.start,
            part.items,
            self.pattern,
            self.seed,
            after_epoch=after_epoch,
            epochs=part.epochs,
            on_step=on_step,
        )


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
