"""The advice: the rule by hand, an estimate without selection bias, an interval that holds what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from pyswarmopt_llm.reporting.advice import Candidates, Gain, advice, decide, gain, trained


def draw(rng: np.random.Generator, items: int, accuracies: list[float]) -> Any:
    """Right or wrong of candidates that find the same items hard: a probit model, correlation .6."""
    hard, own = rng.normal(size=items), rng.normal(size=(len(accuracies), items))
    return (np.sqrt(0.6) * hard + np.sqrt(0.4) * own < norm.ppf(accuracies)[:, None]).astype(float)


def true_gain(items: int, accuracies: list[float], singles: int) -> float:
    """What choosing on half of the items gains on all others, by choosing on fresh ones again and again."""
    rng, acc = np.random.default_rng(99), np.array(accuracies)
    gains = []
    for _ in range(1500):
        seen = draw(rng, items // 2, accuracies).mean(1)
        gains.append(acc[singles + seen[singles:].argmax()] - acc[seen[:singles].argmax()])
    return float(np.mean(gains))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("items", "singles", "accuracies"),
    [
        (80, 5, [0.5, 0.55, 0.6, 0.5, 0.52, *np.linspace(0.45, 0.72, 12)]),  # some mixtures are better
        (60, 2, [0.5, 0.6, 0.7]),  # a single other way, such as training
        (100, 5, [0.5, 0.55, 0.6, 0.5, 0.52, 0.66]),  # the same with more experts to choose from
    ],
)
def test_the_interval_covers_the_true_gain(items: int, singles: int, accuracies: list[float]) -> None:
    truth, rng = true_gain(items, accuracies, singles), np.random.default_rng(1)
    candidates = range(singles, len(accuracies))
    found = [gain(draw(rng, items, accuracies), candidates, range(singles)) for _ in range(200)]
    covered = np.mean([one.low <= truth <= one.high for one in found])
    assert 0.90 <= covered <= 0.99
    assert abs(np.mean([one.difference for one in found]) - truth) < 0.015


def test_the_best_of_many_equals_gains_nothing() -> None:
    """On the items that it was chosen on, the best of 40 alike is .1 ahead of a single one."""
    rng, accuracies = np.random.default_rng(2), [0.6] * 41
    tables = [draw(rng, 60, accuracies) for _ in range(30)]
    naive = np.mean([table[1:].mean(1).max() - table[0].mean() for table in tables])
    fair = np.mean([gain(table, range(1, 41), [0]).difference for table in tables])
    assert naive > 0.08 and abs(fair) < 0.02


def test_a_gain_by_hand() -> None:
    """One candidate, one expert: there is nothing to choose, and the gain is the difference of their means."""
    outcomes = np.array([[1, 0, 1, 0, 1, 0, 1, 0], [1, 1, 1, 0, 1, 1, 1, 0]], dtype=float)
    found = gain(outcomes, [1], [0])
    assert found.difference == pytest.approx(0.25, abs=0.05) and found.low <= 0.25 <= found.high
    assert gain(outcomes, [1], [0]) == found
    same = gain(outcomes, [0], [0])
    assert (same.difference, same.low, same.high) == (0, 0, 0)


SURE, BETTER, OPEN = Gain(0.05, 0.01, 0.09), Gain(0.08, 0.03, 0.13), Gain(0.05, -0.05, 0.15)


@pytest.mark.parametrize(
    ("gains", "kind", "needed"),
    [
        ({"merge": SURE, "search": Gain(0.055, 0.02, 0.09)}, "merge", None),  # .005 more is not worth a search
        ({"merge": SURE, "search": BETTER}, "search", None),
        ({"train": BETTER, "search": BETTER}, "train", None),
        ({"merge": OPEN, "train": SURE}, "train", None),  # only that is measured
        ({"merge": Gain(-0.1, -0.2, 0.0), "search": OPEN}, "collect", 400),  # (.10 / .05)^2 = 4 times 100
        ({"search": Gain(0.02, -0.06, 0.1)}, "take", None),  # (.08 / .02)^2 = 16 times
        ({"merge": Gain(0.009, -0.001, 0.02)}, "take", None),  # too little to be worth anything
        ({"merge": Gain(-0.1, -0.2, -0.05), "search": Gain(-0.02, -0.1, 0.06)}, "take", None),
    ],
)
def test_the_rule_by_hand(gains: dict[str, Gain], kind: str, needed: int | None) -> None:
    assert decide(gains, 100) == (kind, needed)
    found = advice(gains, 100, "banking")
    assert found.kind == kind and "banking" in found.sentence and len(found.reasons) == len(gains)
    assert needed is None or f"about {needed} can" in found.sentence


def test_few_items_are_too_few_to_decide_on_unless_they_show_a_gain() -> None:
    same = {"merge": Gain(0.0, 0.0, 0.0)}
    assert decide(same, 39) == ("collect", 40) and decide(same, 40) == ("take", None)
    assert "39 items cannot tell; 40 are the least" in advice(same, 39, "banking").sentence
    assert decide({"merge": SURE}, 10) == ("merge", None)


def test_candidates_are_told_apart_by_their_coefficients() -> None:
    rows = [[1, 0], [0, 1], [0.5, 0.5], [0.7, 0.9], [2, 0], [1, 1], [0, 0]]
    found = Candidates.of(np.array(rows, dtype=float))
    assert found.singles == [0, 1] and found.ways == {"merge": [2], "search": [3, 4, 5]}
    alone = Candidates.of(np.array([[1, 0], [0, 1], [0.5, 0.5]]))
    assert alone.singles == [0, 1] and alone.ways == {"merge": [2]}


def test_the_gain_of_training_is_free_of_the_luck_of_what_was_trained() -> None:
    """Fifty equal candidates, of which the luckiest was trained in vain: on dev it stays ahead, on new items not."""
    naive, honest = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        outcomes = (rng.random((50, 60)) < 0.5).astype(float)
        best = int(outcomes.mean(1).argmax())
        after = outcomes[best]
        singles = [0, 1]
        naive.append(gain(np.vstack([outcomes, after]), [50], singles, seed).difference)
        more = trained(outcomes, best, after)
        honest.append(gain(np.vstack([outcomes, more]), range(50, 100), singles, seed).difference)
    assert np.mean(naive) > 0.1 and abs(np.mean(honest)) < 0.02


def test_what_training_adds_is_added_to_every_candidate() -> None:
    outcomes = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    assert trained(outcomes, 1, np.array([1.0, 1.0, 0.0])).tolist() == [[0.0, 2.0, 1.0], [1.0, 1.0, 0.0]]
