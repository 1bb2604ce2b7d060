#!/usr/bin/env python3
"""Post-processing of answers before a vote: repeated text is removed, and a member mends the grammar.

Three members say a table's four fields in a sentence, "ann the cook lives in rome and keeps a dog".
Each takes one field of ten wrong, breaks the grammar of every second sentence (two neighbours
exchanged, a word left out, or one said twice), and repeats the end of three sentences of ten, as
small models do. The editor is a member of another kind, a bigram model of 500 sentences: it edits
one word at a time, as long as the sentence gets more probable by the word (language models mend
grammar so: Bryant and Briscoe 2018). Rows: one member and the vote (`majority`, equal texts), on
texts as they are, without repeats, edited, and both; and with an editor that has read the same
sentences in random order, the control. `clean`: the share of faultless sentences that each step
leaves alone. 500 tables, three draws.

    python research/benchmarks/groups/mended.py --outcomes research/evidence/mended.jsonl
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from by_seed import write_rows

from pyswarmopt_groups.voting import majority
from pyswarmopt_llm.scores.metrics.text import rouge_l
from pyswarmopt_llm.scores.tasks import Item

FORM = "{} the {} lives in {} and keeps a {}"
VALUES = {
    "name": "ann bob cid dan eva fay gus hal".split(),
    "job": "cook smith baker clerk nurse guard".split(),
    "town": "rome oslo bonn lima cork nice".split(),
    "pet": "dog cat bird fish goat hen".split(),
}
SMALL_WORDS = ("the", "lives", "in", "and", "keeps", "a")
TEST, READ, WRONG, BROKEN, REPEATED = 500, 500, 0.1, 0.5, 0.3
START, END = "<s>", "</s>"
Step = Callable[[str], str]


def sentence(rng: random.Random) -> list[str]:
    """A table: a value of each field."""
    return [rng.choice(values) for values in VALUES.values()]


def said(values: Sequence[str], rng: random.Random) -> str:
    """What a member says of a table."""
    told = [
        rng.choice(VALUES[field]) if rng.random() < WRONG else value
        for field, value in zip(VALUES, values, strict=True)
    ]
    words = FORM.format(*told).split()
    if rng.random() < BROKEN:
        fault, place = rng.randrange(3), rng.randrange(len(words) - 1)
        if fault == 0:
            words[place], words[place + 1] = words[place + 1], words[place]
        elif fault == 1:
            words.remove(rng.choice(SMALL_WORDS))
        else:
            words.insert(place, words[place])
    if rng.random() < REPEATED:
        words += words[-rng.randint(2, 5) :] * rng.randint(1, 2)
    return " ".join(words)


def without_repeats(text: str) -> str:
    """The text with what is said twice in a row said once, the longest pieces first.

    Example:
        >>> without_repeats("a a dog keeps a dog keeps a dog")
        'a dog keeps a dog'
    """
    words = text.split()
    for length in range(len(words) // 2, 0, -1):
        start = 0
        while start + 2 * length <= len(words):
            if words[start : start + length] == words[start + length : start + 2 * length]:
                del words[start : start + length]
            else:
                start += 1
    return " ".join(words)


class Editor:
    """A bigram model that edits a sentence as long as this makes it more probable by the word."""

    def __init__(self, sentences: Sequence[str]) -> None:
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.firsts: Counter[str] = Counter()
        self.known: dict[tuple[str, str], float] = {}
        for text in sentences:
            words = [START, *text.split(), END]
            self.pairs.update(itertools.pairwise(words))
            self.firsts.update(words[:-1])

    def value(self, words: Sequence[str]) -> float:
        """Mean log-probability of the words, 0.001 added to every count."""
        pairs = [*itertools.pairwise([START, *words, END])]
        return sum(map(self._logprob, pairs)) / len(pairs)

    def _logprob(self, pair: tuple[str, str]) -> float:
        if pair not in self.known:
            count = self.pairs[pair] + 0.001
            self.known[pair] = math.log(count / (self.firsts[pair[0]] + 0.1))
        return self.known[pair]

    def edits(self, words: Sequence[str]) -> Iterator[list[str]]:
        """All sentences one edit away: neighbours exchanged, a word left out, a small word put in."""
        for place in range(len(words)):
            before, after = [*words[:place]], [*words[place:]]
            yield before + after[1:]
            if len(after) > 1:
                yield [*before, after[1], after[0], *after[2:]]
            for word in SMALL_WORDS:
                yield [*before, word, *after]

    def mend(self, text: str) -> str:
        """The text after its edits."""
        words = text.split()
        while len(words) > 1:
            best = max(self.edits(words), key=self.value)
            if self.value(best) <= self.value(words):
                break
            words = best
        return " ".join(words)


def steps(rng: random.Random) -> Mapping[str, Step]:
    """The ways to process a text."""
    read = [FORM.format(*sentence(rng)) for _ in range(READ)]
    scrambled = [" ".join(rng.sample(text.split(), len(text.split()))) for text in read]
    editor, control = Editor(read), Editor(scrambled)
    return {
        "as they are": lambda text: text,
        "repeats removed": without_repeats,
        "grammar mended": editor.mend,
        "repeats removed, grammar mended": lambda text: editor.mend(without_repeats(text)),
        "repeats removed, mended by who knows no grammar": lambda text: control.mend(
            without_repeats(text)
        ),
    }


def rows(seed: int) -> Iterator[dict[str, Any]]:
    """A line for each way to process, of one member and of the vote."""
    rng = random.Random(f"mended {seed}")
    ways = steps(rng)
    tables = [sentence(rng) for _ in range(TEST)]
    right = [FORM.format(*values) for values in tables]
    items = [Item(str(i), "", None, text) for i, text in enumerate(right)]
    texts = [[said(values, rng) for _ in range(3)] for values in tables]
    for name, step in ways.items():
        processed = [[step(text) for text in row] for row in texts]
        answers = {
            "one member": [row[0] for row in processed],
            "`majority`": [majority(row).answer or "" for row in processed],
        }
        clean = fmean(step(text) == text for text in right)
        for method, given in answers.items():
            yield {
                "method": method,
                "task": name,
                "seed": seed,
                "test": "".join(str(int(a == b)) for a, b in zip(given, right, strict=True)),
                "rouge": fmean(rouge_l(items, given)),
                "clean": clean,
            }


if __name__ == "__main__":
    write_rows(__doc__, rows, lambda row: {**row, "test": row["test"].count("1") / TEST})
