"""The first sentence of a report beside the table that `compare` makes of the same answers, on ten
invented tasks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from result_helpers import RESULT, nested

from pyswarmopt_llm.report.findings import verdict
from pyswarmopt_llm.searching.scoring.record import Packed, pack
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.summary import summarise

N = 100  # items of a split
SEARCH = "item-model+dev"
# model of a result -> row of a comparison
ROWS = {
    "best": SEARCH,
    "best_single": "best-single",
    "base": "base",
    "base_tuned": "finetune-once",
    "expert_tuned": "finetune-best-once",
}
LEADS = {"Better than": 1, "Worse than": -1, "Behind": -1, "Not significantly different from": 0}
SENTENCE = re.compile(
    rf"(?P<lead>{'|'.join(LEADS)}) (?P<other>.+?)(?P<unsure>, but not significantly)?: "
    r"(?P<ours>[\d.]+) against (?P<theirs>[\d.]+) on (?P<n>\d+) unseen examples?, "
    r"(?P<difference>[-+][\d.e-]+)"
)
CALLED = {
    "the best single expert": "best_single",
    "plain fine-tuning of the base": "base_tuned",
    "plain fine-tuning of the best expert": "expert_tuned",
}


@dataclass(frozen=True)
class Invented:
    """A task.

    Attributes:
        test: model -> items that are right on test, of `N`: the first so many, or the last where the
            number is negative.
        dev: the same on dev, which the sentence must not use.
        weights: of the two experts in the result, and whether it was trained.
        grades: whether items are graded in tenths, by chance around the share that is right.
    """

    test: dict[str, int]
    dev: dict[str, int]
    weights: tuple[float, float] = (0.6, 0.4)
    trained: bool = True
    grades: bool = False


def models(best: int, best_single: int, base: int, base_tuned: int, expert_tuned: int) -> Any:
    return dict(zip(ROWS, (best, best_single, base, base_tuned, expert_tuned), strict=True))


EVEN = models(60, 50, 30, 55, 58)
EXPERT = {"weights": (1.0, 0.0)}
TASKS = {
    "ahead of all": Invented(models(90, 50, 30, 60, 62), EVEN),
    "behind all": Invented(models(40, 60, 30, 70, 75), EVEN),
    "all alike": Invented(models(50, 50, 50, 50, 50), EVEN),
    "ahead by chance": Invented(models(56, 50, -50, -53, -52), EVEN),
    "behind on dev, ahead on test": Invented(
        models(50, 40, 30, 66, 45), models(70, 50, 30, 20, 45)
    ),
    "ahead on dev, behind on test": Invented(
        models(40, 45, 30, 52, 41), models(90, 40, 30, 40, 40)
    ),
    "ahead, but not after correction": Invented(models(57, 50, 50, 51, 50), EVEN),
    "nothing trained": Invented(models(52, 60, 30, 50, 49), EVEN, trained=False),
    "the best expert, fine-tuned": Invented(models(64, 50, 30, 71, 64), EVEN, **EXPERT),
    "graded": Invented(models(62, 50, 30, 60, 44), EVEN, grades=True),
}


def scores(task: Invented, split: str) -> dict[str, list[float]]:
    """Model -> the scores of its items."""
    found = {}
    for model, count in (task.test if split == "test" else task.dev).items():
        row = np.zeros(N)
        row[: count if count > 0 else N] = 1.0
        row[: N + count if count < 0 else 0] = 0.0
        if task.grades:
            rng = np.random.default_rng(abs(count))
            row = rng.binomial(10, abs(count) / N, N) / 10
        found[model] = row.tolist()
    return found


def result_of(task: Invented) -> Result:
    items: dict[str, Packed] = {}
    values = {}
    for split in ("dev", "test"):
        for model, row in scores(task, split).items():
            items[f"{model}_{split}"] = pack(row)
            values[f"{model}_{split}"] = sum(row) / N
    weights = dict(zip("xy", task.weights, strict=True))
    more = {"items": items, "coefficients": weights, "trained": task.trained}
    return Result.from_json(nested({**RESULT, **values, **more}))


def compared(task: Invented, *rows: str) -> Any:
    """What `compare` has of these rows: method -> its row."""
    dev, test = scores(task, "dev"), scores(task, "test")
    settings = {"items": 1, "seconds": 1.0, "models": 1, "tokens": 1, "rank": 8}
    outcomes = [
        {
            **{"task": "t", "method": ROWS[model], "seed": 0, **settings},
            **{"dev": pack(dev[model]), "test": pack(test[model])},
        }
        for model in rows
    ]
    questions = SimpleNamespace(name="t", note="", split=lambda _: [])
    metric = SimpleNamespace(name="accuracy", scale=None)
    bench: Any = SimpleNamespace(task=questions, metric=metric, scoring="likelihood")
    return summarise(CompareConfig("b", ("x", "y"), ("t",), "o"), outcomes, [bench], {})["methods"]


def said(task: Invented) -> list[tuple[str, re.Match[str]]]:
    """Model -> what the verdict says of the result beside it, in order."""
    sentence = verdict(result_of(task)).sentence
    found = SENTENCE.finditer(sentence)
    return [(CALLED[match["other"].partition(",")[0]], match) for match in found]


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_first_sentence_says_what_a_comparison_finds(task: Invented) -> None:
    sentences = said(task)
    assert sentences
    own = {"expert_tuned"} if task.weights == (1.0, 0.0) and task.trained else set()
    rivals = [name for name in ("base_tuned", "expert_tuned") if name not in own]
    plain = max(rivals, key=lambda name: abs(task.test[name]))
    if not task.grades:
        assert sentences[0][0] == plain
    for other, found in sentences:
        alone = compared(task, "best", other)
        ours, theirs = alone[SEARCH], alone[ROWS[other]]
        test = ours["against_rival"]
        assert (found["ours"], found["theirs"]) == (f"{ours['test']:.3f}", f"{theirs['test']:.3f}")
        assert int(found["n"]) == N
        direction = LEADS[found["lead"]]
        assert direction * test["difference"] > 0 or (direction == 0 <= test["difference"])
        sure = direction != 0 and not found["unsure"]
        assert not sure or test["p"] < 0.05
        # corrected for the same number of rows, one after the other instead of all alike
        among = set(ROWS) - own
        whole = compared(task, *among)[SEARCH]["against_rival"]
        if whole["method"] == ROWS[other] and whole["corrected"]["p"] < 0.05:
            assert sure
