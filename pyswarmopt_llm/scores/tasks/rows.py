"""From the rows of a file to a task: bad rows are listed, labels become choices, and a file without
splits is divided by a seed. Also prompts, which have no answers.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from string import ascii_uppercase
from typing import TypeVar

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.scores.tasks.columns import Columns, Reading, find_columns, plain_number
from pyswarmopt_llm.scores.tasks.items import normalise
from pyswarmopt_llm.scores.tasks.table import FileRow, Table, read_table
from pyswarmopt_llm.scores.tasks.types import SPLITS, Item, Task

LEAST_ROWS = 12  # of a file without splits; fewer measure nothing
ENOUGH_DEV = 40  # dev items that a short file has first
MOST_LABELS = 200
LISTED = 20  # most labels in a message
FAULTS = 5  # most faults in a message
_BETWEEN_WORDS = re.compile(r"(?<=[^\W_])[\s_-]+(?=[^\W_])")
T = TypeVar("T")
Items = tuple[Item, ...]


def read_task(path: Path, reading: Reading, prompts: bool = False) -> Task:
    """All items of a file: dev and test from its rows, or drawn.

    Args:
        path: the file.
        reading: names of its columns and labels.
        prompts: whether its rows are prompts without answers or options: lines of a text file, plain
            texts in JSON, or a column of prompts or questions.

    Raises:
        UserError: see `read_table`, `find_columns` and `parse_rows`.
    """
    text = "prompt" * prompts
    table = read_table(path, text)
    columns = find_columns(table, reading.columns, answered=not prompts, prompts=prompts)
    if prompts:
        rows = [row._replace(values={**row.values, "choices": None}) for row in table.rows]
        table = replace(table, rows=rows)
    table, set_aside = _labelled(table, columns)
    items = parse_rows(table, columns.item)
    options = any(item.choices for item in items)
    if options and reading.labels:
        why = f"names labels, but {path} has options; remove it"
        raise InvalidOption("columns", ",".join(reading.labels), why)
    note = ""
    plain = options or columns.question == "prompt"
    if not plain and (columns.labels or reading.labels):
        items, note = label_choices(items, reading.labels, str(path))
    note = "; ".join(filter(None, [note, set_aside]))
    size = len(items) // 2 if prompts else dev_size(len(items))  # no one has to answer prompts
    dev, test = _splits(table, columns, items, max(size, 1))
    return Task(
        table.name or path.stem,
        dev,
        test,
        table.prompt,
        str(path),
        metric=table.metric,
        note=note,
        column=text or columns.header(columns.question),
        drawn="split" not in columns.names,
    )


def _splits(
    table: Table, columns: Columns, items: Sequence[Item], size: int
) -> tuple[Items, Items]:
    """Dev and test from the rows, or drawn with `size` items in dev."""
    if "split" not in columns.names:
        return draw_splits(items, str(table.path), size)
    header = columns.header("split")
    dev, test = (
        tuple(i for i, row in zip(items, table.rows, strict=True) if row.values[header] == split)
        for split in SPLITS
    )
    return dev, test


def _labelled(table: Table, columns: Columns) -> tuple[Table, str]:
    """A table of labels without the rows that lack nothing but a label, and a note on them; the table
    as it is if no row has one.
    """
    if not columns.labels:
        return table, ""
    unlabelled = [lacks_label(row, columns) for row in table.rows]
    if not any(unlabelled) or all(unlabelled):
        return table, ""
    kept = [row for row, lacks in zip(table.rows, unlabelled, strict=True) if not lacks]
    lacking = [row for row, lacks in zip(table.rows, unlabelled, strict=True) if lacks]
    places = [row.location.removeprefix(f"{table.path}: ") for row in lacking]
    told = ", ".join(places[:FAULTS] + ["..."] * (len(places) > FAULTS))
    note = f"{counted(len(lacking), 'row')} without a label set aside: {told}"
    return replace(table, rows=kept), note


def lacks_label(row: FileRow, columns: Columns) -> bool:
    """Whether a row is right but for an empty label; one that ends early may be broken."""
    header = columns.header("answer")
    label = row.values.get(header)
    if row.short or (label is not None and str(label).strip()):
        return False
    try:
        columns.item(row._replace(values={**row.values, header: None}), answered=False)
    except UserError:  # told with all faults
        return False
    return True


def parse_rows(table: Table, parse: Callable[[FileRow], T]) -> list[T]:
    """The result of `parse` for each row.

    Raises:
        UserError: there are invalid rows; the message lists the first ones.
    """
    results = []
    faults = []
    for row in table.rows:
        try:
            results.append(parse(row))
        except UserError as error:
            faults.append(error.text.removeprefix(f"{table.path}: "))
    if faults:
        told = "; ".join(faults[:FAULTS] + ["..."] * (len(faults) > FAULTS))
        rows = counted(len(faults), "bad row")
        raise UserError(f"{table.path}: {rows}: {told}; fix or remove them")
    return results


def spelling(label: str) -> str:
    """A key shared by labels that differ only in case, blanks or punctuation.

    Example:
        >>> spelling("Sign-up ") == spelling("SIGN UP") == spelling("sign_up!")
        True
        >>> spelling("-"), spelling("-1") == spelling("1")
        ('-', False)
    """
    return _BETWEEN_WORDS.sub(" ", normalise(label)) or label


def label_choices(
    items: Sequence[Item], names: Mapping[str, str], where: str
) -> tuple[list[Item], str]:
    """Give items the set of their labels as choices, with a note on it.

    Args:
        items: open questions with labels as answers.
        names: number in the file -> name of the label; empty: as in the file.
        where: start of messages.

    Raises:
        UserError: several labels, a label without a name, or the answers are not labels.

    Example:
        >>> from pyswarmopt_llm.scores.tasks import Item
        >>> items = [Item(str(i), f"text {i}", None, "01"[i % 2]) for i in range(4)]
        >>> labelled, note = label_choices(items, {"0": "yes", "1": "no"}, "mine.csv")
        >>> labelled[0].choices, labelled[0].answer, note
        ({'A': 'no', 'B': 'yes'}, 'B', 'its 2 labels are the choices: no 2, yes 2')
    """
    numbers = (plain_number(item.answer) for item in items)
    written = [names.get(number, number) for number in numbers]
    label_of = _label_of(written, names, where)
    answers = [label_of[spelling(text)] for text in written]
    counts = Counter(sorted(answers))
    _check_labels(items, len(counts), where)
    # AA, AB, ... of more than 26 labels, for likelihoods
    marks = product(ascii_uppercase, repeat=1 + (len(counts) > len(ascii_uppercase)))
    letters = dict(zip(counts, map("".join, marks), strict=False))
    choices = {letter: label for label, letter in letters.items()}
    pairs = list(zip(items, answers, strict=True))
    labelled = [replace(item, choices=choices, answer=letters[label]) for item, label in pairs]
    joined = sorted(
        {
            f"{item.answer!r} as {label!r}"
            for item, label in pairs
            if label not in (item.answer, names.get(item.answer))
        }
    )
    shown = [f"{label} {count}" for label, count in counts.most_common(LISTED)]
    note = f"its {len(counts)} labels are the choices: {', '.join(shown)}"
    if joined:
        note = f"read {', '.join(joined[:LISTED])}; {note}"
    return labelled, note


def _label_of(written: Sequence[str], names: Mapping[str, str], where: str) -> dict[str, str]:
    """Spelling -> label: the user's name, else the commonest variant."""
    label_of = {spelling(label): label for label in names.values()}
    counts = Counter(written)
    for text in sorted(counts, key=lambda text: (-counts[text], text.isupper(), text)):
        if names and spelling(text) not in label_of:
            raise UserError(
                f"{where}: the label {text!r} has no name; name all numbers, for example "
                f"{text}=NAME in `columns`"
            )
        label_of.setdefault(spelling(text), text)
    return label_of


def _check_labels(items: Sequence[Item], labels: int, where: str) -> None:
    for item in items:
        if item.meta.get("answers"):
            raise UserError(
                f"{item.location}: several labels, {', '.join(item.references)}; use one per "
                'row, or call the column "answer" if each is right'
            )
    free_text = len(items) > 10 and 2 * labels > len(items)
    if free_text or not 2 <= labels <= MOST_LABELS:
        raise UserError(
            f"{where}: {labels} different labels in {len(items)} rows; choices need 2 to "
            f"{MOST_LABELS}, each in two rows on average; merge some, or call the column "
            '"answer" for free-form answers'
        )


def dev_size(rows: int) -> int:
    """Number of labelled rows that become dev: a third; in a short file more, until dev has
    `ENOUGH_DEV` or two thirds of the rows.

    A search learns from dev and is only measured on test, and training needs the most rows.

    Example:
        >>> [dev_size(rows) for rows in (6, 12, 36, 60, 120, 150)]
        [2, 8, 24, 40, 40, 50]
    """
    if rows < LEAST_ROWS:
        return rows // 3
    return max(rows // 3, min(ENOUGH_DEV, 2 * rows // 3))


def draw_splits(items: Sequence[Item], where: str, size: int) -> tuple[Items, Items]:
    """Draw at most `size` items as dev and the rest as test; the first N of each are a sample.

    Systematic sampling: each stratum (items with one answer, if there are choices) is shuffled and
    spread evenly over the order. Equal questions stay together. The draw depends only on questions
    and answers, not on the file's order.
    """
    groups = defaultdict[str, list[Item]](list)
    for item in items:
        groups[normalise(item.conversation)].append(item)
    strata = defaultdict[str, list[str]](list)  # answer -> its questions, in random order
    for key in sorted(groups, key=_random):
        strata[min(item.answer if item.choices else "" for item in groups[key])].append(key)
    position: dict[str, float] = {}
    for stratum, keys in strata.items():
        offset = _random(f"stratum\0{stratum}\0")
        position |= {key: (rank + offset) / len(keys) for rank, key in enumerate(keys)}
    dev: list[Item] = []
    test: list[Item] = []
    for key in sorted(position, key=lambda key: position[key]):
        part = test
        if len(dev) + len(groups[key]) <= size:
            part = dev
        part += groups[key]
    if not dev or not test:
        raise UserError(
            f"{where}: too few different questions for a dev and a test set; add more, or a `split` "
            "column"
        )
    return tuple(dev), tuple(test)


def _random(text: str) -> float:
    """A hash of the text as a number in [0, 1)."""
    digest = hashlib.blake2b(f"0\0{text}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48
