"""The sentences about a comparison, for terminal, compare.md and compare.html."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.report.phrases import more_examples, p_text
from pyswarmopt_rivals.comparison.contestants import TRAINED
from pyswarmopt_rivals.comparison.summary import SINGLE
from pyswarmopt_rivals.methods.method import RANDOM, WITH_DEV

Json = Mapping[str, Any]

READING = {
    "Intervals": (
        "95% Wilson intervals if each example has the same outcome in all seeds, otherwise Student's t "
        "over seeds and examples; means over tasks combine the tasks' intervals (Zou & Donner 2008)."
    ),
    "p": (
        "Two-sided paired test over test examples and seeds, corrected for the number of methods "
        "(Bonferroni). The best baseline is the other row with the highest test score."
    ),
    "Examples, seconds": "Cost of the method, excluding scoring on test.",
    "Rank": (
        "Rank of the weight changes; full if no LoRA of rank sum r_i can represent the merged model, which "
        "is then scored as in the method's paper. METHOD:adapter is the LoRA that merge writes, with its "
        "truncation loss in the Frobenius norm."
    ),
}
_ABOUT = {
    "model-swarms": (
        "the published update and swarm size, applied to weight changes; every example is scored. The "
        "paper uses the best coefficients of a grid, and this row only one set. A small budget stops it "
        "before its patience runs out."
    ),
    "evolmerge": "one weight and one density per expert; the paper tunes them per layer, in 1,000 trials.",
    RANDOM: "the item-model search over adapters with random factors instead of the experts.",
}


def by_task(result: Json) -> dict[str, Json]:
    """Task -> its part of ``compare.json``, with ``methods`` and ``metric``."""
    tasks: dict[str, Json] = result.get("tasks", {})
    return tasks or {result["task"]: result}


def first_of(result: Json) -> str:
    """The best method on test, which comes first."""
    return next(iter(result["methods"]), SINGLE)


def summary_lines(result: Json) -> Iterator[str]:
    """The verdict, and what was compared.

    The verdict's p-value is multiplied by the number of methods (Bonferroni), since the first is
    the best on these items; the interval is that of the corrected test.

    Example:
        >>> test = {"rivals": 1, "interval": [0.04, 0.16], "p": 0.001}
        >>> against = {"method": "best-single", "difference": 0.1, "corrected": test}
        >>> rows = {"ties": {"test": 0.7, "dev": 0.8, "seeds": 1, "against_single": against},
        ...     "best-single": {"test": 0.6, "dev": 0.7, "seeds": 1}}
        >>> about = {"experts": 2, "config": {"base": "b", "budget_items": 9}, "left_out": {},
        ...     "task": "t", "metric": "accuracy"}
        >>> print(next(summary_lines({"methods": rows, **about})).partition(": ")[2])
        0.700 against 0.600, +0.100 [+0.040, +0.160], p = 0.001, corrected for 1 baseline.
    """
    yield _verdict(result)
    config = result["config"]
    methods = result["methods"]
    seeds = max(row["seeds"] for row in methods.values())
    yield (
        f"{counted(result['experts'], 'expert')} fine-tuned from {config['base']}; at most "
        f"{config['budget_items']} dev examples per method, task and seed; "
        f"{counted(seeds, 'seed')} for randomised methods."
    )
    metrics = [
        f"{name} by {table['metric']}" + " (lower is better)" * (table.get("better") == "lower")
        for name, table in by_task(result).items()
    ]
    yield f"Scores: {', '.join(metrics)}."
    yield from (f"{note}." for note in result.get("notes", ()))
    yield from (f"{name}: {what}" for name, what in _ABOUT.items() if name in methods)
    yield from (f"Left out: {name} ({why})." for name, why in result["left_out"].items())
    if trained := [name for name in methods if name in TRAINED]:
        names = ", ".join(trained)
        yield f"Scored on dev on their own training examples (compare on test): {names}."
    if WITH_DEV in methods:
        yield (
            f"On dev, {WITH_DEV} is cross-fitted: each example is scored by a model that was trained without it."
        )


def _verdict(result: Json) -> str:
    methods = result["methods"]
    first = first_of(result)
    single = methods.get(SINGLE)
    if single is None:
        return "No verdict, because the comparison does not include best-single."
    if first == SINGLE:
        return f"No method scores better than the best expert: {single['test']:.3f} on test."
    best = methods[first]
    scores = f"{best['test']:.3f} against {single['test']:.3f}"
    if "tasks" in result:
        tasks = counted(len(result["tasks"]), "task")
        return f"{first} ranks first on average over {tasks}: {scores} for the best expert."
    return first_on(first, scores, best["against_single"])


def first_on(name: str, scores: str, against: Json) -> str:
    """A sentence on the best method on one task.

    Args:
        name: name of the method.
        scores: scores of the method and of the best expert.
        against: their comparison.

    Example:
        >>> test = {"rivals": 2, "interval": [-0.04, 0.16], "p": 0.2}
        >>> first_on("ties", "0.700 against 0.600", {"difference": 0.1, "corrected": test}).partition(":")[0]
        'ties ranks first, but is not significantly better than the best expert'
    """
    test = against["corrected"]
    low, high = test["interval"]
    seen = (
        f"{scores}, {against['difference']:+.3f} [{low:+.3f}, {high:+.3f}], {p_text(test['p'])}, "
        f"corrected for {counted(test['rivals'], 'baseline')}"
    )
    if low > 0 or high < 0:  # of a score of which lower is better
        return f"{name} ranks first and is significantly better than the best expert: {seen}."
    more = " ".join(more_examples(against.get("needed"), against.get("n", 0)))
    return f"{name} ranks first, but is not significantly better than the best expert: {seen}. {more}".rstrip()
