"""The nine data sets of Model Swarms (Feng et al. 2024, section 3) in their authors' formats, and
others on the hub.

``published:NAME`` downloads a data set by its hub id; ``published:NAME:PATH`` reads the published
file or folder. ``hub:DATASET`` maps the columns of any data set.
"""

from __future__ import annotations

import csv
import hashlib
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption, UserError, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.json_types import parse_json
from pyswarmopt_llm.common.registry import lookup
from pyswarmopt_llm.scores.tasks.columns import (
    ANSWER,
    Reading,
    check_names,
    find_columns,
    first_of,
    in_other_case,
    renamed,
)
from pyswarmopt_llm.scores.tasks.items import normalise, parse_item
from pyswarmopt_llm.scores.tasks.table import FileRow, Table, json_lines, read_text
from pyswarmopt_llm.scores.tasks.types import DEV, SPLITS, TEST, Item, Task

Row = Mapping[str, Any]
Record = dict[str, Any]
ToRecord = Callable[[Row, str], Record | None]
_OPTIONS = 4  # options of a knowledge crossword, as in the reference's file
# Of the splits with answers, the first in this order becomes test and the second dev.
SPLIT_ORDER = ("test", "validation", "val", "valid", "dev", "train")
_SPLIT = re.compile(r"(?<![a-z])(test|validation|valid|val|dev|train)(?![a-z])")
_SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")
# The hub's own rule: letters, digits, ., - and _; no path.
_NAME = re.compile(r"(?:[\w][\w.-]*/)?[\w][\w.-]*", re.ASCII)
_INDEX = re.compile("[0-9]{1,2}")  # label of an option
_NONE = (None, "", -1, "-1")  # in place of an answer


@dataclass(frozen=True)
class DataSet:
    """A published data set."""

    # a row's question, choices and answer; None: the row has no answer
    read: Callable[[Row], Record | None]
    # data set id and configuration; None: published only as files
    hub: tuple[str, str | None] | None = None
    metric: str | None = None  # default: accuracy

    def record(self, row: Row, where: str) -> Record | None:
        """The record of a row."""
        try:
            return self.read(row)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            columns = ", ".join(map(str, row)) if isinstance(row, Mapping) else type(row).__name__
            text = f"not a row of this data set ({error!r}; found: {columns}); check the file"
            raise UserError(f"{where}: {text}") from error


def read_published(spec: str, dev: int | None, test: int | None, reading: Reading) -> Task:
    """Read ``NAME`` (from the hub) or ``NAME:PATH`` (published file or folder); see `draw`."""
    name, _, path = spec.partition(":")
    source = lookup("published:", name, PUBLISHED)
    if path:
        splits: Mapping[str, Any] = read_rows(Path(path))
    elif source.hub is not None:
        splits = download(*source.hub)
    else:
        advice = f"its authors publish files; give their path: published:{name}:PATH"
        raise UserError(f"published:{name}: {advice}")
    readers = dict.fromkeys(splits, source.record)
    where = f"published:{spec}"
    return Task(name, *draw(where, splits, readers, dev, test), source=where, metric=source.metric)


# One function per data set


def _mmlu(row: Row) -> Record:
    """Hendrycks et al. 2021: rows of the hub, or of CSV files without a header."""
    if "choices" in row:
        answer = row["answer"]
        letter = "ABCD"[answer] if isinstance(answer, int) else answer
        return _record(row["question"], list(row["choices"]), letter, domain=row["subject"])
    question, *choices, answer = row["columns"]
    return _record(question, choices, answer, domain=Path(row["file"]).stem)


def _mmlu_pro(row: Row) -> Record:
    """Wang et al. 2024: up to ten options, some padded with N/A."""
    right = dict(zip(ascii_uppercase, row["options"], strict=False))[row["answer"]]
    options = [text for text in row["options"] if text != "N/A"]
    letter = ascii_uppercase[options.index(right)]
    return _record(row["question"], options, letter, domain=row["category"])


def _hellaswag(row: Row) -> Record | None:
    """Zellers et al. 2019: on the hub labels are texts, empty in test; in the files integers."""
    label = str(row.get("label", ""))
    if not label:
        return None
    letter = "ABCD"[int(label)]
    return _record(row["ctx"], list(row["endings"]), letter, domain=row["source_id"][:8])


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
        "difficulty": row.get("difficulty"),
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
    texts, labels = _targets(row["mc1_targets"])
    texts.insert(0, texts.pop(labels.index(1)))
    return _shuffled(row["question"], texts, _generator_of(row["question"]))


def _truthfulqa_mc2(row: Row) -> Record:
    """Lin et al. 2022, MC2: several true answers; ``right`` lists their letters."""
    texts, labels = _targets(row["mc2_targets"])
    pairs = list(dict(zip(texts, labels, strict=True)).items())  # no text twice
    _generator_of(row["question"]).shuffle(pairs)
    right = "".join(ascii_uppercase[i] for i, (_, label) in enumerate(pairs) if label)
    return _record(row["question"], [text for text, _ in pairs], right[0], right=right)


def _real_toxicity_prompts(row: Row) -> Record:
    """Gehman et al. 2020: the beginnings of sentences."""
    prompt = row["prompt"]
    return {
        "prompt": prompt["text"] if isinstance(prompt, Mapping) else prompt,
        "domain": "challenging" if row.get("challenging") else "not_challenging",
    }


def _abstainqa(row: Row) -> Record:
    """Feng et al. 2024, arXiv 2402.00367: records with lettered choices, or rows of MMLU."""
    if isinstance(row.get("choices"), Mapping):
        return _record(row["question"], dict(row["choices"]), row["answer"])
    return _mmlu(row)


def _record(question: str, choices: list[str] | dict[str, str], answer: str, **meta: str) -> Record:
    return {"question": question, "choices": choices, "answer": answer, **meta}


def _targets(targets: Row) -> tuple[list[str], list[int]]:
    """Texts and labels, from the hub's two lists or the files' mapping of text to label."""
    if targets.keys() == {"choices", "labels"}:
        return list(targets["choices"]), list(targets["labels"])
    return list(targets), list(targets.values())


def _shuffled(question: str, texts: list[str], rng: random.Random) -> Record:
    """A record with options in random order; the first of `texts` is right."""
    right = texts[0]
    rng.shuffle(texts)
    return _record(question, texts, ascii_uppercase[texts.index(right)])


def _generator_of(text: str) -> random.Random:
    """A generator seeded by the question, so that its options always have the same order."""
    return random.Random(hashlib.sha256(text.encode()).hexdigest())


_TRUTHFUL = ("truthfulqa/truthful_qa", "multiple_choice")
_TOXIC = ("allenai/real-toxicity-prompts", None)
PUBLISHED: dict[str, DataSet] = {
    "mmlu": DataSet(_mmlu, ("cais/mmlu", "all")),
    "mmlu-pro": DataSet(_mmlu_pro, ("TIGER-Lab/MMLU-Pro", None)),
    "hellaswag": DataSet(_hellaswag, ("Rowan/hellaswag", None)),
    "gsm8k": DataSet(_gsm8k, ("openai/gsm8k", "main"), "numeric"),
    "nlgraph": DataSet(_nlgraph, None, "graph"),
    "knowledge-crosswords": DataSet(_knowledge_crosswords),
    "truthfulqa": DataSet(_truthfulqa, _TRUTHFUL),
    "truthfulqa-mc2": DataSet(_truthfulqa_mc2, _TRUTHFUL, "mc2"),
    "realtoxicityprompts": DataSet(_real_toxicity_prompts, _TOXIC, "toxicity"),
    "abstainqa": DataSet(_abstainqa, ("cais/mmlu", "all"), "abstain"),
}


def draw(
    where: str,
    splits: Mapping[str, Sequence[Row]],
    readers: Mapping[str, ToRecord],
    dev: int | None,
    test: int | None,
) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Dev and test of the splits with answers, each in a fixed random order: many are sorted by
    answer.

    A single split with answers is divided, with at most a third for dev. Dev questions that also
    occur in test are dropped.

    Args:
        where: start of messages.
        splits: name -> rows.
        readers: name -> function from a row and its location to a record for `parse_item`; None: no
            answer.
        dev: number of dev items, by default 200 as in the paper.
        test: number of test items, by default 1,000.
    """
    dev = dev or DEV
    test = test or TEST
    answered = [
        split
        for split, rows in splits.items()
        if len(rows) and readers[split](rows[0], f"{where}: {split} row 0") is not None
    ]
    answered = [split for split in SPLIT_ORDER if split in answered] or answered
    if not answered:
        found = ", ".join(splits)
        raise UserError(f"{where}: no split with answers (found: {found}); export one to a file")
    drawn = [_items(where, split, splits[split], readers[split]) for split in answered[:2]]
    if len(drawn) > 1:
        held_out = list(islice(drawn[0], test))
        candidates = drawn[1]
    else:
        everything = list(islice(drawn[0], dev + test))
        dev = min(dev, len(everything) // 3)
        held_out = everything[dev:]
        candidates = iter(everything[:dev])
    # Stricter than an item needs (the same question with other options is another item): there are
    # plenty of dev items.
    in_test = {normalise(item.question) for item in held_out}
    fresh = (item for item in candidates if normalise(item.question) not in in_test)
    return tuple(islice(fresh, dev)), tuple(held_out)


def _items(where: str, split: str, rows: Sequence[Row], read: ToRecord) -> Iterator[Item]:
    """The items of a split's rows with answers, in a fixed random order."""
    order = list(range(len(rows)))
    random.Random(0).shuffle(order)
    for i in order:
        location = f"{where}: {split} row {i}"
        record = read(rows[i], location)
        if record is not None:
            yield parse_item(record, location, f"{split}-{i}")


def download(dataset: str, config: str | None) -> Mapping[str, Any]:
    """Split name -> rows of a data set on the hub, from the cache if possible."""
    if not _NAME.fullmatch(dataset):
        raise UserError(
            f"hub:{dataset}: not the name of a data set; write hub:DATASET or hub:OWNER/DATASET"
        )
    datasets = optional("datasets", f"hub:{dataset}")
    try:
        loaded: Mapping[str, Any] = datasets.load_dataset(dataset, config)
    except (OSError, ValueError, RuntimeError) as e:
        raise UserError(
            f"hub:{dataset}: {first_line(e)}; check the name, the configuration and the network"
        ) from e
    return loaded


def read_rows(path: Path) -> dict[str, list[Row]]:
    """Split name -> rows of a JSON, JSONL, CSV or Parquet file or a folder of them, each row with
    its ``file``.

    File and folder names give the splits. A single file, or files without a split in their names,
    form one split ``all``; beside files with a split they are ignored, being unions of the others.
    """
    files = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
    if not files and not path.is_file():
        raise UserError(
            f"{path}: no {', '.join(_SUFFIXES)} file there; give the published file or folder"
        )
    splits: dict[str, list[Row]] = {}
    for file in files or [path]:
        content = _read(file)
        match = _SPLIT.search(str(file.relative_to(path)).lower())
        parts = {match[1] if match else "all": content}
        if isinstance(content, Mapping) and content.keys() >= set(SPLITS):
            parts = {name: content[name] for name in SPLITS}
        for name, rows in parts.items():
            records = list(rows.values() if isinstance(rows, Mapping) else rows)
            if not all(isinstance(row, dict) for row in records):
                why = "not a table of rows; give the file as its authors publish it"
                raise UserError(f"{file}: {why}")
            splits.setdefault(name, []).extend({**row, "file": str(file)} for row in records)
    if len(splits) > 1:
        splits.pop("all", None)
    return splits


def _read(file: Path) -> Any:
    try:
        if file.suffix == ".parquet":
            return optional("pyarrow.parquet", str(file)).read_table(file).to_pylist()
        if file.suffix == ".jsonl":
            return [row for _, row in json_lines(file)]
        text = read_text(file)
        if file.suffix == ".csv":
            # MMLU's files have no header, so a row is a list of values.
            return [{"columns": row} for row in csv.reader(text.splitlines(keepends=True))]
        return parse_json(text)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"{file}: cannot be read ({error}); give the file as its authors publish it"
        ) from error


def read_hub(name: str, dev: int | None, test: int | None, reading: Reading) -> Task:
    """Load ``DATASET[:CONFIG]`` and map its columns; see `draw`."""
    if reading.labels:
        spec = f"{next(iter(reading.labels))}=..."
        raise InvalidOption("columns", spec, "names the labels of a file only; remove it")
    dataset, _, config = name.partition(":")
    splits = download(dataset, config or None)
    readers = {
        split: _reader(rows, reading.columns, f"hub:{name}: {split}")
        for split, rows in splits.items()
    }
    drawn = draw(f"hub:{name}", splits, readers, dev, test)
    return Task(dataset.rpartition("/")[2], *drawn, source=f"hub:{name}")


def _reader(rows: Any, told: Mapping[str, str], where: str) -> ToRecord:
    """Returns a reader of a split's rows; numeric answers count classes or options from 0."""
    check_names(told, rows.column_names, where)
    spelt = in_other_case(rows.column_names, told)
    if not first_of(ANSWER, (*renamed(dict.fromkeys(rows.column_names), told), *spelt)):
        return lambda row, location: None
    columns = find_columns(Table(Path(where), rows.column_names, ()), told)
    header = columns.header("answer")
    classes: Sequence[str] | None = getattr(rows.features[header], "names", None)
    from_zero = classes is not None or "0" in map(str, rows[header])

    def record(row: Mapping[str, Any], location: str) -> Record | None:
        if row[header] in _NONE:
            return None
        located = FileRow(location, "", row)
        columns.check(located, (columns.question,))
        found = columns.record(located)
        choices = found["choices"] or classes
        answer = str(found["answer"])
        is_text = isinstance(found["answer"], str) and answer in (choices or ())
        if isinstance(choices, list) and not is_text and _INDEX.fullmatch(answer):
            if not from_zero:
                raise UserError(
                    f'{where}: the numbers in "{header}" count the options from 0, and none is 0; '
                    "export the data set with the letters of the right options"
                )
            if int(answer) < len(choices):
                answer = ascii_uppercase[int(answer)]
            found["answer"] = answer
        return {**found, "choices": choices}

    return record
