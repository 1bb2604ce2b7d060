"""The tables of written answers beside fine-tuning on the right ones, by the number of further
prompts, and of the laboratory's further systems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, harmonic_mean
from typing import Any

from outcomes import lines, markdown, outcomes, points
from written_tables import CHOSEN_ON, DEFAULT, HELD_OUT, MIXTURE, SPARE

STARTS = {"base": "base", "best-single": "best single expert", "mixture": "mixture of the search"}
SEARCHES = {MIXTURE: "the search, before training", DEFAULT: "the search (default)"}
FURTHER = {
    0: DEFAULT,
    **{count: f"spare-{count}" for count in (16, 50, 100, 200)},
    400: SPARE,
}


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


def on_policy() -> str:
    """Distillation on own replies, and on the teachers', beside the search with as many prompts."""
    read = outcomes("on-policy", "right-answers")
    labels = {
        f"{how}, {start}": f"{how}, from the {label}"
        for start, label in (("best-single", "best single expert"), ("mixture", "search's mixture"))
        for how in ("own replies", "teachers' replies")
    }
    labels[SPARE] = "the search with 400 further prompts"
    rows = []
    for method, label in labels.items():
        cells = [f"{read.accuracy(method, task):.3f}" for task in HELD_OUT]
        ahead = "" if method == SPARE else points(read, SPARE, method, HELD_OUT)
        rows.append([label, *cells, f"{read.mean(method, HELD_OUT):.3f}", ahead])
    return markdown(["500 test examples", *HELD_OUT, "mean", "the search minus, points"], rows)


def further_prompts() -> str:
    """The search by the number of prompts beyond dev that it trains on."""
    read = outcomes("further-prompts")
    rows = []
    for count, method in FURTHER.items():
        known = {task for task in (*CHOSEN_ON, *HELD_OUT) if (method, task) in read.scores}
        cells = [
            f"{read.mean(method, tasks):.3f}" if known >= {*tasks} else "not run"
            for tasks in (CHOSEN_ON, HELD_OUT)
        ]
        difference = "" if count == 0 else points(read, method, DEFAULT, HELD_OUT)
        rows.append([str(count), *cells, difference])
    head = ["further prompts", "t1 to t3", "t4 to t6", "t4 to t6, minus none"]
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


SYSTEMS = {
    "token": "the ten experts' probabilities mixed",
    "contrast": "the same, negative weights allowed",
    "full": "three full fine-tunes mixed, all weights",
    "student": "an adapter taught by the ten experts' weighted vote",
    "perplexity": "1 / perplexity per byte of the right answer",
    "harmonic": "harmonic mean with t6",
    "f1": "F1 of written answers",
    "bleu": "BLEU of written answers",
    "evaluate": "a metric of `evaluate`, `letters_in_place`",
}
COMPARED = {"base": "base", "group": "the vote", "student": "the adapter"} | {
    "best_single": "best of the experts",
    "best": "found",
}


def _score(rows: Sequence[Mapping[str, Any]]) -> str:
    """The harmonic mean of the tasks' means."""
    means = [fmean(map(float, row["test"])) for row in rows]
    return f"{harmonic_mean(means):.3f}" if means else "not run"


def systems() -> str:
    """A row per system and model of the laboratory's further systems, a column per task."""
    read = lines("systems-lab")
    tasks = sorted({row["of"] for row in read})
    rows = []
    for system, label in SYSTEMS.items():
        for model, name in COMPARED.items():
            mine = [row for row in read if (row["row"], row["method"]) == (system, model)]
            if mine:
                cells = [_score([row for row in mine if row["of"] == of]) for of in tasks]
                rows.append([f"{label}: {name}", *cells])
    return markdown(["500 test examples", *tasks], rows)
