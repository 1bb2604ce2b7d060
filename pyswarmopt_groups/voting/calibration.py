"""Temperature scaling: confidence calibrated to accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pyswarmopt.base.arrays import Floats

# Bounds, beyond which the probabilities are practically 0 and 1, or uniform.
_COLDEST = 0.01
_HOTTEST = 100.0


def fit_temperature(logits: ArrayLike, labels: Sequence[int]) -> float:
    """The temperature T that makes softmax(logits / T) fit the labels best, 0.01 to 100.

    Source: Guo et al. 2017, arXiv 1706.04599, section 4.2: least negative log-likelihood on
    held-out items, which is convex in 1 / T. A model that is always right gets the lower bound, one
    at chance the upper. Choices do not change.

    Args:
        logits: (N, K), whose softmax is the model's distribution over the options, such as
            log-likelihoods; -inf where an item has fewer options. For free text with probability p:
            [log p, log(1 - p)], and label 0 if the text is right, else 1.
        labels: N indices of the right option.

    Example:
        >>> round(fit_temperature([[2.0, 0.0]] * 4, [0, 0, 0, 1]), 3)  # three in four right: logit log 3
        1.82
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    z = np.asarray(logits, dtype=np.float64)
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        log_p = log_softmax(z / np.exp(log_temperature), axis=1)
        return -float(log_p[rows, labels].mean())

    bounds = (np.log(_COLDEST), np.log(_HOTTEST))
    least = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    return float(np.exp(least.x))


def calibrated(logits: ArrayLike, temperature: float) -> Floats:
    """softmax(logits / temperature), (N, K) float64; the maximum of a row is the confidence in that
    item's choice.

    Example:
        >>> calibrated([[2.0, 0.0]], temperature=2.0).round(3).tolist()
        [[0.731, 0.269]]
    """
    from scipy.special import softmax

    return np.asarray(softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1))
