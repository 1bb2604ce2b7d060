"""Weighted sums of probabilities, in logarithms: the arithmetic of a token swarm (Feng et al. 2024,
arXiv 2410.11163).

A position of the swarm is n coefficients; its model has next-token probabilities sum_i c_i P_i. The
swarm also visits negative coefficients, and a sum with negative weights is not a distribution, so
they count as 0, and the rest is scaled to sum to 1, which reproduces the experts themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Pairs
from pyswarmopt_llm.engine.by_token import score_tokens
from pyswarmopt_llm.engine.transformers import TransformersEngine


def mixing_weights(coefficients: Tensor) -> Tensor:
    """The weights for coefficients: (n,) float64, summing to 1; negative ones count as 0.

    Args:
        coefficients: (n,) with a positive sum of positive ones.

    Raises:
        ValueError: a coefficient is not finite, or there is nothing positive to scale to 1.

    Example:
        >>> mixing_weights(torch.tensor([1.5, 0.5, -1.0])).tolist()
        [0.75, 0.25, 0.0]
    """
    weights = coefficients.detach().to("cpu", torch.float64).clamp(min=0.0)
    total = float(weights.sum())
    if not math.isfinite(total) or total <= 0.0:
        raise ValueError(
            f"the positive coefficients must have a finite sum above 0, got {coefficients.tolist()}"
        )
    return weights / total


def log_mixture(logprobs: Tensor, weights: Tensor) -> Tensor:
    """log sum_i w_i exp(logprobs_i), stable for any magnitude; with a single weight of 1 it is that
    member's value, to the bit.

    Args:
        logprobs: (..., n) float64, natural logarithms.
        weights: (n,) or (..., n) float64, none below 0.

    Returns:
        (...) float64.

    Example:
        >>> log_mixture(torch.tensor([[0.2, 0.6]]).double().log(), torch.tensor([0.5, 0.5]).double()).exp()
        tensor([0.4000], dtype=torch.float64)
    """
    return torch.logsumexp(logprobs + weights.log(), dim=-1)


@dataclass(frozen=True)
class OptionTable:
    """Log-probabilities of n members for parts of continuations.

    A part is one token if all members tokenise the continuations alike: then the sum over parts is
    exactly the likelihood under the token-level mixture. Otherwise the whole continuation is one
    part.

    Attributes:
        logprobs: (T, n) float64, natural logarithms.
        owner: continuation of each part, (T,) int64.
        n: number of continuations.
    """

    logprobs: Tensor
    owner: Tensor
    n: int

    def loglikelihood(self, weights: Tensor) -> list[float]:
        """log P(continuation) under a mixture with weights (n,), or (T, n) for each part: the sum
        over parts of log sum_i w_i p_i.
        """
        totals = torch.zeros(self.n, dtype=torch.float64)
        return totals.index_add_(0, self.owner, log_mixture(self.logprobs, weights)).tolist()


def ask_members(
    members: Mapping[str, TransformersEngine], pairs: Pairs, by_token: bool
) -> OptionTable:
    """Compute every member's log P(continuation | context) of all pairs once; any mixture's score
    is then arithmetic.

    Args:
        members: name -> model with the member's weights.
        pairs: (user turn, continuation); each member puts the turn into its own chat template.
        by_token: whether to keep parts by token; possible if the members share a tokenizer, unless
            their chat templates split a continuation differently.

    Raises:
        UserError: a member gives NaN, or a text is longer than its context window.
    """
    scores = []
    for member in members.values():
        own = [(member.chat(context), continuation) for context, continuation in pairs]
        scores.append(score_tokens(member, own))
    cuts = [[tokens.tolist() for _, tokens in of_member] for of_member in scores]
    parts = [[logprobs for logprobs, _ in of_member] for of_member in scores]
    if not by_token or any(cut != cuts[0] for cut in cuts):
        parts = [[logprobs.sum(0, keepdim=True) for logprobs in of_member] for of_member in parts]
    sizes = torch.tensor([len(part) for part in parts[0]])
    owner = torch.arange(len(pairs)).repeat_interleave(sizes)
    columns = [torch.cat(of_member) for of_member in parts]
    return OptionTable(torch.stack(columns, dim=1), owner, len(pairs))
