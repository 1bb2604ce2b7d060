"""Candidates that are added to the outputs of a model's layers at run time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import LowRank, Patch, shapes_of


class AddedOutputs:
    """Low-rank changes added to the outputs of linear layers, h = W x + B (A x), as peft does
    without merging.

    W is only multiplied with, so it may be packed. A mixture in space ``delta`` is one change,
    [A_1; ...; A_n] with [w_1 B_1, ..., w_n B_n]: A stays on the model's device, and a candidate
    brings a new B. Products with A and B are in the dtype of the layer's output.

    Args:
        model: a torch module; forward hooks are put on its linear layers.
    """

    parameter_names: tuple[str, ...] = ()

    def __init__(self, model: Any) -> None:
        self._modules: dict[str, Any] = dict(model.named_modules())
        self._added: dict[str, _AddedOutput] = {}
        self._rows = _Rows()

    def load(self, patch: Patch) -> None:
        """See `Mixing.load`.

        Raises:
            InvalidOption: the patch replaces weights, or its changes are of full rank.
        """
        if patch.dense or patch.full_rank:
            why = "adds changes of low rank only; use a base with plain weights, and `mix` merged"
            raise InvalidOption("mix", "runtime", why)
        for weight, shape in shapes_of(patch.low_rank).items():
            layer: Any = self._modules.get(weight.removesuffix(".weight"))
            if not hasattr(layer, "out_features"):
                raise KeyError(f"{weight}: the base has no such linear layer")
            base_shape = (layer.out_features, layer.in_features)
            if shape != base_shape:
                raise ValueError(f"{weight}: a change of shape {shape} for {base_shape} weights")
        for weight in self._added.keys() - patch.low_rank.keys():
            self._added.pop(weight).remove()
        for weight, change in patch.low_rank.items():
            if weight in self._added:
                self._added[weight].changes = [change]
            else:
                self._added[weight] = _AddedOutput(
                    self._modules[weight.removesuffix(".weight")], change, self._rows
                )

    def load_rows(self, patches: Sequence[Patch]) -> None:
        """See `RowMixing.load_rows`."""
        self.load(patches[0])
        self._rows.count = len(patches)
        for weight, added in self._added.items():
            added.changes = [patch.low_rank[weight] for patch in patches]

    def set_owners(self, owners: Tensor) -> None:
        """See `RowMixing.set_owners`."""
        self._rows.sort(owners)


class _Rows:
    """The rows of a batch sorted by candidate.

    Attributes:
        count: K, the number of candidates.
    """

    def __init__(self) -> None:
        self.count = 1
        self._sorted: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def sort(self, owners: Tensor) -> None:
        """Sort the rows of these candidates, (B,) int64 on the CPU."""
        order = owners.argsort(stable=True)
        sizes = owners.bincount(minlength=self.count)
        within = torch.arange(len(owners)) - (sizes.cumsum(0) - sizes)[owners[order]]
        slots = torch.zeros(self.count, int(sizes.max()), dtype=torch.int64)
        slots[owners[order], within] = order
        places = torch.empty_like(owners)
        places[order] = owners[order] * slots.shape[1] + within
        self._sorted = {owners.device: (slots, places)}

    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """(K, M) which row is the m-th of each candidate, row 0 where it has fewer, and (B,) where
        each row is among these, flattened.
        """
        if device not in self._sorted:
            slots, places = next(iter(self._sorted.values()))
            self._sorted[device] = slots.to(device), places.to(device)
        return self._sorted[device]


class _AddedOutput:
    """One layer's change.

    Attributes:
        changes: added from now on: one to all rows, or those of several candidates.
    """

    def __init__(self, layer: Any, change: LowRank, rows: _Rows) -> None:
        self.changes, self._rows = [change], rows
        # factor -> as given, and as it is used
        self._converted: dict[str, tuple[Any, Tensor]] = {}
        self._handle = layer.register_forward_hook(self._add)

    def remove(self) -> None:
        """Add nothing any more."""
        self._handle.remove()

    def _add(self, layer: object, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        x = inputs[0].to(output)
        if len(self.changes) > 1:
            return output + self._of_rows(x.flatten(0, -2)).view_as(output)
        (change,) = self.changes
        a, b = self._like("a", change.a, output), self._like("b", change.b, output)
        return output + linear(linear(x, a), b)

    def _of_rows(self, x: Tensor) -> Tensor:
        """What the candidates add to their rows, (B, in) -> (B, out)."""
        slots, places = self._rows.on(x.device)
        products = x[slots] @ self._of_all("a", x).mT @ self._of_all("b", x).mT
        return products.flatten(0, 1)[places]

    def _of_all(self, name: str, x: Tensor) -> Tensor:
        """A factor of each candidate, (K, ...), or that which they share."""
        factors = [getattr(change, name) for change in self.changes]
        if all(factor is factors[0] for factor in factors):
            return self._like(name, factors[0], x)
        source, stacked = self._converted.get(name, (None, None))
        if source is not self.changes or stacked is None:
            stacked = torch.stack(factors).to(x)
            self._converted[name] = (self.changes, stacked)
        return stacked

    def _like(self, name: str, factor: Tensor, output: Tensor) -> Tensor:
        """A factor on the output's device, in its dtype, converted once."""
        source, converted = self._converted.get(name, (None, None))
        if source is not factor or converted is None:
            with torch.inference_mode(False):  # training uses it, too
                converted = factor.to(output)
            self._converted[name] = (factor, converted)
        return converted
