"""Experts that are clearly worse than the base are in no proposal, of the model of the items and of
that of the scores; without such experts nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching.scoring.record import Row, pack
from pyswarmopt_llm.searching.surrogate import Surrogate, harmful, make_surrogate

EXPERTS = 6
START = [*np.eye(EXPERTS), np.zeros(EXPERTS), np.full(EXPERTS, 1 / EXPERTS), np.ones(EXPERTS)]


def row(key: object, value: float) -> Row:
    """The row of a candidate with this share of 100 items."""
    right = np.arange(100) < round(100 * value)
    margins = {"t": np.where(right, 0.5, -0.5)[:, None].tolist()}
    items = {"t": pack(right.astype(float).tolist())}
    return Row("search", 0, 0, str(key), (), value, 100, 0.0, items, margins=margins)


def begun(of: str, harm: bool, most: int = 6) -> Surrogate:
    """A surrogate of the start of a search; `harm`: the last expert spoils what has it."""
    values = [0.3, 0.32, 0.28, 0.3, 0.31, 0.0 if harm else 0.15, 0.2, 0.15, 0.0]
    surrogate = make_surrogate(of, ["t"], harmonic, most)
    for key, (position, value) in enumerate(zip(START, values, strict=True)):
        surrogate.tell(torch.from_numpy(position), row(key, value))
    return surrogate


def taken(surrogate: Surrogate, at_once: int = 1) -> list[list[list[float]]]:
    """The batches that a surrogate proposes, each scored."""
    batches: list[list[list[float]]] = []
    for batch in surrogate.propose(3, at_once):
        batches.append([position.tolist() for position in batch])
        for number, position in enumerate(batch):
            surrogate.tell(position, row(f"{len(batches)}-{number}", 0.4))
    return batches


@pytest.mark.parametrize(("of", "sizes"), [("items", [1] * 5), ("scores", [2, 2, 1])])
def test_an_expert_that_harms_is_in_no_proposal(of: str, sizes: Sequence[int]) -> None:
    surrogate = begun(of, harm=True)
    first, *others = taken(surrogate, at_once=2)
    assert first == [[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]]
    assert [len(batch) for batch in others] == sizes  # six in all
    assert all(position[-1] == 0 and any(position) for batch in others for position in batch)
    assert list(surrogate.left_out) == [5]
    choice = surrogate.choice(0.0)
    assert choice is not None and choice[-1] == 0


@pytest.mark.parametrize("of", ["items", "scores"])
def test_proposals_are_those_of_a_pool_without_it(of: str) -> None:
    """But for the sum, which is a candidate of the smaller pool from the start."""
    surrogate, smaller = begun(of, harm=True, most=3), make_surrogate(of, ["t"], harmonic, 2)
    proposals = surrogate.propose(0, 1)
    (total,) = next(proposals)
    surrogate.tell(total, row("sum", 0.25))
    for key, seen in enumerate(surrogate.scored):
        smaller.tell(torch.from_numpy(seen.position[:-1]), row(key, seen.value))
    ((proposed,), (same,)) = next(proposals), next(smaller.propose(1, 1))
    assert proposed[:-1].equal(same)


@pytest.mark.parametrize("of", ["items", "scores"])
def test_without_an_expert_that_harms_the_proposals_are_those_of_all_experts(of: str) -> None:
    surrogate = begun(of, harm=False)
    batches = taken(surrogate)
    assert len(batches) == 6 and list(surrogate.left_out) == []
    assert batches[0][0] != [1.0] * EXPERTS and any(batch[0][-1] for batch in batches)


@pytest.mark.parametrize(("errors", "known"), [(2.4, True), (2.6, True), (99.0, False)])
def test_clearly_is_two_and_a_half_standard_errors_of_two_scores(
    errors: float, known: bool
) -> None:
    values = np.full(len(START), 0.5)
    values[5] = 0.5 - errors * math.hypot(0.03, 0.04)
    error = np.full(len(START), 0.03)
    error[5] = 0.04 if known else math.nan
    found = harmful(np.stack(START), values, error)
    assert found == ([5] if known and errors > 2.5 else [])


def test_nobody_is_left_out_without_a_base_or_after_iterations() -> None:
    values, errors = np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.0]), np.full(6, 0.01)
    assert harmful(np.eye(6), values, errors) == []
    moved = np.random.default_rng(1).random((20, 6))
    everything: list[Any] = [np.stack([*START, *moved]), [*values, 0.5, 0.5, 0.5, *[0.5] * 20]]
    assert harmful(everything[0], np.array(everything[1]), np.full(29, 0.01)) == []
