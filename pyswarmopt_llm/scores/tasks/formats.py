"""Task files: JSON in the format of the Model Swarms reference, JSONL, and CSV."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import parse_json
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_bytes
from pyswarmopt_llm.scores.tasks.items import as_object, check_unicode, parse_item, require_columns
from pyswarmopt_llm.scores.tasks.prompts import check_template
from pyswarmopt_llm.scores.tasks.tables.names import (
    SPLITS,
    Reading,
    Rows,
    check_names,
    columns_of,
    renamed,
)
from pyswarmopt_llm.scores.tasks.tables.problems import Problems
from pyswarmopt_llm.scores.tasks.types import Item, RawTask

_DELIMITED = (".csv", ".tsv")
_SUFFIXES = (".json", ".jsonl", *_DELIMITED)
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}

Records = Sequence[tuple[str, object]]  # place and record


def read_file(path: Path, reading: Reading) -> RawTask:
    """Read a task file by its suffix."""
    if not os.path.exists(path):
        sources = "builtin:NAME, hub:DATASET, published:NAME or lm-eval:NAME"
        raise UserError(f"{path}: no such task file; give the path of one, or {sources}")
    if not _is_table(path):
        raise UserError(f"{path}: not a task file; give a file that ends in {', '.join(_SUFFIXES)}")
    if path.suffix.lower() in _DELIMITED:
        return _read_csv(path, reading)
    if path.suffix.lower() == ".jsonl":
        return _from_records(path, list(json_lines(path, unique=True)), reading)
    content = _parse_json(_read_text(path), str(path))
    if isinstance(content, list) and content:
        return _from_records(path, _numbered(content, f"{path}: item"), reading)
    return _from_splits(path, content, reading)


def read_rows(path: Path, text: str = "") -> tuple[list[str], Rows]:
    """The columns of a table of any format, and (place, row) of each row, as they are.

    Args:
        path: of the table.
        text: column of JSON values that are plain texts; without it they are refused.

    Raises:
        UserError: it cannot be read, or is no table.
    """
    if not _is_table(path):
        raise UserError(f"{path}: not a table; give a file that ends in {', '.join(_SUFFIXES)}")
    if path.suffix.lower() in _DELIMITED:
        return _delimited(_read_text(path), str(path))
    if path.suffix.lower() == ".jsonl":
        return _as_rows(json_lines(path, unique=True), text)
    content = _parse_json(_read_text(path), str(path))
    if not isinstance(content, list):
        raise UserError(f"{path}: not a list of rows; give [{{...}}, {{...}}]")
    return _as_rows(_numbered(content, f"{path}: item"), text)


def _is_table(path: Path) -> bool:
    return os.path.isfile(path) and path.suffix.lower() in _SUFFIXES


def _numbered(records: Sequence[object], where: str) -> Records:
    return [(f"{where} {i}", record) for i, record in enumerate(records, 1)]


def _as_rows(records: Iterable[tuple[str, object]], text: str = "") -> tuple[list[str], Rows]:
    """The columns of records, and the records: objects, or plain texts of a column."""
    rows = [
        (where, {text: record} if text and isinstance(record, str) else _record(record, where))
        for where, record in records
    ]
    return columns_of(row for _, row in rows), rows


def _record(raw: object, where: str) -> Mapping[Any, Any]:
    record = as_object(raw, where)
    if "messages" not in record or "question" in record or "prompt" in record:
        return record
    from pyswarmopt_llm.scores.tasks.tables.conversations import from_messages

    return from_messages(record, where)


def json_lines(path: Path, unique: bool = False) -> Iterator[tuple[str, object]]:
    """(place, value) of each line that is not blank; `unique` refuses repeated keys."""
    # Not str.splitlines, which also splits at U+2028 and others that JSON allows inside a text.
    for n, line in enumerate(_read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}: line {n}", _parse_json(line, str(path), n, unique)


def read_lines(path: Path) -> list[tuple[str, str]]:
    """(place, line) of each line of a text file that is not blank, without the space around it."""
    lines = enumerate(_read_text(path).split("\n"), start=1)
    return [(f"{path}: line {number}", line.strip()) for number, line in lines if line.strip()]


def _read_text(path: Path) -> str:
    try:
        return read_bytes(path, INPUT_LIMIT).decode("utf-8-sig")
    except OSError as e:
        raise UserError(f"{path}: cannot be read ({e.strerror}); check the path") from e
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise UserError(f"{path}: line {line}: not UTF-8 text; save the file as UTF-8") from e


def _from_splits(path: Path, content: object, reading: Reading) -> RawTask:
    """The task of an object with a list for each split, and perhaps a name, a prompt, a metric."""
    if not isinstance(content, dict):
        raise UserError(
            f'{path}: the file must be an object {{"dev": [...], "test": [...]}}, or a list of '
            "items"
        )
    if not content.keys() & set(SPLITS):
        keys = ", ".join(map(str, content)) or "nothing"
        raise UserError(
            f'{path}: no "dev" and "test" (found: {keys}); give these lists, or one list of all '
            "items"
        )
    require_columns(content, SPLITS, str(path))
    name = content.get("dataset")
    name = name if isinstance(name, str) and name else path.stem
    check_unicode(name, "the name of the task", str(path))
    records: list[tuple[str, object]] = []
    split_of: dict[str, str] = {}
    for split in SPLITS:
        if not isinstance(content[split], list):
            raise UserError(f'{path}: "{split}" must be a list of items')
        located = _numbered(content[split], f"{path}: {split} item")
        records += located
        split_of |= {where: split for where, _ in located}
    prompt, metric = _prompt(content, path, records), _optional_text(content, "metric", path)
    return replace(
        _from_records(path, records, reading, split_of), name=name, prompt=prompt, metric=metric
    )


def _prompt(content: dict[str, object], path: Path, records: Records) -> str | None:
    """The file's template; the reference's ``icl_prompt`` precedes the default one."""
    example = _optional_text(content, "icl_prompt", path)
    prompt = _optional_text(content, "prompt", path)
    if prompt is None and example is not None:
        escaped = example.replace("{", "{{").replace("}", "}}")
        return f"{escaped}\nQuestion: {{question}}\n{{choices}}\nThe answer is"
    if prompt is not None:
        keys = [{*as_object(row, where)} for where, row in records]
        check_template(prompt, str(path), sorted(set.intersection(*keys)) if keys else ())
    return prompt


def _optional_text(content: dict[str, object], key: str, path: Path) -> str | None:
    value = content.get(key)
    if value is not None and not isinstance(value, str):
        raise UserError(f'{path}: "{key}" must be a text')
    if value is not None:
        check_unicode(value, f'"{key}"', str(path))
    return value


def _read_csv(path: Path, reading: Reading) -> RawTask:
    from pyswarmopt_llm.scores.tasks.tables.own import read_table

    header, rows = _delimited(_read_text(path), str(path))
    check_names(reading.columns, header, f"{path}: line 1")
    named = [(where, renamed(row, reading.columns)) for where, row in rows]
    filled = [(where, {name: cell for name, cell in row.items() if cell}) for where, row in named]
    # a column that is empty everywhere exists, too
    return read_table(filled, path, reading, list(renamed(dict.fromkeys(header), reading.columns)))


def _from_records(
    path: Path, records: Records, reading: Reading, split_of: Mapping[str, str] | None = None
) -> RawTask:
    """The task of records.

    Args:
        path: of the file.
        records: its records.
        reading: the user's settings.
        split_of: place -> split, where the file has a list for each; None: the records may name it.
    """
    names, rows = _as_rows(records)
    if split_of is None or reading.names_columns:
        check_names(reading.columns, names, str(path))
        from pyswarmopt_llm.scores.tasks.tables.own import read_table

        split = {where: {"split": split} for where, split in (split_of or {}).items()}
        named = [(at, renamed({**row, **split.get(at, {})}, reading.columns)) for at, row in rows]
        return read_table(named, path, reading)
    splits: dict[str, list[tuple[str, Item]]] = {split: [] for split in SPLITS}
    problems, counts = Problems(str(path), reading.skip_bad), Counter[str]()

    def parse(where: str, row: Mapping[str, object]) -> None:
        split = split_of[where]
        counts[split] += 1
        item = parse_item(row, where, f"{split}-{counts[split] - 1}")
        splits[split].append((where, item))

    problems.each(rows, parse)
    problems.refuse()
    return RawTask(path.stem, None, splits, note=problems.note())


def _parse_json(text: str, path: str, first_line: int = 1, unique: bool = True) -> object:
    try:
        return parse_json(text, unique=unique)
    except json.JSONDecodeError as e:
        line = first_line + e.lineno - 1
        place = f"{path}: line {line}, column {e.colno}"
        advice = (
            "if each line is an object, rename the file to .jsonl"
            if e.msg == "Extra data"
            else "fix it there"
        )
        raise UserError(f"{place}: malformed JSON: {e.msg}; {advice}") from e
    # a repeated key, nested too deeply, or an integer of thousands of digits
    except ValueError as e:
        raise UserError(f"{path}: line {first_line} or below: {e}") from e


def _delimited(text: str, path: str) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    """The header, and (place, row) of each line; a missing value is ""."""
    separator = _separator(text)
    reader = csv.DictReader(
        io.StringIO(text, newline=""), strict=True, delimiter=separator, restval=""
    )
    try:
        header = [name.strip() for name in reader.fieldnames or []]
        repeated = next((name for name in header if header.count(name) > 1), None)
        if repeated is not None:
            raise UserError(f'{path}: line 1: two columns are named "{repeated}"; rename one')
        reader.fieldnames = header
        rows = [(f"{path}: line {reader.line_num}", row) for row in reader]
    except csv.Error as e:
        # `line_num` is the last line of the last good record.
        raise UserError(f"{path}: line {reader.line_num + 1}: {e}; check the quotes there") from e
    for where, row in rows:
        if None in row:
            name = _SEPARATORS[separator]
            raise UserError(
                f"{where}: more values than columns; put values that contain a {name} in quotes"
            )
    return header, rows


def separator_of(path: Path) -> str:
    """The separator of a CSV file; a comma if it is no such file."""
    return _separator(_read_text(path)) if path.suffix.lower() == ".csv" and path.is_file() else ","


def _separator(text: str) -> str:
    """The separator of the header: a comma if it separates any, else what gives most columns.

    `csv.Sniffer` also looks at the rows, and takes a comma or an "e" of their prose for a
    separator.
    """

    def columns(separator: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), []))
        except csv.Error:
            return 0

    return "," if columns(",") > 1 else max(_SEPARATORS, key=columns)
