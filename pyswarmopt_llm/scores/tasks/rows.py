"""From the rows of a file to a task: bad rows are listed, labels become choices, and a file without
splits is divided by a seed. Also rows without answers: prompts, and new questions for a result.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from string import ascii_uppercase

from pyswarmopt.base.words import counted, in_list
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.scores.tasks.columns import (
    QUESTION,
    Columns,
    Reading,
    T,
    find_columns,
    first_of,
    in_other_case,
    parse_reading,
)
from pyswarmopt_llm.scores.tasks.items import content, normalise, parse_item
from pyswarmopt_llm.scores.tasks.table import FileRow, Table, read_table
from pyswarmopt_llm.scores.tasks.templates import placeholders
from pyswarmopt_llm.scores.tasks.types import SPLITS, Form, Item, Task

log = logging.getLogger(__name__)
DEV_SHARE = 3  # one item in three becomes dev
PROMPTS_SHARE = 2  # half of the prompts are dev, since no one has to answer them
MOST_LABELS = 200
LISTED = 20  # most labels in a message
FAULTS = 5  # most bad rows in a message
SKIPPED = 10  # most skipped rows in a note
_NOT_ASKED = ("prompt", "id", "answer", "answers", "right")
_UNNEEDED = ("answer", "label", "split")  # columns that new rows may lack
_BETWEEN_WORDS = re.compile(r"(?<=[^\W_])[\s_-]+(?=[^\W_])")
Items = tuple[Item, ...]


def read_task(path: Path, reading: Reading) -> Task:
    """All items of a file of questions with answers.

    Args:
        path: file.
        reading: the user's settings.

    Raises:
        UserError: see `read_table`, `find_columns` and `parse_rows`.
    """
    table = read_table(path)
    columns = find_columns(table, reading.columns)
    verbatim = columns.question == "prompt"
    labelled = not verbatim and bool(columns.labels or reading.labels)

    def parse(row: FileRow) -> Item:
        item = columns.item(row)
        if labelled:
            check_label(item, reading.labels)
        return item

    items, note = parse_rows(table, parse, reading.skip_bad)
    options = any(item.choices for item in items)
    if labelled and options and reading.labels:
        why = f"names labels, but {path} has options; remove it"
        raise InvalidOption("columns", ",".join(reading.labels), why)
    more = ""
    if labelled and not options:
        where = f'{path}: column "{columns.header("answer")}"'
        items, more = label_choices(items, reading.labels, where)
    elif not (labelled or options or verbatim or table.has_splits):
        more = 'answers are written, since there are no choices and no column "label"'
    return _task(table, columns, items, "; ".join(filter(None, (note, more))), reading.seed)


def read_prompts(name: str, reading: Reading) -> Task:
    """All prompts of a file: lines of a text file, plain texts in JSON, or a
    column of prompts or questions.

    Raises:
        UserError: see `read_task`.
    """
    path = Path(name)
    if not os.path.isfile(path):
        why = "no such file; give a text file (a prompt a line), JSONL or CSV"
        raise InvalidOption("prompts", name, why)
    table = read_table(path, "prompt")
    told = {"prompt" if key == "question" else key: col for key, col in reading.columns.items()}
    spelt = in_other_case(table.names, told)
    column = first_of(("prompt", *QUESTION), (*table.names, *spelt))
    if column:
        told = {"prompt": spelt.get(column, column), **told}
    columns = find_columns(table, told, answered=False, prompts=True)

    def parse(row: FileRow) -> Item:
        columns.check(row, ("prompt",))
        record = {**columns.record(row), "choices": None}
        return parse_item(record, row.location, row.id.removeprefix("row-"))

    items, note = parse_rows(table, parse, reading.skip_bad)
    task = _task(table, columns, items, note, reading.seed, PROMPTS_SHARE)
    return replace(task, column="prompt")


def new_items(form: Form, table: Table, specs: Sequence[str] = ()) -> list[Item | None]:
    """The rows of a new file as questions in this form, without answers; None for blank rows.

    Args:
        form: form of the search's task.
        table: the rows.
        specs: ``--columns`` of the search and of this file; answer columns that the file lacks are
            ignored.

    Raises:
        UserError: no rows, only blank rows, no such column, or rows without questions (all are
            named).
    """
    if not table.rows:
        raise UserError(f"{table.path}: no rows; give one for each question")
    told = {
        name: column
        for name, column in parse_reading(specs).columns.items()
        if name not in _UNNEEDED or column in table.names
    }
    told = {"question": form.column, **told}
    columns = replace(find_columns(table, told, answered=False), split="")
    needed = ["question", *placeholders(form.prompt or "")]
    needed = [name for name in needed if name != "choices"]
    blank: dict[str, UserError] = {}

    def parse(row: FileRow) -> Item | None:
        try:
            columns.check(row, needed)
        except UserError as error:
            blank[row.location] = error
            return None
        return _new_question(form, columns, row)

    items, _ = parse_rows(table, parse)
    if len(blank) == len(table.rows):
        raise next(iter(blank.values()))
    if blank:
        log.warning("%s: %s, since they are blank", table.path, _left_out(table, blank))
    return items


def _new_question(form: Form, columns: Columns, row: FileRow) -> Item:
    """A row as a question in this form, without its answer.

    Raises:
        UserError: the row has no choices, and the form none.
    """
    values = columns.record(row)
    asked = {name: value for name, value in values.items() if value not in (None, "")}
    for name in _NOT_ASKED:
        asked.pop(name, None)
    if form.choices is not None:
        asked.pop("choices", None)
    elif "choices" not in asked:
        raise UserError(
            f"{row.location}: no choices; give a file whose rows have them, as the search's questions do"
        )
    item = parse_item(asked, row.location, row.location, answered=False)
    return item if form.choices is None else replace(item, choices=dict(form.choices))


def _task(
    table: Table,
    columns: Columns,
    items: Sequence[Item],
    note: str,
    seed: int,
    share: int = DEV_SHARE,
) -> Task:
    """The task of a table's items: dev and test from the rows, or drawn with one item in `share` as
    dev.
    """
    strata = None
    if columns.split:
        split_of = {row.location: row.values[columns.split] for row in table.rows}
        dev, test = (
            tuple(item for item in items if split_of[item.location] == name) for name in SPLITS
        )
    else:
        dev, test, strata = draw_splits(items, seed, str(table.path), share)
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


# Bad rows


def parse_rows(
    table: Table, parse: Callable[[FileRow], T], skip: bool | None = None
) -> tuple[list[T], str]:
    """The results of the good rows, and a note on skipped ones.

    Args:
        table: the rows.
        parse: turns a row into its result.
        skip: whether to skip bad rows instead of refusing; None: the command offers no choice.

    Raises:
        UserError: bad rows (all faults are listed), or no row is left.
    """
    results = []
    bad = dict[str, UserError]()
    for row in table.rows:
        try:
            results.append(parse(row))
        except UserError as error:
            bad[row.location] = error
    if not bad:
        return results, ""
    if not skip:
        raise _refusal(table.path, bad, ", or leave out with `skip_bad_rows`" * (skip is False))
    if not results:
        rows = counted(len(table.rows), "row")
        raise UserError(f"{table.path}: none of {rows} is left; see why without `skip_bad_rows`")
    return results, _left_out(table, bad)


def _left_out(table: Table, locations: Iterable[str]) -> str:
    """A note on skipped rows of a table: number and location."""
    places = [location.removeprefix(f"{table.path}: ") for location in locations]
    return f"{len(places)} of {len(table.rows)} rows left out ({_listed(places, SKIPPED)})"


def _refusal(path: Path, bad: Mapping[str, UserError], or_skip: str) -> UserError:
    """An error that lists the first faults; all are in a file if some are not shown."""
    texts = [error.text for error in bad.values()]
    if len(texts) == 1:
        return UserError(texts[0] + or_skip)
    shown = [text.removeprefix(f"{path}: ") for text in texts[:FAULTS]]
    faults = "; ".join(text.rpartition("; ")[0] or text for text in shown)
    if len(texts) > FAULTS:
        handle, name = tempfile.mkstemp(prefix="swarm-llm-bad-rows-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(f"{text}\n" for text in texts)
        faults += f" and {len(texts) - FAULTS} more; all are listed in {name}"
    return UserError(f"{path}: {counted(len(bad), 'bad row')}: {faults}; fix them{or_skip}")


def _listed(names: Sequence[str], most: int) -> str:
    """The first `most` names, and the number of others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


# Labels as choices: variants of spelling are joined, numbers get names


def spelling(label: str) -> str:
    """A key shared by labels that differ only in case, blanks or punctuation.

    Example:
        >>> spelling("Sign-up ") == spelling("SIGN UP") == spelling("sign_up!")
        True
        >>> spelling("-"), spelling("-1") == spelling("1")
        ('-', False)
    """
    return _BETWEEN_WORDS.sub(" ", normalise(label)) or label


def check_label(item: Item, names: Mapping[str, str]) -> None:
    """Refuse an item with several labels, or with a label that is neither a named number nor a name.

    Raises:
        UserError: names the label.
    """
    if item.choices is not None:
        return
    if item.meta.get("answers"):
        raise UserError(
            f"{item.location}: several labels, {', '.join(item.references)}, of which one is "
            'chosen; give one to each row, or call the column "answer" where each is right'
        )
    label = _plain_number(item.answer)
    if names and label not in names and spelling(label) not in map(spelling, names.values()):
        spec = ",".join(f"{number}={name}" for number, name in names.items())
        raise UserError(
            f"{item.location}: the label {label!r} has no name in `columns` {spec}; name it there, "
            "or write one of these"
        )


def label_choices(
    items: Sequence[Item], names: Mapping[str, str], where: str
) -> tuple[list[Item], str]:
    """Give items the set of their labels as choices, with a note on it.

    Args:
        items: open questions with labels as answers; see `check_label`.
        names: number in the file -> name of the label; empty: as in the file.
        where: start of messages.

    Raises:
        UserError: the answers are not labels.

    Example:
        >>> from pyswarmopt_llm.scores.tasks import Item
        >>> items = [Item(str(i), f"text {i}", None, "01"[i % 2]) for i in range(4)]
        >>> labelled, note = label_choices(items, {"0": "yes", "1": "no"}, "mine.csv")
        >>> labelled[0].choices, labelled[0].answer, note
        ({'A': 'no', 'B': 'yes'}, 'B', 'its 2 labels are the choices: no 2, yes 2')
        >>> label_choices(items, {}, "mine.csv")[1].partition("columns` ")[2]
        '0=NAME,1=NAME'
    """
    numbers = [_plain_number(item.answer) for item in items]
    written = Counter(names.get(number, number) for number in numbers)
    # The user's name, else the commonest variant of a spelling.
    label_of: dict[str, str] = {spelling(label): label for label in names.values()}
    for text in sorted(written, key=lambda text: (-written[text], text.isupper(), text)):
        label_of.setdefault(spelling(text), text)
    answers = [label_of[spelling(names.get(number, number))] for number in numbers]
    labels = sorted(set(answers))
    _check_labels(labels, len(items), where)
    letters = dict(zip(labels, _letters(len(labels)), strict=True))
    choices = {letter: label for label, letter in letters.items()}
    others = {text: label_of[spelling(text)] for text in sorted(written)}
    labelled = [
        replace(item, choices=choices, answer=letters[answer])
        for item, answer in zip(items, answers, strict=True)
    ]
    return labelled, _note(Counter(sorted(answers)), others)


def _note(counts: Counter[str], label_of: Mapping[str, str]) -> str:
    """A note on joined spellings, the frequency of each label, and on numbers."""
    joined = [f"{text!r} as {label!r}" for text, label in label_of.items() if text != label]
    notes = [f"read {_listed(joined, LISTED)}"] if joined else []
    shown = [f"{in_list(label)} {count}" for label, count in counts.most_common()]
    notes.append(f"its {len(counts)} labels are the choices: {_listed(shown, LISTED)}")
    numbers = [label for label in sorted(counts) if label.removeprefix("-").isdigit()]
    if numbers:
        spec = ",".join(f"{label}=NAME" for label in numbers[:2]) + ",..." * (len(numbers) > 2)
        notes.append(f"a number tells a model nothing: name the numbers with `columns` {spec}")
    return "; ".join(notes)


def _plain_number(label: str) -> str:
    """A label as a whole number: pandas writes decimals in columns with gaps."""
    return re.sub(r"^(-?[0-9]+)\.0+$", r"\1", label)


def _letters(n: int) -> list[str]:
    """Names of `n` choices: A, B, ...; beyond the alphabet AA, AB, ..., for likelihoods."""
    if n <= len(ascii_uppercase):
        return list(ascii_uppercase[:n])
    return ["".join(pair) for pair in islice(product(ascii_uppercase, repeat=2), n)]


def _check_labels(labels: Sequence[str], n: int, where: str) -> None:
    if len(labels) < 2:
        raise UserError(f"{where}: {len(labels)} label; at least two are needed")
    if len(labels) > MOST_LABELS or (n > 10 and 2 * len(labels) > n):
        raise UserError(
            f"{where}: {len(labels)} different labels in {n} rows look like free text, and at most "
            f'{MOST_LABELS} can be choices; join some, or call the column "answer" for answers '
            "to be written"
        )


# The draw of dev and test


def draw_splits(
    items: Sequence[Item], seed: int, where: str, share: int
) -> tuple[Items, Items, str]:
    """Draw one item in `share` as dev and the rest as test; the first N of each are a sample.

    Systematic sampling: each stratum (items with one answer, if there are choices, and domain) is
    shuffled and spread evenly over the order. Equal questions stay together. The draw depends only
    on questions, answers and seed, not on the file's order.

    Returns:
        Dev, test, and the strata ("answer", "domain", "answer and domain" or "").
    """
    groups = _grouped(items)
    if len(groups) < 2:
        raise UserError(
            f"{where}: {counted(len(groups), 'different question')}; at least two are needed for "
            "dev and test"
        )
    strata = {
        key: min(
            (item.answer if item.choices else "", item.meta.get("domain", "")) for item in group
        )
        for key, group in groups.items()
    }
    order = _spread(strata, seed)
    size = max(1, len(items) // share)
    dev: list[Item] = []
    test: list[Item] = []
    for key in order:
        (dev if len(dev) + len(groups[key]) <= size else test).extend(groups[key])
    if not dev:  # a few questions repeated many times
        first = min(order, key=lambda key: len(groups[key]))
        dev = groups[first]
        test = [item for key in order if key != first for item in groups[key]]
    named = zip(("answer", "domain"), zip(*strata.values(), strict=True), strict=True)
    parts = [name for name, values in named if len(set(values)) > 1]
    return tuple(dev), tuple(test), " and ".join(parts)


def _grouped(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Items by question, or by question and options if most items share a question ("Which sentence
    is right?").
    """
    groups = defaultdict[str, list[Item]](list)
    for item in items:
        groups[normalise(item.conversation)].append(item)
    if 2 * max(map(len, groups.values()), default=0) <= len(items):
        return groups
    groups.clear()
    for item in items:
        question, *options = content(item)
        groups["\0".join((question, *sorted(options)))].append(item)
    return groups


def _spread(strata: Mapping[str, tuple[str, str]], seed: int) -> list[str]:
    """The keys in an order in which strata are evenly spread."""
    members = defaultdict[tuple[str, str], list[str]](list)
    for key in sorted(strata, key=lambda key: _random(seed, key)):
        members[strata[key]].append(key)
    position: dict[str, float] = {}
    for stratum, keys in members.items():
        offset = _random(seed, "\0".join(("stratum", *stratum)))
        position |= {key: (rank + offset) / len(keys) for rank, key in enumerate(keys)}
    return sorted(position, key=lambda key: (position[key], _random(seed, key)))


def _random(seed: int, text: str) -> float:
    """A hash of the arguments as a number in [0, 1)."""
    digest = hashlib.blake2b(f"{seed}\0{text}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48
