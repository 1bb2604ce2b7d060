"""The verdict on a search, or on two models: what their scores on the same items say, in words.

The words are those of ``verdict.txt.j2``; here is which of them hold.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyswarmopt_llm.common.paired import Comparison
from pyswarmopt_llm.evaluation.result import RunResult
from pyswarmopt_llm.reporting.report.pages import sentences
from pyswarmopt_llm.reporting.summary import UNIT, mixture_name

WORDS = "pyswarmopt_llm/reporting/verdict.txt.j2"


@dataclass(frozen=True)
class Verdict:
    """The meaning of a result.

    Attributes:
        kind: ``better``, ``level``, ``worse``, ``same`` (it is an expert itself), ``untested`` (no
            test split) or ``unpaired`` (no outcomes item by item).
        sentence: the result in words.
        reasons: what else was measured, the most telling first.
    """

    kind: str
    sentence: str
    reasons: tuple[str, ...] = ()


def verdict(result: RunResult) -> Verdict:
    """The verdict on a finished search, with at most two reasons."""
    words, dev, test = sentences(WORDS), result.lead(split="dev"), result.lead()
    alone = _alone(result)
    kind = "same" if alone else _kind(result, test)
    outcome = (words.outcome(kind, result, test, alone), words.rivals(result))
    reasons = words.reasons(kind, result, dev, test, mixture_name(result)).splitlines()
    return Verdict(
        kind, " ".join(" ".join(outcome).split()), tuple(filter(None, map(str.strip, reasons)))[:2]
    )


def _kind(result: RunResult, test: Comparison | None) -> str:
    if result.best_test is None or result.best_single_test is None:
        return "untested"
    return "unpaired" if test is None else kind_of(test)


def kind_of(pair: Comparison) -> str:
    """``better``, ``level`` or ``worse``: the interval decides, and p says the same."""
    return {1: "better", 0: "level", -1: "worse"}[pair.sign]


def _alone(result: RunResult) -> str | None:
    """The result's name if it equals one of its sources, and no item is answered otherwise."""
    if result.trained or result.graph is not None:
        return None
    ones = [name for name, weight in result.coefficients.items() if abs(weight - 1) < UNIT]
    others = [weight for weight in result.coefficients.values() if abs(weight) >= UNIT]
    changed = any(
        pair.gained or pair.lost for splits in result.paired.values() for pair in splits.values()
    )
    if not others:
        return "the base"
    if len(ones) != 1 or len(others) != 1 or (changed and ones[0] == result.best_single):
        return None
    return f"expert {ones[0]}"


def between(
    names: tuple[str, str], scores: tuple[float, float], pair: Comparison, split: str
) -> Verdict:
    """The verdict on two models on the same items.

    Args:
        names: of the models.
        scores: of each.
        pair: the first compared with the second.
        split: that of the items, dev or test.

    Example:
        >>> pair = Comparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6, 80)
        >>> found = between(("the base", "x"), (0.7, 0.6), pair, "test")
        >>> found.kind, found.sentence.partition(", ")[2]
        ('better', '+0.100 (95% interval +0.020 to +0.180, p = 0.014).')
    """
    kind = kind_of(pair) if pair.gained or pair.lost else "same"
    words = sentences(WORDS)
    sentence = words.between(kind, *names, scores, pair, f"{split} item")
    reasons = words.about(kind, pair, split).splitlines()
    return Verdict(kind, sentence, tuple(filter(None, reasons)))


__all__ = ["Verdict", "between", "kind_of", "verdict"]
