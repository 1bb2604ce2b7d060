"""String transformation: made-up words written backwards, in capitals, without a letter, ..."""

from __future__ import annotations

import random
from collections.abc import Callable

from pyswarmopt_llm.tasks.builtin.sampling import Draft, wrong_answers

_CONSONANTS = "bdfgklmnprstvz"
_VOWELS = "aeiou"

# Instruction -> function; {} is replaced by the word.
OPERATIONS: dict[str, Callable[[str], str]] = {
    "Write {} backwards.": lambda w: w[::-1],
    "Write {} in capital letters.": str.upper,
    "Write {} twice, without a space.": lambda w: w + w,
    "Write {} without its first letter.": lambda w: w[1:],
    "Write {} without its last letter.": lambda w: w[:-1],
    "Swap the first and the last letter of {}.": lambda w: w[-1] + w[1:-1] + w[0],
    "What is the first letter of {}?": lambda w: w[0],
    "What is the last letter of {}?": lambda w: w[-1],
    "What is the third letter of {}?": lambda w: w[2],
}


def make(rng: random.Random) -> Draft:
    """An instruction on a made-up word of four to six letters.

    Example:
        >>> make(random.Random(5)).question.count('"')
        2
    """
    word = "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(rng.randint(2, 3)))
    instruction, operation = rng.choice(list(OPERATIONS.items()))
    answer = operation(word)
    question = instruction.format(f'"{word}"')
    return Draft(question, answer, wrong_answers(rng, answer, _tempting(word, answer)))


def _tempting(word: str, answer: str) -> list[str]:
    """Plausible mistakes: another letter, another operation, or two neighbouring letters swapped."""
    if len(answer) == 1:
        return [*word, *_VOWELS] if len(set(word)) < 4 else [*word]
    others = [operation(word) for operation in OPERATIONS.values()]
    swapped = [answer[:i] + answer[i + 1] + answer[i] + answer[i + 2 :] for i in range(len(answer) - 1)]
    return [other for other in others if len(other) > 1] + swapped
