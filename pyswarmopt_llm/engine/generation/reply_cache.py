"""Keys and values of prompts that are continued together: room for the longest reply, allocated
once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from pyswarmopt_llm.engine.attention import PrefixCache, SharedLayer, additive_mask
from pyswarmopt_llm.engine.batching import Batch
from pyswarmopt_llm.engine.packed_attention import Packing

_HIDDEN = torch.iinfo(torch.int64).max


class RecordingCache(Cache):
    """Keys and values of a prefix for one batch, whose own are kept for a `ReplyCache`.

    Args:
        prefix: of all rows; None if there is none.
    """

    def __init__(self, prefix: PrefixCache | None) -> None:
        if prefix is None:
            super().__init__(layer_class_to_replicate=_RecordingLayer)
        else:
            super().__init__(
                layers=[_RecordingLayer(layer.keys, layer.values) for layer in prefix.layers]
            )


class _RecordingLayer(SharedLayer):
    """Attributes: `batch_keys` and `batch_values`, those of the batch without the prefix."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        self.batch_keys, self.batch_values = key_states, value_states
        return super().update(key_states, value_states)


class ReplyCache(Cache):
    """Keys and values of R prompts and of the tokens that follow.

    Prompts begin at column 0 and are padded on the right; replies all begin at the column after the
    longest prompt.

    Args:
        lengths: number of tokens of each prompt, (R,) int64.
        room: maximum number of tokens after a prompt.
        windows: from `attention_windows`.
    """

    def __init__(self, lengths: Tensor, room: int, windows: Mapping[str, int | None]) -> None:
        super().__init__(layers=[])
        self._windows = windows
        self._start = int(lengths.max())
        columns = torch.arange(self._start + room)
        in_prompt = torch.where(columns < lengths[:, None], columns, _HIDDEN)
        in_reply = lengths[:, None] + columns - self._start
        self._positions = torch.where(columns < self._start, in_prompt, in_reply)

    def fill(self, batch: Batch, packing: Packing | None, recorded: RecordingCache) -> None:
        """Take over the keys and values of a batch of prompts, and of the prefix before them.

        Args:
            batch: of a plan whose pairs are rows of this cache.
            packing: how the batch was fed.
            recorded: the cache of its forward pass.
        """
        rows = batch.target_pair
        # A head is the last token of its row's prompt.
        sources = batch.heads[batch.target_head] // batch.input_ids.shape[1]
        for index, layer in enumerate(recorded.layers):
            if index == len(self.layers):
                shape = self._positions.shape
                self.layers.append(_ReplyLayer(shape, self._start, layer.batch_keys))
            reply: _ReplyLayer = self.layers[index]
            for store, states, prefix in (
                (reply.stored_keys, layer.batch_keys, layer.keys),
                (reply.stored_values, layer.batch_values, layer.values),
            ):
                padded = states if packing is None else packing.padded(states, states.shape[1])
                n_prefix = 0
                if layer.is_initialized:
                    n_prefix = prefix.shape[2]
                    store[rows, :, :n_prefix] = prefix
                store[rows, :, n_prefix : n_prefix + padded.shape[2]] = padded[sources]

    def step(self, dtype: torch.dtype) -> tuple[Tensor, Tensor | dict[str, Tensor]]:
        """Position ids, (R, 1), and masks of the next token of each row; see `attention_mask`."""
        end = self.get_seq_length() + 1
        positions = self._positions[:, :end]
        distance = positions[:, -1:, None] - positions[:, None, :]
        return positions[:, -1:], additive_mask(distance >= 0, distance, self._windows, dtype)

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows only, in this order; none may be moved to a later place.

        Rows move within the memory that they have, so that only those that move are copied.
        """
        if any(row < place for place, row in enumerate(rows)):
            raise ValueError("a row would be overwritten before it is moved")
        self._positions = self._positions[list(rows)]
        for layer in self.layers:
            layer.keep(rows)


class _ReplyLayer(DynamicLayer):
    """One layer's keys and values, in `stored_keys` and `stored_values`, (R, heads, columns,
    head_dim).

    Args:
        shape: number of rows and of columns.
        start: number of columns that are filled before the first `update`.
        states: keys of any tokens, for heads, size, dtype and device.
    """

    def __init__(self, shape: Sequence[int], start: int, states: Tensor) -> None:
        super().__init__()
        self.is_initialized = True
        self._end = start
        n_rows, n_columns = shape
        # Zeros, since what is hidden is multiplied by a weight of 0, which makes nan of what is not
        # finite.
        self.stored_keys, self.stored_values = (
            states.new_zeros(n_rows, states.shape[1], n_columns, states.shape[3]) for _ in range(2)
        )

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        begin, self._end = self._end, self._end + key_states.shape[2]
        self.stored_keys[:, :, begin : self._end] = key_states
        self.stored_values[:, :, begin : self._end] = value_states
        return self.stored_keys[:, :, : self._end], self.stored_values[:, :, : self._end]

    def get_seq_length(self) -> int:
        return self._end

    def keep(self, rows: Sequence[int]) -> None:
        for place, row in enumerate(rows):
            if row != place:
                self.stored_keys[place] = self.stored_keys[row]
                self.stored_values[place] = self.stored_values[row]
        self.stored_keys = self.stored_keys[: len(rows)]
        self.stored_values = self.stored_values[: len(rows)]
