"""The closing words and table of a run, shared by the terminal, the report and the model card."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pyswarmopt.cli.words import counted
from pyswarmopt_llm.reporting.verdict import verdict

Interval = Sequence[float]
SMALL = 0.05  # weights below this are not listed
WEIGHTS = "A weight scales what an expert contributes: a negative one subtracts it, and weights need not sum to 1."


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
    if result.get("trained_dev") is not None:
        before = row("swarm before training", "mixture")
        rows.append(before if result.get("trained") else row("swarm after training", "trained"))
    others = [ScoreRow(one["label"], None, None, one["test"], one["test_interval"]) for one in result.get("others", ())]
    return [*others, *rows, row("swarm", "best")]


def _tests(result: Mapping[str, Any]) -> Iterator[str]:
    """The paired tests against the best single expert, task by task."""
    paired = {name: splits["test"] for name, splits in result.get("paired", {}).items() if "test" in splits}
    for name, found in paired.items():
        low, high = found["interval"]
        gained, lost = found.get("gained"), found.get("lost")
        items = "" if gained is None or lost is None else f", {gained} gained and {lost} lost"
        which = f"{name}: " if len(paired) > 1 else ""
        difference = f"{found['difference']:+.3f} [{low:+.3f}, {high:+.3f}], " if len(paired) > 1 else ""
        yield (
            f"{which}{difference}p = {found['p_value']:.2g} (paired permutation test) on "
            f"{counted(found['n'], 'test item')}{items}."
        )


def _optimism(result: Mapping[str, Any]) -> str:
    """How to read the dev score."""
    among = counted(result["evaluations"], "evaluation")
    chosen = f"the mixture was chosen by dev from {among}"
    if result.get("best_test") is None:
        return f"The dev score is optimistic: {chosen}."
    gap = result["best_dev"] - result["best_test"]
    dev = "The dev score is no estimate" if gap <= 0 else f"The dev score is optimistic (dev minus test {gap:+.3f})"
    return f"{dev}, since {chosen}: report the test score."


def remarks(result: Mapping[str, Any]) -> list[str]:
    """What else a reader of the scores should know: paired tests, the gap from dev to test, warnings.

    Example:
        >>> for line in remarks({"best_dev": 0.8, "best_test": 0.75, "evaluations": 40, "notes": ["A note."]}):
        ...     print(line)
        The dev score is optimistic (dev minus test +0.050), since the mixture was chosen by dev from 40 evaluations:
        report the test score.
        A note.
    """
    lines = [*_tests(result), _optimism(result)]
    if "confirm" in result:
        confirm = result["confirm"]
        chosen, number = confirm["candidates"][confirm["chosen"]], confirm["chosen"] + 1
        lines.append(
            f"Of {counted(len(confirm['candidates']), 'leader')} scored again on "
            f"{counted(confirm['items'], 'fresh dev item')}, number {number} was best: {chosen['fresh']:.3f} there, "
            f"{chosen['dev']:.3f} in the search."
        )
    if "front" in result:
        lines.append(f"In front/: {counted(len(result['front']['points']), 'more point')} of the Pareto front.")
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
        share = f"{scoring / seconds if seconds else 0.0:.1%} scoring"
    saved = result.get("items_saved", 0.0)
    return {
        "Evaluations": f"{result['evaluations']:,}",
        "Items scored": f"{result['item_evaluations']:,}" + (f" ({saved:.1%} skipped)" if saved else ""),
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
    if name in ("max_evals", "proposals"):
        return f"after {counted(int(value), {'max_evals': 'evaluation', 'proposals': 'proposal'}[name])}"
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


def folded(coefficients: Mapping[str, float]) -> tuple[list[tuple[str, float]], list[str]]:
    """The weights of at least `SMALL` as `by_weight`, and the names of the others; all weights where all are small."""
    ordered = by_weight(coefficients)
    large = [pair for pair in ordered if abs(pair[1]) >= SMALL] or ordered
    return large, [name for name, _ in ordered[len(large) :]]


def mixture_text(coefficients: Mapping[str, float], most: int | None = None) -> str:
    """The mixture on one line, of at most so many experts by name; of weights that are all 0, the base.

    Example:
        >>> mixture_text({"instruct": -0.61, "banking": 0.63, "math": 0.02, "code": 0.0}), mixture_text({"math": 1.0})
        ('0.63 banking - 0.61 instruct, and 1 more below 0.05', '1.00 math')
        >>> mixture_text({"math": 0.5, "code": 0.3, "law": -0.2}, most=2)
        '0.50 math + 0.30 code + …'
        >>> mixture_text({"math": 0.0})
        'the base'
    """
    if not any(coefficients.values()):
        return "the base"
    large, rest = folded({name: weight for name, weight in coefficients.items() if weight})
    (name, weight), *others = large[:most]
    text = f"{weight:.2f} {name}"
    for name, weight in others:
        text += f" {'-' if weight < 0 else '+'} {abs(weight):.2f} {name}"
    if len(large) > len(others) + 1 or (rest and most):
        return f"{text} + …"
    return f"{text}, and {len(rest)} more below {SMALL}" if rest else text


def result_table(result: Mapping[str, Any]) -> Table:
    """The scores as a table for a terminal."""
    table = Table(title="Scores with 95% intervals", title_justify="left")
    table.add_column("")
    table.add_column("dev", justify="right", no_wrap=True)
    table.add_column("test (held out)", justify="right", no_wrap=True)
    for row in score_rows(result):
        table.add_row(escape(row.label), score_text(row.dev, row.dev_interval), score_text(row.test, row.test_interval))
    return table


def print_result(console: Console, run: Path, result: Mapping[str, Any], steps: Iterable[tuple[str, str]] = ()) -> None:
    """Print the verdict, the closing table, the mixture, the cost, where the files are, and what to do next.

    Args:
        console: where to.
        run: the run directory.
        result: ``result.json``.
        steps: (purpose, command), see `commands.next_steps`.
    """
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    judged = verdict(result)
    spent = "; ".join(f"{name.lower()} {text}" for name, text in costs(result).items())
    weights = f"Mixture: {mixture_text(result['coefficients'])}{', trained on dev' if result.get('trained') else ''}"
    mixture = (weights, WEIGHTS) if len(result["coefficients"]) > 1 else ()
    for line in (judged.sentence, *judged.reasons):
        say(line)
    console.print(result_table(result))
    files = f"Files: {run / 'best'}; report: {run / 'report.html'}"
    for line in (*remarks(result), *mixture, f"Cost: {spent}", files):
        say(line)
    for purpose, command in steps:
        say(f"To {purpose}: {command}")
