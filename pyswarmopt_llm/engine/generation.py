"""Batched writing: planned batches read the prompts, then each step adds a token to every
unfinished text.

Common prefixes are computed once, and so are equal prompts. Padding is masked and position ids
count only real tokens, so a text does not depend on its batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from pyswarmopt_llm.engine.batching import KEYS_PER_TOKEN, Batch, Prompts, longest_first
from pyswarmopt_llm.engine.packed_attention import Packing
from pyswarmopt_llm.engine.passes import Decoder, Passes, PrefixCache, Windows, additive_mask

log = logging.getLogger(__name__)

_WHOLE = 32  # replies this long are meant to end by themselves
_HIDDEN = torch.iinfo(torch.int64).max

Choose = Callable[[Sequence[Tensor], Sequence[int]], Tensor]
"""The models' logits, each (B, V), and the indices of these rows -> next tokens (B,)."""


@dataclass(frozen=True)
class Draw:
    """Sampling from softmax(logits / temperature), with a generator for each text.

    A text depends on its seed, not on its batch.

    Attributes:
        temperature: above 0.
        seeds: one per text, at least 0 and below 2**63.
    """

    temperature: float
    seeds: tuple[int, ...]

    def choose(self, texts: Sequence[int], max_new_tokens: int) -> Choose:
        """Chooses the tokens of these texts. A generator draws one number in [0, 1) per token; it
        picks the first token whose cumulative probability exceeds the number.
        """
        generators = [torch.Generator().manual_seed(self.seeds[text]) for text in texts]
        numbers = torch.stack(
            [torch.rand(max_new_tokens, generator=one, dtype=torch.float64) for one in generators]
        )
        columns = iter(numbers.unbind(1))

        def choose(logits: Sequence[Tensor], rows: Sequence[int]) -> Tensor:
            shares = (logits[0].float() / self.temperature).softmax(-1)
            cumulative = shares.double().cumsum(-1)
            drawn = next(columns)[rows, None].to(cumulative.device) * cumulative[:, -1:]
            # "right": a token of probability 0 is never drawn.
            return torch.searchsorted(cumulative, drawn, right=True).squeeze(1)

        return choose


@dataclass(frozen=True)
class Continuation:
    """A model's text after a prompt.

    Attributes:
        text: text without special tokens.
        cut: whether the length limit ended it. The token ids decide, not the text, which may
            retokenise into fewer tokens.
    """

    text: str
    cut: bool


def write_replies(
    engine: Any, prompts: Sequence[str], max_new_tokens: int, draw: Draw | None
) -> list[Continuation]:
    """The continuations of prompts by a `TransformersEngine`; see its `write`."""
    max_new_tokens += engine.thinking
    encoded = engine.encode_prompts(prompts, max_new_tokens)
    keys = [len(ids) + max_new_tokens for ids in encoded]
    most = KEYS_PER_TOKEN * engine.batch_tokens
    choose: Choose = _most_probable
    replies = dict[int, list[int]]()
    for rows in longest_first(keys, lambda longest: most // longest):
        decoder = engine.decoder([encoded[row] for row in rows], max_new_tokens)
        if draw is not None:
            choose = draw.choose(rows, max_new_tokens)
        of_rows = write([decoder], len(rows), engine.stops(), max_new_tokens, choose)
        replies |= zip(rows, of_rows, strict=True)
        engine.tokens_fed += decoder.tokens_fed
        engine.tell(len(replies), len(prompts))
    written = []
    for _, ids in sorted(replies.items()):
        text = engine.tokenizer.decode(ids, skip_special_tokens=True)
        written.append(Continuation(text, cut=len(ids) == max_new_tokens))
    _tell_of_cuts(engine, written, max_new_tokens)
    return written


def _tell_of_cuts(engine: Any, written: Sequence[Continuation], most: int) -> None:
    """Warn once if at least a tenth of many replies reach the length limit."""
    cut = sum(reply.cut for reply in written)
    if not engine.told_of_cuts and most >= _WHOLE and 10 * cut >= len(written) >= 4:
        engine.told_of_cuts = True
        log.warning(
            "%d of %d replies reached max_new_tokens (%d) and were cut off",
            cut,
            len(written),
            most,
        )


def _most_probable(logits: Sequence[Tensor], _rows: Sequence[int]) -> Tensor:
    return logits[0].max(-1).indices  # several times faster than argmax in bfloat16


def write(
    decoders: Sequence[Decoder],
    n: int,
    stops: frozenset[int],
    max_new_tokens: int,
    choose: Choose = _most_probable,
) -> list[list[int]]:
    """New token ids of each row, until a stop token or `max_new_tokens`.

    Args:
        decoders: one per model, all with the same rows and one vocabulary.
        n: number of rows.
        stops: ids that end a text, not included in the result.
        max_new_tokens: at most the decoders' limit.
        choose: picks the next tokens.
    """
    texts: list[list[int]] = [[] for _ in range(n)]
    rows = list(range(n))
    logits = [decoder.read() for decoder in decoders]
    for left in reversed(range(max_new_tokens)):
        tokens = choose(logits, rows)
        chosen = tokens.tolist()
        going = [index for index, token in enumerate(chosen) if token not in stops]
        for index in going:
            texts[rows[index]].append(chosen[index])
        if not (going and left):
            break
        if len(going) < len(rows):
            rows = [rows[index] for index in going]
            tokens = tokens[going]
            for decoder in decoders:
                decoder.keep(going)
        logits = [decoder.step(tokens) for decoder in decoders]
    return texts


class PlannedDecoder(Decoder):
    """See `Decoder`; planned batches read the prompts.

    Args:
        passes: passes of the model.
        prompts: token ids, any lengths.
        max_new_tokens: limit of each text.
        batch_tokens: padded tokens per forward pass over the prompts.
    """

    def __init__(
        self,
        passes: Passes,
        prompts: Prompts,
        max_new_tokens: int,
        batch_tokens: int,
    ) -> None:
        self._passes = passes
        self._plan = passes.plan([(tuple(ids), ()) for ids in prompts], batch_tokens)
        lengths = torch.tensor([len(ids) for ids in prompts])
        room = max_new_tokens - 1  # the last token is not fed yet
        self._cache = ReplyCache(lengths, room, passes.windows)

    @torch.inference_mode()
    def read(self) -> Tensor:
        """See `Decoder.read`."""
        plan = self._plan
        parts = []
        prefix = self._passes.prefix(plan.prefix)
        for batch in plan.batches:
            packing = self._passes.packing(batch, len(plan.prefix))
            recorded = _copied(prefix, len(batch.rows) if packing is None else 1)
            logits = self._passes.logits(batch, recorded)
            self._cache.fill(batch, packing, recorded, len(plan.prefix))
            parts.append(logits[batch.target_head.to(logits.device)])
        self.tokens_fed += plan.n_tokens
        order = torch.cat([batch.target_pair for batch in plan.batches]).argsort()
        return torch.cat(parts)[order.to(parts[0].device)]

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        """See `Decoder.step`."""
        model = self._passes.model
        positions, mask = self._cache.next_column(model)
        output = model(
            input_ids=tokens[:, None].to(model.device),
            attention_mask=mask,
            position_ids=positions.to(model.device),
            past_key_values=self._cache,
            use_cache=True,
        )
        self.tokens_fed += len(tokens)
        return self._passes.defined(output.logits[:, -1])

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """See `Decoder.keep`."""
        self._cache.keep(rows)


def _copied(prefix: PrefixCache | None, n_rows: int) -> DynamicCache:
    """A prefix repeated for `n_rows` rows, in a cache that stores what follows."""
    if prefix is None:
        return DynamicCache()
    size = (n_rows, -1, -1, -1)
    return DynamicCache(
        [(layer.keys.expand(size), layer.values.expand(size)) for layer in prefix.layers]
    )


class ReplyCache(Cache):
    """Keys and values of R prompts and their replies, allocated once.

    Prompts start at column 0 and are padded on the right; all replies start at the column after the
    longest prompt.

    Args:
        lengths: number of tokens of each prompt, (R,) int64.
        room: maximum number of tokens after a prompt.
        windows: from `attention_windows`.
    """

    def __init__(self, lengths: Tensor, room: int, windows: Windows) -> None:
        super().__init__(layers=[])
        self._windows = windows
        self._start = int(lengths.max())
        columns = torch.arange(self._start + room)
        in_prompt = torch.where(columns < lengths[:, None], columns, _HIDDEN)
        in_reply = lengths[:, None] + columns - self._start
        self._positions = torch.where(columns < self._start, in_prompt, in_reply)

    def fill(
        self, batch: Batch, packing: Packing | None, recorded: DynamicCache, n_prefix: int
    ) -> None:
        """Store the keys and values of a batch of prompts, and of the prefix before them.

        Args:
            batch: a planned batch of prompts; each of its pairs is a row of this cache.
            packing: how the batch was packed.
            recorded: cache of the batch's forward pass.
            n_prefix: number of prefix tokens.
        """
        rows = batch.target_pair
        # A head is the last token of its row's prompt.
        sources = batch.heads[batch.target_head] // batch.input_ids.shape[1]
        for index, layer in enumerate(recorded.layers):
            if index == len(self.layers):
                positions = self._positions.shape
                self.layers.append(_ReplyLayer(layer.keys, layer.values, positions, self._start))
            own = self.layers[index]
            for store, states in ((own.keys, layer.keys), (own.values, layer.values)):
                tail = states[:, :, n_prefix:]
                if packing is not None:
                    tail = packing.padded(tail)
                store[rows, :, :n_prefix] = states[:1, :, :n_prefix]
                store[rows, :, n_prefix : n_prefix + tail.shape[2]] = tail[sources]

    def next_column(self, model: Any) -> tuple[Tensor, Any]:
        """Position ids, (R, 1), and masks for the next token of each row; see `attention_mask`."""
        end = self.get_seq_length() + 1
        positions = self._positions[:, :end]
        distance = positions[:, -1:, None] - positions[:, None, :]
        return positions[:, -1:], additive_mask(distance >= 0, distance, self._windows, model)

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order."""
        indices = torch.tensor(rows)
        self._positions = self._positions[indices]
        self.batch_select_indices(indices)


class _ReplyLayer(DynamicLayer):
    """A layer's keys and values, (R, heads, columns, head_dim), with room for all tokens; in latent
    attention their sizes differ.

    Args:
        keys: example keys, for heads, size, dtype and device.
        values: example values.
        shape: number of rows and of columns.
        end: number of columns already filled.
    """

    def __init__(self, keys: Tensor, values: Tensor, shape: Sequence[int], end: int) -> None:
        super().__init__()
        self.is_initialized = True
        self._end = end
        # Zeros: masked entries are multiplied by 0, which turns non-finite ones into nan.
        self.keys = keys.new_zeros(shape[0], keys.shape[1], shape[1], keys.shape[3])
        self.values = values.new_zeros(shape[0], values.shape[1], shape[1], values.shape[3])

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        begin = self._end
        self._end += key_states.shape[2]
        self.keys[:, :, begin : self._end] = key_states
        self.values[:, :, begin : self._end] = value_states
        return self.keys[:, :, : self._end], self.values[:, :, : self._end]

    def get_seq_length(self) -> int:
        return self._end
