"""Arithmetic in words: short stories about two numbers below ten."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from pyswarmopt_llm.tasks.builtin.sampling import FRUITS, NAMES, Draft, in_words, wrong_answers


@dataclass(frozen=True)
class _Story:
    text: str
    solve: Callable[[int, int], int]


_STORIES = (
    _Story("{x} has {a} {things} and gets {b} more. How many has {x} now?", lambda a, b: a + b),
    _Story("{x} has {a} {things} and gives away {b}. How many {things} are left?", lambda a, b: a - b),
    _Story("{x} has {a} {things}. {y} has {b} more than {x}. How many has {y}?", lambda a, b: a + b),
    _Story("{x} has {a} {things}. {y} has {b} fewer than {x}. How many has {y}?", lambda a, b: a - b),
    _Story("A box holds {a} {things} and a bag holds {b}. How many {things} in all?", lambda a, b: a + b),
)


def make(rng: random.Random) -> Draft:
    """One story; the answer is a number word.

    Example:
        >>> draft = make(random.Random(1))
        >>> draft.answer in draft.distractors
        False
    """
    story = rng.choice(_STORIES)
    while True:
        a, b = rng.randint(2, 9), rng.randint(2, 9)
        result = story.solve(a, b)
        if result >= 1:
            break
    x, y = rng.sample(NAMES, 2)
    question = story.text.format(x=x, y=y, things=rng.choice(FRUITS), a=in_words(a), b=in_words(b))
    return Draft(question, in_words(result), number_distractors(rng, result, (a + b, abs(a - b))))


def number_distractors(rng: random.Random, result: int, tempting: tuple[int, ...]) -> tuple[str, ...]:
    """Three wrong number words: results of the wrong operation and near misses."""
    candidates = (*tempting, result - 2, result - 1, result + 1, result + 2, result - 10, result + 10)
    return wrong_answers(rng, in_words(result), (in_words(n) for n in candidates if 0 <= n <= 99))
