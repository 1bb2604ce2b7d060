"""Operators of a real-coded genetic algorithm on the unit box.

Simulated binary crossover (Deb & Agrawal 1995, Complex Systems 9) and polynomial mutation (Deb & Goyal 1996, Computer
Science and Informatics 26), with the usual indices 15 and 20 and rates (Deb et al. 2002, NSGA-II). Each coordinate is
crossed with probability 1/2; what leaves the box is clipped to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyswarmopt_rivals.methods.evolution.item_response import Floats

CROSSOVER, CROSSOVER_INDEX = 0.9, 15.0
MUTATION_INDEX = 20.0


def tournament(values: Sequence[float], rng: np.random.Generator) -> int:
    """The better of two random places, the first one drawn on a tie."""
    one, other = (int(i) for i in rng.integers(len(values), size=2))
    return other if values[other] > values[one] else one


def crossed(one: Floats, other: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Two children, each (n,), with the parents' mean in every coordinate as long as they are inside the box."""
    if rng.random() > CROSSOVER:
        return one.copy(), other.copy()
    u = rng.random(len(one))
    power = 1 / (CROSSOVER_INDEX + 1)
    spread = np.where(u <= 0.5, (2 * u) ** power, (1 / (2 * (1 - u))) ** power)
    spread = np.where(rng.random(len(one)) < 0.5, spread, 1.0)
    middle, half = (one + other) / 2, spread * (one - other) / 2
    return np.clip(middle + half, 0, 1), np.clip(middle - half, 0, 1)


def mutated(x: Floats, rng: np.random.Generator) -> Floats:
    """A neighbour, (n,): on average one coordinate changes, mostly a little."""
    u = rng.random(len(x))
    power = 1 / (MUTATION_INDEX + 1)
    change = np.where(u < 0.5, (2 * u) ** power - 1, 1 - (2 * (1 - u)) ** power)
    return np.clip(x + np.where(rng.random(len(x)) < 1 / len(x), change, 0.0), 0, 1)


def offspring(parents: Floats, values: Sequence[float], rng: np.random.Generator) -> Floats:
    """As many children as parents, (N, n), of tournament winners, crossed and mutated."""
    found: list[Floats] = []
    while len(found) < len(parents):
        pair = (parents[tournament(values, rng)], parents[tournament(values, rng)])
        found += [mutated(child, rng) for child in crossed(*pair, rng)]
    return np.stack(found[: len(parents)])
