"""Table look-up: read a cell or find a row in a table of three people and two fruits."""

from __future__ import annotations

import random

from pyswarmopt_llm.tasks.builtin.sampling import FRUITS, NAMES, Draft, wrong_answers


def make(rng: random.Random) -> Draft:
    """A table of six different numbers and a question about one of them.

    Example:
        >>> len(make(random.Random(0)).question.splitlines())
        4
    """
    names, fruits = rng.sample(NAMES, 3), rng.sample(FRUITS, 2)
    numbers = rng.sample(range(1, 21), 6)
    table = {name: dict(zip(fruits, numbers[2 * i : 2 * i + 2], strict=True)) for i, name in enumerate(names)}
    lines = [f"{name}: " + ", ".join(f"{n} {fruit}" for fruit, n in row.items()) for name, row in table.items()]
    name, fruit = rng.choice(names), rng.choice(fruits)
    if rng.random() < 0.5:
        question, answer = f"How many {fruit} does {name} have?", str(table[name][fruit])
        wrong = wrong_answers(rng, answer, map(str, numbers))
    else:
        question, answer = f"Who has {table[name][fruit]} {fruit}?", name
        wrong = wrong_answers(rng, answer, names)
    return Draft("\n".join([*lines, question]), answer, wrong)
