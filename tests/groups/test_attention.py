"""The strategy `attention`: shares of members that depend on the question."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from pyswarmopt_groups.voting import learned


def test_the_weights_minimise_the_loss_written_out_item_by_item() -> None:
    rng = np.random.default_rng(0)
    features, right = rng.normal(size=(20, 2)), rng.uniform(0.1, 0.9, size=(3, 20))

    def loss(flat: np.ndarray) -> float:
        total = sum(flat**2) / 2
        for item in range(20):
            scores = [np.exp(flat.reshape(3, 2)[k] @ features[item]) for k in range(3)]
            pooled = sum(score * right[k, item] for k, score in enumerate(scores)) / sum(scores)
            total -= 2.5 * np.log(pooled)
        return float(total)

    options = {"xatol": 1e-8, "fatol": 1e-12, "maxiter": 20_000, "maxfev": 20_000}
    plain = minimize(loss, np.zeros(6), method="Nelder-Mead", options=options)
    weights = learned.fit_attention(features, right, 2.5)
    assert weights.ravel() == pytest.approx(plain.x, abs=1e-4)
