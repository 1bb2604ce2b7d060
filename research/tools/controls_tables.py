"""The tables of written answers beside fine-tuning on the right ones, and by the number of further
prompts.
"""

from __future__ import annotations

from outcomes import markdown, outcomes, points
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
