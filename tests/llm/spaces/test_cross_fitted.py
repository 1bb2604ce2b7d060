"""A mixture and the LoRA that was trained on top of it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from engine_reference import load_tiny

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.jobs.search.cross_fitting import not_worse, read_trained, train_on_dev
from pyswarmopt_llm.models.adapters.adapter import Adapter, load_adapter, load_factors, read_adapter
from pyswarmopt_llm.models.choices import Choices, Schedule
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.models.training.folds import folds, train_once
from pyswarmopt_llm.spaces.delta import DeltaSpace

CHOICES = [
    Choices(((f"Question {i}?", " red"), (f"Question {i}?", " blue")), (1.0, 1.0), i % 2)
    for i in range(10)
]


def dense(
    experts: list[Adapter], weights: list[float], lora: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The weighted sum of the experts plus a change, as matrices."""
    changes = {
        f"{module}.weight": torch.zeros(shape.weight_shape)
        for expert in experts
        for module, shape in expert.info.modules.items()
    }
    for expert, weight in zip(experts, weights, strict=True):
        for module, part in expert.factors.items():
            changes[f"{module}.weight"] += weight * part.scale * part.b @ part.a
    return {name: change + lora.get(name, 0.0) for name, change in changes.items()}


def test_the_loras_are_trained_on_top_of_the_mixture_and_added_to_it(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    experts = [load_adapter(read_adapter(path)) for path in tiny_experts[:3]]
    space, engine = DeltaSpace(experts), TransformersEngine(*load_tiny(tiny_base))
    mixture = torch.tensor([0.5, -0.2, 0.7], dtype=torch.float64)
    start, pattern = space.realise(mixture), experts[0].info
    train_on_dev(
        engine, start, CHOICES, pattern, tmp_path / "dev", 3, schedule=Schedule(without_fold=2)
    )
    trained = read_trained(space, tmp_path / "dev", CHOICES, 3)
    position = trained.on_top_of(mixture)
    assert position.tolist() == [0.5, -0.2, 0.7, 1.0]
    patch, contexts = trained.realise(position), folds(CHOICES, 3)
    assert [held.contexts for held in patch.held_out] == contexts
    everything = frozenset().union(*contexts)
    parts = [
        (patch, everything, 4),
        *((held.patch, everything - held.contexts, 2) for held in patch.held_out),
    ]
    for part, trained_on, epochs in parts:
        engine.load(Patch(full_rank=dense(experts, mixture.tolist(), {})))
        own = [item for item in CHOICES if item.pairs[0][0] in trained_on]
        lora = {
            name: one.dense()
            for name, one in train_once(engine, own, pattern, 3, epochs=epochs)[0].low_rank.items()
        }
        expected = dense(experts, mixture.tolist(), lora)
        assert part.low_rank.keys() == expected.keys()
        for name, change in part.low_rank.items():
            assert torch.allclose(change.dense(), expected[name], atol=2e-5), name
    without = trained.realise(torch.tensor([0.5, -0.2, 0.7, 0.0], dtype=torch.float64))
    assert not without.held_out
    half = trained.realise(torch.tensor([0.0, 0.0, 0.0, 0.5], dtype=torch.float64))
    whole = load_factors(read_adapter(tmp_path / "dev" / "all"))
    for name, change in half.low_rank.items():
        lora_alone = 0.5 * whole[name].dense() if name in whole else torch.zeros(())
        assert torch.allclose(change.dense(), lora_alone, atol=1e-6)


def test_what_is_there_is_not_trained_again_and_what_is_missing_is_named(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    space = DeltaSpace([load_adapter(read_adapter(path)) for path in tiny_experts[:2]])
    engine, epochs = TransformersEngine(*load_tiny(tiny_base)), list[float]()
    pattern = read_adapter(tiny_experts[0])
    for _ in range(2):
        train_on_dev(engine, Patch(), CHOICES, pattern, tmp_path / "dev", 0, epochs.append)
    assert (
        epochs[-1] == 1.0
        and epochs.count(1.0) == 1
        and len(epochs) == 4 * (len(folds(CHOICES, 0)) + 1)
    )
    (tmp_path / "dev" / "without-2").rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"without-2: not there; restore it, or begin a new search"):
        read_trained(space, tmp_path / "dev", CHOICES, 0)


@pytest.mark.parametrize(
    ("trained", "mixture", "error", "kept"),
    [
        (0.5, 0.54, 0.05, True),
        (0.5, 0.56, 0.05, False),
        (0.9, 0.5, 0.0, True),
        (-2.0, -1.0, math.nan, False),
    ],
)
def test_training_is_kept_unless_the_mixture_is_a_standard_error_ahead(
    trained: float, mixture: float, error: float, kept: bool
) -> None:
    assert not_worse(Score(trained, (), 100, 0.3), Score(mixture, (), 100, error)) is kept
