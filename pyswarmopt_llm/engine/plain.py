"""Passes of models whose layers do not take a mask and position ids per token: recurrent ones, linear
attention, chunks, distances by index.

A row is a whole text, and nothing is shared between rows. Whether padding changes results is
measured once, on the model itself: where it does, rows of one length go together.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.engine.batching import Batch, Plan, TokenPair, build_row, make_batch
from pyswarmopt_llm.engine.generation.decoder import Decoder
from pyswarmopt_llm.engine.passes import Passes

_STATES = ("past_key_values", "cache_params", "state")  # as models of transformers return theirs
_LONG, _SHORT = 13, 5  # tokens of the texts on which padding is tried
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}  # of logits, in standard deviations
_ROUNDED = 0.1  # in other dtypes


class PlainPasses(Passes):
    """See `Passes`; a batch is padded on the right, which a causal model does not look at."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        kind = model.config.get_text_config().model_type
        self.note = (
            f"{kind}: its layers do not take a mask for each token, so every text is read whole "
            "and nothing that texts share is computed once: slower, with the same results"
        )

    def plan(self, pairs: Sequence[TokenPair], batch_tokens: int, pad: int) -> Plan:
        """See `Passes.plan`."""
        return plain_plan(pairs, batch_tokens, pad, self.pads_right)

    def logits(self, batch: Batch, n_prefix: int, cache: object) -> Tensor:
        """See `Passes.logits`; there is no prefix."""
        with self.vocabulary_only_at(batch.heads):
            ids = batch.input_ids.to(self.model.device)
            logits: Tensor = self.model(input_ids=ids, use_cache=False).logits[0]
        return logits

    def decoder(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, batch_tokens: int, pad: int
    ) -> Decoder:
        """See `Passes.decoder`."""
        return PlainDecoder(self, prompts, pad)

    @cached_property
    def pads_right(self) -> bool:
        """Whether a text has the same logits with padding behind it."""
        long, short = _texts(self.model)
        with torch.inference_mode():
            ids = torch.tensor([long, short + long[: _LONG - _SHORT]], device=self.model.device)
            padded = self.model(input_ids=ids, use_cache=False).logits[1, :_SHORT]
            alone = self.model(input_ids=ids[1:, :_SHORT], use_cache=False).logits[0]
        return _same(padded, alone)

    @cached_property
    def pads_left(self) -> bool:
        """Whether a text goes on with the same logits with masked padding before it."""
        texts = _texts(self.model)
        together, alone = (Text(self, rows, texts[0][0]) for rows in (texts, texts[1:]))
        token = torch.tensor(texts[0][1:2])
        with torch.inference_mode():
            return all(
                _same(together.logits(tokens)[-1:], alone.logits(tokens))
                for tokens in (None, token)
            )


def _texts(model: Any) -> tuple[list[int], list[int]]:
    """A longer and a shorter text, of any tokens."""
    size = model.config.get_text_config().vocab_size
    long = [(7 * k + 3) % size for k in range(_LONG)]
    return long, long[-_SHORT:]


def _same(logits: Tensor, expected: Tensor) -> bool:
    tolerance = _TOLERANCE.get(expected.dtype, _ROUNDED) * expected.float().std()
    return bool((logits - expected).abs().max() <= tolerance)


def plain_plan(pairs: Sequence[TokenPair], batch_tokens: int, pad: int, padded: bool) -> Plan:
    """As `build_plan`, a row for each pair and nothing shared.

    Args:
        pairs: (context, continuation).
        batch_tokens: at most so many padded tokens in a batch.
        pad: id of the padding.
        padded: whether rows of different lengths may be in one batch.
    """
    rows = [build_row(context, [(k, rest)]) for k, (context, rest) in enumerate(pairs)]
    rows.sort(key=lambda row: len(row.tokens), reverse=True)
    batches, start = [], 0
    while start < len(rows):
        width = len(rows[start].tokens)
        batch = rows[start : start + max(1, batch_tokens // width)]
        if not padded:
            batch = [row for row in batch if len(row.tokens) == width]
        batches.append(make_batch(batch, 0, pad))
        start += len(batch)
    return Plan((), tuple(batches), len(pairs), sum(len(row.tokens) for row in rows))


class Text:
    """Texts that one cache of the model goes on with, padded on the left if they differ in length.

    Args:
        passes: of the model.
        prompts: token ids.
        pad: id of the padding.
    """

    def __init__(self, passes: Passes, prompts: Sequence[Sequence[int]], pad: int) -> None:
        self._passes, self._state = passes, dict[str, Any]()
        width = max(map(len, prompts))
        self._ids = torch.tensor([[pad] * (width - len(ids)) + [*ids] for ids in prompts])
        lengths = torch.tensor([len(ids) for ids in prompts])
        self._mask = (torch.arange(width) >= width - lengths[:, None]).long()
        self._padded = bool((lengths < width).any())
        taken = inspect.signature(passes.model.forward).parameters
        # told, since not every cache knows how many tokens it has read
        self._places = "position_ids" in taken

    def logits(self, tokens: Tensor | None) -> Tensor:
        """Of the next token of each text, (R, V), after these, (R,) or (1,); at first None."""
        model = self._passes.model
        if tokens is not None:
            new = tokens.cpu().expand(len(self._ids))[:, None]
            self._ids = torch.cat([self._ids, new], dim=1)
            self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
        # A model that returns no state reads its texts again.
        ids = self._ids[:, -1:] if self._state else self._ids
        more = {"attention_mask": self._mask.to(model.device)} if self._padded else {}
        if self._places:
            places = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            more["position_ids"] = places.to(model.device)
        ends = torch.arange(1, len(ids) + 1) * ids.shape[1] - 1
        with self._passes.vocabulary_only_at(ends):
            output = model(input_ids=ids.to(model.device), use_cache=True, **more, **self._state)
        self._state = {name: output[name] for name in _STATES if output.get(name) is not None}
        logits: Tensor = output.logits[0]
        return logits


class PlainDecoder(Decoder):
    """See `Decoder`; texts that have ended are read on beside the others, which changes nothing.

    Args:
        passes: of the model.
        prompts: token ids, any lengths.
        pad: id used as padding.
    """

    def __init__(self, passes: PlainPasses, prompts: Sequence[Sequence[int]], pad: int) -> None:
        rows_of = defaultdict[int, list[int]](list)
        for row, ids in enumerate(prompts):
            rows_of[0 if passes.pads_left else len(ids)].append(row)
        self._parts = [
            (rows, Text(passes, [prompts[row] for row in rows], pad)) for rows in rows_of.values()
        ]
        self._rows = list(range(len(prompts)))
        self._next: Tensor | None = None
        self._pad = pad
        self._new = sum(map(len, prompts))
        self.tokens_fed = 0

    @torch.inference_mode()
    def logits(self) -> Tensor:
        """See `Decoder.logits`."""
        self._parts = [(rows, text) for rows, text in self._parts if {*rows} & {*self._rows}]
        parts = [
            text.logits(None if self._next is None else self._next[rows])
            for rows, text in self._parts
        ]
        self.tokens_fed += self._new
        places = {row: k for k, row in enumerate(row for rows, _ in self._parts for row in rows)}
        return torch.cat(parts)[[places[row] for row in self._rows]]

    def keep(self, rows: Sequence[int]) -> None:
        """See `Decoder.keep`."""
        self._rows = [self._rows[place] for place in rows]

    def push(self, tokens: Tensor) -> None:
        """See `Decoder.push`."""
        if self._next is None:
            n_rows = sum(len(rows) for rows, _ in self._parts)
            self._next = torch.full((n_rows,), self._pad)
        self._next[self._rows] = tokens.cpu()
        self._new = len(self._rows)
