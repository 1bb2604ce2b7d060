"""Routers, Optuna's race and distillation on own replies: their formulas, against other libraries and
by hand.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from laboratory import script
from sklearn.neighbors import NearestNeighbors

from pyswarmopt_llm.common.interfaces import LowRank, Patch

on_policy = script("on_policy")
rivals_chosen = script("rivals_chosen")


def test_the_nearest_questions_choose_the_expert_as_scikit_learn_finds_them() -> None:
    rng = np.random.default_rng(0)
    questions, known = rng.normal(size=(20, 6)), rng.normal(size=(40, 6))
    right = rng.integers(0, 2, (5, 40)).astype(float)
    finder = NearestNeighbors(n_neighbors=7, metric="cosine").fit(known)
    places = finder.kneighbors(questions, return_distance=False)
    for of_item, chosen in zip(
        places, rivals_chosen.nearest(questions, known, right, 7), strict=True
    ):
        votes = right[:, of_item].sum(1)
        ties = np.flatnonzero(votes == votes.max())
        assert chosen == ties[right[ties].mean(1).argmax()]


def test_logo_weighs_the_largest_signals_by_themselves() -> None:
    weights = rivals_chosen.merged(np.array([0.1, 4.0, 1.0, 0.2, 3.0]))
    np.testing.assert_allclose(weights, [0, 0.5, 0.125, 0, 0.375])


def test_the_signal_is_the_norm_of_what_an_expert_adds() -> None:
    names = [f"model.layers.{layer}.self_attn.q_proj.weight" for layer in (2, 10)]
    assert rivals_chosen.last_query(names) == "model.layers.10.self_attn.q_proj"
    rng = torch.Generator().manual_seed(0)
    factors = [
        (torch.randn(4, 2, generator=rng), torch.randn(2, 3, generator=rng)) for _ in range(2)
    ]

    class Space:
        shapes = dict.fromkeys(names)

        def realise(self, one: Any) -> Patch:
            b, a = factors[int(one.argmax())]
            return Patch({names[1]: LowRank(b=b, a=a)})

    class Bench:
        experts = 2
        job = SimpleNamespace(pool=SimpleNamespace(space=Space()))

    read = torch.randn(5, 3, generator=rng)
    found: Any = rivals_chosen.signals(Bench(), read)  # type: ignore[arg-type]
    for item in range(5):
        for expert, (b, a) in enumerate(factors):
            assert found[item, expert] == pytest.approx(float((b @ a @ read[item]).norm()))


def test_the_divergence_is_that_of_torch() -> None:
    rng = torch.Generator().manual_seed(1)
    student, teacher = torch.randn(2, 7, 11, generator=rng)
    expected = torch.nn.functional.kl_div(
        teacher.log_softmax(-1), student.softmax(-1), reduction="batchmean"
    )
    assert float(on_policy.reverse_divergence(student, teacher)) == pytest.approx(
        float(expected), rel=1e-5
    )
    assert float(on_policy.reverse_divergence(student, student)) == pytest.approx(0.0, abs=1e-6)


def test_a_race_stops_what_is_worse_and_finds_the_good_expert() -> None:
    pytest.importorskip("optuna")
    asked: list[int] = []

    class Bench:
        """An item is right where the second expert's weight is above 1/2, more than the others'."""

        experts = 3
        dev = type("Dev", (), {"items": range(60)})()
        test = type("Test", (), {"items": range(5)})()

        def right(self, split: Any, weights: list[float], places: Any = None) -> Any:
            count = len(split.items if places is None else places)
            if split is self.dev:
                asked.append(count)
            good = weights[1] > 0.5 and weights[1] >= max(weights)
            return np.full(count, float(good))

    assert rivals_chosen.race(Bench(), 1200, 0).tolist() == [1.0] * 5  # type: ignore[arg-type]
    assert 1200 <= sum(asked) < 1200 + 60
    assert len(asked) * 10 == sum(asked) and len(asked) > 1200 // 60  # looked at every ten items
