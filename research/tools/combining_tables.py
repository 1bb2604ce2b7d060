"""The tables of frozen models that are combined, from research/evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from outcomes import Floats, lines, markdown, p_value

from pyswarmopt_llm.common.statistics import paired_test
from pyswarmopt_rivals.comparison.summary import interval_over_seeds

Rows = dict[str, dict[str, Floats]]
"""Method -> task -> (seeds, items), 1 where an answer is right."""


def right(name: str) -> Rows:
    """The outcomes of a file."""
    found: dict[str, dict[str, list[list[float]]]] = {}
    for row in lines(name):
        of_method = found.setdefault(row["method"], {})
        key = f"{row.get('pair', '')} {row.get('task', '')}".strip()
        of_method.setdefault(key, []).append([float(sign) for sign in row["test"]])
    return {
        method: {key: np.array(seeds) for key, seeds in tasks.items()}
        for method, tasks in found.items()
    }


def _mean(tasks: dict[str, Floats]) -> str:
    """The mean over tasks, and its interval over seeds and items of all of them."""
    seeds = min(map(len, tasks.values()))
    together = np.concatenate([values[:seeds] for values in tasks.values()], axis=1)
    low, high = interval_over_seeds(together)
    return f"{together.mean():.3f} [{low:.3f}, {high:.3f}]"


def _minus(first: dict[str, Floats], second: dict[str, Floats]) -> str:
    """A difference in points over items, each the mean over seeds."""
    items = np.concatenate([first[task].mean(0) - second[task].mean(0) for task in first])
    test = paired_test(items)
    low, high = (100 * end for end in test.interval)
    return f"{100 * items.mean():+.1f} [{low:+.1f}, {high:+.1f}], {p_value(test.p_value)}"


def compared(read: Rows, ours: str, first: str, columns: Sequence[str] = ()) -> str:
    """A row per method, worst first: tasks, mean, and how far ours is ahead."""
    methods = sorted(read, key=lambda name: np.mean([v.mean() for v in read[name].values()]))
    rows = []
    for method in methods:
        cells = [f"{read[method][task].mean():.3f}" for task in columns]
        ahead = "" if method == ours else _minus(read[ours], read[method])
        rows.append([method, *cells, _mean(read[method]), ahead])
    return markdown([first, *columns, "mean", f"{ours} minus, points"], rows)


def permuted() -> str:
    """A row per pair and way: the barrier, and the average of both models."""
    groups: dict[tuple[str, str], list[dict[str, object]]] = {}
    for row in lines("permuted"):
        groups.setdefault((row["pair"], row["method"]), []).append(row)
    table = []
    for (pair, method), rows in groups.items():
        barriers = [float(str(row["barrier"])) for row in rows]
        answers = np.array([[float(sign) for sign in str(row["test"])] for row in rows])
        spread = f"{min(barriers):.3f} to {max(barriers):.3f}"
        table.append([pair, method, f"{np.mean(barriers):.3f}", spread, f"{answers.mean():.3f}"])
    head = ["pair", "the second model", "barrier, nats", "over three orders"]
    return markdown([*head, "accuracy of the average"], table)


def modular() -> str:
    """A row per step: tasks, mean, dev items that it took, and against a search among all ten."""
    read = right("modular")
    spent: dict[str, list[int]] = {}
    for row in lines("modular"):
        spent.setdefault(row["method"], []).append(row["items"])
    rows = []
    for method, tasks in read.items():
        cells = [f"{values.mean():.3f}" for values in tasks.values()]
        ten = "ten, from the start"
        ahead = "" if method == ten else _minus(tasks, read[ten])
        rows.append([method, *cells, _mean(tasks), f"{np.mean(spent[method]):,.0f}", ahead])
    head = ["500 test examples each", *read["nine experts"], "mean", "dev items", "minus all ten"]
    return markdown(head, rows)


def joint() -> str:
    """A row per model of two tasks: accuracies and their harmonic mean, over seeds."""
    groups: dict[str, list[dict[str, str]]] = {}
    for row in lines("joint"):
        groups.setdefault(row["method"], []).append(row)
    table = []
    for method, rows in groups.items():
        pairs = np.array([[_share(row[task]) for task in ("t4", "t6")] for row in rows])
        harmonic = (2 * pairs.prod(1) / pairs.sum(1)).tolist()
        cells = [f"{value:.3f}" for value in (*pairs.mean(0), np.mean(harmonic))]
        each = ", ".join(f"{value:.3f}" for value in harmonic)
        table.append([method, *cells, each])
    head = ["500 test examples each", "t4", "t6", "harmonic mean", "by seed"]
    return markdown(head, table)


def _share(test: str) -> float:
    return test.count("1") / len(test)


TABLES = {
    "modular": modular,
    "joint": joint,
    "glue": lambda: compared(right("glue"), "glue", "500 questions"),
    "gate": lambda: compared(
        right("gate"), "gate per token", "500 test examples each", ("t4", "t5", "t6")
    ),
    "data-flow": lambda: compared(
        right("data-flow"), "both", "500 test examples each", ("t4", "t5", "t6")
    ),
    "rivals-chosen": lambda: compared(
        right("rivals-chosen"),
        "the search, before training",
        "500 test examples each",
        ("t4", "t5", "t6"),
    ),
    "bridges": lambda: compared(right("bridges"), "bytes", "250 questions of each of 3 pools"),
    "permuted": permuted,
    "fuse": lambda: compared(right("fuse"), "fused, lambda 0.9", "500 questions, three seeds"),
    "analogies": lambda: compared(right("analogies"), "analogy", "ten tasks, 200 questions each"),
}
