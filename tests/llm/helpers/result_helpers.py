"""Invented runs and results for the tests of what is written about them."""

from __future__ import annotations

from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.paired import Comparison
from pyswarmopt_llm.evaluation.result import RunResult
from pyswarmopt_llm.evaluation.run_files import About

CONFIG: dict[str, Any] = {
    **{"base": "org/base", "experts": ("e/x", "e/y"), "tasks": ("t.json",), "out": "r"},
    **{"space": "factor", "optimizer": "model-swarms"},
}
RESULT: dict[str, Any] = {
    **{
        "best_dev": 0.7,
        "best_test": 0.62,
        "best_single_dev": 0.6,
        "best_single_test": 0.65,
        "best_single": "x",
    },
    **{"evaluations": 30, "item_evaluations": 600, "seconds": 80.0, "seconds_scoring": 76.0},
    **{"peak_memory_bytes": 2**30, "scoring": "likelihood", "stop": {"max_iter": 6}},
    "intervals": {"best_test": [0.55, 0.69], "best_single_test": [0.58, 0.72]},
    "coefficients": {"x": 1.25, "y": -0.25},
}


def about_of(more: dict[str, Any] | None = None, **config: Any) -> About:
    """A ``run.json``: `more` are its fields beside the configuration."""
    fields = {"fingerprints": {}, "versions": {"torch": "2.13.0"}, **(more or {})}
    return About(SearchConfig(**{**CONFIG, **config}), **fields)


def result_of(**changes: Any) -> RunResult:
    """A ``result.json``, of JSON values."""
    return RunResult.from_json({**RESULT, **changes})


def pair(
    mean: float, half: float, p: float, n: int = 200, needed: int | None = None, **more: Any
) -> dict[str, Any]:
    """A comparison of `n` items, as JSON values."""
    comparison = {"difference": mean, "interval": [mean - half, mean + half], "p_value": p, "n": n}
    return {**comparison, "gained": 2, "lost": 1, "items_needed": needed, **more}


def comparison(*numbers: Any, **more: Any) -> Comparison:
    """The same as an object."""
    values = pair(*numbers, **more)
    return Comparison(**{**values, "interval": tuple(values["interval"])})
