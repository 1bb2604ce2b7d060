"""What both variants of Pack of LLMs share: fused logits, weights per prompt.

Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531: the experts' logits are added up with weights that depend on each
expert's perplexity on the prompt. Normalised logits (log-probabilities) are used here; they differ from raw ones by a
constant per position, which the softmax takes out again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.baselines.ensembles.ensemble import Likelihoods, Pairs, Panel, contexts_of

Weigh = Callable[[Sequence[str]], Mapping[str, Tensor]]
"""contexts -> context: (n,) weights that sum to 1."""


def fuse(logprobs: Tensor, weights: Tensor) -> Tensor:
    """softmax(sum_k w_k log p_k) as log-probabilities, (T, V).

    Args:
        logprobs: (n, T, V), one distribution per expert and position.
        weights: (n,).

    Example:
        >>> p = torch.tensor([[[0.5, 0.5]], [[0.8, 0.2]]]).log()
        >>> [round(x, 4) for x in fuse(p, torch.tensor([0.5, 0.5])).exp().flatten().tolist()]
        [0.6667, 0.3333]
    """
    return torch.tensordot(weights, logprobs, dims=1).log_softmax(-1)


def fused(panel: Panel, weigh: Weigh) -> Likelihoods:
    """Options scored by the fused distribution, with each prompt's own weights."""

    def loglikelihood(pairs: Pairs) -> list[float]:
        weights = weigh(contexts_of(pairs))
        found = []
        for (context, _), (logprobs, tokens) in zip(pairs, panel.distributions(pairs), strict=True):
            chosen = fuse(logprobs, weights[context])[torch.arange(len(tokens)), tokens]
            found.append(float(chosen.sum()))
        return found

    return Likelihoods(loglikelihood)


__all__ = ["Weigh", "fuse", "fused"]
