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
    here, there = pso.Swarm(**options, device="cpu"), pso.Swarm(**options, device="cuda")
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
    again = pso.Swarm(bounds=[(-5, 5)] * 3, recipe=recipe, device="cuda")
    again.load_state_dict(pso.Swarm.load(tmp_path / "s").state_dict())
    assert torch.equal(drive(again, bowls, 5).positions, drive(swarm, bowls, 5).positions)
    here = pso.Swarm.load(tmp_path / "s")
    assert not here.positions.is_cuda and torch.equal(here.positions, whole["positions"].cpu())
    drive(here, bowls, 5)


class Elsewhere(torch.Tensor):
    """Stands for a tensor of a device without float64 (MPS) whose numbers NumPy cannot see (CUDA):
    both have to be asked of its copy on the CPU.
    """

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        if name == "cpu":
            return args[0].as_subclass(torch.Tensor)
        if name in ("double", "numpy", "__array__") or torch.float64 in args[1:]:
            raise TypeError(f"{name}: the tensor is elsewhere")
        return super().__torch_function__(function, types, args, kwargs or {})


def elsewhere(tensor):
    return tensor.as_subclass(Elsewhere)


def test_numbers_of_another_device_are_asked_of_their_copy_here():
    with pytest.raises(TypeError, match="elsewhere"):
        elsewhere(torch.ones(2)).double()
    start = torch.tensor([[1.0, 2.0]])
    values = torch.tensor([3.0])
    search = pso.DefaultSearch([(-5, 5)] * 2, positions=elsewhere(start), seed=0)
    x = search.ask()
    search.tell(x, elsewhere(values))
    assert x.tolist() == start.tolist() and search.best.value == 3.0
    swarm = pso.Swarm(bounds=[(-5, 5)] * 2, recipe="covariant", population=6, seed=0)
    swarm.tell(swarm.ask(), elsewhere(torch.arange(6.0)))
    assert swarm.best.value == 0.0
