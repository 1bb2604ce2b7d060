"""Probabilities token by token: of continuations, or of the whole vocabulary along them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyswarmopt_llm.engine.transformers import TransformersEngine, within_memory


class TokenScores(NamedTuple):
    """A continuation token by token.

    Attributes:
        tokens: their T ids.
        logprobs: natural log of P(token | all before it), (T,) float64.
    """

    tokens: tuple[int, ...]
    logprobs: Tensor


@within_memory
def score_tokens(
    engine: TransformersEngine, pairs: Sequence[tuple[str, str]]
) -> tuple[TokenScores, ...]:
    """The terms of `loglikelihood`: each continuation's tokens and their log-probabilities."""
    scores = [TokenScores((), torch.empty(0, dtype=torch.float64))] * len(pairs)
    for batch, values in engine.scored(pairs):
        for pair in batch.pairs.tolist():
            here = batch.target_pair == pair
            tokens = tuple(batch.target_token[here].tolist())
            scores[pair] = TokenScores(tokens, values[here])
    return tuple(scores)


@within_memory
def distributions(
    engine: TransformersEngine, pairs: Sequence[tuple[str, str]]
) -> list[tuple[Tensor, Tensor]]:
    """The natural-log distributions along each continuation, (T, V) float32, and its tokens, (T,).

    On the CPU; memory grows with the vocabulary, so pass few pairs at a time. An empty
    continuation has the distribution after its context.
    """
    result = [(torch.empty(0), torch.empty(0, dtype=torch.int64))] * len(pairs)
    for batch, logits in engine.passed(pairs):
        logprobs = logits.float().log_softmax(-1).cpu()
        for pair in batch.pairs.tolist():
            here = batch.target_pair == pair
            result[pair] = logprobs[batch.target_head[here]], batch.target_token[here]
    return result


def next_token_logprobs(engine: TransformersEngine, prompts: Sequence[str]) -> Tensor:
    """Natural-log distribution of the next token after each prompt: (N, V) float32 on the CPU."""
    return torch.cat([rows for rows, _ in distributions(engine, [(one, "") for one in prompts])])
