"""Choose how to ask: by letters where the experts understand letters, by the options' text where they do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import chance_bound
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_llm.tasks import Item, Scoring, Task

TRIAL = 100  # items of the trial by letters: enough to tell ability from guessing, half the price of a whole dev set
LEVEL = 0.05  # of the test against guessing, shared out among the experts (Bonferroni)


def option_counts(items: Sequence[Item]) -> list[int]:
    """Number of options of each item; empty if any item has none."""
    counts = [len(item.choices) for item in items if item.choices]
    return counts if len(counts) == len(items) else []


def trial_of(task: Task, chat: Callable[[str], str]) -> Accuracy:
    """The trial by letters: the first `TRIAL` dev items."""
    return Accuracy(task.dev[:TRIAL], "letter", chat, task.prompt)


def beats_chance(items: Sequence[Item], scores: Sequence[Score]) -> bool:
    """Whether the best of several experts' accuracies is above what the best of so many guessers would reach.

    One-sided, exact (Poisson binomial), at level `LEVEL` over all experts together.

    Example:
        >>> items = [Item(str(i), "?", {"A": "x", "B": "y", "C": "z", "D": "u"}, "A") for i in range(200)]
        >>> beats_chance(items, [Score(0.30, (), 200, 0.0)] * 12), beats_chance(items, [Score(0.36, (), 200, 0.0)] * 12)
        (False, True)
    """
    return max(score.value for score in scores) > chance_bound(option_counts(items), LEVEL / len(scores))


def possible_scorings(wanted: str, items: Sequence[Item]) -> tuple[Scoring, ...]:
    """The ways of asking that `wanted` leaves open: one, or where ``auto`` has to try letters on dev first, two.

    Raises:
        UserError: for an unknown name.

    Example:
        >>> possible_scorings("auto", [Item("1", "?", {"A": "x", "B": "y"}, "A")])
        ('letter', 'likelihood')
        >>> possible_scorings("auto", [Item("1", "?", None, "x")])
        ('generate',)
    """
    if wanted == "auto":
        return ("letter", "likelihood") if option_counts(items) else ("generate",)
    for known in ("letter", "likelihood", "generate"):
        if wanted == known:
            return (known,)
    raise UserError(f"--scoring {wanted}: unknown; use auto, letter, likelihood or generate")
