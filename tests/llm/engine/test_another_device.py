"""Everything that a GPU does, on a device that is not the CPU: the same numbers, no tensor of two
devices, and no waiting in a loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from card import OnCard, card, with_card
from engine_reference import load_tiny

from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.added_outputs import AddedOutputs
from pyswarmopt_llm.engine.by_token import distributions, next_token_logprobs, score_tokens
from pyswarmopt_llm.engine.generation import Draw
from pyswarmopt_llm.engine.mixing import Mixing, PatchedWeights
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.formats import find_format
from pyswarmopt_llm.formats.packed import PackedWeights

NAMES = ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj")
SHAPES = {NAMES[0]: (32, 32), NAMES[1]: (32, 64)}
PAIRS = [
    ("A question that all share?", " yes"),
    ("A question that all share?", " no"),
    ("A question that all", " begin like"),
    ("A question that is longer than the others, and by much", " indeed"),
]
PROMPTS = ["A question that all share?", "A question", "A question that is longer than others"]


def patch(seed: int) -> Patch:
    draws = torch.Generator().manual_seed(seed)

    def change(out: int, into: int) -> LowRank:
        return LowRank(
            b=0.3 * torch.randn(out, 2, generator=draws), a=torch.randn(2, into, generator=draws)
        )

    return Patch(low_rank={f"{name}.weight": change(*shape) for name, shape in SHAPES.items()})


def engine_on(base: Path, mix: str, device: torch.device | str = "cpu") -> TransformersEngine:
    model, tokenizer = load_tiny(base)
    model = model.to(device)
    mixing: Mixing = AddedOutputs(model) if mix == "runtime" else PatchedWeights(model)
    return TransformersEngine(model, tokenizer, 60, mixing)


@pytest.fixture
def waits() -> Iterator[Counter[str]]:
    with with_card() as counted:
        yield counted


def test_the_card_refuses_what_a_gpu_refuses(waits: Counter[str]) -> None:
    ones = torch.ones(2, device=card())
    assert isinstance(ones, OnCard) and isinstance(ones * 2 + torch.tensor(1.0), OnCard)
    with pytest.raises(RuntimeError, match="one device"):
        _ = ones + torch.ones(2)
    with pytest.raises((RuntimeError, TypeError)):
        ones.numpy()
    assert not waits
    assert ones.cpu().tolist() == [1.0, 1.0] and float(ones.sum()) == 2.0
    assert sum(waits.values()) == 2


@pytest.mark.parametrize("mix", ["merged", "runtime"])
def test_scores_and_replies_are_those_of_the_cpu(
    tiny_base: Path, mix: str, waits: Counter[str]
) -> None:
    plain, engine = engine_on(tiny_base, mix), engine_on(tiny_base, mix, card())
    assert engine.model.device.type == card().type
    draw = Draw(0.7, (1, 2, 3))
    for candidate in (patch(1), Patch()):
        plain.load(candidate)
        engine.load(candidate)
        assert engine.loglikelihood(PAIRS) == pytest.approx(plain.loglikelihood(PAIRS), abs=1e-4)
        assert engine.generate(PROMPTS, 3) == plain.generate(PROMPTS, 3)
        assert engine.generate(PROMPTS, 3, draw) == plain.generate(PROMPTS, 3, draw)
        torch.testing.assert_close(
            next_token_logprobs(engine, PROMPTS), next_token_logprobs(plain, PROMPTS)
        )
        assert torch.equal(score_tokens(engine, PAIRS)[0][1], score_tokens(plain, PAIRS)[0][1])
        assert len(distributions(engine, PAIRS)) == len(PAIRS)


def test_weights_are_rounded_together_as_on_the_cpu(tiny_base: Path, waits: Counter[str]) -> None:
    form = find_format("q4_1")
    engines = engine_on(tiny_base, "merged"), engine_on(tiny_base, "merged", card())
    name = f"{NAMES[1]}.weight"
    inputs = torch.randn(200, SHAPES[NAMES[1]][1], generator=torch.Generator().manual_seed(2))
    moments = inputs.T @ inputs
    found = []
    for engine in engines:
        engine.load(patch(1))
        rounding = engine.rounding(form)
        found.append(rounding.rounded(name, moments.to(engine.model.device)).cpu())
        weights = PackedWeights.of(rounding.weights(partial(engine.loglikelihood, PAIRS)))
        engine.load(replace(patch(1), format=form, rounded=weights))
        assert torch.equal(engine.model.get_parameter(name).cpu(), weights[name])
    assert torch.equal(*found)
