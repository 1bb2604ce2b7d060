"""The tables of members that write, of votes, and of explanations, from research/evidence."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from outcomes import lines, markdown, p_value

from pyswarmopt_llm.common.statistics import compare_paired
from pyswarmopt_rivals.comparison.summary import interval_over_seeds

Rows = Sequence[dict[str, Any]]
TRAITS = {3: "three confident", 2: "two confident", 1: "one confident", 0: "all easy-going"}


def _grouped(rows: Rows) -> dict[str, list[dict[str, Any]]]:
    """Method -> its lines, a line per seed."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["method"], []).append(row)
    return groups


def _accuracy(rows: Rows) -> float:
    return fmean(fmean(map(int, row["test"])) for row in rows)


def _cells(rows: Rows) -> list[str]:
    """Accuracy with its interval over seeds and items, and tokens an item."""
    import numpy as np

    scores = np.array([[float(sign) for sign in row["test"]] for row in rows])
    low, high = interval_over_seeds(scores)
    tokens = fmean(row["tokens"] for row in rows)
    return [f"{_accuracy(rows):.3f} [{low:.3f}, {high:.3f}]", f"{tokens:,.0f}"]


def talking() -> str:
    """A row per strategy of members that write."""
    rows = [row for row in lines("talking") if row["task"] == "two skills"]
    table = []
    for method, group in _grouped(rows).items():
        rounds = [row["rounds"] for row in group if "rounds" in row]
        table.append([method, *_cells(group), f"{fmean(rounds):.2f}" if rounds else ""])
    return markdown(["1,000 questions", "accuracy, 95% interval", "tokens", "rounds"], table)


def societies() -> str:
    """The 32 societies, by traits and by the number of debates among three rounds."""
    rows = [row for row in lines("talking") if row["task"] == "societies"]
    table = []
    for confident, label in TRAITS.items():
        for debates in (3, 2, 1, 0):
            group = [
                row
                for row in rows
                if row["method"].split(":")[1].count("c") == confident
                and row["method"].split(":")[2].count("d") == debates
            ]
            order = sorted({row["method"].split(":")[2] for row in group})
            by_order = [
                _accuracy([row for row in group if row["method"].endswith(f":{pattern}")])
                for pattern in order
            ]
            low, high = f"{min(by_order):.3f}", f"{max(by_order):.3f}"
            conformity = [row["conformity"] for row in group if row["conformity"] is not None]
            table.append(
                [
                    label,
                    str(debates),
                    f"{_accuracy(group):.3f}",
                    low if low == high else f"{low} to {high}",
                    f"{fmean(conformity):.2f}" if conformity else "",
                    f"{fmean(row['consensus'][0] for row in group):.2f}",
                    f"{fmean(row['consensus'][-1] for row in group):.2f}",
                ]
            )
    head = ["traits", "debates of three rounds", "accuracy", "by order", "conformity"]
    return markdown([*head, "different answers at first", "at the end"], table)


def votes(name: str) -> str:
    """A row per strategy, a column per task, mean over draws; tokens where they were counted."""
    rows = lines(name)
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    counted = all("tokens" in row for row in rows)
    table = []
    for method, group in _grouped(rows).items():
        cells = [_accuracy([row for row in group if row["task"] == task]) for task in tasks]
        line = [method, *(f"{cell:.3f}" for cell in cells), f"{fmean(cells):.3f}"]
        table.append([*line, f"{fmean(row['tokens'] for row in group):,.0f}"] if counted else line)
    head = ["500 test examples each", *tasks, "mean", *(["tokens"] if counted else [])]
    return markdown(head, table)


def reading() -> str:
    """The same written answers as texts, and as the options that they name."""
    texts, options = lines("read-as-texts"), lines("read-as-options")
    table = []
    for method in _grouped(texts):
        cells = [method]
        for rows in (texts, options):
            group = [row for row in rows if row["method"] == method]
            by_task = [_accuracy([row]) for row in group]
            cells += [", ".join(f"{cell:.3f}" for cell in by_task), f"{fmean(by_task):.3f}"]
        table.append(cells)
    tasks = ", ".join(dict.fromkeys(row["task"] for row in texts))
    head = [f"as texts: {tasks}", "mean", f"as options: {tasks}", "mean"]
    return markdown(["500 test examples each", *head], table)


def writers(name: str) -> str:
    """A row per method of `NAME.jsonl`, over its draws of questions."""
    groups = _grouped(lines(name))
    table = [[method, *_cells(group)] for method, group in groups.items()]
    questions = sum(len(row["test"]) for row in next(iter(groups.values())))
    return markdown([f"{questions:,} questions", "accuracy, 95% interval", "tokens"], table)


def unlike_models(task: str, ours: str, head: str) -> str:
    """A row per member, vote and mixture of three architectures on a task, and how far it is from
    one of them.
    """
    rows = [row for row in lines("unlike-models") if row["task"] == task]
    signs = {row["method"]: [float(sign) for sign in row["test"]] for row in rows}
    table = []
    for method, mine in signs.items():
        pair = compare_paired(mine, signs[ours])
        low, high = (100 * end for end in pair.interval)
        apart = f"{100 * pair.difference:+.1f} [{low:+.1f}, {high:+.1f}], {p_value(pair.p_value)}"
        table.append([method, f"{fmean(mine):.3f}", "" if method == ours else apart])
    return markdown([f"{task}, {len(signs[ours]):,} items", "accuracy", head], table)


def culprits() -> str:
    """How often leave-one-out names the liar, by strategy."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in lines("culprits"):
        groups.setdefault(row["strategy"], []).append(row)
    table = []
    for strategy, rows in groups.items():
        liar, truthful = ([row[key] for row in rows] for key in ("place", "place_truthful"))
        table.append(
            [
                f"`{strategy}`",
                f"{sum(place == 1 for place in liar)} of {len(liar)}",
                f"{fmean(liar):.1f}",
                f"{fmean(truthful):.1f}",
                f"{fmean(row['score_truthful'] for row in rows):.3f}",
                f"{fmean(row['score'] for row in rows):.3f}",
                f"{fmean(row['score_without'] for row in rows):.3f}",
            ]
        )
    head = ["ten experts, one lies", "liar named first", "its mean place", "place when truthful"]
    return markdown([*head, "accuracy, all truthful", "with the liar", "without it"], table)
