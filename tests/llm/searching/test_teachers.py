"""Which mixtures teach: those that, with the chosen one, are right on most items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt_llm.searching.scoring.record import Packed, Row
from pyswarmopt_llm.searching.written.expert_iteration import complementary, greedy_cover
from pyswarmopt_llm.searching.written.schedule import TEACHERS


def row(number: int, items: Mapping[str, Packed], bounds: list[float] | None = None) -> Row:
    coefficients, scored = [float(number), 0.5], sum(map(len, items.values()))
    return Row("search", 0, number, str(number), coefficients, 0.0, scored, 0.1, items, bounds)


def numbers(
    rows: Sequence[Row], chosen: int, tasks: Sequence[str] = ("t",), count: int = TEACHERS
) -> list[int]:
    position = torch.tensor([float(chosen), 0.5], dtype=torch.float64)
    return [int(teacher[0]) for teacher in complementary(rows, position, tasks, count)]


def test_each_adds_most_to_those_before() -> None:
    answers = ["11110000", "11111000", "00001110", "00000001", "11110000"]
    rows = [row(number, {"t": items}) for number, items in enumerate(answers)]
    # Beside 0: 2 has three new ones, then 3 the last one; 1 and 4 have nothing left to add.
    assert numbers(rows, chosen=0) == [2, 3]
    assert numbers(rows, chosen=0, count=1) == [2]


def test_a_mixture_that_is_not_among_the_rows_counts_for_nothing() -> None:
    rows = [row(1, {"t": "1100"}), row(2, {"t": "0111"})]
    assert numbers(rows, chosen=9) == [2, 1]
    assert numbers([], chosen=9) == []


def test_tasks_count_alike() -> None:
    rows = [
        row(0, {"few": "00", "many": "00000000"}),
        row(1, {"few": "10", "many": "00000000"}),  # half of one task
        row(2, {"few": "00", "many": "11100000"}),  # three eighths of the other
    ]
    assert numbers(rows, chosen=0, tasks=("few", "many")) == [1, 2]


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1, max_size=7),
    st.lists(st.integers(0, 3), min_size=5, max_size=5),
)
def test_greedy_is_within_its_bound_of_the_best_choice(
    values: list[list[int]], known: list[int]
) -> None:
    """Nemhauser, Wolsey & Fisher 1978: at least 1 - 1/e of the most that so many can gain."""
    table, start = np.array(values, dtype=float), np.array(known, dtype=float)
    chosen = greedy_cover(table, start, 2)

    def gain(picked: Sequence[int]) -> float:
        return float(np.vstack([start, table[list(picked)]]).max(axis=0).sum() - start.sum())

    most = max(map(gain, combinations(range(len(table)), min(2, len(table)))))
    assert gain(chosen) >= (1 - 1 / np.e) * most - 1e-9
    assert len(set(chosen)) == len(chosen) and all(gain([number]) > 0 for number in chosen)
