"""Two ways to put a candidate into a loaded model: merging it into the weights, or at run time
(`added_outputs`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Protocol

import torch
from torch import Tensor, nn

from pyswarmopt_llm.common.interfaces import Format, LowRank, Patch, shapes_of


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

    Where a patch has a format, all weights that the format changes are rounded. Those that the patch
    does not change are rounded once for all candidates of the same format, and are then called at
    rest.

    The base's values are read from `stored` if available, so that memory holds the base only once;
    otherwise they are copied before their first change.

    Args:
        model: a torch module; its parameters are changed in place by `load`.
        stored: parameter name -> the base's value, read on access (see `StoredTensors`). A value
            that differs from the loaded one in the model's dtype is ignored.

    Attributes:
        parameter_names: names of all parameters.
    """

    def __init__(self, model: nn.Module, stored: Mapping[str, Tensor] = {}) -> None:
        self._model = model
        self._parameters: dict[str, Tensor] = dict(model.named_parameters())
        self.parameter_names = tuple(self._parameters)
        self._shapes = {name: tuple(value.shape) for name, value in self._parameters.items()}
        self._stored = stored
        # name of a parameter that was changed -> the base's value; None: as stored
        self._backups: dict[str, Tensor | None] = {}
        self._patched: Set[str] = frozenset()  # names of those that may differ from the base's
        self._format = ""  # of the weights at rest
        self._at_rest: Set[str] = frozenset()

    @torch.inference_mode()
    def load(self, patch: Patch) -> None:
        """Make the model ``base + patch`` (float32 sum, rounded to the patch's format if it has one, then
        to the model's dtype).

        Raises:
            KeyError: the base has no parameter of that name.
            ValueError: a shape does not fit, or a name is in two parts of the patch; nothing is
                changed.
        """
        check_fits(patch, self._shapes)
        form = patch.format
        types = {} if form is None else form.layout(self._model)
        of_patch = patch.low_rank.keys() | patch.full_rank.keys() | patch.dense.keys()
        of_patch |= patch.rounded.keys()
        changed = of_patch | types.keys()
        at_rest = self._in_format(form)
        self._forget_format()  # until the end: an interrupted load leaves a part of the weights
        for name in self._patched - changed:
            self._parameters[name].copy_(self._base(name))
        for name in changed - self._backups.keys():
            self._back_up(name)
        # before the first change, so that an interrupted load can be undone
        self._patched = changed
        for name in types.keys() - of_patch - at_rest:
            self._put(name, self._base(name), form, types)
        for name, value in self._values(patch):
            self._put(name, value, form, types)
        for name, value in patch.rounded.items():
            self._parameters[name].copy_(value)
        if form is not None:
            self._format = form.name
            self._at_rest = types.keys() - of_patch

    def base_and_sum(self, name: str, patch: Patch) -> tuple[Tensor, Tensor]:
        """A weight of the base, and the same with its low-rank change, float32; `patch` is loaded without a
        format.
        """
        if name not in self._backups:
            self._back_up(name)
        base = self._base(name).to(torch.float32)
        if name not in patch.low_rank:
            return base, base
        return base, self._sum(name, patch.low_rank[name])

    def _in_format(self, form: Format | None) -> Set[str]:
        """The names of the weights that are the base's, rounded to this format."""
        if form is None or form.name != self._format:
            return frozenset()
        return self._at_rest

    def _forget_format(self) -> None:
        self._format = ""
        self._at_rest = frozenset()

    def _values(self, patch: Patch) -> Iterator[tuple[str, Tensor]]:
        """The weights that a patch changes, one float32 sum at a time."""
        yield from patch.dense.items()
        for name in patch.low_rank.keys() - patch.rounded.keys():
            yield name, self._sum(name, patch.low_rank[name])
        for name, change in patch.full_rank.items():
            yield name, self._base(name) + change.to(self._parameters[name].device)

    def _sum(self, name: str, change: LowRank) -> Tensor:
        """A weight of the base plus a change, float32."""
        device = self._parameters[name].device
        factors = LowRank(b=change.b.to(device), a=change.a.to(device))
        return factors.dense().add_(self._base(name))

    def _put(self, name: str, value: Tensor, form: Format | None, types: Mapping[str, str]) -> None:
        """Set a parameter to a value, or to what a format holds of it.

        Args:
            name: name of the parameter.
            value: its new value.
            form: format of the weights, if any.
            types: see `Format.layout`.
        """
        if form is not None and name in types:
            value = form.rounded(value, types[name])
        self._parameters[name].copy_(value)

    def _back_up(self, name: str) -> None:
        """Make sure that the parameter's present value, the base's, can be restored."""
        value = self._parameters[name]
        self._backups[name] = None
        if name not in self._stored or not torch.equal(self._stored[name].to(value), value):
            self._backups[name] = value.clone()

    def _base(self, name: str) -> Tensor:
        """The base's value of a parameter that was backed up."""
        kept = self._backups[name]
        if kept is None:
            kept = self._stored[name]
        return kept.to(self._parameters[name])
