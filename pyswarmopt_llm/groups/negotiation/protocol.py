"""Agreement by quorum: the protocol of `collective.consensus` among members that may fail."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.groups.context import Room, Verdict
from pyswarmopt_llm.groups.members.protocol import Answer, Member, MemberDown, shared_cost
from pyswarmopt_llm.groups.negotiation.paxos import Message, agree
from pyswarmopt_llm.groups.negotiation.turns import question_of
from pyswarmopt_llm.groups.responses import Sheet
from pyswarmopt_llm.groups.strategy import Decide
from pyswarmopt_llm.groups.voting.rules.equivalence import cluster
from pyswarmopt_llm.tasks import Item

log = logging.getLogger(__name__)


def consensus(room: Room) -> Decide:
    """Members lead rounds in turn, the first-listed first; what a quorum accepts is decided, else there is no answer.

    A member approves of its own answer; of another option if it ranks it in the upper half of all options; of another
    text, or where it gives no option scores, if it says so when asked. A member that does not answer has failed from
    then on: it sends and receives nothing, and still counts for the quorum.

    Raises:
        UserError: a quorum that is not more than half of the members and at most all.
    """
    if room.settings.quorum is not None and not room.n < 2 * room.settings.quorum <= 2 * room.n:
        raise UserError(f"--quorum {room.settings.quorum}: of {room.n} members, give more than half and at most all")

    def decide(items: Sequence[Item]) -> list[Verdict]:
        table = _Table(room, items)
        return [table.verdict(i) for i in range(len(items))]

    return decide


class _Table:
    """Who said what, who has failed, and who approves of what."""

    def __init__(self, room: Room, items: Sequence[Item]) -> None:
        self._room, self._failed = room, set[int]()
        rows = [self._answers(k, member, items) for k, member in enumerate(room.members)]
        self._sheet = Sheet(items, [member.name for member in room.members], rows)
        self._cost = self._sheet.tokens.sum(axis=0)

    def _answers(self, k: int, member: Member, items: Sequence[Item]) -> list[Answer]:
        try:
            return member.answer(items, self._room.scoring, self._room.template)
        except MemberDown as error:
            self._fail(k, error)
            return [Answer("", 0)] * len(items)

    def _fail(self, k: int, error: MemberDown) -> None:
        log.warning("%s; it counts as failed", error)
        self._failed.add(k)

    def verdict(self, i: int) -> Verdict:
        """The decision on item i."""
        ballots = cluster(self._sheet.ballots[i])

        def delivers(message: Message) -> bool:
            return message.sender not in self._failed and message.receiver not in self._failed

        found = agree(
            ballots,
            lambda k, answer: self._approves(i, k, answer),
            delivers=delivers,
            quorum=self._room.settings.quorum,
        )
        agreement = sum(b == found.answer and b is not None for b in ballots) / self._room.n
        notes = {
            "rounds": found.rounds,
            "messages": found.messages,
            "leader": None if found.leader is None else self._room.members[found.leader].name,
            "failed": [self._room.members[k].name for k in sorted(self._failed)],
        }
        return Verdict(found.answer, tuple(ballots), agreement, int(self._cost[i]), notes=notes)

    def _approves(self, i: int, k: int, answer: str) -> bool:
        if cluster([answer, self._sheet.ballots[i][k]])[1] == answer:
            return True
        scores = self._sheet.answers[k][i].scores
        if scores:
            better = sum(value > scores[answer] for value in scores.values())
            return better < len(scores) / 2
        try:
            said, tokens = accepts(self._room.members[k], self._sheet.items[i], answer, self._room.template)
        except MemberDown as error:
            self._fail(k, error)
            return False
        self._cost[i] += tokens
        return said


def accepts(member: Member, item: Item, answer: str, template: str | None) -> tuple[bool, int]:
    """Whether a member says yes to a proposed answer, and what that cost."""
    words = (item.choices or {}).get(answer, answer)
    prompt = (
        f"{question_of(item, template)}\nProposed answer: {words}\n"
        "Can you accept this answer? Reply with yes or no alone."
    )
    if member.gives_likelihoods:
        yes, no = member.likelihoods([(prompt, "yes"), (prompt, "no")])
        return yes.logprob > no.logprob, shared_cost((yes, no))
    (said,) = member.generate([prompt], max_new_tokens=8)
    return said.texts[0].strip().lower().startswith("yes"), said.tokens


__all__ = ["accepts", "consensus"]
