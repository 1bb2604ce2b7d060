"""Consensus by single-decree Paxos: agreement even if members fail, messages get lost, or leaders
compete.

Sources: Lamport 1998, "The part-time parliament"; 2001, "Paxos made simple", section 2.2. One
addition: a leader proposes its own candidate only if a quorum approves of it.

1. A leader sends `prepare` with its candidate. The others promise to ignore lower rounds, and
   report what they have accepted so far and whether they approve of the candidate.
2. With promises from a quorum, the leader proposes the answer accepted in the highest round
   reported, if there is one, since it may be decided already; else its candidate, if a quorum
   approves.
3. Members accept unless they have promised a higher round. What a quorum accepts in one round is
  decided.

Safety: no two answers are ever decided, however messages are lost, delayed, repeated or reordered
and whoever stops and restarts, provided that members keep their state and do not lie. Liveness: an
answer is decided if from some time on a quorum can communicate, approves of the candidate of one of
its members, and that member leads without competition.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from pyswarmopt_groups.context import GroupContext, Verdict, verdict_for
from pyswarmopt_groups.members.protocol import Member, MemberDown, Sampling, shared_cost
from pyswarmopt_groups.negotiation.debate import question_of
from pyswarmopt_groups.voting.ballots import cluster
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.verdicts import spoken_verdict

log = logging.getLogger(__name__)

Kind = Literal["prepare", "promise", "propose", "accept", "decided"]
Approves = Callable[[int, str], bool]


@dataclass(frozen=True)
class Message:
    """A message between members, which are numbered from 0.

    Attributes:
        kind: step of the protocol.
        sender: number of the sender.
        receiver: number of the receiver.
        round: round of the message.
        answer: candidate (prepare), previously accepted answer (promise), or proposed, accepted or
            decided answer.
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


class Participant:
    """Leader of its own rounds, voter in all rounds, and listener for the decision.

    `lead` and `receive` return the messages to send, some of them to itself.

    Attributes:
        index: number of the member.
        decided: the answer it knows to be decided, or None.
    """

    def __init__(
        self, index: int, answers: Sequence[str | None], approves: Approves, quorum: int
    ) -> None:
        self.index = index
        self.decided: str | None = None
        self._n = len(answers)
        self._candidate = answers[index]
        self._approves = approves
        self._quorum = quorum
        # Voter: highest promised round, latest accepted round and answer. These must survive a
        # crash.
        self._promised = -1
        self._accepted_round = -1
        self._accepted: str | None = None
        # Leader: current round, its promises, its proposal, and who accepted it.
        self._round = -1
        self._promises: dict[int, Message] = {}
        self._proposed: str | None = None
        self._acceptors: set[int] = set()

    def lead(self) -> list[Message]:
        """Start a round higher than any known one; returns no messages without a candidate."""
        if self._candidate is None:
            return []
        # Rounds index, index + n, index + 2 n ...: no two members lead the same round.
        latest = max(self._promised, self._round)
        self._round = self.index + self._n * ((latest - self.index) // self._n + 1)
        self._promises = {}
        self._proposed = None
        self._acceptors = set()
        return self._to_all("prepare", self._candidate)

    def receive(self, message: Message) -> list[Message]:
        """Process a message, in any order and even if repeated; return the replies."""
        stale = message.round != self._round
        match message.kind:
            case "prepare" if message.round > self._promised and message.answer is not None:
                self._promised = message.round
                return [
                    Message(
                        "promise",
                        self.index,
                        message.sender,
                        message.round,
                        answer=self._accepted,
                        accepted_round=self._accepted_round,
                        approves=self._approves(self.index, message.answer),
                    )
                ]
            case "promise" if not stale and self._proposed is None:
                self._promises[message.sender] = message
                self._proposed = self._proposal()
                return [] if self._proposed is None else self._to_all("propose", self._proposed)
            case "propose" if message.round >= self._promised:
                self._promised = self._accepted_round = message.round
                self._accepted = message.answer
                return [replace(message, kind="accept", sender=self.index, receiver=message.sender)]
            case "accept" if not stale and len(self._acceptors) < self._quorum:
                self._acceptors.add(message.sender)
                if len(self._acceptors) == self._quorum:
                    self.decided = self._proposed
                    return self._to_all("decided", self._proposed)
            case "decided":
                self.decided = message.answer
        return []

    def _proposal(self) -> str | None:
        """The answer allowed by the promises so far, or None."""
        promises = self._promises.values()
        if len(promises) < self._quorum:
            return None
        last = max(promises, key=lambda promise: promise.accepted_round)
        approved = sum(promise.approves for promise in promises) >= self._quorum
        return last.answer if last.answer is not None else self._candidate if approved else None

    def _to_all(self, kind: Kind, answer: str | None) -> list[Message]:
        return [
            Message(kind, self.index, receiver, self._round, answer) for receiver in range(self._n)
        ]


class Decision(NamedTuple):
    """The decided answer and the leader of its round (None without a quorum), number of rounds, and
    messages sent.
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
) -> Decision:
    """Let members lead in turn, the first-listed first, until an answer is decided or all have led
    twice.

    Args:
        answers: each member's candidate; None for a member that votes but proposes nothing.
        approves: `approves(member, answer)`, called once in each round that reaches the member.
        delivers: whether a message arrives. For an unavailable member none arrives, in or out.
        quorum: members needed for a decision; default: more than half.

    Example:
        >>> agree(["A", "B", "B"], approves=lambda member, answer: answer == "B" or member == 0).answer
        'B'
        >>> crashed = 0
        >>> agree(["A", "B", "B"], delivers=lambda m: crashed not in (m.sender, m.receiver))
        Decision(answer='B', leader=1, rounds=2, messages=16)
    """
    members = make_members(answers, approves, quorum)
    sent = 0
    for turn, leader in enumerate([*members, *members], start=1):
        queue = deque(leader.lead())
        while queue:
            message = queue.popleft()
            sent += 1
            if delivers(message):
                queue.extend(members[message.receiver].receive(message))
        if leader.decided is not None:
            return Decision(leader.decided, leader.index, turn, sent)
    return Decision(None, None, 2 * len(members), sent)


def make_members(
    answers: Sequence[str | None], approves: Approves, quorum: int | None = None
) -> list[Participant]:
    """The members for `agree`, or for a user's own network that calls `lead` and `receive`."""
    quorum = len(answers) // 2 + 1 if quorum is None else quorum
    return [Participant(i, answers, approves, quorum) for i in range(len(answers))]


# Among a group's members


def consensus(context: GroupContext, items: Sequence[Item], quorum: int) -> list[Verdict]:
    """Let members lead rounds in turn, the first-listed first; an answer accepted by a quorum is
    decided, else there is none.

    A member approves of its own answer, and of an option in its upper half; for other texts, or
    without option scores, it is queried. An unavailable member has failed for the rest of the run,
    but counts for the quorum. A quorum of 0 means more than half.
    """
    failed: set[int] = set()

    def fail(k: int, error: MemberDown) -> None:
        log.warning("%s; it counts as failed", error)
        failed.add(k)

    responses = context.collect(items, on_down=fail)

    def verdict(i: int) -> Verdict:
        ballots = cluster(responses.ballots[i])
        cost = responses.cost(i)

        def approves(k: int, answer: str) -> bool:
            nonlocal cost
            if cluster([answer, responses.ballots[i][k]])[1] == answer:
                return True
            if scores := responses.answers[k][i].scores:
                return sum(value > scores[answer] for value in scores.values()) < len(scores) / 2
            try:
                accepted, tokens = accepts(context.members[k], items[i], answer, context.template)
            except MemberDown as error:
                fail(k, error)
                return False
            cost += tokens
            return accepted

        decision = agree(
            ballots,
            approves,
            delivers=lambda message: not {message.sender, message.receiver} & failed,
            quorum=quorum or None,
        )
        notes = {
            "rounds": decision.rounds,
            "messages": decision.messages,
            "leader": None if decision.leader is None else context.members[decision.leader].name,
            "failed": [context.members[k].name for k in sorted(failed)],
        }
        return verdict_for(decision.answer, ballots, cost, **notes)  # type: ignore[arg-type]

    return [verdict(i) for i in range(len(items))]


def accepts(member: Member, item: Item, answer: str, template: str | None) -> tuple[bool, int]:
    """Whether a member accepts a proposed answer, and the tokens of the request."""
    words = item.in_words(answer)
    prompt = (
        f"{question_of(item, template)}\nProposed answer: {words}\n"
        "Can you accept this answer? Reply with yes or no alone."
    )
    if member.gives_likelihoods:
        yes, no = member.likelihoods([(prompt, "yes"), (prompt, "no")])
        return yes.logprob > no.logprob, shared_cost((yes, no))
    (reply,) = member.generate([prompt], Sampling(max_new_tokens=8))
    return spoken_verdict(reply.text) == "yes", reply.tokens
