"""Generated skills: short questions from templates, with right and tempting wrong answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from pyswarmopt_llm.published.builtin.sampling import (
    FRUITS,
    NAMES,
    WORDS,
    Draft,
    in_words,
    wrong_answers,
)

WEEKDAYS, MONTHS, EVENTS, TOWNS = (
    WORDS[name] for name in ("weekdays", "months", "events", "towns")
)
# Short stories about two numbers below ten.
_STORIES: tuple[tuple[str, Callable[[int, int], int]], ...] = (
    ("{x} has {a} {things} and gets {b} more. How many has {x} now?", lambda a, b: a + b),
    ("{x} has {a} {things} and gives away {b}. How many {things} are left?", lambda a, b: a - b),
    ("{x} has {a} {things}. {y} has {b} more than {x}. How many has {y}?", lambda a, b: a + b),
    ("{x} has {a} {things}. {y} has {b} fewer than {x}. How many has {y}?", lambda a, b: a - b),
    ("A box holds {a} {things} and a bag holds {b}. How many {things} in all?", lambda a, b: a + b),
)


def arithmetic(rng: random.Random) -> Draft:
    """One story; the answer is a number word, the others results of the wrong operation and near
    misses.

    Example:
        >>> draft = arithmetic(random.Random(1))
        >>> draft.answer in draft.distractors
        False
    """
    text, solve = rng.choice(_STORIES)
    result = 0
    while result < 1:
        a, b = rng.randint(2, 9), rng.randint(2, 9)
        result = solve(a, b)
    x, y = rng.sample(NAMES, 2)
    question = text.format(x=x, y=y, things=rng.choice(FRUITS), a=in_words(a), b=in_words(b))
    near = [a + b, abs(a - b), *(result + step for step in (-2, -1, 1, 2, -10, 10))]
    wrong = wrong_answers(rng, in_words(result), (in_words(n) for n in near if 0 <= n <= 99))
    return Draft(question, in_words(result), wrong)


def shifted(names: Sequence[str], start: str, steps: int) -> str:
    """The name `steps` places after `start` in a cycle (before it if negative).

    Example:
        >>> shifted(WEEKDAYS, "Saturday", 3), shifted(MONTHS, "March", -4)
        ('Tuesday', 'November')
    """
    return names[(names.index(start) + steps) % len(names)]


def dates(rng: random.Random) -> Draft:
    """A question about a weekday or a month, a few before or after.

    Example:
        >>> "?" in dates(random.Random(0)).question
        True
    """
    unit, names, which = rng.choice(
        (("days", WEEKDAYS, "On which day"), ("months", MONTHS, "In which month"))
    )
    word, sign = rng.choice((("after", 1), ("before", -1)))
    start, steps = rng.choice(names), rng.randint(2, 4)
    event = f"{rng.choice(NAMES)}'s {rng.choice(EVENTS)}"
    move = sign * steps
    near = [move - 1, move + 1, move + 2, -move, 0]
    if names is MONTHS:
        near = [k * sign for k in (steps - 1, steps + 1, steps + 2, -steps)]
    question = f"{event} is {in_words(steps)} {unit} {word} {start}. {which} is it?"
    answer = shifted(names, start, move)
    return Draft(
        question, answer, wrong_answers(rng, answer, [shifted(names, start, k) for k in near])
    )


def graph(rng: random.Random) -> Draft:
    """Two separate road networks; exactly one option can be reached, over one or two roads.

    Example:
        >>> graph(random.Random(3)).question.startswith("Roads: ")
        True
    """
    near_size = rng.randint(2, 3)
    towns = rng.sample(TOWNS, near_size + 3)
    near, far = towns[:near_size], towns[near_size:]
    roads = random_tree(rng, near) + random_tree(rng, far)
    rng.shuffle(roads)
    listed = ", ".join(f"{a}-{b}" for a, b in roads)
    start, *reachable = rng.sample(near, near_size)
    answer = rng.choice(reachable)
    question = f"Roads: {listed}. Which town can be reached from {start}?"
    return Draft(question, answer, wrong_answers(rng, answer, far))


def random_tree(rng: random.Random, nodes: list[str]) -> list[tuple[str, str]]:
    """The edges of a random tree over the nodes, each in random direction."""
    edges = [(nodes[rng.randrange(i)], nodes[i]) for i in range(1, len(nodes))]
    return [(b, a) if rng.random() < 0.5 else (a, b) for a, b in edges]
