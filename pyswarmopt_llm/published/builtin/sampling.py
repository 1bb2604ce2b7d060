"""Sampling of generated questions by a seed, disjoint between train, dev and test.

The partition of a generated question is the hash of its sorted words, independent of the seed. So
an expert trained with one seed has never seen a dev or test question of any other, and reordering a
sum or the roads of a map changes no partition.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import cycle, islice
from typing import Any, Literal

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.types import Item

Partition = Literal["train", "dev", "test"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# Percentage of the questions; train is the rest.
_DEV_SHARE = 15
_TEST_SHARE = 25

# Consecutive draws without a new question after which a skill is exhausted (a partition takes one
# draw in 2 to 7).
_PATIENCE = 2000


def table(name: str) -> Any:
    """The content of a JSON file beside this one."""
    return json.loads(files(__package__).joinpath(f"{name}.json").read_text("utf-8"))


WORDS: dict[str, list[str]] = table("words")
FEMALE, MALE, FRUITS = WORDS["female"], WORDS["male"], WORDS["fruits"]
NAMES = FEMALE + MALE


@dataclass(frozen=True)
class Draft:
    """A question with its right answer and wrong answers, before the options are ordered.

    Attributes:
        question: its text.
        answer: the right option.
        distractors: the others.
        partition: of a question from a list, which says itself where it belongs; None:
            `partition_of` decides.
    """

    question: str
    answer: str
    distractors: tuple[str, ...]
    partition: Partition | None = None


Maker = Callable[[random.Random], Draft]


def partition_of(question: str) -> Partition:
    """The partition of a question, a function of its words alone.

    Example:
        >>> partition_of("What is two plus six?") == partition_of("what is six plus two?")
        True
    """
    words = "".join(c if c.isalnum() else " " for c in question.casefold()).split()
    percent = (
        int.from_bytes(hashlib.sha256(" ".join(sorted(words)).encode()).digest()[:8], "big") % 100
    )
    if percent < _DEV_SHARE:
        return "dev"
    return "test" if percent < _DEV_SHARE + _TEST_SHARE else "train"


def drafts(domain: str, make: Maker, partition: Partition, rng: random.Random) -> Iterator[Draft]:
    """Distinct questions of one partition, without end; `UserError` once the skill has no more."""
    seen: set[str] = set()
    misses = 0
    while misses < _PATIENCE:
        draft = make(rng)
        if draft.question in seen or (draft.partition or partition_of(draft.question)) != partition:
            misses += 1
            continue
        seen.add(draft.question)
        misses = 0
        yield draft
    raise UserError(
        f"builtin:{domain}: only {len(seen)} different {partition} questions; request fewer"
    )


def interleaved(
    sources: Sequence[tuple[str, Maker]], partition: Partition, n: int, seed: int
) -> list[tuple[str, Draft]]:
    """`n` drafts, (domain, draft), in round-robin order: every prefix is balanced.

    A source that is listed twice has two turns per round and still repeats no question.
    """
    streams = {
        domain: drafts(domain, make, partition, random.Random(f"{domain}:{partition}:{seed}"))
        for domain, make in sources
    }
    turns = islice(cycle(domain for domain, _ in sources), n)
    return [(domain, next(streams[domain])) for domain in turns]


def to_item(draft: Draft, item_id: str, domain: str, rng: random.Random) -> Item:
    """The draft as a multiple-choice item, its options in random order."""
    options = [draft.answer, *draft.distractors]
    rng.shuffle(options)
    choices = dict(zip(LETTERS, options, strict=False))
    return Item(
        item_id, draft.question, choices, LETTERS[options.index(draft.answer)], {"domain": domain}
    )


def wrong_answers(
    rng: random.Random, answer: str, candidates: Iterable[str], n: int = 3
) -> tuple[str, ...]:
    """Up to `n` distinct candidates other than the answer, drawn at random."""
    pool = [c for c in dict.fromkeys(candidates) if c != answer]
    return tuple(rng.sample(pool, min(n, len(pool))))


def in_words(n: int) -> str:
    """The English number word of 0 <= n <= 99.

    Example:
        >>> in_words(7), in_words(40), in_words(42)
        ('seven', 'forty', 'forty-two')
    """
    if n < 20:
        return WORDS["below twenty"][n]
    tens, ones = divmod(n, 10)
    return WORDS["tens"][tens - 2] + (f"-{in_words(ones)}" if ones else "")
