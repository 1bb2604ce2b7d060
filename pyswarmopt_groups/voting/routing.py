"""Routing: each item goes to one member, chosen before any answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_groups.context import Decide, GroupContext, Verdict
from pyswarmopt_groups.members.protocol import Pair
from pyswarmopt_groups.responses import Array, read_ballot
from pyswarmopt_groups.voting.neighbours import Neighbourhood
from pyswarmopt_llm.tasks import Item

Rate = Callable[[Sequence[Item]], tuple[NDArray[Any], list[int]]]  # each member on each item, (n, items); tokens


def by_neighbours(context: GroupContext, neighbours: int) -> Decide:
    """The member that is right on most of the item's nearest dev items; ties: the better on dev, then the first."""
    return _routed(context, Neighbourhood(context, neighbours).right_nearby)


def by_likelihood(context: GroupContext) -> Decide:
    """The member that is most probably right, by how familiar the question is to each.

    Familiarity is log P(question) per byte less the members' mean, which removes how unlikely the question itself is. A
    logistic regression of each member's dev results turns it into a probability of being right.
    """
    familiar, _ = familiarity(context, context.dev.items)
    fits = [fit_logistic(own, right) for own, right in zip(familiar, context.dev.right, strict=True)]

    def p_right(items: Sequence[Item]) -> tuple[Array, list[int]]:
        familiar, cost = familiarity(context, items)
        return np.array([fit(own) for fit, own in zip(fits, familiar, strict=True)]), cost

    return _routed(context, p_right)


def familiarity(context: GroupContext, items: Sequence[Item]) -> tuple[Array, list[int]]:
    """log P(question) per byte less the members' mean, (n, items); tokens per item."""
    pairs: list[Pair] = [(None, item.question) for item in items]
    rows = [member.likelihoods(pairs) for member in context.members]
    sizes = np.array([len(item.question.encode()) for item in items])
    values = np.array([[one.logprob for one in row] for row in rows]) / sizes
    return values - values.mean(axis=0), [sum(row[i].tokens for row in rows) for i in range(len(items))]


def fit_logistic(x: Array, right: NDArray[np.bool_]) -> Callable[[Array], Array]:
    """P(right | x) by logistic regression on one standardised feature (scikit-learn, its default penalty).

    Constant, the smoothed share, for a member that is always right or never.

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


def _routed(context: GroupContext, rate: Rate) -> Decide:
    """Each item to the member that `rate` rates highest; ties go to the better on dev, then the first-listed."""
    place = np.argsort(context.order)

    def decide(items: Sequence[Item]) -> list[Verdict]:
        ratings, cost = rate(items)
        chosen = [max(range(context.n), key=lambda k: (ratings[k, i], -place[k])) for i in range(len(items))]
        verdicts: dict[int, Verdict] = {}
        for k, member in enumerate(context.members):
            own = [i for i, one in enumerate(chosen) if one == k]
            for i, answer in zip(own, context.answers_of(k, [items[i] for i in own]), strict=True):
                ballot = read_ballot(items[i], answer.text)
                ballots = tuple(ballot if j == k else None for j in range(context.n))
                tokens, notes = answer.tokens + cost[i], {"member": member.name}
                verdicts[i] = Verdict(ballot, ballots, float(ballot is not None), tokens, notes=notes)
        return [verdicts[i] for i in range(len(items))]

    return decide
