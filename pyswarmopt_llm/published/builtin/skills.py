"""Generated skills: short questions with right and plausible wrong answers, each a function `rng ->
Draft`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

Partition = Literal["train", "dev", "test"]


class Draft(NamedTuple):
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
NAMES = WORDS["female"] + WORDS["male"]
NUMBERS = WORDS["numbers"]


def _drafted(rng: random.Random, question: str, answer: str, wrong: Iterable[str]) -> Draft:
    """A draft with up to three of the wrong answers, drawn at random."""
    pool = [text for text in dict.fromkeys(wrong) if text != answer]
    return Draft(question, answer, tuple(rng.sample(pool, min(3, len(pool)))))


# Short stories about two numbers below ten.
_STORIES = (
    ("{x} has {a} {things} and gets {b} more. How many has {x} now?", 1),
    ("{x} has {a} {things} and gives away {b}. How many {things} are left?", -1),
    ("{x} has {a} {things}. {y} has {b} more than {x}. How many has {y}?", 1),
    ("{x} has {a} {things}. {y} has {b} fewer than {x}. How many has {y}?", -1),
    ("A box holds {a} {things} and a bag holds {b}. How many {things} in all?", 1),
)


def arithmetic(rng: random.Random) -> Draft:
    """A story; the answer is a number word, the distractors are results of the wrong operation and
    near misses.

    Example:
        >>> draft = arithmetic(random.Random(1))
        >>> draft.answer in draft.distractors
        False
    """
    text, sign = rng.choice(_STORIES)
    result = 0
    while result < 1:
        a = rng.randint(2, 9)
        b = rng.randint(2, 9)
        result = a + sign * b
    x, y = rng.sample(NAMES, 2)
    things = rng.choice(WORDS["fruits"])
    question = text.format(x=x, y=y, things=things, a=NUMBERS[a], b=NUMBERS[b])
    near = [a + b, abs(a - b), *(result + step for step in (-2, -1, 1, 2, -10, 10))]
    return _drafted(rng, question, NUMBERS[result], [NUMBERS[n] for n in near if 0 <= n <= 99])


def shifted(names: Sequence[str], start: str, steps: int) -> str:
    """The name `steps` places after `start` in a cycle (before it if negative).

    Example:
        >>> shifted(WORDS["weekdays"], "Saturday", 3), shifted(WORDS["months"], "March", -4)
        ('Tuesday', 'November')
    """
    return names[(names.index(start) + steps) % len(names)]


_CALENDAR = (
    ("days", WORDS["weekdays"], "On which day"),
    ("months", WORDS["months"], "In which month"),
)


def dates(rng: random.Random) -> Draft:
    """A question about a weekday or a month, a few before or after.

    Example:
        >>> "?" in dates(random.Random(0)).question
        True
    """
    unit, names, which = rng.choice(_CALENDAR)
    word, sign = rng.choice((("after", 1), ("before", -1)))
    start = rng.choice(names)
    steps = rng.randint(2, 4)
    event = f"{rng.choice(NAMES)}'s {rng.choice(WORDS['events'])}"
    move = sign * steps
    near = [move - 1, move + 1, move + 2, -move, 0]
    if unit == "months":
        near = [k * sign for k in (steps - 1, steps + 1, steps + 2, -steps)]
    question = f"{event} is {NUMBERS[steps]} {unit} {word} {start}. {which} is it?"
    wrong = [shifted(names, start, k) for k in near]
    return _drafted(rng, question, shifted(names, start, move), wrong)


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
    return _drafted(rng, question, answer, far)


def random_tree(rng: random.Random, nodes: list[str]) -> list[tuple[str, str]]:
    """The edges of a random tree over the nodes, each in random direction."""
    edges = [(nodes[rng.randrange(i)], nodes[i]) for i in range(1, len(nodes))]
    return [(b, a) if rng.random() < 0.5 else (a, b) for a, b in edges]


# Family relations. COMPOSE[of][kin] is the relation to me of the `kin` of my `of`, where certain:
# the brother of my mother is my uncle. (The brother of my uncle is missing: he may be my father.)
# INVERSE: relation of x to y -> of y to x, for a male and for a female y. The pairs (kin, of) of
# "inner" never lead back to the first person.
_KIN = table("kinship")
COMPOSE: dict[str, dict[str, str]] = _KIN["compose"]
INVERSE: dict[str, tuple[str, str]] = _KIN["inverse"]
_PAIRS = [(kin, of) for of, row in COMPOSE.items() for kin in row]
_RELATIONS = (*INVERSE, "cousin", "brother-in-law", "sister-in-law")


def kinship(rng: random.Random) -> Draft:
    """A question about a relation that follows from one, two or three given ones.

    Example:
        >>> " to " in kinship(random.Random(0)).question
        True
    """
    given = rng.choices((1, 2, 3), weights=(1, 2, 2))[0]
    if given == 1:
        kin = rng.choice(list(INVERSE))
        x, y = _people(rng, kin, "")
        answer = INVERSE[kin][y in WORDS["female"]]
        return _kin_draft(rng, f"{x} is {y}'s {kin}. What is {y} to {x}?", answer, [kin])
    middle = ""
    if given == 2:
        kin, of = rng.choice(_PAIRS)
        known = [of]
    else:  # the brother of the mother of Anna's father
        step, of = rng.choice(_KIN["inner"])
        middle = f"the {step} of "
        known = [COMPOSE[of][step], of]
        kin = rng.choice(list(COMPOSE[known[0]]))
    x, y = _people(rng, kin, of)
    question = f"{x} is the {kin} of {middle}{y}'s {of}. What is {x} to {y}?"
    return _kin_draft(rng, question, COMPOSE[known[0]][kin], [kin, *known])


def _people(rng: random.Random, kin: str, of: str) -> tuple[str, str]:
    """Names (x, y) whose sexes fit "x is the `kin` of y's `of`"."""
    x = rng.choice(WORDS["female" if kin in _KIN["female"] else "male"])
    candidates = {"husband": WORDS["female"], "wife": WORDS["male"]}.get(of, NAMES)
    return x, rng.choice([name for name in candidates if name != x])


def _kin_draft(rng: random.Random, question: str, answer: str, tempting: list[str]) -> Draft:
    female = answer in _KIN["female"]
    same_sex = [r for r in _RELATIONS if (r in _KIN["female"]) == female]
    return _drafted(rng, question, answer, [*tempting, *rng.sample(same_sex, 4)])


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
    topics = table("requests")[business]
    topic, *others = rng.sample(sorted(topics), 4)
    index = rng.randrange(len(topics[topic]))
    desk = _DESKS.get(business, business)
    question = f'What does this customer of the {desk} want? "{topics[topic][index]}"'
    return Draft(question, topic, tuple(others), _listed_in(index, _TRAIN))


def everyday(subject: str, rng: random.Random) -> Draft:
    """A question that most people can answer, written for this package: nothing is trained on it.

    Example:
        >>> everyday("numbers", random.Random(0)).partition
        'test'
    """
    questions = table("everyday")[subject]
    index = rng.randrange(len(questions))
    question, answer, *wrong = questions[index]
    return Draft(question, answer, tuple(wrong), _listed_in(index, 0))


def _listed_in(index: int, train: int) -> Partition:
    """The partition of a question in a list that begins with `train` for training."""
    if index < train:
        return "train"
    if index < train + _DEV:
        return "dev"
    return "test"
