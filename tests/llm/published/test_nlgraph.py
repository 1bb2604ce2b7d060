"""Answers about graphs (NLGraph), checked by another library and by hand."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import networkx as nx
import pytest

from pyswarmopt_llm.published.nlgraph import graph_answers
from pyswarmopt_llm.scores.metrics.by_name import find_metric
from pyswarmopt_llm.scores.tasks import Item


def weighted_graph(seed: int) -> tuple[nx.Graph, str, int, int]:
    rng = random.Random(seed)
    graph = nx.gnm_random_graph(7, 12, seed=seed)
    for a, b in graph.edges:
        graph.edges[a, b]["weight"] = rng.randint(1, 9)
    lines = [
        f"an edge between node {a} and node {b} with weight {d['weight']}"
        for a, b, d in graph.edges(data=True)
    ]
    start, end = rng.sample(range(7), 2)
    question = ",\n".join(lines) + f".\nQ: Give the shortest path from node {start} to node {end}."
    return graph, question, start, end


@pytest.mark.parametrize("seed", range(12))
def test_every_shortest_path_counts_and_no_other(seed: int) -> None:
    graph, question, start, end = weighted_graph(seed)
    if not nx.has_path(graph, start, end):
        return
    length = nx.shortest_path_length(graph, start, end, weight="weight")
    item = Item(
        "1",
        question,
        None,
        f"The shortest path from node {start} to node {end} is 0,1 with a total weight of {length}",
    )
    for path in nx.all_simple_paths(graph, start, end):
        found = sum(graph.edges[step]["weight"] for step in itertools.pairwise(path))
        text = f"The shortest path is {','.join(map(str, path))} with a total weight of {length}."
        if len(path) > 1:
            assert graph_answers([item], [text]) == [float(found == length)]
    assert graph_answers([item], [f"Its length is {length}."]) == [1.0]
    assert graph_answers([item], [f"Its length is {length + 1}."]) == [0.0]


@pytest.mark.parametrize("seed", range(6))
def test_every_topological_order_counts_and_no_other(seed: int) -> None:
    rng = random.Random(seed)
    graph = nx.DiGraph(
        [(a, b) for a, b in itertools.combinations(range(4), 2) if rng.random() < 0.4]
    )
    graph.add_nodes_from(range(4))
    rules = "\n".join(f"node {a} should be visited before node {b}" for a, b in graph.edges)
    right = {tuple(order) for order in nx.all_topological_sorts(graph)}
    gold = ",".join(map(str, next(iter(sorted(right)))))
    item = Item(
        "1",
        f"{rules}\nQ: Can all the nodes be visited? Give the solution.",
        None,
        f"The solution is: {gold}.",
    )
    for order in itertools.permutations(range(4)):
        assert graph_answers([item], [f"The solution is: {','.join(map(str, order))}."]) == [
            float(order in right)
        ]


def test_every_hamilton_path_counts_and_no_other() -> None:
    graph = nx.cycle_graph(5)
    graph.add_edge(0, 2)
    edges = " ".join(f"({a},{b})" for a, b in graph.edges)
    question = (
        f"The edges are: {edges}\nQ: Is there a path in this graph that visits every node "
        "exactly once?"
    )
    item = Item("1", question, None, "Yes. The path can be: 0,1,2,3,4")
    for order in itertools.permutations(range(5)):
        right = all(graph.has_edge(a, b) for a, b in itertools.pairwise(order))
        assert graph_answers([item], [f"Yes. The path can be: {','.join(map(str, order))}"]) == [
            float(right)
        ]


def test_every_maximum_matching_counts_and_no_other() -> None:
    wishes = [(0, 0), (0, 1), (1, 0), (2, 1), (2, 2)]
    graph = nx.Graph([(f"a{a}", f"j{j}") for a, j in wishes])
    size = len(nx.max_weight_matching(graph, maxcardinality=True))
    question = "\n".join(f"Applicant {a} is interested in job {j}." for a, j in wishes)
    question += (
        "\nQ: Find an assignment of jobs to applicants in such that the maximum number of "
        "applicants find a job."
    )
    gold = (
        "applicant 0: job 1\napplicant 1: job 0\napplicant 2: job 2\n3 applicants can find the job."
    )
    item = Item("1", question, None, gold)
    for n in range(1, 4):
        for given_ in itertools.combinations(itertools.product(range(3), repeat=2), n):
            distinct = len({a for a, _ in given_}) == len({j for _, j in given_}) == n
            right = set(given_) <= set(wishes) and distinct and n == size
            text = "\n".join(f"applicant {a}: job {j}" for a, j in given_)
            assert graph_answers([item], [text]) == [float(right)], given_


# a question, its answer, a reply and whether it is right, by hand
CORPUS = Path(__file__).with_name("graph_answers.jsonl").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("line", CORPUS)
def test_verdicts_flows_and_embeddings(line: str) -> None:
    case = json.loads(line)
    item = Item("1", case["question"], None, case["gold"])
    assert graph_answers([item], [case["reply"]]) == [case["right"]]


def test_replies_that_cannot_be_read_count_as_wrong_and_are_counted_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    question = "(0,1)\nQ: Is there a path between node 0 and node 1?"
    items = [Item(str(k), question, None, "The answer is yes.") for k in range(2)]
    graph = find_metric("graph").on(items, "generate", lambda turn, _: turn, None)
    assert graph.judge(["I look at each path.", "Yes."]) == [0.0, 1.0]
    assert graph.judge(["Hm.", "Hm."]) == [0.0, 0.0]
    assert caplog.messages == ["1 of 2 replies contain no readable answer"]
