"""Swarms on a GPU: the same search as on the CPU to rounding, saved there and loaded here; a swarm
in chunks.
"""

from __future__ import annotations

import pytest
import torch
from swarm_runs import bowls, drive

import pyswarmopt as pso

# all random numbers in float64
RECIPES = ["constriction", "model_swarms", "fips", "inertia_weight"]


@pytest.mark.parametrize("device", ["meta", "nonsense", "cuda:99"])
def test_a_device_that_holds_no_numbers_is_refused(device):
    with pytest.raises(ValueError, match=f"device='{device}' cannot be used"):
        pso.Swarm(bounds=[(0, 1)] * 2, device=device)


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_gpu_makes_the_same_search(recipe):
    options = {"bounds": [(-5, 5)] * 40, "population": 12, "recipe": recipe, "seed": 1}
    here, there = pso.Swarm(**options), pso.Swarm(**options, device="cuda")
    assert there.ask().is_cuda
    drive(here, bowls, 1), drive(there, bowls, 1)
    torch.testing.assert_close(there.positions.cpu(), here.positions)
    drive(there, bowls, 60)
    assert there.best.x.is_cuda and there.best.value == pytest.approx(float(bowls(there.best.x)))
    assert there.best.value < 0.5 * float(bowls(pso.Swarm(**options).ask()).min())


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", sorted(pso.recipes.RECIPES))
def test_a_swarm_moves_between_devices_in_a_file(tmp_path, recipe):
    swarm = drive(pso.Swarm(bounds=[(-5, 5)] * 3, recipe=recipe, seed=1, device="cuda"), bowls, 5)
    whole = swarm.state_dict()
    swarm.save(tmp_path / "s")
    again = pso.Swarm.load(tmp_path / "s", device="cuda")
    assert torch.equal(drive(again, bowls, 5).positions, drive(swarm, bowls, 5).positions)
    here = pso.Swarm.load(tmp_path / "s")
    assert not here.positions.is_cuda and torch.equal(here.positions, whole["positions"].cpu())
    drive(here, bowls, 5)


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", sorted(pso.recipes.RECIPES))
def test_particles_move_one_by_one_on_a_gpu(recipe):
    swarm = pso.Swarm(bounds=[(-5, 5)] * 3, recipe=recipe, population=6, seed=1, device="cuda")
    values = []
    for _ in range(120):
        ticket = swarm.ask_one()
        assert ticket is not None and ticket.x.is_cuda
        values.append(float(bowls(ticket.x)))
        swarm.tell(ticket, values[-1])
    assert swarm.best.value == min(values)
