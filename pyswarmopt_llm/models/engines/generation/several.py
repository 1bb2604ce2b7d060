"""Replies of several candidates in one batch, where candidates are added to outputs at run time.

A step over 80 rows costs far less than four steps over 20, above all where packed weights are
unpacked in each of them (`docs/how-to/gpu.md` has figures). Prompts fill their batches anyway, and
are read candidate by candidate.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.engines.generation.decoder import Decoder
from pyswarmopt_llm.models.engines.generation.reply_cache import ReplyCache
from pyswarmopt_llm.models.engines.generation.write import Draw
from pyswarmopt_llm.models.engines.mixing import RowMixing
from pyswarmopt_llm.models.engines.passes import Passes

Call = tuple[tuple[str, ...], int, Draw | None]  # prompts, maximum number of new tokens, sampling


class SeveralDecoder(Decoder):
    """The same prompts continued by several candidates: row k * N + i is prompt i by candidate k.

    Args:
        passes: of the model.
        prompts: N of them, token ids.
        max_new_tokens: maximum number of tokens per prompt.
        batch_tokens: padded tokens per forward pass over the prompts.
        pad: id used as padding.
        mixing: puts candidates into the model.
        patches: the candidates.
    """

    def __init__(
        self,
        passes: Passes,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        batch_tokens: int,
        pad: int,
        mixing: RowMixing,
        patches: Sequence[Patch],
    ) -> None:
        super().__init__(passes, prompts, max_new_tokens, batch_tokens, pad)
        self._mixing, self._patches = mixing, patches
        lengths = torch.tensor([len(ids) for ids in prompts] * len(patches))
        self._cache = ReplyCache(lengths, max_new_tokens - 1, passes.windows)
        self._owners = torch.arange(len(patches)).repeat_interleave(len(prompts))

    def keep(self, rows: Sequence[int]) -> None:
        """See `Decoder.keep`."""
        super().keep(rows)
        self._owners = self._owners[list(rows)]
        self._mixing.set_owners(self._owners)

    def _read_prompts(self, first: int) -> Tensor:
        parts = []
        for k, patch in enumerate(self._patches):
            self._mixing.load(patch)
            n_prompts = len(self._owners) // len(self._patches)
            parts.append(super()._read_prompts(first + k * n_prompts))
        self._mixing.load_rows(self._patches)
        self._mixing.set_owners(self._owners)
        return torch.cat(parts)


class Expected:
    """Candidates that will be loaded, and replies of theirs that were written with others'."""

    def __init__(self) -> None:
        self._patches: list[Patch] = []
        self._texts: dict[tuple[int, Call], list[str]] = {}

    def replace(self, patches: Sequence[Patch]) -> None:
        """Forget the previous ones."""
        self._patches = list(patches)
        self._texts.clear()

    def group(self, patch: Patch, size: int) -> list[Patch]:
        """The candidates that are written together with one, itself among them: the same ones
        whichever of them is first, so that a search that is resumed has the same batches.
        """
        place = self._place(patch)
        if place is None or size < 2:
            return [patch]
        start = place // size * size
        return self._patches[start : start + size]

    def keep(self, patch: Patch, call: Call, texts: list[str]) -> None:
        """Replies of a candidate, which another call like this one needs, too."""
        place = self._place(patch)
        if place is not None:
            self._texts[place, call] = texts

    def replies(self, patch: Patch, call: Call) -> list[str] | None:
        """Those that `keep` was given; None if there are none."""
        place = self._place(patch)
        return None if place is None else self._texts.get((place, call))

    def _place(self, patch: Patch) -> int | None:
        return next((k for k, other in enumerate(self._patches) if other is patch), None)
