"""The tables of a judge, of facts and of preferences in conflict, from research/evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from outcomes import Floats, lines, markdown, p_value

from pyswarmopt_llm.common.statistics import paired_test
from pyswarmopt_llm.published.classifiers import controllability
from pyswarmopt_rivals.comparison.summary import interval_over_seeds

SWARM, SEARCH = "model-swarms", "default"
LABELS = {
    "any value": "a value by lot",
    "one value": "one value for all codes",
    "base": "base",
    "uniform": "uniform average",
    "best-single": "best single expert",
    SWARM: "Model Swarms, 40 evaluations",
    SEARCH: "the search, before training",
    "the table": "the table itself",
}
ASKED = 3  # facts of a reply


def _by_method(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["method"], []).append(row)
    return groups


def _facts(rows: Sequence[Mapping[str, Any]]) -> Floats:
    """(seeds, items), the share of the facts that a reply states."""
    return np.array([[int(digit) / ASKED for digit in row["facts"]] for row in rows])


def _with_interval(values: Floats) -> str:
    low, high = interval_over_seeds(values)
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def _against(first: Floats, second: Floats) -> str:
    """A difference in points over items, each the mean over seeds."""
    items = first.mean(0) - second.mean(0)
    test = paired_test(items)
    low, high = (100 * end for end in test.interval)
    return f"{100 * items.mean():+.1f} [{low:+.1f}, {high:+.1f}], {p_value(test.p_value)}"


def judge_quality() -> str:
    """What ratings and comparisons of held-out replies are worth."""
    row = lines("ratings")[0]
    heads = {
        "auc": "AUC, all right against not",
        "rank": "rank correlation",
        "rank, of models' replies": "of models' replies alone",
        "better in both orders": "better reply of a pair named, both orders",
    }
    cells = [f"{row[key]:.3f}" for key in heads]
    return markdown(
        [f"{row['replies']} held-out replies, {row['pairs']} pairs", *heads.values()],
        [["the judge", *cells]],
    )


def ratings() -> str:
    """Truth and ratings of each model, and wins of what the judge's search found."""
    groups = _by_method(lines("ratings")[1:])
    against = _facts(groups["best expert, judge"])
    table = []
    for method, rows in groups.items():
        rated = np.array([row["ratings"] for row in rows])
        wins = np.array([row["wins"] for row in rows]) if "wins" in rows[0] else None
        facts = _facts(rows)
        table.append(
            [
                method,
                f"{rated.mean():.2f}",
                _with_interval(facts),
                "" if method == "best expert, judge" else _against(facts, against),
                "" if wins is None else _with_interval(wins),
            ]
        )
    head = ["500 test prompts", "mean rating", "truth: facts that are right"]
    minus = "minus the best expert by the judge, points"
    return markdown([*head, minus, "the judge's win rate against it"], table)


def conflicting(preference: str) -> str:
    """A row per method: the score, tokens of a reply, and facts that are right."""
    rows = [row for row in lines("conflicting") if row["preference"] == preference]
    groups = _by_method(rows)
    table = []
    for method, label in LABELS.items():
        if method in groups:
            found = groups[method]
            values = np.array([row["test"] for row in found])
            ahead = np.array([row["test"] for row in groups[SEARCH]])
            read = [row for row in found if "tokens" in row]
            tokens = f"{np.mean([row['tokens'] for row in read]):.1f}" if read else ""
            facts = f"{_facts(read).mean():.3f}" if read else ""
            minus = "" if method == SEARCH else _against(ahead, values)
            table.append([label, _with_interval(values), minus, tokens, facts])
    head = [f"{preference}, 500 test prompts", "score", "the search minus, points"]
    return markdown([*head, "tokens", "facts that are right"], table)


def controlled() -> str:
    """A row per method: controllability, and the tokens and facts of both models."""
    groups = _by_method([row for row in lines("conflicting") if "tokens" in row])
    table = []
    for method, label in LABELS.items():
        if method not in groups:
            continue
        by = {(row["preference"], row["seed"]): row for row in groups[method]}
        seeds = sorted({seed for _, seed in by})
        values = [
            controllability(
                *(["x " * n for n in by[kind, seed]["tokens"]] for kind in ("verbose", "concise"))
            )
            for seed in seeds
        ]
        each = ", ".join(f"{value:.3f}" for value in values)
        table.append([label, f"{np.mean(values):.3f}", each])
    return markdown(["500 test prompts", "controllability", "by seed"], table)


TABLES = {
    "judge-quality": judge_quality,
    "ratings": ratings,
    "concise": lambda: conflicting("concise"),
    "verbose": lambda: conflicting("verbose"),
    "controllability": controlled,
}
