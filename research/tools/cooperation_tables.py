"""The tables of models that work together, from research/evidence: speculative decoding, compression,
retrieval, a detector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from combining_tables import compared, right
from outcomes import lines, markdown, p_value
from scipy import stats

from pyswarmopt_rivals.comparison.summary import interval_over_seeds

GREEDY = -1
Rows = Sequence[dict[str, Any]]


def _accuracy(rows: Rows) -> str:
    """Of rows of answers, with its interval over seeds and items."""
    values = np.array([[float(sign) for sign in row["test"]] for row in rows])
    low, high = interval_over_seeds(values)
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def _per_pass(rows: Rows) -> float:
    return sum(sum(row["tokens"]) for row in rows) / sum(sum(row["passes"]) for row in rows)


def speculative() -> str:
    """A row per draft and number of guesses: tokens of a pass, and what is written."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in lines("speculative"):
        if row["task"] == "written":
            groups.setdefault((row["method"], row["guesses"]), []).append(row)
    table = []
    for (name, guesses), rows in sorted(groups.items(), key=lambda pair: _per_pass(pair[1])):
        drawn = [row for row in rows if row["seed"] != GREEDY]
        greedy = [row for row in rows if row["seed"] == GREEDY]
        tried, kept = (sum(row[key] for row in drawn) for key in ("tried", "kept"))
        share = kept / tried if tried else 0.0
        expected = (1 - share ** (guesses + 1)) / (1 - share)
        facts = np.mean([[int(digit) / 3 for digit in row["test"]] for row in drawn])
        cells = [f"{_per_pass(drawn):.2f}", f"{share:.3f}" if tried else "", f"{expected:.2f}"]
        cells += [f"{facts:.3f}", f"{_per_pass(greedy):.2f}" if greedy else ""]
        cells += [f"{_same(greedy)}" if greedy else ""]
        table.append([name, str(guesses), *cells])
    head = ["draft", "guesses", "tokens a pass", "guesses kept", "expected", "statements right"]
    return markdown([*head, "tokens a pass, greedy", "greedy texts as without"], table)


def _same(rows: Rows) -> str:
    test = rows[0]["same"]
    return f"{test.count('1')} of {len(test)}"


def exactness() -> str:
    """A row per rule: chi-square over all prompts."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in lines("speculative"):
        if row["task"] == "exact":
            groups.setdefault(row["method"], []).append(row)
    table = []
    for name, rows in groups.items():
        chi, degrees = (sum(row[key] for row in rows) for key in ("chi", "degrees"))
        p = p_value(float(stats.chi2.sf(chi, degrees)))
        table.append([f"`{name}`" if "p" in name[:4] else name, f"{chi:.1f}", str(degrees), p])
    return markdown(
        ["a guess that is not kept is replaced from", "chi-square", "degrees", "p"], table
    )


def compression() -> str:
    """A row per way and share of words: tokens of a message, accuracy."""
    groups: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for row in lines("compression"):
        groups.setdefault((row["method"], row["share"]), []).append(row)
    table = [
        [name, f"{share:.1f}", f"{np.mean([row['tokens'] for row in rows]):.1f}", _accuracy(rows)]
        for (name, share), rows in sorted(groups.items(), key=lambda pair: -pair[0][1])
    ]
    return markdown(["words kept", "share", "tokens of a message", "accuracy, 500 messages"], table)


def abstracts() -> str:
    """A row per ranking: how often the abstract is first, among the first ten, and 1 / rank."""
    groups: dict[str, list[list[int]]] = {}
    for row in lines("retrieval"):
        if row["task"] == "abstracts":
            groups.setdefault(row["method"], []).append(row["ranks"])
    table = []
    for name, ranks in groups.items():
        found = np.array(ranks)
        low, high = interval_over_seeds((found == 1).astype(float))
        first = f"{(found == 1).mean():.3f} [{low:.3f}, {high:.3f}]"
        table.append([name, first, f"{(found <= 10).mean():.3f}", f"{(1 / found).mean():.3f}"])
    head = [f"{len(found[0])} claims", "first", "among ten", "mean of 1 / rank"]
    return markdown(head, table)


def readers() -> str:
    """A row per reader of messages."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in lines("retrieval"):
        if row["task"] == "banking":
            groups.setdefault(row["method"], []).append(row)
    table = [[name, _accuracy(rows)] for name, rows in groups.items()]
    return markdown(["500 messages", "accuracy"], table)


def detector() -> str:
    """A row per score: the area under the curve over statements that are wrong, and the share of right
    ones in the half with the lower scores.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in lines("detector"):
        groups.setdefault(row["method"], []).append(row)
    table = []
    for name, rows in groups.items():
        areas, halves = zip(*(_separated(row) for row in rows), strict=True)
        spread = f"{min(areas):.3f} to {max(areas):.3f}" if len(rows) > 1 else ""
        table.append([name, f"{np.mean(areas):.3f}", spread, f"{np.mean(halves):.3f}"])
    statements = rows[0]["test"]
    head = f"{len(statements):,} statements, {statements.count('1') / len(statements):.3f} right"
    return markdown([head, "AUC", "over seeds", "right in the surer half"], table)


def _separated(row: dict[str, Any]) -> tuple[float, float]:
    scores, wrong = np.array(row["scores"]), np.array([sign == "0" for sign in row["test"]])
    ranks = stats.rankdata(scores)
    bad, good = wrong.sum(), (~wrong).sum()
    area = (ranks[wrong].sum() - bad * (bad + 1) / 2) / (bad * good)
    order = np.argsort(scores, kind="stable")
    return float(area), float((~wrong)[order[: len(order) // 2]].mean())


TABLES = {
    "federated": lambda: compared(right("federated"), "federated averaging", "500 questions"),
    "speculative": speculative,
    "speculative-exact": exactness,
    "compression": compression,
    "retrieval-abstracts": abstracts,
    "retrieval-banking": readers,
    "detector": detector,
}
