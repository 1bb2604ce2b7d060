"""Errors by label: confusion counts, recall of each label, and macro-F1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.common.statistics import Ends, interval
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.scores.tasks.types import Item

RESAMPLES = 2000  # of the bootstrap
SEED = 0
MOST_COLUMNS = 12  # most labels of a matrix on a page
Array = NDArray[Any]


class LabelRow(NamedTuple):
    """A label: how many of its items were found, and the labels the others got, commonest first."""

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
        recall: share of each label's items that got it; None for a label without items.
        recall_intervals: Wilson 95% intervals.
        macro_f1: mean F1 of all labels that are right or chosen somewhere.
        macro_f1_interval: 95% percentile bootstrap interval over items.
    """

    labels: list[str]
    counts: list[list[int]]
    unclear: list[int]
    recall: list[float | None]
    recall_intervals: list[Ends | None]
    macro_f1: float
    macro_f1_interval: Ends

    @property
    def matrix(self) -> bool:
        """Whether there are few enough labels for one column each."""
        return len(self.labels) <= MOST_COLUMNS

    @property
    def rows(self) -> list[LabelRow]:
        """The labels with items, the commonest first."""
        rows = []
        for place, (label, share, ends) in enumerate(
            zip(self.labels, self.recall, self.recall_intervals, strict=True)
        ):
            if share is not None and ends is not None:
                given = Counter(dict(zip(self.labels, self.counts[place], strict=True)))
                found = given.pop(label)
                n = found + given.total() + self.unclear[place]
                rows.append(LabelRow(label, found, n, share, ends, (+given).most_common()))
        return sorted(rows, key=lambda row: -row.n)


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
        questions: question number of each item, if some repeat: repeated items are resampled
            together.

    Example:
        >>> found = label_errors(["card", "loan"], [0, 0, 0, 1], [0, 0, 1, 1])
        >>> found.counts, found.recall[1], round(found.macro_f1, 3)
        ([[2, 1], [0, 1]], 1.0, 0.733)
    """
    n = len(labels)
    truth = np.array(right)
    given = np.array(chosen)
    asked = np.array(questions or range(len(truth)))
    counts = _confusion(truth, given, np.ones(len(truth)), n)
    recall: list[float | None] = []
    ends: list[Ends | None] = []
    for label in range(n):
        own = truth == label
        found = (given[own] == label).astype(float).tolist()
        if not found:
            recall.append(None)
            ends.append(None)
            continue
        recall.append(float(np.mean(found)))
        ends.append(interval(found, scale=(0.0, 1.0), questions=asked[own].tolist()))
    rng = np.random.default_rng(SEED)
    asked_once = np.full(asked.max() + 1, 1 / (asked.max() + 1))
    drawn = rng.multinomial(len(asked_once), asked_once, RESAMPLES)  # bootstrap (Efron 1979)
    resampled = [_macro_f1(_confusion(truth, given, times[asked], n)) for times in drawn]
    low, high = np.quantile(resampled, (0.025, 0.975))
    return LabelErrors(
        labels=list(labels),
        counts=counts[:, :n].astype(int).tolist(),
        unclear=counts[:, n].astype(int).tolist(),
        recall=recall,
        recall_intervals=ends,
        macro_f1=_macro_f1(counts),
        macro_f1_interval=(float(low), float(high)),
    )


def _confusion(right: Array, chosen: Array, weights: Array, n: int) -> Array:
    """Weighted counts of each right label (row) and chosen label (column; the last one: none)."""
    return np.bincount(right * (n + 1) + chosen, weights, n * (n + 1)).reshape(n, n + 1)


def _macro_f1(counts: Array) -> float:
    """Mean F1 of the labels that occur."""
    total = counts.sum(axis=1) + counts.sum(axis=0)[:-1]
    occurs = total > 0
    if occurs.any():
        return float((2 * np.diag(counts)[occurs] / total[occurs]).mean())
    return 0.0
