"""Reads files of rows: CSV, TSV, JSON, JSONL and lines of text.

Values are read as written: none becomes a number, a date or a missing value.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from typing_extensions import TypedDict

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files import regular
from pyswarmopt_llm.common.files.json_types import WrongType, parse_json, typed
from pyswarmopt_llm.scores.tasks.types import SPLITS

csv.field_size_limit(regular.INPUT_LIMIT)  # the module's own limit is shorter than a pasted log
DELIMITED = (".csv", ".tsv")
SUFFIXES = (".json", ".jsonl", *DELIMITED)


class Turn(TypedDict):
    """A turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class FileRow(NamedTuple):
    """A row of a file: location for messages, default id, values by column, whether it has fewer values
    than there are columns, and the record in the file if it was taken apart.
    """

    location: str
    id: str
    values: Mapping[str, Any]
    short: bool = False
    record: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Table:
    """The rows of a file, and its information on the task.

    Attributes:
        path: file.
        rows: the rows.
        name, prompt, metric: the task's, if given.
        separator: what stands between the values of a CSV or TSV file.
    """

    path: Path
    rows: Sequence[FileRow]
    name: str = ""
    prompt: str | None = None
    metric: str | None = None
    separator: str = ","

    @cached_property
    def names(self) -> list[str]:
        """Names of all columns, in order of appearance."""
        return list(dict.fromkeys(str(name) for row in self.rows for name in row.values))


def read_table(path: Path, text: str = "") -> Table:
    """Read a file by its suffix.

    Args:
        path: path of the file.
        text: column for the lines of a text file; "": text files are refused.

    Raises:
        UserError: the file cannot be read, is not a table, or has no rows.
    """
    suffix = path.suffix.lower()
    known: tuple[str, ...] = SUFFIXES
    if text:
        known += (".txt",)
    if suffix not in known or path.is_dir():
        raise UserError(
            f"{path}: no such task; use a file that ends in {', '.join(known)}, or builtin:NAME, "
            "hub:DATASET, published:NAME or lm-eval:NAME"
        )
    if suffix in DELIMITED:
        table = _delimited(path)
    elif suffix == ".json":
        table = _of_json(path)
    elif suffix == ".jsonl":
        table = table_of(path, json_lines(path))
    else:
        table = table_of(path, text_lines(path), text)
    if not table.rows:
        raise UserError(f"{path}: no rows; add some (in CSV, below the column names)")
    return table


def table_of(path: Path, records: Iterable[tuple[str, object]], text: str = "") -> Table:
    """The table of records, each with its location: objects, or plain texts for the column `text`."""
    rows = []
    for i, (location, record) in enumerate(records, 1):
        if text and isinstance(record, str):
            record = {text: record}
        values = _values(record, location)
        whole = record if isinstance(record, Mapping) else None
        rows.append(FileRow(location, f"row-{i}", values, record=whole))
    return Table(path, rows)


def json_lines(path: Path) -> Iterator[tuple[str, object]]:
    """(location, value) of each non-blank line of a JSONL file."""
    for location, line in text_lines(path):
        yield location, parsed_json(line, location)


def text_lines(path: Path) -> Iterator[tuple[str, str]]:
    """(location, line) of each non-blank line, stripped."""
    # Not str.splitlines: it also splits at U+2028 and others, which JSON allows inside a text.
    for n, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}: line {n}", line.strip()


def read_text(path: Path) -> str:
    """The text of a file in UTF-8.

    Raises:
        UserError: the file cannot be read, or is not in UTF-8.
    """
    try:
        return regular.read_text(path, regular.INPUT_LIMIT)
    except OSError as e:
        raise UserError(f"{path}: cannot be read ({e.strerror}); check the path") from e


def _delimited(path: Path) -> Table:
    """The table of a CSV or TSV file; a missing value is "".

    Quotation marks enclose values. In TSV they are part of the values, as GLUE and WMT write them,
    unless the file begins with one.
    """
    text = read_text(path).lstrip("\r\n")
    header = text.partition("\n")[0]
    separator = separator_of(header, path.suffix)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
    if path.suffix.lower() == ".tsv" and not text.startswith('"'):
        quoting = csv.QUOTE_NONE
    lines = io.StringIO(text, newline="")
    reader = csv.DictReader(lines, strict=True, delimiter=separator, quoting=quoting)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        rows = [
            FileRow(
                f"{path}: line {reader.line_num}",
                f"row-{number}",
                {name: "" if value is None else value for name, value in values.items()},
                None in values.values(),
            )
            for number, values in enumerate(reader, 1)
        ]
    except csv.Error as error:
        line = reader.reader.line_num
        raise UserError(f"{path}: line {line}: {error}; check the quotes") from error
    _check_shape(path, names, rows)
    return Table(path, rows, separator=separator)


def separator_of(header: str, suffix: str) -> str:
    r"""What stands between the names in the first line of a CSV or TSV file.

    Example:
        >>> separator_of("a;b;c", ".csv"), separator_of("a, or b\tc", ".tsv")
        (';', '\t')
    """
    if suffix.lower() == ".tsv" and "\t" in header:
        return "\t"
    if "," in header:
        return ","
    return max(",;\t", key=header.count)


def delimited_text(
    names: Sequence[str], rows: Iterable[Sequence[str]], like: Table, suffix: str
) -> str:
    """The text of a CSV or TSV file, from which `read_table` reads the same values.

    Args:
        names: names of the columns.
        rows: values of each row, in their order.
        like: table whose separator is used if the names allow it.
        suffix: of the file.
    """
    lines = [names, *rows]
    separator = "\t"
    quoting: Literal[0, 1, 3] = csv.QUOTE_MINIMAL
    if suffix.lower() == ".tsv":
        # quotation marks are part of values unless the file begins with one
        plain = not any(sign in value for line in lines for value in line for sign in "\t\r\n")
        quoting = csv.QUOTE_NONE if plain and not names[0].startswith('"') else csv.QUOTE_ALL
    else:
        separator = like.separator if like.path.suffix.lower() == suffix.lower() else ","
        if separator_of(separator.join(names), suffix) != separator:
            separator = ","
    mark = None if quoting == csv.QUOTE_NONE else '"'
    written = []
    for line in lines:
        buffer = io.StringIO()
        # With this terminator, values with either of its signs are quoted.
        csv.writer(
            buffer, delimiter=separator, quoting=quoting, quotechar=mark, lineterminator="\r\n"
        ).writerow(line)
        written.append(buffer.getvalue().removesuffix("\r\n"))
    return "".join(f"{line}\n" for line in written)


def _check_shape(path: Path, names: Sequence[str], rows: Sequence[FileRow]) -> None:
    """Refuse columns with one name, and rows with more values than columns."""
    folded = [name.casefold() for name in names]
    for name in folded:
        if folded.count(name) > 1:
            raise UserError(f'{path}: line 1: two columns are named "{name}"; rename one')
    for row in rows:
        if None in row.values:
            raise UserError(f"{row.location}: more values than columns; put text in quotes")


def parsed_json(text: str, where: str, unique: bool = True) -> Any:
    """The value of a JSON text.

    Raises:
        UserError: the text is malformed, is nested too deeply, is not Unicode, or contains a key
            twice (if `unique`).
    """
    try:
        value = parse_json(text, unique=unique)
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError as error:
        raise UserError(f"{where}: malformed JSON: {error}") from error
    return value


def _of_json(path: Path) -> Table:
    """The table of a list, or of an object with a list per split, and perhaps a name, a prompt and a
    metric.
    """
    content = parsed_json(read_text(path), str(path))
    if isinstance(content, list):
        records = ((f"{path}: example {i}", record) for i, record in enumerate(content, 1))
        return table_of(path, records)
    lists = isinstance(content, dict) and all(
        isinstance(content.get(split), list) for split in SPLITS
    )
    texts = ("dataset", "prompt", "metric", "icl_prompt")
    if not lists or not all(isinstance(content.get(key, ""), str | None) for key in texts):
        shape = '{"dev": [...], "test": [...]}'
        raise UserError(
            f"{path}: must be an object {shape} or a list of examples; "
            f"{', '.join(texts)}, if given, must be text"
        )
    rows = []
    for split in SPLITS:
        for i, record in enumerate(content[split]):
            location = f"{path}: {split} example {i + 1}"
            values = {**_values(record, location), "split": split}
            rows.append(FileRow(location, f"{split}-{i}", values))
    name, prompt, metric, example = map(content.get, texts)
    if prompt is None and example is not None:  # as in the reference, before the default prompt
        escaped = example.replace("{", "{{").replace("}", "}}")
        prompt = f"{escaped}\nQuestion: {{question}}\n{{choices}}\nThe answer is"
    return Table(path, rows, name or "", prompt, metric)


def _values(record: object, location: str) -> Mapping[str, Any]:
    """The values of a record; those of a conversation: the prompt is the last user turn, after
    ``earlier`` turns, and a final assistant turn is the answer.

    Example:
        >>> _values({"messages": [{"role": "user", "content": "Hi"}], "id": 3}, "a.jsonl: line 1")
        {'id': 3, 'prompt': 'Hi', 'earlier': []}
    """
    if not isinstance(record, Mapping):
        raise UserError(f"{location}: an example must be an object with question and answer")
    if "messages" not in record or "question" in record or "prompt" in record:
        return record
    others = dict(record)
    try:
        said: list[Turn] = typed(others.pop("messages"), list[Turn])
    except WrongType:
        said = []
    if said and said[-1]["role"] == "assistant":
        others.setdefault("answer", said.pop()["content"])
    if not said or said[-1]["role"] != "user":
        raise UserError(
            f'{location}: "messages" must be turns with "role" (system, user, assistant) and '
            '"content"; the last must be a user turn, or the answer to one'
        )
    return {**others, "prompt": said.pop()["content"], "earlier": said}
