"""Numbers and mixtures as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Interval = tuple[float, float]
SMALL = 0.05  # weights below this are not listed
WEIGHTS = (
    "A weight scales what an expert contributes: a negative one subtracts it, and weights "
    "need not sum to 1."
)


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
    return (
        f"{value:.3f}"
        if interval is None
        else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"
    )


def against_text(against: Mapping[str, Any] | None, named: bool = False) -> str:
    """A difference with its p-value.

    Example:
        >>> against_text({"method": "ties", "difference": 0.0213, "p": 0.00009}, named=True)
        '+0.021 (p < 0.001) ties'
    """
    if against is None:
        return "-"
    p = f"= {against['p']:.3f}" if against["p"] >= 0.001 else "< 0.001"
    return f"{against['difference']:+.3f} (p {p})" + (f" {against['method']}" if named else "")


def folded(coefficients: Mapping[str, float]) -> tuple[list[tuple[str, float]], list[str]]:
    """The weights of at least `SMALL` (all, if none is), the largest first; names of the others.

    Example:
        >>> folded({"a": 0.01, "b": -0.4, "c": 1.3})
        ([('c', 1.3), ('b', -0.4)], ['a'])
    """
    ordered = sorted(coefficients.items(), key=lambda pair: -abs(pair[1]))
    large = [pair for pair in ordered if abs(pair[1]) >= SMALL] or ordered
    return large, [name for name, _ in ordered[len(large) :]]


def mixture_text(coefficients: Mapping[str, float]) -> str:
    """The mixture on one line; of weights that are all 0, the base.

    Example:
        >>> mixture_text({"instruct": -0.61, "banking": 0.63, "math": 0.02, "code": 0.0}), mixture_text({"math": 1.0})
        ('0.63 banking - 0.61 instruct, and 1 more below 0.05', '1.00 math')
        >>> mixture_text({"math": 0.0})
        'the base'
    """
    if not any(coefficients.values()):
        return "the base"
    large, rest = folded({name: weight for name, weight in coefficients.items() if weight})
    (name, weight), *others = large
    text = f"{weight:.2f} {name}"
    for name, weight in others:
        text += f" {'-' if weight < 0 else '+'} {abs(weight):.2f} {name}"
    return f"{text}, and {len(rest)} more below {SMALL}" if rest else text
