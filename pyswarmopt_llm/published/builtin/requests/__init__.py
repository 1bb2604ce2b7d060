"""Requests to the service desks of eight businesses: which of the desk's topics is one about?

The texts stand in ``requests.json``: business -> topic -> 20 requests, 12 of them for training, 3
for dev, 5 for test.
"""

from __future__ import annotations

import json
import random
from functools import cache
from importlib.resources import files

from pyswarmopt_llm.published.builtin.sampling import Draft, Maker, Partition

BUSINESSES = ("bank", "travel", "home", "clinic", "library", "shop", "internet", "restaurant")

# How the question calls them.
_DESKS = {
    "travel": "travel agency",
    "home": "smart home",
    "shop": "online shop",
    "internet": "internet provider",
}


def maker(business: str) -> Maker:
    """Questions of one business; the options are topics of its own.

    Example:
        >>> draft = maker("library")(random.Random(0))
        >>> draft.answer, draft.distractors
        ('settle a fine', ('suggest a purchase', 'extend a loan', 'become a member'))
    """

    def make(rng: random.Random) -> Draft:
        topics = _texts()[business]
        topic, *others = rng.sample(sorted(topics), 4)
        place = rng.randrange(len(topics[topic]))
        desk, text = _DESKS.get(business, business), topics[topic][place]
        return Draft(
            f'What does this customer of the {desk} want? "{text}"',
            topic,
            tuple(others),
            _partition(place),
        )

    return make


def _partition(place: int) -> Partition:
    return "train" if place < 12 else "dev" if place < 15 else "test"


@cache
def _texts() -> dict[str, dict[str, list[str]]]:
    texts: dict[str, dict[str, list[str]]] = json.loads(
        files(__package__).joinpath("requests.json").read_text("utf-8")
    )
    return texts
