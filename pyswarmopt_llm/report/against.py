"""Results of `eval` in words: one model, or two on the same items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.paired import PairedComparison
from pyswarmopt_llm.report.findings import KINDS, Verdict
from pyswarmopt_llm.report.pages import upper_first
from pyswarmopt_llm.report.phrases import (
    more_examples,
    one_line,
    p_text,
    score_text,
    tested,
    turned,
)

if TYPE_CHECKING:
    from pyswarmopt_llm.scores.by_label import LabelErrors
    from pyswarmopt_llm.use.evaluate import Against, EvalResult

_VERBS = {  # kind of a verdict -> what is said of the first model
    "better": "is better than",
    "worse": "is worse than",
    "level": "is not significantly different from",
}


def against_text(against: Mapping[str, Any] | None, named: bool = False) -> str:
    """A difference with its 95% interval and p-value, both corrected if there are several tests.

    Args:
        against: a comparison as in ``result.json``; None: there is none.
        named: whether the method that it compares with is named, too.

    Example:
        >>> test = {"difference": 0.0213, "interval": (0.01, 0.03), "p": 0.00009}
        >>> against_text({"method": "ties", **test}, named=True)
        '+0.021 [+0.010, +0.030] (p < 0.001) ties'
    """
    if against is None:
        return "-"
    test = against.get("corrected", against)
    low, high = test["interval"]
    text = f"{against['difference']:+.3f} [{low:+.3f}, {high:+.3f}] ({p_text(test['p'])})"
    if named:
        return f"{text} {against['method']}"
    return text


def between(
    names: tuple[str, str],
    scores: tuple[float, float],
    pair: PairedComparison,
    split: str,
    lower: bool = False,
) -> Verdict:
    """The verdict on two models on the same items.

    Args:
        names: names of both models.
        scores: scores of both models.
        pair: comparison, first minus second.
        split: dev or test.
        lower: whether lower is better; `scores` are then as people read them, and `pair` compares
            them with the other sign.

    Example:
        >>> pair = PairedComparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6)
        >>> between(("the base", "x"), (0.7, 0.6), pair, "test").sentence
        'The base is better than x: 0.700 vs. 0.600 on 90 test examples, +0.100 [+0.020, +0.180], p = 0.014.'
    """
    first, second = map(one_line, names)
    if first.startswith("the "):  # else a path, which stays as it is
        first = upper_first(first)
    kind = KINDS[pair.sign]
    items = counted(pair.n, f"{split} example")
    difference = tested(turned(pair) if lower else pair)
    sentence = (
        f"{first} {_VERBS[kind]} {second}: {scores[0]:.3f} vs. {scores[1]:.3f} on {items}, "
        f"{difference}."
    )
    reasons: tuple[str, ...] = ()
    if split == "dev":
        reasons = ("Searches and training use the dev examples; also compare on test.",)
    elif kind == "level":
        reasons = more_examples(pair.needed, pair.n)
    return Verdict(kind, sentence, reasons)


def score_lines(result: EvalResult, split: str) -> Iterator[str]:
    """A model's score and its errors by label."""
    value = score_text(*result.shown)
    items = counted(result.n, "example")
    how = f"{items}, {result.scoring} scoring"
    if result.lower:
        how = f"{result.unit}, lower is better; {how}"
    yield f"{one_line(result.task)} {split}: {result.metric} {value} ({how})"
    if result.score.named:
        further = [f"{one_line(name)} {each:.3f}" for name, each in result.score.named.items()]
        yield f"  {', '.join(further)}"
    if result.by_label is not None:
        yield from label_lines(result.by_label)


def label_lines(errors: LabelErrors) -> Iterator[str]:
    """A model's errors by label.

    Example:
        >>> from pyswarmopt_llm.scores.by_label import label_errors
        >>> for line in list(label_lines(label_errors(["card", "loan"], [0, 0, 0, 1], [0, 0, 1, 1])))[1:]:
        ...     print(line)
          card  2 of 3 right, 0.667 [0.208, 0.939]; mistaken for loan (1)
          loan  1 of 1 right, 1.000 [0.207, 1.000]
    """
    yield f"macro-F1 {score_text(errors.macro_f1)}"
    for row in errors.rows:
        found = f"{row.found} of {row.n} right, {score_text(row.recall, row.interval)}"
        if row.taken_for:
            taken = [f"{one_line(label)} ({count})" for label, count in row.taken_for[:3]]
            found += f"; mistaken for {', '.join(taken)}"
        yield f"  {one_line(row.label)}  {found}"


def against_lines(against: Against, split: str) -> Iterator[str]:
    """Two models on the same items: verdict and scores."""
    first, second = against.results
    scores = first.shown[0], second.shown[0]
    if against.paired is None:
        yield (
            f"Not known whether they differ: {scores[0]:.3f} vs. {scores[1]:.3f}, but the metric gives one number "
            "for all replies, which was not resampled."
        )
    else:
        verdict = between(against.names, scores, against.paired, split, first.lower)
        yield verdict.sentence
        yield from verdict.reasons
    for name, result in zip(against.names, against.results, strict=True):
        yield f"  {one_line(name)}: {result.metric} {score_text(*result.shown)}"
    if against.wins is not None:
        wins = against.wins
        rate = score_text(wins.rate, wins.interval)
        yield (
            f"The first model wins {wins.won}, ties {wins.tied} and loses {wins.lost}: win rate {rate} "
            "(ties count as half); --json lists them."
        )
