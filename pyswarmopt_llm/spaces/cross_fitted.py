"""Weight changes of the experts and of one more, which was trained on the dev items themselves.

That one is a pair of adapters, each trained on one half of dev. A candidate has half of either. On dev, each half's
items are scored with the adapter that has not seen them in the place of both, so that a search can tell what the new
expert is worth on unseen items (cross-fitting; Wolpert 1992 for the weights of the sum).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import HeldOut, Patch
from pyswarmopt_llm.models.adapters.adapter import Expert
from pyswarmopt_llm.spaces.coefficients import CoefficientSpace
from pyswarmopt_llm.spaces.delta import DeltaSpace

DEV = "dev"  # name of the expert


class CrossFittedSpace(CoefficientSpace):
    """`DeltaSpace` over n experts and one that is trained on dev.

    Args:
        experts: the n experts; those of type `AdapterFile` are read by `complete`.
        granularity: see `CoefficientSpace`.
    """

    name = "delta"
    linear = True

    def __init__(self, experts: Sequence[Expert], granularity: str = "model") -> None:
        modules = {f"{module}.weight" for expert in experts for module in expert.info.modules}
        super().__init__([*(expert.info.name for expert in experts), DEV], sorted(modules), granularity)
        self._experts, self._granularity = list(experts), granularity

    def complete(self, halves: tuple[Expert, Expert], contexts: tuple[frozenset[str], frozenset[str]]) -> None:
        """Put in the new expert, without which there are no candidates.

        Args:
            halves: what was trained on either half, on modules of the experts.
            contexts: prompts of the items of either half.
        """
        self._inner, self._contexts = DeltaSpace([*self._experts, *halves], self._granularity), contexts

    def realise(self, position: Tensor) -> Patch:
        """The mixed change; with other changes for the dev items."""
        whole, unseen = self._inner.realise(self._within(position, 0.5, 0.5)), []
        for contexts, shares in zip(self._contexts, ((0.0, 1.0), (1.0, 0.0)), strict=True):
            unseen.append(HeldOut(contexts, self._inner.realise(self._within(position, *shares))))
        return Patch(low_rank=whole.low_rank, held_out=tuple(unseen))

    def save(self, position: Tensor, out: Path) -> None:
        """See `AdapterSpace.save`."""
        self._inner.save(self._within(position, 0.5, 0.5), out)

    def read(self, folder: Path) -> Patch:
        """See `AdapterSpace.read`."""
        return self._inner.read(folder)

    def _within(self, position: Tensor, first: float, second: float) -> Tensor:
        """The position among experts and halves, whose shares of the last coefficient are given."""
        rows = self.by_group(position)
        shares = torch.tensor([first, second], dtype=rows.dtype)
        return torch.cat([rows[:, :-1], rows[:, -1:] * shares], dim=1).flatten()


__all__ = ["DEV", "CrossFittedSpace"]
