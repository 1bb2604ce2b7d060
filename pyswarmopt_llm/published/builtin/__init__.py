"""Built-in tasks, pure functions of a seed: four generated skills, their mixture, requests.

A new skill is one function `rng -> Draft` and one line in `SKILLS`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from pyswarmopt_llm.common.registry import lookup
from pyswarmopt_llm.published.builtin import kinship, requests, skills
from pyswarmopt_llm.published.builtin.sampling import (
    Maker,
    Partition,
    interleaved,
    partition_of,
    to_item,
)
from pyswarmopt_llm.scores.tasks.types import Item, Task

SKILLS: dict[str, Maker] = {
    "arithmetic": skills.arithmetic,
    "graph": skills.graph,
    "dates": skills.dates,
    "kinship": kinship.make,
}
DESKS: dict[str, Maker] = {
    f"requests-{business}": requests.maker(business) for business in requests.BUSINESSES
}


@dataclass(frozen=True)
class _Builtin:
    """Domains in round-robin order, and the default sizes."""

    sources: tuple[tuple[str, Maker], ...]
    dev: int = 200
    test: int = 500


# The task of `swarm-llm demo`: of its experts five know a part of it, the others are in the way.
_FIVE_DESKS = tuple(
    (name, DESKS[name])
    for name in (
        f"requests-{business}" for business in ("bank", "travel", "clinic", "shop", "internet")
    )
)

_BUILTINS: dict[str, _Builtin] = {
    **{name: _Builtin(((name, make),)) for name, make in SKILLS.items()},
    "mixture": _Builtin(tuple(SKILLS.items())),
    **{name: _Builtin(((name, make),), dev=16, test=32) for name, make in DESKS.items()},
    "requests": _Builtin(tuple(DESKS.items()), dev=128, test=256),
    "five-desks": _Builtin(_FIVE_DESKS, dev=100, test=200),
}


def builtin_names() -> tuple[str, ...]:
    """The names accepted by ``builtin:NAME`` and `builtin_examples`.

    Example:
        >>> builtin_names()[-2:]
        ('requests', 'five-desks')
    """
    return tuple(_BUILTINS)


def builtin_task(name: str, seed: int = 0, dev: int | None = None, test: int | None = None) -> Task:
    """A generated task; dev, test and training share no question.

    Args:
        name: one of `builtin_names()`.
        seed: another seed draws other questions from the same partitions.
        dev: number of dev items (default 200; fewer of requests); a smaller set is a
            prefix of a larger one.
        test: number of test items (default 500; fewer of requests).

    Raises:
        UserError: unknown name, or more items than the skill can generate.

    Example:
        >>> task = builtin_task("graph", seed=1, dev=5, test=10)
        >>> len(task.dev), len(task.test), task.dev[0].meta["domain"]
        (5, 10, 'graph')
    """
    builtin = _lookup(name)
    return Task(
        name=name,
        dev=_items(name, builtin, "dev", builtin.dev if dev is None else dev, seed),
        test=_items(name, builtin, "test", builtin.test if test is None else test, seed),
        source=f"builtin:{name}:{seed}",
    )


def builtin_examples(name: str, n: int, seed: int = 0) -> list[dict[str, list[dict[str, str]]]]:
    """Supervised training examples, none of them a dev or test question of any seed.

    Args:
        name: one of `builtin_names()`.
        n: number of examples.
        seed: seed of the generator.

    Returns:
        ``{"messages": [{"role": "user", ...}, {"role": "assistant", ...}]}``, the user turn as in
        likelihood scoring, the assistant turn the text of the right answer.

    Raises:
        UserError: unknown name, or more examples than the skill can generate.

    Example:
        >>> user, assistant = builtin_examples("graph", 1, seed=0)[0]["messages"]
        >>> user["content"].startswith("Question: Roads:")
        True
    """
    drawn = interleaved(_lookup(name).sources, "train", n, seed)
    return [
        {
            "messages": [
                {"role": "user", "content": f"Question: {draft.question}"},
                {"role": "assistant", "content": draft.answer},
            ]
        }
        for _, draft in drawn
    ]


def builtin_training_items(name: str, n: int, seed: int = 0) -> tuple[Item, ...]:
    """The questions of `builtin_examples` with their options.

    Raises:
        UserError: unknown name, or more items than there are.

    Example:
        >>> builtin_training_items("requests-library", 1)[0].choices
        {'A': 'settle a fine', 'B': 'borrow digital media', 'C': 'extend a loan', 'D': 'reserve a title'}
    """
    return _items(name, _lookup(name), "train", n, seed)


def _lookup(name: str) -> _Builtin:
    return lookup("builtin:", name, _BUILTINS)


def _items(
    name: str, builtin: _Builtin, partition: Partition, n: int, seed: int
) -> tuple[Item, ...]:
    order = random.Random(f"order of options:{name}:{partition}:{seed}")
    drawn = interleaved(builtin.sources, partition, n, seed)
    return tuple(
        to_item(draft, f"{name}-{partition}-{i}", domain, order)
        for i, (domain, draft) in enumerate(drawn)
    )


__all__ = [
    "SKILLS",
    "builtin_examples",
    "builtin_names",
    "builtin_task",
    "builtin_training_items",
    "partition_of",
]
