"""Sentiment of short reviews from templates, with negation, contrast and failed expectations."""

from __future__ import annotations

import random

from pyswarmopt_llm.tasks.builtin.sampling import Draft

LABELS = ("positive", "negative", "mixed", "neutral")

GOOD = ("good", "great", "lovely", "excellent", "pleasant", "wonderful", "superb", "charming")
BAD = ("bad", "awful", "terrible", "boring", "poor", "dreadful", "horrible", "disappointing")
THINGS = (
    "food", "service", "room", "film", "book", "music", "staff", "view", "soup", "game", "garden",
    "hotel", "show", "story", "coffee", "pool",
)  # fmt: skip
FACTS = (
    "opens at nine", "has two doors", "is near the station", "closes on Mondays", "is on the left",
    "was built in May", "has a blue sign", "starts at seven",
)  # fmt: skip
_NEGATIONS = ("not", "never", "anything but")


def make(rng: random.Random) -> Draft:
    """A review of one or two clauses; the options are always the four labels.

    Example:
        >>> sorted((lambda d: (d.answer, *d.distractors))(make(random.Random(0))))
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
        return f"The {first} was {_phrase(rng, good)} but the {second} was {_phrase(rng, not good)}."
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
