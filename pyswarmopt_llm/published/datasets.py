"""The nine data sets of Model Swarms (Feng et al. 2024, section 3) as their authors publish them.

``published:NAME`` downloads a data set by its hub id; ``published:NAME:PATH`` reads the published
file or folder.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.registry import lookup
from pyswarmopt_llm.published.rows import Record, Row, download, draw, read_rows
from pyswarmopt_llm.scores.tasks.columns import Reading
from pyswarmopt_llm.scores.tasks.types import RawTask

_OPTIONS = 4  # of a knowledge crossword, as in the reference's file


@dataclass(frozen=True)
class Published:
    """A published data set."""

    # question, choices, answer of a row; None: it has no answer
    read: Callable[[Row], Record | None]
    # data set id and configuration; None: published as files only
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


def read_published(spec: str, dev: int | None, test: int | None, reading: Reading) -> RawTask:
    """Read ``NAME`` (from the hub) or ``NAME:PATH`` (a published file, or a folder of them); see
    `draw`.
    """
    name, _, path = spec.partition(":")
    source = lookup("published:", name, PUBLISHED)
    if path:
        splits: Mapping[str, Any] = read_rows(Path(path))
    elif source.hub is not None:
        splits = download(*source.hub)
    else:
        raise UserError(
            f"published:{name}: its authors publish files; give their path: published:{name}:PATH"
        )
    readers = dict.fromkeys(splits, source.record)
    drawn = draw(f"published:{spec}", splits, readers, dev, test)
    return RawTask(name, None, drawn, source.metric)


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
    options = [text for text in row["options"] if text != "N/A"]
    return _record(row["question"], options, row["answer"], domain=row["category"])


def _hellaswag(row: Row) -> Record | None:
    """Zellers et al. 2019: labels are texts on the hub, empty in test; integers in the files."""
    if str(row.get("label", "")) == "":
        return None
    return _record(
        row["ctx"], list(row["endings"]), "ABCD"[int(row["label"])], domain=row["source_id"][:8]
    )


def _gsm8k(row: Row) -> Record:
    """Cobbe et al. 2021: the answer ends with ``#### number``."""
    return {
        "question": row["question"],
        "answer": row["answer"].rsplit("####", 1)[1].strip().replace(",", ""),
    }


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
    facts = "; ".join(
        f"({s}, {r}, {t})"
        for s, r, t in zip(row["source"], row["relation"], row["target"], strict=True)
    )
    blanks, right = row["blanks"], tuple(row["answer_all"])
    wrong = [
        solution for solution in product(*(row["options"][b] for b in blanks)) if solution != right
    ]
    rng = _generator_of(facts)
    texts = [
        "; ".join(f"{blank}: {value}" for blank, value in zip(blanks, solution, strict=True))
        for solution in [right, *rng.sample(wrong, min(_OPTIONS - 1, len(wrong)))]
    ]
    question = (
        f"Pick the answer for each blank that satisfies all the constraints. Constraints: {facts}."
    )
    return _shuffled(question, texts, rng)


def _truthfulqa(row: Row) -> Record:
    """Lin et al. 2022, MC1: one true answer, published as the first of the list."""
    texts, labels = _targets(row["mc1_targets"])
    texts.insert(0, texts.pop(labels.index(1)))
    return _shuffled(row["question"], texts, _generator_of(row["question"]))


def _truthfulqa_mc2(row: Row) -> Record:
    """Lin et al. 2022, MC2: several true answers; ``right`` lists their letters."""
    texts, labels = _targets(row["mc2_targets"])
    pairs = list(zip(texts, labels, strict=True))
    _generator_of(row["question"]).shuffle(pairs)
    right = [chr(ord("A") + i) for i, (_, label) in enumerate(pairs) if label]
    return _record(row["question"], [text for text, _ in pairs], right[0], right="".join(right))


def _real_toxicity_prompts(row: Row) -> Record:
    """Gehman et al. 2020: the beginnings of sentences."""
    text = row["prompt"]["text"] if isinstance(row["prompt"], Mapping) else row["prompt"]
    return {
        "prompt": text,
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
    return _record(question, texts, chr(ord("A") + texts.index(right)))


def _generator_of(text: str) -> random.Random:
    """A generator seeded by the question: the order of its options is always the same."""
    return random.Random(hashlib.sha256(text.encode()).hexdigest())


PUBLISHED: dict[str, Published] = {
    "mmlu": Published(_mmlu, ("cais/mmlu", "all")),
    "mmlu-pro": Published(_mmlu_pro, ("TIGER-Lab/MMLU-Pro", None)),
    "hellaswag": Published(_hellaswag, ("Rowan/hellaswag", None)),
    "gsm8k": Published(_gsm8k, ("openai/gsm8k", "main"), "numeric"),
    "nlgraph": Published(_nlgraph, None, "graph"),
    "knowledge-crosswords": Published(_knowledge_crosswords),
    "truthfulqa": Published(_truthfulqa, ("truthfulqa/truthful_qa", "multiple_choice")),
    "truthfulqa-mc2": Published(
        _truthfulqa_mc2, ("truthfulqa/truthful_qa", "multiple_choice"), "mc2"
    ),
    "realtoxicityprompts": Published(
        _real_toxicity_prompts, ("allenai/real-toxicity-prompts", None), "toxicity"
    ),
    "abstainqa": Published(_abstainqa, ("cais/mmlu", "all"), "abstain"),
}
