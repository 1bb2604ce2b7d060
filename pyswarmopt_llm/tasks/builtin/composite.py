"""Questions that need two skills at once; no expert of one skill was trained on them."""

from __future__ import annotations

import random

import pyswarmopt_llm.tasks.builtin.kinship as kinship
import pyswarmopt_llm.tasks.builtin.sentiment as sentiment
from pyswarmopt_llm.tasks.builtin.arithmetic import number_distractors
from pyswarmopt_llm.tasks.builtin.sampling import FRUITS, NAMES, Draft, in_words
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


def sentiment_strings(rng: random.Random) -> Draft:
    """Classify a review, then transform the label."""
    label, other = rng.sample(("positive", "negative"), 2)
    question = f'Review: "{sentiment.review(rng, label)}" Is it positive or negative? {{}}'
    return _written(rng, question, "the answer", label, other)


def kinship_strings(rng: random.Random) -> Draft:
    """Work out a relation, then transform the word for it."""
    relation = kinship.make_composed(rng)
    return _written(rng, relation.question + " {}", "the answer", relation.answer, relation.distractors[0])


def _written(rng: random.Random, question: str, what: str, answer: str, other: str) -> Draft:
    """A question for `answer` in another spelling; distractors: another word, another spelling, and both."""
    instruction, wrong_one = rng.sample(_WRITINGS, 2)
    right, wrong = OPERATIONS[instruction], OPERATIONS[wrong_one]
    distractors = (right(other), wrong(answer), wrong(other))
    return Draft(question.format(instruction.format(what)), right(answer), distractors)


COMPOSITES = {
    "tables+arithmetic": tables_arithmetic,
    "sentiment+strings": sentiment_strings,
    "kinship+strings": kinship_strings,
}
