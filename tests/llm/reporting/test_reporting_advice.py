"""The advice: the rule by hand, an estimate without selection bias, an interval that holds what it
says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from pyswarmopt_llm.reporting.advice import advice, decide, gain
from pyswarmopt_llm.reporting.verdict import Difference


def draw(rng: np.random.Generator, items: int, accuracies: list[float]) -> Any:
    """Right or wrong of candidates that find the same items hard: a probit model, correlation
    .6.
    """
    hard, own = rng.normal(size=items), rng.normal(size=(len(accuracies), items))
    return (np.sqrt(0.6) * hard + np.sqrt(0.4) * own < norm.ppf(accuracies)[:, None]).astype(float)


def true_gain(items: int, accuracies: list[float], singles: int) -> float:
    """What choosing on half of the items gains on all others, by choosing on fresh ones again and
    again.
    """
    rng, acc = np.random.default_rng(99), np.array(accuracies)
    gains = []
    for _ in range(1500):
        seen = draw(rng, items // 2, accuracies).mean(1)
        gains.append(acc[singles + seen[singles:].argmax()] - acc[seen[:singles].argmax()])
    return float(np.mean(gains))


def crossed(table: Any, singles: int) -> Difference:
    """The gain where the best single expert and the best other candidate are chosen on one half,
    for the other.
    """
    half = table.shape[1] // 2
    ours: list[float] = []
    single: list[float] = []
    for seen, unseen in ((table[:, :half], table[:, half:]), (table[:, half:], table[:, :half])):
        single += list(unseen[seen[:singles].mean(1).argmax()])
        ours += list(unseen[singles + seen[singles:].mean(1).argmax()])
    return gain(ours, single)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("items", "singles", "accuracies"),
    [
        # some mixtures are better
        (80, 5, [0.5, 0.55, 0.6, 0.5, 0.52, *np.linspace(0.45, 0.72, 12)]),
        (60, 2, [0.5, 0.6, 0.7]),  # a single other way, such as training
        (100, 5, [0.5, 0.55, 0.6, 0.5, 0.52, 0.66]),  # the same with more experts to choose from
    ],
)
def test_the_interval_covers_the_true_gain(
    items: int, singles: int, accuracies: list[float]
) -> None:
    truth, rng = true_gain(items, accuracies, singles), np.random.default_rng(1)
    found = [crossed(draw(rng, items, accuracies), singles) for _ in range(1000)]
    covered = np.mean([one.low <= truth <= one.high for one in found])
    assert 0.90 <= covered <= 0.99
    assert abs(np.mean([one.mean for one in found]) - truth) < 0.015


def test_the_best_of_many_equals_gains_nothing() -> None:
    """On the items that it was chosen on, the best of 40 alike is .1 ahead of a single one."""
    rng, accuracies = np.random.default_rng(2), [0.6] * 41
    tables = [draw(rng, 60, accuracies) for _ in range(60)]
    naive = np.mean([table[1:].mean(1).max() - table[0].mean() for table in tables])
    fair = np.mean([crossed(table, 1).mean for table in tables])
    assert naive > 0.08 and abs(fair) < 0.02


def test_a_gain_by_hand() -> None:
    found = gain([1, 1, 1, 0, 1, 1, 1, 0], [1, 0, 1, 0, 1, 0, 1, 0])
    # two of eight items differ, by 1
    half = 1.96 * (1.6 * (2 * 0.75**2 + 6 * 0.25**2) / 7 / 8) ** 0.5
    assert (found.mean, found.low, found.high) == pytest.approx((0.25, 0.25 - half, 0.25 + half))
    same = gain([1, 0, 1, 0], [1, 0, 1, 0])
    assert (same.mean, same.low, same.high) == (0, 0, 0)


SURE, BETTER, OPEN = (
    Difference(0.05, 0.01, 0.09),
    Difference(0.08, 0.03, 0.13),
    Difference(0.05, -0.05, 0.15),
)


@pytest.mark.parametrize(
    ("gains", "kind", "needed"),
    [
        # .005 more is not worth a search
        ({"merge": SURE, "search": Difference(0.055, 0.02, 0.09)}, "merge", None),
        # its interval holds what the search gained
        ({"merge": SURE, "search": BETTER}, "merge", None),
        ({"merge": SURE, "search": Difference(0.12, 0.06, 0.18)}, "search", None),
        ({"train": BETTER, "search": BETTER}, "train", None),
        ({"merge": OPEN, "train": SURE}, "train", None),  # only that is measured
        # (.10 / .05)^2 = 4 times 100
        ({"merge": Difference(-0.1, -0.2, 0.0), "search": OPEN}, "collect", 400),
        ({"search": Difference(0.02, -0.06, 0.1)}, "take", None),  # (.08 / .02)^2 = 16 times
        (
            {"merge": Difference(0.009, -0.001, 0.02)},
            "take",
            None,
        ),  # too little to be worth anything
        (
            {"merge": Difference(-0.1, -0.2, -0.05), "search": Difference(-0.02, -0.1, 0.06)},
            "take",
            None,
        ),
    ],
)
def test_the_rule_by_hand(gains: dict[str, Difference], kind: str, needed: int | None) -> None:
    assert decide(gains, 100) == (kind, needed)
    found = advice(gains, 100, "banking")
    assert found.kind == kind and "banking" in found.sentence and len(found.reasons) == len(gains)
    assert needed is None or f"about {needed} can" in found.sentence


def test_few_items_are_too_few_to_decide_on_unless_they_show_a_gain() -> None:
    same = {"merge": Difference(0.0, 0.0, 0.0)}
    assert decide(same, 39) == ("collect", 40) and decide(same, 40) == ("take", None)
    assert "39 items cannot tell; 40 are the least" in advice(same, 39, "banking").sentence
    assert decide({"merge": SURE}, 10) == ("merge", None)


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ({"search": SURE}, "a search, before any training"),
        ({"train": OPEN, "search": SURE}, "a search, which trains what it finds"),
    ],
)
def test_a_search_is_said_to_train_only_where_the_trial_did(
    gains: dict[str, Difference], words: str
) -> None:
    said = advice(gains, 100, "banking")
    assert words in said.sentence + said.reasons[-1]
