"""Choose the answer format: option letters if the experts understand them, else the likelihood of
the options.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from scipy import stats

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.common.statistics import chance_bound
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task

_SCORINGS: tuple[Scoring, ...] = ("letter", "likelihood", "generate")
LETTERS = 26
# items and experts of the trial by letters; likelihood serves those that do not know them
TRIAL, TRIED = 32, 3
# significance level of the test against guessing, divided by the number of experts (Bonferroni)
LEVEL = 0.05


def option_counts(items: Sequence[Item]) -> list[int]:
    """Number of options of each item; empty if an item has none."""
    counts = [len(item.choices) for item in items if item.choices]
    return counts if len(counts) == len(items) else []


def trial_of(task: Task, chat: Callable[[str], str]) -> Accuracy:
    """The trial by letters: the first `TRIAL` dev items."""
    return Accuracy(task.dev[:TRIAL], "letter", chat, task.prompt)


def beats_chance(items: Sequence[Item], scores: Sequence[Score]) -> bool:
    """Whether the best accuracy of several experts is significantly above the best of as many
    guessers.

    One-sided, exact (Poisson binomial), at level `LEVEL` over all experts together.

    Example:
        >>> items = [Item(str(i), "?", {"A": "x", "B": "y", "C": "z", "D": "u"}, "A") for i in range(200)]
        >>> beats_chance(items, [Score(0.30, (), 200, 0.0)] * 12), beats_chance(items, [Score(0.36, (), 200, 0.0)] * 12)
        (False, True)
    """
    return max(score.value for score in scores) > chance_bound(
        option_counts(items), LEVEL / len(scores)
    )


def one_letter(items: Sequence[Item]) -> float:
    """Accuracy of naming always the letter that is right most often, which experts without a clue
    may seem to do.

    Example:
        >>> one_letter([Item(str(i), "?", {"A": "x", "B": "y"}, answer) for i, answer in enumerate("ABBB")])
        0.75
    """
    right = Counter(
        list(item.choices).index(item.answer) for item in items if item.choices and item.answer
    )
    return max(right.values(), default=0) / len(items)


def knows_letters(items: Sequence[Item], scores: Sequence[Score]) -> bool:
    """Whether the best of several experts is significantly better than guessing, and than one
    letter for all items.
    """
    constant = float(stats.binom.isf(LEVEL / len(scores), len(items), one_letter(items))) / len(
        items
    )
    return beats_chance(items, scores) and max(score.value for score in scores) > constant


def choose_scoring(
    possible: Sequence[Scoring], items: Sequence[Item], letters: Callable[[], Sequence[Score]]
) -> Scoring:
    """The one scoring that is possible; where ``auto`` leaves two, letters if the experts know
    them, else likelihood.

    Args:
        possible: see `possible_scorings`.
        items: the dev items.
        letters: the trial: scores by letters on the first `TRIAL` items, one per model; none if no
            model gives likelihoods, so that answers can only be generated. Called only where there
            is a choice.

    Example:
        >>> items = [Item(str(i), "?", {"A": "x", "B": "y"}, "AB"[i % 2]) for i in range(50)]
        >>> [choose_scoring(("letter", "likelihood"), items, lambda: scores)
        ...  for scores in ([Score(0.9, (), 50, 0.0)], [Score(0.5, (), 50, 0.0)], [])]
        ['letter', 'likelihood', 'generate']
    """
    if len(possible) == 1:
        return possible[0]
    scores = letters()
    if not scores:
        return "generate"
    return "letter" if knows_letters(items[: scores[0].n], scores) else "likelihood"


def trial_items(dev: int, possible: Sequence[Scoring]) -> int:
    """Dev items on which a trial chooses from the possible answer formats; none if there is one.

    Example:
        >>> trial_items(12, ("likelihood",)), trial_items(12, ("letter", "likelihood"))
        (0, 12)
    """
    return min(dev, TRIAL) if len(possible) > 1 else 0


def possible_scorings(scoring: str, items: Sequence[Item]) -> tuple[Scoring, ...]:
    """The scorings that `wanted` allows: one, or two where ``auto`` is to be decided by
    `choose_scoring`.

    Raises:
        UserError: unknown name.

    Example:
        >>> possible_scorings("auto", [Item("1", "?", {"A": "x", "B": "y"}, "A")])
        ('letter', 'likelihood')
        >>> possible_scorings("auto", [Item("1", "?", None, "x")])
        ('generate',)
    """
    most = max(option_counts(items), default=0)
    if most > LETTERS and scoring == "letter":
        raise InvalidOption(
            "scoring",
            "letter",
            f"{most} options, of which {LETTERS} can be lettered; use likelihood",
        )
    if scoring == "auto":
        both: tuple[Scoring, ...] = ("letter", "likelihood") if most <= LETTERS else ("likelihood",)
        return both if most else ("generate",)
    for answer_format in _SCORINGS:
        if scoring == answer_format:
            return (answer_format,)
    raise unknown("scoring", scoring, ("auto", *_SCORINGS))
