"""The table of a pool with an expert that harms, from research/evidence."""

from __future__ import annotations

from outcomes import markdown, outcomes, points

TASKS = ("t4", "t5", "t6")
SEARCH = "item-model+dev"
LABELS = {
    "base": "base",
    "uniform": "uniform average",
    "best-single": "best adapter",
    "finetune-once": "fine-tuned base model",
    "finetune-best-once": "fine-tuned best adapter",
    "uniform soup, fine-tuned": "fine-tuned uniform average",
    "sum soup, fine-tuned": "fine-tuned sum",
    "greedy soup, fine-tuned": "fine-tuned greedy soup",
    "data-merge": "data merge, 500 chats of each expert",
    "lorahub": "LoraHub",
    "model-swarms": "Model Swarms",
    "item-model": "search, before training",
    SEARCH: "search (default)",
}


def several() -> str:
    """A row per method by its mean over the tasks, and how far the search is ahead of it."""
    read = outcomes("several")
    methods = [name for name in LABELS if name in read.methods()]
    rows = []
    for method in sorted(methods, key=lambda name: read.mean(name, TASKS)):
        low, high = read.interval(method, TASKS)
        mean = f"{read.mean(method, TASKS):.3f} [{low:.3f}, {high:.3f}]"
        ahead = "" if method == SEARCH else points(read, SEARCH, method, TASKS)
        each = [f"{read.accuracy(method, task):.3f}" for task in TASKS]
        rows.append([LABELS[method], *each, mean, ahead])
    return markdown(["500 test examples a task, three seeds", *TASKS, "mean", "search minus"], rows)
