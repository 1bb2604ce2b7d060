"""``prompts:FILE``: prompts without answers, for scores that need none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.scores.tasks.formats import read_lines, read_rows
from pyswarmopt_llm.scores.tasks.items import content, parse_item
from pyswarmopt_llm.scores.tasks.tables.columns import question_column
from pyswarmopt_llm.scores.tasks.tables.draw import DEV_SHARE_OF_PROMPTS, Placed, placed_task
from pyswarmopt_llm.scores.tasks.tables.names import (
    Reading,
    Rows,
    check_names,
    checked_split,
    columns_of,
    renamed,
)
from pyswarmopt_llm.scores.tasks.tables.problems import Problems
from pyswarmopt_llm.scores.tasks.types import RawTask

_TEXT = (".txt", "")
# columns of an item that a prompt does not have, or has already
_NOT_MINE = ("choices", "question", "prompt")


def read_prompts(path: Path, reading: Reading) -> RawTask:
    """The prompts of a file as a task whose items need no answers.

    A text file has a prompt on each line; blank lines are skipped. A table has them in ``prompt``,
    ``question`` or a column of a like name, or as ``--columns prompt=COLUMN`` says; in JSON they
    may be plain texts, too. The other columns go to the items, ``answer`` too. A column ``split``
    says which are dev and which test; else half of them are drawn as dev.

    Args:
        path: ends in .txt, .json, .jsonl, .csv or .tsv.
        reading: columns, and the seed of the draw.

    Raises:
        UserError: no such file, an empty prompt, or one that is there twice; with its line.
    """
    if not path.is_file():
        raise InvalidOption(
            "prompts", str(path), "no such file; give a text file (a prompt a line), JSONL or CSV"
        )
    rows = _rows(path, reading)
    if not rows:
        raise InvalidOption("prompts", str(path), "holds no prompts; write one on each line")
    split = "split" in columns_of(row for _, row in rows)
    problems = Problems(str(path), reading.skip_bad)
    numbers, seen = count(1), dict[tuple[str, ...], str]()

    def placed(place: str, row: Mapping[str, Any]) -> Placed:
        number = str(next(numbers))
        item = parse_item({**row, "id": row.get("id") or number}, place, number)
        key = content(item)
        if key in seen:
            raise UserError(f"{place}: the same prompt as {seen[key]}; remove one of them")
        seen[key] = place.rpartition(": ")[2]
        return place, item, checked_split(row.get("split"), place) if split else ""

    prompts = problems.each(rows, placed)
    problems.refuse()
    return placed_task(prompts, path, reading, problems.note(), "prompt", DEV_SHARE_OF_PROMPTS)


def _rows(path: Path, reading: Reading) -> Rows:
    """(place, row) of each prompt, in column ``prompt``."""
    if path.suffix.lower() in _TEXT:
        if reading.names_columns:
            raise InvalidOption(
                "columns", None, f"{path} is a text file and has no columns; remove it"
            )
        return [(place, {"prompt": line}) for place, line in read_lines(path)]
    names, rows = read_rows(path, "prompt")
    columns = {
        "prompt" if name == "question" else name: header for name, header in reading.columns.items()
    }
    check_names(columns, names, str(path))
    column = columns.get("prompt") or _column(names, path)
    others = {name: header for name, header in columns.items() if name != "prompt"}
    return [
        (place, {**_rest(renamed(row, others), column), "prompt": row.get(column) or ""})
        for place, row in rows
    ]


def _column(names: Sequence[str], path: Path) -> str:
    """The column of the prompts."""
    column = "prompt" if "prompt" in names else question_column(names)
    if column not in names:
        listed = ", ".join(names) or "nothing"
        raise UserError(f'{path}: no column "prompt" (found: {listed}); rename one')
    return column


def _rest(row: Mapping[str, Any], column: str) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in _NOT_MINE and name != column}
    return {name: value for name, value in kept.items() if value not in (None, "")}
