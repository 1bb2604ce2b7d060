"""Probabilities token by token: of continuations, or of the whole vocabulary along them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Pairs
from pyswarmopt_llm.engine.batching import Batch
from pyswarmopt_llm.engine.transformers import TransformersEngine, within_memory


@within_memory
def score_tokens(engine: TransformersEngine, pairs: Pairs) -> list[tuple[Tensor, Tensor]]:
    """The terms of `loglikelihood`: for each continuation natural log of P(token | all before it),
    (T,) float64, and its tokens, (T,).
    """
    return _by_pair(pairs, engine.scored(pairs))


@within_memory
def distributions(engine: TransformersEngine, pairs: Pairs) -> list[tuple[Tensor, Tensor]]:
    """The natural-log distributions along each continuation, (T, V) float32, and its tokens, (T,).

    On the CPU; memory grows with the vocabulary, so pass few pairs at a time. An empty
    continuation has the distribution after its context.
    """
    batches = engine.passed(pairs)
    logprobs = ((batch, logits.float().log_softmax(-1).cpu()) for batch, logits in batches)
    return _by_pair(pairs, ((batch, rows[batch.target_head]) for batch, rows in logprobs))


def _by_pair(pairs: Pairs, batches: Iterable[tuple[Batch, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """Each pair's rows of the values at all targets, (T, ...), and its tokens."""
    found = {}
    for batch, values in batches:
        for pair in batch.pairs.tolist():
            here = batch.target_pair == pair
            found[pair] = values[here], batch.target_token[here]
    return [found[pair] for pair in range(len(pairs))]


def next_token_logprobs(engine: TransformersEngine, prompts: Sequence[str]) -> Tensor:
    """Natural-log distribution of the next token after each prompt: (N, V) float32 on the CPU."""
    return torch.cat([rows for rows, _ in distributions(engine, [(one, "") for one in prompts])])
