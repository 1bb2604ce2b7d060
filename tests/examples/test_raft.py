"""The example of Raft: an observer who sees all members after every step looks for the properties of
the paper's figure 3, under drawn schedules of elections, losses, late repetitions and crashes.
"""

from __future__ import annotations

import random
import runpy
from pathlib import Path
from typing import Any

import pytest

RAFT: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "raft.py"))
Member = RAFT["Member"]
SCHEDULES = 1_000


class Observer:
    """Members, the calls that they received, and what was seen of leaders and commits so far."""

    def __init__(self, n: int, rng: random.Random, loss: float = 0.0) -> None:
        self.rng = rng
        self.loss = loss
        self.members = [Member(name) for name in range(n)]
        self.received: list[tuple[Any, tuple[Any, ...]]] = []
        for member in self.members:
            self.listen(member, "vote")
            self.listen(member, "append")
        self.leaders: dict[int, int] = {}  # term -> its leader
        self.logs: dict[int, list[Any]] = {}  # term -> its leader's log when seen last
        self.decided: dict[int, tuple[Any, int]] = {}  # index -> entry, term when decided

    def listen(self, member: Any, name: str) -> None:
        answer = getattr(member, name)

        def noted(*given: Any) -> bool:
            self.received.append((answer, given))
            accepted: bool = answer(*given)
            return accepted and self.rng.random() >= self.loss  # the reply may be lost

        setattr(member, name, noted)

    def reaches(self, sender: int, receiver: int) -> bool:
        return self.rng.random() >= self.loss

    def step(self, action: str) -> None:
        member = self.rng.choice(self.members)
        if action == "elect" and not member.leads:
            RAFT["elect"](member, self.members, self.reaches)
        elif action == "send" and member.leads:
            RAFT["send"](member, self.members, self.reaches)
        elif action == "submit" and member.leads:
            member.log.append((member.term, f"command {self.rng.randrange(2**16)}"))
        elif action == "crash":
            member.restart()
        elif action == "repeat" and self.received:
            answer, given = self.rng.choice(self.received[-30:])
            answer(*given)
        self.look()

    def look(self) -> None:
        """Figure 3, property by property."""
        for member in self.members:
            for index, entry in enumerate(member.log[: member.committed]):
                seen, _ = self.decided.setdefault(index, (entry, member.term))
                assert seen == entry, "state machine safety"
            if member.leads:
                self.look_at_leader(member)
        for i, first in enumerate(self.members):
            for second in self.members[i + 1 :]:
                self.compare(first.log, second.log)

    def look_at_leader(self, leader: Any) -> None:
        term = leader.term
        assert self.leaders.setdefault(term, leader.name) == leader.name, "election safety"
        before = self.logs.get(term, [])
        assert leader.log[: len(before)] == before, "leader append-only"
        self.logs[term] = list(leader.log)
        for index, (entry, when) in self.decided.items():
            if term > when:
                assert leader.log[index : index + 1] == [entry], "leader completeness"

    def compare(self, first: list[Any], second: list[Any]) -> None:
        same = [i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a[0] == b[0]]
        if same:
            assert first[: same[-1] + 1] == second[: same[-1] + 1], "log matching"


def run_schedule(seed: int, steps: int = 110) -> Observer:
    """A schedule with its own taste for chaos."""
    rng = random.Random(seed)
    observer = Observer(rng.choice([3, 3, 5]), rng, rng.uniform(0, 0.5))
    weights = [rng.uniform(0.05, 0.3), 1, 0.6, rng.uniform(0, 0.3), rng.uniform(0, 0.4)]
    for _ in range(steps):
        (action,) = rng.choices(["elect", "send", "submit", "crash", "repeat"], weights)
        observer.step(action)
    return observer


def test_the_properties_of_the_papers_figure_3_hold_under_a_thousand_schedules() -> None:
    finished = [run_schedule(seed) for seed in range(SCHEDULES)]
    assert sum(len(observer.decided) > 3 for observer in finished) > SCHEDULES / 2
    assert sum(len(observer.leaders) > 1 for observer in finished) > SCHEDULES / 2


def test_the_example_prints_the_decisions(capsys: pytest.CaptureFixture[str]) -> None:
    RAFT["main"]()
    assert capsys.readouterr().out.splitlines()[-1] == "['deploy', 'roll back', 'deploy again']"
