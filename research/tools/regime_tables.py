"""Tables of a new customer, of checkpoints of one run, and of real models of different architectures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from outcomes import lines, markdown

from pyswarmopt_llm.common.paired import compare_paired

Floats = npt.NDArray[np.float64]
CUSTOMERS = {
    "base": "base",
    "best-single": "best adapter",
    "uniform": "uniform average",
    "tuned-1": "fine-tuned best adapter",
    "tuned-0.75": "the same at strength 0.75",
    "tuned-0.5": "the same at strength 0.5",
    "item-model": "mixture, untrained",
    "search": "search",
    "left-out": "chosen by leaving a business out",
}
CHECKPOINTS = {
    "base": "base",
    "last": "last checkpoint",
    "lowest-loss": "lowest loss",
    "best-score": "best score",
    "mean-of-three": "mean of the last three",
    "search": "search",
}
UNLIKE = {
    "embedded:smollm2-135m": "SmolLM2 135M",
    "qwen2.5-coder-0.5b": "Qwen2.5-Coder 0.5B",
    "gemma3-270m": "Gemma 3 270M",
    "uniform": "uniform average",
    "vote": "vote",
    "search": "search",
}


def read(name: str, column: str) -> dict[str, dict[str, Floats]]:
    """Value of a column -> method -> 1 or 0 for each test item, seeds one after another."""
    found: dict[str, dict[str, Floats]] = {}
    for line in lines(name):
        right = np.array(list(line["test"]), dtype=float)
        methods = found.setdefault(line[column], {})
        known = methods.get(line["method"])
        methods[line["method"]] = right if known is None else np.concatenate([known, right])
    return found


def difference(ours: Floats, theirs: Floats) -> str:
    """The mean difference on the same items, in points, with its 95% interval."""
    pair = compare_paired(ours.tolist(), theirs.tolist())
    low, high = (100 * end for end in pair.interval)
    return f"{100 * pair.difference:+.1f} [{low:+.1f}, {high:+.1f}]"


def beside(
    found: Mapping[str, Mapping[str, Floats]], names: Mapping[str, str], control: str
) -> Iterator[Sequence[str]]:
    """A row for each method: its score in each group, in all, and its difference to a control."""
    groups = list(found)
    together = {
        method: np.concatenate([found[group][method] for group in groups]) for method in names
    }
    for method, name in names.items():
        scores = [f"{found[group][method].mean():.3f}" for group in groups]
        beyond = difference(together[method], together[control]) if method != control else ""
        yield [name, *scores, f"{together[method].mean():.3f}", beyond]


def customers() -> str:
    """Each new business."""
    found = read("customers", "business")
    head = ["test score on a new business", *found, "all", f"minus {CUSTOMERS['tuned-1']}"]
    return markdown(head, beside(found, CUSTOMERS, "tuned-1"))


def checkpoints() -> str:
    """Each task."""
    found = read("checkpoints", "task")
    head = ["300 test items", *found, "all", "minus lowest loss"]
    return markdown(head, beside(found, CHECKPOINTS, "lowest-loss"))


def unlike() -> str:
    """Each task."""
    found = read("unlike-real", "task")
    head = ["100 test items", *found, "all", f"minus {UNLIKE['uniform']}"]
    return markdown(head, beside(found, UNLIKE, "uniform"))


def beside_best_member() -> str:
    """The search minus the best member, over all tasks."""
    groups = read("unlike-real", "task").values()
    members = ("embedded:smollm2-135m", "qwen2.5-coder-0.5b", "gemma3-270m")
    scores = {
        name: np.concatenate([methods[name] for methods in groups]) for name in (*members, "search")
    }
    best = max(members, key=lambda name: float(scores[name].mean()))
    return difference(scores["search"], scores[best])


TABLES = {
    "unlike-real": unlike,
    "new-customers": customers,
    "checkpoints": checkpoints,
}
