"""Errors by label against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, recall_score

from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.scores.by_label import errors_by_label, label_errors
from pyswarmopt_llm.scores.tasks import Item

LABELS = ["account", "billing", "returns", "technical", "never"]


def answers(n: int, seed: int, unclear: float = 0.0) -> tuple[list[int], list[int]]:
    """Right and chosen places of n items, of four labels of unequal shares; 5: none was chosen."""
    rng = np.random.default_rng(seed)
    right = rng.choice(4, size=n, p=[0.5, 0.3, 0.15, 0.05])
    chosen = np.where(rng.random(n) < 0.6, right, rng.choice(4, size=n))
    chosen = np.where(rng.random(n) < unclear, len(LABELS), chosen)
    return right.tolist(), chosen.tolist()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("unclear", [0.0, 0.3])
def test_counts_recall_and_macro_f1_are_those_of_scikit_learn(seed: int, unclear: float) -> None:
    right, chosen = answers(60, seed, unclear)
    found = label_errors(LABELS, right, chosen)
    matrix = confusion_matrix(right, chosen, labels=range(6))
    assert found.counts == matrix[:5, :5].tolist() and found.unclear == matrix[:5, 5].tolist()
    recall = recall_score(right, chosen, labels=range(4), average=None, zero_division=0)
    rows = {row.label: row for row in found.rows}
    assert [rows[label].recall for label in LABELS[:4]] == pytest.approx([*recall])
    assert LABELS[4] not in rows
    occurring = sorted({*right, *chosen} - {5})
    expected = f1_score(right, chosen, labels=occurring, average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(expected)
    own = [float(one == 0) for one, other in zip(chosen, right, strict=True) if other == 0]
    assert rows[LABELS[0]].interval == interval(own)


def test_answers_are_letters_or_texts_that_name_an_option() -> None:
    choices = {"A": "card", "B": "loan"}
    items = [Item(str(k), f"q{k}", choices, letter) for k, letter in enumerate("AAB")]
    found = errors_by_label(items, ["A", "It is about a loan.", "I do not know"])
    assert found is not None
    assert (found.labels, found.counts, found.unclear) == (
        ["card", "loan"],
        [[1, 1], [0, 0]],
        [0, 1],
    )
    assert found.rows[0].taken_for == [("loan", 1)]
