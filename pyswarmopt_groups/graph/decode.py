"""G-decode: from a continuous adjacency matrix to a directed acyclic graph (Feng et al. 2025, arXiv 2502.04510).

Entry a_uv of the matrix says how likely model u hands its message to model v. The model that answers is drawn first, by
inverse out-degree; then the others one by one, by out-degree, and each is joined to models that were drawn before it:
so no cycle can arise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.common.interfaces import Node

TOP_P = 0.8  # of the paper
_NO_DEGREE = 1e-9  # stands for an out-degree of 0, whose inverse has to be finite


def g_decode(adjacency: NDArray[np.float64], rng: np.random.Generator, top_p: float = TOP_P) -> dict[int, list[int]]:
    """Draw a graph.

    Edge (u, v) to a model v drawn before u has probability exp(a_uv) / sum_i exp(a_ui), i over all drawn before u.
    Likelihoods are not negative: what a swarm moves to 0 or below is never an edge (the paper's pruning by a threshold,
    with the threshold 0).

    Args:
        adjacency: (n, n); its diagonal counts in the out-degrees, as in the paper, and nowhere else.
        rng: makes the draws.
        top_p: share of the probability that draws of models are made from (nucleus sampling, Holtzman et al. 2020).

    Returns:
        Model -> the models that read its message, in the order in which they were drawn: first the one that answers.

    Example:
        >>> chain = np.array([[0.0, 9.0, 0.0], [0.0, 0.0, 99.0], [0.0, 0.0, 0.0]])
        >>> g_decode(chain, np.random.default_rng(0))
        {2: [], 1: [2], 0: [1]}
    """
    degree = np.maximum(adjacency.clip(min=0.0).sum(1), _NO_DEGREE)
    end = _nucleus_draw(1.0 / degree, rng, top_p)
    readers: dict[int, list[int]] = {end: []}
    left = [u for u in range(len(degree)) if u != end]
    while left:
        u = left.pop(_nucleus_draw(degree[left], rng, top_p))
        drawn = list(readers)
        likely = np.exp(adjacency[u, drawn] - adjacency[u, drawn].max())
        joined = (rng.random(len(drawn)) < likely / likely.sum()) & (adjacency[u, drawn] > 0.0)
        readers[u] = [v for v, there in zip(drawn, joined, strict=True) if there]
    return readers


def called(readers: dict[int, list[int]], models: list[tuple[float, ...]]) -> tuple[Node, ...]:
    """The graph in the order of calling, the model that answers last; models that no other model reads are left out.

    Args:
        readers: see `g_decode`.
        models: the coefficients of each model.

    Example:
        >>> called({2: [], 1: [2], 0: []}, [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)])
        (Node(model=(0.0, 1.0), reads=()), Node(model=(0.5, 0.5), reads=(0,)))
    """
    read: list[int] = []  # readers come before those they read
    for u, readers_of_u in readers.items():
        if not read or any(v in read for v in readers_of_u):
            read.append(u)
    order = read[::-1]
    nodes = []
    for v in order:
        reads = [place for place, u in enumerate(order) if v in readers[u]]
        nodes.append(Node(models[v], tuple(reads)))
    return tuple(nodes)


def _nucleus_draw(weights: NDArray[np.float64], rng: np.random.Generator, top_p: float) -> int:
    """An index drawn by weight from the fewest heaviest ones that have a share of `top_p` together."""
    order = np.argsort(-weights, kind="stable")
    shares = weights[order] / weights.sum()
    kept = int(np.searchsorted(shares.cumsum(), top_p)) + 1
    return int(order[rng.choice(min(kept, len(order)), p=shares[:kept] / shares[:kept].sum())])
