"""Which members are asked for which item: those who are good nearby, or as many as it takes to be sure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.groups.context import Room, Verdict
from pyswarmopt_llm.groups.members.protocol import Answer
from pyswarmopt_llm.groups.responses import read_ballot
from pyswarmopt_llm.groups.strategy import Decide
from pyswarmopt_llm.groups.voting.neighbours import Neighbourhood
from pyswarmopt_llm.groups.voting.rules import voting
from pyswarmopt_llm.tasks import Item

Array = NDArray[np.float64]

# Of the leading answer, at which a cascade stops; the best of these on dev is taken.
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


def nearest(room: Room) -> Decide:
    """KNORA-U: a member has as many votes as it is right on the item's nearest dev items, and without any is not asked.

    Where no member is right on any of them, all vote alike.
    """
    hood = Neighbourhood(room)

    def decide(items: Sequence[Item]) -> list[Verdict]:
        votes, cost = hood.right_nearby(items)
        votes = np.where(votes.sum(axis=0) == 0, 1, votes)
        ballots: list[list[str | None]] = [[None] * room.n for _ in items]
        tokens = list(cost)
        for k in range(room.n):
            own = np.flatnonzero(votes[k]).tolist()
            for i, answer in zip(own, room.ask_one(k, [items[i] for i in own]), strict=True):
                ballots[i][k] = read_ballot(items[i], answer.text)
                tokens[i] += answer.tokens
        verdicts = []
        for i, row in enumerate(ballots):
            asked = np.flatnonzero(votes[:, i])
            found = voting.weighted([row[k] for k in asked], votes[asked, i].tolist())
            verdicts.append(Verdict(found.answer, tuple(row), found.agreement, tokens[i], len(found.tied) > 1))
        return verdicts

    return decide


def cascade(room: Room) -> Decide:
    """Members are asked one after the other, the best on dev first, until the group is sure enough.

    After each one the group believes in an option in proportion to the product of the probabilities that those asked
    give to it (calibrated, and as if they erred independently). It stops when it believes in one with at least the
    threshold: the one that is best on dev, of equally good ones the cheapest.
    """
    order, dev = room.order, room.probabilities(room.dev)
    labels = [list(item.choices or {}).index(item.answer) for item in room.dev.items]

    def worth(threshold: float) -> tuple[float, int]:
        beliefs, asked = run_cascade(room.n, len(labels), threshold, lambda k, left: dev[order[k], left])
        chosen = [int(belief.argmax()) for belief in beliefs]
        return float(np.mean(np.equal(chosen, labels))), -sum(asked)

    threshold = max(THRESHOLDS, key=worth)

    def decide(items: Sequence[Item]) -> list[Verdict]:
        said: list[dict[int, Answer]] = [{} for _ in items]

        def ask(place: int, left: Sequence[int]) -> list[Array]:
            k, some = order[place], [items[i] for i in left]
            answers = room.ask_one(k, some)
            for i, answer in zip(left, answers, strict=True):
                said[i][k] = answer
            rows = room.beliefs(k, some, answers)
            return [row[: len(item.choices or {})] for item, row in zip(some, rows, strict=True)]

        beliefs, _ = run_cascade(room.n, len(items), threshold, ask)
        return [
            _verdict(item, own, belief, room.n, threshold)
            for item, own, belief in zip(items, said, beliefs, strict=True)
        ]

    return decide


def run_cascade(
    n: int, items: int, threshold: float, ask: Callable[[int, Sequence[int]], Iterable[Array]]
) -> tuple[list[Array], list[int]]:
    """What is believed of each item's options in the end, and how many were asked.

    Args:
        n: how many can be asked.
        items: how many items.
        threshold: of belief, at which no more are asked; at 1 all are.
        ask: (place in the order, items still open) -> for each the probabilities of its options.

    Example:
        >>> p = np.array([[[0.9, 0.1], [0.6, 0.4]], [[0.2, 0.8], [0.1, 0.9]]])
        >>> beliefs, asked = run_cascade(2, 2, 0.8, lambda k, left: p[k, left])
        >>> [belief.round(3).tolist() for belief in beliefs], asked
        ([[0.9, 0.1], [0.143, 0.857]], [1, 2])
    """
    beliefs: list[Array] = [np.ones(1)] * items
    asked, left = [0] * items, list(range(items))
    for place in range(n):
        for i, p in zip(left, ask(place, left), strict=True):
            product = beliefs[i] * p
            beliefs[i], asked[i] = product / product.sum(), place + 1
        left = [i for i in left if threshold >= 1 or beliefs[i].max() < threshold]
        if not left:
            break
    return beliefs, asked


def _verdict(item: Item, said: Mapping[int, Answer], belief: Array, n: int, threshold: float) -> Verdict:
    answer = list(item.choices or {})[int(belief.argmax())]
    ballots = tuple(read_ballot(item, said[k].text) if k in said else None for k in range(n))
    agreement = sum(ballot == answer for ballot in ballots) / len(said)
    tokens = sum(one.tokens for one in said.values())
    return Verdict(answer, ballots, agreement, tokens, notes={"asked": len(said), "threshold": threshold})


__all__ = ["THRESHOLDS", "cascade", "nearest", "run_cascade"]
