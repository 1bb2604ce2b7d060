"""Weighted sums of probabilities, in logarithms: the arithmetic of a token swarm (Feng et al. 2024,
arXiv 2410.11163).

A position of the swarm is n coefficients that sum to 1; the model it stands for emits sum_i c_i
P_i(next token). The swarm also goes where a coefficient is negative, and a sum with negative
weights is no distribution. So either negative coefficients count as 0 and the rest is scaled to sum
to 1 (*clamp*, the default), or they speak against a token and what falls below 0 counts as
impossible (*contrast*). Both leave the experts themselves as they are.

Contrast is neither contrastive decoding (Li et al. 2023, arXiv 2210.15097) nor proxy tuning (Liu et
al. 2024, arXiv 2401.08565): those subtract logarithms, the first among the tokens that the expert
finds plausible only.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Log of what contrast makes impossible: finite, so that such options can still be compared by their
# other tokens.
IMPOSSIBLE = math.log(torch.finfo(torch.float64).tiny)


def mixing_weights(coefficients: Tensor, contrast: bool = False) -> Tensor:
    """The weights that coefficients stand for: (n,) float64, summing to 1.

    Args:
        coefficients: (n,) with a positive sum.
        contrast: keep negative coefficients instead of setting them to 0.

    Raises:
        ValueError: a coefficient is not finite, or there is nothing positive to scale to 1.

    Example:
        >>> mixing_weights(torch.tensor([1.5, 0.5, -1.0])).tolist()
        [0.75, 0.25, 0.0]
        >>> mixing_weights(torch.tensor([1.5, 0.5, -1.0]), contrast=True).tolist()
        [1.5, 0.5, -1.0]
    """
    weights = coefficients.detach().to("cpu", torch.float64)
    if not contrast:
        weights = weights.clamp(min=0.0)
    total = float(weights.sum())
    if not math.isfinite(total) or total <= 0.0:
        raise ValueError(f"coefficients {coefficients.tolist()} have no positive, finite sum")
    return weights / total


def log_mixture(logprobs: Tensor, weights: Tensor) -> Tensor:
    """log sum_i w_i exp(logprobs_i), stable for any magnitude; with one weight of 1 that member's
    value, to the bit.

    Args:
        logprobs: (..., n) float64, natural logarithms.
        weights: (n,) float64; where negative weights outweigh the others the result is
            `IMPOSSIBLE`.

    Returns:
        (...) float64.

    Example:
        >>> log_mixture(torch.tensor([[0.2, 0.6]]).double().log(), torch.tensor([0.5, 0.5]).double()).exp()
        tensor([0.4000], dtype=torch.float64)
    """
    plus = torch.logsumexp(logprobs + weights.clamp(min=0.0).log(), dim=-1)
    if bool((weights >= 0).all()):
        return plus
    minus = torch.logsumexp(logprobs + (-weights).clamp(min=0.0).log(), dim=-1)
    # log(e^plus - e^minus); the inner clamp only keeps the discarded branch free of NaN.
    difference = plus + torch.log1p(-torch.exp((minus - plus).clamp(max=0.0)))
    return torch.where(minus < plus, difference, IMPOSSIBLE).clamp(min=IMPOSSIBLE)
