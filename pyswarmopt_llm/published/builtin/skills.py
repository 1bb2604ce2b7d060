"""Generated skills: short questions with right and plausible wrong answers, each a function `rng ->
Draft`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Partition = Literal["train", "dev", "test"]


@dataclass(frozen=True)
class Draft:
    """A question with its right answer and wrong answers, before ordering the options.

    Attributes:
        question: text of the question.
        answer: the right option.
        distractors: wrong options.
        partition: partition of a question from a list; None: `partition_of` decides.
    """

    question: str
    answer: str
    distractors: tuple[str, ...]
    partition: Partition | None = None


Maker = Callable[[random.Random], Draft]


@cache
def table(name: str) -> Any:
    """The content of a JSON file in this folder."""
    return json.loads(files(__package__).joinpath(f"{name}.json").read_text("utf-8"))


WORDS: dict[str, list[str]] = table("words")
FEMALE = WORDS["female"]
MALE = WORDS["male"]
NAMES = FEMALE + MALE
WEEKDAYS = WORDS["weekdays"]
MONTHS = WORDS["months"]
NUMBERS = WORDS["numbers"]


def wrong_answers(rng: random.Random, answer: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """Up to three distinct candidates other than the answer, drawn at random."""
    pool = [c for c in dict.fromkeys(candidates) if c != answer]
    return tuple(rng.sample(pool, min(3, len(pool))))


# Short stories about two numbers below ten.
_STORIES: tuple[tuple[str, Callable[[int, int], int]], ...] = (
    ("{x} has {a} {things} and gets {b} more. How many has {x} now?", lambda a, b: a + b),
    ("{x} has {a} {things} and gives away {b}. How many {things} are left?", lambda a, b: a - b),
    ("{x} has {a} {things}. {y} has {b} more than {x}. How many has {y}?", lambda a, b: a + b),
    ("{x} has {a} {things}. {y} has {b} fewer than {x}. How many has {y}?", lambda a, b: a - b),
    ("A box holds {a} {things} and a bag holds {b}. How many {things} in all?", lambda a, b: a + b),
)


def arithmetic(rng: random.Random) -> Draft:
    """A story; the answer is a number word, the distractors are results of the wrong operation and
    near misses.

    Example:
        >>> draft = arithmetic(random.Random(1))
        >>> draft.answer in draft.distractors
        False
    """
    text, solve = rng.choice(_STORIES)
    result = 0
    while result < 1:
        a = rng.randint(2, 9)
        b = rng.randint(2, 9)
        result = solve(a, b)
    x, y = rng.sample(NAMES, 2)
    things = rng.choice(WORDS["fruits"])
    question = text.format(x=x, y=y, things=things, a=NUMBERS[a], b=NUMBERS[b])
    near = [a + b, abs(a - b), *(result + step for step in (-2, -1, 1, 2, -10, 10))]
    wrong = wrong_answers(rng, NUMBERS[result], (NUMBERS[n] for n in near if 0 <= n <= 99))
    return Draft(question, NUMBERS[result], wrong)


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
    start = rng.choice(names)
    steps = rng.randint(2, 4)
    event = f"{rng.choice(NAMES)}'s {rng.choice(WORDS['events'])}"
    move = sign * steps
    near = [move - 1, move + 1, move + 2, -move, 0]
    if names is MONTHS:
        near = [k * sign for k in (steps - 1, steps + 1, steps + 2, -steps)]
    question = f"{event} is {NUMBERS[steps]} {unit} {word} {start}. {which} is it?"
    answer = shifted(names, start, move)
    wrong = wrong_answers(rng, answer, [shifted(names, start, k) for k in near])
    return Draft(question, answer, wrong)


def graph(rng: random.Random) -> Draft:
    """Two separate road networks; exactly one option can be reached, over one or two roads.

    Example:
        >>> graph(random.Random(3)).question.startswith("Roads: ")
        True
    """
    near_size = rng.randint(2, 3)
    towns = rng.sample(WORDS["towns"], near_size + 3)
    near = towns[:near_size]
    far = towns[near_size:]
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


# Family relations. COMPOSE[of][kin] is the relation to me of the `kin` of my `of`, where certain:
# the brother of my mother is my uncle. (The brother of my uncle is missing: he may be my father.)
# INVERSE: relation of x to y -> of y to x, for a male and for a female y. The pairs (kin, of) of
# INNER never lead back to the first person.
_KIN = table("kinship")
COMPOSE: dict[str, dict[str, str]] = _KIN["compose"]
INVERSE: dict[str, tuple[str, str]] = _KIN["inverse"]
INNER: list[tuple[str, str]] = _KIN["inner"]
_FEMALE_KIN: list[str] = _KIN["female"]
_PAIRS = tuple((kin, of) for of, row in COMPOSE.items() for kin in row)
_RELATIONS = (*INVERSE, "cousin", "brother-in-law", "sister-in-law")


def kinship(rng: random.Random) -> Draft:
    """A question about a relation that follows from one, two or three given ones.

    Example:
        >>> " to " in kinship(random.Random(0)).question
        True
    """
    return rng.choices((_inverse, _composed, _chain), weights=(1, 2, 2))[0](rng)


def _inverse(rng: random.Random) -> Draft:
    relation = rng.choice(list(INVERSE))
    x, y = _people(rng, relation, "")
    question = f"{x} is {y}'s {relation}. What is {y} to {x}?"
    return _kin_draft(rng, question, INVERSE[relation][y in FEMALE], (relation,))


def _composed(rng: random.Random) -> Draft:
    """A question over two steps: the brother of Anna's mother."""
    kin, of = rng.choice(_PAIRS)
    x, y = _people(rng, kin, of)
    question = f"{x} is the {kin} of {y}'s {of}. What is {x} to {y}?"
    return _kin_draft(rng, question, COMPOSE[of][kin], (kin, of))


def _chain(rng: random.Random) -> Draft:
    middle, of = rng.choice(INNER)
    link = COMPOSE[of][middle]
    kin = rng.choice(list(COMPOSE[link]))
    x, y = _people(rng, kin, of)
    question = f"{x} is the {kin} of the {middle} of {y}'s {of}. What is {x} to {y}?"
    return _kin_draft(rng, question, COMPOSE[link][kin], (kin, link, of))


def _people(rng: random.Random, kin: str, of: str) -> tuple[str, str]:
    """Names (x, y) whose sexes fit "x is the `kin` of y's `of`"."""
    x = rng.choice(FEMALE if kin in _FEMALE_KIN else MALE)
    candidates = {"husband": FEMALE, "wife": MALE}.get(of, NAMES)
    return x, rng.choice([name for name in candidates if name != x])


def _kin_draft(rng: random.Random, question: str, answer: str, tempting: tuple[str, ...]) -> Draft:
    female = answer in _FEMALE_KIN
    same_sex = [r for r in _RELATIONS if (r in _FEMALE_KIN) == female]
    candidates = [*tempting, *rng.sample(same_sex, 4)]
    return Draft(question, answer, wrong_answers(rng, answer, candidates))


# The name of a desk in a question about a request; by default the business's name.
_DESKS = {
    "travel": "travel agency",
    "home": "smart home",
    "shop": "online shop",
    "internet": "internet provider",
}
# Of 20 requests per topic in ``requests.json``; the others are for test, as are 17 of the 20
# questions per subject in ``everyday.json``.
_TRAIN = 12
_DEV = 3


def requests(business: str, rng: random.Random) -> Draft:
    """A question to the service desk of a business; the options are its topics.

    Example:
        >>> draft = requests("library", random.Random(0))
        >>> draft.answer, draft.distractors
        ('settle a fine', ('suggest a purchase', 'extend a loan', 'become a member'))
    """
    topics: dict[str, list[str]] = table("requests")[business]
    topic, *others = rng.sample(sorted(topics), 4)
    index = rng.randrange(len(topics[topic]))
    desk = _DESKS.get(business, business)
    question = f'What does this customer of the {desk} want? "{topics[topic][index]}"'
    partition: Partition = "train"
    if index >= _TRAIN:
        partition = "dev" if index < _TRAIN + _DEV else "test"
    return Draft(question, topic, tuple(others), partition)


def everyday(subject: str, rng: random.Random) -> Draft:
    """A question that most people can answer, written for this package: nothing is trained on it.

    Example:
        >>> everyday("numbers", random.Random(0)).partition
        'test'
    """
    questions: list[list[str]] = table("everyday")[subject]
    index = rng.randrange(len(questions))
    question, answer, *wrong = questions[index]
    return Draft(question, answer, tuple(wrong), "dev" if index < _DEV else "test")
