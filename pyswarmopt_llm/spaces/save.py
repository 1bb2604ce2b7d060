"""A realised candidate as files: the way every space of low-rank changes saves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.adapters.adapter import AdapterInfo, load_factors, read_adapter
from pyswarmopt_llm.models.adapters.write import write_adapter


class SavesAdapters(ABC):
    """A space whose candidates are LoRA adapters: one of the rank that `realise` gives is written and read back."""

    _infos: Sequence[AdapterInfo]  # the experts

    @abstractmethod
    def realise(self, position: Tensor) -> Patch:
        """See `Space.realise`."""

    def save(self, position: Tensor, out: Path) -> None:
        """Write a PEFT adapter; see `Space.save`.

        Raises:
            UserError: `out` exists already.
        """
        save_patch(self.realise(position), self._infos, out)

    def read(self, folder: Path) -> Patch:
        """The patch of a saved adapter."""
        return read_patch(folder)


def save_patch(patch: Patch, experts: Sequence[AdapterInfo], out: Path) -> None:
    """Write the low-rank part of a patch as a PEFT adapter.

    alpha equals the rank, so that peft's scale is exactly 1 and its merged weights are, to the bit, those of
    `LowRank.dense`: the scale of the experts is in B already.

    Args:
        patch: what `realise` gave.
        experts: where it comes from; they name the base and the target modules.
        out: the directory to make.

    Raises:
        UserError: `out` exists already.
    """
    write_adapter(
        Path(out),
        {name.removesuffix(".weight"): (change.b, change.a) for name, change in patch.low_rank.items()},
        base_model_name=next((e.base_model_name for e in experts if e.base_model_name), ""),
        target_modules={target for expert in experts for target in expert.target_modules},
    )


def read_patch(folder: Path) -> Patch:
    """The patch of an adapter that `save_patch` wrote.

    Raises:
        UserError: the files are not those of an adapter.
    """
    return Patch(low_rank=load_factors(read_adapter(folder)))
