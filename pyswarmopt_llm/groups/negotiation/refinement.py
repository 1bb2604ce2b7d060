"""Iterative refinement: members answer again after reading some of the others' arguments, until all agree."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pyswarmopt_llm.groups.context import Room, Verdict, verdict_of
from pyswarmopt_llm.groups.negotiation.turns import first_turn, later_turn
from pyswarmopt_llm.groups.responses import read_ballot
from pyswarmopt_llm.groups.strategy import Decide
from pyswarmopt_llm.groups.voting.rules import voting
from pyswarmopt_llm.groups.voting.rules.equivalence import cluster
from pyswarmopt_llm.tasks import Item

Argument = tuple[str | None, str]  # what it votes for, and its words

_WORD = re.compile(r"\w+")


def refine(room: Room) -> Decide:
    """Debate (Du et al. 2023) that ends early and passes on little.

    Round 0: every member answers with its reasons. Then, while those who have an answer disagree and rounds are left,
    each is shown `pass_on` of the others' arguments and answers again. The last answers vote, by majority.
    """
    settings = room.settings

    def decide(items: Sequence[Item]) -> list[Verdict]:
        first = [member.generate([first_turn(item, room.template) for item in items]) for member in room.members]
        said = [[row[i].texts[0].strip() for row in first] for i in range(len(items))]
        tokens = [sum(row[i].tokens for row in first) for i in range(len(items))]
        history = [[_ballots(item, texts)] for item, texts in zip(items, said, strict=True)]
        for _ in range(settings.rounds):
            going = [i for i in range(len(items)) if not agreed(history[i][-1])]
            if not going:
                break
            before = [list(texts) for texts in said]  # all speak at once: nobody hears this round's answers yet
            for k, member in enumerate(room.members):
                prompts = []
                for i in going:
                    others = [pair for j, pair in enumerate(zip(history[i][-1], before[i], strict=True)) if j != k]
                    own = history[i][-1][k], before[i][k]
                    shown = pass_on(own, others, settings.passed, settings.budget, member.count)
                    prompts.append(later_turn(items[i], room.template, before[i][k], shown))
                for i, answer in zip(going, member.generate(prompts), strict=True):
                    said[i][k] = answer.texts[0].strip()
                    tokens[i] += answer.tokens
            for i in going:
                history[i].append(_ballots(items[i], said[i]))
        return [
            verdict_of(voting.majority(rounds[-1]), cost, rounds=rounds)
            for rounds, cost in zip(history, tokens, strict=True)
        ]

    return decide


def agreed(ballots: Sequence[str | None]) -> bool:
    """Whether all who have an answer have the same, and somebody has one.

    Example:
        >>> agreed(["12", None, "12 apples"]), agreed(["12", "13"]), agreed([None, None])
        (True, False, False)
    """
    return len({ballot for ballot in cluster(ballots) if ballot is not None}) == 1


def pass_on(
    own: Argument, others: Sequence[Argument], passed: str, budget: int, count: Callable[[str], int]
) -> list[str]:
    """The arguments that a member gets to read.

    Args:
        own: the member's ballot and words.
        others: those of the others, blank words left out by the function.
        passed: ``supported``: one argument for each answer, the answer with most support first; ``different``: the
            arguments whose words have least in common with the own ones first (Jaccard distance), none for the own
            answer. Ties go to the first-listed.
        budget: most tokens in all; an argument that does not fit is left out, never cut.
        count: tokens of a text.

    Example:
        >>> others = [("A", "a one"), ("B", "b two"), ("B", "b three"), ("A", "a far away")]
        >>> pass_on(("B", "b two"), others, "supported", 99, lambda text: len(text.split()))
        ['a one', 'b two']
        >>> pass_on(("B", "b two"), others, "different", 3, lambda text: len(text.split()))
        ['a one']
    """
    ballots = cluster([own[0], *(ballot for ballot, _ in others)])
    mine, theirs = ballots[0], ballots[1:]
    heard = [(ballot, text) for ballot, (_, text) in zip(theirs, others, strict=True) if ballot and text.strip()]
    if passed == "supported":
        support = {ballot: sum(b == ballot for b, _ in heard) for ballot, _ in heard}
        first = {ballot: text for ballot, text in reversed(heard)}
        wanted = [first[ballot] for ballot in sorted(support, key=lambda b: -support[b])]
    else:
        elsewhere = [text for ballot, text in heard if ballot != mine]
        wanted = sorted(elsewhere, key=lambda text: -_distance(own[1], text))
    shown, left = [], budget
    for text in wanted:
        if (size := count(text)) <= left:
            shown.append(text)
            left -= size
    return shown


def _distance(a: str, b: str) -> float:
    """1 - (words in common) / (words in either)."""
    one, other = (set(_WORD.findall(text.lower())) for text in (a, b))
    return 1 - len(one & other) / max(len(one | other), 1)


def _ballots(item: Item, texts: Sequence[str]) -> list[str | None]:
    return [read_ballot(item, text) for text in texts]


__all__ = ["agreed", "pass_on", "refine"]
