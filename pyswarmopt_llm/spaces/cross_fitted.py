"""Weight changes of the experts and of one more, which was trained on the dev items themselves.

That one was trained on all of dev, and for each fold of dev another one without it. On dev, a fold's items are scored
with the one that has not seen them in its place, so that a search can tell what the new expert is worth on unseen
items (cross-fitting; Wolpert 1992 for the weights of the sum).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pyswarmopt_llm.common.config import DEV_EXPERT
from pyswarmopt_llm.common.interfaces import Engine, HeldOut, Patch
from pyswarmopt_llm.models.adapters.adapter import AdapterFile, AdapterInfo, Expert, read_adapter
from pyswarmopt_llm.models.adapters.write import write_adapter
from pyswarmopt_llm.models.choices import Choices
from pyswarmopt_llm.models.training.folds import Share, folds, train_folds
from pyswarmopt_llm.spaces.coefficients import CoefficientSpace
from pyswarmopt_llm.spaces.delta import DeltaSpace
from pyswarmopt_llm.spaces.one_base import AdapterSpace


class CrossFittedSpace(AdapterSpace, CoefficientSpace):
    """`DeltaSpace` over n experts and one that is trained on dev.

    Args:
        experts: the n experts; those of type `AdapterFile` are read by `complete`.
        granularity: see `CoefficientSpace`.

    Attributes:
        experts: as given.
    """

    name = "delta"
    linear = True

    def __init__(self, experts: Sequence[Expert], granularity: str = "model") -> None:
        modules = {f"{module}.weight" for expert in experts for module in expert.info.modules}
        super().__init__([*(expert.info.name for expert in experts), DEV_EXPERT], sorted(modules), granularity)
        self.experts, self._granularity = list(experts), granularity

    def complete(self, trained: Sequence[Expert], contexts: Sequence[frozenset[str]]) -> None:
        """Put in the new expert, without which there are no candidates.

        Args:
            trained: without each fold, and on all of dev; on modules of the experts.
            contexts: prompts of each fold's items.
        """
        self._inner, self._contexts = DeltaSpace([*self.experts, *trained], self._granularity), contexts
        self._infos = [expert.info for expert in (*self.experts, trained[-1])]

    def realise(self, position: Tensor) -> Patch:
        """The mixed change; with other changes for the dev items."""
        *without, whole = (self._with(position, which) for which in range(len(self._contexts) + 1))
        unseen = (HeldOut(contexts, patch) for contexts, patch in zip(self._contexts, without, strict=True))
        return Patch(low_rank=whole.low_rank, held_out=tuple(unseen))

    def _with(self, position: Tensor, which: int) -> Patch:
        """The mixed change with one of those that were trained on dev."""
        rows, n, trained = self.by_group(position), len(self.experts), len(self._contexts) + 1
        within = torch.cat([rows[:, :n], rows[:, n:].expand(-1, trained)], dim=1).flatten()
        return self._inner.realise(within, [n + other for other in range(trained) if other != which])


def train_on_dev(
    space: CrossFittedSpace,
    engine: Engine,
    choices: Sequence[Choices],
    folder: Path,
    base_name: str,
    seed: int,
    after_epoch: Callable[[float], None] | None = None,
) -> None:
    """Train the new expert, unless it is in `folder` already, and complete the space with it.

    Args:
        space: to be completed; the new expert has the rank, scale and modules of its first.
        engine: runs the base.
        choices: the dev items.
        folder: where the adapters are or will be: ``whole``, and ``without-K`` for each fold.
        base_name: for their files.
        seed: of the training.
        after_epoch: called with the share of the training that is done, in 0..1.
    """
    found = folds(choices, seed)
    places = [*(folder / f"without-{k + 1}" for k in range(len(found))), folder / "whole"]
    if not all((place / "adapter_config.json").is_file() for place in places):
        engine.load(Patch())
        pattern = space.experts[0].info
        _write(train_folds(engine, choices, pattern, seed, after_epoch), places, pattern, base_name)
    trained = [AdapterFile(read_adapter(place, f"dev-{place.name}")) for place in places]
    space.complete(trained, found)


def _write(trained: Sequence[Share], places: Sequence[Path], pattern: AdapterInfo, base_name: str) -> None:
    for place, share in zip(places, trained, strict=True):
        if not (place / "adapter_config.json").is_file():  # a process may have been stopped between two of them
            write_adapter(
                place,
                {name.removesuffix(".weight"): (change.b, change.a) for name, change in share.changes.items()},
                base_model_name=base_name,
                target_modules=pattern.target_modules,
            )


__all__ = ["CrossFittedSpace", "train_on_dev"]
