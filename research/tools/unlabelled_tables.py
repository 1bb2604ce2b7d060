"""The tables of unlabelled inputs, from research/evidence/unlabelled.jsonl."""

from __future__ import annotations

from outcomes import markdown, outcomes, points

CHOSEN_ON, CLAIMED_ON = ("t1", "t2", "t3"), ("t4", "t5", "t6")
WITHOUT_POOL = {
    "best-single": "best single expert",
    "finetune-once": "base, fine-tuned",
    "finetune-best-once": "best expert, fine-tuned",
    "item-model": "the search, before training",
    "item-model+dev": "the search (default)",
}
WITH_POOL = (
    "base: hard",
    "best expert: hard",
    "mixture: hard",
    "several starts: hard",
    "four copies of the mixture: hard",
)


def unlabelled() -> str:
    """Test accuracy of the methods that have run on all tasks; blank where one has not."""
    read = outcomes("unlabelled")
    rows = []
    for method in (*WITHOUT_POOL, *WITH_POOL):
        cells = [WITHOUT_POOL.get(method, method)]
        for tasks in (CHOSEN_ON, CLAIMED_ON):
            there = [task for task in tasks if (method, task) in read.scores]
            cells += [
                f"{read.accuracy(method, task):.3f}" if task in there else "" for task in tasks
            ]
            cells.append(f"{read.mean(method, tasks):.3f}" if there == list(tasks) else "")
        rows.append(cells)
    return markdown(["500 test examples", *CHOSEN_ON, "mean", *CLAIMED_ON, "mean"], rows)


def unlabelled_differences() -> str:
    """Three ways with the pool minus those without it and each other."""
    read = outcomes("unlabelled")
    columns = WITH_POOL[2:]
    rows = []
    for other in ("finetune-best-once", "best expert: hard", "item-model+dev", *columns):
        cells = [
            "" if method == other else points(read, method, other, CLAIMED_ON) for method in columns
        ]
        rows.append([WITHOUT_POOL.get(other, other), *cells])
    return markdown(["t4 to t6, minus", *columns], rows)


def unlabelled_tries() -> str:
    """Everything that was tried on t1: a row per teachers, a column per way of labelling."""
    read = outcomes("unlabelled")
    tried = [name.split(": ") for name, task in read.scores if task == "t1" and ": " in name]
    ways = list(dict.fromkeys(way for _, way in sorted(tried, key=lambda pair: pair[1])))
    rows = []
    for teachers in dict.fromkeys(teachers for teachers, _ in tried):
        cells = [teachers]
        for way in ways:
            there = [teachers, way] in tried
            cells.append(f"{read.accuracy(f'{teachers}: {way}', 't1'):.3f}" if there else "")
        rows.append(cells)
    return markdown(["t1", *ways], rows)
