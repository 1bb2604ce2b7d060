"""A utility of one's own: how much likelier a polite reply is than a rude one.

sl.search(sl.SearchConfig(..., utilities=("polite:politeness",)))
"""

from __future__ import annotations

from math import exp

from pyswarmopt_llm import Engine, Score, score_of

REQUESTS = {
    "dev": ("Can you help me?", "What time is it?", "Where is the station?"),
    "test": ("May I ask you something?", "Could you open the door?", "Is this seat free?"),
}
POLITE, RUDE = "Of course, with pleasure.", "Leave me alone."


def politeness(engine: Engine, split: str) -> Score:
    """Per request the share of the polite reply, by likelihood per byte, so that length does not
    decide.
    """
    contexts = [engine.chat(request) for request in REQUESTS[split]]
    found = engine.loglikelihood(
        [(context, reply) for context in contexts for reply in (POLITE, RUDE)]
    )
    pairs = zip(found[::2], found[1::2], strict=True)
    return score_of(
        [1 / (1 + exp(rude / len(RUDE) - polite / len(POLITE))) for polite, rude in pairs]
    )
