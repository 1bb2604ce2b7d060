"""Batched decoding: prompts are read as planned batches, finished rows leave.

What prompts have in common is computed once, and so are equal prompts; every step computes one
token per row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.engine.attention import on_device
from pyswarmopt_llm.engine.batching import build_plan
from pyswarmopt_llm.engine.generation.few_rows import products_for_few_rows
from pyswarmopt_llm.engine.generation.reply_cache import RecordingCache, ReplyCache
from pyswarmopt_llm.engine.passes import Passes

Choose = Callable[[Sequence[Tensor], Sequence[int]], Tensor]
"""The models' logits, each (B, V), and the indices of these rows -> next tokens (B,)."""


class Decoder:
    """One model that reads a batch of prompts and then one token at a time.

    Padding is masked and the position ids count real tokens only, so a prompt's text does not
    depend on its batch.

    Args:
        passes: of the model.
        prompts: token ids, any lengths.
        max_new_tokens: maximum number of tokens per prompt.
        batch_tokens: padded tokens per forward pass over the prompts.
        pad: id used as padding.

    Attributes:
        tokens_fed: tokens sent through the model so far, padding excluded.
    """

    def __init__(
        self,
        passes: Passes,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        batch_tokens: int,
        pad: int,
    ) -> None:
        self._passes = passes
        self._plan = build_plan([(tuple(ids), ()) for ids in prompts], batch_tokens, pad)
        lengths = torch.tensor([len(ids) for ids in prompts])
        room = max_new_tokens - 1  # the last token is not fed
        self._cache = ReplyCache(lengths, room, passes.windows)
        self._tokens: Tensor | None = None
        self.tokens_fed = 0

    @torch.inference_mode()
    def logits(self) -> Tensor:
        """Process the pending tokens; the logits of the next token, (B, V)."""
        if self._tokens is None:
            return self._read_prompts()
        model = self._passes.model
        positions, mask = self._cache.step(model.dtype)
        with products_for_few_rows(model, len(self._tokens)):
            output = model(
                input_ids=self._tokens[:, None].to(model.device),
                attention_mask=on_device(mask, model.device),
                position_ids=positions.to(model.device),
                past_key_values=self._cache,
                use_cache=True,
            )
        self.tokens_fed += len(self._tokens)
        return self._passes.defined(output.logits[:, -1])

    def _read_prompts(self) -> Tensor:
        """The logits after each prompt; its keys and values are in the cache then."""
        plan = self._plan
        prefix = self._passes.prefix(plan.prefix)
        parts = []
        for batch in plan.batches:
            recorded = RecordingCache(prefix)
            logits = self._passes.logits(batch, len(plan.prefix), recorded)
            self._cache.fill(batch, self._passes.packing(batch, len(plan.prefix)), recorded)
            parts.append(logits[batch.target_head.to(logits.device)])
        self.tokens_fed += plan.n_tokens
        order = torch.cat([batch.target_pair for batch in plan.batches]).argsort()
        return torch.cat(parts)[order.to(parts[0].device)]

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows only; see `ReplyCache.keep`."""
        self._cache.keep(rows)

    def push(self, tokens: Tensor) -> None:
        """Append the next token of each row, (B,) int64."""
        self._tokens = tokens


def decode(
    decoders: Sequence[Decoder], n: int, choose: Choose, stops: frozenset[int], max_new_tokens: int
) -> Iterator[dict[int, int]]:
    """Decode `n` sequences jointly by models with one vocabulary; yields the new tokens by row
    after each step.

    Args:
        decoders: one per model, all with the same rows.
        n: number of rows.
        choose: picks the next tokens.
        stops: ids that end a sequence; not yielded.
        max_new_tokens: maximum number of tokens per row.
    """
    rows = list(range(n))
    for step in range(max_new_tokens):
        tokens = choose([decoder.logits() for decoder in decoders], rows)
        chosen = tokens.tolist()
        going = [place for place, token in enumerate(chosen) if token not in stops]
        yield {rows[place]: chosen[place] for place in going}
        if not going or step + 1 == max_new_tokens:
            return
        if len(going) < len(rows):
            going = _closed_up(going)
            rows = [rows[place] for place in going]
            tokens = tokens[going]
            for decoder in decoders:
                decoder.keep(going)
        for decoder in decoders:
            decoder.push(tokens)


def _closed_up(places: Sequence[int]) -> list[int]:
    """The same places, ascending in the input, in an order that moves as few of them as possible.

    Example:
        >>> _closed_up([0, 2, 3, 5])
        [0, 5, 2, 3]
    """
    staying = {place for place in places if place < len(places)}
    moving = [place for place in places if place >= len(places)]
    return [place if place in staying else moving.pop() for place in range(len(places))]
