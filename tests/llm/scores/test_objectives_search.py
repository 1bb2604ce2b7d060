"""Searches of objectives beyond one task's accuracy, end to end on the tiny base."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from search_helpers import Json, ends_as, history, louder, questions, small, write_task

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.searching.finish import front_of

FLAKY = """
calls = 0

def flaky(reply):
    global calls
    calls += 1
    if calls == 13:
        raise OSError("the judge did not answer")
    return len(reply.split()) / 10
"""


@pytest.fixture
def setting(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> SearchConfig:
    tasks = [
        write_task(tmp_path / f"t{k}.json", questions(12, k), questions(10, 10 + k)) for k in (1, 2)
    ]
    return small(tiny_base, louder(tiny_experts, tmp_path), tasks, tmp_path / "run", particles=6)


def scored(key: str, a: int, b: int) -> Row:
    """A candidate with so many of ten items right in each of two tasks."""
    scores = {n: score_of([1.0] * k + [0.0] * (10 - k)) for n, k in (("a", a), ("b", b))}
    return Row("search", 0, 0, key, [1.0], value=0.0, n=20, seconds=0.0, tasks=scores)


def test_the_front_by_hand() -> None:
    front = [(1, 9), (2, 8), (3, 7), (5, 6), (6, 4), (7, 3), (9, 1)]
    rows = [scored(str((a, b)), a, b) for a, b in [*front, (5, 5), (3, 6), (1, 1), (5, 6)]]
    points = front_of(rows, ("a", "b"), "x")
    found = [tuple(round(10 * value) for value in point["dev"].values()) for point in points]
    assert found == front


def test_a_metric_that_fails_midway_keeps_what_was_scored(
    setting: SearchConfig, tmp_path: Path
) -> None:
    """In the fifth call for three prompts each."""
    score = tmp_path / "flaky.py"
    score.write_text(FLAKY)
    prompts: list[Json] = [{"prompt": f"Tell {i}"} for i in range(3)]
    task = str(write_task(tmp_path / "p.json", prompts, [{"prompt": "x"}]))
    more: dict[str, Any] = {"metrics": (f"{score}:flaky",), "max_new_tokens": 8}
    config = replace(setting, tasks=(task,), scoring="auto", max_iter=1, **more)
    with pytest.raises(UserError, match="did not answer"):
        search(config)
    assert len(history(tmp_path / "run")) == 4
    resume(tmp_path / "run", allowed=config.metrics)
    (tmp_path / "run").rename(tmp_path / "resumed")
    search(config)
    ends_as(tmp_path / "resumed", tmp_path / "run")
