"""A style guide of four rules as a score, for `swarm-llm search --metric
examples/objectives/style.py:style`.
"""

import re


def style(prompt, reply, item):
    """1 for each rule that the reply follows, 0 for each that it breaks. The search maximises the
    mean.
    """
    words = re.findall(r"[\w']+", reply.lower())
    return {
        "short": float(0 < len(words) <= 30),
        "asks": float(reply.rstrip().endswith("?")),
        "no first person": float(not {"i", "i'm", "me", "my", "we", "our"} & set(words)),
        "polite": float(bool({"please", "thank", "thanks", "sorry", "welcome"} & set(words))),
    }
