"""PackLLM-opt: the fusion with the least perplexity on the prompt, built up greedily.

Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531: begin with the expert of the least perplexity on the prompt; take
the others in the order of theirs; mix each in, s <- l s + (1 - l) s_k on the logits, with the l in [0, 1] at which the
mixture's perplexity on the prompt is least. l runs over 0, 0.05, ..., 1 here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.baselines.ensembles.ensemble import Ensemble, Panel
from pyswarmopt_llm.baselines.ensembles.pack import fused

GRID = torch.linspace(0, 1, 21)


def weights_of(logprobs: Tensor, tokens: Tensor) -> Tensor:
    """(n,) weights of the experts.

    Args:
        logprobs: (n, T, V) log-distributions along the prompt.
        tokens: (T,) the prompt's tokens.
    """
    n, at = len(logprobs), torch.arange(len(tokens))
    alone = logprobs[:, at, tokens].mean(1)
    order = alone.argsort(descending=True, stable=True).tolist()
    weights = torch.zeros(n)
    weights[order[0]] = 1.0
    mixture = logprobs[order[0]]
    for k in order[1:]:
        mixtures = GRID[:, None, None] * mixture + (1 - GRID)[:, None, None] * logprobs[k]
        fits = (mixtures[:, at, tokens] - mixtures.logsumexp(-1)).mean(1).tolist()
        # Among equals the one that keeps most.
        keep = GRID[max(range(len(fits)), key=lambda i: (fits[i], i))]
        weights = keep * weights
        weights[k] = 1 - keep
        mixture = keep * mixture + (1 - keep) * logprobs[k]
    return weights


def weigh(panel: Panel, contexts: Sequence[str]) -> dict[str, Tensor]:
    """Each context's weights."""
    found = panel.distributions(panel.questions(contexts))
    return {context: weights_of(*pair) for context, pair in zip(contexts, found, strict=True)}


METHOD = Ensemble(
    name="pack-opt",
    paper="Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531",
    fit=lambda panel, dev, seed: fused(panel, lambda contexts: weigh(panel, contexts)),
)
