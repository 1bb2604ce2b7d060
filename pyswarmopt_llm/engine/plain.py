"""Passes of models whose layers accept no mask or position ids per token: recurrent layers, linear
attention, chunks, distances by index.

A row is a whole text, rows share nothing, and the rows of a batch have equal length: such layers
might look at padding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UndefinedModelError
from pyswarmopt_llm.common.hardware import out_of_memory
from pyswarmopt_llm.engine.batching import (
    Batch,
    BatchPlan,
    Prompts,
    TokenPair,
    build_row,
    in_batches,
)
from pyswarmopt_llm.engine.passes import Passes

_STATES = ("past_key_values", "cache_params", "state")  # as in transformers' model outputs


class PlainPasses(Passes):
    """See `Passes`."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.windows = {}

    def plan(self, pairs: Sequence[TokenPair], batch_tokens: int) -> BatchPlan:
        """See `Passes.plan`."""
        by_length = defaultdict(list)
        for index, (context, continuation) in enumerate(pairs):
            row = build_row(context, [(index, continuation)])
            by_length[len(row.tokens)].append(row)
        batches: list[Batch] = []
        for length in sorted(by_length, reverse=True):
            batches += in_batches(by_length[length], batch_tokens, 0)
        return BatchPlan((), tuple(batches))

    def logits(self, batch: Batch, cache: object) -> Tensor:
        """See `Passes.logits`; there is no prefix."""
        ids = batch.input_ids.to(self.model.device)
        return self.run(batch.heads, input_ids=ids, use_cache=False).logits[0]

    def read_on(
        self, ids: Tensor, state: Mapping[str, Any], keep: bool
    ) -> tuple[Tensor, dict[str, Any]]:
        """The logits after texts, (R, V), and the model's state if requested.

        Args:
            ids: tokens of the texts that the state has not read, (R, L).
            state: state of the model after the tokens before them.
            keep: whether to return the new state.
        """
        ends = torch.arange(1, len(ids) + 1) * ids.shape[1] - 1
        output = self.run(ends, input_ids=ids.to(self.model.device), use_cache=keep, **state)
        known = [name for name in _STATES if keep and output.get(name) is not None]
        return output.logits[0], {name: output[name] for name in known}

    @cached_property
    def keeps_state(self) -> bool:
        """Whether reading a text in two parts gives the same logits as at once."""
        ids = torch.tensor([[1, 2, 3]])
        whole, _ = self.read_on(ids, {}, keep=False)
        try:
            _, state = self.read_on(ids[:, :2], {}, keep=True)
            in_parts, _ = self.read_on(ids[:, 2:], state, keep=True)
        except (
            IndexError,
            RuntimeError,
            ValueError,
            UndefinedModelError,
        ) as error:  # raised by the model's code
            if out_of_memory(error):
                raise
            return False
        return bool((in_parts - whole).abs().max() < whole.float().std() / 8)


class PlainDecoder:
    """See `PlannedDecoder`; finished texts continue to be read beside the others, without effect.

    Args:
        passes: passes of the model.
        prompts: token ids, all of one length.
    """

    def __init__(self, passes: PlainPasses, prompts: Prompts) -> None:
        self._passes = passes
        self._ids = torch.tensor([list(ids) for ids in prompts])
        self._rows = list(range(len(prompts)))
        self._state: dict[str, Any] = {}

    @torch.inference_mode()
    def read(self) -> Tensor:
        """The logits after the remaining texts; without a state texts are read from the start."""
        unread = self._ids
        if self._state:
            unread = unread[:, -1:]
        logits, self._state = self._passes.read_on(
            unread, self._state, keep=self._passes.keeps_state
        )
        return logits[self._rows]

    def step(self, tokens: Tensor) -> Tensor:
        """See `PlannedDecoder.step`."""
        latest = torch.zeros(len(self._ids), 1, dtype=torch.int64)
        latest[self._rows, 0] = tokens.cpu()
        self._ids = torch.cat([self._ids, latest], dim=1)
        return self.read()

    def keep(self, rows: Sequence[int]) -> None:
        """See `PlannedDecoder.keep`."""
        self._rows = [self._rows[index] for index in rows]
