"""How many labels, and is the advice right: the tables, from `curve.jsonl` and `advice.jsonl`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from outcomes import Outcomes, lines, markdown, outcomes, points

from pyswarmopt_llm.common.config import LEAST_DEV
from pyswarmopt_llm.reporting.advice import WORTH

CHOSEN_ON, CLAIMED_ON = ("t1", "t2", "t3"), ("t4", "t5", "t6")
TASKS = (*CHOSEN_ON, *CLAIMED_ON)
SINGLE, BASE, EXPERT = "best-single", "finetune-once", "finetune-best-once"
MIXTURE, SEARCH = "item-model", "item-model+dev"
LABELS = {
    SINGLE: "best single expert",
    BASE: "base, fine-tuned",
    EXPERT: "best expert, fine-tuned",
    MIXTURE: "the search, before training",
    SEARCH: "the search (default)",
}
FEW = {
    SEARCH: "trained, kept unless worse on dev",
    "trained": "trained",
    "12 epochs": "trained for 12 epochs",
    "pull 0.001": "pull 0.001",
    "pull 0.01": "pull 0.01",
    "pull 0.1": "pull 0.1",
}
# the advice -> what follows it
FOLLOWED = {"take": SINGLE, "collect": SINGLE, "train": BASE, "expert": EXPERT, "search": SEARCH}


def sizes() -> list[int]:
    """Numbers of examples that every task has."""
    rows = [row for row in lines("curve") if row["method"] == SEARCH]
    tasks = {row["examples"]: set[str]() for row in rows}
    for row in rows:
        tasks[row["examples"]].add(row["task"])
    return [examples for examples in sorted(tasks) if tasks[examples] == set(TASKS)]


def method_of(method: str, examples: int) -> str:
    """The method that the default is with so many examples."""
    return MIXTURE if method == SEARCH and examples < LEAST_DEV else method


def accuracies() -> dict[str, dict[str, float]]:
    """Method -> number of examples -> mean of the tasks' accuracies."""
    return {
        method: {
            str(examples): round(read.mean(method_of(method, examples), TASKS), 3)
            for examples in sizes()
            for read in [outcomes("curve", examples=examples)]
        }
        for method in LABELS
    }


def curve() -> str:
    """A row per number of examples, a column per method."""
    table = accuracies()
    rows = []
    for examples in sizes():
        values = [table[method][str(examples)] for method in LABELS]
        cells = [f"**{v:.3f}**" if v == max(values) else f"{v:.3f}" for v in values]
        rows.append([str(examples), *cells])
    return markdown(["examples", *LABELS.values()], rows)


def differences() -> str:
    """In points, over the items of all tasks."""
    pairs = ((SEARCH, EXPERT), (SEARCH, MIXTURE), (EXPERT, BASE), (EXPERT, SINGLE), (BASE, SINGLE))
    names = {**LABELS, SEARCH: "the search"}
    rows = []
    for examples in sizes():
        read = outcomes("curve", examples=examples)
        cells = [
            "" if first == second else points(read, first, second, TASKS)
            for first, second in (
                (method_of(a, examples), method_of(b, examples)) for a, b in pairs
            )
        ]
        rows.append([str(examples), *cells])
    return markdown(["examples", *(f"{names[a]}, minus {names[b]}" for a, b in pairs)], rows)


def few() -> str:
    """What training with few examples adds to the search, in points."""
    counts = [examples for examples in sizes() if examples < LEAST_DEV]
    head = ["minus the search, before training"]
    for tasks in (CHOSEN_ON, CLAIMED_ON):
        head += [f"{examples}: {tasks[0]} to {tasks[-1]}" for examples in counts]
    rows = []
    for method, label in FEW.items():
        cells = [label]
        for tasks in (CHOSEN_ON, CLAIMED_ON):
            reads = [outcomes("curve", examples=examples) for examples in counts]
            cells += [_added(read, method, tasks) for read in reads]
        if any(cells[1:]):
            rows.append(cells)
    return markdown(head, rows)


def _added(read: Outcomes, method: str, tasks: Sequence[str]) -> str:
    if any((method, task) not in read.scores for task in tasks):
        return ""
    return points(read, method, MIXTURE, tasks)


def advised() -> str:
    """A row per task and number of examples: the advice, its gain on test, and the best way's."""
    rows = []
    for row in lines("advice"):
        gains = _gains(row)
        if not gains:
            continue
        way = FOLLOWED[row["advice"]]
        lost = max(gains.values()) - gains[way]
        said = row["gains"].get(row["advice"])
        expected, held = "", ""
        if said is not None:
            low, high = said["interval"]
            expected = f"{said['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
            held = "yes" if low <= gains[way] <= high else "no"
        best = max(gains, key=lambda method: gains[method])
        rows.append(
            [
                f"{row['task']}, {row['examples']} examples, seed {row['seed']}",
                row["advice"],
                expected,
                f"{gains[way]:+.3f}",
                held,
                f"{LABELS[best]}, {gains[best]:+.3f}",
                f"{100 * lost:.1f}",
                "yes" if lost <= WORTH else "**no**",
            ]
        )
    head = ["", "advice", "expected gain", "gained on test", "within", "best way", "lost", "right"]
    return markdown(head, rows)


def _gains(row: dict[str, Any]) -> dict[str, float]:
    """Way -> what it gained on test of a task over the best single expert, means over seeds."""
    task, examples = row["task"], row["examples"]
    if task not in TASKS:
        read = outcomes("present", "default")
    elif examples == 100:  # which the curve has not
        read = outcomes("unlabelled")
    else:
        read = outcomes("curve", examples=examples)
    if (SEARCH, task) not in read.scores:
        return {}
    return {
        method: read.accuracy(method, task) - read.accuracy(SINGLE, task)
        for method in (SINGLE, BASE, EXPERT, SEARCH)
    }
