"""Weights of members learned together on dev (`stacked`, `attentive`), or adapted afterwards
(`trusted`).

Stacked weights: `weighted` treats members one at a time, as if their errors were independent. Here
members with the same errors share one weight, and a member that is deliberately wrong gets a
negative one. The weights are the same for every question.

Attention: a member's weight is a softmax of scores that are linear in the question's embedding,
learned together (the gate of a mixture of experts).

Trust: the right test answers are unknown. A member's answer is compared with the answers that all
members together make probable, so a member that changes (truthful on dev, lying now) loses its
weight within `MEMORY` items. If most are wrong together, trust goes to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats
from pyswarmopt_groups import voting
from pyswarmopt_groups.context import GroupContext, GroupVerdict, verdict_of, verdicts_for
from pyswarmopt_groups.ensembles.selection import question_embeddings
from pyswarmopt_groups.responses import Responses
from pyswarmopt_llm.scores.tasks import Item

MEMORY = 50  # items after which the influence of an answer has fallen to 1 / e


def stacked(context: GroupContext, items: Sequence[Item]) -> list[GroupVerdict]:
    """The option o with the greatest sum over members k of w_k log p_k(o); `fit_weights` fits w on
    dev.

    Each member's logarithms are scaled to a standard deviation of 1 on dev, so that the penalty
    treats confident and cautious members alike. Source: Wolpert 1992; Ting and Witten 1999, arXiv
    1105.5466 (stacking of probabilities); Genest and Zidek 1986 (the logarithmic pool).
    """
    logs, there = _features(context, context.dev)
    scales = logs[there].std(axis=0)
    scales[scales == 0] = 1.0  # a member without an opinion on any item
    weights = fit_weights(logs / scales, there, context.labels) / scales
    responses = context.collect(items)
    logs, there = _features(context, responses)
    pooled = np.where(there, logs @ weights, -np.inf)
    return verdicts_for(responses, best_options(items, pooled))


def _features(context: GroupContext, responses: Responses) -> tuple[Floats, Bools]:
    """Log-probabilities minus their mean over the item's options, (items, options, n); and a mask
    of existing options.

    Subtracting the mean changes no choice. Past an item's last option the value is 0.
    """
    p = np.moveaxis(context.probabilities(responses), 0, -1)
    there: Bools = np.any(p > 0, axis=-1)
    logs = np.log(np.where(there[..., None], p, 1.0))
    means = logs.sum(axis=1) / there.sum(axis=1)[:, None]
    return np.where(there[..., None], logs - means[:, None], 0.0), there


def fit_weights(logs: Floats, there: Bools, labels: Sequence[int]) -> Floats:
    """The weights w, (n,), of the conditional logit P(o) ~ exp(sum_k w_k logs[o, k]) (McFadden
    1974).

    Minimises |w|^2 / 2 plus the negative log-likelihood, which is convex; with two options it is
    logistic regression of the right option on the difference between both, without an intercept.

    Args:
        logs: (items, options, n).
        there: (items, options), whether the option exists.
        labels: index of each item's right option.

    Example:
        >>> logs = np.log([[[0.9, 0.4], [0.1, 0.6]], [[0.2, 0.7], [0.8, 0.3]]])  # right; wrong on both
        >>> fit_weights(logs, np.ones((2, 2), dtype=bool), [0, 1]).round(1).tolist()
        [0.7, -0.3]
    """
    from scipy.special import log_softmax

    rows = np.arange(len(labels))
    right = logs[rows, labels]

    def loss(w: Floats) -> tuple[float, Floats]:
        log_p = log_softmax(np.where(there, logs @ w, -np.inf), axis=1)
        expected = np.einsum("io,iok->k", np.exp(log_p), logs)
        slope = w + (expected - right.sum(axis=0))
        return float(w @ w / 2 - log_p[rows, labels].sum()), slope

    return least(loss, logs.shape[2])


def least(loss: Callable[[Floats], tuple[float, Floats]], size: int) -> Floats:
    """The minimum of a function of `size` numbers, given its value and gradient, starting from 0."""
    from scipy.optimize import minimize

    found = minimize(loss, np.zeros(size), jac=True, method="L-BFGS-B", options={"gtol": 1e-8})
    return np.asarray(found.x)


def best_options(items: Sequence[Item], values: Floats) -> list[str]:
    """The letter of each item's greatest value, (items, options)."""
    pairs = zip(items, values.argmax(axis=1), strict=True)
    return [item.letters[index] for item, index in pairs]


def attentive(context: GroupContext, items: Sequence[Item], strength: float) -> list[GroupVerdict]:
    """The option o with the greatest sum over members k of a_k(q) p_k(o), where p_k are calibrated
    probabilities and a(q) is the softmax over members of W (1, e(q)).

    Embeddings e are scaled to mean 0 and a mean squared length of 1 on dev. `fit_attention` fits W
    on dev. Source: Jacobs et al. 1991, "Adaptive mixtures of local experts" (the gate), with frozen
    experts.
    """
    points, _ = question_embeddings(context, context.dev.items)
    center = points.mean(axis=0)
    scale = float(np.sqrt(((points - center) ** 2).sum(axis=1).mean())) or 1.0

    def features(points: Floats) -> Floats:
        return np.column_stack([np.ones(len(points)), (points - center) / scale])

    right = context.probabilities(context.dev)[:, range(len(points)), context.labels]
    weights = fit_attention(features(points), right, strength)
    responses = context.collect(items)
    points, cost = question_embeddings(context, items)
    shares = attention(features(points), weights)
    pooled = np.einsum("ki,kio->io", shares, context.probabilities(responses))
    return verdicts_for(responses, best_options(items, pooled), cost)


def attention(features: Floats, weights: Floats) -> Floats:
    """Each member's share of each item, (n, items); the shares of an item sum to 1.

    Example:
        >>> attention(np.array([[1.0, 1.0], [1.0, -1.0]]), np.array([[0.0, 9.0], [0.0, 0.0]])).round(2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    from scipy.special import softmax

    return np.asarray(softmax(weights @ features.T, axis=0))


def fit_attention(features: Floats, right: Floats, strength: float) -> Floats:
    """The weights W, (n, d), that minimise |W|^2 / 2 - `strength` * sum over items of log P(right).

    Args:
        features: (items, d).
        right: (n, items), each member's probability of the right option, above 0.
        strength: weight of the data against the penalty.
    """
    n = len(right)
    d = features.shape[1]

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(n, d)
        joint = attention(features, weights) * right
        p = joint.sum(axis=0)
        # each member's posterior minus its share: the slope of log P in the member's score
        slope = (joint / p - joint / right) @ features
        value = flat @ flat / 2 - strength * np.log(p).sum()
        return float(value), (weights - strength * slope).ravel()

    return least(loss, n * d).reshape(n, d)


def trusted(context: GroupContext, items: Sequence[Item]) -> list[GroupVerdict]:
    """A vote weighted by the log-odds of running accuracies, over items in order.

    Source: Dawid and Skene 1979 (observers' errors without the truth), one step per item, with the
    forgetting of Herbster and Warmuth 1998. After each item a member's accuracy moves by 1 /
    `MEMORY` towards the probability of its ballot, given all ballots and accuracies (independent
    errors, wrong options equally likely). Abstentions change nothing. An open question counts as
    one with two options, as in `weighted`.
    """
    responses = context.collect(items)
    accuracies = context.accuracies.tolist()
    verdicts = []
    for i, item in enumerate(items):
        options = len(item.choices or "ab")
        weights = voting.log_odds(accuracies, MEMORY, options)
        outcome = voting.weighted(responses.ballots[i], weights)
        trust = [round(p, 4) for p in accuracies]
        verdicts.append(verdict_of(outcome, responses.costs[i], trust=trust))
        probabilities = posterior(outcome.scores, options)
        for k, ballot in enumerate(outcome.ballots):
            if ballot is not None:
                accuracies[k] += (probabilities[ballot] - accuracies[k]) / MEMORY
    return verdicts


def posterior(scores: Mapping[str, float], options: int) -> dict[str, float]:
    """Answer -> its probability, from sums of log-odds; options without votes have a score of 0.

    Example:
        >>> {letter: round(p, 2) for letter, p in posterior({"A": float(np.log(3)), "B": 0.0}, 4).items()}
        {'A': 0.5, 'B': 0.17}
    """
    from scipy.special import softmax

    without_votes = [0.0] * (options - len(scores))
    shares = softmax([*scores.values(), *without_votes]).tolist()
    return dict(zip(scores, shares, strict=False))
