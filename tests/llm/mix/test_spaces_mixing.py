"""Spaces of coefficients: where they start, what they mix, what they save."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import MixtureSpace, Patch
from pyswarmopt_llm.experts.adapter import Adapter, load_adapter, load_factors, read_adapter
from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.mix.coefficients import starting_points
from pyswarmopt_llm.mix.factor import FactorSpace
from pyswarmopt_llm.searching.optimizers import make_optimizer


def test_sums_fill_up_the_population(tiny_experts: list[Path]) -> None:
    experts = [load_adapter(read_adapter(path)) for path in tiny_experts]
    n = len(experts)
    delta, factor = build_space("delta", experts), build_space("factor", experts)
    for start, space, summed in (
        ("sums", delta, True),
        ("segments", factor, False),
        ("sums", factor, True),
        ("segments", delta, False),
        ("even", delta, True),
    ):
        positions = starting_points(space, start, n + 5, 3)
        assert torch.equal(positions[:n], torch.eye(n, dtype=torch.float64))
        assert len(positions) == (n + 5 if summed else n)  # segments are drawn by the optimizer
    assert len(starting_points(delta, "sums", 1, 0)) == n
    even = starting_points(delta, "even", n + 5, 3)[n:]
    assert (
        even[:3].sum(1).tolist() == pytest.approx([0, 1, n])
        and len({tuple(x) for x in even[:3].tolist()}) == 3
    )
    assert torch.equal(even[3:], starting_points(delta, "sums", n + 2, 3)[n:])


def load(*paths: Path) -> list[Adapter]:
    return [load_adapter(read_adapter(path)) for path in paths]


def mix(*weights: float) -> torch.Tensor:
    return torch.tensor(weights, dtype=torch.float64)


@pytest.fixture(scope="module")
def tiny(tiny_experts: list[Path]) -> list[Adapter]:
    return load(*tiny_experts)


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
        result[f"{module}.weight"] = b.view(f.b.shape) @ a.view(f.a.shape)
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
    assert ways[1][0].shape == (8, tiny[0].info.parameters)


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
    with pytest.raises(UserError, match=r"odd: .*set space to delta"):
        build_space("factor", [*tiny, *odd])
    with pytest.raises(UserError, match=r"odd: .*set space to delta"):
        build_space("factor", [tiny[0], *odd, *tiny[1:]])
    assert build_space("delta", [*tiny, *odd]).size == 4


COEFFICIENTS = torch.tensor([0.317, 0.9101, -0.2271], dtype=torch.float64)


def position_of(space: MixtureSpace) -> torch.Tensor:
    return COEFFICIENTS.to(space.vertices().dtype) @ space.vertices()


def merged_by_peft(base: Path, adapter: Path) -> dict[str, torch.Tensor]:
    import peft
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    merged = peft.PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return dict(merged.named_parameters())


def assert_peft_agrees_to_the_bit(base: Path, adapter: Path, patch: Patch) -> None:
    from transformers import AutoModelForCausalLM

    original = dict(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).named_parameters()
    )
    merged = merged_by_peft(base, adapter)
    assert merged.keys() == original.keys() and patch.low_rank.keys() <= original.keys()
    for name, value in original.items():
        if name in patch.low_rank:
            expected = (value.float() + patch.low_rank[name].dense()).to(torch.bfloat16)
            assert not torch.equal(expected, value)
        else:
            expected = value
        assert torch.equal(merged[name], expected), name


@pytest.mark.parametrize("name", ["factor", "delta"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 5},  # scale 1.25: not a power of two
        {"rank": 3, "alpha": 7, "use_rslora": True},
        {"rank_pattern": {"k_proj": 2}, "alpha_pattern": {"v_proj": 3}},
        {"target_modules": r".*layers\.1\..*(q|up)_proj"},
        {"target_modules": ["q_proj"], "layers_to_transform": [1]},
    ],
)
def test_peft_merges_the_very_same_weights(
    name: str, options: dict, tiny_base: Path, make_expert: Callable[..., Path], tmp_path: Path
) -> None:
    experts = [
        load_adapter(read_adapter(make_expert(f"e{seed}", seed, **options))) for seed in range(3)
    ]
    space = build_space(name, experts)
    patch = space.realise(position_of(space))
    space.save(position_of(space), tmp_path / "best")
    assert sorted(p.name for p in (tmp_path / "best").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert_peft_agrees_to_the_bit(tiny_base, tmp_path / "best", patch)
    read = load_factors(read_adapter(tmp_path / "best"))
    assert read.keys() == patch.low_rank.keys()
    for parameter, change in patch.low_rank.items():
        assert torch.equal(read[parameter].a, change.a) and torch.equal(read[parameter].b, change.b)


def test_a_candidate_has_the_columns_of_its_experts_alone(tiny_experts: list[Path]) -> None:
    experts = load(*tiny_experts)
    space = build_space("delta", experts)
    alone = space.realise(torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    two = space.realise(torch.tensor([0.5, 0.0, -1.0], dtype=torch.float64))
    nothing = space.realise(torch.zeros(3, dtype=torch.float64))
    ant, bee, cat = (expert.factors for expert in experts)
    for name, change in alone.low_rank.items():
        module = name.removesuffix(".weight")
        assert change.b.equal(bee[module].b) and change.a.equal(bee[module].a)
        whole = two.low_rank[name]
        assert whole.b.equal(torch.cat([0.5 * ant[module].b, -cat[module].b], dim=1))
        assert whole.a.equal(torch.cat([ant[module].a, cat[module].a]))
        assert len(nothing.low_rank[name].a) == 1 and not nothing.low_rank[name].dense().any()
