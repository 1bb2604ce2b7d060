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

# Arithmetic in words: short stories about two numbers below ten.


_STORIES: tuple[tuple[str, Callable[[int, int], int]], ...] = (
    ("{x} has {a} {things} and gets {b} more. How many has {x} now?", lambda a, b: a + b),
    ("{x} has {a} {things} and gives away {b}. How many {things} are left?", lambda a, b: a - b),
    ("{x} has {a} {things}. {y} has {b} more than {x}. How many has {y}?", lambda a, b: a + b),
    ("{x} has {a} {things}. {y} has {b} fewer than {x}. How many has {y}?", lambda a, b: a - b),
    ("A box holds {a} {things} and a bag holds {b}. How many {things} in all?", lambda a, b: a + b),
)


def arithmetic(rng: random.Random) -> Draft:
    """One story; the answer is a number word.

    Example:
        >>> draft = arithmetic(random.Random(1))
        >>> draft.answer in draft.distractors
        False
    """
    text, solve = rng.choice(_STORIES)
    while True:
        a, b = rng.randint(2, 9), rng.randint(2, 9)
        result = solve(a, b)
        if result >= 1:
            break
    x, y = rng.sample(NAMES, 2)
    question = text.format(x=x, y=y, things=rng.choice(FRUITS), a=in_words(a), b=in_words(b))
    return Draft(question, in_words(result), number_distractors(rng, result, (a + b, abs(a - b))))


def number_distractors(
    rng: random.Random, result: int, tempting: tuple[int, ...]
) -> tuple[str, ...]:
    """Three wrong number words: results of the wrong operation and near misses."""
    candidates = (
        *tempting,
        result - 2,
        result - 1,
        result + 1,
        result + 2,
        result - 10,
        result + 10,
    )
    return wrong_answers(rng, in_words(result), (in_words(n) for n in candidates if 0 <= n <= 99))


# Date arithmetic: weekdays and months, a few before or after.


WEEKDAYS = WORDS["weekdays"]
MONTHS = WORDS["months"]
EVENTS = WORDS["events"]


def shifted(names: Sequence[str], start: str, steps: int) -> str:
    """The name `steps` places after `start` in a cycle (before it if negative).

    Example:
        >>> shifted(WEEKDAYS, "Saturday", 3), shifted(MONTHS, "March", -4)
        ('Tuesday', 'November')
    """
    return names[(names.index(start) + steps) % len(names)]


def dates(rng: random.Random) -> Draft:
    """A question about a weekday or a month.

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


# Graph reachability: which town can be reached over one or two roads.


TOWNS = WORDS["towns"]


def graph(rng: random.Random) -> Draft:
    """Two separate road networks; exactly one option is right.

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


# Table look-up: read a cell or find a row in a table of three people and two fruits.


def tables(rng: random.Random) -> Draft:
    """A table of six different numbers and a question about one of them.

    Example:
        >>> len(tables(random.Random(0)).question.splitlines())
        4
    """
    names, fruits = rng.sample(NAMES, 3), rng.sample(FRUITS, 2)
    numbers = rng.sample(range(1, 21), 6)
    table = {
        name: dict(zip(fruits, numbers[2 * i : 2 * i + 2], strict=True))
        for i, name in enumerate(names)
    }
    lines = [
        f"{name}: " + ", ".join(f"{n} {fruit}" for fruit, n in row.items())
        for name, row in table.items()
    ]
    name, fruit = rng.choice(names), rng.choice(fruits)
    if rng.random() < 0.5:
        question, answer = f"How many {fruit} does {name} have?", str(table[name][fruit])
        wrong = wrong_answers(rng, answer, map(str, numbers))
    else:
        question, answer = f"Who has {table[name][fruit]} {fruit}?", name
        wrong = wrong_answers(rng, answer, names)
    return Draft("\n".join([*lines, question]), answer, wrong)


# String transformation: made-up words written backwards, in capitals, without a letter, ...


_CONSONANTS = "bdfgklmnprstvz"
_VOWELS = "aeiou"

# Instruction -> function; {} is replaced by the word.
OPERATIONS: dict[str, Callable[[str], str]] = {
    "Write {} backwards.": lambda w: w[::-1],
    "Write {} in capital letters.": str.upper,
    "Write {} twice, without a space.": lambda w: w + w,
    "Write {} without its first letter.": lambda w: w[1:],
    "Write {} without its last letter.": lambda w: w[:-1],
    "Swap the first and the last letter of {}.": lambda w: w[-1] + w[1:-1] + w[0],
    "What is the first letter of {}?": lambda w: w[0],
    "What is the last letter of {}?": lambda w: w[-1],
    "What is the third letter of {}?": lambda w: w[2],
}


def strings(rng: random.Random) -> Draft:
    """An instruction on a made-up word of four to six letters.

    Example:
        >>> strings(random.Random(5)).question.count('"')
        2
    """
    word = "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(rng.randint(2, 3)))
    instruction, operation = rng.choice(list(OPERATIONS.items()))
    answer = operation(word)
    question = instruction.format(f'"{word}"')
    return Draft(question, answer, wrong_answers(rng, answer, _other_spellings(word, answer)))


def _other_spellings(word: str, answer: str) -> list[str]:
    """Plausible mistakes: another letter or operation, two neighbouring letters swapped."""
    if len(answer) == 1:
        return [*word, *_VOWELS] if len(set(word)) < 4 else [*word]
    others = [operation(word) for operation in OPERATIONS.values()]
    swapped = [
        answer[:i] + answer[i + 1] + answer[i] + answer[i + 2 :] for i in range(len(answer) - 1)
    ]
    return [other for other in others if len(other) > 1] + swapped


# Sentiment of short reviews from templates, with negation, contrast and failed expectations.


LABELS = ("positive", "negative", "mixed", "neutral")

GOOD = WORDS["good"]
BAD = WORDS["bad"]
THINGS = WORDS["things"]
FACTS = WORDS["facts"]
_NEGATIONS = ("not", "never", "anything but")


def sentiment(rng: random.Random) -> Draft:
    """A review of one or two clauses; the options are always the four labels.

    Example:
        >>> sorted((lambda d: (d.answer, *d.distractors))(sentiment(random.Random(0))))
        ['mixed', 'negative', 'neutral', 'positive']
    """
    label = rng.choice(LABELS)
    question = f'Review: "{review(rng, label)}" What is the sentiment of the review?'
    return Draft(question, label, tuple(other for other in LABELS if other != label))


def review(rng: random.Random, label: str) -> str:
    """A review with the given sentiment."""
    first, second = rng.sample(THINGS, 2)
    if label == "neutral":
        facts = rng.sample(FACTS, 2)
        return f"The {first} {facts[0]} and the {second} {facts[1]}."
    if label == "mixed":
        good = rng.random() < 0.5
        return (
            f"The {first} was {_phrase(rng, good)} but the {second} was {_phrase(rng, not good)}."
        )
    good = label == "positive"
    if rng.random() < 0.4:
        hoped = rng.choice(BAD if good else GOOD)
        return f"I expected the {first} to be {hoped}, but it was {_phrase(rng, good)}."
    return f"The {first} was {_phrase(rng, good)} and the {second} was {_phrase(rng, good)}."


def _phrase(rng: random.Random, good: bool) -> str:
    """An adjective of the given polarity, or a negated opposite."""
    if rng.random() < 0.5:
        return rng.choice(GOOD if good else BAD)
    return f"{rng.choice(_NEGATIONS)} {rng.choice(BAD if good else GOOD)}"
