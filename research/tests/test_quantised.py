"""What rounding costs: the share of a loss that came back, lines that are not computed again, and ranks."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from laboratory import script

quantised = script("quantised")
tables = script("quantised_tables")


def found(scores: dict[str, int], seeds: int = 2) -> dict[Any, Any]:
    """Lines of ten test items with so many right answers."""
    blank = quantised.Line("t", 0, "q4_1", "", "off", "")
    made = [
        replace(blank, seed=seed, method=method, items="1" * right + "0" * (10 - right))
        for method, right in scores.items()
        for seed in range(seeds)
    ]
    return {line.key: line for line in made}


def row_of(scores: dict[str, int]) -> list[str]:
    """The row of such lines."""
    (row,) = tables.rows(map(asdict, found(scores).values()))
    return list(row)


def test_the_share_that_came_back_is_of_the_loss() -> None:
    row = row_of({"base": 2, "full": 8, "rounded": 4, "strength": 5, "search": 7})
    assert row[:5] == ["t", "SmolLM2", "off", "q4_1", "2"]
    assert row[5:] == ["0.200", "0.800", "0.400", "0.500", "0.700", "75%"]
    assert row_of({"full": 8, "rounded": 4, "strength": 5})[-1] == "25%"


def test_nothing_can_come_back_where_nothing_was_lost() -> None:
    assert row_of(dict.fromkeys(quantised.METHODS, 6))[-2:] == ["0.600", "-"]
    assert row_of({"full": 8, "rounded": 6})[5:] == ["", "0.800", "0.600", "", "", "-"]


def test_what_is_there_is_not_computed_again() -> None:
    lines = found(dict.fromkeys(quantised.METHODS, 6), seeds=1)
    config: Any = type("Config", (), {"seed": 0, "train": "off", "base": "embedded:smollm2-135m"})
    assert list(quantised.lines(config, "t", "q4_1", set(lines))) == []


def test_losses_are_in_points_and_of_the_gain_and_ranked_by_the_slope() -> None:
    scores = {"base": 2, "full": 6, "q4_1": 3, "q8_0": 6}
    slopes = {"q4_1": 0.1, "q8_0": 0.9}
    lines = [
        {
            "adapter": "a",
            "model": name,
            "items": "1" * n + "0" * (10 - n),
            "slope": slopes.get(name),
        }
        for name, n in scores.items()
    ]
    lost = tables.losses(lines)
    assert [(round(one["points"]), round(one["share"], 2)) for one in lost] == [
        (30, 0.75),
        (0, 0.0),
    ]
    assert tables.rank_correlation(lost, "share") == pytest.approx(1)
    nothing = tables.losses([{**line, "items": "1111100000"} for line in lines])
    assert [one["share"] for one in nothing] == [None, None]


def test_a_server_is_compared_choice_by_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    line = {"run": "a", "file": "few", "right": [0, 1, 2], "ours": [0, 1, 1], "theirs": [0, 2, 2]}
    line |= {"lead": [1.0, 0.25, 0.5], "furthest": 0.125}
    monkeypatch.setattr(tables, "lines", lambda name: [line])
    row = tables.served().splitlines()[-1]
    assert row == "| a | few | 1 of 3 | 2 | 2 | 0.1250 | 0.500 |"
