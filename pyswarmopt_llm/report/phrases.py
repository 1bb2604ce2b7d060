"""Numbers, p-values and mixtures as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyswarmopt.base.words import counted

if TYPE_CHECKING:
    from pyswarmopt_llm.common.statistics import Comparison, Ends
    from pyswarmopt_llm.searching.scoring.result import Result, Scores

FEW = 20  # dev examples below which one of them moves a score by more than 0.05
UNIT = 5e-4  # a weight this close to 0 or 1 is printed as 0 or 1


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
    return "-" if scores is None else score_text(scores.value, scores.interval)


def p_text(p_value: float) -> str:
    """A p-value.

    Example:
        >>> p_text(0.00009), p_text(0.0707), p_text(0.5)
        ('p < 0.001', 'p = 0.071', 'p = 0.50')
        >>> p_text(0.04996)  # as far from 5% as it takes to tell
        'p = 0.04996'
    """
    from pyswarmopt_llm.common.statistics import LEVEL  # with NumPy, which --help does without

    if p_value < 0.001:
        return "p < 0.001"
    digits = 3 if p_value < 0.1 else 2
    while p_value != LEVEL == float(f"{p_value:.{digits}f}"):
        digits += 1
    return f"p = {p_value:.{digits}f}"


def signed(value: float) -> str:
    """A difference with its sign; a non-zero one is never printed as 0.

    Example:
        >>> signed(0.0214), signed(-0.0002), signed(0.0)
        ('+0.021', '-0.0002', '+0.000')
    """
    text = f"{value:+.3f}"
    return f"{value:+.1g}" if value and not float(text) else text


def tested(pair: Comparison) -> str:
    """A difference with its 95% interval and p-value.

    Example:
        >>> from pyswarmopt_llm.common.statistics import Comparison
        >>> tested(Comparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6, (80, 200)))
        '+0.100 [+0.020, +0.180], p = 0.014'
    """
    low, high = pair.interval
    return f"{signed(pair.difference)} [{signed(low)}, {signed(high)}], {p_text(pair.p_value)}"


def mixture_name(result: Result) -> str:
    """The result before training, named by its weights: ``base``, ``sum of all experts``, ``average
    of all experts``, ``expert NAME``, ``graph``, or otherwise ``mixture``.
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
    if len(used) == 1 and abs(weights[used[0]] - 1) < UNIT:
        return f"expert {used[0]}"
    return "mixture"


def versions_text(versions: Mapping[str, str]) -> str:
    """Packages with their versions.

    Example:
        >>> versions_text({"torch": "2.9", "peft": "0.19"})
        'torch 2.9, peft 0.19'
    """
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def one_line(value: object) -> str:
    """`value` with single spaces and no line breaks."""
    return " ".join(str(value).split())


def about_weights(space: str, contrast: bool) -> str:
    """What a result's weights mean.

    Example:
        >>> about_weights("token", contrast=False)
        "A weight is the share of a model's predictions in the mixture's; weights sum to 1."
        >>> about_weights("mine.py:convex", contrast=False)
        'A weight scales what an expert contributes.'
    """
    if space == "token":
        negative = "; a negative one counts against a token" if contrast else ""
        return f"A weight is the share of a model's predictions in the mixture's; weights sum to 1{negative}."
    if space in ("delta", "factor", "full"):
        return "A weight scales what an expert contributes; a negative one subtracts it."
    return "A weight scales what an expert contributes."


def few(items: int) -> str:
    """A warning of too few dev examples; "" if there are enough, or none are known.

    Example:
        >>> few(3).partition(":")[0], few(20), few(0)
        ('Only 3 dev examples', '', '')
    """
    if not 0 < items < FEW:
        return ""
    examples = counted(items, "dev example")
    return f"Only {examples}: the best candidate on so few may win by luck; use at least 100."
