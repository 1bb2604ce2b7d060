"""Errors by label: confusion counts, recall of each label, and macro-F1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.common.statistics import Ends, interval
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.scores.tasks.types import Item

RESAMPLES = 2000  # of the bootstrap
SEED = 0
MOST_COLUMNS = 12  # most labels of a matrix on a page
Integers = NDArray[np.int64]


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
        columns = (self.labels, self.counts, self.unclear, self.recall, self.recall_intervals)
        for label, counts, unclear, share, ends in zip(*columns, strict=True):
            if share is None or ends is None:
                continue
            given = dict(zip(self.labels, counts, strict=True))
            n = sum(counts) + unclear
            found = given.pop(label)
            rows.append(LabelRow(label, found, n, share, ends, (+Counter(given)).most_common()))
        return sorted(rows, key=lambda row: -row.n)


def errors_by_label(items: Sequence[Item], answers: Sequence[str]) -> LabelErrors | None:
    """A model's errors by label.

    Args:
        items: questions with answers.
        answers: for each item, the letter of an option or a text that names one.

    Returns:
        None if items have no options, different options, or no answer.
    """
    choices = items[0].choices if items and answers else None
    if not choices or any(item.choices != choices or not item.answer for item in items):
        return None
    from pyswarmopt_llm.scores.tasks.answers import extract_choice

    letters = list(choices)
    right = [letters.index(item.answer) for item in items]
    chosen = []
    for answer in answers:
        letter = answer if answer in choices else extract_choice(answer, choices)
        chosen.append(len(letters) if letter is None else letters.index(letter))
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
    truth = np.array(right, dtype=int)
    given = np.array(chosen, dtype=int)
    asked = np.array(questions or range(len(truth)), dtype=int)
    counts = np.zeros((n, n + 1), dtype=int)
    np.add.at(counts, (truth, given), 1)
    recall: list[float | None] = []
    ends: list[Ends | None] = []
    for label in range(n):
        own = truth == label
        found = (given[own] == label).astype(float).tolist()
        recall.append(sum(found) / len(found) if found else None)
        of_each = asked[own].tolist() if questions else None
        ends.append(interval(found, scale=(0.0, 1.0), questions=of_each) if found else None)
    low, high = np.quantile(_resampled(truth, given, asked, n), (0.025, 0.975))
    return LabelErrors(
        labels=list(labels),
        counts=counts[:, :n].tolist(),
        unclear=counts[:, n].tolist(),
        recall=recall,
        recall_intervals=ends,
        macro_f1=_macro_f1(truth, given, np.ones(len(truth), dtype=int), n),
        macro_f1_interval=(float(low), float(high)),
    )


def _macro_f1(right: Integers, chosen: Integers, weights: Integers, n: int) -> float:
    """Mean F1 of the labels that occur, of `n`, with a weight for each item."""
    hits = np.bincount(right, weights * (right == chosen), n)[:n]
    total = np.bincount(right, weights, n)[:n] + np.bincount(chosen, weights, n)[:n]
    occurs = total > 0
    return float((2 * hits[occurs] / total[occurs]).mean()) if occurs.any() else 0.0


def _resampled(right: Integers, chosen: Integers, questions: Integers, n: int) -> list[float]:
    """Macro-F1 of bootstrap samples of questions (Efron 1979)."""
    rng = np.random.default_rng(SEED)
    count = int(questions.max()) + 1
    shares = np.full(count, 1 / count)
    return [
        _macro_f1(right, chosen, rng.multinomial(count, shares)[questions], n)
        for _ in range(RESAMPLES)
    ]
