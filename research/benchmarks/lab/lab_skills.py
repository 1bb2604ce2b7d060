"""The laboratory's skills: what can be done to four letters, alone and one after the other."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

LETTERS = "abcdefghij"
LENGTH = 4
Word = tuple[str, ...]


def _shift(by: int) -> Callable[[Word], Word]:
    return lambda word: tuple(LETTERS[(LETTERS.index(x) + by) % len(LETTERS)] for x in word)


SKILLS: dict[str, Callable[[Word], Word]] = {
    "reverse": lambda word: word[::-1],
    "sort": lambda word: tuple(sorted(word)),
    "rotate": lambda word: word[1:] + word[:1],
    "next": _shift(1),
    "back": _shift(-1),
    "swap": lambda word: (word[-1], *word[1:-1], word[0]),
    "mirror": lambda word: tuple(LETTERS[-1 - LETTERS.index(x)] for x in word),
    "fall": lambda word: tuple(sorted(word, reverse=True)),
    "pairs": lambda word: (word[1], word[0], word[3], word[2]),
    "halves": lambda word: word[len(word) // 2 :] + word[: len(word) // 2],
}

NAMES = list(SKILLS)


def answer(skills: Sequence[str], word: Word) -> Word:
    """The word after the skills, one after the other.

    Example:
        >>> " ".join(answer(["reverse", "next"], tuple("abcj")))
        'a d c b'
    """
    for skill in skills:
        word = SKILLS[skill](word)
    return word


def partition_of(question: str) -> str:
    """train (60%), dev (15%) or test: a function of the question alone, so that none is in two."""
    percent = int.from_bytes(hashlib.sha256(question.encode()).digest()[:4], "big") % 100
    return "train" if percent < 60 else "dev" if percent < 75 else "test"


def questions(
    kinds: Sequence[tuple[str, ...]], partition: str, seed: int
) -> Iterator[tuple[tuple[str, ...], Word, str]]:
    """Endless (skills, letters, question) of one partition, the kinds taking turns."""
    rng = random.Random(f"{kinds}:{partition}:{seed}")
    while True:
        for kind in kinds:
            while True:
                word = tuple(rng.choices(LETTERS, k=LENGTH))
                question = f"{' '.join(kind)} {' '.join(word)}"
                if partition_of(question) == partition:
                    break
            yield kind, word, question


def chats(kinds: Sequence[tuple[str, ...]], n: int, seed: int) -> list[dict[str, Any]]:
    """Training examples as `train_expert` takes them."""
    stream = questions(kinds, "train", seed)
    found = []
    for _ in range(n):
        kind, word, question = next(stream)
        reply = {"role": "assistant", "content": " ".join(answer(kind, word))}
        found.append({"messages": [{"role": "user", "content": f"Question: {question}"}, reply]})
    return found


def _spoilt(rng: random.Random, word: Word) -> Word:
    """The word with two letters exchanged or one replaced."""
    letters, (i, j) = list(word), rng.sample(range(LENGTH), 2)
    if rng.random() < 0.5:
        letters[i], letters[j] = letters[j], letters[i]
    else:
        letters[i] = rng.choice(LETTERS)
    return tuple(letters)


def items(
    kinds: Sequence[tuple[str, ...]], partition: str, n: int, seed: int
) -> list[dict[str, Any]]:
    """Multiple-choice items. A wrong option is the right one, or what another skill would give,
    spoilt a little: to know the answer roughly is not enough.
    """
    rng = random.Random(f"options:{kinds}:{partition}:{seed}")
    stream = questions(kinds, partition, seed)
    found: dict[str, dict[str, Any]] = {}
    while len(found) < n:
        kind, word, question = next(stream)
        if question in found:
            continue
        right = answer(kind, word)
        options = {right}
        while len(options) < 4:
            skill = rng.choice(NAMES)
            options.add(_spoilt(rng, answer([skill], word) if rng.random() < 1 / 3 else right))
        # a set has another order in every process
        texts = sorted(" ".join(option) for option in options)
        rng.shuffle(texts)
        choices = dict(zip("ABCD", texts, strict=True))
        letter = next(k for k, text in choices.items() if text == " ".join(right))
        found[question] = {
            "id": f"{partition}-{len(found)}",
            "question": question,
            "choices": choices,
            "answer": letter,
        }
    return list(found.values())
