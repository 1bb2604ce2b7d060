"""Task files: JSON in the format of the Model Swarms reference, JSONL, and CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_text import parse_json
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_bytes
from pyswarmopt_llm.tasks.items import check_unicode, parse_item, require_columns
from pyswarmopt_llm.tasks.prompts import check_template
from pyswarmopt_llm.tasks.types import Item

SPLITS = ("dev", "test")

_CHOICE_COLUMN = re.compile(r"(?:choice_)?([A-Z])|choice_([a-z])")


@dataclass(frozen=True)
class RawTask:
    """The content of a task file, before its items are checked against each other.

    Attributes:
        name: name of the task.
        prompt: template of the user turn, or None.
        splits: ``dev`` and ``test`` -> (place, item) pairs in the file's order.
        metric: the metric that the file names, or None.
    """

    name: str
    prompt: str | None
    splits: dict[str, list[tuple[str, Item]]]
    metric: str | None = None


def read_file(path: Path) -> RawTask:
    """Read a task file by its suffix.

    Raises:
        UserError: the file is missing, unreadable or of another kind, or a line of it is wrong.
    """
    if not os.path.exists(path):
        sources = "builtin:NAME, hub:DATASET, published:NAME or lm-eval:NAME"
        raise UserError(f"{path}: no such task file; give the path of one, or {sources}")
    reader = _READERS.get(path.suffix.lower())
    if reader is None or not os.path.isfile(path):
        raise UserError(f"{path}: not a task file; give a file that ends in {', '.join(_READERS)}")
    return reader(path)


def json_lines(path: Path, unique: bool = False) -> Iterator[tuple[str, object]]:
    """(place, value) for each line of a JSONL file; blank lines are skipped.

    Raises:
        UserError: the file cannot be read, or a line is not JSON (or has a repeated key, if `unique`).
    """
    # Not str.splitlines, which also splits at U+2028 and others that JSON allows inside a text.
    for n, line in enumerate(_read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}: line {n}", _parse_json(line, str(path), n, unique)


def _read_text(path: Path) -> str:
    try:
        return read_bytes(path, INPUT_LIMIT).decode("utf-8-sig")
    except OSError as e:
        raise UserError(f"{path}: cannot be read ({e.strerror}); check the path") from e
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise UserError(f"{path}: line {line}: not UTF-8 text; save the file as UTF-8") from e


def _read_json(path: Path) -> RawTask:
    content = _parse_json(_read_text(path), str(path))
    if not isinstance(content, dict):
        raise UserError(f'{path}: the file must be an object {{"dev": [...], "test": [...]}}')
    require_columns(content, SPLITS, str(path))
    splits = {}
    for split in SPLITS:
        records = content[split]
        if not isinstance(records, list):
            raise UserError(f'{path}: "{split}" must be a list of items')
        places = (f"{path}: {split} item {i}" for i in range(1, len(records) + 1))
        splits[split] = list(_located(split, zip(places, records, strict=True)))
    dataset = content.get("dataset")
    name = dataset if isinstance(dataset, str) and dataset else path.stem
    check_unicode(name, "the name of the task", str(path))
    return RawTask(name, _prompt(content, path), splits, _optional_text(content, "metric", path))


def _prompt(content: dict[str, object], path: Path) -> str | None:
    """The file's template; ``icl_prompt`` of the reference, a worked example, precedes the default one."""
    example = _optional_text(content, "icl_prompt", path)
    prompt = _optional_text(content, "prompt", path)
    if prompt is None and example is not None:
        escaped = example.replace("{", "{{").replace("}", "}}")
        return f"{escaped}\nQuestion: {{question}}\n{{choices}}\nThe answer is"
    if prompt is not None:
        check_template(prompt, str(path))
    return prompt


def _optional_text(content: dict[str, object], key: str, path: Path) -> str | None:
    value = content.get(key)
    if value is not None and not isinstance(value, str):
        raise UserError(f'{path}: "{key}" must be a text')
    if value is not None:
        check_unicode(value, f'"{key}"', str(path))
    return value


def _read_jsonl(path: Path) -> RawTask:
    return _from_rows(path, json_lines(path, unique=True))


def _read_csv(path: Path) -> RawTask:
    reader = csv.DictReader(io.StringIO(_read_text(path), newline=""), strict=True)
    try:
        header = reader.fieldnames or []
        plain = "prompt" in header and "question" not in header
        require_columns(header, ("prompt", "split") if plain else ("question", "answer", "split"), f"{path}: line 1")
        repeated = next((name for name in header if header.count(name) > 1), None)
        if repeated is not None:
            raise UserError(f'{path}: line 1: two columns are named "{repeated}"; rename one')
        rows = [(f"{path}: line {reader.line_num}", row) for row in reader]
    except csv.Error as e:
        # `line_num` is the last line of the last good record.
        raise UserError(f"{path}: line {reader.line_num + 1}: {e}; check the quotes there") from e
    letters = {name: m[1] or m[2].upper() for name in header if (m := _CHOICE_COLUMN.fullmatch(name))}
    _check_letters(letters, path)
    return _from_rows(path, ((where, _csv_record(row, letters, where)) for where, row in rows))


def _check_letters(letters: dict[str, str], path: Path) -> None:
    """Refuse two columns for one choice, of which only one could be used."""
    first: dict[str, str] = {}
    for name, letter in letters.items():
        if letter in first:
            raise UserError(
                f'{path}: line 1: "{first[letter]}" and "{name}" are both choice {letter}; rename or remove one'
            )
        first[letter] = name


def _csv_record(row: dict[str | None, str | None], letters: dict[str, str], where: str) -> dict[str, object]:
    if None in row:
        raise UserError(f"{where}: more values than columns; put values that contain a comma in quotes")
    choices = {letter: row[name] for name, letter in letters.items() if row[name]}
    record: dict[str, object] = {str(k): v for k, v in row.items() if k not in letters and v}
    return record | ({"choices": choices} if choices else {})


def _from_rows(path: Path, rows: Iterable[tuple[str, object]]) -> RawTask:
    """The task of records that each name their split."""
    records: dict[str, list[tuple[str, object]]] = {split: [] for split in SPLITS}
    for where, record in rows:
        if not isinstance(record, dict):
            raise UserError(f"{where}: a line must be an object with question, answer and split")
        require_columns(record, ("split",), where)
        split = record["split"]
        if split not in SPLITS:
            raise UserError(f'{where}: split must be "dev" or "test", not {split!r}')
        records[split].append((where, record))
    return RawTask(path.stem, None, {split: list(_located(split, records[split])) for split in SPLITS})


def _located(split: str, records: Iterable[tuple[str, object]]) -> Iterator[tuple[str, Item]]:
    for i, (where, record) in enumerate(records):
        yield where, parse_item(record, where, default_id=f"{split}-{i}")


def _parse_json(text: str, path: str, first_line: int = 1, unique: bool = True) -> object:
    try:
        return parse_json(text, unique=unique)
    except json.JSONDecodeError as e:
        line = first_line + e.lineno - 1
        place = f"{path}: line {line}, column {e.colno}"
        raise UserError(f"{place}: malformed JSON: {e.msg}; fix it there") from e
    except ValueError as e:  # a repeated key, nested too deeply, or an integer of thousands of digits
        raise UserError(f"{path}: line {first_line} or below: {e}") from e


_READERS: dict[str, Callable[[Path], RawTask]] = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
}
