"""Errors by label: confusion counts, recall of each label, and macro-F1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.common.statistics import Ends, interval
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.scores.tasks.types import Item

MOST_COLUMNS = 12  # most labels of a matrix on a page
Array = NDArray[Any]


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

    @property
    def matrix(self) -> bool:
        """Whether there are few enough labels for one column each."""
        return len(self.labels) <= MOST_COLUMNS


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

    letters = list(choices)
    right = [letters.index(item.answer) for item in items]
    chosen = []
    for answer in answers:
        letter = answer if answer in choices else extract_choice(answer, choices)
        chosen.append((*letters, None).index(letter))
    return label_errors(items[0].options, right, chosen, repeated(items))


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
    truth = np.array(right)
    given = np.array(chosen)
    asked = np.array(questions or range(len(truth)))
    counts = np.bincount(truth * (n + 1) + given, minlength=n * (n + 1)).reshape(n, n + 1)
    rows = []
    for place, label in enumerate(labels):
        own = truth == place
        found = (given[own] == place).astype(float).tolist()
        if found:
            ends = interval(found, scale=(0.0, 1.0), questions=asked[own].tolist())
            taken = Counter(dict(zip(labels, counts[place].tolist(), strict=False)))
            right_ones = taken.pop(label)
            share = right_ones / len(found)
            rows.append(
                LabelRow(label, right_ones, len(found), share, ends, (+taken).most_common())
            )
    return LabelErrors(
        labels=list(labels),
        counts=counts[:, :n].tolist(),
        unclear=counts[:, n].tolist(),
        rows=sorted(rows, key=lambda row: -row.n),
        macro_f1=_macro_f1(counts),
    )


def _macro_f1(counts: Array) -> float:
    """Mean F1 of the labels that occur."""
    total = counts.sum(axis=1) + counts.sum(axis=0)[:-1]
    occurs = total > 0
    return float((2 * np.diag(counts)[occurs] / total[occurs]).mean())
