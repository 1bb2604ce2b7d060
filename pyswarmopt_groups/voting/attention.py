"""Attention over members that looks at the question: a pool whose weights are learned on dev.

`stacked` has one weight per member for all questions, `nearest` and `route-neighbours` count right
answers nearby. Here a member's weight is a softmax of scores that are linear in the question's
embedding, learned together (the gate of a mixture of experts).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyswarmopt_groups.context import Decide, GroupContext, Verdict, label_of, verdicts_for
from pyswarmopt_groups.responses import Array
from pyswarmopt_groups.voting.selection import QuestionEmbedding
from pyswarmopt_llm.scores.tasks import Item


def attentive(context: GroupContext, strength: float) -> Decide:
    """The option o with the greatest sum over members k of a_k(q) p_k(o), where p_k are calibrated
    probabilities and a(q) is the softmax over members of W (1, e(q)).

    Embeddings e are scaled to mean 0 and a mean squared length of 1 on dev. W is fitted on dev by
    `fit_attention`. Source: Jacobs et al. 1991, "Adaptive mixtures of local experts" (the gate),
    with frozen experts.
    """
    embedding = QuestionEmbedding(context)
    points, _ = embedding.of(context.dev.items)
    center = points.mean(axis=0)
    scale = float(np.sqrt(((points - center) ** 2).sum(axis=1).mean())) or 1.0

    def features(points: Array) -> Array:
        return np.column_stack([np.ones(len(points)), (points - center) / scale])

    right = context.probabilities(context.dev)[
        :, range(len(points)), [label_of(item) for item in context.dev.items]
    ]
    weights = fit_attention(features(points), right, strength)

    def decide(items: Sequence[Item]) -> list[Verdict]:
        responses = context.collect(items)
        points, cost = embedding.of(items)
        shares = attention(features(points), weights)
        pooled = np.einsum("ki,kio->io", shares, context.probabilities(responses))
        letters = [
            list(item.choices or {})[index]
            for item, index in zip(items, pooled.argmax(axis=1), strict=True)
        ]
        return verdicts_for(responses, letters, cost)

    return decide


def attention(features: Array, weights: Array) -> Array:
    """Each member's share of each item, (n, items); the shares of an item sum to 1.

    Example:
        >>> attention(np.array([[1.0, 1.0], [1.0, -1.0]]), np.array([[0.0, 9.0], [0.0, 0.0]])).round(2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    from scipy.special import softmax

    return np.asarray(softmax(weights @ features.T, axis=0))


def fit_attention(features: Array, right: Array, strength: float) -> Array:
    """The weights W, (n, d), that minimise |W|^2 / 2 - `strength` * sum over items of log P(right).

    Args:
        features: (items, d).
        right: (n, items), each member's probability of the right option, above 0.
        strength: of the data against the penalty.
    """
    from scipy.optimize import minimize

    n, d = len(right), features.shape[1]

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(n, d)
        joint = attention(features, weights) * right
        p = joint.sum(axis=0)
        # the posterior of each member less its share: the slope of log P in the member's score
        slope = (joint / p - joint / right) @ features
        value = flat @ flat / 2 - strength * np.log(p).sum()
        return float(value), (weights - strength * slope).ravel()

    result = minimize(loss, np.zeros(n * d), jac=True, method="L-BFGS-B", options={"gtol": 1e-8})
    return np.asarray(result.x.reshape(n, d))
