"""The strategy `consensus`: members that may fail decide by quorum (`paxos`)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pyswarmopt_groups.context import Decide, GroupContext, Verdict
from pyswarmopt_groups.members.protocol import Member, MemberDown, Sampling, shared_cost
from pyswarmopt_groups.negotiation.debate import question_of
from pyswarmopt_groups.negotiation.paxos import agree
from pyswarmopt_groups.voting.ballots import cluster
from pyswarmopt_llm.tasks import Item

log = logging.getLogger(__name__)


def consensus(context: GroupContext, quorum: int) -> Decide:
    """Members lead rounds in turn, the first-listed first; what a quorum accepts is decided, else there is no answer.

    A member approves of its own answer, and of an option that it ranks in the upper half; of another text, or without
    option scores, it is queried. A member that is down has failed for the rest of the run but counts for the quorum. A
    quorum of 0 stands for more than half.
    """
    return lambda items: _decide(context, items, quorum or None)


def _decide(context: GroupContext, items: Sequence[Item], quorum: int | None) -> list[Verdict]:
    failed: set[int] = set()

    def fail(k: int, error: MemberDown) -> None:
        log.warning("%s; it counts as failed", error)
        failed.add(k)

    responses = context.collect(items, on_down=fail)

    def verdict(i: int) -> Verdict:
        ballots, cost = cluster(responses.ballots[i]), responses.cost(i)

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

        found = agree(
            ballots,
            approves,
            delivers=lambda message: not {message.sender, message.receiver} & failed,
            quorum=quorum,
        )
        notes = {
            "rounds": found.rounds,
            "messages": found.messages,
            "leader": None if found.leader is None else context.members[found.leader].name,
            "failed": [context.members[k].name for k in sorted(failed)],
        }
        agreement = sum(b == found.answer and b is not None for b in ballots) / context.n
        return Verdict(found.answer, tuple(ballots), agreement, cost, notes=notes)

    return [verdict(i) for i in range(len(items))]


def accepts(member: Member, item: Item, answer: str, template: str | None) -> tuple[bool, int]:
    """Whether a member says yes to a proposed answer, and the tokens of the request."""
    words = (item.choices or {}).get(answer, answer)
    prompt = (
        f"{question_of(item, template)}\nProposed answer: {words}\n"
        "Can you accept this answer? Reply with yes or no alone."
    )
    if member.gives_likelihoods:
        yes, no = member.likelihoods([(prompt, "yes"), (prompt, "no")])
        return yes.logprob > no.logprob, shared_cost((yes, no))
    (reply,) = member.generate([prompt], Sampling(max_new_tokens=8))
    return reply.texts[0].strip().lower().startswith("yes"), reply.tokens
