"""Invented runs and results for the tests of what is written about them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig, search_command
from pyswarmopt_llm.run.directory import About
from pyswarmopt_llm.run.result import RunResult

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


def about_of(more: dict[str, Any] | None = None, **config: Any) -> About:
    """A ``run.json``: `more` are its fields beside the configuration."""
    decided = SearchConfig(**{**CONFIG, **config})
    command = search_command(replace(decided, space="auto", optimizer="auto"))
    fields = {"fingerprints": {}, "versions": {"torch": "2.13.0"}, "command": command}
    return About(decided, **fields | (more or {}))


def result_of(**changes: Any) -> RunResult:
    """A result of the names on which readers of ``result.json`` rely.

    Args:
        changes: MODEL_SPLIT, ``items``: MODEL_SPLIT -> packed items, ``experts``: name -> score on
            dev or packed items, and fields of `RunResult`.
    """
    return RunResult.from_json(nested({**RESULT, **changes}))


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
        value = items.count("1") / len(items) if items else found
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
