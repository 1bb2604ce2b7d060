"""Train a mixture of experts further on the dev items, and once without each fold of them.

See `spaces.cross_fitted`. Items that are not dev items need no folds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.models.adapters.adapter import AdapterInfo, load_factors, read_adapter
from pyswarmopt_llm.models.choices import FULL, Choices, Schedule
from pyswarmopt_llm.models.training.folds import folds, train_folds
from pyswarmopt_llm.spaces.cross_fitted import CrossFittedSpace
from pyswarmopt_llm.spaces.delta import DeltaSpace
from pyswarmopt_llm.spaces.one_base import save_patch

ALL = "all"  # the one that was trained on all of dev


def train_on_dev(
    engine: Engine,
    start: Patch,
    choices: Sequence[Choices],
    pattern: AdapterInfo,
    folder: Path,
    seed: int,
    after_epoch: Callable[[float], None] | None = None,
    schedule: Schedule = FULL,
) -> None:
    """Train the LoRAs, unless they are there already.

    Args:
        engine: runs the base.
        start: the change that they are trained on top of.
        choices: the dev items, or others.
        pattern: an expert, whose rank, scale and modules they have.
        folder: where they are or will be: ``without-K`` for each fold, and ``all``.
        seed: of the training.
        after_epoch: called with the share of the training that is done, in 0..1.
        schedule: epochs; without folds where the items are not those of dev.
    """
    if (folder / ALL).exists():  # which is written last
        return
    shares = train_folds(engine, start, choices, pattern, seed, after_epoch, schedule)
    for place, share in zip(_places(folder, len(shares) - 1), shares, strict=True):
        if not place.exists():  # a process may have been stopped between two of them
            save_patch(Patch(low_rank=share.changes), [pattern], place)


def read_trained(
    mixtures: DeltaSpace,
    folder: Path,
    choices: Sequence[Choices],
    seed: int,
    schedule: Schedule = FULL,
) -> CrossFittedSpace:
    """The space over what `train_on_dev` wrote for these items, this seed and schedule.

    Raises:
        UserError: an adapter is not there.
    """
    contexts = folds(choices, seed) if schedule.without_fold else []
    places = _places(folder, len(contexts))
    changes = []
    for place in places:
        if not place.exists():
            raise UserError(f"{place}: not there; restore it, or begin a new search")
        changes.append(load_factors(read_adapter(place)))
    return CrossFittedSpace(mixtures, changes, contexts)


def not_worse(trained: Score, mixture: Score) -> bool:
    """Whether training is kept: the mixture is not ahead on dev by more than a standard error.

    On dev the trained one is scored by LoRAs of a part of the items, below what it is worth.

    Args:
        trained: by cross-fitting.
        mixture: before training.

    Example:
        >>> mixture = Score(3.0, (), 9, 0.5)
        >>> not_worse(Score(2.5, (), 9, 0.1), mixture), not_worse(Score(2.4, (), 9, 0.9), mixture)
        (True, False)
    """
    error = 0.0 if math.isnan(mixture.stderr) else mixture.stderr
    return trained.value >= mixture.value - error


def _places(folder: Path, count: int) -> list[Path]:
    """Directories of the LoRAs, those without a fold first."""
    return [folder / name for name in (*(f"without-{k + 1}" for k in range(count)), ALL)]


__all__ = ["not_worse", "read_trained", "train_on_dev"]
