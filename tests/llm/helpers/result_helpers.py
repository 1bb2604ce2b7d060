"""Invented runs and results for the tests of what is written about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.statistics import Comparison
from pyswarmopt_llm.searching.scoring.result import RIVALS, Result
from pyswarmopt_llm.searching.scoring.run_directory import About

CONFIG: dict[str, Any] = {
    **{"base": "org/base", "experts": ("e/x", "e/y"), "tasks": ("t.json",), "out": "r"},
    **{"space": "factor", "optimizer": "model-swarms"},
}
RESULT: dict[str, Any] = {
    **{"best_dev": 0.7, "best_test": 0.62, "best_single_dev": 0.6, "best_single_test": 0.65},
    "best_single": "x",
    **{"evaluations": 30, "item_evaluations": 600, "seconds": 80.0, "seconds_scoring": 76.0},
    **{"peak_memory_bytes": 2**30, "scoring": "likelihood", "stop": {"max_iter": 6}},
    "intervals": {"best_test": [0.55, 0.69], "best_single_test": [0.58, 0.72]},
    "coefficients": {"x": 1.25, "y": -0.25},
}
MODELS = (
    *("best", "best_single", "uniform", "mixture", "trained"),
    *("base", "base_tuned", "expert_tuned", "commonest"),
)
Pairs = Mapping[str, Mapping[str, Any]]  # split -> task -> a comparison as JSON values


def about_of(more: dict[str, Any] | None = None, **config: Any) -> About:
    """A ``run.json``: `more` are its fields beside the configuration."""
    fields = {"fingerprints": {}, "versions": {"torch": "2.13.0"}, **(more or {})}
    return About(SearchConfig(**{**CONFIG, **config}), **fields)


@dataclass(frozen=True, kw_only=True)
class Invented(Result):
    """A result whose comparisons are given, whatever its items are."""

    pairs: dict[tuple[str, str], dict[str, Comparison]] = field(default_factory=dict)
    leads: dict[tuple[str, str], Comparison] = field(default_factory=dict)

    def by_task(self, split: str = "test") -> Any:
        return self.pairs.get(("best_single", split)) or super().by_task(split)

    def lead(self, over: str = "best_single", split: str = "test") -> Any:
        return self.leads.get((over, split)) or super().lead(over, split)

    def read_together(self, split: str) -> list[str]:
        return [name for name in RIVALS if self.lead(name, split)]


def result_of(
    paired: Pairs | None = None,
    leads: Mapping[tuple[str, str], Any] | None = None,
    **changes: Any,
) -> Result:
    """A result of the names on which readers of ``result.json`` rely.

    Args:
        paired: of the result and the best single expert; split -> task -> comparison.
        leads: of the result and another model; (name, split) -> comparison.
        changes: MODEL_SPLIT, ``items``: MODEL_SPLIT -> packed items, ``experts``: name -> score on
            dev or packed items, and fields of `Result`.
    """
    result = Result.from_json(nested({**RESULT, **changes}))
    fields = {name: getattr(result, name) for name in Result.__dataclass_fields__}
    compared = {
        ("best_single", split): {task: _comparison(found) for task, found in tasks.items()}
        for split, tasks in (paired or {}).items()
    }
    given = {key: _comparison(found) for key, found in (leads or {}).items()}
    return Invented(**fields, pairs=compared, leads=given)


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a result, of flat names."""
    weights, single = flat["coefficients"], flat["best_single"]
    tasks = flat.get("tasks") or {flat.get("task", "t"): {"scoring": flat["scoring"]}}
    alone = {name: float(name == single) for name in weights}
    own = {
        **{"best_single": alone, "expert_tuned": alone},
        "uniform": dict.fromkeys(weights, 1 / len(weights)),
        **{name: dict.fromkeys(weights, 0.0) for name in ("base", "base_tuned", "commonest")},
    }

    def scores(key: str) -> dict[str, Any] | None:
        if flat.get(key) is None:
            return None
        by_task = {}
        for name, task in tasks.items():
            value = {"value": task.get(key, flat[key]), "named": flat.get("named", {}).get(key, {})}
            by_task[name] = {**value, "items": flat.get("items", {}).get(key, "")}
        interval = flat.get("intervals", {}).get(key)
        return {"value": flat[key], "tasks": by_task, "interval": interval}

    def expert(name: str, found: Any) -> dict[str, Any]:
        items = found if isinstance(found, str) else ""
        known = items.replace("?", "")
        value = known.count("1") / len(known) if known else found
        return {
            "weights": {other: float(other == name) for other in weights},
            "dev": {"value": value, "tasks": {t: {"value": value, "items": items} for t in tasks}},
        }

    trained = {"trained": True, "base_tuned": True, "expert_tuned": True}
    trained["best"] = flat.get("trained", False)
    models = {
        name: {
            "weights": own.get(name, weights),
            "dev": scores(f"{name}_dev"),
            "test": scores(f"{name}_test"),
            "trained": trained.get(name, False),
        }
        for name in MODELS
        if flat.get(f"{name}_dev") is not None
    }
    objectives = {
        name: {"scoring": task["scoring"], "metric": flat.get("metrics", {}).get(name, "accuracy")}
        | flat.get("objectives", {}).get(name, {})
        for name, task in tasks.items()
    }
    experts = {name: expert(name, found) for name, found in flat.get("experts", {}).items()}
    parts = {"models": models, "objectives": objectives, "experts": experts}
    return {**flat, **parts}


def pair(
    mean: float,
    half: float,
    p: float,
    n: int = 200,
    **more: Any,
) -> dict[str, Any]:
    """A comparison of `n` items, as JSON values."""
    comparison = {"difference": mean, "interval": [mean - half, mean + half], "p_value": p, "n": n}
    return {**comparison, "gained": 2, "lost": 1, **more}


def comparison(*numbers: Any, **more: Any) -> Comparison:
    """The same as an object."""
    return _comparison(pair(*numbers, **more))


def _comparison(values: Mapping[str, Any]) -> Comparison:
    return Comparison(**{**values, "interval": tuple(values["interval"])})
