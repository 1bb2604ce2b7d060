"""Rows of files: JSON in the format of the Model Swarms reference, JSONL, lines of text; for CSV see
`delimited`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import parse_json
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_bytes
from pyswarmopt_llm.common.registry import lazy
from pyswarmopt_llm.scores.tasks.items import check_unicode, kind_of

SPLITS = ("dev", "test")
DELIMITED = (".csv", ".tsv")
SUFFIXES = (".json", ".jsonl", *DELIMITED)
_TEXT = (".txt", "")
_ROLES = ("system", "user", "assistant")
_read_delimited = lazy("pyswarmopt_llm.scores.tasks.delimited:read_delimited")


class Row(NamedTuple):
    """A row of a file: its place for messages, the id of one that has none, its values by column."""

    place: str
    id: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """The rows of a file, and what it says of its task.

    Attributes:
        path: of the file.
        names: of all columns, in the order in which they appear.
        rows: the rows.
        has_splits: whether the file has a list for each split; each row names its own then.
        separator: of its columns; "" in JSON.
        name, prompt, metric: of the task.
    """

    path: Path
    names: Sequence[str]
    rows: Sequence[Row]
    has_splits: bool = False
    separator: str = ""
    name: str = ""
    prompt: str | None = None
    metric: str | None = None


def read_table(path: Path, text: str = "") -> Table:
    """Read a file by its suffix.

    Args:
        path: of the file.
        text: column of plain texts, in JSON or on the lines of a text file; without it they are
            refused.

    Raises:
        UserError: it cannot be read, or is no table.
    """
    suffix, known = path.suffix.lower(), (*SUFFIXES, *_TEXT) if text else SUFFIXES
    if not os.path.exists(path):  # nor for a name that is too long
        sources = "builtin:NAME, hub:DATASET, published:NAME or lm-eval:NAME"
        raise UserError(f"{path}: no such task file; give the path of one, or {sources}")
    if not path.is_file() or suffix not in known:
        endings = ", ".join(filter(None, known))
        raise UserError(f"{path}: not a table; give a file that ends in {endings}")
    if suffix in DELIMITED:
        table: Table = _read_delimited(path)
        return table
    if suffix in _TEXT:
        return table_of(path, _lines(path), text)
    if suffix == ".jsonl":
        return table_of(path, json_lines(path), text)
    content = _parse_json(read_text(path), path)
    if isinstance(content, list) and content:
        records = enumerate(content, 1)
        return table_of(path, ((f"{path}: example {i}", record) for i, record in records), text)
    return _with_splits(path, content)


def table_of(path: Path, records: Iterable[tuple[str, object]], text: str = "") -> Table:
    """The table of records, each after its place: objects, or plain texts of a column."""
    rows = []
    for i, (place, record) in enumerate(records, 1):
        named = {text: record} if text and isinstance(record, str) else record
        rows.append(Row(place, f"row-{i}", _values(named, place)))
    return Table(path, _names(rows), rows)


def json_lines(path: Path) -> Iterator[tuple[str, object]]:
    """(place, value) of each line that is not blank."""
    for place, line in _lines(path):
        yield place, _parse_json(line, path, int(place.rpartition(" ")[2]))


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """(place, line) of each line that is not blank, without the space around it."""
    # Not str.splitlines, which also splits at U+2028 and others that JSON allows inside a text.
    for n, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}: line {n}", line.strip()


def read_text(path: Path) -> str:
    """The text of a file, which is UTF-8.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return read_bytes(path, INPUT_LIMIT).decode("utf-8-sig")
    except OSError as e:
        raise UserError(f"{path}: cannot be read ({e.strerror}); check the path") from e
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise UserError(f"{path}: line {line}: not UTF-8 text; save the file as UTF-8") from e


def _with_splits(path: Path, content: object) -> Table:
    """The table of an object with a list for each split, and perhaps a name, a prompt, a metric."""
    if not isinstance(content, dict) or not content.keys() >= set(SPLITS):
        found = f" (found: {', '.join(content) or 'nothing'})" if isinstance(content, dict) else ""
        shape = '{"dev": [...], "test": [...]}'
        raise UserError(f"{path}: not an object {shape} or a list of examples{found}; make it one")
    rows = []
    for split in SPLITS:
        if not isinstance(content[split], list):
            raise UserError(f'{path}: "{split}" must be a list of examples')
        for i, record in enumerate(content[split]):
            place = f"{path}: {split} example {i + 1}"
            rows.append(Row(place, f"{split}-{i}", {**_values(record, place), "split": split}))
    name, prompt, metric, example = (
        _optional_text(content, key, path) for key in ("dataset", "prompt", "metric", "icl_prompt")
    )
    if prompt is None and example is not None:  # the reference's, before the default one
        escaped = example.replace("{", "{{").replace("}", "}}")
        prompt = f"{escaped}\nQuestion: {{question}}\n{{choices}}\nThe answer is"
    return Table(path, _names(rows), rows, True, "", name or "", prompt, metric)


def _optional_text(content: Mapping[str, object], key: str, path: Path) -> str | None:
    value = content.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise UserError(f'{path}: "{key}" must be a text')
    check_unicode(value, f'"{key}"', str(path))
    return value


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(str(name) for row in rows for name in row.values))


def _values(record: object, place: str) -> Mapping[Any, Any]:
    """The values of a record; of one whose ``messages`` are a conversation the prompt is the last
    user's turn, after ``earlier`` turns, and an assistant's turn at the end is the answer.

    Raises:
        UserError: no object, or no conversation that a user's turn ends.
    """
    if not isinstance(record, Mapping):
        kind = kind_of(record)
        raise UserError(f"{place}: an example is an object with question and answer, not {kind}")
    if "messages" not in record or "question" in record or "prompt" in record:
        return record
    turns = record["messages"]
    fine = isinstance(turns, list) and all(map(_is_turn, turns))
    said = [{"role": turn["role"], "content": turn["content"]} for turn in turns] if fine else []
    answer = said.pop() if said and said[-1]["role"] == "assistant" else None
    if not said or said[-1]["role"] != "user":
        raise UserError(
            f'{place}: "messages" must be turns with "role" (system, user, assistant) and '
            '"content", the last one the user\'s, or the answer to it'
        )
    others = {name: value for name, value in record.items() if name != "messages"}
    prompt = said.pop()["content"]
    answered = {} if answer is None else {"answer": answer["content"]}
    return {**answered, **others, "prompt": prompt, "earlier": said}


def _is_turn(turn: object) -> bool:
    return (
        isinstance(turn, Mapping)
        and isinstance(turn.get("content"), str)
        and turn.get("role") in _ROLES
    )


def _parse_json(text: str, path: Path, first_line: int = 1) -> object:
    try:
        return parse_json(text, unique=True)
    except json.JSONDecodeError as e:
        place = f"{path}: line {first_line + e.lineno - 1}, column {e.colno}"
        lines = "if each line is an object, rename the file to .jsonl"
        advice = lines if e.msg == "Extra data" else "fix it there"
        raise UserError(f"{place}: malformed JSON: {e.msg}; {advice}") from e
    # a repeated key, nested too deeply, or an integer of thousands of digits
    except ValueError as e:
        raise UserError(f"{path}: line {first_line} or below: {e}") from e
