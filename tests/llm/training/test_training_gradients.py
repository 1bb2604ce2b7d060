"""Gradients of log-likelihoods against finite differences of plain forward passes on merged
weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from engine_reference import load_tiny

from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import Adapter, load_adapter, read_adapter
from pyswarmopt_llm.training.trainer import loglikelihoods, training
from pyswarmopt_rivals.methods.training.on_dev import TrainableMixture

PAIRS = [
    ("What is it?", " a cat"),
    ("What is it?", " a car"),
    ("What is that?", " a dog"),
    ("Say", " no indeed"),
]


@pytest.fixture
def engine(tiny_base: Path) -> TransformersEngine:
    model, tokenizer = load_tiny(tiny_base)
    return TransformersEngine(model.double(), tokenizer, batch_tokens=20)


@pytest.fixture(scope="module")
def experts(tiny_experts: list[Path]) -> list[Adapter]:
    return [load_adapter(read_adapter(path)) for path in tiny_experts]


def values(engine: TransformersEngine) -> torch.Tensor:
    result = torch.zeros(len(PAIRS), dtype=torch.float64)
    for indices, part in loglikelihoods(engine, PAIRS):
        result = result.index_add(0, torch.tensor(indices), part)
    return result


@pytest.mark.parametrize("single", [True, False])
def test_derivatives_by_coefficients_are_those_of_merged_models(
    engine: TransformersEngine, experts: list[Adapter], single: bool
) -> None:
    mixture = TrainableMixture(experts, single, engine.model, 1 / 3)
    with training(engine.model, mixture.additions()):
        (slopes,) = torch.autograd.grad(values(engine).sum(), mixture.coefficients)
    step, modules = 1e-3, sorted(experts[0].factors)
    for row, expert in [(0, 0), (0, 2)] if single else [(0, 0), (3, 1), (7, 2)]:
        moved = modules if single else [modules[row]]
        sums = [
            summed(engine, experts, {m: (expert, sign * step) for m in moved}) for sign in (1, -1)
        ]
        assert slopes[row, expert].item() == pytest.approx(
            (sums[0] - sums[1]) / (2 * step), rel=0.01, abs=0.01
        )


def summed(
    engine: TransformersEngine, experts: list[Adapter], moved: dict[str, tuple[int, float]]
) -> float:
    """Sum of the log-likelihoods of the average of the experts, in some modules with more of one
    expert.
    """
    changes = {}
    for module in experts[0].factors:
        weights = [1 / 3] * 3
        if module in moved:
            weights[moved[module][0]] += moved[module][1]
        parts = [expert.factors[module] for expert in experts]
        b = torch.cat([w * part.b for w, part in zip(weights, parts, strict=True)], 1)
        changes[f"{module}.weight"] = LowRank(
            b=b.double(), a=torch.cat([part.a for part in parts]).double()
        )
    engine.load(Patch(low_rank=changes))
    total = sum(engine.loglikelihood(PAIRS))
    engine.load(Patch())
    return total


def test_the_model_is_as_before_afterwards(
    engine: TransformersEngine, experts: list[Adapter]
) -> None:
    model: Any = engine.model
    attention, before = model.config._attn_implementation, engine.loglikelihood(PAIRS)
    with (
        pytest.raises(ZeroDivisionError),
        training(model, TrainableMixture(experts, True, model, 1 / 3).additions()),
    ):
        assert not any(parameter.requires_grad for parameter in model.parameters())
        raise ZeroDivisionError
    assert model.config._attn_implementation == attention and engine.loglikelihood(PAIRS) == before
