"""Mixtures of experts with one more: a LoRA that was trained on dev, and again without each fold.

On dev, a fold's items are scored with the LoRA that has not seen them (cross-fitting; stacked
generalisation, Wolpert 1992, Neural Networks 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Computed, HeldOut, LowRank, Patch
from pyswarmopt_llm.spaces.coefficients import CoefficientSpace
from pyswarmopt_llm.spaces.delta import DeltaSpace
from pyswarmopt_llm.spaces.one_base import AdapterSpace

Change = Mapping[str, LowRank]  # parameter name -> its change
LORA = "trained-on-dev"  # its name among the experts


class CrossFittedSpace(AdapterSpace, CoefficientSpace):
    """A `DeltaSpace` with one more coefficient, that of the LoRA that was trained on dev.

    Args:
        mixtures: of the experts.
        trained: LoRAs without each fold, and on all of dev; on modules of the experts.
        contexts: prompts of each fold's items.
    """

    name = "delta"
    linear = True

    def __init__(
        self, mixtures: DeltaSpace, trained: Sequence[Change], contexts: Sequence[frozenset[str]]
    ) -> None:
        super().__init__([*mixtures.expert_names, LORA])
        self._mixtures, self.infos = mixtures, mixtures.infos
        *self._without, self._whole = trained
        self._contexts = contexts

    def on_top_of(self, position: Tensor) -> Tensor:
        """The position of a mixture, (n,), with the LoRA added to it: (n + 1,)."""
        weights = self._mixtures.coefficients(position)
        return torch.cat([weights, torch.ones_like(weights[:1])])

    def realise(self, position: Tensor) -> Patch:
        """The mixed change; with other changes for the dev items if it has a share of what was
        trained on them.
        """
        weights = self.coefficients(position)
        mixture, share = self._mixtures.realise(weights[:-1]), float(weights[-1])
        if not share:
            return mixture

        def added(lora: Change) -> Patch:
            def change(name: str) -> LowRank:
                mixed = mixture.low_rank[name]
                return mixed.plus(lora[name], share) if name in lora else mixed

            return Patch(low_rank=Computed(self._mixtures.shapes, change))

        unseen = zip(self._contexts, map(added, self._without), strict=True)
        held_out = tuple(HeldOut(contexts, patch) for contexts, patch in unseen)
        return Patch(low_rank=added(self._whole).low_rank, held_out=held_out)


__all__ = ["LORA", "CrossFittedSpace"]
