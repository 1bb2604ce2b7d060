"""Two models on the same items, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyswarmopt_llm.common.statistics import Comparison
from pyswarmopt_llm.report.findings import Verdict, kind_of
from pyswarmopt_llm.report.pages import p_text, said, words


def against_text(against: Mapping[str, Any] | None, named: bool = False) -> str:
    """A difference with its p-value, corrected where several are read together.

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
    sentence = words().between(kind, *names, scores, pair, f"{split} example")
    return Verdict(kind, sentence, tuple(said("about", kind, pair, split)))
