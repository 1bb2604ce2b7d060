"""Graph reachability: which town can be reached over one or two roads."""

from __future__ import annotations

import random

from pyswarmopt_llm.tasks.builtin.sampling import Draft, wrong_answers

TOWNS = (
    "Oslo", "Rome", "Lima", "Cairo", "Paris", "Delhi", "Tokyo", "Quito", "Berlin", "Dublin", "Madrid",
    "Vienna", "Athens", "Prague",
)  # fmt: skip


def make(rng: random.Random) -> Draft:
    """Two separate road networks; exactly one option is right.

    Example:
        >>> make(random.Random(3)).question.startswith("Roads: ")
        True
    """
    near_size = rng.randint(2, 3)
    towns = rng.sample(TOWNS, near_size + 3)
    near, far = towns[:near_size], towns[near_size:]
    roads = random_tree(rng, near) + random_tree(rng, far)
    rng.shuffle(roads)
    listed = ", ".join(f"{a}-{b}" for a, b in roads)
    start, *reachable = rng.sample(near, near_size)
    answer = rng.choice(reachable)
    question = f"Roads: {listed}. Which town can be reached from {start}?"
    return Draft(question, answer, wrong_answers(rng, answer, far))


def random_tree(rng: random.Random, nodes: list[str]) -> list[tuple[str, str]]:
    """The edges of a random tree over the nodes, each in random direction."""
    edges = [(nodes[rng.randrange(i)], nodes[i]) for i in range(1, len(nodes))]
    return [(b, a) if rng.random() < 0.5 else (a, b) for a, b in edges]
