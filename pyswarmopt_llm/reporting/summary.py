"""The closing words and table of a run, shared by the terminal, the report and the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pyswarmopt.cli.words import counted

Interval = Sequence[float]
SMALL = 5e-4  # weights below this would be printed as zero


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds.

    Example:
        >>> duration(75.2), duration(3 * 3600 + 62)
        ('1:15', '3:01:02')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def score_text(value: float | None, interval: Interval | None = None) -> str:
    """A score with its 95% interval.

    Example:
        >>> score_text(0.65432, (0.6, 0.7)), score_text(0.65432), score_text(None)
        ('0.654 [0.600, 0.700]', '0.654', '-')
    """
    if value is None:
        return "-"
    return f"{value:.3f}" if interval is None else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


@dataclass(frozen=True)
class ScoreRow:
    """The scores of one model; None where it has none (no test split, or not scored there)."""

    label: str
    dev: float | None
    dev_interval: Interval | None = None
    test: float | None = None
    test_interval: Interval | None = None


def score_rows(result: Mapping[str, Any]) -> list[ScoreRow]:
    """The models of ``result.json``, those that were scored: base (of a demo), experts, average, swarm."""
    intervals = result.get("intervals", {})

    def row(label: str, key: str) -> ScoreRow:
        dev, test = f"{key}_dev", f"{key}_test"
        return ScoreRow(label, result.get(dev), intervals.get(dev), result.get(test), intervals.get(test))

    rows = [row(f"best single expert: {result['best_single']}", "best_single")]
    if result.get("uniform_dev") is not None:
        rows.append(row("uniform average", "uniform"))
    if result.get("dev_expert_dev") is not None:
        rows.append(row("trained on dev alone", "dev_expert"))
    others = [ScoreRow(one["label"], None, None, one["test"], one["test_interval"]) for one in result.get("others", ())]
    return [*others, *rows, row("swarm", "best")]


def conclusion(result: Mapping[str, Any]) -> list[str]:
    """Two sentences: swarm against best single expert as far as the test supports it, and how to read the dev score.

    Example:
        >>> paired = {"difference": 0.1, "interval": [0.02, 0.18], "p_value": 0.014, "n": 90}
        >>> for sentence in conclusion({"best_dev": 0.8, "best_single_dev": 0.6, "best_test": 0.7, "evaluations": 40,
        ...     "best_single_test": 0.6, "best_single": "x", "paired": {"t": {"test": paired}}}):
        ...     print(sentence)
        The swarm is better than the best single expert, x: 0.700 vs. 0.600 on 90 held-out test items, a difference of
        +0.100 [+0.020, +0.180], p = 0.014 (paired permutation test).
        Its dev score of 0.800 is optimistic, as it was selected on dev among 40 evaluations: report the test score.
    """
    ours, theirs, paired = result.get("best_test"), result.get("best_single_test"), _paired_on_test(result)
    advice = "report the test score"
    if ours is None or theirs is None:
        first = f"On dev {_against(result, result['best_dev'], result['best_single_dev'])}; there is no test split."
        advice = "expect less on new items"
    elif len(paired) == 1:
        (found,) = paired.values()
        items = counted(found["n"], "held-out test item")
        first = (
            f"{_claim(*found['interval'])} the best single expert, {result['best_single']}: {ours:.3f} vs. "
            f"{theirs:.3f} on {items}, a difference of {_tested(found)}."
        )
    else:
        first = f"On held-out test items {_against(result, ours, theirs)}{_overlap(result)}."
    among = counted(result["evaluations"], "evaluation")
    dev = f"{result['best_dev']:.3f}"
    return [first, f"Its dev score of {dev} is optimistic, as it was selected on dev among {among}: {advice}."]


def _claim(low: float, high: float) -> str:
    """What the interval of a paired difference supports."""
    if low > 0:
        return "The swarm is better than"
    return "The swarm is worse than" if high < 0 else "No measurable difference from"


def _against(result: Mapping[str, Any], ours: float, theirs: float) -> str:
    single = f"the best single expert, {result['best_single']},"
    return f"the swarm scores {ours:.3f} and {single} {theirs:.3f} ({ours - theirs:+.3f})"


def _overlap(result: Mapping[str, Any]) -> str:
    """Whether the intervals on test overlap, where there are intervals."""
    a, b = (result.get("intervals", {}).get(f"{who}_test") for who in ("best", "best_single"))
    if a is None or b is None:
        return ""
    return f"; the 95% intervals {'overlap' if a[0] <= b[1] and b[0] <= a[1] else 'do not overlap'}"


def _paired_on_test(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Task -> paired comparison with the best single expert on test."""
    return {name: splits["test"] for name, splits in result.get("paired", {}).items() if "test" in splits}


def _tested(found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    p_value = f"p = {found['p_value']:.2g} (paired permutation test)"
    return f"{found['difference']:+.3f} [{low:+.3f}, {high:+.3f}], {p_value}"


def remarks(result: Mapping[str, Any]) -> list[str]:
    """What else a reader of the scores should know: paired tests by task, the gap from dev to test, warnings.

    Example:
        >>> remarks({"best_dev": 0.8, "best_test": 0.75, "front": {"points": [1]}, "notes": ["A note."]})
        ['Dev minus test of the swarm: +0.050.', '1 more point of the Pareto front is in front/.', 'A note.']
    """
    paired = _paired_on_test(result)
    lines = []
    if len(paired) > 1:
        for name, found in paired.items():
            lines.append(f"{name}, on the same {counted(found['n'], 'test item')}: {_tested(found)}.")
    if result.get("best_test") is not None:
        lines.append(f"Dev minus test of the swarm: {result['best_dev'] - result['best_test']:+.3f}.")
    if "confirm" in result:
        confirm = result["confirm"]
        chosen, number = confirm["candidates"][confirm["chosen"]], confirm["chosen"] + 1
        lines.append(
            f"Of {counted(len(confirm['candidates']), 'leader')} scored again on "
            f"{counted(confirm['items'], 'fresh dev item')}, number {number} was best: {chosen['fresh']:.3f} there, "
            f"{chosen['dev']:.3f} in the search."
        )
    if "front" in result:
        n = len(result["front"]["points"])
        lines.append(f"{n} more point{'s' * (n != 1)} of the Pareto front {'is' if n == 1 else 'are'} in front/.")
    for name, spent in result.get("judge", {}).items():
        cost = f", cost {spent['cost']:.4g}" if "cost" in spent else ""
        tokens = spent["prompt_tokens"] + spent["completion_tokens"]
        lines.append(f"{name}: {counted(spent['requests'], 'request')}, {counted(tokens, 'token')}{cost}.")
    if "graph" in result:
        lines.append(f"Graph: {result['graph']}.")
    if failures := result.get("workers", {}).get("failures"):
        kinds = ", ".join(f"{kind} {count}" for kind, count in failures.items())
        lines.append(f"Workers that failed and were replaced, with no result lost: {kinds}.")
    return [*lines, *result.get("notes", [])]


def costs(result: Mapping[str, Any]) -> dict[str, str]:
    """What the run spent, and why it stopped: name -> text."""
    seconds, scoring = result["seconds"], result["seconds_scoring"]
    if "workers" in result:
        share = f"{duration(scoring)} of scoring by {result['workers']['asked']} workers"
    else:
        share = f"{scoring / seconds if seconds else 0.0:.0%} scoring"
    saved = result.get("items_saved", 0.0)
    return {
        "Evaluations": f"{result['evaluations']:,}",
        "Items scored": f"{result['item_evaluations']:,}" + (f" ({saved:.0%} skipped)" if saved else ""),
        "Scoring": str(result["scoring"]),
        "Time": f"{duration(seconds)} ({share})",
        "Peak memory": f"{result['peak_memory_bytes'] / 2**30:.1f} GiB",
        "Stopped": stop_text(result),
    }


def stop_text(result: Mapping[str, Any]) -> str:
    """Why the search ended.

    Example:
        >>> stop_text({"stop": {"patience": 10, "max_iter": 1}}), stop_text({"stop": {"tolfun": 1.0}})
        ('after 10 iterations without a new best, after 1 iteration', 'tolfun 1.0')
    """
    return ", ".join(_stop_reason(name, value) for name, value in result["stop"].items()) or "-"


def _stop_reason(name: str, value: Any) -> str:
    if name in ("max_iter", "patience"):
        return f"after {counted(int(value), 'iteration')}{' without a new best' * (name == 'patience')}"
    if name == "max_evals":
        return f"after {counted(int(value), 'evaluation')}"
    if name == "budget_items":
        return f"by the budget of {counted(int(value), 'item')}"
    return f"by the budget of {value:g} minutes" if name == "budget_minutes" else f"{name} {value}"


def by_weight(coefficients: Mapping[str, float]) -> list[tuple[str, float]]:
    """Experts with their mixing weights, the largest absolute weight first.

    Example:
        >>> by_weight({"a": 0.1, "b": -0.4, "c": 1.3})
        [('c', 1.3), ('b', -0.4), ('a', 0.1)]
    """
    return sorted(coefficients.items(), key=lambda pair: -abs(pair[1]))


def mixture_text(coefficients: Mapping[str, float]) -> str:
    """The mixture on one line.

    Example:
        >>> mixture_text({"a": 0.25, "b": -0.4, "c": 0.0})
        'b -0.400, a +0.250, 1 without weight'
    """
    weights = [f"{name} {weight:+.3f}" for name, weight in by_weight(coefficients) if abs(weight) >= SMALL]
    others = len(coefficients) - len(weights)
    return ", ".join(weights + ([f"{others} without weight"] if others else []))


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
    """Print the closing table, the conclusion, the mixture, the cost and where the files are."""
    console.print(result_table(result))
    spent = "; ".join(f"{name.lower()} {text}" for name, text in costs(result).items())
    closing = (f"Mixture: {mixture_text(result['coefficients'])}", f"Cost: {spent}", f"Files: {run / 'best'}")
    for line in (*conclusion(result), *remarks(result), *closing):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


__all__ = [
    "SMALL",
    "Interval",
    "ScoreRow",
    "by_weight",
    "conclusion",
    "costs",
    "duration",
    "mixture_text",
    "print_result",
    "remarks",
    "result_table",
    "score_rows",
    "score_text",
    "stop_text",
]  # fmt: skip
