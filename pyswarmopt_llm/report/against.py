"""Results of `eval` in words: one model, or two on the same items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.statistics import Comparison
from pyswarmopt_llm.report import remarks, words
from pyswarmopt_llm.report.findings import Verdict, kind_of
from pyswarmopt_llm.report.phrases import one_line, p_text, score_text

if TYPE_CHECKING:
    from pyswarmopt_llm.scores.by_label import LabelErrors, LabelRow
    from pyswarmopt_llm.searching.use.against import Against, Changed
    from pyswarmopt_llm.searching.use.exam import EvalResult

SHOWN = 3  # most items shown as gained, and as lost
_LABEL = 30  # most characters of a label
_TEXT = 160  # and of a question or answer
_MOST_LABELS = 20


def against_text(against: Mapping[str, Any] | None, named: bool = False) -> str:
    """A difference with its p-value; `named`: with the correction for several tests.

    Example:
        >>> against_text({"method": "ties", "difference": 0.0213, "p": 0.00009}, named=True)
        '+0.021 (p < 0.001) ties'
    """
    if against is None:
        return "-"
    p_value = against.get("corrected", against)["p"]
    name = f" {against['method']}" if named else ""
    return f"{against['difference']:+.3f} ({p_text(p_value)}){name}"


def between(
    names: tuple[str, str], scores: tuple[float, float], pair: Comparison, split: str
) -> Verdict:
    """The verdict on two models on the same items.

    Args:
        names: names of both models.
        scores: scores of both models.
        pair: comparison, first minus second.
        split: dev or test.

    Example:
        >>> pair = Comparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6, 80)
        >>> found = between(("the base", "x"), (0.7, 0.6), pair, "test")
        >>> found.kind, found.sentence.partition(", ")[2]
        ('better', '+0.100 (95% interval +0.020 to +0.180, p = 0.014).')
    """
    kind = kind_of(pair) if pair.gained or pair.lost else "same"
    sentence = words.between(kind, names, scores, pair, f"{split} example")
    reason = ""
    if split == "dev":
        reason = "Dev examples guide searches and training: compare on test, too."
    elif kind == "level":
        reason = words.too_few(pair, abs(pair.difference))
    return Verdict(kind, sentence, tuple(filter(None, [reason])))


def score_lines(result: EvalResult, split: str) -> Iterator[str]:
    """A model's score and its errors by label."""
    low, high = result.interval
    ends = f"95% interval {low:.3f} to {high:.3f}"
    yield (
        f"{one_line(result.task)} {split}: {result.metric} {result.score.value:.3f} ({ends}, "
        f"{counted(result.n, 'example')}, {result.scoring} scoring)"
    )
    if result.score.named:
        named = result.score.named.items()
        yield "  " + ", ".join(f"{one_line(name)} {value:.3f}" for name, value in named)
    if result.by_label is not None:
        yield from label_lines(result.by_label)


def label_lines(errors: LabelErrors) -> Iterator[str]:
    """A model's errors by label; with many labels, only the commonest.

    Example:
        >>> from pyswarmopt_llm.scores.by_label import label_errors
        >>> for line in list(label_lines(label_errors(["card", "loan"], [0, 0, 0, 1], [0, 0, 1, 1])))[1:]:
        ...     print(line)
          card  2 of 3, 0.667 [0.208, 0.939]; taken for loan 1
          loan  1 of 1, 1.000 [0.207, 1.000]
    """
    rows = errors.rows
    width = min(_LABEL, max(len(row.label) for row in rows))
    yield f"{remarks.macro_f1(errors.macro_f1, errors.macro_f1_interval)}; of each label are right:"
    for row in rows[:_MOST_LABELS]:
        yield f"  {_brief(row.label, _LABEL).ljust(width)}  {_right(row)}"
    if len(rows) > _MOST_LABELS:
        more = counted(len(rows) - _MOST_LABELS, "label")
        yield f"  and {more} more; all of them with --json"


def _right(row: LabelRow) -> str:
    right = remarks.recall(row.found, row.n, row.recall, row.interval)
    others = [(_brief(label, _LABEL), count) for label, count in row.taken_for[:3]]
    return f"{right}; taken for {remarks.taken_for(others)}" if others else right


def against_lines(against: Against, verdict: Verdict) -> Iterator[str]:
    """Two models on the same items: verdict, scores, and differing items."""
    yield one_line(verdict.sentence)
    yield from map(one_line, verdict.reasons)
    width = max(map(len, against.names))
    for name, result in zip(against.names, against.results, strict=True):
        score = score_text(result.score.value, result.interval)
        yield f"  {name.ljust(width)}  {result.metric} {score}"
    gained = len(against.gained)
    lost = len(against.lost)
    n = counted(against.paired.n, "example")
    first = against.results[0]
    yield (
        f"{one_line(first.task)}: of {n} {gained} are gained and {lost} lost; "
        f"{first.scoring} scoring."
    )
    yield from _changed_lines("Gained", against.names, against.gained)
    yield from _changed_lines("Lost", against.names, against.lost)


def _changed_lines(heading: str, names: Sequence[str], items: Sequence[Changed]) -> Iterator[str]:
    """The first items on which two models differ."""
    shown = items[:SHOWN]
    if shown:
        yield f"{heading} ({len(shown)} of {len(items)}; all of them with --json):"
    for changed in shown:
        yield f"  {_brief(changed.item.question)}"
        if changed.item.references:
            yield f"    right: {_brief(changed.item.answer_text)}"
        values = [f"{value:.3f}" for value in changed.values]
        answers = [_brief(answer) or "(no answer)" for answer in changed.answers] or values
        for name, answer in zip(names, answers, strict=True):
            yield f"    {name}: {answer}"


def _brief(text: str, limit: int = _TEXT) -> str:
    """The beginning of a text, on one line."""
    line = one_line(text)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
