"""Built-in tasks, pure functions of a seed: four generated skills, their mixture, requests, and
everyday questions that show what a model has forgotten.

A new skill is a function `rng -> Draft` and a line in `SKILLS`. The partition of a generated
question is a hash of its sorted words, independent of the seed. So an expert trained with one seed
has never seen another seed's dev or test questions, and reordering a sum or a map's roads changes
no partition.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from functools import partial
from itertools import cycle, islice
from string import ascii_uppercase
from typing import NamedTuple

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.registry import lookup
from pyswarmopt_llm.published.builtin import skills
from pyswarmopt_llm.published.builtin.skills import Draft, Maker, Partition, table
from pyswarmopt_llm.scores.tasks.types import Item, Task

# A skill is exhausted after this many draws in a row without a new question (one draw in 2 to 7
# hits a given partition).
_PATIENCE = 2000

SKILLS: dict[str, Maker] = {
    "arithmetic": skills.arithmetic,
    "graph": skills.graph,
    "dates": skills.dates,
    "kinship": skills.kinship,
}
DESKS: dict[str, Maker] = {
    f"requests-{business}": partial(skills.requests, business) for business in table("requests")
}
EVERYDAY: dict[str, Maker] = {
    f"everyday-{subject}": partial(skills.everyday, subject) for subject in table("everyday")
}
# The task of `swarm-llm demo`: five of its experts know a part of it, the others are distractors.
_FIVE = ("bank", "travel", "clinic", "shop", "internet")


class _Builtin(NamedTuple):
    """Domains in round-robin order, and the default sizes."""

    makers: dict[str, Maker]
    dev: int = 200
    test: int = 500


BUILTINS: dict[str, _Builtin] = {
    **{name: _Builtin({name: make}) for name, make in SKILLS.items()},
    "mixture": _Builtin(SKILLS),
    **{name: _Builtin({name: make}, 16, 32) for name, make in DESKS.items()},
    "requests": _Builtin(DESKS, 128, 256),
    "five-desks": _Builtin(
        {f"requests-{name}": DESKS[f"requests-{name}"] for name in _FIVE}, 100, 200
    ),
    "everyday": _Builtin(EVERYDAY, 21, 119),
}


def name_and_seed(spec: str, default: int = 0) -> tuple[str, int]:
    """The name and seed in ``builtin:NAME[:SEED]``.

    Raises:
        UserError: the seed is not a whole number.
    """
    name, _, seed = spec.partition(":")[2].partition(":")
    if seed and not re.fullmatch("[0-9]{1,18}", seed):
        raise UserError(f"{spec[:60]}: the seed must be a whole number of at most 18 digits")
    return name, int(seed or default)


def builtin_task(name: str, seed: int = 0, dev: int | None = None, test: int | None = None) -> Task:
    """A generated task; dev, test and training share no question.

    Args:
        name: one of `BUILTINS`.
        seed: another seed draws other questions from the same partitions.
        dev: number of dev items (default 200; fewer for requests); a smaller set is a prefix of a
            larger one.
        test: number of test items (default 500; fewer for requests).

    Raises:
        UserError: the name is unknown, or the skill cannot generate so many items.

    Example:
        >>> task = builtin_task("graph", seed=1, dev=5, test=10)
        >>> len(task.dev), len(task.test), task.dev[0].meta["domain"]
        (5, 10, 'graph')
    """
    builtin = lookup("builtin:", name, BUILTINS)
    drawn = _items(name, "dev", dev or builtin.dev, seed)
    held_out = _items(name, "test", test or builtin.test, seed)
    return Task(name, drawn, held_out, source=f"builtin:{name}:{seed}")


def builtin_training_items(name: str, n: int, seed: int = 0) -> tuple[Item, ...]:
    """Training questions, none of them a dev or test question of any seed.

    Args:
        name: one of `BUILTINS`.
        n: number of questions.
        seed: seed of the generator.

    Raises:
        UserError: the name is unknown, or there are fewer items.

    Example:
        >>> builtin_training_items("requests-library", 1)[0].choices
        {'A': 'settle a fine', 'B': 'borrow digital media', 'C': 'extend a loan', 'D': 'reserve a title'}
    """
    return _items(name, "train", n, seed)


def _items(name: str, partition: Partition, n: int, seed: int) -> tuple[Item, ...]:
    """`n` items, round-robin from the domains: every prefix is balanced."""
    makers = lookup("builtin:", name, BUILTINS).makers
    order = random.Random(f"order of options:{name}:{partition}:{seed}")
    streams = {
        domain: drafts(domain, make, partition, random.Random(f"{domain}:{partition}:{seed}"))
        for domain, make in makers.items()
    }
    items = []
    for i, domain in enumerate(islice(cycle(makers), n)):
        draft = next(streams[domain])
        options = [draft.answer, *draft.distractors]
        order.shuffle(options)
        choices = dict(zip(ascii_uppercase, options, strict=False))
        letter = ascii_uppercase[options.index(draft.answer)]
        id_ = f"{name}-{partition}-{i}"
        items.append(Item(id_, draft.question, choices, letter, {"domain": domain}))
    return tuple(items)


def partition_of(question: str) -> Partition:
    """The partition of a question, determined only by its words.

    Example:
        >>> partition_of("What is two plus six?") == partition_of("what is six plus two?")
        True
    """
    words = re.findall(r"[^\W_]+", question.casefold())
    number = hashlib.sha256(" ".join(sorted(words)).encode()).digest()[:8]
    percent = int.from_bytes(number, "big") % 100
    if percent < 15:
        return "dev"
    if percent < 40:
        return "test"
    return "train"


def drafts(domain: str, make: Maker, partition: Partition, rng: random.Random) -> Iterator[Draft]:
    """Distinct questions of one partition, without end; `UserError` when the skill has no more."""
    seen: set[str] = set()
    misses = 0
    while misses < _PATIENCE:
        draft = make(rng)
        misses += 1
        belongs = (draft.partition or partition_of(draft.question)) == partition
        if belongs and draft.question not in seen:
            seen.add(draft.question)
            misses = 0
            yield draft
    raise UserError(
        f"builtin:{domain}: only {len(seen)} different {partition} questions exist; request fewer"
    )
