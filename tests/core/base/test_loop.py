"""The loop of every search: what it costs to have many points under way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import pyswarmopt as pso
from pyswarmopt.base.loop import Loop
from pyswarmopt.base.optimizer import Ticket, UnderWay


class Row:
    """Proposes the points 0, 1, 2, ..., each twice."""

    rounds = 0

    def __init__(self) -> None:
        self.under_way = UnderWay()
        self.told: list[tuple[int, float]] = []

    @property
    def pending(self) -> list[Ticket]:
        return list(self.under_way.pending.values())

    def ask(self, n: int) -> list[Ticket]:
        return [self.under_way.issue(np.array([self.under_way.issued // 2])) for _ in range(n)]

    def stop(self) -> dict[str, float]:
        return {}


class Counted(Loop[float, float]):
    """Counts the points that it looks at."""

    looked = 0

    def known(self, x: Any) -> None:
        return None

    def read(self, x: Any, answer: float, tickets: Sequence[Ticket]) -> float:
        return answer

    def settle(self, ticket: Ticket, outcome: float) -> None:
        self.optimizer.under_way.close(ticket)  # type: ignore[attr-defined]
        self.optimizer.told.append((ticket.number, outcome))  # type: ignore[attr-defined]

    def points(self, tickets: Sequence[Ticket]) -> Sequence[Any]:
        self.looked += len(tickets)
        return [ticket.x for ticket in tickets]


class Sent:
    free = busy = 0

    def key(self, x: np.ndarray) -> float:
        return float(x[0])


def asked(count: int) -> tuple[Counted, list[Any]]:
    """A loop with so many tickets under way, and what it would have evaluated."""
    loop = Counted(Row(), Sent(), lambda iteration: None)  # type: ignore[arg-type]
    return loop, [loop.take_up(ticket) for _ in range(count) for ticket in loop.next_tickets(1)]


@pytest.mark.parametrize("count", [20, 200])
def test_a_point_is_looked_at_once_however_many_are_under_way(count: int) -> None:
    loop, taken = asked(count)
    for number in range(count // 2):
        loop._answer(float(number), np.array([number]), 10.0 + number)
    assert loop.looked == count
    # equal points are evaluated once, and both tickets hear the value
    assert [x is not None for x in taken] == [True, False] * (count // 2)
    assert loop.optimizer.told == [(k, 10.0 + k // 2) for k in range(count)]  # type: ignore[attr-defined]
    assert not loop.optimizer.pending and not loop.busy and loop.point(0) is None


def test_a_value_that_nobody_waits_for_is_returned() -> None:
    loop, _ = asked(2)
    assert loop._answer(7.0, np.array([7]), 1.0) == 1.0
    assert len(loop.optimizer.pending) == loop.busy == 2


def test_after_a_resume_pending_tickets_are_asked_for_again_and_found() -> None:
    before, _ = asked(4)
    loop = Counted(before.optimizer, Sent(), lambda iteration: None)  # type: ignore[arg-type]
    loop.resume()
    assert [loop.next_tickets(1)[0].number for _ in range(2)] == [0, 1] and loop.busy == 2
    loop._answer(1.0, np.array([1]), 5.0)  # tickets 2 and 3, before they are asked for again
    assert loop.optimizer.told == [(2, 5.0), (3, 5.0)]  # type: ignore[attr-defined]
    assert [ticket.number for ticket in loop.optimizer.pending] == [0, 1]
    assert [loop.point(number)[0] for number in (0, 1)] == [0, 0]


def test_a_study_with_many_trials_pending_is_told_in_any_order() -> None:
    study = pso.Study([(-5, 5)] * 3, seed=1)
    trials = [study.ask() for _ in range(300)]
    for trial in reversed(trials):
        assert trial is not None
        study.tell(trial, float(np.sum(np.square(trial.x))))
    assert study.result()["nfev"] == 300
    with pytest.raises(ValueError, match="already told"):
        study.tell(trials[0], 1.0)
