"""The tables of `swarm-llm find`: in the laboratory's pool, and on public adapters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from outcomes import lines, markdown

CHOSEN_ON, CLAIMED_ON = ("t1", "t2", "t3"), ("t4", "t5", "t6")
HEAD = (
    *("", "passes", "lost after training", "best start found", "lost by the best of four"),
    *("lost as it is", "by the best of four"),
)


def laboratory(tasks: Sequence[str]) -> str:
    """A row per method: points lost by its pick, trained or as it is."""
    runs = [line for line in lines("find") if line["task"] in tasks]
    rows = []
    for method in runs[0]["methods"]:
        picks = [run["methods"][method] for run in runs]
        pairs = list(zip(runs, picks, strict=True))
        all_four = all("top_test" in pick for pick in picks)
        hits = sum(pick["start"] == run["best"] for run, pick in pairs)
        rows.append(
            (
                method,
                f"{picks[0]['passes']:,}",
                _points(run["best_test"] - pick["test"] for run, pick in pairs),
                f"{hits} of {len(picks)}",
                _points(run["best_test"] - pick["top_test"] for run, pick in pairs)
                if all_four
                else "",
                _points(run["best_as_is"] - pick["as_is"] for run, pick in pairs),
                _points(run["best_as_is"] - pick["top_as_is"] for run, pick in pairs),
            )
        )
    base = _points(run["best_test"] - run["base"] for run in runs)
    return markdown(HEAD, [*rows, ("the base, fine-tuned", "0", base, "", "", "", "")])


def chosen_on() -> str:
    """The tasks that the method was chosen on."""
    return laboratory(CHOSEN_ON)


def claimed_on() -> str:
    """The others."""
    return laboratory(CLAIMED_ON)


def public() -> str:
    """A row per method on 960 adapters from the hub: points lost, and ahead of the base."""
    tasks = lines("find-public")
    rows = []
    for method in tasks[0]["methods"]:
        pairs = [(task, task["methods"][method]) for task in tasks]
        rows.append(
            (
                method,
                f"{fmean(picks['passes'] for _, picks in pairs):,.0f}",
                _points(task["best"] - fmean(picks["test"]) for task, picks in pairs),
                _points(task["best"] - fmean(picks["top"]) for task, picks in pairs),
                _points(fmean(picks["test"]) - task["base"] for task, picks in pairs),
                _points(fmean(picks["top"]) - task["base"] for task, picks in pairs),
            )
        )
    head = ("", "passes", "lost", "lost by four", "ahead of the base", "the best of four")
    return markdown(head, rows)


def _points(differences: Iterable[Any]) -> str:
    return f"{100 * fmean(differences):.1f}"
