"""FActScore's precision against a table, for `swarm-llm search --metric
examples/objectives/facts.py:score`: the share of a reply's statements that are true.

Min et al. 2023 (arXiv 2305.14251), section 3: a text is broken into atomic facts, and its score is
the share of facts that a knowledge source supports. In the paper, a language model extracts and
checks the facts. Here, a statement is `NAME is VALUE`, and the source is the prompt's own facts:

    {"prompt": "What is known of Oslo?", "facts": {"country": "norway", "coast": "south"}}
"""

import json
import math
import re

STATEMENT = re.compile(r"(\w+) is (\w+)")
LEAST = 3  # fewer statements incur the length penalty of FActScore's released code (10 there)


def score(reply, item):
    """The share of a reply's distinct statements that are true, times exp(1 - LEAST / n) if there are
    n < LEAST statements; 0 if there are none.
    """
    statements = set(STATEMENT.findall(reply.lower()))
    if not statements:
        return 0.0
    facts = json.loads(item.meta["facts"].lower())
    held = sum(facts.get(name) == value for name, value in statements)
    return held / len(statements) * math.exp(min(0.0, 1 - LEAST / len(statements)))
