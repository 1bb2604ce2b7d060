"""The verdict on a comparison, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.statistics import LEVEL

Json = Mapping[str, Any]
SINGLE = "best-single"  # the method that the others are compared with


def compared(result: Json) -> str:
    """The verdict on a comparison: which method is first, and whether it is better than the best single expert.

    Its p-value is multiplied by the number of methods (Bonferroni), as the first is the best of them on these items.

    Args:
        result: ``compare.json``.

    Example:
        >>> rows = {"ties": {"test": 0.7, "dev": 0.8, "against_single": {"method": "best-single", "p": 0.001,
        ...     "difference": 0.1}}, "best-single": {"test": 0.6, "dev": 0.7}}
        >>> compared({"methods": rows})
        'ties is first, and better than the best single expert: 0.700 against 0.600 (p = 0.001, corrected for 1 rival).'
    """
    methods = result["methods"]
    split = "test" if all(row["test"] is not None for row in methods.values()) else "dev"
    if not methods or SINGLE not in methods:
        return "No verdict: the comparison has no row for the best single expert."
    first = max(methods, key=lambda name: methods[name][split])
    if first == SINGLE:
        return f"No method scores higher than the best single expert: {methods[SINGLE][split]:.3f} on {split}."
    scores = f"{methods[first][split]:.3f} against {methods[SINGLE][split]:.3f}"
    if "tasks" in result:
        return _over_tasks(result, first, scores)
    rivals = len(methods) - 1
    p_value = min(1.0, methods[first]["against_single"]["p"] * rivals)
    p = f"p {'< 0.001' if p_value < 0.001 else f'= {p_value:.3f}'}, corrected for {counted(rivals, 'rival')}"
    if p_value < LEVEL and split == "test":
        return f"{first} is first, and better than the best single expert: {scores} ({p})."
    unseen = "" if split == "test" else "; there is no test split"
    return f"{first} is first, but not measurably better than the best single expert: {scores} ({p}){unseen}."


def _over_tasks(result: Json, first: str, scores: str) -> str:
    row, tasks = result["methods"][first], len(result["tasks"])
    gain = "" if row.get("gain") is None else f" ({row['gain']:+.1%} in the mean)"
    return (
        f"{first} is first on average over {counted(tasks, 'task')}: {scores} for the best single expert{gain}; it is "
        f"first on {row['wins']} of them."
    )
