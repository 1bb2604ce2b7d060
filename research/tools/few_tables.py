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

from pyswarmopt_llm.common.config import LEAST_DEV

EVIDENCE = Path(__file__).resolve().parents[1] / "evidence" / "few-labels.jsonl"
CONTROLS = {
    "base": "base",
    "best-single": "best adapter",
    "uniform": "uniform average",
    "finetune-once": "fine-tuned base model",
    "finetune-best-once": "fine-tuned best adapter",
    "by-name": "adapter by its name",
    "one-strength": "best adapter at one strength",
    "in-prompt": "eight examples in the prompt",
    "lorahub": "LoraHub",
}
SEARCH = "search"
METHODS = {
    **CONTROLS,
    "item-model": "mixture",
    "item-model+dev": "fine-tuned mixture",
    SEARCH: "search (returns one of them)",
}
REAL = "real"  # the tasks that have an adapter of their own, together
TASKS = {"desks": "demo's task", REAL: "three real tasks"}
SMALL = "smollm2-135m"  # the base of lines that name none
BASES = {
    SMALL: "SmolLM2 135M",
    "gemma3-270m": "Gemma 3 270M",
    "qwen2.5-coder-0.5b": "Qwen2.5-Coder 0.5B",
}
DRAWS = 4000  # of the bootstrap
FEW = 3  # draws below which a cell has no interval and is not shown on README

Draws = list[npt.NDArray[np.float64]]  # 1 or 0 for each test item, an array for each draw
Key = tuple[str, str, int]  # base, task, labels
Drawn = tuple[str, int]  # task, draw


@cache
def cells(together: bool = True) -> dict[Key, dict[str, Draws]]:
    """(Base, task, labels) -> method -> its draws, in the same order for each; a method that lacks a
    draw is left out. The real tasks are one cell if `together`. With fewer than `LEAST_DEV` labels a
    search trains nothing unless told to, as in these runs, so it returns its mixture.
    """
    found: dict[Key, dict[str, dict[Drawn, npt.NDArray[np.float64]]]] = {}
    for text in EVIDENCE.read_text(encoding="utf-8").splitlines():
        line: Mapping[str, Any] = {"base": SMALL, **json.loads(text)}
        task = REAL if together and line["task"] not in TASKS else line["task"]
        methods = found.setdefault((line["base"], task, line["labels"]), {})
        right = np.array(list(line["test"]), dtype=float)
        methods.setdefault(line["method"], {})[line["task"], line["draw"]] = right
    for (_, _, labels), methods in found.items():
        if labels < LEAST_DEV:
            methods[SEARCH] = methods["item-model"]
    return {key: _complete(found[key]) for key in sorted(found, key=_order)}


def _order(key: Key) -> tuple[int, bool, str, int]:
    """Bases as in `BASES`, the demo's task first, few labels first."""
    base, task, labels = key
    return list(BASES).index(base), task != "desks", task, labels


def _complete(methods: Mapping[str, Mapping[Drawn, Any]]) -> dict[str, Draws]:
    """Method -> its draws, of the methods that have all."""
    draws = sorted(methods[SEARCH])
    return {
        name: [rows[draw] for draw in draws]
        for name, rows in methods.items()
        if {*draws} <= {*rows}
    }


def mean(draws: Draws) -> float:
    """Accuracy over all draws."""
    return float(np.mean([draw.mean() for draw in draws]))


def best_control(cell: Mapping[str, Draws]) -> str:
    """The control with the highest accuracy."""
    return max((name for name in CONTROLS if name in cell), key=lambda method: mean(cell[method]))


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
    """All methods, the real tasks together: a column for each cell."""
    return table(cells())


def real_tasks() -> str:
    """All methods on each real task: a column for each cell."""
    return table({key: cell for key, cell in cells(False).items() if key[1] not in TASKS})


def table(shown: Mapping[Key, Mapping[str, Draws]]) -> str:
    """All methods: a column for each cell."""
    head = ["test score", *(label(key, cell) for key, cell in shown.items())]
    return markdown(head, _rows([*shown.values()]))


def label(key: Key, cell: Mapping[str, Draws]) -> str:
    """A cell in words."""
    base, task, labels = key
    draws = len(cell[SEARCH])
    count = f"{draws} draws" if draws > 1 else "1 draw"
    return f"{BASES[base]}, {TASKS.get(task, task)}, {labels} labels, {count}"


def _rows(shown: Sequence[Mapping[str, Draws]]) -> Iterator[Sequence[str]]:
    for method, name in METHODS.items():
        yield [name, *(f"{mean(cell[method]):.3f}" if method in cell else "" for cell in shown)]
    yield ["best control", *(CONTROLS[best_control(cell)] for cell in shown)]
    yield ["search - best control (points)", *(lead(cell, best_control(cell)) for cell in shown)]
    tuned = "finetune-best-once"
    yield ["search - fine-tuned best adapter", *(lead(cell, tuned) for cell in shown)]


def lead(cell: Mapping[str, Draws], control: str) -> str:
    """The search minus a control, with an interval if there are enough draws."""
    if len(cell[SEARCH]) < FEW:
        return f"{100 * (mean(cell[SEARCH]) - mean(cell[control])):+.1f}"
    return difference(cell[SEARCH], cell[control])


def few_labels_short() -> str:
    """The cells with enough draws, for README."""
    head = ["test score", "best adapter", "best baseline", "search", "search - baseline (points)"]
    return markdown(head, _short_rows())


def _short_rows() -> Iterator[Sequence[str]]:
    for key, cell in cells().items():
        if len(cell[SEARCH]) < FEW:
            continue
        control = best_control(cell)
        yield [
            label(key, cell),
            f"{mean(cell['best-single']):.3f}",
            f"{mean(cell[control]):.3f}, {CONTROLS[control]}",
            f"{mean(cell[SEARCH]):.3f}",
            difference(cell[SEARCH], cell[control]),
        ]


TABLES = {
    "few-labels": few_labels,
    "few-labels-real": real_tasks,
    "few-labels-short": few_labels_short,
}
