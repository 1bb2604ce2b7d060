"""The table of searches that keep another task, from research/evidence/keeping.jsonl."""

from __future__ import annotations

from outcomes import markdown, outcomes, points

IN_USE = "in-use"
LABELS = {
    IN_USE: "best expert on the kept task, in use",
    "alone": "search for the first task alone",
    "guard": "search with `keep:`, one point below the one in use",
    "harmonic": "search for both, harmonic mean (t5 and t4: seed 0 alone)",
}


def keeping() -> str:
    """A row per method: both tasks of each pair, and how far the kept one moved."""
    read = outcomes("keeping")
    pairs = list(dict.fromkeys(task.partition(" ")[0] for task in read.tasks(IN_USE)))
    rows = []
    for method, label in LABELS.items():
        cells = []
        for pair in pairs:
            kept = f"{pair} kept"
            moved = "" if method == IN_USE else points(read, method, IN_USE, [kept])
            of_both = [read.accuracy(method, f"{pair} {role}") for role in ("searched", "kept")]
            cells += [*(f"{mean:.3f}" for mean in of_both), moved]
        rows.append([label, *cells])
    head = []
    for pair in pairs:
        searched, _, kept = pair.partition("-")
        head += [f"{searched}, searched", f"{kept}, kept", f"{kept} minus the one in use"]
    return markdown(["500 test examples a task", *head], rows)
