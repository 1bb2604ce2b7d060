"""GENOME+: a population of mixtures by succession, crossover, mutation and selection.

Zhang et al. 2025, arXiv 2503.01155, "Nature-Inspired Population-Based Evolution of Large Language Models"; operations
and constants as in the authors' released code. The population begins with `POPULATION` random mixtures of two experts
each, every pair once before one is repeated. A generation:

- succession: v <- (r1 f1 v + r2 f2 (p - x) + r3 f3 (g - x) - r4 f4 (w - x)) / C, x <- x + step v, where p is an
  individual's own best, g the best and w the worst of all so far, C the sum of the r f, and the r are drawn once for a
  search. The first v leads to another individual. The step shrinks by `DECAY` each generation (by each individual in
  the code).
- crossover: half as many times as there are individuals, with probability `CROSSOVER`: two parents drawn by fitness,
  and their average weighted by fitness as a child.
- mutation: with probability `MUTATION` an individual has a mutant, Gaussian noise on a fraction `GENES` of its genes.
- selection: the best tenth survives, the others are drawn by fitness, without replacement, up to `POPULATION`.

The code works on LoRA factors. Here a gene is an expert's coefficient for a type of module, of its weight change: all
operations but mutation are linear, so the factors would add nothing. `NOISE` is the code's default; its scripts have
.001, which is for single weights. The result is the best candidate scored, not the paper's vote of the last population.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.base.flat_view import module_type_of
from pyswarmopt_llm.common.interfaces import Computed, LowRank, Patch, Space
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_llm.spaces import build_space
from pyswarmopt_rivals.methods.method import Merged, Settings

POPULATION = 10
INERTIA, COGNITIVE, SOCIAL, REPEL = 0.2, 0.2, 0.2, 0.1
STEP, DECAY = 0.5, 0.95
CROSSOVER = 0.3
MUTATION, GENES, NOISE = 0.3, 0.1, 0.05
ELITE = 0.1


@dataclass
class Individual:
    """A mixture with its history."""

    x: Tensor  # (D,) position
    v: Tensor  # (D,) velocity
    fitness: float  # dev score at x
    p: Tensor  # (D,) best position so far
    best: float  # score at p

    def moved(self, x: Tensor, v: Tensor, fitness: float) -> Individual:
        """The same individual elsewhere."""
        p, best = (x, fitness) if fitness > self.best else (self.p, self.best)
        return Individual(x, v, fitness, p, best)


def draw(fitness: Sequence[float], count: int, rng: np.random.Generator) -> list[int]:
    """Different individuals in proportion to fitness (above the least where one is negative); uniform where fewer than
    `count` have any.

    Example:
        >>> sorted(draw([0.0, 2.0, 1.0], 2, np.random.default_rng(0)))
        [1, 2]
    """
    weights = np.asarray(fitness, dtype=np.float64)
    weights = weights - min(0.0, weights.min())
    shares = weights / weights.sum() if np.count_nonzero(weights) >= count else None
    return [int(i) for i in rng.choice(len(weights), size=count, replace=False, p=shares)]


class ByModuleType:
    """Coefficients of the experts for each type of module, (G * n,) for G types: those of a space, type by type.

    Args:
        space: over n adapters, with one coefficient each.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._types = {name: module_type_of(name) for name in self._changes(space.vertices()[0])}
        self._order = tuple(dict.fromkeys(self._types.values()))

    def vertices(self) -> Tensor:
        """The experts, (n, G * n) float64."""
        return self._space.vertices().repeat(1, len(self._order))

    def realise(self, position: Tensor) -> Patch:
        """The candidate: the changes of each type are those of the mixture with its coefficients."""
        rows = position.view(len(self._order), -1)
        mixtures = {kind: self._changes(row) for kind, row in zip(self._order, rows, strict=True)}
        shapes = next(iter(mixtures.values())).shapes

        def change(name: str) -> LowRank:
            return mixtures[self._types[name]][name]

        return Patch(low_rank=Computed(shapes, change))

    def _changes(self, position: Tensor) -> Computed[LowRank]:
        return cast("Computed[LowRank]", self._space.realise(position).low_rank)


class Evolution:
    """The search; `best` and `worst` are position and score, of everything scored."""

    def __init__(self, space: ByModuleType, settings: Settings) -> None:
        self._space, self._trial = space, settings.need_trial()
        self._rng = np.random.default_rng(settings.seed)
        r = self._rng.random(4)
        pulls = r * np.array([INERTIA, COGNITIVE, SOCIAL, REPEL])
        self._pulls, self._step = (pulls / pulls.sum()).tolist(), STEP
        self.best, self.worst = (torch.empty(0), -math.inf), (torch.empty(0), math.inf)
        self.population: list[Individual] = []
        self._add(self._pairs())

    def generation(self) -> None:
        """One round of all four operations, as far as the budget goes."""
        self._succeed()
        parents = list(self.population)
        self._add([*self._children(parents), *self._mutants(parents)])
        self._select()

    def _score(self, x: Tensor) -> float | None:
        """The dev score; None when the budget is spent."""
        if self._trial.left < 1:
            return None
        value = self._trial.score(self._space.realise(x)).value
        self.best = max(self.best, (x, value), key=lambda scored: scored[1])
        self.worst = min(self.worst, (x, value), key=lambda scored: scored[1])
        return value

    def _pairs(self) -> list[Tensor]:
        """Random mixtures of two experts."""
        vertices = self._space.vertices()
        pairs = list(combinations(range(len(vertices)), 2)) or [(0, 0)]
        order = self._rng.permutation(len(pairs))
        mixtures = []
        for k in range(POPULATION):
            a, b = pairs[order[k % len(pairs)]]
            shares = self._rng.random(2)
            first, second = (shares / shares.sum()).tolist()
            mixtures.append(first * vertices[a] + second * vertices[b])
        return mixtures

    def _add(self, newcomers: Sequence[Tensor]) -> None:
        """Score newcomers; the first velocity of each leads to a random individual."""
        scored = [(x, value) for x in newcomers if (value := self._score(x)) is not None]
        everyone = [*(member.x for member in self.population), *(x for x, _ in scored)]
        for x, value in scored:
            towards = everyone[int(self._rng.integers(len(everyone)))]
            self.population.append(Individual(x, towards - x, value, x, value))

    def _succeed(self) -> None:
        """Move everybody; those whom the budget does not cover stay put."""
        best, worst = self.best[0], self.worst[0]
        inertia, cognitive, social, repel = self._pulls
        for k, i in enumerate(self.population):
            v = inertia * i.v + cognitive * (i.p - i.x) + social * (best - i.x) - repel * (worst - i.x)
            x = i.x + self._step * v
            value = self._score(x)
            if value is not None:
                self.population[k] = i.moved(x, v, value)
        self._step *= DECAY

    def _children(self, parents: Sequence[Individual]) -> list[Tensor]:
        children = []
        fitness = [parent.fitness for parent in parents]
        for _ in range(len(parents) // 2):
            if self._rng.random() <= CROSSOVER:
                a, b = draw(fitness, 2, self._rng)
                total = fitness[a] + fitness[b]
                share = fitness[a] / total if total > 0 and min(fitness[a], fitness[b]) >= 0 else 0.5
                children.append(share * parents[a].x + (1 - share) * parents[b].x)
        return children

    def _mutants(self, individuals: Sequence[Individual]) -> list[Tensor]:
        mutants = []
        for individual in individuals:
            if self._rng.random() <= MUTATION:
                genes = len(individual.x)
                touched = self._rng.random(genes) < GENES
                noise = NOISE * touched * self._rng.standard_normal(genes)
                mutants.append(individual.x + torch.from_numpy(noise))
        return mutants

    def _select(self) -> None:
        if len(self.population) <= POPULATION:
            return
        ranked = sorted(self.population, key=lambda individual: -individual.fitness)
        elite = round(ELITE * len(ranked))
        rest = ranked[elite:]
        chosen = draw([individual.fitness for individual in rest], POPULATION - elite, self._rng)
        self.population = [*ranked[:elite], *(rest[i] for i in chosen)]


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Evolve until the budget is spent (the released scripts: 10 generations)."""
    space = ByModuleType(build_space(settings.space, experts))
    evolution = Evolution(space, settings)
    while settings.need_trial().left > 0:
        evolution.generation()
    return Merged(space.realise(evolution.best[0]))
