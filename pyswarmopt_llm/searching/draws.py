"""The sets of coefficients of a search over a grid."""

from __future__ import annotations

import itertools
import random

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.optimizers import recipe_options


def draws_of(config: SearchConfig) -> list[tuple[str, ...]]:
    """The sets of coefficients to search with, ``NAME=VALUE``: all combinations of a grid if there
    are few enough, otherwise distinct random ones. The values come from `settings`, and from the
    paper's grid if a published procedure draws from it.

    Raises:
        UserError: a coefficient does not accept a value.

    Example:
        >>> from dataclasses import replace
        >>> config = SearchConfig("b", ("x", "y"), ("t",), "r", settings=("inertia=.1,.2", "repel=0"), draws=10)
        >>> draws_of(config)
        [('inertia=.1', 'repel=0'), ('inertia=.2', 'repel=0')]
        >>> len(draws_of(replace(config, paper=True)))
        10
    """
    grid: dict[str, list[str]] = {}
    if config.published:
        from pyswarmopt.algorithms.model_swarms import GRID as PAPER

        grid = {name: list(map(str, numbers)) for name, numbers in PAPER.items()}
    for setting in config.settings:
        name, _, texts = setting.partition("=")
        different = dict.fromkeys(text.strip() for text in texts.split(","))
        grid[name.replace("-", "_")] = list(different)
    pairs = [[f"{name}={text}" for text in texts] for name, texts in grid.items()]
    for pair in itertools.chain(*pairs):
        recipe_options([pair])
    combinations = list(itertools.product(*pairs))
    count = config.draws or 1
    if count < len(combinations):
        combinations = random.Random(config.seed).sample(combinations, count)
    return combinations
