"""Spaces against numbers worked out by hand, a brute-force sum, and peft's own combination of
adapters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.optimizers import make_optimizer
from pyswarmopt_llm.experts.adapter import Adapter, load_adapter, read_adapter
from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.mix.factor import FactorSpace


def load(*paths: Path) -> list[Adapter]:
    return [load_adapter(read_adapter(path)) for path in paths]


def mix(*weights: float) -> torch.Tensor:
    return torch.tensor(weights, dtype=torch.float64)


@pytest.fixture(scope="module")
def tiny(tiny_experts: list[Path]) -> list[Adapter]:
    return load(*tiny_experts)


weights = st.lists(st.floats(-3, 3, allow_nan=False), min_size=3, max_size=3)


@given(c=weights)
def test_any_coefficients_against_a_loop_in_float64(c: list[float], tiny: list[Adapter]) -> None:
    factor, delta = FactorSpace(tiny).realise(mix(*c)), DeltaSpace(tiny).realise(mix(*c))
    for module in tiny[0].factors:
        a, b, change = 0.0, 0.0, 0.0
        for weight, expert in zip(c, tiny, strict=True):
            f = expert.factors[module]
            a, b = a + weight * f.a.double(), b + weight * f.b.double()
            change = change + weight * f.scale * (f.b.double() @ f.a.double())
        scale = tiny[0].factors[module].scale
        name = f"{module}.weight"
        torch.testing.assert_close(
            factor.low_rank[name].dense().double(), scale * (b @ a), rtol=1e-5, atol=1e-5
        )
        torch.testing.assert_close(
            delta.low_rank[name].dense().double(), change, rtol=1e-5, atol=1e-5
        )


def flat(experts: list[Adapter]) -> torch.Tensor:
    """The experts' raw factors, one after another: (n, P) float64."""
    rows = [
        [part.flatten() for f in expert.factors.values() for part in (f.b, f.a)]
        for expert in experts
    ]
    return torch.stack([torch.cat(row) for row in rows]).double()


def changes(position: torch.Tensor, like: Adapter) -> dict[str, torch.Tensor]:
    """The change of each weight whose raw factors these P numbers are."""
    result, at = {}, 0
    for module, f in like.factors.items():
        b, a = (
            position[at : at + f.b.numel()],
            position[at + f.b.numel() : at + f.b.numel() + f.a.numel()],
        )
        result[f"{module}.weight"] = f.scale * b.view(f.b.shape) @ a.view(f.a.shape)
        at += f.b.numel() + f.a.numel()
    return result


@pytest.mark.parametrize("compat", ["paper", "reference"])
def test_a_swarm_on_the_flat_factors_goes_the_way_of_one_on_coefficients(
    compat: str, tiny: list[Adapter]
) -> None:
    """Scored by the distance of its changes from those of an average beyond the experts."""
    space, rows = FactorSpace(tiny), flat(tiny)
    target = changes(mix(0.7, -0.4, 0.7) @ rows, tiny[0])

    def near(candidate: Mapping[str, torch.Tensor]) -> float:
        return -sum(
            float((candidate[name].double() - change).square().sum())
            for name, change in target.items()
        )

    def by_coefficients(position: torch.Tensor) -> float:
        return near(
            {name: change.dense() for name, change in space.realise(position).low_rank.items()}
        )

    ways = []
    for vertices, score in (
        (space.vertices(), by_coefficients),
        (rows, lambda x: near(changes(x, tiny[0]))),
    ):
        swarm = make_optimizer(
            "model-swarms", vertices, population=8, max_iter=9, patience=9, seed=4, compat=compat
        )
        way = []
        for _ in range(6):
            positions = swarm.ask()
            way.append(positions.clone())
            swarm.tell(positions, [score(position) for position in positions])
        ways.append(way)
    for coefficients, positions in zip(*ways, strict=True):
        torch.testing.assert_close(coefficients @ rows, positions, rtol=1e-6, atol=1e-6)
    assert (ways[0][-1] - ways[0][0]).abs().max() > 0.1
    assert ways[0][0].shape == (8, 3)
    assert ways[1][0].shape == (8, sum(math.prod(t.shape) for t in tiny[0].info.tensors.values()))


@pytest.mark.parametrize("name", ["factor", "delta"])
def test_patches_are_not_tied_to_the_position(name: str, tiny: list[Adapter]) -> None:
    """The optimizer moves positions in place; a patch that an engine holds must not move with
    them.
    """
    space = build_space(name, tiny)
    position = space.vertices()[0]
    patch = space.realise(position)
    before = {name: change.dense() for name, change in patch.low_rank.items()}
    position.zero_()
    assert all(torch.equal(before[name], change.dense()) for name, change in patch.low_rank.items())


@pytest.mark.parametrize(
    ("name", "combination"), [("factor", "linear"), ("delta", "cat"), ("delta", "svd")]
)
def test_against_pefts_own_combination(
    name: str, combination: str, tiny_base: Path, tiny_experts: list[Path], tiny: list[Adapter]
) -> None:
    """peft's `add_weighted_adapter`; its "linear" weighs both factors with sqrt(c), so it is
    compared at c = 1.
    """
    import peft
    from transformers import AutoModelForCausalLM

    c = [1.0, 1.0, 1.0] if combination == "linear" else [0.2, 0.5, 0.3]
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(model, tiny_experts[0], adapter_name="0")
    for i in (1, 2):
        model.load_adapter(tiny_experts[i], adapter_name=str(i))
    options = {"svd_rank": 12} if combination == "svd" else {}
    model.add_weighted_adapter(["0", "1", "2"], c, "mix", combination_type=combination, **options)
    patch = build_space(name, tiny).realise(mix(*c))
    for module in tiny[0].factors:
        layer = model.base_model.model.get_submodule(module)
        change = patch.low_rank[f"{module}.weight"].dense()
        torch.testing.assert_close(layer.get_delta_weight("mix"), change, rtol=1e-4, atol=1e-5)


def test_factor_refuses_unequal_experts(
    tiny: list[Adapter], make_expert: Callable[..., Path]
) -> None:
    odd = load(make_expert("odd", 5, rank=2))
    with pytest.raises(UserError, match=r"odd: .*use space delta"):
        build_space("factor", [*tiny, *odd])
    with pytest.raises(UserError, match=r"odd: .*use space delta"):
        build_space("factor", [tiny[0], *odd, *tiny[1:]])
    assert build_space("delta", [*tiny, *odd]).size == 4


def test_whole_models_are_not_mixed_as_adapters(tiny: list[Adapter]) -> None:
    with pytest.raises(UserError, match="mixes whole models"):
        build_space("token", tiny)


def test_positions_of_another_shape(tiny: list[Adapter]) -> None:
    for space in (FactorSpace(tiny), DeltaSpace(tiny)):
        with pytest.raises(ValueError, match="position has the shape"):
            space.realise(torch.zeros(space.size + 1))
