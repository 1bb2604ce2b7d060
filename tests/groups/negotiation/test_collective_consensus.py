"""Consensus under faults: hypothesis loses calls and replies and lets rounds overlap, an observer
looks for two decisions.
"""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from pyswarmopt_groups.negotiation.paxos import PaxosRound, Voter, agree

ANSWERS = st.lists(st.sampled_from(["A", "B", "C"]), min_size=1, max_size=5)


class Observer(Voter):
    """A voter whose acceptances are seen, whoever hears of them."""

    def __init__(self, seen: dict[tuple[int, str], int]) -> None:
        super().__init__()
        self.seen = seen

    def accept(self, number: int, answer: str) -> bool:
        accepted = super().accept(number, answer)
        self.seen[number, answer] = self.seen.get((number, answer), 0) + accepted
        return accepted


@settings(max_examples=300)
@given(
    answers=ANSWERS,
    rejected=st.sets(st.tuples(st.integers(0, 4), st.sampled_from("ABC"))),
    lost=st.floats(0, 0.6),
    draws=st.randoms(use_true_random=False),
)
def test_never_two_decisions_only_what_a_quorum_approves_of_and_one_after_any_trouble(
    answers: list[str], rejected: set[tuple[int, str]], lost: float, draws: random.Random
) -> None:
    n = len(answers)
    quorum = n // 2 + 1
    seen: dict[tuple[int, str], int] = {}
    voters = [Observer(seen) for _ in answers]
    begun: list[PaxosRound] = []  # prepared at any later time, and proposed at any later still
    waiting: list[tuple[PaxosRound, str]] = []
    known = set()

    def approves(member: int, answer: str) -> bool:
        return (member, answer) not in rejected

    def reaches(sender: int, receiver: int) -> bool:
        return draws.random() >= lost

    for number in range(15):
        begun.append(PaxosRound(number, number % n, voters, reaches))
        while begun and draws.random() < 0.5:
            attempt = begun.pop(draws.randrange(len(begun)))
            proposed = attempt.prepare(answers[attempt.leader], approves)
            if proposed is not None:
                waiting.append((attempt, proposed))
        while waiting and draws.random() < 0.5:
            late, answer = waiting.pop(draws.randrange(len(waiting)))
            if late.propose(answer):
                known.add(answer)
    decided = {answer for (_, answer), votes in seen.items() if votes >= quorum}
    assert len(decided) <= 1 and known <= decided
    for answer in decided:
        assert answer in answers and sum(approves(k, answer) for k in range(n)) >= quorum
    alive = draws.sample(range(n), quorum)  # the others have stopped for good
    last = PaxosRound(15, alive[0], voters, lambda *ends: {*ends} <= {*alive})
    proposed = last.prepare(answers[alive[0]], lambda member, answer: True)
    assert proposed is not None and last.propose(proposed)
    assert not decided or {proposed} == decided


@given(answers=ANSWERS, data=st.data())
def test_a_minority_of_failed_members_does_not_stop_the_others(
    answers: list[str], data: st.DataObject
) -> None:
    n = len(answers)
    failed = data.draw(st.sets(st.integers(0, n - 1), max_size=(n - 1) // 2))
    first = min(set(range(n)) - failed)
    decision = agree(answers, reaches=lambda *ends: not {*ends} & failed)
    assert decision == (answers[first], first, first + 1)


def test_a_candidate_without_support_passes_the_turn() -> None:
    def approves(member: int, answer: str) -> bool:
        return answer == ["A", "B", "C", "B"][member] or (member, answer) == (2, "B")

    assert agree(["A", "B", "C", "B"], approves) == ("B", 1, 2)
    nobody = agree(["A", "B", "C", "D"], lambda member, answer: answer == "ABCD"[member])
    assert nobody.answer is None
