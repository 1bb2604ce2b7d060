"""The advice: the rule by hand, an estimate without selection bias, an interval that holds what it
says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from pyswarmopt_llm.reporting.advice import Difference, Scores, advice, decide, gain


def draw(rng: np.random.Generator, items: int, accuracies: list[float]) -> Any:
    """Right or wrong of candidates that find the same items hard: a probit model, correlation
    .6.
    """
    hard, luck = rng.normal(size=items), rng.normal(size=(len(accuracies), items))
    return (np.sqrt(0.6) * hard + np.sqrt(0.4) * luck < norm.ppf(accuracies)[:, None]).astype(float)


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
    other: list[float] = []
    single: list[float] = []
    for seen, unseen in ((table[:, :half], table[:, half:]), (table[:, half:], table[:, :half])):
        single += list(unseen[seen[:singles].mean(1).argmax()])
        other += list(unseen[singles + seen[singles:].mean(1).argmax()])
    return gain(other, single)


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
    gains = [crossed(draw(rng, items, accuracies), singles) for _ in range(1000)]
    covered = np.mean([gain.low <= truth <= gain.high for gain in gains])
    assert 0.90 <= covered <= 0.99
    assert abs(np.mean([gain.mean for gain in gains]) - truth) < 0.015


def test_the_best_of_many_equals_gains_nothing() -> None:
    """On the items that it was chosen on, the best of 40 alike is .1 ahead of a single one."""
    rng, accuracies = np.random.default_rng(2), [0.6] * 41
    tables = [draw(rng, 60, accuracies) for _ in range(60)]
    naive = np.mean([table[1:].mean(1).max() - table[0].mean() for table in tables])
    fair = np.mean([crossed(table, 1).mean for table in tables])
    assert naive > 0.08 and abs(fair) < 0.02


def test_a_gain_by_hand() -> None:
    by_hand = gain([1, 1, 1, 0, 1, 1, 1, 0], [1, 0, 1, 0, 1, 0, 1, 0])
    # two of eight items differ, by 1
    half = 1.96 * (1.6 * (2 * 0.75**2 + 6 * 0.25**2) / 7 / 8) ** 0.5
    assert (by_hand.mean, by_hand.low, by_hand.high) == pytest.approx(
        (0.25, 0.25 - half, 0.25 + half)
    )
    same = gain([1, 0, 1, 0], [1, 0, 1, 0])
    assert (same.mean, same.low, same.high) == (0, 0, 0)


def scores(items: int = 100, **better: tuple[int, int]) -> Scores:
    """Of an expert that is right on half of the items, and of ways that gain and lose so many."""
    ways = {"take": [1.0] * (items // 2) + [0.0] * (items - items // 2)}
    for way, (gained, lost) in better.items():
        ways[way] = [0.0] * lost + ways["take"][lost : items - gained] + [1.0] * gained
    return ways


@pytest.mark.parametrize(
    ("ways", "kind", "needed"),
    [
        ({"search": (8, 2)}, "search", None),
        ({"search": (3, 3)}, "search", None),  # as good, by other items
        ({"search": (3, 6)}, "search", None),  # behind by 3 points, of which 3.8 are the error
        ({"search": (2, 8)}, "take", None),  # by 6 of 3.9
        ({"search": (0, 0)}, "take", None),  # the same: less effort
        ({"train": (8, 2), "search": (8, 1)}, "search", None),
        ({"train": (8, 2), "expert": (9, 2), "search": (9, 2)}, "expert", None),
        ({"train": (9, 2), "expert": (9, 2), "search": (9, 2)}, "expert", None),
        ({"train": (20, 2), "expert": (3, 2), "search": (9, 2)}, "train", None),
        ({"train": (2, 8), "expert": (3, 2), "search": (20, 0)}, "search", None),
        # 1.96**2 * 1.6 * (15 - 0.09) / 99 / 0.03**2: a gain that may be chance
        ({"search": (9, 6)}, "search", 1029),
    ],
)
def test_the_rule_by_hand(ways: dict[str, tuple[int, int]], kind: str, needed: int | None) -> None:
    outcomes = scores(**ways)
    assert decide(outcomes) == kind
    verdict = advice(outcomes, "banking")
    assert verdict.kind == kind and len(verdict.reasons) == len(ways)
    assert "banking" in verdict.sentence and "95% interval" in verdict.sentence
    assert needed is None or f"{needed} examples" in verdict.sentence


def test_few_items_are_too_few_to_take_an_expert_on() -> None:
    assert decide(scores(39, search=(0, 0))) == "collect"
    assert decide(scores(40, search=(0, 0))) == "take"
    assert decide(scores(10, search=(5, 0))) == "search"


def test_a_score_is_advised_where_answers_are_written_and_nothing_helps() -> None:
    assert advice(scores(search=(3, 3)), "banking", scorable=True).kind == "score"
    assert advice(scores(search=(20, 0)), "banking", scorable=True).kind == "search"


def test_a_search_that_gains_nothing_is_not_said_to_gain() -> None:
    said = advice(scores(search=(3, 6)), "banking").sentence
    assert said.startswith("Search: no other way is measurably ahead") and "-0.030" in said


def test_a_search_is_said_to_train_only_where_the_trial_did() -> None:
    assert "before any training" in advice(scores(search=(20, 0)), "banking").sentence
    trained = advice(scores(train=(0, 0), search=(20, 0)), "banking")
    assert "which trains what it finds" in trained.sentence
