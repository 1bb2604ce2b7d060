"""Questions that need two skills at once; no expert of one skill was trained on them."""

from __future__ import annotations

import random

import pyswarmopt_llm.tasks.builtin.graph as graph
import pyswarmopt_llm.tasks.builtin.kinship as kinship
import pyswarmopt_llm.tasks.builtin.sentiment as sentiment
from pyswarmopt_llm.tasks.builtin.arithmetic import number_distractors
from pyswarmopt_llm.tasks.builtin.dates import EVENTS, WEEKDAYS, shifted, weekday_distractors
from pyswarmopt_llm.tasks.builtin.sampling import FRUITS, NAMES, Draft, in_words, wrong_answers
from pyswarmopt_llm.tasks.builtin.strings import OPERATIONS

# String operations whose result is a whole word.
_WRITINGS = tuple(instruction for instruction in OPERATIONS if instruction.startswith("Write"))


def tables_arithmetic(rng: random.Random) -> Draft:
    """Look up two numbers and add them."""
    x, y = rng.sample(NAMES, 2)
    fruit, other = rng.sample(FRUITS, 2)
    a, b, c, d = (rng.randint(2, 19) for _ in range(4))
    rows = [((a, fruit), (c, other)), ((b, fruit), (d, other))]
    listed = [", ".join(f"{in_words(n)} {name}" for n, name in rng.sample(row, 2)) for row in rows]
    question = f"{x}: {listed[0]}. {y}: {listed[1]}. How many {fruit} do {x} and {y} have together?"
    return Draft(question, in_words(a + b), number_distractors(rng, a + b, (c + d, a + c, b + d, a + d)))


def arithmetic_dates(rng: random.Random) -> Draft:
    """Add two numbers and count that many weekdays."""
    start, a, b = rng.choice(WEEKDAYS), rng.randint(2, 9), rng.randint(2, 9)
    event, days = rng.choice(EVENTS), f"{in_words(a)} plus {in_words(b)} days"
    question = f"The {event} is {days} after {start}. On which day is it?"
    return Draft(question, shifted(WEEKDAYS, start, a + b), weekday_distractors(rng, start, a + b))


def kinship_dates(rng: random.Random) -> Draft:
    """Identify which of two relatives is meant, then count weekdays."""
    y = rng.choice(NAMES)
    relatives = _two_relatives(rng, y)
    days = rng.sample(WEEKDAYS, 2)
    steps = [rng.randint(2, 5) for _ in range(2)]
    visits = [shifted(WEEKDAYS, day, n) for day, n in zip(days, steps, strict=True)]
    if visits[0] == visits[1]:
        steps[1] += 1
        visits[1] = shifted(WEEKDAYS, visits[1], 1)
    visits_text = [
        f"{x}, the {kin} of {y}'s {of}, comes {in_words(n)} days after {day}."
        for (x, kin, of), n, day in zip(relatives, steps, days, strict=True)
    ]
    k = rng.randrange(2)
    _, kin, of = relatives[k]
    question = f"{visits_text[0]} {visits_text[1]} On which day does {y}'s {kinship.COMPOSE[of][kin]} come?"
    answer = visits[k]
    near = weekday_distractors(rng, days[k], steps[k])
    return Draft(question, answer, wrong_answers(rng, answer, (visits[1 - k], *near)))


def sentiment_strings(rng: random.Random) -> Draft:
    """Classify a review, then transform the label."""
    label, other = rng.sample(("positive", "negative"), 2)
    question = f'Review: "{sentiment.review(rng, label)}" Is it positive or negative? {{}}'
    return _written(rng, question, "the answer", label, other)


def kinship_strings(rng: random.Random) -> Draft:
    """Work out a relation, then transform the word for it."""
    relation = kinship.make_composed(rng)
    return _written(rng, relation.question + " {}", "the answer", relation.answer, relation.distractors[0])


def graph_tables(rng: random.Random) -> Draft:
    """Follow a road, then look up a number for the town at its end."""
    towns = rng.sample(graph.TOWNS, 4)
    roads = [(towns[0], towns[1]), (towns[2], towns[3])]
    roads = [pair if rng.random() < 0.5 else pair[::-1] for pair in rng.sample(roads, 2)]
    hotels = dict(zip(rng.sample(towns, 4), rng.sample(range(2, 21), 4), strict=True))
    listed = ", ".join(f"{a}-{b}" for a, b in roads)
    counts = ", ".join(f"{town} {n}" for town, n in hotels.items())
    target = f"How many hotels has the town that can be reached from {towns[0]}?"
    question = f"Roads: {listed}. Hotels: {counts}. {target}"
    answer = str(hotels[towns[1]])
    return Draft(question, answer, wrong_answers(rng, answer, map(str, hotels.values())))


def _two_relatives(rng: random.Random, y: str) -> list[tuple[str, str, str]]:
    """Two people (name, kin, of) who are different relations of `y`."""
    while True:
        pairs = [(kin, of) for of in ("mother", "father", "brother", "sister") for kin in kinship.COMPOSE[of]]
        relatives = [(kinship.people(rng, kin, of)[0], kin, of) for kin, of in rng.sample(pairs, 2)]
        relations = {kinship.COMPOSE[of][kin] for _, kin, of in relatives}
        if len({y, *(x for x, _, _ in relatives)}) == 3 and len(relations) == 2:
            return relatives


def _written(rng: random.Random, question: str, what: str, answer: str, other: str) -> Draft:
    """A question for `answer` in another spelling; distractors: another word, another spelling, and both."""
    instruction, wrong_one = rng.sample(_WRITINGS, 2)
    right, wrong = OPERATIONS[instruction], OPERATIONS[wrong_one]
    distractors = (right(other), wrong(answer), wrong(other))
    return Draft(question.format(instruction.format(what)), right(answer), distractors)


COMPOSITES = {
    "tables+arithmetic": tables_arithmetic,
    "arithmetic+dates": arithmetic_dates,
    "kinship+dates": kinship_dates,
    "sentiment+strings": sentiment_strings,
    "kinship+strings": kinship_strings,
    "graph+tables": graph_tables,
}
