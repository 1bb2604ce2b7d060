"""How many labels: the tables, from `curve.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from outcomes import Outcomes, lines, markdown, outcomes, points_over_seeds

from pyswarmopt_llm.common.config import LEAST_DEV

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
PROMPT = "few-shot"
# ways to use the examples, by effort
WAYS = {"take": SINGLE, "train": BASE, "expert": EXPERT, "search": SEARCH}
WORTH = 0.01  # a gain that more effort is worth


def sizes() -> dict[int, int]:
    """The numbers of examples that every method has run with on every task, and of their seeds."""
    seeds = {}
    for examples in sorted({row["examples"] for row in lines("curve")}):
        scores = outcomes("curve", examples=examples).scores
        counts = {len(scores.get((method, task), ())) for method in LABELS for task in TASKS}
        if len(counts) == 1:
            seeds[examples] = counts.pop()
    return seeds


def method_of(method: str, examples: int) -> str:
    """The method that the default is with so many examples."""
    return MIXTURE if method == SEARCH and examples < LEAST_DEV else method


def accuracies() -> dict[str, dict[str, list[float]]]:
    """Method -> number of examples -> mean of the tasks' accuracies and its 95% interval."""
    table: dict[str, dict[str, list[float]]] = {method: {} for method in LABELS}
    for examples in sizes():
        read = outcomes("curve", examples=examples)
        for method, row in table.items():
            name = method_of(method, examples)
            values = (read.mean(name, TASKS), *read.interval(name, TASKS))
            row[str(examples)] = [round(value, 3) for value in values]
    return table


def curve() -> str:
    """A row per number of examples, a column per method."""
    table = accuracies()
    rows = []
    for examples, seeds in sizes().items():
        read = outcomes("curve", examples=examples)
        values = [table[method][str(examples)][0] for method in LABELS]
        cells = [f"**{v:.3f}**" if v == max(values) else f"{v:.3f}" for v in values]
        there = (PROMPT, TASKS[-1]) in read.scores
        prompted = f"{read.mean(PROMPT, TASKS):.3f}" if there else ""
        rows.append([str(examples), str(seeds), prompted, *cells])
    return markdown(["examples", "seeds", "base, examples in its prompt", *LABELS.values()], rows)


def differences() -> str:
    """In points, means over tasks."""
    pairs = ((SEARCH, EXPERT), (SEARCH, MIXTURE), (EXPERT, BASE), (EXPERT, SINGLE), (BASE, SINGLE))
    names = {**LABELS, SEARCH: "the search"}
    rows = []
    for examples in sizes():
        read = outcomes("curve", examples=examples)
        cells = [
            "" if first == second else points_over_seeds(read, first, second, TASKS)
            for first, second in (
                (method_of(a, examples), method_of(b, examples)) for a, b in pairs
            )
        ]
        rows.append([str(examples), *cells])
    return markdown(["examples", *(f"{names[a]}, minus {names[b]}" for a, b in pairs)], rows)


def best_ways() -> str:
    """A row per task: the way of the least effort within a point of the best, and its gain over
    the best single expert, by number of examples.
    """
    rows = []
    for task in TASKS:
        cells = [_best_way(gained("curve", task, examples)) for examples in sizes()]
        rows.append([task, *cells])
    return markdown(["", *(str(examples) for examples in sizes())], rows)


def _best_way(gains: Mapping[str, float]) -> str:
    way = _least_effort(gains)
    return f"{way} {100 * gains[way]:+.1f}" if gains[way] else way


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
    return points_over_seeds(read, method, MIXTURE, tasks)


def gained(curve_name: str, task: str, examples: int) -> dict[str, float]:
    """Way -> what it gained on test over the best single expert."""
    # The curve has not been run with 100.
    old = curve_name == "curve" and examples == 100
    read = outcomes("unlabelled") if old else outcomes(curve_name, examples=examples)
    single = read.accuracy(SINGLE, task)
    return {
        way: read.accuracy(method_of(method, examples), task) - single
        for way, method in WAYS.items()
    }


def _least_effort(gains: Mapping[str, float]) -> str:
    """The way of the least effort that the best is ahead of by at most a point."""
    return next(way for way in WAYS if max(gains.values()) - gains[way] <= WORTH)
