"""The table of a pool with an expert that harms, from research/evidence."""

from __future__ import annotations

from outcomes import markdown, outcomes, points

TASKS = ("t4", "t5", "t6")
SEARCH = "item-model+dev"
LABELS = {
    "base": "base",
    "uniform": "uniform average",
    "best-single": "best single expert",
    "finetune-once": "base, fine-tuned",
    "finetune-best-once": "best expert, fine-tuned",
    "uniform soup, fine-tuned": "uniform average, fine-tuned",
    "sum soup, fine-tuned": "sum of all, fine-tuned",
    "greedy soup, fine-tuned": "greedy soup, fine-tuned",
    "data-merge": "data merge, 500 chats of each expert",
    "lorahub": "LoraHub",
    "model-swarms": "Model Swarms",
    "item-model": "the search, before training",
    SEARCH: "the search (default)",
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
    return markdown(
        ["500 test examples a task, three seeds", *TASKS, "mean", "the search minus"], rows
    )
