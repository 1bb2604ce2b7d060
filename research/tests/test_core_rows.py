"""`research/benchmarks/functions/both_ways.py`, `on_functions.py`, `scaling/flat_views.py` and `workers.py`, and their
tables: searches through nevergrad are the kept ones, and what shares memory is not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from laboratory import cells, script

import pyswarmopt as pso

pytest.importorskip("nevergrad")
pytestmark = pytest.mark.filterwarnings("ignore")  # nevergrad's and pycma's own

both_ways, flat_views = script("both_ways"), script("flat_views")
on_functions = script("on_functions")
tables, outcomes = script("core_tables"), script("outcomes")


def test_a_kept_search_is_found_again_through_the_other_package() -> None:
    (kept,) = [
        row["found"]
        for row in outcomes.lines("both-ways")
        if (row["optimiser"], row["way"], row["function"], row["seed"])
        == ("constriction", "directly", "sphere", 0)
    ]
    low, high = np.array(pso.functions.sphere.bounds(10)).T

    def values(x: np.ndarray) -> np.ndarray:
        return np.asarray((x**2).sum(axis=1))

    found = {seed: both_ways.ours_in_nevergrad(values, (low, high), seed) for seed in (0, 1)}
    assert found[0] == pytest.approx(kept, rel=1e-6) and found[1] != pytest.approx(kept, rel=1e-2)


def test_the_rows_of_both_ways_are_counted_by_hand(keep: Callable[..., None]) -> None:
    rows: list[dict[str, Any]] = []
    for name in ("constriction", "CMA", "PSO"):
        values = {"directly": (1.0, 2.0), "through": (1.0 + 1e-9, 2.1), "another seed": (3.0, 1.0)}
        for way, found in values.items():
            rows += [
                {"optimiser": name, "way": way, "function": "f", "seed": seed, "found": value}
                for seed, value in enumerate(found)
            ]
    for seed in (0, 1):
        lot = {"optimiser": "by lot", "way": "directly", "function": "f", "seed": seed}
        rows.append({**lot, "found": 1.5})
    keep("both-ways", rows)
    assert [row[1:] for row in cells(tables.both_ways())] == [["1", "0", "1"]] * 3


def test_views_have_no_bytes_of_their_own_and_copies_all() -> None:
    tensors = flat_views.weights(4)
    layout = pso.FlatView(tensors)
    vector = torch.arange(float(layout.size))
    assert layout.size == 12 * 12 * 4 * 4
    assert flat_views.new_bytes(layout.views(vector), vector) == 0
    copies = flat_views.copied(layout, vector)
    assert flat_views.new_bytes(copies, vector) == 4 * layout.size
    assert all(torch.equal(copies[name], view) for name, view in layout.views(vector).items())


def test_a_row_of_flat_views_says_what_its_line_says(keep: Callable[..., None]) -> None:
    view, copy = {"bytes": 0, "microseconds": 35}, {"bytes": 4000, "microseconds": 2339}
    keep("flat-views", [{"weights": 1000, "view": view, "copy": copy}])
    assert cells(tables.flat_views()) == [["1,000", "0", "4,000", "35", "2,339"]]


def test_kept_searches_on_functions_are_found_again() -> None:
    """By ask and tell, and what C and the schedule are left out of."""
    kept = {
        (row["recipe"], row["function"], row["seed"]): row["found"]
        for row in outcomes.lines("on-functions")
    }
    sphere = pso.functions.sphere
    swarm = pso.Swarm(
        bounds=sphere.bounds(10), population=20, recipe=pso.recipes.model_swarms(), seed=3
    )
    while not swarm.stop():
        x = swarm.ask()
        swarm.tell(x, (x**2).sum(dim=1))
    assert kept["model_swarms", "sphere", 3] == pytest.approx(float(swarm.best.value), rel=1e-4)
    without_c, at_rest = (
        on_functions.WITHOUT[name]
        for name in ("model_swarms without C", "model_swarms, lambda does not fall")
    )
    assert not without_c.velocity.normalise and at_rest.velocity.normalise
    assert [recipe.schedule.factor for recipe in (without_c, at_rest)] == [0.95, 1.0]
    low, high = np.array(sphere.bounds(10)).T
    points = np.random.default_rng(4).uniform(low, high, (1_020, 10))
    assert kept["by lot", "sphere", 4] == pytest.approx((points**2).sum(axis=1).min(), rel=1e-5)


def test_a_row_of_recipes_is_counted_by_hand(keep: Callable[..., None]) -> None:
    """Medians of three, the interval of three is their range; seed 1 is behind points by lot."""
    made = {"model_swarms": (1.0, 4321.0, 3.0), "by lot": (2.0, 9.0, 5.0)}
    keep(
        "on-functions",
        [
            {"recipe": name, "function": "f", "seed": seed, "found": value}
            for name, values in made.items()
            for seed, value in enumerate(values)
        ],
    )
    expected = [["model_swarms", "3 [1, 4,300]", "2 of 3"], ["by lot", "5", ""]]
    assert cells(tables.on_functions()) == expected


def test_a_row_of_workers_says_seconds_their_bound_and_equal_journals(
    keep: Callable[..., None],
) -> None:
    """Three rounds of 20 by eight workers take three times three seconds at least."""

    def line(workers: int, seed: int, seconds: float, journal: str) -> dict[str, Any]:
        about = {"workers": workers, "seed": seed, "evaluations": 60}
        return {**about, "seconds": seconds, "journal": journal}

    rows = [line(1, 0, 61.0, "a"), line(1, 1, 63.0, "b")]
    keep("waiting-workers", [*rows, line(8, 0, 10.0, "a"), line(8, 1, 20.0, "other")])
    assert cells(tables.waiting_workers()) == [
        ["1", "62.0", "60", "0.97", "2 of 2"],
        ["8", "15.0", "9", "0.50", "1 of 2"],
    ]
