"""FActScore's precision against a table, for `swarm-llm search --metric
examples/objectives/facts.py:score`: the share of a reply's statements that hold.

Min et al. 2023 (arXiv 2305.14251), section 3: a text is broken into atomic facts, and its score is
the mean of 1 for each that a source of knowledge supports, 0 for each other. There a language model
breaks and checks; here a statement is `NAME is VALUE`, and its source the facts beside the prompt:

    {"prompt": "What is known of Oslo?", "facts": {"country": "norway", "coast": "south"}}
"""

import json
import math
import re

STATEMENT = re.compile(r"(\w+) is (\w+)")
LEAST = 3  # statements; fewer pay the length penalty of FActScore's released code (10 there)


def score(reply, item):
    """The share of the different statements of a reply that hold, times exp(1 - LEAST / n) where
    there are n < LEAST of them; 0 where there is none.
    """
    statements = set(STATEMENT.findall(reply.lower()))
    if not statements:
        return 0.0
    facts = json.loads(item.meta["facts"].lower())
    held = sum(facts.get(name) == value for name, value in statements)
    return held / len(statements) * math.exp(min(0.0, 1 - LEAST / len(statements)))
