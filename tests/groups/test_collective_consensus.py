"""Consensus under faults: hypothesis plays the network, an observer who sees every message looks
for two decisions.
"""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyswarmopt_groups.negotiation.paxos import Message, Participant, agree, make_members

ANSWERS = st.lists(st.sampled_from(["A", "B", "C", None]), min_size=1, max_size=5)
ACTIONS = st.sampled_from(["lead", "deliver", "deliver", "deliver", "repeat", "drop"])
STEPS = st.lists(st.tuples(ACTIONS, st.integers(0, 999)), max_size=120)


class Network:
    """Messages in flight, delivered in any order, and an observer who notes what a quorum has
    accepted.
    """

    def __init__(self, members: list[Participant], quorum: int):
        self.members, self.quorum = members, quorum
        self.flying: list[Message] = []
        self.accepted: dict[tuple[int, str | None], set[int]] = defaultdict(set)
        self.decisions: set[str | None] = set()

    def send(self, messages: list[Message]) -> None:
        self.flying += messages
        for message in messages:
            if message.kind == "accept":
                votes = self.accepted[message.round, message.answer]
                votes.add(message.sender)
                if len(votes) >= self.quorum:
                    self.decisions.add(message.answer)

    def step(self, action: str, number: int) -> None:
        if action == "lead":
            self.send(self.members[number % len(self.members)].lead())
        elif self.flying:
            at = number % len(self.flying)
            message = self.flying[at] if action == "repeat" else self.flying.pop(at)
            if action != "drop":
                self.send(self.members[message.receiver].receive(message))

    def deliver(self, kind: str, number: int, sender: int, to: list[int]) -> None:
        """The messages of that kind, round and sender to each of `to`, in this order; all must be
        on their way.
        """
        for receiver in to:
            address = (kind, number, sender, receiver)
            addresses = [(m.kind, m.round, m.sender, m.receiver) for m in self.flying]
            message = self.flying.pop(addresses.index(address))
            self.send(self.members[receiver].receive(message))

    def promises(self, number: int, leader: int, voters: list[int]) -> None:
        """The leader prepares the round; the voters promise, and their promises arrive in this
        order.
        """
        self.send(self.members[leader].lead())
        self.deliver("prepare", number, leader, voters)
        for voter in voters:
            self.deliver("promise", number, voter, [leader])

    def check(self) -> None:
        values = {member.decided for member in self.members} - {None}
        assert len(self.decisions) <= 1
        assert values <= self.decisions


@settings(max_examples=100)
@given(
    answers=ANSWERS,
    steps=STEPS,
    rejected=st.sets(st.tuples(st.integers(0, 4), st.sampled_from("ABC"))),
)
def test_never_two_decisions_and_only_what_a_quorum_approves_of(
    answers: list[str | None], steps: list[tuple[str, int]], rejected: set[tuple[int, str]]
) -> None:
    quorum = len(answers) // 2 + 1
    members = make_members(answers, lambda member, answer: (member, answer) not in rejected)
    network = Network(members, quorum)
    for step in steps:
        network.step(*step)
        network.check()
    assert network.decisions <= set(answers) - {None}
    for decision in network.decisions:
        assert sum((i, decision) not in rejected for i in range(len(answers))) >= quorum


@settings(max_examples=100)
@given(
    answers=st.lists(st.sampled_from(["A", "B", "C"]), min_size=1, max_size=5),
    steps=STEPS,
    order=st.randoms(),
)
def test_after_any_trouble_a_majority_that_hears_each_other_decides(answers, steps, order) -> None:
    n = len(answers)
    network = Network(make_members(answers, lambda member, answer: True), n // 2 + 1)
    for step in steps:
        network.step(*step)
    alive = order.sample(range(n), n // 2 + 1)  # the others have stopped for good
    network.flying.clear()
    leader = network.members[alive[0]]
    for _ in range(len(steps) + 2):  # every round started so far may have been higher
        network.send(leader.lead())
        while network.flying:
            message = network.flying.pop(order.randrange(len(network.flying)))
            if message.receiver in alive:
                network.send(network.members[message.receiver].receive(message))
    network.check()
    assert len(network.decisions) == 1
    assert {network.members[i].decided for i in alive} == network.decisions


@given(answers=st.lists(st.sampled_from(["A", "B", "C"]), min_size=1, max_size=7), data=st.data())
def test_a_minority_of_failed_members_does_not_stop_the_others(
    answers: list[str], data: st.DataObject
) -> None:
    n = len(answers)
    failed = data.draw(st.sets(st.integers(0, n - 1), max_size=(n - 1) // 2))
    decision = agree(answers, delivers=lambda m: not {m.sender, m.receiver} & failed)
    first = min(set(range(n)) - failed)
    assert (decision.answer, decision.leader, decision.rounds) == (answers[first], first, first + 1)


@given(answers=st.lists(st.sampled_from(["A", "B"]), min_size=2, max_size=7), data=st.data())
def test_without_a_quorum_nothing_is_decided(answers: list[str], data: st.DataObject) -> None:
    n = len(answers)
    failed = data.draw(st.sets(st.integers(0, n - 1), min_size=n - n // 2, max_size=n))
    decision = agree(answers, delivers=lambda m: not {m.sender, m.receiver} & failed)
    assert (decision.answer, decision.leader, decision.rounds) == (None, None, 2 * n)


def three() -> Network:
    return Network(make_members(["A", "B", "C"], lambda member, answer: True), quorum=2)


def test_a_proposal_that_comes_after_a_higher_promise_is_refused() -> None:
    network = three()
    network.promises(0, 0, [0, 1])
    network.promises(1, 1, [1, 2])
    network.deliver("propose", 1, 1, [1, 2])  # B is decided
    network.deliver("propose", 0, 0, [0, 1])  # A arrives late: only member 0 is free to accept it
    network.check()
    assert network.decisions == {"B"}


def test_accepting_is_a_promise_too() -> None:
    network = three()
    network.promises(0, 0, [0, 2])
    network.promises(1, 1, [0, 1])
    network.deliver("propose", 1, 1, [1, 2])  # member 2 had promised round 0 only; B is decided
    network.deliver("propose", 0, 0, [0, 2])  # if it accepted A now, it would forget B
    network.promises(3, 0, [0, 2])
    network.deliver("propose", 3, 0, [0, 2])
    network.check()
    assert network.decisions == {"B"}


def test_what_was_accepted_in_the_highest_round_is_taken_over_once_a_quorum_is_heard() -> None:
    network = three()
    network.promises(0, 0, [0, 1])
    network.deliver("propose", 0, 0, [0])
    network.promises(1, 1, [1, 2])
    network.deliver("propose", 1, 1, [1, 2])  # B is decided; member 0 has accepted A
    network.promises(3, 0, [0, 1])  # its own promise, with A, comes first
    network.deliver("propose", 3, 0, [0, 1])
    network.check()
    assert network.decisions == {"B"}


def test_a_promise_of_an_earlier_round_does_not_count() -> None:
    network = three()
    network.send(network.members[0].lead())
    network.deliver("prepare", 0, 0, [1])
    network.promises(1, 1, [1, 2])
    network.deliver("propose", 1, 1, [1, 2])  # B is decided
    network.promises(3, 0, [0])
    network.deliver("promise", 0, 1, [0])  # from before: member 1 had accepted nothing then
    assert not [m for m in network.flying if m.kind == "propose" and m.sender == 0]


@pytest.mark.parametrize("late", [False, True])
def test_an_acceptance_of_an_earlier_round_does_not_count(late: bool) -> None:
    network = three()
    network.promises(0, 0, [0, 1])
    network.deliver("propose", 0, 0, [1])
    if not late:
        network.deliver("accept", 0, 1, [0])
    network.promises(2, 2, [0, 2])
    network.deliver("propose", 2, 2, [2])
    network.promises(3, 0, [0, 2])
    network.deliver("propose", 3, 0, [0])
    network.deliver("accept", 3, 0, [0])
    if late:
        network.deliver("accept", 0, 1, [0])
    # round 3 has one acceptance only
    assert network.members[0].decided is None


def test_messages_of_an_undisturbed_round_by_hand() -> None:
    # To each of 3: prepare, propose, decided; from each of 3: promise, accept.
    decision = agree(["A", "B", "B"])
    assert (decision.answer, decision.leader, decision.rounds, decision.messages) == ("A", 0, 1, 15)


def test_a_candidate_without_support_passes_the_turn() -> None:
    def approves(member: int, answer: str) -> bool:
        return answer == ["A", "B", "C", "B"][member] or (member, answer) == (2, "B")

    decision = agree(["A", "B", "C", "B"], approves)
    assert (decision.answer, decision.leader, decision.rounds) == ("B", 1, 2)
    nobody = agree(["A", "B", "C", "D"], lambda member, answer: answer == "ABCD"[member])
    assert nobody.answer is None


def test_a_member_without_an_answer_votes_but_does_not_propose() -> None:
    assert agree([None, None, "A"]).leader == 2
    assert agree([None, None, None]).answer is None


def test_an_answer_that_may_be_decided_is_not_replaced() -> None:
    """Leader 0 fails when its proposal is accepted by a quorum; leader 1 must take its answer
    over.
    """

    def delivers(m: Message) -> bool:
        return m.round > 0 or m.kind != "accept" or m.sender == 0

    decision = agree(["A", "B", "B"], delivers=delivers)
    assert (decision.answer, decision.leader) == ("A", 1)


def test_a_larger_quorum_can_be_asked_for() -> None:
    def delivers(message: Message) -> bool:
        return 0 not in (message.sender, message.receiver)

    assert agree(["A", "B", "C"], delivers=delivers, quorum=3).answer is None
    assert agree(["A", "B", "C"], quorum=3).answer == "A"


def test_a_prepare_that_comes_late_takes_no_promise_back() -> None:
    """Members 0 and 1 promise round 0, members 1 and 2 round 1. Were member 1 to promise round 0 once
    more, it would accept A of round 0 behind it, and then C of round 1: both with a quorum.
    """
    network = three()
    network.promises(0, 0, [0, 1])
    late = Message("prepare", 0, 1, 0, "A")
    network.promises(2, 2, [1, 2])
    network.send(network.members[1].receive(late))
    network.deliver("propose", 0, 0, [0, 1])
    network.deliver("propose", 2, 2, [1, 2])
    network.check()
    assert network.decisions == {"C"}
