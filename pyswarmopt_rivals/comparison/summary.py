"""From finished contestants to one table: means, intervals, tests, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pyswarmopt_llm.common.statistics import Floats, interval_over_seeds, interval_over_tasks, permutation_test
from pyswarmopt_llm.evaluation.record import unpack
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.store import Store
from pyswarmopt_rivals.comparison.verdict import SINGLE


@dataclass(frozen=True)
class Runs:
    """All seeds of one method on one task."""

    dev: Floats  # (seeds, items)
    test: Floats | None  # the same; None without a test split
    items: float  # mean over seeds
    seconds: float  # the same
    models: int  # run on each item in use
    tokens: float | None  # for each item in use
    traces: tuple[tuple[tuple[int, float], ...], ...]  # best-so-far curves, one per seed
    rank: int | str | None  # of the weight changes: the largest LoRA rank or ``full``; None: not one model, or unknown
    error: float | None  # relative Frobenius error of a cut to that rank; None: nothing was cut

    @property
    def judged(self) -> Floats:
        """Test, or without one, dev."""
        return self.dev if self.test is None else self.test


def summarise(
    config: CompareConfig,
    store: Store,
    scored: Mapping[str, Mapping[str, str]],
    left_out: Mapping[str, str],
    experts: int,
) -> dict[str, Any]:
    """The content of ``compare.json``; `scored`: task -> its ``scoring`` and ``metric``."""
    tasks = {task: {"methods": _task_table(_runs_of(store, task)), **how} for task, how in scored.items()}
    result: dict[str, Any] = {"config": asdict(config), "experts": experts, "left_out": dict(left_out)}
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
    return {
        method: Runs(
            dev=np.array([unpack(row["dev"]) for row in own]),
            test=None if own[0]["test"] is None else np.array([unpack(row["test"]) for row in own]),
            items=float(np.mean([row["items"] for row in own])),
            seconds=float(np.mean([row["seconds"] for row in own])),
            models=own[0]["models"],
            tokens=_mean([row.get("tokens") for row in own]),
            traces=tuple(tuple((int(n), float(v)) for n, v in row["trace"]) for row in own),
            rank=own[0].get("rank"),
            error=_mean([row.get("relative_error") for row in own]),
        )
        for method, own in rows.items()
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None if a value is missing."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _task_table(runs: Mapping[str, Runs]) -> dict[str, Any]:
    """Method -> its row, best test first."""
    order = sorted(runs, key=lambda method: -runs[method].judged.mean())
    methods = {}
    for method in order:
        own = runs[method]
        # A generator per row: a row does not change because another method was added.
        rng = np.random.default_rng([*method.encode()])
        splits = {"dev": own.dev} | ({} if own.test is None else {"test": own.test})
        row: dict[str, Any] = {
            "dev": float(own.dev.mean()),
            "test": None if own.test is None else float(own.test.mean()),
            **{f"{split}_interval": list(interval_over_seeds(scores, rng)) for split, scores in splits.items()},
            "seeds": len(own.dev),
            "dev_seeds": own.dev.mean(1).tolist(),
            "test_seeds": None if own.test is None else own.test.mean(1).tolist(),
            "item_evaluations": own.items,
            "seconds": own.seconds,
            "models": own.models,
            "tokens": own.tokens,
            "rank": own.rank,
            **({} if own.error is None else {"relative_error": own.error}),
        }
        rivals = {"single": SINGLE, "rival": next((other for other in order if other != method), None)}
        for label, other in rivals.items():
            if other is not None and other in runs and other != method:
                difference = own.judged.mean(0) - runs[other].judged.mean(0)
                row[f"against_{label}"] = {
                    "method": other,
                    "difference": float(difference.mean()),
                    "p": permutation_test(difference),
                }
        if any(len(trace) > 1 for trace in own.traces):
            row["traces"] = [list(map(list, trace)) for trace in own.traces]
        methods[method] = row
    return methods


def _over_tasks(tasks: Mapping[str, Any]) -> dict[str, Any]:
    """Means over tasks of the methods that took part in all of them; tasks count alike and are not resampled."""
    everywhere = [m for m in next(iter(tasks.values()))["methods"] if all(m in t["methods"] for t in tasks.values())]
    methods = {}
    for method in everywhere:
        rows = [table["methods"][method] for table in tasks.values()]
        row: dict[str, Any] = {}
        for split in ("dev", "test"):
            if any(one[split] is None for one in rows):
                row[split] = None
                continue
            means, intervals = [one[split] for one in rows], [one[f"{split}_interval"] for one in rows]
            row[split] = float(np.mean(means))
            row[f"{split}_interval"] = list(interval_over_tasks(means, intervals))
        for key in ("item_evaluations", "seconds"):
            row[key] = float(np.mean([one[key] for one in rows]))
        row["tokens"] = _mean([one.get("tokens") for one in rows])
        row["seeds"], row["models"] = min(one["seeds"] for one in rows), rows[0]["models"]
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
