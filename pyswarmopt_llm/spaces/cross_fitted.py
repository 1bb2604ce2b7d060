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

from pyswarmopt_llm.common.interfaces import Engine, HeldOut, Patch
from pyswarmopt_llm.models.adapters.adapter import AdapterFile, AdapterInfo, Expert, read_adapter
from pyswarmopt_llm.models.adapters.write import write_adapter
from pyswarmopt_llm.models.choices import Choices
from pyswarmopt_llm.models.training.halves import halves, train_halves
from pyswarmopt_llm.spaces.coefficients import CoefficientSpace
from pyswarmopt_llm.spaces.delta import DeltaSpace

DEV = "trained-on-dev"  # name of the expert


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


def train_on_dev(
    space: CrossFittedSpace,
    experts: Sequence[Expert],
    engine: Engine,
    choices: Sequence[Choices],
    folder: Path,
    base_name: str,
    seed: int,
) -> None:
    """Train the new expert, unless it is in `folder` already, and complete the space with it.

    Args:
        space: of these experts, to be completed.
        experts: the new one has the rank, scale and modules of the first.
        engine: runs the base.
        choices: the dev items.
        folder: where the two adapters are or will be.
        base_name: for their files.
        seed: of the training.
    """
    places = [folder / "first", folder / "second"]
    if not all((place / "adapter_config.json").is_file() for place in places):
        _train(experts[0].info, engine, choices, places, base_name, seed)
    first, second = (AdapterFile(read_adapter(place, f"dev-{place.name}")) for place in places)
    space.complete((first, second), halves(choices, seed))


def _train(
    pattern: AdapterInfo, engine: Engine, choices: Sequence[Choices], places: Sequence[Path], base_name: str, seed: int
) -> None:
    one = next(iter(pattern.modules.values()))
    shapes = {module: shape.weight_shape for module, shape in pattern.modules.items()}
    engine.load(Patch())
    trained = train_halves(engine, choices, shapes, one.rank, one.scale, seed)
    for place, half in zip(places, trained, strict=True):
        if not (place / "adapter_config.json").is_file():  # a process may have been stopped between the two
            write_adapter(
                place,
                {name.removesuffix(".weight"): (change.b, change.a) for name, change in half.changes.items()},
                base_model_name=base_name,
                target_modules=pattern.target_modules,
            )


__all__ = ["DEV", "CrossFittedSpace", "train_on_dev"]
