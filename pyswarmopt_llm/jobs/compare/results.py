"""What ``compare.json`` holds, as its tables and pages read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyswarmopt.cli.words import counted
from pyswarmopt_llm.reporting.verdict import SINGLE, compared


def tables_of(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Task -> its methods."""
    if "tasks" in result:
        return {task: table["methods"] for task, table in result["tasks"].items()}
    return {result["task"]: result["methods"]}


def _metrics_of(result: Mapping[str, Any]) -> dict[str, str]:
    """Task -> what it is scored by."""
    tables = result["tasks"] if "tasks" in result else {result["task"]: result}
    return {task: table["metric"] for task, table in tables.items()}


def summary_lines(result: Mapping[str, Any]) -> Sequence[str]:
    """The verdict, and what a reader has to know beside the figures."""
    config = result["config"]
    lines = [
        compared(result),
        f"{counted(result['experts'], 'expert')} of {config['base']}; at most {config['budget_items']} dev items per "
        f"method, task and seed; {counted(config['seeds'], 'seed')} for methods that draw.",
        f"Scores: {', '.join(f'{task} by {metric}' for task, metric in _metrics_of(result).items())}.",
        "Intervals: 95%, Wilson's where each item is right in all seeds or wrong in all, else by a bootstrap over "
        "seeds and items together; those over tasks follow from the tasks' (Zou & Donner 2008). p: paired permutation "
        "test over test items of the means over seeds, two-sided, not corrected for the number of methods. The best "
        "rival is the best other row on test. Items and seconds are what it took to find the result; the test "
        "split is not in them. Tokens are those read and written for an item in use, by all models together, a context "
        "once for all its options.",
    ]
    if (config.get("particles") or result["experts"]) < result["experts"]:
        raised = f"{result['experts']} particles instead of {config['particles']}"
        lines.append(f"Searches start from all experts: {raised}.")
    lines += [f"{note}." for note in result.get("notes", ())]
    lines += [f"Left out: {name} ({why})." for name, why in result["left_out"].items()]
    return lines


__all__ = ["SINGLE", "summary_lines", "tables_of"]
