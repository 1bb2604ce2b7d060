"""Experts that are clearly worse than the base are in no proposal, of the model of the items and of
that of the scores; without such experts nothing changes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching.scoring.record import Row, pack
from pyswarmopt_llm.searching.surrogate.items import ItemSurrogate
from pyswarmopt_llm.searching.surrogate.scores import ScoreSurrogate


def spoilt(harm: float, experts: int = 6, base: float = 0.6) -> ItemSurrogate:
    """100 items whose margins are smooth in all experts, of which the last lowers every one of
    them; the experts, the base and their sum are scored, as a search begins.
    """
    rng = np.random.default_rng(0)
    slopes = rng.normal(size=(100, experts))
    slopes[:, -1] = -harm
    level = rng.normal(size=100) + 0.5
    surrogate = ItemSurrogate({"t": 100}, 4)
    for key, x in enumerate([*np.eye(experts), np.zeros(experts), np.ones(experts)]):
        margins = level + np.tanh(slopes) @ x - 0.5 * (x**2).sum() / experts
        value = base if not x.any() else float((margins > 0).mean())
        surrogate.tell(torch.from_numpy(x), found(str(key), value, margins[:, None].tolist()))
    return surrogate


def found(key: str, value: float, margins: Any) -> Row:
    """The row of a candidate with these margins of 100 items."""
    return Row("search", 0, 0, key, (), value, 100, 0.0, {}, margins={"t": margins})


def test_an_expert_that_is_clearly_worse_than_the_base_is_in_no_proposal() -> None:
    surrogate = spoilt(harm=30.0)
    learnt_from = len(surrogate.scored)
    first, *others = (position for (position,) in surrogate.propose(0, 1))
    assert first.tolist() == [1, 1, 1, 1, 1, 0]
    assert len(others) == 3
    assert all(position[-1] == 0 and position[:-1].any() for position in others)
    assert list(surrogate.left_out) == [5]
    assert len(surrogate.scored) == learnt_from - 2  # without it, and without the sum


def test_proposals_without_a_harmful_expert_are_those_of_a_pool_without_it() -> None:
    """But for the sum, which is a candidate of the smaller pool from the start."""
    surrogate, smaller = spoilt(harm=30.0), ItemSurrogate({"t": 100}, 4)
    (rest,) = next(surrogate.propose(0, 1))
    surrogate.tell(rest, found("rest", 0.5, [[0.5]] * 50 + [[-0.5]] * 50))
    for key, seen in enumerate(surrogate.scored):
        row = found(str(key), seen.value, seen.margins["t"])
        smaller.tell(torch.from_numpy(seen.position[:-1]), row)
    assert surrogate.widest(3)[:-1].equal(smaller.widest(3))


@pytest.mark.parametrize("errors", [2.4, 2.6])
def test_clearly_is_two_and_a_half_standard_errors_of_two_shares(errors: float) -> None:
    surrogate = spoilt(harm=30.0, base=0.5)
    worse = 0.5 - errors * math.sqrt(2 * 0.25 / 100)
    for _ in range(50):  # the error depends on the share
        worse = 0.5 - errors * math.sqrt((0.25 + worse * (1 - worse)) / 100)
    surrogate.tell(torch.eye(6, dtype=torch.float64)[5], found("5", worse, [[-1.0]] * 100))
    next(surrogate.propose(0, 1))
    assert list(surrogate.left_out) == ([5] if errors > 2.5 else [])


def test_nobody_is_left_out_without_a_base_or_after_iterations() -> None:
    without_base = ItemSurrogate({"t": 100}, 4)
    iterated = spoilt(harm=30.0)
    for key, seen in enumerate(iterated.scored):
        if seen.position.any():
            row = found(str(key), seen.value, seen.margins["t"])
            without_base.tell(torch.from_numpy(seen.position), row)
    rng = np.random.default_rng(1)
    for key in range(20):
        row = found(f"moved-{key}", 0.5, [[0.1]] * 100)
        iterated.tell(torch.from_numpy(rng.random(6)), row)
    for surrogate in (without_base, iterated):
        next(surrogate.propose(0, 1))
        assert list(surrogate.left_out) == []


# By scores alone


def scored(positions: Any, values: Any) -> ScoreSurrogate:
    """A surrogate that has learnt these shares of 100 items, six proposals ahead."""
    surrogate = ScoreSurrogate(["t"], harmonic, 6)
    for key, (position, value) in enumerate(zip(positions, values, strict=True)):
        right = [1.0] * round(100 * value) + [0.0] * (100 - round(100 * value))
        row = Row("search", 0, key, str(key), tuple(position), value, 100, 0.0, {"t": pack(right)})
        surrogate.tell(torch.from_numpy(np.asarray(position)), row)
    return surrogate


def begun(experts: int) -> list[list[float]]:
    """The experts, the base, their average and their sum."""
    average = np.full(experts, 1 / experts)
    return [*np.eye(experts).tolist(), [0.0] * experts, average.tolist(), [1.0] * experts]


def taken(surrogate: Any, value: float, at_once: int = 1) -> list[list[list[float]]]:
    """The batches that a surrogate proposes, each scored with this share."""
    batches = []
    for batch in surrogate.propose(3, at_once):
        batches.append([position.tolist() for position in batch])
        for number, position in enumerate(batch):
            right = [1.0] * round(100 * value) + [0.0] * (100 - round(100 * value))
            key = f"{len(batches)}-{number}"
            row = Row(
                "search", 1, 0, key, tuple(position.tolist()), value, 100, 0.0, {"t": pack(right)}
            )
            surrogate.tell(position, row)
    return batches


def test_also_the_model_of_the_scores_proposes_nothing_with_an_expert_that_harms() -> None:
    experts = 6
    values = [0.3, 0.32, 0.28, 0.3, 0.31, 0.0, 0.2, 0.15, 0.0]
    surrogate = scored(begun(experts), values)
    first, *others = taken(surrogate, 0.4, at_once=2)
    assert first == [[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]]
    assert [len(batch) for batch in others] == [2, 2, 1]  # six in all
    assert all(position[-1] == 0 for batch in others for position in batch)
    assert list(surrogate.left_out) == [5]
    choice = surrogate.choice(0.0)
    assert choice is not None and choice[-1] == 0


def test_without_an_expert_that_harms_the_proposals_are_those_of_all_experts() -> None:
    values = [0.3, 0.32, 0.28, 0.3, 0.31, 0.15, 0.2, 0.15, 0.0]
    surrogate = scored(begun(6), values)
    batches = taken(surrogate, 0.4)
    assert len(batches) == 6 and list(surrogate.left_out) == []
    assert batches[0][0] != [1.0] * 6 and any(batch[0][-1] for batch in batches)


def test_a_score_without_an_error_is_never_clearly_worse() -> None:
    surrogate = ScoreSurrogate(["t"], harmonic, 3)
    for key, position in enumerate(begun(6)):
        value = 0.0 if position == [0.0] * 5 + [1.0] else 0.9
        row = Row("search", 0, key, str(key), tuple(position), value, 1, 0.0, {"t": pack([value])})
        surrogate.tell(torch.tensor(position, dtype=torch.float64), row)
    assert math.isnan(score_of([0.9]).stderr)
    taken(surrogate, 0.9)
    assert list(surrogate.left_out) == []
