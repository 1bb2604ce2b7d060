"""`pyswarmopt compare`: recipes by name, their searches and ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import Progress

from pyswarmopt._compare import Comparison, compare
from pyswarmopt.algorithms import registry
from pyswarmopt.algorithms.own_file import made_recipe
from pyswarmopt.base.own_file import object_of
from pyswarmopt.cli.terminal import open_console
from pyswarmopt.teaching.functions.problems import problem

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe

Found = dict[str, Comparison]  # by function


def named(words: str) -> dict[str, Recipe | None]:
    """Name -> recipe, from a list with commas; a FILE.py:NAME is called NAME.

    Raises:
        ValueError: no recipe, an unknown one, two with one name, or a file without it.
    """
    found: dict[str, Recipe | None] = {}
    for word in dict.fromkeys(part.strip() for part in words.split(",") if part.strip()):
        _, own, name = word.rpartition(":")
        name = name if own else name.replace("-", "_")
        if name in found:
            raise ValueError(f"--recipes: two are called {name}; rename yours")
        if own:
            found[name] = made_recipe(object_of(word, "--recipes"), f"--recipes {word}")
        else:
            found[name] = None if name == "default" else registry.get(name)
    if not found:
        raise ValueError("--recipes: name at least one, such as constriction,clpso")
    return found


def search_all(
    functions: list[str], recipes: dict[str, Recipe | None], dim: int, seeds: int, hidden: bool,
    **options: Any,
) -> Found:  # fmt: skip
    """All searches, with a progress bar on stderr unless it is hidden."""
    problems = [problem(name, dim) for name in dict.fromkeys(functions)]
    found: Found = {}
    with Progress(console=open_console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task("searches", total=len(problems) * len(recipes) * seeds)
        for one in problems:
            found[one.name] = compare(
                one.function, one.bounds, recipes, seeds, one.optimum,
                on_run=lambda: progress.advance(task), **options,
            )  # fmt: skip
    return found


def entries(found: Found) -> list[dict[str, Any]]:
    """For `--json`: an entry for each function and recipe."""
    told = []
    for function, comparison in found.items():
        paired = comparison.paired()
        for name in comparison.results:
            entry = {
                "function": function,
                "recipe": name,
                "optimum": comparison.optimum,
                "finals": comparison.finals(name).tolist(),
                "median": comparison.median(name),
                "interval": list(comparison.interval(name)),
                "against_first": paired[name]._asdict() if name in paired else None,
            }
            told.append(entry)
    return told


def mean_ranks(found: Found) -> dict[str, float]:
    """Recipe -> mean over the functions of the rank of its median, 1 for the least; ties share
    their mean rank.
    """
    names = list(next(iter(found.values())).results)
    medians = np.array([[each.median(name) for name in names] for each in found.values()])
    better = (medians[:, None] < medians[:, :, None]).sum(axis=2)
    equal = (medians[:, None] == medians[:, :, None]).sum(axis=2)
    return dict(zip(names, (better + (equal + 1) / 2).mean(axis=0).tolist(), strict=True))
