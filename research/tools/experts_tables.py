"""The tables of tasks that need several experts, and of the number of dev examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import harmonic_mean
from typing import Any

import numpy as np
from outcomes import Floats, lines, markdown, p_value
from scipy import stats
from several_tables import LABELS, SEARCH

from pyswarmopt_llm.common.statistics import paired_test

CLAIM = ("path-intent", "desk-intent", "banking-and-graph")
TUNED = [name for name, label in LABELS.items() if label.endswith("fine-tuned")]
# Method -> task -> file -> (seeds, items), 1 where an answer is right.
Right = Mapping[str, Mapping[str, Mapping[str, Floats]]]


def right() -> Right:
    """The outcomes of `several_experts.py`."""
    found: dict[str, dict[str, dict[str, list[list[float]]]]] = {}
    for row in lines("several-experts"):
        for method, files in row["outcomes"].items():
            for file, items in files.items():
                of_task = found.setdefault(method, {}).setdefault(row["task"], {})
                of_task.setdefault(file, []).append([float(item) for item in items])
    return {
        method: {
            task: {file: np.array(seeds) for file, seeds in files.items()}
            for task, files in tasks.items()
        }
        for method, tasks in found.items()
    }


def _score(files: Mapping[str, Floats]) -> float:
    """The mean over seeds of the harmonic mean of the files' accuracies."""
    return float(
        np.mean(
            [harmonic_mean(row) for row in zip(*(f.mean(1) for f in files.values()), strict=True)]
        )
    )


def several_experts() -> str:
    """A row per method, a column per claim task that was run."""
    read = right()
    tasks = [task for task in CLAIM if task in read[SEARCH]]
    rows = []
    for method, label in LABELS.items():
        known = read.get(method, {})
        cells = [f"{_score(known[task]):.3f}" if task in known else "" for task in tasks]
        if any(cells):
            rows.append([label, *cells])
    return markdown(["test", *tasks], rows)


def several_experts_differences() -> str:
    """The search minus the best expert and each fine-tuned row, in points of accuracy."""
    read = right()
    tasks = [task for task in CLAIM if task in read[SEARCH]]
    rows = []
    for method in ("best-single", *TUNED):
        known = read.get(method, {})
        cells = [difference(read, SEARCH, method, task) if task in known else "" for task in tasks]
        rows.append([LABELS[method], *cells])
    return markdown(["the search minus, points", *tasks], rows)


def difference(read: Right, first: str, second: str, task: str) -> str:
    """A difference of two methods over all items of a task in points, with its 95% interval and p;
    each item is the mean over the seeds that both have.
    """
    ours, theirs = read[first][task], read[second][task]
    seeds = min(len(next(iter(ours.values()))), len(next(iter(theirs.values()))))
    items = np.concatenate([(ours[file][:seeds] - theirs[file][:seeds]).mean(0) for file in ours])
    test = paired_test(items)
    low, high = (100 * end for end in test.interval)
    return f"{100 * items.mean():+.1f} [{low:+.1f}, {high:+.1f}], {p_value(test.p_value)}"


# How much of a gain on dev is left on test

PUBLISHED = "model-swarms"
SWARMS = {
    PUBLISHED: "Model Swarms",
    "cma-es": "CMA-ES, weight changes",
    "default, untrained": "the search, untrained",
}


def dev_size() -> str:
    """A row per number of dev examples and method: gains over the best single expert in points,
    95% intervals with the task as the unit.
    """
    gains: dict[tuple[int, str], dict[str, list[tuple[float, float]]]] = {}
    for row in lines("dev-size"):
        if row["method"] in SWARMS:
            key = row["size"], row["method"]
            gains.setdefault(key, {}).setdefault(row["task"], []).append(_gains(row))
    rows = []
    for (size, method), tasks in sorted(gains.items(), key=_size_then_method):
        if len(tasks) == 6:
            of_tasks = np.array([np.mean(pairs, axis=0) for pairs in tasks.values()])
            seeds = min(map(len, tasks.values()))
            dev, test = of_tasks.mean(0)
            left = f"{100 * test / dev:.0f}%" if dev > 1 else ""
            cells = [_with_interval(of_tasks[:, column]) for column in (0, 1)]
            rows.append([f"{size:,}, {SWARMS[method]}", *cells, left, str(seeds)])
    head = ["gain on dev, points", "gain on test", "left on test", "seeds"]
    return markdown(["dev examples, method", *head], rows)


def dev_size_ablations() -> str:
    """A row per part of Model Swarms that is left out: gains with 200 dev examples minus those of
    the whole algorithm, of the same tasks and seeds; the unit of the intervals is the task.
    """
    found: dict[str, dict[tuple[str, int], tuple[float, float]]] = {}
    for row in lines("dev-size"):
        if row["size"] == 200:
            found.setdefault(row["method"], {})[row["task"], row["seed"]] = _gains(row)
    whole, rows = found[PUBLISHED], list[list[str]]()
    for method, gains in found.items():
        shared = gains.keys() & whole.keys()
        tasks = {task for task, _ in shared}
        if method in SWARMS or len(tasks) < 6:
            continue
        differences = np.array(
            [
                np.mean([np.subtract(gains[at], whole[at]) for at in shared if at[0] == task], 0)
                for task in sorted(tasks)
            ]
        )
        cells = [_with_interval(differences[:, column]) for column in (0, 1)]
        rows.append([method, *cells, str(len(shared) // 6)])
    head = ["gain on dev - whole, points", "gain on test - whole", "seeds"]
    return markdown(["200 dev examples", *head], rows)


def _gains(row: Mapping[str, Any]) -> tuple[float, float]:
    """Gains over the best single expert on dev and on test, in points."""
    single, best = row["best_single"], row["best"]
    test = _accuracy(best["test"]) - _accuracy(single["test"])
    return 100 * (best["dev"] - single["dev"]), 100 * test


def _size_then_method(entry: tuple[tuple[int, str], object]) -> tuple[int, int]:
    (size, method), _ = entry
    return size, list(SWARMS).index(method)


def _accuracy(items: Sequence[str]) -> float:
    return float(np.mean([float(item) for item in items]))


def _with_interval(values: Floats) -> str:
    """A mean and the half width of its 95% interval by Student's t."""
    error = float(values.std(ddof=1)) / values.size**0.5
    half = float(stats.t.ppf(0.975, values.size - 1)) * error
    return f"{values.mean():+.1f} ± {half:.1f}"
