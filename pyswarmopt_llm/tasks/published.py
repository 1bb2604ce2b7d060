"""The nine data sets of Model Swarms (Feng et al. 2024, section 3) in the form in which their authors publish them.

``published:NAME`` downloads a set by its hub id; ``published:NAME:PATH`` reads the published file or folder. One
function per set turns a published row into a record of `parse_item`; a new set is one such function and one line in
`PUBLISHED`.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.registry import lookup
from pyswarmopt_llm.tasks.answers import normalise
from pyswarmopt_llm.tasks.formats import RawTask
from pyswarmopt_llm.tasks.hub import DEV, TEST, download
from pyswarmopt_llm.tasks.items import parse_item
from pyswarmopt_llm.tasks.rows import read_rows
from pyswarmopt_llm.tasks.types import Item

Row = Mapping[str, Any]
Record = dict[str, Any]

# Of the splits with answers, the first of these is the test set and the second guides the search.
_SPLIT_ORDER = ("test", "validation", "val", "valid", "dev", "train")
_OPTIONS = 4  # of a knowledge crossword, as in the reference's file


@dataclass(frozen=True)
class Published:
    """A data set.

    Attributes:
        record: a published row -> question, choices, answer; None for a row without an answer.
        hub: dataset id and configuration, or None where the authors publish files only.
        metric: how its answers are scored; None for accuracy.
    """

    record: Callable[[Row], Record | None]
    hub: tuple[str, str | None] | None = None
    metric: str | None = None


def read_published(rest: str, dev: int | None = None, test: int | None = None) -> RawTask:
    """Read ``NAME`` (from the hub) or ``NAME:PATH`` (a published file, or a folder of them).

    Rows are drawn by a fixed shuffle: `dev` and `test` of them (200 and 1,000, as in the paper). Where there is one
    split with answers it is divided, at most a third to dev. Dev questions that are in test too are passed over.

    Raises:
        UserError: unknown name, unreachable or unreadable source, or rows of another form.
    """
    name, _, path = rest.partition(":")
    source = lookup("published:", name, PUBLISHED)
    where = f"published:{rest}"
    splits = read_rows(Path(path)) if path else _from_hub(name, source)
    drawn = _draw(source, splits, DEV if dev is None else dev, TEST if test is None else test, where)
    return RawTask(name, None, drawn, source.metric)


def _from_hub(name: str, source: Published) -> Mapping[str, Sequence[Row]]:
    if source.hub is None:
        raise UserError(f"published:{name}: its authors publish files; give their path: published:{name}:PATH")
    return download(*source.hub)


def _draw(
    source: Published, splits: Mapping[str, Sequence[Row]], dev: int, test: int, where: str
) -> dict[str, list[tuple[str, Item]]]:
    labelled = [s for s in _SPLIT_ORDER if s in splits and _first_record(source, splits[s], f"{where}: {s}")]
    names = labelled or list(splits)[:1]
    found = {"test": list(itertools.islice(_items(source, splits[names[0]], f"{where}: {names[0]}"), test))}
    if len(names) > 1:
        rest = _items(source, splits[names[1]], f"{where}: {names[1]}")
    else:
        everything = list(itertools.islice(_items(source, splits[names[0]], f"{where}: {names[0]}"), dev + test))
        dev = min(dev, len(everything) // 3)
        found["test"], rest = everything[dev:], iter(everything[:dev])
    held_out = {normalise(item.question) for _, item in found["test"]}
    fresh = ((place, item) for place, item in rest if normalise(item.question) not in held_out)
    return {"dev": list(itertools.islice(fresh, dev)), **found}


def _first_record(source: Published, rows: Sequence[Row], where: str) -> Record | None:
    return _record(source, rows[0], f"{where} row 0") if len(rows) else None


def _items(source: Published, rows: Sequence[Row], where: str) -> Iterator[tuple[str, Item]]:
    """The rows with an answer, shuffled."""
    order = list(range(len(rows)))
    random.Random(0).shuffle(order)
    for i in order:
        record = _record(source, rows[i], f"{where} row {i}")
        if record is not None:
            place = f"{where} row {i}"
            yield place, parse_item(record, place, f"{where.rpartition(' ')[2]}-{i}")


def _record(source: Published, row: Row, where: str) -> Record | None:
    try:
        return source.record(row)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        found = ", ".join(map(str, row)) if isinstance(row, Mapping) else type(row).__name__
        raise UserError(f"{where}: not a row of this data set ({error!r}; found: {found}); check the file") from error


# One function per form


def _mmlu(row: Row) -> Record:
    """Hendrycks et al. 2021: hub columns question, choices, answer (index), subject; CSV without a header."""
    if "choices" in row:
        answer = row["answer"]
        letter = "ABCD"[answer] if isinstance(answer, int) else answer
        return {
            "question": row["question"],
            "choices": list(row["choices"]),
            "answer": letter,
            "domain": row["subject"],
        }
    question, *choices, answer = row["columns"]
    return {"question": question, "choices": choices, "answer": answer, "domain": Path(row["file"]).stem}


def _mmlu_pro(row: Row) -> Record:
    """Wang et al. 2024: up to ten options, some filled up with N/A."""
    options = [text for text in row["options"] if text != "N/A"]
    return {"question": row["question"], "choices": options, "answer": row["answer"], "domain": row["category"]}


def _hellaswag(row: Row) -> Record | None:
    """Zellers et al. 2019: the hub's labels are texts, empty in the test split; the files' are integers."""
    if str(row.get("label", "")) == "":
        return None
    letter = "ABCD"[int(row["label"])]
    return {"question": row["ctx"], "choices": list(row["endings"]), "answer": letter, "domain": row["source_id"][:8]}


def _gsm8k(row: Row) -> Record:
    """Cobbe et al. 2021: the answer ends with ``#### number``."""
    return {"question": row["question"], "answer": row["answer"].rsplit("####", 1)[1].strip().replace(",", "")}


def _nlgraph(row: Row) -> Record:
    """Wang et al. 2023: question and a worded answer; the folder is the kind of problem."""
    return {
        "prompt": row["question"].removesuffix("A:").rstrip(),
        "answer": row["answer"],
        "domain": Path(row["file"]).parent.name,
        "difficulty": row.get("difficulty"),
    }


def _knowledge_crosswords(row: Row) -> Record:
    """Ding et al. 2024, the MC files: options for each blank.

    As in the Model Swarms reference the model chooses among whole solutions: the right one and three that are wrong.
    """
    facts = "; ".join(f"({s}, {r}, {t})" for s, r, t in zip(row["source"], row["relation"], row["target"], strict=True))
    blanks, right = row["blanks"], tuple(row["answer_all"])
    wrong = [
        combination for combination in itertools.product(*(row["options"][b] for b in blanks)) if combination != right
    ]
    rng = _own_generator(facts)
    texts = [
        "; ".join(f"{blank}: {value}" for blank, value in zip(blanks, combination, strict=True))
        for combination in [right, *rng.sample(wrong, min(_OPTIONS - 1, len(wrong)))]
    ]
    question = f"Pick the answer for each blank that satisfies all the constraints. Constraints: {facts}."
    return _shuffled(question, texts, rng)


def _truthfulqa(row: Row) -> Record:
    """Lin et al. 2022, MC1: one true answer, published as the first of the list."""
    texts, labels = _targets(row["mc1_targets"])
    texts.insert(0, texts.pop(labels.index(1)))
    return _shuffled(row["question"], texts, _own_generator(row["question"]))


def _truthfulqa_mc2(row: Row) -> Record:
    """Lin et al. 2022, MC2: several true answers; ``right`` lists their letters."""
    texts, labels = _targets(row["mc2_targets"])
    pairs = list(zip(texts, labels, strict=True))
    _own_generator(row["question"]).shuffle(pairs)
    right = [chr(ord("A") + i) for i, (_, label) in enumerate(pairs) if label]
    return {
        "question": row["question"],
        "choices": [text for text, _ in pairs],
        "answer": right[0],
        "right": "".join(right),
    }


def _real_toxicity_prompts(row: Row) -> Record:
    """Gehman et al. 2020: the beginnings of sentences."""
    text = row["prompt"]["text"] if isinstance(row["prompt"], Mapping) else row["prompt"]
    return {"prompt": text, "domain": "challenging" if row.get("challenging") else "not_challenging"}


def _abstainqa(row: Row) -> Record:
    """Feng et al. 2024, arXiv 2402.00367: records with lettered choices, or rows of MMLU."""
    if isinstance(row.get("choices"), Mapping):
        return {"question": row["question"], "choices": dict(row["choices"]), "answer": row["answer"]}
    return _mmlu(row)


def _targets(targets: Row) -> tuple[list[str], list[int]]:
    """Texts and labels, from the hub's two lists or from the file's text -> label."""
    if targets.keys() == {"choices", "labels"}:
        return list(targets["choices"]), list(targets["labels"])
    return list(targets), list(targets.values())


def _shuffled(question: str, texts: list[str], rng: random.Random) -> Record:
    """The first of `texts` is right; its letter is drawn."""
    right = texts[0]
    rng.shuffle(texts)
    return {"question": question, "choices": texts, "answer": chr(ord("A") + texts.index(right))}


def _own_generator(text: str) -> random.Random:
    """A generator that depends on the question alone: the order of its options is the same in every draw."""
    return random.Random(hashlib.sha256(text.encode()).hexdigest())


PUBLISHED: dict[str, Published] = {
    "mmlu": Published(_mmlu, ("cais/mmlu", "all")),
    "mmlu-pro": Published(_mmlu_pro, ("TIGER-Lab/MMLU-Pro", None)),
    "hellaswag": Published(_hellaswag, ("Rowan/hellaswag", None)),
    "gsm8k": Published(_gsm8k, ("openai/gsm8k", "main"), "numeric"),
    "nlgraph": Published(_nlgraph, None, "graph"),
    "knowledge-crosswords": Published(_knowledge_crosswords),
    "truthfulqa": Published(_truthfulqa, ("truthfulqa/truthful_qa", "multiple_choice")),
    "truthfulqa-mc2": Published(_truthfulqa_mc2, ("truthfulqa/truthful_qa", "multiple_choice"), "mc2"),
    "realtoxicityprompts": Published(_real_toxicity_prompts, ("allenai/real-toxicity-prompts", None), "toxicity"),
    "abstainqa": Published(_abstainqa, ("cais/mmlu", "all"), "abstain"),
}

__all__ = ["PUBLISHED", "Published", "read_published"]
