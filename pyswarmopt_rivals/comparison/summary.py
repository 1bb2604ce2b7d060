"""From finished contestants to one table: means, intervals, tests, costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.files.regular import versions
from pyswarmopt_llm.common.paired import (
    PSEUDO,
    PairedTest,
    items_needed,
    paired_test,
    without_rounding,
)
from pyswarmopt_llm.common.statistics import (
    LEVEL,
    Ends,
    Estimate,
    Questions,
    assumed_scale,
    bounds_of,
    by_question,
    estimate,
    interval,
)
from pyswarmopt_llm.run.record import unpack
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.scores.tasks.types import SPLITS
from pyswarmopt_rivals.comparison.config import CompareConfig

if TYPE_CHECKING:
    from pyswarmopt_rivals.bench import Bench

Json = Mapping[str, Any]

SINGLE = "best-single"  # method that the others are compared with
AVERAGED: tuple[str, ...] = (*SPLITS, "item_evaluations", "seconds")


@dataclass(frozen=True)
class Runs:
    """All seeds of a method on a task.

    Attributes:
        rows: outcomes, seeds in order.
        scale: least and greatest score of an item, where known.
        asked: split -> question number of each item, if some repeat.
    """

    rows: Sequence[Json]
    scale: Ends | None
    asked: Mapping[str, Sequence[int]]

    @cached_property
    def scores(self) -> dict[str, Floats]:
        """Scores on ``dev`` and ``test``, (seeds, items) each."""
        return {split: np.array([unpack(row[split]) for row in self.rows]) for split in SPLITS}

    def mean(self, key: str) -> float:
        """The mean over seeds."""
        return float(np.mean([row[key] for row in self.rows]))


def summarise(
    config: CompareConfig,
    outcomes: Sequence[Json],
    benches: Sequence[Bench],
    left_out: Mapping[str, str],
) -> dict[str, Any]:
    """The content of ``compare.json``, for tasks with outcomes."""
    tables = [_task_table(_runs_of(outcomes, bench)) for bench in benches]
    lower = [bench.metric.lower for bench in benches]
    tasks = {
        bench.task.name: {
            "methods": as_read(table) if bench.metric.lower else table,
            "scoring": bench.answer_format,
            "metric": bench.metric.name,
            "better": "lower" if bench.metric.lower else "higher",
            "unit": bench.metric.unit,
        }
        for bench, table in zip(benches, tables, strict=True)
    }
    given = asdict(config)
    result: dict[str, Any] = {
        "config": given,
        "command": command("compare", of=CompareConfig, **given),
        "versions": versions(),
        "experts": len(config.experts),
        "left_out": dict(left_out),
        "notes": [bench.task.note for bench in benches if bench.task.note],
    }
    if len(tasks) > 1:
        methods = _over_tasks(tables)
        return {**result, "methods": as_read(methods) if all(lower) else methods, "tasks": tasks}
    ((task, table),) = tasks.items()
    return {**result, **table, "task": task}


def _runs_of(outcomes: Sequence[Json], bench: Bench) -> dict[str, Runs]:
    """Method -> its runs, seeds in order."""
    rows = defaultdict[str, list[Json]](list)
    for row in sorted(outcomes, key=lambda row: (row["method"], row["seed"])):
        if row["task"] == bench.task.name:
            rows[row["method"]].append(row)
    asked = {split: repeated(bench.task.split(split)) for split in SPLITS}
    return {method: Runs(seeds, bench.metric.scale, asked) for method, seeds in rows.items()}


def _task_table(runs: Mapping[str, Runs]) -> dict[str, Any]:
    """Method -> its row, best test first."""
    order = sorted(runs, key=lambda method: -runs[method].scores["test"].mean())
    methods = {}
    for method in order:
        row = _own_row(runs[method])
        if method != SINGLE and SINGLE in runs:
            row["against_single"] = _against(runs, method, SINGLE)
        if len(order) > 1:
            rival = next(other for other in order if other != method)
            row["against_rival"] = _against(runs, method, rival)
        methods[method] = row
    return methods


def _own_row(runs: Runs) -> dict[str, Any]:
    """A method's row, without comparisons."""
    row: dict[str, Any] = {}
    for split, scores in runs.scores.items():
        row[split] = float(scores.mean())
        row[f"{split}_seeds"] = scores.mean(1).tolist()
        ends = interval_over_seeds(scores, runs.scale, runs.asked[split])
        row[f"{split}_interval"] = list(ends)
    row |= {
        "seeds": len(runs.rows),
        "item_evaluations": runs.mean("items"),
        "seconds": runs.mean("seconds"),
        "models": runs.rows[0]["models"],
        "rank": runs.rows[0]["rank"],
        "relative_error": runs.mean("relative_error"),
    }
    return row


def _against(runs: Mapping[str, Runs], method: str, other: str) -> dict[str, Any]:
    """The paired test of two methods, also corrected for the number of methods, since the first of
    several is partly best by chance (Bonferroni).
    """
    first = runs[method]
    ours = first.scores["test"]
    theirs = runs[other].scores["test"]
    difference = float(ours.mean() - theirs.mean())
    seeds = min(len(ours), len(theirs))
    if seeds > 1:  # a method without chance has one, which counts for all
        ours = ours[:seeds]
        theirs = theirs[:seeds]
    low, high = first.scale or assumed_scale(np.append(ours, theirs))
    test = partial(
        difference_over_seeds,
        without_rounding(ours - theirs, high - low),
        largest=high - low,
        questions=first.asked["test"],
    )
    rivals = len(runs) - 1
    p_value, ends = test()
    return {
        "method": other,
        "difference": difference,
        "interval": list(ends),
        "p": p_value,
        "n": ours.shape[1],
        "needed": items_needed((ours - theirs).mean(0), first.asked["test"]),
        "corrected": {
            "rivals": rivals,
            "interval": list(test(level=LEVEL / rivals).interval),
            "p": min(1.0, p_value * rivals),
        },
    }


def as_read(methods: Mapping[str, Json]) -> dict[str, Any]:
    """A table of a score of which lower is better, as people read it: with the other sign.

    Example:
        >>> row = {"test": -30.5, "test_interval": [-32.0, -29.0], "seeds": 1}
        >>> as_read({"ties": row})["ties"]
        {'test': 30.5, 'test_interval': [29.0, 32.0], 'seeds': 1}
    """
    return {method: _turned(row) for method, row in methods.items()}


def _turned(row: Json) -> dict[str, Any]:
    """A row, or a part of it, with the other sign."""
    found = dict(row)
    for key, value in row.items():
        if isinstance(value, dict):
            found[key] = _turned(value)
        elif key in (*SPLITS, "difference"):
            found[key] = 0.0 - value
        elif key.endswith("interval"):
            found[key] = [0.0 - end for end in reversed(value)]
        elif key.endswith("_seeds"):
            found[key] = [0.0 - mean for mean in value]
    return found


def _over_tasks(tables: Sequence[Mapping[str, Json]]) -> dict[str, Any]:
    """Means over tasks, for methods that took part in all; tasks count equally and are not
    resampled.
    """
    methods = {}
    for method in tables[0]:
        rows = [table[method] for table in tables if method in table]
        if len(rows) == len(tables):
            methods[method] = _mean_row(rows)
    return dict(sorted(methods.items(), key=lambda pair: -pair[1]["test"]))


def _mean_row(rows: Sequence[Json]) -> dict[str, Any]:
    """A method's row over tasks, from its row on each."""
    row: dict[str, Any] = {key: float(np.mean([each[key] for each in rows])) for key in AVERAGED}
    for split in SPLITS:
        means = [each[split] for each in rows]
        intervals = [each[f"{split}_interval"] for each in rows]
        row[f"{split}_interval"] = list(interval_over_tasks(means, intervals))
    row["seeds"] = min(each["seeds"] for each in rows)
    row["models"] = rows[0]["models"]
    return row


def interval_over_seeds(
    scores: Floats, scale: Ends | None = None, questions: Questions | None = None
) -> tuple[float, float]:
    """A 95% interval of the mean of scores, (seeds, items), over other seeds and other items.

    If each item has the same score in all seeds, as with one seed or a deterministic method, it is
    `interval` of the items; else Student's by `over_seeds`.

    Simulated with 2, 3 and 5 seeds and 20 to 1,000 items, with seeds' log-odds varying by a
    standard deviation of 0 to 1, it covers the mean in at least 93% of samples.

    Args:
        scores: (seeds, items).
        scale: least and greatest score of an item, see `interval`.
        questions: question of each item.

    Example:
        >>> low, high = interval_over_seeds(np.ones((3, 20)))
        >>> round(low, 3), high
        (0.839, 1.0)
        >>> once = interval_over_seeds(np.array([[0.0] + [1.0] * 19, [1.0] * 20, [1.0] * 20]))
        >>> once[0] < low  # a mistake narrows nothing
        True
    """
    if not np.ptp(scores, axis=0).any():
        return interval(scores[0].tolist(), scale=scale, questions=questions)
    ends = scale or assumed_scale(scores)
    low, high = over_seeds(scores, ends, questions).interval(scale=scale or bounds_of(scores))
    narrowest = interval(scores.mean(0).tolist(), scale=scale, questions=questions)
    return min(low, narrowest[0]), max(high, narrowest[1])


def over_seeds(scores: Floats, ends: Ends, questions: Questions | None = None) -> Estimate:
    """The mean of scores, (seeds, items), with its error from both items and seeds.

    The items' part is the error of their means over seeds, with a pseudo-observation at each end of
    the scale as in `interval`; the seeds' part is the variance of their means. Both contain the
    residual variance, which is small: subtracting it could make a part vanish that was
    underestimated by chance.

    Args:
        scores: at least two seeds that differ.
        ends: ends of the scale.
        questions: question of each item.
    """
    items = np.append(by_question(scores.mean(0), questions), ends)
    return estimate(float(items.mean()), [items, scores.mean(1)])


def difference_over_seeds(
    differences: Floats,
    level: float = LEVEL,
    largest: float = 1.0,
    questions: Questions | None = None,
) -> PairedTest:
    """The test of paired differences, (seeds, items), with its interval: `paired_test` if all seeds
    have the same differences, else Student's by `over_seeds`.
    """
    if not np.ptp(differences, axis=0).any():
        return paired_test(differences[0], level, largest, questions)
    found = over_seeds(differences, (PSEUDO * largest, -PSEUDO * largest), questions)
    return PairedTest(found.p_value(), found.interval(level, (-largest, largest)))


def interval_over_tasks(
    means: Sequence[float], intervals: Sequence[Sequence[float]]
) -> tuple[float, float]:
    """An interval of the mean of independent means, from their intervals (Zou & Donner 2008).

    Args:
        means: mean of each task.
        intervals: low and high for each task; their level is also the result's.

    Example:
        >>> interval_over_tasks([0.5, 1.0], [(0.2, 0.8), (0.6, 1.0)])
        (0.5, 0.9)
    """
    centre = np.mean(means)
    below, above = np.abs(np.transpose(intervals) - means)
    low = centre - np.linalg.norm(below) / len(means)
    high = centre + np.linalg.norm(above) / len(means)
    return float(low), float(high)
