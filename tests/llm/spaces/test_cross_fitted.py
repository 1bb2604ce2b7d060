"""The expert that is trained on dev: what each of its parts is trained on top of."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from engine_reference import load_tiny

from pyswarmopt_llm.models.adapters.adapter import load_adapter, load_factors, read_adapter
from pyswarmopt_llm.models.choices import Choices
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.models.training.folds import folds
from pyswarmopt_llm.spaces.cross_fitted import CrossFittedSpace, complete_from, train_on_dev


def test_every_fold_starts_from_what_is_best_without_it(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    prompts = [f"Question {i}?" for i in range(10)]
    choices = [Choices(((p, " red"), (p, " blue")), (1.0, 1.0), i % 2) for i, p in enumerate(prompts)]
    rng = random.Random(5)
    values = [{p: float(rng.random() < 0.5) for p in prompts} for _ in range(6)]
    space = CrossFittedSpace([load_adapter(read_adapter(path)) for path in tiny_experts[:3]])
    with pytest.raises(ValueError, match="not there yet"):
        space.realise(space.vertices()[-1])
    engine = TransformersEngine(*load_tiny(tiny_base))
    train_on_dev(space, engine, choices, values, tmp_path / "dev", "base", 0)

    names = [path.name for path in tiny_experts[:3]]
    starts = [{}, dict.fromkeys(names, 1 / 3), dict.fromkeys(names, 1.0), *({name: 1.0} for name in names)]
    found = json.loads((tmp_path / "dev" / "mixtures.json").read_text())
    for name, fold in [*((f"without-{k + 1}", fold) for k, fold in enumerate(folds(choices, 0))), ("all", frozenset())]:
        totals = [sum(value for p, value in one.items() if p not in fold) for one in values]
        assert found[name] == pytest.approx(starts[totals.index(max(totals))]), name
    assert len({str(one) for one in found.values()}) > 1

    # The new expert by itself, as it was written, is its mixture and its LoRA.
    whole = load_factors(read_adapter(tmp_path / "dev" / "whole"))
    lora = load_factors(read_adapter(tmp_path / "dev" / "all"))
    for name, change in space.realise(space.vertices()[-1]).low_rank.items():
        dense = lora[name].dense()
        for path in tiny_experts[:3]:
            factors = load_adapter(read_adapter(path)).factors.get(name.removesuffix(".weight"))
            if factors is not None and path.name in found["all"]:
                dense = dense + found["all"][path.name] * factors.scale * factors.b @ factors.a
        assert torch.allclose(change.dense(), dense, atol=1e-5)
        assert torch.allclose(whole[name].dense(), dense, atol=1e-5)
    again = CrossFittedSpace([load_adapter(read_adapter(path)) for path in tiny_experts[:3]])
    complete_from(again, tmp_path / "dev", choices, 0)
    position = torch.tensor([0.5, -0.2, 0.0, 0.7], dtype=torch.float64)
    first, second = (one.realise(position).low_rank for one in (space, again))
    assert all(torch.equal(first[name].b, second[name].b) for name in first)
