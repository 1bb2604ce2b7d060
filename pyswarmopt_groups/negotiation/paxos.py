"""Consensus by single-decree Paxos: agreement even if members fail or messages get lost.

Sources: Lamport 1998, "The part-time parliament"; 2001, "Paxos made simple", section 2.2. One
addition: a leader proposes its own candidate only if a quorum approves of it.

1. A leader asks all to promise to ignore lower rounds. Each reports what it has accepted so far and
   whether it approves of the leader's candidate.
2. With promises from a quorum, the leader proposes the answer accepted in the highest round
   reported, if there is one, since it may be decided already; else its candidate, if a quorum
   approves.
3. Members accept unless they have promised a higher round. What a quorum accepts in one round is
   decided.

Safety: no two answers are ever decided, whichever calls or replies are lost and however rounds
overlap, provided that members keep their state and do not lie. Liveness: an answer is decided once
a quorum hears each other, approves of the candidate of one of its members, and that member leads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pyswarmopt_groups.context import GroupContext, GroupVerdict, verdict_for
from pyswarmopt_groups.members.protocol import Member, MemberDown, Sampling, shared_cost
from pyswarmopt_groups.negotiation.debate import question_of
from pyswarmopt_groups.responses import Responses
from pyswarmopt_groups.voting.ballots import cluster
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.verdicts import spoken_verdict

Approves = Callable[[int, str], bool]
Reaches = Callable[[int, int], bool]  # whether a call or a reply from one member reaches another


@dataclass
class Voter:
    """What a member must remember, even through a crash.

    Attributes:
        promised: highest round that it has promised to; -1 for none.
        accepted_in: latest round in which it accepted an answer; -1 for none.
        accepted: that answer.
    """

    promised: int = -1
    accepted_in: int = -1
    accepted: str | None = None

    def promise(self, number: int) -> bool:
        """Promise to ignore lower rounds, unless a higher one was promised."""
        if number <= self.promised:
            return False
        self.promised = number
        return True

    def accept(self, number: int, answer: str) -> bool:
        """Accept an answer, unless a higher round was promised."""
        if number < self.promised:
            return False
        self.promised = self.accepted_in = number
        self.accepted = answer
        return True


@dataclass(frozen=True)
class PaxosRound:
    """One leader's attempt. No two leaders have rounds of the same number.

    Attributes:
        number: number of the round.
        leader: number of the leading member.
        voters: all members, the leader included.
        reaches: which calls and replies arrive.
    """

    number: int
    leader: int
    voters: Sequence[Voter]
    reaches: Reaches

    @property
    def quorum(self) -> int:
        """Number of members needed for a decision: more than half."""
        return len(self.voters) // 2 + 1

    def prepare(self, candidate: str, approves: Approves) -> str | None:
        """Collect promises; the answer to propose, or None without a quorum."""
        latest = Voter()
        promises = approvals = 0
        for k, voter in enumerate(self.voters):
            if not self.reaches(self.leader, k) or not voter.promise(self.number):
                continue
            approved = approves(k, candidate)
            if not self.reaches(k, self.leader):
                continue
            promises += 1
            approvals += approved
            latest = max(latest, voter, key=lambda one: one.accepted_in)
        if promises < self.quorum:
            return None
        if latest.accepted is not None:
            return latest.accepted
        if approvals >= self.quorum:
            return candidate
        return None

    def propose(self, answer: str) -> bool:
        """Whether the leader learns that a quorum has accepted the answer."""
        heard = 0
        for k, voter in enumerate(self.voters):
            if self.reaches(self.leader, k) and voter.accept(self.number, answer):
                heard += self.reaches(k, self.leader)
        return heard >= self.quorum


class Decision(NamedTuple):
    """The decided answer and the leader of its round (both None without a decision), and the number
    of rounds.
    """

    answer: str | None
    leader: int | None
    rounds: int


def agree(
    answers: Sequence[str | None],
    approves: Approves = lambda member, answer: True,
    *,
    reaches: Reaches = lambda sender, receiver: True,
) -> Decision:
    """Let members lead in turn, the first-listed first, until an answer is decided or all have led
    twice.

    Args:
        answers: each member's candidate; None for a member that votes but proposes nothing.
        approves: `approves(member, answer)`, called once in each round that reaches the member.
        reaches: `reaches(sender, receiver)`, whether a call or a reply arrives. For an unavailable
            member none does, in or out.

    Example:
        >>> agree(["A", "B", "B"], approves=lambda member, answer: answer == "B" or member == 0).answer
        'B'
        >>> crashed = 0
        >>> agree(["A", "B", "B"], reaches=lambda sender, receiver: crashed not in (sender, receiver))
        Decision(answer='B', leader=1, rounds=2)
    """
    n = len(answers)
    voters = [Voter() for _ in answers]
    for number in range(2 * n):
        leader = number % n
        candidate = answers[leader]
        if candidate is None:
            continue
        attempt = PaxosRound(number, leader, voters, reaches)
        proposed = attempt.prepare(candidate, approves)
        if proposed is not None and attempt.propose(proposed):
            return Decision(proposed, leader, number + 1)
    return Decision(None, None, 2 * n)


# Among a group's members


def consensus(context: GroupContext, items: Sequence[Item]) -> list[GroupVerdict]:
    """Let members lead rounds in turn, the first-listed first; an answer accepted by a quorum is
    decided, else there is none.

    A member approves of its own answer, and of an option in its upper half; for other texts, or
    without option scores, it is queried. An unavailable member has failed for the rest of the run,
    but counts for the quorum.
    """
    responses = context.collect(items)
    return [_consensus_on(i, context, responses) for i in range(len(items))]


def _consensus_on(i: int, context: GroupContext, responses: Responses) -> GroupVerdict:
    """The verdict on one item."""
    item = responses.items[i]
    ballots = cluster(responses.ballots[i])
    cost = responses.costs[i]

    def approves(k: int, answer: str) -> bool:
        nonlocal cost
        if cluster([answer, responses.ballots[i][k]])[1] == answer:
            return True
        if scores := responses.answers[k][i].scores:
            return sum(value > scores[answer] for value in scores.values()) < len(scores) / 2
        try:
            accepted, tokens = accepts(context.members[k], item, answer, context.template)
        except MemberDown as error:
            context.note_down(k, error)
            return False
        cost += tokens
        return accepted

    def reaches(sender: int, receiver: int) -> bool:
        return context.down.isdisjoint((sender, receiver))

    decision = agree(ballots, approves, reaches=reaches)
    leader = None
    if decision.leader is not None:
        leader = context.members[decision.leader].name
    failed = [context.members[k].name for k in sorted(context.down)]
    notes = {"rounds": decision.rounds, "leader": leader, "failed": failed}
    return verdict_for(decision.answer, ballots, cost, None, **notes)


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
