"""One member for each item, chosen before any is asked for an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.groups.context import Room, Verdict
from pyswarmopt_llm.groups.members.protocol import Pair
from pyswarmopt_llm.groups.responses import read_ballot
from pyswarmopt_llm.groups.strategy import Decide
from pyswarmopt_llm.groups.voting.neighbours import Neighbourhood
from pyswarmopt_llm.tasks import Item

Array = NDArray[np.float64]
Choose = Callable[[Sequence[Item]], tuple[list[int], list[int]]]


def by_neighbours(room: Room) -> Decide:
    """The member that is right on most of the item's nearest dev items; of equals the better on dev, then the first."""
    hood, place = Neighbourhood(room), np.argsort(room.order)

    def choose(items: Sequence[Item]) -> tuple[list[int], list[int]]:
        right, cost = hood.right_nearby(items)
        members = [max(range(room.n), key=lambda k: (right[k, i], -place[k])) for i in range(len(items))]
        return members, cost

    return _sending(room, choose)


def by_likelihood(room: Room) -> Decide:
    """The member that is most probably right, by how familiar the question is to each.

    Familiarity is log P(question) per byte, less the mean of all members: what a question has of its own to be
    unlikely tells nothing about members. A logistic regression of each member's dev results on its familiarity turns
    it into a probability of being right, so that members of unequal quality can be compared.
    """
    familiar, _ = familiarity(room, room.dev.items)
    fits = [fit_logistic(own, right) for own, right in zip(familiar, room.dev.right, strict=True)]
    place = np.argsort(room.order)

    def choose(items: Sequence[Item]) -> tuple[list[int], list[int]]:
        familiar, cost = familiarity(room, items)
        p = np.array([fit(own) for fit, own in zip(fits, familiar, strict=True)])
        return [max(range(room.n), key=lambda k: (p[k, i], -place[k])) for i in range(len(items))], cost

    return _sending(room, choose)


def familiarity(room: Room, items: Sequence[Item]) -> tuple[Array, list[int]]:
    """log P(question) per byte less the members' mean, (n, items), and what it cost."""
    pairs: list[Pair] = [(None, item.question) for item in items]
    said = [member.likelihoods(pairs) for member in room.members]
    sizes = np.array([len(item.question.encode()) for item in items])
    values = np.array([[one.logprob for one in row] for row in said]) / sizes
    return values - values.mean(axis=0), [sum(row[i].tokens for row in said) for i in range(len(items))]


def fit_logistic(x: Array, right: NDArray[np.bool_]) -> Callable[[Array], Array]:
    """P(right | x) by logistic regression on one standardised feature (scikit-learn, its penalty of 1).

    A member that is always right, or never, gets the smoothed share everywhere.

    Example:
        >>> fit = fit_logistic(np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, False, True, True]))
        >>> bool(fit(np.array([0.0]))[0] < 0.5 < fit(np.array([3.0]))[0])
        True
    """
    from sklearn.linear_model import LogisticRegression

    if right.all() or not right.any():
        share = (right.sum() + 0.5) / (len(right) + 1)
        return lambda new: np.full(len(new), share)
    middle, scale = x.mean(), x.std() or 1.0
    model = LogisticRegression(C=1.0).fit(((x - middle) / scale)[:, None], right)
    return lambda new: np.asarray(model.predict_proba(((new - middle) / scale)[:, None])[:, 1])


def _sending(room: Room, choose: Choose) -> Decide:
    def decide(items: Sequence[Item]) -> list[Verdict]:
        members, cost = choose(items)
        verdicts: list[Verdict] = [Verdict(None, (), 0.0, 0)] * len(items)
        for k, member in enumerate(room.members):
            own = [i for i, chosen in enumerate(members) if chosen == k]
            for i, answer in zip(own, room.ask_one(k, [items[i] for i in own]), strict=True):
                ballot = read_ballot(items[i], answer.text)
                ballots = tuple(ballot if j == k else None for j in range(room.n))
                tokens = answer.tokens + cost[i]
                verdicts[i] = Verdict(ballot, ballots, float(ballot is not None), tokens, notes={"member": member.name})
        return verdicts

    return decide


__all__ = ["by_likelihood", "by_neighbours", "familiarity", "fit_logistic"]
