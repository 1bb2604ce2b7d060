"""MERGE3: a genetic algorithm whose candidates answer a few items, from which their accuracy on all is estimated.

Mencattini et al. 2025, arXiv 2502.10436, "MERGE3: Efficient Evolutionary Merging on Consumer-grade GPUs", with the
estimator of the authors' released library (gmp-IRT).

1. The experts answer all dev items, and so do random candidates for up to `CALIBRATION` of the budget; the item model
   is fitted on these. (The paper takes item parameters from published models' answers; a new task has none.)
2. A tenth of the items, at least `FEWEST`, represent all: the medoids of clusters of item parameters, weighted by the
   clusters' sizes. (The released scripts draw them at random.)
3. A genetic algorithm (tournament, simulated binary crossover, polynomial mutation, the best of parents and children
   survive) maximises the estimate; a candidate costs the items of the subset.
4. The best by estimate, up to `FINALISTS`, answer all dev items, and the best candidate that has is the result. (The
   paper takes the best estimate as it is.)

A candidate is dW = sum w_i dW_i with w in [0, 1]^n: task arithmetic, which is exact on LoRA experts and needs no SVD
(the released scripts: SLERP for two models, TIES with DARE for more). The first population contains the experts.

Simulated binary crossover is that of Deb & Agrawal 1995 (Complex Systems 9), polynomial mutation that of Deb & Goyal
1996 (Computer Science and Informatics 26), with the usual indices 15 and 20 and rates (Deb et al. 2002, NSGA-II). Each
coordinate is crossed with probability 1/2; what leaves the box is clipped to it.

The item model is of item response theory: who answers which item, and what a few answers say about all items.

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
import torch
from scipy.optimize import minimize
from scipy.special import expit, logit

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch, Space
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_llm.spaces import build_space
from pyswarmopt_rivals.methods.method import Merged, Settings

Floats = npt.NDArray[np.float64]

POPULATION = 20
CALIBRATION = 0.5
SUBSET, FEWEST = 0.1, 10
DIMENSIONS = 5
BLEND = 0.5  # gmp-IRT's share of the plain weighted mean
FINALISTS = 5
CROSSOVER, CROSSOVER_INDEX = 0.9, 15.0
MUTATION_INDEX = 20.0


class Candidates:
    """Known candidates, (n,) weights each, by key: answers to all dev items, and estimated (or exact) accuracy."""

    def __init__(self, space: Space, settings: Settings) -> None:
        self._space, self._trial = space, settings.need_trial()
        self._weights: dict[bytes, Floats] = {}
        self.answers: dict[bytes, Floats] = {}
        self.estimates: dict[bytes, float] = {}

    def answer_all(self, weights: Floats) -> None:
        """Evaluate a candidate in full."""
        score = self._trial.score(self.patch(weights))
        answers = np.array(score.per_item, dtype=np.float64)
        if not np.isin(answers, (0.0, 1.0)).all():
            raise UserError("merge3: models items that are right or wrong; this metric has other values")
        key = self._key(weights)
        self.answers[key], self.estimates[key] = answers, score.value

    def estimate(self, weights: Floats, model: ItemModel, seen: list[int], shares: Floats, experts: int) -> None:
        """Evaluate a candidate on a subset, unless it is known."""
        key = self._key(weights)
        if key not in self.estimates:
            right = np.array(self._trial.score_items(self.patch(weights), seen).per_item, dtype=np.float64)
            self.estimates[key] = model.estimate(right, seen, shares, range(experts))

    def value(self, weights: Floats) -> float:
        """Its best known accuracy."""
        return self.estimates[self._key(weights)]

    def promising(self) -> list[Floats]:
        """Candidates that have not answered all items, by decreasing estimate."""
        rest = [key for key in self.estimates if key not in self.answers]
        return [self._weights[key] for key in sorted(rest, key=lambda key: -self.estimates[key])]

    def best(self) -> Patch:
        """The best of those that answered all items."""
        return self.patch(self._weights[max(self.answers, key=lambda key: self.estimates[key])])

    def patch(self, weights: Floats) -> Patch:
        return self._space.realise(torch.from_numpy(weights))

    def _key(self, weights: Floats) -> bytes:
        key = weights.tobytes()
        self._weights[key] = weights
        return key


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Calibrate, evolve until the budget is spent but for the finalists, let these answer all items."""
    trial, rng = settings.need_trial(), np.random.default_rng(settings.seed)
    pool = Candidates(build_space(settings.space, experts), settings)
    n, whole = len(experts), trial.left
    random = rng.random((max(n, POPULATION - n), n))
    population = np.concatenate([np.eye(n), random])
    in_full = min(max(n, int(CALIBRATION * whole)), len(population), whole)
    for weights in population[:in_full]:
        pool.answer_all(weights)
    finalists = min(FINALISTS, trial.left // 2)
    if finalists and in_full >= n:
        _evolve(pool, population, n, settings, rng, finalists)
        for weights in pool.promising()[: trial.left]:
            pool.answer_all(weights)
    return Merged(pool.best())


def _evolve(
    pool: Candidates, population: Floats, experts: int, settings: Settings, rng: np.random.Generator, finalists: int
) -> None:
    """The genetic algorithm on estimates, as long as the budget pays for the finalists, too."""
    trial = settings.need_trial()
    answers = np.stack(list(pool.answers.values()))
    items = answers.shape[1]
    model = fit(answers, DIMENSIONS)
    seen, shares = anchors(model, max(FEWEST, round(SUBSET * items)), settings.seed)

    def estimated(candidates: Floats) -> Floats:
        """The candidates that the budget covers."""
        covered = []
        for weights in candidates:
            if trial.items_left - len(seen) < finalists * items:
                break
            pool.estimate(weights, model, seen, shares, experts)
            covered.append(weights)
        return candidates[: len(covered)]

    population = estimated(population)
    while len(population) and trial.items_left - len(seen) >= finalists * items:
        before = trial.spent
        children = estimated(offspring(population, [pool.value(x) for x in population], rng))
        everyone = np.concatenate([population, children])
        order = np.argsort([-pool.value(x) for x in everyone], kind="stable")
        population = everyone[order[: len(population)]]
        if trial.spent == before:  # nothing new is found
            break


# The genetic algorithm's operators, on the unit box


def tournament(values: Sequence[float], rng: np.random.Generator) -> int:
    """The better of two random places, the first one drawn on a tie."""
    first, second = (int(i) for i in rng.integers(len(values), size=2))
    return second if values[second] > values[first] else first


def crossed(x: Floats, y: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Two children, each (n,), with the parents' mean in every coordinate as long as they are inside the box."""
    if rng.random() > CROSSOVER:
        return x.copy(), y.copy()
    u = rng.random(len(x))
    power = 1 / (CROSSOVER_INDEX + 1)
    spread = np.where(u <= 0.5, (2 * u) ** power, (1 / (2 * (1 - u))) ** power)
    spread = np.where(rng.random(len(x)) < 0.5, spread, 1.0)
    middle, half = (x + y) / 2, spread * (x - y) / 2
    return np.clip(middle + half, 0, 1), np.clip(middle - half, 0, 1)


def mutated(x: Floats, rng: np.random.Generator) -> Floats:
    """A neighbour, (n,): on average one coordinate changes, mostly a little."""
    u = rng.random(len(x))
    power = 1 / (MUTATION_INDEX + 1)
    change = np.where(u < 0.5, (2 * u) ** power - 1, 1 - (2 * (1 - u)) ** power)
    return np.clip(x + np.where(rng.random(len(x)) < 1 / len(x), change, 0.0), 0, 1)


def offspring(parents: Floats, values: Sequence[float], rng: np.random.Generator) -> Floats:
    """As many children as parents, (N, n), of tournament winners, crossed and mutated."""
    children: list[Floats] = []
    while len(children) < len(parents):
        pair = (parents[tournament(values, rng)], parents[tournament(values, rng)])
        children += [mutated(child, rng) for child in crossed(*pair, rng)]
    return np.stack(children[: len(parents)])


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
