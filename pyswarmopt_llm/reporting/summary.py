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

from pyswarmopt.base.words import counted
from pyswarmopt_llm.reporting.verdict import mixture_name, result_name, verdict

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


def against_text(found: Mapping[str, Any] | None, named: bool = False) -> str:
    """A difference with its p-value.

    Example:
        >>> against_text({"method": "ties", "difference": 0.0213, "p": 0.00009}, named=True)
        '+0.021 (p < 0.001) ties'
    """
    if found is None:
        return "-"
    p = f"= {found['p']:.3f}" if found["p"] >= 0.001 else "< 0.001"
    return f"{found['difference']:+.3f} (p {p})" + (f" {found['method']}" if named else "")


@dataclass(frozen=True)
class ScoreRow:
    """The scores of one model; None where it has none (no test split, or not scored there)."""

    label: str
    dev: float | None
    dev_interval: Interval | None = None
    test: float | None = None
    test_interval: Interval | None = None


def score_rows(result: Mapping[str, Any]) -> list[ScoreRow]:
    """The models of ``result.json`` that were scored: rivals, best expert, average, before or after training, it."""
    intervals = result.get("intervals", {})

    def row(label: str, key: str) -> ScoreRow:
        dev, test = f"{key}_dev", f"{key}_test"
        return ScoreRow(label, result.get(dev), intervals.get(dev), result.get(test), intervals.get(test))

    rows = [row(f"best single expert: {result['best_single']}", "best_single")]
    if result.get("uniform_dev") is not None:
        rows.append(row(average_label(result), "uniform"))
    if result.get("trained_dev") is not None:
        before = row(f"{mixture_name(result)}, before training", "mixture")
        rows.append(before if result.get("trained") else row(f"{mixture_name(result)}, trained", "trained"))
    rivals = [_rival_row(rival) for rival in result.get("rivals", ()) if "row" not in rival]
    return [*rivals, *rows, row(result_name(result), "best")]


def _rival_row(rival: Mapping[str, Any]) -> ScoreRow:
    keys = ("dev", "dev_interval", "test", "test_interval")
    return ScoreRow(rival["label"], *(rival.get(key) for key in keys))


def average_label(result: Mapping[str, Any]) -> str:
    """What the average of the experts is called: in each space it is another model.

    Example:
        >>> average_label({"space": "delta"}), average_label({})
        ('uniform average (space delta)', 'uniform average')
    """
    return f"uniform average (space {result['space']})" if "space" in result else "uniform average"


def dev_remark(result: Mapping[str, Any]) -> str | None:
    """What the scores on dev are of, where they are not of items that were kept from training.

    Example:
        >>> rivals = [{"label": "base, fine-tuned on dev", "dev_of": "training"}]
        >>> print(dev_remark({"trained_dev": 0.6, "trained": True, "rivals": rivals}))
        On dev the result is cross-fitted: each item is scored by what was trained without it. The dev scores of what is
        fine-tuned on dev are of the training items themselves: compare on test.
    """
    parts = []
    if result.get("trained_dev") is not None:
        who = "the result" if result.get("trained") else "what was trained"
        parts.append(f"On dev {who} is cross-fitted: each item is scored by what was trained without it.")
    if any(rival.get("dev_of") == "training" for rival in result.get("rivals", ())):
        parts.append(
            "The dev scores of what is fine-tuned on dev are of the training items themselves: compare on test."
        )
    return " ".join(parts) or None


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


def named_text(task: str, found: Mapping[str, Mapping[str, float]]) -> str:
    """The named numbers of a score, of the best expert and the result, on test if there is one.

    Args:
        task: its name.
        found: model and split -> name -> number.

    Example:
        >>> found = {"best_single_test": {"short": 0.5, "polite": 1.0}, "best_test": {"short": 0.75, "polite": 1.0}}
        >>> named_text("letters", found)
        'letters, from the best expert to the result on test: short 0.500 to 0.750, polite 1.000 to 1.000.'
    """
    split = "test" if "best_test" in found else "dev"
    before, after = found.get(f"best_single_{split}"), found[f"best_{split}"]
    if before is None:
        return f"{task}, the result on {split}: {', '.join(f'{name} {after[name]:.3f}' for name in after)}."
    changes = ", ".join(f"{name} {before[name]:.3f} to {after[name]:.3f}" for name in after)
    return f"{task}, from the best expert to the result on {split}: {changes}."


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
    lines += [named_text(name, found) for name, found in result.get("named", {}).items()]
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
    rivals = {}
    if "passes_rivals" in result:
        taken = f"{result['passes_rivals']:,} passes of an item, {duration(result.get('seconds_rivals', 0.0))}"
        rivals = {"Rivals": f"{taken}, counted apart"}
    return {
        "Evaluations": f"{result['evaluations']:,}",
        "Items scored": f"{result['item_evaluations']:,}" + (f" ({saved:.1%} skipped)" if saved else ""),
        "Scoring": str(result["scoring"]),
        "Time": f"{duration(seconds)} ({share})",
        "Peak memory": f"{result['peak_memory_bytes'] / 2**30:.1f} GiB",
        "Stopped": stop_text(result),
        **rivals,
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
    if name == "proposals" and not value:
        return "with nothing new to propose"
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
    if (about_dev := dev_remark(result)) is not None:
        say(about_dev)
    files = f"Files: {run / 'best'}; report: {run / 'report.html'}"
    for line in (*remarks(result), *mixture, f"Cost: {spent}", files):
        say(line)
    for purpose, command in steps:
        say(f"To {purpose}: {command}")
