"""Whole replies, greedy or sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pyswarmopt_llm.engine.generation.decoder import Choose, Decoder, decode


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


def batches_of_similar_length(lengths: Sequence[int], n_keys: int) -> list[tuple[int, ...]]:
    """Indices of texts, the longest first, in batches whose keys are at most `n_keys` with padding.

    Example:
        >>> batches_of_similar_length([3, 9, 4, 8], 16)
        [(1,), (3, 2), (0,)]
    """
    batches = []
    order = sorted(range(len(lengths)), key=lambda i: lengths[i], reverse=True)
    while order:
        n_rows = max(1, n_keys // lengths[order[0]])
        batches.append(tuple(order[:n_rows]))
        order = order[n_rows:]
    return batches


def greedy(decoder: Decoder, n: int, stops: frozenset[int], max_new_tokens: int) -> list[list[int]]:
    """Greedy decoding until a stop token or `max_new_tokens`.

    Args:
        decoder: with the prompts.
        n: number of prompts.
        stops: ids that end a sequence; not part of the result.
        max_new_tokens: maximum number of tokens per prompt; at most that of the decoder.

    Returns:
        New token ids per prompt.
    """

    def choose(logits: Sequence[Tensor], _rows: Sequence[int]) -> Tensor:
        return logits[0].max(-1).indices  # several times faster than argmax in bfloat16

    return _written(decoder, n, choose, stops, max_new_tokens)


def sampled(
    decoder: Decoder, stops: frozenset[int], max_new_tokens: int, draw: Draw
) -> list[list[int]]:
    """Sampling until a stop token or `max_new_tokens`; arguments and result as for `greedy`.

    A row's generator draws one number in [0, 1) per token; the token is where the cumulative
    distribution exceeds it.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in draw.seeds]
    numbers = torch.stack(
        [
            torch.rand(max_new_tokens, generator=generator, dtype=torch.float64)
            for generator in generators
        ]
    )
    columns = iter(numbers.unbind(1))

    def choose(logits: Sequence[Tensor], rows: Sequence[int]) -> Tensor:
        shares = (logits[0].float() / draw.temperature).softmax(-1)
        cumulative = shares.double().cumsum(-1)
        drawn = next(columns)[rows, None].to(cumulative.device) * cumulative[:, -1:]
        # Right of equal values, so that no token of probability 0 is drawn.
        tokens = torch.searchsorted(cumulative, drawn, right=True).squeeze(1)
        return tokens.clamp(max=shares.shape[1] - 1)

    return _written(decoder, len(draw.seeds), choose, stops, max_new_tokens)


def _written(
    decoder: Decoder, n: int, choose: Choose, stops: frozenset[int], max_new_tokens: int
) -> list[list[int]]:
    """The new tokens of each row."""
    texts: list[list[int]] = [[] for _ in range(n)]
    for step in decode([decoder], n, choose, stops, max_new_tokens):
        for row, token in step.items():
            texts[row].append(token)
    return texts
