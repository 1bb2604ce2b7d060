"""Item response theory: who answers which item, and what a few answers say about all items.

Two-parameter logistic model in D dimensions (Birnbaum 1968; Reckase 2009): model i answers item j with probability
sigma(a_j . t_i - b_j), discriminations a_j (D,), difficulty b_j, ability t_i (D,). Fitted by maximising the posterior
under standard normal priors of the abilities, the discriminations and the distance of the difficulties from the
average item's, since a handful of models is far too few without.

The estimators are those of MERGE3 (Mencattini et al. 2025, arXiv 2502.10436), after tinyBenchmarks (Maia Polo et al.
2024, arXiv 2402.14992): a merged model's ability is a weighted sum of the experts' abilities, whose weights are the
likeliest for its answers to the items seen (here with a normal prior about equal weights, without which few answers
have no likeliest weights). mp-IRT = s m + (1 - s) u, with s the share of the items that were seen, m the weighted mean
of the answers there and u the mean probability of a right answer on the others; gmp-IRT = m / 2 + mp-IRT / 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit

Floats = npt.NDArray[np.float64]

BLEND = 0.5  # gmp-IRT's share of the plain weighted mean


@dataclass(frozen=True)
class ItemModel:
    """A fitted model."""

    discriminations: Floats  # (items, D)
    difficulties: Floats  # (items,)
    abilities: Floats  # (models, D), of those that it was fitted on

    def curve(self, ability: Floats) -> Floats:
        """The probability of a right answer to each item, (items,)."""
        return np.asarray(expit(self.discriminations @ ability - self.difficulties))

    def merged_ability(self, right: Floats, seen: Sequence[int], experts: Sequence[int]) -> Floats:
        """The likeliest weighted sum of these experts' abilities, (D,), given answers (1 or 0) to the items seen."""
        basis = self.abilities[list(experts)]
        a, b = self.discriminations[list(seen)] @ basis.T, self.difficulties[list(seen)]
        centre = np.full(len(basis), 1 / len(basis))

        def loss(weights: Floats) -> tuple[float, Floats]:
            value, slope = _surprise(a @ weights - b, right)
            away = weights - centre
            return float(value.sum() + away @ away / 2), slope @ a + away

        return np.asarray(minimize(loss, centre, jac=True, method="L-BFGS-B").x @ basis)

    def estimate(self, right: Floats, seen: Sequence[int], weights: Floats, experts: Sequence[int]) -> float:
        """gmp-IRT: the accuracy on all items, from answers to the items seen, whose `weights` sum to 1."""
        mean = float(weights @ right)
        others = np.setdiff1d(np.arange(len(self.difficulties)), seen)
        if len(others) == 0:
            return mean
        share = len(seen) / len(self.difficulties)
        unseen = float(self.curve(self.merged_ability(right, seen, experts))[others].mean())
        return BLEND * mean + (1 - BLEND) * (share * mean + (1 - share) * unseen)


def fit(right: Floats, dimensions: int) -> ItemModel:
    """Fit the model to answers, (models, items), 1 or 0; as many dimensions as there are models at most."""
    models, items = right.shape
    d = min(dimensions, models)
    usual = float(-logit((right.mean() * right.size + 1) / (right.size + 2)))
    u, s, v = np.linalg.svd(right - right.mean(0), full_matrices=False)
    kept = s[:d] > 1e-9 * max(1.0, float(s[0]))
    start = np.zeros((models + items) * d + items)
    start[: models * d] = (u[:, :d] * kept * models**0.5).ravel()
    start[models * d : (models + items) * d] = (v[:d].T * kept[None]).ravel()
    start[(models + items) * d :] = usual

    def parts(x: Floats) -> tuple[Floats, Floats, Floats]:
        split = np.split(x, [models * d, (models + items) * d])
        return split[0].reshape(models, d), split[1].reshape(items, d), split[2]

    def loss(x: Floats) -> tuple[float, Floats]:
        t, a, b = parts(x)
        value, slope = _surprise(t @ a.T - b, right)
        prior = (t**2).sum() + (a**2).sum() + ((b - usual) ** 2).sum()
        slopes = (slope @ a + t, slope.T @ t + a, -slope.sum(0) + b - usual)
        return float(value.sum() + prior / 2), np.concatenate([part.ravel() for part in slopes])

    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    abilities, discriminations, difficulties = parts(fitted.x)
    return ItemModel(discriminations, difficulties, abilities)


def anchors(model: ItemModel, count: int, seed: int) -> tuple[list[int], Floats]:
    """Items that stand for all, ascending, and the shares of the items that each stands for, summing to 1.

    k-means of the items' parameters; of each cluster the item nearest to its centre (tinyBenchmarks' IRT anchors).
    Where fewer than `count` items differ, as they do after few models, random others make up the number, and those of
    one cluster share its weight.
    """
    from sklearn.cluster import KMeans

    points = np.column_stack([model.discriminations, model.difficulties])
    if count >= len(points):
        return list(range(len(points))), np.full(len(points), 1 / len(points))
    clusters = min(count, len(np.unique(points.round(6), axis=0)))
    means = KMeans(clusters, n_init=4, random_state=seed).fit(points)
    nearest = means.transform(points).argmin(0)
    others = np.random.default_rng(seed).permutation(np.setdiff1d(np.arange(len(points)), nearest))
    chosen = np.sort(np.concatenate([nearest, others[: count - clusters]]))
    owner = means.labels_[chosen]
    sizes, members = (np.bincount(labels, minlength=clusters) for labels in (means.labels_, owner))
    return chosen.tolist(), np.asarray((sizes / members)[owner] / len(points))


def _surprise(z: Floats, right: Floats) -> tuple[Floats, Floats]:
    """-ln P of each answer at the logits z, and its derivative by z."""
    return np.logaddexp(0, z) - right * z, expit(z) - right
