"""The strategy `attention`: shares of members that depend on the question."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from member_helpers import context_of
from scipy.optimize import minimize

from pyswarmopt_groups.ensembles import learned
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_llm.scores.tasks import Item


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


def parity(context: object, items: Sequence[Item]) -> tuple[np.ndarray, list[int]]:
    """Embeds items by whether their numbers are even."""
    return np.array([[7.0 + (-1.0) ** int(item.id), 3.0] for item in items]), [2] * len(items)


def test_of_members_that_know_different_halves_each_is_heard_on_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even knows the even questions, odd the others, and who does not know is as sure: any shares
    that are the same for all questions are right on one half alone.
    """
    monkeypatch.setattr(learned, "question_embeddings", parity)
    rng = random.Random(0)
    right = "".join(rng.choice("AB") for _ in range(60))
    rows: dict[str, list[list[float]]] = {"even": [], "odd": []}
    for number, letter in enumerate(right):
        good, bad = ([0.7, 0.3], [0.3, 0.7]) if letter == "A" else ([0.3, 0.7], [0.7, 0.3])
        rows["even"].append(bad if number % 2 else good)
        rows["odd"].append(good if number % 2 else bad)
    context = context_of(rows, right, dev=41)
    verdicts = load_strategy("attention").decide(context, context.task.test)
    assert "".join(str(verdict.answer) for verdict in verdicts) == right[41:]
    assert {verdict.tokens for verdict in verdicts} == {2 * 10 + 2}
