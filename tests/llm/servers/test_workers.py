"""Several workers find what one process finds, to the bit, whatever happens to them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from search_helpers import Json
from workers_helpers import plan, same_end

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.searching.search import resume, search


@pytest.fixture
def fragile(crew_config: SearchConfig) -> SearchConfig:
    """A search for the score of `workers_helpers`."""
    score = f"{Path(crew_config.tasks[0]).parent}/fragile.py:fragile"
    return replace(crew_config, metrics=(score,), max_new_tokens=1)


def test_two_find_the_same_with_drops_and_a_death_is_made_good_and_counted(
    fragile: SearchConfig, here: Path
) -> None:
    settings = replace(fragile, drop_n=0.2)
    search(replace(settings, out="peace"))
    plan(fragile, {7: "die"})
    found = search(replace(settings, out="war", workers="2"))
    plan(fragile, {})
    same_end("war", "peace")
    assert found.result["workers"]["failures"] == {"died": 1}


def test_rows_that_came_before_their_turn_are_not_asked_again(
    crew_config: SearchConfig, here: Path
) -> None:
    search(replace(crew_config, out="one"))
    search(replace(crew_config, out="two", workers="2"))
    results = Path("two") / "results.jsonl"
    lines = results.read_text().splitlines(keepends=True)
    (Path("two") / "result.json").unlink()
    cut = max(i for i, line in enumerate(lines) if json.loads(line)["what"] == "search") - 3
    results.write_text("".join([*lines[:cut], lines[cut + 1], lines[cut + 2][:30]]))
    seen: list[Json] = []
    resume(
        "two", lambda event: seen.append(dict(event.data)) if event.kind == "evaluation" else None
    )
    same_end("two", "one")
    assert len(seen) == 3
    assert results.read_text().splitlines(keepends=True)[cut] == lines[cut + 1]
