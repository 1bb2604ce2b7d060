"""Societies of agents that have traits, debate and reflect (Zhang et al. 2023, arXiv 2310.02124, MachineSoM).

Agents are easy-going or confident (the paper says overconfident); in each round after the first answers all of them
debate (each reads the last answers of the others) or all reflect (each reads its own). The last answers vote.

What differs from the paper: an agent's past is told in one user turn and not as a chat with a system turn, since not
all members have one; instructions are in our words; agents may be different models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.groups.context import Room, Verdict
from pyswarmopt_llm.groups.members.protocol import Texts
from pyswarmopt_llm.groups.negotiation.turns import first_turn, later_turn
from pyswarmopt_llm.groups.responses import is_right, read_ballot
from pyswarmopt_llm.groups.strategy import Decide
from pyswarmopt_llm.groups.voting.rules.equivalence import cluster
from pyswarmopt_llm.tasks import Item

TRAITS = {
    "c": "You are confident in your own answer and try to convince others of it.",
    "e": "You are open-minded and unbiased, and let others convince you if their answers make sense.",
}

Ballots = list[str | None]


def parse(text: str, name: str) -> tuple[str, str]:
    """``cce:ddr`` -> traits and patterns.

    Raises:
        UserError: other letters, or none.

    Example:
        >>> parse("cce:ddr", "society:cce:ddr")
        ('cce', 'ddr')
    """
    traits, _, patterns = text.partition(":")
    if not traits or not patterns or set(traits) - set(TRAITS) or set(patterns) - set("dr"):
        raise UserError(
            f"--strategy {name}: write society:TRAITS:PATTERNS, such as society:cce:ddr (c confident, e easy-going; "
            "d debate, r reflect)"
        )
    return traits, patterns


def society(room: Room, traits: str, patterns: str) -> Decide:
    """One society: agent k is member k, or from the first again where there are more agents.

    The answer is what more agents say than anything else; if there is no such answer, there is none, as in the paper.
    """

    def decide(items: Sequence[Item]) -> list[Verdict]:
        first = [f"{TRAITS[trait]}\n" for trait in traits]
        turns = [[head + first_turn(item, room.template) for item in items] for head in first]
        said = _speak(room, turns)
        texts, tokens = _texts(said), _tokens(said, len(items))
        history = [[_ballots(item, own)] for item, own in zip(items, texts, strict=True)]
        for pattern in patterns:
            turns = []
            for k, head in enumerate(first):
                turns.append([])
                for item, own in zip(items, texts, strict=True):
                    others = [text for j, text in enumerate(own) if j != k and text] if pattern == "d" else []
                    turns[k].append(head + later_turn(item, room.template, own[k], others))
            said = _speak(room, turns)
            texts = _texts(said)
            tokens = [a + b for a, b in zip(tokens, _tokens(said, len(items)), strict=True)]
            for rounds, item, own in zip(history, items, texts, strict=True):
                rounds.append(_ballots(item, own))
        return [_verdict(rounds, cost) for rounds, cost in zip(history, tokens, strict=True)]

    return decide


def measures(items: Sequence[Item], verdicts: Sequence[Verdict], patterns: str) -> dict[str, Any]:
    """The paper's measures of conformity and of consensus (section 4 and appendix G.1).

    An agent conforms in a round of debate if its answer is the one, or one of those, that most agents gave in the
    round before, itself included and only if at least two gave it. ``conformity`` is the share of agents and debates in
    which it does; ``conforming`` splits these by whether the agent was right before and after. ``consensus`` is the
    mean number of different answers in each round, the first answers being round 0: 1 is full agreement.
    """
    changes: Counter[str] = Counter()
    debates = 0
    clusters: list[list[int]] = [[] for _ in range(len(patterns) + 1)]
    for item, verdict in zip(items, verdicts, strict=True):
        rounds: list[Ballots] = verdict.notes["rounds"]
        for number, ballots in enumerate(rounds):
            clusters[number].append(len({ballot for ballot in ballots if ballot is not None}))
        for pattern, before, after in zip(patterns, rounds, rounds[1:], strict=False):
            if pattern == "d":
                debates += len(after)
                for old, new in zip(before, after, strict=True):
                    if new is not None and new in leading(before):
                        changes[f"{_truth(item, old)} to {_truth(item, new)}"] += 1
    conforming = changes.total()
    kinds = [f"{a} to {b}" for a in ("right", "wrong") for b in ("right", "wrong")]
    return {
        "conformity": conforming / debates if debates else None,
        "conforming": {kind: changes[kind] / conforming for kind in kinds} if conforming else {},
        "consensus": [sum(own) / len(own) for own in clusters],
    }


def leading(ballots: Sequence[str | None]) -> set[str]:
    """The answers that most agents give, if at least two do.

    Example:
        >>> sorted(leading(["A", "B", "B", "A", None])), leading(["A", "B", None])
        (['A', 'B'], set())
    """
    counts = Counter(ballot for ballot in ballots if ballot is not None)
    most = max(counts.values(), default=0)
    return {ballot for ballot, n in counts.items() if n == most} if most > 1 else set()


def _speak(room: Room, turns: Sequence[Sequence[str]]) -> list[list[Texts]]:
    return [room.members[k % room.n].generate(own) for k, own in enumerate(turns)]


def _texts(said: Sequence[Sequence[Texts]]) -> list[list[str]]:
    """Per item each agent's words."""
    return [[one.texts[0].strip() for one in own] for own in zip(*said, strict=True)]


def _tokens(said: Sequence[Sequence[Texts]], items: int) -> list[int]:
    return [sum(row[i].tokens for row in said) for i in range(items)]


def _ballots(item: Item, texts: Sequence[str]) -> Ballots:
    return cluster([read_ballot(item, text) for text in texts])


def _verdict(rounds: list[Ballots], tokens: int) -> Verdict:
    counts = Counter(ballot for ballot in rounds[-1] if ballot is not None)
    ranked = counts.most_common(2)
    clear = bool(ranked) and (len(ranked) == 1 or ranked[0][1] > ranked[1][1])
    answer = ranked[0][0] if clear else None
    agreement = counts[answer] / len(rounds[-1]) if answer is not None else 0.0
    return Verdict(answer, tuple(rounds[-1]), agreement, tokens, notes={"rounds": rounds})


def _truth(item: Item, ballot: str | None) -> str:
    return "right" if is_right(item, ballot) else "wrong"


__all__ = ["TRAITS", "leading", "measures", "parse", "society"]
