"""Errors by label: confusion counts, recall of each label, and macro-F1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt_llm.common.statistics import Ends, interval
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.scores.tasks.types import Item

RESAMPLES = 2000  # of the bootstrap
SEED = 0
MOST_COLUMNS = 12  # most labels of a matrix on a page


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
        for k, label in enumerate(self.labels):
            share = self.recall[k]
            ends = self.recall_intervals[k]
            if share is None or ends is None:
                continue
            found = self.counts[k][k]
            others = [
                (other, count)
                for other, count in zip(self.labels, self.counts[k], strict=True)
                if count and other != label
            ]
            taken_for = sorted(others, key=lambda pair: -pair[1])
            n = sum(self.counts[k]) + self.unclear[k]
            rows.append(LabelRow(label, found, n, share, ends, taken_for))
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
    if not choices or any(item.choices != choices for item in items):
        return None
    if any(item.answer not in choices for item in items):
        return None
    letters = list(choices)
    places = {letter: place for place, letter in enumerate(letters)}
    right = [places[item.answer] for item in items]
    chosen = [_place(answer, choices, places) for answer in answers]
    return label_errors(list(choices.values()), right, chosen, repeated(items))


def _place(answer: str, choices: Mapping[str, str], places: Mapping[str, int]) -> int:
    """The index of the option that an answer names; `len(choices)` if it names none."""
    if answer in places:
        return places[answer]
    from pyswarmopt_llm.scores.tasks.answers import extract_choice

    letter = extract_choice(answer, choices)
    return len(places) if letter is None else places[letter]


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
    counts = np.zeros((n, n + 1), dtype=int)
    np.add.at(counts, (np.array(right, dtype=int), np.array(chosen, dtype=int)), 1)
    recall: list[float | None] = []
    ends: list[Ends | None] = []
    for label in range(n):
        own = [k for k, place in enumerate(right) if place == label]
        found = [float(chosen[k] == label) for k in own]
        asked = [questions[k] for k in own] if questions else None
        recall.append(sum(found) / len(found) if found else None)
        ends.append(interval(found, scale=(0.0, 1.0), questions=asked) if found else None)
    sums = _sums(n, right, chosen, questions)
    return LabelErrors(
        labels=list(labels),
        counts=counts[:, :n].tolist(),
        unclear=counts[:, n].tolist(),
        recall=recall,
        recall_intervals=ends,
        macro_f1=float(_macro_f1(sums.sum(0, keepdims=True))[0]),
        macro_f1_interval=_bootstrap(sums),
    )


def _sums(n: int, right: Sequence[int], chosen: Sequence[int], questions: Sequence[int]) -> Floats:
    """For each question and label, counts of items answered correctly, with the label, and given
    the label: (Q, 3, n).
    """
    groups = np.array(questions or range(len(right)), dtype=int)
    sums = np.zeros((int(groups.max()) + 1, 3, n + 1))
    is_right = np.array(right, dtype=int)
    is_chosen = np.array(chosen, dtype=int)
    hit = is_right == is_chosen
    for row, (of, label) in enumerate(
        ((groups[hit], is_right[hit]), (groups, is_right), (groups, is_chosen))
    ):
        np.add.at(sums[:, row], (of, label), 1)
    return sums[:, :, :n]


def _macro_f1(sums: Floats) -> Floats:
    """Mean F1 of the labels that occur, from counts: (..., 3, n) -> (...)."""
    hits = sums[..., 0, :]
    right = sums[..., 1, :]
    chosen = sums[..., 2, :]
    total = right + chosen
    occurs = total > 0
    f1 = np.divide(2 * hits, total, out=np.zeros_like(hits), where=occurs)
    labels: Floats = np.maximum(occurs.sum(-1), 1)
    return f1.sum(-1) / labels


def _bootstrap(sums: Floats) -> Ends:
    """The 95% interval of macro-F1 over bootstrap samples of questions (Efron 1979)."""
    n = len(sums)
    draws = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    drawn = np.tensordot(draws.astype(np.float64), sums, axes=1)
    low, high = np.quantile(_macro_f1(drawn), (0.025, 0.975))
    return float(low), float(high)
