"""What an option does: it changes what a command finds, or it is refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from search_helpers import louder, questions, write_task

from pyswarmopt_llm.common.errors import UserError

Known = dict[tuple[str, str], object]  # command and settings -> what it said


def write_files(folder: Path, experts: Sequence[Path], dev: int) -> Path:
    """What the options name: adapters, tables of labels, written tasks of `dev` examples, a score."""
    (folder / "adapters").mkdir()
    for name, expert in zip("abc", louder(experts[:3], folder), strict=True):
        expert.rename(folder / "adapters" / name)
    for name, seed in (("labels.csv", 1), ("others.csv", 2)):
        rows = [
            f"{q['question']},{q['id']} amber,{'high' if k % 3 else 'low'}"
            for k, q in enumerate(questions(24, seed))
        ]
        (folder / name).write_text("\n".join(["question,other,label", *rows]) + "\n")
    for name, seed in (("written.json", 3), ("open.json", 4)):
        asked = questions(dev + 6, seed)
        items = [{"question": item["question"], "answer": "seven"} for item in asked]
        write_task(folder / name, items[:dev], items[dev:])
    (folder / "mine.py").write_text("def score(reply):\n    return sum(map(ord, reply)) / 1e6\n")
    return folder


def answer(
    known: Known, way: str, config: Any, found: Callable[[Any, Path], object], folder: Path
) -> object:
    """What a command finds, or its refusal; asked once."""
    key = (way, repr(config))
    if key not in known:
        try:
            known[key] = found(config, folder)
        except UserError as error:
            known[key] = error
    return known[key]


def changed_or_refused(before: object, after: object, settings: Collection[str]) -> None:
    if isinstance(after, UserError):
        assert any(setting in str(after) for setting in settings), str(after)
    else:
        assert not isinstance(before, UserError), str(before)
        assert repr(before) != repr(after)
