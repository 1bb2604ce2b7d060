"""`research/benchmarks/lab/classifiers.py` and `functions/inertia.py`: experts know what they were
taught, variants are what their names say, and the figures are those of searches that can be redone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def modules() -> Iterator[Any]:
    before = list(sys.path)
    sys.path[:0] = [str(BENCHMARKS / name) for name in ("lab", "functions")]
    sys.path.insert(0, str(BENCHMARKS.parent / "tools"))
    import classifiers
    import inertia
    from outcomes import lines

    yield classifiers, inertia, lines
    sys.path[:] = before


@pytest.fixture(scope="module")
def pool(modules: Any) -> Any:
    return modules[0].make_pool(1)


def test_an_expert_answers_with_the_four_digits_that_it_knows(modules: Any, pool: Any) -> None:
    classifiers, _, _ = modules
    inputs, labels = pool.test
    for expert in pool.experts:
        weights = expert.reshape(10, 65)
        known = np.flatnonzero(np.abs(weights).sum(axis=1))
        said = (inputs @ weights[:, :-1].T + weights[:, -1]).argmax(axis=1)
        share = float((said == labels).mean())
        assert len(known) == classifiers.KNOWN
        assert share == pytest.approx(classifiers.accuracy(expert[None], pool.test)[0])
        mine = np.isin(labels, known)
        assert (said == labels)[mine].mean() > 0.85 and share < 0.5


def test_a_search_is_the_kept_one_and_its_start_holds_what_the_variant_says(
    modules: Any, pool: Any
) -> None:
    classifiers, _, lines = modules
    kept = {
        row["variant"]: row
        for row in lines("classifiers")
        if (row["task"], row["seed"]) == ("pool 1", 0)
    }
    for variant in ("full", "never, 50 moves", "restart after 2, 50 moves"):
        found = classifiers.run(pool, variant, 0)
        assert found["moves"] == kept[variant]["moves"]
        assert found["restarts"] == kept[variant]["restarts"]
        assert found["test"] == pytest.approx(kept[variant]["test"], abs=0.005)
    assert kept["never, 50 moves"]["restarts"] == 0 < kept["full"]["restarts"]
    ten, size = classifiers.start_of(pool, "no crossover", 0)
    assert (ten == pool.experts).all() and size == 10
    for variant, kinds in (("1 x 10", 1), ("2 x 5", 2), ("weaker half", 5)):
        start, _ = classifiers.start_of(pool, variant, 0)
        assert len(np.unique(start, axis=0)) == kinds
    scores = classifiers.accuracy(pool.experts, pool.dev)
    weaker = classifiers.accuracy(classifiers.start_of(pool, "weaker half", 0)[0], pool.dev)
    assert weaker.max() <= np.sort(scores)[5]


def test_the_top_ten_vote_and_ties_go_to_the_first(modules: Any) -> None:
    classifiers, _, _ = modules

    def always(label: int) -> np.ndarray:
        weights = np.zeros((10, 65))
        weights[label, -1] = 1.0
        return weights.ravel()

    models = np.array([always(label) for label in (9, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 9)])
    scores = np.array([0.1, *[0.5] * 10, 0.2])  # the nines are not among the ten best
    items = (np.zeros((4, 64)), np.array([3, 3, 4, 9]))
    assert classifiers.top_vote(models, scores, items) == 0.5
    assert classifiers.top_vote(models[::-1], scores[::-1], items) == 0.25


def test_diversity_is_a_share_of_the_start_and_a_swarm_without_pull_keeps_it(modules: Any) -> None:
    _, inertia, lines = modules
    row = inertia.run("sphere", 0.2, "as published", 0)
    (kept,) = [
        line
        for line in lines("inertia")
        if (line["function"], line["inertia"], line["variant"], line["seed"])
        == ("sphere", 0.2, "as published", 0)
    ]
    assert row["diversity"][0] == 1.0 and len(row["diversity"]) == inertia.KEPT + 1
    assert row["diversity"] == pytest.approx(kept["diversity"], rel=1e-3)
    halved = inertia.run("sphere", 0.2, "half the step", 0)
    assert np.mean(halved["diversity"]) > np.mean(row["diversity"])
