"""Errors by label: confusion counts, recall of each label, and macro-F1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pyswarmopt_llm.common.statistics import Ends, interval
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.scores.tasks.types import Item


@dataclass(frozen=True)
class LabelRow:
    """A label: how many of its items were found, their share with a Wilson 95% interval, and the labels
    given to its other items, most frequent first.
    """

    label: str
    found: int
    n: int
    recall: float
    interval: Ends
    taken_for: list[tuple[str, int]]


@dataclass(frozen=True)
class LabelErrors:
    """A model's answers to items with one set of labels.

    Attributes:
        labels: labels in the order of the choices.
        counts: how often each label was chosen, for each right label.
        unclear: how often no label was chosen, for each right label.
        rows: the labels with items, the commonest first.
        macro_f1: mean F1 of all labels that are right or chosen somewhere.
    """

    labels: list[str]
    counts: list[list[int]]
    unclear: list[int]
    rows: list[LabelRow]
    macro_f1: float


def errors_by_label(items: Sequence[Item], answers: Sequence[str]) -> LabelErrors | None:
    """A model's errors by label.

    Args:
        items: questions with answers.
        answers: for each item, the letter of an option or a text that names one.

    Returns:
        None if items have no options, different options, or no answer.
    """
    if not items or not answers:
        return None
    choices = items[0].choices
    if not choices or any(item.choices != choices or not item.answer for item in items):
        return None
    from pyswarmopt_llm.scores.tasks.answers import extract_choice

    place = [*choices, None].index
    named = (text if text in choices else extract_choice(text, choices) for text in answers)
    right = [place(item.answer) for item in items]
    return label_errors(items[0].options, right, list(map(place, named)), repeated(items))


def label_errors(
    labels: Sequence[str],
    right: Sequence[int],
    chosen: Sequence[int],
    questions: Sequence[int] = (),
) -> LabelErrors:
    """Errors by label.

    Args:
        labels: names of the labels.
        right: index of each item's right label.
        chosen: index of each item's chosen label; `len(labels)`: none.
        questions: question number of each item, if some repeat, see `interval`.

    Example:
        >>> found = label_errors(["card", "loan"], [0, 0, 0, 1], [0, 0, 1, 1])
        >>> found.counts, found.rows[1].recall, round(found.macro_f1, 3)
        ([[2, 1], [0, 1]], 1.0, 0.733)
    """
    n = len(labels)
    counts = np.zeros((n, n + 1), dtype=int)
    np.add.at(counts, (right, chosen), 1)
    asked = questions or range(len(right))
    rows = []
    for place, label in enumerate(labels):
        own = [number for number, each in enumerate(right) if each == place]
        if own:
            found = [float(chosen[number] == place) for number in own]
            ends = interval(found, scale=(0.0, 1.0), questions=[asked[number] for number in own])
            taken = Counter(dict(zip(labels, counts[place].tolist(), strict=False)))
            hits = taken.pop(label)
            others = (+taken).most_common()
            rows.append(LabelRow(label, hits, len(own), hits / len(own), ends, others))
    total = counts.sum(axis=1) + counts.sum(axis=0)[:-1]
    f1 = 2 * np.diag(counts)[total > 0] / total[total > 0]
    return LabelErrors(
        labels=list(labels),
        counts=counts[:, :n].tolist(),
        unclear=counts[:, n].tolist(),
        rows=sorted(rows, key=lambda row: -row.n),
        macro_f1=float(f1.mean()),
    )
