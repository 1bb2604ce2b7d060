"""Rounding a merged model so that its layers compute the same on given texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from pyswarmopt_llm.common.interfaces import Format, Patch
from pyswarmopt_llm.engine.input_moments import input_moments
from pyswarmopt_llm.engine.mixing import PatchedWeights

MOST_BYTES = 2**30  # of second moments at once; more layers than that take another reading
_AS_STORED = 2**-8  # a base on the grid that is stored in bfloat16 is off by as much


class Rounding:
    """Rounds the weights of a merged model together; see `formats.feedback`.

    Weights whose type does not share steps by blocks, and those of the base that are on its grid
    already, are not among them; they are rounded one by one.

    Args:
        model: with the patch loaded, without a format.
        mixing: puts candidates into the model.
        patch: the candidate.
        form: the format.

    Attributes:
        types: name of each weight that is rounded -> its type.
        layers: name of each of them -> its layer.
    """

    def __init__(
        self, model: nn.Module, mixing: PatchedWeights, patch: Patch, form: Format
    ) -> None:
        from pyswarmopt_llm.formats.gguf_types import shares_steps

        self._mixing = mixing
        self._patch = patch
        self._form = form
        self.types: dict[str, str] = {}
        self.layers: dict[str, nn.Linear] = {}
        for name, kind in form.layout(model).items():
            layer = model.get_submodule(name.removesuffix(".weight"))
            if isinstance(layer, nn.Linear) and shares_steps(kind) and self._is_off(name, kind):
                self.types[name] = kind
                self.layers[name] = layer

    def weights(self, read: Callable[[], object]) -> Iterator[tuple[str, str, Tensor]]:
        """Name, type and values, (rows, width) float32, of each weight.

        Args:
            read: makes the model read the texts that its layers have to compute the same on.
        """
        for names in self._groups():
            with input_moments({name: self.layers[name] for name in names}) as moments:
                read()
            for name in names:
                yield name, self.types[name], self.rounded(name, moments.pop(name))

    @torch.inference_mode()
    def rounded(self, name: str, moments: Tensor) -> Tensor:
        """A weight, (rows, width) float32, that is rounded for inputs with these second moments."""
        from pyswarmopt_llm.formats.feedback import block_grid, rounded_with_feedback

        base, merged = self._mixing.base_and_sum(name, self._patch)
        return rounded_with_feedback(merged, block_grid(base, self.types[name]), moments)

    @torch.inference_mode()
    def _is_off(self, name: str, kind: str) -> bool:
        """Whether rounding changes a weight by more than its storage in the base."""
        if name in self._patch.low_rank:
            return True
        base, _ = self._mixing.base_and_sum(name, self._patch)
        off = (self._form.rounded(base, kind) - base).abs()
        return bool((off > _AS_STORED * base.abs()).any())

    def _groups(self) -> Iterator[Sequence[str]]:
        """The names in groups whose second moments fit into memory."""
        group: list[str] = []
        used = 0
        for name, layer in self.layers.items():
            needed = 4 * layer.in_features**2
            if group and used + needed > MOST_BYTES:
                yield group
                group, used = [], 0
            group.append(name)
            used += needed
        if group:
            yield group
