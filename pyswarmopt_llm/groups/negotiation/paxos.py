"""Agreement on one answer by proposals and a quorum, though members fail, messages get lost, or leaders compete.

The protocol is single-decree Paxos (Lamport 1998, "The part-time parliament"; 2001, "Paxos made simple", section 2.2)
with one addition: a proposal is put to the vote only when a quorum approves of it.

1. A member that leads a round sends `prepare` with its candidate. Others promise to ignore lower rounds, say what they
   have accepted so far, and whether they approve of the candidate.
2. With promises of a quorum the leader proposes: the answer accepted in the highest round it heard of, if there is one,
   for that may be decided already; else its candidate, once a quorum approves of it.
3. Members accept unless they have promised a higher round. What a quorum accepts in one round is decided.

Safety: no two different answers are ever decided, whatever is lost, delayed, repeated or reordered and whoever stops
and comes back, provided that members remember their state and do not lie. Liveness: if from some time on a quorum
hears each other, a quorum of them approves of a candidate among theirs, and its member leads undisturbed until its
round is the highest, an answer is decided. No timing is assumed; an undecided round costs nothing but a further one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["prepare", "promise", "propose", "accept", "decided"]
Approves = Callable[[int, str], bool]


@dataclass(frozen=True)
class Message:
    """What one member tells another; members are numbered from 0.

    Attributes:
        kind: which step of the protocol.
        sender: from whom.
        receiver: to whom.
        round: the round it belongs to.
        answer: the candidate (prepare), what was accepted before (promise), proposed, accepted or decided.
        accepted_round: in a promise, the round in which `answer` was accepted; -1 for none.
        approves: in a promise, whether the sender approves of the candidate.
    """

    kind: Kind
    sender: int
    receiver: int
    round: int
    answer: str | None = None
    accepted_round: int = -1
    approves: bool = False


class Member:
    """One participant: leader of its own rounds, voter in all, and listener for the decision.

    It sends nothing itself: `lead` and `receive` return the messages to be sent, to itself among others.

    Attributes:
        index: its number.
        decided: the answer that it knows to be decided, or None.
    """

    def __init__(self, index: int, members: int, answer: str | None, approves: Callable[[str], bool], quorum: int):
        """A member that proposes `answer` (None: it never does) and says by `approves` which answers it can accept."""
        self.index = index
        self.decided: str | None = None
        self._members, self._candidate, self._approves, self._quorum = members, answer, approves, quorum
        # As voter: the highest round promised, and what was accepted last. This must survive a crash.
        self._promised = -1
        self._accepted: str | None = None
        self._accepted_round = -1
        # As leader: the round in progress, who has answered in it, and what was proposed.
        self._leading = -1
        self._promises: dict[int, Message] = {}
        self._proposed: str | None = None
        self._accepts: set[int] = set()

    def lead(self) -> list[Message]:
        """Start a round of its own, higher than any it knows of; no messages if it has no candidate."""
        if self._candidate is None:
            return []
        # Rounds index, index + members, index + 2 members ...: no two members lead the same one.
        latest = max(self._promised, self._leading)
        self._leading = self.index + self._members * ((latest - self.index) // self._members + 1)
        self._promises, self._proposed, self._accepts = {}, None, set()
        return self._to_all("prepare", self._leading, self._candidate)

    def receive(self, message: Message) -> list[Message]:
        """Take in a message, in whatever order and however often it comes; returns the replies."""
        return {
            "prepare": self._on_prepare,
            "promise": self._on_promise,
            "propose": self._on_propose,
            "accept": self._on_accept,
            "decided": self._on_decided,
        }[message.kind](message)

    def _on_prepare(self, message: Message) -> list[Message]:
        if message.round <= self._promised or message.answer is None:
            return []
        self._promised = message.round
        return [
            Message(
                "promise",
                self.index,
                message.sender,
                message.round,
                answer=self._accepted,
                accepted_round=self._accepted_round,
                approves=self._approves(message.answer),
            )
        ]

    def _on_promise(self, message: Message) -> list[Message]:
        if message.round != self._leading or self._proposed is not None:
            return []
        self._promises[message.sender] = message
        heard = self._promises.values()
        if len(heard) < self._quorum:
            return []
        last = max(heard, key=lambda promise: promise.accepted_round)
        if last.answer is not None:
            self._proposed = last.answer
        elif sum(promise.approves for promise in heard) >= self._quorum:
            self._proposed = self._candidate
        else:
            return []
        return self._to_all("propose", self._leading, self._proposed)

    def _on_propose(self, message: Message) -> list[Message]:
        if message.round < self._promised:
            return []
        self._promised = self._accepted_round = message.round
        self._accepted = message.answer
        return [Message("accept", self.index, message.sender, message.round, message.answer)]

    def _on_accept(self, message: Message) -> list[Message]:
        if message.round != self._leading or len(self._accepts) == self._quorum:  # stale, or announced already
            return []
        self._accepts.add(message.sender)
        if len(self._accepts) < self._quorum:
            return []
        self.decided = self._proposed
        return self._to_all("decided", self._leading, self._proposed)

    def _on_decided(self, message: Message) -> list[Message]:
        self.decided = message.answer
        return []

    def _to_all(self, kind: Kind, number: int, answer: str | None) -> list[Message]:
        return [Message(kind, self.index, receiver, number, answer) for receiver in range(self._members)]


@dataclass(frozen=True)
class Decision:
    """What `agree` came to.

    Attributes:
        answer: the decided answer; None if no round decided, which is no error: nothing had the support of a quorum.
        leader: number of the member that led the deciding round; None without a decision.
        rounds: how many rounds were led.
        messages: how many messages were sent.
    """

    answer: str | None
    leader: int | None
    rounds: int
    messages: int


def agree(
    answers: Sequence[str | None],
    approves: Approves = lambda member, answer: True,
    *,
    delivers: Callable[[Message], bool] = lambda message: True,
    quorum: int | None = None,
    max_rounds: int | None = None,
) -> Decision:
    """Members lead in turn, the first-listed first, until an answer is decided or the rounds run out.

    Args:
        answers: each member's candidate; None for a member that proposes nothing but votes all the same.
        approves: `approves(member, answer)`, asked once in each round that reaches the member.
        delivers: whether a message arrives. A member that has failed or timed out is one whose messages, in and out,
            do not.
        quorum: members that a decision needs; more than half, which is the default.
        max_rounds: by default every member leads twice, so that what was lost once need not prevent a decision.

    Raises:
        ValueError: no members, a blank answer, a quorum that is not more than half and at most all, no rounds.

    Example:
        >>> agree(["A", "B", "B"], approves=lambda member, answer: answer == "B" or member == 0).answer
        'B'
        >>> crashed = 0
        >>> agree(["A", "B", "B"], delivers=lambda m: crashed not in (m.sender, m.receiver))
        Decision(answer='B', leader=1, rounds=2, messages=16)
    """
    members = make_members(answers, approves, quorum)
    max_rounds = 2 * len(members) if max_rounds is None else max_rounds
    if max_rounds < 1:
        raise ValueError(f"max_rounds is {max_rounds}: give at least 1")
    sent = 0
    for turn in range(max_rounds):
        leader = members[turn % len(members)]
        queue = deque(leader.lead())
        while queue:
            message = queue.popleft()
            sent += 1
            if delivers(message):
                queue.extend(members[message.receiver].receive(message))
        if leader.decided is not None:
            return Decision(leader.decided, leader.index, turn + 1, sent)
    return Decision(None, None, max_rounds, sent)


def make_members(answers: Sequence[str | None], approves: Approves, quorum: int | None = None) -> list[Member]:
    """The members for `agree`, or for a network of one's own that calls `lead` and `receive`.

    Raises:
        ValueError: no members, a blank answer, a quorum that is not more than half and at most all.

    Example:
        >>> [member.index for member in make_members(["A", "B"], lambda member, answer: True)]
        [0, 1]
    """
    if isinstance(answers, str) or len(answers) == 0:
        raise ValueError(f"answers {answers!r}: give a list with one answer per member, None where it has none")
    for i, answer in enumerate(answers):
        if answer is not None and not answer.strip():
            raise ValueError(f"answers[{i}] is blank: give None for a member that proposes nothing")
    n = len(answers)
    quorum = n // 2 + 1 if quorum is None else quorum
    if not n < 2 * quorum <= 2 * n:
        raise ValueError(f"quorum {quorum} of {n} members: give more than half, or two quorums could miss each other")

    def approval_of(index: int) -> Callable[[str], bool]:
        return lambda answer: approves(index, answer)

    return [Member(i, n, answer, approval_of(i), quorum) for i, answer in enumerate(answers)]


__all__ = ["Decision", "Member", "Message", "agree", "make_members"]
