"""Soups: the plain average of all experts, or of those that help on dev; and the best single
expert.

Wortsman et al. 2022, arXiv 2203.05482, originally on whole models. Uniform soup: in ``delta`` space
dW = (1/n) sum dW_i, the average of the models; in ``factor`` space A and B are averaged each, so
their product has cross terms B_i A_j as well. Greedy soup, recipe 1: sort by validation accuracy;
ingredients <- {}; for each expert, if accuracy(average(ingredients + expert)) >=
accuracy(average(ingredients)), keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from pyswarmopt_llm.mix import build_space
from pyswarmopt_rivals.bench import as_patch
from pyswarmopt_rivals.methods.method import Merged, Settings


def uniform_soup(settings: Settings) -> Merged:
    """The average, or the sum with given weights, as at the same position of a search in this space."""
    space = build_space(settings.space, settings.experts)
    return Merged(space.realise(settings.weights))


def best_single(settings: Settings) -> Merged:
    """The expert with the best dev score, among equals the first; each is scored once, as far as
    the budget allows.
    """
    trial = settings.trial
    patches = [as_patch(expert) for expert in settings.experts[: trial.left]]
    return Merged(max(patches, key=lambda patch: trial.score(patch).value))


def greedy(n: int, value: Callable[[Sequence[int]], float], left: Callable[[], int]) -> list[int]:
    """The ingredients, in the order in which they were added.

    `value` returns the value of the average of the experts with these indices, `left` how many more
    averages may be evaluated (at least n at first).

    Example:
        >>> greedy(3, lambda chosen: {(1,): 0.5, (0,): 0.4, (2,): 0.3, (1, 0): 0.6, (1, 0, 2): 0.5}[tuple(chosen)],
        ...        lambda: 9)
        [1, 0]
    """
    alone = [value([i]) for i in range(n)]
    order = sorted(range(n), key=lambda i: -alone[i])
    kept = order[:1]
    best = alone[order[0]]
    for i in order[1:]:
        if left() < 1:
            break
        together = value([*kept, i])
        if together >= best:
            kept = [*kept, i]
            best = together
    return kept


def greedy_soup(settings: Settings) -> Merged:
    """At most 2 n - 1 scorings; a budget below n covers only the first experts."""
    trial = settings.trial
    space = build_space(settings.space, settings.experts)
    vertices = space.vertices()

    def average(chosen: Sequence[int]) -> Tensor:
        return vertices[list(chosen)].mean(0)

    n = min(len(vertices), trial.left)
    kept = greedy(
        n, lambda chosen: trial.score(space.realise(average(chosen))).value, lambda: trial.left
    )
    return Merged(space.realise(average(kept)))
