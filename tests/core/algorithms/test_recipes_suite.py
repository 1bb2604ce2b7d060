"""One suite that every recipe passes, and what compositions of one's own must be able to do."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import pyswarmopt as pso
from pyswarmopt.base.optimizer import Optimizer
from pyswarmopt.parts import boundary
from pyswarmopt.parts.restart import RestartSwarm

BOUNDARIES = ["clip", "confine", "reflect", "periodic", "resample"]
RECIPES = {name: make() for name, make in pso.recipes.RECIPES.items()}
RECIPES["model_swarms reference"] = pso.recipes.model_swarms(restart_patience=2, compat="reference")
RECIPES["inertia_weight clamped"] = pso.recipes.inertia_weight(max_velocity=0.5)
RECIPES |= {
    f"constriction {name}": pso.recipes.constriction(topology=name)
    for name in pso.topology.TOPOLOGIES
}
GROWING = replace(
    RECIPES["constriction"], name="growing", restart=(RestartSwarm(patience=2),), options=None
)
RECIPES["growing"] = GROWING

every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())


def ripples(x: torch.Tensor) -> torch.Tensor:
    x = x.double()
    return ((x - 1.5) ** 2).sum(-1) + torch.cos(4 * x).sum(-1)


def drive(swarm: pso.Swarm, rounds: int) -> pso.Swarm:
    for _ in range(rounds):
        x = swarm.ask()
        swarm.tell(x, ripples(x))
    return swarm


def same(a: pso.Swarm, b: pso.Swarm) -> bool:
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(
        torch.equal(left[k].double().nan_to_num(), right[k].double().nan_to_num())
        if isinstance(left[k], torch.Tensor)
        else left[k] == right[k]
        for k in left
    )


@every_recipe
@settings(max_examples=15)
@given(
    box=st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6)), min_size=1, max_size=4),
    population=st.integers(1, 6),
    wall=st.sampled_from(BOUNDARIES),
    seed=st.integers(0, 99),
)
def test_positions_lie_within_the_bounds(recipe, box, population, wall, seed):
    low = torch.tensor([a for a, _ in box], dtype=torch.float64)
    high = torch.tensor([a + width for a, width in box], dtype=torch.float64)
    assume((low < high).any())  # else there is nothing to search, which is refused
    made = replace(recipe, boundary=getattr(boundary, wall))
    swarm = pso.Swarm(bounds=(low, high), population=population, recipe=made, seed=seed)
    for _ in range(12):
        x = swarm.ask()
        assert (x >= low).all() and (x <= high).all()
        swarm.tell(x, x.sum(-1))  # the optimum is in a corner


@every_recipe
@pytest.mark.parametrize(
    ("dtype", "dim", "population"),
    [(torch.float64, 1, 1), (torch.float32, 3, 2), (torch.float64, 3, 7)],
)
def test_any_shape_and_dtype(recipe, dtype, dim, population):
    optimizer: Optimizer = pso.Swarm(
        bounds=[(-5, 5)] * dim, population=population, recipe=recipe, seed=0, dtype=dtype
    )
    drive(optimizer, 12)
    n = population if recipe is not GROWING else len(optimizer.positions)
    for tensor in (optimizer.ask(), optimizer.velocities, optimizer.personal_bests):
        assert tensor.shape == (n, dim) and tensor.dtype == dtype and torch.isfinite(tensor).all()
    assert optimizer.best.x.shape == (dim,) and optimizer.best.x.dtype == dtype
    assert optimizer.best.value == float(ripples(optimizer.best.x))


@every_recipe
@pytest.mark.parametrize(
    ("dtype", "before", "after"),
    [(torch.float64, 0, 9), (torch.float32, 1, 8), (torch.bfloat16, 7, 9)],
)
def test_n_plus_m_rounds_are_n_rounds_save_load_m_rounds(tmp_path, recipe, dtype, before, after):
    def fresh(seed: int) -> pso.Swarm:
        return pso.Swarm(bounds=[(-5, 5)] * 3, population=6, recipe=recipe, seed=seed, dtype=dtype)

    whole, half = drive(fresh(8), before + after), drive(fresh(8), before)
    if before == 7:
        half.ask()
    half.save(tmp_path / "s")
    given_recipe = recipe if recipe.options is None else None
    loaded = drive(pso.Swarm.load(tmp_path / "s", recipe=given_recipe), after)
    other = fresh(9)
    other.load_state_dict(half.state_dict())
    assert same(loaded, whole) and same(drive(other, after), whole)
    assert torch.equal(loaded.ask(), whole.ask())


@every_recipe
@pytest.mark.parametrize("maximize", [False, True])
@settings(max_examples=10)
@given(data=st.data())
def test_a_value_that_is_not_finite_never_becomes_the_best(recipe, maximize, data):
    swarm = pso.Swarm(bounds=[(-5, 5)] * 2, population=4, recipe=recipe, seed=0, maximize=maximize)
    value = st.one_of(st.sampled_from([math.nan, math.inf, -math.inf]), st.floats(-1e6, 1e6))
    seen: list[tuple[float, torch.Tensor]] = []
    for _ in range(6):
        x = swarm.ask()
        values = data.draw(st.lists(value, min_size=len(x), max_size=len(x)))
        swarm.tell(x, values)
        seen += [(v, point) for v, point in zip(values, x, strict=True) if math.isfinite(v)]
        assert torch.isfinite(swarm.positions).all()
    found = [v for v, _ in seen]
    expected = (max if maximize else min)(found) if found else (-math.inf if maximize else math.inf)
    assert swarm.best.value == expected
    assert not seen or swarm.worst.value == (min if maximize else max)(found)
    assert not seen or any(v == expected and torch.equal(point, swarm.best.x) for v, point in seen)


# 20 particles x 200 rounds = 4000 evaluations; the centre of the box is 32 away from the optimum in
# value.
CONVERGENCE = [
    (pso.recipes.bare_bones(), 1e-12),
    (pso.recipes.clpso(horizon=200), 1e-6),
    (pso.recipes.constriction(), 1e-10),
    (pso.recipes.covariant(), 1e-12),
    (pso.recipes.surrogate(), 1e-12),
    (pso.recipes.constriction(topology="global"), 1e-10),
    (pso.recipes.constriction(topology="von_neumann"), 1e-10),
    (pso.recipes.constriction(topology="random"), 1e-10),
    (pso.recipes.fips(), 1e-8),
    (pso.recipes.fips(topology="ring"), 1e-6),
    (pso.recipes.inertia_weight(horizon=200), 1e-9),
    (pso.recipes.spso2011(), 1e-12),
    # It never leaves the hull of its start and shrinks on purpose: near, not exact.
    (pso.recipes.model_swarms(patience=999, max_iter=999, step_decay=1.0), 1.0),
]


@pytest.mark.parametrize(
    ("recipe", "reached"), CONVERGENCE, ids=lambda value: getattr(value, "name", None)
)
def test_the_optimum_of_a_sphere_off_the_centre_is_found(recipe, reached):
    optimum = torch.tensor([3.0, -2.0, 4.5], dtype=torch.float64)
    swarm = pso.Swarm(bounds=[(-5, 5)] * 3, population=20, recipe=recipe, seed=0)
    for _ in range(200):
        x = swarm.ask()
        swarm.tell(x, ((x - optimum) ** 2).sum(-1))
    assert swarm.best.value < reached


# --- terms and rules of one's own ---


def blocks() -> list[str]:
    text = (Path(__file__).parents[3] / "docs" / "own-term.md").read_text()
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_the_term_of_the_documentation_works_and_is_short():
    names: dict = {}
    exec(blocks()[0], names)
    assert names["result"].fun < 1e-3 and names["result"].nfev == 4000
    assert len([line for line in blocks()[0].splitlines() if line.strip()]) <= 10
    s = pso.Snapshot(*(torch.tensor([[0.0], [4.0]]) for _ in range(5)))
    assert names["centre"](1.0).direction(s).tolist() == [[2.0], [-2.0]]  # the middle of 0 and 4


def test_the_rule_of_the_documentation_works():
    names: dict = {"torch": torch}
    exec(blocks()[1], names)
    recipe = pso.compose(velocity=names["jump"], topology=pso.topology.Ring(), population=20)
    assert (
        pso.minimize(pso.functions.sphere, [(-5, 5)] * 2, recipe=recipe, max_evals=2000, seed=0).fun
        < 1e-3
    )
    one = torch.ones((2, 1))
    s = pso.Snapshot(x=3 * one, v=one, p=7 * one, g=7 * one, w=one)
    assert names["jump"](s, 0, torch.Generator()).tolist() == [[4.0], [4.0]]


def test_terms_and_a_rule_are_not_given_together():
    with pytest.raises(ValueError, match="either"):
        pso.compose([pso.inertia(1.0)], velocity=lambda s, move, generator: s.v)
    with pytest.raises(ValueError, match="normalised"):
        pso.compose(velocity=lambda s, move, generator: s.v, normalise=True)


# --- walls, starts, limits, schedules by hand ---


def test_launched_towards_anywhere_a_particle_stays_in_the_box_and_reaches_all_of_it():
    swarm = pso.Swarm(bounds=[(-1, 3)] * 2, population=500, recipe="spso2011", seed=0)
    target = swarm.ask() + swarm.velocities
    assert (target >= -1).all() and (target <= 3).all()
    assert target.min() < -0.9 and target.max() > 2.9 and abs(float(target.mean()) - 1.0) < 0.2


def test_a_clamp_cuts_each_coordinate():
    far = pso.Term(
        "far", 1.0, lambda s: 0 * s.x + torch.tensor([5.0, -0.25], dtype=s.x.dtype), random="none"
    )
    rule = pso.velocity.SumOfTerms((far,), limit=1.5)
    s = pso.Snapshot(*torch.zeros((5, 2, 2)))
    assert rule(s, 0, torch.Generator()).tolist() == [[1.5, -0.25]] * 2
    with pytest.raises(ValueError, match="max_velocity=0"):
        pso.recipes.clpso(max_velocity=0.0)


def test_a_schedule_over_no_moves_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        pso.recipes.inertia_weight(horizon=0)
