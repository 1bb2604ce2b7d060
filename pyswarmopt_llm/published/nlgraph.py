"""Checks answers to graph problems in words (NLGraph; Wang et al. 2023, arXiv 2305.10037).

Many problems have several right answers: any shortest path, topological order or maximum matching.
Kind and graph are parsed from the question; the published answer is used only where unique.
`_KINDS` lists a function for each kind: whether a reply is right, or None if it is unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import networkx as nx

from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.answers import check
from pyswarmopt_llm.scores.tasks.quantities import stated_quantity
from pyswarmopt_llm.scores.tasks.stated import candidates, only, own_part
from pyswarmopt_llm.scores.tasks.verdicts import spoken_verdict

_PAIR = re.compile(r"\((\d+),\s*(\d+)\)")
_WEIGHTED = re.compile(r"edge between node (\d+) and node (\d+) with weight (\d+)")
_LISTED_NODE = re.compile(r"Node (\d+) is connected to (.*)")
_LISTED_EDGE = re.compile(r"node (\d+) with weight (\d+)")
_BEFORE = re.compile(r"node (\d+) should be visited before node (\d+)")
_INTEREST = re.compile(r"Applicant (\d+) is interested in job (\d+)")
_ASSIGNED = re.compile(
    r"applicant (\d+)[*_\s]*(?:[:>\u2192=|-]+|(?:(?:will|be|is|gets?|takes?|assigned|to)\s+)*)"
    r"[*_\s]*job (\d+)",
    re.IGNORECASE,
)
_EMBEDDING = re.compile(r"node (\d+):\s*\[\s*(\d+)\s*,\s*(\d+)\s*\]", re.IGNORECASE)
# "from node 0 to node 4" are the ends of a path, so words and hyphens join three nodes or more
_SEQUENCE = re.compile(
    r"\d+(?:\s*(?:,\s*and\b|,|-+>|=>|[→⇒⟶]|\\(?:long)?rightarrow\b|\\to\b)\s*(?:node\s+)?\d+)+"
    r"|\d+(?:\s*(?:-|\u2013|to\b)\s*(?:node\s+)?\d+){2,}",
    re.IGNORECASE,
)
_MAXIMUM_FLOW = re.compile(
    r"\bmax(?:imum|imal)?\s+flow\b[^.\n]*?(?:\b(?:is|of)\b|[:=])", re.IGNORECASE
)
# "The shortest path from node 0 to node 5 is 0,4,5", "The solution is: 0,1", "The path can be: 0,1"
_ANNOUNCED = re.compile(
    r"\b(?:solution|path|order|route|sequence)\b[^.\n]{0,60}?\b(?:is|be)\b:?(?=(?P<rest>[^\n]*))",
    re.IGNORECASE,
)
_ENDS = re.compile(r"(?:from|between) node (\d+) (?:to|and) node (\d+)")
_YES = {"yes": True, "true": True, "no": False, "false": False}
_BEGUN = re.compile(r"[\W\d_]*(?:yes|true|no|false)(?![a-z])", re.IGNORECASE)
_EXISTS = re.compile(
    r"(?<!if )(?<!whether )\bthere (?:is|are|exists?)(n't| not\b| no\b)?(?!\w)", re.IGNORECASE
)


def graph_answers(items: Sequence[Item], texts: Sequence[str]) -> list[float | None]:
    """1 for each right answer to a graph problem, else 0, None for an unreadable one; other items are
    scored as usual.

    Example:
        >>> question = "(i,j) are edges: (0,1) (1,2)\\nQ: Is there a path between node 0 and node 2?"
        >>> item = Item("1", question, None, "The answer is yes.")
        >>> graph_answers([item, item], ["Yes, there is a path: 0, 1, 2.", "I look at each path."])
        [1.0, None]
    """
    found = [_right(item, text) for item, text in zip(items, texts, strict=True)]
    return [None if right is None else float(right) for right in found]


def _right(item: Item, text: str) -> bool | None:
    question = item.question.rpartition("Q:")[2].lower()
    kind = next((kind for mark, kind in _KINDS.items() if mark in question), check)
    return kind(item, text)


def _same(expected: object, found: object) -> bool | None:
    return None if found is None else found == expected


def _as_published(read: Callable[[str], object], item: Item, text: str) -> bool | None:
    """Checks for what the published answer says."""
    return _same(read(item.answer), read(text))


def _says_yes(text: str) -> bool | None:
    """The verdict in a text's marked answer or first word, else in its only kind of "there is"."""
    *marked, own = candidates(text)
    if (marked or _BEGUN.match(own)) and (verdict := spoken_verdict(text)) in _YES:
        return _YES[verdict]
    return only(not denied for denied in _EXISTS.findall(own.replace("\u2019", "'")))


def _shortest_path(item: Item, text: str) -> bool | None:
    """Checks for a path between the two nodes with the published length; without a path, for the
    length.
    """
    length = _number(item.answer)
    ends = _ENDS.search(item.question.rpartition("Q:")[2])
    path = _stated_sequence(text)
    if ends is None or not path:
        return _same(length, _number(text))
    graph = _graph(item.question)
    joined = (path[0], path[-1]) == ends.groups() and nx.is_path(graph, path)
    return joined and nx.path_weight(graph, path, "weight") == length


def _stated_flow(text: str) -> Fraction | None:
    """The maximum flow that a text gives, in its marked answer or after "maximum flow is"."""
    return _number(_MAXIMUM_FLOW.sub("The answer is", text))


def _hamilton(item: Item, text: str) -> bool | None:
    """Checks for a path that visits every node once; if the published answer is no, for the
    verdict.
    """
    path = _stated_sequence(text)
    if not _says_yes(item.answer):
        return _as_published(_says_yes, item, text)
    if not path:
        return _same(None, _says_yes(text))
    graph = _graph(item.question)
    return sorted(path) == sorted(graph) and nx.is_path(graph, path)


def _topology(item: Item, text: str) -> bool | None:
    """Checks for an order of all nodes that respects every "before"."""
    order = _stated_sequence(text)
    if not order:
        return None
    if sorted(order) != sorted(_stated_sequence(item.answer)):
        return False
    return all(order.index(a) < order.index(b) for a, b in _BEFORE.findall(item.question))


def _matching(item: Item, text: str) -> bool | None:
    """Checks for a matching of interested applicants and jobs, as large as the published one."""
    size = len(set(_ASSIGNED.findall(item.answer)))
    assigned = set(_ASSIGNED.findall(own_part(text)))
    if not assigned:
        return _same(size, _number(text))
    applicants, jobs = map(set, zip(*assigned, strict=True))
    interested = assigned <= set(_INTEREST.findall(item.question))
    return interested and len(assigned) == len(applicants) == len(jobs) == size


def _stated_embeddings(text: str) -> set[Any] | None:
    return set(_EMBEDDING.findall(own_part(text))) or None


def _number(text: str) -> Fraction | None:
    found = stated_quantity(text)
    return found and found.value


def _stated_sequence(text: str) -> list[str]:
    """The sequence of nodes that a text gives as its answer: the longest in the most explicit part
    that has one.
    """
    text = own_part(text)
    announced = [match["rest"] for match in _ANNOUNCED.finditer(text)]
    for part in (*candidates(text)[:-1], *reversed(announced), text):
        if runs := _SEQUENCE.findall(part):
            return max((re.findall(r"\d+", run) for run in runs), key=len)
    return []


def _graph(question: str) -> Any:
    """The graph, with weights (1 by default), in any of the published wordings."""
    edges = [(*pair, "1") for pair in _PAIR.findall(question)] + _WEIGHTED.findall(question)
    for a, rest in _LISTED_NODE.findall(question):
        edges += [(a, b, weight) for b, weight in _LISTED_EDGE.findall(rest)]
    graph = nx.Graph()
    graph.add_weighted_edges_from((a, b, int(weight)) for a, b, weight in edges)
    return graph


# Phrase after "Q:", in lower case -> function that checks the answer.
_KINDS: dict[str, Callable[[Item, str], bool | None]] = {
    "shortest path": _shortest_path,
    "maximum flow": partial(_as_published, _stated_flow),
    "visits every node exactly once": _hamilton,
    "can all the nodes be visited": _topology,
    "assignment of jobs": _matching,
    "embedding of each node": partial(_as_published, _stated_embeddings),
    "is there a path": partial(_as_published, _says_yes),
    "is there a cycle": partial(_as_published, _says_yes),
}
