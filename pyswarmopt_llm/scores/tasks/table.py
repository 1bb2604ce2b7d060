"""Reads files of rows: CSV, TSV, JSON, JSONL and lines of text.

What is read is what is written: no value becomes a number, a date or a missing value, and the module
csv names the line of a damaged row.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import parse_json
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_bytes
from pyswarmopt_llm.scores.tasks.items import check_unicode, kind_of
from pyswarmopt_llm.scores.tasks.types import SPLITS

log = logging.getLogger(__name__)
csv.field_size_limit(INPUT_LIMIT)  # the module's own limit is shorter than a pasted log
MARK = "\ufeff"
DELIMITED = (".csv", ".tsv")
SUFFIXES = (".json", ".jsonl", *DELIMITED)
_TEXT = (".txt", "")
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_ROLES = ("system", "user", "assistant")
Record = tuple[int, list[str]]  # last line, and values


class FileRow(NamedTuple):
    """A row of a file: location for messages, default id, and values by column."""

    location: str
    id: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """The rows of a file, and its information on the task.

    Attributes:
        path: file.
        names: names of all columns, in order of appearance.
        rows: the rows.
        has_splits: whether the file has a list for each split; each row then names its split.
        separator: separator of columns; "" in JSON.
        name, prompt, metric: the task's, if given.
        header: column names of a CSV file, with surrounding blanks.
        mark: byte order mark for writing a CSV copy, see `read_marked`.
        line_end: line end of a CSV file.
    """

    path: Path
    names: Sequence[str]
    rows: Sequence[FileRow]
    has_splits: bool = False
    separator: str = ""
    name: str = ""
    prompt: str | None = None
    metric: str | None = None
    header: Sequence[str] = ()
    mark: str = ""
    line_end: str = "\n"


def read_table(path: Path, text: str = "") -> Table:
    """Read a file by its suffix.

    Args:
        path: path of the file.
        text: column for plain texts (in JSON, or lines of a text file); "": plain texts are
            refused.

    Raises:
        UserError: the file cannot be read, is no table, or has no rows.
    """
    known = (*SUFFIXES, *_TEXT) if text else SUFFIXES
    if not os.path.exists(path):  # also for too long names
        sources = "builtin:NAME, hub:DATASET, published:NAME or lm-eval:NAME"
        raise UserError(f"{path}: no such task file; check path and folder, or give {sources}")
    if not path.is_file() or path.suffix.lower() not in known:
        endings = ", ".join(filter(None, known))
        raise UserError(f"{path}: not a table; save it as a file that ends in {endings}")
    table = _table_at(path, text)
    if not table.rows:
        raise UserError(f"{path}: no rows; add some, below the names of the columns in CSV")
    return table


def table_of(path: Path, records: Iterable[tuple[str, object]], text: str = "") -> Table:
    """The table of records, each with its location: objects, or plain texts for the column `text`."""
    rows = []
    for i, (location, record) in enumerate(records, 1):
        named = {text: record} if text and isinstance(record, str) else record
        rows.append(FileRow(location, f"row-{i}", _values(named, location)))
    return Table(path, _names(rows), rows)


def json_lines(path: Path) -> Iterator[tuple[str, object]]:
    """(location, value) of each non-blank line of a JSONL file."""
    for location, line in text_lines(path):
        yield location, _parsed_json(line, path, int(location.rpartition(" ")[2]))


def text_lines(path: Path) -> Iterator[tuple[str, str]]:
    """(location, line) of each non-blank line, stripped."""
    # Not str.splitlines: it also splits at U+2028 and others, which JSON allows inside a text.
    for n, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}: line {n}", line.strip()


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in a Windows encoding: UTF-16 with its mark, or cp1252.

    Raises:
        UserError: the file cannot be read.
    """
    return read_marked(path)[0]


def read_marked(path: Path) -> tuple[str, str]:
    """The text of a file, and the start of a UTF-8 copy: Excel's byte order mark if the file has
    one or is in another encoding.
    """
    try:
        data = read_bytes(path, INPUT_LIMIT)
    except OSError as e:
        raise UserError(f"{path}: cannot be read ({e.strerror}); check the path") from e
    marked = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    encodings = ["utf-16" if marked else "utf-8-sig"]
    loose = data.decode("utf-8", "replace")
    if 2 * loose.count("\ufffd") > sum(letter > "\x7f" for letter in loose):
        encodings.append("cp1252")  # and not UTF-8 with a few errors
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != "utf-8-sig":
            log.warning("%s: read as %s; if letters are wrong, save it as UTF-8", path, encoding)
        excel = encoding != "utf-8-sig" or data.startswith(MARK.encode())
        return text, MARK if excel else ""
    raise UserError(f"{path}: not UTF-8 text; save the file as UTF-8")


def _table_at(path: Path, text: str) -> Table:
    suffix = path.suffix.lower()
    if suffix in DELIMITED:
        return _delimited(path)
    if suffix == ".jsonl":
        return table_of(path, json_lines(path), text)
    if suffix in _TEXT:
        return table_of(path, text_lines(path), text)
    content = _parsed_json(read_text(path), path)
    if isinstance(content, list) and content:
        numbered = enumerate(content, 1)
        return table_of(path, ((f"{path}: example {i}", record) for i, record in numbered), text)
    return _with_splits(path, content)


# CSV and TSV


def _delimited(path: Path) -> Table:
    """The table of a CSV file; a missing value is ""."""
    text, mark = read_marked(path)
    separator = _separator(text)
    header, *records = _records(path, text, separator) or [(0, [])]
    names = [name.strip() for name in header[1]]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UserError(f'{path}: line 1: two columns are named "{repeated}"; rename one')
    rows = []
    for number, (line, values) in enumerate(records, 1):
        location = f"{path}: line {line}"
        missing = len(names) - len(values)
        if missing < 0:
            advice = f"put values that contain a {_SEPARATORS[separator]} in quotes"
            raise UserError(f"{location}: more values than columns; {advice}")
        values += [""] * missing
        rows.append(FileRow(location, f"row-{number}", dict(zip(names, values, strict=True))))
    line_end = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    return Table(
        path, names, rows, separator=separator, header=header[1], mark=mark, line_end=line_end
    )


def _separator(text: str) -> str:
    """The separator of the header: a comma if there is one, else the one that gives most columns."""
    counts = {}
    for separator in _SEPARATORS:
        header = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        counts[separator] = len(next(header, []))
    return "," if counts[","] > 1 else max(counts, key=lambda separator: counts[separator])


def _records(path: Path, text: str, separator: str) -> list[Record]:
    """The rows of a text, header included.

    Quotation marks enclose values. In TSV they are part of the values, as GLUE and WMT write them,
    if a row would otherwise take several lines or be unreadable although every line has as many
    values as there are columns.
    """
    literal = _parsed_csv(text, separator, csv.QUOTE_NONE)
    a_row_per_line = len({len(values) for _, values in literal}) == 1
    try:
        quoted = _parsed_csv(text, separator, csv.QUOTE_MINIMAL)
    except csv.Error as error:
        if a_row_per_line and separator == "\t":
            return literal
        raise UserError(f"{path}: {error}; check the quotes there") from error
    if not a_row_per_line or len(quoted) == len(literal):
        return quoted
    if separator == "\t":
        return literal
    # In a comma-separated file, where prose also contains commas, such a row is only reported.
    lines = [line for line, _ in quoted]
    first = next(n for n, line in enumerate(lines) if line != literal[n][0])
    message = "%s: lines %d to %d are one row by their quotation marks; if not, double the marks"
    log.warning(message, path, literal[first][0], lines[first])
    return quoted


def _parsed_csv(text: str, separator: str, quoting: Literal[0, 3]) -> list[Record]:
    """The rows that are not blank.

    Raises:
        csv.Error: names the line.
    """
    source = io.StringIO(text, newline="")
    reader = csv.reader(source, strict=True, delimiter=separator, quoting=quoting)
    records: list[Record] = []
    try:
        for values in reader:
            if values:
                records.append((reader.line_num, values))
    except csv.Error as error:
        good = records[-1][0] if records else 0  # last line of the last good row
        raise csv.Error(f"line {good + 1}: {error}") from error
    return records


# JSON


def _parsed_json(text: str, path: Path, first_line: int = 1) -> object:
    """The value of a JSON text that starts at a line of a file."""
    try:
        return parse_json(text, unique=True)
    except json.JSONDecodeError as e:
        location = f"{path}: line {first_line + e.lineno - 1}, column {e.colno}"
        advice = "fix it there"
        if e.msg == "Extra data" and path.suffix.lower() != ".jsonl":
            advice = "if each line is an object, rename the file to .jsonl"
        raise UserError(f"{location}: malformed JSON: {e.msg}; {advice}") from e
    # duplicate key, too deep nesting, or an integer of thousands of digits
    except ValueError as e:
        raise UserError(f"{path}: line {first_line} or below: {e}") from e


def _with_splits(path: Path, content: object) -> Table:
    """The table of an object with a list per split, and perhaps a name, a prompt and a metric."""
    if not isinstance(content, dict) or not content.keys() >= set(SPLITS):
        found = f" (found: {', '.join(content) or 'nothing'})" if isinstance(content, dict) else ""
        shape = '{"dev": [...], "test": [...]}'
        raise UserError(f"{path}: not an object {shape} or a list of examples{found}; make it one")
    rows = []
    for split in SPLITS:
        if not isinstance(content[split], list):
            raise UserError(f'{path}: "{split}" must be a list of examples')
        for i, record in enumerate(content[split]):
            location = f"{path}: {split} example {i + 1}"
            values = {**_values(record, location), "split": split}
            rows.append(FileRow(location, f"{split}-{i}", values))
    texts = {key: content.get(key) for key in ("dataset", "prompt", "metric", "icl_prompt")}
    for key, value in texts.items():
        if not isinstance(value, str | None):
            raise UserError(f'{path}: "{key}" must be a text')
        check_unicode(value or "", f'"{key}"', str(path))
    name, prompt, metric, example = texts.values()
    if prompt is None and example is not None:  # as in the reference, before the default prompt
        escaped = example.replace("{", "{{").replace("}", "}}")
        prompt = f"{escaped}\nQuestion: {{question}}\n{{choices}}\nThe answer is"
    return Table(path, _names(rows), rows, True, "", name or "", prompt, metric)


def _names(rows: Sequence[FileRow]) -> list[str]:
    return list(dict.fromkeys(str(name) for row in rows for name in row.values))


def _values(record: object, location: str) -> Mapping[Any, Any]:
    """The values of a record; for ``messages`` without a question see `_of_conversation`."""
    if not isinstance(record, Mapping):
        kind = kind_of(record)
        raise UserError(f"{location}: an example is an object with question and answer, not {kind}")
    values = dict(record)
    for name in ("label", "labels", "answer", "answers"):
        nested = record.get(name)
        if isinstance(nested, Mapping):  # labels.team is a column, too
            values |= {f"{name}.{key}": value for key, value in nested.items()}
    if "messages" not in record or "question" in record or "prompt" in record:
        return values
    return _of_conversation(values, location)


def _of_conversation(record: Mapping[Any, Any], location: str) -> dict[Any, Any]:
    """The values of a record with ``messages``: the prompt is the last user turn, after ``earlier``
    turns; a final assistant turn is the answer.

    Example:
        >>> _of_conversation({"messages": [{"role": "user", "content": "Hi"}], "id": 3}, "a.jsonl: line 1")
        {'id': 3, 'prompt': 'Hi', 'earlier': []}
    """
    turns = record["messages"]
    fine = isinstance(turns, list) and all(map(_is_turn, turns))
    said = [{"role": turn["role"], "content": turn["content"]} for turn in turns] if fine else []
    others = {name: value for name, value in record.items() if name != "messages"}
    if said and said[-1]["role"] == "assistant":
        others = {"answer": said.pop()["content"], **others}
    if not said or said[-1]["role"] != "user":
        raise UserError(
            f'{location}: "messages" must be turns with "role" (system, user, assistant) and '
            '"content", the last one the user\'s, or the answer to it'
        )
    return {**others, "prompt": said.pop()["content"], "earlier": said}


def _is_turn(turn: object) -> bool:
    return (
        isinstance(turn, Mapping)
        and isinstance(turn.get("content"), str)
        and turn.get("role") in _ROLES
    )
