"""Which members are asked for which item: those who are good nearby, or as many as it takes to be sure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.collective import voting
from pyswarmopt_llm.collective.ensemble.neighbours import Neighbourhood
from pyswarmopt_llm.collective.room import Room, Verdict
from pyswarmopt_llm.collective.sheet import Sheet
from pyswarmopt_llm.collective.strategy import Decide
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
        sheet = room.ask(items)
        verdicts = []
        for i, ballots in enumerate(sheet.ballots):
            asked = np.flatnonzero(votes[:, i])
            outcome = voting.weighted([ballots[k] for k in asked], votes[asked, i].tolist())
            own = tuple(ballots[k] if k in asked else None for k in range(room.n))
            tokens = int(sheet.tokens[asked, i].sum()) + cost[i]
            verdicts.append(Verdict(outcome.answer, own, outcome.agreement, tokens, len(outcome.tied) > 1))
        return verdicts

    return decide


def cascade(room: Room) -> Decide:
    """Members are asked one after the other, the best on dev first, until the group is sure enough.

    After each one the group believes in an option in proportion to the product of the probabilities that those asked
    give to it (calibrated, and as if they erred independently). It stops when it believes in one with at least the
    threshold: the one that is best on dev, of equally good ones the cheapest.
    """
    order = room.order
    dev = room.probabilities(room.dev)
    found = {threshold: run_cascade(dev[order], threshold) for threshold in THRESHOLDS}
    labels = [list(item.choices or {}).index(item.answer) for item in room.dev.items]

    def worth(threshold: float) -> tuple[float, int]:
        chosen, asked = found[threshold]
        return float(np.mean(chosen == labels)), -int(asked.sum())

    threshold = max(THRESHOLDS, key=worth)

    def decide(items: Sequence[Item]) -> list[Verdict]:
        sheet = room.ask(items)
        chosen, asked = run_cascade(room.probabilities(sheet)[order], threshold)
        return [_verdict(sheet, i, int(chosen[i]), order[: asked[i]], threshold) for i in range(len(items))]

    return decide


def run_cascade(probabilities: Array, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which option each item gets, and after how many members.

    Args:
        probabilities: (n, items, options), members in the order in which they are asked; 0 for options that an item
            does not have.
        threshold: of belief; at 1 all are asked.

    Example:
        >>> p = np.array([[[0.9, 0.1], [0.6, 0.4]], [[0.2, 0.8], [0.1, 0.9]]])
        >>> run_cascade(p, 0.8)
        (array([0, 1]), array([1, 2]))
    """
    items = probabilities.shape[1]
    with np.errstate(divide="ignore"):
        belief = np.cumsum(np.log(probabilities), axis=0)
    belief = np.exp(belief - belief.max(axis=2, keepdims=True))
    belief /= belief.sum(axis=2, keepdims=True)
    sure = (belief.max(axis=2) >= threshold) & (threshold < 1)
    sure[-1] = True
    asked = sure.argmax(axis=0)
    return belief[asked, np.arange(items)].argmax(axis=1), asked + 1


def _verdict(sheet: Sheet, i: int, option: int, asked: Sequence[int], threshold: float) -> Verdict:
    answer = list(sheet.items[i].choices or {})[option]
    ballots = tuple(ballot if k in asked else None for k, ballot in enumerate(sheet.ballots[i]))
    agreement = sum(ballot == answer for ballot in ballots) / len(asked)
    tokens = int(sheet.tokens[list(asked), i].sum())
    return Verdict(answer, ballots, agreement, tokens, notes={"asked": len(asked), "threshold": threshold})


__all__ = ["THRESHOLDS", "cascade", "nearest", "run_cascade"]
