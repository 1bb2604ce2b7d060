"""The tables of written answers beside fine-tuning on the right ones, and of the paper's data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, harmonic_mean
from typing import Any

from outcomes import lines, markdown, outcomes, points
from written_tables import DEFAULT, HELD_OUT, MIXTURE, SPARE

STARTS = {"base": "base", "best-single": "best single expert", "mixture": "mixture of the search"}
SEARCHES = {MIXTURE: "the search, before training", DEFAULT: "the search (default)"}


def right_answers() -> str:
    """Fine-tuning on right answers beside searches that see scores of as many prompts."""
    read = outcomes("right-answers")
    labels = {
        f"{start}, {count} right answers": f"{label}, fine-tuned on {count} right answers"
        for count in (100, 500)
        for start, label in STARTS.items()
    }
    labels["mixture, 500 right answers, gently"] = (
        "the same at a quarter of the learning rate (one seed)"
    )
    labels |= {
        "best-single": "best single expert",
        **SEARCHES,
        SPARE: "the search with 400 further prompts",
    }
    rows = []
    for method, label in labels.items():
        search = SPARE if "500" in method else DEFAULT
        rows.append(
            [
                label,
                *(f"{read.accuracy(method, task):.3f}" for task in HELD_OUT),
                f"{read.mean(method, HELD_OUT):.3f}",
                "" if method in (*SEARCHES, SPARE) else points(read, search, method, HELD_OUT),
            ]
        )
    head = ["500 test examples", *HELD_OUT, "mean", "the search with as many prompts minus"]
    return markdown(head, rows)


DATA_SETS = {
    "constant": "the most frequent letter of dev",
    "base": "base",
    "uniform": "uniform average",
    "best-single": "best single expert",
    "model-swarms": "Model Swarms",
    "item-model": "the search, before training",
    "finetune-once": "base, fine-tuned",
    "finetune-best-once": "best expert, fine-tuned",
    "item-model+dev": "the search (default)",
}


def data_sets() -> str:
    """A row per method, a column per data set of the paper that was run."""
    read = lines("data-sets")
    tasks = list(dict.fromkeys(row["task"] for row in read))
    rows = []
    for method, label in DATA_SETS.items():
        mine = {row["task"]: row["test"] for row in read if row["method"] == method}
        cells = [_score([{"test": test} for test in mine.get(task, {}).values()]) for task in tasks]
        rows.append([label, *cells])
    return markdown(["test", *tasks], rows)


def _score(rows: Sequence[Mapping[str, Any]]) -> str:
    """The harmonic mean of the tasks' means."""
    means = [fmean(map(float, row["test"])) for row in rows]
    return f"{harmonic_mean(means):.3f}" if means else "not run"
