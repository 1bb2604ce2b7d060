"""Pack of LLMs: the experts' logits, summed with weights that depend on each expert's perplexity on
the prompt.

Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531. PackLLM-sim: w = softmax(-ln PPL_k / tau),
with tau = 1 here. PackLLM-opt minimises the mixture's perplexity on the prompt greedily: begin with
the expert of least perplexity; mix in the others in the order of theirs, s <- l s + (1 - l) s_k on
the logits, with the best l in 0, 0.05, ..., 1.

Log-probabilities serve as logits: they differ by a constant per position, which the softmax takes
out again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from pyswarmopt_groups.members.local import as_users_words
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_rivals.methods.ensembles.panel import LikelihoodAnswerer, Pairs, Panel, contexts_of

TAU = 1.0
GRID = torch.linspace(0, 1, 21)

Weigh = Callable[[Sequence[str]], Mapping[str, Tensor]]
"""contexts -> context: (n,) weights that sum to 1. They are of the prompt alone, and so the same for
all items that have it.
"""


def fit_sim(panel: Panel, dev: Accuracy, seed: int) -> LikelihoodAnswerer:
    """PackLLM-sim."""

    def weigh(contexts: Sequence[str]) -> Mapping[str, Tensor]:
        logprobs = panel.token_logprobs(as_users_words(panel.engine, contexts))
        pairs = zip(contexts, logprobs, strict=True)
        return {context: similarity_weights(rows) for context, rows in pairs}

    return _fused(panel, weigh)


def fit_opt(panel: Panel, dev: Accuracy, seed: int) -> LikelihoodAnswerer:
    """PackLLM-opt."""

    def weigh(contexts: Sequence[str]) -> Mapping[str, Tensor]:
        distributions = panel.distributions(as_users_words(panel.engine, contexts))
        pairs = zip(contexts, distributions, strict=True)
        return {context: greedy_weights(*along) for context, along in pairs}

    return _fused(panel, weigh)


def similarity_weights(token_logprobs: Tensor) -> Tensor:
    """(n,) weights of the experts from the log-probabilities of the prompt's tokens, (n, T).

    Example:
        >>> [round(w, 4) for w in similarity_weights(torch.tensor([[0.5, 0.5], [0.25, 0.25]]).log()).tolist()]
        [0.6667, 0.3333]
    """
    return (token_logprobs.mean(1) / TAU).softmax(0)


def greedy_weights(logprobs: Tensor, tokens: Tensor) -> Tensor:
    """(n,) weights of the experts, from log-distributions along the prompt, (n, T, V), and its
    tokens, (T,).
    """
    n, at = len(logprobs), torch.arange(len(tokens))
    order = logprobs[:, at, tokens].mean(1).argsort(descending=True, stable=True).tolist()
    weights = torch.zeros(n)
    weights[order[0]] = 1.0
    mixture = logprobs[order[0]]
    for k in order[1:]:
        mixtures = GRID[:, None, None] * mixture + (1 - GRID)[:, None, None] * logprobs[k]
        fits = (mixtures[:, at, tokens] - mixtures.logsumexp(-1)).mean(1).tolist()
        # of equals the one that keeps most
        keep = GRID[max(range(len(fits)), key=lambda i: (fits[i], i))]
        weights = keep * weights
        weights[k] = 1 - keep
        mixture = keep * mixture + (1 - keep) * logprobs[k]
    return weights


def fuse(logprobs: Tensor, weights: Tensor) -> Tensor:
    """softmax(sum_k w_k log p_k) as log-probabilities, (T, V), for `logprobs` (n, T, V) and
    `weights` (n,).

    Example:
        >>> p = torch.tensor([[[0.5, 0.5]], [[0.8, 0.2]]]).log()
        >>> [round(x, 4) for x in fuse(p, torch.tensor([0.5, 0.5])).exp().flatten().tolist()]
        [0.6667, 0.3333]
    """
    return torch.tensordot(weights, logprobs, dims=1).log_softmax(-1)


def _fused(panel: Panel, weigh: Weigh) -> LikelihoodAnswerer:
    """Options scored by the fused distribution, with each prompt's own weights."""

    def loglikelihood(pairs: Pairs) -> list[float]:
        weights = weigh(contexts_of(pairs))
        values = []
        for (context, _), (logprobs, tokens) in zip(pairs, panel.distributions(pairs), strict=True):
            chosen = fuse(logprobs, weights[context])[torch.arange(len(tokens)), tokens]
            values.append(float(chosen.sum()))
        return values

    return LikelihoodAnswerer(loglikelihood)
