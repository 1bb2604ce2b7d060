"""Numbers and mixtures as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.scoring.result import Result, Scores

Interval = tuple[float, float]
SMALL = 0.05  # weights below this are not listed
UNIT = 5e-4  # a weight this close to 0 or 1 is 0 or 1
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


def score(scores: Scores | None) -> str:
    """A model's score on a split."""
    return "-" if scores is None else score_text(scores.value, scores.interval)


def p_text(p_value: float) -> str:
    """A p-value.

    Example:
        >>> p_text(0.00009), p_text(0.0707), p_text(0.5)
        ('p < 0.001', 'p = 0.071', 'p = 0.50')
    """
    if p_value < 0.001:
        return "p < 0.001"
    return f"p = {p_value:.3f}" if p_value < 0.1 else f"p = {p_value:.2f}"


def against_text(against: Mapping[str, Any] | None, named: bool = False) -> str:
    """A difference with its p-value.

    Example:
        >>> against_text({"method": "ties", "difference": 0.0213, "p": 0.00009}, named=True)
        '+0.021 (p < 0.001) ties'
    """
    if against is None:
        return "-"
    name = f" {against['method']}" if named else ""
    return f"{against['difference']:+.3f} ({p_text(against['p'])}){name}"


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


def mixture_name(result: Result) -> str:
    """The search's result before any training, by the name of its weights if they have one.

    These are ``base``, ``sum of all experts``, ``average of all experts`` and ``expert NAME``; any
    other is a ``mixture``, or a ``graph``.
    """
    if result.graph is not None:
        return "graph"
    weights = result.coefficients
    if len(weights) < 2:
        return "mixture"
    equal = {"base": 0.0, "sum of all experts": 1.0, "average of all experts": 1 / len(weights)}
    for name, weight in equal.items():
        if all(abs(other - weight) < UNIT for other in weights.values()):
            return name
    used = [name for name, weight in weights.items() if abs(weight) >= UNIT]
    return f"expert {used[0]}" if len(used) == 1 and abs(weights[used[0]] - 1) < UNIT else "mixture"


def not_held_out(name: str) -> str:
    """The remark on a score of the user's own that has no test split.

    Example:
        >>> print(not_held_out("style"))
        style has no parameter `split`, so nothing is held out and there is no test score: write
        def style(engine, split="dev") and score other prompts where split is "test"
    """
    remedy = f'write def {name}(engine, split="dev") and score other prompts where split is "test"'
    return (
        f"{name} has no parameter `split`, so nothing is held out and there is no test score: "
        f"{remedy}"
    )


def listed(words: Sequence[str]) -> str:
    """Words in a sentence.

    Example:
        >>> listed(["a"]), listed(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
