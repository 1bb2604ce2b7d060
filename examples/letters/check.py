"""A metric without labels: does the reply rearrange four letters as the prompt asks?

    swarm-llm search --base examples/letters/base --experts examples/letters/experts/* \\
        --metric examples/letters/check.py:check --prompts examples/letters/prompts.jsonl \\
        --dtype float32 --max-new-tokens 6 --out runs/letters
"""

from collections.abc import Callable

RULES: dict[str, Callable[[list[str]], list[str]]] = {
    "reverse": lambda word: word[::-1],
    "pairs": lambda word: [word[1], word[0], word[3], word[2]],
    "halves": lambda word: word[2:] + word[:2],
}


def check(prompt: str, reply: str) -> float:
    """1 if the reply applies the rule to the letters, else 0.

    Example:
        >>> check("Question: reverse a b c d", "d c b a"), check("Question: pairs a b c d", "a b c d")
        (1.0, 0.0)
    """
    rule, *word = prompt.removeprefix("Question: ").split()
    return float(reply.split() == RULES[rule](word))
