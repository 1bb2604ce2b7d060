"""Iterative refinement: members answer again after reading some of the others' arguments, until
they agree.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from pyswarmopt_groups import voting
from pyswarmopt_groups.context import GroupContext, GroupVerdict, verdict_of
from pyswarmopt_groups.negotiation.debate import (
    Argument,
    Debate,
    first_turn,
    hold_round,
    later_turn,
)
from pyswarmopt_llm.scores.tasks import Item

_WORD = re.compile(r"\w+")


def refine(
    context: GroupContext, items: Sequence[Item], rounds: int, passed: str, budget: int
) -> list[GroupVerdict]:
    """Debate (Du et al. 2023) with early stopping and few arguments.

    Every member answers with reasons. While answers differ and rounds are left, each member reads
    arguments from `pass_on` and answers again. The last answers are put to a majority vote.
    """
    members = context.members

    def opening(debate: Debate, k: int) -> str:
        return first_turn(debate.item, context.template)

    def reply(debate: Debate, k: int) -> str:
        argument, others = debate.before(k)
        shown = pass_on(argument, others, passed, budget, members[k].count)
        return later_turn(debate.item, context.template, argument[1], shown)

    debates = [Debate(item) for item in items]
    hold_round(debates, members, opening)
    for _ in range(rounds):
        if not (going := [debate for debate in debates if not agreed(debate.ballots[-1])]):
            break
        hold_round(going, members, reply)
    return [verdict_of(voting.majority(d.ballots[-1]), d.tokens, rounds=d.ballots) for d in debates]


def agreed(ballots: Sequence[str | None]) -> bool:
    """Whether all answers are equivalent and there is at least one.

    Example:
        >>> agreed(["12", None, "12 apples"]), agreed(["12", "13"]), agreed([None, None])
        (True, False, False)
    """
    return len(voting.majority(ballots).scores) == 1


def pass_on(
    argument: Argument,
    others: Sequence[Argument],
    passed: str,
    budget: int,
    count: Callable[[str], int],
) -> list[str]:
    """The arguments for a member to read; blank ones are ignored.

    Args:
        argument: ballot and wording of the member.
        others: ballots and wordings of the others.
        passed: ``supported``: one argument per answer, by support; ``different``: only arguments
            for other answers, the least similar wording first (Jaccard distance). Ties go to the
            first-listed.
        budget: maximum tokens in total; an argument that does not fit is dropped, never cut.
        count: tokens of a text.

    Example:
        >>> others = [("A", "a one"), ("B", "b two"), ("B", "b three"), ("A", "a far away")]
        >>> pass_on(("B", "b two"), others, "supported", 99, lambda text: len(text.split()))
        ['a one', 'b two']
        >>> pass_on(("B", "b two"), others, "different", 3, lambda text: len(text.split()))
        ['a one']
    """
    ballot, wording = argument
    mine, *ballots = voting.cluster([ballot, *(other for other, _ in others)])
    pairs = zip(ballots, others, strict=True)
    spoken = [(answer, text) for answer, (_, text) in pairs if answer and text.strip()]
    if passed == "supported":
        support = Counter(answer for answer, _ in spoken)
        first = dict(reversed(spoken))
        chosen = [first[answer] for answer, _ in support.most_common()]
    else:
        elsewhere = [text for answer, text in spoken if answer != mine]
        chosen = sorted(elsewhere, key=lambda text: _overlap(wording, text))
    shown = []
    left = budget
    for text in chosen:
        if (size := count(text)) <= left:
            shown.append(text)
            left -= size
    return shown


def _overlap(a: str, b: str) -> float:
    """(words in common) / (words in either)."""
    words, others = (set(_WORD.findall(text.lower())) for text in (a, b))
    return len(words & others) / max(len(words | others), 1)
