"""A curve of scores by number of labels, in words."""

from __future__ import annotations

from pyswarmopt_llm.report.phrases import score
from pyswarmopt_llm.run.result import RunResult

FLAT = 0.02  # a gain of less than this is none


def curve_note(result: RunResult) -> str:
    """The scores of a curve, and one of three words on it: rising, flat, cannot be told."""
    shown = ", ".join(f"{trial.labels:,} labels {score(trial.test)}" for trial in result.curve)
    return f"Fine-tuned on part of the labels, on test: {shown}; {_word(result)}."


def _word(result: RunResult) -> str:
    """`rising` if all labels score higher than a quarter of them, with an interval above 0, and
    higher than half of them; `flat` if they score higher than a quarter by `FLAT` at most.
    """
    quarter, half, everything = (trial.test for trial in result.curve)
    pair = result.compared(everything, quarter, "test")
    if pair is None:
        return "whether it rises cannot be told"
    low, high = pair.interval
    if low > 0 and everything.value > half.value:
        return "rising"
    if high <= FLAT:
        return "flat"
    return "whether it rises cannot be told"
