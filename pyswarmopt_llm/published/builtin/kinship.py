"""Kinship: what one person is to another, over one, two or three steps of a family."""

from __future__ import annotations

import random

from pyswarmopt_llm.published.builtin.sampling import FEMALE, MALE, Draft, table, wrong_answers

_KIN = table("kinship")
# COMPOSE[of][kin] is the relation to me of the `kin` of my `of`, where it is certain: the brother
# of my mother is my uncle. (The brother of my uncle is missing: he may be my father.)
COMPOSE: dict[str, dict[str, str]] = _KIN["compose"]

# Inner steps of a three-step chain: pairs (kin, of) that never lead back to the first person.
_INNER = tuple(
    [(kin, of) for kin in ("mother", "father", "brother", "sister") for of in ("mother", "father")]
    + [(kin, of) for kin in ("son", "daughter") for of in ("brother", "sister", "son", "daughter")]
)

# Relation of x to y -> relation of y to x, for a male and for a female y.
INVERSE: dict[str, tuple[str, str]] = _KIN["inverse"]

_PAIRS = tuple((kin, of) for of, row in COMPOSE.items() for kin in row)
_FEMALE_KIN: list[str] = _KIN["female"]
_RELATIONS = (*INVERSE, "cousin", "brother-in-law", "sister-in-law")


def make(rng: random.Random) -> Draft:
    """A question about a relation that follows from the one, two or three given.

    Example:
        >>> " to " in make(random.Random(0)).question
        True
    """
    return rng.choices((_inverse, _composed, _chain), weights=(1, 2, 2))[0](rng)


def _composed(rng: random.Random) -> Draft:
    """A question over two steps: the brother of Anna's mother."""
    kin, of = rng.choice(_PAIRS)
    x, y = people(rng, kin, of)
    question = f"{x} is the {kin} of {y}'s {of}. What is {x} to {y}?"
    return _draft(rng, question, COMPOSE[of][kin], (kin, of))


def people(rng: random.Random, kin: str, of: str) -> tuple[str, str]:
    """Names (x, y) whose sexes fit "x is the `kin` of y's `of`"."""
    x = rng.choice(FEMALE if kin in _FEMALE_KIN else MALE)
    candidates = {"husband": FEMALE, "wife": MALE}.get(of, FEMALE + MALE)
    return x, rng.choice([name for name in candidates if name != x])


def _chain(rng: random.Random) -> Draft:
    middle, of = rng.choice(_INNER)
    link = COMPOSE[of][middle]
    kin = rng.choice(list(COMPOSE[link]))
    x, y = people(rng, kin, of)
    question = f"{x} is the {kin} of the {middle} of {y}'s {of}. What is {x} to {y}?"
    return _draft(rng, question, COMPOSE[link][kin], (kin, link, of))


def _inverse(rng: random.Random) -> Draft:
    relation = rng.choice(list(INVERSE))
    x, y = people(rng, relation, "")
    question = f"{x} is {y}'s {relation}. What is {y} to {x}?"
    return _draft(rng, question, INVERSE[relation][y in FEMALE], (relation,))


def _draft(rng: random.Random, question: str, answer: str, tempting: tuple[str, ...]) -> Draft:
    female = answer in _FEMALE_KIN
    same_sex = [r for r in _RELATIONS if (r in _FEMALE_KIN) == female]
    candidates = [*tempting, *rng.sample(same_sex, 4)]
    return Draft(question, answer, wrong_answers(rng, answer, candidates))
