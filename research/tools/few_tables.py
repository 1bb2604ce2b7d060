"""The tables of searches with few labels, from research/evidence/few-labels.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from outcomes import markdown

EVIDENCE = Path(__file__).resolve().parents[1] / "evidence" / "few-labels.jsonl"
CONTROLS = {
    "base": "base",
    "best-single": "best adapter",
    "uniform": "uniform average",
    "finetune-once": "fine-tuned base model",
    "finetune-best-once": "fine-tuned best adapter",
}
SEARCH = "search"
METHODS = {
    **CONTROLS,
    "item-model": "mixture",
    "item-model+dev": "fine-tuned mixture",
    SEARCH: "search (returns one of them)",
}
TASKS = {"desks": "demo's task"}
DRAWS = 4000  # of the bootstrap
FEW = 3  # draws below which a cell has no interval and is not shown on README

Draws = list[npt.NDArray[np.float64]]  # 1 or 0 for each test item, an array for each draw


@cache
def cells() -> dict[tuple[str, int], dict[str, Draws]]:
    """(Task, labels) -> method -> its draws."""
    found: dict[tuple[str, int], dict[str, Draws]] = {}
    for text in EVIDENCE.read_text(encoding="utf-8").splitlines():
        line: Mapping[str, Any] = json.loads(text)
        methods = found.setdefault((line["task"], line["labels"]), {})
        methods.setdefault(line["method"], []).append(np.array(list(line["test"]), dtype=float))
    return dict(sorted(found.items()))


def mean(draws: Draws) -> float:
    """Accuracy over all draws."""
    return float(np.mean([draw.mean() for draw in draws]))


def best_control(cell: Mapping[str, Draws]) -> str:
    """The control with the highest accuracy."""
    return max(CONTROLS, key=lambda method: mean(cell[method]))


def difference(ours: Draws, theirs: Draws) -> str:
    """The mean paired difference in points and its 95% interval, by a bootstrap over draws, and over
    items within each.
    """
    pairs = [one - other for one, other in zip(ours, theirs, strict=True)]
    rng = np.random.default_rng(0)
    means = []
    for _ in range(DRAWS):
        chosen = (pairs[draw] for draw in rng.integers(len(pairs), size=len(pairs)))
        means.append(np.mean([rng.choice(pair, size=pair.size).mean() for pair in chosen]))
    low, high = 100 * np.quantile(means, (0.025, 0.975))
    middle = 100 * float(np.mean([pair.mean() for pair in pairs]))
    return f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]"


def few_labels() -> str:
    """All cells, all methods."""
    head = ["test score", "draws", *METHODS.values(), "search - best control (points)"]
    return markdown(head, _rows())


def _rows() -> Iterator[Sequence[str]]:
    for (task, labels), cell in cells().items():
        control = best_control(cell)
        draws = len(cell[SEARCH])
        figures = [f"{mean(cell[method]):.3f}" for method in METHODS]
        lead = f"{100 * (mean(cell[SEARCH]) - mean(cell[control])):+.1f}"
        if draws >= FEW:
            lead = difference(cell[SEARCH], cell[control])
        over = f"{lead} over the {CONTROLS[control]}"
        yield [f"{TASKS.get(task, task)}, {labels} labels", str(draws), *figures, over]


def few_labels_short() -> str:
    """The cells with enough draws, for README."""
    head = ["test score", "best adapter", "best baseline", "search", "search - baseline (points)"]
    return markdown(head, _short_rows())


def _short_rows() -> Iterator[Sequence[str]]:
    for (task, labels), cell in cells().items():
        draws = len(cell[SEARCH])
        if draws < FEW:
            continue
        control = best_control(cell)
        yield [
            f"{TASKS.get(task, task)}, {labels} labels, {draws} draws",
            f"{mean(cell['best-single']):.3f}",
            f"{mean(cell[control]):.3f}, {CONTROLS[control]}",
            f"{mean(cell[SEARCH]):.3f}",
            difference(cell[SEARCH], cell[control]),
        ]


TABLES = {"few-labels": few_labels, "few-labels-short": few_labels_short}
