"""Rules of one's own, a few lines each, against literal transcriptions in `literal_recipes.py` and
numbers worked by hand.
"""

from __future__ import annotations

import literal_recipes as literal
import numpy as np
import pytest
from test_recipes_literal import KIND, assert_same, start, swarm_run, valley

import pyswarmopt as pso
from pyswarmopt.inspect.diagnostics import stability


@pytest.fixture(autouse=True)
def arrays(monkeypatch):
    """Whatever the recipes' tests ran on last."""
    monkeypatch.setitem(KIND, "dtype", np.float64)


# "column" moves in NumPy, "all" in torch
SCOPES = pytest.mark.parametrize("looks_at", ["column", "all"])


def nearest_gain(s: pso.Snapshot):
    """To the coordinate of another's best that gains most per distance."""
    n, dim = s.x.shape
    gain = s.fx[:, None] - s.fp[None]
    gain[np.arange(n), np.arange(n)] = -np.inf  # not its own
    ratio = gain[..., None] / abs(s.p[None] - s.x[:, None])
    return s.p[ratio.argmax(1), np.arange(dim)] - s.x


@SCOPES
@pytest.mark.parametrize("seed", range(3))
def test_the_fitness_distance_ratio_is_that_of_peram_veeramachaneni_and_mohan(looks_at, seed):
    near = pso.Term("near", 2.0, nearest_gain, "element", looks_at)
    mine = pso.compose([pso.inertia(0.6), pso.cognitive(1.0), pso.social(1.0), near])
    x, v = start(seed)
    run = literal.fitness_distance_ratio(x, v, valley, seed, 20)
    assert_same(swarm_run(mine, x, v, seed, 20), run)
    assert run.seen["neither its own nor the best"] > 50


def by_rank(s: pso.Snapshot):
    """v, the more of it the worse the particle's best is."""
    rank = 1 + (s.fp[None] < s.fp[:, None]).sum(1)
    return 0.4 * s.v + rank[:, None] * s.v * (0.5 / len(s.x))


@pytest.mark.parametrize("maximize", [False, True])
def test_a_rule_sees_costs_whichever_way_is_better(maximize):
    seen = []

    def look(s, move, generator):
        seen.append((s.fx.tolist(), s.fp.tolist(), s.move, move, s.links))
        return s.v

    swarm = pso.Swarm(
        positions=[[0.0], [1.0]], recipe=pso.compose(velocity=look), maximize=maximize, seed=0
    )
    for values in ([3.0, 4.0], [5.0, 2.0], [0.0, 0.0]):
        swarm.tell(swarm.ask(), -np.array(values) if maximize else values)
    first, second = seen
    assert first == ([3.0, 4.0], [3.0, 4.0], 0, 0, None)
    assert second == ([5.0, 2.0], [3.0, 2.0], 1, 1, None)


def test_stability_is_not_told_of_a_term_that_depends_on_values():
    ranked = pso.Term("by rank", 1.0, by_rank, "none")
    assert stability(pso.compose([ranked, pso.social(1.0)])) is None
    later = pso.Term("later", 1.0, lambda s: s.v / (1 + s.move), "none")
    assert stability(pso.compose([later, pso.social(1.0)])) is None


# --- what a result tells of them ---


def test_a_result_tells_recipe_seed_and_version():
    terms = [pso.inertia(pso.schedule.Linear(0.9, 0.4)), pso.cognitive(1.25), pso.repel(0.5)]
    mine = pso.compose(terms, topology=better_of_two, boundary=bounce, name="mine", population=7)
    box = [(-1.0, 1.0)] * 2
    r = pso.minimize(pso.functions.sphere, box, mine, max_evals=30, seed=5)
    assert (r.seed, r.version, dict(r)["recipe"]) == (5, pso.__version__, r.recipe)
    for told in ("mine", "1.25 cognitive", "better_of_two", "bounce", "0.9", "7"):
        assert told in r.recipe
    assert "0x" not in r.recipe
    named = pso.minimize(pso.functions.sphere, box, "clpso", population=9, max_evals=30)
    assert "gap=7" in named.recipe and named.seed is None
    again = eval(f"pso.recipes.{named.recipe}")  # a named recipe is written as Python makes it
    assert again.options == pso.recipes.clpso().options
    assert pso.minimize(pso.functions.sphere, box, max_evals=30, seed=2).recipe == ""


# --- topology, boundary, schedule ---


def better_of_two(state, generator):
    """Each hears of one particle drawn at random, unless its own best is as good."""
    n = len(state.best_costs)
    drawn = generator.integers(n, size=n)
    better = state.best_costs[drawn] < state.best_costs
    return state.best_positions[np.where(better, drawn, np.arange(n))]


def test_a_topology_of_ones_own_says_whose_best_attracts():
    recipe = pso.compose([pso.social(1.0, "none")], topology=better_of_two)
    start = [[0.0], [1.0], [2.0], [3.0], [4.0]]
    swarm = pso.Swarm(positions=start, velocities=np.zeros((5, 1)), recipe=recipe, seed=4)
    swarm.tell(swarm.ask(), [0.0, 1.0, 2.0, 3.0, 4.0])
    drawn = np.random.default_rng(4).integers(5, size=5)
    expected = [min(i, int(other)) for i, other in enumerate(drawn)]
    assert swarm.ask().flatten().tolist() == expected != [0, 1, 2, 3, 4]


def bounce(x, v, box, generator):
    """Back to the wall, as fast as it came."""
    inside = x.clip(box.low, box.high)
    return inside, np.where(inside == x, v, -v)
