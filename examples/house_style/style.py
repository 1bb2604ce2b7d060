"""House style: eight rules that a reply to a customer should follow, as a custom metric.

    swarm-llm search --base embedded:smollm2-135m --experts examples/house_style/experts/* \\
        --metric examples/house_style/style.py:style --prompts examples/house_style/prompts.jsonl \\
        --out runs/style
"""

import re

DESKS = [
    "bank",
    "travel agency",
    "smart home service",
    "clinic",
    "library",
    "online shop",
    "internet provider",
    "restaurant",
]
FIRST_PERSON = {"i", "i'm", "i'll", "i've", "me", "my", "we", "we'll", "we're", "us", "our"}
POLITE = {"please", "thank", "thanks", "sorry", "welcome"}


def style(prompt: str, reply: str) -> dict[str, float]:
    """1 for each rule that the reply follows, 0 for each that it breaks.

    Example:
        >>> asked = "A customer of the library writes: I lost my card."
        >>> kept = style(asked, "Hello, the library is sorry. 1. Report it. 2. Get another. Is that fine?")
        >>> min(kept.values()), style(asked, "I will help you!")["calm"], style(asked, "")["short"]
        (1.0, 0.0, 0.0)
    """
    words = re.findall(r"[\w']+", reply.lower())
    (desk,) = [name for name in DESKS if f"customer of the {name} " in prompt]
    kept = {
        "short": 0 < len(words) <= 30,
        "asks": reply.rstrip().endswith("?"),
        "greets": reply.lstrip().lower().startswith("hello"),
        "lists": "1." in reply and "2." in reply,
        "names": desk in reply.lower(),
        "polite": not POLITE.isdisjoint(words),
        "impersonal": bool(words) and FIRST_PERSON.isdisjoint(words),
        "calm": bool(words) and "!" not in reply,
    }
    return {rule: float(value) for rule, value in kept.items()}
