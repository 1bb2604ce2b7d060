"""`research/benchmarks/lab/classifiers.py`, `published_setting.py` and `functions/inertia.py`: experts know
what they were taught, variants are what their names say, and the figures are those of searches that can be redone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from laboratory import cells, script

classifiers = script("classifiers")
inertia = script("inertia")
outcomes = script("outcomes")
setting = script("published_setting")
setting_tables = script("setting_tables")


@pytest.fixture(scope="module")
def pool() -> Any:
    return classifiers.make_pool(1)


def test_a_search_is_the_kept_one_and_its_start_holds_what_the_variant_says(pool: Any) -> None:
    kept = {
        row["variant"]: row
        for row in outcomes.lines("classifiers")
        if (row["task"], row["seed"]) == ("pool 1", 0)
    }
    for variant in ("full", "never, 50 moves", "restart after 2, 50 moves", "top 10 vote"):
        found = classifiers.run(pool, variant, 0)
        assert found["moves"] == kept[variant]["moves"]
        assert found["restarts"] == kept[variant]["restarts"]
        assert found["test"] == pytest.approx(kept[variant]["test"], abs=0.005)
    # the last found is the vote of the personal bests, and of the start
    assert found["start_test"] == pytest.approx(kept["top 10 vote"]["start_test"], abs=0.005)
    assert kept["never, 50 moves"]["restarts"] == 0 < kept["full"]["restarts"]
    ten, size = classifiers.start_of(pool, "no crossover", 0)
    assert (ten == pool.experts).all() and size == 10
    for variant, kinds in (("1 x 10", 1), ("2 x 5", 2), ("weaker half", 5)):
        start, _ = classifiers.start_of(pool, variant, 0)
        assert len(np.unique(start, axis=0)) == kinds
    scores = classifiers.accuracy(pool.experts, pool.dev)
    weaker = classifiers.accuracy(classifiers.start_of(pool, "weaker half", 0)[0], pool.dev)
    assert weaker.max() <= np.sort(scores)[5]


def test_the_top_ten_vote_and_ties_go_to_the_first() -> None:
    def always(label: int) -> np.ndarray:
        weights = np.zeros((10, 65))
        weights[label, -1] = 1.0
        return weights.ravel()

    # the nines are not among the ten best, and the eleventh that is as good comes too late
    models = np.array([always(label) for label in (9, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 9)])
    scores = np.array([0.1, *[0.5] * 11, 0.2])
    items = (np.zeros((4, 64)), np.array([3, 3, 4, 9]))
    assert classifiers.top_vote(models, scores, items) == 0.5
    assert classifiers.top_vote(models[::-1], scores[::-1], items) == 0.25


def test_diversity_is_a_share_of_the_start_and_a_swarm_without_pull_keeps_it() -> None:
    kept = {
        line["variant"]: line["diversity"]
        for line in outcomes.lines("inertia")
        if (line["function"], line["inertia"], line["seed"]) == ("sphere", 0.2, 0)
    }
    rows = {name: inertia.run("sphere", 0.2, name, 0)["diversity"] for name in inertia.VARIANTS}
    for name, row in rows.items():
        assert row[0] == 1.0 and len(row) == inertia.KEPT + 1
        assert row == pytest.approx(kept[name], rel=1e-3), name
    assert np.mean(rows["half the step"]) > np.mean(rows["as published"])


# The published setting


def test_the_published_search_is_that_of_the_ablations(pool: Any) -> None:
    """Also with a dropout of nothing; another loop than `classifiers.run`, over `record`."""
    theirs = classifiers.run(pool, "full", 2)
    for variant in ("published", "drop-k 0", "drop-n 0"):
        swarm, _, _, evaluations = setting.searched(pool, variant, 2)
        best = swarm.best.x.double().numpy()
        row = setting.row_of(best, pool)
        assert (row["dev"], evaluations) == (theirs["dev"], theirs["evaluations"])
        assert setting_tables.share_right(row) == pytest.approx(theirs["test"])
    (kept,) = [
        row
        for row in outcomes.lines("published-setting")
        if (row["variant"], row["task"], row["seed"]) == ("published", "pool 1", 2)
    ]
    assert kept["dev"] == theirs["dev"]
    assert setting_tables.share_right(kept) == pytest.approx(theirs["test"], abs=0.005)


def test_draws_are_of_the_papers_grid_and_tries_differ(pool: Any) -> None:
    grid = {
        "inertia": [0.1, 0.2, 0.3],
        "cognitive": [0.1, 0.2, 0.3, 0.4, 0.5],
        "social": [0.2, 0.3, 0.4, 0.5, 0.6],
        "repel": [0.01, 0.05, 0.1],
        "step": [0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
    }
    draws = setting.drawn(3)
    assert len(draws) == len({tuple(draw.values()) for draw in draws}) == 10
    assert all(draw[name] in values for draw in draws for name, values in grid.items())
    found = [
        setting.searched(pool, variant, 0)[0].best.x.double().numpy()
        for variant in ("published", "repeat 1", "repeat 2", "grid 1", "grid 2")
    ]
    assert all(not np.allclose(a, b) for a in found for b in found if a is not b)


def test_dropout_leaves_out_that_share_of_what_follows_the_start(pool: Any) -> None:
    for share, least, most in ((0.5, 0.35, 0.65), (0.8, 0.1, 0.3)):
        swarm, _, _, evaluations = setting.searched(pool, f"drop-n {share}", 0)
        later = 20 * (swarm.rounds - 1)
        assert least < (evaluations - 20) / later < most
    _, _, _, evaluations = setting.searched(pool, "drop-k 0.5", 0)
    assert evaluations % 20 == 0


def test_sums_are_of_all_experts_with_totals_between_a_half_and_a_third_of_them(pool: Any) -> None:
    start = setting.start_of(pool, "sums", 0)
    shares, *_ = np.linalg.lstsq(pool.experts.T, start.T, rcond=None)
    assert shares.T[:10] == pytest.approx(np.eye(10), abs=1e-9)
    totals = shares.T[10:].sum(axis=1)
    assert (shares.T[10:] > -1e-9).all() and ((totals > 0.5) & (totals < 1 + 10 / 3)).all()
    even = setting.start_of(pool, "even", 0)
    assert even[10:13] == pytest.approx(
        np.stack([0 * start[0], pool.experts.mean(0), pool.experts.sum(0)])
    )
    assert len(even) == len(start) == 20


def test_the_best_of_ten_tries_is_that_of_dev_and_pays_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    def line(variant: str, dev: float, byte: str, evaluations: int = 100) -> dict[str, Any]:
        about = {"task": "pool 1", "seed": 0, "evaluations": evaluations}
        return {"variant": variant, "dev": dev, "right": byte * 125, **about}

    rows = [line("published", 0.5, "f0")]
    for kind in ("grid", "repeat"):
        rows += [line(f"{kind} {k}", dev, byte) for k, (dev, byte) in enumerate(
            [(0.6, "00"), (0.9, "fe"), (0.9, "ff")], start=1)]  # fmt: skip
    monkeypatch.setattr(setting_tables, "lines", lambda name: rows)
    monkeypatch.setattr(setting_tables, "LABELS", {})
    monkeypatch.setattr(setting_tables.studies_table, "paired", lambda gains: f"{gains[0]:+.3f}")
    table = [row[1:] for row in cells(setting_tables.published_setting())]
    lot = ["0.800", "0.625", "+0.125", "100"]
    best = ["0.900", "0.875", "+0.375", "300"]
    assert table == [["0.500", "0.500", "", "100"], lot, best, lot, best]
