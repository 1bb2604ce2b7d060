"""Combine the scores on several tasks into one that increases with each of them, see `combines`; one
alone stands for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.registry import lazy

Combine = Callable[[Sequence[Score]], Score]
_of_several: Callable[[str, int], Combine] = lazy(
    "pyswarmopt_llm.scores.metrics.combines:combine_of_several"
)


def alone(scores: Sequence[Score]) -> Score:
    """The score of the only task.

    Example:
        >>> alone([Score(0.5, (), 10, 0.0)]).value
        0.5
    """
    (score,) = scores
    return score


def find_combine(spec: str, n_tasks: int) -> Combine:
    """The combination of this name, of so many tasks; see `combines.combine_of_several`.

    Raises:
        UserError: unknown, or numbers that do not match the tasks.

    Example:
        >>> find_combine("harmonic", 1) is alone
        True
    """
    return alone if spec == "harmonic" and n_tasks == 1 else _of_several(spec, n_tasks)


def combined_value(combine: Combine, scores: Sequence[float]) -> float:
    """The combination of values whose items are not looked at.

    Example:
        >>> combined_value(alone, [0.25])
        0.25
    """
    return combine([Score(score, (score,), 1, 0.0) for score in scores]).value
