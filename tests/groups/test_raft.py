"""The example of Raft: an observer who sees all members after every step looks for the properties of
the paper's figure 3, under drawn schedules of elections, losses, late repetitions and crashes. Members
that break a rule of figure 2 are found by the same observer.
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

    def __init__(self, n: int, kind: Any, rng: random.Random, loss: float = 0.0) -> None:
        self.rng = rng
        self.loss = loss
        self.members = [kind(name) for name in range(n)]
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


def run_schedule(seed: int, kind: Any = Member, steps: int = 110) -> Observer:
    """A schedule with its own taste for chaos."""
    rng = random.Random(seed)
    observer = Observer(rng.choice([3, 3, 5]), kind, rng, rng.uniform(0, 0.5))
    weights = [rng.uniform(0.05, 0.3), 1, 0.6, rng.uniform(0, 0.3), rng.uniform(0, 0.4)]
    for _ in range(steps):
        (action,) = rng.choices(["elect", "send", "submit", "crash", "repeat"], weights)
        observer.step(action)
    return observer


def test_the_properties_of_the_papers_figure_3_hold_under_a_thousand_schedules() -> None:
    finished = [run_schedule(seed) for seed in range(SCHEDULES)]
    assert sum(len(observer.decided) > 3 for observer in finished) > SCHEDULES / 2
    assert sum(len(observer.leaders) > 1 for observer in finished) > SCHEDULES / 2


class VotesTwice(Member):
    def vote(self, term: int, candidate: int, last: tuple[int, int]) -> bool:
        self.voted_for = None
        return bool(super().vote(term, candidate, last))


class VotesForAnyLog(Member):
    def vote(self, term: int, candidate: int, last: tuple[int, int]) -> bool:
        return bool(super().vote(term, candidate, (term, 2**16)))


class ForgetsItsVote(Member):
    def restart(self) -> None:
        super().restart()
        self.voted_for = None


class ForgetsItsLog(Member):
    def restart(self) -> None:
        super().restart()
        self.log = []


class AppendsAnywhere(Member):
    def append(self, term: int, at: int, at_term: int, new: list[Any], committed: int) -> bool:
        return bool(super().append(term, at, self.term_at(min(at, len(self.log))), new, committed))


class KeepsItsOwn(Member):
    def append(self, term: int, at: int, at_term: int, new: list[Any], committed: int) -> bool:
        own = list(self.log)
        accepted = super().append(term, at, at_term, new, committed)
        self.log[: len(own)] = own
        return bool(accepted)


class DecidesAlone(Member):
    def append(self, term: int, at: int, at_term: int, new: list[Any], committed: int) -> bool:
        return bool(super().append(term, at, at_term, new, 2**16))


BROKEN = [VotesTwice, VotesForAnyLog, ForgetsItsVote, ForgetsItsLog, AppendsAnywhere]
BROKEN += [KeepsItsOwn, DecidesAlone]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_member_that_breaks_a_rule_is_found(kind: Any) -> None:
    with pytest.raises(AssertionError, match=r"safety|append-only|completeness|log matching"):
        for seed in range(SCHEDULES):
            run_schedule(seed, kind)


def figure_8(begins_with_an_entry: bool) -> None:
    """The paper's figure 8, (a) to (d): S1 stores an entry of term 2 on a majority in term 4, then
    S5 is elected without it.
    """
    observer = Observer(5, Member, random.Random(0))
    members = observer.members
    s1, s5 = members[0], members[4]
    s1.log, members[1].log, s5.log = [(2, "old")], [(2, "old")], [(3, "other")]
    for member in members:
        member.term = 3
    RAFT["elect"](s1, members, lambda *pair: not {3, 4} & {*pair})
    if not begins_with_an_entry:
        s1.log.pop()
        RAFT["send"](s1, members, lambda *pair: not {3, 4} & {*pair})
    observer.look()
    s1.restart()
    s5.term = 4
    RAFT["elect"](s5, members, lambda *pair: 0 not in pair)
    RAFT["send"](s5, members, lambda *pair: 0 not in pair)
    observer.look()
    assert [member.log[0] for member in members[1:]] == [(3, "other")] * 4


def test_an_entry_of_an_earlier_term_is_not_decided_by_counting() -> None:
    figure_8(begins_with_an_entry=True)
    with pytest.raises(AssertionError, match=r"leader completeness|state machine safety"):
        figure_8(begins_with_an_entry=False)


@pytest.mark.parametrize("seed", range(40))
def test_after_any_trouble_a_majority_that_hears_each_other_decides(seed: int) -> None:
    observer = run_schedule(seed, steps=80)
    observer.loss = 0.0
    members = observer.members
    alive = random.Random(seed).sample(range(len(members)), len(members) // 2 + 1)

    def reaches(sender: int, receiver: int) -> bool:
        return sender in alive and receiver in alive

    for turn in range(200):
        leader = members[alive[turn % len(alive)]]
        RAFT["elect"](leader, members, reaches)
        if leader.leads:
            break
    leader.log.append((leader.term, "last"))
    RAFT["send"](leader, members, reaches)
    RAFT["send"](leader, members, reaches)  # tells the others what is decided
    observer.look()
    for name in alive:
        member = members[name]
        assert member.log[: member.committed][-1] == (leader.term, "last")


def test_the_example_prints_the_decisions(capsys: pytest.CaptureFixture[str]) -> None:
    RAFT["main"]()
    assert capsys.readouterr().out.splitlines()[-1] == "['deploy', 'roll back', 'deploy again']"
