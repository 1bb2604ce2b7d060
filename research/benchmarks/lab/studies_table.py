"""The outcomes of `studies.py`: what is read of a search, and their tables in Markdown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from pyswarmopt_llm.report.write import read_run
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.run.result import Model, Objective, RunResult, Scores

Line = Mapping[str, Any]  # a line of the file
Key = tuple[str, int]  # task and seed
FULL, EVERY_ITEM = "full", "full, every item"


def outcome(rows: Sequence[Row], coefficients: Mapping[str, float]) -> RunResult:
    """The result of a search of `studies.py` for one task, as far as `analysed` reads it."""
    [task] = rows[0].tasks

    def model(row: Row) -> Model:
        weights = dict(zip(coefficients, row.coefficients, strict=True))
        return Model(weights, Scores(row.value))

    started = {row.particle: model(row) for row in rows if row.iteration == 0}
    experts = {name: started[number] for number, name in enumerate(coefficients)}
    best = next(row for row in rows if list(row.coefficients) == list(coefficients.values()))
    single = max(experts, key=lambda name: experts[name].dev.value)
    return RunResult(
        models={"best": model(best), "best_single": experts[single]},
        objectives={task: Objective("letter")},
        best_single=single,
        evaluations=0,
        item_evaluations=0,
        seconds=0.0,
        seconds_scoring=0.0,
        peak_memory_bytes=0,
        stop={},
        experts=experts,
    )


def analysed(task: str, rows: Sequence[Row], result: RunResult) -> dict[str, Any]:
    """Where the best particle started, and which items emerged: those that the result answers and no
    expert does (Feng et al. 2024).
    """
    mixture = list(result.coefficients.values())
    best = next(row for row in rows if list(row.coefficients) == mixture and row.phase == "search")
    starts = {row.particle: row.value for row in rows if row.iteration == 0}
    values = list(starts.values())
    start = starts[best.particle]
    rank = 1 + sum(value > start for value in values) + (values.count(start) - 1) / 2
    summary = {"rank": rank, "population": len(starts), "found_in": best.iteration}
    right = np.array([row.tasks[task].per_item for row in rows]) == 1
    experts = len(result.coefficients)
    known = right[[row.iteration == 0 and row.particle < experts for row in rows]].any(0)
    at_start = right[[row.iteration == 0 for row in rows]].any(0)
    found = right[rows.index(best)]
    return {
        **summary,
        "known": int(known.sum()),
        "lost": int((known & ~found).sum()),
        "unknown": int((~known).sum()),
        "at_start": int((at_start & ~known).sum()),
        "ever": int((right.any(0) & ~known).sum()),
        "emerged": int((found & ~known).sum()),
    }


def outcomes_of(runs: Path) -> Iterator[dict[str, Any]]:
    """The finished searches of `paper.py`: `full, every item`, and draws from the grid, which are
    called by their coefficients.
    """
    for file in sorted(runs.glob("**/result.json")):
        if (file.parent / "grid.json").exists():
            continue  # its draws are in grid.json
        run, result = read_run(file.parent)
        config, flat = run.about.config, result.to_json()
        task = Path(config.tasks[0]).stem
        yield {
            "variant": " ".join(config.settings) or EVERY_ITEM,
            "task": task,
            "seed": config.seed,
            "dev": flat["best_dev"],
            "test": flat.get("best_test"),  # of the draws the best alone is scored on test
            "best_expert_dev": flat["best_single_dev"],
            "best_expert_test": flat.get("best_single_test"),
            "evaluations": result.evaluations,
            "items": result.item_evaluations,
            **analysed(task, [row for row in run.rows if row.phase == "search"], result),
        }


def by_variant(rows: Sequence[Line]) -> dict[str, dict[Key, Line]]:
    """Variant -> task and seed -> outcome."""
    variants: dict[str, dict[Key, Line]] = {}
    for row in rows:
        variants.setdefault(row["variant"], {})[row["task"], row["seed"]] = row
    return variants


def tables(rows: Sequence[Line], studies: Mapping[str, Sequence[str]]) -> str:
    """What each variant changes, where the best particles come from, and what emerges."""
    variants = by_variant(rows)
    if FULL not in variants:
        return "nothing has finished yet"
    names = [name for study in studies.values() for name in study]
    others = [
        name for name in variants if name not in names
    ]  # draws from the grid, every item scored
    plain = variants.get(EVERY_ITEM, {})
    parts = [changes(variants, names, FULL)]
    if plain and others:
        parts.append(changes(variants, others, EVERY_ITEM))
    whole = {**variants[FULL], **plain}
    parts.append(
        origins([*whole.values(), *(run for name in others for run in variants[name].values())])
    )
    return "\n\n".join([*parts, emerged(list(plain.values()))] if plain else parts)


def changes(variants: Mapping[str, Mapping[Key, Line]], names: Sequence[str], whole: str) -> str:
    """A row per variant: its dev and test score minus those of the whole algorithm on the same
    tasks and seeds, and its test score minus that of the best single expert, means with 95%
    intervals (Student's t over tasks and seeds).
    """
    full = variants[whole]
    lines = [
        "| variant | runs | dev - full | test - full | test - best expert | evaluations |",
        f"|{'---|' * 6}",
    ]
    for name in names:
        runs = variants.get(name, {})
        keys = [key for key in runs if key in full]
        if not keys:
            continue
        spent = statistics.mean(runs[k]["evaluations"] for k in keys)
        scores = (
            _difference(runs, full, keys, split) if name != whole else ""
            for split in ("dev", "test")
        )
        experts = {k: {"test": runs[k]["best_expert_test"]} for k in keys}
        gain = _difference(runs, experts, keys, "test")
        lines.append(f"| {name} | {len(keys)} | {' | '.join(scores)} | {gain} | {spent:.0f} |")
    return "\n".join(lines)


def paired(values: list[float]) -> str:
    """Mean with a 95% interval."""
    if len(values) < 2:
        return "/".join(f"{v:+.3f}" for v in values) or "-"
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):+.3f} ± {half:.3f}"


def _difference(
    runs: Mapping[Key, Line], full: Mapping[Key, Line], keys: Sequence[Key], split: str
) -> str:
    """Empty where nothing was scored on this split."""
    pairs = [(runs[k][split], full[k][split]) for k in keys]
    return (
        ""
        if any(None in pair for pair in pairs)
        else paired([changed - whole for changed, whole in pairs])
    )


def origins(runs: Sequence[Line]) -> str:
    """Where the particle that found the best model had started."""
    weak = sum(run["rank"] > (run["population"] + 1) / 2 for run in runs)
    top = sum(run["rank"] < 2 for run in runs)
    start = sum(run["found_in"] == 0 for run in runs)
    median = statistics.median(run["rank"] for run in runs)
    return (
        f"Searches: {len(runs)}. The particle that found the best model was the best of the "
        f"starting swarm in {top}, "
        f"in its lower half in {weak} (median rank {median:g}). The starting swarm held the best "
        f"in {start}."
    )


def emerged(runs: Sequence[Line]) -> str:
    """A row per task: dev items that no expert gets right, and how many of them somebody does;
    means over seeds.
    """
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
        of_task = [run for run in runs if run["task"] == task]
        values = (statistics.mean(run[key] for run in of_task) for key in columns.values())
        lines.append(f"| {task} | {' | '.join(f'{value:.3g}' for value in values)} |")
    return "\n".join(lines)
