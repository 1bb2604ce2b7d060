"""Batched decoding, greedy or sampled, with one key-value cache per model; finished sequences leave the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

Choose = Callable[[Sequence[Tensor]], Tensor]


@dataclass(frozen=True)
class Draw:
    """Sampling from softmax(logits / temperature), with one generator per row.

    A row's text depends on its seed and not on its batch.

    Attributes:
        temperature: above 0.
        seeds: one per row, at least 0 and below 2**63.
    """

    temperature: float
    seeds: tuple[int, ...]

    def rows(self, kept: Sequence[int]) -> Draw:
        """The settings of some of the rows."""
        return Draw(self.temperature, tuple(self.seeds[i] for i in kept))


class Decoder:
    """One model that reads a batch of prompts and then one token at a time.

    Prompts are padded on the left, so that all rows grow at the same column; padding is masked and the
    position ids count real tokens only, so a prompt's text does not depend on its batch.

    Args:
        model: a transformers causal LM.
        prompts: token ids, any lengths.
        pad: id used as padding.
    """

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], pad: int) -> None:
        width = max(len(ids) for ids in prompts)
        self._model = model
        self._ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts], device=model.device)
        self._mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=model.device)
        self._position = (self._mask.cumsum(-1) - 1).clamp(min=0)
        self._cache = DynamicCache(config=model.config)
        # As a tensor: an integer makes transformers take a slice, which the output layer's product runs row by row.
        self._last = torch.tensor([-1], device=model.device)

    @torch.inference_mode()
    def logits(self) -> Tensor:
        """Process the pending tokens; the logits of the next token, (B, V)."""
        out = self._model(
            input_ids=self._ids,
            attention_mask=self._mask,
            position_ids=self._position,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=self._last,
        )
        return out.logits[:, -1]

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> None:
        """Keep these rows only, (K,) int64."""
        rows = rows.to(self._mask.device)
        self._cache.batch_select_indices(rows)
        self._mask, self._position = self._mask[rows], self._position[rows]

    def push(self, tokens: Tensor) -> None:
        """Append the next token of each row, (B,) int64."""
        self._ids = tokens[:, None].to(self._mask.device)
        self._mask = torch.cat([self._mask, torch.ones_like(self._ids)], dim=1)
        self._position = self._position[:, -1:] + 1


def decode(
    decoders: Sequence[Decoder], n: int, choose: Choose, stops: frozenset[int], max_new_tokens: int
) -> Iterator[dict[int, int]]:
    """Decode `n` sequences jointly by models with one vocabulary; yields the new tokens by row after each step.

    Args:
        decoders: one per model, all with the same rows.
        n: number of rows.
        choose: the models' logits, each (B, V) -> next tokens (B,).
        stops: ids that end a sequence; not yielded.
        max_new_tokens: maximum number of tokens per row.
    """
    rows = list(range(n))
    for _ in range(max_new_tokens):
        token = choose([decoder.logits() for decoder in decoders])
        going = [k for k, t in enumerate(token.tolist()) if t not in stops]
        yield {rows[k]: int(token[k]) for k in going}
        if not going:
            return
        if len(going) < len(rows):
            kept = torch.tensor(going, device=token.device)
            for decoder in decoders:
                decoder.keep(kept)
            token, rows = token[kept], [rows[k] for k in going]
        for decoder in decoders:
            decoder.push(token)


def greedy(
    model: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int, pad: int, stops: frozenset[int]
) -> list[list[int]]:
    """Greedy decoding until a stop token or `max_new_tokens`.

    Args:
        model: a transformers causal LM.
        prompts: token ids, any lengths.
        max_new_tokens: maximum number of tokens per prompt.
        pad: id used as padding.
        stops: ids that end a sequence; not part of the result.

    Returns:
        New token ids per prompt.
    """
    found: list[list[int]] = [[] for _ in prompts]
    decoder = Decoder(model, prompts, pad)
    for step in decode([decoder], len(prompts), lambda logits: logits[0].argmax(-1), stops, max_new_tokens):
        for row, token in step.items():
            found[row].append(token)
    return found


def sampled(
    model: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int, pad: int, stops: frozenset[int], draw: Draw
) -> list[list[int]]:
    """Sampling until a stop token or `max_new_tokens`; arguments and result as for `greedy`."""
    generators = [torch.Generator().manual_seed(seed) for seed in draw.seeds]

    def choose(logits: Sequence[Tensor]) -> Tensor:
        shares = (logits[0].float() / draw.temperature).softmax(-1).cpu()
        drawn = [int(torch.multinomial(row, 1, generator=own)) for row, own in zip(shares, generators, strict=True)]
        # `decode` continues with the unfinished rows, in their order.
        generators[:] = [own for own, token in zip(generators, drawn, strict=True) if token not in stops]
        return torch.tensor(drawn, device=logits[0].device)

    found: list[list[int]] = [[] for _ in prompts]
    for step in decode([Decoder(model, prompts, pad)], len(prompts), choose, stops, max_new_tokens):
        for row, token in step.items():
            found[row].append(token)
    return found
