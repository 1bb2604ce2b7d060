"""Natural niches (M2N2): pairs of complementary models, mixed on either side of a split point.

Abrantes, Lange & Tang 2025, arXiv 2508.16204, "Competition and Attraction Improve Model Fusion";
rules and constants as in the authors' released code:

- competition: dev item j is a resource that the models who solve it share, z_j = sum_k s(x_j | k)
  (1 where that is 0); fitness f_i = sum_j s(x_j | i) / z_j. A child replaces the least fit of all,
  itself included.
- attraction: the first parent is drawn in proportion to f, the second to
  g(a, b) = sum_j max(0, s(x_j | b) - s(x_j | a)) / z_j.
- merging: t ~ U(0, 1) and a split point; slerp(a, b; t) before it, slerp(a, b; 1 - t) behind, with
  the angle between the whole vectors. No mutation, since the models are trained.

The vectors are weight changes dW here, and the split point lies between two modules. The archive is
as large as the number of experts, a setting in the paper (20), and there are as many children as
the budget covers (in their script 50,000, of a small network). A model is a weight for each expert
and module, its angles follow from Gram matrices, and the result is exact, of rank sum r.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pyswarmopt_rivals.methods.changes import mixture, side_by_side
from pyswarmopt_rivals.methods.method import Merged, Settings
from pyswarmopt_rivals.methods.rules.angles import arc_weights, cosine_of


def shares(solved: np.ndarray) -> np.ndarray:
    """Each model's share of each item, (n, items): its score over the sum of all models' scores.

    Example:
        >>> shares(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])).tolist()
        [[1.0, 0.5, 0.0], [0.0, 0.5, 0.0]]
    """
    total = solved.sum(0)
    return solved / np.where(total == 0, 1.0, total)


def draw_parents(solved: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Two models: one by fitness, one by its gain over the first; uniform if all weights are 0.

    Example:
        >>> # the first two share an item, the last solves none
        >>> solved = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        >>> rng = np.random.default_rng(0)
        >>> pairs = [draw_parents(solved, rng) for _ in range(2000)]
        >>> sorted(set(pairs)), round(sum(first == 2 for first, _ in pairs) / 2000, 1)
        ([(0, 2), (1, 2), (2, 0), (2, 1)], 0.5)
    """
    shared = shares(solved)
    first = _draw(shared.sum(1), rng)
    return first, _draw(np.maximum(shared - shared[first], 0).sum(1), rng)


def _draw(weights: np.ndarray, rng: np.random.Generator) -> int:
    total = weights.sum()
    return int(rng.choice(len(weights), p=weights / total if total > 0 else None))


def child(grams: Tensor, a: Tensor, b: Tensor, t: float, split: int) -> Tensor:
    """The weights of two models' child, (modules, n), with `split` modules before the split point.

    `grams` are the inner products of the experts' changes in each module, (modules, n, n).
    """

    def product(x: Tensor, y: Tensor) -> Tensor:
        return torch.einsum("mi,mij,mj->", x, grams, y)

    cosine = cosine_of(product(a, b), product(a, a), product(b, b))
    mixed = []
    for part, at in ((slice(None, split), t), (slice(split, None), 1 - t)):
        stay, go = arc_weights(cosine, at)
        mixed.append(stay * a[part] + go * b[part])
    return torch.cat(mixed)


def execute(settings: Settings) -> Merged:
    """Evolve until the budget is spent; the archive starts with the experts and keeps its size."""
    trial = settings.trial
    rng = np.random.default_rng(settings.seed)
    parts = side_by_side(settings.experts)
    grams = torch.stack([part.gram() for part in parts.values()])
    modules, n, _ = grams.shape
    archive = list(torch.eye(n, dtype=torch.float64)[:, None].repeat(1, modules, 1))[: trial.left]
    scores = [trial.score(mixture(parts, weights)) for weights in archive]
    best = max(zip(scores, archive, strict=True), key=lambda pair: pair[0].value)
    solved = np.array([score.per_item for score in scores])
    while trial.left > 0:
        a, b = draw_parents(solved, rng)
        t = float(rng.random())
        split = int(rng.integers(modules))
        made = child(grams, archive[a], archive[b], t, split)
        score = trial.score(mixture(parts, made))
        if score.value > best[0].value:
            best = (score, made)
        everyone = np.vstack([solved, score.per_item])
        weakest = int(shares(everyone).sum(1).argmin())
        if weakest < len(archive):
            archive[weakest] = made
            solved[weakest] = score.per_item
    return Merged(mixture(parts, best[1]))
