"""The closing words of a run: best single expert against swarm, dev and held-out test, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pyswarmopt.cli.words import counted
from pyswarmopt_llm.reporting.terminal.live import duration

Interval = Sequence[float]


@dataclass(frozen=True)
class ScoreRow:
    """One contestant's scores; None where there is none (no test split, or never scored there)."""

    label: str
    dev: float | None
    dev_interval: Interval | None
    test: float | None
    test_interval: Interval | None


def score_rows(result: Mapping[str, Any]) -> list[ScoreRow]:
    """The contestants of ``result.json``: best single expert, uniform average where scored, swarm."""
    intervals = result.get("intervals", {})

    def row(label: str, key: str) -> ScoreRow:
        dev, test = f"{key}_dev", f"{key}_test"
        return ScoreRow(label, result.get(dev), intervals.get(dev), result.get(test), intervals.get(test))

    rows = [row(f"best single expert: {result['best_single']}", "best_single")]
    if result.get("uniform_dev") is not None:
        rows.append(row("uniform average", "uniform"))
    return [*rows, row("swarm", "best")]


def score_text(value: float | None, interval: Interval | None) -> str:
    """A score with its 95% interval.

    Example:
        >>> score_text(0.65432, (0.6, 0.7)), score_text(None, None)
        ('0.654 [0.600, 0.700]', '-')
    """
    if value is None:
        return "-"
    return f"{value:.3f}" if interval is None else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def verdict(result: Mapping[str, Any]) -> str:
    """The comparison in words, whichever way it went.

    Example:
        >>> verdict({"best_dev": 0.7, "best_single_dev": 0.6, "best_test": 0.58, "best_single_test": 0.6,
        ...          "intervals": {"best_test": [0.5, 0.7], "best_single_test": [0.5, 0.7]}})
        'Swarm minus best single expert: +0.100 on dev, -0.020 on test; the 95% intervals on test overlap.'
    """
    dev = result["best_dev"] - result["best_single_dev"]
    text = f"Swarm minus best single expert: {dev:+.3f} on dev"
    if result.get("best_test") is None or result.get("best_single_test") is None:
        return f"{text}; there is no test split."
    text += f", {result['best_test'] - result['best_single_test']:+.3f} on test"
    ours = result.get("intervals", {}).get("best_test")
    theirs = result.get("intervals", {}).get("best_single_test")
    if ours is None or theirs is None:
        return text + "."
    overlap = ours[0] <= theirs[1] and theirs[0] <= ours[1]
    return f"{text}; the 95% intervals on test {'overlap' if overlap else 'do not overlap'}."


def remarks(result: Mapping[str, Any]) -> list[str]:
    """What one has to know about the scores: paired tests, how far dev flatters, what was confirmed, warnings.

    Example:
        >>> remarks({"best_dev": 0.8, "best_test": 0.75, "paired": {"quiz": {"test": {
        ...     "difference": 0.05, "interval": [0.01, 0.09], "p_value": 0.02, "n": 300, "items_needed": 200}}}})
        ['On the same 300 test items: +0.050 [+0.010, +0.090], p = 0.02 (paired permutation test).',
         'Dev minus test of the swarm: +0.050.']
    """
    lines = []
    paired = result.get("paired", {})
    for name, splits in paired.items():
        if "test" in splits:
            found = splits["test"]
            low, high = found["interval"]
            lead = f"{name}, on" if len(paired) > 1 else "On"
            lines.append(
                f"{lead} the same {counted(found['n'], 'test item')}: {found['difference']:+.3f} "
                f"[{low:+.3f}, {high:+.3f}], p = {found['p_value']:.2g} (paired permutation test)."
            )
    if result.get("best_test") is not None:
        lines.append(f"Dev minus test of the swarm: {result['best_dev'] - result['best_test']:+.3f}.")
    if "confirm" in result:
        confirm = result["confirm"]
        chosen = confirm["candidates"][confirm["chosen"]]
        lines.append(
            f"Of {len(confirm['candidates'])} leaders scored again on {counted(confirm['items'], 'fresh dev item')}, "
            f"number {confirm['chosen'] + 1} was best: {chosen['fresh']:.3f} there, {chosen['dev']:.3f} in the search."
        )
    if "front" in result:
        lines.append(f"{len(result['front']['points'])} more points of the front over tasks are in front/.")
    for name, spent in result.get("judge", {}).items():
        cost = f", cost {spent['cost']:.4g}" if "cost" in spent else ""
        tokens = spent["prompt_tokens"] + spent["completion_tokens"]
        lines.append(f"{name}: {counted(spent['requests'], 'request')}, {counted(tokens, 'token')}{cost}.")
    if "graph" in result:
        lines.append(f"Graph: {result['graph']}.")
    if failures := result.get("workers", {}).get("failures"):
        kinds = ", ".join(f"{kind} {count}" for kind, count in failures.items())
        lines.append(f"Workers that failed and were replaced, at no loss: {kinds}.")
    return [*lines, *result.get("notes", [])]


def cost_text(result: Mapping[str, Any]) -> str:
    """What the run spent, and why it stopped."""
    stop = result["stop"]
    reason = ", ".join(f"{key} {value}" for key, value in stop.items()) if isinstance(stop, Mapping) else stop
    if "workers" in result:
        scoring = f"{duration(result['seconds_scoring'])} of scoring by {result['workers']['asked']} workers"
    else:
        scoring = f"{result['seconds_scoring'] / result['seconds'] if result['seconds'] else 0.0:.0%} of it scoring"
    saved = result.get("items_saved", 0.0)
    return (
        f"{counted(result['evaluations'], 'evaluation')} ({counted(result['item_evaluations'], 'item')}, "
        f"{f'{saved:.0%} of all not asked, ' if saved else ''}"
        f"{result['scoring']} scoring) in {duration(result['seconds'])}, {scoring}; "
        f"peak memory {result['peak_memory_bytes'] / 2**30:.1f} GiB; stopped by {reason or 'nothing'}"
    )


def by_weight(coefficients: Mapping[str, float]) -> list[tuple[str, float]]:
    """Experts with their mixing weights, the heaviest first.

    Example:
        >>> by_weight({"a": 0.1, "b": -0.4, "c": 1.3})
        [('c', 1.3), ('b', -0.4), ('a', 0.1)]
    """
    return sorted(coefficients.items(), key=lambda pair: -abs(pair[1]))


def result_table(result: Mapping[str, Any]) -> Table:
    """The scores as a table for a terminal."""
    table = Table(title="Scores with 95% intervals", title_justify="left")
    table.add_column("")
    table.add_column("dev", justify="right", no_wrap=True)
    table.add_column("test (held out)", justify="right", no_wrap=True)
    for row in score_rows(result):
        table.add_row(escape(row.label), score_text(row.dev, row.dev_interval), score_text(row.test, row.test_interval))
    return table


def print_result(console: Console, run: Path, result: Mapping[str, Any]) -> None:
    """Print the closing table, the verdict, the mixture, the cost and where the files are."""
    console.print(result_table(result))
    weights = [(name, weight) for name, weight in by_weight(result["coefficients"]) if abs(weight) >= 0.005]
    others = len(result["coefficients"]) - len(weights)
    mixture = ", ".join(f"{name} {weight:+.2f}" for name, weight in weights)
    mixture += f", {others} without weight" if others else ""
    closing = (f"Mixture: {mixture}", f"Cost: {cost_text(result)}", f"Files: {run / 'best'}")
    for line in (verdict(result), *remarks(result), *closing):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
