"""The strategy `stacked`: weights of the members' log-probabilities, learned together on dev."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from pyswarmopt_groups.ensembles.learned import fit_weights


def test_with_several_options_the_weights_minimise_the_loss_written_out_item_by_item() -> None:
    rng = np.random.default_rng(1)
    counts = rng.integers(2, 5, 30)
    # (options, members) of each item
    p = [rng.dirichlet(np.ones(count), size=3).T for count in counts]
    labels = [int(rng.integers(count)) for count in counts]
    logs, there = np.zeros((30, 4, 3)), np.zeros((30, 4), dtype=bool)
    for i, own in enumerate(p):
        logs[i, : len(own)], there[i, : len(own)] = np.log(own), True

    def loss(w: np.ndarray) -> float:
        total = sum(w**2) / 2
        for own, label in zip(p, labels, strict=True):
            pooled = np.prod(own**w, axis=1)
            total -= np.log(pooled[label] / pooled.sum())
        return float(total)

    options = {"xatol": 1e-8, "fatol": 1e-10, "maxiter": 4000}
    plain = minimize(loss, np.zeros(3), method="Nelder-Mead", options=options)
    assert fit_weights(logs, there, labels) == pytest.approx(plain.x, abs=1e-4)
