"""Pack of LLMs: sums the experts' logits, with weights by each expert's perplexity on the prompt.

Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531. PackLLM-sim: w = softmax(-ln PPL_k / tau),
with tau = 1 here. PackLLM-opt greedily minimises the mixture's perplexity on the prompt: start with
the expert of least perplexity; mix in the others in order of perplexity, s <- l s + (1 - l) s_k on
the logits, with the best l in 0, 0.05, ..., 1.

Log-probabilities serve as logits: they differ by a constant per position, which the softmax
removes. The prompt is the user's text, without the chat template's header, which all prompts share.
The experts share a vocabulary, so no tokens are aligned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_rivals.methods.ensembles.answerer import LikelihoodAnswerer
from pyswarmopt_rivals.methods.method import Settings
from pyswarmopt_rivals.panel import Pairs, Panel

TAU = 1.0
GRID = torch.linspace(0, 1, 21)
MARK = "\ue000"  # stands for a user's text; no template contains this private character

Along = TypeVar("Along")
"""An expert's output along a text: log-probabilities of its tokens, or distributions."""


def fit_sim(settings: Settings) -> LikelihoodAnswerer:
    """PackLLM-sim."""
    panel = settings.trial.bench.panel
    return _fused(panel, panel.token_logprobs, similarity_weights)


def fit_opt(settings: Settings) -> LikelihoodAnswerer:
    """PackLLM-opt."""
    panel = settings.trial.bench.panel
    return _fused(panel, panel.distributions, lambda along: greedy_weights(*along))


def similarity_weights(token_logprobs: Tensor) -> Tensor:
    """Weights of the experts, (n,), from the log-probabilities of the prompt's tokens, (n, T).

    Example:
        >>> [round(w, 4) for w in similarity_weights(torch.tensor([[0.5, 0.5], [0.25, 0.25]]).log()).tolist()]
        [0.6667, 0.3333]
    """
    return (token_logprobs.mean(1) / TAU).softmax(0)


def greedy_weights(logprobs: Tensor, tokens: Tensor) -> Tensor:
    """Weights of the experts, (n,), from log-distributions along the prompt, (n, T, V), and its
    tokens, (T,).

    Example:
        >>> greedy_weights(torch.tensor([[[0.5, 0.5]], [[0.5, 0.5]]]).log(), torch.tensor([0])).tolist()
        [1.0, 0.0]
    """
    n = len(logprobs)
    at = torch.arange(len(tokens))
    order = logprobs[:, at, tokens].mean(1).argsort(descending=True, stable=True).tolist()
    weights = torch.zeros(n)
    weights[order[0]] = 1.0
    mixture = logprobs[order[0]]
    for k in order[1:]:
        kept = GRID[:, None, None]
        mixtures = _weighted(kept, mixture) + _weighted(1 - kept, logprobs[k])
        fits = (mixtures[:, at, tokens] - mixtures.logsumexp(-1)).mean(1).tolist()
        # of equals the one that keeps most
        keep = GRID[max(range(len(fits)), key=lambda i: (fits[i], i))]
        weights = keep * weights
        weights[k] = 1 - keep
        mixture = _weighted(keep, mixture) + _weighted(1 - keep, logprobs[k])
    return weights


def fuse(logprobs: Tensor, weights: Tensor) -> Tensor:
    """softmax(sum_k w_k log p_k) as log-probabilities, (T, V), for `logprobs` (n, T, V) and
    `weights` (n,).

    Example:
        >>> p = torch.tensor([[[0.5, 0.5]], [[0.8, 0.2]]]).log()
        >>> [round(x, 4) for x in fuse(p, torch.tensor([0.5, 0.5])).exp().flatten().tolist()]
        [0.6667, 0.3333]
    """
    return _weighted(weights[:, None, None], logprobs).sum(0).log_softmax(-1)


def _weighted(weights: Tensor, logprobs: Tensor) -> Tensor:
    """The product; 0 for an expert without weight, whose masked tokens are -inf."""
    return torch.where(weights == 0, 0.0, weights * logprobs)


def _fused(
    panel: Panel, read: Callable[[Pairs], Iterable[Along]], weigh: Callable[[Along], Tensor]
) -> LikelihoodAnswerer:
    """Options scored by the fused distribution, with weights for each prompt, (n,), that sum to 1."""

    def loglikelihood(pairs: Pairs) -> list[float]:
        contexts = list(dict.fromkeys(context for context, _ in pairs))
        prompts = read(as_users_words(panel.engine, contexts))
        weights = dict(zip(contexts, map(weigh, prompts), strict=True))
        values = []
        for (context, _), (logprobs, tokens) in zip(pairs, panel.distributions(pairs), strict=True):
            chosen = fuse(logprobs, weights[context])[torch.arange(len(tokens)), tokens]
            values.append(float(chosen.sum()))
        return values

    return LikelihoodAnswerer(loglikelihood)


def as_users_words(engine: Engine, turns: Sequence[str]) -> list[tuple[str, str]]:
    """Each user turn, already in the chat template, as a (context, continuation) pair with the same
    likelihood.

    The context is the template's header of a user turn; without a template, the first word.
    """
    header, _, _ = engine.chat(MARK).partition(MARK)
    pairs = []
    for text in turns:
        context = header
        if not header or not text.startswith(header):
            context, _, rest = text.partition(" ")
            if not rest.strip():
                context = text[:1]
        pairs.append((context, text.removeprefix(context)))
    return pairs
