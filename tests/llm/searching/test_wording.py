"""A found model is asked in the words of its search: the very texts that the search gave to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from search_helpers import MakeSearch, Shell, write_task

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.use.generate import generate_text, worded
from pyswarmopt_llm.use.opening import result_of

PLANETS = [{"question": f"Which planet is number {i}?", "answer": str(i)} for i in range(6)]
OPTIONS = [{**item, "choices": ["0", "1", "2", "3", "4", "5"]} for item in PLANETS]
TEXT = "Which planet is number 3?"


def task_of(folder: Path, items: list[dict[str, Any]], name: str = "t") -> str:
    return str(write_task(folder / f"{name}.json", items[:4], items[4:]))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts that models are given."""
    seen: list[str] = []
    write = TransformersEngine.write

    def watched(self: Any, prompts: Any, *args: Any) -> Any:
        seen.extend(prompts)
        return write(self, prompts, *args)

    monkeypatch.setattr(TransformersEngine, "write", watched)
    return seen


@pytest.mark.parametrize(
    ("items", "settings"),
    [
        (PLANETS, {"template": ("Sky: {question} {{}}\nNumber:",), "system": "Say amber."}),
        (OPTIONS, {}),
    ],
    ids=["template", "options"],
)
def test_a_result_is_asked_as_the_search_asked(
    items: list[dict[str, Any]],
    settings: dict[str, Any],
    words_search: MakeSearch,
    tmp_path: Path,
    asked: list[str],
) -> None:
    config = words_search(
        1, 1, max_iter=0, scoring="generate", metrics=("f1",), max_new_tokens=4, **settings
    )
    run = search(replace(config, tasks=(task_of(tmp_path, items),))).run
    searched = {*asked}
    assert sum(TEXT in prompt for prompt in searched) == 1
    asked.clear()
    generate_text(*result_of(run), TEXT, 2, threads=1, run=run)
    assert asked and {*asked} <= searched


def test_generate_asks_as_the_search_did(
    words_search: MakeSearch, tmp_path: Path, shell: Shell
) -> None:
    config = words_search(1, 1, max_iter=0, scoring="generate", metrics=("f1",), max_new_tokens=4)
    template = ("Sky: {question}\nNumber:",)
    run = search(replace(config, tasks=(task_of(tmp_path, PLANETS),), template=template)).run
    words = ("generate", "--run", run, "--max-new-tokens", "2")
    assert shell.json(*words, TEXT)["asked"] == f"Sky: {TEXT}\nNumber:"
    base, adapter = result_of(run)
    alone = ("generate", "--base", base, "--adapter", adapter, "--max-new-tokens", "2", TEXT)
    assert shell.json(*alone)["asked"] == TEXT
    assert "--task t applies only to a run" in shell.refused(*alone, "--task", "t")


def test_what_a_text_alone_cannot_ask_is_refused(words_search: MakeSearch, tmp_path: Path) -> None:
    """Several tasks need a name; a further column is not in a text."""
    rows = [{**item, "place": "sky"} for item in PLANETS]
    tasks = (task_of(tmp_path, PLANETS, "a"), task_of(tmp_path, rows, "b"))
    template = ("a=A: {question}", "b={place}: {question}")
    config = words_search(1, 1, max_iter=0, scoring="generate", metrics=("f1",), max_new_tokens=4)
    run = search(replace(config, tasks=tasks, template=template)).run
    assert worded(run, TEXT, "a") == worded(run, TEXT, tasks[0]) == f"A: {TEXT}"
    with pytest.raises(UserError, match="the prompt of b also needs place"):
        worded(run, TEXT, "b")
    for task in (None, "c"):
        with pytest.raises(UserError, match="choose one of: a, b"):
            worded(run, TEXT, task)
