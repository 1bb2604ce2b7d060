"""The nine data sets of Model Swarms (Feng et al. 2024, section 3) in their authors' formats, and
others on the hub.

``published:NAME`` downloads a data set by its hub id; ``published:NAME:PATH`` reads one that is not
on the hub from its JSON or JSONL file, or folder of them. ``hub:DATASET`` maps the columns of any
data set.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, product
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple

from pyswarmopt_llm.common.errors import InvalidOption, UserError, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.registry import lookup
from pyswarmopt_llm.scores.tasks.columns import Reading, find_columns
from pyswarmopt_llm.scores.tasks.items import normalise, parse_item
from pyswarmopt_llm.scores.tasks.table import FileRow, Table, json_lines, parsed_json, read_text
from pyswarmopt_llm.scores.tasks.types import DEV, TEST, Item, Task

Row = Mapping[str, Any]
Record = dict[str, Any]
Read = Callable[[Row], Record | None]  # a row's question, choices and answer; None: no answer
Splits = Mapping[str, Sequence[Row]]
_OPTIONS = 4  # options of a knowledge crossword, as in the reference's file
# Of the splits with answers, the first in this order becomes test and the second dev.
SPLIT_ORDER = ("test", "validation", "val", "valid", "dev", "train")
# The hub's own rule: letters, digits, ., - and _; no path.
_NAME = re.compile(r"(?:[\w][\w.-]*/)?[\w][\w.-]*", re.ASCII)


class DataSet(NamedTuple):
    """A published data set."""

    # makes a record of a row; or our column name -> the data set's
    read: Read | Mapping[str, str]
    # data set id and configuration; None: published only as files
    hub: tuple[str, str | None] | None = None
    metric: str | None = None  # default: accuracy


def read_published(spec: str, dev: int | None, test: int | None, reading: Reading) -> Task:
    """Read ``NAME`` from the hub, or ``NAME:PATH`` if the hub lacks it (a file or folder); see `draw`."""
    name, _, path = spec.partition(":")
    source = lookup("published:", name, PUBLISHED)
    where = f"published:{spec}"
    if bool(path) == bool(source.hub):
        raise UserError(
            f"{where}: {' and '.join(_FILES)} need the path of their files, published:NAME:PATH; all "
            "other data sets are on the hub, published:NAME"
        )
    splits: Splits = download(*source.hub) if source.hub else read_rows(Path(path))
    if callable(source.read):
        read = source.read
    else:
        read = _reader(splits, source.read, where, True)
    return Task(name, *draw(where, splits, read, dev, test), source=where, metric=source.metric)


# One function per data set


def _gsm8k(row: Row) -> Record:
    """Cobbe et al. 2021: the answer ends with ``#### number``."""
    answer = row["answer"].rsplit("####", 1)[1].strip().replace(",", "")
    return {"question": row["question"], "answer": answer}


def _nlgraph(row: Row) -> Record:
    """Wang et al. 2023: question and an answer in words; the folder names the kind of problem."""
    return {
        "prompt": row["question"].removesuffix("A:").rstrip(),
        "answer": row["answer"],
        "domain": Path(row["file"]).parent.name,
    }


def _knowledge_crosswords(row: Row) -> Record:
    """Ding et al. 2024, the MC files: options for each blank.

    As in the Model Swarms reference, the model chooses among whole solutions: the right one and
    three wrong ones.
    """
    triples = zip(row["source"], row["relation"], row["target"], strict=True)
    facts = "; ".join(f"({s}, {r}, {t})" for s, r, t in triples)
    right = tuple(row["answer_all"])
    solutions = product(*(row["options"][blank] for blank in row["blanks"]))
    wrong = [solution for solution in solutions if solution != right]
    rng = _generator_of(facts)
    texts = [
        "; ".join(f"{blank}: {value}" for blank, value in zip(row["blanks"], values, strict=True))
        for values in [right, *rng.sample(wrong, min(_OPTIONS - 1, len(wrong)))]
    ]
    asked = "Pick the answer for each blank that satisfies all the constraints. Constraints:"
    return _shuffled(f"{asked} {facts}.", texts, rng)


def _truthfulqa(row: Row) -> Record:
    """Lin et al. 2022, MC1: one true answer."""
    targets = row["mc1_targets"]
    texts = list(targets["choices"])
    texts.insert(0, texts.pop(list(targets["labels"]).index(1)))
    return _shuffled(row["question"], texts, _generator_of(row["question"]))


def _real_toxicity_prompts(row: Row) -> Record:
    """Gehman et al. 2020: the beginnings of sentences."""
    return {"prompt": row["prompt"]["text"]}


def _shuffled(question: str, texts: list[str], rng: random.Random) -> Record:
    """A record with options in random order; the first of `texts` is right."""
    right = texts[0]
    rng.shuffle(texts)
    return {"question": question, "choices": texts, "answer": right}


def _generator_of(text: str) -> random.Random:
    """A generator seeded by the question, so that its options always have the same order."""
    return random.Random(hashlib.sha256(text.encode()).hexdigest())


_HELLASWAG = {"question": "ctx", "choices": "endings", "answer": "label"}
_TOXIC = ("allenai/real-toxicity-prompts", None)
PUBLISHED: dict[str, DataSet] = {
    # Hendrycks et al. 2021; Wang et al. 2024; Zellers et al. 2019
    "mmlu": DataSet({"domain": "subject"}, ("cais/mmlu", "all")),
    "mmlu-pro": DataSet({"choices": "options", "domain": "category"}, ("TIGER-Lab/MMLU-Pro", None)),
    "hellaswag": DataSet(_HELLASWAG, ("Rowan/hellaswag", None)),
    "gsm8k": DataSet(_gsm8k, ("openai/gsm8k", "main"), "numeric"),
    "nlgraph": DataSet(_nlgraph, None, "graph"),
    "knowledge-crosswords": DataSet(_knowledge_crosswords),
    "truthfulqa": DataSet(_truthfulqa, ("truthfulqa/truthful_qa", "multiple_choice")),
    "realtoxicityprompts": DataSet(_real_toxicity_prompts, _TOXIC, "toxicity"),
    # Feng et al. 2024, arXiv 2402.00367
    "abstainqa": DataSet({}, ("cais/mmlu", "all"), "abstain"),
}
_FILES = [name for name, source in PUBLISHED.items() if source.hub is None]


def draw(
    where: str, splits: Splits, read: Read, dev: int | None, test: int | None
) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Dev and test from the splits with answers, each in a fixed random order: many are sorted by
    answer.

    A single split with answers is divided, with at most a third for dev. Dev questions that also
    occur in test are dropped.

    Args:
        where: start of messages.
        splits: name -> rows.
        read: makes a record for `parse_item` of a row.
        dev: number of dev items, by default 200 as in the paper.
        test: number of test items, by default 1,000.
    """
    dev = dev or DEV
    test = test or TEST
    names = [split for split in SPLIT_ORDER if split in splits] or splits
    rows = (_items(f"{where}: {name}", name, splits[name], read) for name in names)
    with_answers = filter(None, (list(islice(items, dev + test)) for items in rows))
    drawn = list(islice(with_answers, 2))
    if not drawn:
        raise UserError(
            f"{where}: no split contains answers (found: {', '.join(splits)}); use another data set"
        )
    held_out = drawn[0]
    candidates = drawn[-1]
    if len(drawn) == 1:
        dev = min(dev, len(held_out) // 3)
        candidates = held_out[:dev]
        held_out = held_out[dev:]
    held_out = held_out[:test]
    # Stricter than an item needs (the same question with other options is another item): there are
    # plenty of dev items.
    in_test = {normalise(item.question) for item in held_out}
    fresh = [item for item in candidates if normalise(item.question) not in in_test]
    return tuple(fresh[:dev]), tuple(held_out)


def _items(where: str, split: str, rows: Sequence[Row], read: Read) -> Iterator[Item]:
    """The items of a split's rows with answers, in a fixed random order."""
    order = list(range(len(rows)))
    random.Random(0).shuffle(order)
    for i in order:
        try:
            record = read(rows[i])
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            why = f"unexpected columns ({error!r}; found: {', '.join(map(str, rows[i]))})"
            raise UserError(f"{where} row {i}: {why}; check the file") from error
        if record is not None:
            yield parse_item(record, f"{where} row {i}", f"{split}-{i}")


def download(dataset: str, config: str | None) -> Mapping[str, Any]:
    """Split name -> rows of a data set on the hub, from the cache if possible."""
    if not _NAME.fullmatch(dataset):
        raise UserError(f"hub:{dataset}: not the name of a data set; use hub:OWNER/DATASET")
    datasets = optional("datasets", f"hub:{dataset}")
    try:
        return datasets.load_dataset(dataset, config)
    except (OSError, ValueError, RuntimeError) as e:
        raise UserError(
            f"hub:{dataset}: {first_line(e)}; check the name, the configuration and the network"
        ) from e


def read_rows(path: Path) -> dict[str, list[Row]]:
    """Split name -> rows of a JSON or JSONL file or a folder of them, each row with its ``file``.

    Files are named after their splits. Files with other names form one split ``all``; they are
    ignored if there are files with a split, since they repeat the same rows.
    """
    files = sorted(file for file in path.rglob("*") if file.suffix in (".json", ".jsonl"))
    if not files and not path.is_file():
        raise UserError(f"{path}: no .json or .jsonl file found; use the published file or folder")
    splits: dict[str, list[Row]] = {}
    for file in files or [path]:
        if file.suffix == ".jsonl":
            content: Any = [row for _, row in json_lines(file)]
        else:
            content = parsed_json(read_text(file), str(file), unique=False)
        if isinstance(content, Mapping):
            content = content.values()
        split = file.stem if file.stem in SPLIT_ORDER else "all"
        for row in content:
            if not isinstance(row, dict):
                raise UserError(f"{file}: expected objects; use the published file or folder")
            splits.setdefault(split, []).append({**row, "file": str(file)})
    if len(splits) > 1:
        splits.pop("all", None)
    return splits


def read_hub(name: str, dev: int | None, test: int | None, reading: Reading) -> Task:
    """Load ``DATASET[:CONFIG]`` and map its columns; see `draw`."""
    if reading.labels:
        spec = f"{next(iter(reading.labels))}=..."
        raise InvalidOption("columns", spec, ": labels can only be named for a file; remove them")
    dataset, _, config = name.partition(":")
    splits = download(dataset, config or None)
    where = f"hub:{name}"
    drawn = draw(where, splits, _reader(splits, reading.columns, where), dev, test)
    return Task(dataset.rpartition("/")[2], *drawn, source=where)


def _reader(
    splits: Mapping[str, Any], told: Mapping[str, str], where: str, from_zero: bool = False
) -> Read:
    """Returns a reader of rows; numeric answers count classes or options from 0.

    Unless that is known, it shows by a 0 among the answers.
    """
    full = [rows for rows in splits.values() if len(rows)]
    firsts = [FileRow(where, "", rows[0]) for rows in full]
    columns = find_columns(Table(Path(where), firsts), told)
    header = columns.header("answer")
    classes: Sequence[str] | None = None
    for rows in full:
        feature = getattr(rows, "features", {}).get(header)
        classes = getattr(feature, "names", None) or classes
    if not (from_zero or classes):
        answered = [rows for rows in full if header in rows[0]]
        from_zero = any("0" in map(str, rows[header]) for rows in answered)

    def record(row: Row) -> Record | None:
        answer = row.get(header)
        if answer in (None, "", -1, "-1"):
            return None
        found = columns.record(FileRow(where, "", dict(row)))
        options: Any = found["choices"] or classes
        index = isinstance(options, list) and str(answer).isdecimal()
        if index and not (isinstance(answer, str) and answer in options):
            if not (from_zero or classes):
                raise UserError(
                    f'{where}: the choice numbers in "{header}" must start at 0, but none is 0; '
                    "export the answers as letters"
                )
            found["answer"] = ascii_uppercase[: len(options)][int(answer)]
        return {**found, "choices": options}

    return record
