"""Two ways to put a candidate into a loaded model: merging it into the weights, or at run time
(`added_outputs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import LowRank, Patch, shapes_of


class Mixing(Protocol):
    """Puts candidates into a model: `PatchedWeights` merges them, `AddedOutputs` leaves the weights
    unchanged.

    Attributes:
        parameter_names: weights that `Patch.dense` may replace.
    """

    parameter_names: tuple[str, ...]

    def load(self, patch: Patch) -> None:
        """Make the model ``base + patch``; the previous patch is removed exactly.

        Raises:
            KeyError: the base has no such weight.
            ValueError: a shape does not fit; nothing is changed.
        """


def check_fits(patch: Patch, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a patch whose names or shapes differ from these.

    Raises:
        KeyError: there is no such weight.
        ValueError: a shape does not fit, or a name is in two parts of the patch.
    """
    known: set[str] = set()
    for part in (patch.dense, patch.low_rank, patch.full_rank):
        for name, shape in shapes_of(part).items():
            if name in known:
                raise ValueError(f"the patch has several entries for {name}; keep one")
            if name not in shapes:
                raise KeyError(f"the base model has no parameter {name}")
            if shape != shapes[name]:
                raise ValueError(
                    f"{name}: the change has shape {shape}, but the weight has shape {shapes[name]}"
                )
            known.add(name)


class PatchedWeights:
    """Candidates merged into a model in place, and removed again exactly.

    The base's values are read from `stored` if available, so that memory holds the base only once;
    otherwise they are copied before their first change.

    Args:
        model: a torch module; its parameters are changed in place by `load`.
        stored: parameter name -> the base's value, read on access (see `StoredTensors`). A value
            that differs from the loaded one in the model's dtype is ignored.

    Attributes:
        parameter_names: names of all parameters.
    """

    def __init__(self, model: Any, stored: Mapping[str, Tensor] = {}) -> None:
        self._parameters: dict[str, Tensor] = dict(model.named_parameters())
        self.parameter_names = tuple(self._parameters)
        self._shapes = {name: tuple(value.shape) for name, value in self._parameters.items()}
        self._stored = stored
        # name of a parameter that was changed -> the base's value; None: as stored
        self._backups: dict[str, Tensor | None] = {}
        self._patched: set[str] = set()

    @torch.inference_mode()
    def load(self, patch: Patch) -> None:
        """Make the model ``base + patch`` (float32 sum, one rounding to the model's dtype).

        Raises:
            KeyError: the base has no parameter of that name.
            ValueError: a shape does not fit, or a name is in two parts of the patch; nothing is
                changed.
        """
        check_fits(patch, self._shapes)
        changed = patch.low_rank.keys() | patch.full_rank.keys() | patch.dense.keys()
        for name in self._patched - changed:
            self._parameters[name].copy_(self._base(name))
        for name in changed - self._backups.keys():
            self._back_up(name)
        # before the first change, so that an interrupted load can be undone
        self._patched = changed
        for name, value in patch.dense.items():
            self._parameters[name].copy_(value)
        for name, low_rank in patch.low_rank.items():
            parameter = self._parameters[name]
            factors = LowRank(b=low_rank.b.to(parameter.device), a=low_rank.a.to(parameter.device))
            # in place: one float32 weight at a time
            parameter.copy_(factors.dense().add_(self._base(name)))
        for name, change in patch.full_rank.items():
            parameter = self._parameters[name]
            parameter.copy_(self._base(name) + change.to(parameter.device))

    def _back_up(self, name: str) -> None:
        """Make sure that the parameter's present value, the base's, can be restored."""
        value = self._parameters[name]
        self._backups[name] = None
        if name not in self._stored or not torch.equal(self._stored[name].to(value), value):
            self._backups[name] = value.clone()

    def _base(self, name: str) -> Tensor:
        kept = self._backups[name]
        if kept is None:
            kept = self._stored[name]
        return kept.to(self._parameters[name])
