"""Numbers, p-values and weights as text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyswarmopt_llm.common.paired import PairedComparison
    from pyswarmopt_llm.common.statistics import Ends
    from pyswarmopt_llm.run.result import Scores


def score_text(value: float | None, interval: Ends | None = None) -> str:
    """A score with its 95% interval.

    Example:
        >>> score_text(0.65432, (0.6, 0.7)), score_text(0.65432), score_text(None)
        ('0.654 [0.600, 0.700]', '0.654', '-')
    """
    if value is None:
        return "-"
    if interval is None:
        return f"{value:.3f}"
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def score(scores: Scores | None) -> str:
    """A model's score on a split, as text."""
    if scores is None:
        return "-"
    return score_text(scores.value, scores.interval)


def p_text(p_value: float) -> str:
    """A p-value.

    Example:
        >>> p_text(0.00009), p_text(0.0707), p_text(0.5)
        ('p < 0.001', 'p = 0.071', 'p = 0.50')
    """
    if p_value < 0.001:
        return "p < 0.001"
    if p_value < 0.1:
        return f"p = {p_value:.3f}"
    return f"p = {p_value:.2f}"


def tested(pair: PairedComparison, digits: int = 3) -> str:
    """A difference with its 95% interval and p-value.

    Example:
        >>> from pyswarmopt_llm.common.paired import PairedComparison
        >>> tested(PairedComparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6))
        '+0.100 [+0.020, +0.180], p = 0.014'
    """
    values = (pair.difference, *pair.interval)
    middle, low, high = (f"{value + 0.0:+.{digits}f}" for value in values)
    return f"{middle} [{low}, {high}], {p_text(pair.p_value)}"


def more_examples(needed: int | None, n: int) -> tuple[str, ...]:
    """How many test examples a difference that was not found would need, as one sentence; nothing if
    no more than the `n` there are.

    Example:
        >>> more_examples(2353, 100)
        ('A difference of this size would need about 2,400 test examples (80% power).',)
    """
    if needed is None or needed <= n:
        return ()
    rounded = round(needed, 2 - len(str(needed)))
    return (f"A difference of this size would need about {rounded:,} test examples (80% power).",)


def turned(pair: PairedComparison) -> PairedComparison:
    """A difference of scores of which lower is better, as people read it.

    Example:
        >>> from pyswarmopt_llm.common.paired import PairedComparison
        >>> turned(PairedComparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6)).interval
        (-0.18, -0.02)
    """
    low, high = pair.interval
    return replace(pair, difference=0.0 - pair.difference, interval=(0.0 - high, 0.0 - low))


def one_line(value: object) -> str:
    """`value` with single spaces and no line breaks."""
    return " ".join(str(value).split())
