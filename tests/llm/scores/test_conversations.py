"""A row with ``messages`` and a question of its own is asked its question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyswarmopt_llm.scores.tasks import load_task

TURNS = [{"role": "user", "content": "from the conversation"}]


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        ({"question": "own", "answer": "a", "messages": TURNS}, "own"),
        ({"answer": "a", "messages": TURNS}, "from the conversation"),
    ],
)
def test_a_question_goes_before_the_messages(
    row: dict[str, Any], asked: str, tmp_path: Path
) -> None:
    file = tmp_path / "chats.json"
    file.write_text(json.dumps({"dev": [row], "test": [row]}))
    (item,) = load_task(str(file), allow_overlap=True).dev
    assert item.question == asked
