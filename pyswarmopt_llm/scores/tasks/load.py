"""Load and check the tasks that ``--task`` names: generated, of a data set, or a table, rows of JSON in the
format of the Model Swarms reference, JSONL, CSV (`delimited`) or lines of text.

Six names of columns are known, a user tells others (question=text,label=mood,0=bad). Labels are
choices; dev and test are as the file says, or drawn.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple, TypeVar

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.json_types import parse_json
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, read_bytes
from pyswarmopt_llm.common.registry import closest, lazy, unknown
from pyswarmopt_llm.scores.tasks.items import (
    check_unicode,
    content,
    kind_of,
    normalise,
    parse_item,
)
from pyswarmopt_llm.scores.tasks.types import (
    DEV,
    TEST,
    Item,
    Task,
)

SPLITS = ("dev", "test")
DELIMITED = (".csv", ".tsv")
SUFFIXES = (".json", ".jsonl", *DELIMITED)
_TEXT = (".txt", "")
_text_lines = lazy("pyswarmopt_llm.scores.tasks.lines:text_lines")
_json_lines = lazy("pyswarmopt_llm.scores.tasks.lines:json_lines")
_read_delimited = lazy("pyswarmopt_llm.scores.tasks.delimited:read_delimited")
QUESTION, ANSWER = ("question", "text", "sentence"), ("answer", "label", "answerKey")
LABEL = "label"
_OURS = ("question", "prompt", "answer", "label", "choices", "id", "domain", "split")
_LETTER = re.compile("[A-Z]")
_NUMBER = re.compile(r"(-?[0-9]{1,6})(?:\.0+)?")
T = TypeVar("T")
_LABELS_LEFT = 0.8  # of those that as many drawn items have; below it is told
DEV_SHARE = 3  # dev is one item in so many
log = logging.getLogger(__name__)
BUILTIN = "builtin"
# Other sources of rows than tables: name, dev, test, reading -> all their items.
_SOURCES: Mapping[str, Callable[..., Task]] = {
    "hub": lazy("pyswarmopt_llm.published.datasets:read_hub"),
    "published": lazy("pyswarmopt_llm.published.datasets:read_published"),
    "prompts": lazy("pyswarmopt_llm.scores.tasks.new_rows:read_prompts"),
}
NO_FILES = (BUILTIN, "lm-eval", "hub", "published")
_builtin_task = lazy("pyswarmopt_llm.published.builtin:task_of")
# What few tasks need is loaded when one does.
_of_conversation = lazy("pyswarmopt_llm.scores.tasks.conversations:of_conversation")
_note_on_bad = lazy("pyswarmopt_llm.scores.tasks.bad_rows:note_on_bad")
_label_choices = lazy("pyswarmopt_llm.scores.tasks.draw:label_choices")
_draw_splits = lazy("pyswarmopt_llm.scores.tasks.draw:draw_splits")
_prompted = lazy("pyswarmopt_llm.scores.tasks.templates:prompted")


class FileRow(NamedTuple):
    """A row of a file: its location for messages, the id of one that has none, its values by column."""

    location: str
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
        header: the names as a CSV file has them, with the blanks around them.
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


def read_table(path: Path, text: str = "") -> Table:
    """Read a file by its suffix.

    Args:
        path: of the file.
        text: column of plain texts, in JSON or on the lines of a text file; without it they are
            refused.

    Raises:
        UserError: it cannot be read, is no table, or has no rows.
    """
    table = _table_at(path, text)
    if not table.rows:
        raise UserError(f"{path}: no rows; add some, below the names of the columns in CSV")
    return table


def _table_at(path: Path, text: str) -> Table:
    suffix, known = path.suffix.lower(), (*SUFFIXES, *_TEXT) if text else SUFFIXES
    if not os.path.exists(path):  # nor for a name that is too long
        sources = "builtin:NAME, hub:DATASET, published:NAME or lm-eval:NAME"
        raise UserError(f"{path}: no such task file; check path and folder, or give {sources}")
    if not path.is_file() or suffix not in known:
        endings = ", ".join(filter(None, known))
        raise UserError(f"{path}: not a table; give a file that ends in {endings}")
    if suffix in DELIMITED:
        table: Table = _read_delimited(path)
        return table
    if suffix in _TEXT:
        return table_of(path, _text_lines(path), text)
    if suffix == ".jsonl":
        return table_of(path, _json_lines(path), text)
    content = parse_text(read_text(path), path)
    if isinstance(content, list) and content:
        records = enumerate(content, 1)
        return table_of(path, ((f"{path}: example {i}", record) for i, record in records), text)
    return _with_splits(path, content)


def table_of(path: Path, records: Iterable[tuple[str, object]], text: str = "") -> Table:
    """The table of records, each after its location: objects, or plain texts of a column."""
    rows = []
    for i, (location, record) in enumerate(records, 1):
        named = {text: record} if text and isinstance(record, str) else record
        rows.append(FileRow(location, f"row-{i}", _values(named, location)))
    return Table(path, _names(rows), rows)


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
            location = f"{path}: {split} example {i + 1}"
            rows.append(
                FileRow(location, f"{split}-{i}", {**_values(record, location), "split": split})
            )
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


def _names(rows: Sequence[FileRow]) -> list[str]:
    return list(dict.fromkeys(str(name) for row in rows for name in row.values))


def _values(record: object, location: str) -> Mapping[Any, Any]:
    """The values of a record; of one with ``messages`` alone see `of_conversation`.

    Raises:
        UserError: no object, or no conversation that a user's turn ends.
    """
    if not isinstance(record, Mapping):
        kind = kind_of(record)
        raise UserError(f"{location}: an example is an object with question and answer, not {kind}")
    if "messages" not in record or "question" in record or "prompt" in record:
        return record
    values: Mapping[Any, Any] = _of_conversation(record, location)
    return values


def parse_text(text: str, path: Path, first_line: int = 1) -> object:
    """The value of a JSON text, which begins at a line of a file.

    Raises:
        UserError: says where it is no JSON.
    """
    try:
        return parse_json(text, unique=True)
    except json.JSONDecodeError as e:
        location = f"{path}: line {first_line + e.lineno - 1}, column {e.colno}"
        lines = "if each line is an object, rename the file to .jsonl"
        several = e.msg == "Extra data" and path.suffix.lower() != ".jsonl"
        advice = lines if several else "fix it there"
        raise UserError(f"{location}: malformed JSON: {e.msg}; {advice}") from e
    # a repeated key, nested too deeply, or an integer of thousands of digits
    except ValueError as e:
        raise UserError(f"{path}: line {first_line} or below: {e}") from e


@dataclass(frozen=True)
class Reading:
    """A user's settings of how a file is read."""

    columns: Mapping[str, str]  # our name of a column -> the file's
    seed: int = 0  # of the draw of dev and test, where the file has none
    # a number in the file -> what the label is called
    labels: Mapping[str, str] = field(default_factory=dict)
    skip_bad: bool | None = None  # leave out rows that cannot be read; None: not offered


def parse_reading(specs: Sequence[str], seed: int = 0, skip_bad: bool | None = None) -> Reading:
    """Read ``--columns``: ``name=header`` names a column, ``NUMBER=NAME`` a label.

    Raises:
        UserError: not of this form, an unknown name, or one that is given twice.

    Example:
        >>> parse_reading(["question=text", "A=first option"]).columns
        {'question': 'text', 'A': 'first option'}
        >>> parse_reading(["0=negative", "1=positive"]).labels
        {'0': 'negative', '1': 'positive'}
    """
    names: dict[str, str] = {}
    for spec in specs:
        name, _, column = (part.strip() for part in spec.partition("="))
        if not (name and column):
            raise InvalidOption("columns", spec, "write question=COLUMN,answer=COLUMN")
        if name not in _OURS and not _LETTER.fullmatch(name) and not _NUMBER.fullmatch(name):
            raise unknown("columns", name, (*_OURS, "A", "B", "C"))
        if name in names:
            raise InvalidOption("columns", spec, f"{name} is given twice; give it once")
        names[name] = column
    labels, columns = {}, {}
    for name, column in names.items():
        number = _NUMBER.fullmatch(name)  # 1.0 is label 1, as pandas writes it beside gaps
        if number is None:
            columns[name] = column
        else:
            labels[number[1]] = column
    return Reading(columns, seed, labels, skip_bad)


@dataclass(frozen=True)
class Columns:
    """The columns of a table that hold question, options and answer.

    Attributes:
        names: our name of a column -> the table's; the answer is ``answer``, also if it is a label.
        question: our name of the column of the question; ``prompt`` for verbatim prompts.
        labels: whether the answers are labels.
        letters: columns with an option each, A, B, ...
        split: the table's column of the split; "" if there is none.
        blank: whether an empty cell says nothing, as in CSV.
    """

    names: Mapping[str, str]
    question: str
    labels: bool
    letters: Sequence[str]
    split: str
    blank: bool

    def header(self, name: str) -> str:
        """The table's name of a column."""
        return self.names.get(name, name)

    def item(self, row: FileRow) -> Item:
        """The item of a row; a verbatim prompt may lack an answer.

        Raises:
            UserError: what is wrong with it.
        """
        verbatim = self.question == "prompt"
        self.check(row, ("prompt",) if verbatim else ("question", "answer"))
        return parse_item(self.record(row), row.location, row.id)

    def check(self, row: FileRow, needed: Iterable[str]) -> None:
        """Refuse a row with nothing in a column that is needed, or no split in its column.

        Raises:
            UserError: says where.
        """
        split = row.values.get(self.split)
        if self.split and split not in SPLITS:
            raise UserError(
                f'{row.location}: split must be "dev" or "test", not {split!r}; rename it'
            )
        for name in needed:
            value = row.values.get(self.header(name))
            if value is None or not str(value).strip():
                column = self.header(name)
                raise UserError(
                    f'{row.location}: nothing in column "{column}"; fill it in or remove the row'
                )

    def record(self, row: FileRow) -> dict[str, Any]:
        """A row as a record for `parse_item`."""
        values = {
            name: value
            for name, value in renamed(row.values, self.names).items()
            if name and not (self.blank and value == "")
        }
        options = [values.pop(letter, None) for letter in self.letters]
        while options and options[-1] in (None, ""):  # a row may have fewer than another
            options.pop()
        return {"choices": options or None, **values}


def find_columns(
    table: Table, told: Mapping[str, str], answered: bool = True, prompts: bool = False
) -> Columns:
    """The columns of a table.

    Args:
        table: the table.
        told: our name of a column -> the table's.
        answered: whether questions need a column of answers.
        prompts: whether there are verbatim prompts only, whatever the columns.

    Raises:
        UserError: no column of questions, or of answers, or one that the user names.
    """
    check_names(told, table.names, str(table.path))
    names = list(renamed(dict.fromkeys(table.names), told))
    verbatim = "prompt" in names and (prompts or "question" not in names)
    asked = "prompt" if verbatim else first_of(QUESTION, names)
    replied = first_of(("answer",) if verbatim else ANSWER, names)
    csv = table.path.suffix.lower() in DELIMITED
    missing = [] if asked else ["question"]
    if answered and not replied and not verbatim:
        missing.append("answer")
    if missing:
        raise UserError(f"{table.path}: {_missing(names, missing, csv)}")
    letters = [] if verbatim else list(takewhile(names.__contains__, ascii_uppercase))
    split = told.get("split", "split") if "split" in names else ""
    question = "prompt" if verbatim else "question"
    ours = {name: column for name, column in told.items() if name != replied}
    ours[question] = told.get(asked, asked)
    if replied:
        ours["answer"] = told.get(replied, replied)
    options = letters if letters[1:] else ()
    return Columns(ours, question, replied == LABEL, options, split, csv or prompts)


def first_of(names: Sequence[str], columns: Iterable[str]) -> str:
    """The first of these names that is a column; "" if there is none."""
    present = set(columns)
    return next((name for name in names if name in present), "")


def check_names(told: Mapping[str, str], names: Sequence[str], where: str) -> None:
    """Refuse names of columns that do not exist."""
    for name, column in told.items():
        if column not in names:
            close = closest(column, list(names))
            hint = f"give {name}=COLUMN" if close is None else f'did you mean "{close}"?'
            problem = f"`columns` {name}={column}; found: {', '.join(names)}"
            raise UserError(f'{where}: no column "{column}" ({problem}); {hint}')


def renamed(row: Mapping[str, Any], told: Mapping[str, str]) -> dict[str, Any]:
    """A row by our names; a column that had one of them before is dropped.

    Example:
        >>> renamed({"text": "Hi", "answer": "?", "mood": "good"}, {"question": "text", "answer": "mood"})
        {'question': 'Hi', 'answer': 'good'}
    """
    others = {
        name: value for name, value in row.items() if name not in told and name not in told.values()
    }
    return {name: row[column] for name, column in told.items() if column in row} | others


def _missing(names: Sequence[str], missing: Sequence[str], headed: bool) -> str:
    """The columns that there are, and how to name those that are missing."""
    listed = ", ".join(map(str, names)) or "nothing"
    it, named = "them" if missing[1:] else "it", ",".join(f"{name}=COLUMN" for name in missing)
    first = " (or add a first line with their names)" if headed and missing[1:] else ""
    return (
        f"no column for the {' and the '.join(missing)} (found: {listed}); name {it}: `columns` "
        f"{named}{first}"
    )


def read_task(path: Path, reading: Reading) -> Task:
    """All items of a file of questions with answers.

    Args:
        path: of the file.
        reading: the user's settings.

    Raises:
        UserError: see `read_table`, `find_columns` and `parse_rows`.
    """
    table = read_table(path)
    columns = find_columns(table, reading.columns)
    items, note = parse_rows(table, columns.item, reading.skip_bad)
    if columns.question == "question":
        items, labels = _labelled(items, columns, table, reading.labels)
        note = "; ".join(filter(None, (note, labels)))
    return task_of(table, columns, items, note, reading.seed)


def task_of(
    table: Table,
    columns: Columns,
    items: Sequence[Item],
    note: str,
    seed: int,
    share: int = DEV_SHARE,
) -> Task:
    """The task of a table's items: dev and test as the rows say, or drawn, one in `share` as dev."""
    strata = None
    if columns.split:
        split_of = {row.location: row.values[columns.split] for row in table.rows}
        dev, test = (
            tuple(item for item in items if split_of[item.location] == name) for name in SPLITS
        )
    else:
        dev, test, strata = _draw_splits(items, seed, str(table.path), share)
    return Task(
        table.name or table.path.stem,
        dev,
        test,
        table.prompt,
        str(table.path),
        metric=table.metric,
        note=note,
        column=columns.header(columns.question),
        strata=strata,
    )


def _labelled(
    items: list[Item], columns: Columns, table: Table, names: Mapping[str, str]
) -> tuple[list[Item], str]:
    """The items with their labels as choices, if they have no options; and a note on that."""
    if columns.labels or names:
        labelled: tuple[list[Item], str] = _label_choices(items, columns, table.path, names)
        return labelled
    if table.has_splits or any(item.choices for item in items):
        return items, ""
    return items, 'answers are written, since there are no choices and no column "label"'


def parse_rows(
    table: Table, parse: Callable[[FileRow], T], skip: bool | None = None
) -> tuple[list[T], str]:
    """The results of the good rows, and a note on those that are left out.

    Args:
        table: the rows.
        parse: a row -> its result.
        skip: whether bad rows are left out instead of refused; None: the command cannot.

    Raises:
        UserError: there are bad rows: of one what is wrong with it, of several a list; or no row is
            left.
    """
    results, bad = [], dict[str, UserError]()
    for row in table.rows:
        try:
            results.append(parse(row))
        except UserError as error:
            bad[row.location] = error
    return results, _note_on_bad(table, bad, skip, len(results)) if bad else ""


def load_task_of(config: Any, spec: str, **other: Any) -> Task:
    """`load_task` with the fields of a configuration; `other` replaces some of them."""
    names = ("dev", "test", "allow_overlap", "columns", "template", "split_seed", "skip_bad_rows")
    return load_task(spec, **{name: getattr(config, name) for name in names} | other)


def load_task(
    spec: str,
    *,
    dev: int | None = None,
    test: int | None = None,
    allow_overlap: bool = False,
    columns: Sequence[str] = (),
    template: str | Sequence[str] | None = (),
    split_seed: int = 0,
    skip_bad_rows: bool = False,
) -> Task:
    """Load and check a task.

    Args:
        spec: a path (``.json``, ``.jsonl``, ``.csv``, ``.tsv``), ``builtin:NAME[:SEED]``,
            ``hub:DATASET[:CONFIG]``, ``published:NAME[:PATH]``, or ``prompts:FILE``, whose items
            need no answers.
        dev: number of dev items, the first of the split (a generated task has exactly so many).
        test: number of test items.
        allow_overlap: accept questions that are both in dev and in test.
        columns: other names of a file's columns: ``"question=text"``, ``"label=mood"``;
            ``"0=bad"`` names a label.
        template: the user turn, with ``{question}`` and perhaps ``{choices}`` or other columns; see
            `templates.prompted`. None: `with_templates` is still to come.
        split_seed: draws dev (a third; half of prompts) and test of a file that has no splits; 200
            and 1,000 of them are used unless `dev` and `test` say otherwise.
        skip_bad_rows: leave out rows of a file that cannot be read; `Task.note` says which.

    Returns:
        The task, with its dev and test items.

    Raises:
        UserError: the task cannot be found or read, or an item is wrong.

    Example:
        >>> task = load_task("builtin:kinship:3", dev=10, test=20, template="{question} Say it in one word.")
        >>> task.name, len(task.dev), len(task.test), task.prompt
        ('kinship', 10, 20, '{question} Say it in one word.')
    """
    for split, n in (("dev", dev), ("test", test)):
        if n is not None and n < 1:
            raise InvalidOption(split, n, "at least one example is needed")
    reading, kind = parse_reading(columns, split_seed, skip_bad_rows), spec.partition(":")[0]
    if kind in (BUILTIN, "published", "lm-eval") and (reading.columns or reading.labels):
        raise InvalidOption("columns", None, f"{spec} has no columns to name; remove it")
    if kind == "lm-eval":
        raise UserError(
            f"{spec}: a task of lm-evaluation-harness has no examples here; give it to search or eval"
        )
    if kind == BUILTIN:
        task: Task = _builtin_task(spec, dev, test)
    else:
        whole = read_whole(spec, dev, test, reading)
        for split in SPLITS:
            _check_split(whole, split)
        _check_overlap(whole, allow_overlap)
        task = _cut(whole, dev, test, split_seed)
    if template is None:
        return task
    templates = (template,) if isinstance(template, str) else template
    return with_templates({task.name: task}, templates)[task.name]


def with_templates(tasks: Mapping[str, Task], templates: Sequence[str]) -> Mapping[str, Task]:
    """The tasks as they ask, with custom prompts and those of their files; see `templates.prompted`."""
    if not templates and not any(task.note or task.prompt is not None for task in tasks.values()):
        return tasks
    asking: Mapping[str, Task] = _prompted(tasks, templates)
    return asking


def read_whole(spec: str, dev: int | None, test: int | None, reading: Reading) -> Task:
    """All items of a file, unchecked against each other; of a data set so many."""
    kind, _, name = spec.partition(":")
    if kind in _SOURCES:
        return _SOURCES[kind](name, dev, test, reading)
    return read_task(Path(spec), reading)


def _cut(task: Task, dev: int | None, test: int | None, seed: int) -> Task:
    """The first items of each split; by default of drawn ones as many as the reference has."""
    for split, count in (("dev", dev), ("test", test)):
        available = len(task.split(split))
        if count is not None and count > available:
            log.warning(
                "%s: %d %s examples requested, only %d available",
                task.name,
                count,
                split,
                available,
            )
        elif count is not None:
            _tell_of_lost_labels(task, split, count)
    drawn = task.strata is not None
    dev = dev or (DEV if drawn else len(task.dev))
    test = test or (TEST if drawn else len(task.test))
    spare = task.dev[dev:]
    used = replace(
        task,
        dev=task.dev[:dev],
        test=task.test[:test],
        left=len(task.test[test:]),
        spare=() if any(item.choices for item in spare) else spare,
        fingerprint="",
    )
    note = task.note and f"{task.source}: {task.note}"
    if drawn:
        strata = f", stratified by {task.strata}" if task.strata else ""
        rows = "prompts" if task.column == "prompt" else "rows"
        note = (
            f"{task.source} names no split: {len(used.dev)} dev and {len(used.test)} test examples "
            f"drawn from its {len(task.dev) + len(task.test)} {rows} with split seed {seed}{strata}"
        ) + (f"; {task.note}" if task.note else "")
    return replace(used, note=note)


def _tell_of_lost_labels(task: Task, split: str, count: int) -> None:
    """Say that the first items of a split have fewer labels than as many drawn ones would have."""
    items = task.split(split)
    labels = Counter(item.answer for item in items)
    if not all(item.choices == items[0].choices for item in items) or not items[0].choices:
        return
    found = len({item.answer for item in items[:count]})
    expected = sum(1 - (1 - n / len(items)) ** count for n in labels.values())
    if found < _LABELS_LEFT * expected:
        message = (
            "%s: the first %d %s examples have %d of its %d labels; shuffle the rows, or take more"
        )
        log.warning(message, task.name, count, split, found, len(labels))


def _check_split(task: Task, split: str) -> None:
    """Refuse an empty split, and tell of repeated questions."""
    items = task.split(split)
    if not items:
        raise UserError(f"{task.source}: the {split} split is empty; add examples to it")
    asked = len(set(map(content, items)))
    if repeats := len(items) - asked:
        other = len({(content(item), item.answer) for item in items}) - asked
        unlike = f", {other} of them with another answer" if other else ""
        message = "%s: %d of %d %s examples repeat another%s"
        log.warning(message, task.source, repeats, len(items), split, unlike)


def _check_overlap(task: Task, allow_overlap: bool) -> None:
    """Refuse questions in both splits, which make a test score mislead; with `allow_overlap` they
    are told only, as are those of other options, of which published data sets have a few.
    """
    shared = _shared(task, content)
    if shared:
        message = (
            f"{task.source}: {len(shared)} dev examples are also in test (the first has the id "
            f"{shared[0].id!r})"
        )
        if not allow_overlap:
            raise UserError(f"{message}; remove them from one split, or add `allow_overlap`")
        log.warning("%s; the test score will be optimistic", message)
    more = len(_shared(task, _solved)) - len(shared)
    if more > 0:
        how = "with the same answer among other options or in another order"
        log.warning("%s: %d dev examples are also in test, %s", task.source, more, how)


def _shared(task: Task, key: Callable[[Item], tuple[str, ...]]) -> list[Item]:
    """The dev items whose key a test item has, too."""
    held_out = set(map(key, task.test))
    return [item for item in task.dev if key(item) in held_out]


def _solved(item: Item) -> tuple[str, str]:
    return normalise(item.conversation), normalise(item.answer_text)
