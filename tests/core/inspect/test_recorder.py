"""A recording is the search itself: same trajectory, forces that add up, factors that explain
them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import pyswarmopt as pso
from pyswarmopt.inspect.recorder import record

BOX: dict[str, Any] = {"bounds": [(-5.0, 5.0)] * 3, "population": 7, "seed": 3}
RECIPES = {
    **{name: factory() for name, factory in pso.recipes.RECIPES.items()},
    "clamped": pso.recipes.inertia_weight(max_velocity=0.5),
    "looks at all": pso.compose(
        [pso.inertia(0.5), pso.Term("centre", 0.4, lambda s: s.p.mean(0) - s.x)]
    ),
    "ring of two": pso.recipes.constriction(topology="von_neumann"),
    "walls": replace(pso.recipes.constriction(), boundary=pso.boundary.periodic),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_watched_swarm_goes_where_the_unwatched_one_goes(recipe: pso.Recipe) -> None:
    steps = record(pso.functions.rastrigin, recipe, 12, **BOX)
    swarm = pso.Swarm(recipe=recipe, **BOX)
    for step in steps:
        x = swarm.ask()
        np.testing.assert_array_equal(step.x, x)
        np.testing.assert_array_equal(step.v, swarm.velocities)
        swarm.tell(x, pso.functions.rastrigin(x))
        np.testing.assert_array_equal(step.p, swarm.personal_bests)
        assert step.best == swarm.best.value
    assert len(steps) == 13


NO_SUMS = ("bare_bones", "clpso", "covariant", "spso2011", "clamped")
SUMS = {name: r for name, r in RECIPES.items() if name not in NO_SUMS}


@pytest.mark.parametrize("recipe", SUMS.values(), ids=SUMS)
def test_forces_add_up_to_the_move(recipe: pso.Recipe) -> None:
    recipe = replace(recipe, boundary=pso.boundary.none)
    for step in record(pso.functions.rastrigin, recipe, 12, **BOX)[1:]:
        total = sum(step.forces.values())
        np.testing.assert_allclose(total, step.v, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(
            step.origin + step.length * total, step.x, rtol=1e-12, atol=1e-12
        )


def test_factors_of_a_normalised_sum_are_shares_in_each_coordinate() -> None:
    mixed = pso.compose([pso.inertia(0.5), pso.social(1.0, "element")], normalise=True)
    for step in record(pso.functions.sphere, mixed, 8, **BOX)[1:]:
        assert step.factors["social"].shape == (7, 3)
        np.testing.assert_allclose(0.5 * step.factors["inertia"] + step.factors["social"], 1.0)


def test_values_stay_as_they_were_when_a_new_population_follows() -> None:
    """The objective may answer in one array of its own."""
    answer = np.zeros(99)

    def counts(x):
        answer[:] += 1.0
        return answer[: len(x)]

    restart = pso.restart.RestartSwarm(patience=1)
    recipe = pso.compose([pso.inertia(0.5)], restart=restart)
    steps = pso.record(counts, recipe, 6, bounds=[(-1, 1)] * 2, population=4, seed=0)
    assert [step.values[0] for step in steps] == [float(k) for k in range(1, 8)]


@pytest.mark.parametrize("by_tickets", [False, True])
def test_a_recorded_swarm_in_a_loop_of_ones_own_has_the_same_steps(by_tickets: bool) -> None:
    recorded = pso.RecordedSwarm("fips", **BOX)
    for _ in range(9):
        if by_tickets:
            for ticket in recorded.ask(7)[::-1]:
                recorded.tell(ticket, float(pso.functions.rastrigin(ticket.x)))
        else:
            x = recorded.ask()
            recorded.tell(x, pso.functions.rastrigin(x))
    expected = record(pso.functions.rastrigin, "fips", 8, **BOX)
    assert len(recorded.steps) == len(expected) == 9
    for one, other in zip(recorded.steps, expected, strict=True):
        for name in ("x", "v", "p", "values", "p_values", "best", "length", "origin"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        for name, force in other.forces.items():
            np.testing.assert_array_equal(one.forces[name], force)


def test_a_recorded_swarm_refuses_to_move_particles_one_by_one() -> None:
    with pytest.raises(ValueError, match="asynchronous"):
        pso.RecordedSwarm(asynchronous=True, **BOX)


def test_a_swarm_of_tensors_is_recorded() -> None:
    torch = pytest.importorskip("torch")
    kinds = []

    def loss(x: Any) -> Any:
        kinds.append(x.dtype)
        return (x**2).sum(-1)

    steps = pso.record(loss, "constriction", 5, dtype=torch.float32, **BOX)
    assert kinds == [torch.float32] * 6
    assert all(isinstance(step.forces["social"], np.ndarray) for step in steps[1:])
    swarm = pso.Swarm(recipe="constriction", dtype=torch.float32, **BOX)
    for step in steps:
        x = swarm.ask()
        np.testing.assert_array_equal(step.x, x.numpy())
        swarm.tell(x, (x**2).sum(-1))
    assert steps[-1].best == swarm.best.value < steps[0].best
