"""From adjacency matrices to graphs: against all draws enumerated, and networkx' idea of a directed
acyclic graph.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import product
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pyswarmopt_groups.graph.space import called, g_decode

Drawn = tuple[int, frozenset[tuple[int, int]]]  # the end, the edges


def nucleus(weights: dict[int, float], top_p: float) -> dict[int, float]:
    """Top-p sampling by its definition: candidate -> probability."""
    total, kept = sum(weights.values()), dict[int, float]()
    for u in sorted(weights, key=lambda u: -weights[u]):
        kept[u] = weights[u] / total
        if sum(kept.values()) >= top_p:
            break
    return {u: p / sum(kept.values()) for u, p in kept.items()}


def transcription(a: list[list[float]], top_p: float) -> dict[Drawn, float]:
    """Algorithm 4 of the paper with every draw followed: graph -> probability. For positive
    entries.
    """
    n = len(a)
    counts: Counter[Drawn] = Counter()

    def go_on(existing: list[int], edges: frozenset[tuple[int, int]], p: float) -> None:
        remaining = [u for u in range(n) if u not in existing]
        if not remaining:
            counts[existing[0], edges] += p
            return
        for u, p_u in nucleus({u: sum(a[u]) for u in remaining}, top_p).items():
            z = sum(math.exp(a[u][i]) for i in existing)
            for there in product([False, True], repeat=len(existing)):
                p_edges = 1.0
                for v, edge in zip(existing, there, strict=True):
                    p_v = math.exp(a[u][v]) / z
                    p_edges *= p_v if edge else 1.0 - p_v
                new = frozenset((u, v) for v, edge in zip(existing, there, strict=True) if edge)
                if p_edges > 0.0:
                    go_on([*existing, u], edges | new, p * p_u * p_edges)

    for k, p_k in nucleus({i: 1 / sum(a[i]) for i in range(n)}, top_p).items():
        go_on([k], frozenset(), p_k)
    return counts


@pytest.mark.parametrize("top_p", [0.5, 0.8, 1.0])
def test_graphs_are_drawn_as_often_as_the_paper_says(top_p: float) -> None:
    adjacency = np.random.default_rng(5).random((3, 3)) * [[1.0], [2.0], [0.7]]
    expected = transcription(adjacency.tolist(), top_p)
    assert sum(expected.values()) == pytest.approx(1.0)
    rng, times = np.random.default_rng(0), 4000
    counts: Counter[Drawn] = Counter()
    for _ in range(times):
        # the paper's share is the default
        readers = g_decode(adjacency, rng) if top_p == 0.8 else g_decode(adjacency, rng, top_p)
        counts[next(iter(readers)), frozenset((u, v) for u in readers for v in readers[u])] += 1
    assert counts.keys() <= expected.keys()
    for graph, p in expected.items():
        assert counts[graph] / times == pytest.approx(p, abs=4.5 * math.sqrt(p * (1 - p) / times))


matrices = st.integers(2, 7).flatmap(
    lambda n: arrays.arrays(np.float64, (n, n), elements=st.floats(-3, 3))
)


@given(matrices, st.integers(0, 99))
def test_whatever_the_matrix_the_graph_is_one(adjacency: np.ndarray[Any, Any], seed: int) -> None:
    readers = g_decode(adjacency, np.random.default_rng(seed))
    n = len(adjacency)
    graph = nx.DiGraph([(u, v) for u in readers for v in readers[u]])
    graph.add_nodes_from(range(n))
    end = next(iter(readers))
    assert sorted(readers) == list(range(n))
    assert nx.is_directed_acyclic_graph(graph)
    assert all(adjacency[edge] > 0.0 for edge in graph.edges)
    # Called are those that reach the end, each behind what it reads.
    nodes = called(readers)
    names = [node.expert for node in nodes]
    assert {*names} == nx.ancestors(graph, end) | {end}
    assert names[-1] == end
    for name, node in zip(names, nodes, strict=True):
        assert {names[k] for k in node.reads} == {*graph.predecessors(name)} & {*names}
    assert all(k < place for place, node in enumerate(nodes) for k in node.reads)
