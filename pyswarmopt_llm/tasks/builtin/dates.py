"""Date arithmetic: weekdays and months, a few before or after."""

from __future__ import annotations

import random

from pyswarmopt_llm.tasks.builtin.sampling import NAMES, Draft, in_words, wrong_answers

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
EVENTS = (
    "concert", "exam", "meeting", "party", "wedding", "race", "play", "market", "lecture", "match",
    "trip", "dinner",
)  # fmt: skip


def make(rng: random.Random) -> Draft:
    """A question about a weekday or a month.

    Example:
        >>> "?" in make(random.Random(0)).question
        True
    """
    return rng.choice((_weekday, _month))(rng)


def shifted(names: tuple[str, ...], start: str, steps: int) -> str:
    """The name `steps` places after `start` in a cycle (before it if negative).

    Example:
        >>> shifted(WEEKDAYS, "Saturday", 3), shifted(MONTHS, "March", -4)
        ('Tuesday', 'November')
    """
    return names[(names.index(start) + steps) % len(names)]


def weekday_distractors(rng: random.Random, start: str, steps: int) -> tuple[str, ...]:
    """Three wrong weekdays: near misses, the wrong direction, no move at all."""
    candidates = [shifted(WEEKDAYS, start, k) for k in (steps - 1, steps + 1, steps + 2, -steps, 0)]
    return wrong_answers(rng, shifted(WEEKDAYS, start, steps), candidates)


def _direction(rng: random.Random) -> tuple[str, int]:
    return rng.choice((("after", 1), ("before", -1)))


def _event(rng: random.Random) -> str:
    return f"{rng.choice(NAMES)}'s {rng.choice(EVENTS)}"


def _weekday(rng: random.Random) -> Draft:
    word, sign = _direction(rng)
    start, steps = rng.choice(WEEKDAYS), rng.randint(2, 4)
    question = f"{_event(rng)} is {in_words(steps)} days {word} {start}. On which day is it?"
    answer = shifted(WEEKDAYS, start, sign * steps)
    return Draft(question, answer, weekday_distractors(rng, start, sign * steps))


def _month(rng: random.Random) -> Draft:
    word, sign = _direction(rng)
    start, steps = rng.choice(MONTHS), rng.randint(2, 4)
    question = f"{_event(rng)} is {in_words(steps)} months {word} {start}. In which month is it?"
    answer = shifted(MONTHS, start, sign * steps)
    candidates = [shifted(MONTHS, start, k * sign) for k in (steps - 1, steps + 1, steps + 2, -steps)]
    return Draft(question, answer, wrong_answers(rng, answer, candidates))
