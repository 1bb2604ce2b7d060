"""The tables of nevergrad in both directions, of flat views, of recipes on test functions and of workers, from
research/evidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np
from outcomes import lines, markdown

from pyswarmopt.inspect.plot.curves import median_interval

Line = Mapping[str, Any]
SAME = 1e-6  # relative
LOT, PUBLISHED = "by lot", "model_swarms"
PARTICLES = 20  # of the searches with workers
LABELS = {
    "constriction": "`constriction`, as an optimiser of nevergrad's",
    "CMA": "nevergrad's `CMA`, as an optimiser of ours",
    "PSO": "nevergrad's `PSO`, as an optimiser of ours",
}


def both_ways() -> str:
    """A row per optimiser: how often the other package finds the same, another seed, and less than
    points by lot.
    """
    rows = lines("both-ways")
    found = {
        (row["optimiser"], row["way"], row["function"], row["seed"]): row["found"] for row in rows
    }
    searches = sorted({(row["function"], row["seed"]) for row in rows})
    table = []
    for name, label in LABELS.items():
        counts = [
            sum(
                math.isclose(
                    found[name, "directly", *search], found[name, way, *search], rel_tol=SAME
                )
                for search in searches
            )
            for way in ("through", "another seed")
        ]
        ahead = sum(
            found[name, "directly", *search] < found[LOT, "directly", *search]
            for search in searches
        )
        table.append([label, *map(str, [*counts, ahead])])
    head = ["finds what it finds alone", "alone, another seed", "ahead of points by lot"]
    return markdown([f"{len(searches)} searches each", *head], table)


def flat_views() -> str:
    """A row per size: bytes and microseconds of a view and of a copy."""
    rows = lines("flat-views")
    table = [
        [f"{row['weights']:,}"]
        + [f"{row[way][what]:,}" for what in ("bytes", "microseconds") for way in ("view", "copy")]
        for row in rows
    ]
    ways = [f"{what}, {way}" for what in ("bytes", "microseconds") for way in ("view", "copy")]
    return markdown(["weights", *ways], table)


def on_functions() -> str:
    """A row per recipe: the median distance to each function's optimum, that of Model Swarms with its 95%
    interval, and in how many searches it is less than that of points by lot with the same seed.
    """
    rows = lines("on-functions")
    found = {(row["recipe"], row["function"], row["seed"]): row["found"] for row in rows}
    names, functions = (dict.fromkeys(row[key] for row in rows) for key in ("recipe", "function"))
    seeds = sorted({row["seed"] for row in rows})
    table = []
    for name in names:
        cells = [name]
        for function in functions:
            values = [found[name, function, seed] for seed in seeds]
            cells.append(_digits(median(values)))
            if name == PUBLISHED:
                low, high = median_interval(np.array(values)[:, None])
                cells[-1] += f" [{_digits(float(low[0]))}, {_digits(float(high[0]))}]"
        pairs = [(function, seed) for function in functions for seed in seeds]
        ahead = sum(found[name, *pair] < found[LOT, *pair] for pair in pairs)
        table.append([*cells, "" if name == LOT else f"{ahead} of {len(pairs)}"])
    head = [f"{len(seeds)} searches each", *functions, "ahead of points by lot"]
    return markdown(head, table)


def _digits(value: float) -> str:
    """Two digits, as 7,500 or 0.54."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 100 else f"{value:.2g}"


def waiting_workers() -> str:
    """A row per number of workers: seconds, the least possible, and journals equal to those of
    one.
    """
    rows = lines("waiting-workers")
    alone = {row["seed"]: row["journal"] for row in rows if row["workers"] == 1}
    table = []
    for workers in sorted({row["workers"] for row in rows}):
        mine = [row for row in rows if row["workers"] == workers]
        seconds = sum(row["seconds"] for row in mine) / len(mine)
        rounds = mine[0]["evaluations"] / PARTICLES
        same = sum(row["journal"] == alone[row["seed"]] for row in mine)
        table.append([
            str(workers), f"{seconds:.1f}", f"{rounds * math.ceil(PARTICLES / workers):.0f}",
            f"{mine[0]['evaluations'] / seconds / workers:.2f}", f"{same} of {len(mine)}",
        ])  # fmt: skip
    head = ["workers", "seconds", "at least", "share of their time in which workers evaluate"]
    return markdown([*head, "journals as with one, bit for bit"], table)


TABLES = {
    "both-ways": both_ways,
    "flat-views": flat_views,
    "on-functions": on_functions,
    "waiting-workers": waiting_workers,
}
