"""The outcomes in research/evidence, item by item: read, averaged, compared and written as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt_llm.common.paired import compare_paired
from pyswarmopt_rivals.comparison.summary import interval_over_seeds, interval_over_tasks

RESEARCH = Path(__file__).resolve().parents[1]
Floats = npt.NDArray[np.float64]

# Tasks that nothing was chosen on, and those that the default was chosen on.
HELD_OUT = ("graph", "generalist", "normad_country", "medmcqa")
CHOSEN_ON = ("completion", "commonsense")

# What the files call a method by the name it had that day, and what it did.
NAMES = {
    "present": {"default": "item-model+dev", "mixture": "item-model"},
    "paper-table": {"model-swarms": "swarm, then item model"},
    "fifty": {"model-swarms+dev": "trained first, then searched"},
}


def lines(name: str) -> list[dict[str, Any]]:
    """The lines of ``research/evidence/NAME.jsonl``."""
    text = (RESEARCH / "evidence" / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


class Outcomes:
    """Right (1) and wrong (0) of every method on the test items of every task, from files of
    `research/evidence`.
    """

    def __init__(self, *files: str, examples: int | None = None) -> None:
        """Read the files, or their lines of so many labelled examples; where two have a method and
        a task, the first one counts.
        """
        self.scores: dict[tuple[str, str], Floats] = {}
        for name in files:
            for key, rows in self._grouped(name, examples):
                if key not in self.scores:
                    self.scores[key] = np.array(
                        [[float(sign) for sign in row["test"]] for row in rows]
                    )

    @staticmethod
    def _grouped(
        name: str, examples: int | None
    ) -> Iterator[tuple[tuple[str, str], list[dict[str, Any]]]]:
        groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in lines(name):
            if examples is not None and row["examples"] != examples:
                continue
            method = NAMES.get(name, {}).get(row["method"], row["method"])
            groups.setdefault((method, row["task"]), []).append(row)
        yield from groups.items()

    def methods(self, task: str | None = None) -> list[str]:
        """All methods, or those with outcomes of a task, in the files' order."""
        there = (method for method, name in self.scores if task in (None, name))
        return list(dict.fromkeys(there))

    def accuracy(self, method: str, task: str) -> float:
        """Mean over seeds and items."""
        return float(self.scores[method, task].mean())

    def mean(self, method: str, tasks: Sequence[str]) -> float:
        """Mean of the tasks' accuracies."""
        return float(np.mean([self.accuracy(method, task) for task in tasks]))

    def interval(self, method: str, tasks: Sequence[str]) -> tuple[float, float]:
        """95% interval of `mean`: each task's over its seeds and items."""
        intervals = [interval_over_seeds(self.scores[method, task]) for task in tasks]
        return interval_over_tasks([self.accuracy(method, task) for task in tasks], intervals)

    def differ(self, first: str, second: str, task: str) -> int:
        """Items of which one is right and the other wrong."""
        return int((self.scores[first, task] != self.scores[second, task]).sum())

    def pairs(
        self, first: str, second: str, tasks: Sequence[str]
    ) -> tuple[list[float], list[float]]:
        """The items of all tasks of both methods, each the mean over its seeds."""
        ours, theirs = (
            np.concatenate([self.scores[method, task].mean(0) for task in tasks]).tolist()
            for method in (first, second)
        )
        return ours, theirs


@cache
def outcomes(*files: str, examples: int | None = None) -> Outcomes:
    """`Outcomes` of these files, read once."""
    return Outcomes(*files, examples=examples)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the first column is text, the others are figures."""
    table = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    table.insert(1, f"|---|{'---:|' * (len(head) - 1)}")
    return "\n".join(table)


def points(read: Outcomes, first: str, second: str, tasks: Sequence[str]) -> str:
    """A difference in points, its 95% interval and p: `+18.7 [+16.3, +21.1], p < 0.001`."""
    pair = compare_paired(*read.pairs(first, second, tasks))
    low, high = (100 * end for end in pair.interval)
    return f"{100 * pair.difference:+.1f} [{low:+.1f}, {high:+.1f}], {p_value(pair.p_value)}"


def p_value(p: float) -> str:
    """`p = 0.04`, or `p < 0.001`."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.01 else f"p = {p:.2f}"
