"""The tables of `studies.py`, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from less_work import paired

Outcome = Mapping[str, Any]  # a line of the file
Key = tuple[str, int]  # task and seed
FULL, EVERY_ITEM = "full", "full, every item"


def by_variant(rows: Sequence[Outcome]) -> dict[str, dict[Key, Outcome]]:
    """Variant -> task and seed -> outcome."""
    found: dict[str, dict[Key, Outcome]] = {}
    for row in rows:
        found.setdefault(row["variant"], {})[row["task"], row["seed"]] = row
    return found


def tables(rows: Sequence[Outcome], studies: Mapping[str, Sequence[str]]) -> str:
    """What each variant changes, where the best particles come from, and what emerges."""
    found = by_variant(rows)
    if FULL not in found:
        return "nothing has finished yet"
    parts = [changes(found, studies), origins(list(found[FULL].values()))]
    if EVERY_ITEM in found:
        parts.append(emerged(list(found[EVERY_ITEM].values())))
    return "\n\n".join(parts)


def changes(found: Mapping[str, Mapping[Key, Outcome]], studies: Mapping[str, Sequence[str]]) -> str:
    """A row per variant: its dev and test score minus those of the whole algorithm on the same tasks and seeds, and its
    test score minus that of the best single expert, means with 95% intervals (Student's t over tasks and seeds)."""
    full = found[FULL]
    lines = ["| variant | pairs | dev - full | test - full | test - best expert | evaluations |", f"|{'---|' * 6}"]
    for name in (name for study in studies.values() for name in study):
        runs = found.get(name, {})
        keys = [key for key in runs if key in full]
        if not keys:
            continue
        differences = ["", ""]
        if name != FULL:
            differences = [paired([runs[k][split] - full[k][split] for k in keys]) for split in ("dev", "test")]
        gain = paired([runs[k]["test"] - runs[k]["best_expert_test"] for k in keys])
        spent = statistics.mean(runs[k]["evaluations"] for k in keys)
        lines.append(f"| {name} | {len(keys)} | {' | '.join(differences)} | {gain} | {spent:.0f} |")
    return "\n".join(lines)


def origins(runs: Sequence[Outcome]) -> str:
    """Where the particle that found the best model had started."""
    weak = sum(run["rank"] > (run["population"] + 1) / 2 for run in runs)
    top = sum(run["rank"] < 2 for run in runs)
    start = sum(run["found_in"] == 0 for run in runs)
    median = statistics.median(run["rank"] for run in runs)
    return (
        f"Searches: {len(runs)}. The particle that found the best model was the best of the starting swarm in {top}, "
        f"in its lower half in {weak} (median rank {median:g}). The starting swarm held the best in {start}."
    )


def emerged(runs: Sequence[Outcome]) -> str:
    """A row per task: dev items that no expert gets right, and how many of them somebody does; means over seeds."""
    columns = {
        "no expert is right": "unknown",
        "some starting particle": "at_start",
        "some particle, ever": "ever",
        "the best": "emerged",
        "some expert is right": "known",
        "of these not the best": "lost",
    }
    lines = [f"| task | {' | '.join(columns)} |", f"|{'---|' * (1 + len(columns))}"]
    for task in sorted({run["task"] for run in runs}):
        own = [run for run in runs if run["task"] == task]
        values = (statistics.mean(run[key] for run in own) for key in columns.values())
        lines.append(f"| {task} | {' | '.join(f'{value:.3g}' for value in values)} |")
    return "\n".join(lines)
