"""From finished contestants to one table: means, intervals, tests, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt_llm.common.statistics import LEVEL, Floats, interval, paired_test
from pyswarmopt_llm.searching.scoring.record import unpack
from pyswarmopt_rivals.comparison.config import CompareConfig

if TYPE_CHECKING:
    from pyswarmopt_rivals.bench import Bench

Json = Mapping[str, Any]

SINGLE = "best-single"  # the method that the others are compared with
RESAMPLES = 2000  # of a bootstrap
SPLITS = ("dev", "test")
AVERAGED: tuple[str, ...] = (*SPLITS, "item_evaluations", "seconds", "tokens")


@dataclass(frozen=True)
class Runs:
    """All seeds of one method on one task.

    Attributes:
        rows: outcomes, seeds in order.
    """

    rows: Sequence[Json]

    @cached_property
    def scores(self) -> dict[str, Floats]:
        """Those of ``dev``, and ``test`` where there is such a split: (seeds, items) each."""
        splits = [split for split in SPLITS if self.rows[0][split] is not None]
        return {split: np.array([unpack(row[split]) for row in self.rows]) for split in splits}

    @property
    def judged(self) -> Floats:
        """Test, or without one, dev."""
        return self.scores.get("test", self.scores["dev"])

    def mean(self, key: str) -> float | None:
        """The mean over seeds; None if a value is missing."""
        return _mean([row.get(key) for row in self.rows])


def summarise(
    config: CompareConfig,
    outcomes: Sequence[Json],
    benches: Sequence[Bench],
    left_out: Mapping[str, str],
) -> dict[str, Any]:
    """The content of ``compare.json``, for tasks that have outcomes."""
    tasks = {
        bench.task.name: {
            "methods": _task_table(_runs_of(outcomes, bench.task.name)),
            "scoring": bench.scoring,
            "metric": bench.metric.name,
        }
        for bench in benches
    }
    result: dict[str, Any] = {
        "config": asdict(config),
        "experts": len(config.experts),
        "left_out": dict(left_out),
        "notes": [bench.task.note for bench in benches if bench.task.note],
    }
    if len(tasks) > 1:
        return {**result, "methods": _over_tasks([*tasks.values()]), "tasks": tasks}
    ((task, table),) = tasks.items()
    return {**result, **table, "task": task}


def _runs_of(outcomes: Sequence[Json], task: str) -> dict[str, Runs]:
    """Method -> its runs, seeds in order."""
    rows: dict[str, list[Json]] = {}
    for row in sorted(outcomes, key=lambda row: (row["method"], row["seed"])):
        if row["task"] == task:
            rows.setdefault(row["method"], []).append(row)
    return {method: Runs(seeds) for method, seeds in rows.items()}


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None if a value is missing."""
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if len(numbers) == len(values) else None


def _task_table(runs: Mapping[str, Runs]) -> dict[str, Any]:
    """Method -> its row, best test first."""
    order = sorted(runs, key=lambda method: -runs[method].judged.mean())
    methods = {}
    for method in order:
        row = _own_row(method, runs[method])
        if method != SINGLE and SINGLE in runs:
            row["against_single"] = _against(runs, method, SINGLE, corrected=True)
        if len(order) > 1:
            rival = next(other for other in order if other != method)
            row["against_rival"] = _against(runs, method, rival)
        methods[method] = row
    return methods


def _own_row(method: str, runs: Runs) -> dict[str, Any]:
    """The row of a method, without a comparison with others."""
    # A generator per row: a row does not change because another method was added.
    rng = np.random.default_rng([*method.encode()])
    row: dict[str, Any] = dict.fromkeys(SPLITS)
    for split, scores in runs.scores.items():
        row[split] = float(scores.mean())
        row[f"{split}_seeds"] = scores.mean(1).tolist()
        row[f"{split}_interval"] = list(interval_over_seeds(scores, rng))
    row |= {
        "seeds": len(runs.rows),
        "item_evaluations": runs.mean("items"),
        "seconds": runs.mean("seconds"),
        "models": runs.rows[0]["models"],
        "tokens": runs.mean("tokens"),
        "rank": runs.rows[0]["rank"],
    }
    if (error := runs.mean("relative_error")) is not None:
        row["relative_error"] = error
    return row


def _against(
    runs: Mapping[str, Runs], method: str, other: str, corrected: bool = False
) -> dict[str, Any]:
    """The paired test of two methods; perhaps corrected for their number, as the first of several
    is the best of them by chance, too (Bonferroni).
    """
    difference = runs[method].judged.mean(0) - runs[other].judged.mean(0)
    test, rivals = paired_test(difference), len(runs) - 1
    against: dict[str, Any] = {
        "method": other,
        "difference": float(difference.mean()),
        "interval": list(test.interval),
        "p": test.p_value,
    }
    if corrected:
        interval = list(paired_test(difference, LEVEL / rivals).interval)
        p = min(1.0, test.p_value * rivals)
        against["corrected"] = {"rivals": rivals, "interval": interval, "p": p}
    return against


def _over_tasks(tables: Sequence[Json]) -> dict[str, Any]:
    """Means over tasks of the methods that took part in all of them; tasks count alike and are not
    resampled.
    """
    methods = {}
    for method in tables[0]["methods"]:
        if not all(method in table["methods"] for table in tables):
            continue
        rows = [table["methods"][method] for table in tables]
        row: dict[str, Any] = {key: _mean([each[key] for each in rows]) for key in AVERAGED}
        for split in SPLITS:
            if row[split] is not None:
                means = [each[split] for each in rows]
                intervals = [each[f"{split}_interval"] for each in rows]
                row[f"{split}_interval"] = list(interval_over_tasks(means, intervals))
        row["seeds"], row["models"] = min(each["seeds"] for each in rows), rows[0]["models"]
        row["gain"] = _mean([_gain(method, table["methods"]) for table in tables])
        row["wins"] = sum(next(iter(table["methods"])) == method for table in tables)
        methods[method] = row
    return dict(sorted(methods.items(), key=lambda pair: -(pair[1]["test"] or pair[1]["dev"])))


def _gain(method: str, rows: Json) -> float | None:
    """Test / test of the best single expert - 1 on one task; None if that is not known."""
    single = rows.get(SINGLE, {}).get("test")
    return rows[method]["test"] / single - 1 if single and single > 0.0 else None


def bootstrap_means(scores: Floats, rng: np.random.Generator) -> Floats:
    """Bootstrap means, (`RESAMPLES`,), of scores resampled by seeds and by items.

    Both are drawn with replacement, the items alike for all seeds, so that the means vary as with
    other seeds and other items (Davison & Hinkley 1997, on data with several sources of variation).

    Args:
        scores: (seeds, items).
        rng: source of the draws.
    """
    seeds, items = scores.shape
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    by_item = rng.multinomial(items, np.full(items, 1 / items), RESAMPLES) / items
    return np.asarray(((by_seed @ scores) * by_item).sum(1))


def interval_over_seeds(scores: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """A 95% interval of the mean of scores, (seeds, items).

    Where each item has the same score in all seeds, as with one seed or a method without chance, it
    is `interval` of the items; else the central 95% of `bootstrap_means`.

    Example:
        >>> low, high = interval_over_seeds(np.ones((3, 20)), np.random.default_rng(0))
        >>> round(low, 3), high
        (0.839, 1.0)
    """
    if not np.ptp(scores, axis=0).any():
        return interval(scores[0].tolist())
    low, high = np.quantile(bootstrap_means(scores, rng), [0.025, 0.975])
    return float(low), float(high)


def interval_over_tasks(
    means: Sequence[float], intervals: Sequence[Sequence[float]]
) -> tuple[float, float]:
    """An interval of the mean of independent means from the interval of each (Zou & Donner 2008).

    Args:
        means: of each task.
        intervals: low and high of each, at the level that the result has, too.

    Example:
        >>> interval_over_tasks([0.5, 1.0], [(0.2, 0.8), (0.6, 1.0)])
        (0.5, 0.9)
    """
    centre, count = np.mean(means), len(means)
    below, above = np.abs(np.asarray(intervals, dtype=np.float64).T - np.asarray(means))
    return float(centre - np.linalg.norm(below) / count), float(
        centre + np.linalg.norm(above) / count
    )
