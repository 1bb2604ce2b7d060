"""A mixture of experts that was trained further on the dev items, and what that is worth on unseen items.

A LoRA is trained on top of the mixture once on all of dev, and for each fold of dev again without it. On dev, a fold's
items are scored with the LoRA that has not seen them (cross-fitting; stacked generalisation, Wolpert 1992, Neural
Networks 5).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Computed, Engine, HeldOut, LowRank, Patch
from pyswarmopt_llm.models.adapters.adapter import AdapterInfo, load_factors, read_adapter
from pyswarmopt_llm.models.adapters.write import write_adapter
from pyswarmopt_llm.models.choices import Choices
from pyswarmopt_llm.models.training.folds import folds, train_folds
from pyswarmopt_llm.spaces.coefficients import CoefficientSpace
from pyswarmopt_llm.spaces.delta import DeltaSpace
from pyswarmopt_llm.spaces.one_base import AdapterSpace

Change = Mapping[str, LowRank]  # parameter name -> its change
LORA = "trained-on-dev"  # its name among the experts
ALL = "all"  # the one that was trained on all of dev


class CrossFittedSpace(AdapterSpace, CoefficientSpace):
    """A `DeltaSpace` with one more coefficient, that of the LoRA that was trained on dev.

    Args:
        mixtures: of the experts.
        trained: LoRAs without each fold, and on all of dev; on modules of the experts.
        contexts: prompts of each fold's items.
    """

    name = "delta"
    linear = True

    def __init__(self, mixtures: DeltaSpace, trained: Sequence[Change], contexts: Sequence[frozenset[str]]) -> None:
        super().__init__([*mixtures.expert_names, LORA])
        self._mixtures, self._infos = mixtures, mixtures.infos
        *self._without, self._whole = trained
        self._contexts = contexts

    def on_top_of(self, position: Tensor) -> Tensor:
        """The position of a mixture, (n,), with the LoRA added to it: (n + 1,)."""
        weights = self._mixtures.coefficients(position)
        return torch.cat([weights, torch.ones_like(weights[:1])])

    def realise(self, position: Tensor) -> Patch:
        """The mixed change; with other changes for the dev items if it has a share of what was trained on them."""
        weights = self.coefficients(position)
        mixture, share = self._mixtures.realise(weights[:-1]), float(weights[-1])
        if not share:
            return mixture

        def added(lora: Change) -> Patch:
            def change(name: str) -> LowRank:
                one = mixture.low_rank[name]
                return one.plus(lora[name], share) if name in lora else one

            return Patch(low_rank=Computed(self._mixtures.shapes, change))

        unseen = zip(self._contexts, map(added, self._without), strict=True)
        held_out = tuple(HeldOut(contexts, patch) for contexts, patch in unseen)
        return Patch(low_rank=added(self._whole).low_rank, held_out=held_out)


def train_on_dev(
    engine: Engine,
    start: Patch,
    choices: Sequence[Choices],
    pattern: AdapterInfo,
    folder: Path,
    seed: int,
    after_epoch: Callable[[float], None] | None = None,
) -> None:
    """Train the LoRAs, unless they are there already.

    Args:
        engine: runs the base.
        start: what they are trained on top of.
        choices: the dev items.
        pattern: an expert, whose rank, scale and modules they have.
        folder: where they are or will be: ``without-K`` for each fold, and ``all``.
        seed: of the training.
        after_epoch: called with the share of the training that is done, in 0..1.
    """
    if (folder / ALL).exists():  # which is written last
        return
    shares = train_folds(engine, start, choices, pattern, seed, after_epoch)
    for place, share in zip(_places(folder, len(shares) - 1), shares, strict=True):
        if not place.exists():  # a process may have been stopped between two of them
            write_adapter(
                place,
                {name.removesuffix(".weight"): (change.b, change.a) for name, change in share.changes.items()},
                base_model_name=pattern.base_model_name or "",
                target_modules=pattern.target_modules,
            )


def read_trained(mixtures: DeltaSpace, folder: Path, choices: Sequence[Choices], seed: int) -> CrossFittedSpace:
    """The space over what `train_on_dev` wrote for these items and this seed.

    Raises:
        UserError: an adapter is not there.
    """
    contexts = folds(choices, seed)
    places = _places(folder, len(contexts))
    for place in places:
        if not place.exists():
            raise UserError(f"{place}: not there; restore it, or begin a new search")
    return CrossFittedSpace(mixtures, [load_factors(read_adapter(place)) for place in places], contexts)


def not_worse(trained: float, mixture: float, items: int) -> bool:
    """Whether training is kept: the mixture is not ahead on dev by more than a standard error.

    On dev the trained one is scored by what was trained on a part of the items, below what it is worth.

    Args:
        trained: accuracy by cross-fitting.
        mixture: accuracy before training.
        items: on dev.

    Example:
        >>> not_worse(0.77, 0.80, 200), not_worse(0.77, 0.80, 100)
        (False, True)
    """
    return trained >= mixture - math.sqrt(max(mixture * (1 - mixture), 0.0) / items)


def _places(folder: Path, count: int) -> list[Path]:
    """Where the LoRAs are, those without a fold first."""
    return [folder / name for name in (*(f"without-{k + 1}" for k in range(count)), ALL)]


__all__ = ["LORA", "CrossFittedSpace", "not_worse", "read_trained", "train_on_dev"]
