"""`quantised.py`: the share of a loss that came back, and lines that are not computed again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from laboratory import script

quantised = script("quantised")


def found(scores: dict[str, int], seeds: int = 2) -> dict[Any, Any]:
    """Lines of ten test items with so many right answers."""
    blank = quantised.Line("t", 0, "q4_1", "", "off", "")
    made = [
        replace(blank, seed=seed, method=method, items="1" * right + "0" * (10 - right))
        for method, right in scores.items()
        for seed in range(seeds)
    ]
    return {line.key: line for line in made}


def test_the_share_that_came_back_is_of_the_loss() -> None:
    scores = {"base": 2, "full": 8, "rounded": 4, "strength": 5, "search": 7}
    *_, row = quantised.table(found(scores))
    assert row == "| t | q4_1 | off | 2 | 0.200 | 0.800 | 0.400 | 0.500 | 0.700 | 75% |"


def test_nothing_can_come_back_where_nothing_was_lost() -> None:
    *_, row = quantised.table(found(dict.fromkeys(quantised.METHODS, 6)))
    assert row.endswith("| 0.600 | - |")


def test_what_is_there_is_not_computed_again() -> None:
    lines = found(dict.fromkeys(quantised.METHODS, 6), seeds=1)
    config: Any = type("Config", (), {"seed": 0, "train": "off"})
    assert list(quantised.lines(config, "t", "q4_1", set(lines))) == []
