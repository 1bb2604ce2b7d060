"""The tables of unlabelled inputs, from docs/evidence/unlabelled.jsonl."""

from __future__ import annotations

from outcomes import markdown, outcomes, points

CHOSEN_ON, CLAIMED_ON = ("t1", "t2", "t3"), ("t4", "t5", "t6")
SEARCH, SEVERAL, COPIES = (
    "item-model+dev",
    "several starts: hard",
    "four copies of the mixture: hard",
)
WITHOUT_POOL = {
    "best-single": "best single expert",
    "finetune-once": "base, fine-tuned",
    "finetune-best-once": "best expert, fine-tuned",
    "item-model": "the search, before training",
    SEARCH: "the search (default)",
}
RIVALS = ("finetune-best-once", "best expert: hard", SEARCH, "mixture: hard", COPIES)


def unlabelled() -> str:
    """Test accuracy per method and task, of those that have run on all tasks of a half; those
    without the pool come first.
    """
    read = outcomes("unlabelled")
    methods = [name for name in read.methods() if name not in WITHOUT_POOL]
    rows = []
    for method in (*WITHOUT_POOL, *sorted(methods)):
        cells = [WITHOUT_POOL.get(method, method)]
        for tasks in (CHOSEN_ON, CLAIMED_ON):
            there = [task for task in tasks if (method, task) in read.scores]
            cells += [
                f"{read.accuracy(method, task):.3f}" if task in there else "" for task in tasks
            ]
            cells.append(f"{read.mean(method, tasks):.3f}" if len(there) == len(tasks) else "")
        rows.append(cells)
    return markdown(["500 test items", *CHOSEN_ON, "mean", *CLAIMED_ON, "mean"], rows)


def unlabelled_differences() -> str:
    """Several starts and copies of one, with hard labels, minus what has no pool or one teacher."""
    read = outcomes("unlabelled")
    rows = []
    for other in RIVALS:
        cells = [WITHOUT_POOL.get(other, other)]
        for method in (SEVERAL, COPIES):
            same = method == other
            cells.append("" if same else points(read, method, other, CLAIMED_ON))
        rows.append(cells)
    return markdown(["on t4 to t6, minus", SEVERAL, COPIES], rows)
