"""Societies of agents with traits that debate and reflect (Zhang et al. 2023, arXiv 2310.02124,
MachineSoM).

Agents are easy-going or confident (overconfident in the paper); in each round after the first
answers all debate (each reads the others' last answers) or all reflect (each reads its own). The
last answers vote.

Differences from the paper: an agent's history is one user turn instead of a chat with a system
turn, which not all members support; the instructions are our own; agents may be different models.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from pyswarmopt_groups import voting
from pyswarmopt_groups.context import GroupContext, GroupVerdict, verdict_for
from pyswarmopt_groups.negotiation.debate import Debate, first_turn, hold_round, later_turn
from pyswarmopt_llm.scores.tasks import Item

TRAITS = {
    "c": "You are confident in your own answer and try to convince others of it.",
    "e": (
        "You are open-minded and unbiased, and let others convince you if their answers make sense."
    ),
}

Ballots = list[str | None]


def society(
    context: GroupContext, items: Sequence[Item], traits: str, patterns: str
) -> list[GroupVerdict]:
    """One society; agent k is member k modulo the number of members.

    The answer with the most votes wins; a tie means no answer, as in the paper.
    """
    agents = [context.members[k % context.n] for k in range(len(traits))]

    def opening(debate: Debate, k: int) -> str:
        return f"{TRAITS[traits[k]]}\n{first_turn(debate.item, context.template)}"

    def reply(debate: Debate, k: int) -> str:
        (_, wording), others = debate.before(k)
        texts = []
        if patterns[len(debate.rounds) - 2] == "d":
            texts = [text for _, text in others if text]
        return f"{TRAITS[traits[k]]}\n{later_turn(debate.item, context.template, wording, texts)}"

    debates = [Debate(item) for item in items]
    for turn in (opening, *[reply] * len(patterns)):
        hold_round(debates, agents, turn)
    return [_verdict(debate) for debate in debates]


def measures(verdicts: Sequence[GroupVerdict], traits: str, patterns: str) -> dict[str, Any]:
    """The paper's measures of conformity and of consensus (section 4 and appendix G.1).

    An agent conforms in a round of debate if it gives a `leading` answer of the previous round.
    ``conformity`` is the share of agents and debates with conformity. ``consensus`` is the mean
    number of distinct answers per round, the first answers included: 1 is agreement.
    """
    conforming: list[bool] = []
    clusters: list[list[int]] = [[] for _ in range(len(patterns) + 1)]
    for verdict in verdicts:
        rounds: list[Ballots] = verdict.notes["rounds"]
        for number, ballots in enumerate(rounds):
            clusters[number].append(len({*ballots} - {None}))
        for pattern, before, after in zip(patterns, rounds, rounds[1:], strict=False):
            if pattern == "d":
                conforming += [answer in leading(before) for answer in after]
    return {
        "conformity": fmean(conforming) if conforming else None,
        "consensus": [fmean(counts) for counts in clusters],
    }


def leading(ballots: Sequence[str | None]) -> set[str | None]:
    """The answers that most agents give, if at least two do.

    Example:
        >>> sorted(leading(["A", "B", "B", "A", None])), leading(["A", "B", None])
        (['A', 'B'], set())
    """
    votes = voting.majority(ballots)
    if max(votes.scores.values(), default=0) > 1:
        return set(votes.tied)
    return set()


def _verdict(debate: Debate) -> GroupVerdict:
    # of all rounds together: an answer may be worded otherwise in the next one
    together = iter(voting.cluster([ballot for ballots in debate.ballots for ballot in ballots]))
    rounds = [[next(together) for _ in ballots] for ballots in debate.ballots]
    tied = voting.majority(rounds[-1]).tied
    answer = tied[0] if len(tied) == 1 else None
    return verdict_for(answer, rounds[-1], debate.tokens, rounds=rounds)
