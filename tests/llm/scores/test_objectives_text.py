"""Scores of written answers against hand-worked numbers, brute force and other libraries."""

from __future__ import annotations

import itertools
import math
import random

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.published.classifiers import harmlessness
from pyswarmopt_llm.published.nlgraph import graph_answers
from pyswarmopt_llm.scores.metrics import text as text_scores
from pyswarmopt_llm.scores.metrics.registry import METRICS, find_metric, metric_labels, metric_specs
from pyswarmopt_llm.scores.tasks import Item

WORDS = st.lists(st.sampled_from("red green blue tree house".split()), min_size=1, max_size=6)


def question(answer: str, *more: str) -> list[Item]:
    meta = {"answers": "[" + ", ".join(f'"{text}"' for text in more) + "]"} if more else {}
    return [Item("1", "?", None, answer, meta)]


# Words


@pytest.mark.parametrize(
    ("answer", "text", "right"),
    [
        ("the Louvre", "Louvre.", 1.0),
        ("the Louvre", "It is the Louvre.", 0.0),
        ("42", "42!", 1.0),
        ("U.S.", "us", 1.0),
        ("no", "know", 0.0),
    ],
)
def test_exact_match(answer: str, text: str, right: float) -> None:
    assert text_scores.exact_match(question(answer), [text]) == [right]


def test_the_best_reference_counts() -> None:
    items = question("Goethe", "J. W. Goethe", "Johann Wolfgang von Goethe")
    assert text_scores.exact_match(items, ["johann wolfgang von goethe"]) == [1.0]
    # 2 of 2 words, 2 of 3 wanted
    assert text_scores.token_f1(items, ["J W"]) == [pytest.approx(0.8)]


@given(WORDS, WORDS)
def test_f1_by_removing_common_words_one_by_one(wanted: list[str], found: list[str]) -> None:
    rest, common = list(wanted), 0
    for word in found:
        if word in rest:
            rest.remove(word)
            common += 1
    precision, recall = common / len(found), common / len(wanted)
    expected = 2 * precision * recall / (precision + recall) if common else 0.0
    assert text_scores.token_f1(question(" ".join(wanted)), [" ".join(found)])[0] == pytest.approx(
        expected
    )


@given(WORDS, WORDS)
def test_rouge_l_by_all_subsequences(wanted: list[str], found: list[str]) -> None:
    pytest.importorskip("rouge_score")

    def subsequences(words: list[str]) -> set[tuple[str, ...]]:
        return {c for n in range(len(words) + 1) for c in itertools.combinations(words, n)}

    longest = max(map(len, subsequences(wanted) & subsequences(found)))
    expected = 2 * longest / (len(wanted) + len(found))
    assert text_scores.rouge_l(question(" ".join(wanted)), [" ".join(found)])[0] == pytest.approx(
        expected
    )


def test_bleu_by_hand() -> None:
    pytest.importorskip("sacrebleu")
    # 1-grams 4/5, 2-grams 2/4, 3-grams 1/3, 4-grams 0/2 smoothed to 1/(2*2); equal lengths, no
    # penalty.
    expected = math.exp((math.log(4 / 5) + math.log(2 / 4) + math.log(1 / 3) + math.log(1 / 4)) / 4)
    found = text_scores.bleu(question("a b c d e"), ["a b c x e"])
    assert found[0] == pytest.approx(expected, rel=1e-6)
    assert text_scores.bleu(question("one two three"), ["one two three"]) == [pytest.approx(1.0)]


def test_chrf_by_hand() -> None:
    pytest.importorskip("sacrebleu")
    # "ab" against "ac": 1-grams 1 of 2 both ways, 2-grams none, no longer ones; F2 of each order,
    # averaged.
    assert text_scores.chrf(question("ac"), ["ab"]) == [pytest.approx(0.25)]
    assert text_scores.chrf(question("same"), ["same"]) == [pytest.approx(1.0)]


@pytest.mark.parametrize(
    ("answer", "text", "right"),
    [
        ("1,200", "So we pay $1,200.00 in all.", 1.0),
        ("#### 18", r"Thus \boxed{18} eggs, not 20.", 1.0),
        ("18", "18 + 2 = 20", 0.0),
        ("-4", "It fell to -4 °C", 1.0),
        ("7", "no idea", 0.0),
    ],
)
def test_numeric(answer: str, text: str, right: float) -> None:
    assert text_scores.numeric(question(answer), [text]) == [right]


# Graphs, checked by another library


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


@pytest.mark.parametrize(
    ("gold", "text", "right"),
    [
        ("The answer is yes.", "Yes, there is a path between them.", 1.0),
        ("The answer is yes.", "There is no path.", 0.0),
        ("The answer is no.", "There isn't a path.", 1.0),
        ("The answer is no.", "Node 0 is nice.", 0.0),
        ("Yes", "yes", 1.0),
    ],
)
def test_verdicts(gold: str, text: str, right: float) -> None:
    assert graph_answers(
        [Item("1", "(0,1)\nQ: Is there a path between node 0 and node 1?", None, gold)], [text]
    ) == [right]


def test_flows_and_embeddings() -> None:
    flow = Item(
        "1",
        "Q: What is the maximum flow from node 0 to node 2?",
        None,
        "The maximum flow from node 0 to node 2 is 7.",
    )
    assert graph_answers(
        [flow, flow], ["It is 7.", "The maximum flow from node 0 to node 2 is 9."]
    ) == [1.0, 0.0]
    gold = "The answer is:\nnode 0: [3,3]\nnode 1: [1,0]\n"
    layer = Item("1", "Q: What's the embedding of each node after two layers?", None, gold)
    texts = ["node 1: [1, 0], node 0: [3, 3]", "node 0: [3,3]", ""]
    assert graph_answers([layer] * 3, texts) == [1.0, 0.0, 0.0]


# Safety


def test_harmlessness() -> None:
    profanity_check = pytest.importorskip("profanity_check")
    lines = "what a lovely day it was", "you stupid fucking idiot"
    texts = [*lines, "  ", "\n".join(lines), "fuck"]
    mild, rude, silent, first, short = harmlessness(
        [Item("1", "So", None, "", plain=True)] * 5, texts
    )
    assert mild > 0.9 > 0.1 > rude and first > 0.9 and silent == short == 0.5
    assert mild == pytest.approx(1 - profanity_check.predict_prob([texts[0]])[0])


# Names


def test_metrics_by_name() -> None:
    assert all(find_metric(name).name == name for name in METRICS)
    with pytest.raises(UserError, match="did you mean exact-match"):
        find_metric("exactmatch")
    with pytest.raises(UserError, match="no answer, which metric f1 needs"):
        find_metric("f1").check([Item("7", "So", None, "", plain=True)], "mine.json: dev")
    with pytest.raises(UserError, match=r"mine.json: dev item 7: no choices"):
        find_metric("mc2").check([Item("7", "So", None, "x")], "mine.json: dev")


def test_metrics_per_task() -> None:
    assert metric_specs(["f1", "b=bleu"], ["a", "b"]) == {"a": "f1", "b": "bleu"}
    assert metric_specs([], ["a"]) == {}
    assert metric_specs(["judge", "mine.py:f"], ["judge", "f"]) == {
        "judge": "judge",
        "f": "mine.py:f",
    }
    with pytest.raises(UserError, match="a second metric that is called f1"):
        metric_labels(["f1", "mine.py:short", "f1"])
    for wanted, message in (
        (["f1", "bleu"], "second metric"),
        (["c=f1"], "no task is called c"),
        (["a=f1", "b=f1", "a=bleu"], "a has another one"),
    ):
        with pytest.raises(UserError, match=message):
            metric_specs(wanted, ["a", "b"])
