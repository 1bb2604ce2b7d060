"""PackLLM-sim: an expert counts the more, the less the prompt surprises it.

Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531: w = softmax(-ln PPL_k / tau) over the experts, with PPL_k the
perplexity of expert k on the prompt; their logits are added up with these weights. tau = 1 here.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pyswarmopt_llm.baselines.ensembles.ensemble import Ensemble, Panel
from pyswarmopt_llm.baselines.ensembles.pack import fused

TAU = 1.0


def weights_of(token_logprobs: Tensor) -> Tensor:
    """(n,) weights of the experts from the log-probabilities of the prompt's tokens, (n, T).

    Example:
        >>> import torch
        >>> [round(w, 4) for w in weights_of(torch.tensor([[0.5, 0.5], [0.25, 0.25]]).log()).tolist()]  # PPL 2, 4
        [0.6667, 0.3333]
    """
    return (token_logprobs.mean(1) / TAU).softmax(0)


def weigh(panel: Panel, contexts: Sequence[str]) -> dict[str, Tensor]:
    """Each context's weights."""
    found = panel.token_logprobs(panel.questions(contexts))
    return {context: weights_of(rows) for context, rows in zip(contexts, found, strict=True)}


METHOD = Ensemble(
    name="pack-sim",
    paper="Mavromatis, Karypis & Karypis 2024, arXiv 2404.11531",
    fit=lambda panel, dev, seed: fused(panel, lambda contexts: weigh(panel, contexts)),
)
