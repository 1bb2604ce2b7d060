"""Batched writing: planned batches read the prompts, then each step adds a token to every
unfinished text.

Common prefixes are computed once, and so are equal prompts. Padding is masked and position ids
count only real tokens, so a text does not depend on its batch.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from pyswarmopt_llm.engine.batching import KEYS_PER_TOKEN, Batch, Prompts, longest_first
from pyswarmopt_llm.engine.chat import open_thought
from pyswarmopt_llm.engine.packed_attention import Packing
from pyswarmopt_llm.engine.passes import Passes, PrefixCache, additive_mask

if TYPE_CHECKING:
    from pyswarmopt_llm.engine.plain import PlainDecoder

log = logging.getLogger(__name__)

_WHOLE = 32  # replies this long are meant to end by themselves
_HIDDEN = torch.iinfo(torch.int64).max

Decoder: TypeAlias = "PlannedDecoder | PlainDecoder"
Choose = Callable[[Sequence[Tensor], Sequence[int]], Tensor]
"""The models' logits, each (B, V), and the indices of these texts -> next tokens (B,)."""


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

    def chooser(self) -> Choose:
        """Chooses tokens. A text's generator draws a number in [0, 1) per token; it picks the first
        token whose cumulative probability exceeds the number.
        """
        generators = [torch.Generator().manual_seed(seed) for seed in self.seeds]

        def choose(logits: Sequence[Tensor], texts: Sequence[int]) -> Tensor:
            shares = (logits[0].float() / self.temperature).softmax(-1)
            cumulative = shares.double().cumsum(-1)
            draws = [
                torch.rand(1, generator=generators[text], dtype=torch.float64) for text in texts
            ]
            drawn = torch.stack(draws).to(cumulative.device) * cumulative[:, -1:]
            # "right": a token of probability 0 is never drawn.
            return torch.searchsorted(cumulative, drawn, right=True).squeeze(1)

        return choose


@dataclass(frozen=True)
class Continuation:
    """A model's text after a prompt.

    Attributes:
        text: text without special tokens; a thought that the prompt begins is part of it.
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
    encoded = [engine.encode_prompt(prompt, max_new_tokens) for prompt in prompts]
    choose = draw.chooser() if draw else _most_probable
    written = []
    texts = write([engine], [encoded], max_new_tokens, choose)
    for prompt, ids in zip(prompts, texts, strict=True):
        text = open_thought(prompt) + engine.tokenizer.decode(ids, skip_special_tokens=True)
        written.append(Continuation(text, cut=len(ids) == max_new_tokens))
    cut = sum(reply.cut for reply in written)
    if not engine.told_of_cuts and max_new_tokens >= _WHOLE and 10 * cut >= len(written) >= 4:
        engine.told_of_cuts = True
        log.warning(
            "%d of %d replies reached max_new_tokens (%d) and were cut off",
            cut,
            len(written),
            max_new_tokens,
        )
    return written


def _most_probable(logits: Sequence[Tensor], _texts: Sequence[int]) -> Tensor:
    return logits[0].max(-1).indices  # several times faster than argmax in bfloat16


def write(
    engines: Sequence[Any],
    prompts: Sequence[Prompts],
    max_new_tokens: int,
    choose: Choose = _most_probable,
) -> list[list[int]]:
    """New token ids of each text, until a stop token of a model or `max_new_tokens`.

    Args:
        engines: engines of models with one vocabulary, which write the same texts.
        prompts: for each engine the token ids of its prompts.
        max_new_tokens: maximum length of a text.
        choose: picks the next tokens.
    """
    texts: list[list[int]] = [[] for _ in prompts[0]]
    stops = frozenset.union(*(engine.stops() for engine in engines))
    done = 0
    for rows in _batches(engines, prompts, max_new_tokens):
        decoders = [
            decoder_of(engine, [ids[row] for row in rows], max_new_tokens)
            for engine, ids in zip(engines, prompts, strict=True)
        ]
        done += len(rows)
        _write_batch(decoders, {row: texts[row] for row in rows}, stops, max_new_tokens, choose)
        engines[0].tell(done, len(texts))
    return texts


def _batches(
    engines: Sequence[Any], prompts: Sequence[Prompts], max_new_tokens: int
) -> Iterator[list[int]]:
    """Batches of indices of texts, within a number of keys. Rows without a mask per token must have
    equal lengths.
    """
    planned = all(engine.passes.windows for engine in engines)
    groups = defaultdict[Any, list[int]](list)
    lengths = [tuple(map(len, ids)) for ids in zip(*prompts, strict=True)]
    for row, of_row in enumerate(lengths):
        groups[() if planned else of_row].append(row)
    most = KEYS_PER_TOKEN * engines[0].batch_tokens
    for rows in groups.values():
        keys = [max(lengths[row]) + max_new_tokens for row in rows]
        for batch in longest_first(keys, lambda longest: most // longest):
            yield [rows[index] for index in batch]


def _write_batch(
    decoders: Sequence[Decoder],
    texts: dict[int, list[int]],
    stops: frozenset[int],
    max_new_tokens: int,
    choose: Choose,
) -> None:
    """Add the new token ids to each text; see `write`."""
    rows = [*texts]
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


def decoder_of(engine: Any, prompts: Prompts, max_new_tokens: int) -> Decoder:
    """A decoder of prompts, given as token ids, for the engine's current candidate."""
    if engine.passes.windows:
        return PlannedDecoder(engine.passes, prompts, max_new_tokens, engine.batch_tokens)
    from pyswarmopt_llm.engine.plain import PlainDecoder

    return PlainDecoder(engine.passes, prompts)


class PlannedDecoder:
    """Reads a batch of prompts in planned batches, then one token of each text at a time.

    The keys and values are allocated once: prompts start at column 0 and are padded on the right;
    all replies start at the column after the longest prompt.

    Args:
        passes: passes of the model.
        prompts: token ids, any lengths.
        max_new_tokens: limit of each text.
        batch_tokens: padded tokens per forward pass over the prompts.
    """

    def __init__(
        self, passes: Passes, prompts: Prompts, max_new_tokens: int, batch_tokens: int
    ) -> None:
        self._passes = passes
        self._plan = passes.plan([(tuple(ids), ()) for ids in prompts], batch_tokens)
        self._cache = Cache(layers=[])
        lengths = torch.tensor([[len(ids)] for ids in prompts])
        self._start = int(lengths.max())
        columns = torch.arange(self._start + max_new_tokens - 1)  # the last token is not fed
        in_prompt = torch.where(columns < lengths, columns, _HIDDEN)
        in_reply = lengths + columns - self._start
        self._positions = torch.where(columns < self._start, in_prompt, in_reply)

    @torch.inference_mode()
    def read(self) -> Tensor:
        """The logits after each prompt, (B, V)."""
        plan = self._plan
        parts = []
        prefix = self._passes.prefix(plan.prefix)
        for batch in plan.batches:
            packing = self._passes.packing(batch, len(plan.prefix))
            recorded = _copied(prefix, len(batch.rows) if packing is None else 1)
            logits = self._passes.logits(batch, recorded)
            self._store(batch, packing, recorded)
            parts.append(logits[batch.target_head.to(logits.device)])
        order = torch.cat([batch.target_pair for batch in plan.batches]).argsort()
        return torch.cat(parts)[order.to(parts[0].device)]

    def _store(self, batch: Batch, packing: Packing | None, recorded: DynamicCache) -> None:
        """Store the keys and values of a batch of prompts, and of the prefix before them."""
        n_prefix = len(self._plan.prefix)
        rows = batch.target_pair
        # A head is the last token of its row's prompt.
        sources = batch.heads[batch.target_head] // batch.input_ids.shape[1]
        layers = self._cache.layers
        for index, layer in enumerate(recorded.layers):
            if index == len(layers):
                shape = self._positions.shape
                layers.append(_ReplyLayer(layer.keys, layer.values, shape, self._start))
            own = layers[index]
            for store, states in ((own.keys, layer.keys), (own.values, layer.values)):
                tail = states[:, :, n_prefix:]
                if packing is not None:
                    tail = packing.padded(tail)
                store[rows, :, :n_prefix] = states[:1, :, :n_prefix]
                store[rows, :, n_prefix : n_prefix + tail.shape[2]] = tail[sources]

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        """The logits after the rows' next tokens, (B,) int64 -> (B, V)."""
        model = self._passes.model
        positions = self._positions[:, : self._cache.get_seq_length() + 1]
        distance = positions[:, -1:, None] - positions[:, None, :]
        output = model(
            input_ids=tokens[:, None].to(model.device),
            attention_mask=additive_mask(distance >= 0, distance, self._passes.windows, model),
            position_ids=positions[:, -1:].to(model.device),
            past_key_values=self._cache,
            use_cache=True,
        )
        return self._passes.defined(output.logits[:, -1])

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order."""
        indices = torch.tensor(rows)
        self._positions = self._positions[indices]
        self._cache.batch_select_indices(indices)


def _copied(prefix: PrefixCache | None, n_rows: int) -> DynamicCache:
    """A prefix repeated for `n_rows` rows, in a cache that stores what follows."""
    layers = [] if prefix is None else prefix.layers
    size = (n_rows, -1, -1, -1)
    return DynamicCache([(layer.keys.expand(size), layer.values.expand(size)) for layer in layers])


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
        rows, columns = shape
        self.keys, self.values = (
            x.new_zeros(rows, x.shape[1], columns, x.shape[3]) for x in (keys, values)
        )

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
