"""Data sets of the Hugging Face hub as tasks: question, options and answer are found by column name."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.tasks.formats import RawTask
from pyswarmopt_llm.tasks.items import parse_item

# Default sizes, those of the Model Swarms reference.
DEV, TEST = 200, 1000

# Of the splits with answers, the first of these is the test set and the second guides the search.
_SPLIT_ORDER = ("test", "validation", "valid", "dev", "train")

# As the hub's own: letters, digits, ., - and _; no path.
_NAME = re.compile(r"(?:[\w][\w.-]*/)?[\w][\w.-]*", re.ASCII)

_QUESTION = ("question", "query", "ctx", "goal", "problem", "sentence", "text")
_ANSWER = ("answer", "answerKey", "answer_idx", "label", "cop", "target")
_OPTIONS = ("choices", "options", "endings")
_OPTION_COLUMNS = (
    ("A", "B", "C", "D"),
    ("opa", "opb", "opc", "opd"),
    ("answerA", "answerB", "answerC"),
    ("option1", "option2"),
    ("sol1", "sol2"),
)


def read_hub(name: str, dev: int | None = None, test: int | None = None) -> RawTask:
    """Download (or take from the cache) ``DATASET[:CONFIG]`` and map its columns.

    Rows are drawn by a fixed shuffle, since many sets are sorted by answer.

    Raises:
        UserError: `datasets` is not installed, the set cannot be reached, or its columns are not understood.
    """
    dataset, _, config = name.partition(":")
    splits = download(dataset, config or None)
    labelled = [split for split in _SPLIT_ORDER if split in splits and _has_answers(splits[split])]
    if len(labelled) < 2:
        raise UserError(
            f"hub:{name}: needs two splits with answers among {', '.join(_SPLIT_ORDER)} "
            f"(found: {', '.join(splits)}); export what you need to a JSON file"
        )
    sizes = {"dev": DEV if dev is None else dev, "test": TEST if test is None else test}
    chosen = {"dev": labelled[1], "test": labelled[0]}
    located = {}
    for split, n in sizes.items():
        records = _records(splits[chosen[split]], n, f"hub:{name}: {chosen[split]}")
        located[split] = [(where, parse_item(record, where, f"{chosen[split]}-{i}")) for i, where, record in records]
    return RawTask(dataset.rpartition("/")[2], None, located)


def download(dataset: str, config: str | None) -> Mapping[str, Any]:
    """Split name -> rows of a hub data set, from the cache where it is there.

    Raises:
        UserError: no such name can be, `datasets` is not installed, or the set cannot be reached.
    """
    if not _NAME.fullmatch(dataset):
        raise UserError(f"hub:{dataset}: not the name of a data set; write hub:DATASET or hub:OWNER/DATASET")
    try:
        import datasets
    except ImportError as e:
        raise UserError('hub tasks need `datasets`; install it with: pip install "pyswarmopt[llm]"') from e
    try:
        loaded: Mapping[str, Any] = datasets.load_dataset(dataset, config)
    except (OSError, ValueError, RuntimeError) as e:
        reason = str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
        raise UserError(f"hub:{dataset}: {reason}; check the name, the configuration and the network") from e
    return loaded


def _has_answers(split: Any) -> bool:
    column = _first(split.column_names, _ANSWER)
    return len(split) > 0 and column is not None and split[0][column] not in (None, "", -1, "-1")


def _records(split: Any, n: int, where: str) -> list[tuple[int, str, dict[str, object]]]:
    """`n` rows as (row number, where, record with question, choices and answer)."""
    question, answer = _first(split.column_names, _QUESTION), _first(split.column_names, _ANSWER)
    if question is None or answer is None:
        missing = "question" if question is None else "answer"
        raise UserError(
            f"{where}: no column looks like the {missing} (found: {', '.join(split.column_names)}); "
            "export it to a JSON file with question, choices and answer"
        )
    class_names = getattr(split.features[answer], "names", None)
    # Some sets count their options from 0 and some from 1: the smallest index in use tells.
    counted_from_0 = class_names is not None or any(_index(value) == 0 for value in split[answer])
    order = list(range(len(split)))
    random.Random(0).shuffle(order)
    records = []
    for i in order[:n]:
        row = split[i]
        options = _options(row, class_names)
        record = {
            "question": row[question],
            "choices": None if options is None else list(options.values()),
            "answer": row[answer] if options is None else _right(row[answer], options, counted_from_0),
            "id": row.get("id"),
        }
        records.append((i, f"{where} row {i}", record))
    return records


def _options(row: Mapping[str, Any], class_names: Sequence[str] | None) -> dict[str, str] | None:
    """Label -> text of the options of a row, in order; None for an open question."""
    column = _first(row, _OPTIONS)
    if column is not None:
        value = row[column]
        if isinstance(value, Mapping) and {"text", "label"} <= value.keys():
            return dict(zip(map(str, value["label"]), value["text"], strict=True))
        return dict(value) if isinstance(value, Mapping) else _lettered(value)
    for columns in _OPTION_COLUMNS:
        if all(column in row for column in columns):
            return _lettered(row[column] for column in columns)
    return None if class_names is None else _lettered(class_names)


def _right(value: object, options: Mapping[str, str], counted_from_0: bool) -> object:
    """The letter of the right option from its label, its text or its index.

    An integer is always an index, since options may well be numbers themselves.
    """
    labels, texts = list(options), list(options.values())
    index = _index(value)
    place = index if index is None or counted_from_0 else index - 1
    if not isinstance(value, int):
        names = labels if value in labels else texts
        place = names.index(value) if value in names else place
    return value if place is None or not 0 <= place < len(texts) else chr(ord("A") + place)


def _index(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else None


def _lettered(texts: Iterable[str]) -> dict[str, str]:
    # Lists beyond the alphabet are refused where the item is made.
    return {chr(ord("A") + i): text for i, text in enumerate(texts)}


def _first(columns: Iterable[str], names: Sequence[str]) -> str | None:
    present = set(columns)
    return next((name for name in names if name in present), None)


__all__ = ["DEV", "TEST", "download", "read_hub"]
