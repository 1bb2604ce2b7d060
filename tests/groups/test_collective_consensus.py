"""Consensus under faults: hypothesis plays the network, an observer who sees every message looks
for two decisions.
"""

from __future__ import annotations

from collections import defaultdict

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


def test_a_candidate_without_support_passes_the_turn() -> None:
    def approves(member: int, answer: str) -> bool:
        return answer == ["A", "B", "C", "B"][member] or (member, answer) == (2, "B")

    decision = agree(["A", "B", "C", "B"], approves)
    assert (decision.answer, decision.leader, decision.rounds) == ("B", 1, 2)
    nobody = agree(["A", "B", "C", "D"], lambda member, answer: answer == "ABCD"[member])
    assert nobody.answer is None
