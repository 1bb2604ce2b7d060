"""From finished contestants to one table: means, intervals, tests, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pyswarmopt_llm.common.statistics import LEVEL, Floats, interval, paired_test
from pyswarmopt_llm.searching.scoring.record import unpack
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.store import Store
from pyswarmopt_rivals.comparison.verdict import SINGLE

RESAMPLES = 2000  # of a bootstrap


@dataclass(frozen=True)
class Runs:
    """All seeds of one method on one task.

    Attributes:
        rows: of ``outcomes.jsonl``, seeds in order.
        dev: (seeds, items).
        test: the same; None without a test split.
    """

    rows: Sequence[Mapping[str, Any]]
    dev: Floats
    test: Floats | None

    @property
    def judged(self) -> Floats:
        """Test, or without one, dev."""
        return self.dev if self.test is None else self.test

    def mean(self, key: str) -> float | None:
        """The mean over seeds; None if a value is missing."""
        return _mean([row.get(key) for row in self.rows])


def summarise(
    config: CompareConfig,
    store: Store,
    scored: Mapping[str, Mapping[str, str]],
    left_out: Mapping[str, str],
    experts: int,
) -> dict[str, Any]:
    """The content of ``compare.json``; `scored`: task -> its ``scoring`` and ``metric``."""
    tasks = {
        task: {"methods": _task_table(_runs_of(store, task)), **how} for task, how in scored.items()
    }
    result: dict[str, Any] = {
        "config": asdict(config),
        "experts": experts,
        "left_out": dict(left_out),
    }
    if len(tasks) > 1:
        return {**result, "methods": _over_tasks(tasks), "tasks": tasks}
    ((task, table),) = tasks.items()
    return {**result, **table, "task": task}


def _runs_of(store: Store, task: str) -> dict[str, Runs]:
    """Method -> its runs, seeds in order."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for (name, method, _), row in sorted(store.outcomes.items()):
        if name == task:
            rows.setdefault(method, []).append(row)
    runs = {}
    for method, seeds in rows.items():
        tested = seeds[0]["test"] is not None
        test = np.array([unpack(row["test"]) for row in seeds]) if tested else None
        runs[method] = Runs(seeds, np.array([unpack(row["dev"]) for row in seeds]), test)
    return runs


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None if a value is missing."""
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if len(numbers) == len(values) else None


def _task_table(runs: Mapping[str, Runs]) -> dict[str, Any]:
    """Method -> its row, best test first."""
    order = sorted(runs, key=lambda method: -runs[method].judged.mean())
    methods = {}
    for method in order:
        seeds = runs[method]
        # A generator per row: a row does not change because another method was added.
        rng = np.random.default_rng([*method.encode()])
        splits = {"dev": seeds.dev} | ({} if seeds.test is None else {"test": seeds.test})
        error = seeds.mean("relative_error")
        row: dict[str, Any] = {
            "dev": float(seeds.dev.mean()),
            "test": None if seeds.test is None else float(seeds.test.mean()),
            **{
                f"{split}_interval": list(interval_over_seeds(scores, rng))
                for split, scores in splits.items()
            },
            "seeds": len(seeds.dev),
            "dev_seeds": seeds.dev.mean(1).tolist(),
            "test_seeds": None if seeds.test is None else seeds.test.mean(1).tolist(),
            "item_evaluations": seeds.mean("items"),
            "seconds": seeds.mean("seconds"),
            "models": seeds.rows[0]["models"],
            "tokens": seeds.mean("tokens"),
            "rank": seeds.rows[0].get("rank"),
            **({} if error is None else {"relative_error": error}),
        }
        rivals = {
            "single": SINGLE,
            "rival": next((other for other in order if other != method), None),
        }
        for label, other in rivals.items():
            if other is not None and other in runs and other != method:
                difference = seeds.judged.mean(0) - runs[other].judged.mean(0)
                test = paired_test(difference)
                row[f"against_{label}"] = {
                    "method": other,
                    "difference": float(difference.mean()),
                    "interval": list(test.interval),
                    "p": test.p_value,
                }
                if label == "single":
                    # the first of several methods is the best of them by chance, too (Bonferroni)
                    corrected = paired_test(difference, LEVEL / (len(runs) - 1))
                    row["against_single"]["corrected"] = {
                        "rivals": len(runs) - 1,
                        "interval": list(corrected.interval),
                        "p": min(1.0, test.p_value * (len(runs) - 1)),
                    }
        traces = [[list(point) for point in row["trace"]] for row in seeds.rows]
        if any(len(trace) > 1 for trace in traces):
            row["traces"] = traces
        methods[method] = row
    return methods


def _over_tasks(tasks: Mapping[str, Any]) -> dict[str, Any]:
    """Means over tasks of the methods that took part in all of them; tasks count alike and are not
    resampled.
    """
    everywhere = [
        m
        for m in next(iter(tasks.values()))["methods"]
        if all(m in t["methods"] for t in tasks.values())
    ]
    methods = {}
    for method in everywhere:
        rows = [table["methods"][method] for table in tasks.values()]
        row: dict[str, Any] = {}
        for split in ("dev", "test"):
            if any(task_row[split] is None for task_row in rows):
                row[split] = None
                continue
            means, intervals = (
                [task_row[split] for task_row in rows],
                [task_row[f"{split}_interval"] for task_row in rows],
            )
            row[split] = float(np.mean(means))
            row[f"{split}_interval"] = list(interval_over_tasks(means, intervals))
        for key in ("item_evaluations", "seconds"):
            row[key] = float(np.mean([task_row[key] for task_row in rows]))
        row["tokens"] = _mean([task_row.get("tokens") for task_row in rows])
        row["seeds"], row["models"] = min(task_row["seeds"] for task_row in rows), rows[0]["models"]
        row["gain"] = _mean_gain(method, tasks)
        row["wins"] = sum(next(iter(table["methods"])) == method for table in tasks.values())
        methods[method] = row
    return dict(sorted(methods.items(), key=lambda pair: -(pair[1]["test"] or pair[1]["dev"])))


def _mean_gain(method: str, tasks: Mapping[str, Any]) -> float | None:
    """Mean over tasks of test / test of the best single expert - 1."""
    gains = []
    for table in tasks.values():
        rows = table["methods"]
        single = rows.get(SINGLE, {}).get("test")
        if single is None or single <= 0.0:
            return None
        gains.append(rows[method]["test"] / single - 1)
    return float(np.mean(gains))


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
