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
from pyswarmopt_llm.models.engines.mixing import RowMixing
from pyswarmopt_llm.models.engines.passes import Passes


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
